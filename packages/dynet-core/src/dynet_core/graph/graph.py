"""The computation graph of a thread: its records, and the values and gradients computed from them."""

from __future__ import annotations

import threading
import warnings
import weakref
from bisect import bisect_left
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, NoReturn

import numpy as np

from dynet_kernels.layout import ALIAS, CONTEXT, HAS_GRADIENT, NEEDS_GRADIENT, NODE, PARAMETER
from dynet_kernels.machine import library

from .. import recorder
from ..annotations import Floats
from ..compute import device
from ..compute.engine import Engine
from ..compute.memory import allocate_block, floats_at
from ..compute.parameter_rows import PARAMETER_ROWS
from ..errors import ArgumentTypeError, DynetWarning, FunctionError, GradientError, NotFiniteError, StaleExpressionError
from ..messages.wording import coroutine_note, counted
from ..recorder import ANY_GRAPH, NO_NODE, Records
from ..signature import SIGNATURES, Signature
from .nodes import SettableNodes, decoded, record_of
from .outdated import OutdatedValues

OTHER_THREAD = (
    "this expression belongs to another thread's graph; each thread has its own graph: record and read an expression "
    "in the same thread, and exchange numbers between threads, such as .value() and .npvalue() return"
)
thread = threading.local()  # `thread.graph` is the graph of the calling thread; `current()` creates it
UNCOMPUTED, UNDIFFERENTIATED = (0, 0), (-1, 0)  # initial values of `Records.computed` and `Records.differentiated`
REPEATED_MODE = 2  # the mode in `Records.differentiated` after `repeat_backward` has run the backward pass


@dataclass
class Checkpoint:
    """How many integers of records (`length`), nodes and input values a graph had when a checkpoint was set.

    `arena_mark` is the result of `Engine.arena_mark` at that time; None if the values have been discarded since.
    """

    length: int
    nodes: int
    inputs: int
    arena_mark: tuple[int, int] | None


class PastVersions:
    """For each past `cg_revert`: the version that it ended, and how many nodes of that version still exist.

    `cg_revert` gives the graph a new version. Expressions of the remaining nodes keep the old version and stay valid.
    """

    def __init__(self):
        self._versions: set[int] = set()
        # Two ascending lists: versions, and how many of their nodes still exist. Consecutive versions with the same
        # count have one entry, under the last of these versions.
        self._versions_and_counts: tuple[list[int], list[int]] = [], []

    def __contains__(self, version: int) -> bool:
        return version in self._versions

    def count_remaining(self, version: int) -> int:
        """Return how many nodes of the graph's past version still exist; 0 if no `cg_revert` ended this version."""
        if version not in self._versions:
            return 0
        last_versions, counts = self._versions_and_counts
        return counts[bisect_left(last_versions, version)]

    def note_revert(self, records: Records, version: int, nodes: int) -> None:
        """Remember that `cg_revert` ends `version` and removes all but the first `nodes` nodes.

        A signal handler may interrupt this method and revert the graph itself. Then the graph has a different version.
        """
        while records.version == version and (version not in self._versions or self.count_remaining(version) > nodes):
            rows = last_versions, counts = self._versions_and_counts
            kept_count = bisect_left(counts, nodes)
            new_rows = [*last_versions[:kept_count], version], [*counts[:kept_count], nodes]
            # No signal handler can run after this line has read the version.
            if records.version == version and self._versions_and_counts is rows: self._versions_and_counts = new_rows; self._versions.add(version)  # fmt: skip  # noqa: E501, E701, E702


