"""Computation graphs: their nodes and expressions, and how ops append nodes."""

from .graph import OTHER_THREAD, Graph, Watch, current, graph_of_node, is_gone, refuse

__all__ = ["OTHER_THREAD", "Graph", "Watch", "current", "graph_of_node", "is_gone", "refuse"]
