"""Conditions, loops and variables of emitted code, in the form of Python statements."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from types import FunctionType
from typing import Any

from tvm import tirx
from tvm.tirx.script import builder as T

from .. import tir
from ..tir import int64, let, when

__all__ = ["Variable", "all_of", "any_of", "branch", "each", "forever", "pick", "stop_unless", "when", "yes"]


class Variable:
    """An integer in a register. `value` reads and sets it."""

    def __init__(self, value=0):
        self._counter = tir.Counter(int64(value))

    @property
    def value(self) -> Any:
        return let(self._counter.get())

    @value.setter
    def value(self, value):
        self._counter.set(int64(value))


@contextmanager
def each(count) -> Iterator[Any]:
    """A loop over the numbers 0 to count - 1."""
    with T.serial(int64(0), int64(count)) as number:
        yield number


@contextmanager
def forever() -> Iterator[None]:
    """A loop that ends at `stop_unless`."""
    with T.While(tirx.const(True, "bool")):
        yield


def stop_unless(condition) -> None:
    """Leave the innermost loop unless the condition holds."""
    with when(T.Not(condition)):
        T.evaluate(T.break_loop())


@contextmanager
def branch(condition) -> Iterator[tuple]:
    """Two blocks, of which one runs: `with branch(condition) as (then, otherwise)`, then `with then`."""
    with T.If(condition):
        yield T.Then(), T.Else()


def pick(condition, then, otherwise) -> Any:
    """One of two integers. Functions are called, and what they emit runs, only on their side."""
    if not isinstance(then, FunctionType) and not isinstance(otherwise, FunctionType):
        return let(T.if_then_else(condition, int64(then), int64(otherwise)))
    result = Variable()
    with branch(condition) as sides:
        for side, choice in zip(sides, (then, otherwise)):
            with side:
                result.value = choice() if isinstance(choice, FunctionType) else choice
    return result.value


def all_of(*conditions):
    """Whether all conditions hold. They are found out beforehand, all of them."""
    return functools.reduce(T.And, conditions)


def any_of(*conditions):
    """Whether one of the conditions holds."""
    return functools.reduce(T.Or, conditions)


def yes(condition):
    """1 if the condition holds, else 0."""
    return let(T.if_then_else(condition, int64(1), int64(0)))