@dataclass
class Watch:
    """The checkpoints of a graph (the newest last), its options, and how far values have been checked.

    `immediate` and `check` are the options `immediate_compute` and `check_validity` of `renew_cg`. The first
    `checked_node_count` nodes have been checked; their records take `checked_integer_count` integers.
    """

    immediate: bool = False
    check: bool = False
    checkpoints: list[Checkpoint] = field(default_factory=list)
    past_versions: PastVersions = field(default_factory=PastVersions)
    checked_node_count: int = 0
    checked_integer_count: int = 0

    def note_values_discarded(self) -> None:
        """Called when all values are discarded: forget each checkpoint's `arena_mark`, and which values are checked."""
        for checkpoint in self.checkpoints:
            checkpoint.arena_mark = None
        self.checked_node_count = self.checked_integer_count = 0

    def check_values(self, records: Records, values_of: Callable[[int, int], Floats]) -> None:
        """Raise NotFiniteError if a value computed since the last call is infinite or NaN.

        `values_of` returns the value of a node, given its number and how many elements it has.
        """
        begin, first = self.checked_integer_count, self.checked_node_count
        self.checked_integer_count, self.checked_node_count, _ = records.ends()
        if self.checked_integer_count < begin:
            return  # a signal handler has renewed the graph
        for record in decoded(records, begin, self.checked_integer_count, first):
            for index in record.visible_nodes:
                values = values_of(index, record.dim.total)
                wrong_values = values[~np.isfinite(values)]
                if wrong_values.size:
                    shapes = ", ".join(_operand_text(records, operand) for operand in record.operands) or "none"
                    raise NotFiniteError(
                        f"{record.op_name}: node {index} of graph {records.version}, {record.dim!r}, holds "
                        f"{wrong_values[0]}; its operands are {shapes}"
                    )


def _operand_text(records: Records, operand: int) -> str:
    if operand < 0:
        return f"parameter {PARAMETER_ROWS.names[-1 - operand]}"
    record = record_of(records, operand)
    assert record is not None
    return repr(record.dim)


def repeat_backward(engine: Engine, version: int, loss: int, address_by_row: Mapping[int, int] | None = None) -> bool:
    """Compute the gradients of all nodes, as `backward(full=True)` does, without changing parameters' gradients.

    During this pass, the engine uses a copy of PARAMETER_ROWS with different addresses for gradients. `address_by_row`
    has some of these addresses. The gradients of all other rows go to memory that nothing reads. Return False if a
    parameter has been unfrozen since the graph was planned.
    """
    if engine.parameters_version != PARAMETER_ROWS.version:
        engine.refresh(1, engine.records.length)  # 1, not 0: `unfreeze_count` must stay, as no forward plan follows
    unread = allocate_block(PARAMETER_ROWS.largest_size)
    rows, usual_address = engine.parameter_rows.copy(), engine.slots[CONTEXT.parameters]
    addresses = rows[PARAMETER.gradient :: len(PARAMETER)]
    addresses[:] = unread.address
    for row, address in (address_by_row or {}).items():
        addresses[row] = address
    engine.discard_plans()
    engine.slots[CONTEXT.parameters] = rows.ctypes.data
    try:
        return engine.backward(version, loss, True)
    finally:
        engine.slots[CONTEXT.parameters] = usual_address
        engine.discard_plans()


def signature_of_node(engine: Engine, index: int) -> Signature:
    return SIGNATURES[engine.nodes[index * len(NODE) + NODE.signature]]


def gradient_node_and_offset(engine: Engine, index: int) -> tuple[int, int]:
    """Return the node whose gradient contains that of node `index`, and at which offset, in floats."""
    signature = signature_of_node(engine, index)
    if not signature.has_gradient_of_whole:
        return index, 0
    operands = engine.nodes[index * len(NODE) + NODE.operands]
    return int(engine.buffers["records"][operands]), signature.alias_offset


