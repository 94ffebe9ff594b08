"""The tape machine: one compiled function that runs a list of instructions, for each kind of target.

On a CPU it consists of the planner and of shards, which are compiled apart. A shard is called by a name under which it
must have been registered with the runtime.
"""

from __future__ import annotations

import functools
from contextlib import suppress

from tvm import ir, tirx
from tvm.tirx.script import builder as T

from . import layout as at
from . import tir
from .kernels import SHARD, Kernel, registered_name, shard_name
from .layout import SLOT
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
            dispatch(buffers, number, [(opcode, (*pair, ("base", "count"))) for opcode, pair in kernels], {})

    return function("run", ["context"], body)


class Buffers:
    """What running an instruction needs."""

    def __init__(self, context):
        self.slots = tir.buffer_at(context, "int64")
        self.tape = tir.buffer_at(self.slots[SLOT["tape"]], "int64")
        self.table = tir.buffer_at(self.slots[SLOT["table"]], "int64")
        self.memory = tir.pointer(self.slots[SLOT["origin"]], "float32")
        self.index = tir.pointer(self.slots[SLOT["index"]], "int64")


KNOWN = {"base": at.TAPE_BASE, "count": at.TAPE_COUNT, "fresh": at.TAPE_FRESH}


def refuse():
    """End the function with an error."""
    with T.Assert(tirx.const(False, "bool"), "no code for an instruction"):
        pass


def dispatch(buffers, number, kernels, shares):
    """Run row `number` of the tape by one of `kernels`: pairs of opcode and (symbol, kernel, names of its arguments).

    `shares` are the arguments that say what of a shared instruction is to be run.
    """
    row = let(number * int64(at.TAPE_ROW))
    opcode = let(buffers.tape[row])
    parameters = let(buffers.tape[row + int64(at.TAPE_PARAMETERS)])

    def launch(symbol, kernel, names):
        numbers = [buffers.table[parameters + int64(k)] for k in range(len(kernel.parameters))]
        told = [shares[name] if name in shares else buffers.tape[row + int64(KNOWN[name])] for name in names]
        call(symbol, buffers.memory, buffers.index, *told, *numbers)

    def choose(first, *rest):
        code, known = first
        otherwise = functools.partial(choose, *rest) if rest else unknown
        tir.choose(opcode == int64(code), lambda: launch(*known), otherwise)

    def unknown():
        T.buffer_store(buffers.slots, number, [int64(SLOT["row"])])
        refuse()

    choose(*kernels)


def shard_module(shard: int, kernels: dict[int, tuple[str, Kernel]], lanes: int) -> ir.IRModule:
    """The kernels of one shard, and a function that runs rows of the tape for as long as they belong to it."""
    functions, numbered = {}, []
    for opcode, (name, kernel) in kernels.items():
        symbol, emitted = symbol_of(name), kernel.cpu(lanes)
        functions[symbol] = emitted
        names = [parameter.name for parameter in emitted.params]
        numbered.append((opcode, (symbol, kernel, names[2 : len(names) - len(kernel.parameters)])))

    def body(context):
        buffers = Buffers(context)
        number = tir.Counter(buffers.slots[SLOT["row"]])
        end = let(buffers.slots[SLOT["tape_count"]])
        shares = {name: let(buffers.slots[SLOT[name]]) for name in at.SHARES}
        with T.While(belongs(buffers, number.get(), end, shard * SHARD, SHARD)):
            dispatch(buffers, let(number.get()), numbered, shares)
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
    from .script import quick_macros

    with quick_macros():
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

    def run_rows(running):
        buffers = Buffers(running)
        slots = buffers.slots
        with T.While(slots[SLOT["row"]] < slots[SLOT["tape_count"]]):
            opcode = buffers.tape[slots[SLOT["row"]] * int64(at.TAPE_ROW)]
            shard = let(T.floordiv(opcode, int64(SHARD)))
            with tir.when(T.Or(shard < int64(0), shard >= int64(shards))):
                refuse()
            for number in range(shards):
                with tir.when(shard == int64(number)):
                    T.evaluate(T.call_packed(registered_name(number), running))

    functions = {
        ir.GlobalVar("run"): function("run", ["context"], run),
        ir.GlobalVar("run_together"): function("run_together", ["context"], run_together),
        ir.GlobalVar("run_rows"): function("run_rows", ["running"], run_rows),
    }
    planners = {direction: ir.GlobalVar(f"do_plan_{direction}") for direction in plans()}
    for direction, plan_function in plans().items():
        plan = planners[direction]
        functions[plan] = tir.scalars_on_stack(plan_function)
        parameters = [p.name for p in plan_function.params]

        def plan_only(*arguments, plan=plan):
            call(plan, *arguments)

        def plan_and_run(*arguments, plan=plan):
            call(plan, *arguments)
            slots = tir.buffer_at(arguments[0], "int64")
            with tir.when(slots[SLOT["status"]] == int64(at.READY)):
                run(arguments[0])

        functions[ir.GlobalVar(f"plan_{direction}")] = function(f"plan_{direction}", parameters, plan_only)
        functions[ir.GlobalVar(direction)] = function(direction, parameters, plan_and_run)
    functions[ir.GlobalVar("norm_and_update")] = norm_and_update(planners)
    return ir.IRModule(functions)


