"""Gradients fixed by definition: at ties, of step functions, and of ops that only change gradients."""

import numpy as np
import pytest

import dynet_ops as dy
from dynet_core import renew_cg


def gradients(record, *arrays):
    renew_cg()
    xs = [dy.inputVector(array) for array in arrays]
    y = record(*xs)
    dy.sum_elems(y).backward(full=True)
    return y.value(), [x.gradient().tolist() for x in xs]


def test_the_second_of_equals_gets_the_gradient_of_bmin_and_bmax():
    x, y = [1.0, 2.0, 3.0], [1.0, 1.0, 4.0]
    assert gradients(dy.bmin, x, y) == ([1.0, 1.0, 3.0], [[0.0, 0.0, 1.0], [1.0, 1.0, 0.0]])
    assert gradients(dy.bmax, x, y) == ([1.0, 2.0, 4.0], [[0.0, 1.0, 0.0], [1.0, 0.0, 1.0]])


def test_the_first_of_equals_gets_the_gradient_of_emax():
    columns = [1.0, 2.0, 3.0], [1.0, 1.0, 4.0], [1.0, 2.0, 4.0]
    value, found = gradients(lambda *xs: dy.emax(xs), *columns)
    assert value == [1.0, 2.0, 4.0]
    assert found == [[1.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0]]
    for count in range(1, 8):
        _, found = gradients(lambda *xs: dy.emax(xs), *[[2.0]] * count)
        assert found == [[1.0]] + [[0.0]] * (count - 1)


def test_one_element_is_the_largest_of_more_than_a_float32_can_count():
    size, place = (1 << 24) + 9, (1 << 24) + 4
    for op, extreme in (dy.max_dim, 1), (dy.min_dim, -1), (lambda x: dy.argmax(x, "zero_gradient"), 1):
        numbers = np.zeros(size, np.float32)
        numbers[place] = extreme
        renew_cg()
        x = dy.inputTensor(numbers)
        y = op(x)
        dy.sum_elems(y).backward(full=True)
        marked = x.gradient() if y.dim() == ((1,), 1) else y.npvalue()
        assert np.flatnonzero(marked).tolist() == [place]


def test_extremes_of_nan():
    for record in (dy.bmin, dy.bmax, lambda x, y: dy.emax([x, y])):
        y = record(dy.inputVector([np.nan, 1.0, 2.0]), dy.inputVector([1.0, np.nan, 2.0])).npvalue()
        np.testing.assert_array_equal(y, [np.nan, np.nan, 2.0])


@pytest.mark.parametrize("scale", [1.0, 1e4, -1e4])
def test_logsumexp_of_large_scores(scale):
    xs = [[scale, -scale, scale], [0.0, scale, scale], [scale, 1.0, -scale]]
    value, found = gradients(lambda *xs: dy.logsumexp(xs), *xs)
    exact = np.array(xs, np.float32).astype(np.float64)
    expected = np.logaddexp(np.logaddexp(exact[0], exact[1]), exact[2])
    np.testing.assert_allclose(value, expected, rtol=2e-6)
    np.testing.assert_allclose(found, np.exp(exact - expected), rtol=1e-5, atol=1e-7)


def test_logsumexp_of_the_largest_numbers():
    value, found = gradients(lambda *xs: dy.logsumexp(xs), [3.4e38, -3.4e38], [3.4e38, 3.4e38])
    np.testing.assert_array_equal(np.array(value, np.float32), np.array([3.4e38, 3.4e38], np.float32))
    assert found == [[0.5, 0.0], [0.5, 1.0]]


def test_logsumexp_of_excluded_scores():
    inf = np.inf
    value, found = gradients(lambda *xs: dy.logsumexp(xs), [-inf, -inf, inf, 1.0], [-inf, 1.0, 1.0, -inf])
    assert value == [-inf, 1.0, inf, 1.0]
    assert found == [[0.5, 0.0, 1.0, 1.0], [0.5, 1.0, 0.0, 0.0]]


