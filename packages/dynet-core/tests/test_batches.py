"""`batches_by_length`: minibatches of examples of similar length."""

import random
from typing import Any

import numpy as np
import pytest

from dynet_core import ArgumentError, ArgumentTypeError, Model, batches_by_length, reset_random_seed

WORDS = ["w" * random.Random(k).randrange(20) + str(k) for k in range(101)]


def flat(batches):
    return [example for batch in batches for example in batch]


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("size", [1, 7, 101, 1000])
def test_examples_of_similar_length_are_together(size, shuffle):
    batches = batches_by_length(WORDS, size, shuffle=shuffle)
    assert sorted(flat(batches)) == sorted(WORDS)
    ranges = sorted((min(map(len, batch)), max(map(len, batch))) for batch in batches)
    assert all(end <= start for (_, end), (start, _) in zip(ranges, ranges[1:]))
    assert sorted(map(len, batches))[1:] == [min(size, 101)] * ((101 - 1) // size)


def test_without_shuffling_the_shortest_are_first():
    batches = batches_by_length(WORDS, 7, shuffle=False)
    assert flat(batches) == sorted(WORDS, key=len)


def test_lengths_of_pairs():
    pairs = [("aaa", 1), ("b", 2), ("cc", 3)]
    assert batches_by_length(pairs, 2, lambda pair: len(pair[0]), shuffle=False) == [
        [("b", 2), ("cc", 3)],
        [("aaa", 1)],
    ]
    assert batches_by_length(iter([3, 1.5]), 1, np.float32, shuffle=False) == [[1.5], [3]]


def test_sums_of_lengths():
    examples = [[0] * n for n in (5, 1, 2, 3, 3, 9)]
    batches = batches_by_length(examples, 3, max_total=6, shuffle=False)
    assert [[*map(len, batch)] for batch in batches] == [[1, 2, 3], [3], [5], [9]]
    assert [len(batch) for batch in batches_by_length([[]] * 5, 3, max_total=1, shuffle=False)] == [3, 2]


def test_the_seed_determines_the_order():
    def drawn(seed):
        reset_random_seed(seed)
        return [batches_by_length(WORDS, 7) for _ in range(2)]

    first, second = drawn(1)
    assert [first, second] == drawn(1) and first != second and [first, second] != drawn(2)
    assert [*map(len, map(min, first))] != sorted(map(len, map(min, first)))  # minibatches are shuffled
    assert {*map(frozenset, first)} != {*map(frozenset, second)}  # and examples of one length


def test_a_generator_determines_the_order_and_nothing_else_is_drawn():
    reset_random_seed(1)
    expected = Model().add_parameters(3).as_array()
    reset_random_seed(1)
    batches = [batches_by_length(WORDS, 7, generator=np.random.default_rng(seed)) for seed in (5, 5, 6)]
    batches_by_length(WORDS, 7, shuffle=False)
    assert batches[0] == batches[1] != batches[2]
    assert (Model().add_parameters(3).as_array() == expected).all()


def test_nothing():
    assert batches_by_length([], 3) == batches_by_length(iter(()), 3, shuffle=False) == []


REFUSED = {
    "no size": ((WORDS, 0), {}, ArgumentError, "must be at least 1, got 0 and None"),
    "negative total": ((WORDS, 2), {"max_total": -1}, ArgumentError, "must be at least 1, got 2 and -1"),
    "text as a size": ((WORDS, "2"), {}, ArgumentTypeError, "batches_by_length: size must be an int, not str '2'"),
    "no list": ((3, 2), {}, ArgumentTypeError, "batches_by_length: expected a list of examples, got int 3"),
    "no function": ((WORDS, 2, 3), {}, ArgumentTypeError, "length must be a function, generator a .*, not 3 and None"),
    "no generator": ((WORDS, 2), {"generator": 1}, ArgumentTypeError, "random.Generator, not .* and 1"),
    "no flag": ((WORDS, 2), {"shuffle": "no"}, ArgumentTypeError, "batches_by_length: shuffle must be True or False"),
    "text as a length": ((WORDS, 2, str), {}, ArgumentTypeError, "a length must be a number, not str"),
    "negative length": ((WORDS, 2, lambda word: -1), {}, ArgumentError, "a finite number, 0 or more, got -1"),
    "nan": ((WORDS, 2, lambda word: np.nan), {}, ArgumentError, "a finite number, 0 or more, got nan"),
}  # fmt: skip


@pytest.mark.parametrize("arguments, options, kind, message", REFUSED.values(), ids=REFUSED)
def test_what_is_refused(arguments, options, kind, message):
    reset_random_seed(1)
    expected = Model().add_parameters(3).as_array()
    reset_random_seed(1)
    wrong: Any = batches_by_length
    with pytest.raises(kind, match=message):
        wrong(*arguments, **options)
    assert (Model().add_parameters(3).as_array() == expected).all()  # nothing was drawn
