"""Aligned stretches of float32 memory, and addresses counted in floats."""

from __future__ import annotations

import ctypes
import mmap

import numpy as np

from dynet_kernels.layout import CACHE_LINE


class Block:
    """Memory for `floats` numbers on a cache-line boundary; `address` counts floats from zero.

    Args:
        zero: whether the numbers must be zero at first.
        shared: whether processes forked later write to the same memory.
    """

    __slots__ = ("_whole", "address", "array", "floats")

    def __init__(self, floats: int, zero: bool = False, shared: bool = False):
        self.floats = floats
        size = floats + 2 * CACHE_LINE
        if shared:
            self._whole = np.frombuffer(mmap.mmap(-1, 4 * size), np.float32)
        else:
            self._whole = (np.zeros if zero else np.empty)(size, np.float32)
        skip = (-self._whole.ctypes.data // 4) % CACHE_LINE
        self.array = self._whole[skip : skip + floats]
        self.address = self.array.ctypes.data // 4


def floats_at(address: int, count: int) -> np.ndarray:
    """The `count` floats at an address, as an array over that memory."""
    return np.frombuffer((ctypes.c_float * count).from_address(address * 4), np.float32)  # type: ignore


def integers_at(address: int, count: int) -> np.ndarray:
    """The `count` int64 at an address in bytes, as an array over that memory."""
    return np.frombuffer((ctypes.c_int64 * count).from_address(address), np.int64)  # type: ignore
