"""The computation graph of a thread: its records, and the values and gradients computed from them.

An expression whose version is no longer valid is *stale*, and using it is an error.
"""

from __future__ import annotations

import threading
import warnings
import weakref
from typing import ClassVar, NoReturn, Protocol

import numpy as np

from dynet_kernels import layout as at
from dynet_kernels.machine import library

from .. import recorder
from ..annotations import Floats
from ..compute import device
from ..compute.engine import Engine
from ..compute.memory import Block, floats_at
from ..errors import ArgumentTypeError, DynetWarning, GradientError, StaleExpressionError
from ..messages.wording import counted, of_coroutines
from ..recorder import ANY_GRAPH, NO_NODE
from .nodes import InputIndex, nodes_of
from .outdated import Outdated
from .separate_gradients import PARTS, differentiate_apart, place_of_gradient, signature_of
from .watch import Watch

OTHER_THREAD = (
    "this expression belongs to another thread's graph; each thread has its own graph: record and read an expression "
    "in the same thread, and exchange numbers between threads, such as .value() and .npvalue() return"
)
thread = threading.local()  # `thread.graph` is the graph of the calling thread; `current()` creates it
NOTHING, UNDIFFERENTIATED = (0, 0), (-1, 0)


class Handle(Protocol):
    """What graphs read of an expression, whose class imports this module."""

    at: int
    version: int


