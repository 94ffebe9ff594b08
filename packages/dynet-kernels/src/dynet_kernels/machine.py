"""The tape machine: emits the compiled functions that plan graphs and run their instructions.

The planner writes a *tape*, a list of instructions. Each names a kernel by its number, the *opcode*. The machine loops
over the tape and switches on the opcode. On a CPU it consists of several modules that are compiled separately. One has
the planner and the loop. Each of the others is a *shard*: a few kernels, and a function that switches between them. The
loop calls the function of a shard by its handle, which `library` writes into a list when it loads the shard.

The functions here emit TIR, TVM's intermediate code; their arguments are mostly TIR expressions. A *context* is a
structure with the addresses and numbers that planner and machine share. It begins with the integers that are named in
`layout.RUNNING`. These are all that running a tape needs, so each thread can have its own copy of them.
"""

from __future__ import annotations

import functools
from contextlib import suppress
from typing import Any

from . import layout as at
from . import tir
from .kernels import RUN_SHARD, SHARD, Kernel
from .plan.flow import Variable, all_of, any_of, branch, forever, pick, stop_unless, when
from .plan.structs import Context, Instruction, Rows, Sharing, Words
from .tir import function, int64, let
from .tvm_modules import T, ir, tirx, tvm

PASSES = {"tirx.disable_storage_rewrite": True, "tirx.disable_cse_tir": True}
# Passes of TVM's compiler that we disable. They change nothing in kernels made of plain loops, but take two thirds of
# the time to compile them.
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
    # FlattenBuffer makes buffers one-dimensional. Ours are already, so it only complicates the indices of vectors.
    # StmtSimplify would undo that, and simplify arithmetic that LLVM simplifies anyway. In matrix products, these two
    # take half of the time of all passes.
    "tirx.FlattenBuffer",
    "tirx.StmtSimplify",
]
# Our kernels are emitted with loops unrolled where it pays. If LLVM unrolled loops as well, the code would be twice as
# long and no faster.
LLVM_OPTIONS = ["-unroll-runtime=false"]


POINTER = ir.PointerType(ir.PrimType("int64"))


def call(symbol, *arguments):
    T.evaluate(ir.Call(symbol, list(arguments), ret_ty=ir.TupleType([])))


def symbol_of(name):
    """Return the symbol of the function for kernel `name`. Its prefix keeps a kernel `exp` from hiding C's `exp`."""
    return ir.GlobalVar("kernel_" + name.replace(".", "_"))


def run_function(kernels):
    """Emit run(context), a loop over the tape with one switch over `kernels`.

    This function is never called. It is compiled together with CUDA kernels, because TVM leaves out kernels that no
    function calls. `kernels` are pairs of a number and a pair (symbol, kernel).
    """

    def body(context):
        running = Running(context)
        with T.serial(int64(0), running.context.tape_count) as number:
            code = running.tape[number].opcode
            dispatch(running, number, code, [(opcode, (*pair, ("base", "count"))) for opcode, pair in kernels], {})

    return function("run", ["context"], body)


class Running:
    """The integers of `layout.RUNNING` at `address`, and the buffers whose addresses are among them.

    `context` has the integers, `tape` the instructions, `table` their parameters, `index` the address lists, and
    `memory` all floats.
    """

    def __init__(self, address):
        self.context = context = Context(Words(address))
        self.tape = tape_of(context)
        self.table = Words(context.table)
        self.memory = tir.pointer(context.origin, "float32")
        self.index = tir.pointer(context.index, "int64")


def tape_of(context: Context) -> Rows:
    return Rows(Instruction, Words(context.tape))


def refuse():
    """Emit an assertion that always fails, so that the compiled function ends with an error."""
    with T.Assert(tirx.const(False, "bool"), "no code for an instruction"):
        pass


def dispatch(running: Running, number, code, kernels, shares):
    """Emit a switch on `code`, which calls one of `kernels` for an instruction.

    Args:
        running: has the buffers. Its integer `row` is set to `number` if there is no kernel for `code`.
        number: the number of the instruction on the tape.
        code: tells which kernel to call: its opcode, or its place in the shard.
        kernels: pairs of a value of `code` and (symbol, kernel, names). Each kernel takes memory and index, then the
            arguments with these names, then its parameters.
        shares: values for the names in `layout.SHARES`, which say what part of the instruction this thread runs. All
            other names are integers of the instruction.
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


def shard_module(kernels: dict[int, tuple[str, Kernel]], lanes: int) -> Any:
    """Emit the module of one shard: its kernels, and a function that runs instructions.

    The function begins with the instruction whose number is in `row` of the context; its kernel is in this shard. It
    returns at the end of the tape, or at the first instruction whose kernel is in another shard. The code does not
    depend on the number of the shard.

    Args:
        kernels: a dict from the place of a kernel in the shard to its (name, kernel).
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