@pytest.mark.parametrize("op", ["floor", "ceil", "round"])
def test_the_gradient_of_a_step(op):
    x = [-2.5, -0.4, 0.5, 3.0]
    record = getattr(dy, op)
    value, ((*zero,),) = gradients(record, x)
    assert value == {"floor": [-3, -1, 0, 3], "ceil": [-2, 0, 1, 3], "round": [-3, 0, 1, 3]}[op]
    assert zero == [0.0] * 4
    assert gradients(lambda v: record(v, "zero_gradient"), x) == (value, [zero])
    assert gradients(lambda v: record(v, gradient_mode="straight_through_gradient"), x) == (value, [[1.0] * 4])


def test_scaled_and_flipped_gradients():
    x = [1.0, -2.0]
    assert gradients(lambda v: dy.scale_gradient(v, 3.0), x) == (x, [[3.0, 3.0]])
    assert gradients(lambda v: dy.scale_gradient(v), x) == (x, [[1.0, 1.0]])
    assert gradients(dy.flip_gradient, x) == (x, [[-1.0, -1.0]])


def test_powers_of_limits():
    """Every pair of special values gives the result defined by C."""
    inf, nan = np.inf, np.nan
    special = np.array(
        [0, -0.0, inf, -inf, nan, 1e-45, -1e-45, 3.4e38, 1, -1, 2, -2, 3, -3, 0.5, -0.5, 1e30], np.float32
    )
    x, y = (v.ravel() for v in np.meshgrid(special, special))
    with np.errstate(all="ignore"):
        expected = np.power(x.astype(np.float64), y.astype(np.float64)).astype(np.float32)
    actual = dy.pow(dy.inputVector(x), dy.inputVector(y)).npvalue()
    np.testing.assert_allclose(actual, expected, rtol=2e-6, atol=1.5e-45)
    zeros = expected == 0
    np.testing.assert_array_equal(np.signbit(actual[zeros]), np.signbit(expected[zeros]))


def test_powers_keep_their_digits():
    """Also for large exponents: the intermediate logarithm needs more digits than a float32 has."""
    rng = np.random.default_rng(0)
    for low, high, largest in ((0.1, 3, 3), (1e-3, 1e3, 12), (0.9, 1.1, 800), (1e-38, 1e-30, 1)):
        x, y = rng.uniform(low, high, 5000).astype(np.float32), rng.uniform(-largest, largest, 5000).astype(np.float32)
        expected = np.power(x.astype(np.float64), y.astype(np.float64))
        known = (expected > 1e-37) & (expected < 3e38)
        actual = dy.pow(dy.inputVector(x), dy.inputVector(y)).npvalue()
        np.testing.assert_allclose(actual[known], expected[known], rtol=2e-7)


def test_gradients_of_powers_at_zero():
    assert gradients(lambda x: x**2, [0.0, -1.0]) == ([0.0, 1.0], [[0.0, -2.0]])
    assert gradients(lambda x: x**3, [0.0, -1.0]) == ([0.0, -1.0], [[0.0, 3.0]])
    assert gradients(lambda x: x**4, [0.0, -1.0]) == ([0.0, 1.0], [[0.0, -4.0]])
    assert gradients(lambda x: x**0, [0.0, -1.0]) == ([1.0, 1.0], [[0.0, 0.0]])
    assert gradients(dy.pow, [0.0, 0.0], [2.0, 1.0]) == ([0.0, 0.0], [[0.0, 1.0], [0.0, 0.0]])


def test_a_nan_is_the_largest_as_numpy_has_it():
    columns = [[1.0, 3.0, 2.0], [1.0, np.nan, 3.0], [np.nan, 3.0, np.nan]]
    y = dy.argmax(dy.inputTensor(np.transpose(columns)), "zero_gradient").npvalue()
    np.testing.assert_array_equal(y.argmax(0), np.argmax(columns, axis=1))
    np.testing.assert_array_equal(y.sum(0), 1.0)


def test_a_restriction_is_a_set_of_indices():
    x = dy.inputVector([1.0, 2.0, 3.0])
    once = dy.log_softmax(x, [0, 1]).value()
    assert dy.log_softmax(x, [0, 0, 1]).value() == once and once[2] == float("-inf")


def test_one_index_serves_a_whole_batch():
    x = dy.inputTensor([[1.0, 2.0, 0.0], [3.0, 5.0, 1.0]], batched=True)
    assert dy.pickneglogsoftmax(x, 1).value() == dy.pickneglogsoftmax_batch(x, [1, 1, 1]).value()
