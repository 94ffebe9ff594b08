"""The compiled module of the planners. No shard depends on it, so a change here recompiles no shard."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from .. import layout, tir
from ..plain import Words, plain
from ..plan import PLANNERS
from ..plan.nodes import Both, Context, Sharing
from . import team
from .modules import Function, call_fails, module_of

MOST_WORK_WITH_GIL = 5_000_000  # a pass keeps the GIL only if no instruction has more work than this, in picoseconds
PLAN_FUNCTIONS = {name: Function(f"do_plan_{name}", planner) for name, planner in PLANNERS.items()}


def planner_module() -> Any:
    """Emit the module with the planners and the loop over the tape, which calls shards.

    For each pass, such as `forward`, there is a function `plan_forward`, which only plans, and a function `forward`,
    which also runs the tape if the status is READY and, for `forward`, the pass is not LARGE. If Python has to start
    helpers first, `forward` only sets the status NO_HELPERS. These functions return the status, because a signal
    handler that computes may change the context's status before Python reads it.
    """
    functions = {
        "run": tir.function_of("run", run),
        "norm_and_update": tir.function_of("norm_and_update", norm_and_update, has_result=True),
        **team.emit_functions(),
    }
    for name, planner in PLANNERS.items():
        functions[PLAN_FUNCTIONS[name].name] = tir.function_of(f"plan_{name}", planner, is_private=True)
        parameters = list(inspect.signature(planner).parameters)
        for function, runs_tape in ((f"plan_{name}", False), (name, True)):
            functions[function] = tir.function(function, parameters, pass_function(name, runs_tape), has_result=True)
    return module_of(functions)


def pass_function(pass_name: str, runs_tape: bool) -> Callable:
    """Return the function that plans a pass, such as `forward`, and with `runs_tape` also runs its tape."""

    @plain
    def run_pass(context_address, *arguments):
        context = Context(context_address)
        if runs_tape and pass_name == "forward" and Sharing(context.sharing).wanted == 1:
            context.status = layout.NO_HELPERS
        else:
            PLAN_FUNCTIONS[pass_name](context_address, *arguments)
            if runs_tape and context.status == layout.READY:
                if pass_name == "forward" and not may_keep_gil(context):
                    context.status = layout.LARGE
                else:
                    run(context_address)
        return context.status

    return run_pass


@plain
def may_keep_gil(context: Context):
    end = context.small_end  # an address; 0: the pass may have any size
    return end == 0 or (context.arena_top <= end and context.most_work <= MOST_WORK_WITH_GIL)


@plain
def norm_and_update(context_address, both_address):
    """Sum all squared gradients, and run the trainer's update if the sum is below a limit. Return the status.

    An update is counted in the context's `changes`. Arguments and limit are in a `layout.BOTH` at `both_address`.
    """
    context, both = Context(context_address), Both(both_address)
    count, states, dense = both.count, both.states, both.dense
    sums = Words(both.totals * 4, "float64")  # the sum of squared gradients, and the limit
    sums[0] = 0.0
    PLAN_FUNCTIONS["gradient_norm"](context_address, both.norm, 0, count, states, dense, both.totals)
    if context.status == layout.READY:
        run(context_address)
    if context.status == layout.READY:
        if sums[0] < sums[1]:
            PLAN_FUNCTIONS["update"](
                context_address, both.opcode, count, states, both.numbers, both.numbers_address, dense
            )
            if context.status == layout.READY:
                run(context_address)
                note_change(context)
        else:
            context.status = layout.NOT_BELOW
    return context.status


@plain
def note_change(context: Context) -> None:
    """Increment the count of changes of parameters, and store it as the count after the trainer's last update."""
    changes, changed = Words(context.changes), Words(context.changed)
    changes[0] += 1
    changed[0] = changes[0]


@plain
def run(context_address) -> None:
    """Run the tape of the context at `context_address`, on several threads if there is enough work to share."""
    context = Context(context_address)
    if team.is_worth_sharing(context):
        if call_fails(team.run_together, context_address):
            context.status = layout.NO_CODE
    else:
        context.row = 0
        if call_fails(team.run_rows, context_address):
            context.status = layout.NO_CODE
