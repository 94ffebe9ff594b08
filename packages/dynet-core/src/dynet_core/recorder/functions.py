"""Recording functions: what they know, and what Python does for them."""

from __future__ import annotations

import ctypes
import functools
import inspect
import struct
import sys
from collections.abc import Callable, Sequence
from ctypes import c_int64, c_void_p, py_object
from typing import Any

import numpy as np

from dynet_kernels.recorder import words
from dynet_kernels.recorder.words import ARRAY_KEY, LIST_KEY, MOST_KEYED, ROW, TEMPLATE_KEY

from .keywords import Learner, with_keywords
from .shared import ADDRESSES, SHARED, api, immortal, immortal_dim, native
from .types import HAS_VECTORCALL, METHOD_DESCRIPTOR, NO_INSTANCES, OBJECT, SSIZE, TP_CALL, TP_DESCR_GET, make_type

_enter = native("enter", 2)

FunctionType = make_type(
    "dynet_core.recorder.function",
    words.FUNCTION,
    {
        "__vectorcalloffset__": ("vectorcall", SSIZE),
        "__weaklistoffset__": ("weak", SSIZE),
        "__name__": ("name", OBJECT),
        "__qualname__": ("qualname", OBJECT),
    },
    {
        TP_CALL: ctypes.cast(api.PyVectorcall_Call, c_void_p).value or 0,
        TP_DESCR_GET: ADDRESSES["bind"],
    },
    NO_INSTANCES | HAS_VECTORCALL | METHOD_DESCRIPTOR,
    (object,),
)
KEYS = {
    **dict.fromkeys(("key", "commit", "handle", "sequence", "take", "renew_quickly"), 0),
    **dict.fromkeys(("two", "stretch", "indices", "lookup_indices"), 2),
    "many": LIST_KEY,
    "array": ARRAY_KEY,
    "template": TEMPLATE_KEY,
}
"""How many words the key of a function's table has; of kinds that are not named, one."""
_documented: dict[int, Callable] = {}  # by the address of a function: the Python function that it stands for
_entered: dict[int, dict] = {}  # what has been entered
_sizes: dict[int, int] = {}  # words of the key of its table


def _word(function: Any, name: str) -> c_int64:
    return c_int64.from_address(id(function) + 8 * words.FUNCTION.index(name))


def function(kind: str, slow: Callable) -> Any:
    """A function that records what it knows, and calls `slow` for the rest."""
    made = immortal(api.PyType_GenericAlloc(FunctionType, 0))
    key = KEYS.get(kind, 1)
    table = api.PyMem_RawCalloc(words.FIRST_ROWS, 8 * (key + len(ROW)))
    if not table:
        raise MemoryError
    _entered[id(made)] = {}
    _sizes[id(made)], _documented[id(made)] = key, immortal(slow)
    for name, value in (
        ("slow", id(slow)), ("table", table), ("mask", words.FIRST_ROWS - 1), ("key", key),
        ("vectorcall", ADDRESSES[kind]),
    ):  # fmt: skip
        _word(made, name).value = value
    _take_names(made, slow)
    return made


def enter_row(self, key: Sequence, signature: int, result, limit: int = 0) -> None:
    """Remember what is recorded for operands of these Dims: the signature's place and the node's Dim."""
    known, facts = _entered[id(self)], (signature, result, limit)
    if known.get(key) == facts:
        return
    numbers = [x if type(x) is int else id(immortal_dim(x)) for x in key]
    size = _sizes[id(self)]
    if size == LIST_KEY:
        if len(key) <= MOST_KEYED:
            numbers = [len(key), *numbers]
        elif len(set(numbers)) == 1:
            numbers = [-len(key), numbers[0]]
        else:
            return
        numbers += [0] * (size - len(numbers))
    row = (c_int64 * (size + len(ROW)))(*numbers, signature, id(immortal_dim(result)), limit)
    _enter(id(self), ctypes.addressof(row))
    known[key] = facts


def describe(record: Any, documented: Callable, around: Callable | None = None, learner: Learner | None = None) -> Any:
    """Give a recording function the name, the documentation and the signature of another one, and its keywords.

    What it does not know goes to `around`, if there is one, with the function that it went to before.

    Args:
        learner: looks at calls that it does not know.
    """
    unusual = _documented[id(record)]
    if isinstance(unusual, FunctionType):  # which takes what the first one does not know
        slow = describe(unusual, documented, around)
    else:
        if around:
            unusual = functools.update_wrapper(functools.partial(around, unusual), documented)
        slow = with_keywords(documented, unusual, record, learner)
    _documented[id(record)] = immortal(documented)
    _take_names(record, documented)
    _word(record, "parameters").value = id(immortal(tuple(map(sys.intern, inspect.signature(documented).parameters))))
    _word(record, "slow").value = id(immortal(slow))
    return record


def with_templates(op: Callable, learn: Callable) -> Any:
    """Have an op recorded from templates where else Python would record it.

    Args:
        op: a recording function, which then leaves to them what it does not know, or another one.
        learn: called with a function enter(key, template, Dim of the last node): gives what looks at calls for which
            there is no template.
    """
    last, slow = None, op
    while isinstance(slow, FunctionType):
        last, slow = slow, ctypes.cast(_word(slow, "slow").value, py_object).value
    documented = op if last is None else _documented[id(op)]

    def enter(key: bytes, template: Sequence[int], result: Any) -> None:
        integers = immortal(np.array(template, np.int64))
        enter_row(record, struct.unpack(f"={TEMPLATE_KEY}q", key), integers.ctypes.data, result)

    unusual = getattr(slow, "record", slow)  # without its keywords: those of `record` do
    record = describe(function("template", unusual), documented, learner=learn(enter))
    if last is None:
        return record
    _word(last, "slow").value = id(record)
    return op


def _take_names(function: Any, after: Callable) -> None:
    _word(function, "name").value = id(immortal(after.__name__))
    _word(function, "qualname").value = id(immortal(after.__qualname__))


def _fact(name: str) -> property:
    return property(lambda self: getattr(_documented[id(self)], name))


for _name, _attribute in {
    "__doc__": _fact("__doc__"),
    **{
        name: _fact(name)
        for name in ("__module__", "__annotations__", "__defaults__", "__kwdefaults__", "__globals__", "__code__")
    },
    "__wrapped__": property(lambda self: _documented[id(self)]),
    "__reduce__": lambda self: self.__qualname__,
    "__repr__": lambda self: f"<function {self.__qualname__}>",
    "enter": enter_row,
}.items():
    setattr(FunctionType, _name, _attribute)


def operator(name: str, pair: Any, right: Any, left: Any, slow: Callable, reflected: Callable) -> None:
    """What an operator does: `pair` of two expressions, `right` and `left` of an expression and a number.

    The rest is `slow(x, other)`, or `reflected(x, other)` where the expression is on the right.
    """
    expression: Any = ctypes.cast(SHARED["expression"], py_object).value

    def unusual(a, b):
        return slow(a, b) if isinstance(a, expression) else reflected(b, a)

    for what, known in (("pair", pair), ("right", right), ("left", left), ("slow", immortal(unusual))):
        SHARED[f"{name}_{what}"] = id(known)


def negative(record: Any) -> None:
    """What `-x` does."""
    SHARED["negative"] = id(record)


def subscript(item: Any, stretch: Any, slow: Callable) -> None:
    """What `x[key]` does: `item` for an int, `stretch` for a slice of two ints, `slow` for the rest."""
    SHARED["item"], SHARED["stretch"], SHARED["subscript"] = id(item), id(stretch), id(immortal(slow))
