"""`PinnedGraph`: a graph to which Python code appends records, as long as the graph keeps its version.

A *record* is a call of an op as the graph stores it: integers for its signature (how to compute it), its operands and
its attributes. A graph's *version* is a number that changes when `renew_cg` or `cg_revert` removes nodes.
"""

from __future__ import annotations

from collections.abc import Sequence

from . import recorder
from .annotations import Array
from .dim import Dim
from .errors import StaleExpressionError
from .expression import Expression
from .graph import OTHER_THREAD, Graph, current, is_gone, is_taken_back
from .recorder import commit, take
from .signature import Signature


class PinnedGraph:
    """A graph together with its present version, for Python code that appends records (calls of ops) to it.

    While Python prepares a record, methods of the user's objects and signal handlers may run and call `renew_cg`.
    Appending then raises StaleExpressionError, instead of adding the record to the new graph.
    """

    __slots__ = ("graph", "version")

    graph: Graph
    version: int

    def __init__(self, graph: Graph):
        self.graph, self.version = graph, graph.records.version

    @classmethod
    def as_of(cls, graph: Graph, version: int, places: Sequence[int] = ()) -> PinnedGraph:
        """Return a PinnedGraph, for code that stored node numbers (`places`) when the graph's version was `version`.

        The PinnedGraph can append nodes until the graph's present version changes.

        Raises:
            StaleExpressionError: `renew_cg` or `cg_revert` has removed these nodes, or the graph is another thread's.
        """
        pinned_graph = cls(graph)
        if version != pinned_graph.version:
            if graph.watch is None or not graph._had_version(version):
                raise StaleExpressionError(is_gone(version))
            if any(place >= graph.watch.past_versions.count(version) for place in places):
                raise StaleExpressionError(is_taken_back(version))
        graph.check_thread()
        return pinned_graph

    def append(self, signature: Signature, integers: Sequence[int]) -> Expression:
        """Append a record (a call of an op) to the graph and return an expression for its last node.

        Args:
            signature: says how the nodes are computed.
            integers: the operands as numbers, then the attributes. The caller has checked the operands.
        """
        return self.add(signature.dim, signature.nodes(integers), (signature.at,), integers)

    def add(self, dim: Dim, nodes: int, head: tuple[int, ...], integers: Sequence[int]) -> Expression:
        """Append a record (a call of an op) that adds several nodes, and return an expression for the last one.

        Args:
            dim: the shape of the last node.
            nodes: the number of nodes.
            head: the first integers of the record, which begin with the index of its signature.
            integers: the record's further integers: operands, then attributes. The caller has checked the operands.
        """
        node = commit(dim, nodes, head, integers, self.version)
        if node is None:
            raise StaleExpressionError(f"while an operation was recorded, its graph has become stale: {self._gone()}")
        graph = self.graph
        if graph.watch is not None and graph.watch.immediate:
            graph._compute_new()
        return node

    def _gone(self) -> str:
        return OTHER_THREAD if self.graph is not current() else is_gone(self.version)

    def node(self, number: int, dim: Dim) -> Expression:
        """Return an expression for the node with this number, whose shape is `dim`.

        Raises:
            StaleExpressionError: the graph's version has changed.
        """
        node = recorder.handle(number, dim)
        if node.version != self.version:
            raise StaleExpressionError(self._gone())
        return node

    def take(self, values: Sequence[float]) -> int:
        """Append numbers to the graph's buffer of input values, and return their position there."""
        return take(tuple(values))

    def take_array(self, values: Array) -> int:
        """Append a float32 array, column-major, to the graph's buffer of input values. Return its position there."""
        return self.graph.records.take(values)


def pinned() -> PinnedGraph:
    """Return a PinnedGraph of this thread's graph. Records can be appended to it until the graph's version changes."""
    return PinnedGraph(current())
