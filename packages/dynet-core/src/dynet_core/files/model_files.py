"""Parameters written to files and read from them.

A name that ends in `.safetensors` means that format, any other name DyNet's text.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import BinaryIO

from ..checks import checked_path
from ..errors import FileFormatError, MissingFileError
from . import safetensors_format, text_format
from .replacing import replacing
from .tensors import Expected, Reader, Tensor

Path = str | os.PathLike[str]


def save(tensors: Sequence[Tensor], path: Path, append: bool = False) -> None:
    """Write tensors to a file, which is replaced only once all is written.

    Args:
        append: after what the file holds.

    Raises:
        ArgumentError: a name that the format cannot hold.
        OSError: the file cannot be written; it is as it was.
    """
    path = checked_path("save", path)
    binary = _is_safetensors(path)
    if binary and append and os.path.exists(path):
        tensors = [*load_all(path), *tensors]
    with replacing(path, keep=append and not binary) as file:
        write(file, path, tensors)


def write(file: BinaryIO, path: Path, tensors: Sequence[Tensor]) -> None:
    """Write tensors to an open file, in the format that the name `path` means."""
    if _is_safetensors(path):
        safetensors_format.write(file, tensors)
    else:
        text_format.write(file, tensors)


def _is_safetensors(path: Path) -> bool:
    return os.fspath(path).endswith(".safetensors")


def opened(path: Path, named: Path | None = None, name: str = "load") -> Reader:
    """A file to read from.

    Args:
        name: what reads it, for errors.
        named: the name that means the format, if that is another.

    Raises:
        FileFormatError: it is damaged.
        MissingFileError: there is none.
        OSError: it cannot be read.
    """
    path = checked_path(name, path)
    binary = _is_safetensors(path if named is None else named)
    try:
        return safetensors_format.SafetensorsReader(path) if binary else text_format.TextReader(path)
    except FileNotFoundError as error:
        raise MissingFileError(error.errno, error.strerror, error.filename) from None
    except FileFormatError as error:
        raise FileFormatError(str(error)) from None  # few calls below the user's


def load_all(path: Path) -> list[Tensor]:
    """Everything in a file."""
    with opened(path) as reader:
        return [reader.read(entry) for entry in reader.entries]


def load_one(path: Path, lookup: bool, name: str, dims: tuple[int, ...] | None = None) -> Tensor:
    """The parameter, or lookup parameter, of a name; it must have these dimensions, if some are given."""
    with opened(path, name="populate") as reader:
        entry = reader.named(lookup, name)
        if dims is not None:
            entry.check(reader.path, dims)
        return reader.read(entry)


def load_matching(path: Path, key: str, expected: Expected) -> list[Tensor]:
    """The tensors of the collection `key`, matched by their order; everything in the file, if `key` is empty.

    Raises:
        FileFormatError: the file is damaged, or holds others.
    """
    with opened(path, name="populate") as reader:
        return [reader.read(entry) for entry in reader.matching(key, expected)]
