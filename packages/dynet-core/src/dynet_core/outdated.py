"""`Outdated`: which values of a graph were computed before parameters changed.

A graph keeps its values until `renew_cg`. If an update changes parameters in between, values that were computed from
them are *outdated*. `value()` returns them as they are. A backward pass must not mix them with the present parameters:
the result would be the gradient of no function.

Only changes by the graph's own thread count: threads that train one model together do not wait for each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from dynet_kernels import layout as at

from .engine import Engine
from .nodes import nodes_of
from .recorder import Records

MOST_NOTED = 64  # if more groups of parameters than this have changed, those that changed before the graph are dropped


class Changed(Protocol):
    """A parameter that has changed."""

    rows: list[int]
    """The numbers of its rows in PARAMETER_ROWS, by which records refer to it."""


class Outdated:
    """Knows which values of a graph are outdated.

    Args:
        records: the records of the graph.
    """

    __slots__ = ("_changed", "_noted", "_operands", "_read", "_records")

    def __init__(self, records: Records):
        self._records = records
        # Groups of parameters that have changed: the group's id -> (`Records.changes` after the change, the group).
        self._changed: dict[int, tuple[int, Sequence[Changed]]] = {}
        # `begun` and `seen` when `note` last found a change, and how many nodes had been computed before this change.
        self._noted = -1, -1, 0
        # The operands of each node that has been read so far. `_read` is the graph's version at that time, and how many
        # integers of its records have been read.
        self._operands: list[tuple[int, ...]] = []
        self._read = -1, 0

    def note_change(self, parameters: Sequence[Changed]) -> None:
        """Remember that values of these parameters change. The caller passes the same object each time."""
        changed = self._changed
        if len(changed) >= MOST_NOTED:
            for key, (count, _) in [*changed.items()]:
                if count <= self._records.begun:
                    changed.pop(key, None)
        changed[id(parameters)] = self._records.note_change(), parameters

    def note(self) -> None:
        """Remember, before further nodes are computed, which nodes have been computed before a change."""
        records, now = self._records, self._records.changes
        computed = records.computed[0]
        if computed and records.seen != now:
            self._noted = records.begun, now, self._computed_nodes()
        if not computed or records.seen != now:
            records.note_seen(now, not computed)

    def _computed_nodes(self) -> int:
        records = self._records
        length, count, _ = records.ends()
        return count - sum(len(node.all) for node in nodes_of(records, records.computed[0], length))

    def _before_change(self) -> int:
        """Return how many nodes were computed before the last change."""
        records = self._records
        if records.seen != records.changes:
            return self._computed_nodes()
        begun, seen, count = self._noted
        return count if (begun, seen) == (records.begun, records.seen) else 0

    def reached(self, place: int, engine: Engine, everything: bool) -> bool:
        """Return whether a backward pass from node `place` would read an outdated value.

        Args:
            place: the number of the node, which has been computed.
            engine: the engine that has computed the values.
            everything: whether the pass is for all nodes, also for those that depend on no parameter that is trained.
        """
        records = self._records
        if records.begun == records.changes or not records.computed[0]:
            return False
        groups = [group for count, group in self._changed.values() if count > records.begun]
        changed = {-1 - row for group in groups for parameter in group for row in parameter.rows}
        before, operands = self._before_change(), self._operands_of_all()
        stack, met, old = [place], {place}, []
        while stack:
            number = stack.pop()
            row = number * len(at.NODE)
            if not (everything or engine.nodes[row + at.NODE.flags] & at.NEEDS_GRADIENT):
                continue
            if number < before and _has_own_value(engine, engine.nodes[row + at.NODE.value]):
                old.append(number)
                continue
            new = [operand for operand in operands[number] if operand >= 0 and operand not in met]
            met.update(new)
            stack += new
        met = set(old)
        while old:
            for operand in operands[old.pop()]:
                if operand in changed:
                    return True
                if operand >= 0 and operand not in met:
                    met.add(operand)
                    old.append(operand)
        return False

    def _operands_of_all(self) -> list[tuple[int, ...]]:
        """Return the operands of each node: numbers of nodes, or -1 minus the row of a parameter."""
        records, version = self._records, self._records.version
        known, end = self._read
        if known != version:
            self._operands, end = [], 0
        length = records.length
        for node in nodes_of(records, end, length, len(self._operands)):
            for number in node.all:  # a node of a record may read those before it
                self._operands.append((number - 1, *node.operands) if number > node.all.start else node.operands)
        self._read = version, length
        return self._operands


def _has_own_value(engine: Engine, address: int) -> bool:
    """Return whether a value is in the memory for values. A lookup's value is in the lookup parameter's memory."""
    return any(chunk.address <= address < chunk.address + chunk.floats for chunk in engine.chunks)
