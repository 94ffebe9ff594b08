"""`read_vectors`: word vectors in the formats of word2vec (text and binary) and GloVe, also compressed by gzip."""

from __future__ import annotations

import gzip
import io
import re
import zlib
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

import numpy as np

from ..annotations import Floats, Path
from ..checks import checked_flag
from ..errors import ArgumentTypeError, FileFormatError
from ..messages.wording import printable, shown
from .model_files import open_file
from .vocabulary import Vocabulary

LARGEST_SIZE = 1 << 18  # numbers in a vector
LONGEST_LINE = 32 * LARGEST_SIZE  # bytes
Row = tuple[int, bytes, np.ndarray]  # the number of a line or word, the word, its vector
NEXT_NUMBER = re.compile(rb" [-+.0-9eE]*[0-9]$")  # matches a word that ends with a number, one too many in its line


def read_vectors(
    path: Path, vocabulary: Vocabulary | None = None, binary: bool | None = None
) -> tuple[Vocabulary, Floats]:
    """Read word vectors in the formats of word2vec (text or binary) or GloVe, as they are or compressed by gzip.

    If tqdm is installed, it shows the progress on terminals. The vectors are in memory once.

    Args:
        path: the file.
        vocabulary: only the words in this vocabulary are kept; by default all words.
        binary: whether the file is in word2vec's binary format. By default, its first bytes tell.

    Returns:
        The words that were kept, and an array with a row for each. To set the rows of a lookup parameter E whose words
        are numbered by `vocabulary`: `for word, row in zip(words, array): E.init_row(vocabulary[word], row)`.

    Raises:
        FileFormatError: the file is damaged. The message has the number of the line, or of the word in a binary file.

    Source: Mikolov et al., "Distributed representations of words and phrases and their compositionality", 2013;
    Pennington et al., "GloVe: global vectors for word representation", 2014.

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = pathlib.Path(folder, "glove.txt").write_text("the 0.5 1.0\\ncat 2.0 -1.5\\n")
    ...     words, array = dy.read_vectors(folder + "/glove.txt")
    >>> E = dy.Model().lookup_parameters_from_numpy(array)
    >>> E[words["cat"]].value()
    [2.0, -1.5]
    """
    if not isinstance(vocabulary, Vocabulary | None):
        raise ArgumentTypeError(f"read_vectors: vocabulary must be a Vocabulary, not {shown(vocabulary)}")
    binary = binary if binary is None else checked_flag("read_vectors", "binary", binary)
    seen: dict[str, int] = {}
    kept, numbers = [], bytearray()
    with open_file("read_vectors", path) as file:
        is_zipped = file.peek(2)[:2] == b"\x1f\x8b"
        source: Any = io.BufferedReader(gzip.GzipFile(fileobj=file)) if is_zipped else file  # type: ignore[arg-type]
        try:
            what, count, size, rows = _opened(file.name, source, binary)
            for number, content, row in _with_progress(rows, count):
                word = _add_word(seen, content, what, number, file.name)
                if vocabulary is None or word in vocabulary:
                    kept.append(word)
                    numbers += row.tobytes()
            if count is not None and (len(seen) != count or source.read(2).strip()):
                raise FileFormatError(f"{file.name}: the first line says {count} words, there are {len(seen)} or more")
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise FileFormatError(f"{file.name}: it is not complete or damaged: {error}") from None
    return Vocabulary(kept), np.frombuffer(numbers, np.float32).reshape(-1, size)


def _opened(path: str, file: Any, binary: bool | None) -> tuple[str, int | None, int, Iterator[Row]]:
    """Return what has a number, "line" or "word"; how many words the file says it has; a vector's size; the rows."""
    first, lines, count = file.readline(LONGEST_LINE), iter(lambda: file.readline(LONGEST_LINE), b""), None
    size = len(first.split()) - 1
    if header := re.fullmatch(rb"([0-9]{1,18}) ([0-9]{1,18})\s*", first):
        count, size = map(int, header.groups())
        start = file.read(2 * min(size, LARGEST_SIZE) + 1000).partition(b" ")[2][: 2 * size - 1]  # if text, of numbers
        file.seek(len(first))
        binary = re.fullmatch(rb"[\t-\r -~]*", start) is None if binary is None else binary
    if not 1 <= size <= LARGEST_SIZE or binary and count is None:
        raise FileFormatError(f"{path}, line 1: expected two sizes, or a word and its vector, found {first[:40]!r}")
    if binary:
        return "word", count, size, _binary_rows(path, file, count or 0, size)
    numbered = enumerate(lines, 2) if header else enumerate(chain([first], lines), 1)
    return "line", count, size, _text_rows(path, numbered, size)


def _text_rows(path: str, lines: Iterable[tuple[int, bytes]], size: int) -> Iterator[Row]:
    for number, line in lines:
        word, *parts = line.rstrip(b" \r\n").rsplit(b" ", size)
        try:
            row = _checked(np.array([*map(float, parts)]))
            if len(parts) < size or NEXT_NUMBER.search(word) or b"_" in line[len(word) :]:  # Python takes 1_000
                raise ValueError
        except ValueError:
            problem = f"expected a word and {size} finite numbers, found {line[:40]!r} ... ({len(line.split())} items)"
            raise FileFormatError(f"{path}, line {number}: {problem}") from None
        yield number, word, row


def _binary_rows(path: str, file: Any, count: int, size: int) -> Iterator[Row]:
    for number in range(1, count + 1):
        word = bytearray()
        while (byte := file.read(1)) not in (b" ", b"") and len(word) < LONGEST_LINE:
            word += byte
        try:
            yield number, bytes(word.lstrip(b"\n")), _checked(np.frombuffer(file.read(4 * size), "<f4", size))
        except ValueError:
            problem = f"expected {size} finite numbers after the word {bytes(word[:40])!r}"
            raise FileFormatError(f"{path}, word {number}: {problem}") from None


def _checked(row: np.ndarray) -> np.ndarray:
    """Return a row as float32. Raise ValueError if a number is not finite."""
    with np.errstate(over="ignore"):
        row = row.astype(np.float32)
    if not np.isfinite(row).all():
        raise ValueError
    return row


def _add_word(words: dict[str, int], content: bytes, what: str, number: int, path: str) -> str:
    """Add a word in a file to `words`: word -> `number`, of the `what` in which it is. Return it as a string."""
    try:
        word, problem = content.decode(), "there is no word"
        if word and words.setdefault(word, number) == number:
            return word
        if word:
            problem = f"the word {printable(word)!r} is in {what} {words[word]} already"
    except UnicodeDecodeError:
        problem = f"{content[:40]!r} is not UTF-8"
    raise FileFormatError(f"{path}, {what} {number}: {problem}")


def _with_progress(rows: Iterator[Row], count: int | None) -> Iterable[Any]:
    try:
        from tqdm import tqdm
    except ImportError:
        return rows
    return tqdm(rows, total=count, unit=" words", disable=None)
