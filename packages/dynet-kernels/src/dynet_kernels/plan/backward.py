"""Plans the backward pass: writes the instructions that compute gradients to the tape, from the loss backwards.

Memory is assigned to each gradient when the first step that adds to it is planned. If this step can write all of the
gradient, it is *fresh*: it overwrites uninitialized memory. Otherwise, the memory is cleared first. If a step would
only copy a node's gradient to an operand that nothing else uses, both share one address, and the step is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from .. import layout
from ..plain import Words, plain
from . import tape
from .forward import add_planned, find_depths, lists_are_too_long, note_edges, start_numbering
from .nodes import Context, Node, Parameter, Plan, Step
from .repeats import gradients_once, sums_are_known
from .tape import Block, Group


class Gradients:
    """The gradients of a backward pass from node `loss`. If `everything`, each node, even an alias, gets its own."""

    def __init__(self, plan: Plan, loss, everything):
        self.plan, self.context, self.loss, self.everything = plan, plan.context, loss, everything

    @plain
    def has_own(self, node: Node):
        """Whether a node has its own gradient. Otherwise it is an alias: its gradient is a section of its operand's."""
        return node.signature.kind != layout.ALIAS or node.number == self.loss or self.everything

    @plain
    def has_steps(self, node: Node):
        """Whether this node may have backward steps. Inputs and aliases without their own gradients have none."""
        return node.signature.kind != layout.INPUT and self.has_own(node)

    @plain
    def allocate(self, node: Node) -> None:
        node.gradient = self.context.gradient_top
        self.context.gradient_top += layout.aligned(node.gradient_size)
        node.set_flag(layout.HAS_GRADIENT)

    @plain
    def clear_from(self, begin) -> None:
        """Add an instruction that clears the memory from address `begin` to `gradient_top`."""
        end = self.context.gradient_top
        if end > begin:
            tape.add_clear(self.plan, begin, end - begin)

    @plain
    def owner(self, operand) -> tuple:
        """Follow aliases to a parameter or a node with its own gradient, which contains an operand's gradient.

        Return this parameter or node, and the offset of the operand's gradient in its gradient, in floats.
        """
        owner, offset = operand, 0
        while owner >= 0 and not self.has_own(self.plan.node(owner)):
            alias = self.plan.node(owner)
            offset += alias.alias_offset
            owner = alias.record.operand(0)
        return owner, offset

    @plain
    def place(self, operand) -> None:
        """Set the address of an operand's gradient, and assign memory if it has none. Do nothing for a parameter."""
        if operand >= 0:
            owner, offset = self.owner(operand)
            if owner >= 0 and not self.plan.node(owner).has(layout.HAS_GRADIENT):
                self.allocate(self.plan.node(owner))
            if owner != operand:
                self.plan.node(operand).gradient = self.plan.address(owner, "gradient") + offset

    @plain
    def place_operands(self, node: Node) -> None:
        """Call `place` for the nodes to whose gradients a node's steps may add: operands, previous part, first part."""
        for operand in node.record.awaited():
            self.place(operand)
        if node.is_later_part:
            self.place(node.number - 1)
            self.place(node.first_part)


@plain
def make_ready(gradients: Gradients, group: Group) -> tuple:
    """Assign memory to all gradients to which a group's backward steps add. Return three sets of steps.

    Bit k of a set is step k. Fresh steps must overwrite gradients instead of adding to them. Distinct steps are known
    to add to a different gradient for each node of the group. Aliased steps are left out, because the gradients of
    operands and nodes have the same addresses.
    """
    fresh, distinct, aliased = 0, 0, 0
    steps = group.signature.backward
    for k in range(steps.count):
        step = steps[k]
        if tape.is_wanted(group, step, gradients.everything):
            targets = Targets(gradients, group, step)
            bit = 1 << k
            if targets.become_aliases():
                aliased |= bit
            elif targets.are_overwritten():
                fresh |= bit
                distinct |= bit
            else:
                if targets.are_distinct():
                    distinct |= bit
                targets.allocate_cleared()
    return fresh, distinct, aliased


