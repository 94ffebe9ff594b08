"""Emits code with which a helping thread plans the backward pass while the others run the forward pass.

Most programs compute a graph by one forward pass and differentiate it from its last node. If the last backward pass was
of this kind, the next one is expected to be, too. Then the main thread orders the last helper to plan the backward pass
as soon as this helper looks for work. When the plan is complete, the helper looks for work again. `backward` finds the
plan in the context, as if it had been made for an earlier pass.

Planning and running both write to the context. So the helper plans in a copy of it.
"""

from __future__ import annotations

from . import layout as at
from .atomics import move, state_of
from .machine import call
from .plain import Words
from .plan.flow import all_of, each, pick, when, yes
from .plan.nodes import Plan
from .plan.structs import Context, Helper, Sharing
from .tir import int64, let
from .tvm_modules import ir

PLAN_BACKWARD = ir.GlobalVar("do_plan_backward")
# What a plan changes in the context in which it is made, besides what the next pass sets anyway.
RESULTS = (
    "flags_used", "planned_count", "ordered", "searches", "lookup_count", "gradient_top", "backward_plan",
    "backward_loss", "backward_everything", "backward_start", "backward_tape_count", "backward_index_top",
    "backward_shared_work", "backward_plans",
)  # fmt: skip


def is_expected(address):
    """Emit code that decides whether to plan a backward pass ahead, before threads run the tape of a context.

    It does if the tape is that of a forward pass, and if the nodes of the graph have depths that the backward pass can
    use. Return 1 (`layout.WANTED`) if so, else 0.
    """
    plan = Plan(address)
    context = plan.context
    expected = yes(all_of(context.backward_expected != 0, context.tape == context.forward_tape))
    is_new = lambda: yes(all_of(context.backward_plan != context.plan, context.one_numbering != 0))  # noqa: E731
    last = lambda: yes(plan.node(let(context.node_count - 1)).signature.kind != at.ALIAS)  # noqa: E731
    expected = pick(expected != 0, is_new, 0)
    return pick(expected != 0, last, 0)


def order(address, helper: Helper) -> None:
    """Emit what the main thread does to order a helper to plan ahead, if this helper looks for work."""
    context = Context(Words(address))
    with when(state_of(helper) == at.IDLE):
        # If no backward pass follows, as in a program that only predicts now, the next graph is not planned ahead.
        context.backward_expected = 0
        source, copy = Words(address), Words(context.ahead)
        with each(len(at.CONTEXT)) as place:
            copy[place] = source[place]
        helper.row = -1
        with when(move(helper, at.IDLE, at.ORDERED)):
            Sharing(Words(context.sharing)).ahead = at.ORDERED


def plan_ahead(address) -> None:
    """Emit what the helper does: it plans."""
    context = Context(Words(address))
    last = let(context.node_count - 1)
    call(PLAN_BACKWARD, context.ahead, last, int64(0), int64(0))


def take_plan(address) -> None:
    """Emit what the main thread does after the pass: it copies what the plan has changed to the context."""
    context = Context(Words(address))
    copy = Context(Words(context.ahead))
    for name in RESULTS:
        setattr(context, name, getattr(copy, name))
