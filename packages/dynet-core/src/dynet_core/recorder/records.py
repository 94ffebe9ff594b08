"""The compiled recorder's memory of a thread's graph, and the functions that append to it.

`commit`, `add_list`, `replay`, `call_key`, `take`, `take_keyed` and `node_at` are compiled. If compiled code cannot
handle a call, a Python function in this file does. `python_recorder` documents these functions, except `node_at` (see
`recorder/__init__.py`), and `call_key` and `replay`: see `template_calls.py` in `dynet_kernels.recorder`.
"""

from __future__ import annotations

import array
import ctypes
import sys
from collections.abc import Sequence
from ctypes import py_object
from typing import Any

import numpy as np

from dynet_kernels.layout import INT_TYPE_CODE
from dynet_kernels.recorder import words
from dynet_kernels.recorder.words import NO_NODE

from .functions import function
from .graph_records import INPUTS_DONE, GraphRecords
from .named_words import NamedWords
from .shared import THREAD_GRAPH_KEY, immortal, native_function, pythonapi

_overwrite = native_function("overwrite", 6)
_renew, _cut, _take_inputs = native_function("renew", 1), native_function("cut", 5), native_function("take_inputs", 3)
_renew_keys = native_function("dynet_renew_keys", 1)


def _return_none(*arguments) -> None:
    """Return None, which tells the caller that compiled code could not handle the call."""


def _refuse_node(node_index, dim) -> None:
    raise IndexError(f"this thread's graph has no node {node_index}")


def _make_take_function(kind: str) -> Any:
    def take_slowly(numbers: Sequence[float]) -> int:  # for numbers that compiled code cannot read
        return recording_function(tuple(np.array(numbers, np.float32).tolist()))

    recording_function = function(kind, take_slowly)
    return recording_function


commit, add_list, replay, call_key, pinned_key = (
    function(kind, _return_none) for kind in ("commit", "sequence", "replay", "key", "pinned_key")
)
take, take_keyed = _make_take_function("take"), _make_take_function("take_keyed")
node_at = function("handle", _refuse_node)

_free_words: list[NamedWords] = []  # the words of graphs whose threads have ended, for reuse
_no_words = NamedWords(words.GRAPH)  # the words of all `Records` objects whose threads have ended
_no_words["version"] = _no_words["open"] = NO_NODE


def commit_with_inputs(records: Records, start: int, *record: Any) -> Any:
    view = records._view
    return view[INPUTS_DONE] <= start and commit(*record)  # no signal handler can run between test and call


class Records(GraphRecords):
    """The records of one thread's graph, in memory that the compiled recorder also reads and writes."""

    __slots__ = ()

    def __init__(self):
        super().__init__(_free_words.pop() if _free_words else immortal(NamedWords(words.GRAPH)))
        for index in range(words.MOST_PASS_ARGUMENTS):
            self._words[f"argument_{2 * index}"] = INT_TYPE_CODE  # the type of each argument of a pass
        self.renew()

    def adopt(self, graph: Any) -> None:
        """Let the calling thread, whose graph is `graph`, append to these records."""
        ctypes.pythonapi.Py_IncRef(py_object(graph))  # `end` releases this reference, except when Python shuts down
        self._words["object"] = id(graph)
        pythonapi.PyThread_tss_set(THREAD_GRAPH_KEY, self._words.address)

    def renew(self) -> None:
        _renew(self._words.address)

    def cut(self, version: int, nodes: int, length: int, inputs_length: int) -> int:
        """Remove the newest records and all gradients. Give the graph a new version, and return it.

        The counts say how many nodes, integers of records and input values to keep. If the graph's version is not
        `version`, remove nothing and return 0.
        """
        return _cut(self._words.address, version, nodes, length, inputs_length)

    def end(self, used: Any = (sys.is_finalizing, _no_words, _free_words, _renew, pythonapi, THREAD_GRAPH_KEY)) -> None:
        """Remove all records because their thread has ended. The thread's expressions cannot be used any more."""
        # All globals used here are in a default argument: Python may clear them at exit before it runs finalizers.
        is_finalizing, no_words, free_words, renew, pythonapi, thread_graph_key = used
        if is_finalizing() or self._words is no_words:
            return
        memory, self._words, self._view = self._words, no_words, no_words.view
        graph, memory["object"] = memory["object"], 0
        if graph:
            pythonapi.Py_DecRef(graph)  # the reference that `adopt` took
        renew(memory.address)
        if pythonapi.PyThread_tss_get(thread_graph_key) == memory.address:  # false if a different thread runs this
            pythonapi.PyThread_tss_set(thread_graph_key, None)
            free_words.append(memory)

    def renew_keys(self) -> None:
        """Draw new random keys for all random nodes, so that recomputing them gives new numbers."""
        _renew_keys(self._words.address)

    def _overwrite(self, version: int, buffer_index: int, start: int, values: np.ndarray | array.array) -> bool:
        address = values.ctypes.data if isinstance(values, np.ndarray) else values.buffer_info()[0]
        return bool(_overwrite(self._words.address, version, buffer_index, start, address, len(values)))

    def take(self, values: np.ndarray) -> int:
        """Append an array, as float32 and column by column, to the input buffer. Return its offset there."""
        values = np.asfortranarray(values, np.float32)
        return _take_inputs(self._words.address, values.ctypes.data, values.size)
