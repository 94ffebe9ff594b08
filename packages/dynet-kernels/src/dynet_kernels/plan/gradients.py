"""Assigns memory to each gradient when the first step (kernel call) of the backward pass that adds to it is planned.

There are three ways. If this step can write all of the gradient, the memory stays uninitialised and the step overwrites
it; the step is then called *fresh*. If the step would only copy a node's gradient to an operand that nothing else uses,
the operand's gradient gets the same address as the node's gradient, and the step is left out. Otherwise the memory is
cleared before the step.

The functions here emit the code that does this. A *group* is the nodes of one signature and depth; they share
instructions. An *alias* is a node whose value is a part of its operand's value. Other terms are explained in `layout`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from .. import layout as at
from ..tir import let
from ..tvm_modules import T
from .flow import Variable, all_of, any_of, branch, each, forever, pick, stop_unless, when, yes
from .grouping import Group
from .nodes import Node, Plan, whole_lines
from .structs import Step
from .tape import Bits, add_clear, is_wanted


class Gradients:
    """The gradients of one backward pass, with methods that assign memory to them.

    Args:
        loss: the number of the node from which the pass starts.
        everything: 1 if all nodes get their own gradients, even aliases and nodes that depend on no trained parameter;
            else 0.
    """

    def __init__(self, plan: Plan, loss, everything):
        self.plan, self.context, self.loss, self.everything = plan, plan.context, loss, everything

    def has_own(self, node: Node):
        """Whether a node has its own gradient. If not, it is an alias: its gradient is a part of its operand's."""
        return any_of(node.signature.kind != at.ALIAS, node.number == self.loss, self.everything != 0)

    def allocate(self, node: Node) -> None:
        """Assign memory to a node's gradient: the next free part of the memory for gradients."""
        top = self.context.gradient_top
        node.gradient = top
        self.context.gradient_top = top + whole_lines(node.gradient_size)
        node.set_flag(at.HAS_GRADIENT)

    def owner(self, operand) -> tuple:
        """Return the number of the node or parameter that has the gradient of an operand, and where it begins there.

        The gradient of an alias is a part of its operand's gradient. So for an alias, go on to its operand, and so on,
        up to a parameter or a node that has its own gradient.
        """
        owner, offset = Variable(operand), Variable(0)
        with forever():
            stop_unless(owner.value >= 0)
            alias = self.plan.node(owner.value)
            stop_unless(T.Not(self.has_own(alias)))
            offset.value += alias.alias_offset
            owner.value = alias.record.operand(0)
        return owner.value, offset.value

    def place(self, operand) -> None:
        """Set the address of an operand's gradient, and assign memory to it if it has none yet.

        Do nothing for a parameter.
        """
        with when(operand >= 0):
            owner, offset = self.owner(operand)
            with when(owner >= 0):
                node = self.plan.node(owner)
                with when(T.Not(node.has(at.HAS_GRADIENT))):
                    self.allocate(node)
            with when(owner != operand):
                self.plan.node(operand).gradient = self.plan.address(owner, "gradient") + offset

    def place_operands(self, node: Node) -> None:
        """Set the addresses of all gradients to which steps of a node may add, and assign memory where there is none.

        These are the gradients of its operands and, for a later part of a record, of the part before and of the first
        part.
        """
        for operand in node.record.awaited():
            self.place(operand)
        with when(node.is_later_part):
            self.place(let(node.number - 1))
            self.place(node.first_part)

    @contextmanager
    def cleared(self) -> Iterator[None]:
        """Add an instruction to the tape that clears all the memory for gradients assigned within the `with` block."""
        begin = self.context.gradient_top
        yield
        end = self.context.gradient_top
        with when(end > begin):
            add_clear(self.plan, begin, end - begin)


class Readiness:
    """Three facts about each backward step of a group. Each is a set of steps, in which bit k stands for step k.

    `fresh`: the step must overwrite the gradients it adds to, which are uninitialised. `distinct`: it is known that the
    step adds to a different gradient for each node of the group. `aliased`: the step has nothing to do, because the
    operands' gradients have the same addresses as the nodes' gradients.
    """

    def __init__(self):
        self.fresh, self.distinct, self.aliased = Bits(), Bits(), Bits()


def make_ready(gradients: Gradients, group: Group) -> Readiness:
    """Assign memory to all gradients to which a group's backward steps add. The module docstring explains how.

    Returns:
        What the caller must know about each step when it writes the instructions.
    """
    ready, steps = Readiness(), group.signature.backward
    with each(steps.count) as number:
        step = steps[number]
        with when(is_wanted(group, step, gradients.everything)):
            targets = Targets(gradients, group, step)
            aliased = targets.alias_if_possible()
            ready.aliased.note(number, aliased)
            with when(aliased == 0):
                fresh = targets.allocate_if_overwritten()
                ready.fresh.note(number, fresh)
                ready.distinct.note(number, targets.are_distinct(fresh))
                with when(fresh == 0):
                    targets.allocate_cleared()
    return ready


