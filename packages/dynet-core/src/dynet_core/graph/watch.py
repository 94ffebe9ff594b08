"""`Watch`: what a graph has if it has checkpoints, checks its values, or computes nodes immediately."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from ..annotations import Floats
from ..compute.parameter_rows import PARAMETER_ROWS
from ..errors import NotFiniteError
from ..recorder import Records
from .nodes import node_at, nodes_of


@dataclass
class Checkpoint:
    """The size of a graph when a checkpoint was set: integers of records, nodes, and input values.

    `arena` is how much memory its values took, for `Engine.return_to`; None if they have been discarded since.
    """

    records: int
    nodes: int
    inputs: int
    arena: tuple[int, int] | None


class PastVersions:
    """For each `cg_revert`: the version that the graph had before it, and how many nodes from that time still exist.

    `cg_revert` gives the graph a new version. Expressions of the remaining nodes still hold the old one and stay valid.
    """

    def __init__(self):
        self._versions: set[int] = set()
        # Two ascending lists: versions, and how many of their nodes still exist. Consecutive versions with the same
        # count share one entry, with the last of these versions.
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
        """Remember that `cg_revert` ends `version`, and removes all but the first `nodes` nodes.

        A signal handler may call this method, too, at any line of it. Then the graph has a different version.
        """
        while records.version == version and (version not in self._versions or self.count(version) > nodes):
            rows = lasts, counts = self._rows
            kept = bisect_left(counts, nodes)
            new = [*lasts[:kept], version], [*counts[:kept], nodes]
            # No handler can run after this line has read the version.
            if records.version == version and self._rows is rows: self._rows = new; self._versions.add(version)  # fmt: skip  # noqa: E501, E701, E702


@dataclass
class Watch:
    """The checkpoints of a graph (the newest last), its options, and how far values are checked.

    `immediate` and `check` are the options `immediate_compute` and `check_validity` of `renew_cg`. `checked` nodes have
    been checked, whose records have `checked_records` integers.
    """

    immediate: bool = False
    check: bool = False
    checkpoints: list[Checkpoint] = field(default_factory=list)
    past_versions: PastVersions = field(default_factory=PastVersions)
    checked: int = 0
    checked_records: int = 0

    def forget_arenas(self) -> None:
        """Forget how much memory the checkpoints' values took and which are checked: they are being discarded."""
        for checkpoint in self.checkpoints:
            checkpoint.arena = None
        self.checked = self.checked_records = 0

    def check_values(self, recorded: Records, values_of: Callable[[int, int], Floats]) -> None:
        """Raise NotFiniteError if a value computed since the last call is infinite or NaN.

        `values_of` returns the value of a node, given its number and how many elements it has.
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
