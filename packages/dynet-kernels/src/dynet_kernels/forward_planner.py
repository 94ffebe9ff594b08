"""Plans the forward pass: where values go, and the instructions that compute them, depth by depth."""

from __future__ import annotations

from tvm.script import tirx as T

from . import layout as at
from . import tir
from .layout import SLOT
from .levels import find_depths, note_edges, start_numbering
from .planner import (
    Stretch,
    awaited,
    column_count,
    float_count,
    needs_of,
    node_at,
    open_buffers,
    operand_count,
    operand_needs,
    part_count,
    part_signature,
    property_of,
    put_in_order,
    same_group,
)
from .tape import emit_steps, start_tape, use_tape


@T.inline
def same_records(plan, begin, end, inputs):
    """Whether these records, from a graph's beginning on, are those of the last plan and go to the same place."""
    slots = T.meta_var(plan.slots)
    differ = T.int64(0)
    if (
        begin != 0
        or slots[SLOT["kept_end"]] != end
        or slots[SLOT["kept_inputs"]] != inputs
        or slots[SLOT["kept_start"]] != slots[SLOT["arena_top"]]
    ):
        differ = T.int64(1)
    place = T.int64(0)
    while T.And(place < end, differ == 0):
        for k in T.serial(T.min(T.int64(64), end - place)):
            differ = differ | T.bitwise_xor(plan.fresh[place + k], plan.kept[place + k])
        place = place + 64
    slots[SLOT["wanted"]] = T.if_then_else(differ == 0, T.int64(1), T.int64(0))


@T.inline
def forget_nodes(plan, begin):
    """Forget the nodes of records from `begin` on that were planned before, as after a revert."""
    count = plan.slots[SLOT["node_count"]]
    if begin == 0:
        count = T.int64(0)
    while T.if_then_else(count > 0, node_at(plan, count - 1, at.NODE_FIRST) > begin, False):
        count = count - 1
    plan.slots[SLOT["node_count"]] = count


@T.inline
def place_nodes(plan, begins, aliases):
    """Where values go: nodes that run together stand together in memory, from `begins` on; parts of nodes in these."""
    top = begins
    for k in T.serial(plan.slots[SLOT["starts_count"]]):
        node: T.let = plan.order[k]
        plan.node[node * at.NODE_ROW + at.NODE_VALUE] = top
        top = top + float_count(plan, node, node_at(plan, node, at.NODE_PART))
    for k in T.serial(aliases):
        node: T.let = plan.aliases[k]
        signature: T.let = node_at(plan, node, at.NODE_PART)
        first: T.let = node_at(plan, node, at.NODE_FIRST)
        value = plan.table[signature + at.ALIAS_OFFSET]
        value = value + property_of(plan, plan.nodes[first], at.PARAMETER_VALUE, at.NODE_VALUE)
        if plan.table[signature + at.ALIAS_SCALE] != 0:
            value = value + plan.nodes[first + 1] * plan.table[signature + at.ALIAS_SCALE]
        plan.node[node * at.NODE_ROW + at.NODE_VALUE] = value


def is_computed(plan, node, signature):
    return plan.table[signature + at.KIND] == at.COMPUTED