class Targets:
    """The targets of a step: the operands to whose gradients it adds, for all nodes of a group.

    `operand` is the number of this operand in each record, or a negative value such as EACH_OPERAND; see `layout`.
    """

    def __init__(self, gradients: Gradients, group: Group, step: Step):
        self.gradients, self.group, self.step, self.plan = gradients, group, step, gradients.plan
        self.operand, self.covers = step.gradient_of, step.covers
        self.can_overwrite = all_of(gradients.context.never_fresh == 0, self.covers != 0)

    @contextmanager
    def each_target(self) -> Iterator[tuple]:
        """Loop over the nodes of the group and, for each, over its targets. Yield pairs of a node and a target.

        A node has one target, the operand number `operand`; or if this is negative, all operands that share EACH.
        """
        for _, node in self.group.each_node():
            record = node.record
            first = pick(self.operand >= 0, self.operand, lambda: record.each_start)
            count = pick(self.operand >= 0, 1, lambda: record.each_count)
            with each(count) as k:
                yield node, record.operand(first + k)

    def alias_if_possible(self):
        """If possible, let the gradient of each target have the address of its node's gradient. Return 1 if so, else 0.

        This is possible if the step only copies gradients, and if all targets are suitable; see `_can_be_alias`.
        """
        possible = Variable(0)
        with when(all_of(self.can_overwrite, self.step.copies != 0)):
            possible.value = 1
            with self.each_target() as (_, operand):
                possible.value &= pick(operand >= 0, lambda: self._can_be_alias(operand), 0)
            with when(possible.value != 0), self.each_target() as (node, operand):
                target = self.plan.node(operand)
                target.gradient = node.gradient
                target.set_flag(at.HAS_GRADIENT)
        return possible.value

    def _can_be_alias(self, operand):
        """Return 1 if the gradient of this operand may have the same address as its node's gradient, else 0.

        It may if no other step adds to it, if the operand's own steps do not change it, and if it has the right size.
        """
        target = self.plan.node(operand)
        return yes(
            all_of(
                T.Not(target.has(at.HAS_GRADIENT | at.USED_TWICE)),
                target.is_whole_record,
                target.gradient_size == self.covers,
                target.signature.keeps_gradient != 0,
                self.gradients.has_own(target),
            )
        )

    def allocate_if_overwritten(self):
        """If the step can overwrite all targets, assign memory to their gradients. Return 1 if so, else 0.

        It can if it is the first step to add to each of these gradients, if it writes all of it, and if the targets are
        all different. The memory is not cleared. It is assigned while the targets are checked, and taken back if one of
        them does not fit.
        """
        fresh = Variable(0)
        with when(self.can_overwrite):
            begin = self.gradients.context.gradient_top
            fresh.value = 1
            with self.each_target() as (_, operand):
                fresh.value &= pick(operand >= 0, lambda: self._allocate_one(operand), 0)
            with when(all_of(fresh.value == 0, self.gradients.context.gradient_top != begin)):
                self._take_back(begin)
        return fresh.value

    def _allocate_one(self, operand):
        """Assign memory to this operand's gradient if the step can overwrite it. Return 1 if so, else 0.

        It can if the gradient has no memory yet, and is all that the step writes. The gradient of an alias must be all
        of another node's gradient, as in a reshape.
        """
        fits = Variable(0)
        owner, offset = self.gradients.owner(operand)
        with when(all_of(owner >= 0, offset == 0)):
            target = self.plan.node(owner)
            with when(all_of(T.Not(target.has(at.HAS_GRADIENT)), target.gradient_size == self.covers)):
                self.gradients.allocate(target)
                with when(owner != operand):
                    self.plan.node(operand).gradient = target.gradient
                fits.value = 1
        return fits.value

    def _take_back(self, begin) -> None:
        """Undo the assignments of memory from address `begin` on to targets of the step."""
        with self.each_target() as (_, operand):
            owner, _ = self.gradients.owner(operand)
            with when(owner >= 0):
                target = self.plan.node(owner)
                with when(all_of(target.has(at.HAS_GRADIENT), target.gradient >= begin)):
                    target.clear_flag(at.HAS_GRADIENT)
        self.gradients.context.gradient_top = begin

    def are_distinct(self, fresh):
        """Return 1 if it is known that the step adds to a different gradient for each node of the group, else 0.

        This is found out only if it decides how threads share the step, and if the step takes long enough to be shared.

        Args:
            fresh: what `allocate_if_overwritten` returned. If it is 1, the targets are known to be different.
        """
        distinct, step, signature = Variable(fresh), self.step, self.group.signature
        shared = step.shared
        matters = any_of(shared == at.IF_DISTINCT, shared == at.EITHER_IF_DISTINCT)
        with when(all_of(fresh == 0, matters)):
            columns = T.max(signature.columns, signature.columns_each)
            with when(self.group.count * columns * step.work >= self.plan.limits.least_instruction):
                distinct.value = self._mark()
                with self.each_target() as (_, operand), when(operand >= 0):
                    self.plan.node(operand).clear_flag(at.MET)
        return distinct.value

    def _mark(self):
        """Set the flag MET of all targets. Return 1 if they are different nodes with their own gradients, else 0.

        The caller must clear the flag.
        """
        all_fit = Variable(1)
        with self.each_target() as (_, operand):
            fits = Variable(0)
            with when(operand >= 0):
                target = self.plan.node(operand)
                with when(all_of(T.Not(target.has(at.MET)), self.gradients.has_own(target))):
                    target.set_flag(at.MET)
                    fits.value = 1
            all_fit.value &= fits.value
        return all_fit.value

    def allocate_cleared(self) -> None:
        """Assign memory to the gradients that the step adds to and that have none yet, and clear it.

        If `self.operand` is negative (a value such as EACH_OPERAND), the step adds to the gradients of several
        operands. Then do this for the gradients of all operands of the group's nodes.
        """
        with self.gradients.cleared(), branch(self.operand >= 0) as (one, others):
            with one, self.each_target() as (_, operand):
                self.gradients.place(operand)
            with others:
                for _, node in self.group.each_node():
                    self.gradients.place_operands(node)
