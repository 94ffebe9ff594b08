"""`PinnedGraph`: a graph to which Python code appends records, as long as the graph keeps its version."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .. import recorder
from ..annotations import Floats, Number
from ..dim import Dim
from ..errors import StaleExpressionError
from ..recorder import commit, commit_with_inputs, take, take_keyed
from ..signature import SIGNATURES, Signature
from .expression import Expression
from .graph import OTHER_THREAD, Graph, current, is_gone, is_taken_back


class PinnedGraph:
    """A graph together with its present version, for Python code that appends records (calls of ops) to it.

    While Python prepares a record, methods of the user's objects and signal handlers may run and call `renew_cg`.
    Appending then raises StaleExpressionError, instead of adding the record to the new graph. They may also compute the
    graph after `take` has appended input values, and before a record refers to them. Such a pass is over these values,
    and the next one begins behind them. Then appending takes the values again, for the record to refer to.
    """

    __slots__ = ("_taken", "graph", "version")

    _taken: tuple[int, Callable[[Any], int], Any] | None
    graph: Graph
    version: int

    def __init__(self, graph: Graph):
        self.graph, self.version = graph, graph.records.version
        self._taken = None  # the input values of the next record: where they are, and how they are taken

    @classmethod
    def as_of(cls, graph: Graph, version: int, places: Sequence[int] = ()) -> PinnedGraph:
        """Return a PinnedGraph for code that stored node numbers (`places`) when the graph had this version.

        Raise StaleExpressionError if these nodes have been removed, or the graph is another thread's.
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
        """Append a record (checked operands as numbers, then attributes) and return an expression for its last node."""
        return self.add(signature.dim, signature.nodes(integers), (signature.at,), integers)

    def add(self, dim: Dim, nodes: int, head: tuple[int, ...], integers: Sequence[int]) -> Expression:
        """Append a record and return an expression for its last node. `head` begins with the index of the signature."""
        if self._taken is None:
            node = commit(dim, nodes, head, integers, self.version)
        else:
            node = self._commit_with_inputs(dim, nodes, head, integers)
        if node is None:
            raise StaleExpressionError(f"while an operation was recorded, its graph has become stale: {self._gone()}")
        graph = self.graph
        if graph.watch is not None and graph.watch.immediate:
            graph._compute_new()
        return node

    def _commit_with_inputs(self, dim: Dim, nodes: int, head: tuple[int, ...], integers: Sequence[int]) -> Any:
        """Append a record that refers to the input values taken last. Return the same as `commit`."""
        while True:
            start, take_again, values = self._taken  # type: ignore[misc]  # `add` calls this if there are such values
            node = commit_with_inputs(self.graph.records, start, dim, nodes, head, integers, self.version)
            if node is not False:
                self._taken = None
                return node
            record, moved = [*head, *integers], self._take(take_again, values) - start
            signature = SIGNATURES[head[0]]
            _, first, _ = signature.bounds(record)
            for place in range(first, first + signature.constants):
                record[place] += moved
            integers = record[len(head) :]

    def rewrite(self, start: int, integers: Sequence[int]) -> None:
        """Overwrite integers of a record from integer `start` on. Forget all values if the old ones have been used.

        A signal handler may compute values at any line, so this writes only where the record has no value at that
        moment.
        """
        records = self.graph.records
        while not records.rewrite(self.version, start, integers):
            if records.version != self.version:
                raise StaleExpressionError(is_gone(self.version))
            if records.computed[0] > start:
                self.graph.invalidate()

    def _gone(self) -> str:
        return OTHER_THREAD if self.graph is not current() else is_gone(self.version)

    def node(self, number: int, dim: Dim) -> Expression:
        """Return an expression for a node; raise StaleExpressionError if the graph's version has changed."""
        node = recorder.handle(number, dim)
        if node.version != self.version:
            raise StaleExpressionError(self._gone())
        return node

    def take(self, values: Sequence[float]) -> int:
        """Append numbers to the graph's buffer of input values, and return their position there.

        At most one of this method and the next two is called for a record, just before it is appended.
        """
        return self._take(take, tuple(values))

    def take_array(self, values: Floats) -> int:
        """Append a float32 array, column-major, as `take` does."""
        return self._take(self.graph.records.take, values)

    def take_keyed(self, numbers: Sequence[Number]) -> int:
        """Append a new random key, and then numbers, as `take` does. Return the position of the key."""
        return self._take(take_keyed, tuple(numbers))

    def _take(self, take: Callable[[Any], int], values: Any) -> int:
        start = take(values)
        self._taken = start, take, values
        return start


def pinned() -> PinnedGraph:
    """Return a PinnedGraph of this thread's graph."""
    return PinnedGraph(current())
