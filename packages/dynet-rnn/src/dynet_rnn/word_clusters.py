"""Words in clusters: checks, and the reader of cluster files. `name` is the builder that errors name."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence

from dynet_core.checks import whole
from dynet_core.errors import ArgumentError, ArgumentTypeError
from dynet_core.files.vocabulary import Vocabulary


def checked_word_numbers(name: str, word_dict: Mapping[str, int]) -> dict[str, int]:
    """Check that `word_dict` maps words to the numbers 0, 1, 2, ... without gaps. Return it as a dict of ints.

    It may be a `Vocabulary`.
    """
    if isinstance(word_dict, Vocabulary):
        return {word: number for number, word in enumerate(word_dict)}
    if not isinstance(word_dict, Mapping) or not word_dict:
        raise ArgumentTypeError(f"{name}: word_dict must map words to their numbers, got {word_dict!r:.60}")
    for word in word_dict:
        if not isinstance(word, str):
            raise ArgumentTypeError(f"{name}: a word of word_dict must be a str, got {word!r:.60}")
    numbers = {str(word): whole(name, f"the number of word {word!r}", index) for word, index in word_dict.items()}
    if sorted(numbers.values()) != list(range(len(numbers))):
        raise ArgumentError(f"{name}: the numbers of the {len(numbers)} words are not 0 to {len(numbers) - 1}")
    return numbers


def check_clusters(name: str, clusters: Sequence[Sequence[int]], word_count: int, unclustered: Sequence[str]) -> None:
    """Check that the clusters have distinct words below `word_count`, and `unclustered` an entry for each other word.

    Time and memory grow only with the lists in the spec, because a forged file may have any `word_count`.
    """
    are_lists = isinstance(clusters, (list, tuple)) and all(isinstance(words, (list, tuple)) for words in clusters)
    if not are_lists or len({*map(id, clusters)}) < len(clusters):
        raise ArgumentError(f"{name}: the clusters of a spec are different lists of numbers")
    words = [word for cluster in clusters for word in cluster]
    fits = len(words) + len(unclustered) == word_count and all(0 <= word < word_count for word in words)
    if not fits or len({*words}) < len(words):
        contents = f"{len(words)} numbers of words, and {len(unclustered)} words are in none"
        raise ArgumentError(f"{name}: the spec has {word_count!r:.40} words, but its clusters hold {contents}")


def read_clusters(
    name: str, path: str | os.PathLike[str], word_dict: Mapping[str, int]
) -> tuple[dict[str, list[int]], list[str]]:
    """Read a file of lines `cluster word`. Return each cluster's word numbers, and a list of words without a cluster.

    Clusters are in the order of their first lines. Only spaces and tabs separate fields, so a word may contain a
    no-break space.
    """
    path = os.fspath(path)  # raises TypeError for the number of an open file, which `open` would accept
    clusters: dict[str, list[int]] = {}
    seen: set[str] = set()
    with open(path, "rb") as file:
        for number, data in enumerate(file, 1):
            try:
                line = data.decode()
            except UnicodeDecodeError as error:
                raise ArgumentError(f"{name}: {path}, line {number}: {error}") from None
            fields = re.findall(r"[^ \t]+", line.rstrip("\r\n"))
            if not fields:
                continue
            if len(fields) < 2:
                raise ArgumentError(f"{name}: {path}, line {number}: expected `cluster word`, got {fields[0]!r:.60}")
            cluster, word, *_ = fields
            if word not in word_dict:
                raise ArgumentError(f"{name}: {path}, line {number}: word_dict has no word {word!r}")
            if word in seen:
                raise ArgumentError(f"{name}: {path}, line {number}: word {word!r} occurs twice")
            seen.add(word)
            clusters.setdefault(cluster, []).append(word_dict[word])
    if not clusters:
        raise ArgumentError(f"{name}: {path} has no line `cluster word`")
    return clusters, [word for word in sorted(word_dict, key=word_dict.__getitem__) if word not in seen]
