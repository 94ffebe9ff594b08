"""Limits on the time and memory of reading a file, in proportion to its size."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from typing import Any

ATOMS = frozenset({str, int, float, bool, bytes, type(None), complex})  # types that contain nothing
DEEPEST, DEEPEST_KEY = 2000, 500  # levels of nesting; the pickle module's own limit is about 1000
MOST_ALIKE = 1000  # keys with the same hash in a container: a lookup may compare with all of them
_OWN_HASH = 2**61 - 1  # ints from here on have the same hashes as smaller ones


def is_a(value: Any, *kinds: type) -> bool:
    """Return whether the class of a value derives from one of `kinds`, without running code of the value.

    `isinstance` would read `value.__class__`.
    """
    return issubclass(type(value), kinds)


class Limits:
    """Limits for one value that is read from `size` bytes.

    A pickle needs only two bytes to refer to an earlier object again. Sharing the object is cheap. Copying it, hashing
    it, or visiting it by every path, as `repr` does, may be expensive.
    """

    def __init__(self, size: int):
        self._copies = 10_000 + 3 * size
        self._steps = 200_000 + 10 * size
        # Both are keyed by id; the first item of the value keeps the object alive.
        self._states: dict[int, tuple[Any, Any]] = {}  # objects of users' classes, and their states
        self._hashes: dict[int, tuple[Any, Counter]] = {}  # containers, and the counts of their keys' hashes

    def copy(self, count: int) -> None:
        """Count copied items or bytes. Raise ValueError if there are too many."""
        self._copies -= count
        if self._copies < 0:
            raise ValueError("it copies the same data again and again")

    def state(self, made: Any, state: Any) -> None:
        """Note the state of an object."""
        self._states[id(made)] = made, state

    def key(self, value: Any, container: Any) -> Any:
        """Return a value that becomes a key of a container, after checking the cost of its hash.

        Tuples and long ints compute their hash each time.

        Raises:
            ValueError: the value is nested too deeply, or too many keys have the same hash.
        """
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
        """Raise ValueError if there are too many paths through a value, or if it contains an object of class `without`.

        Paths end at objects of users' classes, whose states are checked separately. Then forget all notes.
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
    """Return an iterator over the items of a container; of other values, an empty one."""
    if is_a(value, dict):
        return (part for pair in dict.items(value) for part in pair)
    bases = (list, tuple, set, frozenset, deque)
    return next((base.__iter__(value) for base in bases if is_a(value, base)), iter(()))
