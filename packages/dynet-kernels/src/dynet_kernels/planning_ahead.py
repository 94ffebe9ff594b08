"""Emits code with which a helping thread plans the backward pass while the others run the forward pass.

Most programs compute a graph by one forward pass and differentiate it from its last node. If the last backward pass was
of this kind, the next one is expected to be, too. Then the last of the threads that share a forward pass plans the
backward pass first, and the others begin without it. When the plan is complete, the main thread lets it join them
between two instructions. `backward` finds the plan in the context, as if it had been made for an earlier pass.

Planning and running both write to the context. So the thread plans ahead in a copy of it.
"""

from __future__ import annotations

from . import layout as at
from .machine import call
from .plan.flow import all_of, each, forever, pick, stop_unless, when, yes
from .plan.nodes import Plan
from .plan.structs import Context, Sharing, Words
from .tir import int64, let
from .tvm_modules import T, ir

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
    use. Return 1 if so, else 0.
    """
    plan = Plan(address)
    context = plan.context
    expected = yes(all_of(context.backward_expected != 0, context.tape == context.forward_tape))
    is_new = lambda: yes(all_of(context.backward_plan != context.plan, context.one_numbering != 0))  # noqa: E731
    last = lambda: yes(plan.node(let(context.node_count - 1)).signature.kind != at.ALIAS)  # noqa: E731
    expected = pick(expected != 0, is_new, 0)
    return pick(expected != 0, last, 0)


def start(address) -> None:
    """Emit what the main thread does before it wakes the thread that plans ahead: it copies the context."""
    context = Context(Words(address))
    sharing = Sharing(Words(context.sharing))
    # If no backward pass follows, as in a program that only predicts now, the next graph is not planned ahead.
    context.backward_expected = 0
    source, copy = Words(address), Words(context.ahead)
    with each(len(at.CONTEXT)) as place:
        copy[place] = source[place]
    counters = Words(Words(sharing.meeting)[0])
    for party in range(2):
        counters[party * at.COUNTER] = 0


def plan_ahead(address) -> None:
    """Emit what the last thread does before it joins the others: it plans, and waits until they let it join."""
    context = Context(Words(address))
    sharing = Sharing(Words(context.sharing))
    last = let(context.node_count - 1)
    call(PLAN_BACKWARD, context.ahead, last, int64(0), int64(0))
    sharing.planned = sharing.turn
    meet(sharing, 1)


def let_join(sharing: Sharing, row) -> None:
    """Emit what the main thread does between two stretches: if the plan is complete, it lets the last thread join.

    Other threads may still be at work on the stretch before, or at the barrier before it. The last thread has to arrive
    at the barrier after this stretch, too, so it starts with the same count of barriers as the main thread.

    Args:
        row: the number of the instruction with which the next stretch begins, the first one that all threads share.
    """
    with when(all_of(sharing.joined == at.NOT_YET, sharing.planned == sharing.turn)):
        parts, counters, group = sharing.parts, Words(sharing.counters), Words(sharing.group)
        counters[(parts - 1) * int64(at.COUNTER)] = counters[0]
        sharing.joined = row
        group[1] = parts
        meet(sharing, 0)


def wait_for_plan(sharing: Sharing, row, give_way) -> None:
    """Emit what the main thread does after the last stretch: it waits for the plan if the last thread has not joined.

    Args:
        row: the number of instructions on the tape.
        give_way: emits code that lets other threads have the core.
    """
    with when(sharing.joined == at.NOT_YET):
        with forever():
            stop_unless(sharing.planned != sharing.turn)
            give_way()
        sharing.joined = row
        meet(sharing, 0)


def meet(sharing: Sharing, party: int) -> None:
    """Emit a barrier at which the main thread (party 0) and the one that plans ahead (party 1) wait for each other."""
    T.evaluate(T.call_extern("int32", "TVMBackendParallelBarrier", T.int32(party), sharing.meeting))


def take_plan(address) -> None:
    """Emit what the main thread does after the pass: it copies what the plan has changed to the context."""
    context = Context(Words(address))
    copy = Context(Words(context.ahead))
    for name in RESULTS:
        setattr(context, name, getattr(copy, name))