class Graph:
    """The nodes that a thread has recorded since its last `renew_cg`. An argument `index` is a node's number.

    Code that stores node numbers must check the version before it uses them. `watch` is None unless the graph has
    checkpoints or options of `renew_cg`.
    """

    __slots__ = (
        "__weakref__",
        "final_version",
        "engine",
        "records",
        "settable_nodes",
        "outdated",
        "watch",
        "_recording",
    )

    _graph_class: ClassVar[type[Graph]]
    """The class that `current` instantiates: `api.ComputationGraph`, which adds public methods. `api` sets this."""

    def __init__(self) -> None:
        self.final_version: int | None = None  # the graph's version when its thread ended; None until then
        self.watch: Watch | None = None  # the checkpoints and options; None if there are none
        self._recording: Any = None  # the `numbers.Recording` of the function that is being recorded, if any
        self.records: recorder.Records = recorder.Records()
        self.settable_nodes: SettableNodes = SettableNodes(NO_NODE)
        self.engine: Engine = Engine(self.records)
        self.outdated: OutdatedValues = OutdatedValues(self.records)

    def __repr__(self) -> str:
        if self.final_version is not None:
            return f"<graph {self.final_version} of a thread that has ended>"
        length, nodes, _ = self.records.ends()
        computed = "computed" if self.records.computed[0] >= length else "not computed to the end"
        return f"<graph {self.version()}: {counted(nodes, 'expression')}, {computed}>"

    def version(self) -> int:
        """Return the version of the graph, a number that no other graph has. `renew` and `revert` change it."""
        return self.records.version

    def node_count(self) -> int:
        return self.records.nodes

    def watch_or_new(self) -> Watch:
        """Return the graph's `Watch`, which is created if necessary."""
        watch = self.watch  # read once, because a signal handler may call `renew_cg`, which sets `self.watch` to None
        if watch is None:
            self.records.watch_values()
            watch = self.watch = Watch()
        return watch

    # Methods that check versions and threads

    def holds(self, x: Any) -> bool:
        """Return whether an expression can be used in this graph, as one of its nodes or as a parameter."""
        version, watch = x.version, self.watch
        if version in (self.records.version, ANY_GRAPH):
            return True
        return watch is not None and x.at < watch.past_versions.count_remaining(version)

    def _had_version(self, version: int) -> bool:
        """Return whether the graph has this version, or had it before a `cg_revert`, and its nodes may still exist.

        Those of a thread that has ended do not, although a program may keep expressions, and thus the graph.
        """
        if self.final_version is not None:
            return False
        watch = self.watch
        return version == self.records.version or (watch is not None and version in watch.past_versions)

    def check_thread(self) -> None:
        """Raise StaleExpressionError if this is another thread's graph. No lock protects its buffers."""
        if current() is not self:
            raise StaleExpressionError(OTHER_THREAD if self.final_version is None else gone_message(self.final_version))

    # Methods that compute values and gradients

    def _is_incomplete(self) -> bool:
        return self.records.computed[0] < self.records.length or self.engine.changing

    def _compute(self, recalculate: bool = False) -> None:
        self.check_thread()
        if recalculate:
            self.invalidate()
        if self._is_incomplete():
            self._compute_new()

    def _compute_new(self) -> None:
        """Compute the nodes that have not been computed yet. The caller has checked the thread."""
        records, version = self.records, self.records.version
        ends = None
        while ends is None:
            if self.engine.changing:  # an interrupt while buffers were being replaced has made them unusable
                self._replace_engine()
            self.outdated.note_forward()
            ends = self.engine.forward(version, *records.computed)
        records.note_computed(version, ends)
        if (watch := self.watch) is not None and watch.check and records.version == version:
            watch.check_values(records, self.values)

    def _compute_for(self, index: int) -> None:
        """Compute the new nodes. Ignore a CompileError of new nodes if node `index` has already been computed."""
        try:
            self._compute_new()
        except library.CompileError:
            if not any(index in record.node_numbers for record in decoded(self.records, end=self.records.computed[0])):
                raise

    def _replace_engine(self) -> None:
        """Create a new engine and discard all values, because an interrupt may have left buffers half replaced."""
        self.forget_values()
        self.engine = self.engine.successor()

    def invalidate(self) -> None:
        """Discard all values, so that they are computed again with the present inputs and new random numbers."""
        self.check_thread()
        self.forget_values()
        self.records.differentiated = UNDIFFERENTIATED
        self.records.renew_keys()

    def forget_values(self) -> None:
        """Discard all values, so that they are computed again with the same inputs and random numbers."""
        if (watch := self.watch) is not None:
            watch.note_values_discarded()  # done first, in case an interrupt stops this function halfway
        self.records.computed = UNCOMPUTED
        if not self.engine.changing:
            self.engine.restart()

    def values(self, index: int, count: int) -> Floats:
        """Return the first `count` elements of a node's value. Compute the value if necessary.

        On the CPU, the result is a view of the memory, valid until the next node is computed.
        """
        return floats_at(self.address(index), count)

    def address(self, index: int) -> int:
        """Compute a node's value if necessary. Return its address in floats, valid until the next node is computed."""
        if self._is_incomplete():
            self._compute_for(index)
        return self.engine.nodes[index * len(NODE) + NODE.value]

    def _differentiate(self, version: int, index: int, for_all_nodes: bool) -> None:
        """Run the backward pass from node `index`, a single number, of the graph's version `version`.

        With `for_all_nodes`, compute all nodes' gradients. If values are outdated, compute all values again first.
        """
        records = self.records
        if self._is_incomplete():
            self._compute_for(index)
        if self.outdated.backward_reads(index, self.engine, for_all_nodes):
            warnings.warn(
                "backward: parameters have changed since values of this graph were computed; they are computed again "
                "from the present parameters. Call renew_cg() after update()",
                DynetWarning,
                stacklevel=5,  # the line that calls `backward`
            )
            self.forget_values()
            self._compute_new()
        while not self.engine.backward(version, index, for_all_nodes):
            self.forget_values()
            self._compute_new()
        records.note_differentiated(version, index, for_all_nodes)

    def gradients(self, index: int, count: int) -> Floats:
        """Return the gradient of a node as `count` floats; zeros if the backward pass did not reach the node.

        If the node is an alias, and only its operand's gradient is stored, compute all gradients now. Raise
        GradientError if there was no backward pass, or if parameters have changed since and all gradients are needed.
        """
        differentiated, mode = self.records.differentiated
        if differentiated < 0 or self.engine.changing:
            raise GradientError("gradient: backward() has not been called on this graph")
        if index > differentiated:
            return np.zeros(count, np.float32)
        is_complete = mode == 1 or index == differentiated  # mode 1: that of `backward(full=True)`
        index, offset = gradient_node_and_offset(self.engine, index)
        if not is_complete and not self._flags(index) & NEEDS_GRADIENT:
            return np.zeros(count, np.float32)  # the pass did not need this gradient, so some terms may be missing
        is_alias = signature_of_node(self.engine, index).kind == ALIAS
        if not is_complete and is_alias and mode != REPEATED_MODE and not self._repeat_backward():
            raise GradientError(
                "gradient: this expression is a part of another one, and since backward(), parameters have changed, or "
                "are trained again: ask for its gradient before that, or call backward(full=True)"
            )
        if not self._flags(index) & HAS_GRADIENT:
            return np.zeros(count, np.float32)
        return floats_at(self.engine.nodes[index * len(NODE) + NODE.gradient] + offset, count)

    def _repeat_backward(self) -> bool:
        """Run `repeat_backward` for the last loss; False if parameters were changed or unfrozen since its pass."""
        records, version = self.records, self.records.version
        loss, _ = records.differentiated
        if self.outdated.backward_reads(loss, self.engine, True) or not repeat_backward(self.engine, version, loss):
            return False
        records.note_differentiated(version, loss, REPEATED_MODE)
        return True

    def _flags(self, index: int) -> int:
        return self.engine.nodes[index * len(NODE) + NODE.flags]

    # Methods for input values

    def replace_input(self, version: int, index: int, values: Floats) -> None:
        """Replace the values of an input node. Discard all computed values if a pass has read the old input values."""
        start = self.input_start(index)
        while self.records.version == version:
            assert start is not None
            if self.records.rewrite_inputs(version, start, values):
                return
            self.invalidate()  # a pass has read the old values, perhaps just now in a signal handler
        raise StaleExpressionError(gone_message(version))

    def input_start(self, index: int) -> int | None:
        """Return the offset of an input node's values in the input buffer; None for other nodes."""
        return self.settable_up_to(index).input_starts.get(index)

    def settable_up_to(self, index: int) -> SettableNodes:
        """Return the nodes that `set` and `set_index` can change, up to node `index` or further."""
        self.settable_nodes = self.settable_nodes.up_to(self.records, index)
        return self.settable_nodes


