"""Share GPU memory with torch, CuPy and other libraries without a copy, by DLPack.

DLPack defines a C structure that describes a tensor in memory. A capsule is a Python object that holds a pointer to
such a structure.
"""

from __future__ import annotations

import ctypes
import itertools

from .memory import GpuBlock

CUDA = 2  # the device type kDLCUDA of DLPack
INTEGER, FLOAT = 0, 2  # the type codes kDLInt and kDLFloat of DLPack
NAME = b"dltensor"


class _Tensor(ctypes.Structure):
    """The C structure DLTensor of DLPack: the address, device, element type, shape and strides of a tensor."""

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
    """The C structure DLManagedTensor of DLPack: a DLTensor and a function that releases its memory."""

    _fields_ = [("tensor", _Tensor), ("context", ctypes.c_void_p), ("deleter", ctypes.c_void_p)]


# Number of a capsule -> the block of memory and the C structures that the capsule points to. They are kept alive here
# until `_delete` is called.
_kept: dict[int, tuple] = {}
_numbers = itertools.count(1)


@ctypes.CFUNCTYPE(None, ctypes.POINTER(_Managed))
def _delete(managed) -> None:
    _kept.pop(managed.contents.context, None)


@ctypes.CFUNCTYPE(None, ctypes.c_void_p)
def _delete_unused(capsule) -> None:
    """Release the memory of a capsule that is being destroyed, unless another library has taken over the memory.

    A library that takes over the memory renames the capsule, and calls `_delete` itself when it has finished.

    Args:
        capsule: the address of the capsule. It is not passed as a Python object: making and dropping a reference to
            an object that is being destroyed would destroy it a second time.
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
    """Return a DLPack capsule for a tensor in a block of GPU memory. The capsule keeps the block alive.

    Args:
        block: the memory, which holds only the elements of the tensor.
        shape: the shape of the tensor.
        strides: the strides, counted in elements.
        int64: whether the elements are int64 instead of float32.
    """
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
