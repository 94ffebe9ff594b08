"""Plans the backward pass: writes the instructions that compute gradients to the tape, from the loss backwards.

Memory is assigned to each gradient when the first step that adds to it is planned. If this step can write all of the
gradient, it is *fresh*: it overwrites uninitialized memory. Otherwise, the memory is cleared first. If a step would
only copy a gradient to that of an operand that nothing else uses, both share one address, and the step is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from .. import layout
from ..plain import Words, plain
from . import tape
from .forward import add_dependencies, add_planned, find_depths, lists_are_too_long, start_numbering
from .nodes import Context, Node, Parameter, Plan, Step
from .repeats import sum_equal_gradients, sums_are_listed
from .tape import Group, GroupLists


class Gradients:
    """The gradients of a backward pass from node `loss`. If `is_full`, all nodes, even aliases, get their own."""

    def __init__(self, plan: Plan, loss, is_full):
        self.plan, self.context, self.loss, self.is_full = plan, plan.context, loss, is_full

    @plain
    def has_own_gradient(self, node: Node):
        """Whether a node has its own gradient. Otherwise it is an alias: its gradient is a section of its operand's."""
        return node.signature.kind != layout.ALIAS or node.number == self.loss or self.is_full

    @plain
    def may_have_steps(self, node: Node):
        """Whether this node may have backward steps. Inputs and aliases without their own gradients have none."""
        return node.signature.kind != layout.INPUT and self.has_own_gradient(node)

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
    def owner_and_offset(self, operand) -> tuple:
        """Follow aliases from an operand to the parameter or node whose own gradient contains the operand's gradient.

        Return this parameter or node, and where the operand's gradient starts in its gradient, in floats.
        """
        owner, offset = operand, 0
        while owner >= 0 and not self.has_own_gradient(self.plan.node(owner)):
            alias = self.plan.node(owner)
            offset += alias.alias_offset
            owner = alias.record.operand(0)
        return owner, offset

    @plain
    def place(self, operand) -> None:
        """Set the address of an operand's gradient, and assign memory if it has none. Do nothing for a parameter."""
        if operand >= 0:
            owner, offset = self.owner_and_offset(operand)
            if owner >= 0 and not self.plan.node(owner).has_flag(layout.HAS_GRADIENT):
                self.allocate(self.plan.node(owner))
            if owner != operand:
                self.plan.node(operand).gradient = self.plan.address(owner, "gradient") + offset

    @plain
    def place_operands(self, node: Node) -> None:
        """Call `place` for the nodes to whose gradients a node's steps may add: operands, previous part, first part."""
        for operand in node.record.awaited_operands():
            self.place(operand)
        if node.is_later_part:
            self.place(node.number - 1)
            self.place(node.first_part)


@plain
def place_targets(gradients: Gradients, group: Group) -> tuple:
    """Assign memory to all gradients to which a group's backward steps add. Return three sets of steps.

    Bit k of a set is step k. Fresh steps must overwrite gradients instead of adding to them. Distinct steps are known
    to add to a different gradient for each node of the group. Left-out steps need not run, because each operand's
    gradient has the same address as the node's gradient.
    """
    fresh, distinct, left_out = 0, 0, 0
    steps = group.signature.backward
    for k in range(steps.count):
        step = steps[k]
        if step.gradient_of == layout.OWN_FIRST:
            fresh |= 1 << k
        elif step.gradient_of != layout.OWN and tape.has_to_run(group, step, gradients.is_full):
            targets = Targets(gradients, group, step)
            bit = 1 << k
            if targets.share_addresses():
                left_out |= bit
            elif targets.allocate_fresh():
                fresh |= bit
                distinct |= bit
            else:
                if targets.are_distinct():
                    distinct |= bit
                targets.allocate_cleared()
    return fresh, distinct, left_out