def planner_module() -> Any:
    """Emit the module with the planners and the loop over the tape, which calls shards.

    For each pass, such as `forward`, there is a function `plan_forward` that only plans, and a function `forward` that
    plans and then runs the tape, unless a buffer was too small for the plan.
    """
    # Not imported at the top, because the cache key of a shard covers all modules imported there, and shards do not
    # depend on the planners.
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


def if_ready(address):
    """Return a context manager: its `with` block runs only if planning has succeeded for the context at `address`."""
    return when(Context(Words(address)).status == at.READY)


def norm_and_update(planners):
    """Emit norm_and_update, which sums all squared gradients and runs the trainer's update if the sum is below a limit.

    Its argument `totals` is the address, which counts float32s, of two float64 numbers: the sum, which it writes, and
    the limit. `norm` is the opcode of the kernel for `plan_gradient_norm`, and `opcode` that of the kernel for
    `plan_update`. The other arguments are as for these two functions.

    Args:
        planners: the symbols of the functions that plan a pass, by the name of the pass.
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
    """Emit code that runs the tape of the context at `address`, on all threads if there is enough work to share."""
    context = Context(Words(address))
    sharing = Sharing(Words(context.sharing))
    shares = all_of(sharing.threads > 1, context.shared_work >= sharing.least_pass)
    with branch(shares) as (together, alone):
        with together:
            sharing.used = 1
            with failed(call_packed("run_together", address)):
                context.status = at.NO_CODE
        with alone:
            context.row = 0
            with failed(call_packed("run_rows", address)):
                context.status = at.NO_CODE


def run_together(address):
    """Emit code that runs the tape on all threads at once. They wait for each other after every *stretch*.

    A stretch is either one instruction that the threads share, or a series of adjacent instructions that they do not
    share. The first thread runs such a series while the others wait. Each thread finds out by itself where stretches
    begin and end. `address` is the address of the context.
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
    """Emit code that runs a stretch (see `run_together`) on one thread, with its own copy of the RUNNING integers.

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


def pragma(name):
    """Return a context manager: TVM's CPU code generator applies the pragma `name` to the code of its `with` block."""
    return T.attr(int64(0), f"pragma_{name}", tirx.const(1, "int32"))


def call_packed(name, running):
    """Emit a call of the function `name` in the same TVM module. Return its status: 0 on success.

    The only argument of the function is `running`, the address of the integers of `layout.RUNNING`. These include the
    memory in which TVM's calling convention passes the argument and the result.
    """
    return _called(f"__tvm_ffi_{name}", T.reinterpret(POINTER, int64(0)), running)


def call_handle(handle, running):
    """Emit a call of the function with this TVM handle. Argument and status are as for `call_packed`."""
    return _called("TVMFFIFunctionCall", handle, running)


def _called(symbol, first, running):
    argument, result = (
        T.reinterpret(POINTER, running + int64(8 * at.CONTEXT[slot])) for slot in ("address_type", "result_type")
    )
    return let(T.call_extern("int32", symbol, first, argument, tirx.const(1, "int32"), result), "result")


def failed(result):
    """Return a context manager: its `with` block runs only if a call has failed: if its status, `result`, is not 0."""
    return when(result != tirx.const(0, "int32"))


def compile_cpu(module: Any, target):
    """Compile a module of TIR, such as a shard or the planner, for the CPU that `target`, a TVM target, describes."""

    give_llvm_options()
    with tvm.transform.PassContext(opt_level=3, config=PASSES, disabled_pass=NEEDLESS_ON_CPU):
        return tvm.compile(module, target=target).mod


@functools.cache
def give_llvm_options():
    """Make LLVM read LLVM_OPTIONS as if from its command line, for everything that this process compiles from now on.

    The attribute `cl-opt` of a TVM target does not work: it sets the values, but does not mark the options as given,
    so LLVM ignores them. In TVM 0.27 only the Hexagon code generator passes LLVM a command line. So we build an empty
    module for Hexagon: LLVM reads the options first, and then the build fails because there is no Hexagon linker.
    """

    build = tvm.get_global_func("target.build.hexagon", allow_missing=True)
    if build is not None:  # otherwise TVM cannot build for Hexagon: LLVM uses its defaults, and compiling takes longer
        with suppress(RuntimeError):
            target = {"kind": "hexagon", "mtriple": "hexagon", "mcpu": "hexagonv68", "llvm-options": LLVM_OPTIONS}
            build(ir.IRModule({}), tvm.target.Target(target))
