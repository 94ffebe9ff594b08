"""Determines the CPU to compile for: exactly this CPU, or a *general kind* of CPUs with certain features.

This module does not import TVM, which takes a second, because the cache needs the CPU at every start.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import platform
from dataclasses import dataclass
from typing import Any

from .families.products import precision
from .tvm_modules import tvm

# The general kinds, best first: name in DYNET_CPU -> (LLVM's name, the number of float32s in a vector register, the
# features that a CPU of this kind must have). LLVM has no name for the first, but for EXTRA_ATTRIBUTES.
_AVX2_FEATURES = frozenset("abm avx avx2 bmi1 bmi2 f16c fma movbe".split())
_AVX512_FEATURES = _AVX2_FEATURES | frozenset("avx512bw avx512cd avx512dq avx512f avx512vl".split())
BF16 = "avx512_bf16"
_KINDS = {
    BF16: ("x86-64-v4-bf16", 16, _AVX512_FEATURES | {"avx512_bf16", "avx512_vnni"}),
    "avx512": ("x86-64-v4", 16, _AVX512_FEATURES),
    "avx2": ("x86-64-v3", 8, _AVX2_FEATURES),
    "generic": ("x86-64", 4, frozenset()),
}
# LLVM uses AMX only where code asks for it, which is not run on a CPU without AMX.
EXTRA_ATTRIBUTES = ["+avx512bf16", "+avx512vnni", "+amx-tile", "+amx-bf16"]

NATIVE = "native"  # the kind of a target that is exactly this CPU

# An option that keeps LLVM from inlining kernels into the function that calls them. Otherwise, a module would be one
# function of 150 kB, in which a kernel can become half as fast because another kernel has grown.
NO_INLINING = "-inline-instr-cost:int=10000"

# Entries of /proc/cpuinfo that identify a CPU. Others, such as the clock rate or microcode, change over time.
_LASTING_ENTRIES = ["vendor_id", "cpu family", "model", "stepping"]
_LASTING_ENTRIES += [f"CPU {name}" for name in ("implementer", "architecture", "variant", "part")]


@dataclass(frozen=True)
class CpuTarget:
    """A CPU to compile for.

    Args:
        machine: the architecture and operating system, such as `x86_64-linux`.
        identity: a string that differs between CPUs that need different machine code. The cache key depends on it.
        lanes: the number of float32s in a vector register.
        kind: `native` for exactly this CPU, or a general kind, such as `avx2`.
    """

    machine: str
    identity: str
    lanes: int
    kind: str = NATIVE

    def tvm_target(self) -> Any:
        # For another machine, which then runs Linux (see BUILD_TARGETS), give LLVM's name of architecture and system.
        options: dict[str, Any] = {}
        if self.machine != read_cpu()[0]:
            options["mtriple"] = self.machine.replace("-", "-unknown-") + "-gnu"

        if self.kind == BF16:
            options["mattr"] = EXTRA_ATTRIBUTES

        def llvm_target(mcpu: str) -> Any:
            return tvm.target.Target({"kind": "llvm", "mcpu": mcpu, "cl-opt": [NO_INLINING], **options})

        codegen = tvm.target.codegen
        # The last of these kinds requires the fewest features.
        *_, baseline = [mcpu for mcpu, lanes, _ in _KINDS.values() if lanes == self.lanes]
        if not self.machine.startswith("x86_64"):
            return llvm_target("generic" if self.kind == "generic" else codegen.llvm_get_system_cpu())
        if self.kind != NATIVE:
            return llvm_target(baseline)
        # LLVM infers the features from the CPU's model, but a virtual machine may hide some features, and the model may
        # be too new for LLVM. In these cases, compile for the general kind with the same register width.
        native = llvm_target(codegen.llvm_get_system_cpu())
        has_features = codegen.target_has_features
        lanes = 16 if has_features("avx512f", native) else 8 if has_features(["avx2", "fma"], native) else 4
        return native if lanes == self.lanes else llvm_target(baseline)


@functools.cache
def host_cpu() -> CpuTarget:
    """Return this machine's CPU, or the general kind that the environment variable DYNET_CPU names.

    Raises:
        ValueError: DYNET_CPU is not `native`, `avx512`, `avx2` or `generic`, or this CPU is not of that kind.
    """
    return target_for(os.environ.get("DYNET_CPU", ""), *read_cpu())


def target_for(kind: str, machine: str, model: str, features: frozenset[str]) -> CpuTarget:
    """Return the target for a value of DYNET_CPU on the CPU that `read_cpu` describes, or raise a ValueError."""
    if kind in ("", NATIVE):
        lanes = 16 if "avx512f" in features else 8 if {"avx2", "fma"} <= features else 4
        description = "\n".join([model, *sorted(features)])
        digest = hashlib.sha256(description.encode()).hexdigest()[:16]
        return CpuTarget(machine, f"{machine} native {digest}", lanes)
    if kind not in _KINDS:
        raise ValueError(f"DYNET_CPU is {kind!r}: use one of {', '.join([NATIVE, *_KINDS])}, or leave it unset.")
    lacking = sorted(_KINDS[kind][2] - features)
    if lacking:
        raise ValueError(f"DYNET_CPU is {kind!r}, but this CPU ({machine}) lacks {', '.join(lacking)}.")
    return general_target(kind, machine)


def general_target(kind: str, machine: str) -> CpuTarget:
    """Return the target for a general kind of CPU. `machine` is the architecture and system, as in `x86_64-linux`."""
    return CpuTarget(machine, f"{machine} {kind}", _KINDS[kind][1], kind)


def host_general_targets() -> list[CpuTarget]:
    """Return the targets of the general kinds to which this CPU belongs, best first. A wheel may have code for them."""
    machine, _, features = read_cpu()
    kinds = _KINDS if machine.startswith("x86_64") else ["generic"]
    return [general_target(kind, machine) for kind in kinds if _KINDS[kind][2] <= features]


# NAME -> the target for which `python -m dynet_kernels.build --for NAME` compiles.
BUILD_TARGETS = {name: general_target(kind, "x86_64-linux") for kind, (name, *_) in _KINDS.items()}
BUILD_TARGETS["aarch64"] = general_target("generic", "aarch64-linux")


def precisions_of(target: CpuTarget) -> list[str]:
    """Return how products on a CPU may round their factors, without "emulated"."""
    if target.kind == BF16:
        return [precision.FLOAT32, precision.AMX, precision.AVX512]
    of_host = bfloat16_of_host()[0] if target == host_cpu() else None
    return [precision.FLOAT32, of_host] if of_host else [precision.FLOAT32]


@functools.cache
def bfloat16_of_host() -> tuple[str | None, str]:
    """Return how this CPU multiplies bfloat16s, a value of `families.products.precision`, or None and the reason."""
    _, _, features = read_cpu()
    if host_cpu().kind not in (NATIVE, BF16):
        return None, f"DYNET_CPU is {host_cpu().kind!r}: code for this kind of CPU has no instructions for it"
    if host_cpu().lanes == 16 and "avx512_bf16" in features:
        return precision.AMX if "amx_bf16" in features and _may_use_tiles() else precision.AVX512, ""
    return None, "this CPU has no instructions for it, AVX512-BF16"


def _may_use_tiles() -> bool:
    """Ask Linux for the use of AMX's tiles in this process."""
    request_permission, tile_data, system_call = 0x1023, 18, 158
    return ctypes.CDLL(None).syscall(system_call, request_permission, tile_data) == 0


