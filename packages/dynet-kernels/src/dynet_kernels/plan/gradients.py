"""Where gradients go: memory that is allocated on first use.

It is cleared then, unless the first step that adds to it can overwrite all of it. Where a step would only copy a node's
gradient to an operand that nothing else uses, the operand's gradient is an alias of the node's.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tvm.tirx.script import builder as T

from .. import layout as at
from ..tir import let
from .flow import Variable, all_of, any_of, branch, each, forever, pick, stop_unless, when, yes
from .grouping import Group
from .nodes import Node, Plan
from .structs import Step
from .tape import Bits, add_clear, is_wanted


class Gradients:
    """The gradients of one backward pass.

    Args:
        loss: the number of the node that it begins from.
        everything: 1 if all nodes get a gradient of their own, even those that no parameter needs.
    """

    def __init__(self, plan: Plan, loss, everything):
        self.plan, self.context, self.loss, self.everything = plan, plan.context, loss, everything

    def has_own(self, node: Node):
        """Whether a node has a gradient of its own. Otherwise its gradient is a part of its operand's gradient."""
        return any_of(node.signature.kind != at.ALIAS, node.number == self.loss, self.everything != 0)

    def allocate(self, node: Node) -> None:
        """Give a node memory for its gradient."""
        top = self.context.gradient_top
        node.gradient = top
        self.context.gradient_top = top + node.room
        node.flags = (node.flags & ~at.MET) | at.HAS_GRADIENT

    def place(self, operand) -> None:
        """See that an operand, if it is a node, knows where its gradient is."""
        with when(operand >= 0):
            owner, offset = Variable(operand), Variable(0)
            with forever():
                stop_unless(owner.value >= 0)
                alias = self.plan.node(owner.value)
                stop_unless(T.Not(self.has_own(alias)))
                offset.value += alias.alias_offset
                owner.value = alias.record.operand(0)
            owner_number = owner.value
            with when(owner_number >= 0):
                node = self.plan.node(owner_number)
                with when(T.Not(node.has(at.HAS_GRADIENT))):
                    self.allocate(node)
            with when(owner_number != operand):
                self.plan.node(operand).gradient = self.plan.address(owner_number, "gradient") + offset.value

    def place_operands(self, node: Node) -> None:
        """The same for all that the steps of a node may add to."""
        with node.record.awaited() as operand:
            self.place(operand)
        with when(node.is_later_part):
            self.place(let(node.number - 1))
            self.place(node.first_part)

    @contextmanager
    def cleared(self) -> Iterator[None]:
        """Set to 0 what is allocated in the block."""
        begin = self.context.gradient_top
        yield
        end = self.context.gradient_top
        with when(end > begin):
            add_clear(self.plan, begin, end - begin)


class Readiness:
    """What is known of a group's backward steps before they run, a bit each.

    `fresh`: it overwrites uninitialised memory. `distinct`: no two nodes of the group add to the same. `aliased`: it
    has nothing to do, since the operands' gradients are aliases of the nodes'.
    """

    def __init__(self):
        self.fresh, self.distinct, self.aliased = Bits(), Bits(), Bits()


def make_ready(gradients: Gradients, group: Group) -> Readiness:
    """See that the gradients which the steps of a group add to have memory, which is 0 unless a step overwrites it."""
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
    """The operands whose gradients a step makes, of all nodes of a group."""

    def __init__(self, gradients: Gradients, group: Group, step: Step):
        self.gradients, self.group, self.step, self.plan = gradients, group, step, gradients.plan
        self.operand, self.covers = step.gradient_of, step.covers
        self.can_overwrite = all_of(gradients.context.never_fresh == 0, self.covers != 0)

    @contextmanager
    def each_target(self) -> Iterator[tuple]:
        """A loop over pairs of a node and an operand: a certain one, or all that share EACH."""
        with self.group.each_node() as (_, node):
            record = node.record
            first = pick(self.operand >= 0, self.operand, lambda: record.each_start)
            count = pick(self.operand >= 0, 1, lambda: record.each_count)
            with each(count) as k:
                yield node, record.operand(first + k)

    def alias_if_possible(self):
        """1 if the gradients of all targets are now aliases of their nodes' gradients."""
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
        """1 if nothing else is ever added to an operand's gradient, and the operand does not change it itself."""
        target = self.plan.node(operand)
        return yes(
            all_of(
                T.Not(target.has(at.HAS_GRADIENT | at.USED_TWICE)),
                target.is_whole_record,
                target.size == self.covers,
                target.signature.keeps_gradient != 0,
                self.gradients.has_own(target),
            )
        )

    def allocate_if_overwritten(self):
        """1 if the step is the first to add to all targets and makes all of them; then they have memory now."""
        fresh = Variable(0)
        with when(self.can_overwrite):
            fresh.value = self._mark(at.MET | at.HAS_GRADIENT, self.covers)
            with self.each_target() as (_, operand), when(operand >= 0):
                target = self.plan.node(operand)
                with when(target.has(at.MET)):
                    with branch(fresh.value != 0) as (all_fresh, otherwise):
                        with all_fresh:
                            self.gradients.allocate(target)
                        with otherwise:
                            target.clear_flag(at.MET)
        return fresh.value

    def are_distinct(self, fresh):
        """1 if it is known that no two nodes of the group add to the same: looked at only where threads may share."""
        distinct, step, signature = Variable(fresh), self.step, self.group.signature
        shared = step.shared
        matters = any_of(shared == at.IF_DISTINCT, shared == at.EITHER_IF_DISTINCT)
        with when(all_of(fresh == 0, matters)):
            columns = T.max(signature.columns, signature.columns_each)
            with when(self.group.count * columns * step.work >= self.plan.limits.least_instruction):
                distinct.value = self._mark(at.MET)
                with self.each_target() as (_, operand), when(operand >= 0):
                    self.plan.node(operand).clear_flag(at.MET)
        return distinct.value

    def _mark(self, flags: int, size=None):
        """Set MET of all targets that have none of the flags, gradients of their own and that size; 1 if all had."""
        all_fit = Variable(1)
        with self.each_target() as (_, operand):
            fits = Variable(0)
            with when(operand >= 0):
                target = self.plan.node(operand)
                conditions = [T.Not(target.has(flags)), self.gradients.has_own(target)]
                if size is not None:
                    conditions.append(target.size == size)
                with when(all_of(*conditions)):
                    target.set_flag(at.MET)
                    fits.value = 1
            all_fit.value &= fits.value
        return all_fit.value

    def allocate_cleared(self) -> None:
        """See that all targets have memory, which is 0 where it is new."""
        with self.gradients.cleared(), branch(self.operand >= 0) as (one, others):
            with one, self.each_target() as (_, operand):
                self.gradients.place(operand)
            with others, self.group.each_node() as (_, node):
                self.gradients.place_operands(node)
