"""Graphs that are more than recorded and run: computed at once, checked, or taken back to a checkpoint."""

from __future__ import annotations

from .errors import ArgumentError
from .graph import UNDIFFERENTIATED, Graph
from .watch import Checkpoint, Watch


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
