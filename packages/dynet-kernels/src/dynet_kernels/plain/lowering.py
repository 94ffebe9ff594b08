"""What the statements of plain functions become when they are compiled (see `rewriting`). All of it emits TIR.

Conditions and loops are generators with one turn: `for _ in when(condition)` emits the code of its body inside the
condition. If the condition is known already, as a bool, the body is emitted as it is, or left out.
"""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from .. import tir
from ..tir import int64, let
from ..tvm_modules import T, ir, tirx, tvm_ffi


def is_emitting() -> bool:
    """Whether TIR is being emitted now, in this thread."""
    builder = sys.modules.get("tvm.script.ir_builder")
    return builder is not None and builder.IRBuilder.is_in_scope()


def is_emitted(value) -> bool:
    return isinstance(value, (ir.Expr, tvm_ffi.core.ObjectConvertible))  # `a == b` is of the second class


def bound(value):
    """Compute a value now. What is not emitted, such as a Python int or a structure, is bound already."""
    if isinstance(value, tuple):
        return tuple(map(bound, value))
    return let(value) if is_emitted(value) and not isinstance(value, tirx.Var) else value


def condition(value):
    """Make a condition of an integer, as `if` does: it holds unless the integer is 0."""
    if not is_emitted(value):
        return bool(value)
    return value if _is_bool(value) else tirx.NE(value, int64(0))


def _is_bool(value):
    return str((value.expr_ty() if hasattr(value, "expr_ty") else value.ty).dtype) == "bool"


def integer(value):
    """Make an int64 of a condition or an int."""
    if not is_emitted(value):
        if not isinstance(value, int):
            raise TypeError(f"a name that is assigned more than once must be an integer, not {value!r:.60}")
        return int64(int(value))
    return T.if_then_else(value, int64(1), int64(0)) if _is_bool(value) else value


class Variable:
    """An integer variable of the emitted code."""

    def __init__(self, value=0):
        object.__setattr__(self, "_variable", tir.IntVariable(integer(value)))

    def __getattr__(self, name):
        return let(self._variable.get())

    def __setattr__(self, name, value):
        self._variable.set(integer(value))


def when(value) -> Iterator[None]:
    test = condition(value)
    if not is_emitted(test):
        yield from [None] * test
    else:
        with T.If(test), T.Then():
            yield None


class branch:
    """An if-else statement: `with branch(condition) as b`, then `for _ in b.then()` and `for _ in b.otherwise()`."""

    def __init__(self, value):
        self.test = condition(value)
        self.frame = T.If(self.test) if is_emitted(self.test) else None

    def __enter__(self):
        if self.frame:
            self.frame.__enter__()
        return self

    def __exit__(self, *problem):
        if self.frame:
            self.frame.__exit__(*problem)

    def then(self) -> Iterator[None]:
        yield from self._side(T.Then, bool(self.frame) or self.test)

    def otherwise(self) -> Iterator[None]:
        yield from self._side(T.Else, bool(self.frame) or not self.test)

    def _side(self, side, is_there) -> Iterator[None]:
        if self.frame:
            with side():
                yield None
        elif is_there:
            yield None


def loop(begin, end=None) -> Iterator[Any]:
    begin, end = (0, begin) if end is None else (begin, end)
    with T.serial(int64(0), int64(end if _is_zero(begin) else end - begin)) as number:
        yield number if _is_zero(begin) else let(begin + number)


def _is_zero(value) -> bool:
    return isinstance(value, int) and value == 0


def forever() -> Iterator[None]:
    with T.While(tirx.const(True, "bool")):
        yield None


def stop():
    T.evaluate(T.break_loop())


def next_turn():
    T.evaluate(T.continue_loop())


def stop_unless(value):
    for _ in when(negation(value)):
        stop()


class Left(Exception):  # noqa: N818
    """How a plain function that runs as Python leaves the entry that has called it: see `leave`."""

    def __init__(self, value):
        self.value = value


_results: list = []  # where the entries that are being emitted store their results
NO_RESULT = 1  # what an entry without a result stores: neither the address of an object nor NULL


@contextmanager
def result_at(words) -> Iterator[None]:
    """Emit entries in this context that store their results in the first integer of `words`."""
    _results.append(words)
    yield
    _results.pop()


def leave(value=None):
    """Leave the entry, the whole compiled function, with a result, from any plain function that it calls."""
    if not is_emitting():
        raise Left(value)
    if value is not LEFT:
        if _results:
            _results[-1][0] = NO_RESULT if value is None else integer(value)
        T.Return(tirx.const(0, "int32"))


LEFT = object()  # what the emitter of an entry returns: its code has left already


def operate(operation: str, first, second):
    """Return the result of an operator. TVM would cut a Python int beyond 32 bits."""
    if is_emitted(first):
        second = wide(second)
    elif is_emitted(second):
        first = wide(first)
    return getattr(operator, operation)(first, second)


def wide(number):
    return int64(number) if isinstance(number, int) and not -(1 << 31) <= number < 1 << 31 else number


def negation(value):
    test = condition(value)
    return T.Not(test) if is_emitted(test) else not test


def both(first, rest: Callable):
    """`first and rest()`: what `rest` emits runs only if `first` holds."""
    test = condition(first)
    if not is_emitted(test):
        return rest() if test else False
    holds = Variable(0)
    for _ in when(test):
        holds.value = condition(rest())
    return holds.value != 0


def either(first, rest: Callable):
    test = condition(first)
    if not is_emitted(test):
        return True if test else rest()
    holds = Variable(1)
    for _ in when(negation(test)):
        holds.value = condition(rest())
    return holds.value != 0


def pick(value, then: Callable, otherwise: Callable):
    """`then() if value else otherwise()`."""
    test = condition(value)
    if not is_emitted(test):
        return then() if test else otherwise()
    picked = Variable()
    with branch(test) as sides:
        for _ in sides.then():
            picked.value = then()
        for _ in sides.otherwise():
            picked.value = otherwise()
    return picked.value


def maximum(first, second):
    return T.max(first, second) if is_emitted(first) or is_emitted(second) else max(first, second)


def minimum(first, second):
    return T.min(first, second) if is_emitted(first) or is_emitted(second) else min(first, second)
