"""The compiled recorder's memory of a thread's graph, and the functions that append to it.

`commit`, `sequence`, `replay`, `key`, `take`, `take_keyed` and `handle` are compiled. Each calls a slow function here
if it cannot do its work. `python_recorder` documents them, except `key` and `replay`: see `template_calls.py` in
`dynet_kernels.recorder`.
"""

from __future__ import annotations

import array
import ctypes
import sys
from collections.abc import Sequence
from ctypes import py_object
from typing import Any

import numpy as np

from dynet_kernels.layout import INT_ARGUMENT
from dynet_kernels.recorder import words
from dynet_kernels.recorder.words import NO_NODE

from .functions import function
from .graph_records import INPUTS_DONE, GraphRecords
from .named_words import NamedWords
from .shared import THREAD_GRAPH, api, immortal, native

_overwrite = native("overwrite", 6)
_renew, _cut, _take_inputs = native("renew", 1), native("cut", 5), native("take_inputs", 3)
_renew_keys = native("dynet_renew_keys", 1)


def _nothing(*arguments) -> None:
    """Return None, because the compiled function could not do its work."""


def _refuse_handle(at, dim) -> None:
    raise IndexError(f"this thread's graph has no node {at}")


def _taking(kind: str) -> Any:
    def take_slowly(numbers: Sequence[float]) -> int:
        return record(tuple(np.array(numbers, np.float32).tolist()))

    record = function(kind, take_slowly)
    return record


commit, sequence, replay, key = (function(kind, _nothing) for kind in ("commit", "sequence", "replay", "key"))
take, take_keyed = _taking("take"), _taking("take_keyed")
handle = function("handle", _refuse_handle)

_free_words: list[NamedWords] = []  # the memory of graphs whose threads have ended, for reuse
_no_words = NamedWords(words.GRAPH)  # replaces the words of a `Records` object in `end`
_no_words["version"] = _no_words["open"] = NO_NODE


def commit_with_inputs(records: Records, start: int, *record: Any) -> Any:
    view = records._view
    return view[INPUTS_DONE] <= start and commit(*record)  # no signal handler can run between the two


class Records(GraphRecords):
    """The records of one thread's graph, in memory that the compiled recorder also reads and writes."""

    __slots__ = ()

    def __init__(self):
        super().__init__(_free_words.pop() if _free_words else immortal(NamedWords(words.GRAPH)))
        for index in range(words.MOST_ARGUMENTS):
            self._words[f"argument_{2 * index}"] = INT_ARGUMENT
        self.renew()

    def adopt(self, graph: Any) -> None:
        """Let the calling thread, whose graph is `graph`, append to these records."""
        ctypes.pythonapi.Py_IncRef(py_object(graph))  # `end` releases this reference, except when Python shuts down
        self._words["object"] = id(graph)
        api.PyThread_tss_set(THREAD_GRAPH, self._words.address)

    def renew(self) -> None:
        _renew(self._words.address)

    def cut(self, version: int, nodes: int, length: int, inputs_length: int) -> int:
        """Remove the newest records and all gradients. Give the graph a new version, and return it.

        The counts say how many nodes, integers of records and input values to keep. If the graph's version is not
        `version`, remove nothing and return 0.
        """
        return _cut(self._words.address, version, nodes, length, inputs_length)

    def end(self, names: Any = (sys.is_finalizing, _no_words, _free_words, _renew, api, THREAD_GRAPH)) -> None:
        """Remove all records because their thread has ended. The thread's expressions cannot be used any more."""
        # Everything used here is a default argument: Python may clear module globals at exit before it runs finalizers.
        is_finalizing, no_words, free_words, renew, api, key = names
        if is_finalizing() or self._words is no_words:
            return
        memory, self._words, self._view = self._words, no_words, no_words.view
        graph, memory["object"] = memory["object"], 0
        if graph:
            api.Py_DecRef(graph)  # the reference that `adopt` took
        renew(memory.address)
        if api.PyThread_tss_get(key) == memory.address:  # false if another thread than the ended one runs this
            api.PyThread_tss_set(key, None)
            free_words.append(memory)

    def renew_keys(self) -> None:
        """Draw new random keys for all random nodes, so that recomputing them gives new numbers."""
        _renew_keys(self._words.address)

    def _overwrite(self, version: int, kind: int, start: int, values: np.ndarray | array.array) -> bool:
        address = values.ctypes.data if isinstance(values, np.ndarray) else values.buffer_info()[0]
        return bool(_overwrite(self._words.address, version, kind, start, address, len(values)))

    def take(self, values: np.ndarray) -> int:
        """Append an array, as float32 and column by column, to the input buffer. Return its offset."""
        values = np.asfortranarray(values, np.float32)
        return _take_inputs(self._words.address, values.ctypes.data, values.size)
