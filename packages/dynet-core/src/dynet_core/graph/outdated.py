"""`OutdatedValues` finds the values of a graph that were computed from parameters before these changed.

A graph keeps its values until `renew_cg`. If parameters change before that, values computed from them are *outdated*.
`value()` returns outdated values. But a backward pass must not mix them with the present parameters: the result would
not be the gradient of any function. Only changes by the graph's own thread matter, because threads that train one model
together do not wait for each other.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from threading import get_ident

import numpy as np

from dynet_kernels.layout import NEEDS_GRADIENT, NODE

from ..compute.engine import Engine
from ..compute.parameter_rows import ParameterIdentity
from ..recorder import Records
from .nodes import decoded

MOST_GROUPS = 64  # once a graph has this many groups, it drops those unchanged since its first node was computed


class ParameterGroup:
    """Parameters that change together, and `last_change`: the value of `Records.changes` after their last change.

    `trainer_table`: a weak reference. While the table exists, compiled code may write `last_change`, at `address`.
    """

    __slots__ = ("_last_change", "address", "trainer_table", "parameters")

    def __init__(self, parameters: Sequence[ParameterIdentity]):
        self.parameters: Sequence[ParameterIdentity] = parameters
        self._last_change = np.zeros(1, np.int64)
        self.address: int = self._last_change.ctypes.data
        self.trainer_table: weakref.ref[object] | None = None

    @property
    def last_change(self) -> int:
        """The value of `Records.changes` after the last change of the parameters; 0 if there was none."""
        return int(self._last_change[0])

    @last_change.setter
    def last_change(self, change_count: int) -> None:
        self._last_change[0] = change_count

    def is_in_use(self) -> bool:
        """Return whether compiled code may still write to `address`."""
        return self.trainer_table is not None and self.trainer_table() is not None


class OutdatedValues:
    """Finds a graph's outdated values. `thread_id`, which trainers check: the graph's thread; 0 after it has ended."""

    __slots__ = ("_at_change", "_decoded", "_groups", "_operands", "_parameters", "_records", "_results", "thread_id")

    def __init__(self, records: Records):
        self._records = records
        self.thread_id: int = get_ident()
        self._groups: dict[int, ParameterGroup] = {}  # id(`ParameterGroup.parameters`) -> group
        # When `note_forward` last found a change: `Records.begun`, the new `seen`, and how many nodes had values.
        self._at_change = -1, -1, 0
        # Node -> its operands. `_decoded`: the graph's version, and how many integers of its records these cover.
        self._operands: list[tuple[int, ...]] = []
        self._parameters: set[int] = set()  # the operands in `_operands` that are parameters
        self._decoded = -1, 0
        # The state of the graph for which `backward_reads` has kept results, and (index, for_all_nodes) -> result.
        self._results: tuple[tuple[int, ...], dict[tuple[int, bool], bool]] = (), {}

    def note_change(self, parameters: Sequence[ParameterIdentity]) -> None:
        """Remember that these parameters change. They must be the same sequence object each time: see `group`."""
        self.group(parameters).last_change = self._records.note_change()

    def group(self, parameters: Sequence[ParameterIdentity]) -> ParameterGroup:
        """Return the group of these parameters. Groups are found by the `id` of the sequence object `parameters`."""
        groups, key = self._groups, id(parameters)
        if key not in groups:
            if len(groups) >= MOST_GROUPS:
                self._drop_unchanged_groups()
            groups[key] = ParameterGroup(parameters)
        return groups[key]

    def change_count_address(self) -> int:
        return self._records.changes_address()

    def _drop_unchanged_groups(self) -> None:
        """Drop groups that have not changed since the graph's first node was computed, except those in use."""
        records = self._records
        begun = records.begun if records.computed[0] else records.changes
        for key, group in [*self._groups.items()]:
            if group.last_change <= begun and not group.is_in_use():
                self._groups.pop(key, None)

    def note_forward(self) -> None:
        """Called before a forward pass. If parameters changed since the last one, note how many nodes have values."""
        records, changes = self._records, self._records.changes
        computed = records.computed[0]
        if not computed or records.seen != changes:
            if computed:
                self._at_change = records.begun, changes, self._computed_node_count()
            records.note_seen(changes, not computed)

    def _computed_node_count(self) -> int:
        records = self._records
        length, count, _ = records.ends()
        return count - sum(len(record.node_numbers) for record in decoded(records, records.computed[0], length))

    def _count_before_change(self) -> int:
        """Return how many nodes had been computed when parameters last changed."""
        records = self._records
        if records.seen != records.changes:
            return self._computed_node_count()
        begun, seen, count = self._at_change
        return count if (begun, seen) == (records.begun, records.seen) else 0

    def backward_reads(self, index: int, engine: Engine, for_all_nodes: bool) -> bool:
        """Return whether `Engine.backward` from node `index`, which has been computed, would read outdated values."""
        records = self._records
        if records.begun == records.changes or not records.computed[0]:
            return False
        graph_state = records.version, records.begun, records.changes, records.computed[0]
        if self._results[0] != graph_state:
            self._results = graph_state, {}
        results, question = self._results[1], (index, for_all_nodes)
        if question not in results:
            results[question] = self._reads_outdated(index, engine, for_all_nodes)
        return results[question]

    def _reads_outdated(self, index: int, engine: Engine, for_all_nodes: bool) -> bool:
        """Return whether the pass would read a value computed before a change and dependent on a changed parameter."""
        records = self._records
        groups = [group for group in [*self._groups.values()] if group.last_change > records.begun]
        changed_operands = {-1 - row for group in groups for parameter in group.parameters for row in parameter.rows}
        count_before, operands = self._count_before_change(), self._operands_of_nodes()
        stack, met_nodes, old_nodes = [index], {index}, []  # old: the value was computed before a change
        while stack:
            node = stack.pop()
            row = node * len(NODE)
            if not (for_all_nodes or engine.nodes[row + NODE.flags] & NEEDS_GRADIENT):
                continue
            if node < count_before and _has_own_value(engine, engine.nodes[row + NODE.value]):
                old_nodes.append(node)
                continue
            new_nodes = [operand for operand in operands[node] if operand >= 0 and operand not in met_nodes]
            met_nodes.update(new_nodes)
            stack += new_nodes
        met_nodes = set(old_nodes)
        while old_nodes:
            for operand in operands[old_nodes.pop()]:
                if operand in changed_operands:
                    return True
                if operand >= 0 and operand not in met_nodes:
                    met_nodes.add(operand)
                    old_nodes.append(operand)
        return False

    def graph_uses(self, parameter: ParameterIdentity) -> bool:
        self._operands_of_nodes()
        return not self._parameters.isdisjoint([-1 - row for row in parameter.rows])

    def _operands_of_nodes(self) -> list[tuple[int, ...]]:
        """Return the operands of each node."""
        records, version = self._records, self._records.version
        decoded_version, end = self._decoded
        if decoded_version != version:
            self._operands, self._parameters, end = [], set(), 0
        length = records.length
        for record in decoded(records, end, length, len(self._operands)):
            self._parameters.update([operand for operand in record.operands if operand < 0])
            for index in record.node_numbers:  # each part also depends on the part before it
                self._operands.append(
                    (index - 1, *record.operands) if index > record.node_numbers.start else record.operands
                )
        self._decoded = version, length
        return self._operands


def _has_own_value(engine: Engine, address: int) -> bool:
    """Return whether the value at `address` is in the arena. A lookup of one row has its value in the table instead."""
    return any(chunk.address <= address < chunk.address + chunk.floats for chunk in engine.chunks)
