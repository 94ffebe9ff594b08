"""Plans the backward pass: where gradients go, and the instructions that add them up, from the loss backwards."""

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
    depth_of,
    each_count,
    emit_clear,
    emit_fill,
    emit_steps,
    first_each,
    float_count,
    is_later_part,
    node_at,
    open_buffers,
    operand_count,
    operand_needs,
    property_of,
    put_in_order,
    same_group,
    size_of,
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


def is_live(plan, node, flag):
    return T.bitwise_and(node_at(plan, node, at.NODE_LIVE), T.int64(flag)) != 0


@T.inline
def revive(plan, operand, passed, everything):
    """Note that a node has room for a gradient, and is passed on if `passed` and it needs one."""
    row: T.let = operand * at.NODE_ROW
    wanted: T.let = at.WANTED | ((plan.node[row + at.NODE_NEEDS] | everything) * passed)
    twice: T.let = T.bitwise_and(plan.node[row + at.NODE_LIVE], T.int64(at.WANTED)) * (at.TWICE // at.WANTED)
    plan.node[row + at.NODE_LIVE] = plan.node[row + at.NODE_LIVE] | wanted | twice


@T.inline
def take_memory(plan, node, signature):
    """Give a node memory for its gradient."""
    row: T.let = node * at.NODE_ROW
    plan.node[row + at.NODE_GRADIENT] = plan.slots[SLOT["gradient_top"]]
    plan.slots[SLOT["gradient_top"]] += float_count(plan, node, signature)
    live: T.let = T.bitwise_and(plan.node[row + at.NODE_LIVE], T.int64(~at.CONSIDERED))
    plan.node[row + at.NODE_LIVE] = T.bitwise_or(live, T.int64(at.TOUCHED))


@T.inline
def touch(plan, node, loss, everything):
    """Find out where the gradient of a node is added up, which takes memory if it is the first time."""
    if node >= 0:
        owner = node
        move = T.int64(0)
        going = T.int64(1)
        while going != 0:
            signature: T.let = node_at(plan, owner, at.NODE_PART)
            going = T.if_then_else(has_own_gradient(plan, owner, signature, loss, everything), T.int64(0), T.int64(1))
            if going != 0:
                first: T.let = node_at(plan, owner, at.NODE_FIRST)
                move = move + plan.table[signature + at.ALIAS_OFFSET]
                if plan.table[signature + at.ALIAS_SCALE] != 0:
                    move = move + plan.nodes[first + 1] * plan.table[signature + at.ALIAS_SCALE]
                owner = plan.nodes[first]
                going = T.if_then_else(owner >= 0, T.int64(1), T.int64(0))
        if owner >= 0:
            if T.Not(is_live(plan, owner, at.TOUCHED)):
                take_memory(plan, owner, node_at(plan, owner, at.NODE_PART))
        if owner != node:
            gradient: T.let = property_of(plan, owner, at.PARAMETER_GRADIENT, at.NODE_GRADIENT)
            plan.node[node * at.NODE_ROW + at.NODE_GRADIENT] = gradient + move


@T.inline
def touch_operand(plan, operand, _, loss, everything):
    """`touch` as a visit."""
    touch(plan, operand, loss, everything)


@T.inline
def touch_operands(plan, node, signature, loss, everything):
    """The same for all that the steps of a node may add to."""
    first: T.let = node_at(plan, node, at.NODE_FIRST)
    for turn in T.serial(1 + plan.table[signature + at.WAITS_EACH]):
        awaited_at, waits = T.meta_var(awaited(plan, first, signature, operand_count(plan, first, signature), turn))
        for k in T.serial(waits):
            touch(plan, plan.nodes[awaited_at + k], loss, everything)
    if is_later_part(plan, node, first):
        touch(plan, node - 1, loss, everything)
        touch(plan, first - 1 - plan.table[signature + at.VARIADIC], loss, everything)


@T.inline
def consider(plan, operand, covers, loss, everything):
    """Find out whether a step that makes `covers` floats of an operand's gradient makes all of it, as the first."""
    if operand < 0:
        plan.slots[SLOT["wanted"]] = 0
    else:
        signature: T.let = node_at(plan, operand, at.NODE_PART)
        seen: T.let = T.bitwise_and(node_at(plan, operand, at.NODE_LIVE), T.int64(at.TOUCHED | at.CONSIDERED))
        if T.And(
            T.And(seen == 0, has_own_gradient(plan, operand, signature, loss, everything)),
            size_of(plan, operand, signature) == covers,
        ):
            plan.node[operand * at.NODE_ROW + at.NODE_LIVE] += at.CONSIDERED
        else:
            plan.slots[SLOT["wanted"]] = 0


@T.inline
def settle(plan, operand, fresh, _, everything):
    """Give an operand that was considered memory if the step is fresh; else forget about it."""
    if operand >= 0:
        if is_live(plan, operand, at.CONSIDERED):
            if fresh != 0:
                take_memory(plan, operand, node_at(plan, operand, at.NODE_PART))
            else:
                plan.node[operand * at.NODE_ROW + at.NODE_LIVE] -= at.CONSIDERED


@T.inline
def meet(plan, operand, _, loss, everything):
    """Find out whether an operand has a gradient of its own, and is met for the first time."""
    if operand < 0:
        plan.slots[SLOT["wanted"]] = 0
    else:
        signature: T.let = node_at(plan, operand, at.NODE_PART)
        if T.And(
            T.Not(is_live(plan, operand, at.CONSIDERED)), has_own_gradient(plan, operand, signature, loss, everything)
        ):
            plan.node[operand * at.NODE_ROW + at.NODE_LIVE] += at.CONSIDERED
        else:
            plan.slots[SLOT["wanted"]] = 0


@T.inline
def ask_to_borrow(plan, operand, covers, loss, everything):
    """Find out whether an operand's gradient can be the node's own: nothing else is ever added to it."""
    if operand < 0:
        plan.slots[SLOT["wanted"]] = 0
    else:
        signature: T.let = node_at(plan, operand, at.NODE_PART)
        begin: T.let = node_at(plan, operand, at.NODE_FIRST) - 1 - plan.table[signature + at.VARIADIC]
        taken: T.let = T.bitwise_and(node_at(plan, operand, at.NODE_LIVE), T.int64(at.TOUCHED | at.TWICE))
        if T.Or(
            T.Or(taken != 0, T.Or(begin != operand, plan.table[plan.nodes[begin] + at.PARTS_KNOWN] != 0)),
            T.Or(
                T.Or(size_of(plan, operand, signature) != covers, plan.table[signature + at.BORROWS] == 0),
                T.Not(has_own_gradient(plan, operand, signature, loss, everything)),
            ),
        ):
            plan.slots[SLOT["wanted"]] = 0


@T.inline
def borrow(plan, operand, gradient, _, everything):
    """Let a node's gradient be one that stands somewhere already."""
    row: T.let = operand * at.NODE_ROW
    plan.node[row + at.NODE_GRADIENT] = gradient
    plan.node[row + at.NODE_LIVE] = T.bitwise_or(plan.node[row + at.NODE_LIVE], T.int64(at.TOUCHED))


@T.inline
def operands_of_step(plan, order, nodes, operand, visit, number, loss, everything):
    """Visit each operand that a step of a group makes the gradient of: number `operand`, or those of EACH."""
    for place in T.serial(nodes):
        first: T.let = node_at(plan, order[place], at.NODE_FIRST)
        if operand >= 0:
            visit(plan, plan.nodes[first + operand], number, loss, everything)
        else:
            each: T.let = first_each(plan, first)
            for k in T.serial(each_count(plan, first)):
                visit(plan, plan.nodes[each + k], number, loss, everything)


@T.inline
def clear_from(plan, begin):
    """Set to 0 what has been taken of the gradients' memory from somewhere on."""
    if plan.slots[SLOT["gradient_top"]] > begin:
        emit_clear(plan, begin, plan.slots[SLOT["gradient_top"]] - begin)


@T.inline
def make_ready(plan, order, nodes, signature, loss, everything):
    """See that there is memory for all that the steps of a group add to, and that it is 0 where they do not set it."""
    fresh_bits = T.int64(0)
    distinct_bits = T.int64(0)
    lent_bits = T.int64(0)
    for number in T.serial(plan.table[signature + at.BACKWARD_COUNT]):
        step: T.let = signature + plan.table[signature + at.BACKWARD] + number * at.STEP_ROW
        operand: T.let = plan.table[step + at.STEP_OPERAND]
        covers: T.let = plan.table[step + at.STEP_COVERS]
        plan.slots[SLOT["wanted"]] = 1
        if operand != at.NO_OPERAND:
            operand_needs(plan, order, nodes, operand, everything)
        lends = T.int64(0)
        may_set: T.let = T.And(plan.slots[SLOT["wanted"]] != 0, plan.slots[SLOT["never_fresh"]] == 0)
        if T.And(may_set, plan.table[step + at.STEP_LENDS] != 0):
            operands_of_step(plan, order, nodes, operand, ask_to_borrow, covers, loss, everything)
            lends = plan.slots[SLOT["wanted"]]
            plan.slots[SLOT["wanted"]] = 1
        lent_bits = T.bitwise_or(lent_bits, T.shift_left(lends, number))
        if lends != 0:
            for place in T.serial(nodes):
                gradient: T.let = node_at(plan, order[place], at.NODE_GRADIENT)
                one = T.meta_var(Stretch(order.buffer, order.first + place))
                operands_of_step(plan, one, T.int64(1), operand, borrow, gradient, loss, everything)
        elif plan.slots[SLOT["wanted"]] != 0:
            fresh = T.int64(0)
            if T.And(covers != 0, plan.slots[SLOT["never_fresh"]] == 0):
                plan.slots[SLOT["wanted"]] = 1
                operands_of_step(plan, order, nodes, operand, consider, covers, loss, everything)
                fresh = plan.slots[SLOT["wanted"]]
                operands_of_step(plan, order, nodes, operand, settle, fresh, loss, everything)
            fresh_bits = T.bitwise_or(fresh_bits, T.shift_left(fresh, number))
            distinct = fresh
            if T.And(fresh == 0, plan.table[step + at.STEP_SHARED] == at.IF_DISTINCT):
                columns: T.let = T.max(plan.table[signature + at.COLUMNS], plan.table[signature + at.COLUMNS_EACH])
                work: T.let = nodes * columns * plan.table[step + at.STEP_WORK]
                if work >= plan.sharing[at.SHARING_INSTRUCTION]:
                    plan.slots[SLOT["wanted"]] = 1
                    operands_of_step(plan, order, nodes, operand, meet, covers, loss, everything)
                    distinct = plan.slots[SLOT["wanted"]]
                    operands_of_step(plan, order, nodes, operand, settle, T.int64(0), loss, everything)
            distinct_bits = T.bitwise_or(distinct_bits, T.shift_left(distinct, number))
            if fresh == 0:
                begin: T.let = plan.slots[SLOT["gradient_top"]]
                if operand >= 0:
                    operands_of_step(plan, order, nodes, operand, touch_operand, fresh, loss, everything)
                else:
                    for place in T.serial(nodes):
                        touch_operands(plan, order[place], signature, loss, everything)
                clear_from(plan, begin)
    plan.slots[SLOT["fresh_steps"]] = fresh_bits
    plan.slots[SLOT["distinct_steps"]] = distinct_bits
    plan.slots[SLOT["lent_steps"]] = lent_bits


@T.inline
def find_live(plan, loss, everything, listed):
    """Find the nodes through which the loss depends on parameters; how many of them have steps to run.

    These become `starts`, the last ones first.
    """
    if plan.slots[SLOT["dirty"]] != 0:
        for place in T.serial(plan.slots[SLOT["listed_count"]]):
            plan.node[plan.listed[place] * at.NODE_ROW + at.NODE_LIVE] = 0
    plan.slots[SLOT["dirty"]] = 1
    plan.node[loss * at.NODE_ROW + at.NODE_LIVE] = at.WANTED | at.PASSED_ON
    indices = T.int64(0)
    rows = T.int64(1)
    count = T.int64(0)
    for back in T.serial(listed):
        node: T.let = plan.listed[listed - 1 - back]
        if node_at(plan, node, at.NODE_LIVE) != 0:
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
            if is_later_part(plan, node, first):
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
def note_touched_rows(plan, listed):
    """Note the rows of lookup tables that gradients are added to; 0 if there are no such tables."""
    touching = T.int64(0)
    for place in T.serial(listed):
        node: T.let = plan.listed[place]
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
def plan_steps(plan, loss, size, everything, listed):
    """Write the tape, group by group of nodes that share depth and signature, from the loss backwards."""
    note_touched_rows(plan, listed)
    count: T.let = plan.slots[SLOT["starts_count"]]
    put_in_order(plan)
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
            emit_steps(plan, order, last - group, signature, plan.table[signature + at.BACKWARD],
                       plan.table[signature + at.BACKWARD_COUNT], True, everything, fresh, distinct, lent)  # fmt: skip
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
                       plan.table[signature + at.DEFERRED_COUNT], True, everything, T.int64(0), T.int64(0),
                       T.int64(0))  # fmt: skip
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
    listed = plan.slots[SLOT["listed_count"]]
    while plan.listed[listed - 1] > loss:
        listed = listed - 1
    known: T.let = T.And(
        T.And(plan.slots[SLOT["levels"]] != 0, everything == 0),
        plan.table[node_at(plan, loss, at.NODE_PART) + at.KIND] != at.ALIAS,
    )
    if T.Not(known):
        # nodes that were planned by turns, or that pass on gradients though they compute nothing
        start_numbering(plan)
        for place in T.serial(listed):
            node: T.let = plan.listed[place]
            note_edges(plan, node, node_at(plan, node, at.NODE_PART), node_at(plan, node, at.NODE_FIRST), 0)
        counts = T.meta_var(lambda plan, node, signature: has_gradient_steps(plan, node, signature, loss, everything))
        find_depths(plan, 0, listed, 0, counts)
        plan.slots[SLOT["levels"]] = 0
        plan.slots[SLOT["kept_levels"]] = 0
    find_live(plan, loss, everything, listed)
    if (
        plan.slots[SLOT["needed_index"]] > plan.slots[SLOT["index_end"]]
        or plan.slots[SLOT["needed_tape"]] > plan.slots[SLOT["tape_end"]]
    ):
        plan.slots[SLOT["status"]] = at.TOO_SMALL
        plan.slots[SLOT["needed_floats"]] = 0
    else:
        plan_steps(plan, loss, size, everything, listed)


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
        plan.slots[SLOT["shared_work"]] = plan.slots[SLOT["backward_shared_work"]]
        plan.slots[SLOT["status"]] = at.READY
        plan.table[at.SEED_FILL] = node_at(plan, loss, at.NODE_GRADIENT)
        plan.table[at.SEED_FILL + 1] = size
    else:
        plan_new_backward(plan, loss, size, everything)
