"""Plans the backward pass: writes the instructions that compute gradients to the tape, from the loss backwards."""

from __future__ import annotations

from .. import layout
from ..plain import Words, plain
from .addresses import Block, write_lists
from .forward import lists_are_too_long
from .gradients import Gradients, make_ready
from .grouping import Group, each_group, each_group_backwards, put_in_order
from .nodes import Node, Plan
from .repeats import gradients_once, sums_are_known
from .stages import add_planned, find_depths, note_edges, start_numbering
from .structs import Context, Parameter
from .tape import add_fill, add_steps, start_tape, use_tape

KEPT = ("tape_count", "index_top", "shared_work")


@plain
def plan_backward(context, loss, size, everything) -> None:
    """Plan the backward pass from node number `loss`. Its plan is used again for the same forward plan and arguments.

    Each time, the rows of lookup tables that get gradients are noted. `size` is how many floats the loss has; 0 means
    that the pass is only planned ahead, and no rows are noted. If `everything` is 1, all nodes get gradients, even
    those that depend on no trained parameter, and aliases have their own.
    """
    use_tape(Context(context), "backward")
    plan = Plan(context)
    gradients = Gradients(plan, loss, everything)
    if is_kept(gradients):
        for name in KEPT:
            setattr(plan.context, name, getattr(plan.context, f"backward_{name}"))
        plan.context.status = layout.READY
        plan.table[layout.SEED_FILL] = plan.node(loss).gradient
        plan.table[layout.SEED_FILL + 1] = size
    else:
        plan_anew(gradients, size)
    if plan.context.status == layout.READY and size != 0:
        note_touched_rows(plan)
        from_last = loss == plan.context.node_count - 1
        plan.context.backward_expected = from_last and not everything and plan.context.one_numbering


@plain
def is_kept(gradients: Gradients):
    """Whether the kept plan was made for the same forward plan and the same gradients."""
    context = gradients.context
    return (
        context.backward_plan == context.plan
        and context.backward_loss == gradients.loss
        and context.backward_everything == gradients.everything
        and context.backward_start == context.gradient_start
    )


@plain
def plan_anew(gradients: Gradients, size) -> None:
    """Plan the pass. If a buffer is too small, set `status` to TOO_SMALL."""
    plan, context = gradients.plan, gradients.context
    context.backward_plan = -1  # from here on, the tape is no longer that of the kept plan
    context.backward_plans += 1
    start_tape(context)
    if not depths_are_known(gradients):
        find_depths_again(gradients)
    find_planned(gradients)
    if lists_are_too_long(context):
        context.status = layout.TOO_SMALL
        return
    # The forward plan may have sorted the same nodes already.
    if context.ordered != context.plan or context.ordered_count != context.planned_count:
        put_in_order(plan)
        context.ordered = -1
    add_all_steps(gradients, size)
    finish(gradients)


@plain
def depths_are_known(gradients: Gradients):
    """Whether the backward pass can use the depths of the forward pass.

    It can if a single plan found them all, and if all nodes with backward steps have forward steps. Aliases with
    gradients of their own (the loss, or all with `everything`) have only backward steps.
    """
    loss = gradients.plan.node(gradients.loss)
    return gradients.context.one_numbering and not gradients.everything and loss.signature.kind != layout.ALIAS


@plain
def find_depths_again(gradients: Gradients) -> None:
    plan, end = gradients.plan, gradients.loss + 1
    start_numbering(plan)
    for number in range(end):
        note_edges(plan, plan.node(number), 0)
    find_depths(plan, 0, end, gradients.has_steps)
    plan.context.fill(one_numbering=0, kept_one_numbering=0, ordered=-1)


@plain
def find_planned(gradients: Gradients) -> None:
    """Flag all nodes on which the loss depends, and list those whose backward steps will run in `planned`.

    Nodes that read rows of lookup tables and need a gradient are listed in `lookups`. Both lists are in descending
    order of node numbers. Also compute how much room address lists and instructions need at most: `needed_index` and
    `needed_tape`.
    """
    plan, context, loss = gradients.plan, gradients.context, gradients.loss
    if context.flags_used:
        for number in range(context.node_count):
            plan.node(number).flags &= layout.NEEDS_GRADIENT
    context.flags_used = 1
    plan.node(loss).set_flag(layout.REACHED | layout.DIFFERENTIATED)
    context.fill(needed_floats=0, needed_index=2, needed_tape=3, planned_count=0, lookup_count=0)
    for back in range(loss + 1):
        node = plan.node(loss - back)
        if node.has(layout.REACHED):
            reach_operands(gradients, node)
            if node.has(layout.DIFFERENTIATED):
                list_lookup(plan, node)
                if gradients.has_steps(node):
                    add_needed(context, node)
                    add_planned(plan, node, node.signature.number, node.depth_of_all)


