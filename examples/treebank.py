"""The sentences of the Turkish Web Treebank, which the package turkish-treebanks carries, as dependency trees."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from importlib import metadata
from typing import NamedTuple

PACKAGE, FILES = "turkish-treebanks", ("data/web.conllu", "data/wiki.conllu")


class Word(NamedTuple):
    """A word: its form, its part of speech, the number of the word it depends on (-1: none), and how it does."""

    form: str
    tag: str
    head: int
    relation: str


Sentence = list[Word]


def read() -> list[Sentence]:
    """All sentences of the treebank."""
    try:
        package = metadata.distribution(PACKAGE)
    except metadata.PackageNotFoundError:
        raise SystemExit(f"error: the package {PACKAGE} is not installed") from None
    found = []
    for file in FILES:
        with open(str(package.locate_file(file)), encoding="utf-8") as lines:
            found += list(sentences_of(lines))
    return found


def sentences_of(lines: Iterable[str]) -> Iterator[Sentence]:
    """The sentences in lines of CoNLL-U."""
    sentence: Sentence = []
    for line in lines:
        if not line.strip():
            if sentence:
                yield sentence
            sentence = []
        elif not line.startswith("#"):
            number, form, _, tag, _, _, head, relation, *_ = line.split("\t")
            if number.isdigit():  # others are ranges of words and words that are only thought of
                sentence.append(Word(form, tag, int(head) - 1, relation))
    if sentence:
        yield sentence


def split(sentences: list[Sentence], limit: int | None, seed: int) -> tuple[list[Sentence], list[Sentence]]:
    """Sentences to learn from and a tenth that is held out, of `limit` sentences chosen by the seed."""
    chosen = random.Random(seed).sample(sentences, min(limit or len(sentences), len(sentences)))
    held_out = max(1, len(chosen) // 10)
    return chosen[held_out:], chosen[:held_out]
