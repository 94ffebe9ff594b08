"""Checkpoints of a graph, and the options `immediate_compute` and `check_validity` of `renew_cg`."""

from __future__ import annotations

from ..compute.engine import RENEWED_BESIDE
from ..errors import ArgumentError, StaleExpressionError
from .graph import Graph
from .watch import Checkpoint, Watch


def watch_of(graph: Graph) -> Watch:
    """Return the `Watch` of a graph. Create it if the graph has none yet."""
    watch = graph.watch  # read once, because a signal handler may call renew_cg, which sets it to None
    if watch is None:
        graph.records.watch_values()
        watch = graph.watch = Watch()
    return watch


def watch_from_the_start(graph: Graph, immediate: bool, check: bool) -> None:
    """Turn on options of `renew_cg` for a new graph, before any node is recorded."""
    graph.records.watch_values()
    graph.watch = Watch(immediate, check)
    graph.records.watch()


def checkpoint(graph: Graph) -> None:
    """Set a checkpoint at the current end of the graph, after computing all nodes recorded so far."""
    graph._compute()
    watch = watch_of(graph)
    length, nodes, inputs_length = graph.records.ends()
    watch.checkpoints.append(Checkpoint(length, nodes, inputs_length, graph.engine.arena_mark()))


def revert(graph: Graph) -> None:
    """Remove the last checkpoint and all nodes recorded after it; raise ArgumentError if there is no checkpoint."""
    graph.check_thread()
    version = graph.records.version
    watch, engine = watch_of(graph), graph.engine
    last = watch.checkpoints[-1] if watch.checkpoints else None
    if last is None:
        raise ArgumentError(f"cg_revert: graph {graph.version()} has no checkpoint to go back to")
    watch.checked = min(watch.checked, last.nodes)
    watch.checked_records = min(watch.checked_records, last.records)
    watch.past_versions.cut(graph.records, version, last.nodes)
    after = graph.records.cut(version, last.nodes, last.records, last.inputs)
    if not after:
        raise StaleExpressionError(f"cg_revert: {RENEWED_BESIDE}")
    # On one line, on which no handler can run: one may have called cg_revert before.
    if watch.checkpoints and watch.checkpoints[-1] is last: watch.checkpoints.pop()  # fmt: skip  # noqa: E701
    if last.arena is not None and not engine.changing:
        engine.return_to(after, last.records, last.arena)
