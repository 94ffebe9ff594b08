"""The planner's data: the context with its buffers, the nodes, and the records that they belong to.

A *record* is one operation of the graph as integers; it computes one node or several, its *parts*. To read an attribute
of these classes emits loads from memory. `layout` defines the integers.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tvm.tirx.script import builder as T

from .. import layout as at
from ..tir import int64, let
from .flow import all_of, each, pick, yes
from .structs import Context, Parameter, Rows, Sharing, Signature, Struct, Words


class Plan:
    """The context at an address, and its buffers: each name in `layout.BUFFERS` is an attribute."""

    def __init__(self, address):
        self.context = context = Context(Words(address))
        self._buffers = {name: Words(getattr(context, name)) for name in at.BUFFERS}
        self._nodes, self._parameters = Rows(Node, self.nodes), Rows(Parameter, self.parameters)
        self.limits = Sharing(self.sharing)

    def __getattr__(self, name: str) -> Words:
        if name not in at.BUFFERS:
            raise AttributeError(f"there is no buffer {name!r} among {', '.join(at.BUFFERS)}")
        return self._buffers[name]

    def node(self, number) -> Node:
        node = self._nodes[number]
        node.plan, node.number = self, number
        return node

    def parameter(self, row) -> Parameter:
        return self._parameters[row]

    def signature(self, place) -> Signature:
        return Signature(self.table, place)

    def address(self, operand, field: str):
        """Return the address of an operand's value or gradient, as `field` says. An operand < 0 is a parameter."""
        return pick(
            operand < 0,
            lambda: getattr(self.parameter(parameter_row(operand)), field),
            lambda: getattr(self.node(operand), field),
        )

    def needs_gradient(self, operand, everything=0):
        """Return 1 if an operand needs a gradient, else 0: it is a trained parameter, or a node that depends on one.

        With `everything` 1, all nodes need one.
        """
        return pick(
            operand < 0,
            lambda: self.parameter(parameter_row(operand)).needs_gradient,
            lambda: self.node(operand).needs_gradient | everything,
        )


def parameter_row(operand):
    """Return the parameter's row for an operand that is a parameter: such operands are -1 minus the row."""
    return -1 - operand


class Record:
    """A record: its operands and attributes, which all its parts share.

    Args:
        start: the offset of the first operand in `records`.
        signature: the signature of the record, or of one of its parts.
    """

    def __init__(self, plan: Plan, start, signature: Signature):
        self.plan, self.start, self.signature = plan, start, signature

    def operand(self, number):
        return self.plan.records[self.start + number]

    @property
    def whole(self) -> Signature:
        """The signature of the whole record, which must be variadic: its offset is stored 2 integers before `start`."""
        return self.plan.signature(self.plan.records[self.start - 2])

    @property
    def each_count(self):
        """The number of operands that share EACH, one view for all of them. The record must be variadic."""
        return let(self.plan.records[self.start - 1] - self.whole.operands)

    @property
    def each_start(self):
        """The number of the first operand that shares EACH; operands before it have their own views."""
        return self.whole.operands

    @property
    def operand_count(self):
        signature = self.signature
        return pick(signature.variadic != 0, lambda: self.plan.records[self.start - 1], lambda: signature.operands)

    @property
    def attributes(self):
        """The offset of the first attribute in `records`."""
        return let(self.start + self.operand_count)

    def with_each(self, number, number_each):
        """Return `number`, plus `number_each` for each operand that shares EACH."""
        return pick(number_each != 0, lambda: number + number_each * self.each_count, number)

    @property
    def part_count(self):
        """The number of nodes of the record. `signature` must be that of the whole record, not of a part."""
        whole = self.signature
        known = whole.part_count
        return pick(
            known == 0,
            1,
            lambda: pick(whole.last_part_repeats != 0, lambda: 1 + self.each_count, known),
        )

    @contextmanager
    def awaited(self) -> Iterator:
        """Loop over the operands that must be computed before the node with this signature.

        An outer loop has two turns: the first is for the range of operands that the signature names, the second for
        those that share EACH, if the node waits for them.
        """
        signature = self.signature
        with each(1 + signature.waits_each) as turn:
            first = pick(turn == 0, lambda: signature.waits_from, lambda: self.each_start)
            count = pick(turn == 0, lambda: self._listed(signature), lambda: self.each_count)
            with each(count) as number:
                yield self.operand(first + number)

    def _listed(self, signature: Signature):
        count = signature.waits_count
        return pick(count == at.TO_THE_END, lambda: self.operand_count - signature.waits_from, count)


class Node(Struct):
    """A node: a row of the buffer `nodes`, with integers as in `layout.NODE`."""

    layout = at.NODE
    plan: Plan
    number: int

    @property
    def signature(self) -> Signature:
        return self.plan.signature(self.signature_at)

    @property
    def signature_at(self):
        """The offset of the node's signature in `table`."""
        return self.words[self.start + at.NODE.signature]

    @property
    def record(self) -> Record:
        return Record(self.plan, self.operands, self.signature)

    @property
    def is_later_part(self):
        """Whether the node is a part of its record other than the first."""
        return self.number > self.first_part

    @property
    def is_last_part(self):
        """Whether the node is the last part of its record."""
        first, following = self.first_part, let(self.number + 1)
        exists = following < self.plan.context.node_count
        return pick(exists, lambda: yes(self.plan.node(following).first_part != first), 1) != 0

    @property
    def is_whole_record(self):
        """Whether the node is the only one of its record."""
        return all_of(T.Not(self.is_later_part), self.is_last_part)

    @property
    def part_before(self) -> Node:
        return self.plan.node(let(self.number - 1))

    @property
    def depth_of_all(self):
        """The depth of the node counted over all stages; `depth` is counted within its stage."""
        return let(self.depth + self.plan.stage_begins[self.stage])

    @property
    def size(self):
        """The number of floats of the node's value."""
        signature = self.signature
        return self.record.with_each(signature.size, signature.size_each)

    @property
    def room(self):
        """The number of floats of memory that the node takes: `size`, rounded up to whole cache lines."""
        return whole_lines(self.size)

    @property
    def columns(self):
        """The number of columns of the node: this is how many entries it takes in each address list."""
        signature = self.signature
        return self.record.with_each(signature.columns, signature.columns_each)

    @property
    def alias_offset(self):
        """The offset of an alias in its operand, in floats. It may depend on the record's first attribute."""
        signature, record = self.signature, self.record
        scale = signature.alias_scale
        return pick(
            scale != 0,
            lambda: signature.alias_offset + self.plan.records[record.start + 1] * scale,
            lambda: signature.alias_offset,
        )

    @property
    def needs_gradient(self):
        """1 if the node depends on a trained parameter, else 0."""
        # NEEDS_GRADIENT is the highest flag, so that the shift leaves no other bit.
        return let(T.shift_right(self.flags, int64(at.NEEDS_GRADIENT.bit_length() - 1)))

    def has(self, flag: int):
        """Whether at least one of the given flags is set."""
        return (self.flags & flag) != 0

    def set_flag(self, flag: int) -> None:
        self.flags = self.flags | flag

    def clear_flag(self, flag: int) -> None:
        self.flags = self.flags & ~flag

    def runs_with(self, other: Node):
        """Whether two nodes are in the same group, so that one instruction computes both: same signature and depth."""
        return all_of(self.signature_at == other.signature_at, self.depth_of_all == other.depth_of_all)


def whole_lines(floats):
    """Round a number of floats up to whole cache lines."""
    return let((floats + (at.CACHE_LINE - 1)) & -at.CACHE_LINE)
