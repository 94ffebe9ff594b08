"""Plans the backward pass: where gradients go, and the instructions that add them up, from the loss backwards."""

from __future__ import annotations

from tvm.script import tirx as T

from . import layout as at
from . import tir
from .layout import SLOT
from .levels import find_depths
from .planner import (
    Stretch,
    awaited,
    column_count,
    count_sort,
    depth_of,
    emit_fill,
    emit_steps,
    float_count,
    is_later_part,
    local_of,
    node_at,
    open_buffers,
    operand_count,
    property_of,
    same_group,
    start_tape,
    use_tape,
)

WANTED = 1  # NODE_LIVE: the node has room for a gradient
PASSED_ON = 3  # and the loss depends on it, so that its steps have to run


def has_own_gradient(plan, node, signature, loss, everything):
    """Whether a node has memory for its gradient. An alias adds to its operand's, unless somebody may ask for it."""
    return T.Or(plan.table[signature + at.KIND] != at.ALIAS, T.Or(node == loss, everything != 0))


def has_gradient_steps(plan, node, signature, loss, everything):
    """Whether a node passes its gradient on by instructions."""
    return T.And(plan.table[signature + at.KIND] != at.INPUT, has_own_gradient(plan, node, signature, loss, everything))


@T.inline
def touch_rows(plan, node, signature, first, operand):
    """Note the rows of a lookup table that a node will add gradients to."""
    touched_at: T.let = plan.parameters[(-1 - operand) * at.PARAMETER_ROW + at.PARAMETER_TOUCHED]
    if touched_at != 0:
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
    wanted: T.let = WANTED | ((plan.node[row + at.NODE_NEEDS] | everything) * passed)
    plan.node[row + at.NODE_LIVE] = plan.node[row + at.NODE_LIVE] | wanted


@T.inline
def place_gradient(plan, node, signature, first, loss, everything, top):
    """Where a node's gradient goes; one of its own begins at `top`."""
    gradient = top
    if T.Not(has_own_gradient(plan, node, signature, loss, everything)):
        gradient = property_of(plan, plan.nodes[first], at.PARAMETER_GRADIENT, at.NODE_GRADIENT)
        gradient = gradient + plan.table[signature + at.ALIAS_OFFSET]
        if plan.table[signature + at.ALIAS_SCALE] != 0:
            gradient = gradient + plan.nodes[first + 1] * plan.table[signature + at.ALIAS_SCALE]
    plan.node[node * at.NODE_ROW + at.NODE_GRADIENT] = gradient


