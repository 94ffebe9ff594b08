"""Plans the backward pass: writes the instructions that compute gradients to the tape, from the loss backwards.

The functions here emit the code that does this. A *group* is the nodes of one signature and depth; they share
instructions. An *alias* is a node whose value is a part of its operand's value. A *trained* parameter is one that is
not frozen, so that its gradient is wanted. Other terms are explained in `layout`.
"""

from __future__ import annotations

from .. import layout as at
from ..plain import Words
from ..tir import let
from ..tvm_modules import T
from .flow import Variable, all_of, any_of, branch, each, pick, when, yes
from .gradients import Gradients, make_ready
from .grouping import Group, each_group, each_group_backwards, put_in_order
from .nodes import Node, Plan, parameter_row
from .repeats import gradients_once, sums_are_known
from .stages import add_planned, find_depths, note_edges, start_numbering
from .structs import Context, Parameter
from .tape import Block, add_fill, add_steps, start_tape, use_tape, write_lists

KEPT = ("tape_count", "index_top", "shared_work")


def plan_backward(context, loss, size, everything) -> None:
    """Plan the backward pass from node `loss`.

    The pass adds to the gradients of all trained parameters on which this node depends. The last backward plan is used
    again if the forward plan and the arguments are the same. Each time, the rows of lookup tables to which the pass
    adds are noted.

    Args:
        context: the address of the planner's context.
        loss: the number of the node from which the pass starts.
        size: how many floats the value of this node has; 0 to plan the pass ahead, so that it can be planned again
            quickly: then no rows are noted.
        everything: 1 to compute the gradients of all nodes, even of those that depend on no trained parameter, and to
            give aliases their own gradients; else 0.
    """
    use_tape(Context(Words(context)), "backward")
    plan = Plan(context)
    context = plan.context
    is_kept = all_of(
        context.backward_plan == context.plan,
        context.backward_loss == loss,
        context.backward_everything == everything,
        context.backward_start == context.gradient_start,
    )
    with branch(is_kept) as (kept, otherwise):
        with kept:
            for name in KEPT:
                setattr(context, name, getattr(context, f"backward_{name}"))
            context.status = at.READY
            plan.table[at.SEED_FILL] = plan.node(loss).gradient
            plan.table[at.SEED_FILL + 1] = size
        with otherwise:
            plan_anew(Gradients(plan, loss, everything), size)
    with when(all_of(context.status == at.READY, size != 0)):
        note_touched_rows(plan)
        from_last = all_of(loss == context.node_count - 1, everything == 0, context.one_numbering != 0)
        context.backward_expected = yes(from_last)


def plan_anew(gradients: Gradients, size) -> None:
    """Plan the pass when the last plan cannot be used again. If a buffer is too small, set `status` to TOO_SMALL."""
    plan, context = gradients.plan, gradients.context
    context.backward_plan = -1  # from here on, the tape is no longer that of the kept plan
    context.backward_plans = context.backward_plans + 1
    start_tape(context)
    with when(T.Not(depths_are_known(gradients))):
        find_depths_again(gradients)
    find_planned(gradients)
    too_small = any_of(context.needed_index > context.index_end, context.needed_tape > context.tape_end)
    with branch(too_small) as (stop, go_on):
        with stop:
            context.fill(status=at.TOO_SMALL, needed_floats=0)
        with go_on:
            put_planned_in_order(plan)
            add_all_steps(gradients, size)
            finish(gradients)


def depths_are_known(gradients: Gradients):
    """Whether the backward pass can use the depths that were found for the forward pass.

    It can if a single plan found them all, and if all nodes with backward steps also have forward steps. An alias has
    none in the forward pass, but has backward steps if it has its own gradient: if it is the loss, or if the gradients
    of all nodes are computed.
    """
    loss = gradients.plan.node(gradients.loss)
    return all_of(gradients.context.one_numbering != 0, gradients.everything == 0, loss.signature.kind != at.ALIAS)


