"""Read and write files in the safetensors format: binary, many times faster than text, and readable by other software.

A parameter is stored as the array that its `as_array` returns, in row-major order. The metadata say in which order the
parameters are, and which of them are lookup parameters, frozen or quantized. A quantized parameter is an array of int8s
and one of scales, named like the parameter with SCALES behind. Gradients are not stored.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO

import numpy as np

from dynet_kernels.families.products.quantized import to_int8

from ..dim import MAX_DIMS, MAX_TOTAL, nonzero_product
from ..errors import ArgumentError, FileFormatError
from .tensors import Entry, Reader, StoredTensor

PIECE_SIZE = 1 << 16  # values (256 KiB) in a piece; see `_pieces`
ORDER_KEY = "dynet"  # a key of the metadata; its value is JSON: [[name, whether it is a lookup parameter], ...]
# Keys of the metadata, if there are frozen or quantized parameters; their values are JSON: [name, ...]
FROZEN_KEY, QUANTIZED_KEY = "dynet.frozen", "dynet.int8"
SCALES = ":scales"


def _import_safetensors() -> Any:
    try:
        import safetensors.numpy
    except ImportError:
        raise ImportError('the format needs the safetensors package: pip install "dynet-core[safetensors]"') from None
    return safetensors


def write(file: BinaryIO, tensors: Iterable[StoredTensor]) -> None:
    """Write parameters to an open file: the length of the header, the header in JSON, the arrays."""
    _import_safetensors()  # raise ImportError now: without the package, the file could not be read again
    header: dict[str, Any] = {"__metadata__": {}}
    arrays, order, end = [], [], 0
    marked: dict[str, list[str]] = {FROZEN_KEY: [], QUANTIZED_KEY: []}
    for tensor in tensors:
        if tensor.name == "__metadata__":
            raise ArgumentError(f"save: {tensor.name!r} cannot be a name in a file")
        array = tensor.values.reshape(tensor.dims, order="F")
        array = np.moveaxis(array, -1, 0) if tensor.lookup else array
        parts = {tensor.name: array}
        if tensor.is_quantized:
            scales, numbers = to_int8(array.reshape(len(array), -1))
            parts = {tensor.name: numbers.reshape(array.shape), tensor.name + SCALES: scales}
        for name, part in parts.items():
            if name in header:
                raise ArgumentError(f"save: two parameters are named {name}: save them under different keys")
            begin, end = end, end + part.nbytes
            dtype = "I8" if part.dtype == np.int8 else "F32"
            header[name] = {"dtype": dtype, "shape": part.shape, "data_offsets": (begin, end)}
            arrays.append(part)
        order.append((tensor.name, tensor.lookup))
        for key, is_marked in ((FROZEN_KEY, tensor.frozen), (QUANTIZED_KEY, tensor.is_quantized)):
            marked[key] += [tensor.name] * is_marked
    header["__metadata__"] |= {key: json.dumps(names) for key, names in {ORDER_KEY: order, **marked}.items() if names}
    header_bytes = json.dumps(header).encode()
    header_bytes += b" " * (-len(header_bytes) % 8)  # so that the arrays begin at a multiple of 8 bytes
    file.write(len(header_bytes).to_bytes(8, "little") + header_bytes)
    for array in arrays:
        for piece in _pieces(array):
            file.write(piece.data.cast("B"))


def _pieces(array: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the values of an array in row-major order, little-endian.

    An array in a different order is copied in pieces that fit into a CPU cache. Each piece overwrites the piece before.
    """
    if not array.size:
        return
    array = array.astype(array.dtype.newbyteorder("<"), copy=False)
    if array.flags.c_contiguous:
        yield array
        return
    row_count = max(1, PIECE_SIZE * len(array) // array.size)
    if row_count == 1 and array[0].size > PIECE_SIZE:
        for row in array:
            yield from _pieces(row)
        return
    buffer = np.empty((row_count, *array.shape[1:]), array.dtype)
    for start in range(0, len(array), row_count):
        rows = array[start : start + row_count]
        buffer[: len(rows)] = rows
        yield buffer[: len(rows)]


class SafetensorsReader(Reader):
    """An open safetensors file that this library has written. Opening any other file raises FileFormatError."""

    def __init__(self, path: str | os.PathLike[str]):
        self.path = os.fspath(path)
        with open(path, "rb"):
            pass  # only to raise the usual OSError if the file cannot be read
        library = _import_safetensors()
        self.error_class = library.SafetensorError
        try:
            self.file = library.safe_open(self.path, "np")
        except (self.error_class, OSError) as error:
            problem = f"damaged: {error}" if os.path.getsize(path) else "empty"
            raise FileFormatError(f"{self.path} is {problem}") from None
        frozen, quantized = (self._read_names(key) for key in (FROZEN_KEY, QUANTIZED_KEY))
        order = self._read_order(quantized)
        self.entries = [self._entry(name, lookup, name in frozen, name in quantized) for name, lookup in order]

    def close(self) -> None:
        del self.file

    def _read_order(self, quantized: set[str]) -> list[tuple[str, bool]]:
        try:
            order = json.loads(self.file.metadata()[ORDER_KEY])
            names = [name for name, lookup in order if type(lookup) is bool]
            stored = [*names, *(name + SCALES for name in quantized)]
            if sorted(stored) != sorted(self.file.keys()) or len(names) != len(order):
                raise ValueError
        except (ValueError, TypeError, KeyError, RecursionError):
            raise FileFormatError(f"{self.path} does not say in which order its parameters are") from None
        return order

    def _read_names(self, key: str) -> set[str]:
        try:
            names = json.loads((self.file.metadata() or {}).get(key, "[]"))
            if type(names) is not list or not set(names) <= set(self.file.keys()):
                raise ValueError
        except (ValueError, TypeError, RecursionError):
            raise FileFormatError(
                f"{self.path} does not say properly which of its parameters are {key.partition('.')[2]}"
            ) from None
        return set(names)

    def _entry(self, name: str, is_lookup: bool, is_frozen: bool, is_quantized: bool) -> Entry:
        tensor = self.file.get_slice(name)
        shape = tuple(tensor.get_shape())
        is_possible = 1 + is_lookup <= len(shape) <= MAX_DIMS and nonzero_product(shape) <= MAX_TOTAL
        if is_quantized:
            is_possible &= (is_lookup or len(shape) == 2) and math.prod(shape) > shape[0]
            scales = self.file.get_slice(name + SCALES)
            given, wanted = (scales.get_dtype(), scales.get_shape()), ("F32", [*shape[:1]])
            if is_possible and given != wanted:
                raise FileFormatError(f"{self.path}: the scales of {name} are {given}, expected {wanted}")
        if tensor.get_dtype() != ("I8" if is_quantized else "F32") or not is_possible:
            raise FileFormatError(f"{self.path}: {name} is {tensor.get_dtype()} {shape}, which no parameter can be")
        dims = (*shape[1:], shape[0]) if is_lookup else shape
        return Entry(is_lookup, name, dims, frozen=is_frozen, is_quantized=is_quantized)

    def read(self, entry: Entry) -> StoredTensor:
        try:
            array = self.file.get_tensor(entry.name)
            if entry.is_quantized:
                scales = self.file.get_tensor(entry.name + SCALES)
                with np.errstate(over="ignore", invalid="ignore"):
                    array = array * scales.reshape(-1, *[1] * (array.ndim - 1))
                if not np.isfinite(array).all():
                    raise FileFormatError(
                        f"{self.path}: {entry.name} is damaged: a scale is too large, or not a number"
                    )
        except self.error_class as error:
            raise FileFormatError(f"{self.path}: {entry.name} is damaged: {error}") from None
        values = (np.moveaxis(array, 0, -1) if entry.lookup else array).ravel(order="F")
        return StoredTensor(entry.lookup, entry.name, entry.dims, values, None, entry.frozen, entry.is_quantized)
