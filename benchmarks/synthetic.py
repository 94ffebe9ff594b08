"""Synthetic data for the tasks, identical in every interpreter: sentences, trees, transitions.

Only Python's own generator is used, because numpy's streams may change from version to version.
"""

from __future__ import annotations

import itertools
import random
from bisect import bisect
from collections.abc import Callable, Iterator
from typing import TypeVar

Item = TypeVar("Item")

VOCABULARY = 10_000
POOL = 2_000
SHIFT, LEFT, RIGHT = range(3)
GOLDEN_RATIO = (1 + 5**0.5) / 2


def sentence_length(rng: random.Random) -> int:
    """Draw a length from about N(20, 8), between 3 and 60."""
    return min(max(round(rng.gauss(20, 8)), 3), 60)


def zipf(size: int) -> Callable[[random.Random], int]:
    """Return a sampler of 0 .. size - 1 that draws k with a probability proportional to 1 / (k + 1)."""
    bounds = list(itertools.accumulate(1 / rank for rank in range(1, size + 1)))
    return lambda rng: bisect(bounds, rng.random() * bounds[-1])


def sentences(rng: random.Random, count: int = POOL, vocabulary: int = VOCABULARY) -> list[list[int]]:
    word = zipf(vocabulary)
    return [[word(rng) for _ in range(sentence_length(rng))] for _ in range(count)]


def binary_tree(words: list[int], rng: random.Random):
    """Return a random binary tree over the words: a leaf is a word, an inner node a pair of trees."""
    if len(words) == 1:
        return words[0]
    cut = rng.randrange(1, len(words))
    return binary_tree(words[:cut], rng), binary_tree(words[cut:], rng)


def arc_hybrid_transitions(length: int, rng: random.Random) -> list[int]:
    """Return random transitions that reduce a sentence to one word on the stack."""
    transitions = []
    stacked, waiting = 0, length
    while waiting or stacked > 1:
        allowed = [SHIFT] * (waiting > 0) + [LEFT] * (stacked > 0 and waiting > 0) + [RIGHT] * (stacked > 1)
        transition = rng.choice(allowed)
        transitions.append(transition)
        if transition == SHIFT:
            waiting -= 1
        stacked += 1 if transition == SHIFT else -1
    return transitions


def projective_heads(length: int, rng: random.Random) -> list[int]:
    """Return a random projective tree over words 1 .. length: the head of each word, 0 for the tree's root."""
    heads = [0] * length
    stack: list[int] = []
    following = 1
    for transition in arc_hybrid_transitions(length, rng):
        if transition == SHIFT:
            stack.append(following)
            following += 1
        else:
            word = stack.pop()
            heads[word - 1] = following if transition == LEFT else stack[-1]
    return heads


def lattice(words: list[int], rng: random.Random, extra: Callable[[random.Random], int]) -> list[tuple[int, list[int]]]:
    """Return a random lattice: a list of words, each with the positions in this list of its predecessors.

    Word k of the sentence spans k .. k + 1. With probability about 1/2, another word, drawn by `extra`, also starts at
    k and spans 2 to 4 words of the sentence. The predecessors of a word are all words that end where it starts. They
    come earlier in the list, because words are sorted by their start.
    """
    ending: list[list[int]] = [[] for _ in range(len(words) + 1)]
    nodes: list[tuple[int, list[int]]] = []
    for start, word in enumerate(words):
        ends = [(word, start + 1)]
        if rng.random() < 0.5 and start + 2 <= len(words):
            ends.append((extra(rng), rng.randint(start + 2, min(start + 4, len(words)))))
        for hypothesis, end in ends:
            ending[end].append(len(nodes))
            nodes.append((hypothesis, list(ending[start])))
    return nodes


def minibatches(pool: list[Item], size: int, rng: random.Random) -> Iterator[list[Item]]:
    """Yield minibatches forever, reshuffling the pool for each pass."""
    pool = list(pool)
    while True:
        rng.shuffle(pool)
        for start in range(0, len(pool) - size + 1, size):
            yield pool[start : start + size]


def minibatches_by_length(
    pool: list[Item], size: int, rng: random.Random, length: Callable[[Item], int] = len
) -> Iterator[list[Item]]:
    """Like `minibatches`, but each minibatch holds examples of similar length, the longest first.

    This is common practice, because it needs little padding. Practitioners shuffle the minibatches; here, short and
    long ones alternate, so that any few in a row represent all of them. Otherwise a brief measurement would depend on
    which minibatches it meets, and competitors, which complete different numbers of minibatches, would meet different
    ones.
    """
    pool = list(pool)
    while True:
        rng.shuffle(pool)
        pool.sort(key=length, reverse=True)
        count = len(pool) // size
        # In this order, neighbours are far apart, and any few in a row are spread evenly (three-distance theorem).
        spread = sorted(range(count), key=lambda number: number * GOLDEN_RATIO % 1)
        first = rng.randrange(count)
        for number in spread[first:] + spread[:first]:
            yield pool[number * size : (number + 1) * size]
