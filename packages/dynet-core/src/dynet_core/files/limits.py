"""Limits on the time and memory for reading a pickle. The larger the pickle, the more is allowed.

Without them, a small file made by an attacker could keep the reader busy without end, or fill the memory.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

ATOMS = frozenset({str, int, float, bool, bytes, type(None), complex})  # types whose values contain no other objects
# The most levels of nesting that a value may have, and that a key may have. Python can pickle about 1000 levels.
DEEPEST, DEEPEST_KEY = 2000, 500
MOST_ALIKE = 1000  # the most keys of one container with the same hash: finding a key may compare it with all of these
_OWN_HASH = 2**61 - 1  # ints below this are their own hashes; an attacker can choose larger ones with equal hashes


def is_a(value: Any, *kinds: type) -> bool:
    """Return whether the class of a value derives from one of `kinds`, without running code of this class.

    `isinstance` may run such code: it reads `value.__class__`, which a class can define as a property.
    """
    return issubclass(type(value), kinds)


class Limits:
    """Counts the work of making the values in a file of `size` bytes, and raises ValueError if it is too much.

    A pickle needs only two bytes to refer to an earlier object again. As long as the object is only shared, this costs
    little. But copying it each time, hashing it, or visiting it by every path, as `repr` does, may be expensive.
    """

    def __init__(self, size: int):
        self._copies = 10_000 + 3 * size  # how many more items or bytes may be copied
        self._steps = 200_000 + 10 * size  # how many more objects may be hashed or visited
        # The keys of both dicts are ids of objects. Each value begins with the object itself: this keeps it alive, so
        # that no other object gets the same id.
        self._states: dict[int, tuple[Any, list]] = {}  # an object of a user's class, and the values of its attributes
        self._hashes: dict[int, tuple[Any, Counter]] = {}  # a container, and how many of its keys have each hash
        # The `id` of a class whose objects must not be hashed or compared -> what is called where one would be.
        self.no_keys: dict[int, Callable[[], Any]] = {}

    def copy(self, count: int) -> None:
        """Add `count` to the number of items or bytes that have been copied.

        Raises:
            ValueError: more has been copied than is allowed for a file of this size.
        """
        self._copies -= count
        if self._copies < 0:
            raise ValueError("it copies the same data again and again")

    def state(self, made: Any, values: list) -> None:
        """Remember that the attributes of the object `made` have these values. The list must not change afterwards.

        Computing the object's hash may visit its attributes, so `key` counts them, too.
        """
        self.copy(len(values))
        self._states[id(made)] = made, values

    def key(self, value: Any, container: Any) -> Any:
        """Check the cost of hashing a value that will become a key of a container, and return the value.

        Tuples and large ints do not store their hash, so it is computed again whenever they become a key.

        Args:
            value: the key of a dict, or the element of a set.
            container: the dict or set.

        Raises:
            ValueError: the value is nested too deeply, too many keys have the same hash, or hashing has taken too many
                steps.
        """
        kind = type(value)
        if kind is str or kind is int and -_OWN_HASH < value < _OWN_HASH or kind is bytes or kind is float:
            return value
        self.visit(value)
        _, hashes = self._hashes.setdefault(id(container), (container, Counter()))
        hashes[hash(value)] += 1
        if hashes[hash(value)] > MOST_ALIKE:
            raise ValueError(f"more than {MOST_ALIKE} keys have the same hash")
        return value

    def visit(self, value: Any) -> None:
        """Check all that is hashed or compared if a value is."""
        left = [(value, 0)]
        while left:
            item, depth = left.pop()
            self._step(1 + item.bit_length() // 64 if type(item) is int else 1)
            if depth > DEEPEST_KEY:
                raise ValueError("a key is nested too deeply")
            if id(type(item)) in self.no_keys:
                self.no_keys[id(type(item))]()
                raise ValueError("a key whose class has a __hash__ of its own")
            left += [(part, depth + 1) for part in _held(item)]
            if type(item).__hash__ is not object.__hash__ and id(item) in self._states:
                left.append((self._states[id(item)][1], depth + 1))

    def check_paths(self, values: Iterable[Any], without: type, refuse: Callable[[Any], None]) -> None:
        """Check values that have been read. Raise ValueError if one has too many paths, or paths that are too long.

        A path leads from a value through nested containers to one item. Functions such as `repr` follow all paths,
        so a shared container counts once for each path to it. The attributes that the pickle gives to objects, which
        the method `state` has collected, are checked in the same way. Afterwards they are forgotten, and so are the
        counts of hashes, so that the next pickle starts afresh.

        Args:
            values: the value of one pickle, and others that have been made for it.
            without: a class of which the values may contain no objects.
            refuse: is called with such an object.
        """
        for root in (*values, *[state for _, state in self._states.values()]):
            above, left = {0}, [(0, iter([root]))]
            while left:
                place, items = left[-1]
                for item in items:
                    self._step()
                    if type(item) is without:
                        refuse(item)
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


def kinds(value: Any) -> set[int]:
    """Return the ids of the classes of a value and of all items in it."""
    return {id(type(value))}.union(*map(kinds, _held(value)))


def _held(value: Any) -> Iterator:
    """Return an iterator over the items of a container, for a dict its keys and values. Other values have no items."""
    if is_a(value, dict):
        return (part for pair in dict.items(value) for part in pair)
    bases = (list, tuple, set, frozenset, deque)
    return next((base.__iter__(value) for base in bases if is_a(value, base)), iter(()))
