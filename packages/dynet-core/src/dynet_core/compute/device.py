"""The device of the process, the CPU or one GPU: it holds all values and parameters, and runs all kernels."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from dynet_kernels import target
from dynet_kernels.families.products import precision
from dynet_kernels.locks import new_lock
from dynet_kernels.machine import library
from dynet_kernels.table import KERNELS

from ..errors import ArgumentError, ArgumentTypeError, DeviceError

if TYPE_CHECKING:
    from dynet_kernels.cuda.driver import Gpu
    from dynet_kernels.cuda.machine import Machine

_machines_lock = new_lock()
_machines: dict[tuple[int, str] | None, library.Library | Machine] = {}  # key: (GPU number, precision) or None: CPU
_gpus: dict[int, Gpu] = {}  # the GPUs opened so far, by number
_gpu: Gpu | None = None  # the GPU in use; None: the CPU
_factors = precision.FLOAT32  # how products round their factors
CHANGE_BLOCKERS: list[Callable[[], str]] = []
"""Functions that can forbid a change of the device. Each returns "" or a reason, such as "parameters had been made",
for the error that `choose` raises."""
CHANGE_LISTENERS: list[Callable[[], None]] = []
"""Functions called after the device has changed, in the thread that changed it."""


def gpu_in_use() -> Gpu | None:
    return _gpu


def name() -> str:
    """Return the name of the device in use: "CPU", or for example "GPU:0"."""
    return "CPU" if _gpu is None else f"GPU:{_gpu.number}"


def check_device(caller: str, device: str) -> None:
    """Check the argument `device` of the public function `caller`: it must be "CPU", "" or the device in use.

    "CPU" is accepted even if a GPU is in use, because the results are the same.

    Raises:
        ArgumentTypeError: `device` is not a string.
        DeviceError: the device does not exist or is not in use.
    """
    if not isinstance(device, str):
        raise ArgumentTypeError(
            f"{caller}: a device is a str such as 'CPU', not {type(device).__name__} {device!r:.40}"
        )
    if device not in ("", "CPU") and device != name():
        raise DeviceError(f"{caller}: {device!r:.40} is not the device in use, which is {name()!r}")


def machine_in_use(*needed_opcodes: int) -> library.Library | Machine:
    """Return the compiled code for the device in use. See `machine_of`."""
    return machine_of(_gpu, *needed_opcodes)


def machine_of(gpu: Gpu | None, *needed_opcodes: int) -> library.Library | Machine:
    """Return the compiled code for a device (None: the CPU), after loading the kernels that ops have needed so far.

    Kernels that cannot be compiled are left out; raise CompileError if `needed_opcodes` has the opcode of one.
    """
    with _machines_lock:
        key = None if gpu is None else (gpu.number, _factors)
        if key in _machines:
            _machines[key].load_used()
        elif gpu is None:
            _machines[key] = library.Library(KERNELS, _factors if _gpu is None else precision.FLOAT32)
        else:
            from dynet_kernels.cuda.machine import Machine

            _machines[key] = Machine(KERNELS, gpu, _factors)
        for opcode in needed_opcodes:
            _machines[key].require(opcode)
        return _machines[key]


def _open(index: int) -> Gpu:
    """Return GPU `index`. Raise DeviceError if this GPU, its driver or a compiler for kernels is missing."""
    if index not in _gpus:
        from dynet_kernels.cuda import compiler, driver

        try:
            opened = driver.Gpu(index)
            compiler.compiler_name()  # raises an error if there is no compiler
        except driver.CudaError as problem:
            raise DeviceError(f"GPU:{index} was asked for, but {problem}") from None
        _gpus[index] = opened
    return _gpus[index]


def choose(index: int) -> None:
    """Use GPU `index` in this process. Raise DeviceError if the GPU, its driver or a compiler for kernels is missing.

    Parameters cannot be moved to the GPU, so raise ArgumentError if any exist.
    """
    global _gpu
    if _gpu is not None and _gpu.number == index:
        return
    for reason in filter(None, [blocker() for blocker in CHANGE_BLOCKERS]):
        raise ArgumentError(f"GPU:{index} was asked for after {reason}; ask for it first")
    _gpu = _open(index)
    _notify_listeners()


def round_factors(tf32: bool = False, bf16: bool | str = False) -> None:
    """Set how matrix products round their factors: to TF32 (on a GPU only), to bfloat16, or not at all.

    `bf16` is True for the instructions of the device, or "emulate" for rounding and float32 on the CPU.

    Raises:
        ArgumentError: both are given, or "emulate" for a GPU.
        DeviceError: the device in use has no instructions for the format.
    """
    global _factors
    if tf32 and bf16:
        raise ArgumentError("factors are rounded to TF32 or to bfloat16, and both were asked for")
    if _gpu is not None:
        factors = _factors_on_gpu(tf32, bf16)
    else:
        if tf32:
            warnings.warn("TF32 was asked for, but it is for GPUs, and the CPU is in use", RuntimeWarning, stacklevel=3)
        factors = precision.EMULATED if bf16 == "emulate" else _bfloat16_of_cpu() if bf16 else precision.FLOAT32
    with _machines_lock:
        previous, _factors = _factors, factors
        if _gpu is None and None in _machines:
            _machines[None].use(factors)  # type: ignore[union-attr]
    if factors != previous:
        _notify_listeners()


def copies_factors() -> bool:
    """Return whether parameters that products read have rounded copies."""
    return _gpu is None and _factors in (precision.AMX, precision.AVX512)


def kernel_title(name: str) -> str:
    """Return the name of a kernel and, if it rounds factors of products, how."""
    return f"{name}, {_factors}" if _factors != precision.FLOAT32 and KERNELS[name].has_factors else name


def _factors_on_gpu(tf32: bool, bf16: bool | str) -> str:
    if not tf32 and not bf16:
        return precision.FLOAT32
    if bf16 == "emulate":
        raise ArgumentError("bf16='emulate' is for the CPU; on a GPU use bf16=True")
    name_of_format, arch = "TF32" if tf32 else "bfloat16", _gpu.arch  # type: ignore[union-attr]
    if int(arch.removeprefix("sm_")) < precision.MIN_ARCH:
        raise DeviceError(
            f"{name_of_format} was asked for, but {name()} is {arch}, and {name_of_format} needs "
            f"sm_{precision.MIN_ARCH} or later"
        )
    return precision.TF32 if tf32 else precision.TENSOR_CORES


def _bfloat16_of_cpu() -> str:
    found, reason = target.bfloat16_of_host()
    if found is None:
        raise DeviceError(
            f"bfloat16 was asked for, but {reason}; bf16='emulate' or --dynet-bf16=emulate rounds the same way and "
            "multiplies in float32, slowly"
        )
    return found


@contextmanager
def using(index: int | None, tf32: bool = False, bf16: bool | str = False) -> Iterator[None]:
    """Change the device in a `with` block, for tests and measurements. A new graph begins at each end of the block.

    `index` is a GPU's index, or None for the CPU. Parameters made outside the block must not be used inside.
    """
    global _gpu, _factors
    previous = _gpu, _factors
    _gpu = None if index is None else _open(index)
    try:
        round_factors(tf32, bf16)
        _notify_listeners()
        yield
    finally:
        _gpu, _factors = previous
        if _gpu is None and None in _machines:
            _machines[None].use(_factors)  # type: ignore[union-attr]
        _notify_listeners()


def _notify_listeners() -> None:
    for listener in CHANGE_LISTENERS:
        listener()


def has_driver() -> bool:
    """Return whether there is a GPU driver. It is not initialized, because the process could then no longer fork."""
    from dynet_kernels.cuda import driver

    try:
        driver._library()
    except driver.NoDriverError:
        return False
    return True


class DeviceInfo:
    """The name, kind and number of a device, as `get_device_info` returns them.

    Args:
        name: the name, "CPU" or a name such as "GPU:0".
        id: the kind of device, not its number: 0 for a CPU, 1 for a GPU.
        dtype: the number of the device: -1 for the CPU, n for GPU:n. The attribute `type` has this value.
    """

    def __init__(self, name: str, id: int, dtype: int):
        self.name: str = name
        self.id: int = id
        self.type: int = dtype


def available_devices() -> list[str]:
    """Return the names of the devices that a program may use: the CPU, and the GPU in use if there is one.

    >>> available_devices()
    ['CPU']
    """
    return ["CPU"] if _gpu is None else ["CPU", name()]


def get_device_info(name: str) -> DeviceInfo:
    """Return the name, kind (`id`) and number (`type`) of a device in `available_devices`; "" means the one in use.

    Raises:
        DeviceError: the device does not exist or is not in use.

    >>> get_device_info("CPU").type
    -1
    """
    check_device("get_device_info", name)
    if _gpu is None or name == "CPU":
        return DeviceInfo("CPU", 0, -1)
    return DeviceInfo(f"GPU:{_gpu.number}", 1, _gpu.number)
