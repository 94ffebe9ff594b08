"""Where numbers are kept and computed: on this CPU, or on a GPU."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from dynet_kernels import library
from dynet_kernels.kernels import KERNELS

from .errors import ArgumentError, DeviceError

if TYPE_CHECKING:
    from dynet_kernels.cuda.driver import Gpu
    from dynet_kernels.cuda.machine import Machine

_lock = threading.Lock()
_machines: dict[int | None, library.Library | Machine] = {}
_gpus: dict[int, Gpu] = {}
_gpu: Gpu | None = None


def gpu() -> Gpu | None:
    """The GPU in use; None is the CPU."""
    return _gpu


def name() -> str:
    """The device in use, as `--dynet-devices` names it."""
    return "CPU" if _gpu is None else f"GPU:{_gpu.number}"


def compiled() -> library.Library | Machine:
    """The machine of the device in use, with all kernels that are used by now."""
    return machine_of(_gpu)


def machine_of(gpu: Gpu | None) -> library.Library | Machine:
    """The machine of a GPU or of the CPU (None), with all kernels that are used by now."""
    with _lock:
        key = None if gpu is None else gpu.number
        if key in _machines:
            _machines[key].load_used()
        elif gpu is None:
            _machines[key] = library.Library(KERNELS)
        else:
            from dynet_kernels.cuda.machine import Machine

            _machines[key] = Machine(KERNELS, gpu)
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
    from .engine import PARAMETER_ROWS

    if _gpu is not None and _gpu.number == number:
        return
    if PARAMETER_ROWS.rows:
        raise ArgumentError(f"GPU:{number} was asked for after parameters had been made; ask for it first")
    _gpu = _open(number)
    _forget_graph()


@contextmanager
def use(number: int | None) -> Iterator[None]:
    """Use a GPU, or the CPU (None), for the length of a `with` block, in a graph of its own.

    For tests and measurements: parameters made elsewhere must not be used within.
    """
    global _gpu
    before = _gpu
    _gpu = None if number is None else _open(number)
    _forget_graph()
    try:
        yield
    finally:
        _gpu = before
        _forget_graph()


def _forget_graph() -> None:
    """Have this thread begin a graph, with buffers on the device in use."""
    from .graph import renew, thread

    if hasattr(thread, "graph"):
        renew()
        del thread.graph
