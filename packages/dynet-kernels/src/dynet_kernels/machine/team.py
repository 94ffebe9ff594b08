"""Runs tapes, on Python's main thread alone or together with helpers, which are also Python threads.

TVM's thread pool is not used, because then a forked child cannot exit. The operating system may leave a helper without
a core for milliseconds. So a helper gets part of an instruction only while it is looking for work. The main thread
takes back parts that no helper has begun, and waits only for parts in progress. `balance` is the time that sharing has
gained minus the time that it has cost. While `balance` is negative, the main thread works alone, which slowly raises
it. The main thread also runs some passes alone as a trial. A shared pass that takes longer than unshared passes for the
same work, for example because the cores have no cache in common, counts as a loss.

A helper also plans the backward pass while other threads run the forward pass. Most programs compute a graph with one
forward pass, and differentiate it from its last node. If the last backward pass did this, the next is expected to do
the same. Planning and running both write to the context, so the helper plans in a copy. The result is copied to the
context, where `backward` finds a plan to reuse.
"""

from __future__ import annotations

from .. import layout, tir
from ..kernels import SHARD_SIZE
from ..plain import Words, plain
from ..plan import PLANNERS
from ..plan.nodes import Context, Helper, Instruction, Pace, Plan, Sharing
from . import atomics
from .atomics import CPU_TIME, change_state, state_of, time, yield_core
from .modules import Function, call_fails, not_inlined, raise_no_code, tape_of

PLAN_BACKWARD = Function("do_plan_backward", PLANNERS["backward"])
# The integers of the context that planning the backward pass changes, except those that the next pass sets anyway.
BACKWARD_RESULTS = (
    "flags_used", "planned_count", "ordered", "searches", "lookup_count", "gradient_top", "backward_plan",
    "backward_loss", "backward_everything", "backward_start", "backward_tape_count", "backward_index_top",
    "backward_shared_work", "backward_plans",
)  # fmt: skip


@plain
def should_plan_ahead(context_address):
    """Whether a backward pass is expected after this tape, has no plan yet, and can use the forward pass's depths."""
    plan = Plan(context_address)
    context = plan.context
    is_forward = context.backward_expected != 0 and context.tape == context.forward_tape
    is_new = is_forward and context.backward_plan != context.plan and context.one_numbering != 0
    return is_new and plan.node(context.node_count - 1).signature.kind != layout.ALIAS


@plain
def order_plan(context_address, helper: Helper) -> None:
    """On the main thread: order a helper to plan ahead, if it is looking for work."""
    if state_of(helper) == layout.IDLE:
        context = Context(context_address)
        copy = Context(context.ahead)
        # A backward pass sets this again. If none follows (the program only predicts), no other is planned ahead.
        context.backward_expected = 0
        for k in range(len(layout.CONTEXT)):
            copy.words[k] = context.words[k]
        helper.row = -1  # the order is to plan
        if change_state(helper, layout.IDLE, layout.ORDERED):
            Sharing(context.sharing).ahead = layout.ORDERED


# In nanoseconds: how long helpers look for work before they sleep, how long waiting threads spin before they yield the
# core, and the least time between two counts of the cores.
IDLE_BEFORE_SLEEP, SPIN_BEFORE_YIELD, RECOUNT_INTERVAL = 3_000_000, 10_000, 1_000_000_000
WAKING_WAIT = 100_000  # in nanoseconds: a pass waits so long for helpers to wake, but at most 1/16 of its expected time
# The limits of the balance, in nanoseconds. Time that the main thread waits counts WAIT_COST times. While the balance
# is negative, 1 / 2 ** PAYBACK_SHIFT of the main thread's running time is added to it.
LEAST_BALANCE, MOST_BALANCE, WAIT_COST, PAYBACK_SHIFT = -2_000_000, 10_000_000, 2, 7
# Of each PERIOD similar passes, the last TRIALS run alone, to measure time per work. If the sum of their times exceeds
# HALVE_ABOVE nanoseconds, the sums of time and work are halved, so that newer passes count more.
TRIALS, PERIOD, HALVE_ABOVE = 4, 256, 10_000_000


