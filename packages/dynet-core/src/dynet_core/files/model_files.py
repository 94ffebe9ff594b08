"""Write parameters to files and read them.

If the name of a file ends in `.safetensors`, it has that format. Otherwise it has DyNet's text format.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import BinaryIO

from ..checks import checked_path
from ..errors import FileFormatError, MissingFileError
from . import safetensors_format, text_format
from .replacing import replacing
from .tensors import Expected, Reader, StoredTensor

Path = str | os.PathLike[str]


def save(tensors: Sequence[StoredTensor], path: Path, append: bool = False) -> None:
    """Write tensors to a file. It is replaced at once when everything has been written.

    Args:
        append: keep the contents of the file and add to them.

    Raises:
        ArgumentError: a name is not possible in this format.
        OSError: the file cannot be written. Its old contents remain.
    """
    path = checked_path("save", path)
    binary = _is_safetensors(path)
    if binary and append and os.path.exists(path):
        tensors = [*load_all(path), *tensors]
    with replacing(path, keep=append and not binary) as file:
        write(file, path, tensors)


def write(file: BinaryIO, path: Path, tensors: Sequence[StoredTensor]) -> None:
    """Write tensors to an open file, in the format for the name `path`."""
    if _is_safetensors(path):
        safetensors_format.write(file, tensors)
    else:
        text_format.write(file, tensors)


def _is_safetensors(path: Path) -> bool:
    return os.fspath(path).endswith(".safetensors")


def opened(path: Path, named: Path | None = None, name: str = "load") -> Reader:
    """Open a file for reading.

    Args:
        named: the name that determines the format, if it is not `path`.
        name: the calling function, for errors.

    Raises:
        FileFormatError: the file is damaged.
        MissingFileError: the file does not exist.
        OSError: the file cannot be read.
    """
    path = checked_path(name, path)
    binary = _is_safetensors(path if named is None else named)
    try:
        return safetensors_format.SafetensorsReader(path) if binary else text_format.TextReader(path)
    except FileNotFoundError as error:
        raise MissingFileError(error.errno, error.strerror, error.filename) from None
    except FileFormatError as error:
        raise FileFormatError(str(error)) from None  # so that the traceback is short


def load_all(path: Path) -> list[StoredTensor]:
    """Return all parameters of a file."""
    with opened(path) as reader:
        return [reader.read(entry) for entry in reader.entries]


def load_one(path: Path, lookup: bool, name: str, dims: tuple[int, ...] | None = None) -> StoredTensor:
    """Return the parameter, or lookup parameter, with a name. If `dims` are given, it must have these dimensions."""
    with opened(path, name="populate") as reader:
        entry = reader.named(lookup, name)
        if dims is not None:
            entry.check(reader.path, dims)
        return reader.read(entry)


def load_matching(path: Path, key: str, expected: Expected) -> list[StoredTensor]:
    """Return the tensors of the collection `key`, matched by their order; those of the whole file if `key` is empty.

    Raises:
        FileFormatError: the file is damaged, or its tensors are not as expected.
    """
    with opened(path, name="populate") as reader:
        return [reader.read(entry) for entry in reader.matching(key, expected)]
