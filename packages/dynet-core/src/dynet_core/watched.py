"""Graphs that are more than recorded and run: computed at once, checked, or taken back to a checkpoint."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field

import numpy as np

from .engine import PARAMETER_ROWS
from .errors import ArgumentError, NotFiniteError
from .graph import UNDIFFERENTIATED, Graph
from .nodes import node_at, nodes_of


@dataclass
class Checkpoint:
    """How far a graph has got: integers of records, nodes, inputs, and the arena (None: not to be returned to)."""

    records: int
    nodes: int
    inputs: int
    arena: tuple[int, int] | None


class Older:
    """The versions that a graph had before it was taken back, and how many of their nodes there still are."""

    def __init__(self):
        self._versions: set[int] = set()
        # Versions in a row may have the same count: the last of each such row, and the counts, which grow.
        self._rows: tuple[list[int], list[int]] = [], []

    def __contains__(self, version: int) -> bool:
        return version in self._versions

    def count(self, version: int) -> int:
        """How many of a version's nodes there still are."""
        if version not in self._versions:
            return 0
        lasts, counts = self._rows
        return counts[bisect_left(lasts, version)]

    def cut(self, version: int, nodes: int) -> None:
        """Note that the graph, which has this version, is taken back to so many nodes."""
        lasts, counts = self._rows
        kept = bisect_left(counts, nodes)
        self._rows = [*lasts[:kept], version], [*counts[:kept], nodes]
        self._versions.add(version)


@dataclass
class Watch:
    """What is asked of a graph, and which `older` versions it had.

    Values of the nodes before `checked` have been checked, whose records are the first `checked_records`.
    """

    immediate: bool = False
    check: bool = False
    checkpoints: list[Checkpoint] = field(default_factory=list)
    older: Older = field(default_factory=Older)
    checked: int = 0
    checked_records: int = 0

    def forget_arenas(self) -> None:
        """All values are forgotten: memory begins anew, and so do the checks."""
        for checkpoint in self.checkpoints:
            checkpoint.arena = None
        self.checked = self.checked_records = 0

    def check_values(self, graph: Graph) -> None:
        """Check the values that have been computed since the last time.

        Raises:
            NotFiniteError: one of them is infinite or NaN.
        """
        begin, number = self.checked_records, self.checked
        self.checked_records, self.checked, _ = graph.records.ends()
        for node in nodes_of(graph, begin, self.checked_records, number):
            for place in node.places:
                values = graph.values(place, node.dim.total)
                if not np.isfinite(values).all():
                    wrong = values[~np.isfinite(values)][0]
                    shapes = ", ".join(_shape(graph, operand) for operand in node.operands) or "none"
                    raise NotFiniteError(
                        f"{node.op}: node {place} of graph {graph.version()}, {node.dim!r}, holds {wrong}; "
                        f"its operands are {shapes}"
                    )


def _shape(graph: Graph, operand: int) -> str:
    if operand < 0:
        return f"parameter {PARAMETER_ROWS.names[-1 - operand]}"
    return repr(node_at(graph, operand).dim)


def watched(graph: Graph) -> Watch:
    """The watch of a graph, which has one from now on."""
    if graph.watch is None:
        graph.records.watch_values()
        graph.watch = Watch()
    return graph.watch


def watch_from_the_start(graph: Graph, immediate: bool, check: bool) -> None:
    """Have the nodes of a graph that is still empty computed at once, or checked."""
    graph.records.watch_values()
    graph.watch = Watch(immediate, check)
    graph.records.watch()


def checkpoint(graph: Graph) -> None:
    """Note how far a graph has got. What is recorded is computed first."""
    graph._compute()
    watch = watched(graph)
    length, nodes, inputs_length = graph.records.ends()
    watch.checkpoints.append(Checkpoint(length, nodes, inputs_length, graph.engine.arena_mark()))


def revert(graph: Graph) -> None:
    """Forget what was recorded since the last checkpoint, and the checkpoint.

    Expressions made since are stale from now on: what is recorded next has another version.

    Raises:
        ArgumentError: there is none.
    """
    graph.check_thread()
    watch, engine = watched(graph), graph.engine
    if not watch.checkpoints:
        raise ArgumentError(f"cg_revert: graph {graph.version()} has no checkpoint to go back to")
    last = watch.checkpoints[-1]
    graph.records.computed = min(graph.records.computed, (last.records, last.inputs))
    graph.records.differentiated = UNDIFFERENTIATED
    watch.checked = min(watch.checked, last.nodes)
    watch.checked_records = min(watch.checked_records, last.records)
    watch.older.cut(graph.records.version, last.nodes)
    graph.records.cut(last.nodes, last.records, last.inputs)
    watch.checkpoints.pop()
    if last.arena is not None and not engine.changing:
        engine.return_to(last.arena)
