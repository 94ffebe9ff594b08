"""`Outdated`: which values of a graph were computed before parameters changed.

A graph keeps its values until `renew_cg`. If an update changes parameters in between, values of nodes that depend on
them are *outdated*. `value()` returns them as they are. A backward pass must not mix them with the present parameters:
the result would be the gradient of no function. Only changes by the graph's own thread count: threads that train one
model together do not wait for each other.
"""

from __future__ import annotations

from dynet_kernels import layout as at

from .engine import Engine
from .nodes import nodes_of
from .recorder import MIXED, Records


class Outdated:
    """Knows which values of a graph are outdated.

    Args:
        records: the records of the graph.
    """

    __slots__ = ("_noted", "_records")

    def __init__(self, records: Records):
        self._records = records
        # What `note` has found: the graph's version, the number of changes of parameters, and the two counts that
        # `_counts` returns. It holds as long as neither of the first two has changed.
        self._noted = -1, -1, 0, 0

    def note(self) -> None:
        """Remember, before further nodes are computed, which of the present values are outdated."""
        records, version, now = self._records, self._records.version, self._records.changes
        integers, nodes = self._counts()
        if integers:
            self._noted = version, now, integers, nodes
            records.seen = MIXED
        elif not records.computed[0]:
            records.seen = now

    def _counts(self) -> tuple[int, int]:
        """Return how many integers of the records, and how many nodes, were computed before parameters changed."""
        records, now = self._records, self._records.changes
        computed, seen = records.computed[0], records.seen
        if not computed or seen == now:
            return 0, 0
        version, noted, integers, nodes = self._noted
        if seen == MIXED and (version, noted) == (records.version, now):
            return integers, nodes
        length, count, _ = records.ends()
        return computed, count - sum(len(node.all) for node in nodes_of(records, computed, length))

    def reached(self, place: int, engine: Engine) -> bool:
        """Return whether node `place` may depend on an outdated value.

        Nodes that were computed later are not told apart: if one of them depends on such a value, all count.

        Args:
            place: the number of the node from which a backward pass is to start.
            engine: the engine that has computed the values.
        """
        integers, count = self._counts()
        if place < count:
            return _depends_on_parameters(engine, place)
        return integers > 0 and any(
            0 <= operand < count and _depends_on_parameters(engine, operand)
            for node in nodes_of(self._records, integers, None, count)
            for operand in node.operands
        )


def _depends_on_parameters(engine: Engine, place: int) -> bool:
    """Return whether a node has a value of its own that was computed from parameters which are trained.

    A lookup has none: its value is in the memory of the lookup parameter.
    """
    row = place * len(at.NODE)
    address = engine.nodes[row + at.NODE.value]
    is_own = any(chunk.address <= address < chunk.address + chunk.floats for chunk in engine.chunks)
    return is_own and bool(engine.nodes[row + at.NODE.flags] & at.NEEDS_GRADIENT)
