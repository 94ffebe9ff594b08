"""Share GPU memory with other libraries without a copy, by DLPack. A capsule points to its C structure of a tensor."""

from __future__ import annotations

import ctypes
import itertools

from .memory import GpuBlock

CUDA = 2  # the device type kDLCUDA of DLPack
INTEGER, FLOAT = 0, 2  # the type codes kDLInt and kDLFloat of DLPack
NAME = b"dltensor"


class _Tensor(ctypes.Structure):
    """DLPack's DLTensor."""

    _fields_ = [
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    ]


class _Managed(ctypes.Structure):
    """DLPack's DLManagedTensor: a DLTensor and the function that releases its memory."""

    _fields_ = [("tensor", _Tensor), ("context", ctypes.c_void_p), ("deleter", ctypes.c_void_p)]


# Number of a capsule -> the memory and the C structures it points to, kept alive until `_delete` is called.
_kept: dict[int, tuple] = {}
_numbers = itertools.count(1)


@ctypes.CFUNCTYPE(None, ctypes.POINTER(_Managed))
def _delete(managed) -> None:
    _kept.pop(managed.contents.context, None)


@ctypes.CFUNCTYPE(None, ctypes.c_void_p)
def _delete_unused(capsule) -> None:
    """Release the memory of a capsule that is being destroyed, unless another library has taken it over.

    That library has renamed the capsule, and calls `_delete` when it has finished. The capsule comes as an address: a
    Python reference to an object that is being destroyed would destroy it a second time.
    """
    if _is_valid(capsule, NAME):
        _delete(ctypes.cast(_pointer(capsule, NAME), ctypes.POINTER(_Managed)))


_new = ctypes.pythonapi.PyCapsule_New
_new.restype, _new.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
_pointer = ctypes.pythonapi.PyCapsule_GetPointer
_pointer.restype, _pointer.argtypes = ctypes.c_void_p, [ctypes.c_void_p, ctypes.c_char_p]
_is_valid = ctypes.pythonapi.PyCapsule_IsValid
_is_valid.restype, _is_valid.argtypes = ctypes.c_int, [ctypes.c_void_p, ctypes.c_char_p]


def capsule(block: GpuBlock, shape: tuple[int, ...], strides: tuple[int, ...], int64: bool = False):
    """Return a DLPack capsule for a tensor that fills a block. It keeps the block alive. Strides count elements."""
    block.gpu.synchronize()  # wait for pending work: the library that reads the memory uses other CUDA streams
    count = len(shape)
    numbers = ctypes.c_int64 * count
    both = numbers(*shape), numbers(*strides)
    kind, bits = (INTEGER, 64) if int64 else (FLOAT, 32)
    number = next(_numbers)
    tensor = _Tensor(4 * block.address, CUDA, block.gpu.number, count, kind, bits, 1, *both, 0)
    managed = _Managed(tensor, number, ctypes.cast(_delete, ctypes.c_void_p))
    _kept[number] = block, both, managed
    return _new(ctypes.addressof(managed), NAME, ctypes.cast(_delete_unused, ctypes.c_void_p))
