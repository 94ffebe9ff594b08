"""The compiled recorder's memory of a thread's graph, and the functions that append to it.

A graph consists of records: integers that describe nodes (values to compute). Numbers that the user passes in are in an
input buffer. A random node, such as dropout, has a key among its inputs, which determines the random numbers that it
draws. A graph has a version, which changes when nodes are removed, so that expressions of removed nodes are noticed.
All of this is in memory made of 64-bit words, which have names for Python (`NamedWords`) and addresses for compiled
code.

`commit`, `sequence`, `replay`, `key`, `take`, `take_keyed` and `handle` are compiled functions; the module
`python_recorder` says what they and `commit_with_inputs` do. Each has a slow function here, in Python, which it calls
where it cannot do its work.
"""

from __future__ import annotations

import array
import ctypes
import sys
from collections.abc import Sequence
from ctypes import c_int32, c_int64, c_void_p, py_object
from typing import Any

import numpy as np

from dynet_kernels.layout import INT_ARGUMENT
from dynet_kernels.recorder import words
from dynet_kernels.recorder.words import NO_NODE, WATCHED

from .functions import function
from .shared import THREAD_GRAPH, NamedWords, adjacent, api, native

_overwrite = native("overwrite", 6)
_renew, _cut, _take_inputs = native("renew", 1), native("cut", 5), native("take_inputs", 3)
_renew_keys, draw = native("dynet_renew_keys", 1), native("draw", 0)


def _nothing(*arguments) -> None:
    """Return None, as the result of `commit`, `sequence`, `replay` and `key` if they cannot do their work."""


def _refuse_handle(at, dim) -> None:
    raise IndexError(f"this thread's graph has no node {at}")


def _take_slowly(numbers: Sequence[float]) -> int:
    return _take_array(api.PyThread_tss_get(THREAD_GRAPH), np.array(numbers, np.float32))


def _take_keyed_slowly(numbers: Sequence[float]) -> int:
    return take_keyed(tuple(np.array(numbers, np.float32).tolist()))


def _take_array(graph: int, values: np.ndarray) -> int:
    """Append an array, as float32 and column by column, to the input buffer of a graph.

    Args:
        graph: the address of the graph's memory.

    Returns:
        The offset in the input buffer at which the array starts.
    """
    values = np.asfortranarray(values, np.float32)
    return _take_inputs(graph, values.ctypes.data, values.size)


commit, sequence, replay, key = (function(kind, _nothing) for kind in ("commit", "sequence", "replay", "key"))
take = function("take", _take_slowly)
take_keyed = function("take_keyed", _take_keyed_slowly)
handle = function("handle", _refuse_handle)

_free_words: list[NamedWords] = []  # the memory of graphs whose threads have ended, to be used again
_no_words = NamedWords(words.GRAPH)  # what a `Records` object has after `end`, in place of its graph's words


_VERSION, _CHANGES, _PREPARED = words.GRAPH.version, words.GRAPH.changes, words.GRAPH.prepared
_DONE, _INPUTS_DONE = words.GRAPH.done, words.GRAPH.inputs_done
_ENDS, _COMPUTED = adjacent(words.GRAPH, "length", "inputs_length"), adjacent(words.GRAPH, "done", "inputs_done")
_DIFFERENTIATED = adjacent(words.GRAPH, "differentiated", "differentiated_fully")
_no_words["version"] = _no_words["open"] = NO_NODE


def _ended(address: int, get=api.PyThread_tss_get, set=api.PyThread_tss_set, key=THREAD_GRAPH, renew=_renew) -> bool:
    """Remove all nodes of the graph whose memory is at `address`, because its thread has ended.

    Returns:
        Whether the memory can be used again. It can if this function runs in the thread that is ending, because then it
        makes this thread forget the address. It cannot do this from another thread.
    """
    renew(address)
    if get(key) != address:
        return False
    set(key, None)
    return True


def _release(words: NamedWords, let_go=api.Py_DecRef, Address=c_void_p) -> None:
    """Release the reference to a `Graph` object that `Records.adopt` has made.

    Args:
        words: the memory of this graph; it has the object's address.
    """
    graph, words["object"] = words["object"], 0
    if graph:
        let_go(Address(graph))


def commit_with_inputs(records: Records, start: int, *record: Any) -> Any:
    """Append a record that refers to input values, if no pass has been over these. See the module `python_recorder`."""
    view = records._view
    return view[_INPUTS_DONE] <= start and commit(*record)  # no handler can run between the two


def _word(name: str, text: str) -> Any:
    """Return a property that reads a word of the graph; `text` documents it."""
    place = words.GRAPH[name]
    return property(lambda self: self._view[place], doc=text)


