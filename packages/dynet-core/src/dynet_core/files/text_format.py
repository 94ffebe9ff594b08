"""DyNet's text format. A file is a sequence of entries, each a parameter or a lookup parameter:

    #Parameter# /encoder/_0 {3,2} 97 ZERO_GRAD
    +1.00000000e+00 ... one line of values, column by column
    ... and one line of the gradient, if the entry says FULL_GRAD

The last dimension of a `#LookupParameter#` is the number of rows. 97 is how many bytes follow the first line, which
ends with FROZEN if trainers leave the parameter alone; DyNet ignores this word.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from ..dim import MAX_DIMS, MAX_TOTAL, extent
from ..errors import ArgumentError, FileFormatError
from . import numbers
from .tensors import Entry, Reader, Tensor

HEAD = re.compile(
    rb"#(?P<kind>Parameter|LookupParameter)# (?P<name>\S+) "
    rb"\{(?P<dims>[0-9]{1,18}(?:,[0-9]{1,18})*)\} (?P<bytes>[0-9]{1,20})"
    rb"(?: (?P<gradient>ZERO_GRAD|FULL_GRAD)(?P<frozen> FROZEN)?)? ?\r?\n?"
)
LONGEST_HEAD = 1 << 16


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
        frozen = b" FROZEN" if tensor.frozen else b""
        name = checked_name(tensor.name).encode()
        file.write(b"#%s# %s {%s} %d %s%s\n" % (kind, name, dims, size, gradient, frozen))
        for line in (tensor.values, tensor.gradient):
            if line is not None:
                for block in numbers.written(line):
                    file.write(block)
                file.write(b"\n")


def checked_name(name: str) -> str:
    """A name that an entry can have.

    Raises:
        ArgumentError: it is empty, or holds white space or '#'.
    """
    if re.fullmatch(r"[^\s#]+", name) is None:
        raise ArgumentError(f"save: {name!r} cannot be a name in a file: give a key without spaces and '#'")
    return name


def _shown(line: bytes) -> str:
    """What errors show of a file: 40 characters at most."""
    shown = repr(line[:40])
    return shown if len(shown) <= 40 else f"{shown[:36]}...'"


class TextReader(Reader):
    """A text file.

    Raises:
        FileFormatError: the file is damaged.
        OSError: it cannot be read.
    """

    def __init__(self, path: str | os.PathLike[str]):
        self.path = os.fspath(path)
        self.file = open(path, "rb")
        try:
            self.size = os.fstat(self.file.fileno()).st_size
            self.entries = list(self._found())
        except BaseException:
            self.file.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self.file.close()

    def _found(self) -> Iterator[Entry]:
        while True:
            start = self.file.tell()
            line = self.file.readline(LONGEST_HEAD)
            if not line:
                return
            if line.strip():
                entry, size = self._entry(start, line)
                yield entry
                self._skip(entry, size)

    def _entry(self, start: int, line: bytes) -> tuple[Entry, int]:
        """What the first line of an entry says, and how many bytes are to follow."""
        found = HEAD.fullmatch(line)
        if found is None:
            problem = "this is no file of parameters: " if not start else ""
            raise self._error(start, f"{problem}expected '#Parameter# NAME {{DIMS}} BYTES ...', found {_shown(line)}")
        dims = tuple(map(int, found["dims"].split(b",")))
        size, count = int(found["bytes"]), math.prod(dims)
        if len(dims) > MAX_DIMS or extent(dims) > MAX_TOTAL:
            raise self._error(start, f"impossible dimensions {dims}")
        once = numbers.WIDTH * count + 1
        gradient = found["gradient"] == b"FULL_GRAD" if found["gradient"] else size == 2 * once
        if size != once * (1 + gradient):
            raise self._error(start, f"{count} values do not take {size} bytes")
        # The shortest number and what separates it from the next take two bytes.
        if 2 * count - 1 > self.size - self.file.tell():
            raise self._error(start, f"{count} values are announced, and the file ends before")
        try:
            name = found["name"].decode()
        except UnicodeDecodeError:
            raise self._error(start, f"{_shown(found['name'])} is no name") from None
        lookup, frozen = found["kind"] == b"LookupParameter", found["frozen"] is not None
        return Entry(lookup, name, dims, gradient, self.file.tell(), frozen), size

    def _error(self, at: int, reason: str) -> FileFormatError:
        return FileFormatError(f"{self.path}, byte {at}: {reason}")

    def _skip(self, entry: Entry, size: int) -> None:
        """Go on behind an entry's numbers: by their size if that leads to the next entry, else by lines."""
        end = entry.at + size
        self.file.seek(end - 1)
        if end <= self.size and self.file.read(2) in (b"\n#", b"\n"):
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
        return Tensor(entry.lookup, entry.name, entry.dims, values, gradient, entry.frozen)
