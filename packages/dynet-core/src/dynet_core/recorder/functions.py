"""Make compiled recording functions, which append a record to the graph and return an expression.

Each recording function has a table. A row has a key, usually the operands' Dims, and says what to record for calls with
this key. For other keys, the slow function, which is Python, records the call, and usually adds a row by `enter`.
"""

from __future__ import annotations

import ctypes
import functools
import inspect
import struct
import sys
import weakref
from array import array
from collections.abc import Callable, Sequence
from ctypes import c_int64, py_object
from typing import Any, TypeVar

import numpy as np

from dynet_kernels.recorder.words import FUNCTION, LIST_KEY_SIZE, MOST_KEYED, NEW_TABLE_ROWS, OPERATIONS, ROW, TEMPLATE

from .keywords import Observer, with_keywords
from .shared import ADDRESSES, KEY_SIZES, SHARED, immortal, immortal_dim, native_function, pythonapi, share_objects
from .types import FunctionType

_compiled_enter, _clear_table = native_function("enter", 2), native_function("clear_table", 1)
Documented = TypeVar("Documented", bound=Callable[..., Any])  # for type checkers, the type of what `describe` returns

# Address of a recording function -> the function from which it takes its name, docstring and parameters.
_documented_functions: dict[int, Callable] = {}
_kept_objects: dict[int, list] = {}  # address of a function from `call_function` -> what lives as long as it
_entered_rows: dict[int, dict] = {}  # address of a recording function -> rows: key -> (signature, result_dim, limit)


def _function_word(recording_function: Any, name: str) -> c_int64:
    return c_int64.from_address(id(recording_function) + 8 * FUNCTION[name])


def _set_words(recording_function: Any, **values: int) -> None:
    for name, value in values.items():
        _function_word(recording_function, name).value = value


def _document(recording_function: Any, documented_function: Callable, keep: Callable[[Any], Any] = immortal) -> None:
    _documented_functions[id(recording_function)] = keep(documented_function)
    name, qualname = keep((documented_function.__name__, documented_function.__qualname__))
    _set_words(recording_function, name=id(name), qualname=id(qualname), parameters=id(()))


def function(kind: str, slow: Callable) -> Any:
    """Return a new recording function. `kind` names its compiled code, such as "two"; `slow` does all other calls."""
    return _new_function(kind, slow, slow, immortal)


def call_function(slow: Callable, documented: Callable) -> Any:
    """Return a new recording function that repeats calls, with the name, docstring and parameters of `documented`.

    Unlike others, it can be deleted. The caller keeps `slow` alive as long as it.
    """
    kept: list[Any] = []

    def keep(x: Any) -> Any:
        kept.append(x)
        return x

    new_function = _new_function("call", slow, documented, keep)
    kinds = inspect.signature(documented).parameters.items()
    names = keep(tuple([sys.intern(name) for name, one in kinds if one.kind is one.POSITIONAL_OR_KEYWORD]))
    _set_words(new_function, parameters=id(names))
    _kept_objects[id(new_function)] = kept
    for facts in (_entered_rows, _documented_functions, _kept_objects):
        # Called when the function is deleted. No bytecode runs then, which a signal handler could interrupt.
        keep(weakref.ref(new_function, functools.partial(facts.pop, id(new_function))))
    return new_function


def keep_with(recording_function: Any, x: Any) -> None:
    """Keep an object alive as long as a function from `call_function`."""
    _kept_objects[id(recording_function)].append(x)


def _new_function(kind: str, slow: Callable, documented: Callable, keep: Callable[[Any], Any]) -> Any:
    new_function = pythonapi.PyType_GenericAlloc(FunctionType, 0)
    if keep is immortal:
        immortal(new_function)
    key_size = KEY_SIZES[kind]
    table = pythonapi.PyMem_RawCalloc(NEW_TABLE_ROWS, 8 * (key_size + len(ROW)))
    if not table:
        raise MemoryError
    _entered_rows[id(new_function)] = {}
    _set_words(
        new_function, slow=id(slow), table=table, mask=NEW_TABLE_ROWS - 1, key_size=key_size,
        vectorcall=ADDRESSES[kind], pinned=-1,
    )  # fmt: skip
    _document(new_function, documented, keep)
    return new_function


def set_pinned(recording_function: Any, pins: int) -> None:
    """Set the word `pinned` of a recording function; see `words.FUNCTION`."""
    _set_words(recording_function, pinned=pins)


def enter_call(recording_function: Any, key: bytes, call: int) -> None:
    """Let a recording function repeat calls with this key. `call` is the address of the words of a CALL."""
    enter_row(recording_function, struct.unpack_from("=q", key), call, None)


def clear_rows(recording_function: Any) -> None:
    _entered_rows[id(recording_function)].clear()
    _clear_table(id(recording_function))


def rows_of(recording_function: Any) -> dict:
    """Return the rows of a recording function: key -> (signature, result, limit)."""
    return _entered_rows[id(recording_function)]


def forget_rows(signatures: set[int]) -> None:
    """Remove the rows of these signatures, indices in TABLE, from the tables of all recording functions."""
    for address, rows in _entered_rows.copy().items():  # copies, as other threads may add rows
        if forgotten := [key for key, row in rows.copy().items() if row[0] in signatures]:
            for key in forgotten:
                rows.pop(key, None)
            recording_function, kept = ctypes.cast(address, py_object).value, None
            while kept is None or not kept.keys() <= rows.keys():  # another thread has forgotten rows meanwhile
                _clear_table(address)
                kept = rows.copy()
                for key, row in kept.items():
                    _enter_compiled(recording_function, key, *row)


