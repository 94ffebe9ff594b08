"""The compiled machine for this CPU: taken from the cache, built when it is not there."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
from pathlib import Path

from . import cache
from .kernels import Kernels
from .target import CpuTarget, host_cpu

FUNCTIONS = ("forward", "backward", "gradient_norm", "update", "run", "plan_forward", "plan_backward")


class Library:
    """The functions of one compiled machine, as attributes."""

    def __init__(self, module):
        for name in FUNCTIONS:
            setattr(self, name, module.get_function(name))

    forward: object
    backward: object
    gradient_norm: object
    update: object
    run: object
    plan_forward: object
    plan_backward: object


@functools.cache
def _sources() -> str:
    """A digest of all that emits code."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def key_of(kernels: Kernels, target: CpuTarget) -> str:
    """What machine code depends on: sources, ops, compiler and CPU."""
    versions = [importlib.metadata.version(name) for name in ("apache-tvm", "apache-tvm-ffi")]
    facts = "\n".join([_sources(), kernels.key, *versions, repr(target)])
    return hashlib.sha256(facts.encode()).hexdigest()


def load(kernels: Kernels) -> Library:
    """The machine that runs `kernels` on this CPU."""
    target = host_cpu()

    def build(path: Path) -> None:
        from .machine import compile_cpu

        compile_cpu(kernels, target.lanes, target.tvm_target()).write_to_file(str(path))

    return Library(cache.load_or_build(key_of(kernels, target), build))
