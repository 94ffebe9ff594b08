"""The parts of the machine that are compiled each for itself, and the keys under which their code is kept.

Every part has a key that is found without TVM, at every start: it depends on the sources that make the code. Where
these have changed, the code is emitted, which takes a tenth of the time that compiling takes, and has a key of its own.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import inspect
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import tvm_ffi

from . import records, sources, tuning
from .kernels import Kernel
from .target import CpuTarget, host_cpu

MACHINE, TARGET = (os.path.join(sources.HERE, name) for name in ("machine.py", "target.py"))


class Part(Protocol):
    """What is compiled by itself and kept in the cache.

    A part for a CPU has its `target`, and `for_target` returns the same part for another CPU. A part without both is
    for this CPU.
    A part may also have a method `emit`, which gives the code to be compiled: an object with a `key` and a `build` of
    its own. Then a part whose sources have changed is not compiled again if its emitted code is the same.
    """

    @property
    def name(self) -> str:
        """Its name in error messages."""
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
    """A module of TIR, and what it is compiled for."""

    module: Any
    target: CpuTarget

    @property
    def key(self) -> str:
        """Text that two modules share only if their machine code would be the same. Imports TVM.

        The structural hash covers all but the names of variables.
        """
        from . import machine

        names = sorted(symbol.name_hint for symbol in self.module.functions)
        settings = (str(self.target.tvm_target()), machine.PASSES, machine.NEEDLESS_ON_CPU, machine.LLVM_OPTIONS)
        compiler = inspect.getsource(machine.compile_cpu)
        return "\n".join([*names, str(tvm_ffi.structural_hash(self.module)), repr(settings), compiler])

    def build(self, path: Path) -> None:
        """Write the object file. Imports TVM."""
        write_object(self.module, self.target, path)


def write_object(module, target: CpuTarget, path: Path) -> None:
    """Compile a module into an object file. Imports TVM."""
    from . import machine

    machine.compile_cpu(module, target.tvm_target()).write_to_file(str(path))


@dataclass(frozen=True)
class Shard:
    """Kernels that are compiled together, and the tuning parameters that they are emitted with.

    `kernels` has the name and the kernel of each place. By default the parameters are those recorded for the target.
    """

    kernels: dict[int, tuple[str, Kernel]]
    target: CpuTarget = field(default_factory=host_cpu)
    parameters: tuning.Cpu = None  # type: ignore[assignment]  # set below

    def __post_init__(self):
        if self.parameters is None:
            object.__setattr__(self, "parameters", records.for_cpu(self.target))

    @property
    def name(self) -> str:
        """Its name in error messages."""
        return ", ".join(name for name, _ in self.kernels.values())

    @property
    def key(self) -> str:
        """Text that two shards share exactly if their machine code would be the same, from the same sources."""
        kernels = [f"{place} {name}: {kernel.key}" for place, (name, kernel) in self.kernels.items()]
        return "\n".join([self.parameters.key, *kernels])

    def for_target(self, target: CpuTarget) -> Shard:
        """The same for another CPU."""
        return Shard(self.kernels, target)

    def emit(self) -> Emitted:
        """Emit the code. Imports TVM."""
        from . import machine

        with tuning.using(self.parameters):
            return Emitted(machine.shard_module(self.kernels, self.target.lanes), self.target)

    def build(self, path: Path) -> None:
        """Write the object file. Imports TVM."""
        self.emit().build(path)


@dataclass(frozen=True)
class Planner:
    """What plans graphs and calls shards."""

    target: CpuTarget = field(default_factory=host_cpu)
    name = "the planner"
    key = "planner"

    def for_target(self, target: CpuTarget) -> Planner:
        """The same for another CPU."""
        return Planner(target)

    def emit(self) -> Emitted:
        """Emit the code. Imports TVM."""
        from . import machine

        return Emitted(machine.planner_module(), self.target)

    def build(self, path: Path) -> None:
        """Write the object file. Imports TVM."""
        self.emit().build(path)


@functools.singledispatch
def sources_of(part: Any) -> str:
    """A digest of the sources that make a part's code: those beside its class, those of its kernels, their imports."""
    kernels = _files_of_kernels(getattr(part, "kernels", {}))
    return sources.digest({TARGET, *sources.files_beside(type(part)), *kernels})


@sources_of.register
def _(part: Shard) -> str:
    return sources.digest({MACHINE, TARGET, *_files_of_kernels(part.kernels)})


@sources_of.register
def _(part: Planner) -> str:
    return sources.digest({MACHINE, TARGET}, nested=True)


def _files_of_kernels(kernels: dict[int, tuple[str, Kernel]]) -> set[str]:
    kinds = {type(kernel) for _, kernel in kernels.values()}
    return {file for kind in kinds for file in sources.files_of(kind)}


def key_of(part: Part, with_versions: bool = True) -> str:
    """What machine code depends on, found without emitting it: sources, ops, tuned parameters, compiler and CPU.

    Args:
        with_versions: whether it depends on the versions of the compiler; code that comes with the package does not.
    """
    return key_of_code(target_of(part), sources_of(part), part.key, with_versions=with_versions)


def target_of(part: Part) -> CpuTarget:
    """The CPU that a part is compiled for."""
    return getattr(part, "target", None) or host_cpu()


def key_of_code(target: CpuTarget, *facts: str, with_versions: bool = True) -> str:
    """A name for a file of code that depends on these facts, the compiler and the CPU."""
    versions = _versions() if with_versions else []
    return hashlib.sha256("\n".join([*facts, *versions, repr(target)]).encode()).hexdigest()


@functools.cache
def _versions() -> list[str]:
    return [importlib.metadata.version(name) for name in ("apache-tvm", "apache-tvm-ffi")]
