"""The functions that plain functions are rewritten to call. They emit TIR.

Conditions and loops are generators that yield once for each body: `for _ in when(condition)` emits its body inside an
`if`. For a Python bool, no `if` is emitted: the body is emitted unconditionally if it is True, and not at all if False.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from .. import tir
from ..tir import int64, let
from ..tvm_modules import T, ir, tirx, tvm_ffi


def is_emitting() -> bool:
    builder = sys.modules.get("tvm.script.ir_builder")
    return builder is not None and builder.IRBuilder.is_in_scope()


def is_emitted(value) -> bool:
    # Before TVM's compiler is imported, there are no emitted values. TVM's `a == b` is an ObjectConvertible.
    return "tvm.ir" in sys.modules and isinstance(value, (ir.expr.ExprOperand, tvm_ffi.core.ObjectConvertible))


def bind(value) -> Any:
    """Bind an emitted value to a variable, so that it is computed at this point. Return other values as they are."""
    if isinstance(value, tuple):
        return tuple(map(bind, value))
    if value is EntryLeft:
        raise TypeError("one entry can call another only by `return other(...)`")
    return let(value) if is_emitted(value) and not isinstance(value, tirx.Var) else value


def as_condition(value):
    """Convert a value to a condition, as `if` does: an integer is true unless it is 0."""
    if not is_emitted(value):
        return bool(bind(value))
    return value if type_of(value) == "bool" else tirx.NE(value, tirx.const(0, type_of(value)))


def type_of(value) -> str:
    return as_comparison(value).ty.dtype


def as_integer(value):
    if isinstance(value, int):
        return int64(int(value))
    if not is_emitted(value) or type_of(value).startswith("float"):
        raise TypeError(f"what is stored or assigned more than once must be an integer, not {value!r:.60}")
    return T.if_then_else(value, int64(1), int64(0)) if type_of(value) == "bool" else value


class Variable(tir.IntVariable):
    def __init__(self, value=0):
        super().__init__(as_integer(value))

    value: Any = property(lambda self: let(self.get()), lambda self, value: self.set(as_integer(value)))


def when(condition, *rest: Callable) -> Iterator[bool]:
    """Emit an `if` without `else`. Each function in `rest` emits another condition, tested in a nested `if`."""
    for holds in branch(condition, T.Then):
        if holds:
            yield from when(rest[0](), *rest[1:]) if rest else (True,)


def branch(condition, *sides: Callable) -> Iterator[bool]:
    """Emit an `if` with an `else`: yield True to emit the code of the `if`, then False to emit that of the `else`."""
    test = as_condition(condition)
    if not is_emitted(test):
        yield test
        return
    with T.If(test):
        for side in sides or (T.Then, T.Else):  # `when` gives only T.Then
            with side():
                yield side is not T.Else


def loop(begin, end=None) -> Iterator[Any]:
    begin, end = widen(begin), widen(end)
    count = begin if end is None else end - begin
    with T.serial(int64(0), int64(count)) as k:
        yield k if end is None else let(begin + k)


def forever() -> Iterator[None]:
    if is_emitting():
        with T.While(tirx.const(True, "bool")):
            yield
    while not is_emitting():
        yield


def break_if(value) -> bool:
    """Emit code that breaks a loop if `value` is true, and return False. When run as Python, return `bool(value)`."""
    if is_emitting():
        for _ in when(value):
            T.evaluate(T.break_loop())
        return False
    return bool(value)


def break_unless(value):
    """Emit code that breaks a `while` loop unless `value`, its condition, is true."""
    if not is_emitted(value) and value is not True:
        raise TypeError("the condition of a `while` must be a number of the code: for a list of Python, write `for`")
    break_if(logical_not(value))


class EntryLeft(Exception):  # noqa: N818
    """Raised to leave an entry that runs as Python. An entry that emits code returns this class, and raises nothing."""

    def __init__(self, result):
        self.result = result


_result_words: list = []  # where the entries that are being emitted store their results
NO_RESULT = 1  # what an entry without a result stores: neither the address of an object nor NULL


@contextmanager
def result_at(words) -> Iterator[None]:
    """In the `with` block, emitted entries store their results in the first integer of `words`."""
    _result_words.append(words)
    try:
        yield
    finally:
        _result_words.pop()


def leave(result=None):
    """Leave the entry, from any plain function. `result` is None if it has none, EntryLeft if a called entry left."""
    if not is_emitting():
        raise EntryLeft(result)
    if result is not EntryLeft:
        if _result_words:
            _result_words[-1][0] = NO_RESULT if result is None else as_integer(result)
        T.Return(tirx.const(0, "int32"))


def widen(number):
    """Widen an operand to 64 bits: conditions become 0 or 1, ints beyond 32 bits int64s, as TVM would truncate them."""
    if isinstance(number, (tuple, list)):
        raise TypeError("a tuple or list cannot be an operand")
    if isinstance(number, float):
        return tirx.const(number, "float64")
    if isinstance(number, int):
        return number if -(1 << 31) <= number < 1 << 31 else int64((number + (1 << 63)) % (1 << 64) - (1 << 63))
    return as_integer(number) if is_emitted(number) and type_of(number) == "bool" else number


def as_comparison(comparison):
    """Convert TVM's result of `a == b` to a condition, whose truth value Python cannot take by mistake."""
    return comparison.asobject() if hasattr(comparison, "asobject") else comparison


def store_division(division):
    """Store an emitted quotient or remainder. Otherwise TVM would repeat the division at each use, and may fail."""
    return tir.settled(division) if is_emitted(division) else division


def logical_not(value):
    test = as_condition(value)
    return T.Not(test) if is_emitted(test) else not test


def logical_and(first, *rest: Callable):
    """`first and rest[0]() and ...`: the code that each of `rest` emits runs only if everything before it is true."""
    if not rest or not is_emitted(first):
        return logical_and(rest[0](), *rest[1:]) if rest and as_condition(first) else first
    last = Variable()
    for _ in when(first, *rest[:-1]):
        last.value = rest[-1]()
    return last.value


def logical_or(first, *rest: Callable):
    """`first or rest[0]() or ...`: the code that each of `rest` emits runs only if everything before it is false."""
    if not rest or not is_emitted(first):
        return logical_or(rest[0](), *rest[1:]) if rest and not as_condition(first) else first
    result = Variable(first)
    for operand in rest:
        for _ in when(logical_not(result.value)):
            result.value = operand()
    return result.value


def if_else(condition, then: Callable, otherwise: Callable):
    if not is_emitted(condition):
        return then() if as_condition(condition) else otherwise()
    result = Variable()
    for holds in branch(condition):
        result.value = then() if holds else otherwise()
    return result.value


def maximum(first, second):
    return T.max(widen(first), widen(second)) if is_emitted(first) or is_emitted(second) else max(first, second)


def minimum(first, second):
    return T.min(widen(first), widen(second)) if is_emitted(first) or is_emitted(second) else min(first, second)
