"""The best trees: against all trees of up to five words, against each other, and refused arguments."""

import functools
import itertools
import re

import numpy as np
import pytest

import dynet_ops as dy
from dynet_core import renew_cg
from dynet_core.errors import ArgumentError, ArgumentTypeError, NotFiniteError, ShapeError

INF, NAN = float("inf"), float("nan")
DECODERS = [dy.chu_liu_edmonds, dy.eisner]
of_each = pytest.mark.parametrize("decode", DECODERS, ids=lambda decode: decode.__name__)
SCORES = {
    "normal": lambda random, shape: random.normal(size=shape),
    "ties": lambda random, shape: random.integers(-2, 3, shape),
    "negative": lambda random, shape: -random.exponential(size=shape) - 5,
    "forbidden": lambda random, shape: np.where(random.random(shape) < 0.4, -INF, random.normal(size=shape)),
    "forbidden, ties": lambda random, shape: np.where(random.random(shape) < 0.5, -INF, random.integers(-2, 3, shape)),
    "large ints": lambda random, shape: 2**48 + random.integers(0, 9, shape),
    "huge": lambda random, shape: random.choice([-1e308, 1e308, 1.0], shape),
    "tiny": lambda random, shape: 1e-290 * random.normal(size=shape),
    "bools": lambda random, shape: random.random(shape) < 0.5,
}


def is_tree(heads):
    for word in range(1, len(heads) + 1):
        seen = set()
        while word and word not in seen:
            seen.add(word)
            word = heads[word - 1]
        if word:
            return False
    return True


def is_projective(heads):
    arcs = [sorted((head, word)) for word, head in enumerate(heads, 1)]
    return not any(a < c < b < d for (a, b), (c, d) in itertools.product(arcs, arcs))


@functools.cache
def trees(n, decode, single_root):
    """All trees among which a decoder searches."""
    every = filter(is_tree, itertools.product(range(n + 1), repeat=n))
    return {
        heads
        for heads in every
        if (not single_root or heads.count(0) == 1) and (decode is dy.chu_liu_edmonds or is_projective(heads))
    }


def score_of(scores, heads):
    return sum(scores[head][word] for word, head in enumerate(heads))


def test_there_are_as_many_trees_as_the_formulas_say():
    assert [len(trees(n, dy.chu_liu_edmonds, False)) for n in range(1, 6)] == [(n + 1) ** (n - 1) for n in range(1, 6)]
    assert [len(trees(n, dy.chu_liu_edmonds, True)) for n in range(1, 6)] == [n ** (n - 1) for n in range(1, 6)]
    assert [len(trees(n, dy.eisner, False)) for n in range(1, 6)] == [1, 3, 12, 55, 273]


@of_each
@pytest.mark.parametrize("single_root", [True, False])
@pytest.mark.parametrize("n", range(1, 6))
@pytest.mark.parametrize("kind", SCORES)
def test_no_tree_is_better(decode, single_root, n, kind):
    random, possible = np.random.default_rng(n), trees(n, decode, single_root)
    for _ in range(20):
        scores = SCORES[kind](random, (n + 1, n))
        exact = [[int(x) if float(x).is_integer() else x for x in row] for row in scores.tolist()]
        best = max(score_of(exact, heads) for heads in possible)
        if best == -INF:
            with pytest.raises(ArgumentError, match="leave no tree"):
                decode(scores, single_root)
            continue
        heads = decode(scores, single_root)
        assert tuple(heads) in possible and [*map(type, heads)] == [int] * n
        largest = max(abs(x) for row in exact for x in row if abs(x) < INF)
        is_exact = kind in ("ties", "forbidden, ties", "large ints", "bools")
        assert best - score_of(exact, heads) <= (0 if is_exact else 1e-12 * largest)
        assert decode(exact, single_root) == decode(scores.copy(), single_root) == heads


@pytest.mark.parametrize("kind", ["normal", "ties", "forbidden"])
@pytest.mark.parametrize("n", [9, 24, 60])
def test_the_best_projective_tree_is_no_better_than_the_best_tree(n, kind):
    random, differ = np.random.default_rng(n), 0
    for single_root in (True, False) * 3:
        scores = SCORES[kind](random, (n + 1, n))
        all_trees, projective = (decode(scores, single_root) for decode in DECODERS)
        for heads in (all_trees, projective):
            assert is_tree(heads) and heads.count(0) >= 1 and (not single_root or heads.count(0) == 1)
        assert is_projective(projective)
        differ += score_of(scores, all_trees) - score_of(scores, projective) > 1e-9
        assert score_of(scores, all_trees) - score_of(scores, projective) >= -1e-9
    assert differ or n == 9 or kind == "ties"


