"""Biaffine layers: values and gradients against numpy in float64, batches, copies, and refused arguments."""

import copy
import itertools
import pickle
import re

import numpy as np
import pytest
from networks import assert_close, assert_gradients, differences

import dynet_ops as dy
import dynet_rnn as rnn
from dynet_core import ArgumentError, ArgumentTypeError, ParameterCollection, ShapeError, load, renew_cg, save
from dynet_core.graph import current

X, Y = 4, 3
CASES = pytest.mark.parametrize(
    ("labels", "bias_x", "bias_y"), [*itertools.product((1, 2, 5), (True, False), (True, False))]
)
SIZES = pytest.mark.parametrize(("n", "m"), [(6, 5), (1, 5), (6, 1), (1, 1)])


def layer(labels=1, bias_x=True, bias_y=True):
    renew_cg()
    made = rnn.BiaffineBuilder(X, Y, ParameterCollection(), labels, bias_x, bias_y)
    random = np.random.default_rng(0)
    for p in made.param_collection().parameters_list():
        p.set_value(random.uniform(-1, 1, p.shape()))
    return made


def arrays_of(made):
    return [p.as_array().astype(np.float64) for p in made.param_collection().parameters_list()]


def vectors(size, n, batch=1, seed=1):
    return np.random.default_rng(seed + n).uniform(-1, 1, (size, n, batch)).astype(np.float32)


def expression(array):
    """An input with the batch as its last axis, or without a batch."""
    return dy.inputTensor(array, batched=True) if array.shape[2] > 1 else dy.inputTensor(array[..., 0])


def in_numpy(parameters, x, y, labels, bias_x):
    """The scores (labels, n, m, batch) by the formula, from one matrix U for each label."""
    U, *bias = parameters
    whole = np.concatenate([U, *[b[:, None] for b in bias]], axis=1)  # one more column for the 1 of y
    U = whole.reshape(-1, labels, whole.shape[1])  # row k * labels + l is row k for label l
    if bias_x:
        x = np.concatenate([x, np.ones((1, *x.shape[1:]))])
    if bias:
        y = np.concatenate([y, np.ones((1, *y.shape[1:]))])
    batch = max(x.shape[2], y.shape[2])
    x, y = (np.broadcast_to(a, (*a.shape[:2], batch)) for a in (x, y))
    return np.einsum("kib,kld,djb->lijb", x, U, y)


def shape_of(labels, n, m):
    return (n, m) if labels == 1 else (labels, n, m)


def value_of(scores, shape, batch=1):
    dims, size = scores.dim()
    assert size == batch and [*dims, 1, 1][: len(shape)] == [*shape] and np.prod(dims) == np.prod(shape)
    return scores.npvalue().reshape(*shape, batch)


@CASES
@SIZES
@pytest.mark.parametrize("batches", [(1, 1), (2, 1), (1, 2), (2, 2)])
def test_values(labels, bias_x, bias_y, n, m, batches):
    made, x, y = layer(labels, bias_x, bias_y), vectors(X, n, batches[0]), vectors(Y, m, batches[1], 2)
    shape, batch = shape_of(labels, n, m), max(batches)
    expected = in_numpy(arrays_of(made), x, y, labels, bias_x).reshape(*shape, batch)
    assert_close(value_of(made.scores(expression(x), expression(y)), shape, batch), expected)


@pytest.mark.parametrize("labels", [1, 3])
def test_a_vector_is_a_matrix_of_one_column(labels):
    made, x, y = layer(labels), vectors(X, 5), vectors(Y, 5)
    matrix = made.scores(expression(x), expression(y)).npvalue().reshape(-1, 5, 5)
    for i, j in ((0, 0), (4, 2)):
        xi, yj = dy.inputVector(x[:, i, 0]), dy.inputVector(y[:, j, 0])
        assert_close(made.scores(xi, yj).npvalue().reshape(-1), matrix[:, i, j])
        assert_close(made.scores(xi, expression(y)).npvalue().reshape(-1, 5), matrix[:, i])
        assert_close(made.scores(expression(x), yj).npvalue().reshape(-1, 5), matrix[:, :, j])


