"""Runs graphs on a GPU. `Machine` has the same functions as `library.Library`, which runs them on a CPU.

The planner runs on the host (the CPU) and keeps its buffers there; values and gradients are in GPU memory. To run a
tape, its address lists are copied to the GPU, and the host launches its kernels one by one.
"""

from __future__ import annotations

import ctypes
import itertools
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partialmethod
from pathlib import Path
from typing import Any

from .. import layout, tuning, tuning_records
from ..families.products import precision
from ..kernels import SHARD_SIZE, Kernel, Kernels, function_name
from ..machine import library
from ..machine.parts import EmittedCode
from ..target import host_cpu
from . import compiler, driver

MOST_COPIES = 16  # how many plans may have address lists on the GPU: forward and backward plans of a few graphs
LAUNCH_SHARD = "launch_shard"  # the name of the function in each module of `codegen.launch_module`
MOST_PARAMETERS = 60  # the most arguments of a kernel besides the four that every kernel has; see `codegen.py`


class Context(ctypes.Structure):
    """The planner's context, `layout.CONTEXT`."""

    _fields_ = [(name, ctypes.c_int64) for name in layout.CONTEXT]


class Launch(ctypes.Structure):
    """The structure `layout.LAUNCH`: what compiled code needs to launch kernels, and `failure`, the driver's error."""

    _fields_ = [(name, ctypes.c_int64) for name in layout.LAUNCH]

    def __init__(self, function_handles: Sequence[int] = ()):
        argument_count = 4 + MOST_PARAMETERS
        self._arguments = (ctypes.c_int64 * argument_count)()
        start = ctypes.addressof(self._arguments)
        self._pointers = (ctypes.c_void_p * argument_count)(*range(start, start + 8 * argument_count, 8))
        super().__init__(arguments=start, pointers=ctypes.addressof(self._pointers))
        self.set_function_handles(function_handles)

    def set_function_handles(self, function_handles: Sequence[int]) -> None:
        self.function_handles = (ctypes.c_int64 * len(function_handles))(*function_handles)
        self.functions = ctypes.addressof(self.function_handles)

    def check(self, name: str) -> None:
        """Raise an error if the driver refused to launch this kernel."""
        status, self.failure = self.failure, 0
        if status:
            raise driver.CudaError(f"kernel {name} cannot be launched: {driver.explain(status)} ({status})")


@dataclass(frozen=True)
class _ShardFile:
    """The base class of files that are made from a shard of kernels. Each is a `parts.Part`, which the cache keeps."""

    kernels: dict[int, tuple[str, Kernel]]
    arch: str
    compiler: str
    factors: str = precision.FLOAT32

    @property
    def name(self) -> str:
        return library.Shard(self.kernels).name

    @property
    def key(self) -> str:
        kind, tuned = type(self).__name__, tuning_records.for_cuda(self.arch)
        return f"{kind} {self.compiler} {self.arch}\n{tuned!r}, {self.factors}\n{library.Shard(self.kernels).key}"

    def build(self, path: Path) -> None:
        from . import codegen

        with tuning.using(tuning_records.for_cuda(self.arch)), precision.using(self.factors):
            self._write(path, codegen, codegen.functions_by_slot(self.kernels))

    def _write(self, path: Path, codegen: Any, kernels_by_slot: list) -> None:
        raise NotImplementedError


class Source(_ShardFile):
    """The CUDA C of a shard."""

    def _write(self, path: Path, codegen: Any, kernels_by_slot: list) -> None:
        for name, kernel in self.kernels.values():
            if len(kernel.parameters) > MOST_PARAMETERS:
                raise ValueError(f"kernel {name} has more than {MOST_PARAMETERS} parameters")
        path.write_text(codegen.device_source(kernels_by_slot))


class Launcher(_ShardFile):
    """The host function that launches the kernels of a shard."""

    def _write(self, path: Path, codegen: Any, kernels_by_slot: list) -> None:
        EmittedCode(codegen.launch_module(kernels_by_slot, LAUNCH_SHARD), host_cpu()).build(path)