@pytest.mark.parametrize("n", [12, 60])
def test_both_find_a_projective_tree_that_is_far_better(n):
    random = np.random.default_rng(n)
    for single_root in (True, False):
        scores = random.normal(size=(n + 1, n))
        heads = dy.eisner(random.normal(size=(n + 1, n)), single_root)
        scores[heads, range(n)] += 20
        assert dy.chu_liu_edmonds(scores, single_root) == dy.eisner(scores, single_root) == heads


def test_cycles_in_cycles():
    """Each contraction makes another cycle of two, up to all words; only word 1 has an arc from ROOT."""
    n = 400
    scores = np.full((n + 1, n), -INF)
    for word in range(1, n + 1):
        for head in {word - 1, word + 1} & {*range(1, n + 1)}:
            scores[head, word - 1] = 2 * min(head, word) + (head > word)
    scores[0, 0] = -1e6
    assert dy.chu_liu_edmonds(scores) == [*range(n)]


@of_each
def test_a_word_is_never_its_own_head(decode):
    scores = np.zeros((4, 3))
    np.fill_diagonal(scores[1:], 100)
    assert all(head != word for word, head in enumerate(decode(scores), 1))


@of_each
def test_values_of_other_kinds(decode):
    renew_cg()
    scores = np.random.default_rng(0).integers(-9, 9, (6, 5))
    heads = decode(scores)
    for same in (scores.astype(np.float32), scores.tolist(), dy.inputTensor(scores), (tuple(row) for row in scores)):
        assert decode(same) == heads
    assert decode(dy.inputVector([3, 4])) == decode([3, 4]) == decode([[3], [4]]) == [0]  # of one word


@of_each
def test_scores_are_not_changed(decode):
    scores = np.random.default_rng(0).normal(size=(6, 5))
    before = scores.copy()
    decode(scores)
    assert (scores == before).all()


@of_each
@pytest.mark.parametrize(
    ("scores", "single_root", "error", "said"),
    [
        (np.zeros((3, 3)), True, ShapeError, "scores of n words must be (n + 1, n), with ROOT in row 0, not (3, 3)"),
        (np.zeros((1, 0)), True, ShapeError, "scores of n words must be (n + 1, n), with ROOT in row 0, not (1, 0)"),
        (
            np.zeros((3, 2, 2)),
            True,
            ShapeError,
            "scores of n words must be (n + 1, n), with ROOT in row 0, not (3, 2, 2)",
        ),
        (3, True, ShapeError, "scores of n words must be (n + 1, n), with ROOT in row 0, not (1, 1)"),
        ([[1, 2], [3]], True, ShapeError, "the rows of the list differ in length"),
        ("ab", True, ArgumentTypeError, "expected real numbers, got str 'ab'"),
        (None, True, ArgumentTypeError, "expected real numbers, got NoneType None"),
        (np.ones((3, 2), complex), True, ArgumentTypeError, "expected real numbers, got ndarray"),
        ([[1, 2], [3, NAN], [5, 6]], True, NotFiniteError, "the score of head 1 of word 2 is nan"),
        ([[1, 2], [NAN, 3], [5, 6]], True, NotFiniteError, "the score of head 1 of word 1 is nan"),
        ([[1, 2], [3, 4], [INF, 6]], False, NotFiniteError, "the score of head 2 of word 1 is inf"),
        ([[-INF, -INF], [3, 4], [5, 6]], False, ArgumentError, "scores of -inf leave no tree"),
        ([[1, 2], [0, -INF], [-INF, 0]], True, ArgumentError, "scores of -inf leave no tree with single_root=True"),
        (np.zeros((3, 2)), 2, ArgumentTypeError, "single_root must be True or False, not 2"),
    ],
)
def test_refused_calls(decode, scores, single_root, error, said):
    with pytest.raises(error, match=f"^{decode.__name__}: {re.escape(said)}"):
        decode(scores, single_root)


@of_each
def test_several_words_under_root_where_one_alone_is_impossible(decode):
    assert decode([[1, 2], [0, -INF], [-INF, 0]], single_root=False) == [0, 0]
