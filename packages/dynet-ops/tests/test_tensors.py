"""Selection, convolution, pooling and linear algebra, in cases beyond the table's samples."""

import itertools

import numpy as np
import pytest

import dynet_ops as dy
from dynet_core import Model, renew_cg
from dynet_core.op import OPS

INF, NAN = np.inf, np.nan


@pytest.fixture(autouse=True)
def fresh_graph():
    renew_cg()


# Selection ------------------------------------------------------------------------------------------------------

ARRAY = np.arange(60.0, dtype=np.float32).reshape(3, 4, 5)
KEYS = [
    np.s_[1],
    np.s_[-1],
    np.s_[1, 2],
    np.s_[1, -1, 4],
    np.s_[1:3],
    np.s_[-2:],
    np.s_[:, 1:99],
    np.s_[::2],
    np.s_[0:3:2, 1:4],
    np.s_[1, 1:4:2],
    np.s_[:, 2, ::3],
    np.s_[::2, ::2, 1::2],
    np.s_[2:3, 3, 0:1],
    np.s_[np.int64(1), np.int32(0) : np.int64(2)],
]


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("key", KEYS, ids=str)
def test_indexing_is_numpy_s(key, batch):
    array = np.stack([ARRAY, -ARRAY], axis=-1)[..., :batch]
    x = dy.inputTensor(array, batched=True)
    expected = array[key]
    y = x[key]
    assert y.dim() == (expected.shape[:-1] or (1,), batch)
    np.testing.assert_array_equal(y.npvalue().reshape(expected.shape), expected)
    dy.sum_batches(dy.sum_elems(y)).backward(full=True)
    gradient = np.zeros_like(array)
    gradient[key] = 1
    np.testing.assert_array_equal(x.gradient().reshape(array.shape), gradient)


def test_indexing_everything_records_nothing():
    x = dy.inputTensor(ARRAY)
    assert x[:, :].at == x.at
    assert dy.strided_select(x, [1, 1], [0], [3, 4]).at == x.at
    assert dy.kmax_pooling(x, 4, 1).at == x.at


def test_pick_takes_one_index_for_all_or_one_for_each():
    x = dy.inputTensor(ARRAY[:, :, 0].T, batched=True)  # (4,) x 3
    assert dy.pick(x, 2).npvalue().tolist() == [ARRAY[:, 2, 0].tolist()]
    assert dy.pick(x, [0, 3, 1]).npvalue().tolist() == [[0.0, 35.0, 45.0]]
    assert dy.pick(x, np.array([0, 3, 1])).npvalue().tolist() == [[0.0, 35.0, 45.0]]


@pytest.mark.parametrize(
    ("values", "k", "expected"),
    [
        ([3, 1, 2, 3, 5], 2, [3, 5]),
        ([1, 1, 1, 2, 1], 3, [1, 1, 2]),
        ([0.0, -0.0, 0.0], 2, [0.0, -0.0]),
        ([-INF, -INF, -1], 2, [-INF, -1]),
        ([INF, 1, INF, 2], 2, [INF, INF]),
        ([1, NAN, 3, 2], 2, [NAN, 3]),
        ([NAN, NAN, NAN], 1, [NAN]),
        ([1e-45, 0, -1e-45], 2, [1e-45, 0]),
        ([-3, -1, -2], 2, [-1, -2]),
    ],
)
def test_kmax_pooling_keeps_order_and_prefers_the_first_of_equals(values, k, expected):
    x = dy.inputVector(values)
    np.testing.assert_array_equal(np.float32(dy.kmax_pooling(x, k, 0).npvalue()), np.float32(expected))


def test_kmax_pooling_gives_the_gradient_to_the_first_of_equals():
    x = dy.inputVector([1, 2, 2, 2, 0])
    dy.dot_product(dy.kmax_pooling(x, 2, 0), dy.inputVector([1, 10])).backward(full=True)
    assert x.gradient().tolist() == [0, 1, 10, 0, 0]


