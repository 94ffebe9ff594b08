"""The planner's data: the context with its buffers, the nodes, and the records that they belong to.

A *record* is one operation of the graph as integers: signature, operands, attributes. It computes one node or several,
its *parts*. In a *variadic* record the number of operands is stored before them; its first operands have their own
views, and all others share one view, called EACH. (A view says where an operand is in memory.)

To read an attribute of these classes emits loads from memory. `layout` defines the integers and the other terms.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from .. import layout as at
from ..tir import int64, let
from ..tvm_modules import T
from .flow import all_of, each, pick, yes
from .structs import Context, Parameter, Rows, Sharing, Signature, Struct, Words


class Plan:
    """The planner's context at `address`, and its buffers: each name in `layout.BUFFERS` is an attribute.

    `limits` has the integers of `layout.SHARING`: how many threads there are, and how much work is worth sharing.
    `others` are buffers to use in place of those with the same names.
    """

    def __init__(self, address, **others: Words):
        self.context = context = Context(Words(address))
        self._buffers = {name: Words(getattr(context, name)) for name in at.BUFFERS if name not in others} | others
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

    def record(self, position) -> Record:
        """Return the record that begins at offset `position` of the buffer `records`."""
        whole = self.signature(self.records[position])
        return Record(self, let(position + 1 + whole.variadic), whole)

    def address(self, operand, field: str):
        """Return the address of an operand's value or gradient.

        Args:
            operand: the number of a node, or -1 - row for the parameter in this row of the parameter table.
            field: "value" or "gradient".
        """
        return pick(
            operand < 0,
            lambda: getattr(self.parameter(parameter_row(operand)), field),
            lambda: getattr(self.node(operand), field),
        )

    def needs_gradient(self, operand, everything=0):
        """Return 1 if an operand needs a gradient, else 0. Trained parameters, and nodes that depend on one, need it.

        Args:
            operand: as in `address`.
            everything: 1 if all nodes need a gradient, even those that depend on no trained parameter; else 0.
        """
        return pick(
            operand < 0,
            lambda: self.parameter(parameter_row(operand)).needs_gradient,
            lambda: self.node(operand).needs_gradient | everything,
        )


def parameter_row(operand):
    """Return a parameter's row in the parameter table, given its number as an operand, which is -1 - row."""
    return -1 - operand


class Record:
    """A record: its operands and attributes, which all its parts share.

    Args:
        start: the offset of its first operand in the buffer `records`.
        signature: the signature of the record, or of one of its parts.
    """

    def __init__(self, plan: Plan, start, signature: Signature):
        self.plan, self.start, self.signature = plan, start, signature

    def operand(self, number):
        return self.plan.records[self.start + number]

    @property
    def whole(self) -> Signature:
        """The signature of the whole record, not of a part. The record must be variadic.

        The first operand of a variadic record is at `start`. Before it comes the number of operands, and before that
        the offset of the signature, at `start` - 2.
        """
        return self.plan.signature(self.plan.records[self.start - 2])

    @property
    def each_count(self):
        """How many operands have no own views and so share the view EACH. The record must be variadic."""
        return let(self.plan.records[self.start - 1] - self.whole.operands)

    @property
    def each_start(self):
        """The number of the first operand that shares the view EACH. The operands before it have their own views."""
        return self.whole.operands

    @property
    def operand_count(self):
        signature = self.signature
        return pick(signature.variadic != 0, lambda: self.plan.records[self.start - 1], lambda: signature.operands)

    @property
    def attributes(self):
        """The offset of the record's first attribute in the buffer `records`."""
        return let(self.start + self.operand_count)

    @property
    def end(self):
        """Where the next record begins. `self.signature` must be the signature of the whole record, not of a part."""
        return let(self.attributes + self.signature.attributes)

    def with_each(self, number, number_each):
        """Return `number`, plus `number_each` for each operand that shares the view EACH."""
        return pick(number_each != 0, lambda: number + number_each * self.each_count, number)

    @property
    def part_count(self):
        """How many nodes the record has. `self.signature` must be the signature of the whole record, not of a part."""
        whole = self.signature
        known = whole.part_count
        return pick(
            known == 0,
            1,
            lambda: pick(whole.last_part_repeats != 0, lambda: 1 + self.each_count, known),
        )

    @contextmanager
    def awaited(self) -> Iterator:
        """Loop over the operands that must be computed before the node whose signature is `self.signature`.

        The emitted code has an outer loop with one or two turns. The first is for the range of operands that the
        signature gives by `waits_from` and `waits_count`, the second for those that share EACH, if `waits_each` is 1.
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
    """A node: a row of the buffer `nodes`, whose integers `layout.NODE` names. `number` is its number in the graph."""

    layout = at.NODE
    plan: Plan
    number: int

    @property
    def signature(self) -> Signature:
        return self.plan.signature(self.signature_at)

    @property
    def signature_at(self):
        """The offset of the node's signature in the buffer `table`."""
        return self.words[self.start + at.NODE.signature]

    @property
    def record(self) -> Record:
        return Record(self.plan, self.operands, self.signature)

    @property
    def is_later_part(self):
        """Whether the node is a part of its record other than the first part."""
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
        """The node's depth among all nodes. (Its integer `depth` is its depth among the nodes of its stage.)"""
        return let(self.depth + self.plan.stage_begins[self.stage])

    @property
    def size(self):
        """The number of floats of the node's value."""
        signature = self.signature
        return self.record.with_each(signature.size, signature.size_each)

    @property
    def gradient_size(self):
        """The number of floats of the node's gradient."""
        return let(self.size - self.signature.hidden)

    @property
    def room(self):
        """How many floats of memory the node takes: `size`, rounded up to whole cache lines."""
        return whole_lines(self.size)

    @property
    def columns(self):
        """How many columns the node has. Each address list has one entry for each of them."""
        signature = self.signature
        return self.record.with_each(signature.columns, signature.columns_each)

    @property
    def alias_offset(self):
        """Where the value of an alias starts within its operand's value, in floats.

        It may depend on the record's first attribute, which follows the only operand.
        """
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
        # NEEDS_GRADIENT is the highest flag, so the shift to the right leaves no other bit.
        return let(T.shift_right(self.flags, int64(at.NEEDS_GRADIENT.bit_length() - 1)))

    def has(self, flag: int):
        """Whether at least one of the flags in `flag`, a sum of flags, is set."""
        return (self.flags & flag) != 0

    def set_flag(self, flag: int) -> None:
        self.flags = self.flags | flag

    def clear_flag(self, flag: int) -> None:
        self.flags = self.flags & ~flag

    def runs_with(self, other: Node):
        """Whether this node and another have the same signature and depth, so that one instruction computes both.

        Nodes of one signature are in one stage, so it is enough to compare their depths within that stage.
        """
        return all_of(self.signature_at == other.signature_at, self.depth == other.depth)


def whole_lines(floats):
    """Round a number of floats up to whole cache lines."""
    return let((floats + (at.CACHE_LINE - 1)) & -at.CACHE_LINE)
