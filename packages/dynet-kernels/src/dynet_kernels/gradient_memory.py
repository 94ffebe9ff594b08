"""Where gradients stand: memory that is taken when something is first added, set by the first step, or borrowed."""

from __future__ import annotations

from tvm.script import tirx as T

from . import layout as at
from .layout import SLOT
from .planner import (
    Stretch,
    awaited,
    each_count,
    first_each,
    float_count,
    is_later_part,
    node_at,
    operand_count,
    property_of,
    size_of,
)
from .tape import emit_clear, step_needs


def has_own_gradient(plan, node, signature, loss, everything):
    """Whether a node has memory for its gradient. An alias adds to its operand's, unless somebody may ask for it."""
    return T.Or(plan.table[signature + at.KIND] != at.ALIAS, T.Or(node == loss, everything != 0))


def is_live(plan, node, flag):
    return T.bitwise_and(node_at(plan, node, at.NODE_LIVE), T.int64(flag)) != 0


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
    if is_later_part(plan, node):
        touch(plan, node - 1, loss, everything)
        touch(plan, node_at(plan, node, at.NODE_BEGIN), loss, everything)


@T.inline
def consider(plan, operand, covers, loss, everything):
    """Find out whether a step that makes `covers` floats of an operand's gradient makes all of it, as the first.

    With `covers` 0, only whether the operand has a gradient of its own and is met for the first time.
    """
    if operand < 0:
        plan.slots[SLOT["wanted"]] = 0
    else:
        signature: T.let = node_at(plan, operand, at.NODE_PART)
        marks: T.let = T.if_then_else(covers != 0, T.int64(at.TOUCHED | at.CONSIDERED), T.int64(at.CONSIDERED))
        seen: T.let = T.bitwise_and(node_at(plan, operand, at.NODE_LIVE), marks)
        if T.And(
            T.And(seen == 0, has_own_gradient(plan, operand, signature, loss, everything)),
            T.Or(covers == 0, size_of(plan, operand, signature) == covers),
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
def ask_to_borrow(plan, operand, covers, loss, everything):
    """Find out whether an operand's gradient can be the node's own: nothing else is ever added to it."""
    if operand < 0:
        plan.slots[SLOT["wanted"]] = 0
    else:
        signature: T.let = node_at(plan, operand, at.NODE_PART)
        head: T.let = plan.nodes[node_at(plan, operand, at.NODE_FIRST) - 1 - plan.table[signature + at.VARIADIC]]
        taken: T.let = T.bitwise_and(node_at(plan, operand, at.NODE_LIVE), T.int64(at.TOUCHED | at.TWICE))
        if T.Or(
            T.Or(taken != 0, plan.table[head + at.PARTS_KNOWN] != 0),
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
def take_first(plan, order, nodes):
    """Give the first parts of records memory that is not 0, where a record's last part is among the nodes.

    Its other parts run then, too, and each sets its share.
    """
    for place in T.serial(nodes):
        node: T.let = order[place]
        begin: T.let = node_at(plan, node, at.NODE_BEGIN)
        goes_on: T.let = T.if_then_else(
            node + 1 < plan.slots[SLOT["node_count"]], node_at(plan, node + 1, at.NODE_BEGIN) == begin, False
        )
        if T.Not(T.Or(goes_on, is_live(plan, begin, at.TOUCHED))):
            take_memory(plan, begin, node_at(plan, begin, at.NODE_PART))


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
            step_needs(plan, order, nodes, operand, everything)
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
            shared: T.let = plan.table[step + at.STEP_SHARED]
            if T.And(fresh == 0, T.Or(shared == at.IF_DISTINCT, shared == at.EITHER_IF_DISTINCT)):
                columns: T.let = T.max(plan.table[signature + at.COLUMNS], plan.table[signature + at.COLUMNS_EACH])
                work: T.let = nodes * columns * plan.table[step + at.STEP_WORK]
                if work >= plan.sharing[at.SHARING_INSTRUCTION]:
                    plan.slots[SLOT["wanted"]] = 1
                    operands_of_step(plan, order, nodes, operand, consider, T.int64(0), loss, everything)
                    distinct = plan.slots[SLOT["wanted"]]
                    operands_of_step(plan, order, nodes, operand, settle, T.int64(0), loss, everything)
            distinct_bits = T.bitwise_or(distinct_bits, T.shift_left(distinct, number))
            if fresh == 0:
                if plan.table[signature + at.SETS_FIRST] != 0:
                    take_first(plan, order, nodes)
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
