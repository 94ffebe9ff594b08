"""Conditional random fields: values and gradients against all sequences in float64 numpy, and refused arguments."""

import copy
import itertools
import re

import numpy as np
import pytest
from networks import assert_close, assert_gradients, differences

import dynet_ops as dy
import dynet_rnn as rnn
from dynet_core import (
    ArgumentError,
    ArgumentTypeError,
    NotFiniteError,
    OutOfRangeError,
    ParameterCollection,
    ShapeError,
    load,
    renew_cg,
    save,
)

TAGS = ["O", "B-x", "I-x", "I-y"]
OPEN, BIO = None, rnn.bio_constraints(TAGS)
ONE_WAY = np.triu(np.ones((4, 4), bool))  # tags never decrease


def field(constraints=OPEN, seed=0):
    renew_cg()
    made = rnn.CRFBuilder(4, ParameterCollection(), constraints)
    random = np.random.default_rng(seed)
    for p in made.param_collection().parameters_list():
        p.set_value(random.uniform(-1, 1, p.shape()))
    return made


def arrays_of(made):
    return [p.as_array().astype(np.float64) for p in made.param_collection().parameters_list()]


def emissions(n, seed=1):
    return np.random.default_rng(seed).uniform(-2, 2, (4, n)).astype(np.float32)


def all_scores(parameters, e, allowed):
    """The score of each sequence of tags that is allowed."""
    (transitions, start, end), n = parameters, e.shape[1]
    found = {}
    for tags in itertools.product(range(4), repeat=n):
        steps = [*zip(tags, tags[1:])]
        padded = allowed is not None and allowed.shape == (5, 5)
        if allowed is not None and not all(allowed[step] for step in steps):
            continue
        if padded and not (allowed[4, tags[0]] and allowed[tags[-1], 4]):
            continue
        score = sum(transitions[step] for step in steps) + start[tags[0]] + end[tags[-1]]
        found[tags] = score + sum(e[tag, k] for k, tag in enumerate(tags))
    return found


def log_z(scores):
    values = np.array([*scores.values()])
    return values.max() + np.log(np.exp(values - values.max()).sum())


CASES = pytest.mark.parametrize(
    ("constraints", "n"),
    [(table, n) for table in (OPEN, BIO, ONE_WAY) for n in range(1, 6)],
    ids=[f"{name}-{n}" for name in ("open", "bio", "one way") for n in range(1, 6)],
)


