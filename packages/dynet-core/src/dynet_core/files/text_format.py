"""DyNet's text format. A file is a sequence of entries, each a parameter or a lookup parameter:

    #Parameter# /encoder/_0 {3,2} 97 ZERO_GRAD
    +1.00000000e+00 ... one line of values, column by column
    ... and one line of the gradient, if the entry says FULL_GRAD

The dimensions of a `#LookupParameter#` have the number of rows last. 97 is how many bytes follow the first line.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from ..dim import MAX_DIMS
from ..errors import ArgumentError, FileFormatError
from . import numbers

HEAD = re.compile(
    rb"#(?P<kind>Parameter|LookupParameter)# (?P<name>\S+) \{(?P<dims>[0-9]{1,18}(?:,[0-9]{1,18})*)\} (?P<bytes>[0-9]{1,20})"
    rb"(?: (?P<gradient>ZERO_GRAD|FULL_GRAD))? ?\r?\n?"
)
LONGEST_HEAD = 1 << 16


@dataclass(frozen=True)
class Entry:
    """What the first line of an entry says, and where the values begin in the file."""

    lookup: bool
    name: str
    dims: tuple[int, ...]
    gradient: bool
    at: int

    @property
    def count(self) -> int:
        """How many values there are."""
        return math.prod(self.dims)

    @property
    def kind(self) -> str:
        return "lookup parameter" if self.lookup else "parameter"


@dataclass(frozen=True)
class Tensor:
    """A parameter's or lookup parameter's numbers, flat and in stored order; `gradient` None if it is all zero."""

    lookup: bool
    name: str
    dims: tuple[int, ...]
    values: np.ndarray
    gradient: np.ndarray | None


def write(file: BinaryIO, tensors: Iterable[Tensor]) -> None:
    """Write entries.

    Raises:
        ArgumentError: a name that the format cannot hold.
    """
    for tensor in tensors:
        kind = b"LookupParameter" if tensor.lookup else b"Parameter"
        dims = ",".join(map(str, tensor.dims)).encode()
        size = numbers.WIDTH * len(tensor.values) + 1
        gradient = b"ZERO_GRAD" if tensor.gradient is None else b"FULL_GRAD"
        size *= 1 if tensor.gradient is None else 2
        file.write(b"#%s# %s {%s} %d %s\n" % (kind, checked_name(tensor.name).encode(), dims, size, gradient))
        for line in (tensor.values, tensor.gradient):
            if line is not None:
                for block in numbers.written(line):
                    file.write(block)
                file.write(b"\n")


def checked_name(name: str) -> str:
    """A name that an entry can have.

    Raises:
        ArgumentError: it is empty or holds white space or '#'.
    """
    if re.fullmatch(r"[^\s#]+", name) is None:
        raise ArgumentError(f"save: {name!r} cannot be a name in a file: give a key without spaces and '#'")
    return name


class Reader:
    """A text file: `entries` first, then the values of those that are wanted.

    Raises:
        FileFormatError: the file is damaged.
        OSError: it cannot be read.
    """

    def __init__(self, path: str | os.PathLike[str]):
        self.path = os.fspath(path)
        self.file = open(path, "rb")
        self._by_name: dict[tuple[bool, str], Entry] | None = None
        try:
            self.size = os.fstat(self.file.fileno()).st_size
            self.entries = list(self._entries())
        except BaseException:
            self.file.close()
            raise

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_) -> None:
        self.file.close()

    def _error(self, at: int, reason: str) -> FileFormatError:
        return FileFormatError(f"{self.path}, byte {at}: {reason}")

    def _entries(self) -> Iterator[Entry]:
        file = self.file
        while True:
            start = file.tell()
            line = file.readline(LONGEST_HEAD)
            if not line.strip():
                if line:
                    continue
                return
            entry, size = self._entry(start, line)
            yield entry
            self._skip(entry, size)

    def _entry(self, start: int, line: bytes) -> tuple[Entry, int]:
        found = HEAD.fullmatch(line)
        if found is None:
            raise self._error(start, f"expected '#Parameter# NAME {{DIMS}} BYTES ...', found {line[:60]!r}")
        dims = tuple(int(size) for size in found["dims"].split(b","))
        size, count = int(found["bytes"]), math.prod(dims)
        if len(dims) > MAX_DIMS or count == 0:
            raise self._error(start, f"impossible dimensions {dims}")
        once = numbers.WIDTH * count + 1
        gradient = found["gradient"] == b"FULL_GRAD" if found["gradient"] else size == 2 * once
        if size != once * (1 + gradient):
            raise self._error(start, f"{count} values do not take {size} bytes")
        # The shortest number and what separates it from the next take two bytes.
        if 2 * count - 1 > self.size - self.file.tell():
            raise self._error(start, f"{count} values were announced, and the file ends before")
        try:
            name = found["name"].decode()
        except UnicodeDecodeError:
            raise self._error(start, f"{found['name'][:60]!r} is no name") from None
        lookup = found["kind"] == b"LookupParameter"
        return Entry(lookup, name, dims, gradient, self.file.tell()), size

    def _skip(self, entry: Entry, size: int) -> None:
        """Go on behind an entry's values: by their size if that leads to the next entry, else by lines."""
        end = entry.at + size
        self.file.seek(end - 1)
        if self.file.read(2) in (b"\n#", b"\n") and end <= self.size:
            self.file.seek(end)
            return
        self.file.seek(entry.at)
        for _ in range(1 + entry.gradient):
            self.file.readline()

    def read(self, entry: Entry) -> Tensor:
        """The numbers of an entry."""
        self.file.seek(entry.at)
        where = f"{self.path}: {entry.name}"
        values = numbers.read(self.file.readline(), entry.count, where)
        gradient = numbers.read(self.file.readline(), entry.count, where) if entry.gradient else None
        return Tensor(entry.lookup, entry.name, entry.dims, values, gradient)

    def with_prefix(self, key: str) -> list[Entry]:
        """The entries of the collection `key`; all of them if that is empty."""
        prefix = key if not key or key.endswith("/") else key + "/"
        return [entry for entry in self.entries if entry.name.startswith(prefix)]

    def named(self, lookup: bool, key: str) -> Entry:
        """The entry of a parameter.

        Raises:
            FileFormatError: there is none.
        """
        if self._by_name is None:
            self._by_name = {(entry.lookup, entry.name): entry for entry in reversed(self.entries)}
        entry = self._by_name.get((lookup, key))
        if entry is not None:
            return entry
        kind = "lookup parameter" if lookup else "parameter"
        raise FileFormatError(f"{self.path} holds no {kind} named {key!r}")