class Targets:
    """The operands of a group to whose gradients a step adds. For `gradient_of` and `covers`, see `layout.STEP`."""

    def __init__(self, gradients: Gradients, group: Group, step: Step):
        self.gradients, self.group, self.step, self.plan = gradients, group, step, gradients.plan
        self.gradient_of, self.covers = step.gradient_of, step.covers

    @property
    @plain
    def can_be_overwritten(self):
        return not self.plan.context.never_fresh and self.covers

    @plain
    def each_target(self) -> Iterator[tuple]:
        """Yield pairs (node, target): a node's operand `gradient_of`, or if that is negative, each EACH operand."""
        for _, node in self.group.each_node():
            record = node.record
            first = self.gradient_of if self.gradient_of >= 0 else record.each_start
            count = 1 if self.gradient_of >= 0 else record.each_count
            for k in range(count):
                yield node, record.operand(first + k)

    @plain
    def all_fit(self, fits: Callable):
        """Whether all targets are nodes for which fits(operand) is true. Stop at the first that does not fit."""
        all_fit = 1
        for _, operand in self.each_target():
            all_fit = all_fit and operand >= 0 and fits(operand)
        return all_fit

    @plain
    def share_addresses(self):
        """If possible, give each target's gradient the address of the node's gradient. Return whether this was done.

        The step must only copy gradients, and all targets must be suitable; see `_can_share_address`.
        """
        possible = self.can_be_overwritten and self.step.copies and self.all_fit(self._can_share_address)
        if possible:
            for node, operand in self.each_target():
                target = self.plan.node(operand)
                target.gradient = node.gradient
                target.set_flag(layout.HAS_GRADIENT)
        return possible

    @plain
    def _can_share_address(self, operand):
        """Whether no other step adds to an operand's gradient, no step of the operand changes it, and the size fits."""
        target = self.plan.node(operand)
        return (
            not target.has_flag(layout.HAS_GRADIENT | layout.USED_TWICE)
            and target.is_whole_record
            and target.gradient_size == self.covers
            and target.signature.keeps_gradient
            and self.gradients.has_own_gradient(target)
        )

    @plain
    def allocate_fresh(self):
        """If the step can overwrite all targets' gradients, assign uncleared memory to them. Return whether it can.

        The step must write all of each gradient, and be the first that adds to it. No operand may be a target twice,
        because the second write would replace the first. Memory is assigned during the check, so such an operand does
        not fit the second time. If a target does not fit, the memory is taken back.
        """
        context = self.plan.context
        begin = context.gradient_top
        fresh = self.can_be_overwritten and self.all_fit(self._try_to_allocate)
        if not fresh and context.gradient_top != begin:
            self._take_back_memory(begin)
        return fresh

    @plain
    def _try_to_allocate(self, operand):
        """Assign memory to an operand's gradient, or return 0 if it has memory or the step does not write all of it."""
        owner, offset = self.gradients.owner_and_offset(operand)
        if owner < 0 or offset != 0:  # an alias fits if its gradient is all of its owner's, as in a reshape
            return 0
        target = self.plan.node(owner)
        if target.has_flag(layout.HAS_GRADIENT) or target.gradient_size != self.covers:
            return 0
        self.gradients.allocate(target)
        if owner != operand:
            self.plan.node(operand).gradient = target.gradient
        return 1

    @plain
    def _take_back_memory(self, begin) -> None:
        for _, operand in self.each_target():
            owner, _ = self.gradients.owner_and_offset(operand)
            if owner >= 0:
                target = self.plan.node(owner)
                if target.has_flag(layout.HAS_GRADIENT) and target.gradient >= begin:
                    target.clear_flag(layout.HAS_GRADIENT)
        self.plan.context.gradient_top = begin

    @plain
    def are_distinct(self):
        """Whether the step is known to add to a different gradient for each node of the group.

        Return 0 without a check if the step is too short to share, or is shared in the same way in either case.
        """
        shared, signature = self.step.shared, self.group.signature
        columns = self.group.count * max(signature.columns, signature.columns_each)
        matters = shared == layout.IF_DISTINCT or shared == layout.EITHER_IF_DISTINCT
        if not matters or columns * self.step.work < self.plan.limits.least_instruction:
            return 0
        distinct = self.all_fit(self._mark_met)
        for _, operand in self.each_target():
            if operand >= 0:
                self.plan.node(operand).clear_flag(layout.MET)
        return distinct

    @plain
    def _mark_met(self, operand):
        """If an operand has its own gradient and not yet the flag MET, set the flag. Return whether this was done."""
        target = self.plan.node(operand)
        if target.has_flag(layout.MET) or not self.gradients.has_own_gradient(target):
            return 0
        target.set_flag(layout.MET)
        return 1

    @plain
    def allocate_cleared(self) -> None:
        """Assign cleared memory to the targets' gradients. If `gradient_of` is negative, `place_operands` does this."""
        begin = self.plan.context.gradient_top
        if self.gradient_of >= 0:
            for _, operand in self.each_target():
                self.gradients.place(operand)
        else:
            for _, node in self.group.each_node():
                self.gradients.place_operands(node)
        self.gradients.clear_from(begin)


