"""Emits the module that has the planners, and the loop over the tape, which calls shards.

Terms such as tape, shard and context: see `machine.py`. Shards do not depend on this file or on the planners, so that
they need not be compiled anew when these change.
"""

from __future__ import annotations

from typing import Any

from . import layout as at
from . import team, tir
from .kernels import SHARD
from .machine import call, call_handle, call_packed, failed, refuse, tape_of
from .plain import Words
from .plan import planners
from .plan.flow import any_of, branch, forever, stop_unless, when
from .plan.structs import Both, Context
from .planning_ahead import PLAN_BACKWARD
from .tir import function, int64, let
from .tvm_modules import T, ir, tirx


def planner_module() -> Any:
    """Emit the module with the planners and the loop over the tape, which calls shards.

    For each pass, such as `forward`, there is a function `plan_forward` that only plans, and a function `forward` that
    plans and then runs the tape, unless a buffer was too small for the plan. If Python has to start helping threads
    first, `forward` does nothing but set the status NO_HELPERS. All these functions return the status: a signal handler
    that computes may change the one in the context before Python reads it.
    """
    functions = {
        ir.GlobalVar("run"): function("run", ["context"], run),
        ir.GlobalVar("run_rows"): function("run_rows", ["running"], run_rows),
        **team.functions(),
    }
    symbols = {}
    for direction, planner in planners().items():
        symbol = ir.GlobalVar(f"do_plan_{direction}") if direction != "backward" else PLAN_BACKWARD
        symbols[direction] = symbol
        functions[symbol] = planner
        parameters = [p.name for p in planner.params]

        def plan_only(*arguments, symbol=symbol):
            call(symbol, *arguments)
            return status_of(arguments[0])

        def plan_and_run(*arguments, symbol=symbol):
            call(symbol, *arguments)
            with if_ready(arguments[0]):
                run(arguments[0])
            return status_of(arguments[0])

        def with_helpers(*arguments, plan_and_run=plan_and_run):
            with team.unless_wanted(Context(Words(arguments[0]))):
                plan_and_run(*arguments)
            return status_of(arguments[0])

        functions[ir.GlobalVar(f"plan_{direction}")] = function(
            f"plan_{direction}", parameters, plan_only, has_result=True
        )
        body = with_helpers if direction == "forward" else plan_and_run
        functions[ir.GlobalVar(direction)] = function(direction, parameters, body, has_result=True)
    functions[ir.GlobalVar("norm_and_update")] = norm_and_update(symbols)
    return ir.IRModule(functions)


def run_rows(running):
    """Emit the loop that runs instructions from number `row` on until the end of the tape.

    In each turn, it calls the function of the shard that has the kernel of instruction `row`. This function runs
    instructions until it meets one whose kernel is in another shard, and sets `row` to the number of that one. If the
    shard is not loaded, the loop ends with an error.

    Args:
        running: the address of the integers of `layout.RUNNING`.
    """
    context = Context(Words(running))
    tape, code = tape_of(context), Words(context.code)
    with forever():
        stop_unless(context.row < context.tape_count)
        shard = let(T.floordiv(tape[context.row].opcode, int64(SHARD)))
        with when(any_of(shard < 0, shard >= at.MOST_SHARDS)):
            refuse()
        handle = code[shard]
        with when(handle == 0):
            refuse()
        with failed(call_handle(handle, running)):
            refuse()


def status_of(address):
    """Emit a load of the status of the context at `address`."""
    return Context(Words(address)).status


def if_ready(address):
    """Return a context manager: its `with` block runs only if planning has succeeded for the context at `address`."""
    return when(status_of(address) == at.READY)


def norm_and_update(planners):
    """Emit norm_and_update, which sums all squared gradients and runs the trainer's update if the sum is below a limit.

    If the update has run, parameters have changed, which is counted (see `changes` in `layout.BUFFERS`).

    Its arguments are the address of the context, and that of the integers of `layout.BOTH`, so that a call passes few
    numbers.

    Args:
        planners: the symbols of the functions that plan a pass, by the name of the pass.
    """

    def body(context, both):
        norm, opcode, count, states, numbers, numbers_at, dense, totals = (
            getattr(Both(Words(both)), name) for name in at.BOTH
        )
        sums = tir.buffer_at(totals * int64(4), "float64")

        def planned(phase, *arguments):
            call(planners[phase], context, *arguments)
            return if_ready(context)

        T.buffer_store(sums, tirx.const(0.0, "float64"), [int64(0)])
        with planned("gradient_norm", norm, int64(0), count, states, dense, totals):
            run(context)
            with if_ready(context), branch(sums[int64(0)] < sums[int64(1)]) as (below, otherwise):
                with below, planned("update", opcode, count, states, numbers, numbers_at, dense):
                    run(context)
                    note_change(Context(Words(context)))
                with otherwise:
                    Context(Words(context)).status = at.NOT_BELOW
        return status_of(context)

    return function("norm_and_update", ["context", "both"], body, has_result=True)


def note_change(context):
    """Emit code that counts a change of parameters, and remembers the count as that of the trainer's last update."""
    changes, changed = Words(context.changes), Words(context.changed)
    changes[0] = changes[0] + int64(1)
    changed[0] = changes[0]


def run(address):
    """Emit code that runs the tape of the context at `address`, on several threads if there is enough work to share."""
    context = Context(Words(address))
    with branch(team.is_worth_it(context)) as (together, alone):
        with together, failed(call_packed("run_together", address)):
            context.status = at.NO_CODE
        with alone:
            context.row = 0
            with failed(call_packed("run_rows", address)):
                context.status = at.NO_CODE