def emit_functions() -> dict:
    return {
        "run_rows": tir.function_of("run_rows", run_rows.python_function),
        "run_part": tir.function_of("run_part", run_part.python_function, is_private=True),
        "run_together": tir.function_of("run_together", atomics.importing_llvm(run_together.python_function)),
        "help": tir.function_of("help", atomics.importing_llvm(help_others)),
    }


@not_inlined
def run_rows(context_address):
    """Run the instructions from number `row` to the end of the tape.

    Each iteration calls the function of the shard with the kernel of instruction `row`. The function runs instructions
    up to the first one of another shard, and sets `row` to its number. If a shard is not loaded, raise an error.
    """
    context = Context(context_address)
    tape, code = tape_of(context), Words(context.code)
    while context.row < context.tape_count:
        shard = tape[context.row].opcode // SHARD_SIZE
        if shard < 0 or shard >= layout.MOST_SHARDS or code[shard] == 0 or call_fails(code[shard], context_address):
            raise_no_code()


@plain
def is_worth_sharing(context: Context):
    sharing = Sharing(context.sharing)
    may_share = sharing.threads > 1 or sharing.look != layout.NEVER  # the cores, if counted again, may be more
    return may_share and context.tape_count > 0 and context.shared_work >= sharing.least_pass


@plain
def nth_helper(sharing: Sharing, index) -> Helper:
    """Return the HELPER structure of helper number `index`. The first helper has number 1."""
    return Helper(sharing.rows + index * 8 * layout.HELPER_ROW)


@plain
def each_helper(sharing: Sharing, helper_count):
    for index in range(1, helper_count + 1):
        yield nth_helper(sharing, index)


@plain
def pace_of(sharing: Sharing, context: Context) -> Pace:
    """Return the PACE (time per work) of passes in the context's direction with as many bits of `shared_work`."""
    index, rest = context.tape == context.forward_tape, context.shared_work
    while rest > 0:
        index, rest = index + 2, rest >> 1
    return Pace(sharing.paces + index * 8 * len(layout.PACE))


