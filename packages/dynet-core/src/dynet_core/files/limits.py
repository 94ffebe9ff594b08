"""What reading a file may cost: bounds on time and memory that follow from its size."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from typing import Any

ATOMS = frozenset({str, int, float, bool, bytes, type(None), complex})  # nothing is in them
DEEPEST, DEEPEST_KEY = 2000, 500  # the pickle module's own limit is about 1000
MOST_ALIKE = 1000  # keys with the same hash in a container: to find one of them, all may have to be compared
_OWN_HASH = 2**61 - 1  # whole numbers from here on have the hashes of smaller ones


def is_a(value: Any, *kinds: type) -> bool:
    """Whether the class of a value is one of these or derived from one: isinstance would ask the value itself, too."""
    return issubclass(type(value), kinds)


class Limits:
    """Bounds for one value that is made of `size` bytes.

    A pickle says in two bytes that something which it has described stands in another place too. To share it costs
    nothing. What may cost a lot is to copy it, to hash it, and to follow every way to it, as `repr` does.
    """

    def __init__(self, size: int):
        self._copies = 10_000 + 3 * size
        self._steps = 200_000 + 10 * size
        self._states: dict[int, tuple[Any, Any]] = {}  # objects of users' classes and what was put into them
        self._hashes: dict[int, tuple[Any, Counter]] = {}  # containers, and how many of their keys have a hash

    def copy(self, count: int) -> None:
        """Take note that so many items or bytes are copied."""
        self._copies -= count
        if self._copies < 0:
            raise ValueError("it copies the same data again and again")

    def state(self, made: Any, state: Any) -> None:
        """Take note of what is put into an object."""
        self._states[id(made)] = made, state

    def key(self, value: Any, container: Any) -> Any:
        """The value, which a container hashes: tuples and long numbers are hashed anew each time."""
        kind = type(value)
        if kind is str or kind is int and -_OWN_HASH < value < _OWN_HASH or kind is bytes or kind is float:
            return value
        left = [(value, 0)]
        while left:
            item, depth = left.pop()
            self._step(1 + item.bit_length() // 64 if type(item) is int else 1)
            if depth > DEEPEST_KEY:
                raise ValueError("a key is nested too deeply")
            left += [(part, depth + 1) for part in _held(item)]
            if type(item).__hash__ is not object.__hash__ and id(item) in self._states:
                left.append((self._states[id(item)][1], depth + 1))
        _, hashes = self._hashes.setdefault(id(container), (container, Counter()))
        hashes[hash(value)] += 1
        if hashes[hash(value)] > MOST_ALIKE:
            raise ValueError(f"more than {MOST_ALIKE} keys have the same hash")
        return value

    def ways(self, value: Any, without: type) -> None:
        """Refuse a value with too many ways to what it holds, or that holds an object of a class `without`.

        Objects of users' classes end the ways; what they hold is gone through once for each. What was noted of this
        value is forgotten.
        """
        for root in (value, *[state for _, state in self._states.values()]):
            above, left = {0}, [(0, iter([root]))]
            while left:
                place, items = left[-1]
                for item in items:
                    self._step()
                    if type(item) is without:
                        raise ValueError("a function that pickles are made by, as a value")
                    if type(item) not in ATOMS and id(item) not in above:
                        if len(left) > DEEPEST:
                            raise ValueError("it is nested too deeply")
                        above.add(id(item))
                        left.append((id(item), _held(item)))
                        break
                else:
                    above.discard(place)
                    left.pop()
        self._states.clear()
        self._hashes.clear()

    def _step(self, count: int = 1) -> None:
        self._steps -= count
        if self._steps < 0:
            raise ValueError("it is nested too deeply or too often")


def _held(value: Any) -> Iterator:
    """What a container holds; nothing, if it is none."""
    if is_a(value, dict):
        return (part for pair in dict.items(value) for part in pair)
    bases = (list, tuple, set, frozenset, deque)
    return next((base.__iter__(value) for base in bases if is_a(value, base)), iter(()))