class EndOfThread:
    """Removes the records of a thread's graph when the thread ends.

    Only the thread's local storage refers to this object, so Python calls `__del__` when the thread ends.
    """

    __slots__ = ("end", "graph")

    def __init__(self, graph: Graph):
        self.graph, self.end = graph, graph.records.end

    def __del__(self):
        self.graph.final_version, self.graph.outdated.thread_id = self.graph.records.version, 0
        self.end()


GRAPHS: list[weakref.ref[Graph]] = []  # the graphs of all threads


def refuse(x: Any) -> NoReturn:
    """Raise an error that says why the expression `x` is not in this thread's graph."""
    if x.version == NO_NODE:
        raise ArgumentTypeError(no_node_message(x))
    graph = current()
    if graph.watch is not None and x.version in graph.watch.past_versions:
        raise StaleExpressionError(reverted_message(x.version))
    graphs = [reference() for reference in tuple(GRAPHS)]
    is_in_other = any(other is not None and other is not graph and other.holds(x) for other in graphs)
    raise StaleExpressionError(OTHER_THREAD if is_in_other else gone_message(x.version))


def no_node_message(x: Any) -> str:
    return (
        f"an unfinished {type(x).__name__} stands for no node, so it has no value and no shape: "
        "replace it by the result of an operation, such as dy.inputVector"
    )


