"""What the planners share: they turn recorded nodes into a tape of instructions, compiled by TVM like the kernels.

What the integers mean stands in `layout`. No planner knows an op: a signature lists its views and steps. The planners
themselves are `forward_planner`, `backward_planner` and, for trainers, `update_planner`; what they write, `tape`.
"""

from __future__ import annotations

from types import SimpleNamespace

from tvm.script import tirx as T

from . import layout as at
from . import tir
from .layout import SLOT


def open_buffers(context):
    """Declare every buffer whose address stands in the context."""
    plan = SimpleNamespace(slots=tir.buffer_at(context, "int64"))
    for name in at.BUFFERS:
        setattr(plan, name, tir.buffer_at(plan.slots[SLOT[name]], "int64"))
    return plan


class Stretch:
    """A buffer from some place on."""

    def __init__(self, buffer, first):
        self.buffer, self.first = buffer, first

    def __getitem__(self, place):
        return self.buffer[self.first + place]


class Places:
    """The numbers from 0 on."""

    def __getitem__(self, place):
        return place


@T.inline
def count_sort(plan, source, target, count, keys, key_of):
    """Stable counting sort of `count` places by key_of[place] < keys."""
    for key in T.serial(keys + 1):
        plan.counters[key] = 0
    for k in T.serial(count):
        plan.counters[key_of[source[k]] + 1] += 1
    for key in T.serial(keys):
        plan.counters[key + 1] += plan.counters[key]
    for k in T.serial(count):
        place: T.let = source[k]
        key: T.let = key_of[place]
        target[plan.counters[key]] = place
        plan.counters[key] += 1


@T.inline
def put_in_order(plan):
    """Make `sorted` the nodes of `starts` by signature, and `order` the same by depth first."""
    count: T.let = plan.slots[SLOT["starts_count"]]
    places = T.meta_var(Places())
    count_sort(plan, places, plan.sorted, count, plan.slots[SLOT["numbered"]], plan.numbers)
    count_sort(plan, plan.sorted, plan.order, count, plan.slots[SLOT["deepest"]], plan.depths)
    for k in T.serial(count):
        plan.sorted[k] = plan.starts[plan.sorted[k]]
    for k in T.serial(count):
        plan.order[k] = plan.starts[plan.order[k]]


def node_at(plan, node, field):
    """What is known of a node: a field of its row."""
    return plan.node[node * at.NODE_ROW + field]


def local_of(plan, node):
    """The number of a node's signature in the present numbering."""
    return plan.table[node_at(plan, node, at.NODE_PART) + at.LOCAL]


def depth_of(plan, node):
    return node_at(plan, node, at.NODE_DEPTH) + plan.begins[node_at(plan, node, at.NODE_STAGE)]


def same_group(plan, node, other):
    return T.And(
        node_at(plan, node, at.NODE_PART) == node_at(plan, other, at.NODE_PART),
        depth_of(plan, node) == depth_of(plan, other),
    )


def is_later_part(plan, node):
    """Whether a node is a part of its record, and not the first."""
    return node > node_at(plan, node, at.NODE_BEGIN)


def needs_of(plan, node):
    """Whether a node needs a gradient."""
    return T.shift_right(node_at(plan, node, at.NODE_LIVE), T.int64(at.NEEDED.bit_length() - 1))


def operand_needs(plan, operand, everything=0):
    """The same of an operand, which may be a parameter. With `everything` 1, all nodes need one."""
    row = (-1 - operand) * at.PARAMETER_ROW + at.PARAMETER_NEEDS
    return tir.let(T.if_then_else(operand < 0, plan.parameters[row], needs_of(plan, operand) | everything))


def property_of(plan, operand, field, node_field):
    """A property of an operand, which is a parameter or an earlier node."""
    row = (-1 - operand) * at.PARAMETER_ROW + field
    return tir.let(T.if_then_else(operand < 0, plan.parameters[row], node_at(plan, operand, node_field)))


def operand_count(plan, first, signature):
    """How many operands the record has whose operands begin at `first`; a variadic one says so itself."""
    return tir.let(
        T.if_then_else(
            plan.table[signature + at.VARIADIC] != 0, plan.nodes[first - 1], plan.table[signature + at.OPERANDS]
        )
    )


def each_count(plan, first):
    """How many operands of a variadic record share EACH."""
    return plan.nodes[first - 1] - plan.table[plan.nodes[first - 2] + at.OPERANDS]


def first_each(plan, first):
    return tir.let(first + plan.table[plan.nodes[first - 2] + at.OPERANDS])


def part_count(plan, first, signature):
    """How many nodes a record is; where the last part repeats, one for each operand that shares EACH, and the first."""
    known = plan.table[signature + at.PARTS_KNOWN]
    repeated = T.if_then_else(plan.table[signature + at.PARTS_REPEAT] != 0, 1 + each_count(plan, first), known)
    return tir.let(T.if_then_else(known == 0, T.int64(1), repeated))


def part_signature(plan, signature, number):
    """What part `number` of a record with this signature runs by."""
    known = plan.table[signature + at.PARTS_KNOWN]
    listed = plan.table[signature + at.PARTS] + T.min(number, known - 1)
    return tir.let(T.if_then_else(known == 0, signature, plan.table[listed]))


def awaited(plan, first, signature, operands, turn):
    """Operands that a part waits for: where they begin, and how many; those that share EACH come in a second turn."""
    begin = plan.table[signature + at.WAITS_FROM]
    count = plan.table[signature + at.WAITS_COUNT]
    count = T.if_then_else(count == at.TO_THE_END, operands - begin, count)
    return (
        tir.let(first + T.if_then_else(turn == 0, begin, operands - each_count(plan, first))),
        tir.let(T.if_then_else(turn == 0, count, each_count(plan, first))),
    )


def size_of(plan, node, signature):
    """How many floats a node holds."""
    return tir.let(with_each(plan, node, plan.table[signature + at.SIZE], plan.table[signature + at.SIZE_EACH]))


def with_each(plan, node, number, number_each):
    """A number, and another for each operand that shares EACH."""
    each = number_each * each_count(plan, node_at(plan, node, at.NODE_FIRST))
    return number + T.if_then_else(number_each != 0, each, T.int64(0))


def column_count(plan, node, signature):
    """How many columns a node has in the lists of addresses."""
    return tir.let(with_each(plan, node, plan.table[signature + at.COLUMNS], plan.table[signature + at.COLUMNS_EACH]))


def float_count(plan, node, signature):
    """How many floats a node holds, in whole cache lines."""
    return tir.let(T.floordiv(size_of(plan, node, signature) + 15, 16) * 16)
