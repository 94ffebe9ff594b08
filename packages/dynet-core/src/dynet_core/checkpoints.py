"""Checkpoints of a graph, immediate computation, and checks for infinite values."""

from __future__ import annotations

from .errors import ArgumentError
from .graph import UNDIFFERENTIATED, Graph
from .watch import Checkpoint, Watch


def watch_of(graph: Graph) -> Watch:
    """Return the watch of a graph. Create it if there is none."""
    if graph.watch is None:
        graph.records.watch_values()
        graph.watch = Watch()
    return graph.watch


def watch_from_the_start(graph: Graph, immediate: bool, check: bool) -> None:
    """Compute the nodes of a still empty graph as they are recorded, check their values, or both."""
    graph.records.watch_values()
    graph.watch = Watch(immediate, check)
    graph.records.watch()


def checkpoint(graph: Graph) -> None:
    """Set a checkpoint at the current end of the graph. Nodes recorded so far are computed first."""
    graph._compute()
    watch = watch_of(graph)
    length, nodes, inputs_length = graph.records.ends()
    watch.checkpoints.append(Checkpoint(length, nodes, inputs_length, graph.engine.arena_mark()))


def revert(graph: Graph) -> None:
    """Remove the last checkpoint and all nodes recorded after it. Their expressions become stale.

    Raises:
        ArgumentError: there is no checkpoint.
    """
    graph.check_thread()
    watch, engine = watch_of(graph), graph.engine
    if not watch.checkpoints:
        raise ArgumentError(f"cg_revert: graph {graph.version()} has no checkpoint to go back to")
    last = watch.checkpoints[-1]
    graph.records.computed = min(graph.records.computed, (last.records, last.inputs))
    graph.records.differentiated = UNDIFFERENTIATED
    watch.checked = min(watch.checked, last.nodes)
    watch.checked_records = min(watch.checked_records, last.records)
    watch.past_versions.cut(graph.records.version, last.nodes)
    graph.records.cut(last.nodes, last.records, last.inputs)
    watch.checkpoints.pop()
    if last.arena is not None and not engine.changing:
        engine.return_to(last.arena)