def _pair(places: slice, text: str) -> Any:
    """Return a property that reads and sets two words; `text` documents it."""

    def write(self, pair: tuple[int, int]) -> None:
        self._view[places] = array.array("q", pair)

    return property(lambda self: tuple(self._view[places].tolist()), write, doc=text)


class Records:
    """The records and input values of one thread's graph, how many there are, and how many have been computed.

    They are in memory that compiled code reads and writes. Compiled code has fast paths that record and compute nodes
    without Python. Some methods here switch a fast path off: then compiled code calls Python functions instead.
    """

    __slots__ = ("_view", "_words")
    version: int = _word("version", "The version of the graph, a number that changes when nodes are removed.")
    nodes: int = _word("nodes", "How many nodes there are.")
    length: int = _word("length", "How many integers all records have together.")
    inputs_length: int = _word("inputs_length", "How many numbers the input buffer has.")
    changes: int = _word("changes", "How many times the thread has changed values of parameters, in any way.")
    begun: int = _word("begun", "What `changes` was when the first node of the graph was computed.")
    seen: int = _word("seen", "`changes` when the newest node was computed. If it differs, Python computes more.")

    computed: tuple[int, int] = _pair(_COMPUTED, "How many integers of records and input values have been computed.")
    # The second number is 1 if the pass computed the gradients of all nodes that this node depends on, and 0 if it
    # computed only those of nodes that depend on a parameter. `Graph` also sets PARTS.
    differentiated: tuple[int, int] = _pair(_DIFFERENTIATED, "Where the last backward pass began, or -1; a number.")

    def __init__(self):
        self._words = _free_words.pop() if _free_words else NamedWords(words.GRAPH)
        self._view = self._words.view
        for place in range(words.MOST_ARGUMENTS):
            self._words[f"argument_{2 * place}"] = INT_ARGUMENT
        self.unprepare()
        self.renew()

    def adopt(self, graph: Any) -> None:
        """Let the calling thread append to these records from now on. `graph` is the `Graph` that they belong to."""
        ctypes.pythonapi.Py_IncRef(py_object(graph))  # `end` releases this reference, except when Python shuts down
        self._words["object"] = id(graph)
        api.PyThread_tss_set(THREAD_GRAPH, self._words.address)

    def renew(self) -> None:
        """Remove all records and input values, and give the graph a new version."""
        _renew(self._words.address)

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
        return _cut(self._words.address, version, nodes, length, inputs_length)

    # All that this method uses is in default arguments, which keeps it alive: when Python shuts down, it may clear the
    # names in modules before it runs finalizers.
    def end(
        self,
        finalizing: Any = sys.is_finalizing,
        ended: Any = _ended,
        nobody: Any = _no_words,
        unused: Any = _free_words,
        release: Any = _release,
    ) -> None:
        """Remove all records because their thread has ended. The thread's expressions cannot be used any more."""
        if not finalizing() and self._words is not nobody:
            mine, self._words, self._view = self._words, nobody, nobody.view
            release(mine)
            if ended(mine.address):
                unused.append(mine)

    def watch(self) -> None:
        """Let Python functions record all nodes until `renew`, so that Python can compute each at once."""
        self._words["open"] = WATCHED

    def ends(self) -> tuple[int, int, int]:
        """Return three counts, taken at the same moment: of the integers in all records, nodes, and input values."""
        return tuple(self._view[_ENDS].tolist())

    def is_at(self, version: int, length: int) -> bool:
        """Return whether the graph has this version, and no more integers of its records than these are computed."""
        view = self._view
        return view[_VERSION] == version and view[_DONE] <= length

    def note_change(self) -> int:
        """Add 1 to `changes`, and return it."""
        view = self._view
        view[_CHANGES] += 1
        return view[_CHANGES]

    def changes_address(self) -> int:
        """Return the address of `changes`, an int64. Compiled code counts updates there."""
        return self._words.address + 8 * _CHANGES

    def note_seen(self, changes: int, first: bool) -> None:
        """Set `seen`, and `begun` if no node has been computed yet."""
        if first:
            self._words["begun"] = changes
        self._words["seen"] = changes

    def note_computed(self, version: int, ends: tuple[int, int]) -> None:
        """Set `computed`, unless the graph has another version by now: a signal handler may have called `renew_cg`."""
        view, numbers = self._view, array.array("q", ends)
        if view[_VERSION] == version: view[_COMPUTED] = numbers  # fmt: skip  # noqa: E701  # no handler can run here
        if view[_VERSION] == version and ends[0]:
            self._words["planned"] = ends[0]

    def note_differentiated(self, version: int, place: int, fully: int) -> None:
        """Set `differentiated`, unless the graph has another version by now."""
        view, numbers = self._view, array.array("q", (place, fully))
        if view[_VERSION] == version: view[_DIFFERENTIATED] = numbers  # fmt: skip  # noqa: E701

    def watch_values(self) -> None:
        """Leave the next `renew_cg`, and every removal of values that are to be computed again, to Python functions.

        These functions also update the graph's `Watch` (see the module `watch`), which compiled code does not know. A
        graph has one if it has checkpoints, checks its values for infinities and NaN, or computes each node when it is
        recorded.
        """
        self._words["unusual"] = self._words["watched"] = 1

    def mark_unusual(self) -> None:
        """Let a Python function do the next `renew_cg`, because more is to be cleaned up than the records."""
        self._words["unusual"] = 1

    def prepare(
        self, generation: int, engine: Any, changes: int, forward: Any, backward: Any, **addresses: int
    ) -> None:
        """Let compiled code start computations of values and gradients without Python.

        It may do so until a signature is added, or the memory or state of a parameter changes.

        Args:
            generation: what the function `generation` returned when `addresses` were read. When it returns another
                number, the addresses are out of date, and compiled code does not use them.
            engine, changes: the engine with these addresses, and its `changes` when they were read. If buffers of the
                engine have been replaced since, by a signal handler, the addresses are not used either.
            forward: the compiled function that computes values.
            backward: the compiled function that computes gradients.
            addresses: the addresses and sizes that these two functions need, by name.
        """
        for name, address in addresses.items():
            self._words[name] = address
        self._words["forward"], self._words["backward"] = forward.__chandle__(), backward.__chandle__()
        self._view[_PREPARED] = generation if engine.changes == changes else -1

    def is_prepared(self, generation: int) -> bool:
        """Return whether `prepare` has been called with this `generation`, and `unprepare` not since then."""
        return self._words["prepared"] == generation

    def unprepare(self) -> None:
        """Let Python functions start all computations of values and gradients until `prepare` is called again."""
        self._words["prepared"] = -1

    def address(self) -> int:
        """Return the address of the integers of the records, valid until the next record is appended."""
        return self._words["records"]

    def inputs_address(self) -> int:
        """Return the address of the input buffer, valid until the next input value is appended."""
        return self._words["inputs"]

    def integers(self, begin: int = 0, end: int | None = None) -> list[int]:
        """Return a copy of the records' integers `begin` to `end` - 1. If `end` is None, copy all from `begin` on."""
        count = (self.length if end is None else end) - begin
        return (c_int64 * count).from_address(self.address() + 8 * begin)[:] if count else []

    def rewrite(self, version: int, start: int, numbers: Sequence[int]) -> bool:
        """Overwrite integers of a record from integer `start` on, if this record has not been computed.

        Args:
            version: the version that the graph should have.
            start: the index of the first of these integers among those of all records.
            numbers: the new integers.

        Returns:
            Whether they are written. They are not if the graph has another version, or if the record has been computed.
        """
        memory = (c_int64 * len(numbers))(*numbers)
        return bool(_overwrite(self._words.address, version, 0, start, ctypes.addressof(memory), len(numbers)))

    def floats(self, start: int, count: int) -> np.ndarray:
        """Return a view of `count` input values from `start` on, valid until the next one is appended."""
        if not count:
            return np.zeros(0, np.float32)
        memory = (ctypes.c_float * count).from_address(self.inputs_address() + 4 * start)
        return np.frombuffer(memory, np.float32)  # type: ignore[call-overload]

    def keys(self, begin: int) -> list[int]:
        """Return the offsets of random nodes' keys in the input buffer, newest first. Omit those below `begin`."""
        places, key = [], self._words["newest_key"]
        while key > begin:
            places.append(key - 1)
            key = c_int32.from_address(self.inputs_address() + 4 * (key - 2)).value
        return places

    def renew_keys(self) -> None:
        """Draw new keys for all random nodes, so that they draw other random numbers when they are computed again."""
        _renew_keys(self._words.address)

    def write(self, version: int, start: int, values: np.ndarray) -> bool:
        """Overwrite the input values from offset `start` on with a float32 array, column by column.

        Args:
            version: the version that the graph should have.

        Returns:
            Whether they are written. They are not if the graph has another version, or if a pass has used them.
        """
        values = values.ravel(order="F")
        return bool(_overwrite(self._words.address, version, 1, start, values.ctypes.data, values.size))

    def take(self, values: np.ndarray) -> int:
        """Append an array, as float32 and column by column, to the input buffer. Return its offset there."""
        return _take_array(self._words.address, values)
