"""`GraphRecords`: the records and input values of a thread's graph, as Python reads them. Both recorders use it."""

from __future__ import annotations

import ctypes
from array import array
from collections.abc import Callable, Sequence
from ctypes import c_int32, c_int64
from typing import Any

import numpy as np

from dynet_kernels.recorder.words import GRAPH, WATCHED

from .named_words import NamedWords, word_slice

# Indices of words.
VERSION, DONE, INPUTS_DONE = GRAPH.version, GRAPH.done, GRAPH.inputs_done
LENGTH, INPUTS_LENGTH = GRAPH.length, GRAPH.inputs_length
CHANGES, PREPARED = GRAPH.changes, GRAPH.prepared
ENDS, COMPUTED = word_slice(GRAPH, "length", "inputs_length"), word_slice(GRAPH, "done", "inputs_done")  # slices
DIFFERENTIATED = word_slice(GRAPH, "differentiated", "differentiated_fully")  # a slice: loss and mode


def _word(name: str, text: str) -> Any:
    index = GRAPH[name]
    return property(lambda self: self._view[index], doc=text)


def _word_pair(span: slice, text: str) -> Any:
    def write(self, pair: tuple[int, int]) -> None:
        self._view[span] = array("q", pair)

    return property(lambda self: tuple(self._view[span].tolist()), write, doc=text)


