"""Calls to the CUDA driver through ctypes: memory, modules and timing on a GPU. Needs no CUDA toolkit and no TVM."""

from __future__ import annotations

import ctypes
import functools
import os
import sys
import threading

import numpy as np

LIBRARY = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
COMPUTE_MAJOR, COMPUTE_MINOR = 75, 76  # values of the driver's enum CUdevice_attribute, for the compute capability
OUT_OF_MEMORY = 2  # a value of the driver's enum CUresult

u32, u64, size_t, handle, text = ctypes.c_uint, ctypes.c_uint64, ctypes.c_size_t, ctypes.c_void_p, ctypes.c_char_p
pointer_to = ctypes.POINTER
# Name of a driver function -> the types of its arguments. The function writes its results through the pointers.
ARGUMENT_TYPES = {
    "cuInit": (u32,),
    "cuDeviceGetCount": (pointer_to(ctypes.c_int),),
    "cuDeviceGet": (pointer_to(ctypes.c_int), ctypes.c_int),
    "cuDeviceGetName": (text, ctypes.c_int, ctypes.c_int),
    "cuDeviceGetAttribute": (pointer_to(ctypes.c_int), ctypes.c_int, ctypes.c_int),
    "cuDevicePrimaryCtxRetain": (pointer_to(handle), ctypes.c_int),
    "cuCtxSetCurrent": (handle,),
    "cuCtxSynchronize": (),
    "cuMemAlloc_v2": (pointer_to(u64), size_t),
    "cuMemFree_v2": (u64,),
    "cuMemGetInfo_v2": (pointer_to(size_t), pointer_to(size_t)),
    "cuMemcpyHtoD_v2": (u64, handle, size_t),
    "cuMemcpyDtoH_v2": (handle, u64, size_t),
    "cuMemcpyDtoD_v2": (u64, u64, size_t),
    "cuMemsetD32_v2": (u64, u32, size_t),
    "cuModuleLoadData": (pointer_to(handle), ctypes.c_char_p),
    "cuModuleGetFunction": (pointer_to(handle), handle, text),
    "cuEventCreate": (pointer_to(handle), u32),
    "cuEventRecord": (handle, handle),
    "cuEventSynchronize": (handle,),
    "cuEventElapsedTime": (pointer_to(ctypes.c_float), handle, handle),
    "cuEventDestroy_v2": (handle,),
    "cuGetErrorName": (ctypes.c_int, pointer_to(text)),
    "cuGetErrorString": (ctypes.c_int, pointer_to(text)),
}


class CudaError(RuntimeError):
    """The CUDA driver or a compiler reports an error, or one of them is missing."""


class NoDriverError(CudaError):
    """There is no NVIDIA driver, or it finds no GPU that it can use."""


@functools.cache
def _library() -> ctypes.CDLL:
    """Load the driver's library, with global symbols, so that compiled code finds its function `cuLaunchKernel`."""
    try:
        library = ctypes.CDLL(LIBRARY, mode=ctypes.RTLD_GLOBAL)
    except OSError as problem:
        raise NoDriverError(f"the NVIDIA driver is missing: {LIBRARY} cannot be loaded ({problem})") from None
    for name, arguments in ARGUMENT_TYPES.items():
        getattr(library, name).argtypes = arguments
    return library


def explain(status: int) -> str:
    """Return the driver's name and description of an error status."""
    texts = []
    for function in (_library().cuGetErrorName, _library().cuGetErrorString):
        result = text()
        function(status, ctypes.byref(result))
        texts.append((result.value or b"unknown").decode(errors="replace"))
    return ": ".join(texts)


def call(name: str, *arguments) -> None:
    """Call a driver function. Raise CudaError if it returns an error status."""
    status = getattr(_library(), name)(*arguments)
    if status:
        raise CudaError(f"{name}: {explain(status)} ({status})")


def _int_of(name: str, *arguments) -> int:
    """Return the int that a driver function stores through its first argument, a pointer."""
    result = ctypes.c_int()
    call(name, ctypes.byref(result), *arguments)
    return result.value


@functools.cache
def gpu_count() -> int:
    """Return the number of GPUs that the driver finds. Raise NoDriverError if there is none."""
    status = _library().cuInit(0)
    if status:
        raise NoDriverError(f"the NVIDIA driver finds no GPU it can use: cuInit says {explain(status)} ({status})")
    count = _int_of("cuDeviceGetCount")
    if not count:
        raise NoDriverError("the NVIDIA driver finds no GPU")
    return count


