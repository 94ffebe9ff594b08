"""Emits CUDA C from kernels, and the function on the host that launches them. Imports TVM.

A kernel is first emitted as a TIR function. Its arguments have eight bytes each: the start of memory; `index`, the
buffer of all address lists; `base`, the offset of the instruction's lists in it; `count`, the number of columns; and
the kernel's parameters. The function also states how many blocks and threads it needs, as expressions of its arguments.
The CUDA function takes the same arguments, and the host function reads them from the tape.
"""

from __future__ import annotations

import functools

from .. import layout, tir
from ..families.products import cuda_tiles, precision
from ..machine import modules
from ..plain import Struct, Words
from ..tir import int64, let
from ..tvm_modules import T, tirx, tvm, tvm_ffi

# Replaces TVM's prelude, which includes files that nvrtc may not find.
PRELUDE = """\
#ifdef __CUDACC_RTC__
typedef signed char int8_t;
typedef unsigned char uint8_t;
typedef short int16_t;
typedef unsigned short uint16_t;
typedef int int32_t;
typedef unsigned int uint32_t;
typedef long long int64_t;
typedef unsigned long long uint64_t;
#else
#include <cstdint>
#endif
#define uchar unsigned char
#define ushort unsigned short
#define uint unsigned int
#define CUDART_INF_F __int_as_float(0x7f800000)
#define CUDART_NAN_F __int_as_float(0x7fffffff)
#define CUDART_INF __longlong_as_double(0x7ff0000000000000LL)
#define CUDART_NAN __longlong_as_double(0xfff8000000000000LL)
"""
AXES = ("blockIdx.x", "blockIdx.y", "blockIdx.z", "threadIdx.x", "threadIdx.y", "threadIdx.z")


def functions_by_slot(kernels) -> list:
    """Return (slot, (kernel's function, kernel)) for each kernel of a shard. `kernels` maps slots to (name, kernel)."""
    return [(slot, (modules.kernel_function(name), kernel)) for slot, (name, kernel) in kernels.items()]


def device_source(kernels_by_slot) -> str:
    """Return the CUDA C of a shard's kernels."""
    cuda, llvm = {"kind": "cuda", "arch": "sm_70"}, {"kind": "llvm"}  # only to emit; `compiler` gets the GPU's own arch
    device, host = map(tvm.target.Target, (cuda, llvm))
    functions = {
        function.name: kernel.cuda_code().with_attr("target", device) for _, (function, kernel) in kernels_by_slot
    }

    def run(memory, index):  # a host function that calls all kernels, because TVM drops functions without calls
        for _, (function, kernel) in kernels_by_slot:
            integers = [Words(index)[k] for k in range(2 + len(kernel.parameters))]
            function(Words(memory, "float32"), Words(index), *integers)

    functions["run"] = tir.function_of("run", run).with_attr("target", host)
    target = tvm.target.Target(cuda, host=llvm)
    with target, tvm.transform.PassContext(opt_level=3, config=modules.PASS_CONFIG, disabled_pass=modules.NEEDLESS):
        source = tvm.compile(modules.module_of(functions), target=target).mod.imports[0].inspect_source()
    tensor_cores = cuda_tiles.SOURCE if precision.factors() in cuda_tiles.FORMATS else ""
    return PRELUDE + tensor_cores + source[source.index('extern "C" __global__') :]


def extents(function) -> dict[str, object]:
    """Return the extent of each axis that a kernel uses, such as "blockIdx.x", as an expression of its arguments."""
    bound_values, extent_of = {}, {}

    def note_value(binding):
        bound_values[binding.var] = binding.value

    def note_extent(statement):
        if statement.attr_key == "thread_extent":
            extent_of[statement.node.thread_tag] = statement.value

    tvm_ffi.structural_walk(function.body, ((tirx.Bind, note_value), (tirx.AttrStmt, note_extent)), order="pre")

    def inlined(expression):
        return tvm_ffi.structural_map(
            expression, (tirx.Var, lambda var: inlined(bound_values[var]) if var in bound_values else var)
        )

    return {axis: inlined(extent) for axis, extent in extent_of.items()}


class Launch(Struct):
    layout = layout.LAUNCH


def launch_module(kernels_by_slot, name: str):
    """Return a module with the host function `name`, which launches the instructions of a shard."""
    # Its parameters are the addresses of a CONTEXT and a LAUNCH. The function begins at instruction number `row` of the
    # context, and sets `row` to where it stops: another shard's instruction, the tape's end, or a failed launch.

    def launch(context_address, launch_address):
        tape_run, launch_data = modules.Running(context_address), Launch(launch_address)
        run = functools.partial(_launch_instruction, tape_run, launch_data, kernels_by_slot)
        tape_run.run_until_other_shard(run, fails=lambda: launch_data.failure != 0)

    return modules.module_of({name: tir.function_of(name, launch)})


def _launch_instruction(tape_run, launch_data: Launch, kernels_by_slot, _, instruction, slot):
    opcode, first_parameter = instruction.opcode, instruction.parameters
    handle = Words(launch_data.functions)[opcode]
    arguments = Words(launch_data.arguments)

    def launch(kernel):
        function = kernel.cuda_code()
        parameters = [tape_run.table[first_parameter + k] for k in range(len(kernel.parameters))]
        integers = [tape_run.context.origin, launch_data.index, instruction.base, instruction.count, *parameters]
        for k, value in enumerate(integers):
            arguments[k] = value
        argument_of = dict(zip(function.params, integers))
        sizes = {
            axis: tvm_ffi.structural_map(extent, (tirx.Var, lambda var: argument_of.get(var, var)))
            for axis, extent in extents(function).items()
        }
        sizes = [let(T.Cast("int64", sizes[axis]) if axis in sizes else int64(1)) for axis in AXES]
        blocks = let(sizes[0] * sizes[1] * sizes[2])
        with tir.when(blocks > int64(0)):
            callee, pointers, null = (tir.pointer(at, "int64") for at in (handle, launch_data.pointers, int64(0)))
            shape = [T.Cast("uint32", size) for size in sizes]
            driver_arguments = callee, *shape, tirx.const(0, "uint32"), null, pointers, null
            launch_data.failure = T.Cast("int64", T.call_extern("int32", "cuLaunchKernel", *driver_arguments))

    *choices, (_, otherwise) = [(number, functools.partial(launch, kernel)) for number, (_, kernel) in kernels_by_slot]
    modules.switch(slot, choices, otherwise)
