"""Plans the backward pass: where gradients go, and the instructions that add them up, from the loss backwards."""

from __future__ import annotations

from tvm.script import tirx as T

from . import layout as at
from . import tir
from .gradient_memory import clear_from, has_own_gradient, is_live, make_ready, take_memory, touch
from .layout import SLOT
from .levels import find_depths, note_edges, start_numbering
from .planner import (
    Stretch,
    awaited,
    column_count,
    depth_of,
    is_later_part,
    needs_of,
    node_at,
    open_buffers,
    operand_count,
    operand_needs,
    put_in_order,
    same_group,
)
from .tape import emit_fill, emit_steps, start_tape, use_tape


def has_gradient_steps(plan, node, signature, loss, everything):
    """Whether a node passes its gradient on by instructions."""
    return T.And(plan.table[signature + at.KIND] != at.INPUT, has_own_gradient(plan, node, signature, loss, everything))


@T.inline
def touch_rows(plan, node, signature, first, operand):
    """Note the rows of a lookup table that a node will add gradients to."""
    touched_at: T.let = plan.parameters[(-1 - operand) * at.PARAMETER_ROW + at.PARAMETER_TOUCHED]
    if touched_at * operand_needs(plan, operand) != 0:
        touched = T.meta_var(tir.buffer_at(touched_at, "int64"))
        rows: T.let = plan.parameters[(-1 - operand) * at.PARAMETER_ROW + at.PARAMETER_ROWS]
        for k in T.serial(plan.table[signature + at.ATTRIBUTES]):
            row: T.let = plan.nodes[first + 1 + k]
            if touched[1 + rows + row] == 0:
                touched[1 + rows + row] = 1
                touched[1 + touched[0]] = row
                touched[0] = touched[0] + 1


