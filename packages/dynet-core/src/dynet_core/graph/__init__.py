"""The graph of a thread: its nodes and expressions, how ops record them, checkpoints, and values that are outdated."""

from .graph import (
    OTHER_THREAD,
    Graph,
    current,
    graph_of_node,
    has_no_node,
    is_gone,
    is_taken_back,
    refuse,
    renew,
    thread,
)

__all__ = [
    "OTHER_THREAD", "Graph", "current", "graph_of_node", "has_no_node", "is_gone", "is_taken_back", "refuse", "renew",
    "thread",
]  # fmt: skip
