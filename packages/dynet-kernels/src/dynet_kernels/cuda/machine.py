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
from ..layout import SLOT
from . import compiler, driver, precision

ORIGIN, ARENA_TOP, STATUS, NEVER_FRESH = (SLOT[name] for name in ("origin", "arena_top", "status", "never_fresh"))
INDEX, INDEX_TOP, TAPE, TAPE_COUNT, ROW = (SLOT[name] for name in ("index", "index_top", "tape", "tape_count", "row"))
COPIES, FORWARD_INDEX, BACKWARD_INDEX = (SLOT[name] for name in ("copies", "forward_index", "backward_index"))
FORWARD_PLAN = (SLOT["plan"],)  # what tells a plan's lists of addresses from all others of the same context
BACKWARD_PLAN = tuple(SLOT[f"backward_{name}"] for name in ("plan", "loss", "everything", "start"))
MOST_COPIES = 16  # of lists of addresses that a GPU keeps: those of a few threads, forwards and backwards
Context = ctypes.c_int64 * len(SLOT)
MOST_PARAMETERS = 60  # of a kernel, beside memory, index, base and count
FUNCTIONS, ARGUMENTS, POINTERS, DEVICE_INDEX, FAILURE, DEVICE_SLOTS = range(6)  # as codegen has them


@functools.cache
def _sources() -> str:
    """A digest of what is only for GPUs; `library` has that of the rest."""
    return library.digest_of(sorted(Path(__file__).parent.glob("*.py")))


def symbol_of(name: str) -> str:
    """The name of a kernel's device function."""
    return "kernel_" + name.replace(".", "_")


def _key_of(part: Source | Launcher) -> str:
    """What the CUDA C of a shard and its grids depend on."""
    tuned, shard = records.for_cuda(part.arch).key, library.Shard(part.number, part.kernels)
    return f"{tuned}, tf32={part.tf32}\n{_sources()}\n{shard.key}"


@dataclass(frozen=True)
class Source:
    """The CUDA C of a shard."""

    number: int
    kernels: dict[int, tuple[str, Kernel]]
    arch: str
    compiler: str
    tf32: bool = False

    @property
    def name(self) -> str:
        """What errors call it."""
        return library.Shard(self.number, self.kernels).name

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

    number: int
    kernels: dict[int, tuple[str, Kernel]]
    arch: str
    tf32: bool = False

    @property
    def name(self) -> str:
        """What errors call it."""
        return library.Shard(self.number, self.kernels).name

    @property
    def key(self) -> str:
        return f"launcher\n{_key_of(self)}"

    def build(self, path: Path) -> None:
        from . import codegen

        with tuning.using(records.for_cuda(self.arch)), precision.using_tf32(self.tf32):
            module = codegen.launch_module(self.number, codegen.pairs(self.kernels), launcher_name(self.number))
        library.write_object(module, path)


@dataclass
class Copy:
    """Lists of addresses on the GPU: where, how many there is room for, and of which plan they are."""

    address: int = 0
    size: int = 0
    plan: tuple[int, ...] | None = None


