"""Assigns memory to each gradient when the first step (kernel call) of the backward pass that adds to it is planned.

There are three ways. If this step can write all of the gradient, the memory stays uninitialised and the step overwrites
it; the step is then called *fresh*. If the step would only copy a node's gradient to an operand that nothing else uses,
the operand's gradient gets the same address as the node's gradient, and the step is left out. Otherwise the memory is
cleared before the step.

A *group* is the nodes of one signature and depth; they share instructions. An *alias* is a node whose value is a part
of its operand's value. Other terms are explained in `layout`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from .. import layout as at
from ..plain import plain
from .grouping import Group
from .nodes import Node, Plan, whole_lines
from .structs import Step
from .tape import add_clear, is_wanted


class Gradients:
    """The gradients of one backward pass, with methods that assign memory to them.

    Args:
        loss: the number of the node from which the pass starts.
        everything: 1 if all nodes get their own gradients, even aliases and nodes that depend on no trained parameter;
            else 0.
    """

    def __init__(self, plan: Plan, loss, everything):
        self.plan, self.context, self.loss, self.everything = plan, plan.context, loss, everything

    @plain
    def has_own(self, node: Node):
        """Whether a node has its own gradient. If not, it is an alias: its gradient is a part of its operand's."""
        return node.signature.kind != at.ALIAS or node.number == self.loss or self.everything

    @plain
    def has_steps(self, node: Node):
        """Whether the pass runs the backward steps of a node's signature for this node.

        It runs none for inputs, and none for aliases without their own gradients.
        """
        return node.signature.kind != at.INPUT and self.has_own(node)

    @plain
    def allocate(self, node: Node) -> None:
        """Assign memory to a node's gradient: the next free part of the memory for gradients."""
        node.gradient = self.context.gradient_top
        self.context.gradient_top += whole_lines(node.gradient_size)
        node.set_flag(at.HAS_GRADIENT)

    @plain
    def clear_from(self, begin) -> None:
        """Clear the memory that was assigned since `gradient_top` was `begin`: add an instruction to the tape."""
        end = self.context.gradient_top
        if end > begin:
            add_clear(self.plan, begin, end - begin)

    @plain
    def owner(self, operand) -> tuple:
        """Return the number of the node or parameter that has the gradient of an operand, and where it begins there.

        The gradient of an alias is a part of its operand's gradient. So for an alias, go on to its operand, and so on,
        up to a parameter or a node that has its own gradient.
        """
        owner, offset = operand, 0
        while owner >= 0 and not self.has_own(self.plan.node(owner)):
            alias = self.plan.node(owner)
            offset += alias.alias_offset
            owner = alias.record.operand(0)
        return owner, offset

    @plain
    def place(self, operand) -> None:
        """Set the address of an operand's gradient, and assign memory to it if it has none yet.

        Do nothing for a parameter.
        """
        if operand >= 0:
            owner, offset = self.owner(operand)
            if owner >= 0 and not self.plan.node(owner).has(at.HAS_GRADIENT):
                self.allocate(self.plan.node(owner))
            if owner != operand:
                self.plan.node(operand).gradient = self.plan.address(owner, "gradient") + offset

    @plain
    def place_operands(self, node: Node) -> None:
        """Set the addresses of all gradients to which steps of a node may add, and assign memory where there is none.

        These are the gradients of its operands and, for a later part of a record, of the part before and of the first
        part.
        """
        for operand in node.record.awaited():
            self.place(operand)
        if node.is_later_part:
            self.place(node.number - 1)
            self.place(node.first_part)