def norm_and_update(planners):
    """An update in one call: it is done if the sum of all squared gradients is below a limit.

    At `totals`, an address in floats, is the float64 number for the sum, and next to it the limit.
    """
    names = ("context", "norm", "opcode", "count", "states", "numbers", "numbers_at", "dense", "totals")

    def body(context, norm, opcode, count, states, numbers, numbers_at, dense, totals):
        slots, sums = tir.buffer_at(context, "int64"), tir.buffer_at(totals * int64(4), "float64")

        def ready():
            return tir.when(slots[SLOT["status"]] == int64(at.READY))

        def planned(phase, *arguments):
            call(planners[phase], context, *arguments)
            return ready()

        def update():
            with planned("update", opcode, count, states, numbers, numbers_at, dense):
                run(context)

        T.buffer_store(sums, tirx.const(0.0, "float64"), [int64(0)])
        with planned("gradient_norm", norm, int64(0), count, states, dense, totals):
            run(context)
            held_back = functools.partial(T.buffer_store, slots, int64(at.NOT_BELOW), [int64(SLOT["status"])])
            with ready():
                tir.choose(sums[int64(0)] < sums[int64(1)], update, held_back)

    return function("norm_and_update", names, body)


def run(context):
    """Run the tape: on this thread alone, unless there are others and so much that they can share."""
    slots = tir.buffer_at(context, "int64")
    sharing = tir.buffer_at(slots[SLOT["sharing"]], "int64")
    threads = let(sharing[at.SHARING_THREADS])
    enough = slots[SLOT["shared_work"]] >= sharing[at.SHARING_PASS]

    def alone():
        T.buffer_store(slots, int64(0), [int64(SLOT["row"])])
        with failed(call_packed("run_rows", context)):
            T.buffer_store(slots, int64(at.NO_CODE), [int64(SLOT["status"])])

    def together():
        with failed(call_packed("run_together", context)):
            T.buffer_store(slots, int64(at.NO_CODE), [int64(SLOT["status"])])

    tir.choose(T.And(threads > int64(1), enough), together, alone)


