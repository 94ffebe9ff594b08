"""The records of a thread, and the functions that append to them."""

from __future__ import annotations

import ctypes
import itertools
import sys
from collections.abc import Sequence
from ctypes import c_int32, c_int64, c_void_p, py_object
from typing import Any

import numpy as np

from dynet_kernels.layout import INT_ARGUMENT
from dynet_kernels.recorder import words
from dynet_kernels.recorder.words import NO_NODE, WATCHED

from .functions import function
from .shared import SHARED, THREAD_GRAPH, NamedWords, api, native

_write_inputs = native("write_inputs", 4)
_renew, _cut, _take_inputs = native("renew", 1), native("cut", 4), native("take_inputs", 3)
_renew_keys, draw = native("dynet_renew_keys", 1), native("draw", 0)


def _refuse_commit(dim, nodes, head, operands, version) -> None:
    """Return None from `commit`: the graph has another version by now, or an operand is not allowed in a record."""
    return None


def _refuse_handle(at, dim) -> None:
    raise IndexError(f"this thread's graph has no node {at}")


def _take_slowly(numbers: Sequence[float]) -> int:
    return _take_array(api.PyThread_tss_get(THREAD_GRAPH), np.array(numbers, np.float32))


def _take_keyed_slowly(numbers: Sequence[float]) -> int:
    return take_keyed(tuple(np.array(numbers, np.float32).tolist()))


def _take_array(graph: int, values: np.ndarray) -> int:
    """Append a float32 array, column by column, to the input buffer of a graph. Return where it starts there."""
    values = np.asfortranarray(values, np.float32)
    return _take_inputs(graph, values.ctypes.data, values.size)


def _refuse_sequence(result, head, xs, dim, version) -> None:
    """Return None from `sequence`: the nodes cannot be recorded as one record."""
    return None


def _no_key(*arguments) -> None:
    """Return None from `key`: these arguments have no key."""
    return None


key = function("key", _no_key)
sequence = function("sequence", _refuse_sequence)
take = function("take", _take_slowly)
take_keyed = function("take_keyed", _take_keyed_slowly)
commit = function("commit", _refuse_commit)
handle = function("handle", _refuse_handle)

_free_words: list[NamedWords] = []  # of threads that have ended; for reuse
_no_words = NamedWords(words.GRAPH)


def _from_to(first: str, last: str) -> slice:
    return slice(words.GRAPH.index(first), words.GRAPH.index(last) + 1)


_VERSION, _LENGTH, _NODES, _INPUTS_LENGTH = map(words.GRAPH.index, ("version", "length", "nodes", "inputs_length"))
_ENDS = _from_to("length", "inputs_length")
_COMPUTED, _DIFFERENTIATED = _from_to("done", "inputs_done"), _from_to("differentiated", "differentiated_fully")
_no_words["version"] = _no_words["open"] = NO_NODE


def _ended(address: int, get=api.PyThread_tss_get, set=api.PyThread_tss_set, key=THREAD_GRAPH, renew=_renew) -> bool:
    """Renew the words of an ended thread's graph. Return whether they were the calling thread's.

    In this case no thread refers to them any more, and they can be reused.
    """
    renew(address)
    if get(key) != address:
        return False
    set(key, None)
    return True


def _release(words: NamedWords, let_go=api.Py_DecRef, Address=c_void_p) -> None:
    """Release the reference to the Graph object that the words hold."""
    graph, words["object"] = words["object"], 0
    if graph:
        let_go(Address(graph))


