"""Reads sentences from CoNLL-U files, such as the Turkish treebanks in the package turkish-treebanks.

CoNLL-U is a text format with a line of ten columns for each word, which gives its part of speech and the word on which
it depends.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TextIO

if TYPE_CHECKING:
    import conllu

PACKAGE, FILES = "turkish-treebanks", ("data/web.conllu", "data/wiki.conllu")
COLUMNS = 10


class Word(NamedTuple):
    """A word of a sentence.

    Attributes:
        form: the word as it is written.
        tag: its part of speech.
        head: the index in the sentence of the word on which it depends; -1 for the root, which depends on no word.
        relation: the kind of dependency, such as "nsubj" for a subject.
    """

    form: str
    tag: str
    head: int
    relation: str


Sentence = list[Word]


class CorpusError(ValueError):
    """Raised if a file cannot be used. The message tells the file, the sentence and what is wrong."""


def read() -> list[Sentence]:
    """Return all sentences of the installed treebank. End the program with a message if it cannot be read."""
    try:
        return [sentence for file in files() for sentence in read_file(file)]
    except CorpusError as error:
        raise SystemExit(f"error: {error}") from None


def files() -> list[Path]:
    """Return the paths of the treebank's files. They are in an installed package, which is not imported."""
    try:
        package = metadata.distribution(PACKAGE)
    except metadata.PackageNotFoundError:
        raise CorpusError(f"the package {PACKAGE}, which carries the treebank, is not installed") from None
    return [Path(str(package.locate_file(file))) for file in FILES]


def read_file(file: Path) -> list[Sentence]:
    """Return the sentences of a CoNLL-U file.

    Raises:
        CorpusError: the file cannot be read, is not CoNLL-U, or has no sentence.
    """
    try:
        with open(file, encoding="utf-8-sig") as lines:
            sentences = list(sentences_of(lines))
    except FileNotFoundError:
        raise CorpusError(f"{file}: there is no such file") from None
    except OSError as error:
        raise CorpusError(f"{file}: the file cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise CorpusError(f"{file}: the file is not UTF-8 text") from None
    except CorpusError as error:
        raise CorpusError(f"{file}, {error}") from None
    if not sentences:
        raise CorpusError(f"{file}: the file holds no sentence")
    return sentences


def sentences_of(file: TextIO) -> Iterator[Sentence]:
    """Yield the sentences of an open CoNLL-U file."""
    import conllu  # not at the top of the file, so that the examples' networks can be used without this package
    from conllu.exceptions import ParseException

    # The examples do not use these columns, so they stay text: parsing them would take four times as long as the rest.
    unread = dict.fromkeys(("xpos", "feats", "deps", "misc"), lambda columns, number: columns[number])
    number = 0
    try:
        for tokens in conllu.parse_incr(file, field_parsers=unread):
            number += 1
            # Lines whose id is no integer are left out. They stand for ranges of words, or for words that are implied.
            words = [word_of(token, len(tokens)) for token in tokens if isinstance(token["id"], int)]
            if words:
                yield words
    except ParseException as error:
        raise CorpusError(f"sentence {number + 1}: {error}") from None
    except CorpusError as error:
        raise CorpusError(f"sentence {number}: {error}") from None


def word_of(token: conllu.Token, count: int) -> Word:
    """Return the `Word` for a line of a sentence that has `count` lines. Raise CorpusError if the line is faulty."""
    if len(token) != COLUMNS:
        raise CorpusError(f"expected {COLUMNS} columns separated by tabs, found {len(token)}")
    form, tag, head = token["form"], token["upos"], token["head"]
    if not form or tag in ("", "_"):
        raise CorpusError(f"word {token['id']} has no form or no tag (columns 2 and 4)")
    if head is not None and not 0 <= head <= count:
        raise CorpusError(f"word {token['id']} has the head {head}, and there are {count} words")
    return Word(form, tag, (head or 0) - 1, token["deprel"])


def split(sentences: list[Sentence], limit: int | None, seed: int) -> tuple[list[Sentence], list[Sentence]]:
    """Choose sentences at random, and return those to train on and those to test with, a tenth of them.

    Args:
        sentences: all sentences.
        limit: how many to choose; None means all.
        seed: the seed of the random choice.
    """
    chosen = random.Random(seed).sample(sentences, min(limit or len(sentences), len(sentences)))
    held_out = max(1, len(chosen) // 10)
    return chosen[held_out:], chosen[:held_out]
