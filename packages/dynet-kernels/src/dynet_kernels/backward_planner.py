"""Plans the backward pass: where gradients go, and the instructions that add them up, from the loss backwards."""

from __future__ import annotations

from tvm.script import tirx as T

from . import layout as at
from . import tir
from .layout import SLOT
from .planner import (
    awaited,
    column_count,
    count_sort,
    depth_of,
    emit_fill,
    emit_steps,
    float_count,
    open_buffers,
    operand_count,
    part_count,
    property_of,
    same_group,
    signature_number,
    start_tape,
    use_tape,
)


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
def plan_new_backward(plan, loss, size, everything):
    start_tape(plan)
    plan.slots[SLOT["backward_plan"]] = -1
    position = T.int64(0)
    visited = T.int64(0)
    depths = T.int64(0)
    # each node up to the loss: its depth in the whole graph
    while position <= loss:
        whole: T.let = plan.nodes[position]
        first: T.let = plan.first[position]
        operands: T.let = operand_count(plan, first, whole)
        for number in T.serial(part_count(plan, first, whole)):
            node: T.let = position + number
            signature: T.let = plan.part[node]
            depth = T.int64(0)
            if number > 0:
                depth = plan.depth[node - 1]
            for turn in T.serial(1 + plan.table[signature + at.WAITS_EACH]):
                awaited_at, waits = T.meta_var(awaited(plan, first, signature, operands, turn))
                for k in T.serial(waits):
                    operand: T.let = plan.nodes[awaited_at + k]
                    if operand >= 0:
                        depth = T.max(depth, plan.depth[operand])
            if has_gradient_steps(plan, node, signature, loss, everything):
                depth += 1
            plan.depth[node] = depth
            depths = T.max(depths, depth + 1)
            plan.live[node] = 0
            plan.starts[visited] = node
            visited += 1
        position = first + operands + plan.table[whole + at.ATTRIBUTES]
    # 3: the loss depends on it and it has steps to do; 1: only has room for a gradient
    plan.live[loss] = 3
    count = T.int64(0)
    indices = T.int64(0)
    rows = T.int64(2)
    for back in T.serial(visited):
        node: T.let = plan.starts[visited - 1 - back]
        if plan.live[node] != 0:
            signature: T.let = plan.part[node]
            first: T.let = plan.first[node]
            operands: T.let = operand_count(plan, first, signature)
            passed: T.let = T.if_then_else(plan.live[node] == 3, plan.table[signature + at.PASSES] * 2, T.int64(0))
            for turn in T.serial(1 + plan.table[signature + at.WAITS_EACH]):
                awaited_at, waits = T.meta_var(awaited(plan, first, signature, operands, turn))
                for k in T.serial(waits):
                    operand: T.let = plan.nodes[awaited_at + k]
                    if operand >= 0:
                        plan.live[operand] = plan.live[operand] | 1 | ((plan.needs[operand] | everything) * passed)
            if node > first - 1 - plan.table[signature + at.VARIADIC]:
                plan.live[node - 1] = plan.live[node - 1] | 1 | ((plan.needs[node - 1] | everything) * passed)
            if plan.live[node] == 3 and has_gradient_steps(plan, node, signature, loss, everything):
                count += 1
                indices = indices + 4 * plan.table[signature + at.VIEWS] * column_count(plan, node, signature)
                rows = rows + plan.table[signature + at.BACKWARD_COUNT] + plan.table[signature + at.DEFERRED_COUNT]
    # where gradients go
    start: T.let = plan.slots[SLOT["gradient_start"]]
    top = start
    for place in T.serial(visited):
        node: T.let = plan.starts[place]
        if plan.live[node] != 0:
            signature: T.let = plan.part[node]
            if has_own_gradient(plan, node, signature, loss, everything):
                plan.gradient[node] = top
                top = top + float_count(plan, node, signature)
            else:
                first: T.let = plan.first[node]
                base: T.let = property_of(plan, plan.nodes[first], at.PARAMETER_GRADIENT, plan.gradient)
                move = plan.table[signature + at.ALIAS_OFFSET]
                if plan.table[signature + at.ALIAS_SCALE] != 0:
                    move = move + plan.nodes[first + 1] * plan.table[signature + at.ALIAS_SCALE]
                plan.gradient[node] = base + move
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
        # `starts` shrinks to the live nodes that have instructions; touched rows of lookup tables are noted
        count = 0
        listed = T.int64(0)
        for place in T.serial(visited):
            node: T.let = plan.starts[place]
            if plan.live[node] == 3:
                signature: T.let = plan.part[node]
                first: T.let = plan.first[node]
                operand: T.let = plan.nodes[first]
                if T.if_then_else(
                    plan.table[signature + at.OPERANDS] == 1,
                    operand < 0,
                    False,
                ):
                    touch_rows(plan, node, signature, first, operand)
                    listed = listed | plan.parameters[(-1 - operand) * at.PARAMETER_ROW + at.PARAMETER_TOUCHED]
                if has_gradient_steps(plan, node, signature, loss, everything):
                    plan.starts[count] = node
                    count += 1
        count_sort(plan, plan.starts, plan.sorted, count, plan.slots[SLOT["signatures"]], signature_number)
        count_sort(plan, plan.sorted, plan.order, count, depths, depth_of)
        emit_fill(plan, at.ZERO_FILL, start, top - start, 0)
        emit_fill(plan, at.SEED_FILL, plan.gradient[loss], size, 1)
        last = count
        while last > 0:
            node: T.let = plan.order[last - 1]
            signature: T.let = plan.part[node]
            group = last - 1
            while T.if_then_else(group > 0, same_group(plan, plan.order[group - 1], node), False):
                group = group - 1
            if plan.table[signature + at.BACKWARD_COUNT] != 0:
                emit_steps(plan, plan.order, group, last, signature, plan.table[signature + at.BACKWARD],
                           plan.table[signature + at.BACKWARD_COUNT], True, everything)  # fmt: skip
            last = group
        # gradients of shared matrices: all columns of the whole graph at once
        group = T.int64(0)
        while group < count:
            signature: T.let = plan.part[plan.sorted[group]]
            stop = group + 1
            while T.if_then_else(stop < count, plan.part[plan.sorted[stop]] == signature, False):
                stop += 1
            if plan.table[signature + at.DEFERRED_COUNT] != 0:
                emit_steps(plan, plan.sorted, group, stop, signature, plan.table[signature + at.DEFERRED],
                           plan.table[signature + at.DEFERRED_COUNT], True, everything)  # fmt: skip
            group = stop
        if listed == 0:
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
        plan.table[at.SEED_FILL] = plan.gradient[loss]
        plan.table[at.SEED_FILL + 1] = size
    else:
        plan_new_backward(plan, loss, size, everything)
