"""The words of a `ClassFactoredSoftmaxBuilder`: their numbers, and the file that says to which cluster each belongs."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence

from dynet_core.checks import whole
from dynet_core.errors import ArgumentError, ArgumentTypeError

NAME = "ClassFactoredSoftmaxBuilder"


def checked_numbers(word_dict: Mapping[str, int]) -> dict[str, int]:
    """Return `word_dict` with words of type str and numbers of type int, which must be 0, 1, 2, ... without gaps."""
    if not isinstance(word_dict, Mapping) or not word_dict:
        raise ArgumentTypeError(f"{NAME}: word_dict must map words to their numbers, got {word_dict!r:.60}")
    for word in word_dict:
        if not isinstance(word, str):
            raise ArgumentTypeError(f"{NAME}: a word of word_dict must be a str, got {word!r:.60}")
    numbers = {str(word): whole(NAME, f"the number of word {word!r}", number) for word, number in word_dict.items()}
    if sorted(numbers.values()) != list(range(len(numbers))):
        raise ArgumentError(f"{NAME}: the numbers of the {len(numbers)} words are not 0 to {len(numbers) - 1}")
    return numbers


def check_clusters(clusters: Sequence[Sequence[int]], count: int, rest: Sequence[str]) -> None:
    """Check that the clusters and `rest`, the words without one, are `count` words from 0 to count - 1.

    It takes time and memory of the order of the lists that the spec has: a file may have forged it.
    """
    lists = isinstance(clusters, (list, tuple)) and all(isinstance(words, (list, tuple)) for words in clusters)
    if not lists or len({*map(id, clusters)}) < len(clusters):
        raise ArgumentError(f"{NAME}: the clusters of a spec are different lists of numbers")
    words = [word for cluster in clusters for word in cluster]
    fits = len(words) + len(rest) == count and all(0 <= word < count for word in words)
    if not fits or len({*words}) < len(words):
        held = f"{len(words)} numbers of words, and {len(rest)} words are in none"
        raise ArgumentError(f"{NAME}: the spec has {count!r:.40} words, but its clusters hold {held}")


def read_clusters(path: str | os.PathLike[str], word_dict: Mapping[str, int]) -> tuple[list[list[int]], list[str]]:
    """Read a file of lines `cluster word`. Return the words' numbers for each cluster, and the words that have none.

    Clusters are in the order of their first lines. Only spaces and tabs separate fields: a word may contain a no-break
    space. What follows a word is ignored. A line without a word, an unknown or repeated word, and a file without any
    raise ArgumentError.
    """
    path = os.fspath(path)  # `open` also takes the number of an open file, and closes it
    clusters: dict[str, list[int]] = {}
    seen: set[str] = set()
    with open(path, encoding="utf-8", newline="\n") as file:
        for line, text in enumerate(file, 1):
            fields = re.findall(r"[^ \t]+", text.rstrip("\r\n"))
            if not fields:
                continue
            if len(fields) < 2:
                raise ArgumentError(f"{NAME}: {path}, line {line}: expected `cluster word`, got {fields[0]!r:.60}")
            cluster, word = fields[:2]
            if word not in word_dict:
                raise ArgumentError(f"{NAME}: {path}, line {line}: word_dict has no word {word!r}")
            if word in seen:
                raise ArgumentError(f"{NAME}: {path}, line {line}: word {word!r} occurs twice")
            seen.add(word)
            clusters.setdefault(cluster, []).append(word_dict[word])
    if not clusters:
        raise ArgumentError(f"{NAME}: {path} has no line `cluster word`")
    return list(clusters.values()), [word for word in sorted(word_dict, key=word_dict.__getitem__) if word not in seen]
