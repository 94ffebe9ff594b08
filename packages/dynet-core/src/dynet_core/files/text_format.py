"""Read and write DyNet's text format. A file is a sequence of entries, one for each parameter or lookup parameter:

    #Parameter# /encoder/_0 {3,2} 97 ZERO_GRAD
    +1.00000000e+00 ... one line of values, column by column
    ... and one line of the gradient, if the entry says FULL_GRAD

{3,2} are the dimensions. The last dimension of a `#LookupParameter#` is the number of rows. 97 is the number of bytes
in the other lines of the entry. The first line says ZERO_GRAD if the gradient is zero and not stored. It ends with
FROZEN if trainers do not change the parameter; the original DyNet ignores this word.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Iterator
from typing import BinaryIO

import numpy as np

from ..dim import MAX_DIMS, MAX_TOTAL, nonzero_product
from ..errors import ArgumentError, FileFormatError
from .tensors import Entry, Reader, StoredTensor

ENTRY_HEAD = re.compile(
    rb"#(?P<kind>Parameter|LookupParameter)# (?P<name>\S+) "
    rb"\{(?P<dims>[0-9]{1,18}(?:,[0-9]{1,18})*)\} (?P<bytes>[0-9]{1,20})"
    rb"(?: (?P<gradient>ZERO_GRAD|FULL_GRAD)(?P<frozen> FROZEN)?)? ?\r?\n?"
)
PREFIXES = (b"#Parameter# ", b"#LookupParameter# ")  # the two ways in which an entry begins
CUT_HEAD_PROBLEM = "the file ends in the first line of an entry"  # for error messages, like EXPECTED_HEAD
EXPECTED_HEAD = "'#Parameter# NAME {DIMS} BYTES ...'"
LONGEST_HEAD = 1 << 16  # the first line of an entry has at most this many bytes


def write(file: BinaryIO, tensors: Iterable[StoredTensor]) -> None:
    for tensor in tensors:
        if tensor.is_quantized:
            raise ArgumentError(
                f"save: {tensor.name} is quantized to int8, which the text format cannot store: use a file name that "
                'ends with .safetensors; builders: collection.save("model.safetensors", components=[...])'
            )
        lookup = b"Lookup" * tensor.lookup
        dims = ",".join(map(str, tensor.dims)).encode()
        lines = [line for line in (tensor.values, tensor.gradient) if line is not None]
        size = (WIDTH * len(tensor.values) + 1) * len(lines)
        gradient = b"ZERO_GRAD" if tensor.gradient is None else b"FULL_GRAD"
        frozen = b" FROZEN" * tensor.frozen
        name = checked_name(tensor.name).encode()
        file.write(b"#%sParameter# %s {%s} %d %s%s\n" % (lookup, name, dims, size, gradient, frozen))
        for line in lines:
            file.writelines(numbers_as_text(line))
            file.write(b"\n")


def checked_name(name: str) -> str:
    """Return a parameter's name. Raise ArgumentError if an entry cannot store it."""
    if re.fullmatch(r"[^\s#]+", name) is None:
        raise ArgumentError(f"save: {name!r} cannot be a name in a file: give a key without spaces and '#'")
    return name


