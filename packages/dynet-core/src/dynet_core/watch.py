"""The state of a graph that has checkpoints, checks its values or computes nodes at once."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from .annotations import Array
from .errors import NotFiniteError
from .nodes import node_at, nodes_of
from .parameter_rows import PARAMETER_ROWS
from .recorder import Records


@dataclass
class Checkpoint:
    """The size of a graph at a checkpoint: record integers, nodes and input values.

    `arena` is the mark for `Engine.return_to`, or None if the arena has been emptied since.
    """

    records: int
    nodes: int
    inputs: int
    arena: tuple[int, int] | None


class PastVersions:
    """The versions that a graph had before each `cg_revert`, and how many of their nodes still exist.

    Nodes of past versions that precede the checkpoint stay valid.
    """

    def __init__(self):
        self._versions: set[int] = set()
        # Consecutive versions with the same count share an entry: the last version of each, and the counts, ascending.
        self._rows: tuple[list[int], list[int]] = [], []

    def __contains__(self, version: int) -> bool:
        return version in self._versions

    def count(self, version: int) -> int:
        """Return how many of a version's nodes still exist."""
        if version not in self._versions:
            return 0
        lasts, counts = self._rows
        return counts[bisect_left(lasts, version)]

    def cut(self, version: int, nodes: int) -> None:
        """Note that the graph, now at `version`, is cut to its first `nodes` nodes."""
        lasts, counts = self._rows
        kept = bisect_left(counts, nodes)
        self._rows = [*lasts[:kept], version], [*counts[:kept], nodes]
        self._versions.add(version)


@dataclass
class Watch:
    """What a graph does besides recording and running.

    Args:
        immediate: compute each node when it is recorded.
        check: check all values for infinities and NaN.
        checkpoints: the open checkpoints, the newest last.
        past_versions: the versions before each `cg_revert`.
        checked: the number of nodes whose values have been checked.
        checked_records: the number of record integers of these nodes.
    """

    immediate: bool = False
    check: bool = False
    checkpoints: list[Checkpoint] = field(default_factory=list)
    past_versions: PastVersions = field(default_factory=PastVersions)
    checked: int = 0
    checked_records: int = 0

    def forget_arenas(self) -> None:
        """Forget the arena marks and the checks, because all values are about to be discarded."""
        for checkpoint in self.checkpoints:
            checkpoint.arena = None
        self.checked = self.checked_records = 0

    def check_values(self, recorded: Records, values_of: Callable[[int, int], Array]) -> None:
        """Check the values that have been computed since the last call.

        Args:
            values_of: returns the value of a node, given its number and the count of its elements.

        Raises:
            NotFiniteError: a value is infinite or NaN.
        """
        begin, number = self.checked_records, self.checked
        self.checked_records, self.checked, _ = recorded.ends()
        for node in nodes_of(recorded, begin, self.checked_records, number):
            for place in node.places:
                values = values_of(place, node.dim.total)
                if not np.isfinite(values).all():
                    wrong = values[~np.isfinite(values)][0]
                    shapes = ", ".join(_shape(recorded, operand) for operand in node.operands) or "none"
                    raise NotFiniteError(
                        f"{node.op}: node {place} of graph {recorded.version}, {node.dim!r}, holds {wrong}; "
                        f"its operands are {shapes}"
                    )


def _shape(recorded: Records, operand: int) -> str:
    if operand < 0:
        return f"parameter {PARAMETER_ROWS.names[-1 - operand]}"
    node = node_at(recorded, operand)
    assert node is not None
    return repr(node.dim)
