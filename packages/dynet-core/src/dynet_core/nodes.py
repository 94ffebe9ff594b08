"""Decode the records of a graph into nodes, for code that checks, prints or draws it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from dynet_kernels import layout as at

from .dim import Dim
from .encode import TABLE
from .recorder import Records
from .signature import SIGNATURES

KINDS = {at.ALIAS: "part", at.APART: "part", at.INPUT: "input"}


def bounds_of(records: list[int], place: int) -> tuple[int, int, int]:
    """Return where the operands of the record at `place` start, where its attributes start, and where it ends."""
    head, first = records[place], place + 1
    operands = TABLE[head + at.SIGNATURE.operands]
    if TABLE[head + at.SIGNATURE.variadic]:
        operands, first = records[first], first + 1
    after = first + operands
    return first, after, after + TABLE[head + at.SIGNATURE.attributes]


@dataclass(frozen=True)
class Node:
    """A decoded record. Most records are one node; some, such as a run of a recurrent network, are several.

    Args:
        all: the numbers of its nodes.
        places: the numbers of those nodes that have expressions.
        op: the name of the op.
        dim: the shape of each node.
        operands: node numbers, or -1 minus the row of a parameter.
        attributes: the record's other integers.
        is_input: whether the values come from the program.
    """

    all: range
    places: range
    op: str
    dim: Dim
    operands: tuple[int, ...]
    attributes: tuple[int, ...]
    is_input: bool


def nodes_of(recorded: Records, begin: int = 0, end: int | None = None, number: int = 0) -> Iterator[Node]:
    """Yield a Node for each record.

    Args:
        begin, end: the first integer of the records to decode, and the end; by default all records.
        number: the number of the first node at `begin`.
    """
    records = recorded.integers()
    place, end = begin, len(records) if end is None else end
    while place < end:
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
            kind == at.INPUT,
        )
        place, number = following, every.stop


def node_at(recorded: Records, place: int) -> Node | None:
    """Return the Node that contains the node number `place`, or None."""
    return next((node for node in nodes_of(recorded) if place in node.places), None)


class InputIndex:
    """Maps the number of each input node to the start of its values in the graph's input buffer.

    It covers the first `nodes` nodes, whose records are the first `records` integers.
    """

    __slots__ = ("nodes", "records", "starts", "version")

    nodes: int
    records: int
    starts: dict[int, int]
    version: int

    def __init__(self, version: int, records: int = 0, nodes: int = 0, starts: dict[int, int] | None = None):
        self.version, self.records, self.nodes, self.starts = version, records, nodes, starts or {}
