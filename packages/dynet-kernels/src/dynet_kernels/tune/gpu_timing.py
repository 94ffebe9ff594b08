"""Compiles kernels for a GPU with given tuning parameters, and times them there, by the GPU's own clock."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Sequence

import numpy as np

from .. import tuning, tuning_records
from ..cuda import codegen, compiler, driver
from ..cuda.machine import LAUNCH_SHARD, Context, Launch, symbol_of
from ..kernels import Kernel
from ..machine.modules import compile_cpu
from ..target import host_cpu
from ..tuning import Parameters
from .timing import Candidate, Timer, Workload


class OnGpu(Candidate):
    """A candidate for a GPU. `launch` is from `codegen.launch_module`; `handles` are the kernels' at the driver."""

    def __init__(self, parameters: Parameters, kernels: Iterable[str], timer: GpuTimer, launch, handles: list[int]):
        super().__init__(parameters, kernels, launch)
        self._timer, self._device = timer, Launch(handles)

    def once(self, workload: Workload, rows: int = 1) -> float:
        timer, tape = self._timer, workload.tape(self.opcodes[workload.kernel], rows)
        context = Context(tape=tape.ctypes.data, tape_count=rows, table=workload.table.ctypes.data)
        _, self._device.index = timer.copy(workload)
        timer.watch.start()
        self.run(ctypes.addressof(context), ctypes.addressof(self._device))
        seconds = timer.watch.stop()
        self._device.check(workload.kernel)
        return seconds

    def reset(self, workload: Workload) -> None:
        addresses, _ = self._timer.copy(workload)
        for address, array in zip(addresses, workload.start, strict=True):
            self._timer.gpu.upload(address, array)

    def arrays(self, workload: Workload) -> Sequence[np.ndarray]:
        found = [np.empty_like(array) for array in workload.start]
        addresses, _ = self._timer.copy(workload)
        for address, array in zip(addresses, found, strict=True):
            self._timer.gpu.download(address, array)
        return found


class GpuTimer(Timer):
    registers = 0

    def __init__(self, gpu: driver.Gpu):
        self.gpu, self.watch, self.target = gpu, driver.Stopwatch(gpu), gpu.arch
        self._copies: dict[str, tuple[list[int], int]] = {}

    def copy(self, workload: Workload) -> tuple[list[int], int]:
        """Return the GPU addresses of a workload's arrays and address lists, by its label. They are never freed."""
        if workload.label not in self._copies:
            arrays = [self.gpu.allocate(array.nbytes) for array in workload.start]
            lists = workload.index_of(arrays)
            index = self.gpu.allocate(lists.nbytes)
            self.gpu.upload(index, lists)
            self._copies[workload.label] = arrays, index
        return self._copies[workload.label]

    def compiled(self, kernels: dict[str, Kernel], family: str = "", values: Parameters | None = None) -> Candidate:
        values = values or tuning_records.for_cuda(self.gpu.arch)
        assert isinstance(values, tuning.Cuda)
        pairs = codegen.pairs(dict(enumerate(kernels.items())))
        with tuning.using(values):
            source, module = codegen.device_source(pairs), codegen.launch_module(pairs, LAUNCH_SHARD)
        loaded = self.gpu.load(compiler.compile(source, self.target))
        launch = compile_cpu(module, host_cpu().tvm_target())[LAUNCH_SHARD]
        handles = [loaded.function(symbol_of(name)) for name in kernels]
        return OnGpu(values, kernels, self, launch, handles)
