"""The memory of the recorder in Python: the records and input values of a thread's graph, and the keys of random nodes.

A graph consists of records: integers that describe nodes (values to compute). Numbers that the user passes in are in an
input buffer. A random node, such as dropout, has a key among its inputs, which determines the random numbers that it
draws. A graph has a version, which changes when nodes are removed, so that expressions of removed nodes are noticed.
"""

from __future__ import annotations

import array
import bisect
import itertools
import threading
from collections.abc import Sequence
from operator import add, attrgetter, itemgetter
from typing import Any

import numpy as np

_versions = itertools.count(1)
_NO_FLOATS = np.empty(0, np.float32)
THREAD = threading.local()
"""Its attribute `records`, if there is one, is the `Records` object of the thread's graph."""


class Log:
    """A list of items, each a tuple of something and its sizes, with the totals of the sizes of the first items.

    An interrupt at any moment leaves each item whole or absent, because `list.append` cannot be interrupted. The place
    of an item is found only after that, because a signal handler may have appended others just before.

    Args:
        sizes: how many sizes an item has.
        items: the first items.
    """

    __slots__ = ("_totals", "items")

    def __init__(self, sizes: int, items: list[tuple]):
        self.items, self._totals = items, [(0,) * sizes]

    def append(self, item: tuple) -> tuple[int, ...]:
        """Append an item, a new tuple. Return the totals of all items before it."""
        self.items.append(item)
        return self.before(item)

    def before(self, item: tuple) -> tuple[int, ...]:
        """Return the totals of all items before this one, which has just been appended."""
        place = len(self.items) - 1
        while self.items[place] is not item:
            place -= 1
        return self.totals(place)

    def totals(self, count: int) -> tuple[int, ...]:
        """Return the totals of the first `count` items."""
        known = self._totals
        for number in range(len(known), count + 1):
            known[number : number + 1] = [tuple(map(add, known[number - 1], self.items[number - 1][1:]))]
        return known[count]

    def count_up_to(self, size: int) -> int:
        """Return how many of the first items have a total of at most `size`, counting their first sizes only."""
        places = range(1, len(self.items) + 1)
        return bisect.bisect_right(places, size, key=lambda count: self.totals(count)[0])

    def whats(self) -> list:
        """Return of each item the first element."""
        return [*map(itemgetter(0), list(self.items))]


class Contents:
    """What a graph holds as long as it has one version. `renew` and `cut` replace the whole object, in one step.

    So code that is interrupted by `renew_cg` goes on with an old object, which nothing else uses any more.

    Attributes:
        version: the graph's version.
        records: for each record its integers, how many they are, and how many nodes it has.
        pieces: the input values, as float32 arrays, and their sizes. With a random node's key, the array is in a
            `Keyed`: the key is the second number, and the first is not used.
        computed, differentiated, begun, seen: see `Records`.
    """

    __slots__ = ("computed", "differentiated", "pieces", "records", "begun", "seen", "version")

    def __init__(self, records: Sequence[tuple] = (), pieces: Sequence[tuple] = ()):
        self.version = next(_versions)
        self.records, self.pieces = Log(2, [*records]), Log(1, [*pieces])
        self.computed, self.differentiated, self.begun, self.seen = (0, 0), (-1, 0), 0, 0

    def add_piece(self, values: np.ndarray, kind: type = tuple) -> int:
        """Append a float32 array, column by column, to the input values. Return where it starts."""
        values = np.array(values.ravel(order="F"), np.float32)
        return self.pieces.append(kind((values, values.size)))[0]


class Keyed(tuple):
    """An item of `Contents.pieces` that begins with the key of a random node."""


def _kept(name: str, text: str) -> Any:
    """Return a property that reads and sets an attribute of the graph's `Contents`; `text` documents it."""
    attribute = attrgetter(f"_contents.{name}")
    return property(attribute, lambda self, value: setattr(self._contents, name, value), doc=text)