KEPT_FIELDS = ("tape_count", "index_top", "shared_work")  # kept with a plan, as `backward_tape_count` and so on


@plain
def plan_backward(context_address, loss, loss_size, is_full) -> None:
    """Plan the backward pass from node number `loss`, or reuse the last backward plan; see `can_reuse_plan`.

    Also list the touched rows of lookup tables. `loss_size` is the number of floats of the loss; 0 means that the pass
    is only planned ahead: no rows are listed. If `is_full` is 1, as for `backward(full=True)`, all nodes get gradients,
    even those that depend on no trained parameter, and aliases get their own.
    """
    tape.use_tape(Context(context_address), "backward")
    plan = Plan(context_address)
    gradients = Gradients(plan, loss, is_full)
    if can_reuse_plan(gradients):
        plan.context.take(plan.context, KEPT_FIELDS, of="backward_{}")  # the results of the kept plan
        plan.context.status = layout.READY
        # In this engine's integers (`seed_fill`), set where the FILL instruction writes, and how many floats.
        plan.table[plan.context.seed_fill] = plan.node(loss).gradient
        plan.table[plan.context.seed_fill + 1] = loss_size  # it was 0 if the plan was made ahead
    else:
        plan_anew(gradients, loss_size)
    if plan.context.status == layout.READY and loss_size != 0:
        note_touched_rows(plan)
        is_from_last_node = loss == plan.context.node_count - 1
        plan.context.backward_expected = is_from_last_node and not is_full and plan.context.one_numbering


@plain
def can_reuse_plan(gradients: Gradients):
    """Whether the kept plan was made for the same forward plan, arguments and gradient memory."""
    context = gradients.context
    return (
        context.backward_plan == context.plan
        and context.backward_loss == gradients.loss
        and context.backward_everything == gradients.is_full
        and context.backward_start == context.gradient_start
    )


@plain
def plan_anew(gradients: Gradients, loss_size) -> None:
    """Plan the pass without the kept plan. If a buffer is too small, set `status` to TOO_SMALL."""
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
        tape.sort_planned(plan)
        context.ordered = -1  # the lists that the forward plan sorted are overwritten
    add_all_steps(gradients, loss_size)
    finish(gradients)


@plain
def depths_are_known(gradients: Gradients):
    """Whether the backward pass can use the depths of the forward pass.

    A single plan must have found all depths, and all nodes with backward steps must have forward steps. Aliases with
    their own gradients (all aliases if `is_full`, otherwise only the loss) have only backward steps.
    """
    loss = gradients.plan.node(gradients.loss)
    return gradients.context.one_numbering and not gradients.is_full and loss.signature.kind != layout.ALIAS


@plain
def find_depths_again(gradients: Gradients) -> None:
    plan, end = gradients.plan, gradients.loss + 1
    start_numbering(plan)
    for index in range(end):
        add_dependencies(plan, plan.node(index), 0)
    find_depths(plan, 0, end, gradients.may_have_steps)
    plan.context.fill(one_numbering=0, kept_one_numbering=0, ordered=-1)


@plain
def find_planned(gradients: Gradients) -> None:
    """Set the flags of all nodes on which the loss depends. Put those whose backward steps will run into `planned`.

    Put nodes that read lookup rows and get a gradient into `lookups`. Both lists are in descending order of numbers.
    Compute `needed_index` and `needed_tape`, upper bounds of the room for address lists and instructions.
    """
    plan, context, loss = gradients.plan, gradients.context, gradients.loss
    if context.flags_used:
        for index in range(context.node_count):
            plan.node(index).flags &= layout.NEEDS_GRADIENT  # clears the flags of an earlier backward plan
    context.flags_used = 1
    plan.node(loss).set_flag(layout.REACHED | layout.DIFFERENTIATED)
    # The room for the two instructions that set the gradient of the loss: CLEAR, whose lists are 2 integers, and FILL.
    context.fill(needed_floats=0, needed_index=2, needed_tape=2, planned_count=0, lookup_count=0)
    for back in range(loss + 1):
        node = plan.node(loss - back)
        if node.has_flag(layout.REACHED):
            reach_operands(gradients, node)
            if node.has_flag(layout.DIFFERENTIATED):
                list_lookup(plan, node)
                if gradients.may_have_steps(node):
                    add_needed_room(context, node)
                    # A node's `depth` is counted within its stage.
                    add_planned(plan, node, plan.number_of(node), node.depth + plan.stage_begins[node.stage])