def _quoted_start(line: bytes) -> str:
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
            self.entries = list(self._read_heads())
        except BaseException:
            self.file.close()
            raise

    def close(self) -> None:
        self.file.close()

    def _read_heads(self) -> Iterator[Entry]:
        while True:
            start = self.file.tell()
            line = self.file.readline(LONGEST_HEAD)
            if not line:
                return
            if line.strip():
                entry, size = self._parse_head(start, line)
                yield entry
                self._skip(entry, size)

    def _parse_head(self, start: int, line: bytes) -> tuple[Entry, int]:
        """Parse the first line of an entry, at byte `start`. Return the entry and the bytes of its other lines."""
        head = ENTRY_HEAD.fullmatch(line)
        is_cut = not line.endswith(b"\n") and any(kind.startswith(line) or line.startswith(kind) for kind in PREFIXES)
        if head is None:
            problem = f"{CUT_HEAD_PROBLEM}: " if is_cut else "" if start else "this is not a file of parameters: "
            raise self._error(start, f"{problem}expected {EXPECTED_HEAD}, found {_quoted_start(line)}")
        dims = tuple(map(int, head["dims"].split(b",")))
        size, count = int(head["bytes"]), math.prod(dims)
        if len(dims) > MAX_DIMS or nonzero_product(dims) > MAX_TOTAL:
            raise self._error(start, f"impossible dimensions {dims}")
        line_size = WIDTH * count + 1
        has_gradient = head["gradient"] == b"FULL_GRAD" if head["gradient"] else size == 2 * line_size
        if size != line_size * (1 + has_gradient):
            if is_cut and any(str(possible_size).startswith(str(size)) for possible_size in (line_size, 2 * line_size)):
                raise self._error(start, f"{CUT_HEAD_PROBLEM}: expected {EXPECTED_HEAD}, found {_quoted_start(line)}")
            raise self._error(start, f"{count} values do not take {size} bytes")
        try:
            name = head["name"].decode()
        except UnicodeDecodeError:
            raise self._error(start, f"{_quoted_start(head['name'])} is not a name") from None
        # Each value takes at least one byte, and a space follows all but the last.
        if 2 * count - 1 > self.size - self.file.tell():
            raise self._error(start, f"{count} values of {name} are announced, but the file ends at byte {self.size}")
        is_lookup = head["kind"] == b"LookupParameter"
        if is_lookup and len(dims) == 1:  # the original DyNet omits the dimension of rows of one number
            dims = (1, *dims)
        return Entry(is_lookup, name, dims, has_gradient, self.file.tell(), bool(head["frozen"])), size

    def _error(self, position: int, reason: str) -> FileFormatError:
        return FileFormatError(f"{self.path}, byte {position}: {reason}")

    def _skip(self, entry: Entry, size: int) -> None:
        """Go to the end of an entry, whose first line says that its numbers take `size` bytes.

        If no entry begins there and the file does not end there, `size` is wrong; then find the end by reading lines.
        """
        end = entry.position + size
        self.file.seek(end - 1)
        if end <= self.size and self.file.read(2) in (b"\n#", b"\n"):
            self.file.seek(end)
            return
        self.file.seek(entry.position)
        lines = [self.file.readline() for _ in range(1 + entry.has_gradient)]
        if end > self.size and not lines[-1].endswith(b"\n"):
            self._check_last_entry(entry, lines)

    def _check_last_entry(self, entry: Entry, lines: list[bytes]) -> None:
        """Raise FileFormatError if the file ends within `lines`, which are the values and gradient of `entry`."""
        for what, line in zip(("values", "numbers of the gradient"), lines):
            words = line.split()
            complete_count = len(words) - (not line.endswith(b"\n") and not ends_with_complete_number(words))
            if complete_count < entry.count:
                position = f"after {complete_count} of the {entry.count} {what} of {entry.name}"
                raise self._error(self.size, f"the file ends {position}")

    def read(self, entry: Entry) -> StoredTensor:
        self.file.seek(entry.position)
        where = f"{self.path}: {entry.name}"
        values = read_numbers(self.file.readline(), entry.count, where)
        gradient = read_numbers(self.file.readline(), entry.count, where) if entry.has_gradient else None
        return StoredTensor(entry.lookup, entry.name, entry.dims, values, gradient, entry.frozen)


WIDTH = 16  # characters of a number with the space after it: "+1.23456789e-01 "
NUMBERS_AT_ONCE = 1 << 14  # how many are converted together: the intermediate arrays fit into a CPU cache
MOST_EXPONENT, LEAST_EXPONENT = 38, -45  # the range of the decimal exponents of float32 numbers
PLUS, MINUS, POINT, SPACE, E, ZERO = b"+-. e0"  # the codes of these characters
POWERS = np.array([float(f"1e{power}") for power in (*range(61), *range(-60, 0))])  # POWERS[k] is 10**k, also for k < 0
FLOAT_MAX = float(np.finfo(np.float32).max)
READ_LIMIT = FLOAT_MAX * (1 + 1e-8)  # larger numbers are refused; nine digits may round FLOAT_MAX up
COMPLETE_NUMBER = re.compile(rb"[+-]?[0-9]\.[0-9]{8}e[+-][0-9]{2}|[+-]?(inf|nan)", re.IGNORECASE)
"""Matches a number that is certainly complete. If a file ends in a number that does not match, without a newline, the
file may have been cut off in the middle of this number."""


def _digits(count: int, width: int) -> np.ndarray:
    """Return the numbers 0 to count - 1, each as an unsigned integer whose bytes are its `width` digits in ASCII."""
    return np.frombuffer(b"".join(b"%0*d" % (width, number) for number in range(count)), f"u{width}")


FOUR_DIGITS = _digits(10_000, 4)
TWO_DIGITS = _digits(100, 2)
# The characters of one number. After the point come four digits in `high` and four in `low`.
CELL = np.dtype([
    ("sign", "u1"), ("first", "u1"), ("point", "u1"), ("high", "u4"), ("low", "u4"),
    ("e", "u1"), ("exponent_sign", "u1"), ("exponent", "u2"), ("space", "u1"),
])  # fmt: skip


def numbers_as_text(values: np.ndarray) -> Iterator[bytes]:
    """Yield the text of a flat float32 array, in pieces. Infinities and NaN are padded with spaces."""
    for start in range(0, len(values), NUMBERS_AT_ONCE):
        yield _block_as_text(values[start : start + NUMBERS_AT_ONCE])


