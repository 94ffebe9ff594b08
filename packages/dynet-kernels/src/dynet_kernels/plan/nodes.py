"""What the planner knows: the context with its buffers, nodes and their records."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tvm.tirx.script import builder as T

from .. import layout as at
from ..tir import int64, let
from .flow import all_of, each, pick, yes
from .structs import Context, Parameter, Rows, Sharing, Signature, Struct, Words


class Plan:
    """The context that a planner was called with, and the buffers whose addresses stand in it.

    Each buffer of `layout.BUFFERS` is an attribute of its name.
    """

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
        """The address of an operand's `value` or `gradient`. The operand is a parameter or a node."""
        return pick(
            operand < 0,
            lambda: getattr(self.parameter(parameter_row(operand)), field),
            lambda: getattr(self.node(operand), field),
        )

    def needs_gradient(self, operand, everything=0):
        """1 if an operand depends on a trained parameter, or is one, else 0; with `everything` 1, for all nodes."""
        return pick(
            operand < 0,
            lambda: self.parameter(parameter_row(operand)).needs_gradient,
            lambda: self.node(operand).needs_gradient | everything,
        )


def parameter_row(operand):
    """The row of the parameter that a negative operand stands for."""
    return -1 - operand


class Record:
    """The operands and attributes of a record, of which nodes are parts.

    Args:
        start: where the operands begin.
        signature: of one of the parts.
    """

    def __init__(self, plan: Plan, start, signature: Signature):
        self.plan, self.start, self.signature = plan, start, signature

    def operand(self, number):
        return self.plan.records[self.start + number]

    @property
    def whole(self) -> Signature:
        """The signature of a variadic record."""
        return self.plan.signature(self.plan.records[self.start - 2])

    @property
    def each_count(self):
        """How many operands of a variadic record share EACH."""
        return let(self.plan.records[self.start - 1] - self.whole.operands)

    @property
    def each_start(self):
        """The number of the first of them."""
        return self.whole.operands

    @property
    def operand_count(self):
        signature = self.signature
        return pick(signature.variadic != 0, lambda: self.plan.records[self.start - 1], lambda: signature.operands)

    @property
    def attributes(self):
        """Where the attributes begin."""
        return let(self.start + self.operand_count)

    def with_each(self, number, number_each):
        """A number, and another for each operand that shares EACH."""
        return pick(number_each != 0, lambda: number + number_each * self.each_count, number)

    @property
    def part_count(self):
        """How many nodes the record has. The signature must be of the whole record, not of a part."""
        whole = self.signature
        known = whole.part_count
        return pick(
            known == 0,
            1,
            lambda: pick(whole.last_part_repeats != 0, lambda: 1 + self.each_count, known),
        )

    @contextmanager
    def awaited(self) -> Iterator:
        """A loop over the operands that the part waits for. Those that share EACH come in a second turn."""
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
    """A row of `nodes`."""

    layout = at.NODE
    plan: Plan
    number: int

    @property
    def signature(self) -> Signature:
        return self.plan.signature(self.signature_at)

    @property
    def signature_at(self):
        """Where the signature stands in the table: nodes with the same one run together."""
        return self.words[self.start + at.NODE.signature]

    @property
    def record(self) -> Record:
        return Record(self.plan, self.operands, self.signature)

    @property
    def is_later_part(self):
        """Whether it is a part of its record, and not the first."""
        return self.number > self.first_part

    @property
    def is_last_part(self):
        """Whether it is the last part of its record."""
        first, following = self.first_part, let(self.number + 1)
        exists = following < self.plan.context.node_count
        return pick(exists, lambda: yes(self.plan.node(following).first_part != first), 1) != 0

    @property
    def is_whole_record(self):
        """Whether its record has no other parts."""
        return all_of(T.Not(self.is_later_part), self.is_last_part)

    @property
    def part_before(self) -> Node:
        return self.plan.node(let(self.number - 1))

    @property
    def depth_of_all(self):
        """The depth among the nodes of all stages."""
        return let(self.depth + self.plan.stage_begins[self.stage])

    @property
    def size(self):
        """How many floats it holds."""
        signature = self.signature
        return self.record.with_each(signature.size, signature.size_each)

    @property
    def room(self):
        """How many floats of memory it takes: `size`, rounded up to whole cache lines."""
        return whole_lines(self.size)

    @property
    def columns(self):
        """How many columns it has in the lists of addresses."""
        signature = self.signature
        return self.record.with_each(signature.columns, signature.columns_each)

    @property
    def alias_offset(self):
        """Where an alias begins within its operand."""
        signature, record = self.signature, self.record
        scale = signature.alias_scale
        return pick(
            scale != 0,
            lambda: signature.alias_offset + self.plan.records[record.start + 1] * scale,
            lambda: signature.alias_offset,
        )

    @property
    def needs_gradient(self):
        """1 if it depends on a parameter that is trained, else 0."""
        return let(T.shift_right(self.flags, int64(at.NEEDS_GRADIENT.bit_length() - 1)))  # it is the last flag

    def has(self, flag: int):
        """Whether one of these flags is set."""
        return (self.flags & flag) != 0

    def set_flag(self, flag: int) -> None:
        self.flags = self.flags | flag

    def clear_flag(self, flag: int) -> None:
        self.flags = self.flags & ~flag

    def runs_with(self, other: Node):
        """Whether both nodes are one instruction: they have the same signature and depth."""
        return all_of(self.signature_at == other.signature_at, self.depth_of_all == other.depth_of_all)


def whole_lines(floats):
    """Round a number of floats up to whole cache lines."""
    return let((floats + (at.CACHE_LINE - 1)) & -at.CACHE_LINE)
