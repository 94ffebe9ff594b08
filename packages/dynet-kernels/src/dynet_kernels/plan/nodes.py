"""The planner's data: structures in memory, whose integers `layout` names, and values derived from these."""

from __future__ import annotations

import re
from collections.abc import Iterator

from .. import layout
from ..plain import Rows, Struct, Words, plain


class PlannerStruct(Struct):
    """A structure in memory. The constant of `layout` named like the class, in upper case, names its integers."""

    def __init_subclass__(cls):
        cls.layout = getattr(layout, re.sub("(?<=[a-z])(?=[A-Z])", "_", cls.__name__).upper())


class Context(PlannerStruct): ...  # what Python, planner and machine share: addresses and counts


class Parameter(PlannerStruct): ...  # a row of the table of parameters


class Update(PlannerStruct): ...  # a row of a trainer's table


class Both(PlannerStruct): ...  # the arguments of `norm_and_update`, a trainer's two passes


class Mark(PlannerStruct): ...


class View(PlannerStruct): ...  # where each column of an operand starts


class HiddenPlace(PlannerStruct): ...  # the last attributes of a cell


class Step(PlannerStruct): ...  # a kernel and its parameters, for a value or a gradient


class Instruction(PlannerStruct): ...  # a row of the tape: a step for all columns of a group


class Sharing(PlannerStruct): ...  # how threads share work: settings and state


class Helper(PlannerStruct): ...  # a helper's state, lock and order


class Pace(PlannerStruct): ...  # sums of time and work over passes of one kind that ran alone


class Steps(PlannerStruct):
    """The steps of a signature in one direction of `layout.DIRECTIONS`. `steps[k]` is step number k."""

    def __init__(self, signature: Signature, direction: str):
        super().__init__(signature.words, signature.start + layout.SIGNATURE[f"{direction}_begin"])
        self.signature, self.direction = signature, direction

    def __getitem__(self, index) -> Step:
        return Rows(Step, self.words, self.signature.start + self.begin)[index]


class Signature(PlannerStruct):
    """A signature in the table: the integers that `layout.SIGNATURE` names, its views, and its steps by direction."""

    @property
    def views(self) -> Rows:
        return Rows(View, self.words, self.start + len(self.layout))

    @property
    def forward(self) -> Steps:
        return Steps(self, "forward")

    @property
    def backward(self) -> Steps:
        return Steps(self, "backward")

    @property
    def deferred(self) -> Steps:
        return Steps(self, "deferred")

    @plain
    def part(self, index) -> Signature:
        """Return the signature of a record's part number `index`. A record without parts has only this signature."""
        count = self.part_count  # parts beyond the end of the list have its last signature
        start = self.start if count == 0 else self.words[self.parts + min(index, count - 1)]
        return Signature(self.words, start)


class Plan:
    """The planner's context. Its buffers (`layout.BUFFERS`) are attributes, at their addresses when a Plan is made.

    `buffers` has buffers, by name, that replace those of the context. `limits` is the SHARING structure, which says how
    many threads there are and how much work is worth sharing.
    """

    def __init__(self, context_address, **buffers: Words):
        self.context = context = Context(Words(context_address))
        self._buffers = {key: Words(getattr(context, key)) for key in layout.BUFFERS if key not in buffers} | buffers
        self._nodes, self._parameters = Rows(Node, self.nodes), Rows(Parameter, self.parameters)
        self.limits = Sharing(self.sharing)

    def __getattr__(self, name: str) -> Words:
        if name not in layout.BUFFERS:
            raise AttributeError(f"there is no buffer {name!r} among {', '.join(layout.BUFFERS)}")
        return self._buffers[name]

    def node(self, index) -> Node:
        node = self._nodes[index]
        node.plan, node.number = self, index
        return node

    def parameter(self, row) -> Parameter:
        return self._parameters[row]

    def parameter_of(self, operand) -> Parameter:
        return self.parameter(-1 - operand)

    def signature(self, start) -> Signature:
        return Signature(self.table, start)

    def mark(self, signature: Signature) -> Mark:
        return Mark(self.marks, signature.mark)

    def number_of(self, node: Node):
        """Return the number of a node's signature."""
        return self.mark(node.signature).number

    @plain
    def record(self, position) -> Record:
        record_signature = self.signature(self.records[position])
        start = position + 1 + record_signature.variadic  # a variadic record has the number of operands first
        return Record(self, start, record_signature)

    @plain
    def address(self, operand, field: str):
        """Return the address of an operand's value or gradient: `field` is "value" or "gradient"."""
        if operand < 0:
            return getattr(self.parameter_of(operand), field)
        return getattr(self.node(operand), field)

    @plain
    def needs_gradient(self, operand, is_full=0):
        """Return 1 if an operand is a trained parameter or a node that depends on one, or any node if `is_full`."""
        if operand < 0:
            return self.parameter_of(operand).needs_gradient
        return self.node(operand).needs_gradient | is_full