@pytest.mark.parametrize("size", [1, 15, 16, 17, 31, 100, 1000])
def test_kmax_pooling_of_columns_of_any_size(size):
    rng = np.random.default_rng(size)
    array = rng.normal(size=(size, 3)).astype(np.float32).round(1)
    for k in {1, 2, size // 2 + 1, size} - {size + 1, size + 2}:
        if k <= size:
            expected = OPS["kmax_pooling"].reference(array, k, 0)
            np.testing.assert_array_equal(dy.kmax_pooling(dy.inputTensor(array), k, 0).npvalue(), expected)


# Convolution ----------------------------------------------------------------------------------------------------


def windows_of(size, window, stride, is_valid):
    """The manual's formulas: the number of windows, and the padding before the first."""
    if is_valid:
        return int(np.ceil((size - window + 1) / stride)), 0
    places = int(np.ceil(size / stride))
    return places, max((places - 1) * stride + window - size, 0) // 2


@pytest.mark.parametrize("is_valid", [True, False])
def test_convolution_and_pooling_of_every_small_geometry(is_valid):
    rng = np.random.default_rng(0)
    for size, window, stride in itertools.product(range(1, 8), range(1, 6), range(1, 4)):
        if is_valid and window > size:
            continue
        x = rng.normal(size=(size, 3)).astype(np.float32)
        f = rng.normal(size=(window, 1)).astype(np.float32)
        places, before = windows_of(size, window, stride, is_valid)
        seen = np.full((3 * size + 6 * window, 3), np.nan)
        seen[window : window + size] = x
        rows = [seen[window - before + p * stride :][:window] for p in range(places)]
        for image, filters, turn in ((x, f, lambda y: y), (x.T.copy(), f.T.copy(), np.transpose)):
            renew_cg()
            e, stride2 = dy.inputTensor(image), (stride, 1) if image is x else (1, stride)
            conv = dy.conv2d(e, dy.inputTensor(filters[:, :, None, None]), stride2, is_valid)
            pool = dy.maxpooling2d(e, filters.shape, stride2, is_valid)
            assert conv.dim() == ((*pool.dim()[0], 1), 1)
            expected = [np.nansum(row * f, axis=0) for row in rows]
            np.testing.assert_allclose(turn(conv.npvalue()[:, :, 0]), expected, rtol=1e-5, atol=1e-5)
            np.testing.assert_array_equal(turn(pool.npvalue()), [np.nanmax(row, axis=0) for row in rows])


def test_maxpooling_gives_the_gradient_to_the_first_of_equals_and_passes_nan():
    x = dy.inputTensor(np.ones((2, 2)))
    dy.sum_elems(dy.maxpooling2d(x, [2, 2], [1, 1])).backward(full=True)
    assert x.gradient().tolist() == [[1, 0], [0, 0]]
    y = dy.inputTensor([[1, NAN], [-INF, -INF], [-INF, -INF]])
    np.testing.assert_array_equal(dy.maxpooling2d(y, [2, 2], [1, 1]).npvalue(), [[NAN], [-INF]])


def test_filter1d_narrow_is_a_convolution():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(5, 9)), rng.normal(size=(5, 3, 4))
    narrow = dy.filter1d_narrow(dy.inputTensor(x), dy.inputTensor(y)).npvalue()
    conv = dy.conv2d(dy.inputTensor(x), dy.inputTensor(y[:, :, None]), [1, 1]).npvalue()
    np.testing.assert_allclose(narrow, conv[0].T, rtol=1e-5, atol=1e-5)


def test_filters_of_a_batch_element_are_its_own():
    rng = np.random.default_rng(0)
    x, f = rng.normal(size=(4, 4, 2)), rng.normal(size=(2, 2, 2, 3, 2))
    both = dy.conv2d(dy.inputTensor(x), dy.inputTensor(f, batched=True), [1, 1]).npvalue()
    for element in range(2):
        one = dy.conv2d(dy.inputTensor(x), dy.inputTensor(f[..., element]), [1, 1]).npvalue()
        np.testing.assert_allclose(both[..., element], one, rtol=1e-6)


