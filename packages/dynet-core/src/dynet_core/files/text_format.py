"""Read and write DyNet's text format. A file is a sequence of entries, one for each parameter or lookup parameter:

    #Parameter# /encoder/_0 {3,2} 97 ZERO_GRAD
    +1.00000000e+00 ... one line of values, column by column
    ... and one line of the gradient, if the entry says FULL_GRAD

{3,2} are the dimensions. The last dimension of a `#LookupParameter#` is the number of rows. 97 is the number of bytes
that the other lines of the entry take. The first line says ZERO_GRAD if the gradient is zero and not stored. It ends
with FROZEN if trainers do not change the parameter; DyNet ignores this word.
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
from .tensors import Entry, Reader, StoredTensor

HEAD = re.compile(
    rb"#(?P<kind>Parameter|LookupParameter)# (?P<name>\S+) "
    rb"\{(?P<dims>[0-9]{1,18}(?:,[0-9]{1,18})*)\} (?P<bytes>[0-9]{1,20})"
    rb"(?: (?P<gradient>ZERO_GRAD|FULL_GRAD)(?P<frozen> FROZEN)?)? ?\r?\n?"
)
KINDS = (b"#Parameter# ", b"#LookupParameter# ")  # how the first line of an entry begins
CUT = "the file ends in the first line of an entry"
EXPECTED = "'#Parameter# NAME {DIMS} BYTES ...'"
LONGEST_HEAD = 1 << 16  # the most bytes that the first line of an entry may have


def write(file: BinaryIO, tensors: Iterable[StoredTensor]) -> None:
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
    """Return a name that an entry can store, or raise ArgumentError."""
    if re.fullmatch(r"[^\s#]+", name) is None:
        raise ArgumentError(f"save: {name!r} cannot be a name in a file: give a key without spaces and '#'")
    return name


def _shown(line: bytes) -> str:
    """Return at most 40 characters: the start of a line, in quotes."""
    shown = repr(line[:40])
    return shown if len(shown) <= 40 else f"{shown[:36]}...'"


class TextReader(Reader):
    """An open file in DyNet's text format. When it is opened, the first line of each entry is read."""

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
        """Parse the first line of an entry, at byte `start`. Return also how many bytes the others take."""
        found = HEAD.fullmatch(line)
        cut = not line.endswith(b"\n") and any(kind.startswith(line) or line.startswith(kind) for kind in KINDS)
        if found is None and cut:
            raise self._error(start, f"{CUT}: expected {EXPECTED}, found {_shown(line)}")
        if found is None:
            problem = "this is not a file of parameters: " if not start else ""
            raise self._error(start, f"{problem}expected {EXPECTED}, found {_shown(line)}")
        dims = tuple(map(int, found["dims"].split(b",")))
        size, count = int(found["bytes"]), math.prod(dims)
        if len(dims) > MAX_DIMS or extent(dims) > MAX_TOTAL:
            raise self._error(start, f"impossible dimensions {dims}")
        once = numbers.WIDTH * count + 1
        gradient = found["gradient"] == b"FULL_GRAD" if found["gradient"] else size == 2 * once
        if size != once * (1 + gradient):
            if cut and any(str(whole).startswith(str(size)) for whole in (once, 2 * once)):
                raise self._error(start, f"{CUT}: expected {EXPECTED}, found {_shown(line)}")
            raise self._error(start, f"{count} values do not take {size} bytes")
        # The rest of the file must be long enough: each value takes at least one byte, and a space follows each but the
        # last.
        try:
            name = found["name"].decode()
        except UnicodeDecodeError:
            raise self._error(start, f"{_shown(found['name'])} is not a name") from None
        if 2 * count - 1 > self.size - self.file.tell():
            raise self._error(start, f"{count} values of {name} are announced, but the file ends at byte {self.size}")
        lookup, frozen = found["kind"] == b"LookupParameter", found["frozen"] is not None
        if lookup and len(dims) == 1:  # DyNet writes this for rows of one number without dimensions; ours have one
            dims = (1, *dims)
        return Entry(lookup, name, dims, gradient, self.file.tell(), frozen), size

    def _error(self, position: int, reason: str) -> FileFormatError:
        return FileFormatError(f"{self.path}, byte {position}: {reason}")

    def _skip(self, entry: Entry, size: int) -> None:
        """Go to the end of an entry, whose first line says that its numbers take `size` bytes.

        If neither another entry nor the end of the file follows them, `size` is wrong, and the lines are read.
        """
        end = entry.position + size
        self.file.seek(end - 1)
        if end <= self.size and self.file.read(2) in (b"\n#", b"\n"):
            self.file.seek(end)
            return
        self.file.seek(entry.position)
        lines = [self.file.readline() for _ in range(1 + entry.gradient)]
        if end > self.size and not lines[-1].endswith(b"\n"):
            self._check_last(entry, lines)

    def _check_last(self, entry: Entry, lines: list[bytes]) -> None:
        """Raise FileFormatError if the file ends within `lines`, the values and gradient of its last entry."""
        for what, line in zip(("values", "numbers of the gradient"), lines):
            words = line.split()
            whole = len(words) - (not line.endswith(b"\n") and not numbers.is_whole(words))
            if whole < entry.count:
                after = f"after {whole} of the {entry.count} {what} of {entry.name}"
                raise self._error(self.size, f"the file ends {after}")

    def read(self, entry: Entry) -> StoredTensor:
        self.file.seek(entry.position)
        where = f"{self.path}: {entry.name}"
        values = numbers.read(self.file.readline(), entry.count, where)
        gradient = numbers.read(self.file.readline(), entry.count, where) if entry.gradient else None
        return StoredTensor(entry.lookup, entry.name, entry.dims, values, gradient, entry.frozen)