class Targets:
    """The operands to whose gradients a step adds, for all nodes of a group. `operand` is the step's `gradient_of`."""

    def __init__(self, gradients: Gradients, group: Group, step: Step):
        self.gradients, self.group, self.step, self.plan = gradients, group, step, gradients.plan
        self.operand, self.covers = step.gradient_of, step.covers

    @property
    @plain
    def can_be_overwritten(self):
        return not self.plan.context.never_fresh and self.covers

    @plain
    def each_target(self) -> Iterator[tuple]:
        """Yield pairs (node, target). A target is operand number `operand`, or if it is negative, any EACH operand."""
        for _, node in self.group.each_node():
            record = node.record
            first = self.operand if self.operand >= 0 else record.each_start
            count = 1 if self.operand >= 0 else record.each_count
            for k in range(count):
                yield node, record.operand(first + k)

    @plain
    def are_nodes(self, fit: Callable):
        """Whether all targets are nodes for which fit(operand) is true. `fit` is not called after the first failure."""
        good = 1
        for _, operand in self.each_target():
            good = good and operand >= 0 and fit(operand)
        return good

    @plain
    def become_aliases(self):
        """Give the gradient of each target the address of its node's gradient, if possible. Return whether it is.

        The step must only copy gradients, and all targets must be suitable; see `_can_be_alias`.
        """
        possible = self.can_be_overwritten and self.step.copies and self.are_nodes(self._can_be_alias)
        if possible:
            for node, operand in self.each_target():
                target = self.plan.node(operand)
                target.gradient = node.gradient
                target.set_flag(layout.HAS_GRADIENT)
        return possible

    @plain
    def _can_be_alias(self, operand):
        """Whether no other step adds to the gradient, the operand's own steps do not change it, and its size fits."""
        target = self.plan.node(operand)
        return (
            not target.has(layout.HAS_GRADIENT | layout.USED_TWICE)
            and target.is_whole_record
            and target.gradient_size == self.covers
            and target.signature.keeps_gradient
            and self.gradients.has_own(target)
        )

    @plain
    def are_overwritten(self):
        """If the step can overwrite all targets, assign uncleared memory to their gradients. Return whether it can.

        It must be the first to add to each gradient and write all of it, and the targets must all be different. Memory
        is assigned during the check, and taken back if a target does not fit.
        """
        context = self.plan.context
        begin = context.gradient_top
        fresh = self.can_be_overwritten and self.are_nodes(self._allocate_one)
        if not fresh and context.gradient_top != begin:
            self._take_back(begin)
        return fresh

    @plain
    def _allocate_one(self, operand):
        """Assign memory to a gradient that has none yet, if the step writes all of it. Return whether this was done.

        The gradient of an alias must be all of another node's gradient, as in a reshape.
        """
        owner, offset = self.gradients.owner(operand)
        if owner < 0 or offset != 0:
            return 0
        target = self.plan.node(owner)
        if target.has(layout.HAS_GRADIENT) or target.gradient_size != self.covers:
            return 0
        self.gradients.allocate(target)
        if owner != operand:
            self.plan.node(operand).gradient = target.gradient
        return 1

    @plain
    def _take_back(self, begin) -> None:
        for _, operand in self.each_target():
            owner, _ = self.gradients.owner(operand)
            if owner >= 0:
                target = self.plan.node(owner)
                if target.has(layout.HAS_GRADIENT) and target.gradient >= begin:
                    target.clear_flag(layout.HAS_GRADIENT)
        self.plan.context.gradient_top = begin

    @plain
    def are_distinct(self):
        """Whether the step is known to add to a different gradient for each node of the group.

        Check this only if it decides how threads share the step, and if the step is long enough to be shared.
        """
        shared, signature = self.step.shared, self.group.signature
        columns = self.group.count * max(signature.columns, signature.columns_each)
        matters = shared == layout.IF_DISTINCT or shared == layout.EITHER_IF_DISTINCT
        if not matters or columns * self.step.work < self.plan.limits.least_instruction:
            return 0
        distinct = self.are_nodes(self._mark)
        for _, operand in self.each_target():
            if operand >= 0:
                self.plan.node(operand).clear_flag(layout.MET)
        return distinct

    @plain
    def _mark(self, operand):
        """Set an operand's flag MET. Return 0 if it was already set, or if the operand has no gradient of its own."""
        target = self.plan.node(operand)
        if target.has(layout.MET) or not self.gradients.has_own(target):
            return 0
        target.set_flag(layout.MET)
        return 1

    @plain
    def allocate_cleared(self) -> None:
        """Assign cleared memory to targets without memory. If `operand` is negative, all operands are targets."""
        begin = self.plan.context.gradient_top
        if self.operand >= 0:
            for _, operand in self.each_target():
                self.gradients.place(operand)
        else:
            for _, node in self.group.each_node():
                self.gradients.place_operands(node)
        self.gradients.clear_from(begin)


KEPT = ("tape_count", "index_top", "shared_work")  # the integers of the context that are kept with a plan