class Records:
    """The records of a thread: integers of the records, input values, and counters, all in compiled code's memory."""

    __slots__ = ("_view", "_words")

    def __init__(self):
        self._words = _free_words.pop() if _free_words else NamedWords(words.GRAPH)
        self._view = self._words.view
        for place in range(words.MOST_ARGUMENTS):
            self._words[f"argument_{2 * place}"] = INT_ARGUMENT
        self.unprepare()
        self.renew()

    def adopt(self, graph: Any) -> None:
        """Make these the records of the calling thread. `graph` is the object that `renew_cg` returns."""
        ctypes.pythonapi.Py_IncRef(py_object(graph))  # released by `end`, but not when Python shuts down
        self._words["object"] = id(graph)
        api.PyThread_tss_set(THREAD_GRAPH, self._words.address)

    def renew(self) -> None:
        """Remove all records and take a new version."""
        _renew(self._words.address)

    def cut(self, nodes: int, length: int, inputs_length: int) -> None:
        """Keep the first `nodes` nodes, `length` integers and `inputs_length` input values. Take a new version."""
        _cut(self._words.address, nodes, length, inputs_length)

    # The defaults keep references: at the end of Python, modules may be cleared before finalizers run.
    def end(
        self,
        finalizing: Any = sys.is_finalizing,
        ended: Any = _ended,
        nobody: Any = _no_words,
        unused: Any = _free_words,
        release: Any = _release,
    ) -> None:
        """End the records when their thread ends. Its expressions become stale, and the memory can be reused."""
        if not finalizing() and self._words is not nobody:
            mine, self._words, self._view = self._words, nobody, nobody.view
            release(mine)
            if ended(mine.address):
                unused.append(mine)

    def watch(self) -> None:
        """Send all recording through Python from now on."""
        self._words["open"] = WATCHED

    @property
    def version(self) -> int:
        """The version of the graph."""
        return self._view[_VERSION]

    def ends(self) -> tuple[int, int, int]:
        """Return the counts of integers, nodes and input values.

        They are read at once, because a signal handler may record in between.
        """
        length, nodes, inputs_length = self._words.together(_ENDS)
        return length, nodes, inputs_length

    @property
    def nodes(self) -> int:
        """The number of nodes."""
        return self._view[_NODES]

    @property
    def length(self) -> int:
        """The number of integers of the records."""
        return self._view[_LENGTH]

    @property
    def inputs_length(self) -> int:
        """The number of input values."""
        return self._view[_INPUTS_LENGTH]

    @property
    def computed(self) -> tuple[int, int]:
        """The number of integers of the records that have been computed, and of the input values they use."""
        length, inputs_length = self._words.together(_COMPUTED)
        return length, inputs_length

    @computed.setter
    def computed(self, ends: tuple[int, int]) -> None:
        self._words.set_together(_COMPUTED, *ends)
        if ends[0]:
            self._words["planned"] = ends[0]

    @property
    def differentiated(self) -> tuple[int, bool]:
        """The node of the last backward pass, or -1, and whether the pass computed the gradients of all nodes."""
        place, fully = self._words.together(_DIFFERENTIATED)
        return place, bool(fully)

    @differentiated.setter
    def differentiated(self, what: tuple[int, bool]) -> None:
        self._words.set_together(_DIFFERENTIATED, *what)

    def watch_values(self) -> None:
        """Send `renew_cg` and the forgetting of values through Python, because the graph has a watch."""
        self._words["unusual"] = self._words["watched"] = 1

    def mark_unusual(self) -> None:
        """Send the next `renew_cg` through Python, because it has more to do than to remove the records."""
        self._words["unusual"] = 1

    def prepare(self, generation: int, forward: Any, backward: Any, **addresses: int) -> None:
        """Let compiled code run passes directly, as long as `generation()` returns `generation`.

        Args:
            forward, backward: the compiled passes.
            addresses: the words that the passes need, by name.
        """
        for name, address in addresses.items():
            self._words[name] = address
        self._words["forward"], self._words["backward"] = forward.__chandle__(), backward.__chandle__()
        self._words["prepared"] = generation

    def is_prepared(self, generation: int) -> bool:
        """Return whether `prepare` has been called for this generation."""
        return self._words["prepared"] == generation

    def unprepare(self) -> None:
        """Send passes through Python until `prepare` is called."""
        self._words["prepared"] = -1

    def address(self) -> int:
        """Return the address of the integers, valid until the next record."""
        return self._words["records"]

    def inputs_address(self) -> int:
        """Return the address of the input values, valid until the next one is added."""
        return self._words["inputs"]

    def integers(self, begin: int = 0, end: int | None = None) -> list[int]:
        """Return a copy of the integers from `begin` to `end`."""
        count = (self.length if end is None else end) - begin
        return (c_int64 * count).from_address(self.address() + 8 * begin)[:] if count else []

    def floats(self, start: int, count: int) -> np.ndarray:
        """Return a view of input values, valid until the next one is added."""
        if not count:
            return np.zeros(0, np.float32)
        memory = (ctypes.c_float * count).from_address(self.inputs_address() + 4 * start)
        return np.frombuffer(memory, np.float32)  # type: ignore[call-overload]

    def keys(self, begin: int) -> list[int]:
        """Return the places of the random nodes' keys in the input buffer, from `begin` on, the newest first."""
        places, key = [], self._words["newest_key"]
        while key > begin:
            places.append(key - 1)
            key = c_int32.from_address(self.inputs_address() + 4 * (key - 2)).value
        return places

    def renew_keys(self) -> None:
        """Draw new keys for all random nodes."""
        _renew_keys(self._words.address)

    def write(self, start: int, values: np.ndarray) -> None:
        """Replace the input values from `start` on by a float32 array, column by column."""
        values = values.ravel(order="F")
        _write_inputs(self._words.address, start, values.ctypes.data, values.size)

    def take(self, values: np.ndarray) -> int:
        """Append a float32 array, column by column, to the input buffer. Return where it starts there."""
        return _take_array(self._words.address, values)


def generation(place: int = words.SHARED.index("generation")) -> int:
    """Return a number that changes whenever the table of signatures or the parameters change."""
    return SHARED.view[place]


def next_generation() -> None:
    """Note that signatures or parameters are going to change, or have changed."""
    SHARED["generation"] = next(_generations)


_generations = itertools.count(1)


def noise() -> tuple[int, int]:
    """Return the seed of the keys of random nodes, and the number of keys drawn."""
    seed, drawn = SHARED.together(_NOISE)
    return seed, drawn


def set_noise(seed: int, drawn: int) -> None:
    """Set the seed and the counter that the keys of random nodes are made of. `drawn` keys count as drawn before."""
    SHARED.set_together(_NOISE, seed, drawn)


_NOISE = slice(words.SHARED.index("seed"), words.SHARED.index("drawn") + 1)


def passes(place: int = words.SHARED.index("passes")) -> int:
    """Return the number of backward passes of all graphs so far."""
    return SHARED.view[place]


def note_pass() -> None:
    """Count a backward pass."""
    SHARED["passes"] = SHARED["passes"] + 1