@not_inlined
def run_together(context_address):
    """Run the tape of the context at `context_address` on the main thread, with helpers if this is worthwhile."""
    context = Context(context_address)
    sharing = Sharing(context.sharing)
    tape, count, row = tape_of(context), context.tape_count, 0
    must_share, began = sharing.least_pass == 0, time()  # share even if it does not pay
    balance_before, pace = sharing.balance, pace_of(sharing, context)
    is_trial = not must_share and pace.passes % PERIOD >= PERIOD - TRIALS
    pace.passes += 1
    if sharing.helpers + 1 < sharing.threads or began >= sharing.look:
        # Python then starts helpers or counts the cores again, for a later pass.
        sharing.wanted = 1
        sharing.look = max(sharing.look, began + RECOUNT_INTERVAL)

    def sharing_pays():
        return must_share or sharing.balance >= 0

    helper_count = min(sharing.threads - 1, sharing.helpers) if sharing_pays() and not is_trial else 0
    last_helper = nth_helper(sharing, helper_count)
    if helper_count > 0:
        sharing.context = context_address
        sharing.ahead = layout.WANTED if should_plan_ahead(context_address) else 0
        wake(sharing, helper_count, must_share, began + min(WAKING_WAIT, context.shared_work >> 14))  # ps to ns, / 16
    while row < count:
        first, with_helpers = row, helper_count > 0 and sharing_pays()
        is_shared = with_helpers and tape[first].shared != layout.ALONE
        row = first + 1
        if not is_shared:  # then also run what follows, up to the next instruction to share
            while row < count and (not with_helpers or tape[row].shared == layout.ALONE):
                row += 1
        if with_helpers:
            while sharing.ahead == layout.WANTED:
                order_plan(context_address, last_helper)
                if not must_share or state_of(last_helper) == layout.STARTED:
                    break
                wake(sharing, helper_count, must_share, began)
        if is_shared:
            share(context_address, sharing, first, helper_count, must_share)
        else:
            start = time()
            run_part(context_address, first, row, 0, 1)
            if sharing.balance < 0:
                add_gain(sharing, (time() - start) >> PAYBACK_SHIFT)
    duration, work = time() - began, context.shared_work
    if helper_count > 0:
        if pace.work > 0:
            expected = ((pace.time << 20) // pace.work * work) >> 20  # the time of unshared passes for this work
            add_gain(sharing, min(0, balance_before + expected - duration - sharing.balance))
        finish_plan(context_address, sharing, last_helper, must_share)
        sharing.context = 0
    else:
        halvings = 1 if pace.time > HALVE_ABOVE else 0
        pace.fill(time=(pace.time >> halvings) + duration, work=(pace.work >> halvings) + work)


@plain
def add_gain(sharing: Sharing, gain) -> None:
    """Add `gain`, in nanoseconds (negative: a loss), to the balance of sharing."""
    sharing.balance = max(LEAST_BALANCE, min(MOST_BALANCE, sharing.balance + gain))


@plain
def wake(sharing: Sharing, helper_count, must_share, deadline) -> None:
    """Wake sleeping helpers. Wait for them until the time `deadline`, or if `must_share`, without a limit."""
    for helper in each_helper(sharing, helper_count):
        if change_state(helper, layout.ASLEEP, layout.COMING):
            atomics.release_lock(helper.lock)
    for helper in each_helper(sharing, helper_count):
        while state_of(helper) == layout.COMING and (must_share or time() < deadline):
            if must_share:
                yield_core()


@plain
def share(context_address, sharing: Sharing, row, helper_count, must_share) -> None:
    """Run instruction number `row` on the main thread and the helpers that are looking for work."""
    began, idle_count, given_count = time(), 1, 1  # the counts include the main thread and its part
    for helper in each_helper(sharing, helper_count):
        if state_of(helper) == layout.IDLE:
            idle_count += 1
    part_count = idle_count  # how many parts the instruction is divided into

    def run(part):
        run_part(context_address, row, row + 1, part, part_count)

    for helper in each_helper(sharing, helper_count):
        helper.part = 0  # no part
        if given_count < part_count and state_of(helper) == layout.IDLE:
            helper.fill(row=row, part=given_count, parts=part_count)
            if change_state(helper, layout.IDLE, layout.ORDERED):
                given_count += 1
            else:
                helper.part = 0
    start = time()
    run(0)
    for part in range(given_count, part_count):
        run(part)
    helper_parts = given_count - 1  # how many parts helpers have run
    for helper in each_helper(sharing, helper_count):
        if helper.part != 0 and not must_share and change_state(helper, layout.ORDERED, layout.IDLE):
            run(helper.part)
            helper.part = 0
            helper_parts -= 1
    done = time()
    for helper in each_helper(sharing, helper_count):
        if helper.part != 0:
            wait_for(helper, done)
    saved = (done - start) * helper_parts // (part_count - helper_parts)  # at the main thread's pace
    add_gain(sharing, saved - (start - began) - (time() - done) * WAIT_COST)


@plain
def wait_for(helper: Helper, since) -> None:
    """On the main thread: wait until a helper is done. From `since` + SPIN_BEFORE_YIELD on, yield the core."""
    while state_of(helper) > layout.IDLE:
        if time() > since + SPIN_BEFORE_YIELD:
            yield_core()


@plain
def finish_plan(context_address, sharing: Sharing, helper: Helper, must_share) -> None:
    """On the main thread: wait for a helper's plan, and copy it. Unless `must_share`, cancel an order not begun."""
    since = time()
    if sharing.ahead == layout.ORDERED and (must_share or not change_state(helper, layout.ORDERED, layout.IDLE)):
        wait_for(helper, since)
        context = Context(context_address)
        context.take(Context(context.ahead), BACKWARD_RESULTS)
        add_gain(sharing, sharing.planned - (time() - since) * WAIT_COST)


@plain
def help_others(sharing_address, helper_number, lock):
    """Help the main thread until the process ends. The main thread releases `lock` to wake this helper."""
    sharing, idle_since = Sharing(sharing_address), 0
    helper = nth_helper(sharing, helper_number)
    atomics.acquire_lock(lock)
    change_state(helper, layout.STARTED, layout.IDLE)
    while True:
        idle_since = look_for_work(sharing, helper, lock, idle_since)


@plain
def look_for_work(sharing: Sharing, helper: Helper, lock, idle_since):
    """Carry out an order, or sleep after idling too long. Return the time when the helper began to look for work."""
    state = state_of(helper)
    if state == layout.ORDERED and change_state(helper, layout.ORDERED, layout.WORKING):
        if helper.row < 0:  # the order is to plan the backward pass
            start = time(CPU_TIME)
            context = Context(sharing.context)
            PLAN_BACKWARD(context.ahead, context.node_count - 1, 0, 0)
            sharing.planned = time(CPU_TIME) - start
        else:
            run_part(sharing.context, helper.row, helper.row + 1, helper.part, helper.parts)
        change_state(helper, layout.WORKING, layout.IDLE)
        idle_since = time()
    if state == layout.IDLE:
        idle = time() - idle_since
        if idle > SPIN_BEFORE_YIELD:
            yield_core()
        main_works_alone = sharing.least_pass != 0 and sharing.balance < 0
        idles_too_long = idle > IDLE_BEFORE_SLEEP and sharing.context == 0
        if (idles_too_long or main_works_alone) and change_state(helper, layout.IDLE, layout.ASLEEP):
            atomics.acquire_lock(lock)
            change_state(helper, layout.COMING, layout.IDLE)
            idle_since = time()
    return idle_since


@not_inlined
def run_part(context_address, first, end, part, part_count):
    """Run instructions `first` to `end` - 1 of a tape on one thread, with the thread's own copy of `layout.RUNNING`.

    If `part_count` is more than 1, run only part `part` (counted from 0) of instruction `first`.
    """
    context = Context(context_address)
    instruction = tape_of(context)[first]
    own_address = context.threads + part * 8 * layout.THREAD_ROW
    own = Context(own_address)
    # The part's rows, in units of 1 / ALL_ROWS.
    begin, stop = part * layout.ALL_ROWS // part_count, (part + 1) * layout.ALL_ROWS // part_count
    how_shared = instruction.shared if part_count > 1 else layout.ALONE
    by_rows, by_columns = how_shared == layout.BY_ROWS, how_shared == layout.BY_COLUMNS
    own.take(context, layout.RUNNING)
    own.fill(row=first, tape_count=end, others=0, columns_before=0, address=own_address)
    own.rows_before = begin if by_rows else 0
    own.rows_after = layout.ALL_ROWS - stop if by_rows else 0
    if by_columns:
        copy = Instruction(own.words, layout.THREAD_INSTRUCTION)
        copy.take(instruction, layout.INSTRUCTION)
        count, base = instruction.count, instruction.base
        columns_before = tir.share_of(count, begin)
        own_count = tir.share_of(count, stop) - columns_before
        copy.fill(base=base + columns_before, count=own_count)
        own.fill(tape=own_address + 8 * layout.THREAD_INSTRUCTION, row=0, tape_count=1)
        own.fill(others=count - own_count, columns_before=columns_before)
    if call_fails(run_rows, own_address):
        context.row = first if by_columns else own.row
        context.status = layout.NO_CODE