def find_depths_again(gradients: Gradients) -> None:
    """Find the depths of all nodes up to the loss anew, because `depths_are_known` does not hold."""
    plan, loss = gradients.plan, gradients.loss
    start_numbering(plan)
    with each(loss + 1) as number:
        note_edges(plan, plan.node(number), 0)
    find_depths(plan, 0, loss + 1, lambda node: has_steps(gradients, node))
    plan.context.fill(one_numbering=0, kept_one_numbering=0, ordered=-1)


def has_steps(gradients: Gradients, node: Node):
    """Whether the backward pass runs the backward steps of a node's signature for this node.

    It runs none for inputs, and none for aliases without their own gradients.
    """
    return all_of(node.signature.kind != at.INPUT, gradients.has_own(node))


def find_planned(gradients: Gradients) -> None:
    """Set the flags of all nodes on which the loss depends. In `planned`, list those whose backward steps will run.

    Nodes that read rows of lookup tables and need a gradient are listed in `lookups`. Both lists are in descending
    order of the nodes' numbers. Also compute how much room address lists and instructions need at most:
    `needed_index` and `needed_tape` of the context.
    """
    plan, context, loss = gradients.plan, gradients.context, gradients.loss
    with when(context.flags_used != 0), each(context.node_count) as number:
        node = plan.node(number)
        node.flags = node.flags & at.NEEDS_GRADIENT
    context.flags_used = 1
    start = plan.node(loss)
    start.flags = (start.flags & at.NEEDS_GRADIENT) | (at.REACHED | at.DIFFERENTIATED)
    index, rows, lookups = Variable(0), Variable(1), Variable(0)
    context.planned_count = 0
    with each(loss + 1) as back:
        node = plan.node(let(loss - back))
        with when(node.has(at.REACHED)):
            signature = node.signature
            reach_operands(gradients, node)
            with when(all_of(node.has(at.DIFFERENTIATED), signature.operands == 1)):
                list_lookup(plan, node, lookups)
            with when(all_of(node.has(at.DIFFERENTIATED), has_steps(gradients, node))):
                steps = signature.backward.count
                determined = yes(signature.determined_by != at.NO_VIEW)
                lists = let(2 * signature.view_count * node.columns)
                index.value += 2 * (lists + steps) + determined * (lists + 2 * node.columns)
                rows.value += 2 * (steps + determined) + signature.deferred.count
                add_planned(plan, node, signature.number, node.depth_of_all)
    context.fill(needed_index=index.value + 2, needed_tape=rows.value + 2)
    context.lookup_count = lookups.value


def reach_operands(gradients: Gradients, node: Node) -> None:
    """Set flags of a node's operands: REACHED for all, DIFFERENTIATED for those that need a gradient from the node.

    An operand that had the flag REACHED before also gets USED_TWICE. For a later part of a record, the part before it
    counts as an operand.
    """
    plan = gradients.plan
    passes = let(yes(node.has(at.DIFFERENTIATED)) * node.signature.passes)

    def reach(operand: Node):
        flags = operand.flags
        differentiated = (operand.needs_gradient | gradients.everything) & passes
        again = yes((flags & at.REACHED) != 0)
        operand.flags = flags | at.REACHED | differentiated * at.DIFFERENTIATED | again * at.USED_TWICE

    for operand in node.record.awaited():
        with when(operand >= 0):
            reach(plan.node(operand))
    with when(node.is_later_part):
        reach(node.part_before)


def list_lookup(plan: Plan, node: Node, count: Variable) -> None:
    """Add a node with one operand to the list `lookups` if this operand is a lookup table.

    Args:
        count: how many nodes are listed so far; increased by 1 if the node is added.
    """
    operand = node.record.operand(0)
    touched = pick(operand < 0, lambda: plan.parameter(parameter_row(operand)).touched, 0)
    with when(touched != 0):
        plan.lookups[count.value] = node.number
        count.value += 1


def note_touched_rows(plan: Plan) -> None:
    """Note which rows of lookup tables get gradients from the pass, in the lists of touched rows.

    Each lookup table has such a list. It tells the trainer which rows to update; see `layout.PARAMETER`.
    """
    count = plan.context.lookup_count
    with each(count) as back:
        node = plan.node(plan.lookups[count - 1 - back])
        parameter = plan.parameter(parameter_row(node.record.operand(0)))
        with when(parameter.needs_gradient != 0):
            touch_rows(node, parameter)


