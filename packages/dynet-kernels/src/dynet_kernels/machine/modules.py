"""Emits the modules of the tape machine, and the calls of compiled functions between them.

One module has the planner and the loop over the tape (`planner.py`). Each other module is a *shard*: some kernels, and
a function that switches between them. The loop calls this function by a handle from `library`. A context begins with
`layout.RUNNING`, the integers for running a tape. Threads that share a tape have their own copies of these.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from .. import layout, tir
from ..kernels import RUN_SHARD, SHARD_SIZE, Kernel, function_name
from ..plain import Rows, Words, is_emitting, plain
from ..plain.lowering import bind, branch, break_if, forever, store_division
from ..plan.nodes import Context, Instruction
from ..tir import int64, let
from ..tvm_modules import T, ir, tirx, tvm

PASS_CONFIG = {"tirx.disable_storage_rewrite": True, "tirx.disable_cse_tir": True}
# Passes of TVM that are left out: they do not change kernels of plain loops, but take 2/3 of the time to compile them.
NEEDLESS = [
    "s_tir.HoistIfThenElse", "s_tir.StmtSimplify", "s_tir.CompactBufferAllocation", "s_tir.RenormalizeSplitPattern",
    "s_tir.InsertHoistIfThenElse", "s_tir.InjectVirtualThread", "s_tir.InjectPermutedLayout", "tirx.RemoveNoOp",
]  # fmt: skip
NEEDLESS_ON_CPU = [
    *NEEDLESS,
    # Our buffers are one-dimensional, so FlattenBuffer only complicates indices of vectors, which StmtSimplify would
    # undo. LLVM simplifies arithmetic anyway. In matrix products, these two take half of the time of all passes.
    "tirx.FlattenBuffer", "tirx.StmtSimplify",
    # These passes are for GPU threads, or for the memory of accelerators.
    "s_tir.InferFragment", "s_tir.InjectDoubleBuffer", "s_tir.InjectSoftwarePipeline", "s_tir.LiftThreadBinding",
    "s_tir.LowerAutoCopy", "s_tir.LowerCrossThreadReduction", "s_tir.LowerThreadAllreduce", "s_tir.LowerVtcmAlloc",
    "s_tir.ManifestSharedMemoryLocalStage", "s_tir.MergeSharedMemoryAllocations", "s_tir.ThreadSync",
    "s_tir.TransformMmaBufferLayout", "s_tir.UnifyThreadBinding",
]  # fmt: skip
# Loops are already unrolled where this helps. If LLVM unrolled more, code would be twice as long and no faster.
LLVM_OPTIONS = ["-unroll-runtime=false"]


class Function:
    """A function that compiled code calls instead of inlining it. A Python caller calls `python_function`."""

    def __init__(self, name: str, python_function: Any = None):
        self.name, self.python_function = name, python_function

    def __call__(self, *arguments) -> None:
        if not is_emitting():
            return self.python_function(*arguments)
        emitted = [argument.buffer.data if isinstance(argument, Words) else int64(argument) for argument in arguments]
        T.evaluate(ir.Call(global_var(self.name), emitted, ret_ty=ir.TupleType([])))


def not_inlined(function: Callable[..., None]) -> Function:
    return Function(function.__name__, plain(function))


@functools.cache
def global_var(name: str):
    return ir.GlobalVar(name)


def module_of(functions: dict) -> Any:
    return ir.IRModule({global_var(name): function for name, function in functions.items()})


FUNCTIONS_BY_HANDLE: dict[int, Callable[[int], None]] = {}
"""TVM handle -> function. Tests fill this dict for `call_fails`, which cannot use handles when it runs as Python."""


def call_fails(callee, address):
    """Call a `Function`, or a function of another module by its TVM handle. Return whether it has failed.

    The only argument of the call is `address`, where the integers of `layout.RUNNING` are. These include memory for the
    argument and the result in TVM's calling convention.
    """
    is_handle = not isinstance(callee, Function)
    if not is_emitting():
        try:
            (FUNCTIONS_BY_HANDLE[callee] if is_handle else callee)(address)
        except RuntimeError:
            return True
        return False
    pointer = ir.PointerType(ir.PrimType("int64"))
    name = "TVMFFIFunctionCall" if is_handle else f"__tvm_ffi_{callee.name}"
    handle = callee if is_handle else T.reinterpret(pointer, int64(0))  # a function called by name has no handle
    slots = layout.CONTEXT.address_type, layout.CONTEXT.result_type
    argument, result = (T.reinterpret(pointer, address + 8 * slot) for slot in slots)
    return let(T.call_extern("int32", name, handle, argument, T.int32(1), result), "result") != 0


def raise_no_code() -> None:
    message = "no code for an instruction"
    if not is_emitting():
        raise RuntimeError(message)
    with T.Assert(tirx.const(False, "bool"), message):
        pass


class Running:
    """The integers of `layout.RUNNING` at `address`, and the buffers whose addresses are among them."""

    def __init__(self, address):
        self.context = context = Context(address)
        self.tape = tape_of(context)
        self.table = Words(context.table)
        self.memory = Words(context.origin, "float32")
        self.index = Words(context.index)

    def run_until_other_shard(self, run: Callable, fails: Callable = lambda: False) -> None:
        """Run instructions, from number `row` on, until one has a kernel in another shard. Set `row` to its number.

        For each, call run(row, instruction, slot of its kernel in the shard), and stop there if then fails() is true.
        Neither this nor `switch` is `@plain`, which needs source files: programs in archives emit shards without any.
        """
        context, end = self.context, self.context.tape_count
        shard = store_division(self.tape[context.row].opcode // SHARD_SIZE)
        for _ in forever():
            row = context.row
            if break_if(row >= end):
                break
            instruction = self.tape[row]
            slot = bind(instruction.opcode - shard * SHARD_SIZE)
            if break_if(slot < 0) or break_if(slot >= SHARD_SIZE):
                break
            run(row, instruction, slot)
            if break_if(fails()):
                break
            context.row = row + 1


def switch(selector, choices: list, otherwise: Callable) -> None:
    """Call the function that `choices`, a list of (integer, function), has for `selector`, or else `otherwise`."""
    if not choices:
        otherwise()
        return
    (value, chosen), *rest = choices
    for is_equal in branch(selector == value):
        if is_equal:
            chosen()
        else:
            switch(selector, rest, otherwise)


def tape_of(context: Context) -> Rows:
    return Rows(Instruction, Words(context.tape))


def kernel_function(name: str) -> Function:
    return Function(function_name(name))


def shard_module(kernels: dict[int, tuple[str, Kernel]], lanes: int) -> Any:
    """Emit a shard's module: its kernels, given by slot, and its `run_shard`. Vector registers hold `lanes` floats."""
    functions, runnable = {}, []
    for slot, (name, kernel) in kernels.items():
        function, emitted = kernel_function(name), kernel.cpu_code(lanes)
        functions[function.name] = emitted
        names = [parameter.name for parameter in emitted.params]  # in order: memory, index, others, kernel's parameters
        runnable.append((slot, function, kernel.parameters, names[2 : len(names) - len(kernel.parameters)]))
    return module_of({**functions, RUN_SHARD: tir.function_of(RUN_SHARD, shard_runner(runnable))})