def run_together(context):
    """Run the tape on all threads. They go through it side by side, and wait for each other after every stretch.

    A stretch is an instruction that they share, or all up to the next such one, which the first thread runs alone.
    Each thread finds the stretches for itself.
    """
    slots = tir.buffer_at(context, "int64")
    threads = let(tir.buffer_at(slots[SLOT["sharing"]], "int64")[at.SHARING_THREADS])
    with pragma("parallel_launch_point"):
        tape = tir.buffer_at(slots[SLOT["tape"]], "int64")
        count = let(slots[SLOT["tape_count"]])

        def shared_by(row):
            return tape[row * int64(at.TAPE_ROW) + int64(at.TAPE_SHARED)]

        row = tir.Counter(int64(0))
        with T.While(row.get() < count):
            first = let(row.get())
            way = let(shared_by(first))
            row.set(first + int64(1))

            def goes_on():
                inside = T.And(way == int64(at.ALONE), row.get() < count)  # noqa: B023
                alone = shared_by(row.get()) == int64(at.ALONE)
                return T.if_then_else(inside, alone, tirx.const(False, "bool"))

            with T.While(goes_on()):
                row.set(row.get() + int64(1))
            with pragma("parallel_barrier_when_finish"), pragma("parallel_stride_pattern"):
                with T.parallel(int64(0), threads) as part:
                    with tir.when(T.Or(way != int64(at.ALONE), part == int64(0))):
                        run_stretch(slots, tape, first, row.get(), way, part, threads)


def run_stretch(slots, tape, first, end, way, part, threads):
    """Run rows first..end of the tape, or this part of the first, with slots of this thread's own."""
    address = let(slots[SLOT["threads"]] + part * int64(8 * at.THREAD_ROW))
    own, copy = tir.buffer_at(address, "int64"), let(address + int64(8 * at.THREAD_TAPE))
    begin, stop = (let(T.floordiv(number * int64(at.WHOLE), threads)) for number in (part, part + int64(1)))
    by_rows, by_columns = way == int64(at.BY_ROWS), way == int64(at.BY_COLUMNS)
    changed = {
        "row": first,
        "tape_count": end,
        "others": int64(0),
        "columns_before": int64(0),
        "rows_before": T.if_then_else(by_rows, begin, int64(0)),
        "rows_after": T.if_then_else(by_rows, int64(at.WHOLE) - stop, int64(0)),
        "self": address,
    }
    for name in at.RUNNING:
        T.buffer_store(own, changed.get(name, slots[SLOT[name]]), [int64(SLOT[name])])
    with tir.when(by_columns):
        row = tir.buffer_at(copy, "int64")
        fields = [let(tape[first * int64(at.TAPE_ROW) + int64(k)]) for k in range(at.TAPE_ROW)]
        count = fields[at.TAPE_COUNT]
        before, mine = let(tir.share_of(count, begin)), let(tir.share_of(count, stop) - tir.share_of(count, begin))
        fields[at.TAPE_BASE], fields[at.TAPE_COUNT] = fields[at.TAPE_BASE] + before, mine
        for k, field in enumerate(fields):
            T.buffer_store(row, field, [int64(k)])
        changed = {"tape": copy, "row": int64(0), "tape_count": int64(1)}
        changed |= {"others": count - mine, "columns_before": before}
        for name, value in changed.items():
            T.buffer_store(own, value, [int64(SLOT[name])])
    with failed(call_packed("run_rows", address)):
        T.buffer_store(slots, T.if_then_else(by_columns, first, own[SLOT["row"]]), [int64(SLOT["row"])])
        T.buffer_store(slots, int64(at.NO_CODE), [int64(SLOT["status"])])


def pragma(name):
    """What TVM's generator of CPU code makes of the statement within."""
    return T.attr(int64(0), f"pragma_{name}", tirx.const(1, "int32"))


def call_packed(name, running):
    """Call a function that may fail, as a packed one; its one argument, where `running` slots are, stands in these.

    Gives back what the function returns: not 0 if it has failed.
    """
    handle = ir.PointerType(ir.PrimType("int64"))
    self_type, result_type = (
        T.reinterpret(handle, running + int64(8 * SLOT[slot])) for slot in ("self_type", "result_type")
    )
    nothing = T.reinterpret(handle, int64(0))
    call = T.call_extern("int32", f"__tvm_ffi_{name}", nothing, self_type, tirx.const(1, "int32"), result_type)
    return let(call, "result")


def failed(result):
    """What to do if a packed function has failed."""
    return tir.when(result != tirx.const(0, "int32"))


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
