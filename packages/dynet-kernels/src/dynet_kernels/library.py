"""The compiled machine for this CPU: its parts are taken from the cache, or built when they are not there."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import inspect
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Protocol

import tvm_ffi

from . import cache, records, sharing, tuning
from .building.builders import Builder, BuildError, Builders, LocalBuilder
from .kernels import Kernel, Kernels, registered_name, shard_name
from .target import CpuTarget, host_cpu

PHASES = ("forward", "backward", "gradient_norm", "update")  # each also as `plan_...`, which does not run
FUNCTIONS = (*PHASES, *(f"plan_{name}" for name in PHASES), "run", "norm_and_update")
PLACES = 64  # shards for which a planner is compiled


@dataclass(frozen=True)
class Shard:
    """Kernels that are compiled together, by their opcodes, and the parameters with which they are emitted."""

    number: int
    kernels: dict[int, tuple[str, Kernel]]
    parameters: tuning.Cpu = field(default_factory=records.for_host)

    @property
    def name(self) -> str:
        """What errors call it."""
        return ", ".join(name for name, _ in self.kernels.values())

    @property
    def key(self) -> str:
        """Text that two shards share exactly if their machine code would be the same, from the same sources."""
        kernels = [f"{opcode} {name}: {kernel.key}" for opcode, (name, kernel) in self.kernels.items()]
        return "\n".join([self.parameters.key, *kernels])

    def emit(self) -> Emitted:
        """Emit the code. Imports TVM."""
        from . import machine

        with tuning.using(self.parameters):
            return Emitted(machine.shard_module(self.number, self.kernels, host_cpu().lanes))

    def build(self, path: Path) -> None:
        """Write the object file. Imports TVM."""
        self.emit().build(path)


@dataclass(frozen=True)
class Planner:
    """What plans graphs and calls shards."""

    places: int
    name = "the planner"

    @property
    def key(self) -> str:
        return f"planner for {self.places} shards"

    def emit(self) -> Emitted:
        """Emit the code. Imports TVM."""
        from . import machine

        return Emitted(machine.planner_module(self.places))

    def build(self, path: Path) -> None:
        """Write the object file. Imports TVM."""
        self.emit().build(path)


class Part(Protocol):
    """What is compiled by itself and kept in the cache.

    A part may also have a method `emit`, which gives the code to be compiled: an object with a `key` and a `build` of
    its own. Then a part whose sources have changed is not compiled again if its emitted code is the same.
    """

    @property
    def name(self) -> str:
        """What errors call it."""
        ...

    @property
    def key(self) -> str:
        """Text that two parts share exactly if their machine code would be the same, from the same sources."""
        ...

    def build(self, path: Path) -> None:
        """Write the object file. May import TVM."""
        ...


@dataclass(frozen=True)
class Emitted:
    """A module of TIR."""

    module: Any

    @property
    def key(self) -> str:
        """Text that two modules share only if their machine code would be the same. Imports TVM.

        The structural hash covers all but the names of variables.
        """
        from . import machine

        names = sorted(symbol.name_hint for symbol in self.module.functions)
        settings = (machine.PASSES, machine.NEEDLESS_ON_CPU, machine.LLVM_OPTIONS)
        compiler = inspect.getsource(machine.compile_cpu)
        return "\n".join([*names, str(tvm_ffi.structural_hash(self.module)), repr(settings), compiler])

    def build(self, path: Path) -> None:
        """Write the object file. Imports TVM."""
        write_object(self.module, path)


def write_object(module, path: Path) -> None:
    """Compile a module for this CPU into an object file. Imports TVM."""
    from . import machine

    machine.compile_cpu(module, host_cpu().tvm_target()).write_to_file(str(path))


class Library:
    """The functions of the planner as attributes, and the shards that they call."""

    forward: Callable[..., None]
    backward: Callable[..., None]
    gradient_norm: Callable[..., None]
    update: Callable[..., None]
    norm_and_update: Callable[..., None] | None  # both in one call, unless they are to be told apart
    run: Callable[..., None]
    plan_forward: Callable[..., None]
    plan_backward: Callable[..., None]
    plan_gradient_norm: Callable[..., None]
    plan_update: Callable[..., None]

    is_watched = False  # whether others, such as a profile, have put their own functions in the place of these

    def __init__(self, kernels: Kernels):
        self._kernels = kernels
        self._loaded: set[int] = set()
        self._places = 0
        self.load_used()

    def synchronize(self) -> None:
        """Wait until all work is done, which on a CPU it is."""

    def load_used(self) -> None:
        """Load the shards that are used by now and not loaded yet, compiling what the cache lacks."""
        numbers = sorted(self._kernels.used - self._loaded)
        for number in numbers:
            self._kernels.close(number)
        parts: list[Shard | Planner] = [Shard(number, self._kernels.shard(number)) for number in numbers]
        if numbers and numbers[-1] >= self._places:
            parts.insert(0, Planner(-(-(numbers[-1] + 1) // PLACES) * PLACES))  # it takes longest
        for part, module in zip(parts, modules(parts)):
            if isinstance(part, Shard):
                run = module.get_function(shard_name(part.number))
                tvm_ffi.register_global_func(registered_name(part.number), run, override=True)
                self._loaded.add(part.number)
            else:
                for name in FUNCTIONS:
                    setattr(self, name, module.get_function(name))
                self._places = part.places  # last: an interrupt before leaves the planner to be loaded again


@functools.cache
def _sources() -> str:
    """A digest of all that emits kernels for CPUs; what is for GPUs or the recorder has a digest of its own."""
    here = Path(__file__).parent
    apart = {path for folder in ("building", "cuda", "recorder", "tune") for path in here.glob(f"{folder}/*")}
    return digest_of(sorted({*here.rglob("*.py")} - apart))


def digest_of(paths: Iterable[Path]) -> str:
    """A digest of what files hold."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def key_of(part: Part, target: CpuTarget) -> str:
    """What machine code depends on, found without emitting it: sources, ops, tuned parameters, compiler and CPU."""
    return _key(target, _sources(), part.key)