class Graph:
    """The nodes that this thread has recorded since its last `renew_cg`. An argument `place` is a node's number.

    Code that stores node numbers must check the version before it uses them. `watch` is None unless the graph has
    checkpoints or options of `renew_cg`.
    """

    __slots__ = ("__weakref__", "ended", "engine", "records", "input_index", "outdated", "watch")

    _kind: ClassVar[type[Graph]]
    """The class to instantiate: `api.ComputationGraph`, which adds the public methods and assigns itself here."""

    ended: int | None  # the graph's version when its thread ended; None while the thread is running
    engine: Engine
    records: recorder.Records
    input_index: InputIndex
    outdated: Outdated
    watch: Watch | None

    def __init__(self) -> None:
        self.ended = None
        self.records, self.input_index, self.watch = recorder.Records(), InputIndex(NO_NODE), None
        self.engine, self.outdated = Engine(self.records), Outdated(self.records)

    def __repr__(self) -> str:
        if self.ended is not None:
            return f"<graph {self.ended} of a thread that has ended>"
        length, nodes, _ = self.records.ends()
        computed = "computed" if self.records.computed[0] >= length else "not computed to the end"
        return f"<graph {self._version}: {counted(nodes, 'expression')}, {computed}>"

    @property
    def _version(self) -> int:
        return self.records.version

    def version(self) -> int:
        """Return the version: a number that changes when `renew_cg` or `cg_revert` removes nodes."""
        return self.records.version

    def node_count(self) -> int:
        return self.records.nodes

    # Methods that check versions and threads

    def holds(self, x: Handle) -> bool:
        """Return whether an expression can be used in this graph: it is one of its nodes, or a parameter."""
        version, watch = x.version, self.watch
        if version in (self.records.version, ANY_GRAPH):
            return True
        return watch is not None and x.at < watch.past_versions.count(version)

    def _had_version(self, version: int) -> bool:
        """Return whether this is the graph's version, or was before a `cg_revert`, so that its nodes may be there."""
        watch = self.watch
        return version == self.records.version or (watch is not None and version in watch.past_versions)

    def check_thread(self) -> None:
        """Raise StaleExpressionError if this is another thread's graph: no lock protects its buffers."""
        if current() is not self:
            raise StaleExpressionError(OTHER_THREAD if self.ended is None else is_gone(self.ended))

    # Methods that compute values and gradients

    def _compute(self, recalculate: bool = False) -> None:
        self.check_thread()
        if recalculate:
            self.invalidate()
        if self.records.computed[0] < self.records.length or self.engine.changing:
            self._compute_new()

    def _compute_new(self) -> None:
        """Compute the nodes that have not been computed yet, without checking the thread."""
        records, version = self.records, self.records.version
        if self.engine.changing:  # an interrupt came while buffers were being replaced, so they cannot be used
            self._replace_engine()
        self.outdated.note()
        ends = self.engine.forward(version, *records.computed)
        records.note_computed(version, ends)
        if (watch := self.watch) is not None and watch.check and records.version == version:
            watch.check_values(records, self.values)

    def _compute_for(self, place: int) -> None:
        """Compute the new nodes. If one cannot be compiled, go on if node `place` was computed before."""
        try:
            self._compute_new()
        except library.CompileError:
            if not any(place in node.all for node in nodes_of(self.records, end=self.records.computed[0])):
                raise

    def _replace_engine(self) -> None:
        """Take a new engine and forget all values, because an interrupt may have left buffers half replaced."""
        if (watch := self.watch) is not None:
            watch.forget_arenas()  # done first, in case an interrupt stops this function halfway
        self.records.computed = NOTHING
        self.engine = self.engine.successor()

    def invalidate(self) -> None:
        """Forget all values, so that they are computed again with changed inputs and new random numbers."""
        self.check_thread()
        self.forget_values()
        self.records.differentiated = UNDIFFERENTIATED
        self.records.renew_keys()

    def forget_values(self) -> None:
        """Forget all values, so that they are computed again from the same inputs and random numbers."""
        if (watch := self.watch) is not None:
            watch.forget_arenas()  # done first, in case an interrupt stops this function halfway
        self.records.computed = NOTHING
        if not self.engine.changing:
            self.engine.restart()

    def number(self, place: int) -> float:
        """Return the first number of a node's value. The value is computed if necessary."""
        if self.records.computed[0] < self.records.length or self.engine.changing:
            self._compute_for(place)
        engine = self.engine
        address = engine.nodes[place * len(at.NODE) + at.NODE.value]
        number = address - engine.numbers_at
        if 0 <= number < engine.numbers_count:
            return engine.numbers[number]
        return float(floats_at(address, 1)[0])  # the value is in another block of memory, or on a GPU

    def values(self, place: int, count: int) -> Floats:
        """Return the first `count` numbers of a node's value. Compute the value if necessary.

        On the CPU, the result is a view of the memory, valid until the next node is computed.
        """
        return floats_at(self.address(place), count)

    def address(self, place: int) -> int:
        """Return the address of a node's value, counted in floats. Compute the value if necessary.

        The address is valid until the next node is computed.
        """
        if self.records.computed[0] < self.records.length or self.engine.changing:
            self._compute_for(place)
        return self.engine.nodes[place * len(at.NODE) + at.NODE.value]

    def _memory(self) -> list[Block]:
        """Return the blocks that hold values now. They are not freed as long as the result exists."""
        return [*self.engine.chunks]

    def _differentiate(self, version: int, place: int, size: int, everything: bool) -> None:
        """Run the backward pass from node `place` of the graph's version `version`, whose value has `size` numbers.

        If it would read values that were computed from earlier values of parameters, compute all values again first.
        """
        records = self.records
        if records.computed[0] < records.length or self.engine.changing:
            self._compute_for(place)
        if self.outdated.reached(place, self.engine, everything):
            warnings.warn(
                "backward: parameters have changed since values of this graph were computed; they are computed again "
                "from the present parameters. Call renew_cg() after update()",
                DynetWarning,
                stacklevel=5,
            )
            self.forget_values()
            self._compute_new()
        if not self.engine.backward(version, place, size, everything):
            self.forget_values()
            self._compute_new()
            self.engine.backward(version, place, size, everything)
        records.note_differentiated(version, place, everything)

    def gradients(self, place: int, count: int) -> Floats:
        """Return the gradient of a node, of `count` numbers; zeros if the backward pass did not reach it.

        If it is a part, and only the gradient of the whole is known, all gradients are computed now. GradientError is
        raised if there has been no backward pass, or if a part is asked for and parameters have changed since.
        """
        differentiated, fully = self.records.differentiated
        if differentiated < 0 or self.engine.changing:
            raise GradientError("gradient: backward() has not been called on this graph")
        if place > differentiated:
            return np.zeros(count, np.float32)
        is_complete = fully == 1 or place == differentiated
        place, offset = place_of_gradient(self.engine, place)
        if not is_complete and not self._flags(place) & at.NEEDS_GRADIENT:
            return np.zeros(count, np.float32)  # what has been computed of its gradient need not be all of it
        is_part = signature_of(self.engine, place).kind == at.ALIAS
        if not is_complete and is_part and fully != PARTS and not self._differentiate_parts():
            raise GradientError(
                "gradient: this expression is a part of another one, and since backward(), parameters have changed, or "
                "are trained again: ask for its gradient before that, or call backward(full=True)"
            )
        if not self._flags(place) & at.HAS_GRADIENT:
            return np.zeros(count, np.float32)
        return floats_at(self.engine.nodes[place * len(at.NODE) + at.NODE.gradient] + offset, count)

    def _differentiate_parts(self) -> bool:
        """Compute all gradients of the last backward pass. Return False if parameters have changed since."""
        records, version = self.records, self.records.version
        loss, _ = records.differentiated
        if self.outdated.reached(loss, self.engine, True) or not differentiate_apart(self.engine, version, loss):
            return False
        records.note_differentiated(version, loss, PARTS)
        return True

    def _flags(self, place: int) -> int:
        return int(self.engine.nodes[place * len(at.NODE) + at.NODE.flags])

    # Methods for input values

    def replace_input(self, version: int, place: int, values: Floats) -> None:
        """Replace the values of an input node; forget all computed values if the old ones were used."""
        start = self.start_of(place)
        while self.records.version == version:
            assert start is not None
            if self.records.write(version, start, values):
                return
            self.invalidate()  # the old ones were used, perhaps just now by a signal handler
        raise StaleExpressionError(is_gone(version))

    def start_of(self, place: int) -> int | None:
        """Return where the values of an input node start in the input buffer; None for other nodes."""
        return self.index_up_to(place).starts.get(place)

    def index_up_to(self, place: int) -> InputIndex:
        """Return an index of the nodes that `set` and `set_index` can change, up to node `place` at least."""
        index = self.input_index = self.input_index.up_to(self.records, place)
        return index


