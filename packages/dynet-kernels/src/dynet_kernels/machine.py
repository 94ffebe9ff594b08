"""The tape machine: emits the compiled functions that plan graphs and run their instructions.

The planner writes a *tape*, a list of instructions. Each names a kernel by its *opcode*. The machine loops over the
tape and switches on the opcode. On a CPU it is several modules that are compiled separately: one has the planner and
the loop, the others are *shards*, a few kernels each, with a switch of their own. The loop calls a shard by the handle
of its function, which `library` writes into a list when it loads the shard. The functions here emit TIR, TVM's
intermediate code.
"""

from __future__ import annotations

import functools
from contextlib import suppress

from tvm import ir, tirx
from tvm.tirx.script import builder as T

from . import layout as at
from . import tir
from .kernels import RUN_SHARD, SHARD, Kernel
from .plan.flow import Variable, all_of, any_of, branch, forever, pick, stop_unless, when
from .plan.structs import Context, Instruction, Rows, Sharing, Words
from .tir import function, int64, let

PASSES = {"tirx.disable_storage_rewrite": True, "tirx.disable_cse_tir": True}
# TVM passes that we disable. They change nothing in kernels made of plain loops, but take two thirds of the compile
# time.
NEEDLESS = [
    "s_tir.HoistIfThenElse",
    "s_tir.StmtSimplify",
    "s_tir.CompactBufferAllocation",
    "s_tir.RenormalizeSplitPattern",
    "s_tir.InsertHoistIfThenElse",
    "s_tir.InjectVirtualThread",
    "s_tir.InjectPermutedLayout",
    "tirx.RemoveNoOp",
]
NEEDLESS_ON_CPU = [
    *NEEDLESS,
    # All our buffers have one dimension already, so FlattenBuffer only complicates the indices of vectors. StmtSimplify
    # would undo that, and simplify arithmetic that LLVM simplifies anyway. Together they take half of the time that
    # passes need for matrix products.
    "tirx.FlattenBuffer",
    "tirx.StmtSimplify",
]
# Emitters unroll loops where it pays. With LLVM's unrolling as well, the code was twice as long and no faster.
LLVM_OPTIONS = ["-unroll-runtime=false"]


POINTER = ir.PointerType(ir.PrimType("int64"))


def call(symbol, *arguments):
    T.evaluate(ir.Call(symbol, list(arguments), ret_ty=ir.TupleType([])))


def symbol_of(name):
    """Return a kernel's symbol in generated code. Without the prefix, a kernel `exp` would hide C's `exp`."""
    return ir.GlobalVar("kernel_" + name.replace(".", "_"))


def run_function(kernels):
    """Emit run(context), a loop over the tape with one switch over all `kernels`, for a target without shards.

    `kernels` are pairs of an opcode and a pair (symbol, kernel).
    """

    def body(context):
        running = Running(context)
        with T.serial(int64(0), running.context.tape_count) as number:
            code = running.tape[number].opcode
            dispatch(running, number, code, [(opcode, (*pair, ("base", "count"))) for opcode, pair in kernels], {})

    return function("run", ["context"], body)


class Running:
    """The integers of `layout.RUNNING` at an address, with the tape, table and other buffers that they point to."""

    def __init__(self, address):
        self.context = context = Context(Words(address))
        self.tape = tape_of(context)
        self.table = Words(context.table)
        self.memory = tir.pointer(context.origin, "float32")
        self.index = tir.pointer(context.index, "int64")


def tape_of(context: Context) -> Rows:
    return Rows(Instruction, Words(context.tape))


def refuse():
    """Emit a failing assertion: the compiled function ends with an error."""
    with T.Assert(tirx.const(False, "bool"), "no code for an instruction"):
        pass


def dispatch(running: Running, number, code, kernels, shares):
    """Emit a switch on `code`, which calls one of the kernels for instruction `number`.

    Args:
        kernels: pairs of a value of `code` and (symbol, kernel, names of its arguments besides memory, index and
            parameters).
        shares: the values of the arguments in `layout.SHARES`, by name: which part of the instruction this thread runs.
    """
    instruction = running.tape[number]
    parameters = instruction.parameters

    def launch(symbol, kernel, names):
        numbers = [running.table[parameters + k] for k in range(len(kernel.parameters))]
        told = [shares[name] if name in shares else getattr(instruction, name) for name in names]
        call(symbol, running.memory, running.index, *told, *numbers)

    def choose(first, *rest):
        wanted, known = first
        otherwise = functools.partial(choose, *rest) if rest else unknown
        tir.choose(code == int64(wanted), lambda: launch(*known), otherwise)

    def unknown():
        running.context.row = number
        refuse()

    choose(*kernels)