@plain
def reach_operands(gradients: Gradients, node: Node) -> None:
    """Set the flags of a node's operands: REACHED for all, DIFFERENTIATED if they need a gradient from the node.

    If an operand has the flag REACHED already, also set its flag USED_TWICE. The previous part counts as an operand.
    """
    plan = gradients.plan
    passes_gradient = node.has_flag(layout.DIFFERENTIATED) and node.signature.passes

    def reach(operand: Node):
        flags = operand.flags | (layout.USED_TWICE if operand.has_flag(layout.REACHED) else layout.REACHED)
        if passes_gradient and (operand.needs_gradient or gradients.is_full):
            flags |= layout.DIFFERENTIATED
        operand.flags = flags

    for operand in node.record.awaited_operands():
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
def add_needed_room(context: Context, node: Node) -> None:
    signature, columns = node.signature, node.columns
    # A CLEAR for the targets of each step, and one for the node's own gradient. The lists of a CLEAR are 2 integers.
    clears = signature.backward.count + 1
    # The lists of values and of gradients of each view, for the backward steps and again for the deferred steps.
    context.needed_index += 4 * signature.view_count * columns + 2 * clears
    context.needed_tape += signature.backward.count + signature.deferred.count + clears
    if signature.determined_by != layout.NO_VIEW:
        # If gradients of equal columns are added up first: lists of these sums, and a COPY and an ADD with their lists.
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
    touched, rows, record = Words(parameter.touched), parameter.rows, node.record  # `touched`: see `layout.PARAMETER`
    for k in range(node.signature.attributes):
        row = record.operand(1 + k)
        mark_index = 1 + rows + row
        if not touched[mark_index]:
            touched[mark_index] = 1
            touched[1 + touched[0]] = row
            touched[0] += 1


@plain
def add_all_steps(gradients: Gradients, loss_size) -> None:
    """Write all instructions: set the gradient of the loss to 1, then run the groups' backward steps.

    Last come the deferred steps, such as those for gradients of matrices, once for all nodes of a signature.
    """
    plan, context = gradients.plan, gradients.context
    start, searches_before, count = context.gradient_start, context.searches, context.planned_count
    context.gradient_top = start
    gradients.allocate(plan.node(gradients.loss))
    gradients.clear_from(start)
    tape.add_fill(plan, context.seed_fill, start, loss_size, 1)
    for group in tape.each_group_backwards(plan, plan.by_depth, count, Node.runs_with):
        begin = context.gradient_top
        for _, node in group.each_node():
            gradients.place(node.number)
        gradients.clear_from(begin)
        if group.signature.backward.count:
            add_backward_steps(gradients, group)
    for group in tape.each_group(plan, plan.by_signature, count, has_same_signature):
        if group.signature.deferred.count:
            add_deferred_steps(group, gradients.is_full, searches_before)


@plain
def add_backward_steps(gradients: Gradients, group: Group) -> None:
    steps, is_full = group.signature.backward, gradients.is_full
    fresh, distinct, left_out = place_targets(gradients, group)
    lists = sum_equal_gradients(group, tape.write_lists(group, steps, with_gradients=True), is_full)
    tape.add_steps(group, steps, lists, is_full, fresh, distinct, left_out=left_out)


@plain
def add_deferred_steps(group: Group, is_full, searches_before) -> None:
    """Write the deferred steps of a group. `searches_before` is the context's `searches` before this pass."""
    signature = group.signature
    if sums_are_listed(group, searches_before):
        mark = group.plan.mark(signature)
        base, columns = mark.once_base, mark.once_columns
    else:
        written = tape.write_lists(group, signature.deferred, with_gradients=True)
        base, columns = written.base, written.columns
    tape.add_steps(group, signature.deferred, GroupLists(base, columns), is_full)


@plain
def has_same_signature(node: Node, other: Node):
    return node.signature_start == other.signature_start


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
            backward_everything=gradients.is_full,
            backward_start=context.gradient_start,
        )
        context.take(context, KEPT_FIELDS, to="backward_{}")