class GraphRecords:
    """The records and input values of one thread's graph, how many there are, and how many have been computed.

    Compiled code reads and writes the same memory. Some methods switch off fast paths; compiled code then leaves the
    work to Python functions. Each recorder's class `Records` adds the methods that append and remove records.
    """

    __slots__ = ("_view", "_words")
    _overwrite: Callable[..., bool]
    version: int = _word("version", "The version of the graph, a number that changes when nodes are removed.")
    nodes: int = _word("nodes", "The number of nodes.")
    length: int = _word("length", "The number of integers in all records.")
    inputs_length: int = _word("inputs_length", "The number of values in the input buffer.")
    address: int = _word("records", "The address of the records' integers, valid until the next record is appended.")
    inputs_address: int = _word("inputs", "The address of the input buffer, valid until the next value is appended.")
    changes: int = _word("changes", "How often this thread has changed the values of parameters.")
    begun: int = _word("begun", "The value of `changes` when the first node of the graph was computed.")
    seen: int = _word("seen", "The value of `changes` when the newest node was computed.")

    computed: tuple[int, int] = _word_pair(COMPUTED, "How many record integers and input values have been computed.")
    # The mode is 1 if the pass computed the gradients of all nodes that the loss depends on, 0 if it computed only
    # gradients of nodes that depend on a parameter, and REPEATED_MODE (see `graph`) after `repeat_backward`.
    differentiated: tuple[int, int] = _word_pair(DIFFERENTIATED, "The loss of the last backward pass, or -1; its mode.")

    def __init__(self, memory: NamedWords):
        self._words, self._view = memory, memory.view
        self.unprepare()

    def watch_records(self) -> None:
        """Let Python functions record all nodes until `renew`, so that Python can compute each node immediately."""
        self._words["open"] = WATCHED

    def unwatch_records(self) -> None:
        """Undo `watch_records`, which was called while the graph had no `Watch`."""
        self._words["open"] = self.version

    def words(self) -> memoryview:
        """Return the words of the graph; see `dynet_kernels.recorder.words.GRAPH`."""
        return self._view

    def ends(self) -> tuple[int, int, int]:
        """Return the counts of record integers, of nodes and of input values, all read in one step."""
        return tuple(self._view[ENDS].tolist())

    def is_at(self, version: int, length: int) -> bool:
        """Return whether the graph has this version, and at most the first `length` record integers are computed."""
        view = self._view
        return view[VERSION] == version and view[DONE] <= length

    def note_change(self) -> int:
        self._view[CHANGES] += 1
        return self.changes

    def changes_address(self) -> int:
        """Return the address of `changes`, an int64. Compiled code counts updates there."""
        return self._words.address + 8 * CHANGES

    def note_seen(self, change_count: int, is_first: bool) -> None:
        """Set `seen` to `change_count`; if the graph's first node will now be computed, also set `begun` to it."""
        if is_first:
            self._words["begun"] = change_count
        self._words["seen"] = change_count

    def note_computed(self, version: int, counts: tuple[int, int]) -> None:
        """Set `computed` to `counts`, unless the version has changed: a signal handler may have called `renew_cg`."""
        view, pair = self._view, array("q", counts)
        if view[VERSION] == version: view[COMPUTED] = pair  # fmt: skip  # noqa: E701  # no handler can run in this line
        if view[VERSION] == version and counts[0]:
            self._words["planned"] = counts[0]

    def note_differentiated(self, version: int, loss: int, mode: int) -> None:
        """Set `differentiated`, unless the version has changed. `mode` says which gradients the pass computed."""
        view, pair = self._view, array("q", (loss, mode))
        if view[VERSION] == version: view[DIFFERENTIATED] = pair  # fmt: skip  # noqa: E701

    def watch_values(self) -> None:
        """Let Python functions renew the graph and discard its values, because they must update the graph's `Watch`."""
        self._words["unusual"] = self._words["has_watch"] = 1

    def mark_unusual(self) -> None:
        """Let a Python function do the next `renew_cg`, because it must do more than remove the records."""
        self._words["unusual"] = 1

    def prepare(self, generation: int, engine: Any, changes: int, functions: dict[str, Any], **addresses: int) -> None:
        """Let compiled code start passes without Python, until a signature or a parameter changes.

        Args:
            generation: the result of `generation()` when `addresses` were read. Once the result has changed, compiled
                code no longer uses the addresses.
            engine, changes: the engine with these addresses, and its `change_count` when they were read. If a signal
                handler has replaced buffers of the engine since then, the addresses are not used.
            functions: the names "forward", "backward" and "run" -> compiled functions.
            addresses: name of a word -> the address or size there, which these functions need.
        """
        for name, address in addresses.items():
            self._words[name] = address
        for name, function in functions.items():
            self._words[name] = function.__chandle__()
        self._view[PREPARED] = generation if engine.change_count == changes else -1

    def is_prepared(self, generation: int) -> bool:
        return self._words["prepared"] == generation

    def unprepare(self) -> None:
        """Let Python functions start all passes until `prepare` is called again."""
        self._words["prepared"] = -1

    def integers(self, begin: int = 0, end: int | None = None) -> list[int]:
        count = (self.length if end is None else end) - begin
        return (c_int64 * count).from_address(self.address + 8 * begin)[:] if count else []

    def rewrite(self, version: int, start: int, integers: Sequence[int]) -> bool:
        """Overwrite integers of a record, starting at index `start` among the integers of all records.

        Write nothing and return False if the graph has a different version, or if the record has been computed.
        """
        return self._overwrite(version, 0, start, array("q", integers))  # buffer 0: records

    def floats(self, start: int, count: int) -> np.ndarray:
        """Return a view of `count` input values, starting at `start`. It is valid until the next value is appended."""
        if not count:
            return np.zeros(0, np.float32)
        memory = (ctypes.c_float * count).from_address(self.inputs_address + 4 * start)
        return np.frombuffer(memory, np.float32)  # type: ignore[call-overload]

    def random_key_offsets(self, begin: int) -> list[int]:
        """Return the offsets of random keys in the input buffer, newest first. Omit offsets below `begin`."""
        offsets, key = [], self._words["newest_random_key"]  # like each link, an offset plus 1, or 0
        while key > begin:
            offsets.append(key - 1)
            link = c_int32.from_address(self.inputs_address + 4 * (key - 2)).value
            key = min(link, key - 1)  # a larger link is wrong: a signal handler has renewed the graph
        return offsets

    def rewrite_inputs(self, version: int, start: int, values: np.ndarray) -> bool:
        """Overwrite the input values, starting at offset `start`, with a float32 array, column by column.

        Write nothing and return False if the graph has a different version, or if a pass has read the old values.
        """
        return self._overwrite(version, 1, start, values.ravel(order="F"))  # buffer 1: input values