@functools.cache
def read_cpu() -> tuple[str, str, frozenset[str]]:
    """Return (architecture and system as in `x86_64-linux`, model, known features of the CPU by Linux's names)."""
    architecture = platform.machine().lower()
    architecture = {"amd64": "x86_64", "arm64": "aarch64"}.get(architecture, architecture)
    system = platform.system().lower()
    if system == "linux":
        model, features = _read_cpu_on_linux()
    elif system == "darwin":
        model, features = _read_cpu_on_darwin()
    else:
        model, features = platform.processor(), frozenset()
    return f"{architecture}-{system}", model, features


def _read_cpu_on_linux(path: str = "/proc/cpuinfo") -> tuple[str, frozenset[str]]:
    entries: dict[str, str] = {}
    try:
        with open(path, encoding="utf-8", errors="replace") as lines:
            for line in lines:
                if not line.strip():
                    break  # read only the first core's entries, because the file is slow to read with many cores
                name, _, value = line.partition(":")
                entries[name.strip()] = value.strip()
    except OSError:
        pass
    model = "\n".join(f"{name}: {entries[name]}" for name in _LASTING_ENTRIES if name in entries)
    return model, frozenset((entries.get("flags") or entries.get("Features") or "").split())


def _read_cpu_on_darwin() -> tuple[str, frozenset[str]]:
    words = " ".join(_sysctl(f"machdep.cpu.{name}") for name in ("features", "leaf7_features", "extfeatures"))
    linux_names = {"lzcnt": "abm", "avx1.0": "avx"}
    features = frozenset(linux_names.get(word, word) for word in words.lower().split())
    return _sysctl("machdep.cpu.brand_string"), features


def _sysctl(name: str) -> str:
    """Return the string that macOS's `sysctl` has under this name, or "" if it has none."""
    sysctl = ctypes.CDLL(None).sysctlbyname
    size = ctypes.c_size_t()
    rest = ctypes.byref(size), None, ctypes.c_size_t()
    if sysctl(name.encode(), None, *rest):
        return ""
    text = ctypes.create_string_buffer(size.value)
    if sysctl(name.encode(), text, *rest):
        return ""
    return text.value.decode(errors="replace")