@plain
def make_ready(gradients: Gradients, group: Group) -> tuple:
    """Assign memory to all gradients to which a group's backward steps add. The module docstring explains how.

    Returns:
        Three sets of backward steps, in which bit k stands for step k. Fresh steps must overwrite the gradients that
        they add to, which are uninitialised. Distinct steps are known to add to a different gradient for each node of
        the group. Aliased steps have nothing to do: the gradients of operands and nodes have the same addresses.
    """
    fresh, distinct, aliased = 0, 0, 0
    steps = group.signature.backward
    for number in range(steps.count):
        step = steps[number]
        if is_wanted(group, step, gradients.everything):
            targets = Targets(gradients, group, step)
            bit = 1 << number
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
    """The targets of a step: the operands to whose gradients it adds, for all nodes of a group.

    `operand` is the number of this operand in each record, or a negative value such as EACH_OPERAND; see `layout`.
    """

    def __init__(self, gradients: Gradients, group: Group, step: Step):
        self.gradients, self.group, self.step, self.plan = gradients, group, step, gradients.plan
        self.operand, self.covers = step.gradient_of, step.covers

    @property
    @plain
    def can_be_overwritten(self):
        return not self.plan.context.never_fresh and self.covers

    @plain
    def each_target(self) -> Iterator[tuple]:
        """Loop over the nodes of the group and, for each, over its targets. Yield pairs of a node and a target.

        A node has one target, the operand number `operand`; or if this is negative, all operands that share EACH.
        """
        for _, node in self.group.each_node():
            record = node.record
            first = self.operand if self.operand >= 0 else record.each_start
            count = 1 if self.operand >= 0 else record.each_count
            for k in range(count):
                yield node, record.operand(first + k)

    @plain
    def are_nodes(self, fit: Callable):
        """Whether all targets are nodes, and fit(number) holds for each. After one that does not fit, none is tried."""
        good = 1
        for _, operand in self.each_target():
            good = good and operand >= 0 and fit(operand)
        return good

    @plain
    def become_aliases(self):
        """If possible, let the gradient of each target have the address of its node's gradient. Return whether it is.

        It is if the step only copies gradients, and if all targets are suitable; see `_can_be_alias`.
        """
        possible = self.can_be_overwritten and self.step.copies and self.are_nodes(self._can_be_alias)
        if possible:
            for node, operand in self.each_target():
                target = self.plan.node(operand)
                target.gradient = node.gradient
                target.set_flag(at.HAS_GRADIENT)
        return possible

    @plain
    def _can_be_alias(self, operand):
        """Whether the gradient of this operand may have the same address as its node's gradient.

        It may if no other step adds to it, if the operand's own steps do not change it, and if it has the right size.
        """
        target = self.plan.node(operand)
        return (
            not target.has(at.HAS_GRADIENT | at.USED_TWICE)
            and target.is_whole_record
            and target.gradient_size == self.covers
            and target.signature.keeps_gradient
            and self.gradients.has_own(target)
        )

    @plain
    def are_overwritten(self):
        """If the step can overwrite all targets, assign memory to their gradients. Return whether it can.

        It can if it is the first step to add to each of these gradients, if it writes all of it, and if the targets are
        all different. The memory is not cleared. It is assigned while the targets are checked, and taken back if one of
        them does not fit.
        """
        context = self.plan.context
        begin = context.gradient_top
        fresh = self.can_be_overwritten and self.are_nodes(self._allocate_one)
        if not fresh and context.gradient_top != begin:
            self._take_back(begin)
        return fresh

    @plain
    def _allocate_one(self, operand):
        """Assign memory to this operand's gradient if the step can overwrite it. Return 1 if so, else 0.

        It can if the gradient has no memory yet, and is all that the step writes. The gradient of an alias must be all
        of another node's gradient, as in a reshape.
        """
        owner, offset = self.gradients.owner(operand)
        if owner < 0 or offset != 0:
            return 0
        target = self.plan.node(owner)
        if target.has(at.HAS_GRADIENT) or target.gradient_size != self.covers:
            return 0
        self.gradients.allocate(target)
        if owner != operand:
            self.plan.node(operand).gradient = target.gradient
        return 1

    @plain
    def _take_back(self, begin) -> None:
        """Undo the assignments of memory from address `begin` on to targets of the step."""
        for _, operand in self.each_target():
            owner, _ = self.gradients.owner(operand)
            if owner >= 0:
                target = self.plan.node(owner)
                if target.has(at.HAS_GRADIENT) and target.gradient >= begin:
                    target.clear_flag(at.HAS_GRADIENT)
        self.plan.context.gradient_top = begin

    @plain
    def are_distinct(self):
        """Whether it is known that the step adds to a different gradient for each node of the group.

        This is found out only if it decides how threads share the step, and if the step takes long enough to be shared.
        """
        shared, signature = self.step.shared, self.group.signature
        columns = self.group.count * max(signature.columns, signature.columns_each)
        matters = shared == at.IF_DISTINCT or shared == at.EITHER_IF_DISTINCT
        if not matters or columns * self.step.work < self.plan.limits.least_instruction:
            return 0
        distinct = self.are_nodes(self._mark)
        for _, operand in self.each_target():
            if operand >= 0:
                self.plan.node(operand).clear_flag(at.MET)
        return distinct

    @plain
    def _mark(self, operand):
        """Set the flag MET of an operand. Return 1 if it is not yet set, and if the operand has its own gradient."""
        target = self.plan.node(operand)
        if target.has(at.MET) or not self.gradients.has_own(target):
            return 0
        target.set_flag(at.MET)
        return 1

    @plain
    def allocate_cleared(self) -> None:
        """Assign memory to the gradients that the step adds to and that have none yet, and clear it.

        If `self.operand` is negative (a value such as EACH_OPERAND), the step adds to the gradients of several
        operands. Then do this for the gradients of all operands of the group's nodes.
        """
        begin = self.plan.context.gradient_top
        if self.operand >= 0:
            for _, operand in self.each_target():
                self.gradients.place(operand)
        else:
            for _, node in self.group.each_node():
                self.gradients.place_operands(node)
        self.gradients.clear_from(begin)
