"""How a helping thread plans the backward pass while the others run the forward pass.

Most programs compute a graph by one forward pass and differentiate it from its last node. If the last backward pass was
of this kind, the next one is expected to be, too. Planning and running both write to the context, so the helper plans
in a copy of it. Then `backward` finds the plan in the context, as if it had been made for an earlier pass.
"""

from __future__ import annotations

from .. import layout as at
from ..plain import plain
from ..plan import PLANNERS
from ..plan.nodes import Plan
from ..plan.structs import Context, Helper, Sharing
from .atomics import move, state_of
from .modules import Function

PLAN_BACKWARD = Function("do_plan_backward", PLANNERS["backward"])
# What a plan changes in the context in which it is made, besides what the next pass sets anyway.
RESULTS = (
    "flags_used", "planned_count", "ordered", "searches", "lookup_count", "gradient_top", "backward_plan",
    "backward_loss", "backward_everything", "backward_start", "backward_tape_count", "backward_index_top",
    "backward_shared_work", "backward_plans",
)  # fmt: skip


@plain
def is_expected(address):
    """Whether to plan ahead: the tape is that of a forward pass, whose depths the backward pass can use."""
    plan = Plan(address)
    context = plan.context
    is_forward = context.backward_expected != 0 and context.tape == context.forward_tape
    is_new = is_forward and context.backward_plan != context.plan and context.one_numbering != 0
    return is_new and plan.node(context.node_count - 1).signature.kind != at.ALIAS


@plain
def order(address, helper: Helper) -> None:
    """Order a helper to plan ahead, if it looks for work. The main thread does this."""
    if state_of(helper) == at.IDLE:
        context = Context(address)
        copy = Context(context.ahead)
        # If no backward pass follows, as in a program that only predicts now, the next graph is not planned ahead.
        context.backward_expected = 0
        for place in range(len(at.CONTEXT)):
            copy.words[place] = context.words[place]
        helper.row = -1
        if move(helper, at.IDLE, at.ORDERED):
            Sharing(context.sharing).ahead = at.ORDERED


@plain
def plan_ahead(address) -> None:
    """Plan. The helper does this."""
    context = Context(address)
    PLAN_BACKWARD(context.ahead, context.node_count - 1, 0, 0)


@plain
def take_plan(address) -> None:
    """Copy what the plan has changed to the context. The main thread does this after the pass."""
    context = Context(address)
    context.take(Context(context.ahead), RESULTS)