@T.inline
def plan_new_forward(plan, inputs, memory, begin, end, inputs_begin, inputs_end):
    start_tape(plan)
    plan.slots[SLOT["plan"]] += 1
    plan.slots[SLOT["kept_end"]] = -1
    plan.slots[SLOT["levels"]] = T.if_then_else(begin == 0, T.int64(1), T.int64(0))
    forget_nodes(plan, begin)
    if begin == 0:
        plan.slots[SLOT["dirty"]] = 0
    for place in T.serial(end - begin):
        plan.nodes[begin + place] = plan.fresh[begin + place]
    inputs_start: T.let = plan.slots[SLOT["arena_top"]]
    rebase: T.let = inputs_start - inputs_begin
    values_start: T.let = inputs_start + T.floordiv(inputs_end - inputs_begin + 15, 16) * 16
    top = values_start
    aliases = T.int64(0)
    earliest: T.let = plan.slots[SLOT["node_count"]]
    node = earliest
    start_numbering(plan)
    position = begin
    indices = T.int64(0)
    rows = T.int64(0)
    # each node: how much memory it takes, and whether it needs a gradient
    while position < end:
        whole: T.let = plan.nodes[position]
        first: T.let = position + 1 + plan.table[whole + at.VARIADIC]
        operands: T.let = operand_count(plan, first, whole)
        attributes: T.let = first + operands
        for k in T.serial(plan.table[whole + at.CONSTANTS]):
            plan.nodes[attributes + k] = plan.nodes[attributes + k] + rebase
        first_node: T.let = node
        for number in T.serial(part_count(plan, first, whole)):
            signature: T.let = part_signature(plan, whole, number)
            row: T.let = node * at.NODE_ROW
            plan.node[row + at.NODE_PART] = signature
            plan.node[row + at.NODE_FIRST] = first
            plan.node[row + at.NODE_BEGIN] = first_node
            needs = T.int64(0)
            if number > 0:
                needs = needs_of(plan, node - 1)
            for turn in T.serial(1 + plan.table[signature + at.WAITS_EACH]):
                awaited_at, waits = T.meta_var(awaited(plan, first, signature, operands, turn))
                for k in T.serial(waits):
                    needs = needs | operand_needs(plan, plan.nodes[awaited_at + k])
            plan.node[row + at.NODE_LIVE] = needs * plan.table[signature + at.PASSES] * at.NEEDED
            note_edges(plan, node, signature, first, earliest)
            kind: T.let = plan.table[signature + at.KIND]
            if is_computed(plan, node, signature):
                top = top + float_count(plan, node, signature)
                indices = indices + 2 * plan.table[signature + at.VIEWS] * column_count(plan, node, signature)
                rows = rows + plan.table[signature + at.FORWARD_COUNT]
            elif kind == at.INPUT:
                plan.node[row + at.NODE_VALUE] = plan.nodes[attributes]
            else:
                plan.aliases[aliases] = node
                aliases = aliases + 1
                if kind == at.APART:
                    plan.slots[SLOT["levels"]] = 0
            node = node + 1
        position = attributes + plan.table[whole + at.ATTRIBUTES]
    plan.slots[SLOT["node_count"]] = node
    if (
        top > plan.slots[SLOT["arena_end"]]
        or indices > plan.slots[SLOT["index_end"]]
        or (rows > plan.slots[SLOT["tape_end"]])
    ):
        plan.slots[SLOT["status"]] = at.TOO_SMALL
        plan.slots[SLOT["needed_floats"]] = top - inputs_start
        plan.slots[SLOT["needed_index"]] = indices
        plan.slots[SLOT["needed_tape"]] = rows
    else:
        plan.slots[SLOT["arena_top"]] = top
        for place in T.serial(inputs_end - inputs_begin):
            memory[inputs_start + place] = inputs[inputs_begin + place]
        find_depths(plan, earliest, node, is_computed)
        # nodes of one depth and signature stand together
        put_in_order(plan)
        plan.slots[SLOT["ordered"]] = T.if_then_else(begin == 0, plan.slots[SLOT["plan"]], T.int64(-1))
        plan.slots[SLOT["ordered_count"]] = plan.slots[SLOT["starts_count"]]
        place_nodes(plan, values_start, aliases)
        count: T.let = plan.slots[SLOT["starts_count"]]
        group = T.int64(0)
        while group < count:
            one: T.let = plan.order[group]
            signature: T.let = node_at(plan, one, at.NODE_PART)
            last = group + 1
            while T.if_then_else(last < count, same_group(plan, plan.order[last], one), False):
                last += 1
            order = T.meta_var(Stretch(plan.order, group))
            emit_steps(plan, order, last - group, signature, at.FORWARD, False, T.int64(0), T.int64(0),
                       T.int64(0), T.int64(0))  # fmt: skip
            group = last
        if begin == 0:
            for place in T.serial(end):
                plan.kept[place] = plan.fresh[place]
            plan.slots[SLOT["kept_end"]] = end
            plan.slots[SLOT["kept_inputs"]] = inputs_end - inputs_begin
            plan.slots[SLOT["kept_start"]] = inputs_start
            plan.slots[SLOT["kept_top"]] = top
            plan.slots[SLOT["kept_tape"]] = plan.slots[SLOT["tape_count"]]
            plan.slots[SLOT["kept_index_top"]] = plan.slots[SLOT["index_top"]]
            plan.slots[SLOT["kept_shared_work"]] = plan.slots[SLOT["shared_work"]]
            plan.slots[SLOT["kept_nodes"]] = node
            plan.slots[SLOT["kept_levels"]] = plan.slots[SLOT["levels"]]


@T.prim_func(s_tir=True, private=True)
def plan_forward(
    context: T.int64,
    begin: T.int64,
    end: T.int64,
    inputs_at: T.int64,
    inputs_begin: T.int64,
    inputs_end: T.int64,
):
    """Lay out the tape of nodes begin..end, and take in the input values that came with them.

    A graph that is the same as the one before, but for the values of its inputs, keeps the tape of that one.
    """
    slots = T.meta_var(tir.buffer_at(context, "int64"))
    use_tape(slots, SLOT["forward_index"], SLOT["forward_tape"], SLOT["forward_index_end"], SLOT["forward_tape_end"])
    plan = T.meta_var(open_buffers(context))
    inputs = T.meta_var(tir.buffer_at(inputs_at, "float32"))
    memory = T.meta_var(tir.buffer_at(plan.slots[SLOT["origin"]], "float32"))
    same_records(plan, begin, end, inputs_end - inputs_begin)
    if plan.slots[SLOT["wanted"]] != 0:
        for place in T.serial(inputs_end - inputs_begin):
            memory[plan.slots[SLOT["arena_top"]] + place] = inputs[inputs_begin + place]
        plan.slots[SLOT["arena_top"]] = plan.slots[SLOT["kept_top"]]
        plan.slots[SLOT["node_count"]] = plan.slots[SLOT["kept_nodes"]]
        plan.slots[SLOT["levels"]] = plan.slots[SLOT["kept_levels"]]
        plan.slots[SLOT["tape_count"]] = plan.slots[SLOT["kept_tape"]]
        plan.slots[SLOT["index_top"]] = plan.slots[SLOT["kept_index_top"]]
        plan.slots[SLOT["shared_work"]] = plan.slots[SLOT["kept_shared_work"]]
        plan.slots[SLOT["status"]] = at.READY
    else:
        plan_new_forward(plan, inputs, memory, begin, end, inputs_begin, inputs_end)