class Gpu:
    """GPU number `number` of the driver, which counts from 0. It copies and computes in the order of the calls."""

    def __init__(self, number: int = 0):
        count = gpu_count()
        if not 0 <= number < count:
            raise NoDriverError(f"there is no GPU {number}: the NVIDIA driver knows {count}")
        self.number = number
        self._owner_pid = os.getpid()  # to recognize a forked process, which cannot use the GPU or free its memory
        self._device = _int_of("cuDeviceGet", number)
        self._context = handle()
        call("cuDevicePrimaryCtxRetain", ctypes.byref(self._context), self._device)
        self._thread_local = threading.local()

    @property
    def name(self) -> str:
        buffer = ctypes.create_string_buffer(256)  # room for the name, in bytes
        call("cuDeviceGetName", buffer, len(buffer), self._device)
        return buffer.value.decode(errors="replace")

    @functools.cached_property
    def arch(self) -> str:
        """The kind of this GPU as compilers name it, such as `sm_90` for compute capability 9.0."""
        major, minor = (_int_of("cuDeviceGetAttribute", code, self._device) for code in (COMPUTE_MAJOR, COMPUTE_MINOR))
        return f"sm_{major}{minor}"

    def enter(self) -> None:
        """Let this thread's calls of the driver use this GPU. Methods that need this call `enter` first."""
        if os.getpid() != self._owner_pid:
            raise CudaError("a forked process cannot use its parent's GPU: start it with `spawn`")
        if not hasattr(self._thread_local, "entered"):
            call("cuCtxSetCurrent", self._context)
            self._thread_local.entered = True

    def allocate(self, size: int) -> int:
        self.enter()
        address = u64()
        status = _library().cuMemAlloc_v2(ctypes.byref(address), max(size, 4))  # the driver refuses 0 bytes
        if status == OUT_OF_MEMORY:
            free, total = size_t(), size_t()
            call("cuMemGetInfo_v2", ctypes.byref(free), ctypes.byref(total))
            raise MemoryError(f"GPU {self.number} has {free.value} of {total.value} bytes left; {size} are needed")
        if status:
            raise CudaError(f"cuMemAlloc: {explain(status)} ({status})")
        return address.value

    def free(self, address: int) -> None:
        """Free memory. In a forked process, or when Python is shutting down, do nothing."""
        if os.getpid() == self._owner_pid and not sys.is_finalizing():
            self.enter()
            call("cuMemFree_v2", address)

    def upload(self, address: int, values: np.ndarray) -> None:
        self.upload_from(address, values.ctypes.data, values.nbytes)

    def upload_from(self, address: int, host_address: int, byte_count: int) -> None:
        self._copy_or_fill("cuMemcpyHtoD_v2", address, host_address, byte_count)

    def download(self, address: int, values: np.ndarray) -> None:
        self._copy_or_fill("cuMemcpyDtoH_v2", values.ctypes.data, address, values.nbytes)

    def copy(self, address: int, source_address: int, byte_count: int) -> None:
        self._copy_or_fill("cuMemcpyDtoD_v2", address, source_address, byte_count)

    def fill(self, address: int, bits: int, count: int) -> None:
        """Set `count` integers of 32 bits, starting at `address`, to `bits`."""
        self._copy_or_fill("cuMemsetD32_v2", address, bits, count)

    def _copy_or_fill(self, function_name: str, target: int, source: int, count: int) -> None:
        if count:
            self.enter()
            call(function_name, target, source, count)

    def synchronize(self) -> None:
        """Wait until the GPU has finished all work that was requested."""
        self.enter()
        call("cuCtxSynchronize")

    def load(self, cubin: bytes) -> Module:
        self.enter()
        module = handle()
        call("cuModuleLoadData", ctypes.byref(module), cubin)
        return Module(module)


class Module:
    """Compiled kernels that are loaded on a GPU until the process ends."""

    def __init__(self, module: ctypes.c_void_p):
        self._module = module

    def handle_of(self, name: str) -> int:
        address = handle()
        call("cuModuleGetFunction", ctypes.byref(address), self._module, name.encode())
        return address.value or 0


class Stopwatch:
    """Times a GPU's work between `start` and `stop`, by the GPU's clock."""

    def __init__(self, gpu: Gpu):
        gpu.enter()
        self._start, self._stop = self._events = handle(), handle()
        for event in self._events:
            call("cuEventCreate", ctypes.byref(event), 0)

    def start(self) -> None:
        call("cuEventRecord", self._start, None)

    def stop(self) -> float:
        """Wait for the GPU to finish and return the seconds since `start`."""
        call("cuEventRecord", self._stop, None)
        call("cuEventSynchronize", self._stop)
        milliseconds = ctypes.c_float()
        call("cuEventElapsedTime", ctypes.byref(milliseconds), *self._events)
        return milliseconds.value / 1000

    def close(self) -> None:
        for event in self._events:
            call("cuEventDestroy_v2", event)