def shard_module(kernels: dict[int, tuple[str, Kernel]], lanes: int) -> ir.IRModule:
    """Emit the module of one shard: its kernels, and a function that runs instructions from the current one on.

    The kernel of the current instruction is in this shard. The function returns at the end of the tape, or at the first
    instruction whose kernel is in another shard. The code does not depend on the number of the shard.

    Args:
        kernels: place in the shard -> (name, kernel).
        lanes: how many floats a vector register of the CPU holds.
    """
    functions, numbered = {}, []
    for place, (name, kernel) in kernels.items():
        symbol, emitted = symbol_of(name), kernel.cpu(lanes)
        functions[symbol] = emitted
        names = [parameter.name for parameter in emitted.params]
        numbered.append((place, (symbol, kernel, names[2 : len(names) - len(kernel.parameters)])))

    def body(context):
        running = Running(context)
        number, end = Variable(running.context.row), running.context.tape_count
        shares = {name: getattr(running.context, name) for name in at.SHARES}
        shard = let(T.floordiv(running.tape[number.value].opcode, int64(SHARD)))
        with forever():
            stop_unless(number.value < end)
            place = let(running.tape[number.value].opcode - shard * int64(SHARD))
            stop_unless(all_of(place >= 0, place < SHARD))
            dispatch(running, number.value, place, numbered, shares)
            number.value += 1
        running.context.row = number.value

    functions[ir.GlobalVar(RUN_SHARD)] = function(RUN_SHARD, ["context"], body)
    return ir.IRModule(functions)


def planner_module() -> ir.IRModule:
    """Emit the module with the planners and the loop over the tape, which calls shards.

    A shard need not be loaded before an instruction needs it. For each phase, such as `forward`, there is a function
    `plan_forward` that only plans, and a function `forward` that also runs the tape unless a buffer was too small.
    """
    # Not imported at the top: the cache key of a shard covers the modules imported there, and needs no planner.
    from .plan import planners

    functions = {
        ir.GlobalVar("run"): function("run", ["context"], run),
        ir.GlobalVar("run_together"): function("run_together", ["context"], run_together),
        ir.GlobalVar("run_rows"): function("run_rows", ["running"], run_rows),
    }
    symbols = {}
    for direction, planner in planners().items():
        symbol = symbols[direction] = ir.GlobalVar(f"do_plan_{direction}")
        functions[symbol] = planner
        parameters = [p.name for p in planner.params]

        def plan_only(*arguments, symbol=symbol):
            call(symbol, *arguments)

        def plan_and_run(*arguments, symbol=symbol):
            call(symbol, *arguments)
            with if_ready(arguments[0]):
                run(arguments[0])

        functions[ir.GlobalVar(f"plan_{direction}")] = function(f"plan_{direction}", parameters, plan_only)
        functions[ir.GlobalVar(direction)] = function(direction, parameters, plan_and_run)
    functions[ir.GlobalVar("norm_and_update")] = norm_and_update(symbols)
    return ir.IRModule(functions)


def run_rows(running):
    """Emit the loop that hands instructions to the shards of their kernels until the end of the tape.

    `running` is the address of the integers of `layout.RUNNING`.
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


def if_ready(address):
    """Return a `with` block whose code runs only if planning has succeeded. `address` is the context's."""
    return when(Context(Words(address)).status == at.READY)


def norm_and_update(planners):
    """Emit norm_and_update: sum all squared gradients, and run the trainer's update if the sum is below a limit.

    `totals` is an address in floats. It holds two float64 numbers: the sum, which is written, and the limit. `planners`
    are the symbols of the planners by phase.
    """
    names = ("context", "norm", "opcode", "count", "states", "numbers", "numbers_at", "dense", "totals")

    def body(context, norm, opcode, count, states, numbers, numbers_at, dense, totals):
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
                with otherwise:
                    Context(Words(context)).status = at.NOT_BELOW

    return function("norm_and_update", names, body)


