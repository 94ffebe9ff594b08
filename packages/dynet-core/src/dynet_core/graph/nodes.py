"""Decode the records of a graph into `DecodedRecord` objects, for code that checks, prints or draws the graph."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from dynet_kernels.layout import ALIAS, APART, INPUT

from ..dim import Dim
from ..recorder import Records
from ..signature import SIGNATURES, Signature, bounds, node_count

LOOKUPS: set[Signature] = set()
"""The signatures of lookups, which `parameter.lookup` adds. A lookup's attributes are the row numbers."""
KIND_NAMES = {ALIAS: "part", APART: "part", INPUT: "input"}  # the `op_name` of a record whose signature has no name


@dataclass(frozen=True)
class DecodedRecord:
    """A decoded record. Most records have one node; that of a recurrent network has many.

    `at`: the signature, an index in TABLE. Operands: node numbers, or -1 minus a parameter's row. `attributes_start`:
    first attribute's index in all records.
    """

    node_numbers: range
    at: int
    operands: tuple[int, ...]
    attributes: tuple[int, ...]
    attributes_start: int

    @property
    def signature(self) -> Signature:
        return SIGNATURES[self.at]

    @property
    def visible_nodes(self) -> range:
        """The numbers of the nodes that expressions can refer to."""
        return self.node_numbers[1:] if self.signature.repeats else self.node_numbers[-1:]

    @property
    def op_name(self) -> str:
        signature = self.signature
        return signature.name or KIND_NAMES.get(signature.kind, "") or signature.kernel.removeprefix("column_")

    @property
    def dim(self) -> Dim:
        return self.signature.dim


def decoded(graph_records: Records, begin: int = 0, end: int | None = None, node: int = 0) -> Iterator[DecodedRecord]:
    """Decode the records in the integers from `begin` to `end` - 1. Their first node is number `node`."""
    records, position = graph_records.integers(begin, end), 0
    while position < len(records):
        at, (first_operand, first_attribute, record_end) = records[position], bounds(records, position)
        count = node_count(at, records[position + 1 : first_operand])
        operands, attributes = tuple(records[first_operand:first_attribute]), tuple(records[first_attribute:record_end])
        yield DecodedRecord(range(node, node + count), at, operands, attributes, begin + first_attribute)
        position, node = record_end, node + count


def record_of(graph_records: Records, index: int) -> DecodedRecord | None:
    """Return the record of node `index`; None if no expression can refer to this node, or it does not exist."""
    return next((record for record in decoded(graph_records) if index in record.visible_nodes), None)


@dataclass(slots=True)
class SettableNodes:
    """The nodes that `set` and `set_index` can change, by their numbers. Valid for one version of a graph.

    `input_starts`: number of an input -> offset of its values in the input buffer. `selections`: number of a lookup or
    pick -> its record when found. They cover the first `searched_nodes` nodes, of `searched_integers` record integers.
    """

    version: int
    searched_integers: int = 0
    searched_nodes: int = 0
    input_starts: dict[int, int] = field(default_factory=dict)
    selections: dict[int, DecodedRecord] = field(default_factory=dict)

    def up_to(self, graph_records: Records, index: int) -> SettableNodes:
        """Return the settable nodes of the graph's present version, up to node `index` or further.

        They are searched for when needed, not collected while recording, because few programs set values.
        """
        version = graph_records.version
        valid = self if self.version == version else SettableNodes(version)
        if index < valid.searched_nodes:
            return valid
        length, nodes, _ = graph_records.ends()
        extended = SettableNodes(version, length, nodes, {**valid.input_starts}, {**valid.selections})
        try:
            for record in decoded(graph_records, valid.searched_integers, length, valid.searched_nodes):
                if record.signature.kind == INPUT:
                    extended.input_starts[record.node_numbers[0]] = record.attributes[0]
                elif record.signature in LOOKUPS or record.signature.choices:
                    extended.selections[record.node_numbers[0]] = record
        except (KeyError, IndexError):  # the records are gone: a signal handler called `renew_cg`
            if graph_records.version == version:
                raise
            return SettableNodes(version)
        return extended
