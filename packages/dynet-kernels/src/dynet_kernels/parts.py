"""The parts of the library's machine code, each compiled by itself, and the keys under which the cache has them.

A part is the planner, which turns a graph into a list of kernel calls, or a *shard*, which is a group of kernels. Other
modules define further parts, such as the recorder. A part has two keys. The first one is computed without TVM at every
start, from the source files that emit the code. If the cache has nothing under this key, for example because a source
file has changed, the code is emitted, which takes a tenth of the time of compiling. The second key is computed from the
emitted code. If the cache has something under that key, nothing is compiled.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import inspect
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from . import records, shipped_code, sources, tuning
from .kernels import Kernel
from .target import CpuTarget, host_cpu
from .tvm_modules import tvm_ffi


class Part(Protocol):
    """A piece of machine code that is compiled by itself and kept in the cache.

    It also has one of these:

    - `build(path)`, which compiles the part and writes the object file to `path`. It may import TVM.
    - `emit()`, which returns the code before compilation, as an object that has a `key` and a `build` like a part.
      After a change in the sources, such a part is compiled again only if its emitted code has changed.

    It may have `target`, the CPU to compile for (by default this CPU), and `for_target(target)`, which returns the same
    part for another CPU.
    """

    @property
    def name(self) -> str:
        """The part's name in error messages."""
        ...

    @property
    def key(self) -> str:
        """A text that goes into the cache key. Source files, compiler and CPU are added to the key elsewhere.

        So the text must cover everything else that the machine code depends on.
        """
        ...


@dataclass(frozen=True)
class Emitted:
    """Emitted code that is not compiled yet: a module of TIR, TVM's intermediate code, and the CPU it is for."""

    module: Any
    target: CpuTarget

    @property
    def key(self) -> str:
        """A text that goes into the second cache key. It differs for modules whose machine code would differ.

        It contains TVM's structural hash of the module, which covers everything except the names of variables. Imports
        TVM.
        """
        from . import machine

        names = sorted(symbol.name_hint for symbol in self.module.functions)
        settings = (str(self.target.tvm_target()), machine.PASSES, machine.NEEDLESS_ON_CPU, machine.LLVM_OPTIONS)
        compiler = "" if shipped_code.index() else inspect.getsource(machine.compile_cpu)
        return "\n".join([*names, str(tvm_ffi.structural_hash(self.module)), repr(settings), compiler])

    def build(self, path: Path) -> None:
        """Compile the module and write the object file to `path`. Imports TVM."""
        from . import machine

        machine.compile_cpu(self.module, self.target.tvm_target()).write_to_file(str(path))


@dataclass(frozen=True)
class Shard:
    """A group of kernels that are compiled together.

    Args:
        kernels: for each place in the group: (name, kernel).
        target: the CPU to compile for.
        parameters: tile sizes and other tuning parameters with which the code is emitted. By default they are those
            that tuning records (`records.py`) have for the CPU.
    """

    kernels: dict[int, tuple[str, Kernel]]
    target: CpuTarget = field(default_factory=host_cpu)
    parameters: tuning.Cpu = None  # type: ignore[assignment]  # set below

    def __post_init__(self):
        if self.parameters is None:
            object.__setattr__(self, "parameters", records.for_cpu(self.target))

    @property
    def name(self) -> str:
        """The shard's name in error messages: the names of its kernels."""
        return ", ".join(name for name, _ in self.kernels.values())

    @property
    def key(self) -> str:
        """A text with the tuning parameters and the kernels, which goes into the cache key; see `Part.key`."""
        kernels = [f"{place} {name}: {kernel.key}" for place, (name, kernel) in self.kernels.items()]
        return "\n".join([repr(self.parameters), *kernels])

    def for_target(self, target: CpuTarget) -> Shard:
        """Return the same part for another CPU."""
        return Shard(self.kernels, target)

    def emit(self) -> Emitted:
        """Emit the code of the kernels, without compiling it. Imports TVM."""
        from . import machine

        with tuning.using(self.parameters):
            return Emitted(machine.shard_module(self.kernels, self.target.lanes), self.target)


@dataclass(frozen=True)
class Planner:
    """The part that turns graphs into lists of instructions and runs them by calling shards, groups of kernels.

    Args:
        target: the CPU to compile for.
    """

    target: CpuTarget = field(default_factory=host_cpu)
    name = "the planner"
    key = "planner"

    def for_target(self, target: CpuTarget) -> Planner:
        """Return the same part for another CPU."""
        return Planner(target)

    def emit(self) -> Emitted:
        """Emit the code of the planner, without compiling it. Imports TVM."""
        from . import passes

        return Emitted(passes.planner_module(), self.target)


def sources_of(part: Part) -> str:
    """Return a digest of the source files that emit code, with those that define a part and its kernels."""
    kernels = getattr(part, "kernels", {}).values()
    return sources.digest(frozenset([type(part), *(type(kernel) for _, kernel in kernels)]))


def key_of(part: Part, with_versions: bool = True) -> str:
    """Return a part's first cache key: a hash of its own `key`, its source files, TVM's version and the CPU.

    Args:
        with_versions: whether TVM's version goes into the hash. It does not for code that is shipped with the package,
            because any version that is installed can use it.
    """
    sources = "" if shipped_code.index() else sources_of(part)
    return key_of_code(part, sources, part.key, with_versions=with_versions)


def key_of_code(part: Part, *facts: str, with_versions: bool = True) -> str:
    """Return a cache key for a part's machine code: a hash of texts that describe it, of TVM's version and of the CPU.

    Args:
        part: the part. Its `target` is the CPU, by default this one.
        facts: texts that together differ whenever the machine code may differ.
        with_versions: as in `key_of`.
    """
    versions, target = _versions() if with_versions else [], getattr(part, "target", None) or host_cpu()
    return hashlib.sha256("\n".join([*facts, *versions, repr(target)]).encode()).hexdigest()


@functools.cache
def _versions() -> list[str]:
    # The index stands for the sources of a frozen program.
    return [*shipped_code.index().values(), *map(importlib.metadata.version, ("apache-tvm", "apache-tvm-ffi"))]
