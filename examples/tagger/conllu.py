"""A strict reader of CoNLL-U files, for what a tagger needs: word forms and their universal tags.

A file is lines of ten columns parted by tabs; a blank line ends a sentence, `#` starts a comment.
Multiword tokens (`3-4`) and empty nodes (`5.1`) carry no tag of their own and are left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

Sentence = list[tuple[str, str]]
"""The words of a sentence, each as (form, tag)."""

COLUMNS = 10
NOT_A_WORD = re.compile(r"[1-9][0-9]*-[1-9][0-9]*|[0-9]+\.[1-9][0-9]*")


class ConlluError(ValueError):
    """A file that cannot be read as CoNLL-U: which file, which line (None: the whole file), what is wrong."""

    def __init__(self, file: str | Path, line: int | None, reason: str):
        self.file, self.line, self.reason = str(file), line, reason
        super().__init__(f"{file}: {reason}" if line is None else f"{file}, line {line}: {reason}")


def read(file: str | Path) -> list[Sentence]:
    """The sentences of a file; raises `ConlluError` where it is not CoNLL-U or holds no sentence."""
    sentences = list(sentences_of(file))
    if not sentences:
        raise ConlluError(file, None, "the file holds no sentence")
    return sentences


def sentences_of(file: str | Path) -> Iterator[Sentence]:
    sentence: Sentence = []
    for number, line in numbered_lines(file):
        if not line:
            if sentence:
                yield sentence
            sentence = []
        elif not line.startswith("#"):
            columns = line.split("\t")
            try:
                if is_word(columns, len(sentence) + 1):
                    sentence.append((columns[1], columns[3]))
            except ValueError as wrong:
                raise ConlluError(file, number, str(wrong)) from None
    if sentence:
        yield sentence


def numbered_lines(file: str | Path) -> Iterator[tuple[int, str]]:
    try:
        with open(file, "rb") as lines:
            for number, line in enumerate(lines, start=1):
                yield number, decoded(file, number, line).rstrip("\r\n")
    except FileNotFoundError:
        raise ConlluError(file, None, "there is no such file") from None
    except OSError as error:
        raise ConlluError(file, None, f"the file cannot be read ({error.strerror})") from None


def decoded(file: str | Path, number: int, line: bytes) -> str:
    try:
        return line.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError:
        raise ConlluError(file, number, "the line is not UTF-8 text") from None


def is_word(columns: list[str], expected: int) -> bool:
    """Whether the columns describe a word, which then must be number `expected` of its sentence."""
    if len(columns) != COLUMNS:
        raise ValueError(f"expected {COLUMNS} columns parted by tabs, found {len(columns)}")
    number, form, _, tag = columns[:4]
    if NOT_A_WORD.fullmatch(number):
        return False
    if number != str(expected):
        raise ValueError(f"expected word number {expected}, found {number!r}")
    if not form:
        raise ValueError("the word's form (column 2) is empty")
    if tag in ("", "_"):
        raise ValueError("the word has no tag (column 4)")
    return True