@CASES
@pytest.mark.parametrize("batches", [(1, 1), (2, 1), (1, 2)])
def test_gradients(labels, bias_x, bias_y, batches):
    made, x, y = layer(labels, bias_x, bias_y), vectors(X, 3, batches[0]), vectors(Y, 2, batches[1])
    x_input, y_input = expression(x), expression(y)
    scores = made.scores(x_input, y_input)
    dy.sum_batches(dy.sum_elems(dy.cube(scores))).backward(full=True)
    actual = [p.grad_as_array() for p in made.param_collection().parameters_list()]
    actual += [x_input.gradient(), y_input.gradient()]
    parameters, x, y = arrays_of(made), x.astype(np.float64), y.astype(np.float64)
    loss = lambda: (in_numpy(parameters, x, y, labels, bias_x) ** 3).sum()  # noqa: E731
    assert_gradients(actual, differences(loss, [*parameters, x, y]))


@pytest.mark.parametrize("labels", [1, 3])
def test_sentences_of_a_graph_are_computed_as_each_alone(labels):
    made = layer(labels)
    sentences = [(vectors(X, n + 1), vectors(Y, n)) for n in (3, 1, 7, 3, 12)]
    loss_of = lambda x, y: dy.sum_elems(dy.cube(made.scores(expression(x), expression(y))))  # noqa: E731
    alone = []
    for x, y in sentences:
        renew_cg()
        loss = loss_of(x, y)
        alone.append(loss.value())
        loss.backward()
    gradients = [p.grad_as_array() for p in made.param_collection().parameters_list()]  # added up
    renew_cg()
    losses = [loss_of(x, y) for x, y in sentences]
    dy.esum(losses).backward()
    assert_close(np.array([loss.value() for loss in losses]), np.array(alone))
    for p, gradient in zip(made.param_collection().parameters_list(), gradients):
        assert_close(p.grad_as_array(), 2 * gradient, 1e-5)


def test_chosen_pairs_as_a_batch():
    """The labels of arcs: the pairs of words and their heads, as batches of vectors."""
    made, x, y, heads = layer(3), vectors(X, 5), vectors(Y, 4), [0, 3, 1, 1]
    every = made.scores(expression(x), expression(y)).npvalue()
    pairs = made.scores(expression(np.moveaxis(x[:, heads], 1, 2)), expression(np.moveaxis(y, 1, 2)))
    assert pairs.dim() == ((3, 1), 4)
    assert_close(pairs.npvalue().reshape(3, 4), every[:, heads, range(4)])


def test_columns_are_the_heads_of_words():
    made = layer()
    scores = made.scores(expression(vectors(X, 5)), expression(vectors(Y, 4)))
    heads = dy.chu_liu_edmonds(scores)
    array = scores.npvalue()
    losses = np.log(np.exp(array).sum(0)) - array[heads, range(4)]
    assert_close(dy.pickneglogsoftmax(scores, heads).npvalue(), losses)
    assert heads.count(0) == 1


def test_update_false_leaves_the_parameters_alone():
    made, x, y = layer(2), expression(vectors(X, 3)), expression(vectors(Y, 2))
    dy.sum_elems(made.scores(x, y, False)).backward(full=True)
    assert not any(p.grad_as_array().any() for p in made.param_collection().parameters_list())
    assert x.gradient().any() and y.gradient().any()


@CASES
def test_copies(labels, bias_x, bias_y, tmp_path):
    made = layer(labels, bias_x, bias_y)
    again = rnn.BiaffineBuilder.from_spec(made.spec, ParameterCollection())
    assert again.spec == made.spec == (X, Y, labels, bias_x, bias_y)
    assert again.param_collection().name() == made.param_collection().name() == "/biaffine-builder/"
    save(tmp_path / "model", [made])
    (loaded,) = load(tmp_path / "model", ParameterCollection())
    x, y = expression(vectors(X, 3)), expression(vectors(Y, 2))
    expected = made.scores(x, y).npvalue().tolist()
    for one in (loaded, copy.deepcopy(made), pickle.loads(pickle.dumps(made))):
        assert one.spec == made.spec and one.scores(x, y).npvalue().tolist() == expected


