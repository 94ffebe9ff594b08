"""Objects that hold a number or a list of numbers, which programs for DyNet read by `get` and change by `set`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from ..checks import checked_index, checked_list, plain_number
from ..errors import OutOfRangeError

LARGEST = 2**32 - 1
T = TypeVar("T")


def _unsigned(who: str, value) -> int:
    number = checked_index(who, value)
    if not 0 <= number <= LARGEST:
        raise OutOfRangeError(f"{who}: expected a number in 0..{LARGEST}, got {number}")
    return number


def _list(who: str, values: Iterable[Any], checked: Callable[[str, Any], T]) -> list[T]:
    return [checked(who, value) for value in checked_list(who, values, "numbers")]


class FloatValue:
    """A float that can be changed by `set`.

    >>> x = FloatValue(2.5)
    >>> x.set(3)
    >>> x.get()
    3.0
    """

    def __init__(self, val: float = 0.0):
        self.set(val)

    def set(self, val: float) -> None:
        """Replace the number by `val`."""
        self._value = plain_number("FloatValue: val", val)

    def get(self) -> float:
        """Return the number."""
        return self._value


class UnsignedValue:
    """A whole number from 0 to 2^32 - 1 that can be changed by `set`.

    >>> UnsignedValue(2).get()
    2
    """

    def __init__(self, val: int = 0):
        self.set(val)

    def set(self, val: int) -> None:
        """Replace the number by `val`."""
        self._value = _unsigned("UnsignedValue", val)

    def get(self) -> int:
        """Return the number."""
        return self._value


class FloatVectorValue:
    """A list of floats that can be changed by `set`.

    >>> x = FloatVectorValue([1, 2])
    >>> x.get(), x.size()
    ([1.0, 2.0], 2)
    """

    def __init__(self, vals: Iterable[float]):
        self.set(vals)

    def set(self, newval: Iterable[float]) -> None:
        """Replace the list by `newval`, which may have a different length."""
        self._values = _list("FloatVectorValue", newval, plain_number)

    def get(self) -> list[float]:
        """Return a copy of the list."""
        return list(self._values)

    def size(self) -> int:
        """Return the length of the list."""
        return len(self._values)


class UnsignedVectorValue:
    """A list of whole numbers from 0 to 2^32 - 1 that can be changed by `set`.

    >>> UnsignedVectorValue([1, 2]).get()
    [1, 2]
    """

    def __init__(self, vals: Iterable[int]):
        self.set(vals)

    def set(self, newval: Iterable[int]) -> None:
        """Replace the list by `newval`, which may have a different length."""
        self._values = _list("UnsignedVectorValue", newval, _unsigned)

    def get(self) -> list[int]:
        """Return a copy of the list."""
        return list(self._values)

    def size(self) -> int:
        """Return the length of the list."""
        return len(self._values)
