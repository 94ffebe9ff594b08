"""Decode the records of a graph into `DecodedRecord` objects, for code that checks, prints or draws the graph."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from dynet_kernels.layout import ALIAS, APART, INPUT

from ..dim import Dim
from ..recorder import Records
from ..signature import SIGNATURES, Signature

LOOKUPS: set[Signature] = set()
"""The signatures of lookups, which `parameter.lookup` adds. Their attributes are row numbers."""
PICKS: dict[Signature, tuple[int, bool]] = {}
"""The signatures of picks, which `dynet_ops` adds -> the number of elements to pick from, and whether each batch
element has its own index. Their attributes are element indices."""
KINDS = {ALIAS: "part", APART: "part", INPUT: "input"}


@dataclass(frozen=True)
class DecodedRecord:
    """A decoded record. `numbers` is the range of its node numbers: usually one node, but a recurrent network has many.

    Operands are node numbers, or -1 minus a parameter's row. `start` is the index of the first attribute in the graph.
    """

    numbers: range
    signature: Signature
    operands: tuple[int, ...]
    attributes: tuple[int, ...]
    start: int

    @property
    def visible(self) -> range:
        """The numbers of the nodes that expressions can refer to."""
        return self.numbers[1:] if self.signature.repeats else self.numbers[-1:]

    @property
    def op(self) -> str:
        signature = self.signature
        return signature.name or KINDS.get(signature.kind, "") or signature.kernel.removeprefix("column_")

    @property
    def dim(self) -> Dim:
        return self.signature.dim


def decoded(recorded: Records, begin: int = 0, end: int | None = None, index: int = 0) -> Iterator[DecodedRecord]:
    """Decode each record in the integers from `begin` to `end` - 1. `index` is the number of the first node."""
    records, position = recorded.integers(begin, end), 0
    while position < len(records):
        signature = SIGNATURES[records[position]]
        count = signature.nodes(records, position + 1)
        first_operand, first_attribute, record_end = signature.bounds(records, position)
        operands, attributes = tuple(records[first_operand:first_attribute]), tuple(records[first_attribute:record_end])
        yield DecodedRecord(range(index, index + count), signature, operands, attributes, begin + first_attribute)
        position, index = record_end, index + count


def record_of(recorded: Records, index: int) -> DecodedRecord | None:
    """Return the record of a node; None if no expression can refer to the node, or there is no such node."""
    return next((record for record in decoded(recorded) if index in record.visible), None)


@dataclass(slots=True)
class InputIndex:
    """An index of the nodes that `set` and `set_index` can change, valid for one version of a graph.

    `starts` has the position of each input's first value in the input buffer. `selections` has the lookups and picks,
    whose attributes may be out of date. The first `nodes` nodes, or `records` integers, have been searched.
    """

    version: int
    records: int = 0
    nodes: int = 0
    starts: dict[int, int] = field(default_factory=dict)
    selections: dict[int, DecodedRecord] = field(default_factory=dict)

    def up_to(self, recorded: Records, index: int) -> InputIndex:
        """Return an index of the graph's present version that includes node `index` if this node exists.

        The index is built when needed, not while recording, because few programs use it.
        """
        version = recorded.version
        valid_index = self if self.version == version else InputIndex(version)
        if index < valid_index.nodes:
            return valid_index
        length, nodes, _ = recorded.ends()
        longer = InputIndex(version, length, nodes, {**valid_index.starts}, {**valid_index.selections})
        try:
            for record in decoded(recorded, valid_index.records, length, valid_index.nodes):
                if record.signature.kind == INPUT:
                    longer.starts[record.numbers[0]] = record.attributes[0]
                elif record.signature in LOOKUPS or record.signature in PICKS:
                    longer.selections[record.numbers[0]] = record
        except (KeyError, IndexError):  # a signal handler called `renew_cg`, so these were no longer records
            if recorded.version == version:
                raise
            return InputIndex(version)
        return longer
