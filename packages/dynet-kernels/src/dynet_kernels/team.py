"""Emits code with which several threads run a tape at once.

Python's main thread plans a pass and runs its tape. The other threads help: each is a thread of Python that has called
`help`, which never returns. `sharing.py` starts these threads. TVM's runtime has threads for this, too, but a child
that is forked after their use cannot end.

On a busy machine, a helper may have no core for milliseconds. So the main thread gives parts of an instruction only to
helpers that look for work, and when its own part is done, it takes back those that no helper has begun. It waits only
for parts in progress. An account, `balance`, has what sharing gains and loses. While it is negative, the main thread
goes on alone, and the time that it runs alone pays the debt. Some passes run alone as a trial. Shared passes that take
longer than these, as where two cores have no cache in common, are a loss, too.

`layout.SHARING` has what the threads tell each other. Terms such as tape and context: see `machine.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from . import atomics, planning_ahead, tir
from . import layout as at
from .atomics import CORE, give_way, move, state_of, time
from .machine import call, call_packed, failed, tape_of
from .plain import Words
from .plan.flow import Variable, all_of, any_of, branch, forever, pick, stop_unless, when, yes
from .plan.structs import Context, Helper, Instruction, Pace, Sharing
from .tir import function, int64, let
from .tvm_modules import T, ir

# In nanoseconds: how long helpers look for work before they sleep, how long threads wait before they let others have
# their core, and after what time Python looks again how many cores there are.
PATIENCE, SPIN, LOOK_AGAIN = 3_000_000, 10_000, 1_000_000_000
WAKING = 100_000  # how long a pass waits for helpers to wake, at most; a short one waits for about 1/16 of its work
# The balance is at least LEAST nanoseconds, and at most MOST. Time that the main thread waits counts WAIT
# times. Time alone pays back one part in 2 ** PAYS_BACK.
LEAST, MOST, WAIT, PAYS_BACK = -2_000_000, 10_000_000, 2, 7
# The last TRIALS of PERIOD passes run alone, to learn how long this takes. Half of the sums is forgotten when the time
# is more than MEMORY nanoseconds.
TRIALS, PERIOD, MEMORY = 4, 256, 10_000_000
RUN_PART = ir.GlobalVar("run_part")


def functions():
    """Return the functions of this file: a dict from symbol to TIR function."""
    return {
        RUN_PART: function("run_part", ["context", "first", "end", "part", "parts"], run_part, private=True),
        ir.GlobalVar("run_together"): function("run_together", ["context"], atomics.imported(run_together)),
        ir.GlobalVar("help"): function("help", ["sharing", "number", "lock"], atomics.imported(help_others)),
    }


def unless_wanted(context: Context):
    """Return a context manager: its `with` block runs unless Python has to start helpers first.

    If it has to, the status becomes NO_HELPERS.
    """
    wanted = Sharing(Words(context.sharing)).wanted == 1
    with when(wanted):
        context.status = at.NO_HELPERS
    return when(T.Not(wanted))


def is_worth_it(context: Context):
    """Emit code that decides whether the pass that was planned has enough work for several threads.

    Return the condition that it has.
    """
    sharing = Sharing(Words(context.sharing))
    may_share = any_of(sharing.threads > 1, sharing.look != at.NEVER)
    return all_of(may_share, context.tape_count > 0, context.shared_work >= sharing.least_pass)


def row_of(sharing: Sharing, number) -> Helper:
    """Return the row of a helper. Helpers are counted from 1."""
    return Helper(Words(let(sharing.rows + number * int64(8 * at.HELPER_ROW))))


@contextmanager
def each_of(sharing: Sharing, helpers) -> Iterator[Helper]:
    """Emit a loop over the first so many helpers, with the code of the `with` block as its body."""
    with T.serial(int64(1), helpers + 1) as number:
        yield row_of(sharing, number)


def pace_of(sharing: Sharing, context: Context) -> Pace:
    """Return what is known of passes like that of a context: forward or backward, with about as much work."""
    number, rest = Variable(yes(context.tape == context.forward_tape)), Variable(context.shared_work)
    with forever():
        stop_unless(rest.value > 0)
        number.value, rest.value = number.value + 2, rest.value >> int64(1)
    return Pace(Words(let(sharing.paces + number.value * int64(8 * len(at.PACE)))))


def run_together(address):
    """Emit what the main thread does to run the tape of the context at `address`, with helpers if this pays."""
    context = Context(Words(address))
    sharing = Sharing(Words(context.sharing))
    tape, count, row = tape_of(context), context.tape_count, Variable(0)
    always, began = sharing.least_pass == 0, time()
    before, pace = sharing.balance, pace_of(sharing, context)
    is_trial = let(all_of(T.Not(always), T.floormod(pace.passes, int64(PERIOD)) >= PERIOD - TRIALS))
    pace.passes += 1
    with when(any_of(sharing.helpers + 1 < sharing.threads, began >= sharing.look)):
        # A later pass will find more helpers, or another number of threads.
        sharing.wanted = 1
        sharing.look = T.max(sharing.look, began + LOOK_AGAIN)
    pays = lambda: let(any_of(always, sharing.balance >= 0))  # noqa: E731
    helpers = pick(all_of(pays(), T.Not(is_trial)), let(T.min(sharing.threads - 1, sharing.helpers)), 0)
    last = row_of(sharing, helpers)
    with when(helpers > 0):
        sharing.context = address
        sharing.ahead = planning_ahead.is_expected(address)
        wake(sharing, helpers, always, began + T.min(int64(WAKING), context.shared_work >> int64(14)))
    with forever():
        stop_unless(row.value < count)
        first, together = row.value, let(all_of(helpers > 0, pays()))
        is_shared = let(all_of(together, tape[first].shared != at.ALONE))
        row.value = first + 1
        with when(T.Not(is_shared)), forever():
            stop_unless(row.value < count)
            stop_unless(any_of(T.Not(together), tape[row.value].shared == at.ALONE))
            row.value += 1
        with when(together), forever():
            stop_unless(sharing.ahead == at.WANTED)
            planning_ahead.order(address, last)
            stop_unless(all_of(always, state_of(last) != at.STARTED))
            wake(sharing, helpers, always, began)
        with branch(is_shared) as (shared, otherwise):
            with shared:
                share(address, sharing, first, helpers, always)
            with otherwise:
                start = time()
                call(RUN_PART, address, first, row.value, int64(0), int64(1))
                with when(sharing.balance < 0):
                    note(sharing, (time() - start) >> int64(PAYS_BACK))
    took, work = let(time() - began), context.shared_work
    with branch(helpers > 0) as (together, alone):
        with together:
            with when(pace.work > 0):
                expected = (T.truncdiv(pace.time << int64(20), pace.work) * work) >> int64(20)
                note(sharing, T.min(int64(0), before + expected - took - sharing.balance))
            finish_plan(address, sharing, last, always)
            sharing.context = 0
        with alone:
            halves = pick(pace.time > MEMORY, 1, 0)
            pace.fill(time=(pace.time >> halves) + took, work=(pace.work >> halves) + work)


def note(sharing: Sharing, gain) -> None:
    """Emit code that adds a gain, which is negative for a loss, to the balance."""
    sharing.balance = T.max(int64(LEAST), T.min(int64(MOST), sharing.balance + gain))


def wake(sharing: Sharing, helpers, always, until) -> None:
    """Emit code that wakes helpers which sleep. It waits for them until some time; if `always` holds, at all events."""
    with each_of(sharing, helpers) as helper:
        with when(move(helper, at.ASLEEP, at.COMING)):
            T.evaluate(T.call_extern("int32", "PyThread_release_lock", helper.lock))
    with each_of(sharing, helpers) as helper, forever():
        stop_unless(all_of(state_of(helper) == at.COMING, any_of(always, time() < until)))
        with when(always):
            give_way()


def share(address, sharing: Sharing, row, helpers, always) -> None:
    """Emit what the main thread does to run instruction number `row` with those helpers that look for work."""
    began, idle, given = time(), Variable(1), Variable(1)
    with each_of(sharing, helpers) as helper:
        idle.value += yes(state_of(helper) == at.IDLE)
    parts = idle.value
    run = lambda part: call(RUN_PART, address, row, let(row + 1), part, parts)  # noqa: E731
    with each_of(sharing, helpers) as helper:
        helper.part = 0
        with when(all_of(given.value < parts, state_of(helper) == at.IDLE)):
            helper.fill(row=row, part=given.value, parts=parts)
            ordered = yes(move(helper, at.IDLE, at.ORDERED))
            given.value += ordered
            with when(ordered == 0):
                helper.part = 0
    start = time()
    run(int64(0))
    with T.serial(given.value, parts) as part:
        run(part)
    helped = Variable(given.value - 1)
    with each_of(sharing, helpers) as helper, when(all_of(helper.part != 0, T.Not(always))):
        with when(move(helper, at.ORDERED, at.IDLE)):
            run(helper.part)
            helper.part = 0
            helped.value -= 1
    done = time()
    with each_of(sharing, helpers) as helper, when(helper.part != 0):
        wait_for(helper, done)
    saved = T.truncdiv((done - start) * helped.value, parts - helped.value)
    note(sharing, saved - (start - began) - (time() - done) * WAIT)


def wait_for(helper: Helper, since) -> None:
    """Emit what the main thread does until a helper has done its part. It waits since the time `since`."""
    with forever():
        stop_unless(state_of(helper) > at.IDLE)
        with when(time() > since + SPIN):
            give_way()


def finish_plan(address, sharing: Sharing, helper: Helper, always) -> None:
    """Emit what the main thread does after the tape: it takes the plan that a helper makes, unless it has not begun."""
    since, ordered = time(), Variable(yes(sharing.ahead == at.ORDERED))
    with when(all_of(ordered.value != 0, T.Not(always))), when(move(helper, at.ORDERED, at.IDLE)):
        ordered.value = 0
    with when(ordered.value != 0):
        wait_for(helper, since)
        planning_ahead.take_plan(address)
        note(sharing, sharing.planned - (time() - since) * WAIT)


def help_others(address, number, lock):
    """Emit what a helper does for as long as the process lives.

    Args:
        address: the address of the integers of `layout.SHARING`.
        number: the number of the helper.
        lock: the address of the lock that the main thread opens to wake this helper.
    """
    sharing = Sharing(Words(address))
    helper, since = row_of(sharing, number), Variable(0)
    sleep = lambda: T.evaluate(T.call_extern("int32", "PyThread_acquire_lock", lock, T.int32(1)))  # noqa: E731
    sleep()
    move(helper, at.STARTED, at.IDLE)
    with forever():
        state = state_of(helper)
        with when(state == at.ORDERED), when(move(helper, at.ORDERED, at.WORKING)):
            with branch(helper.row < 0) as (plans, runs):
                with plans:
                    start = time(CORE)
                    planning_ahead.plan_ahead(sharing.context)
                    sharing.planned = time(CORE) - start
                with runs:
                    call(RUN_PART, sharing.context, helper.row, let(helper.row + 1), helper.part, helper.parts)
            move(helper, at.WORKING, at.IDLE)
            since.value = time()
        with when(state == at.IDLE):
            idle = let(time() - since.value)
            with when(idle > SPIN):
                give_way()
            is_alone = all_of(sharing.least_pass != 0, sharing.balance < 0)
            is_bored = all_of(idle > PATIENCE, sharing.context == 0)
            with when(any_of(is_bored, is_alone)), when(move(helper, at.IDLE, at.ASLEEP)):
                sleep()
                move(helper, at.COMING, at.IDLE)
                since.value = time()


def run_part(address, first, end, part, parts):
    """Emit code that runs instructions of a tape on one thread, with its own copy of the RUNNING integers.

    Args:
        address: the address of the context, which all threads share.
        first, end: it runs the instructions number `first` to `end` - 1.
        part: which part of an instruction to run, counted from 0.
        parts: how many parts there are. If there is more than one, they are parts of instruction number `first` alone.
    """
    context = Context(Words(address))
    instruction = tape_of(context)[first]
    address = let(context.threads + part * int64(8 * at.THREAD_ROW))
    own, words = Context(Words(address)), Words(address)
    begin, stop = (let(T.floordiv(number * int64(at.WHOLE), parts)) for number in (part, part + int64(1)))
    way = pick(parts > 1, lambda: instruction.shared, at.ALONE)
    by_rows, by_columns = let(way == at.BY_ROWS), let(way == at.BY_COLUMNS)
    for name in at.RUNNING:
        setattr(own, name, getattr(context, name))
    own.fill(row=first, tape_count=end, others=0, columns_before=0, address=address)
    own.rows_before = pick(by_rows, begin, 0)
    own.rows_after = pick(by_rows, at.WHOLE - stop, 0)
    with when(by_columns):
        copy = Instruction(words, at.THREAD_INSTRUCTION)
        for name in at.INSTRUCTION:
            setattr(copy, name, getattr(instruction, name))
        count, base = instruction.count, instruction.base
        before = let(tir.share_of(count, begin))
        mine = let(tir.share_of(count, stop) - before)
        copy.fill(base=base + before, count=mine)
        own.fill(tape=address + 8 * at.THREAD_INSTRUCTION, row=0, tape_count=1)
        own.fill(others=count - mine, columns_before=before)
    with failed(call_packed("run_rows", address)):
        context.row = pick(by_columns, first, lambda: own.row)
        context.status = at.NO_CODE