def shard_runner(kernels: list[tuple]) -> Callable[..., None]:
    """Return the function of a shard, which runs instructions.

    The function starts at instruction `row` of the context, whose kernel must be in this shard. It returns at the end
    of the tape, or at the first instruction whose kernel is in another shard. It does not use the shard's number.

    Args:
        kernels: tuples of a kernel's slot in the shard, its function, its parameters, and names of arguments. A
            kernel takes memory and index, the arguments with these names, and the parameters. Arguments named in
            `layout.SHARES` come from the context; all others are integers of the instruction.
    """

    def run_shard(context):
        running = Running(context)
        shares = {name: getattr(running.context, name) for name in layout.SHARES}
        running.run_until_other_shard(functools.partial(run_instruction, running, shares))

    def run_instruction(running: Running, shares, row, instruction, slot):
        parameters_start = instruction.parameters

        def launch(function, parameters, argument_names):
            integers = [running.table[parameters_start + k] for k in range(len(parameters))]
            named = [shares[name] if name in shares else getattr(instruction, name) for name in argument_names]
            function(running.memory, running.index, *named, *integers)

        def fail():
            running.context.row = row
            raise_no_code()

        switch(slot, [(value, functools.partial(launch, *rest)) for value, *rest in kernels], fail)

    return run_shard


def compile_cpu(module: Any, target):
    """Compile a module of TIR for the CPU described by a TVM target."""
    give_llvm_options()
    with tvm.transform.PassContext(opt_level=3, config=PASS_CONFIG, disabled_pass=NEEDLESS_ON_CPU):
        return tvm.compile(module, target=target).mod


@functools.cache
def give_llvm_options():
    """Make LLVM read LLVM_OPTIONS as if from its command line, for everything that this process compiles later.

    The attribute `cl-opt` of a TVM target sets the values, but does not mark the options as given, so LLVM ignores
    them. In TVM 0.27, only the code generator for Hexagon passes LLVM a command line. So build an empty module for
    Hexagon: LLVM reads the options, and then the build fails because there is no Hexagon linker.
    """
    build = tvm.get_global_func("target.build.hexagon", allow_missing=True)
    if build is not None:  # otherwise, TVM cannot build for Hexagon; LLVM then uses its defaults and compiles slower
        with suppress(RuntimeError):
            target = {"kind": "hexagon", "mtriple": "hexagon", "mcpu": "hexagonv68", "llvm-options": LLVM_OPTIONS}
            build(ir.IRModule({}), tvm.target.Target(target))