@T.inline
def plan_new_backward(plan, loss, size, everything):
    start_tape(plan)
    plan.slots[SLOT["backward_plan"]] = -1
    listed = plan.slots[SLOT["listed_count"]]
    while plan.listed[listed - 1] > loss:
        listed = listed - 1
    known: T.let = T.And(
        T.And(plan.slots[SLOT["levels"]] != 0, everything == 0),
        plan.table[node_at(plan, loss, at.NODE_PART) + at.KIND] != at.ALIAS,
    )
    if T.Not(known):
        # nodes that were planned by turns, or that pass on gradients though they compute nothing
        find_depths(
            plan,
            0,
            listed,
            0,
            lambda plan, node, signature: has_gradient_steps(plan, node, signature, loss, everything),
        )
        plan.slots[SLOT["levels"]] = 0
        plan.slots[SLOT["kept_levels"]] = 0
    for place in T.serial(listed):
        plan.node[plan.listed[place] * at.NODE_ROW + at.NODE_LIVE] = 0
    plan.node[loss * at.NODE_ROW + at.NODE_LIVE] = PASSED_ON
    indices = T.int64(0)
    rows = T.int64(2)
    for back in T.serial(listed):
        node: T.let = plan.listed[listed - 1 - back]
        live: T.let = node_at(plan, node, at.NODE_LIVE)
        if live != 0:
            signature: T.let = node_at(plan, node, at.NODE_PART)
            first: T.let = node_at(plan, node, at.NODE_FIRST)
            operands: T.let = operand_count(plan, first, signature)
            passed: T.let = T.if_then_else(live == PASSED_ON, plan.table[signature + at.PASSES] * 2, T.int64(0))
            for turn in T.serial(1 + plan.table[signature + at.WAITS_EACH]):
                awaited_at, waits = T.meta_var(awaited(plan, first, signature, operands, turn))
                for k in T.serial(waits):
                    operand: T.let = plan.nodes[awaited_at + k]
                    if operand >= 0:
                        revive(plan, operand, passed, everything)
            if is_later_part(plan, node, first):
                revive(plan, node - 1, passed, everything)
            if T.And(live == PASSED_ON, has_gradient_steps(plan, node, signature, loss, everything)):
                indices = indices + 4 * plan.table[signature + at.VIEWS] * column_count(plan, node, signature)
                rows = rows + plan.table[signature + at.BACKWARD_COUNT] + plan.table[signature + at.DEFERRED_COUNT]
    # where gradients go; `starts` are the nodes that have instructions; touched rows of lookup tables are noted
    start: T.let = plan.slots[SLOT["gradient_start"]]
    top = start
    count = T.int64(0)
    touching = T.int64(0)
    for place in T.serial(listed):
        node: T.let = plan.listed[place]
        live: T.let = node_at(plan, node, at.NODE_LIVE)
        if live != 0:
            signature: T.let = node_at(plan, node, at.NODE_PART)
            first: T.let = node_at(plan, node, at.NODE_FIRST)
            place_gradient(plan, node, signature, first, loss, everything, top)
            if has_own_gradient(plan, node, signature, loss, everything):
                top = top + float_count(plan, node, signature)
            if live == PASSED_ON:
                operand: T.let = plan.nodes[first]
                if T.if_then_else(plan.table[signature + at.OPERANDS] == 1, operand < 0, False):
                    touch_rows(plan, node, signature, first, operand)
                    row: T.let = (-1 - operand) * at.PARAMETER_ROW
                    touching = touching | plan.parameters[row + at.PARAMETER_TOUCHED]
                if has_gradient_steps(plan, node, signature, loss, everything):
                    plan.starts[count] = node
                    count += 1
    if (
        top > plan.slots[SLOT["gradient_end"]]
        or indices > plan.slots[SLOT["index_end"]]
        or (rows > plan.slots[SLOT["tape_end"]])
    ):
        plan.slots[SLOT["status"]] = at.TOO_SMALL
        plan.slots[SLOT["needed_floats"]] = top - start
        plan.slots[SLOT["needed_index"]] = indices
        plan.slots[SLOT["needed_tape"]] = rows
    else:
        plan.slots[SLOT["gradient_size"]] = top - start
        count_sort(plan, plan.starts, plan.sorted, count, plan.slots[SLOT["numbered"]], local_of)
        count_sort(plan, plan.sorted, plan.order, count, plan.slots[SLOT["depths"]], depth_of)
        emit_fill(plan, at.ZERO_FILL, start, top - start, 0)
        emit_fill(plan, at.SEED_FILL, node_at(plan, loss, at.NODE_GRADIENT), size, 1)
        last = count
        while last > 0:
            node: T.let = plan.order[last - 1]
            signature: T.let = node_at(plan, node, at.NODE_PART)
            group = last - 1
            while T.if_then_else(group > 0, same_group(plan, plan.order[group - 1], node), False):
                group = group - 1
            if plan.table[signature + at.BACKWARD_COUNT] != 0:
                order = T.meta_var(Stretch(plan.order, group))
                emit_steps(plan, order, last - group, signature, plan.table[signature + at.BACKWARD],
                           plan.table[signature + at.BACKWARD_COUNT], True, everything)  # fmt: skip
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
                emit_steps(plan, together, stop - group, signature, plan.table[signature + at.DEFERRED],
                           plan.table[signature + at.DEFERRED_COUNT], True, everything)  # fmt: skip
            group = stop
        if touching == 0:
            plan.slots[SLOT["backward_plan"]] = plan.slots[SLOT["plan"]]
            plan.slots[SLOT["backward_loss"]] = loss
            plan.slots[SLOT["backward_everything"]] = everything
            plan.slots[SLOT["backward_start"]] = start
            plan.slots[SLOT["backward_tape_count"]] = plan.slots[SLOT["tape_count"]]
            plan.slots[SLOT["backward_index_top"]] = plan.slots[SLOT["index_top"]]


@T.prim_func(s_tir=True, private=True)
def plan_backward(context: T.int64, loss: T.int64, size: T.int64, everything: T.int64):
    """Lay out the tape that adds the gradient of `size` numbers at `loss` to every parameter they depend on.

    `everything` 1 also computes gradients that no parameter needs, and keeps those of aliases apart. As long as the
    forward plan is the same, so is this one, unless it has to note rows of lookup tables.
    """
    slots = T.meta_var(tir.buffer_at(context, "int64"))
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
        plan.slots[SLOT["status"]] = at.READY
        plan.table[at.ZERO_FILL] = plan.slots[SLOT["gradient_start"]]
        plan.table[at.ZERO_FILL + 1] = plan.slots[SLOT["gradient_size"]]
        plan.table[at.SEED_FILL] = node_at(plan, loss, at.NODE_GRADIENT)
        plan.table[at.SEED_FILL + 1] = size
    else:
        plan_new_backward(plan, loss, size, everything)
