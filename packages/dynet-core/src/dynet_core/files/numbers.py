"""Write and read the numbers in DyNet's text files. Each has the format `"%+.8e "`, as in `+1.23456789e-01 `.

So each takes sixteen characters with the space, and has the nine digits that a float32 needs. Whole arrays are
converted with numpy, which is many times faster than one number after the other.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from ..errors import FileFormatError

WIDTH = 16  # characters of a number with the space after it: "+1.23456789e-01 "
BLOCK = 1 << 14  # how many numbers to convert at a time; the intermediate arrays fit into a CPU cache
MOST_EXPONENT, LEAST_EXPONENT = 38, -45  # the range of the decimal exponents of float32 numbers
POWERS = np.array([float(f"1e{power}") for power in range(-60, 61)])  # element k is 10 to the power of k - 60
LARGEST = float(np.finfo(np.float32).max)
LAST_WORD = re.compile(rb"[+-]?[0-9]\.[0-9]{8}e[+-][0-9]{2}|[+-]?(inf|nan)", re.IGNORECASE)
"""Matches a number that is certainly complete. If the last number of a file does not match and no newline follows, the
file may have been cut off in the middle of this number."""


def _power(exponents: np.ndarray) -> np.ndarray:
    return POWERS[exponents + 60]


def _digits(count: int, width: int) -> np.ndarray:
    """Return the decimal digits of 0 to count - 1, each as an unsigned integer whose `width` bytes are ASCII."""
    text = b"".join(b"%0*d" % (width, number) for number in range(count))
    return np.frombuffer(text, f"u{width}")


FOUR_DIGITS = _digits(10_000, 4)
TWO_DIGITS = _digits(100, 2)
# The characters of one number. After the point come four digits in `high` and four in `low`.
CELL = np.dtype(
    {
        "names": ["sign", "first", "point", "high", "low", "e", "exponent_sign", "exponent", "space"],
        "formats": ["u1", "u1", "u1", "u4", "u4", "u1", "u1", "u2", "u1"],
        "offsets": [0, 1, 2, 3, 7, 11, 12, 13, 15],
        "itemsize": WIDTH,
    }
)


def written(values: np.ndarray) -> Iterator[bytes]:
    """Yield the text of a flat float32 array, BLOCK numbers at a time. Infinities and NaN are padded with spaces."""
    for start in range(0, len(values), BLOCK):
        yield _written_block(values[start : start + BLOCK])


def _written_block(values: np.ndarray) -> bytes:
    finite = np.isfinite(values)
    magnitudes = np.abs(np.where(finite, values, 0), dtype=np.float64)
    exponents = _exponents(magnitudes)
    scaled = magnitudes * _power(8 - exponents)
    whole = np.rint(scaled)
    carried = whole >= 1e9
    exponents += carried
    digits = np.where(carried, 1e8, whole).astype(np.int64)
    upper, low = np.divmod(digits, 10_000)
    first, high = np.divmod(upper, 10_000)

    cells = np.empty(len(values), CELL)
    cells["sign"] = np.where(np.signbit(values), ord("-"), ord("+"))
    cells["first"] = first + ord("0")
    cells["point"] = ord(".")
    cells["high"] = FOUR_DIGITS[high]
    cells["low"] = FOUR_DIGITS[low]
    cells["e"] = ord("e")
    cells["exponent_sign"] = np.where(exponents < 0, ord("-"), ord("+"))
    cells["exponent"] = TWO_DIGITS[np.abs(exponents)]
    cells["space"] = ord(" ")

    # Near the midpoint of two whole numbers, the small error of `scaled` may have made `whole` the wrong one. Python
    # formats these numbers again, and infinities and NaN.
    unsure = np.abs(np.abs(scaled - whole) - 0.5) < 1e-5
    text = cells.view(f"S{WIDTH}")
    for place in np.flatnonzero(unsure | ~finite):
        text[place] = f"{values[place]:+.8e}".ljust(WIDTH).encode()
    return cells.tobytes()


def _exponents(magnitudes: np.ndarray) -> np.ndarray:
    """Return each magnitude's decimal exponent, such as 2 for 123 = 1.23e2; 0 for zero."""
    binary = np.frexp(magnitudes)[1]
    # 0.301... is log10(2). The first line may be 1 too small, the second corrects it.
    exponents = np.floor((binary - 1) * 0.30102999566398120).astype(np.int64)
    exponents += magnitudes >= _power(exponents + 1)
    exponents[magnitudes == 0] = 0
    return exponents


