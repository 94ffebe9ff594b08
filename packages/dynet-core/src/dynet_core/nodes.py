"""What the records of a graph say, for those who check or draw it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from dynet_kernels import layout as at

from .dim import Dim
from .graph import Graph
from .signature import SIGNATURES, TABLE

KINDS = {at.ALIAS: "part", at.INPUT: "input"}


def _bounds(records: list[int], place: int) -> tuple[int, int, int]:
    """Where a record's operands begin, its attributes, and the next record."""
    head, first = records[place], place + 1
    operands = TABLE[head + at.OPERANDS]
    if TABLE[head + at.VARIADIC]:
        operands, first = records[first], first + 1
    after = first + operands
    return first, after, after + TABLE[head + at.ATTRIBUTES]


def are_complete(records: list[int], begin: int) -> bool:
    """Whether the last of the records from `begin` on is all there."""
    place = begin
    while place < len(records):
        try:
            place = _bounds(records, place)[2]
        except IndexError:  # a variadic record without its count
            return False
    return place == len(records)


@dataclass(frozen=True)
class Node:
    """A record: where it begins, the op, what its value is like, and what it depends on.

    An operand is where another record begins, or -1 minus a parameter's row.
    """

    at: int
    op: str
    dim: Dim
    operands: tuple[int, ...]
    attributes: tuple[int, ...]
    is_input: bool


def nodes_of(graph: Graph, begin: int = 0, end: int | None = None) -> Iterator[Node]:
    """The nodes whose records begin at `begin` or later, before `end`."""
    records = graph.nodes
    place, end = begin, len(records) if end is None else end
    while place < end:
        head = records[place]
        first, after, following = _bounds(records, place)
        kind, signature = TABLE[head + at.KIND], SIGNATURES[head]
        yield Node(
            place,
            signature.name or KINDS.get(kind, "") or signature.kernel.removeprefix("column_"),
            signature.dim,
            tuple(records[first:after]),
            tuple(records[after:following]),
            kind == at.INPUT,
        )
        place = following
