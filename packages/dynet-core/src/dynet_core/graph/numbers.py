"""Numbers among the arguments of a function that is being recorded, and what is noted about their use."""

from __future__ import annotations

import builtins
import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dynet_kernels.recorder.words import CHECKED, IN_INPUTS, IN_RECORD, ITEM_BITS

from .expression import Expression

LIMIT = 1 << 60  # the magnitude of an int must be less than this


class Recording:
    """What is noted while a function is recorded.

    `pinned` has the items whose values the function has asked for, `patches` where the others have gone: (role,
    position in the graph's records or input values, number). `ranges` has the range that an int must be in: the
    function has asked whether it is. `is_disturbed`: whether a signal handler has recorded nodes, so that a position
    may be wrong.
    """

    def __init__(self, name: str):
        self.name, self.pinned = name, set[int]()
        self.patches: list[tuple[int, int, Number]] = []
        self.ranges: dict[int, tuple[int, int]] = {}
        self.is_disturbed: bool = False

    def values(self, role: int, begin: int, numbers: Sequence) -> list:
        """Return the values of numbers that will be at position `begin` and after it. Note which are items."""
        for position, x in enumerate(numbers, begin):
            if type(x) is Number:
                is_usual = (x._addend == 0 and (x._sign == 1 or not x._is_int)) if role == IN_INPUTS else x._sign == 1
                if not is_usual:
                    x._pinned()
                self.patches.append((role, position, x))
        return [value_of(x) for x in numbers]

    def patch_words(self, first_integer: int, first_input: int) -> list[int]:
        """Return the words of a `words.PATCH` for each use of an item that is not pinned."""
        starts, words = {IN_RECORD: first_integer, IN_INPUTS: first_input}, []
        for role, position, x in self.patches:
            if x._item not in self.pinned:
                change = x._sign if role == IN_INPUTS else x._addend
                limits = self.ranges.get(x._item, (-LIMIT, LIMIT))
                words += role, x._item << ITEM_BITS, position - starts[role], change, *limits
        for item in self.ranges.keys() - self.pinned:
            words += CHECKED, item << ITEM_BITS, 0, 0, *self.ranges[item]
        return words


class Number:
    """`_sign` times an int or float among the items of a call that is being recorded, plus `_addend`, an int.

    Operations may use it as an index or an input value, and compare it with the range that it must be in. To all other
    code it looks like an int or a float; but if such code asks for its value, this is noted.
    """

    __slots__ = ("_addend", "_is_int", "_item", "_recording", "_sign", "_value")

    def __init__(self, recording: Recording, item: int, value: Any, addend: int = 0, sign: int = 1):
        self._recording, self._item, self._value, self._addend, self._sign = recording, item, value, addend, sign
        self._is_int = isinstance(value, (int, np.integer))

    __class__: Any = property(lambda self: type(self._value))  # type: ignore[assignment]

    def _is_unchanged(self) -> bool:
        """Return whether this is an item, not a number computed from it."""
        return self._addend == 0 and self._sign == 1

    def _pinned(self) -> Any:
        """Return the value, and note that it was asked for."""
        self._recording.pinned.add(self._item)
        return self._value

    def _plus(self, other: Any) -> Any:
        if type(other) is int and type(self._value) is int and abs(other) < LIMIT:
            return Number(self._recording, self._item, self._value + other, self._addend + other, self._sign)
        return NotImplemented if isinstance(other, Expression) else self._pinned() + pinned(other)

    __add__ = __radd__ = _plus

    def __sub__(self, other: Any) -> Any:
        if isinstance(other, Expression):
            return NotImplemented
        is_simple = type(other) is int and type(self._value) is int
        return self._plus(-other) if is_simple else self._pinned() - pinned(other)

    def __neg__(self) -> Any:
        return Number(self._recording, self._item, -self._value, -self._addend, -self._sign)

    def _compare(self, name: str, other: Any) -> bool:
        holds = getattr(operator, name)(self._value, value_of(other))
        if type(other) is not int or not self._is_int or self._sign < 0 or name in ("eq", "ne"):
            self._pinned()
            if type(other) is Number:
                other._pinned()
            return holds
        least, most = self._recording.ranges.get(self._item, (-LIMIT, LIMIT))
        is_below = (name in ("lt", "le")) == bool(holds)  # whether it is below `other`, or equal to it if `has_equal`
        has_equal = (name in ("le", "ge")) == bool(holds)
        bound = other - self._addend + (0 if has_equal else -1 if is_below else 1)
        limits = (least, min(most, bound)) if is_below else (max(least, bound), most)
        self._recording.ranges[self._item] = limits
        return holds

    def __abs__(self) -> Any:
        return self if self._is_int and self._compare("ge", 0) else abs(self._pinned())

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # such as __array_interface__, for which numpy asks
            raise AttributeError(name)
        return getattr(self._pinned(), name)

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return np.array(self._pinned(), dtype)

    def __pow__(self, *others: Any) -> Any:
        return NotImplemented if isinstance(others[0], Expression) else pow(self._pinned(), *map(pinned, others))

    def __rpow__(self, base: Any) -> Any:
        return NotImplemented if isinstance(base, Expression) else base ** self._pinned()


def value_of(x: Any) -> Any:
    """Return the value of a number, which need not be an item, without noting that it was asked for."""
    return x._value if type(x) is Number else x


def pinned(x: Any) -> Any:
    return x._pinned() if type(x) is Number else x


def is_index(x: Any) -> bool:
    """Return whether x is an int among the items of a call that is being recorded."""
    return type(x) is Number and x._is_int


def _define(names: str, method_of: Callable[[str], Callable], form: str = "__{}__") -> None:
    for name in names.split():
        setattr(Number, form.format(name), method_of(name))


def _binary(name: str) -> Callable:
    function = divmod if name == "divmod" else getattr(operator, f"{name}_" if name in ("and", "or") else name)
    return lambda a, b: NotImplemented if isinstance(b, Expression) else function(pinned(a), pinned(b))


def _reflected(name: str) -> Callable:
    return lambda self, other: _binary(name)(other, self) if not isinstance(other, Expression) else NotImplemented


def _special(name: str) -> Callable:
    function = next(getattr(module, name) for module in (operator, builtins, math) if hasattr(module, name))
    return lambda self, *others: function(self._pinned(), *others)


_BINARY = "mul truediv floordiv mod and or xor lshift rshift divmod"
_define(_BINARY, _binary)
_define(f"{_BINARY} sub", _reflected, "__r{}__")
_define("lt le gt ge eq ne", lambda name: lambda self, other: self._compare(name, other))
_define("index int float bool hash pos invert round trunc floor ceil complex str repr format", _special)


def without_numbers(values: Any) -> Any:
    """Return a list of values without noting that they were asked for; other arguments unchanged."""
    if isinstance(values, (list, tuple)) and any([type(x) is Number for x in values]):
        return [value_of(x) for x in values]
    return value_of(values)