@T.inline
def revive(plan, operand, passed, everything):
    """Note that a node has room for a gradient, and is passed on if `passed` and it needs one."""
    row: T.let = operand * at.NODE_ROW
    wanted: T.let = at.WANTED | ((needs_of(plan, operand) | everything) * passed)
    twice: T.let = T.bitwise_and(plan.node[row + at.NODE_LIVE], T.int64(at.WANTED)) * (at.TWICE // at.WANTED)
    plan.node[row + at.NODE_LIVE] = plan.node[row + at.NODE_LIVE] | wanted | twice


@T.inline
def find_live(plan, loss, everything):
    """Find the nodes through which the loss depends on parameters; how many of them have steps to run.

    These become `starts`, the last ones first.
    """
    if plan.slots[SLOT["dirty"]] != 0:
        for node in T.serial(plan.slots[SLOT["node_count"]]):
            plan.node[node * at.NODE_ROW + at.NODE_LIVE] = needs_of(plan, node) * at.NEEDED
    plan.slots[SLOT["dirty"]] = 1
    plan.node[loss * at.NODE_ROW + at.NODE_LIVE] = needs_of(plan, loss) * at.NEEDED + (at.WANTED | at.PASSED_ON)
    indices = T.int64(0)
    rows = T.int64(1)
    count = T.int64(0)
    for back in T.serial(loss + 1):
        node: T.let = loss - back
        if is_live(plan, node, at.WANTED):
            signature: T.let = node_at(plan, node, at.NODE_PART)
            first: T.let = node_at(plan, node, at.NODE_FIRST)
            operands: T.let = operand_count(plan, first, signature)
            passed = T.int64(0)
            if is_live(plan, node, at.PASSED_ON):
                passed = plan.table[signature + at.PASSES] * at.PASSED_ON
            for turn in T.serial(1 + plan.table[signature + at.WAITS_EACH]):
                awaited_at, waits = T.meta_var(awaited(plan, first, signature, operands, turn))
                for k in T.serial(waits):
                    operand: T.let = plan.nodes[awaited_at + k]
                    if operand >= 0:
                        revive(plan, operand, passed, everything)
            if is_later_part(plan, node):
                revive(plan, node - 1, passed, everything)
            if T.And(is_live(plan, node, at.PASSED_ON), has_gradient_steps(plan, node, signature, loss, everything)):
                indices = indices + 4 * plan.table[signature + at.VIEWS] * column_count(plan, node, signature)
                indices = indices + 2 * plan.table[signature + at.BACKWARD_COUNT]
                rows = rows + 2 * plan.table[signature + at.BACKWARD_COUNT] + plan.table[signature + at.DEFERRED_COUNT]
                plan.starts[count] = node
                plan.numbers[count] = plan.table[signature + at.LOCAL]
                plan.depths[count] = depth_of(plan, node)
                count += 1
    plan.slots[SLOT["needed_index"]] = indices + 2
    plan.slots[SLOT["needed_tape"]] = rows + 2
    plan.slots[SLOT["starts_count"]] = count


@T.inline
def note_touched_rows(plan, loss):
    """Note the rows of lookup tables that gradients are added to; 0 if there are no such tables."""
    touching = T.int64(0)
    for node in T.serial(loss + 1):
        if is_live(plan, node, at.PASSED_ON):
            signature: T.let = node_at(plan, node, at.NODE_PART)
            first: T.let = node_at(plan, node, at.NODE_FIRST)
            operand: T.let = plan.nodes[first]
            if T.if_then_else(plan.table[signature + at.OPERANDS] == 1, operand < 0, False):
                touch_rows(plan, node, signature, first, operand)
                row: T.let = (-1 - operand) * at.PARAMETER_ROW
                touching = touching | plan.parameters[row + at.PARAMETER_TOUCHED]
    plan.slots[SLOT["touching"]] = touching


@T.inline
def plan_steps(plan, loss, size, everything):
    """Write the tape, group by group of nodes that share depth and signature, from the loss backwards."""
    note_touched_rows(plan, loss)
    count: T.let = plan.slots[SLOT["starts_count"]]
    slots = T.meta_var(plan.slots)
    if T.Or(slots[SLOT["ordered"]] != slots[SLOT["plan"]], slots[SLOT["ordered_count"]] != count):
        put_in_order(plan)
        slots[SLOT["ordered"]] = -1
    plan.slots[SLOT["gradient_top"]] = plan.slots[SLOT["gradient_start"]]
    take_memory(plan, loss, node_at(plan, loss, at.NODE_PART))
    clear_from(plan, plan.slots[SLOT["gradient_start"]])
    emit_fill(plan, at.SEED_FILL, node_at(plan, loss, at.NODE_GRADIENT), size, 1)
    last = count
    while last > 0:
        node: T.let = plan.order[last - 1]
        signature: T.let = node_at(plan, node, at.NODE_PART)
        group = last - 1
        while T.if_then_else(group > 0, same_group(plan, plan.order[group - 1], node), False):
            group = group - 1
        order = T.meta_var(Stretch(plan.order, group))
        begin: T.let = plan.slots[SLOT["gradient_top"]]
        for place in T.serial(last - group):
            touch(plan, order[place], loss, everything)
        clear_from(plan, begin)
        if plan.table[signature + at.BACKWARD_COUNT] != 0:
            make_ready(plan, order, last - group, signature, loss, everything)
            fresh: T.let = plan.slots[SLOT["fresh_steps"]]
            distinct: T.let = plan.slots[SLOT["distinct_steps"]]
            lent: T.let = plan.slots[SLOT["lent_steps"]]
            emit_steps(plan, order, last - group, signature, at.BACKWARD, True, everything, fresh, distinct, lent)
        last = group
    # gradients of shared matrices: all columns of the whole graph at once
    group = T.int64(0)
    while group < count:
        signature: T.let = node_at(plan, plan.sorted[group], at.NODE_PART)
        stop = group + 1
        while T.if_then_else(stop < count, node_at(plan, plan.sorted[stop], at.NODE_PART) == signature, False):
            stop += 1
        if plan.table[signature + at.DEFERRED_COUNT] != 0:
            together = T.meta_var(Stretch(plan.sorted, group))
            emit_steps(plan, together, stop - group, signature, at.DEFERRED, True, everything, T.int64(0),
                       T.int64(0), T.int64(0))  # fmt: skip
        group = stop
    if plan.slots[SLOT["gradient_top"]] > plan.slots[SLOT["gradient_end"]]:
        plan.slots[SLOT["status"]] = at.TOO_SMALL
        plan.slots[SLOT["needed_floats"]] = plan.slots[SLOT["gradient_top"]] - plan.slots[SLOT["gradient_start"]]
    elif plan.slots[SLOT["touching"]] == 0:
        plan.slots[SLOT["backward_plan"]] = plan.slots[SLOT["plan"]]
        plan.slots[SLOT["backward_loss"]] = loss
        plan.slots[SLOT["backward_everything"]] = everything
        plan.slots[SLOT["backward_start"]] = plan.slots[SLOT["gradient_start"]]
        plan.slots[SLOT["backward_tape_count"]] = plan.slots[SLOT["tape_count"]]
        plan.slots[SLOT["backward_index_top"]] = plan.slots[SLOT["index_top"]]
        plan.slots[SLOT["backward_shared_work"]] = plan.slots[SLOT["shared_work"]]


@T.inline
def plan_new_backward(plan, loss, size, everything):
    start_tape(plan)
    plan.slots[SLOT["backward_plan"]] = -1
    known: T.let = T.And(
        T.And(plan.slots[SLOT["levels"]] != 0, everything == 0),
        plan.table[node_at(plan, loss, at.NODE_PART) + at.KIND] != at.ALIAS,
    )
    if T.Not(known):
        # nodes that were planned by turns, or that pass on gradients though they compute nothing
        start_numbering(plan)
        for node in T.serial(loss + 1):
            note_edges(plan, node, node_at(plan, node, at.NODE_PART), node_at(plan, node, at.NODE_FIRST), 0)
        counts = T.meta_var(lambda plan, node, signature: has_gradient_steps(plan, node, signature, loss, everything))
        find_depths(plan, 0, loss + 1, counts)
        plan.slots[SLOT["levels"]] = 0
        plan.slots[SLOT["kept_levels"]] = 0
        plan.slots[SLOT["ordered"]] = -1
    find_live(plan, loss, everything)
    if (
        plan.slots[SLOT["needed_index"]] > plan.slots[SLOT["index_end"]]
        or plan.slots[SLOT["needed_tape"]] > plan.slots[SLOT["tape_end"]]
    ):
        plan.slots[SLOT["status"]] = at.TOO_SMALL
        plan.slots[SLOT["needed_floats"]] = 0
    else:
        plan_steps(plan, loss, size, everything)


@T.inline
def plan_pass(context, slots, loss, size, everything):
    """The last plan, if it is for this pass, too, or a new one."""
    use_tape(
        slots, SLOT["backward_index"], SLOT["backward_tape"], SLOT["backward_index_end"], SLOT["backward_tape_end"]
    )
    plan = T.meta_var(open_buffers(context))
    if (
        plan.slots[SLOT["backward_plan"]] == plan.slots[SLOT["plan"]]
        and plan.slots[SLOT["backward_loss"]] == loss
        and plan.slots[SLOT["backward_everything"]] == everything
        and plan.slots[SLOT["backward_start"]] == plan.slots[SLOT["gradient_start"]]
    ):
        plan.slots[SLOT["tape_count"]] = plan.slots[SLOT["backward_tape_count"]]
        plan.slots[SLOT["index_top"]] = plan.slots[SLOT["backward_index_top"]]
        plan.slots[SLOT["shared_work"]] = plan.slots[SLOT["backward_shared_work"]]
        plan.slots[SLOT["status"]] = at.READY
        plan.table[at.SEED_FILL] = node_at(plan, loss, at.NODE_GRADIENT)
        plan.table[at.SEED_FILL + 1] = size
    else:
        plan_new_backward(plan, loss, size, everything)


@T.prim_func(s_tir=True, private=True)
def plan_backward(context: T.int64, loss: T.int64, size: T.int64, everything: T.int64):
    """Lay out the tape that adds the gradient of `size` numbers at `loss` to every parameter they depend on.

    `everything` 1 also computes gradients that no parameter needs, and keeps those of aliases apart. As long as the
    forward plan is the same, so is this one, unless it has to note rows of lookup tables.
    """
    slots = T.meta_var(tir.buffer_at(context, "int64"))
    plan_pass(context, slots, loss, size, everything)
