"""Write and read files of parameters: safetensors or DyNet's text format, depending on the file name's extension."""

from __future__ import annotations

import os
from collections.abc import Sequence
from io import BufferedReader
from typing import BinaryIO

from ..checks import checked_path
from ..errors import FileFormatError, MissingFileError
from . import safetensors_format, text_format
from .replacing import replacing
from .tensors import ExpectedEntries, Reader, StoredTensor

Path = str | os.PathLike[str]


def save(tensors: Sequence[StoredTensor], path: Path, append: bool = False) -> None:
    """Write parameters to a file. An existing file is replaced in one step, after everything has been written.

    `append` keeps the parameters that are already in the file. If writing fails, an existing file does not change.
    """
    path = checked_path("save", path)
    is_binary = _is_safetensors(path)
    if is_binary and append and os.path.exists(path):
        tensors = [*load_all(path), *tensors]
    with replacing(path, keep_contents=append and not is_binary) as file:
        write(file, path, tensors)


def write(file: BinaryIO, path: Path, tensors: Sequence[StoredTensor]) -> None:
    """Write parameters to an open file. The extension of its final name, `path`, determines the format."""
    if _is_safetensors(path):
        safetensors_format.write(file, tensors)
    else:
        text_format.write(file, tensors)


def _is_safetensors(path: Path) -> bool:
    return os.fspath(path).endswith(".safetensors")


def open_reader(path: Path, final_path: Path | None = None, caller: str = "load") -> Reader:
    """Open a file of parameters for reading. Raise FileFormatError if it is damaged.

    If `path` is temporary, the extension of `final_path` determines the format. `caller` is the public function called.
    """
    path = checked_path(caller, path)
    is_binary = _is_safetensors(final_path or path)
    try:
        return safetensors_format.SafetensorsReader(path) if is_binary else text_format.TextReader(path)
    except FileNotFoundError as error:
        raise MissingFileError(error.errno, error.strerror, error.filename) from None
    except FileFormatError as error:
        raise FileFormatError(str(error)) from None  # a new error, because its traceback is shorter


def open_file(caller: str, path: Path) -> BufferedReader:
    """Open a file for reading, or raise MissingFileError. Its `name` is the path as a string."""
    try:
        return open(checked_path(caller, path), "rb")
    except FileNotFoundError as error:
        raise MissingFileError(error.errno, error.strerror, error.filename) from None


def load_all(path: Path) -> list[StoredTensor]:
    with open_reader(path) as reader:
        return [reader.read(entry) for entry in reader.entries]


def load_one(path: Path, is_lookup: bool, name: str, dims: tuple[int, ...] | None = None) -> StoredTensor:
    """Read one parameter (if `is_lookup`, a lookup parameter) from a file. If `dims` is given, refuse others."""
    with open_reader(path, caller="populate") as reader:
        entry = reader.entry_named(is_lookup, name)
        if dims is not None and (problem := entry.mismatch(dims)):
            raise FileFormatError(f"{reader.path}: {problem}")
        return reader.read(entry)


def load_matching(path: Path, key: str, model_entries: ExpectedEntries) -> list[StoredTensor]:
    """Read the parameters of the collection `key` ("": all) in a file, as `matching_entries` returns them."""
    with open_reader(path, caller="populate") as reader:
        return [reader.read(entry) for entry in reader.matching_entries(key, model_entries)]