@plain
def reach_operands(gradients: Gradients, node: Node) -> None:
    """Set flags of a node's operands: REACHED for all, DIFFERENTIATED for those that need a gradient from the node.

    An operand that was REACHED before also gets USED_TWICE. The part before a later part counts as an operand.
    """
    plan = gradients.plan
    passes = node.has(layout.DIFFERENTIATED) and node.signature.passes

    def reach(operand: Node):
        flags = operand.flags | (layout.USED_TWICE if operand.has(layout.REACHED) else layout.REACHED)
        if passes and (operand.needs_gradient or gradients.everything):
            flags |= layout.DIFFERENTIATED
        operand.flags = flags

    for operand in node.record.awaited():
        if operand >= 0:
            reach(plan.node(operand))
    if node.is_later_part:
        reach(node.part_before)


@plain
def list_lookup(plan: Plan, node: Node) -> None:
    if node.signature.operands == 1:
        operand = node.record.operand(0)
        if operand < 0 and plan.parameter_of(operand).touched:
            plan.lookups[plan.context.lookup_count] = node.number
            plan.context.lookup_count += 1


@plain
def add_needed(context: Context, node: Node) -> None:
    signature, columns = node.signature, node.columns
    steps = signature.backward.count
    context.needed_index += 4 * signature.view_count * columns + 2 * steps
    context.needed_tape += 2 * steps + signature.deferred.count
    if signature.determined_by != layout.NO_VIEW:
        context.needed_index += 2 * (signature.view_count + 1) * columns
        context.needed_tape += 2


@plain
def note_touched_rows(plan: Plan) -> None:
    """Note which rows of lookup tables get gradients, in the lists of touched rows that the trainer updates."""
    count = plan.context.lookup_count
    for back in range(count):
        node = plan.node(plan.lookups[count - 1 - back])
        parameter = plan.parameter_of(node.record.operand(0))
        if parameter.needs_gradient:
            touch_rows(node, parameter)


@plain
def touch_rows(node: Node, parameter: Parameter) -> None:
    touched, rows, record = Words(parameter.touched), parameter.rows, node.record
    for k in range(node.signature.attributes):
        row = record.operand(1 + k)
        mark = 1 + rows + row
        if not touched[mark]:
            touched[mark] = 1
            touched[1 + touched[0]] = row
            touched[0] += 1


@plain
def add_all_steps(gradients: Gradients, size) -> None:
    """Write all instructions: set the loss's gradient to 1, then the groups' backward steps, from the loss on.

    Last come the deferred steps, such as those for gradients of matrices: once for all nodes of a signature, whatever
    their depths.
    """
    plan, context = gradients.plan, gradients.context
    start, search, count = context.gradient_start, context.searches, context.planned_count
    context.gradient_top = start
    gradients.allocate(plan.node(gradients.loss))
    gradients.clear_from(start)
    add_fill(plan, layout.SEED_FILL, start, size, 1)
    for group in each_group_backwards(plan, plan.by_depth, count, Node.runs_with):
        begin = context.gradient_top
        for _, node in group.each_node():
            gradients.place(node.number)
        gradients.clear_from(begin)
        if group.signature.backward.count:
            add_backward_steps(gradients, group)
    for group in each_group(plan, plan.by_signature, count, has_same_signature):
        if group.signature.deferred.count:
            add_deferred_steps(group, gradients.everything, search)


@plain
def add_backward_steps(gradients: Gradients, group: Group) -> None:
    steps, everything = group.signature.backward, gradients.everything
    fresh, distinct, aliased = make_ready(gradients, group)
    block = gradients_once(group, write_lists(group, steps, with_gradients=True), everything)
    add_steps(group, steps, block, everything, fresh, distinct, left_out=aliased)


@plain
def add_deferred_steps(group: Group, everything, search) -> None:
    """Write the deferred steps of a group. `search` is the context's `searches` when the pass began."""
    signature = group.signature
    if sums_are_known(group, search):
        base, columns = signature.once_base, signature.once_columns
    else:
        written = write_lists(group, signature.deferred, with_gradients=True)
        base, columns = written.base, written.columns
    add_steps(group, signature.deferred, Block(base, columns), everything)


@plain
def has_same_signature(node: Node, other: Node):
    return node.signature_at == other.signature_at


@plain
def finish(gradients: Gradients) -> None:
    """Note what the finished plan was made for, and how long its lists are, so that it can be used again.

    If there is too little memory for gradients, keep nothing: set `status` to TOO_SMALL, and `needed_floats`.
    """
    context = gradients.context
    if context.gradient_top > context.gradient_end:
        context.fill(status=layout.TOO_SMALL, needed_floats=context.gradient_top - context.gradient_start)
    elif context.status == layout.READY:
        context.fill(
            backward_plan=context.plan,
            backward_loss=gradients.loss,
            backward_everything=gradients.everything,
            backward_start=context.gradient_start,
        )
        for name in KEPT:
            setattr(context, f"backward_{name}", getattr(context, name))