class Record:
    """A record whose first operand is at offset `start`. `signature` is that of the record, or of one of its parts."""

    def __init__(self, plan: Plan, start, signature: Signature):
        self.plan, self.start, self.signature = plan, start, signature

    def operand(self, index):
        return self.plan.records[self.start + index]

    @property
    def record_signature(self) -> Signature:
        """The signature of the whole record, which must be variadic: the number of operands is at `start` - 1."""
        return self.plan.signature(self.plan.records[self.start - 2])

    @property
    def each_count(self):
        """The number of EACH operands. The record must be variadic."""
        return self.plan.records[self.start - 1] - self.record_signature.operands

    @property
    def each_start(self):
        """The position of the first EACH operand among the operands. The record must be variadic."""
        return self.record_signature.operands

    @property
    @plain
    def operand_count(self):
        return self.plan.records[self.start - 1] if self.signature.variadic else self.signature.operands

    @property
    def attributes_start(self):
        return self.start + self.operand_count  # an offset in `records`

    @property
    def end(self):
        """The offset of the next record. `self.signature` must be the signature of the whole record."""
        return self.attributes_start + self.signature.attributes

    @plain
    def with_each(self, amount, amount_each):
        """Return `amount`, plus `amount_each` for each EACH operand."""
        return amount + amount_each * self.each_count if amount_each else amount

    @property
    @plain
    def part_count(self):
        """The number of the record's nodes. `self.signature` must be the signature of the whole record."""
        whole = self.signature
        count = whole.part_count
        if count == 0:
            return 1
        if whole.last_part_repeats:
            return 1 + self.each_count
        return count

    @plain
    def awaited_operands(self) -> Iterator:
        """Yield the operands that must be computed before the node with signature `self.signature`.

        They are `waits_count` operands from number `waits_from` on, and then, if `waits_each` is 1, all EACH operands.
        """
        signature = self.signature
        for turn in range(1 + signature.waits_each):
            first = signature.waits_from if turn == 0 else self.each_start
            count = self._waits_count(signature) if turn == 0 else self.each_count
            for k in range(count):
                yield self.operand(first + k)

    @plain
    def _waits_count(self, signature: Signature):
        count = signature.waits_count
        return self.operand_count - signature.waits_from if count == layout.TO_THE_END else count


class Node(PlannerStruct):
    """A NODE structure of the buffer `nodes`. `number` is the node's number in the graph."""

    plan: Plan
    number: int

    @property
    def signature(self) -> Signature:
        return self.plan.signature(self.signature_start)

    @property
    def signature_start(self):
        return self.words[self.start + layout.NODE.signature]

    @property
    def record(self) -> Record:
        return Record(self.plan, self.operands, self.signature)

    @property
    def is_later_part(self):
        return self.number > self.first_part

    @property
    @plain
    def is_last_part(self):
        first, following = self.first_part, self.number + 1
        return not following < self.plan.context.node_count or self.plan.node(following).first_part != first

    @property
    @plain
    def is_whole_record(self):
        return not self.is_later_part and self.is_last_part

    @property
    def part_before(self) -> Node:
        return self.plan.node(self.number - 1)

    @property
    def size(self):
        signature = self.signature
        return self.record.with_each(signature.size, signature.size_each)

    @property
    def gradient_size(self):
        return self.size - self.signature.hidden

    @property
    def room(self):
        """The floats of memory that the node takes: `size`, rounded up to whole cache lines."""
        return layout.aligned(self.size)

    @property
    def columns(self):
        signature = self.signature
        return self.record.with_each(signature.columns, signature.columns_each)

    @property
    @plain
    def alias_offset(self):
        """Where an alias starts within its only operand's value, in floats. This may depend on the first attribute."""
        signature, record = self.signature, self.record
        scale = signature.alias_scale
        if scale == 0:
            return signature.alias_offset
        return signature.alias_offset + self.plan.records[record.start + 1] * scale

    @property
    def hidden_place(self) -> HiddenPlace:
        """Where the hidden floats of a cell are: the last of its attributes."""
        signature = self.signature
        end = self.operands + signature.operands + signature.attributes
        return HiddenPlace(self.plan.records, end - len(layout.HIDDEN_PLACE))

    @plain
    def hidden_address(self, view: View, field: str):
        place = self.hidden_place
        distance = view.outer + view.index_step if field == "gradient" else view.outer
        return place.begin + distance * place.count + view.stride * place.number

    @property
    def needs_gradient(self):
        # NEEDS_GRADIENT is the highest flag, so the shift leaves no other bit.
        return self.flags >> (layout.NEEDS_GRADIENT.bit_length() - 1)

    def has_flag(self, flag: int):
        return (self.flags & flag) != 0

    def set_flag(self, flag: int) -> None:
        self.flags |= flag

    def clear_flag(self, flag: int) -> None:
        self.flags &= ~flag

    @plain
    def runs_with(self, other: Node):
        """Whether one instruction computes both nodes: they have the same signature (so the same stage) and depth."""
        return self.signature_start == other.signature_start and self.depth == other.depth
