"""Where numbers are kept and computed: on this CPU, or on a GPU."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from dynet_kernels import library
from dynet_kernels.kernels import KERNELS

from .errors import ArgumentError, ArgumentTypeError, DeviceError

if TYPE_CHECKING:
    from dynet_kernels.cuda.driver import Gpu
    from dynet_kernels.cuda.machine import Machine

_lock = threading.RLock()  # the collector of garbage may call what comes here again
_machines: dict[tuple[int, bool] | None, library.Library | Machine] = {}
_gpus: dict[int, Gpu] = {}
_gpu: Gpu | None = None
_tf32 = False
_in_use: list[Callable[[], str]] = []
_changed: list[Callable[[], None]] = []


def refuse_while(reason: Callable[[], str]) -> None:
    """Have `choose` ask a function first; if it gives a reason, such as "parameters had been made", it is too late."""
    _in_use.append(reason)


def on_change(forget: Callable[[], None]) -> None:
    """Have a function called when this thread computes elsewhere from now on."""
    _changed.append(forget)


def gpu() -> Gpu | None:
    """The GPU in use; None is the CPU."""
    return _gpu


def name() -> str:
    """The device in use, as `--dynet-devices` names it."""
    return "CPU" if _gpu is None else f"GPU:{_gpu.number}"


def check_device(caller: str, device: str) -> None:
    """Refuse a device that a user named for one thing, unless it is "CPU", "" or the one in use.

    All of a process is computed on one device; where the numbers of "CPU" are kept makes no difference to a program.

    Raises:
        DeviceError: there is no such device, or it is not in use.
    """
    if not isinstance(device, str):
        raise ArgumentTypeError(
            f"{caller}: a device is a str such as 'CPU', not {type(device).__name__} {device!r:.40}"
        )
    if device not in ("", "CPU") and device != name():
        raise DeviceError(f"{caller}: {device!r:.40} is not the device in use, which is {name()!r}")


def compiled() -> library.Library | Machine:
    """The machine of the device in use, with all kernels that are used by now."""
    return machine_of(_gpu)


def machine_of(gpu: Gpu | None) -> library.Library | Machine:
    """The machine of a GPU or of the CPU (None), with all kernels that are used by now."""
    with _lock:
        key = None if gpu is None else (gpu.number, _tf32)
        if key in _machines:
            _machines[key].load_used()
        elif gpu is None:
            _machines[key] = library.Library(KERNELS)
        else:
            from dynet_kernels.cuda.machine import Machine

            _machines[key] = Machine(KERNELS, gpu, _tf32)
        return _machines[key]


def _open(number: int) -> Gpu:
    """A GPU, with all that is needed to run kernels on it.

    Raises:
        DeviceError: something is missing.
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
    """Use a GPU from now on. Parameters and graphs stay where they were made, so this comes before them.

    Raises:
        DeviceError: there is no such GPU, or what is needed to use it is missing.
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
    """Say whether products on the GPU may round their factors to TF32 from now on.

    Raises:
        DeviceError: the GPU in use has no TF32.
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
    """Use a GPU, or the CPU (None), for the length of a `with` block, in a graph of its own.

    For tests and measurements: parameters made elsewhere must not be used within.
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
    """Whether this machine has the driver of a GPU. It is not started: that would keep processes from forking."""
    from dynet_kernels.cuda import driver

    try:
        driver._library()
    except driver.NoDriverError:
        return False
    return True


class DeviceInfo:
    """What `get_device_info` says of a device.

    Args:
        name: as `--dynet-devices` has it.
        id: what kind it is: 0 is a CPU, 1 a GPU.
        dtype: which it is, as the attribute `type`: -1 is the CPU, n is GPU:n.
    """

    def __init__(self, name: str, id: int, dtype: int):
        self.name: str = name
        self.id: int = id
        self.type: int = dtype


def available_devices() -> list[str]:
    """The names of the devices that a program may name: the CPU, and the GPU in use, if one is.

    >>> available_devices()
    ['CPU']
    """
    return ["CPU"] if _gpu is None else ["CPU", name()]


def get_device_info(name: str) -> DeviceInfo:
    """What there is to know of a device.

    Args:
        name: one of `available_devices`; "" is the device in use.

    Raises:
        DeviceError: there is no such device, or it is not in use.

    >>> get_device_info("CPU").type
    -1
    """
    check_device("get_device_info", name)
    if _gpu is None or name == "CPU":
        return DeviceInfo("CPU", 0, -1)
    return DeviceInfo(f"GPU:{_gpu.number}", 1, _gpu.number)