def reverted_message(version: int) -> str:
    return f"this expression belongs to a part of graph {version} that cg_revert has removed"


def gone_message(version: int) -> str:
    """Return the error message for a node of graph `version`, which was renewed, or whose thread has ended."""
    return (
        f"this expression belongs to graph {version}, which renew_cg has replaced, or to a thread that has ended; the "
        f"current graph is {current().version()}. Record it again; keep numbers, not expressions, across graphs, as in "
        f"total += loss.value(){coroutine_note()}"
    )


def graph_of_node(x: Any) -> Graph:
    """Return a node's graph. Raise StaleExpressionError if the node is stale or in another thread's graph."""
    graph = current()
    if not graph.holds(x):
        refuse(x)
    if graph._recording:
        refuse_in_function("read or change values")
    return graph


def refuse_in_function(what: str) -> None:
    """Raise an error if this thread is recording a decorated function."""
    graph = getattr(thread, "graph", None)
    if graph and (recording := graph._recording):
        raise FunctionError(
            f"{recording.name}: a function with the decorator `function` cannot {what}: record nodes only, or leave "
            "out the decorator"
        )


def current() -> Graph:
    """Return the graph of the calling thread. The first call creates it."""
    try:
        return thread.graph
    except AttributeError:
        graph = Graph._graph_class()
        GRAPHS[:] = [reference for reference in GRAPHS if reference() is not None] + [weakref.ref(graph)]
        thread.end = EndOfThread(graph)
        graph.records.adopt(graph)
        thread.graph = graph
        return graph


def renew() -> Graph:
    """Begin a new graph in this thread and return it.

    An interrupt at any line leaves a usable graph: the old graph before `records.renew()`, and the new graph after it.
    """
    try:
        graph = thread.graph
    except AttributeError:
        return current()
    engine, records = graph.engine, graph.records
    records.computed = UNCOMPUTED
    records.differentiated = UNDIFFERENTIATED
    graph.watch = None
    records.renew()
    graph.watch = None  # a signal handler may have set a checkpoint before `renew`
    if engine.changing:
        graph.engine = Engine(records)
    elif engine.must_tidy:
        engine.tidy()
    if graph.engine.must_tidy:
        records.mark_unusual()
    return graph


def _drop_graph() -> None:
    """Drop this thread's graph, because the device changes: the next graph's buffers must be on the new device."""
    if hasattr(thread, "graph"):
        renew()
        del thread.graph
        del thread.end


device.CHANGE_LISTENERS.append(_drop_graph)