# Linear algebra -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [1, 2, 3, 8, 16, 33, 70])
def test_inverse_of_matrices_that_need_pivoting(order):
    rng = np.random.default_rng(order)
    array = rng.normal(size=(order, order, 3)).astype(np.float32)
    array[0, 0] = 0 if order > 1 else 1
    result = dy.inverse(dy.inputTensor(array, batched=True)).npvalue()
    logarithm = dy.logdet(dy.inputTensor(array, batched=True)).npvalue().ravel()
    for b in range(3):
        matrix = array[..., b].astype(float)
        expected = np.linalg.inv(matrix)
        bound = 1e-6 * np.linalg.cond(matrix)
        assert np.abs(result[..., b] - expected).max() <= bound * np.abs(expected).max()
        sign, size = np.linalg.slogdet(matrix)
        if sign > 0:
            assert logarithm[b] == pytest.approx(size, abs=bound * order, rel=bound)
        else:
            assert np.isnan(logarithm[b])


SINGULAR = [
    np.zeros((1, 1)),
    np.zeros((3, 3)),
    np.ones((2, 2)),
    np.outer([1, 2, 4], [1, 2, 4]),
    np.diag([1.0, 0.0, 2.0]),
    np.array([[0.0, 1.0], [0.0, 2.0]]),
]


@pytest.mark.parametrize("matrix", SINGULAR, ids=lambda matrix: str(matrix.tolist()))
def test_a_singular_matrix_has_no_finite_inverse_and_no_determinant(matrix):
    x = dy.inputTensor(matrix)
    inverse, logarithm = dy.inverse(x), dy.logdet(x)
    assert not np.isfinite(inverse.npvalue()).any(axis=0).all()
    assert not np.isfinite(logarithm.value())
    assert np.linalg.det(matrix) == 0
    dy.sum_elems(inverse + logarithm).backward(full=True)  # no useful result, but no crash
    assert x.gradient().shape == matrix.shape


def test_logdet_says_what_numpy_says():
    assert dy.logdet(dy.inputTensor([[0.0]])).value() == -INF
    assert dy.logdet(dy.inputTensor(np.ones((2, 2)))).value() == -INF
    assert np.isnan(dy.logdet(dy.inputTensor([[1.0, 2.0], [3.0, 4.0]])).value())  # the determinant is -2
    assert dy.logdet(dy.inputTensor([[0.0, 1.0], [-1.0, 0.0]])).value() == 0.0
    assert np.isnan(dy.logdet(dy.inputTensor([[NAN, 0.0], [0.0, 1.0]])).value())
    assert np.isnan(dy.inverse(dy.inputTensor([[NAN, 0.0], [0.0, 1.0]])).npvalue()).any()


def test_a_bad_matrix_of_a_batch_leaves_the_others_alone():
    array = np.stack([np.eye(3), np.zeros((3, 3)), 2 * np.eye(3)], axis=-1)
    inverse = dy.inverse(dy.inputTensor(array, batched=True)).npvalue()
    np.testing.assert_array_equal(inverse[..., 0], np.eye(3))
    np.testing.assert_array_equal(inverse[..., 2], np.eye(3) / 2)
    logarithm = dy.logdet(dy.inputTensor(array, batched=True)).npvalue().ravel()
    np.testing.assert_allclose(logarithm, [0, -INF, 3 * np.log(2)], rtol=1e-6)


def test_inverses_of_many_nodes_and_a_second_backward():
    model = Model()
    p = model.parameters_from_numpy(np.array([[2.0, 1.0], [1.0, 3.0]]))
    inverses = [dy.inverse(p) for _ in range(5)]
    loss = dy.sum_elems(dy.esum(inverses))
    loss.backward()
    once = p.grad_as_array().copy()
    inverse = np.linalg.inv([[2.0, 1.0], [1.0, 3.0]])
    np.testing.assert_allclose(once, -5 * inverse.T @ np.ones((2, 2)) @ inverse.T, rtol=1e-5)
    loss.backward()
    np.testing.assert_allclose(p.grad_as_array(), 2 * once, rtol=1e-6)
