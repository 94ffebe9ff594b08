"""Graphs that are more than recorded and run: computed at once, checked, or taken back to a checkpoint.

A graph becomes a `WatchedGraph` when that is first asked of it, so that others pay nothing for it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from dynet_kernels.layout import SLOT

from .dim import Dim
from .engine import PARAMETER_ROWS
from .errors import ArgumentError, NotFiniteError, StaleExpressionError
from .graph import Graph
from .nodes import are_complete, node_at, nodes_of
from .signature import Signature

TAKEN_BACK = Signature(Dim.of(()), name="nothing", size=0).at
"""What a revert writes for each node that it takes back, so that no other expression gets its number."""


@dataclass
class Checkpoint:
    """How far a graph has got: records, nodes, inputs, and the arena (None: not to be returned to)."""

    records: int
    nodes: int
    inputs: int
    arena: tuple[int, int] | None


@dataclass
class Watch:
    """What is asked of a graph, of which `done` nodes are computed; reverts have taken back the nodes `taken_back`."""

    done: int
    check: bool = False
    checkpoints: list[Checkpoint] = field(default_factory=list)
    taken_back: list[range] = field(default_factory=list)

    def is_taken_back(self, place: int) -> bool:
        """Whether a node belongs to a part of the graph that is gone."""
        return any(place in places for places in self.taken_back)


class NodesAtOnce(list):
    """Records that are computed as soon as they are complete; some come in several pieces."""

    __slots__ = ("graph",)

    graph: Graph

    def __iadd__(self, integers):
        self.extend(integers)
        return self

    def append(self, integer: int) -> None:
        self.extend((integer,))

    def extend(self, integers) -> None:
        super().extend(integers)
        if are_complete(self, self.graph.done):
            self.graph._compute_new()


class WatchedGraph(Graph):
    """A graph with a `watch`."""

    __slots__ = ()

    def _compute_new(self) -> None:
        """Compute what is new, and do the checks that are asked for."""
        watch = self.watch
        begin, number = self.done, watch.done
        if watch.taken_back:
            self._check_operands(begin, number)
        super()._compute_new()
        watch.done = self.engine.slots[SLOT["node_count"]]
        if watch.check:
            self._check_values(begin, number)

    def forget_values(self) -> None:
        """Have all values computed again."""
        super().forget_values()
        self.watch.done = 0
        for checkpoint in self.watch.checkpoints:
            checkpoint.arena = None

    def holds(self, place: int) -> bool:
        """Whether a node of this graph has not been taken back."""
        return not self.watch.is_taken_back(place)

    def is_input(self, place: int) -> bool:
        """Whether a node's values came from outside and can be replaced."""
        self._check_place(place)
        return super().is_input(place)

    def replace_input(self, place: int, values: np.ndarray) -> None:
        """Give an input node other values."""
        self._check_place(place)
        super().replace_input(place, values)

    def number(self, place: int) -> float:
        """The first number of a node's value."""
        self._check_place(place)
        return super().number(place)

    def values(self, place: int, count: int) -> np.ndarray:
        """The numbers of a node's value."""
        self._check_place(place)
        return super().values(place, count)

    def address(self, place: int) -> int:
        """Where a node's value is."""
        self._check_place(place)
        return super().address(place)

    def _differentiate(self, place: int, size: int, everything: bool) -> None:
        """Add the gradient of a node to every parameter it depends on."""
        self._check_place(place)
        super()._differentiate(place, size, everything)

    def gradients(self, place: int, count: int) -> np.ndarray:
        """The numbers of a node's gradient."""
        self._check_place(place)
        return super().gradients(place, count)

    def _check_place(self, place: int) -> None:
        len(self.nodes)  # raises if the graph is gone
        if self.watch.is_taken_back(place):
            raise StaleExpressionError(
                f"this expression belongs to a part of graph {self.version()} that cg_revert has taken back"
            )

    def _check_operands(self, begin: int, number: int) -> None:
        for node in nodes_of(self, begin, number=number):
            if any(self.watch.is_taken_back(place) for place in node.operands):
                raise StaleExpressionError(
                    f"{node.op}: an operand belongs to a part of graph {self.version()} that cg_revert has taken "
                    "back; the graph has to be renewed"
                )

    def _check_values(self, begin: int, number: int) -> None:
        for node in nodes_of(self, begin, number=number):
            for place in node.places:
                values = super().values(place, node.dim.total)
                if not np.isfinite(values).all():
                    wrong = values[~np.isfinite(values)][0]
                    shapes = ", ".join(self._shape(operand) for operand in node.operands) or "none"
                    raise NotFiniteError(
                        f"{node.op}: node {place} of graph {self.version()}, {node.dim!r}, holds {wrong}; "
                        f"its operands are {shapes}"
                    )

    def _shape(self, operand: int) -> str:
        if operand < 0:
            return f"parameter {PARAMETER_ROWS.names[-1 - operand]}"
        return repr(node_at(self, operand).dim)


def watched(graph: Graph) -> Watch:
    """The watch of a graph, which becomes a watched one."""
    if not isinstance(graph, WatchedGraph):
        done = sum(len(node.all) for node in nodes_of(graph, 0, graph.done))
        graph.__class__ = WatchedGraph
        graph.watch = Watch(done)
    return graph.watch


def watch_from_the_start(graph: Graph, immediate: bool, check: bool) -> None:
    """Have the nodes of a graph that is still empty computed at once, or checked."""
    watched(graph).check = check
    if immediate:
        nodes = NodesAtOnce()
        nodes.graph = graph
        graph.nodes = graph.engine.recorded = nodes


def checkpoint(graph: Graph) -> None:
    """Note how far a graph has got. What is recorded is computed first."""
    graph._compute()
    watch = watched(graph)
    watch.checkpoints.append(
        Checkpoint(len(graph.nodes), graph.node_count(), len(graph.inputs), graph.engine.arena_mark())
    )


def revert(graph: Graph) -> None:
    """Forget what was recorded since the last checkpoint, and the checkpoint.

    Raises:
        ArgumentError: there is none.
    """
    graph.check_thread()
    watch = watched(graph)
    if not watch.checkpoints:
        raise ArgumentError(f"cg_revert: graph {graph.version()} has no checkpoint to go back to")
    last = watch.checkpoints.pop()
    taken_back = range(last.nodes, graph.node_count())
    if taken_back:
        graph.nodes[last.records :] = [TAKEN_BACK] * len(taken_back)
        watch.taken_back.append(taken_back)
    del graph.inputs[last.inputs :]
    graph.engine.keys[:] = [start for start in graph.engine.keys if start < last.inputs]
    graph.done, watch.done = min(graph.done, last.records), min(watch.done, last.nodes)
    graph.inputs_done = min(graph.inputs_done, last.inputs)
    graph.surveyed = min(graph.surveyed, (last.records, last.nodes))
    graph.differentiated = -1
    if last.arena is not None:
        graph.engine.return_to(last.arena)
