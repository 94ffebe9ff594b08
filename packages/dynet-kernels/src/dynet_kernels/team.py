"""Emits code with which several threads run a tape at once.

Python's main thread plans a pass and shares it. The other threads help: each is a thread of Python that has called
`help`, which never returns. It waits for a lock that the main thread opens when there is a pass to share. `sharing.py`
starts these threads. TVM's runtime has threads for this, too, but a child that is forked after their use cannot end.

`layout.SHARING` has what the threads tell each other. Terms such as tape and context: see `machine.py`.
"""

from __future__ import annotations

import sys

from . import layout as at
from . import planning_ahead, tir
from .machine import call, call_packed, failed, tape_of
from .plan.flow import Variable, all_of, any_of, forever, pick, stop_unless, when
from .plan.structs import Context, Helper, Instruction, Sharing, Words
from .tir import function, int64, let
from .tvm_modules import T, ir

TURNS = 10_000  # how often a helper looks for another pass before it sleeps; this takes some milliseconds
YIELD = "SwitchToThread" if sys.platform == "win32" else "sched_yield"
RUN_PART = ir.GlobalVar("run_part")


def functions():
    """Return the functions of this file: a dict from symbol to TIR function."""
    return {
        RUN_PART: function("run_part", ["context", "part", "parts"], run_part, private=True),
        ir.GlobalVar("run_together"): function("run_together", ["context"], run_together),
        ir.GlobalVar("help"): function("help", ["sharing", "part", "lock"], help_others),
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
    """Emit code that decides whether threads share the pass that was planned. Return the condition that they do.

    If more of them could share it than there are, it does not wait for them, but a later pass will find them.
    """
    sharing = Sharing(Words(context.sharing))
    threads = sharing.threads
    enough = let(all_of(threads > 1, context.tape_count > 0, context.shared_work >= sharing.least_pass))
    with when(all_of(enough, sharing.helpers + 1 < threads)):
        sharing.wanted = 1
    with when(enough):
        sharing.parts = ready_of(sharing)
    return all_of(enough, sharing.parts > 1)


def ready_of(sharing: Sharing):
    """Return how many threads are ready to share a pass, the main thread included, but at most `threads`.

    A helper that was started is ready when it has entered compiled code. Before that, it waits for Python's GIL.
    """
    ready, most = Variable(1), let(T.min(sharing.threads, sharing.helpers + 1))
    with forever():
        stop_unless(ready.value < most)
        helper = row_of(sharing, ready.value)
        stop_unless(helper.arrived == helper.lock)
        ready.value += 1
    return ready.value


def row_of(sharing: Sharing, part) -> Helper:
    """Return the row of helper number `part`, counted from 1."""
    return Helper(Words(sharing.rows + part * int64(8 * at.HELPER_ROW)))


def run_together(address):
    """Emit what the main thread does to run the tape of the context at `address` together with helpers.

    The tape is not empty: only the barrier after each stretch makes the main thread wait for helpers.
    """
    sharing = Sharing(Words(Context(Words(address)).sharing))
    parts, turn = sharing.parts, let(sharing.turn + 1)
    group, counters = Words(sharing.group), Words(sharing.counters)
    with T.serial(int64(1), sharing.helpers + 1) as part, forever():
        # A helper may still be leaving the barrier at the end of an earlier pass, where it reads the counters.
        helper = row_of(sharing, part)
        stop_unless(helper.woken != helper.finished)
        give_way()
    with T.serial(int64(0), parts) as part:
        counters[part * at.COUNTER] = 0
    ahead = planning_ahead.is_expected(address)
    group[0] = sharing.counters
    group[1] = parts - ahead
    with when(ahead != 0):
        planning_ahead.start(address)
    sharing.fill(context=address, ahead=ahead, joined=ahead * int64(at.NOT_YET), turn=turn)
    with T.serial(int64(1), parts) as part:
        helper = row_of(sharing, part)
        helper.woken = turn
        T.evaluate(T.call_extern("int32", "PyThread_release_lock", helper.lock))
    call(RUN_PART, address, int64(0), parts)
    with when(ahead != 0):
        planning_ahead.take_plan(address)


def help_others(address, part, lock):
    """Emit what helper number `part` does for as long as the process lives.

    Args:
        address: the address of the integers of `layout.SHARING`.
        lock: the address of the lock that the main thread opens to wake this helper.
    """
    sharing = Sharing(Words(address))
    helper = row_of(sharing, part)
    helper.arrived = lock
    with forever():
        # Sleeping and waking take long, so look for the next pass for a while before that.
        turns = Variable(TURNS)
        with forever():
            stop_unless(all_of(turns.value > 0, sharing.turn == helper.finished))
            give_way()
            turns.value -= 1
        T.evaluate(T.call_extern("int32", "PyThread_acquire_lock", lock, T.int32(1)))
        call(RUN_PART, sharing.context, part, sharing.parts)
        helper.finished = helper.woken


def give_way():
    """Emit a call that lets other threads have the core. After it, memory that they wrote is read anew."""
    T.evaluate(T.call_extern("int32", YIELD))


def run_part(address, part, parts):
    """Emit code that runs one thread's part of the tape. The threads wait for each other after every *stretch*.

    A stretch is either one instruction that the threads share, or a series of adjacent instructions that they do not
    share. The first thread runs such a series while the others wait. Each thread finds out by itself where stretches
    begin and end. The last thread may first have to plan the backward pass; see `planning_ahead.py`. `address` is the
    address of the context.
    """
    context = Context(Words(address))
    sharing = Sharing(Words(context.sharing))
    group, ahead = sharing.group, sharing.ahead
    tape, count, row = tape_of(context), context.tape_count, Variable(0)
    with when(all_of(ahead != 0, part == parts - 1)):
        planning_ahead.plan_ahead(address)
        row.value = sharing.joined
        with when(row.value < count):
            wait_for_others(part, group)
    with forever():
        stop_unless(row.value < count)
        first = row.value
        way = tape[first].shared
        row.value = first + 1
        with when(way == at.ALONE), forever():
            stop_unless(row.value < count)
            stop_unless(tape[row.value].shared == at.ALONE)
            row.value += 1
        with when(any_of(way != at.ALONE, part == 0)):
            threads = pick(first >= sharing.joined, parts, parts - 1)
            run_stretch(context, tape[first], first, row.value, part, threads)
        with when(all_of(part == 0, row.value < count)):
            planning_ahead.let_join(sharing, row.value)
        wait_for_others(part, group)
    with when(part == 0):
        planning_ahead.wait_for_plan(sharing, row.value, give_way)


def wait_for_others(part, group) -> None:
    """Emit a barrier, at which the thread with number `part` waits until all threads of the group have arrived."""
    T.evaluate(T.call_extern("int32", "TVMBackendParallelBarrier", T.Cast("int32", part), group))


def run_stretch(context: Context, instruction: Instruction, first, end, part, threads):
    """Emit code that runs a stretch (see `run_part`) on one thread, with its own copy of the RUNNING integers.

    Args:
        context: the context that all threads share.
        instruction: the first instruction of the stretch. If threads share it, this thread runs only its part of it.
        first, end: the stretch is the instructions number `first` to `end` - 1.
        part: the number of this thread, counted from 0.
        threads: how many threads there are.
    """
    address = let(context.threads + part * int64(8 * at.THREAD_ROW))
    own, words = Context(Words(address)), Words(address)
    begin, stop = (let(T.floordiv(number * int64(at.WHOLE), threads)) for number in (part, part + int64(1)))
    way = instruction.shared
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