def touch_rows(node: Node, parameter: Parameter) -> None:
    touched, rows, record = Words(parameter.touched), parameter.rows, node.record
    with each(node.signature.attributes) as k:
        row = record.operand(1 + k)
        mark = let(1 + rows + row)
        with when(touched[mark] == 0):
            touched[mark] = 1
            touched[1 + touched[0]] = row
            touched[0] += 1


def put_planned_in_order(plan: Plan) -> None:
    """Sort the nodes in `planned`, unless the forward plan has sorted the same nodes already."""
    context = plan.context
    with when(any_of(context.ordered != context.plan, context.ordered_count != context.planned_count)):
        put_in_order(plan)
        context.ordered = -1


def add_all_steps(gradients: Gradients, size) -> None:
    """Write all instructions of the pass to the tape.

    The first ones clear the gradient of the loss and set it to 1. Then follow the backward steps, one group of nodes
    after the other, from the loss backwards. Last come the deferred steps, such as those for gradients of matrices,
    which run once for all nodes of a signature, whatever their depths.
    """
    plan, context, everything = gradients.plan, gradients.context, gradients.everything
    context.gradient_top = context.gradient_start
    search = context.searches
    loss = plan.node(gradients.loss)
    with gradients.cleared():
        gradients.allocate(loss)
    add_fill(plan, at.SEED_FILL, loss.gradient, size, 1)
    count = context.planned_count
    for group in each_group_backwards(plan, plan.by_depth, count, Node.runs_with):
        with gradients.cleared():
            for _, node in group.each_node():
                gradients.place(node.number)
        with when(group.signature.backward.count != 0):
            add_backward_steps(gradients, group)
    # A deferred step, such as the one for the gradient of a matrix, gets one instruction for all nodes of its
    # signature, whatever their depths are.
    for group in each_group(plan, plan.by_signature, count, has_same_signature):
        with when(group.signature.deferred.count != 0):
            add_deferred_steps(group, everything, search)


def add_backward_steps(gradients: Gradients, group: Group) -> None:
    ready, steps, everything = make_ready(gradients, group), group.signature.backward, gradients.everything
    block = gradients_once(group, write_lists(group, steps, with_gradients=True), everything)
    add_steps(group, steps, block, everything, ready.fresh, ready.distinct, left_out=ready.aliased)


def add_deferred_steps(group: Group, everything, search) -> None:
    """Write the instructions for the deferred steps of a group.

    Args:
        everything: 1 if all nodes need gradients, even those that depend on no trained parameter; else 0.
        search: what `searches` of the context was when the pass began.
    """
    signature, block = group.signature, Block(Variable(0), Variable(0))
    with branch(sums_are_known(group, search)) as (known, otherwise):
        with known:
            block.base.value, block.columns.value = signature.once_base, signature.once_columns
        with otherwise:
            written = write_lists(group, signature.deferred, with_gradients=True)
            block.base.value, block.columns.value = written.base, written.columns
    add_steps(group, signature.deferred, Block(block.base.value, block.columns.value), everything)


def has_same_signature(node: Node, other: Node):
    return node.signature_at == other.signature_at


def finish(gradients: Gradients) -> None:
    """Keep the finished plan, so that it can be used again.

    To do so, note in the context what the plan was made for, and how long its lists are. If there is too little memory
    for gradients, do not keep it, but set `status` to TOO_SMALL, and `needed_floats` to the number of floats needed.
    """
    context = gradients.context
    with branch(context.gradient_top > context.gradient_end) as (too_small, otherwise):
        with too_small:
            context.fill(status=at.TOO_SMALL, needed_floats=context.gradient_top - context.gradient_start)
        with otherwise, when(context.status == at.READY):
            context.fill(
                backward_plan=context.plan,
                backward_loss=gradients.loss,
                backward_everything=gradients.everything,
                backward_start=context.gradient_start,
            )
            for name in KEPT:
                setattr(context, f"backward_{name}", getattr(context, name))
