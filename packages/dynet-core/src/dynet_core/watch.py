"""What a graph that is more than recorded and run keeps for it: checkpoints, and which values have been checked."""

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
    """How far a graph has got: integers of records, nodes, inputs, and the arena (None: not to be returned to)."""

    records: int
    nodes: int
    inputs: int
    arena: tuple[int, int] | None


class Older:
    """The versions that a graph had before it was taken back, and how many of their nodes there still are."""

    def __init__(self):
        self._versions: set[int] = set()
        # Versions in a row may have the same count: the last of each such row, and the counts, which grow.
        self._rows: tuple[list[int], list[int]] = [], []

    def __contains__(self, version: int) -> bool:
        return version in self._versions

    def count(self, version: int) -> int:
        """How many of a version's nodes there still are."""
        if version not in self._versions:
            return 0
        lasts, counts = self._rows
        return counts[bisect_left(lasts, version)]

    def cut(self, version: int, nodes: int) -> None:
        """Note that the graph, which has this version, is taken back to so many nodes."""
        lasts, counts = self._rows
        kept = bisect_left(counts, nodes)
        self._rows = [*lasts[:kept], version], [*counts[:kept], nodes]
        self._versions.add(version)


@dataclass
class Watch:
    """What is asked of a graph, and which `older` versions it had.

    Values of the nodes before `checked` have been checked, whose records are the first `checked_records`.
    """

    immediate: bool = False
    check: bool = False
    checkpoints: list[Checkpoint] = field(default_factory=list)
    older: Older = field(default_factory=Older)
    checked: int = 0
    checked_records: int = 0

    def forget_arenas(self) -> None:
        """All values are forgotten: memory begins anew, and so do the checks."""
        for checkpoint in self.checkpoints:
            checkpoint.arena = None
        self.checked = self.checked_records = 0

    def check_values(self, recorded: Records, values_of: Callable[[int, int], Array]) -> None:
        """Check the values that have been computed since the last time.

        Args:
            values_of: gives the numbers of a node, of its place and their count.

        Raises:
            NotFiniteError: one of them is infinite or NaN.
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