def enter_row(self, key: Sequence, signature: int, result_dim, limit: int = 0) -> None:
    """The method `enter` of recording functions: add a row to the table.

    No row is added for a call with a list of more than MOST_KEYED operands that do not all have the same Dim.
    `signature` is an index in TABLE, or the address of a template. `result_dim` is that of the result. The meaning of
    `limit` depends on the kind of function: for lookups, it is how many rows the lookup parameter has.
    """
    rows, row_facts = _entered_rows[id(self)], (signature, result_dim, limit)
    if rows.get(key) != row_facts:
        rows[key] = row_facts  # first, so that `forget_rows` misses no row of the table
        _enter_compiled(self, key, *row_facts)


def _enter_compiled(self, key: Sequence, signature: int, result_dim, limit: int) -> None:
    key_size = _function_word(self, "key_size").value
    is_long_list = key_size == LIST_KEY_SIZE and len(key) > MOST_KEYED
    if is_long_list and len(set(key)) > 1:
        return
    integers = [x if type(x) is int else id(immortal_dim(x)) for x in (key[:1] if is_long_list else key)]
    if key_size == LIST_KEY_SIZE:
        integers.insert(0, -len(key) if is_long_list else len(key))
        integers += [0] * (key_size - len(integers))
    row = array("q", (*integers, signature, id(immortal_dim(result_dim)), limit))
    _compiled_enter(id(self), row.buffer_info()[0])


def describe(
    recording_function: Any, documented: Documented, around: Callable | None = None, observer: Observer | None = None
) -> Documented:
    """Give a recording function the name, docstring, parameters and keyword arguments of `documented`. Return it.

    `around`, if given, replaces the slow function: `around(slow, *arguments)`. For `observer`, see `keywords.Observer`.
    """
    fallback = _documented_functions[id(recording_function)]
    if isinstance(fallback, FunctionType):  # the slow function is a recording function with its own slow function
        slow = describe(fallback, documented, around)
    else:
        if around:
            fallback = functools.update_wrapper(functools.partial(around, fallback), documented)
        slow = with_keywords(documented, fallback, recording_function, observer)
    _document(recording_function, documented)
    names = tuple(map(sys.intern, inspect.signature(documented).parameters))
    _set_words(recording_function, parameters=id(immortal(names)), slow=id(immortal(slow)))
    return recording_function


def with_templates(op: Callable, make_observer: Callable) -> Any:
    """Return a function that does the same as `op`: it uses a template if there is one for the call, else calls `op`.

    A template is used for all calls with the same key: the same Dims of operands and the same values of other
    arguments. If `op` is a recording function, templates are used only for keys that its own table lacks.
    `make_observer(enter)` is called once, and returns the `Observer` of the calls without a template. When the observer
    has made a template, it calls `enter(key, template, Dim of the last node)`.
    """
    last_function, slow = None, op
    while isinstance(slow, FunctionType):
        last_function, slow = slow, ctypes.cast(_function_word(slow, "slow").value, py_object).value
    documented = op if last_function is None else _documented_functions[id(op)]

    def enter(key: bytes, template: Sequence[int], result_dim: Any) -> None:
        first_word, *words_of_key = struct.unpack(f"={len(key) // 8}q", key)
        counts, content = template[: len(TEMPLATE)], template[len(TEMPLATE) :]
        integers = immortal(np.array([*counts, *words_of_key, *content], np.int64))
        enter_row(recording_function, (first_word,), integers.ctypes.data, result_dim)

    positional = getattr(slow, "positional", slow)  # without a wrapper for keyword arguments: `describe` adds one
    recording_function = describe(function("template", positional), documented, observer=make_observer(enter))
    if last_function is None:
        return recording_function
    _set_words(last_function, slow=id(recording_function))
    return op


# A recording function has the attributes of the Python function that it is named after, and is pickled by its name.
for _name in ("__doc__", "__module__", "__annotations__", "__defaults__", "__kwdefaults__", "__globals__", "__code__"):
    setattr(FunctionType, _name, property(lambda self, name=_name: getattr(_documented_functions[id(self)], name)))
FunctionType.__wrapped__ = property(lambda self: _documented_functions[id(self)])
FunctionType.__reduce__ = lambda self: self.__qualname__
FunctionType.__repr__ = lambda self: f"<function {self.__qualname__}>"
FunctionType.enter = enter_row


def set_operator(name: str, pair: Any, right: Any, left: Any) -> None:
    """Set one of the operators +, -, * and / of `Expression`.

    Args:
        name: the name of the operator, such as "add".
        pair: the recording function for two expressions. `pair(x, other)` is also called if the right operand `other`
            is neither an expression nor a number.
        right: the recording function for an expression and a number to its right.
        left: the recording function for an expression and a number to its left. `left(x, other)` is also called for
            any other left operand of an expression x.
    """
    expression: Any = ctypes.cast(SHARED["expression"], py_object).value

    def call_slowly(a, b):
        return pair(a, b) if isinstance(a, expression) else left(b, a)

    share_objects(**{f"{name}_pair": pair, f"{name}_right": right, f"{name}_left": left, f"{name}_slow": call_slowly})


def _refuse_operator(*operands) -> None:
    raise TypeError("the operators of expressions come with dynet_ops: import it first")


share_objects(**dict.fromkeys(OPERATIONS, function("two", _refuse_operator)))  # until dynet_ops sets the operators