def _key(target: CpuTarget, *facts: str) -> str:
    versions = [importlib.metadata.version(name) for name in ("apache-tvm", "apache-tvm-ffi")]
    return hashlib.sha256("\n".join([*facts, *versions, repr(target)]).encode()).hexdigest()


def modules(
    parts: Sequence[Part],
    load: Callable[[bytes], Any] = cache.load_object,
    finish: Callable[[Part, bytes], bytes] | None = None,
    kind: str | None = "CPU",
) -> list:
    """The machine code of parts; what has to be compiled is compiled side by side.

    An exception, such as that of Ctrl-C, ends all processes that compile.

    Args:
        load: what makes a module of a file.
        finish: makes a file of what a part builds; None: it is one.
        kind: what it is for, in the message that something is compiled; None: no message.
    """
    target = host_cpu()
    keys = [key_of(part, target) for part in parts]
    found = [cache.load_stored(key, load) for key in keys]
    missing = [place for place, module in enumerate(found) if module is None]
    if not missing:
        return found
    builders = Builders(cache.building_site())

    def made(place: int):
        part = parts[place]
        # The process comes first: one that is ended while it has the lock, but nobody to compile, leaves it behind.
        with builders.one() as builder:

            def identify(lock: Path) -> str:
                with failures_of(part):
                    return _key(target, builder.emit(part, lock))

            def make(lock: Path) -> bytes:
                content = build(part, builder, lock, is_emitted)
                return finish(part, content) if finish else content

            is_emitted = hasattr(part, "emit")
            how = {"load": load, "stopped": lambda: builders.stopped, "identify": identify if is_emitted else None}
            return cache.load_or_make(keys[place], make, **how)

    waiting, done = deque(missing), SimpleQueue()

    def work() -> None:
        with suppress(IndexError):
            while True:
                place = waiting.popleft()
                try:
                    done.put((place, made(place), None))
                except BaseException as problem:
                    done.put((place, None, problem))

    # No pool of `concurrent.futures`: an interrupt can leave its locks held. A queue of this kind is whole at any time.
    threads = [threading.Thread(target=work) for _ in range(min(sharing.cores(), len(missing)))]
    try:
        with Progress(kind, len(missing)) as progress:
            for thread in threads:
                thread.start()
            for _ in missing:
                place, found[place], problem = done.get()
                if problem is not None:
                    raise problem
                progress.advance()
    finally:
        builders.stop()
        for thread in threads:
            if thread.ident is not None:
                thread.join()
        builders.close()
    return found


def build(part: Part, builder: Builder | LocalBuilder, lock: Path | None = None, is_emitted: bool = False) -> bytes:
    """The file of a part; `is_emitted`: the builder has emitted its code."""
    with failures_of(part):
        if not is_emitted:
            builder.emit(part, lock)
        return builder.build(lock)


@contextmanager
def failures_of(part: Part) -> Iterator[None]:
    """Have errors say what could not be compiled."""
    try:
        yield
    except BuildError as problem:
        raise cache.CacheError(f"compiling {part.name} failed:\n{problem}") from None


class Progress:
    """What is said on stderr while kernels are compiled: how many are done on a terminal, else one line a process."""

    _is_said = False

    def __init__(self, kind: str | None, count: int):
        self._kind, self._count, self._done = kind, count, 0
        self._on_terminal = kind is not None and sys.stderr is not None and sys.stderr.isatty()

    def __enter__(self) -> Progress:
        if self._on_terminal:
            self._show()
        elif self._kind and not Progress._is_said:
            Progress._is_said = True
            text = f"dynet: compiling kernels for this {self._kind}, once for this machine (up to a minute) ..."
            print(text, file=sys.stderr, flush=True)
        return self

    def __exit__(self, *_) -> None:
        if self._on_terminal:
            print(file=sys.stderr, flush=True)

    def advance(self) -> None:
        """Another one is compiled."""
        self._done += 1
        if self._on_terminal:
            self._show()

    def _show(self) -> None:
        number = min(self._done + 1, self._count)
        text = f"dynet: compiling kernels, {number} of {self._count}, once for this machine"
        print(f"\r{text}", end="", file=sys.stderr, flush=True)
