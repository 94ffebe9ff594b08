"""The words of a `ClassFactoredSoftmaxBuilder`: their numbers, and the file that says to which cluster each belongs."""

from __future__ import annotations

import os
from collections.abc import Mapping

from dynet_core.checks import whole
from dynet_core.errors import ArgumentError, ArgumentTypeError


def checked_numbers(word_dict: Mapping[str, int]) -> dict[str, int]:
    """Return `word_dict` with the numbers as ints.

    Raises:
        ArgumentTypeError: `word_dict` is not a mapping, or is empty.
        ArgumentError: the numbers are not 0, 1, 2, ... without gaps.
    """
    name = "ClassFactoredSoftmaxBuilder"
    if not isinstance(word_dict, Mapping) or not word_dict:
        raise ArgumentTypeError(f"{name}: word_dict must map words to their numbers, got {word_dict!r:.60}")
    numbers = {word: whole(name, f"the number of word {word!r}", number) for word, number in word_dict.items()}
    if sorted(numbers.values()) != list(range(len(numbers))):
        raise ArgumentError(f"{name}: the numbers of the {len(numbers)} words are not 0 to {len(numbers) - 1}")
    return numbers


def read_clusters(cluster_file: str | os.PathLike[str], word_dict: Mapping[str, int]) -> list[list[int]]:
    """Read a file of lines `cluster word`, and return for each cluster the list of its words' numbers.

    The clusters are in the order of their first lines in the file.

    Args:
        cluster_file: the path of the file.
        word_dict: the number of each word.

    Raises:
        ArgumentError: a line is not of this form, or the file has a word twice, or the file and `word_dict` do not have
            the same words.
    """
    name, path = "ClassFactoredSoftmaxBuilder", os.fspath(cluster_file)
    clusters: dict[str, list[int]] = {}
    seen: set[str] = set()
    with open(path, encoding="utf-8") as file:
        for line, text in enumerate(file, 1):
            if not text.strip():
                continue
            fields = text.split()
            if len(fields) != 2:
                raise ArgumentError(f"{name}: {path}, line {line}: expected `cluster word`, got {text.strip()!r:.60}")
            cluster, word = fields
            if word not in word_dict:
                raise ArgumentError(f"{name}: {path}, line {line}: word_dict has no word {word!r}")
            if word in seen:
                raise ArgumentError(f"{name}: {path}, line {line}: word {word!r} is there twice")
            seen.add(word)
            clusters.setdefault(cluster, []).append(word_dict[word])
    missing = [word for word in word_dict if word not in seen]
    if missing:
        raise ArgumentError(f"{name}: {path} has no cluster for {len(missing)} words of word_dict, as {missing[0]!r}")
    return list(clusters.values())
