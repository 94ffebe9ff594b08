"""The tape machine of a GPU: graphs are planned on the CPU, and each instruction is one launch.

It has the functions of `library.Library`. Addresses are the GPU's; what the planner itself reads and writes
(records, tables, touched rows, lists of addresses) stays in the memory of the host.
"""

from __future__ import annotations

import ctypes
import functools
import itertools
import threading
from dataclasses import dataclass
from pathlib import Path

from .. import layout as at
from .. import library, records, tuning
from ..kernels import SHARD, Kernel, Kernels
from ..target import host_cpu
from . import compiler, driver, precision

# What tells a plan's lists of addresses from all others of the same context.
FORWARD_PLAN = ("plan",)
BACKWARD_PLAN = ("backward_plan", "backward_loss", "backward_everything", "backward_start")
MOST_COPIES = 16  # of lists of addresses that a GPU keeps: those of a few threads, forwards and backwards
LAUNCH_SHARD = "launch_shard"  # the name of a launcher's function
MOST_PARAMETERS = 60  # of a kernel, beside memory, index, base and count


class Context(ctypes.Structure):
    """The context of a tape."""

    _fields_ = [(name, ctypes.c_int64) for name in at.CONTEXT]


class Launch(ctypes.Structure):
    """The arguments of the code that launches kernels, and its answer."""

    _fields_ = [(name, ctypes.c_int64) for name in at.LAUNCH]


@functools.cache
def _sources() -> str:
    """A digest of the sources that are only for GPUs. `library` has a digest of the other sources."""
    return library.digest_of(sorted(Path(__file__).parent.glob("*.py")))


def symbol_of(name: str) -> str:
    """The name of a kernel's device function."""
    return "kernel_" + name.replace(".", "_")


def _key_of(part: Source | Launcher) -> str:
    """What the CUDA C of a shard and its grids depend on."""
    tuned, shard = records.for_cuda(part.arch).key, library.Shard(part.kernels)
    return f"{tuned}, tf32={part.tf32}\n{_sources()}\n{shard.key}"


@dataclass(frozen=True)
class Source:
    """The CUDA C of a shard."""

    kernels: dict[int, tuple[str, Kernel]]
    arch: str
    compiler: str
    tf32: bool = False

    @property
    def name(self) -> str:
        """Its name in error messages."""
        return library.Shard(self.kernels).name

    @property
    def key(self) -> str:
        return f"{self.compiler} for {self.arch}\n{_key_of(self)}"

    def build(self, path: Path) -> None:
        from . import codegen

        with tuning.using(records.for_cuda(self.arch)), precision.using_tf32(self.tf32):
            path.write_text(codegen.device_source(codegen.pairs(self.kernels)))


@dataclass(frozen=True)
class Launcher:
    """The function of the host that launches a shard's kernels."""

    kernels: dict[int, tuple[str, Kernel]]
    arch: str
    tf32: bool = False

    @property
    def name(self) -> str:
        """Its name in error messages."""
        return library.Shard(self.kernels).name

    @property
    def key(self) -> str:
        return f"launcher\n{_key_of(self)}"

    def build(self, path: Path) -> None:
        from . import codegen

        with tuning.using(records.for_cuda(self.arch)), precision.using_tf32(self.tf32):
            module = codegen.launch_module(codegen.pairs(self.kernels), LAUNCH_SHARD)
        library.write_object(module, host_cpu(), path)


@dataclass
class Copy:
    """Lists of addresses on the GPU: where, how many there is room for, and of which plan they are."""

    address: int = 0
    size: int = 0
    plan: tuple[int, ...] | None = None


def cubin(source: Source, code: bytes) -> bytes:
    """The cubin of a shard, from its CUDA C."""
    return compiler.compile(code.decode(), source.arch)