def launcher_name(shard: int) -> str:
    return f"launch_shard_{shard}"


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
        (planner,) = library.modules([library.Planner(library.PLACES)])
        self._plans = {name: planner.get_function(f"plan_{name}") for name in library.PHASES}
        arguments = 4 + MOST_PARAMETERS
        self._arguments = (ctypes.c_int64 * arguments)()
        start = ctypes.addressof(self._arguments)
        self._pointers = (ctypes.c_void_p * arguments)(*range(start, start + 8 * arguments, 8))
        self._functions = (ctypes.c_int64 * SHARD)()
        self._slots = (ctypes.c_int64 * DEVICE_SLOTS)()
        self._slots[ARGUMENTS], self._slots[POINTERS] = start, ctypes.addressof(self._pointers)
        self._slots_at = ctypes.addressof(self._slots)
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
            sources = [
                Source(number, shard, self.gpu.arch, compiler.name(), self.tf32)
                for number, shard in zip(numbers, shards)
            ]
            loaded = library.modules(sources, self.gpu.load, cubin, "GPU")
            launchers = library.modules(
                [Launcher(*pair, self.gpu.arch, self.tf32) for pair in zip(numbers, shards)], kind=None
            )
            self._grow_functions((numbers[-1] + 1) * SHARD)
            for shard, module in zip(shards, loaded):
                for opcode, (name, kernel) in shard.items():
                    if len(kernel.parameters) > MOST_PARAMETERS:
                        raise ValueError(f"kernel {name} has more than {MOST_PARAMETERS} parameters")
                    self._functions[opcode] = module.function(symbol_of(name))
            for number, module in zip(numbers, launchers):
                self._launchers[number] = module.get_function(launcher_name(number))

    def _grow_functions(self, size: int) -> None:
        size = max(size, len(self._functions))
        self._functions = (ctypes.c_int64 * size)(*self._functions)
        self._slots[FUNCTIONS] = ctypes.addressof(self._functions)

    def plan_forward(self, context: int, begin: int, end: int, inputs: int, inputs_begin: int, inputs_end: int) -> None:
        """Plan records, and take in the inputs that came with them."""
        slots = Context.from_address(context)
        start, first = slots[ARENA_TOP], inputs + 4 * inputs_begin
        slots[ORIGIN] = first - 4 * start  # from where the planner moves the inputs to where they are already
        try:
            self._plans["forward"](context, begin, end, inputs, inputs_begin, inputs_end)
        finally:
            slots[ORIGIN] = 0
        if slots[STATUS] == at.READY:
            self.gpu.upload_from(4 * start, first, 4 * (inputs_end - inputs_begin))

    def plan_backward(self, context: int, *arguments: int) -> None:
        Context.from_address(context)[NEVER_FRESH] = 1
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
        if Context.from_address(context)[STATUS] == at.READY:
            self.run(context)

    def run(self, context: int) -> None:
        """Launch what is on the tape."""
        slots = Context.from_address(context)
        with self._lock:
            self._slots[DEVICE_INDEX] = self._uploaded(slots)
            slots[ROW] = 0
            while slots[ROW] < slots[TAPE_COUNT]:
                opcode = ctypes.c_int64.from_address(slots[TAPE] + 8 * at.TAPE_ROW * slots[ROW]).value
                launch = self._launchers.get(opcode // SHARD)
                if launch is None or not self._functions[opcode]:
                    raise self._kernels.no_code(opcode)
                launch(context, self._slots_at)  # type: ignore[operator]
                if self._slots[FAILURE]:
                    self._fail(slots)

    def _uploaded(self, slots) -> int:
        """Where on the GPU the lists of addresses are. A plan that is run again has its lists there already."""
        owner, plan = self._plan_of(slots)
        copy = self._copies[owner] = self._copies.pop(owner, None) or Copy()
        if plan is None or copy.plan != plan:
            count = slots[INDEX_TOP]
            copy.plan = None
            if count > copy.size:
                self._give_back(copy)
                size = max(2 * count, 1 << 10)
                copy.address, copy.size = self.gpu.allocate(8 * size), size
            self.gpu.upload_from(copy.address, slots[INDEX], 8 * count)
            copy.plan = plan
        while len(self._copies) > MOST_COPIES:
            self._give_back(self._copies.pop(next(iter(self._copies))))
        return copy.address

    def _plan_of(self, slots) -> tuple[tuple[int, ...], tuple[int, ...] | None]:
        """Whose lists of addresses are to be used, and of which plan: None where nothing tells it from another."""
        if slots[INDEX] == slots[FORWARD_INDEX]:
            plan = FORWARD_PLAN
        elif slots[INDEX] == slots[BACKWARD_INDEX] and slots[BACKWARD_PLAN[0]] >= 0:
            plan = BACKWARD_PLAN
        else:
            return (0,), None
        slots[COPIES] = slots[COPIES] or next(self._numbers)
        return (slots[COPIES], slots[INDEX] == slots[FORWARD_INDEX]), tuple(slots[slot] for slot in plan)

    def _give_back(self, copy: Copy) -> None:
        if copy.size:
            self.gpu.free(copy.address)
        copy.size = 0

    def _fail(self, slots) -> None:
        row = ctypes.c_int64.from_address(slots[TAPE] + 8 * at.TAPE_ROW * slots[ROW])
        status, self._slots[FAILURE] = self._slots[FAILURE], 0
        if not self._functions[row.value]:
            raise self._kernels.no_code(row.value)
        name = next(name for opcode, name, _ in self._kernels.numbered() if opcode == row.value)
        raise driver.CudaError(f"kernel {name} cannot be launched: {driver.explain(status)} ({status})")