def run(address):
    """Emit code that runs the tape, on all threads if they have enough work to share, else on this one alone."""
    context = Context(Words(address))
    sharing = Sharing(Words(context.sharing))
    shares = all_of(sharing.threads > 1, context.shared_work >= sharing.least_pass)
    with branch(shares) as (together, alone):
        with together, failed(call_packed("run_together", address)):
            context.status = at.NO_CODE
        with alone:
            context.row = 0
            with failed(call_packed("run_rows", address)):
                context.status = at.NO_CODE


def run_together(address):
    """Emit code that runs the tape on all threads at once. They wait for each other after every stretch.

    A stretch is either one instruction that the threads share, or a run of unshared instructions, which the first
    thread runs while the others wait. Each thread finds the stretches on its own.
    """
    context = Context(Words(address))
    threads = Sharing(Words(context.sharing)).threads
    with pragma("parallel_launch_point"):
        tape, count, row = tape_of(context), context.tape_count, Variable(0)
        with forever():
            stop_unless(row.value < count)
            first = row.value
            way = tape[first].shared
            row.value = first + 1
            with when(way == at.ALONE), forever():
                stop_unless(row.value < count)
                stop_unless(tape[row.value].shared == at.ALONE)
                row.value += 1
            end = row.value
            with pragma("parallel_barrier_when_finish"), pragma("parallel_stride_pattern"):
                with T.parallel(int64(0), threads) as part:
                    with when(any_of(way != at.ALONE, part == 0)):
                        run_stretch(context, tape[first], first, end, part, threads)


def run_stretch(context: Context, instruction: Instruction, first, end, part, threads):
    """Emit code that runs a stretch on one thread, with the thread's own copy of the integers of `layout.RUNNING`.

    Args:
        context: the context that all threads share.
        instruction: the first instruction of the stretch. If threads share it, this thread runs its part.
        first, end: the stretch, as numbers of instructions.
        part, threads: the number of this thread, and how many there are.
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


def pragma(name):
    """Annotate the statements of a `with` block with a pragma for TVM's CPU code generator."""
    return T.attr(int64(0), f"pragma_{name}", tirx.const(1, "int32"))


def call_packed(name, running):
    """Emit a call of a function of this module by TVM's packed convention; return its status, not 0 if it failed.

    `running` is the address of the integers of `layout.RUNNING`. They include the slots for argument and result; the
    only argument is this address.
    """
    return _called(f"__tvm_ffi_{name}", T.reinterpret(POINTER, int64(0)), running)


def call_handle(handle, running):
    """Emit a call of a function by its handle, with the same argument and status as `call_packed`."""
    return _called("TVMFFIFunctionCall", handle, running)


def _called(symbol, first, running):
    argument, result = (
        T.reinterpret(POINTER, running + int64(8 * at.CONTEXT[slot])) for slot in ("address_type", "result_type")
    )
    return let(T.call_extern("int32", symbol, first, argument, tirx.const(1, "int32"), result), "result")


def failed(result):
    """Return a `with` block whose code runs only if a packed call has failed. `result` is the call's status."""
    return when(result != tirx.const(0, "int32"))


def compile_cpu(module: ir.IRModule, target):
    """Compile a module, a shard or the planner, for an LLVM target."""
    import tvm

    give_llvm_options()
    with tvm.transform.PassContext(opt_level=3, config=PASSES, disabled_pass=NEEDLESS_ON_CPU):
        return tvm.compile(module, target=target).mod


@functools.cache
def give_llvm_options():
    """Make LLVM read LLVM_OPTIONS as if from its command line, for everything that this process compiles.

    A target's `cl-opt` attribute is not enough: it sets the values without marking them as given, and LLVM ignores such
    options. In TVM 0.27 only the Hexagon code generator passes LLVM a command line. So we build an empty module for
    Hexagon: LLVM reads the options first, and then the build fails because there is no Hexagon linker.
    """
    import tvm

    build = tvm.get_global_func("target.build.hexagon", allow_missing=True)
    if build is not None:  # else this TVM has no Hexagon support: the options are not set, and compiling is slower
        with suppress(RuntimeError):
            target = {"kind": "hexagon", "mtriple": "hexagon", "mcpu": "hexagonv68", "llvm-options": LLVM_OPTIONS}
            build(ir.IRModule({}), tvm.target.Target(target))
