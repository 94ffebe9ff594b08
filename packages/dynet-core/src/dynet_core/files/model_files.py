"""Write parameters to files and read them.

Files whose names end in `.safetensors` have the safetensors format, all others have DyNet's text format.
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
    """Write parameters to a file. An old file is replaced in one step, after everything has been written.

    Args:
        append: keep the parameters that are already in the file, and add `tensors`.

    Raises:
        ArgumentError: the file's format cannot store the name of a parameter.
        OSError: the file cannot be written. Its old contents remain.
    """
    path = checked_path("save", path)
    binary = _is_safetensors(path)
    if binary and append and os.path.exists(path):
        tensors = [*load_all(path), *tensors]
    with replacing(path, keep=append and not binary) as file:
        write(file, path, tensors)


def write(file: BinaryIO, path: Path, tensors: Sequence[StoredTensor]) -> None:
    """Write parameters to an open file.

    Args:
        path: the file's final name. Its ending determines the format.
    """
    if _is_safetensors(path):
        safetensors_format.write(file, tensors)
    else:
        text_format.write(file, tensors)


def _is_safetensors(path: Path) -> bool:
    return os.fspath(path).endswith(".safetensors")


def opened(path: Path, named: Path | None = None, name: str = "load") -> Reader:
    """Open a file of parameters for reading.

    Args:
        named: the file's final name if `path` is a temporary one. The ending of the final name determines the format.
        name: the name of the calling function, for error messages.

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
        raise FileFormatError(str(error)) from None  # the traceback of a new error is shorter


def load_all(path: Path) -> list[StoredTensor]:
    """Read all parameters of a file and return them."""
    with opened(path) as reader:
        return [reader.read(entry) for entry in reader.entries]


def load_one(path: Path, lookup: bool, name: str, dims: tuple[int, ...] | None = None) -> StoredTensor:
    """Read one parameter of a file and return it.

    Args:
        lookup: whether it is a lookup parameter.
        name: its name in the file.
        dims: the dimensions that it must have; None accepts any.

    Raises:
        FileFormatError: the file is damaged, has no such parameter, or has it with other dimensions than `dims`.
    """
    with opened(path, name="populate") as reader:
        entry = reader.named(lookup, name)
        if dims is not None:
            entry.check(reader.path, dims)
        return reader.read(entry)


def load_matching(path: Path, key: str, expected: Expected) -> list[StoredTensor]:
    """Read the parameters of a collection and return them in the order of `expected`.

    Args:
        key: the name of the collection in the file; "" reads the whole file.
        expected: the parameters of the model. They are matched with those in the file by order, not by name.

    Raises:
        FileFormatError: the file is damaged, or the number of its parameters or their dimensions are not as expected.
    """
    with opened(path, name="populate") as reader:
        return [reader.read(entry) for entry in reader.matching(key, expected)]
