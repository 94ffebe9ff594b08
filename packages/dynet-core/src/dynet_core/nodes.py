"""What the records of a graph say, for those who check or draw it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from dynet_kernels import layout as at

from .checks import checked_index
from .dim import Dim
from .errors import OutOfRangeError
from .expression import Expression
from .graph import Graph
from .signature import SIGNATURES, TABLE

KINDS = {at.ALIAS: "part", at.APART: "part", at.INPUT: "input"}


def bounds_of(records: list[int], place: int) -> tuple[int, int, int]:
    """Where a record's operands begin, its attributes, and the next record."""
    head, first = records[place], place + 1
    operands = TABLE[head + at.OPERANDS]
    if TABLE[head + at.VARIADIC]:
        operands, first = records[first], first + 1
    after = first + operands
    return first, after, after + TABLE[head + at.ATTRIBUTES]


@dataclass(frozen=True)
class Node:
    """A record: the op, what its values are like, and what it depends on.

    It is the nodes of the numbers `all`; those in `places` have values for users, most only one. An operand is such a
    number, or -1 minus a parameter's row.
    """

    all: range
    places: range
    op: str
    dim: Dim
    operands: tuple[int, ...]
    attributes: tuple[int, ...]
    is_input: bool


def nodes_of(graph: Graph, begin: int = 0, end: int | None = None, number: int = 0) -> Iterator[Node]:
    """The nodes whose records begin at `begin` or later, before `end`; `number` is that of the first."""
    records = graph.records.integers()
    place, end = begin, len(records) if end is None else end
    while place < end:
        head = records[place]
        first, after, following = bounds_of(records, place)
        kind, signature = TABLE[head + at.KIND], SIGNATURES[head]
        parts = len(signature.parts)
        if signature.repeats:
            parts = 1 + records[place + 1] - TABLE[head + at.OPERANDS]
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


def node_at(graph: Graph, place: int) -> Node:
    """The node that has a value at a place."""
    return next(node for node in nodes_of(graph) if place in node.places)


def expression_at(graph: Graph, name: str, index: int) -> Expression:
    """The expression of a number that a user gave to the method of that name.

    Raises:
        OutOfRangeError: no expression has it.
    """
    number = checked_index(name, index)
    for node in nodes_of(graph):
        if number in node.places:
            return graph.node(number, node.dim)
    raise OutOfRangeError(f"{name}: graph {graph.version()} has no expression number {number}")