@dataclass
class CopiedLists:
    """A copy of a plan's address lists on the GPU, with room for `size` addresses of 8 bytes.

    `address` is 0 before memory is allocated. `plan` is the plan's number, or None if the lists must be copied.
    """

    address: int = 0
    size: int = 0
    plan: int | None = None


def compile_cubin(source: Source, cuda_code: bytes) -> bytes:
    """Compile the CUDA C that `source` has built."""
    return compiler.compile(cuda_code.decode(), source.arch)


class Machine(library.Shards):
    """Plans graphs on the CPU and runs their tapes on one GPU."""

    norm_and_update = None  # None, because the host has to read the norm of the gradients before the update
    is_watched = False  # True while a profile has replaced functions of this object

    def __init__(self, kernels: Kernels, gpu: driver.Gpu, factors: str = precision.FLOAT32):
        super().__init__(kernels)
        self.gpu, self.factors = gpu, factors
        self._loaded_flags = (ctypes.c_int64 * layout.MOST_SHARDS)()  # for the planner: 1 for each shard that is loaded
        self._launcher_by_shard: dict[int, object] = {}
        self._lock = threading.Lock()
        (planner,) = library.load_modules([library.Planner()])
        self._plan_functions = {name: planner.get_function(f"plan_{name}") for name in library.PASS_NAMES}
        self._launch = Launch()
        self._launch_address = ctypes.addressof(self._launch)
        # (context's id, whether the pass is a forward pass) -> copy. Passes that are neither forward nor backward have
        # the key (0,). The least recently used copy comes first.
        self._copies: dict[tuple[int, ...], CopiedLists] = {}
        self._context_ids = itertools.count(1)
        self.load_used()

    def load_used(self) -> None:
        with self._lock:
            indices = self._close_unloaded()
            if not indices:
                return
            shards = [self._kernels.shard(index) for index in indices]
            options = self.gpu.arch, compiler.compiler_name(), self.factors
            sources = [Source(shard, *options) for shard in shards]
            cubins = library.load_modules(sources, self.gpu.load, compile_cubin, "GPU", fallible_classes=(Source,))  # type: ignore[arg-type]
            launchers = library.load_modules(
                [Launcher(shard, *options) for shard in shards], device=None, fallible_classes=(Launcher,)
            )
            handles = self._launch.function_handles
            self._launch.set_function_handles([*handles, *[0] * ((indices[-1] + 1) * SHARD_SIZE - len(handles))])
            for index, shard, module, launcher in zip(indices, shards, cubins, launchers):
                if errors := [one for one in (module, launcher) if isinstance(one, library.CompileError)]:
                    self._failed[index] = errors[0]
                    continue
                for slot, (name, _) in shard.items():
                    self._launch.function_handles[index * SHARD_SIZE + slot] = module.handle_of(function_name(name))
                self._launcher_by_shard[index] = launcher.get_function(LAUNCH_SHARD)
                self._loaded_flags[index] = 1
                self._loaded.add(index)

    def plan_forward(
        self, context_address: int, begin: int, end: int, inputs_address: int, inputs_begin: int, inputs_end: int
    ) -> int:
        """Plan the new records, integers `begin` to `end` - 1, and copy their input values to the GPU.

        These are the floats `inputs_begin` to `inputs_end` - 1 of the buffer at `inputs_address`.
        """
        context = Context.from_address(context_address)
        target, source = context.arena_top, inputs_address + 4 * inputs_begin
        # The planner copies the inputs to `origin` plus `target` floats. It cannot write to the GPU, so choose `origin`
        # such that it copies them onto themselves, and upload them afterwards.
        context.origin = source - 4 * target
        try:
            status = self._plan("forward", context_address, begin, end, inputs_address, inputs_begin, inputs_end)
        finally:
            context.origin = 0
        if status == layout.READY:
            self.gpu.upload_from(4 * target, source, 4 * (inputs_end - inputs_begin))
        return status

    def plan_backward(self, context_address: int, *arguments: int) -> int:
        # Set `never_fresh`: on a GPU, kernels add to gradients atomically, and cannot overwrite uninitialized memory.
        Context.from_address(context_address).never_fresh = 1
        return self._plan("backward", context_address, *arguments)

    def _plan(self, pass_name: str, context_address: int, *arguments: int) -> int:
        Context.from_address(context_address).code = ctypes.addressof(self._loaded_flags)
        return self._plan_functions[pass_name](context_address, *arguments)

    def _plan_and_run(self, pass_name: str, context_address: int, *arguments: int) -> int:
        status = getattr(self, f"plan_{pass_name}")(context_address, *arguments)
        if status == layout.READY:
            self.run(context_address)
        return status

    plan_gradient_norm, plan_update = partialmethod(_plan, "gradient_norm"), partialmethod(_plan, "update")
    forward, backward = partialmethod(_plan_and_run, "forward"), partialmethod(_plan_and_run, "backward")
    gradient_norm, update = partialmethod(_plan_and_run, "gradient_norm"), partialmethod(_plan_and_run, "update")

    def synchronize(self) -> None:
        self.gpu.synchronize()

    def run(self, context_address: int) -> None:
        """Launch the kernels of all instructions of the tape, without waiting for the GPU."""
        context = Context.from_address(context_address)
        with self._lock:
            self._launch.index = self._upload_lists(context)
            context.row = 0
            while context.row < context.tape_count:
                opcode = _opcode(context)
                launch = self._launcher_by_shard.get(opcode // SHARD_SIZE)
                if launch is None or not self._launch.function_handles[opcode]:
                    raise self._kernels.no_code_error(opcode)
                launch(context_address, self._launch_address)  # type: ignore[operator]
                if self._launch.failure:
                    self._raise_launch_error(context)

    def _upload_lists(self, context: Context) -> int:
        """Copy the tape's address lists to the GPU, unless they are there already. Return their address there."""
        key, plan = self._key_and_plan(context)
        copy = self._copies[key] = self._copies.pop(key, None) or CopiedLists()
        if plan is None or copy.plan != plan:
            count = context.index_top
            copy.plan = None
            if count > copy.size:
                self._free(copy)
                size = max(2 * count, 1 << 10)  # more than now needed, so that not every larger tape allocates
                copy.address, copy.size = self.gpu.allocate(8 * size), size
            self.gpu.upload_from(copy.address, context.index, 8 * count)
            copy.plan = plan
        while len(self._copies) > MOST_COPIES:
            self._free(self._copies.pop(next(iter(self._copies))))
        return copy.address

    def _key_and_plan(self, context: Context) -> tuple[tuple[int, ...], int | None]:
        """Return the key of the tape's lists in `_copies`, and the plan's number, or None to copy the lists always."""
        is_forward = context.index == context.forward_index
        if not is_forward and context.index != context.backward_index:
            return (0,), None
        context.copies = context.copies or next(self._context_ids)
        return (context.copies, is_forward), context.plan if is_forward else context.backward_plans

    def _free(self, copy: CopiedLists) -> None:
        if copy.size:
            self.gpu.free(copy.address)
        copy.size = 0

    def _raise_launch_error(self, context: Context) -> None:
        """Raise the error for the instruction whose kernel the driver refused to launch."""
        opcode = _opcode(context)
        if not self._launch.function_handles[opcode]:
            self._launch.failure = 0
            raise self._kernels.no_code_error(opcode)
        self._launch.check(next(name for number, name, _ in self._kernels.with_opcodes() if number == opcode))


def _opcode(context: Context) -> int:
    """Return the opcode of the tape's instruction number `row`."""
    return ctypes.c_int64.from_address(context.tape + 8 * len(layout.INSTRUCTION) * context.row).value