def _block_as_text(values: np.ndarray) -> bytes:
    is_finite = np.isfinite(values)
    magnitudes = np.abs(np.where(is_finite, values, 0), dtype=np.float64)
    exponents = _exponents(magnitudes)
    scaled = magnitudes * POWERS[8 - exponents]  # nine digits before the point
    rounded = np.rint(scaled)
    is_carried = rounded >= 1e9  # rounding up has made a tenth digit
    exponents += is_carried
    digits = np.where(is_carried, 1e8, rounded).astype(np.int64)
    upper, low = np.divmod(digits, 10_000)
    first, high = np.divmod(upper, 10_000)

    cells = np.empty(len(values), CELL)
    cells["sign"] = np.where(np.signbit(values), MINUS, PLUS)
    cells["first"] = first + ZERO
    cells["point"] = POINT
    cells["high"] = FOUR_DIGITS[high]
    cells["low"] = FOUR_DIGITS[low]
    cells["e"] = E
    cells["exponent_sign"] = np.where(exponents < 0, MINUS, PLUS)
    cells["exponent"] = TWO_DIGITS[np.abs(exponents)]
    cells["space"] = SPACE

    # If `scaled` is near the midpoint of two integers, its small error may have caused wrong rounding. Python formats
    # these numbers again, and also infinities and NaN.
    is_unsure = np.abs(np.abs(scaled - rounded) - 0.5) < 1e-5
    text = cells.view(f"S{WIDTH}")
    for index in np.flatnonzero(is_unsure | ~is_finite):
        text[index] = f"{values[index]:+.8e}".ljust(WIDTH).encode()
    return cells.tobytes()


def _exponents(magnitudes: np.ndarray) -> np.ndarray:
    """Return each magnitude's decimal exponent, such as 2 for 123 = 1.23e2; 0 for zero."""
    binary = np.frexp(magnitudes)[1]
    # 0.301... is log10(2). The next line's result may be 1 too small; the line after it corrects this.
    exponents = np.floor((binary - 1) * 0.30102999566398120).astype(np.int64)
    exponents += magnitudes >= POWERS[exponents + 1]
    exponents[magnitudes == 0] = 0
    return exponents


def read_numbers(line: bytes, count: int, where: str) -> np.ndarray:
    """Parse a line of `count` numbers. `where` is the file and the parameter's name, for error messages."""
    line, has_newline = line.rstrip(b"\r\n"), line.endswith(b"\n")
    if len(line) == count * WIDTH:
        values = np.empty(count, np.float32)
        cells = np.frombuffer(line, CELL)
        blocks = [slice(start, start + NUMBERS_AT_ONCE) for start in range(0, count, NUMBERS_AT_ONCE)]
        if all(_read_block(cells[block], values[block]) for block in blocks):
            return values
    words = line.split()
    if not has_newline and not ends_with_complete_number(words):
        raise FileFormatError(f"{where}: the file ends in the middle of a number")
    if len(words) != count:
        raise FileFormatError(f"{where}: the line holds {len(words)} numbers, not {count}")
    return np.array([_read_word(word, where) for word in words], np.float32)


def ends_with_complete_number(words: list[bytes]) -> bool:
    """Return whether the last of a line's `words` is certainly a complete number, even if the file ends after it."""
    return not words or COMPLETE_NUMBER.fullmatch(words[-1]) is not None


def _read_block(cells: np.ndarray, values: np.ndarray) -> bool:
    """Parse up to NUMBERS_AT_ONCE numbers of sixteen characters each into `values`.

    Return False if a number does not look like a finite number from `numbers_as_text`, or may be too large for float32.
    The caller then uses `_read_word`, which is slower, but handles all formats and raises errors.
    """
    # Row k has character k of all numbers, minus "0": characters that are not digits become 10 or more.
    digits = cells.view(np.uint8).reshape(-1, WIDTH).T - np.uint8(ZERO)
    is_negative, has_negative_exponent = cells["sign"] == MINUS, cells["exponent_sign"] == MINUS
    is_regular = (
        (is_negative | (cells["sign"] == PLUS))
        & (has_negative_exponent | (cells["exponent_sign"] == PLUS))
        & (cells["point"] == POINT)
        & (cells["e"] == E)
        & (cells["space"] == SPACE)
        & (digits[1] < 10)
    )
    if not is_regular.all() or digits[3:11].max() > 9 or digits[13:15].max() > 9:
        return False
    magnitudes = digits[1].astype(np.float64)
    for pair in digits[3:11:2] * np.uint8(10) + digits[4:11:2]:
        magnitudes *= 100
        magnitudes += pair
    exponents = (digits[13] * np.uint8(10) + digits[14]).astype(np.int64)
    exponents = np.where(has_negative_exponent, -exponents, exponents)
    if exponents.max() > MOST_EXPONENT or exponents.min() < LEAST_EXPONENT:
        return False
    magnitudes *= POWERS[exponents - 8]
    if magnitudes.max() > READ_LIMIT:
        return False
    np.copysign(np.minimum(magnitudes, FLOAT_MAX), np.where(is_negative, -1.0, 1.0), out=values, casting="same_kind")
    return True


def _read_word(word: bytes, where: str) -> float:
    try:
        number = float(word.replace(b"_", b"?"))  # refuse 1_000, which Python would accept
    except ValueError:
        raise FileFormatError(f"{where}: {word[:40].decode('ascii', 'replace')!r} is not a number") from None
    if FLOAT_MAX < abs(number) < np.inf:
        if abs(number) > READ_LIMIT:
            raise FileFormatError(f"{where}: {number} is more than float32 can hold")
        number = math.copysign(FLOAT_MAX, number)
    return number
