"""The module of the planners. Shards do not depend on it, so they need not be recompiled when it changes."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from .. import layout, tir
from ..plain import Words, plain
from ..plan import PLANNERS
from ..plan.nodes import Both, Context, Sharing
from . import team
from .modules import Function, fails, module_of

SMALL_WORK = 5_000_000  # the most work, in picoseconds, of an instruction of a pass that keeps the GIL
PLAN_FUNCTIONS = {name: Function(f"do_plan_{name}", planner) for name, planner in PLANNERS.items()}


def planner_module() -> Any:
    """Emit the module with the planners and the loop over the tape, which calls shards.

    For each pass, such as `forward`, there is a function `plan_forward`, which only plans, and a function `forward`,
    which also runs the tape, unless a buffer was too small or, for `forward`, the pass is LARGE. If Python has to start
    helpers first, `forward` only sets the status NO_HELPERS. These functions return the status, because a signal
    handler that computes may change the context's status before Python reads it.
    """
    functions = {
        "run": tir.emitted("run", run),
        "norm_and_update": tir.emitted("norm_and_update", norm_and_update, has_result=True),
        **team.functions(),
    }
    for name, planner in PLANNERS.items():
        functions[PLAN_FUNCTIONS[name].name] = tir.emitted(f"plan_{name}", planner, private=True)
        parameters = list(inspect.signature(planner).parameters)
        for function, runs in ((f"plan_{name}", False), (name, True)):
            functions[function] = tir.function(function, parameters, pass_function(name, runs), has_result=True)
    return module_of(functions)


def pass_function(name: str, runs: bool) -> Callable:
    """Return the function that plans a pass, such as `forward`, and also runs its tape if `runs` is true."""

    @plain
    def do(address, *arguments):
        context = Context(address)
        if runs and name == "forward" and Sharing(context.sharing).wanted == 1:
            context.status = layout.NO_HELPERS
        else:
            PLAN_FUNCTIONS[name](address, *arguments)
            if runs and context.status == layout.READY:
                if name == "forward" and not is_small_enough(context):
                    context.status = layout.LARGE
                else:
                    run(address)
        return context.status

    return do


@plain
def is_small_enough(context: Context):
    end = context.small_end
    return end == 0 or (context.arena_top <= end and context.most_work <= SMALL_WORK)


@plain
def norm_and_update(context, both):
    """Sum all squared gradients, and run the trainer's update if the sum is below a limit. Return the status.

    An update is counted in the context's `changes`. `both` is the address of a `layout.BOTH`, which has the limit.
    """
    shared, told = Context(context), Both(both)
    count, states, dense = told.count, told.states, told.dense
    sums = Words(told.totals * 4, "float64")
    sums[0] = 0.0
    PLAN_FUNCTIONS["gradient_norm"](context, told.norm, 0, count, states, dense, told.totals)
    if shared.status == layout.READY:
        run(context)
    if shared.status == layout.READY:
        if sums[0] < sums[1]:
            PLAN_FUNCTIONS["update"](context, told.opcode, count, states, told.numbers, told.numbers_at, dense)
            if shared.status == layout.READY:
                run(context)
                note_change(shared)
        else:
            shared.status = layout.NOT_BELOW
    return shared.status


@plain
def note_change(context: Context) -> None:
    """Increment the count of changes of parameters, and store it as the count after the trainer's last update."""
    changes, changed = Words(context.changes), Words(context.changed)
    changes[0] += 1
    changed[0] = changes[0]


@plain
def run(address) -> None:
    """Run the tape of the context at `address`, on several threads if there is enough work to share."""
    context = Context(address)
    if team.is_worth_it(context):
        if fails(team.run_together, address):
            context.status = layout.NO_CODE
    else:
        context.row = 0
        if fails(team.run_rows, address):
            context.status = layout.NO_CODE
