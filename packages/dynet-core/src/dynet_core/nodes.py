"""What the records of a graph say, for those who check or draw it."""

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


def nodes_of(recorded: Records, begin: int = 0, end: int | None = None, number: int = 0) -> Iterator[Node]:
    """The nodes whose records begin at `begin` or later, before `end`; `number` is that of the first."""
    records = recorded.integers()
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


def node_at(recorded: Records, place: int) -> Node | None:
    """The node that has a value at a place; None if there is none."""
    return next((node for node in nodes_of(recorded) if place in node.places), None)
