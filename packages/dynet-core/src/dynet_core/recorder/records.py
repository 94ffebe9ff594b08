"""What a thread has recorded, and how records are added to it."""

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
from .shared import SHARED, THREAD_GRAPH, Words, api, native

_write_inputs = native("write_inputs", 4)
_renew, _cut, _take_inputs = native("renew", 1), native("cut", 4), native("take_inputs", 3)
_renew_keys, draw = native("dynet_renew_keys", 1), native("draw", 0)


def _refuse_commit(dim, nodes, head, operands, version) -> None:
    """What `commit` gives where the graph is another by now, or an operand is not fit for a record."""
    return None


def _refuse_handle(at, dim) -> None:
    raise IndexError(f"this thread's graph has no node {at}")


def _take_unusual(numbers: Sequence[float]) -> int:
    return _take_array(api.PyThread_tss_get(THREAD_GRAPH), np.array(numbers, np.float32))


def _take_keyed_unusual(numbers: Sequence[float]) -> int:
    return take_keyed(tuple(np.array(numbers, np.float32).tolist()))


def _take_array(graph: int, values: np.ndarray) -> int:
    """Keep the values of a float32 array, column by column, among the inputs of a graph; where they begin."""
    values = np.asfortranarray(values, np.float32)
    return _take_inputs(graph, values.ctypes.data, values.size)


def _refuse_sequence(result, head, xs, dim, version) -> None:
    """What `sequence` gives where it cannot be recorded at once."""
    return None


def _no_key(*arguments) -> None:
    """What `key` gives for arguments that have none."""
    return None


key = function("key", _no_key)
sequence = function("sequence", _refuse_sequence)
take = function("take", _take_unusual)
take_keyed = function("take_keyed", _take_keyed_unusual)
commit = function("commit", _refuse_commit)
handle = function("handle", _refuse_handle)

_unused: list[Words] = []  # of graphs whose threads have ended
_nobody = Words(words.GRAPH)


def _from_to(first: str, last: str) -> slice:
    return slice(words.GRAPH.index(first), words.GRAPH.index(last) + 1)


_VERSION, _LENGTH, _NODES, _INPUTS_LENGTH = map(words.GRAPH.index, ("version", "length", "nodes", "inputs_length"))
_ENDS = _from_to("length", "inputs_length")
_COMPUTED, _DIFFERENTIATED = _from_to("done", "inputs_done"), _from_to("differentiated", "differentiated_fully")
_nobody["version"] = _nobody["open"] = NO_NODE


def _ended(address: int, get=api.PyThread_tss_get, set=api.PyThread_tss_set, key=THREAD_GRAPH, renew=_renew) -> bool:
    """Leave a graph's words without a thread; whether that was this one, so that no thread refers to them any more."""
    renew(address)
    if get(key) != address:
        return False
    set(key, None)
    return True


def _release(words: Words, let_go=api.Py_DecRef, Address=c_void_p) -> None:
    """Let go of the graph that words belong to."""
    graph, words["object"] = words["object"], 0
    if graph:
        let_go(Address(graph))


