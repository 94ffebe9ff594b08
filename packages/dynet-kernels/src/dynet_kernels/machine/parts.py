"""The parts of the machine code, which are compiled separately, and the two keys in the cache of those with `emit`.

The first key is computed at every start, without TVM, from the source files that emit the code. If nothing is cached
under this key, the code is emitted, which takes a tenth of the time of compiling, and the second key is computed from
the emitted code. If nothing is cached under the second key either, the code is compiled.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import inspect
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from .. import tuning, tuning_records
from ..cache import shipped_code, sources
from ..families.products import precision
from ..kernels import Kernel
from ..target import CpuTarget, host_cpu
from ..tvm_modules import tvm_ffi


class Part(Protocol):
    """A piece of machine code that is compiled separately and kept in the cache.

    It also has one of these methods:

    - `build(path)` compiles the part and writes the object file to `path`. It may import TVM.
    - `emit()` returns the code before compilation, as an object with a `key` and a `build` like those of a part. After
      a change in the sources, a part with `emit` is compiled again only if its emitted code has changed.

    Optional: `target`, the CPU to compile for (by default this CPU); `for_target(target)`, the same part for another.
    """

    @property
    def name(self) -> str:
        """The part's name in error messages."""
        ...

    @property
    def key(self) -> str:
        """Text for the cache key. It covers all that the code depends on, except source files, compiler and CPU."""
        ...


@dataclass(frozen=True)
class EmittedCode:
    """Emitted code that is not compiled yet: a module of TIR (TVM's intermediate code), and the CPU that it is for."""

    module: Any
    target: CpuTarget

    @property
    def key(self) -> str:
        """Text for the second cache key. It has TVM's structural hash, which ignores variable names. Imports TVM."""
        from . import modules

        names = sorted(symbol.name_hint for symbol in self.module.functions)
        settings = (str(self.target.tvm_target()), modules.PASS_CONFIG, modules.NEEDLESS_ON_CPU, modules.LLVM_OPTIONS)
        compiler = "" if shipped_code.index() else inspect.getsource(modules.compile_cpu)
        return "\n".join([*names, str(tvm_ffi.structural_hash(self.module)), repr(settings), compiler])

    def build(self, path: Path) -> None:
        """Compile the module and write the object file to `path`. Imports TVM."""
        from . import modules

        modules.compile_cpu(self.module, self.target.tvm_target()).write_to_file(str(path))


def has_factors(kernels: dict[int, tuple[str, Kernel]]) -> bool:
    """Return whether the code of a shard depends on how factors of products are rounded."""
    return any(kernel.has_factors for _, kernel in kernels.values())


@dataclass(frozen=True)
class Shard:
    """Kernels that are compiled together. `kernels` has (name, kernel) for each slot, the kernel's index in the shard.

    `parameters` are the tile sizes and other tuning parameters with which the code is emitted, by default those that
    tuning records (`tuning_records.py`) have for the CPU. `factors` is a value of `families.products.precision`.
    """

    kernels: dict[int, tuple[str, Kernel]]
    target: CpuTarget = field(default_factory=host_cpu)
    parameters: tuning.Cpu = None  # type: ignore[assignment]  # `__post_init__` replaces None
    factors: str = precision.FLOAT32

    def __post_init__(self):
        if not has_factors(self.kernels):
            object.__setattr__(self, "factors", precision.FLOAT32)
        if self.parameters is None:
            object.__setattr__(self, "parameters", tuning_records.for_cpu(self.target))

    @property
    def name(self) -> str:
        return ", ".join(name for name, _ in self.kernels.values())

    @property
    def key(self) -> str:
        """Text with the tuning parameters and the kernels; see `Part.key`."""
        kernels = [f"{slot} {name}: {kernel.key}" for slot, (name, kernel) in self.kernels.items()]
        return "\n".join([repr(self.parameters), *kernels, self.factors])

    def for_target(self, target: CpuTarget) -> Shard:
        return Shard(self.kernels, target, factors=self.factors)

    def emit(self) -> EmittedCode:
        from . import modules

        with tuning.using(self.parameters), precision.using(self.factors), self.target.tvm_target():
            return EmittedCode(modules.shard_module(self.kernels, self.target.lanes), self.target)


@dataclass(frozen=True)
class Planner:
    """The part that turns graphs into tapes, and runs these by calling shards."""

    target: CpuTarget = field(default_factory=host_cpu)
    name = "the planner"
    key = "planner"

    def for_target(self, target: CpuTarget) -> Planner:
        return Planner(target)

    def emit(self) -> EmittedCode:
        from . import planner

        return EmittedCode(planner.planner_module(), self.target)


def source_digest(part: Part) -> str:
    """Return a digest of the source files that emit code, including those of the classes of a part and its kernels."""
    kernels = [kernel for _, kernel in getattr(part, "kernels", {}).values()]
    return sources.digest(frozenset(map(type, [part, *kernels])))


def key_of(part: Part, with_versions: bool = True) -> str:
    """Return a part's first cache key. `with_versions` is False for shipped code, which works with any TVM version."""
    digest = "" if shipped_code.index() else source_digest(part)  # a bundled program lacks sources: see `_versions`
    return key_of_code(part, digest, part.key, with_versions=with_versions)


def key_of_code(part: Part, *facts: str, with_versions: bool = True) -> str:
    """Return a hash of TVM's version, the CPU and `facts`: texts that differ whenever the machine code may differ."""
    versions = _versions() if with_versions else []
    target = getattr(part, "target", None) or host_cpu()
    return hashlib.sha256("\n".join([*facts, *versions, repr(target)]).encode()).hexdigest()


@functools.cache
def _versions() -> list[str]:
    # A bundled program (see `shipped_code.py`) has no sources, so its keys depend on those in the index of the wheel.
    return [*shipped_code.index().values(), *map(importlib.metadata.version, ("apache-tvm", "apache-tvm-ffi"))]
