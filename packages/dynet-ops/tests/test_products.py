"""Matrix products of every size, against numpy: through panels, in blocks, and in place."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import dynet_ops as dy
from dynet_core import Model, renew_cg

SIZES = [
    (1, 1, 1),
    (128, 129, 24),  # the smallest that takes panels, with one row of a second panel
    (129, 1, 25),
    (300, 257, 33),
    (131, 270, 200),
    (2000, 600, 30),  # rows in several blocks
    (7, 300, 150),
    (512, 3, 130),
]


def close(actual, expected, terms):
    np.testing.assert_allclose(actual, expected, rtol=0, atol=2e-6 * terms)


@pytest.mark.parametrize(("rows", "inner", "columns"), SIZES)
@pytest.mark.parametrize("bias", [False, True])
def test_product_and_gradients(rows, inner, columns, bias):
    check(rows, inner, columns, bias, seed=0)


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 200), st.integers(1, 150), st.integers(1, 60), st.booleans(), st.integers(0, 9))
@example(128, 128, 24, True, 0)
def test_products_of_any_size(rows, inner, columns, bias, seed):
    check(rows, inner, columns, bias, seed)


def check(rows, inner, columns, bias, seed):
    rng = np.random.default_rng(seed)
    arrays = [rng.uniform(-1, 1, shape).astype(np.float32) for shape in ((rows, inner), (inner, columns), (rows,))]
    dy_array = rng.uniform(-1, 1, (rows, columns)).astype(np.float32)
    model = Model()
    W, X, b = (model.parameters_from_numpy(array) for array in arrays)
    renew_cg()
    Y = dy.affine_transform([b, W, X]) if bias else W * X
    w, x, start = (array.astype(np.float64) for array in arrays)
    close(Y.npvalue().reshape(rows, columns), w @ x + bias * start[:, None], inner + 1)
    dy.sum_elems(dy.cmult(dy.reshape(Y, (rows, columns)), dy.inputTensor(dy_array))).backward()
    dy64 = dy_array.astype(np.float64)
    close(W.grad_as_array().reshape(rows, inner), dy64 @ x.T, columns + 1)
    close(X.grad_as_array().reshape(inner, columns), w.T @ dy64, rows + 1)
    if bias:
        close(b.grad_as_array(), dy64.sum(1), columns + 1)


@pytest.mark.parametrize("columns", range(1, 20))
@pytest.mark.parametrize(("rows", "inner"), [(5, 3), (50, 20), (300, 7)])
def test_sums_of_products_of_any_number_of_columns(rows, inner, columns):
    """Each product adds to the result of the previous one, and no column is added twice."""
    rng = np.random.default_rng(columns)
    W, V = (rng.uniform(-1, 1, (rows, inner)).astype(np.float32) for _ in range(2))
    xs, ys = (rng.uniform(-1, 1, (columns, inner)).astype(np.float32) for _ in range(2))
    model = Model()
    pW, pV, b = (model.parameters_from_numpy(array) for array in (W, V, np.ones(rows)))
    tables = [model.lookup_parameters_from_numpy(array) for array in (xs, ys)]
    renew_cg()
    zs = [dy.affine_transform([b, pW, tables[0][k], pV, tables[1][k]]) for k in range(columns)]
    dy.esum([dy.squared_norm(z) for z in zs]).backward()
    expected = xs.astype(float) @ W.T + ys.astype(float) @ V.T + 1
    close(np.array([z.npvalue() for z in zs]), expected, 2 * inner + 1)
    for table, matrix in zip(tables, (W, V)):
        np.testing.assert_allclose(table.grad_as_array(), 2 * expected @ matrix, rtol=1e-4, atol=1e-4 * rows)


@pytest.mark.parametrize(("rows", "inner"), [(4, 4), (5, 9), (16, 16), (33, 17), (256, 128), (300, 40)])
@pytest.mark.parametrize("count", [2, 15, 16, 17, 33, 700])
@pytest.mark.parametrize("passed_on", [False, True])
def test_gradients_of_vectors_that_many_products_share(rows, inner, count, passed_on):
    """Neighboring columns of one product, and distant columns, add to one gradient."""
    rng = np.random.default_rng(count)
    model = Model()
    W = model.parameters_from_numpy(rng.uniform(-1, 1, (rows, inner)))
    vectors = [model.parameters_from_numpy(rng.uniform(-1, 1, inner)) for _ in range(3)]
    weights = rng.uniform(-1, 1, (count, rows)).astype(np.float32)
    chosen = rng.integers(0, len(vectors), count)
    renew_cg()
    xs = [dy.negative(dy.negative(x)) if passed_on else x for x in vectors]
    dy.esum([dy.dot_product(W * xs[k], dy.inputVector(w)) for k, w in zip(chosen, weights)]).backward()
    for number, x in enumerate(vectors):
        expected = W.as_array().T.astype(float) @ weights[chosen == number].sum(0, dtype=float)
        np.testing.assert_allclose(x.grad_as_array(), expected, rtol=1e-4, atol=1e-4)