class Records:
    """What a thread has recorded."""

    __slots__ = ("_view", "_words")

    def __init__(self):
        self._words = _unused.pop() if _unused else Words(words.GRAPH)
        self._view = self._words.view
        for place in range(words.MOST_ARGUMENTS):
            self._words[f"argument_{2 * place}"] = INT_ARGUMENT
        self.unprepare()
        self.renew()

    def adopt(self, graph: Any) -> None:
        """Be what the thread that calls records in; `graph` is what `renew_cg` gives then."""
        ctypes.pythonapi.Py_IncRef(py_object(graph))  # until the thread ends; at the end of Python, for ever
        self._words["object"] = id(graph)
        api.PyThread_tss_set(THREAD_GRAPH, self._words.address)

    def renew(self) -> None:
        """Forget what has been recorded, under another version."""
        _renew(self._words.address)

    def cut(self, nodes: int, length: int, inputs_length: int) -> None:
        """Forget the newest records, under another version."""
        _cut(self._words.address, nodes, length, inputs_length)

    # Finalizers hold what they use: when Python ends, modules may be empty before they run.
    def end(
        self,
        finalizing: Any = sys.is_finalizing,
        ended: Any = _ended,
        nobody: Any = _nobody,
        unused: Any = _unused,
        release: Any = _release,
    ) -> None:
        """The thread has ended: its expressions are nobody's, and another thread may have the memory."""
        if not finalizing() and self._words is not nobody:
            mine, self._words, self._view = self._words, nobody, nobody.view
            release(mine)
            if ended(mine.address):
                unused.append(mine)

    def watch(self) -> None:
        """Have all records go the slow way."""
        self._words["open"] = WATCHED

    @property
    def version(self) -> int:
        """The number of the graph."""
        return self._view[_VERSION]

    def ends(self) -> tuple[int, int, int]:
        """How many integers, nodes and input values there are at one moment: a signal's handler may record, too."""
        length, nodes, inputs_length = self._words.together(_ENDS)
        return length, nodes, inputs_length

    @property
    def nodes(self) -> int:
        """How many nodes there are."""
        return self._view[_NODES]

    @property
    def length(self) -> int:
        """How many integers there are."""
        return self._view[_LENGTH]

    @property
    def inputs_length(self) -> int:
        """How many input values there are."""
        return self._view[_INPUTS_LENGTH]

    @property
    def computed(self) -> tuple[int, int]:
        """How many integers of the records have been computed, and how many inputs they had."""
        length, inputs_length = self._words.together(_COMPUTED)
        return length, inputs_length

    @computed.setter
    def computed(self, ends: tuple[int, int]) -> None:
        self._words.set_together(_COMPUTED, *ends)
        if ends[0]:
            self._words["planned"] = ends[0]

    @property
    def differentiated(self) -> tuple[int, bool]:
        """The node that `backward` started from last, -1 if from none, and whether it gave all nodes gradients."""
        place, fully = self._words.together(_DIFFERENTIATED)
        return place, bool(fully)

    @differentiated.setter
    def differentiated(self, what: tuple[int, bool]) -> None:
        self._words.set_together(_DIFFERENTIATED, *what)

    def watch_values(self) -> None:
        """Say that more has to be done to renew it than to forget the records, and to forget its values."""
        self._words["unusual"] = self._words["watched"] = 1

    def is_unusual(self) -> None:
        """Say that more has to be done to renew it than to forget the records."""
        self._words["unusual"] = 1

    def prepare(self, generation: int, forward: Any, backward: Any, **addresses: int) -> None:
        """Say what passes need, as long as `generation()` is this: passes go the quick way then."""
        for name, address in addresses.items():
            self._words[name] = address
        self._words["forward"], self._words["backward"] = forward.__chandle__(), backward.__chandle__()
        self._words["prepared"] = generation

    def is_prepared(self, generation: int) -> bool:
        """Whether `prepare` has been called for that generation."""
        return self._words["prepared"] == generation

    def unprepare(self) -> None:
        """Have passes go the slow way until `prepare` says what they need."""
        self._words["prepared"] = -1

    def address(self) -> int:
        """Where the integers are, until the next record."""
        return self._words["records"]

    def inputs_address(self) -> int:
        """Where the input values are, until the next one."""
        return self._words["inputs"]

    def integers(self, begin: int = 0, end: int | None = None) -> list[int]:
        """The integers, or some of them."""
        count = (self.length if end is None else end) - begin
        return (c_int64 * count).from_address(self.address() + 8 * begin)[:] if count else []

    def floats(self, start: int, count: int) -> np.ndarray:
        """Input values, to be read until the next one comes."""
        if not count:
            return np.zeros(0, np.float32)
        memory = (ctypes.c_float * count).from_address(self.inputs_address() + 4 * start)
        return np.frombuffer(memory, np.float32)  # type: ignore[call-overload]

    def keys(self, begin: int) -> list[int]:
        """Where among the inputs, from `begin` on, the keys of random nodes stand, the newest first."""
        found, key = [], self._words["newest_key"]
        while key > begin:
            found.append(key - 1)
            key = c_int32.from_address(self.inputs_address() + 4 * (key - 2)).value
        return found

    def renew_keys(self) -> None:
        """Draw the keys of random nodes anew."""
        _renew_keys(self._words.address)

    def write(self, start: int, values: np.ndarray) -> None:
        """Replace input values by those of a float32 array, column by column."""
        values = values.ravel(order="F")
        _write_inputs(self._words.address, start, values.ctypes.data, values.size)

    def take(self, values: np.ndarray) -> int:
        """Keep the values of a float32 array, column by column; where they begin among the inputs."""
        return _take_array(self._words.address, values)


def generation(place: int = words.SHARED.index("generation")) -> int:
    """A number that changes with the table of signatures and with parameters."""
    return SHARED.view[place]


def next_generation() -> None:
    """Say that something is going to change, or has changed."""
    SHARED["generation"] = next(_generations)


_generations = itertools.count(1)


def noise() -> tuple[int, int]:
    """The seed of the keys of random nodes, and how many have been drawn."""
    seed, drawn = SHARED.together(_NOISE)
    return seed, drawn


def set_noise(seed: int, drawn: int) -> None:
    """Go on with the keys of a seed after so many."""
    SHARED.set_together(_NOISE, seed, drawn)


_NOISE = slice(words.SHARED.index("seed"), words.SHARED.index("drawn") + 1)


def passes(place: int = words.SHARED.index("passes")) -> int:
    """How many backward passes of any graph there have been."""
    return SHARED.view[place]


def note_pass() -> None:
    """Note a backward pass."""
    SHARED["passes"] = SHARED["passes"] + 1
