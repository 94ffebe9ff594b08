"""The tape machine: one compiled function that runs a list of instructions, for each kind of target.

On a CPU it consists of the planner and of shards, which are compiled apart. A shard's function is called by its handle,
which `library` puts into a table when it has loaded the shard.
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
# Passes that find nothing to do in kernels of plain loops, and take two thirds of the time to compile them.
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
    # All buffers have one dimension. The second undoes what the first makes of vectors' places, and simplifies numbers
    # that LLVM simplifies, too: together half of the time that passes take for products.
    "tirx.FlattenBuffer",
    "tirx.StmtSimplify",
]
# Loops are unrolled by hand where it pays. LLVM's own unrolling made twice as much code, which was no faster.
LLVM_OPTIONS = ["-unroll-runtime=false"]


POINTER = ir.PointerType(ir.PrimType("int64"))


def call(symbol, *arguments):
    T.evaluate(ir.Call(symbol, list(arguments), ret_ty=ir.TupleType([])))


def symbol_of(name):
    """A kernel's name in generated code, where a bare `exp` would hide the function."""
    return ir.GlobalVar("kernel_" + name.replace(".", "_"))


def run_function(kernels):
    """run(context): a loop over the tape with a switch on the opcode, for a target that is one module."""

    def body(context):
        running = Running(context)
        with T.serial(int64(0), running.context.tape_count) as number:
            code = running.tape[number].opcode
            dispatch(running, number, code, [(opcode, (*pair, ("base", "count"))) for opcode, pair in kernels], {})

    return function("run", ["context"], body)


class Running:
    """What running an instruction needs: the integers of `layout.RUNNING`, and what their addresses lead to."""

    def __init__(self, address):
        self.context = context = Context(Words(address))
        self.tape = tape_of(context)
        self.table = Words(context.table)
        self.memory = tir.pointer(context.origin, "float32")
        self.index = tir.pointer(context.index, "int64")


def tape_of(context: Context) -> Rows:
    return Rows(Instruction, Words(context.tape))


def refuse():
    """End the function with an error."""
    with T.Assert(tirx.const(False, "bool"), "no code for an instruction"):
        pass


def dispatch(running: Running, number, code, kernels, shares):
    """Run instruction `number` by one of `kernels`: pairs of a code and (symbol, kernel, names of its arguments).

    `shares` are the arguments that say what of a shared instruction is to be run.
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
    """The kernels of one shard, and a function that runs rows of the tape for as long as they belong to it.

    The first row does. The code does not depend on the shard's number, so it stays the same if that changes.
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
    """The planners, and `run`, which calls shards.

    `forward` and the others plan and, where there is room, run in one call.
    """
    from .plan import planners  # not above: shards do not depend on it

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
    """Run instructions by the shards that they belong to, until there is none left."""
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
    """What to do if planning has not failed."""
    return when(Context(Words(address)).status == at.READY)


def norm_and_update(planners):
    """An update in one call: it is done if the sum of all squared gradients is below a limit.

    At `totals`, an address in floats, is the float64 number for the sum, and next to it the limit.
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
    """Run the tape: on this thread alone, unless there are others and so much that they can share."""
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
    """Run the tape on all threads. They go through it side by side, and wait for each other after every stretch.

    A stretch is an instruction that they share, or all up to the next such one, which the first thread runs alone.
    Each thread finds the stretches for itself.
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
    """Run instructions first..end, or this part of the first, with a context of this thread's own."""
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
    """What TVM's generator of CPU code makes of the statement within."""
    return T.attr(int64(0), f"pragma_{name}", tirx.const(1, "int32"))


def call_packed(name, running):
    """Call a function of this module that may fail. Its one argument is an address, where `running` slots are.

    Return what the function returns: not 0 if it has failed.
    """
    return _called(f"__tvm_ffi_{name}", T.reinterpret(POINTER, int64(0)), running)


def call_handle(handle, running):
    """Call a function by its handle, as `call_packed` does one by its name."""
    return _called("TVMFFIFunctionCall", handle, running)


def _called(symbol, first, running):
    argument, result = (
        T.reinterpret(POINTER, running + int64(8 * at.CONTEXT[slot])) for slot in ("address_type", "result_type")
    )
    return let(T.call_extern("int32", symbol, first, argument, tirx.const(1, "int32"), result), "result")


def failed(result):
    """What to do if a packed function has failed."""
    return when(result != tirx.const(0, "int32"))


def compile_cpu(module: ir.IRModule, target):
    """Compile a shard or the planner for an LLVM target."""
    import tvm

    give_llvm_options()
    with tvm.transform.PassContext(opt_level=3, config=PASSES, disabled_pass=NEEDLESS_ON_CPU):
        return tvm.compile(module, target=target).mod


@functools.cache
def give_llvm_options():
    """Have LLVM read LLVM_OPTIONS as from a command line, for all that this process compiles.

    LLVM heeds these only if they were given. A target's `cl-opt` sets values without that; in TVM 0.27 only the code
    generator for Hexagon hands LLVM a command line, before its first module, which fails for want of a linker.
    """
    import tvm

    build = tvm.get_global_func("target.build.hexagon", allow_missing=True)
    if build is not None:  # without, kernels are compiled more slowly
        with suppress(RuntimeError):
            target = {"kind": "hexagon", "mtriple": "hexagon", "mcpu": "hexagonv68", "llvm-options": LLVM_OPTIONS}
            build(ir.IRModule({}), tvm.target.Target(target))
