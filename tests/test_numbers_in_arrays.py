"""Wherever a number is accepted, so are a one-element array, as `npvalue()` returns it, and True for 1."""

import array
import collections

import numpy as np
import pytest

import dynet as dy


def vector():
    return dy.inputVector([1, 2, 3])


def trained(number):
    trainer = dy.AdamTrainer(dy.Model(), number)
    trainer.set_clip_threshold(number)
    return trainer.learning_rate, trainer.get_clip_threshold()


def initialized(number):
    return dy.Model().add_parameters(3, init=dy.NormalInitializer(number, 0)).as_array()


def made_sparse(number):
    network = dy.SparseLSTMBuilder(1, 2, 2, dy.Model())
    network.set_sparsity(number)


ONE = {
    "hinge": lambda n: dy.hinge(vector(), 1, m=n),
    "hinge_batch": lambda n: dy.hinge_batch(vector(), [1], m=n),
    "hinge_dim": lambda n: dy.hinge_dim(vector(), [1], m=n),
    "pairwise_rank_loss": lambda n: dy.pairwise_rank_loss(vector(), vector(), m=n),
    "huber_distance": lambda n: dy.huber_distance(vector(), 3 * vector(), c=n),
    "poisson_loss": lambda n: dy.poisson_loss(dy.scalarInput(0.5), n),
    "elu": lambda n: dy.elu(-vector(), n),
    "constant": lambda n: dy.constant((2,), n),
    "scale_gradient": lambda n: dy.scale_gradient(vector(), n),
    "random_normal": lambda n: dy.random_normal((2,), n, 0),
    "scalarInput": lambda n: dy.scalarInput(n),
    "inputVector": lambda n: dy.inputVector([n, 2.0]),
    "inputTensor": lambda n: dy.inputTensor([n, 2.0]),
    "sparse_inputTensor": lambda n: dy.sparse_inputTensor([[1]], [2], (3,), defval=n),
    "trainer": trained,
    "NormalInitializer": initialized,
    "FloatValue": lambda n: dy.FloatValue(n).get(),
}
HALF = {
    "dropout": lambda n: dy.dropout(vector(), n).dim(),
    "block_dropout": lambda n: dy.block_dropout(vector(), n).dim(),
    "dropout_dim": lambda n: dy.dropout_dim(vector(), 0, n).dim(),
    "dropout_batch": lambda n: dy.dropout_batch(vector(), n).dim(),
    "set_dropout": lambda n: dy.GRUBuilder(1, 2, 2, dy.Model()).set_dropout(n),
    "set_weight_decay": lambda n: dy.Model().set_weight_decay(n),
    "set_sparsity": made_sparse,
}


def result(call, number):
    value = call(number)
    return value.npvalue() if isinstance(value, dy.Expression) else value


@pytest.mark.parametrize("call", ONE.values(), ids=ONE)
def test_one(call):
    for number in (np.array(1.0), np.array([1.0], np.float32), np.array([[1]]), dy.scalarInput(1).npvalue(), True):
        np.testing.assert_array_equal(result(call, number), result(call, 1.0))


@pytest.mark.parametrize("call", HALF.values(), ids=HALF)
def test_a_share(call):
    for number in (np.array(0.5), np.array([0.5], np.float32), np.array([[0.5]])):
        assert result(call, number) == result(call, 0.5)


@pytest.mark.parametrize("call", [*ONE.values(), *HALF.values()], ids=[*ONE, *HALF])
def test_words_are_no_numbers_even_in_an_array(call):
    with pytest.raises(TypeError):
        call(np.array(["1"]))


def test_choices_of_a_hinge_loss_in_arrays():
    x, scores = dy.inputTensor([[1, 2], [3, 1], [3.5, 2]], batched=True), dy.inputTensor([[1, 2, 3], [2, 2, 4]])
    one, two = np.array([1]), np.array([2])
    for hinge in (dy.hinge, dy.hinge_batch):
        assert hinge(x, [one, two]).npvalue().tolist() == hinge(x, [1, 2]).npvalue().tolist()
        assert hinge(vector(), [one]).value() == hinge(vector(), [1]).value()
        with pytest.raises(dy.ArgumentTypeError, match=r"hinge.*: an index must be an int, not"):
            hinge(x, [[1], [2]])
    assert dy.hinge_dim(scores, [one, 0 * one], d=1).value() == [2, 4]  # as in DyNet 2.1
    for lists in ([[1], [2]], [one, two], (one, two), np.array([[1], [2]])):  # one for each batch element
        assert dy.hinge_dim(x, lists).npvalue().tolist() == dy.hinge(x, [1, 2]).npvalue().tolist()
    for lists in ([[one, 0]], [[1, 0 * one]]):
        assert dy.hinge_dim(scores, lists, d=1).value() == [2, 4]


