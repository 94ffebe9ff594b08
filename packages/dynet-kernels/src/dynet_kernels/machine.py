"""The tape machine: emits the compiled functions that plan graphs and run their instructions.

The planner writes a *tape*, a list of instructions. Each names a kernel by its number, the *opcode*. The machine loops
over the tape and switches on the opcode. On a CPU it consists of several modules that are compiled separately. One has
the planner and the loop (`passes.py`). Each of the others is a *shard*: a few kernels, and a function that switches
between them. The loop calls the function of a shard by its handle, which `library` writes into a list when it loads the
shard.

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
from .plain import Rows, Words
from .plan.flow import Variable, all_of, forever, stop_unless, when
from .plan.structs import Context, Instruction
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
