"""The device of the process: the CPU or one GPU. All values and parameters are in its memory; all kernels run on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from dynet_kernels import library
from dynet_kernels.locks import new_lock
from dynet_kernels.table import KERNELS

from .errors import ArgumentError, ArgumentTypeError, DeviceError

if TYPE_CHECKING:
    from dynet_kernels.cuda.driver import Gpu
    from dynet_kernels.cuda.machine import Machine

_lock = new_lock()
_machines: dict[tuple[int, bool] | None, library.Library | Machine] = {}
_gpus: dict[int, Gpu] = {}
_gpu: Gpu | None = None
_tf32 = False
_in_use: list[Callable[[], str]] = []
_changed: list[Callable[[], None]] = []


def refuse_while(reason: Callable[[], str]) -> None:
    """Register a function that can forbid a change of the device. `choose` calls it before it changes to a GPU.

    Args:
        reason: the function. It returns "" if the device may still change. Otherwise it returns the reason why not,
            such as "parameters had been made", and `choose` raises an error that contains this text.
    """
    _in_use.append(reason)


def on_change(forget: Callable[[], None]) -> None:
    """Register a function that is called after the device has changed, in the thread that changed it."""
    _changed.append(forget)


def gpu() -> Gpu | None:
    """Return the GPU in use, or None for the CPU."""
    return _gpu


def name() -> str:
    """Return the name of the device in use, "CPU" or a name such as "GPU:0"."""
    return "CPU" if _gpu is None else f"GPU:{_gpu.number}"


def check_device(caller: str, device: str) -> None:
    """Check the argument `device` of a public function. Allowed are "CPU", "" and the device in use.

    A process computes everything on one device. "CPU" is accepted even if the device in use is a GPU, because the
    results are the same.

    Args:
        caller: the name of the public function, for error messages.
        device: what the user passed.

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


def compiled(*needed: int) -> library.Library | Machine:
    """Return the compiled code for the device in use; the arguments are as for `machine_of`."""
    return machine_of(_gpu, *needed)


def machine_of(gpu: Gpu | None, *needed: int) -> library.Library | Machine:
    """Return the compiled code for a device, after loading the kernels that ops have needed so far.

    Args:
        gpu: the GPU; None for the CPU.
        needed: opcodes of kernels that must be loaded. Others are left out if they cannot be compiled.

    Raises:
        CompileError: one of `needed` cannot be compiled.
        CacheError: nothing can be loaded.
    """
    with _lock:
        key = None if gpu is None else (gpu.number, _tf32)
        if key in _machines:
            _machines[key].load_used()
        elif gpu is None:
            _machines[key] = library.Library(KERNELS)
        else:
            from dynet_kernels.cuda.machine import Machine

            _machines[key] = Machine(KERNELS, gpu, _tf32)
        for opcode in needed:
            _machines[key].require(opcode)
        return _machines[key]


def _open(number: int) -> Gpu:
    """Return the `Gpu` object for GPU `number`. Check that the GPU and a compiler for its kernels are there.

    Raises:
        DeviceError: the GPU, its driver or the compiler is missing.
    """
    if number not in _gpus:
        from dynet_kernels.cuda import compiler, driver

        try:
            found = driver.Gpu(number)
            compiler.name()
        except driver.CudaError as problem:
            raise DeviceError(f"GPU:{number} was asked for, but {problem}") from None
        _gpus[number] = found
    return _gpus[number]


def choose(number: int) -> None:
    """Use GPU `number` from now on. Parameters cannot be moved to it, so call this before any parameter is made.

    Raises:
        DeviceError: the GPU, its driver or the compiler is missing.
        ArgumentError: parameters have been made already.
    """
    global _gpu
    if _gpu is not None and _gpu.number == number:
        return
    for reason in filter(None, [ask() for ask in _in_use]):
        raise ArgumentError(f"GPU:{number} was asked for after {reason}; ask for it first")
    _gpu = _open(number)
    _has_changed()


def allow_tf32(allowed: bool = True) -> None:
    """Set whether matrix products on the GPU may round their inputs to TF32, a faster float format of 19 bits.

    Raises:
        DeviceError: the GPU in use is too old for TF32.
    """
    global _tf32
    if allowed and _gpu is not None:
        from dynet_kernels.cuda.precision import FIRST

        if int(_gpu.arch.removeprefix("sm_")) < FIRST:
            raise DeviceError(f"TF32 was asked for, but {name()} is {_gpu.arch}, and it takes sm_{FIRST} or later")
    _tf32 = allowed
    _has_changed()


@contextmanager
def use(number: int | None, tf32: bool = False) -> Iterator[None]:
    """Return a context manager that changes the device in its `with` block, for tests and measurements.

    A new graph begins at both ends of the block. Parameters made outside the block must not be used inside.

    Args:
        number: the number of the GPU to use, or None for the CPU.
        tf32: whether matrix products may round their inputs, as for `allow_tf32`.
    """
    global _gpu, _tf32
    before = _gpu, _tf32
    _gpu = None if number is None else _open(number)
    try:
        allow_tf32(tf32)
        yield
    finally:
        _gpu, _tf32 = before
        _has_changed()


def _has_changed() -> None:
    for forget in _changed:
        forget()


def has_driver() -> bool:
    """Return whether this machine has a GPU driver.

    The driver is not initialized, because a process that has initialized it cannot fork any more.
    """
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
        dtype: the number of the device: -1 for the CPU, n for GPU:n. The object has it as the attribute `type`.
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
    """Return the name, kind and number of a device.

    Args:
        name: one of `available_devices`; "" means the device in use.

    Raises:
        DeviceError: the device does not exist or is not in use.

    >>> get_device_info("CPU").type
    -1
    """
    check_device("get_device_info", name)
    if _gpu is None or name == "CPU":
        return DeviceInfo("CPU", 0, -1)
    return DeviceInfo(f"GPU:{_gpu.number}", 1, _gpu.number)
