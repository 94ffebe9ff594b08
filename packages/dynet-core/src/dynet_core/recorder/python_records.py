"""The memory of the recorder in Python: the records and input values of a thread's graph, and the random keys.

A signal handler or a finalizer may run between any two lines, and may record nodes or call `renew_cg`. So each change
is prepared first. Then a single line checks that the graph's words are unchanged, and writes. Nothing can interrupt
that line: it calls nothing, and makes no object that the garbage collector tracks. If words have changed, start over.
"""

from __future__ import annotations

import itertools
import sys
import threading
from array import array
from collections.abc import Sequence
from typing import Any

import numpy as np

from dynet_kernels.recorder.words import GRAPH

from .graph_records import COMPUTED, DIFFERENTIATED, DONE, INPUTS_DONE, VERSION, GraphRecords
from .named_words import NamedWords, draw_key, random_state, word_slice

_versions = itertools.count(1)
THREAD = threading.local()
"""`THREAD.records`, if set, is the `Records` object of the calling thread's graph."""
_LENGTH, _NODES, _INPUTS_LENGTH = GRAPH.length, GRAPH.nodes, GRAPH.inputs_length
_NEWEST_KEY, _BUFFER_ADDRESSES = GRAPH.newest_random_key, (GRAPH.records, GRAPH.inputs)  # indices of words
_LENGTHS, SHRINK_FROM = (_LENGTH, _INPUTS_LENGTH), 1 << 16  # buffers of up to SHRINK_FROM items do not shrink
_STATE, _RECORDED = word_slice(GRAPH, "version", "inputs_length"), word_slice(GRAPH, "length", "nodes")  # slices
_NO_BACKWARD_PASS = array("q", (-1, 0))  # the words DIFFERENTIATED before a backward pass


class Records(GraphRecords):
    """The records of one thread's graph. `_buffers` has the records (index 0) and the input values (index 1).

    `_outgrown_buffers` has those of the previous graph and of this one, because a pass may still read them.
    """

    __slots__ = ("_buffers", "_outgrown_buffers")

    def __init__(self):
        super().__init__(NamedWords(GRAPH))
        self._buffers: list[Any] = [memoryview(array(code)) for code in "qf"]  # int64 records, float32 inputs
        self._outgrown_buffers: tuple[list[Any], list[Any]] = [], []
        self.renew()

    def adopt(self, graph: Any) -> None:
        """Let the calling thread, whose graph is `graph`, append to these records."""
        THREAD.records = self

    def is_prepared(self, generation: int) -> bool:
        return True

    def renew(self) -> None:
        """Remove all records and input values, and give the graph a new version. Shrink buffers that are too large."""
        length, _, inputs_length = self.ends()
        while not self.cut(self.version, 0, 0, 0):
            pass
        self._outgrown_buffers = self._outgrown_buffers[1], []
        for kind, used_count in enumerate((length, inputs_length)):
            if len(self._buffers[kind]) > max(8 * used_count, SHRINK_FROM):
                self._replace_buffer(kind, 2 * used_count, 0)

    end = renew
    """Change the version because the graph's thread has ended. The graph's expressions cannot be used any more."""

    def cut(self, version: int, nodes: int, length: int, inputs_length: int) -> int:
        """Keep the first `nodes` nodes, `length` integers and `inputs_length` inputs; see `records.Records.cut`."""
        view, new_version = self._view, next(_versions)
        state = array("q", (new_version, length, nodes, inputs_length))
        computed = array("q", min(self.computed, (length, inputs_length)))
        key = next((offset + 1 for offset in self.random_key_offsets(0) if offset < inputs_length), 0)
        if view[VERSION] == version: view[COMPUTED] = computed; view[DIFFERENTIATED] = _NO_BACKWARD_PASS; view[_NEWEST_KEY] = key; view[_STATE] = state; return new_version  # fmt: skip  # noqa: E501, E701, E702
        return 0

    def append(self, integers: Sequence[int], node_count: int, version: int, start: int = sys.maxsize) -> int | None:
        """Append a record. Return how many nodes the graph had before.

        Return None if the graph has a different version; -1 if a pass has already read the input at `start`.
        """
        view, record = self._view, array("q", integers)
        while view[VERSION] == version:
            if view[INPUTS_DONE] > start:
                return -1
            length, count_before = view[_LENGTH], view[_NODES]
            end = length + len(record)
            self._make_room(0, end)
            span, ends = slice(length, end), array("q", (end, count_before + node_count))
            if view[VERSION] == version and view[_LENGTH] == length and view[INPUTS_DONE] <= start: self._buffers[0][span] = record; view[_RECORDED] = ends; return count_before  # fmt: skip  # noqa: E501, E701, E702
        return None

    def take(self, values: np.ndarray, has_key: bool = False) -> int:
        """Append a float32 array, column by column, to the input buffer. Return its offset there.

        If `has_key`, the second and third numbers of the array are a random key. The first becomes the key's link: the
        offset of the previous key plus 1, or 0 if there is none.
        """
        view, values = self._view, np.array(values.ravel(order="F"), np.float32)
        while True:
            version, start, key = view[VERSION], view[_INPUTS_LENGTH], view[_NEWEST_KEY]
            if has_key:
                values.view(np.int32)[0], key = key, start + 2
            end = start + values.size
            self._make_room(1, end)
            span = slice(start, end)
            if view[VERSION] == version and view[_INPUTS_LENGTH] == start: self._buffers[1][span] = values; view[_INPUTS_LENGTH] = end; view[_NEWEST_KEY] = key; return start  # fmt: skip  # noqa: E501, E701, E702

    def _make_room(self, buffer_index: int, size: int) -> None:
        while (length := len(self._buffers[buffer_index])) < size:
            self._replace_buffer(buffer_index, 2 * size, length)

    def _replace_buffer(self, buffer_index: int, size: int, kept_count: int) -> None:
        """Replace a buffer by one of `size` items that begins with `kept_count` old items, unless more are used."""
        old_buffer, view, length = self._buffers[buffer_index], self._view, _LENGTHS[buffer_index]
        memory, span = array(old_buffer.format, [0]) * size, slice(min(kept_count, len(old_buffer)))
        new_buffer, address, kept_items = memoryview(memory), memory.buffer_info()[0], old_buffer[span]
        self._outgrown_buffers[1].append(old_buffer)
        if self._buffers[buffer_index] is old_buffer and view[length] <= kept_count: new_buffer[span] = kept_items; self._buffers[buffer_index] = new_buffer; view[_BUFFER_ADDRESSES[buffer_index]] = address  # fmt: skip  # noqa: E501, E701, E702

    def _overwrite(self, version: int, buffer_index: int, start: int, values: np.ndarray | array) -> bool:
        view, done_word, span = self._view, DONE + buffer_index, slice(start, start + len(values))  # or INPUTS_DONE
        if view[VERSION] == version and view[done_word] <= start: self._buffers[buffer_index][span] = values; return True  # fmt: skip  # noqa: E501, E701, E702
        return False

    def renew_keys(self) -> None:
        version = self.version
        for offset in self.random_key_offsets(0):
            self._overwrite(version, 1, offset, new_key())


def new_key() -> np.ndarray:
    seed, _ = random_state()
    return np.array([seed, draw_key() & 0xFFFFFFFF], np.uint32).view(np.float32)
