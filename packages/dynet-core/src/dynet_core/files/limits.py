"""Limits on the time and memory for reading a pickle, which grow with its size.

Without limits, a small malicious file could keep the reader busy forever, or use up all memory.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from types import MappingProxyType
from typing import Any

ATOM_TYPES = frozenset({str, int, float, bool, bytes, type(None), complex})  # their values contain no other objects
# The most levels of nesting of a value, and of a key in it. Python itself can pickle about 1000 levels.
MOST_LEVELS, MOST_KEY_LEVELS = 2000, 500
MOST_COLLISIONS = 1000  # the most keys of a container with one hash, because finding a key may compare all of them
_HASH_MODULUS = 2**61 - 1  # ints below this are their own hashes; an attacker can choose larger ones with equal hashes


def is_a(value: Any, *kinds: type) -> bool:
    """Like `isinstance`, but without reading `value.__class__`, which may be a property and run code of the class."""
    return issubclass(type(value), kinds)


def type_attr(cls: type, attribute: str) -> Any:
    """Return `cls.__name__`, `cls.__mro__` or the like without running code; "" if it is no str, tuple or namespace."""
    value = vars(type)[attribute].__get__(cls)
    return value if type(value) in (str, tuple, MappingProxyType) else ""


class Limits:
    """Counts the work of making the values in a file of `size` bytes. Too much work raises ValueError.

    A pickle needs only two bytes to refer to an object again. If each reference makes Python copy or hash the object,
    or visit it once more, as `repr` does, a small file causes much work.
    """

    def __init__(self, size: int):
        self._copies_left = 10_000 + 3 * size  # how many more items or bytes may be copied
        self._steps_left = 200_000 + 10 * size  # how many more objects may be hashed or visited
        # `id` of an object -> (object, what is known of it). The tuple keeps the object alive, so the id stays unique.
        self._states: dict[int, tuple[Any, list]] = {}  # for objects of users' classes: the values of attributes
        self._hashes: dict[int, tuple[Any, Counter]] = {}  # for containers: hash -> number of keys
        # `id` of a class whose objects must not be hashed or compared -> function that notes the refusal of such a key.
        self.refused_key_classes: dict[int, Callable[[], Any]] = {}

    def count_copies(self, count: int) -> None:
        """Count items or bytes that are copied. Raise ValueError if there are too many in all."""
        self._copies_left -= count
        if self._copies_left < 0:
            raise ValueError("it copies the same data again and again")

    def note_state(self, target: Any, values: list) -> None:
        """Remember the values of an object's attributes, which hashing the object visits. The list must not change."""
        self.count_copies(len(values))
        self._states[id(target)] = target, values

    def checked_key(self, value: Any, container: Any) -> Any:
        """Return `value`, a new key or element of a container. Raise ValueError if hashing it costs too much."""
        cls = type(value)
        if cls is str or cls is int and -_HASH_MODULUS < value < _HASH_MODULUS or cls is bytes or cls is float:
            return value
        self.check_hash_cost(value)  # for each use: tuples and large ints do not cache their hashes
        _, hashes = self._hashes.setdefault(id(container), (container, Counter()))
        hashes[hash(value)] += 1
        if hashes[hash(value)] > MOST_COLLISIONS:
            raise ValueError(f"more than {MOST_COLLISIONS} keys have the same hash")
        return value

    def check_hash_cost(self, value: Any) -> None:
        """Raise ValueError if hashing or comparing `value` may run forbidden code, or visits too many items."""
        to_visit = [(value, 0)]
        while to_visit:
            item, depth = to_visit.pop()
            self._count_steps(1 + item.bit_length() // 64 if type(item) is int else 1)  # a step for 64 bits of an int
            if depth > MOST_KEY_LEVELS:
                raise ValueError("a key is nested too deeply")
            if (note_refusal := self.refused_key_classes.get(id(type(item)))) is not None:
                note_refusal()
                raise ValueError("a key whose class defines __hash__")
            to_visit += [(inner_item, depth + 1) for inner_item in _items(item)]
            if type(item).__hash__ is not object.__hash__ and id(item) in self._states:
                to_visit.append((self._states[id(item)][1], depth + 1))

    def check_paths(self, values: Iterable[Any], refused_type: type, refuse: Callable[[Any], None]) -> None:
        """Raise ValueError if `values` have too many or too long paths. Call `refuse` for items of `refused_type`.

        A path leads from a value through nested containers to one item. Functions such as `repr` follow all paths, so a
        shared container counts once for each path. The attributes that `note_state` has remembered are also
        checked. At the end, forget these attributes and the counts of hashes: the next pickle has other objects.
        """
        for root in (*values, *[attributes for _, attributes in self._states.values()]):
            open_ids, open_containers = {0}, [(0, iter([root]))]  # no object has the id 0
            while open_containers:
                container, items = open_containers[-1]
                for item in items:
                    self._count_steps()
                    if type(item) is refused_type:
                        refuse(item)
                    if type(item) not in ATOM_TYPES and id(item) not in open_ids:
                        if len(open_containers) > MOST_LEVELS:
                            raise ValueError("it is nested too deeply")
                        open_ids.add(id(item))
                        open_containers.append((id(item), _items(item)))
                        break
                else:
                    open_ids.discard(container)
                    open_containers.pop()
        self._states.clear()
        self._hashes.clear()

    def _count_steps(self, count: int = 1) -> None:
        self._steps_left -= count
        if self._steps_left < 0:
            raise ValueError("it is nested too deeply or too often")


def class_ids(value: Any) -> set[int]:
    """Return the ids of the classes of a value and of all items in it."""
    return {id(type(value))}.union(*map(class_ids, _items(value)))


def _items(value: Any) -> Iterator:
    """Yield the items of a container; for a dict, its keys and values."""
    if is_a(value, dict):
        return (item for pair in dict.items(value) for item in pair)
    bases = (list, tuple, set, frozenset, deque)
    return next((base.__iter__(value) for base in bases if is_a(value, base)), iter(()))