@plain
def plan_backward(context, loss, size, everything) -> None:
    """Plan the backward pass from node number `loss`. Reuse the last plan if forward plan and arguments are the same.

    Note the touched rows of lookup tables. `size` is the number of floats of the loss; 0 means that the pass is only
    planned ahead, so no rows are noted. If `everything` is 1, all nodes get gradients, even those that depend on no
    trained parameter, and aliases get their own.
    """
    tape.use_tape(Context(context), "backward")
    plan = Plan(context)
    gradients = Gradients(plan, loss, everything)
    if is_kept(gradients):
        plan.context.take(plan.context, KEPT, of="backward_{}")
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
    """Whether the kept plan was made for the same forward plan, arguments and gradient memory."""
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
    context.backward_plan = -1  # the tape of the kept plan is overwritten
    context.backward_plans += 1
    tape.start_tape(context)
    if not depths_are_known(gradients):
        find_depths_again(gradients)
    find_planned(gradients)
    if lists_are_too_long(context):
        context.status = layout.TOO_SMALL
        return
    # The forward plan may have sorted the same nodes already.
    if context.ordered != context.plan or context.ordered_count != context.planned_count:
        tape.put_in_order(plan)
        context.ordered = -1
    add_all_steps(gradients, size)
    finish(gradients)


@plain
def depths_are_known(gradients: Gradients):
    """Whether the backward pass can use the depths of the forward pass.

    A single plan must have found all depths, and all nodes with backward steps must have forward steps. Aliases with
    their own gradients (the loss, or all aliases if `everything`) have only backward steps.
    """
    loss = gradients.plan.node(gradients.loss)
    return gradients.context.one_numbering and not gradients.everything and loss.signature.kind != layout.ALIAS


@plain
def find_depths_again(gradients: Gradients) -> None:
    plan, end = gradients.plan, gradients.loss + 1
    start_numbering(plan)
    for index in range(end):
        note_edges(plan, plan.node(index), 0)
    find_depths(plan, 0, end, gradients.has_steps)
    plan.context.fill(one_numbering=0, kept_one_numbering=0, ordered=-1)


@plain
def find_planned(gradients: Gradients) -> None:
    """Flag all nodes on which the loss depends, and list those whose backward steps will run in `planned`.

    In `lookups`, list nodes that read rows of lookup tables and get a gradient. Both lists are in descending order.
    Compute `needed_index` and `needed_tape`, upper bounds of the room for address lists and instructions.
    """
    plan, context, loss = gradients.plan, gradients.context, gradients.loss
    if context.flags_used:
        for index in range(context.node_count):
            plan.node(index).flags &= layout.NEEDS_GRADIENT
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
                    # A node's `depth` is counted within its stage.
                    add_planned(plan, node, node.signature.number, node.depth + plan.stage_begins[node.stage])


@plain
def reach_operands(gradients: Gradients, node: Node) -> None:
    """Set the flags of a node's operands: REACHED for all, DIFFERENTIATED if they need a gradient from the node.

    An operand that already was REACHED gets USED_TWICE instead. The previous part counts as an operand.
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
    """Add the rows of lookup tables that get gradients to the lists of touched rows."""
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
    """Write all instructions: set the gradient of the loss to 1, then run the groups' backward steps.

    Last come the deferred steps, such as those for gradients of matrices, once for all nodes of a signature.
    """
    plan, context = gradients.plan, gradients.context
    start, search, count = context.gradient_start, context.searches, context.planned_count
    context.gradient_top = start
    gradients.allocate(plan.node(gradients.loss))
    gradients.clear_from(start)
    tape.add_fill(plan, layout.SEED_FILL, start, size, 1)
    for group in tape.each_group_backwards(plan, plan.by_depth, count, Node.runs_with):
        begin = context.gradient_top
        for _, node in group.each_node():
            gradients.place(node.number)
        gradients.clear_from(begin)
        if group.signature.backward.count:
            add_backward_steps(gradients, group)
    for group in tape.each_group(plan, plan.by_signature, count, has_same_signature):
        if group.signature.deferred.count:
            add_deferred_steps(group, gradients.everything, search)


@plain
def add_backward_steps(gradients: Gradients, group: Group) -> None:
    steps, everything = group.signature.backward, gradients.everything
    fresh, distinct, aliased = make_ready(gradients, group)
    block = gradients_once(group, tape.write_lists(group, steps, with_gradients=True), everything)
    tape.add_steps(group, steps, block, everything, fresh, distinct, left_out=aliased)


@plain
def add_deferred_steps(group: Group, everything, search) -> None:
    """Write the deferred steps of a group. `search` is what `searches` of the context was before the pass."""
    signature = group.signature
    if sums_are_known(group, search):
        base, columns = signature.once_base, signature.once_columns
    else:
        written = tape.write_lists(group, signature.deferred, with_gradients=True)
        base, columns = written.base, written.columns
    tape.add_steps(group, signature.deferred, Block(base, columns), everything)


@plain
def has_same_signature(node: Node, other: Node):
    return node.signature_at == other.signature_at


@plain
def finish(gradients: Gradients) -> None:
    """Store what the plan was made for and how long its lists are, so that it can be reused.

    If there is too little memory for gradients, set `status` to TOO_SMALL and `needed_floats` instead.
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
        context.take(context, KEPT, to="backward_{}")
