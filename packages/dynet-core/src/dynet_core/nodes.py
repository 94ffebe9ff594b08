"""Decode the records of a graph into `Node` objects, for code that checks, prints or draws the graph.

A record is a call of an op as the graph stores it: an integer for its signature, then its operands and its attributes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from dynet_kernels import layout as at

from .dim import Dim
from .recorder import Records
from .signature import SIGNATURES, Signature

LOOKUPS: set[Signature] = set()
"""The signatures of lookups, which `parameter.lookup` adds. Their attributes are numbers of rows."""
PICKS: dict[Signature, tuple[int, bool]] = {}
"""The signatures of picks, which `dynet_ops` adds. Their attributes are indices of elements. For each it
has how many elements there are to pick from, and whether there is an index for each batch element."""
KINDS = {at.ALIAS: "part", at.APART: "part", at.INPUT: "input"}


@dataclass(frozen=True)
class Node:
    """A decoded record (a call of an op). Most records are one node of the graph, some are several.

    For example, all nodes of a recurrent network can be one record.

    Args:
        all: the numbers of all nodes of the record.
        signature: says how the nodes are computed.
        operands: for each operand, the number of its node, or -1 minus the row of a parameter in PARAMETER_ROWS.
        attributes: the other integers of the record, such as positions of input values.
        start: the index of the first of these among the integers of the graph.
    """

    all: range
    signature: Signature
    operands: tuple[int, ...]
    attributes: tuple[int, ...]
    start: int

    @property
    def places(self) -> range:
        """The numbers of those nodes to which expressions can refer."""
        return self.all[1:] if self.signature.repeats else self.all[-1:]

    @property
    def op(self) -> str:
        """The name of the op."""
        signature = self.signature
        return signature.name or KINDS.get(signature.kind, "") or signature.kernel.removeprefix("column_")

    @property
    def dim(self) -> Dim:
        """The shape of the nodes in `places`."""
        return self.signature.dim


def nodes_of(recorded: Records, begin: int = 0, end: int | None = None, number: int = 0) -> Iterator[Node]:
    """Yield a Node for each record of a graph.

    Args:
        recorded: the records.
        begin, end: decode only the records in the integers number `begin` to `end` - 1; by default all records.
        number: the number of the first node of the record at `begin`.
    """
    records, place = recorded.integers(begin, end), 0
    while place < len(records):
        signature = SIGNATURES[records[place]]
        count = signature.nodes(records, place + 1)
        first, after, end_of_record = signature.bounds(records, place)
        operands, attributes = tuple(records[first:after]), tuple(records[after:end_of_record])
        yield Node(range(number, number + count), signature, operands, attributes, begin + after)
        place, number = end_of_record, number + count


def node_at(recorded: Records, place: int) -> Node | None:
    """Return the decoded record to which node number `place` belongs.

    Return None if there is no such node, or if it is an inner node of a record, to which no expression can refer.
    """
    return next((node for node in nodes_of(recorded) if place in node.places), None)


@dataclass(slots=True)
class InputIndex:
    """An index of the nodes that `set` and `set_index` can change: a graph's inputs, lookups and picks.

    Args:
        version: the version of the graph for which the index is valid.
        records: how many integers of the graph's records have been searched for inputs so far.
        nodes: how many nodes these records have.
        starts: the number of each input node -> the position of its first value in the graph's buffer of input values.
        selections: the number of each lookup and pick -> the node, as it was when it was found; its attributes, which
            are indices, may have changed.
    """

    version: int
    records: int = 0
    nodes: int = 0
    starts: dict[int, int] = field(default_factory=dict)
    selections: dict[int, Node] = field(default_factory=dict)

    def up_to(self, recorded: Records, place: int) -> InputIndex:
        """Return an index for the present version of a graph that has node `place`, if the graph has it.

        It is this one, or one of all nodes. It is built here and not while recording, because few programs need it.
        """
        version = recorded.version
        index = self if self.version == version else InputIndex(version)
        if place < index.nodes:
            return index
        length, nodes, _ = recorded.ends()
        longer = InputIndex(version, length, nodes, {**index.starts}, {**index.selections})
        try:
            for node in nodes_of(recorded, index.records, length, index.nodes):
                if node.signature.kind == at.INPUT:
                    longer.starts[node.all[0]] = node.attributes[0]
                elif node.signature in LOOKUPS or node.signature in PICKS:
                    longer.selections[node.all[0]] = node
        except (KeyError, IndexError):  # a signal handler has called `renew_cg`, so these were no records any more
            if recorded.version == version:
                raise
            return InputIndex(version)
        return longer
