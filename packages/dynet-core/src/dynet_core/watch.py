"""`Watch`: an object that a graph has if it has checkpoints, checks its values, or computes nodes at once.

With the option `immediate_compute` of `renew_cg`, each node is computed as soon as it is recorded.

The *records* of a graph are the integers that store its nodes.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from .annotations import Floats
from .errors import NotFiniteError
from .nodes import node_at, nodes_of
from .parameter_rows import PARAMETER_ROWS
from .recorder import Records


@dataclass
class Checkpoint:
    """The size of a graph when a checkpoint was set, for `cg_revert`.

    Args:
        records: the number of integers in its records.
        nodes: the number of its nodes.
        inputs: the number of its input values.
        arena: how much memory its values took, for `Engine.return_to`; None if the values have been discarded since.
    """

    records: int
    nodes: int
    inputs: int
    arena: tuple[int, int] | None


class PastVersions:
    """For each `cg_revert`: the version that the graph had before it, and how many nodes from that time still exist.

    `cg_revert` removes nodes and gives the graph a new version. Expressions of the remaining nodes still hold the old
    version and stay valid, so the graph has to remember this version.
    """

    def __init__(self):
        self._versions: set[int] = set()
        # Two parallel lists, both in ascending order: versions, and how many nodes of the graph at each version still
        # exist. Consecutive versions with the same count share one entry, with the last of these versions.
        self._rows: tuple[list[int], list[int]] = [], []

    def __contains__(self, version: int) -> bool:
        return version in self._versions

    def count(self, version: int) -> int:
        """Return how many nodes of the graph at this version still exist; 0 if no `cg_revert` ended this version."""
        if version not in self._versions:
            return 0
        lasts, counts = self._rows
        return counts[bisect_left(lasts, version)]

    def cut(self, records: Records, version: int, nodes: int) -> None:
        """Remember that `cg_revert` ends the graph's version `version`, and removes all but the first `nodes` nodes.

        A signal handler may call this method, too, at any line of it. Then the graph has another version.
        """
        while records.version == version and (version not in self._versions or self.count(version) > nodes):
            rows = lasts, counts = self._rows
            kept = bisect_left(counts, nodes)
            new = [*lasts[:kept], version], [*counts[:kept], nodes]
            # No handler can run after this line has read the version.
            if records.version == version and self._rows is rows: self._rows = new; self._versions.add(version)  # fmt: skip  # noqa: E501, E701, E702


@dataclass
class Watch:
    """The checkpoints of a graph, the options `immediate_compute` and `check_validity`, and how far values are checked.

    Args:
        immediate: whether each node is computed as soon as it is recorded.
        check: whether all values are checked for infinities and NaN.
        checkpoints: the checkpoints that `cg_revert` can return to, the newest last.
        past_versions: the version that the graph had before each `cg_revert`.
        checked: how many nodes have been checked so far.
        checked_records: how many integers the records of these nodes have.
    """

    immediate: bool = False
    check: bool = False
    checkpoints: list[Checkpoint] = field(default_factory=list)
    past_versions: PastVersions = field(default_factory=PastVersions)
    checked: int = 0
    checked_records: int = 0

    def forget_arenas(self) -> None:
        """Set the checkpoints' `arena` to None, and let all values be checked again: they are being discarded."""
        for checkpoint in self.checkpoints:
            checkpoint.arena = None
        self.checked = self.checked_records = 0

    def check_values(self, recorded: Records, values_of: Callable[[int, int], Floats]) -> None:
        """Look for infinities and NaN in the values that have been computed since the last call.

        Args:
            recorded: the records of the graph.
            values_of: a function that returns the value of a node, given its number and how many elements it has.

        Raises:
            NotFiniteError: a value is infinite or NaN.
        """
        begin, number = self.checked_records, self.checked
        self.checked_records, self.checked, _ = recorded.ends()
        if self.checked_records < begin:
            return  # a signal handler has renewed the graph
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