class Machine:
    """Runs tapes on one GPU.

    Args:
        tf32: whether products round their factors to TF32.
    """

    norm_and_update = None  # the norm has to come to the host first

    is_watched = False  # as in `library.Library`

    def __init__(self, kernels: Kernels, gpu: driver.Gpu, tf32: bool = False):
        self.gpu, self.tf32 = gpu, tf32
        self._kernels = kernels
        self._launchers: dict[int, object] = {}
        self._lock = threading.Lock()
        (planner,) = library.modules([library.Planner()])
        self._plans = {name: planner.get_function(f"plan_{name}") for name in library.PHASES}
        arguments = 4 + MOST_PARAMETERS
        self._arguments = (ctypes.c_int64 * arguments)()
        start = ctypes.addressof(self._arguments)
        self._pointers = (ctypes.c_void_p * arguments)(*range(start, start + 8 * arguments, 8))
        self._functions = (ctypes.c_int64 * SHARD)()
        self._launch = Launch()
        self._launch.arguments, self._launch.pointers = start, ctypes.addressof(self._pointers)
        self._launch_at = ctypes.addressof(self._launch)
        self._copies: dict[tuple[int, ...], Copy] = {}  # by context and direction; those used last come last
        self._numbers = itertools.count(1)
        self.load_used()

    def load_used(self) -> None:
        """Load the shards that are used by now and not loaded yet, compiling what the cache lacks."""
        with self._lock:
            numbers = sorted(self._kernels.used - set(self._launchers))
            if not numbers:
                return
            for number in numbers:
                self._kernels.close(number)
            shards = [self._kernels.shard(number) for number in numbers]
            sources = [Source(shard, self.gpu.arch, compiler.name(), self.tf32) for shard in shards]
            loaded = library.modules(sources, self.gpu.load, cubin, "GPU")  # type: ignore[arg-type]
            launchers = library.modules([Launcher(shard, self.gpu.arch, self.tf32) for shard in shards], kind=None)
            self._grow_functions((numbers[-1] + 1) * SHARD)
            for number, shard, module in zip(numbers, shards, loaded):
                for place, (name, kernel) in shard.items():
                    if len(kernel.parameters) > MOST_PARAMETERS:
                        raise ValueError(f"kernel {name} has more than {MOST_PARAMETERS} parameters")
                    self._functions[number * SHARD + place] = module.function(symbol_of(name))
            for number, module in zip(numbers, launchers):
                self._launchers[number] = module.get_function(LAUNCH_SHARD)

    def _grow_functions(self, size: int) -> None:
        size = max(size, len(self._functions))
        self._functions = (ctypes.c_int64 * size)(*self._functions)
        self._launch.functions = ctypes.addressof(self._functions)

    def plan_forward(self, context: int, begin: int, end: int, inputs: int, inputs_begin: int, inputs_end: int) -> None:
        """Plan records, and take in the inputs that came with them."""
        tape = Context.from_address(context)
        start, first = tape.arena_top, inputs + 4 * inputs_begin
        tape.origin = first - 4 * start  # from where the planner moves the inputs to where they are already
        try:
            self._plans["forward"](context, begin, end, inputs, inputs_begin, inputs_end)
        finally:
            tape.origin = 0
        if tape.status == at.READY:
            self.gpu.upload_from(4 * start, first, 4 * (inputs_end - inputs_begin))

    def plan_backward(self, context: int, *arguments: int) -> None:
        Context.from_address(context).never_fresh = 1
        self._plans["backward"](context, *arguments)

    def plan_gradient_norm(self, context: int, *arguments: int) -> None:
        self._plans["gradient_norm"](context, *arguments)

    def plan_update(self, context: int, *arguments: int) -> None:
        self._plans["update"](context, *arguments)

    def forward(self, context: int, *arguments: int) -> None:
        self.plan_forward(context, *arguments)
        self._run_if_ready(context)

    def backward(self, context: int, *arguments: int) -> None:
        self.plan_backward(context, *arguments)
        self._run_if_ready(context)

    def gradient_norm(self, context: int, *arguments: int) -> None:
        self.plan_gradient_norm(context, *arguments)
        self._run_if_ready(context)

    def update(self, context: int, *arguments: int) -> None:
        self.plan_update(context, *arguments)
        self._run_if_ready(context)

    def synchronize(self) -> None:
        """Wait until all work is done."""
        self.gpu.synchronize()

    def _run_if_ready(self, context: int) -> None:
        if Context.from_address(context).status == at.READY:
            self.run(context)

    def run(self, context: int) -> None:
        """Launch what is on the tape."""
        tape = Context.from_address(context)
        with self._lock:
            self._launch.index = self._uploaded(tape)
            tape.row = 0
            while tape.row < tape.tape_count:
                opcode = ctypes.c_int64.from_address(tape.tape + 8 * len(at.INSTRUCTION) * tape.row).value
                launch = self._launchers.get(opcode // SHARD)
                if launch is None or not self._functions[opcode]:
                    raise self._kernels.no_code(opcode)
                launch(context, self._launch_at)  # type: ignore[operator]
                if self._launch.failure:
                    self._fail(tape)

    def _uploaded(self, tape: Context) -> int:
        """Where on the GPU the lists of addresses are. A plan that is run again has its lists there already."""
        owner, plan = self._plan_of(tape)
        copy = self._copies[owner] = self._copies.pop(owner, None) or Copy()
        if plan is None or copy.plan != plan:
            count = tape.index_top
            copy.plan = None
            if count > copy.size:
                self._give_back(copy)
                size = max(2 * count, 1 << 10)
                copy.address, copy.size = self.gpu.allocate(8 * size), size
            self.gpu.upload_from(copy.address, tape.index, 8 * count)
            copy.plan = plan
        while len(self._copies) > MOST_COPIES:
            self._give_back(self._copies.pop(next(iter(self._copies))))
        return copy.address

    def _plan_of(self, tape: Context) -> tuple[tuple[int, ...], tuple[int, ...] | None]:
        """Whose lists of addresses are to be used, and of which plan: None where nothing tells it from another."""
        if tape.index == tape.forward_index:
            plan = FORWARD_PLAN
        elif tape.index == tape.backward_index and tape.backward_plan >= 0:
            plan = BACKWARD_PLAN
        else:
            return (0,), None
        tape.copies = tape.copies or next(self._numbers)
        return (tape.copies, tape.index == tape.forward_index), tuple(getattr(tape, name) for name in plan)

    def _give_back(self, copy: Copy) -> None:
        if copy.size:
            self.gpu.free(copy.address)
        copy.size = 0

    def _fail(self, tape: Context) -> None:
        row = ctypes.c_int64.from_address(tape.tape + 8 * len(at.INSTRUCTION) * tape.row)
        status, self._launch.failure = self._launch.failure, 0
        if not self._functions[row.value]:
            raise self._kernels.no_code(row.value)
        name = next(name for opcode, name, _ in self._kernels.numbered() if opcode == row.value)
        raise driver.CudaError(f"kernel {name} cannot be launched: {driver.explain(status)} ({status})")
