"""Computation graphs: their nodes and expressions, and how ops append nodes."""

from .graph import OTHER_THREAD, Graph, Watch, current, gone_message, graph_of_node, refuse

__all__ = ["OTHER_THREAD", "Graph", "Watch", "current", "graph_of_node", "gone_message", "refuse"]
