"""The tape machine: one compiled function that runs a list of instructions, for each kind of target.

On a CPU it consists of the planner and of shards, which are compiled apart. A shard is called by a name under which it
must have been registered with the runtime.
"""

from __future__ import annotations

from tvm import ir, tirx
from tvm.script.ir_builder import IRBuilder
from tvm.tirx.script import builder as T

from . import layout as at
from . import tir
from .kernels import SHARD, Kernel, registered_name, shard_name
from .layout import SLOT
from .tir import int64, let

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


def run_function(kernels):
    """run(context): a loop over the tape with a switch on the opcode, for a target that is one module."""

    def body(context):
        buffers = Buffers(context)
        with T.serial(int64(0), buffers.slots[SLOT["tape_count"]]) as number:
            dispatch(buffers, number, [(opcode, (*pair, False)) for opcode, pair in kernels])

    return function("run", ["context"], body)


class Buffers:
    """What running an instruction needs."""

    def __init__(self, context):
        self.slots = tir.buffer_at(context, "int64")
        self.tape = tir.buffer_at(self.slots[SLOT["tape"]], "int64")
        self.table = tir.buffer_at(self.slots[SLOT["table"]], "int64")
        self.memory = tir.pointer(self.slots[SLOT["origin"]], "float32")
        self.index = tir.pointer(self.slots[SLOT["index"]], "int64")


def dispatch(buffers, number, kernels):
    """Run row `number` of the tape by one of `kernels`: pairs of opcode and (symbol, kernel, whether it may set)."""
    row = let(number * int64(at.TAPE_ROW))
    opcode = let(buffers.tape[row])
    parameters = let(buffers.tape[row + int64(at.TAPE_PARAMETERS)])

    def launch(symbol, kernel, may_set):
        numbers = [buffers.table[parameters + int64(k)] for k in range(len(kernel.parameters))]
        known = [at.TAPE_BASE, at.TAPE_COUNT] + [at.TAPE_FRESH] * may_set
        told = [buffers.tape[row + int64(k)] for k in known]
        call(symbol, buffers.memory, buffers.index, *told, *numbers)

    def choose(first, *rest):
        code, known = first
        if rest:
            tir.choose(opcode == int64(code), lambda: launch(*known), lambda: choose(*rest))
        else:
            with tir.when(opcode == int64(code)):
                launch(*known)

    choose(*kernels)


def shard_module(shard: int, kernels: dict[int, tuple[str, Kernel]], lanes: int) -> ir.IRModule:
    """The kernels of one shard, and a function that runs rows of the tape for as long as they belong to it."""
    functions, numbered = {}, []
    for opcode, (name, kernel) in kernels.items():
        symbol, emitted = symbol_of(name), kernel.cpu(lanes)
        functions[symbol] = emitted
        numbered.append((opcode, (symbol, kernel, len(emitted.params) > 4 + len(kernel.parameters))))

    def body(context):
        buffers = Buffers(context)
        number = tir.Counter(buffers.slots[SLOT["row"]])
        end = let(buffers.slots[SLOT["tape_count"]])
        with T.While(belongs(buffers, number.get(), end, shard * SHARD, SHARD)):
            dispatch(buffers, let(number.get()), numbered)
            number.set(number.get() + int64(1))
        T.buffer_store(buffers.slots, number.get(), [int64(SLOT["row"])])

    name = shard_name(shard)
    functions[ir.GlobalVar(name)] = function(name, ["context"], body)
    return ir.IRModule(functions)


def belongs(buffers, number, end, first, count):
    """Whether row `number` is there and its opcode is in first..first + count."""
    place = buffers.tape[number * int64(at.TAPE_ROW)] - int64(first)
    inside = T.And(place >= int64(0), place < int64(count))
    return T.if_then_else(number < end, inside, tirx.const(False, "bool"))


def plans() -> dict:
    """The planners by what they plan. Importing them takes seconds, which shards need not wait for."""
    from . import backward_planner, forward_planner, update_planner

    return {
        "forward": forward_planner.plan_forward,
        "backward": backward_planner.plan_backward,
        "gradient_norm": update_planner.plan_gradient_norm,
        "update": update_planner.plan_update,
    }


def planner_module(shards: int) -> ir.IRModule:
    """The planners and `run` for so many shards, which need not be there before they are called.

    `forward` and the others plan and, where there is room, run in one call.
    """

    def run_shards(context):
        buffers = Buffers(context)
        slots = buffers.slots
        T.buffer_store(slots, int64(0), [int64(SLOT["row"])])
        with T.While(slots[SLOT["row"]] < slots[SLOT["tape_count"]]):
            opcode = buffers.tape[slots[SLOT["row"]] * int64(at.TAPE_ROW)]
            shard = let(T.floordiv(opcode, int64(SHARD)))
            for number in range(shards):
                with tir.when(shard == int64(number)):
                    T.evaluate(T.call_packed(registered_name(number), context))

    functions = {ir.GlobalVar("run"): function("run", ["context"], run_shards)}
    for direction, plan_function in plans().items():
        plan = ir.GlobalVar(f"do_plan_{direction}")
        functions[plan] = tir.scalars_on_stack(plan_function)
        parameters = [p.name for p in plan_function.params]

        def plan_only(*arguments, plan=plan):
            call(plan, *arguments)

        def plan_and_run(*arguments, plan=plan):
            call(plan, *arguments)
            slots = tir.buffer_at(arguments[0], "int64")
            with tir.when(slots[SLOT["status"]] == int64(at.READY)):
                call_run(arguments[0])

        functions[ir.GlobalVar(f"plan_{direction}")] = function(f"plan_{direction}", parameters, plan_only)
        functions[ir.GlobalVar(direction)] = function(direction, parameters, plan_and_run)
    return ir.IRModule(functions)


def call_run(context):
    """Call `run` as a packed function, since it may fail; its one argument stands ready in the context."""
    handle = ir.PointerType(ir.PrimType("int64"))
    self_type, result_type = (
        T.reinterpret(handle, context + int64(8 * SLOT[slot])) for slot in ("self_type", "result_type")
    )
    nothing = T.reinterpret(handle, int64(0))
    T.evaluate(T.call_extern("int32", "__tvm_ffi_run", nothing, self_type, tirx.const(1, "int32"), result_type))


def compile_cpu(module: ir.IRModule, target):
    """Compile a shard or the planner for an LLVM target."""
    import tvm

    with tvm.transform.PassContext(opt_level=3, config=PASSES, disabled_pass=NEEDLESS_ON_CPU):
        return tvm.compile(module, target=target).mod
