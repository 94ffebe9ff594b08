"""Helpers with which Python functions emit TIR: conditions, loops and variables, in the form of Python statements."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from types import FunctionType
from typing import Any

from .. import tir
from ..tir import int64, let, when
from ..tvm_modules import T, tirx

__all__ = ["Variable", "all_of", "any_of", "branch", "each", "forever", "pick", "stop_unless", "when", "yes"]


class Variable:
    """An integer variable of the emitted code. To read its attribute `value` emits a load, to set it emits a store."""

    def __init__(self, value=0):
        self._variable = tir.IntVariable(int64(value))

    @property
    def value(self) -> Any:
        return let(self._variable.get())

    @value.setter
    def value(self, value):
        self._variable.set(int64(value))


@contextmanager
def each(count) -> Iterator[Any]:
    """Emit a loop over the numbers 0 to `count` - 1, with the code of the `with` block as its body."""
    with T.serial(int64(0), int64(count)) as number:
        yield number


@contextmanager
def forever() -> Iterator[None]:
    """Emit an endless loop with the code of the `with` block as its body. Only `stop_unless` in the body ends it."""
    with T.While(tirx.const(True, "bool")):
        yield


def stop_unless(condition) -> None:
    """Emit code that leaves the innermost loop (break) unless the condition holds."""
    with when(T.Not(condition)):
        T.evaluate(T.break_loop())


@contextmanager
def branch(condition) -> Iterator[tuple]:
    """Emit an if-else statement.

    Use it as `with branch(condition) as (then, otherwise)`. Within this block, emit the code of one side in `with then`
    and the code of the other in `with otherwise`.
    """
    with T.If(condition):
        yield T.Then(), T.Else()


def pick(condition, then, otherwise) -> Any:
    """Emit code that selects one of two integers: `then` if the condition holds, else `otherwise`. Return the result.

    `then` and `otherwise` may also be functions that emit code and return the integer. The code of a function runs only
    if its integer is selected.
    """
    if not isinstance(then, FunctionType) and not isinstance(otherwise, FunctionType):
        return let(T.if_then_else(condition, int64(then), int64(otherwise)))
    result = Variable()
    with branch(condition) as sides:
        for side, choice in zip(sides, (then, otherwise)):
            with side:
                result.value = choice() if isinstance(choice, FunctionType) else choice
    return result.value


def all_of(*conditions):
    """Return the condition that all conditions hold. Unlike `and` in Python, it evaluates every one of them."""
    return functools.reduce(T.And, conditions)


def any_of(*conditions):
    """Return the condition that at least one condition holds. Unlike `or` in Python, it evaluates every one of them."""
    return functools.reduce(T.Or, conditions)


def yes(condition):
    """Emit code that turns a condition into an integer, and return it: 1 if the condition holds, else 0."""
    return let(T.if_then_else(condition, int64(1), int64(0)))
