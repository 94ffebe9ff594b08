"""The compiled machine for this CPU: taken from the cache, built when it is not there."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from . import cache
from .kernels import Kernels, shards_of
from .target import CpuTarget, host_cpu

FUNCTIONS = ("forward", "backward", "gradient_norm", "update", "run", "plan_forward", "plan_backward")


class Library:
    """The functions of one compiled machine, as attributes."""

    def __init__(self, module):
        for name in FUNCTIONS:
            setattr(self, name, module.get_function(name))

    forward: Callable[..., None]
    backward: Callable[..., None]
    gradient_norm: Callable[..., None]
    update: Callable[..., None]
    run: Callable[..., None]
    plan_forward: Callable[..., None]
    plan_backward: Callable[..., None]


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
    return Library(cache.load_or_build(key_of(kernels, target), lambda path: build(kernels, path)))


def build(kernels: Kernels, path: Path) -> None:
    """Compile the machine into one file, its parts side by side in processes of their own."""
    parts = shards_of(kernels) + 1

    def compiled(part: int) -> bytes:
        own = path.with_suffix(f".{part}.o")
        _compile_in_child(kernels, part, own)
        return own.read_bytes()

    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        path.write_bytes(cache.joined(list(pool.map(compiled, range(parts)))))


def compile_part(kernels: Kernels, part: int, path: Path) -> None:
    """Compile one part of the machine for this CPU into an object file. Imports TVM."""
    from . import machine

    target = host_cpu()
    machine.compile_part(kernels, part, target.lanes, target.tvm_target()).write_to_file(str(path))


def _compile_in_child(kernels: Kernels, part: int, path: Path) -> None:
    if not sys.executable:
        compile_part(kernels, part, path)
        return
    work = json.dumps(sys.path).encode() + b"\n" + pickle.dumps((kernels, part, path))
    done = subprocess.run([sys.executable, "-c", CHILD], input=work, capture_output=True)
    if done.returncode:
        raise cache.CacheError(f"compiling kernels failed:\n{done.stderr.decode(errors='replace')}")


CHILD = """
import json, pickle, sys
sys.path[:] = json.loads(sys.stdin.buffer.readline())
from dynet_kernels import library
library.compile_part(*pickle.load(sys.stdin.buffer))
"""
