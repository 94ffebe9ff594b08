"""The tape machine: one compiled function that runs a list of instructions, for each kind of target."""

from __future__ import annotations

from tvm import ir
from tvm.script.ir_builder import IRBuilder
from tvm.tirx.script import builder as T

from . import layout as at
from . import planner, tir, update_planner
from .kernels import Kernels
from .layout import SLOT
from .tir import int64, let

PLANS = {
    "forward": planner.plan_forward,
    "backward": planner.plan_backward,
    "gradient_norm": update_planner.plan_gradient_norm,
    "update": update_planner.plan_update,
}
PASSES = {"tirx.disable_storage_rewrite": True, "tirx.disable_cse_tir": True}
# Passes that find nothing to do in kernels of plain loops, and take two thirds of the time to compile them.
NEEDLESS_ON_CPU = [
    "s_tir.HoistIfThenElse",
    "s_tir.StmtSimplify",
    "s_tir.CompactBufferAllocation",
    "s_tir.RenormalizeSplitPattern",
    "s_tir.InsertHoistIfThenElse",
    "s_tir.InjectVirtualThread",
    "s_tir.InjectPermutedLayout",
    "tirx.RemoveNoOp",
]


def function(name, parameters, body, private=False):
    """A PrimFunc of int64 parameters, from an emitter of its body."""
    with IRBuilder() as builder:
        with T.prim_func(s_tir=True, is_private=private):
            T.func_name(name)
            body(*[T.arg(parameter, T.int64()) for parameter in parameters])
    return builder.get()


def call(symbol, *arguments):
    T.evaluate(ir.Call(symbol, list(arguments), ret_ty=ir.TupleType([])))


def symbol_of(name):
    """A kernel's name in generated code, where a bare `exp` would hide the function."""
    return ir.GlobalVar("kernel_" + name.replace(".", "_"))


def run_function(kernels, private=False):
    """run(context): a loop over the tape with a switch on the opcode; LLVM inlines small kernels into it."""

    def body(context):
        slots = tir.buffer_at(context, "int64")
        tape = tir.buffer_at(slots[SLOT["tape"]], "int64")
        table = tir.buffer_at(slots[SLOT["table"]], "int64")
        memory = tir.pointer(slots[SLOT["origin"]], "float32")
        index = tir.pointer(slots[SLOT["index"]], "int64")
        with T.serial(int64(0), slots[SLOT["tape_count"]]) as number:
            row = let(number * int64(at.TAPE_ROW))
            opcode = let(tape[row])
            parameters = let(tape[row + int64(at.TAPE_PARAMETERS)])

            def launch(symbol, kernel):
                numbers = [table[parameters + int64(k)] for k in range(len(kernel.parameters))]
                call(symbol, memory, index, tape[row + int64(1)], tape[row + int64(2)], *numbers)

            def dispatch(code, pair, *rest):
                if rest:
                    tir.choose(opcode == int64(code), lambda: launch(*pair), lambda: dispatch(code + 1, *rest))
                else:
                    with tir.when(opcode == int64(code)):
                        launch(*pair)

            dispatch(0, *kernels)

    return function("run", ["context"], body, private)


def cpu_module(kernels: Kernels, lanes: int) -> ir.IRModule:
    """The planners and `run`; `forward` and the others plan and, where there is room, run in one call."""
    pairs = [(symbol_of(name), kernel) for name, kernel in kernels.items()]
    functions = {symbol: kernel.cpu(lanes) for symbol, kernel in pairs}
    run = ir.GlobalVar("do_run")
    functions[run] = run_function(pairs, private=True)
    functions[ir.GlobalVar("run")] = function("run", ["context"], lambda context: call(run, context))
    for direction, plan_function in PLANS.items():
        plan = ir.GlobalVar(f"do_plan_{direction}")
        functions[plan] = tir.scalars_on_stack(plan_function)
        parameters = [p.name for p in plan_function.params]

        def plan_only(*arguments, plan=plan):
            call(plan, *arguments)

        def plan_and_run(*arguments, plan=plan):
            call(plan, *arguments)
            slots = tir.buffer_at(arguments[0], "int64")
            with tir.when(slots[SLOT["status"]] == int64(at.READY)):
                call(run, arguments[0])

        functions[ir.GlobalVar(f"plan_{direction}")] = function(f"plan_{direction}", parameters, plan_only)
        functions[ir.GlobalVar(direction)] = function(direction, parameters, plan_and_run)
    return ir.IRModule(functions)


def compile_cpu(kernels: Kernels, lanes: int, target):
    """Compile everything for an LLVM target."""
    import tvm

    with tvm.transform.PassContext(opt_level=3, config=PASSES, disabled_pass=NEEDLESS_ON_CPU):
        return tvm.compile(cpu_module(kernels, lanes), target=target).mod


def compile_cuda(kernels: Kernels, arch: str = "sm_90"):
    """Compile `run` for the host and every kernel for the device; its launches come from the tape."""
    import tvm

    device, host = tvm.target.Target({"kind": "cuda", "arch": arch}), tvm.target.Target({"kind": "llvm"})
    pairs = [(symbol_of(name), kernel) for name, kernel in kernels.items()]
    functions = {symbol: kernel.cuda().with_attr("target", device) for symbol, kernel in pairs}
    functions[ir.GlobalVar("run")] = run_function(pairs).with_attr("target", host)
    target = tvm.target.Target({"kind": "cuda", "arch": arch}, host={"kind": "llvm"})
    with target, tvm.transform.PassContext(opt_level=3, config=PASSES):
        return tvm.compile(ir.IRModule(functions), target=target).mod
