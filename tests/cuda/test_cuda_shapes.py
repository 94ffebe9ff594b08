"""Shapes at the limits of warps, blocks and grids, on the emulated GPU."""

import emulation
import numpy as np
import pytest

import dynet as dy
from dynet_core.compute import device

MANY = 65_536 + 9  # more matrices than the second and third axes of a grid allow


@pytest.fixture(autouse=True)
def on_the_gpu(emulated):
    with device.using(0):
        yield


def batched(array):
    return dy.inputTensor(array, batched=True)


def test_more_products_than_a_grid_is_wide():
    rng = np.random.default_rng(1)
    w, x = rng.random((2, 1, MANY), np.float32), rng.random((1, MANY), np.float32)
    dy.renew_cg()
    left, right = batched(w), batched(x)
    y = left * right
    np.testing.assert_allclose(y.npvalue(), w[:, 0] * x, rtol=1e-6)
    dy.sum_batches(dy.sum_elems(y)).backward(full=True)
    np.testing.assert_allclose(left.gradient()[:, 0], np.broadcast_to(x, (2, MANY)), rtol=1e-6)
    np.testing.assert_allclose(right.gradient()[0], w[:, 0].sum(0), rtol=1e-6)


def test_more_columns_than_a_grid_is_wide():
    """One matrix, with more blocks of columns than the second axis allows."""
    columns = 8 * MANY
    x = np.arange(columns, dtype=np.float32)
    dy.renew_cg()
    y = dy.inputTensor([[2.0], [-1.0]]) * dy.inputTensor(x[np.newaxis])
    np.testing.assert_array_equal(y.npvalue(), [2 * x, -x])


@pytest.mark.parametrize("order", ["forward", "backward"])
@pytest.mark.parametrize("columns", [1, 3, 4, 5])
@pytest.mark.parametrize("size", [1, 31, 32, 33, 128, 129, 300])
def test_columns_of_a_warp_and_of_a_block(size, columns, order):
    """Several small columns share a block, and the last block is not full; a large column has its own block."""
    x = np.random.default_rng(size).normal(size=(size, columns)).astype(np.float32)
    with emulation.order(order):
        dy.renew_cg()
        given = batched(x)
        p, largest = dy.softmax(given), dy.max_dim(given)
        dy.sum_batches(dy.sum_elems(dy.square(p))).backward(full=True)
        actual = p.npvalue(), largest.npvalue(), dy.squared_norm(given).npvalue(), given.gradient()
    e = np.exp(x.astype(np.float64) - x.max(0))
    p = e / e.sum(0)
    expected = p, x.max(0, keepdims=True), (x.astype(np.float64) ** 2).sum(0, keepdims=True)
    gradient = 2 * p * (p - (p * p).sum(0))
    for one, other in zip(actual, [*expected, gradient]):
        np.testing.assert_allclose(one.reshape(other.shape), other, rtol=2e-5, atol=1e-6)
