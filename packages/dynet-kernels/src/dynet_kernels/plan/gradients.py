"""Assigns memory to each gradient when the first step of the backward pass that adds to it is planned.

If this step can write all of the gradient, it overwrites uninitialized memory: it is *fresh*. If it would only copy a
node's gradient to an operand that nothing else uses, both have one address, and the step is left out. Otherwise the
memory is cleared before the step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from .. import layout
from ..plain import plain
from .grouping import Group
from .nodes import Node, Plan, whole_lines
from .structs import Step
from .tape import add_clear, is_wanted


class Gradients:
    """The gradients of a backward pass from node `loss`. With `everything`, all nodes, even aliases, have their own."""

    def __init__(self, plan: Plan, loss, everything):
        self.plan, self.context, self.loss, self.everything = plan, plan.context, loss, everything

    @plain
    def has_own(self, node: Node):
        """Whether a node has its own gradient. Otherwise it is an alias: its gradient is a part of its operand's."""
        return node.signature.kind != layout.ALIAS or node.number == self.loss or self.everything

    @plain
    def has_steps(self, node: Node):
        """Whether the pass runs backward steps for this node: not for inputs, nor for aliases without own gradients."""
        return node.signature.kind != layout.INPUT and self.has_own(node)

    @plain
    def allocate(self, node: Node) -> None:
        node.gradient = self.context.gradient_top
        self.context.gradient_top += whole_lines(node.gradient_size)
        node.set_flag(layout.HAS_GRADIENT)

    @plain
    def clear_from(self, begin) -> None:
        """Clear the memory that was assigned since `gradient_top` was `begin`: add an instruction to the tape."""
        end = self.context.gradient_top
        if end > begin:
            add_clear(self.plan, begin, end - begin)

    @plain
    def owner(self, operand) -> tuple:
        """Return the node or parameter whose gradient contains that of an operand, and where (in floats) it begins.

        The gradient of an alias is a part of its operand's. So go on from alias to operand, up to a parameter or a node
        that has its own gradient.
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
        """Place all gradients to which a node's steps may add: of its operands, the part before, and the first part."""
        for operand in node.record.awaited():
            self.place(operand)
        if node.is_later_part:
            self.place(node.number - 1)
            self.place(node.first_part)


@plain
def make_ready(gradients: Gradients, group: Group) -> tuple:
    """Assign memory to all gradients to which a group's backward steps add. Return three sets of steps.

    Bit k of a set stands for step k. Fresh steps must overwrite the gradients that they add to. Distinct steps are
    known to add to a different gradient for each node of the group. Aliased steps have nothing to do, because the
    gradients of operands and nodes have the same addresses.
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
    """The operands to whose gradients a step adds, for all nodes of a group; `operand` may also be EACH_OPERAND."""

    def __init__(self, gradients: Gradients, group: Group, step: Step):
        self.gradients, self.group, self.step, self.plan = gradients, group, step, gradients.plan
        self.operand, self.covers = step.gradient_of, step.covers

    @property
    @plain
    def can_be_overwritten(self):
        return not self.plan.context.never_fresh and self.covers

    @plain
    def each_target(self) -> Iterator[tuple]:
        """Yield pairs of a node and a target: operand `operand`, or if this is negative, all that share EACH."""
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
                target.set_flag(layout.HAS_GRADIENT)
        return possible

    @plain
    def _can_be_alias(self, operand):
        """Whether no other step adds to this gradient, the operand's own steps do not change it, and its size fits."""
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

        It can if it is the first to add to each of them, writes all of it, and the targets are all different. Memory is
        assigned while they are checked, and taken back if one does not fit.
        """
        context = self.plan.context
        begin = context.gradient_top
        fresh = self.can_be_overwritten and self.are_nodes(self._allocate_one)
        if not fresh and context.gradient_top != begin:
            self._take_back(begin)
        return fresh

    @plain
    def _allocate_one(self, operand):
        """Assign memory to a gradient that has none yet, if the step writes all of it. Return 1 if so, else 0.

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

        This is found out only if it decides how threads share the step, and if the step takes long enough to be shared.
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
        """Set the flag MET of an operand. Return 1 if it is not yet set, and if the operand has its own gradient."""
        target = self.plan.node(operand)
        if target.has(layout.MET) or not self.gradients.has_own(target):
            return 0
        target.set_flag(layout.MET)
        return 1

    @plain
    def allocate_cleared(self) -> None:
        """Assign cleared memory to targets that have none; if `operand` is negative, to all operands of the nodes."""
        begin = self.plan.context.gradient_top
        if self.operand >= 0:
            for _, operand in self.each_target():
                self.gradients.place(operand)
        else:
            for _, node in self.group.each_node():
                self.gradients.place_operands(node)
        self.gradients.clear_from(begin)