def test_rows_that_differ_in_length_are_no_vector():
    one = np.array([1.0])
    for rows in ([np.array([1.0, 2.0]), 1.0], [[1.0], 1.0], [one, [1.0, 2.0]], [[one, 2.0]], [1.0, [one, 2.0]]):
        with pytest.raises(dy.ArgumentTypeError, match="differ in length"):
            dy.inputVector(rows)


@pytest.mark.parametrize(
    "kind", [iter, lambda numbers: map(int, numbers), lambda numbers: dict(enumerate(numbers)).values()]
)
def test_strides_are_any_list(kind):
    x = dy.inputTensor(np.arange(12.0).reshape(4, 3))
    expected = dy.strided_select(x, [2, 1], [1, 0], [4, 2]).npvalue()
    assert (dy.strided_select(x, kind([2, 1]), kind([1, 0]), kind([4, 2])).npvalue() == expected).all()
    filters = dy.ones((2, 2, 1, 1))
    assert (dy.conv2d(x, filters, kind([2, 1])).npvalue() == dy.conv2d(x, filters, [2, 1]).npvalue()).all()


@pytest.mark.parametrize("value", [np.array([1j]), np.ma.array([3.0], mask=[True])])
def test_complex_and_masked_numbers_are_no_numbers(value):
    p = dy.ParameterCollection().add_parameters(2, init=1)
    for call in (lambda: p.scale(value), lambda: dy.dropout(p, value)):
        with pytest.raises(dy.ArgumentTypeError):
            call()
    assert p.as_array().tolist() == [1, 1]


MASKED = np.ma.masked_greater([1.0, 9.0], 5)


@pytest.mark.parametrize("values", [[1.0, np.ma.masked], (np.ma.masked, 2), [np.ma.array(1.0, mask=True), 2.0]])
def test_masked_numbers_in_lists_are_refused(values):
    """numpy turns them into NaN with a warning, and drops the masks of arrays in lists."""
    model, x = dy.Model(), dy.inputVector([1, 2])
    p, table = model.add_parameters(2, init=3), model.add_lookup_parameters((1, 2), init=3)
    for name, refused, call in (
        ("set_value", dy.ArgumentTypeError, lambda: p.set_value(values)),
        ("init_row", dy.ArgumentTypeError, lambda: table.init_row(0, values)),
        ("init", dy.InitializerError, lambda: model.add_parameters(2, init=values)),
        ("parameters_from_numpy", dy.InitializerError, lambda: model.parameters_from_numpy(values)),
        ("inputTensor", dy.ArgumentTypeError, lambda: dy.inputTensor(values)),
        ("inputTensor", dy.ArgumentTypeError, lambda: dy.inputTensor([[1, 2], values])),
        ("inputTensor", dy.ArgumentTypeError, lambda: dy.inputTensor([MASKED, MASKED])),
        ("inputTensor", dy.ArgumentTypeError, lambda: dy.inputTensor([[np.array([1.0]), *values]])),
        ("inputVector", dy.ArgumentTypeError, lambda: dy.inputVector(values)),
        ("inputVector", dy.ArgumentTypeError, lambda: dy.inputVector(iter(values))),
        ("inputMatrix", dy.ArgumentTypeError, lambda: dy.inputMatrix(values, (2, 1))),
        ("sparse_inputTensor", dy.ArgumentTypeError, lambda: dy.sparse_inputTensor([[0, 1]], values, (3,))),
        ("set", dy.ArgumentTypeError, lambda: x.set(values)),
    ):
        with pytest.raises(refused, match=f"^{name}: some of the numbers are masked"):
            call()
    for other in (lambda: dy.FloatVectorValue(values), lambda: dy.SimpleSGDTrainer(model, np.ma.masked)):
        with pytest.raises(dy.ArgumentTypeError, match="masked"):
            other()
    assert (x.value(), p.value(), table.as_array().tolist()) == ([1, 2], [3, 3], [[3, 3]])
    assert dy.inputTensor([np.ma.array([1.0, 2.0]), [3, 4]]).value().tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize(
    "values",
    [
        [range(2), range(3)],
        [array.array("f", [1, 2]), 3.0],
        [collections.deque([1, 2]), collections.deque([1])],
        [memoryview(b"ab"), 1.0],
        [np.array([1.0]), range(3)],
    ],
    ids=["ranges", "an array", "deques", "a view", "an array of one number"],
)
def test_rows_of_other_kinds_that_differ_in_length(values):
    p = dy.ParameterCollection().add_parameters(2, init=3)
    for call in (dy.inputTensor, dy.inputVector, p.set_value):
        with pytest.raises(dy.DynetError, match=r"differ in length|real numbers|must be|expected|not"):
            call(values)
    assert p.value() == [3, 3]
