"""Make recording functions, which append a record to the graph and return an expression.

A record is a few integers that describe a call of an op. A recording function is compiled code with a table. Each row
of the table has a key and says what to record for calls with this key. Which 64-bit words make up a key depends on the
kind of function: usually the Dims (shapes) of the operands. For keys not in the table the recording function calls its
slow function, which is in Python. The slow function records the call, and usually adds a row to the table by the method
`enter`. A template is a copy of all records that an earlier call of an op has made; see `with_templates`.
"""

from __future__ import annotations

import ctypes
import functools
import inspect
import struct
import sys
from collections.abc import Callable, Sequence
from ctypes import c_int64, c_void_p, py_object
from typing import Any, TypeVar

import numpy as np

from dynet_kernels.recorder import words
from dynet_kernels.recorder.words import LIST_KEY, MOST_KEYED, ROW, TEMPLATE

from .keywords import Learner, with_keywords
from .shared import ADDRESSES, KEYS, SHARED, api, immortal, immortal_dim, native
from .types import HAS_VECTORCALL, METHOD_DESCRIPTOR, NO_INSTANCES, OBJECT, SSIZE, TP_CALL, TP_DESCR_GET, make_type

_enter = native("enter", 2)
Documented = TypeVar("Documented", bound=Callable[..., Any])  # lets type checkers see the described function

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
# These two dicts have one item per recording function. The key is the function's address.
_documented: dict[int, Callable] = {}  # the Python function whose name, docstring and parameters it has
_entered: dict[int, dict] = {}  # the rows that have been added to its table: key -> (signature, result, limit)


def _word(function: Any, name: str) -> c_int64:
    return c_int64.from_address(id(function) + 8 * words.FUNCTION[name])


def function(kind: str, slow: Callable) -> Any:
    """Return a new recording function.

    Args:
        kind: the name of the compiled code to run, such as "two" for two operands.
        slow: the Python function to call for operands whose key is not in the table.
    """
    made = immortal(api.PyType_GenericAlloc(FunctionType, 0))
    key = KEYS[kind]
    table = api.PyMem_RawCalloc(words.FIRST_ROWS, 8 * (key + len(ROW)))
    if not table:
        raise MemoryError
    _entered[id(made)] = {}
    _documented[id(made)] = immortal(slow)
    for name, value in (
        ("slow", id(slow)), ("table", table), ("mask", words.FIRST_ROWS - 1), ("key", key),
        ("vectorcall", ADDRESSES[kind]),
    ):  # fmt: skip
        _word(made, name).value = value
    _take_names(made, slow)
    return made


def remember(self, key: Sequence, signature: int, result, limit: int = 0) -> None:
    """Add a row to the table of the recording function `self`. This is the method `enter` of recording functions.

    No row is added for a call with a list of more than MOST_KEYED operands that do not all have the same Dim.

    Args:
        key: the row applies to calls with this key. It consists of Dims (the shapes of operands) and ints.
        signature: where the signature (what to compute) begins in TABLE, the array of all signatures; or the address of
            a template.
        result: the Dim of the expression that the recording function returns.
        limit: a number whose meaning depends on the kind of function. For lookups, indices must be less than it.
    """
    rows, row_facts = _entered[id(self)], (signature, result, limit)
    if rows.get(key) == row_facts:
        return
    numbers = [x if type(x) is int else id(immortal_dim(x)) for x in key]
    size = _word(self, "key").value
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
    rows[key] = row_facts


def describe(
    record: Any, documented: Documented, around: Callable | None = None, learner: Learner | None = None
) -> Documented:
    """Give a recording function the name, docstring, parameters and keyword arguments of the function `documented`.

    Args:
        record: the recording function, which is returned.
        documented: the function whose name, docstring and parameters to use.
        around: if given, called instead of the slow function, as `around(slow, *arguments)`.
        learner: observes the calls that go to the slow function.
    """
    fallback = _documented[id(record)]
    if isinstance(fallback, FunctionType):  # the slow function is a recording function, too, and has a slow function
        slow = describe(fallback, documented, around)
    else:
        if around:
            fallback = functools.update_wrapper(functools.partial(around, fallback), documented)
        slow = with_keywords(documented, fallback, record, learner)
    _documented[id(record)] = immortal(documented)
    _take_names(record, documented)
    _word(record, "parameters").value = id(immortal(tuple(map(sys.intern, inspect.signature(documented).parameters))))
    _word(record, "slow").value = id(immortal(slow))
    return record


def with_templates(op: Callable, learn: Callable) -> Any:
    """Return a function that does the same as `op`: by a template if there is one for the call, else by calling `op`.

    A template is a copy of what an earlier call has recorded. It serves all calls with the same key: with the same Dims
    of the operands and the same values of all other arguments.

    Args:
        op: a Python function; or a recording function, which then uses templates for keys not in its own table.
        learn: called once, as `learn(enter)`. It returns the `Learner` that observes the calls for which there is no
            template. When the `Learner` has made a template, it calls `enter(key, template, Dim of the last node)`.
    """
    last, slow = None, op
    while isinstance(slow, FunctionType):
        last, slow = slow, ctypes.cast(_word(slow, "slow").value, py_object).value
    documented = op if last is None else _documented[id(op)]

    def enter(key: bytes, template: Sequence[int], result: Any) -> None:
        word, *words_of_key = struct.unpack(f"={len(key) // 8}q", key)
        head, parts = template[: len(TEMPLATE)], template[len(TEMPLATE) :]
        integers = immortal(np.array([*head, *words_of_key, *parts], np.int64))
        remember(record, (word,), integers.ctypes.data, result)

    by_position = getattr(slow, "record", slow)  # skip the wrapper for keyword arguments: `record` gets its own
    record = describe(function("template", by_position), documented, learner=learn(enter))
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
    **{
        f"__{name}__": _fact(f"__{name}__")
        for name in ("doc", "module", "annotations", "defaults", "kwdefaults", "globals", "code")
    },
    "__wrapped__": property(lambda self: _documented[id(self)]),
    "__reduce__": lambda self: self.__qualname__,
    "__repr__": lambda self: f"<function {self.__qualname__}>",
    "enter": remember,
}.items():
    setattr(FunctionType, _name, _attribute)


def operator(name: str, pair: Any, right: Any, left: Any, slow: Callable, reflected: Callable) -> None:
    """Set one of the operators +, -, * and / of `Expression`.

    Args:
        name: the name of the operator, such as "add".
        pair: the recording function for two expressions.
        right: the recording function for an expression and a number to its right.
        left: the recording function for an expression and a number to its left.
        slow: called for all other operands, as `slow(x, other)`, where x is the expression.
        reflected: called as `reflected(x, other)` instead of `slow` if the expression is on the right.
    """
    expression: Any = ctypes.cast(SHARED["expression"], py_object).value

    def call_slowly(a, b):
        return slow(a, b) if isinstance(a, expression) else reflected(b, a)

    for role, called in (("pair", pair), ("right", right), ("left", left), ("slow", immortal(call_slowly))):
        SHARED[f"{name}_{role}"] = id(called)


def negative(record: Any) -> None:
    """Set the recording function that `-x` calls for an expression x."""
    SHARED["negative"] = id(record)


def subscript(item: Any, stretch: Any, slow: Callable) -> None:
    """Set the functions that `x[key]` calls for an expression x.

    Args:
        item: the recording function for an int as key.
        stretch: the recording function for a slice of two ints, such as x[1:3].
        slow: called for all other keys, as `slow(x, key)`.
    """
    SHARED["item"], SHARED["stretch"], SHARED["subscript"] = id(item), id(stretch), id(immortal(slow))
