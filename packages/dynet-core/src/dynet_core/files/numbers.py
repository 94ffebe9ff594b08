"""Write and read numbers in DyNet's format, `"%+.8e "`: sixteen characters, with the nine digits that a float32 needs.

Both directions work on arrays of characters, a block at a time. This is many times faster than one number at a time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from ..errors import FileFormatError

WIDTH = 16  # "+1.23456789e-01 "
BLOCK = 1 << 14  # numbers of a block, which fits a cache with its intermediate arrays
MOST_EXPONENT, LEAST_EXPONENT = 38, -45  # of a float32 as a decimal
POWERS = np.array([float(f"1e{power}") for power in range(-60, 61)])
LARGEST = float(np.finfo(np.float32).max)
LAST_WORD = re.compile(rb"[+-]?[0-9]\.[0-9]{8}e[+-][0-9]{2}|[+-]?(inf|nan)", re.IGNORECASE)
"""A number that is surely complete. Another number at the end of the file could be cut off."""


def _power(exponents: np.ndarray) -> np.ndarray:
    return POWERS[exponents + 60]


def _digits(count: int, width: int) -> np.ndarray:
    """Return the numbers below `count` as texts of `width` digits, each packed into an unsigned integer."""
    text = b"".join(b"%0*d" % (width, number) for number in range(count))
    return np.frombuffer(text, f"u{width}")


FOUR_DIGITS = _digits(10_000, 4)
TWO_DIGITS = _digits(100, 2)
CELL = np.dtype(
    {
        "names": ["sign", "first", "point", "high", "low", "e", "exponent_sign", "exponent", "space"],
        "formats": ["u1", "u1", "u1", "u4", "u4", "u1", "u1", "u2", "u1"],
        "offsets": [0, 1, 2, 3, 7, 11, 12, 13, 15],
        "itemsize": WIDTH,
    }
)


def written(values: np.ndarray) -> Iterator[bytes]:
    """Yield the text of a flat float32 array, block by block. Infinities and NaN are padded to the same width."""
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

    # Near the midpoint of two decimals, the rounding error of `scaled` could select the wrong one. Python's own
    # formatting decides there.
    unsure = np.abs(np.abs(scaled - whole) - 0.5) < 1e-5
    text = cells.view(f"S{WIDTH}")
    for place in np.flatnonzero(unsure | ~finite):
        text[place] = f"{values[place]:+.8e}".ljust(WIDTH).encode()
    return cells.tobytes()


def _exponents(magnitudes: np.ndarray) -> np.ndarray:
    """Return the decimal exponent of each magnitude; 0 for zero."""
    binary = np.frexp(magnitudes)[1]
    exponents = np.floor((binary - 1) * 0.30102999566398120).astype(np.int64)  # correct, or one too small
    exponents += magnitudes >= _power(exponents + 1)
    exponents[magnitudes == 0] = 0
    return exponents


def read(line: bytes, count: int, where: str) -> np.ndarray:
    """Return the `count` numbers of a line as a float32 array.

    Args:
        where: the place in the file, for errors.

    Raises:
        FileFormatError: the count is wrong, or a word is not a number or too large for float32.
    """
    line, ended = line.rstrip(b"\r\n"), line.endswith(b"\n")
    if len(line) == count * WIDTH:
        values = np.empty(count, np.float32)
        cells = np.frombuffer(line, CELL)
        blocks = [slice(start, start + BLOCK) for start in range(0, count, BLOCK)]
        if all(_read_block(cells[block], values[block]) for block in blocks):
            return values
    words = line.split()
    if not ended and words and not LAST_WORD.fullmatch(words[-1]):
        raise FileFormatError(f"{where}: the file ends in the middle of a number")
    return _read_words(words, count, where)


def _read_block(cells: np.ndarray, values: np.ndarray) -> bool:
    """Put the numbers of a block of cells into `values`. Return False if a cell is not as `written` makes it."""
    digits = cells.view(np.uint8).reshape(-1, WIDTH) - np.uint8(ord("0"))  # 10 or more for other characters
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
        number = float(word.replace(b"_", b"?"))  # Python accepts 1_000; refuse it
    except ValueError:
        shown = word[:40].decode("ascii", "replace")
        raise FileFormatError(f"{where}: {shown!r} is not a number") from None
    if LARGEST < abs(number) < np.inf:
        if abs(number) > LARGEST * (1 + 1e-8):  # nine digits may round the largest up a little
            raise FileFormatError(f"{where}: {number} is more than float32 can hold")
        number = float(np.copysign(LARGEST, number))
    return number