def test_what_it_says_and_begins_with():
    made = rnn.BiaffineBuilder(X, Y, ParameterCollection(), 2)
    matrix, bias = made.param_collection().parameters_list()
    assert repr(made) == "<BiaffineBuilder /biaffine-builder/: 4 and 3 to 2 scores; 2 parameters, 40 numbers>"
    assert made.whoami() == "BiaffineBuilder" and matrix.shape() == (10, 3) and bias.shape() == (10,)
    assert matrix.as_array().any() and not bias.as_array().any()


ERRORS = [
    (lambda m: m.scores(dy.ones((3, 2)), dy.ones((3, 2))), ShapeError, "scores: x is (3, 2), and must be (4, n) for n"),
    (lambda m: m.scores(dy.ones((4, 2)), dy.ones((4, 2))), ShapeError, "scores: y is (4, 2), and must be (3, n) for n"),
    (lambda m: m.scores(dy.ones((4, 2, 2)), dy.ones(3)), ShapeError, "scores: x is (4, 2, 2), and must be (4, n)"),
    (lambda m: m.scores(dy.ones(4), dy.ones((3, 1, 2))), ShapeError, "scores: y is (3, 1, 2), and must be (3, n)"),
    (lambda m: m.scores(dy.ones((4, 2), 2), dy.ones((3, 2), 3)), ShapeError, "scores: batch sizes differ"),
    (lambda m: m.scores([1, 2], dy.ones(3)), ArgumentTypeError, "scores: expected an Expression, got list [1, 2]"),
    (lambda m: m.scores(dy.ones(4), 1), ArgumentTypeError, "scores: expected an Expression, got int 1"),
]


@pytest.mark.parametrize(("call", "error", "said"), ERRORS, ids=range(len(ERRORS)))
@pytest.mark.parametrize("labels", [1, 2])
def test_refused_calls(call, error, said, labels):
    made = layer(labels)
    nodes = lambda: current().records.nodes  # noqa: E731
    operands = nodes()
    with pytest.raises(error, match=f"^{re.escape(said)}"):
        call(made)
    assert nodes() - operands <= 2  # only the call's own operands


def test_no_columns():
    nothing = dy.inputVector([])
    x = dy.transpose(dy.concatenate_cols([nothing] * X))
    assert x.dim() == ((X, 0), 1)
    with pytest.raises(ShapeError, match=re.escape("scores: x is (4, 0), and must be (4, n) for n vectors")):
        layer_of_this_graph = rnn.BiaffineBuilder(X, Y, ParameterCollection())
        layer_of_this_graph.scores(x, dy.ones(Y))


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        ((0, 3), ArgumentError, "BiaffineBuilder: x_dim must be at least 1, got 0"),
        ((4, -1), ArgumentError, "BiaffineBuilder: y_dim must be at least 1, got -1"),
        ((4, 3, 0), ArgumentError, "BiaffineBuilder: labels must be at least 1, got 0"),
        ((4, 3, "2"), ArgumentTypeError, "BiaffineBuilder: labels must be an int, not str '2'"),
        ((4, 3, 1, 2), ArgumentTypeError, "BiaffineBuilder: bias_x must be True or False, not 2"),
        ((4, 3, 1, True, None), ArgumentTypeError, "BiaffineBuilder: bias_y must be True or False, not None"),
        ((2**30, 2**30), ShapeError, "add_parameters: an expression holds at most"),
    ],
)
def test_refused_layers(arguments, error, said):
    model = ParameterCollection()
    x_dim, y_dim, *rest = arguments
    with pytest.raises(error, match=f"^{re.escape(said)}"):
        rnn.BiaffineBuilder(x_dim, y_dim, model, *rest)
    assert model.parameter_count() == 0
    with pytest.raises(ArgumentTypeError, match="BiaffineBuilder: pc must be a ParameterCollection, not int"):
        rnn.BiaffineBuilder(4, 3, 5)
