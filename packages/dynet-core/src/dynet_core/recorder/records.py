"""The compiled recorder's memory of a thread's graph (see `graph_records`), and the functions that append to it.

`commit`, `sequence`, `replay`, `key`, `take`, `take_keyed` and `handle` are compiled functions. Each has a slow
function here, in Python, which it calls where it cannot do its work. The module `python_recorder` says what they and
`commit_with_inputs` do, except these two:

- `key(*arguments)` returns the key by which the recorder finds a template for these arguments, or None.
- `replay(dim, template, operands, version)` appends the records of a template to this thread's graph, and returns the
  expression of the last node, whose Dim (shape) is `dim`. `template` are bytes; `dynet_core.templates` makes it.
  `operands` has expressions and numbers of nodes. `version` is the version that the graph should have. The result is
  None, and nothing is appended, if the graph has another version, if Python has to see each new node, or if an operand
  is neither a node of the graph nor a parameter.
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
_no_words["version"] = _no_words["open"] = NO_NODE


def commit_with_inputs(records: Records, start: int, *record: Any) -> Any:
    """Append a record that refers to input values, if no pass has been over these. See the module `python_recorder`."""
    view = records._view
    return view[INPUTS_DONE] <= start and commit(*record)  # no handler can run between the two


class Records(GraphRecords):
    """The records of one thread's graph, in memory that the compiled recorder also reads and writes."""

    __slots__ = ()

    def __init__(self):
        super().__init__(_free_words.pop() if _free_words else immortal(NamedWords(words.GRAPH)))
        for place in range(words.MOST_ARGUMENTS):
            self._words[f"argument_{2 * place}"] = INT_ARGUMENT
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
        nobody: Any = _no_words,
        unused: Any = _free_words,
        renew: Any = _renew,
        api: Any = api,
        key: Any = THREAD_GRAPH,
    ) -> None:
        """Remove all records because their thread has ended. The thread's expressions cannot be used any more."""
        if finalizing() or self._words is nobody:
            return
        mine, self._words, self._view = self._words, nobody, nobody.view
        graph, mine["object"] = mine["object"], 0
        if graph:
            api.Py_DecRef(graph)  # the reference that `adopt` has made
        renew(mine.address)
        if api.PyThread_tss_get(key) == mine.address:  # not if another thread than the one that ends runs this
            api.PyThread_tss_set(key, None)
            unused.append(mine)

    def renew_keys(self) -> None:
        """Draw new keys for all random nodes, so that they draw other random numbers when they are computed again."""
        _renew_keys(self._words.address)

    def _overwrite(self, version: int, kind: int, start: int, numbers: np.ndarray | array.array) -> bool:
        address = numbers.ctypes.data if isinstance(numbers, np.ndarray) else numbers.buffer_info()[0]
        return bool(_overwrite(self._words.address, version, kind, start, address, len(numbers)))

    def take(self, values: np.ndarray) -> int:
        """Append an array, as float32 and column by column, to the input buffer. Return its offset there."""
        return _take_array(self._words.address, values)
