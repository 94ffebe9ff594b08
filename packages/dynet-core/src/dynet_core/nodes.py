"""Decode the records of a graph into `Node` objects, for code that checks, prints or draws the graph.

A record is a call of an op as the graph stores it: an integer for its signature, then its operands and its attributes.
The signature is an index in TABLE, where the planner (the code that decides how a graph is computed) finds how to
compute the op.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from dynet_kernels import layout as at
from dynet_kernels.encode import TABLE

from .dim import Dim
from .recorder import Records
from .signature import SIGNATURES

LOOKUPS: set[int] = set()
"""The numbers of the signatures of lookups, which `parameter.lookup` adds. Their attributes are numbers of rows."""
PICKS: dict[int, tuple[int, bool]] = {}
"""The numbers of the signatures of picks, which `dynet_ops` adds. Their attributes are indices of elements. For each it
has how many elements there are to pick from, and whether there is an index for each batch element."""
KINDS = {at.ALIAS: "part", at.APART: "part", at.INPUT: "input"}


def bounds_of(records: list[int], place: int) -> tuple[int, int, int]:
    """Find the operands and the attributes in the record that starts at index `place` of the integers `records`.

    Returns:
        Three indices in `records`: where the operands start, where the attributes start, and where the next record
        starts.
    """
    head, first = records[place], place + 1
    operands = TABLE[head + at.SIGNATURE.operands]
    if TABLE[head + at.SIGNATURE.variadic]:
        operands, first = records[first], first + 1
    after = first + operands
    return first, after, after + TABLE[head + at.SIGNATURE.attributes]


@dataclass(frozen=True)
class Node:
    """A decoded record (a call of an op). Most records are one node of the graph, some are several.

    For example, all nodes of a recurrent network can be one record.

    Args:
        all: the numbers of all nodes of the record.
        places: the numbers of those nodes to which expressions can refer.
        op: the name of the op.
        dim: the shape of the nodes in `places`.
        operands: for each operand, the number of its node, or -1 minus the row of a parameter in PARAMETER_ROWS.
        attributes: the other integers of the record, such as positions of input values.
        start: the index of the first of these among the integers of the graph.
        signature: the number of the signature.
        is_input: whether the user's program gives the value, so that nothing is computed.
    """

    all: range
    places: range
    op: str
    dim: Dim
    operands: tuple[int, ...]
    attributes: tuple[int, ...]
    start: int
    signature: int
    is_input: bool


def nodes_of(recorded: Records, begin: int = 0, end: int | None = None, number: int = 0) -> Iterator[Node]:
    """Yield a Node for each record of a graph.

    Args:
        recorded: the records.
        begin, end: decode only the records in the integers number `begin` to `end` - 1; by default all records.
        number: the number of the first node of the record at `begin`.
    """
    records, place = recorded.integers(begin, end), 0
    while place < len(records):
        head = records[place]
        first, after, following = bounds_of(records, place)
        kind, signature = TABLE[head + at.SIGNATURE.kind], SIGNATURES[head]
        parts = len(signature.parts)
        if signature.repeats:
            parts = 1 + records[place + 1] - TABLE[head + at.SIGNATURE.operands]
        every = range(number, number + max(parts, 1))
        yield Node(
            every,
            every[1:] if signature.repeats else every[-1:],
            signature.name or KINDS.get(kind, "") or signature.kernel.removeprefix("column_"),
            signature.dim,
            tuple(records[first:after]),
            tuple(records[after:following]),
            begin + after,
            head,
            kind == at.INPUT,
        )
        place, number = following, every.stop


def node_at(recorded: Records, place: int) -> Node | None:
    """Return the decoded record to which node number `place` belongs.

    Return None if there is no such node, or if it is an inner node of a record, to which no expression can refer.
    """
    return next((node for node in nodes_of(recorded) if place in node.places), None)


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

    __slots__ = ("nodes", "records", "selections", "starts", "version")

    nodes: int
    records: int
    selections: dict[int, Node]
    starts: dict[int, int]
    version: int

    def __init__(self, version: int, records: int = 0, nodes: int = 0):
        self.version, self.records, self.nodes = version, records, nodes
        self.starts, self.selections = {}, {}

    def up_to(self, recorded: Records, place: int) -> InputIndex:
        """Return an index for the present version of a graph that has node `place`, if the graph has it.

        It is this one, or one of all nodes. It is built here and not while recording, because few programs need it.
        """
        version = recorded.version
        index = self if self.version == version else InputIndex(version)
        if place < index.nodes:
            return index
        length, nodes, _ = recorded.ends()
        longer = InputIndex(version, length, nodes)
        longer.starts.update(index.starts)
        longer.selections.update(index.selections)
        try:
            for node in nodes_of(recorded, index.records, length, index.nodes):
                if node.is_input:
                    longer.starts[node.all[0]] = node.attributes[0]
                elif node.signature in LOOKUPS or node.signature in PICKS:
                    longer.selections[node.all[0]] = node
        except (KeyError, IndexError):  # a signal handler has called `renew_cg`, so these were no records any more
            if recorded.version == version:
                raise
            return InputIndex(version)
        return longer