class Records:
    """The records and input values of one thread's graph."""

    __slots__ = ("_buffers", "_changes", "_contents")
    version = _kept("version", "The version of the graph, a number that changes when nodes are removed.")
    computed = _kept("computed", "How many integers of records, and how many input values, have been computed.")
    differentiated = _kept(
        "differentiated", "The node where the last backward pass began, or -1; 1 if it was full, 0, or PARTS."
    )
    begun = _kept("begun", "What `changes` was when the first node of the graph was computed.")
    seen = _kept("seen", "What `changes` was when the newest node was computed.")
    nodes = property(lambda self: self.ends()[1], doc="How many nodes there are.")
    length = property(lambda self: self.ends()[0], doc="How many integers all records have together.")
    inputs_length = property(lambda self: self.ends()[2], doc="How many numbers the input buffer has.")

    def __init__(self):
        self._contents = Contents()
        self._changes = np.zeros(1, np.int64)
        # Buffers that compiled code reads. Smaller ones stay in the lists, because a pass may still use them.
        self._buffers: dict[str, list[np.ndarray]] = {"q": [np.empty(64, np.int64)], "f": [np.empty(64, np.float32)]}

    def is_at(self, version: int, length: int) -> bool:
        """Return whether the graph has this version, and no more integers of its records than these are computed."""
        contents = self._contents
        return contents.version == version and contents.computed[0] <= length

    @property
    def changes(self) -> int:
        """How many times the thread of the graph has changed values of parameters."""
        return int(self._changes[0])

    def note_change(self) -> int:
        """Add 1 to `changes`, and return it."""
        self._changes[0] += 1
        return self.changes

    def changes_address(self) -> int:
        """Return the address of `changes`, an int64. Compiled code counts updates there."""
        return self._changes.ctypes.data

    def note_seen(self, changes: int, first: bool) -> None:
        """Set `seen`, and `begun` if no node has been computed yet."""
        if first:
            self._contents.begun = changes
        self._contents.seen = changes

    def note_computed(self, version: int, ends: tuple[int, int]) -> None:
        """Set `computed`, unless the graph has another version by now: a signal handler may have called `renew_cg`."""
        contents = self._contents
        if contents.version == version:
            contents.computed = ends

    def note_differentiated(self, version: int, place: int, fully: int) -> None:
        """Set `differentiated`, unless the graph has another version by now."""
        contents = self._contents
        if contents.version == version:
            contents.differentiated = place, fully

    def adopt(self, graph: Any) -> None:
        """Let the calling thread append to these records from now on. `graph` is not used here."""
        THREAD.records = self

    def renew(self) -> None:
        """Remove all records and input values, and give the graph a new version."""
        self._contents = Contents()

    def cut(self, version: int, nodes: int, length: int, inputs_length: int) -> int:
        """Remove the newest records and all gradients, and give the graph a new version.

        Args:
            version: the version that the graph should have.
            nodes: how many nodes to keep.
            length: how many integers of the records to keep.
            inputs_length: how many input values to keep.

        Returns:
            The new version. 0 if the graph has another version than `version`; then nothing is removed.
        """
        old = self._contents
        if old.version != version:
            return 0
        records, pieces = old.records, old.pieces
        new = Contents(records.items[: records.count_up_to(length)], pieces.items[: pieces.count_up_to(inputs_length)])
        new.computed = min(old.computed, (length, inputs_length))
        new.begun, new.seen = old.begun, old.seen
        if self._contents is old: self._contents = new  # fmt: skip  # noqa: E701  # no handler can run here
        return new.version if self._contents is new else 0

    end = renew
    """Change the version because the graph's thread has ended. The graph's expressions cannot be used any more."""

    def watch(self) -> None:
        """Do nothing. In the compiled recorder, this method makes Python record all nodes; here Python always does."""

    def ends(self) -> tuple[int, int, int]:
        """Return three counts, taken at the same moment: of the integers in all records, nodes, and input values."""
        contents = self._contents
        while True:  # try again if a signal handler has appended a record in between
            records, pieces = len(contents.records.items), len(contents.pieces.items)
            if records == len(contents.records.items):
                length, nodes = contents.records.totals(records)
                return length, nodes, contents.pieces.totals(pieces)[0]

    def mark_unusual(self) -> None:
        """Do nothing. In the compiled recorder, this makes Python do the next `renew_cg`; here Python always does."""

    def prepare(
        self, generation: int, engine: Any, changes: int, forward: Any, backward: Any, **addresses: int
    ) -> None:
        """Do nothing. In the compiled recorder, this lets compiled code start passes; here Python always starts them.

        A pass is the computation of the values or gradients of a graph.
        """

    def is_prepared(self, generation: int) -> bool:
        """Return True, because here `prepare` has nothing to do and need not be called."""
        return True

    unprepare = watch_values = mark_unusual

    def address(self) -> int:
        """Return the address of the integers of the records, valid until the next record is appended."""
        return self._in_buffer("q", array.array("q", self._integers()))

    def _integers(self) -> list[int]:
        return [*itertools.chain.from_iterable(self._contents.records.whats())]

    def inputs_address(self) -> int:
        """Return the address of the input buffer, valid until the next input value is appended."""
        return self._in_buffer("f", self._all_floats())

    def _all_floats(self) -> np.ndarray:
        return np.concatenate([_NO_FLOATS, *self._contents.pieces.whats()])

    def _in_buffer(self, kind: str, numbers: Any) -> int:
        """Copy numbers to the buffer of this kind, which is replaced by a larger one if it is too small."""
        buffers = self._buffers[kind]
        if buffers[-1].size < len(numbers):
            buffers.append(np.empty(2 * len(numbers), kind))
        buffer = buffers[-1]
        buffer[: len(numbers)] = numbers
        return buffer.ctypes.data

    def integers(self, begin: int = 0, end: int | None = None) -> list[int]:
        """Return a copy of the records' integers `begin` to `end` - 1. If `end` is None, copy all from `begin` on."""
        return self._integers()[begin:end]

    def rewrite(self, version: int, start: int, numbers: Sequence[int]) -> bool:
        """Overwrite integers of a record from integer `start` on, if this record has not been computed.

        Args:
            version: the version that the graph should have.
            start: the index of the first of these integers among those of all records.
            numbers: the new integers.

        Returns:
            Whether they are written. They are not if the graph has another version, or if the record has been computed.
        """
        contents = self._contents
        if contents.version != version:
            return False
        records = contents.records
        place, items = records.count_up_to(start), records.items
        (integers, *sizes), first = items[place], start - records.totals(place)[0]
        new = ((*integers[:first], *numbers, *integers[first + len(numbers) :]), *sizes)
        if self._contents is contents and contents.computed[0] <= start: items[place] = new  # fmt: skip  # noqa: E701  # no handler can run here
        return items[place] is new

    def floats(self, start: int, count: int) -> np.ndarray:
        """Return a copy of `count` input values from `start` on."""
        return self._all_floats()[start : start + count]

    def keys(self, begin: int) -> list[int]:
        """Return the offsets of random nodes' keys in the input buffer, newest first. Omit those below `begin`."""
        pieces = self._contents.pieces
        keyed = [number for number, piece in enumerate(list(pieces.items)) if isinstance(piece, Keyed)]
        places = [pieces.totals(number)[0] + 1 for number in reversed(keyed)]
        return [place for place in places if place >= begin]

    def renew_keys(self) -> None:
        """Draw new keys for all random nodes, so that they draw other random numbers when they are computed again."""
        for place in self.keys(0):
            number, piece = self._piece_with(place, new_key())
            self._contents.pieces.items[number] = piece

    def write(self, version: int, start: int, values: np.ndarray) -> bool:
        """Overwrite the input values from offset `start` on with a float32 array, column by column.

        The values that are overwritten were appended by one call of `take` or `take_keyed`.

        Args:
            version: the version that the graph should have.

        Returns:
            Whether they are written. They are not if the graph has another version, or if a pass has used them.
        """
        contents = self._contents
        if not values.size:
            return contents.version == version
        number, piece = self._piece_with(start, values)
        fits, items, written = contents.version == version, contents.pieces.items, False
        if fits and self._contents is contents and contents.computed[1] <= start: items[number] = piece; written = True  # fmt: skip  # noqa: E501, E701, E702  # no handler can run here
        return written

    def _piece_with(self, start: int, values: np.ndarray) -> tuple[int, tuple]:
        """Return the number of the piece with the input values from offset `start` on, and this piece with new ones."""
        pieces = self._contents.pieces
        number = pieces.count_up_to(start)
        item, first = pieces.items[number], pieces.totals(number)[0]
        changed = item[0].copy()
        changed[start - first : start - first + values.size] = values.ravel(order="F")
        return number, type(item)((changed, changed.size))

    def take(self, values: np.ndarray) -> int:
        """Append a float32 array, column by column, to the input buffer. Return its offset there."""
        return self._contents.add_piece(values)


_noise = 0, itertools.count()


def new_key() -> np.ndarray:
    seed, counter = _noise
    return np.array([seed, next(counter) & 0xFFFFFFFF], np.uint32).view(np.float32)


def noise() -> tuple[int, int]:
    """Return the seed from which the keys of random nodes are made, and how many keys have been drawn from it."""
    seed, counter = _noise
    # The text of the counter is `count(5)`. To call `next` would draw a key, and a signal handler might draw another
    # one before the count is set back.
    return seed, int(repr(counter)[len("count(") : -1])


def set_noise(seed: int, drawn: int) -> None:
    """Set the seed from which the keys of random nodes are made. Go on as if `drawn` keys had been drawn from it."""
    global _noise
    _noise = seed, itertools.count(drawn)


def draw() -> int:
    """Draw a key that no node uses, and return its number: how many keys were drawn before it."""
    return next(_noise[1])