@CASES
@pytest.mark.parametrize("as_list", [False, True])
def test_values(constraints, n, as_list):
    made, array = field(constraints), emissions(n)
    scores = all_scores(arrays_of(made), array.astype(np.float64), constraints)
    e = [dy.inputVector(column) for column in array.T] if as_list else dy.inputTensor(array)
    total, best = log_z(scores), max(scores, key=scores.__getitem__)
    assert_close(np.array(made.log_partition(e).value()), np.array(total))
    for tags in [*scores][:: 1 + len(scores) // 7]:
        assert_close(np.array(made.neg_log_likelihood(e, tags).value()), np.array(total - scores[tags]))
    tags, score = made.viterbi(e)
    assert tags == [*best] and [*map(type, tags)] == [int] * n and type(score) is float
    assert_close(np.array(score), np.array(scores[best]))
    expected = np.zeros((4, n))
    for tags, score in scores.items():
        expected[tags, range(n)] += np.exp(score - total)
    assert_close(made.marginals(e).npvalue().reshape(4, n), expected)


@CASES
def test_gradients(constraints, n):
    made, array = field(constraints), emissions(n)
    e, parameters, exact = dy.inputTensor(array), arrays_of(made), array.astype(np.float64)
    tags = [*all_scores(parameters, exact, constraints)][-1]
    loss = made.neg_log_likelihood(e, tags) + 2 * made.log_partition(e)
    loss.backward(full=True)
    actual = [p.grad_as_array() for p in made.param_collection().parameters_list()] + [e.gradient()]

    def in_numpy():
        scores = all_scores(parameters, exact, constraints)
        return 3 * log_z(scores) - scores[tags]

    assert_gradients(actual, differences(in_numpy, [*parameters, exact]))


def test_marginals_are_the_gradient_of_the_log_partition():
    made, e = field(BIO), dy.inputTensor(emissions(5))
    marginals = made.marginals(e)
    made.log_partition(e).backward(full=True)
    assert_close(e.gradient(), marginals.npvalue())
    dy.sum_elems(dy.square(marginals)).backward(full=True)
    assert np.isfinite(e.gradient()).all()


@pytest.mark.parametrize("constraints", [OPEN, BIO], ids=["open", "bio"])
def test_sentences_of_a_graph_are_computed_as_each_alone(constraints):
    made = field(constraints)
    sentences = [(emissions(n, n), [k % 2 for k in range(n)]) for n in (3, 1, 7, 3, 12)]
    transitions, alone = made.param_collection().parameters_list()[0], []
    for array, tags in sentences:
        renew_cg()
        loss = made.neg_log_likelihood(dy.inputTensor(array), tags)
        alone.append(loss.value())
        loss.backward()
    gradients = transitions.grad_as_array()  # added up, as there was no update
    renew_cg()
    losses = [made.neg_log_likelihood(dy.inputTensor(array), tags) for array, tags in sentences]
    dy.esum(losses).backward()
    assert_close(np.array([loss.value() for loss in losses]), np.array(alone))
    assert_close(transitions.grad_as_array(), 2 * gradients)


def test_update_false_leaves_the_parameters_alone():
    made, e = field(BIO), dy.inputTensor(emissions(3))
    loss = made.neg_log_likelihood(e, [0, 1, 2], False) + made.log_partition(e, update=False)
    (loss + dy.sum_elems(dy.square(made.marginals(e, False)))).backward(full=True)
    assert not any(p.grad_as_array().any() for p in made.param_collection().parameters_list())
    assert e.gradient().any()


def test_large_scores_neither_overflow_nor_underflow():
    """From tag 0 to 1, all ways lead through a tag whose score is 120 less than theirs."""
    made = field(np.array([[1, 0, 1, 1], [1, 1, 1, 1], [1, 1, 1, 1], [1, 0, 1, 1]]))
    array = np.zeros((4, 8), np.float32)
    array[0, :4], array[1, 4:] = 120, 120
    e = dy.inputTensor(array)
    ways = [[*[0] * k, tag, *[1] * (7 - k)] for k in (3, 4) for tag in (2, 3)]
    assert made.viterbi(e)[0] in ways
    made.log_partition(e).backward(full=True)
    assert_close(e.gradient().sum(0), np.ones(8), 1e-3)


def test_emissions_of_minus_infinity_forbid_a_tag():
    made, array = field(), emissions(4)
    array[2, 1] = array[0, 0] = -np.inf
    e = dy.inputTensor(array)
    with np.errstate(invalid="ignore"):
        scores = all_scores(arrays_of(made), array.astype(np.float64), OPEN)
    scores = {tags: score for tags, score in scores.items() if score > -np.inf}
    assert_close(np.array(made.log_partition(e).value()), np.array(log_z(scores)))
    assert made.viterbi(e)[0] == [*max(scores, key=scores.__getitem__)]
    assert made.marginals(e).npvalue()[2, 1] == 0
    made.log_partition(e).backward(full=True)
    assert_close(e.gradient(), made.marginals(e).npvalue())


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_emissions_that_are_no_numbers(wrong):
    made, array = field(), emissions(3)
    array[1, 1] = wrong
    e = dy.inputTensor(array)
    assert not np.isfinite(made.neg_log_likelihood(e, [0, 0, 0]).value())
    with pytest.raises(NotFiniteError, match=f"viterbi: the highest score of 3 words is {wrong}"):
        made.viterbi(e)


@pytest.mark.parametrize("constraints", [OPEN, BIO, ONE_WAY], ids=["open", "bio", "one way"])
def test_a_copy_from_the_spec_and_from_a_file(constraints, tmp_path):
    made = field(constraints)
    again = rnn.CRFBuilder.from_spec(made.spec, ParameterCollection())
    assert again.spec == made.spec and again.param_collection().name() == made.param_collection().name()
    save(tmp_path / "model", [made])
    (loaded,) = load(tmp_path / "model", ParameterCollection())
    values = [one.log_partition(dy.inputTensor(emissions(3))).value() for one in (made, loaded, copy.deepcopy(made))]
    assert values[0] == values[1] == values[2]
    assert repr(made) == "<CRFBuilder /crf-builder/: 4 tags; 3 parameters, 24 numbers>"


def test_bio_constraints():
    allowed = {(i, j) for i, j in itertools.product([*TAGS, "end"], repeat=2)}
    allowed -= {(i, "I-x") for i in ("O", "I-y", "end")} | {(i, "I-y") for i in ("O", "B-x", "I-x", "end")}
    names = [*TAGS, "end"]
    assert {(names[i], names[j]) for i, j in zip(*np.nonzero(BIO))} == allowed


E = emissions(3)
ERRORS = [
    (lambda m: m.neg_log_likelihood([], []), ArgumentError, "neg_log_likelihood: the sequence is empty"),
    (lambda m: m.viterbi([]), ArgumentError, "viterbi: the sequence is empty"),
    (lambda m: m.viterbi(3), ArgumentTypeError, "viterbi: expected a list of expressions, got int 3"),
    (lambda m: m.viterbi([dy.zeros(4), dy.zeros(3)]), ShapeError, "viterbi: vector 1 is (3,), CRFBuilder takes (4,)"),
    (
        lambda m: m.marginals(dy.zeros((3, 4))),
        ShapeError,
        "marginals: (3, 4) is not (4, n), which CRFBuilder takes for a sequence of n vectors",
    ),
    (lambda m: m.log_partition(dy.zeros((4, 3), batch_size=2)), ShapeError, "call it for each sentence"),
    (
        lambda m: m.neg_log_likelihood(dy.inputTensor(E), [0, 1]),
        ArgumentError,
        "neg_log_likelihood: 3 words, but 2 tags",
    ),
    (
        lambda m: m.neg_log_likelihood(dy.inputTensor(E), [0, 1, 4]),
        OutOfRangeError,
        "neg_log_likelihood: tag 4 is out of range for this CRFBuilder, which has 4 tags",
    ),
    (lambda m: m.neg_log_likelihood(dy.inputTensor(E), 1), ArgumentTypeError, "neg_log_likelihood: indices must be"),
    (
        lambda m: m.neg_log_likelihood(dy.inputTensor(E), [2, 1, 1]),
        ArgumentError,
        "neg_log_likelihood: the constraints forbid tag 2 at the start, tags are [2, 1, 1]",
    ),
    (
        lambda m: m.neg_log_likelihood(dy.inputTensor(E), [1, 0, 2]),
        ArgumentError,
        "neg_log_likelihood: the constraints forbid tag 2 after tag 0, tags are [1, 0, 2]",
    ),
    (
        lambda m: m.neg_log_likelihood(dy.inputTensor(E), [1, 0, 1]),
        ArgumentError,
        "neg_log_likelihood: the constraints forbid tag 1 at the end, tags are [1, 0, 1]",
    ),
]


@pytest.mark.parametrize(("call", "error", "said"), ERRORS, ids=range(len(ERRORS)))
def test_refused_calls(call, error, said):
    constraints = BIO.copy()
    constraints[1, 4] = False
    made = field(constraints)
    with pytest.raises(error, match=re.escape(said)):
        call(made)


def test_constraints_that_allow_no_sequence_of_this_length():
    """Tags alternate from 0 to 1 and back, and the last is 1: the number of words must be even."""
    table = np.zeros((5, 5), bool)
    table[0, 1] = table[1, 0] = table[4, 0] = table[1, 4] = True
    made = field(table)
    assert made.viterbi(dy.zeros((4, 4)))[0] == [0, 1, 0, 1]
    for call in (made.viterbi, made.marginals, made.log_partition, lambda e: made.neg_log_likelihood(e, [0, 1, 0])):
        with pytest.raises(ArgumentError, match="the constraints forbid all sequences of 3 tags"):
            call(dy.zeros((4, 3)))


@pytest.mark.parametrize(
    ("constraints", "error", "said"),
    [
        ([[1, 1], [0]], ShapeError, "constraints must have the shape (4, 4) or (5, 5) for 4 tags, not (0,)"),
        (np.ones((4, 5)), ShapeError, "for 4 tags, not (4, 5)"),
        ("x", ShapeError, "for 4 tags, not ()"),
        (np.full((4, 4), 2), ArgumentTypeError, "constraints must be a table of True and False, not array"),
        (np.full((4, 4), np.nan), ArgumentTypeError, "constraints must be a table of True and False, not array"),
        ([["yes"] * 4] * 4, ArgumentTypeError, "constraints must be a table of True and False, not [['yes'"),
    ],
)
def test_refused_constraints(constraints, error, said):
    model = ParameterCollection()
    with pytest.raises(error, match=f"^CRFBuilder: .*{re.escape(said)}"):
        rnn.CRFBuilder(4, model, constraints)
    assert model.parameter_count() == 0


@pytest.mark.parametrize("tags", [["E-x"], ["o"], [3], ["O", "B"], [""]])
def test_refused_names_of_tags(tags):
    with pytest.raises(ArgumentError, match=f"bio_constraints: a tag must be 'O', 'B-x' or 'I-x', got {tags[-1]!r}"):
        rnn.bio_constraints(tags)
