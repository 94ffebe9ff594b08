"""Parameters written to a file and taken from one. The name decides the format: `.safetensors`, or else DyNet's text."""

from __future__ import annotations

import os
from collections.abc import Sequence

from ..errors import FileFormatError
from . import text_format
from .replacing import replacing
from .text_format import Entry, Reader, Tensor

Path = str | os.PathLike[str]


def save(tensors: Sequence[Tensor], path: Path, append: bool = False) -> None:
    """Write tensors to a file, which is replaced only once all is written.

    Args:
        append: after what the file holds.

    Raises:
        ArgumentError: a name that the format cannot hold.
        OSError: the file cannot be written; it is as it was.
    """
    for tensor in tensors:
        text_format.checked_name(tensor.name)
    with replacing(path, keep=append) as file:
        text_format.write(file, tensors)


def load_all(path: Path) -> list[Tensor]:
    """Everything in a file."""
    with Reader(path) as reader:
        return [reader.read(entry) for entry in reader.entries]


def load_one(path: Path, lookup: bool, name: str, dims: tuple[int, ...] | None = None) -> Tensor:
    """The parameter, or lookup parameter, of a name; of certain dimensions, if given."""
    with Reader(path) as reader:
        entry = reader.named(lookup, name)
        if dims is not None:
            check_dims(reader.path, entry, dims)
        return reader.read(entry)


def load_matching(path: Path, key: str, expected: Sequence[tuple[bool, tuple[int, ...]]]) -> list[Tensor]:
    """A collection's tensors, matched by their order.

    Args:
        key: the collection's name in the file; everything, if empty.
        expected: for each tensor, whether it is a lookup parameter, and its dimensions.

    Raises:
        FileFormatError: the file is damaged, or there are others in it.
    """
    with Reader(path) as reader:
        return [reader.read(entry) for entry in matched(reader, reader.with_prefix(key), expected, key)]


def matched(
    reader: Reader, entries: Sequence[Entry], expected: Sequence[tuple[bool, tuple[int, ...]]], key: str
) -> list[Entry]:
    """Entries in the order of what is expected, once all dimensions are checked."""
    found = [entry for entry in entries if not entry.lookup] + [entry for entry in entries if entry.lookup]
    lookups = sum(lookup for lookup, _ in expected)
    wanted, there = (len(expected) - lookups, lookups), (
        sum(not entry.lookup for entry in found),
        sum(entry.lookup for entry in found),
    )
    if wanted != there:
        under = f" under {key}" if key else ""
        raise FileFormatError(
            f"{reader.path} holds {there[0]} parameters and {there[1]} lookup parameters{under}, "
            f"the collection {wanted[0]} and {wanted[1]}"
        )
    for entry, (_, dims) in zip(found, expected):
        check_dims(reader.path, entry, dims)
    return found


def check_dims(path: Path, entry: Entry, dims: tuple[int, ...]) -> None:
    """Raise where an entry has other dimensions; a last dimension of 1 may be missing."""
    if entry.dims != dims:
        raise FileFormatError(f"{path}: {entry.kind} {entry.name} is {entry.dims} in the file, {dims} in the model")