def read(line: bytes, count: int, where: str) -> np.ndarray:
    """Parse a line of `count` numbers. `where` is the file and the parameter's name, for error messages."""
    line, ended = line.rstrip(b"\r\n"), line.endswith(b"\n")
    if len(line) == count * WIDTH:
        values = np.empty(count, np.float32)
        cells = np.frombuffer(line, CELL)
        blocks = [slice(start, start + BLOCK) for start in range(0, count, BLOCK)]
        if all(_read_block(cells[block], values[block]) for block in blocks):
            return values
    words = line.split()
    if not ended and not is_whole(words):
        raise FileFormatError(f"{where}: the file ends in the middle of a number")
    return _read_words(words, count, where)


def is_whole(words: list[bytes]) -> bool:
    """Return whether a line's last word is a whole number. If the file ends there, it may be a part of one."""
    return not words or LAST_WORD.fullmatch(words[-1]) is not None


def _read_block(cells: np.ndarray, values: np.ndarray) -> bool:
    """Parse up to BLOCK numbers of sixteen characters each into `values`.

    Return False if one is not as `written` writes finite numbers, or may be too large for float32. Then the slower
    `_read_words` knows all formats and raises errors.
    """
    digits = cells.view(np.uint8).reshape(-1, WIDTH) - np.uint8(ord("0"))  # other characters become 10 or more
    negative, small = cells["sign"] == ord("-"), cells["exponent_sign"] == ord("-")
    regular = (
        (negative | (cells["sign"] == ord("+")))
        & (small | (cells["exponent_sign"] == ord("+")))
        & (cells["point"] == ord("."))
        & (cells["e"] == ord("e"))
        & (cells["space"] == ord(" "))
        & (digits[:, 1] < 10)
    )
    if not regular.all() or digits[:, 3:11].max() > 9 or digits[:, 13:15].max() > 9:
        return False
    pairs = digits[:, 3:11:2] * np.uint8(10) + digits[:, 4:11:2]
    number = digits[:, 1].astype(np.float64)
    for k in range(4):
        number *= 100
        number += pairs[:, k]
    exponents = (digits[:, 13] * np.uint8(10) + digits[:, 14]).astype(np.int64)
    exponents = np.where(small, -exponents, exponents)
    if exponents.max() > MOST_EXPONENT or exponents.min() < LEAST_EXPONENT:
        return False
    number *= _power(exponents - 8)
    if number.max() > LARGEST * (1 + 1e-8):
        return False
    np.copysign(np.minimum(number, LARGEST), np.where(negative, -1.0, 1.0), out=values, casting="same_kind")
    return True


def _read_words(words: list[bytes], count: int, where: str) -> np.ndarray:
    if len(words) != count:
        raise FileFormatError(f"{where}: the line holds {len(words)} numbers, not {count}")
    return np.array([_read_word(word, where) for word in words], np.float32)


def _read_word(word: bytes, where: str) -> float:
    try:
        number = float(word.replace(b"_", b"?"))  # refuse 1_000, which Python would accept
    except ValueError:
        shown = word[:40].decode("ascii", "replace")
        raise FileFormatError(f"{where}: {shown!r} is not a number") from None
    if LARGEST < abs(number) < np.inf:
        if abs(number) > LARGEST * (1 + 1e-8):  # allow the largest float32 rounded up to nine digits
            raise FileFormatError(f"{where}: {number} is more than float32 can hold")
        number = float(np.copysign(LARGEST, number))
    return number