class Owner:
    """Marks a thread's graph as ended when the thread ends.

    Only the thread's local storage refers to this object, so Python deletes it, and calls `__del__`, at that moment.
    """

    __slots__ = ("end", "graph")

    def __init__(self, graph: Graph):
        self.graph, self.end = graph, graph.records.end

    def __del__(self):
        self.graph.ended, self.graph.outdated.thread = self.graph.records.version, 0
        self.end()


_graphs: list[weakref.ref[Graph]] = []  # the graphs of all threads


def refuse(x: Handle) -> NoReturn:
    """Raise StaleExpressionError, which says why, for an expression that is not in this thread's graph."""
    if x.version == NO_NODE:
        raise ArgumentTypeError(has_no_node(x))
    graph = current()
    if graph.watch is not None and x.version in graph.watch.past_versions:
        raise StaleExpressionError(is_taken_back(x.version))
    others = [reference() for reference in tuple(_graphs)]
    theirs = any(other is not None and other is not graph and other.holds(x) for other in others)
    raise StaleExpressionError(OTHER_THREAD if theirs else is_gone(x.version))


def has_no_node(x: Handle) -> str:
    return (
        f"an unfinished {type(x).__name__} stands for no node, so it has no value and no shape: "
        "replace it by the result of an operation, such as dy.inputVector"
    )


def is_taken_back(version: int) -> str:
    return f"this expression belongs to a part of graph {version} that cg_revert has removed"


def is_gone(version: int) -> str:
    """Return the error message for a node of a graph that was renewed, or whose thread has ended."""
    return (
        f"this expression belongs to graph {version}, which renew_cg has replaced, or to a thread that has ended; the "
        f"current graph is {current()._version}. Record it again; keep numbers, not expressions, across graphs, as in "
        f"total += loss.value(){of_coroutines()}"
    )


def graph_of_node(x: Handle) -> Graph:
    graph = current()
    if not graph.holds(x):
        refuse(x)
    return graph


def current() -> Graph:
    """Return the graph of the calling thread. The first call creates it."""
    try:
        return thread.graph
    except AttributeError:
        graph = Graph._kind()
        _graphs[:] = [reference for reference in _graphs if reference() is not None] + [weakref.ref(graph)]
        thread.owner = Owner(graph)
        graph.records.adopt(graph)
        thread.graph = graph
        return graph


def renew() -> Graph:
    """Begin a new graph in this thread and return it.

    An interrupt at any line leaves a usable graph: the old one before `records.renew()`, the new one after it.
    """
    try:
        graph = thread.graph
    except AttributeError:
        return current()
    engine = graph.engine
    graph.records.computed = NOTHING
    graph.records.differentiated = UNDIFFERENTIATED
    if graph.watch is not None:
        graph.watch = None
    graph.records.renew()
    graph.watch = None  # again: a signal handler may have set a checkpoint in between
    if engine.changing:
        graph.engine = Engine(graph.records)
    elif engine.large:
        engine.tidy()
    if graph.engine.large:
        graph.records.mark_unusual()
    return graph


def _forget() -> None:
    """Drop this thread's graph when the device changes, so that the next graph has its buffers there."""
    if hasattr(thread, "graph"):
        renew()
        del thread.graph
        del thread.owner


device.on_change(_forget)
