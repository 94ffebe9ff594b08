"""Reductions, losses and projections beyond the table's samples: bounds, large scores, modes."""

import itertools
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import dynet_ops as dy
from dynet_core import Model, pictures, renew_cg
from dynet_core.graph import current
from dynet_ops.testing import value_of

INF = float("inf")


def with_gradient(op, *arrays):
    """The value of an op of vectors, and the gradients of its sum."""
    renew_cg()
    xs = [dy.inputTensor(array) for array in arrays]
    y = op(*xs)
    dy.sum_elems(y).backward(full=True)
    return [value_of(y)[..., 0], *[x.gradient() for x in xs]]


@pytest.mark.parametrize("op", [dy.std_elems, dy.l2_norm, lambda x: dy.std_dim(x, [0])], ids=["std", "norm", "std_dim"])
def test_where_a_root_is_zero_its_gradient_is_zero(op):
    y, dx = with_gradient(op, np.zeros(5))
    assert y == 0
    assert dx == pytest.approx(np.zeros(5), abs=0)


@pytest.mark.parametrize("size", [1, 5, 37])
def test_layer_norm_of_equal_numbers_is_the_shift(size):
    g, b, some = np.full(size, 3.0), np.arange(1.0, 1.0 + size), np.full(size, 0.3)
    y, dx, dg, db = with_gradient(dy.layer_norm, some, g, b)
    assert y == pytest.approx(b, abs=0)
    assert dx == pytest.approx(np.zeros(size), abs=0) and dg == pytest.approx(np.zeros(size), abs=0)
    assert db == pytest.approx(np.ones(size), abs=0)


NORMAL = st.floats(1.1754943508222875e-38, 3.4028234663852886e38, width=32)
CONSTANTS = st.one_of(NORMAL, NORMAL.map(lambda one: -one), st.floats(-4, 4, width=32))
SIZES = st.one_of(st.integers(3, 40), st.integers(3, 1000))


@settings(deadline=None, max_examples=150)
@given(CONSTANTS, SIZES, st.integers(1, 3))
@example(0.1, 7, 1)
@example(1e30, 1000, 2)
@example(3e38, 3, 1)
@example(1.2e-38, 999, 2)
def test_layer_norm_of_any_equal_numbers_is_the_shift(constant, size, batch):
    """The float32 mean of equal values is not always that value, but layer_norm detects that they are equal."""
    renew_cg()
    x = dy.inputTensor(np.full((size, batch), constant, np.float32), batched=True)
    g, b = dy.inputVector(np.linspace(-2, 3, size)), dy.inputVector(np.arange(size))
    y = dy.layer_norm(x, g, b)
    dy.sum_batches(dy.dot_product(y, dy.inputVector(np.linspace(1, -1, size)))).backward(full=True)
    assert value_of(y).tolist() == np.broadcast_to(np.arange(size)[:, None], (size, batch)).tolist()
    assert not x.gradient().any() and not g.gradient().any()
    assert b.gradient() == pytest.approx(batch * np.linspace(1, -1, size), rel=1e-5, abs=1e-6)


@settings(deadline=None, max_examples=150)
@given(CONSTANTS, SIZES, st.integers(1, 11), st.sampled_from(["first", "second", "both", "batch", "elements"]))
@example(0.1, 7, 1, "elements")
@example(1e30, 1000, 2, "first")
@example(3e38, 3, 9, "second")
@example(1.2e-38, 999, 2, "batch")
def test_the_deviation_of_any_equal_numbers_is_zero(constant, size, others, along):
    """Also its gradient, along any dimensions and over a batch. Neighboring columns have other equal values."""
    x = np.full((size, others), constant, np.float32)
    if along in ("first", "second", "batch"):
        x *= np.linspace(1, 0.25, others, dtype=np.float32)
    renew_cg()
    x = dy.inputTensor(x if along == "first" else x.T, batched=along == "batch")
    y = {
        "first": lambda: dy.std_dim(x, [0]),
        "second": lambda: dy.std_dim(x, [1]),
        "both": lambda: dy.std_dim(x, [0, 1]),
        "batch": lambda: dy.std_batches(x),
        "elements": lambda: dy.std_elems(x),
    }[along]()
    dy.sum_elems(y).backward(full=True)
    assert not value_of(y).any() and not x.gradient().any()


@pytest.mark.parametrize("size", [2, 7, 100])
def test_numbers_that_hardly_differ_are_not_equal(size):
    x = np.full(size, 1024.0, np.float32)
    x[-1] += 2
    expected = x.astype(float)
    y, dx = with_gradient(dy.std_elems, x)
    assert y == pytest.approx(expected.std(), rel=1e-5)
    normal = (expected - expected.mean()) / expected.std()
    assert dx == pytest.approx(normal / size, abs=1e-3 / size)  # the mean is rounded to 1e-4
    y, *_ = with_gradient(dy.layer_norm, x, np.ones(size), np.zeros(size))
    assert y == pytest.approx(normal, abs=1e-3)


@pytest.mark.parametrize("op", [dy.std_elems, lambda x: dy.layer_norm(x, dy.ones(20), dy.zeros(20))])
@pytest.mark.parametrize("first", [np.nan, 1.0])
def test_deviations_of_nan_are_nan(op, first):
    y, _ = with_gradient(op, np.array([first] + [np.nan] * 19))
    assert np.isnan(y).all()


def test_the_deviation_of_masked_elements_is_that_of_the_others():
    some = np.array([1.0, 4.0, -2.0], np.float32)
    y, dx = with_gradient(lambda x: dy.std_dim(x, [0], False, n=3), np.concatenate([some, np.zeros(4)]))
    assert y == pytest.approx(some.std(), rel=1e-6)
    assert dx[:3] == pytest.approx((some - some.mean()) / (3 * some.std()), rel=1e-5)


@settings(deadline=None, max_examples=100)
@given(st.floats(-(2**50), 2**50, width=32), st.integers(1, 40), st.integers(0, 9), st.booleans())
@example(0.1, 3, 2, False)
@example(123.456, 7, 1, True)
def test_the_deviation_of_equal_masked_elements_is_as_good_as_zero(constant, count, padding, strided):
    """Padding does not count, and gets no gradient. Without padding, the deviation is exactly 0."""
    x = np.zeros((count + padding, 2), np.float32)
    x[:count] = constant
    renew_cg()
    x = dy.inputTensor(x.T if strided else x)
    y = dy.std_dim(x, [1 if strided else 0], False, n=count)
    dy.sum_elems(y).backward(full=True)
    dx = x.gradient().T if strided else x.gradient()
    rounding = 1.2e-7 * count * abs(constant) if padding else 0
    assert (value_of(y) <= rounding).all()
    assert not dx[count:].any() and (abs(dx) <= 1).all()


def test_the_deviation_of_masked_elements_counts_zeros_that_are_no_padding():
    x = np.array([1.0, 0.0, 4.0, 0.0, 0.0, 0.0], np.float32)
    y, dx = with_gradient(lambda x: dy.std_dim(x, [0], False, n=4), x)
    some = x[:4]
    assert y == pytest.approx(some.std(), rel=1e-6)
    assert dx[:4] == pytest.approx((some - some.mean()) / (4 * some.std()), rel=1e-5)


def test_any_dimensions_of_any_tensor():
    """Every choice of dimensions of a batched tensor, against numpy."""
    array = np.random.default_rng(0).uniform(-1, 1, (2, 3, 2, 2, 3)).astype(np.float32)
    renew_cg()
    x = dy.inputTensor(array, batched=True)
    for count in range(1, 5):
        for d in itertools.permutations(range(4), count):
            for b in (False, True):
                axes = (*d, 4) if b else d
                for op, expected in [
                    (dy.sum_dim, array.sum(axes)),
                    (dy.mean_dim, array.mean(axes)),
                    (dy.std_dim, array.std(axes)),
                ]:
                    y = op(x, list(d), b)
                    assert y.npvalue().ravel() == pytest.approx(expected.ravel(), rel=1e-5, abs=1e-6), (d, b)


@pytest.mark.parametrize("d", [[0], [1], [0, 1]])
def test_a_minibatch_is_its_elements_along_any_dimension(d):
    arrays = np.random.default_rng(0).uniform(-1, 1, (5, 4, 3)).astype(np.float32)
    ops = [dy.sum_dim, dy.mean_dim, dy.std_dim, lambda x, d: dy.moment_dim(x, d, 3)]
    for op in ops:
        renew_cg()
        whole = value_of(op(dy.inputTensor(arrays, batched=True), d))
        for b in range(3):
            single = value_of(op(dy.inputTensor(arrays[..., b]), d))
            assert whole[..., b : b + 1] == pytest.approx(single, rel=1e-6)


def test_a_moment_of_an_order_that_nobody_foresaw():
    x = np.array([0.5, -1.1, 0.9], np.float32)
    y, dx = with_gradient(lambda x: dy.moment_elems(x, 11), x)
    assert y == pytest.approx((x.astype(float) ** 11).mean(), rel=1e-5)
    assert dx == pytest.approx(11 * x.astype(float) ** 10 / 3, rel=1e-5)


def test_argmax_passes_its_gradient_on_or_stops_it():
    x = np.array([1.0, 5.0, 5.0, 2.0])
    weights = np.array([1.0, 2.0, 3.0, 4.0])
    for mode, expected in [("zero_gradient", 0 * weights), ("straight_through_gradient", weights)]:
        y, dx = with_gradient(lambda x, mode=mode: dy.cmult(dy.argmax(x, mode), dy.inputVector(weights)), x)
        assert y.tolist() == [0.0, 2.0, 0.0, 0.0]
        assert dx.tolist() == expected.tolist()


def test_logsumexp_of_infinite_scores():
    for scores, expected in [([-INF, -INF], -INF), ([-INF, 0.0], 0.0), ([INF, 0.0], INF)]:
        y, dx = with_gradient(dy.logsumexp_dim, np.array(scores))
        assert y[0] == expected
    assert with_gradient(dy.logsumexp_dim, np.array([-INF, 0.0]))[1].tolist() == [0.0, 1.0]


LARGE = np.array([1e4, -1e4, 0.0, 9999.0])


@pytest.mark.parametrize(
    "op",
    [
        dy.logsumexp_dim,
        dy.sparsemax,
        lambda x: dy.constrained_softmax(x, dy.inputVector([0.3, 0.4, 0.5, 0.2])),
        lambda x: dy.constrained_softmax(x, dy.inputVector([0.3, 0.4, 0.5, 0.0])),
        lambda x: dy.hinge(x, 1),
        lambda x: dy.hinge(x, 0),
        lambda x: dy.pairwise_rank_loss(x, dy.inputVector(LARGE[::-1])),
        lambda x: dy.huber_distance(x, dy.inputVector(LARGE[::-1])),
        lambda x: dy.l1_distance(x, dy.inputVector(LARGE[::-1])),
        lambda x: dy.binary_log_loss(dy.logistic(x), dy.inputVector([0, 1, 1, 0])),
        dy.std_elems,
    ],
)
def test_large_scores_give_finite_results(op):
    y, dx = with_gradient(op, LARGE)
    assert np.isfinite(y).all()
    assert np.isfinite(dx).all()


def test_a_poisson_loss_is_infinite_where_its_rate_is():
    y, dx = with_gradient(lambda x: dy.poisson_loss(x, 3), np.array([100.0]))
    assert y.tolist() == dx.tolist() == [np.inf]


def test_a_hinge_loss_of_what_wins_is_exactly_zero():
    x = np.array([0.3, 5.3, 4.2, 1e4 + 0.125])
    y, dx = with_gradient(lambda x: dy.hinge(x, 3, 0.7), x)
    assert y.tolist() == [0.0]
    assert dx.tolist() == [0.0] * 4


def test_sparsemax_and_constrained_softmax_are_probabilities():
    rng = np.random.default_rng(1)
    for size in (1, 2, 15, 16, 17, 100, 1000):
        for scale in (1e-3, 1.0, 30.0):
            x = rng.normal(0, scale, size)
            y, _ = with_gradient(dy.sparsemax, x)
            assert y.sum() == pytest.approx(1, abs=1e-5)
            assert y.min() >= 0
            bounds = rng.uniform(0.5, 4, size) / size + (1 if size == 1 else 0)
            bounds *= max(1, 1.01 / bounds.sum())
            z, *_ = with_gradient(dy.constrained_softmax, x, bounds)
            assert z.sum() == pytest.approx(1, abs=1e-5)
            assert (z <= bounds.astype(np.float32)).all()


def test_bounds_that_are_too_low_are_all_reached():
    bounds = np.array([0.1, 0.2, 0.3], np.float32)
    z, dx, dy_ = with_gradient(dy.constrained_softmax, np.array([3.0, 1.0, -2.0]), bounds)
    assert z.tolist() == bounds.tolist()
    assert dx.tolist() == [0.0] * 3
    assert dy_.tolist() == [1.0] * 3


def test_a_list_of_choices_may_stand_for_one():
    x = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    renew_cg()
    batch = dy.inputTensor(x, batched=True)
    for one, several in [(dy.hinge, dy.hinge_batch), (dy.pickneglogsoftmax, dy.pickneglogsoftmax_batch)]:
        assert one(batch, [4, 0, 2]).npvalue().tolist() == several(batch, [4, 0, 2]).npvalue().tolist()
        assert one(batch, 2).npvalue().tolist() == several(batch, [2, 2, 2]).npvalue().tolist()


def test_shared_weights_of_gates_get_the_gradients_of_all_steps():
    """Parameters, whose gradients wait for all nodes, against inputs, whose gradients do not."""
    rng = np.random.default_rng(2)
    arrays = [rng.normal(size=shape).astype(np.float32) for shape in ((8, 3), (8, 2), (8,))]
    xs = rng.normal(size=(4, 3)).astype(np.float32)

    def gradients(weights, full):
        h = dy.zeros(2)
        c = dy.zeros(2)
        for x in xs:
            gates = dy.vanilla_lstm_gates_concat([dy.inputVector(x[:1]), dy.inputVector(x[1:])], h, *weights)
            c = dy.vanilla_lstm_c(c, gates)
            h = dy.vanilla_lstm_h(c, gates)
        dy.squared_norm(h).backward(full=full)

    renew_cg()
    model = Model()
    parameters = [model.parameters_from_numpy(array) for array in arrays]
    gradients(parameters, False)
    together = [parameter.grad_as_array() for parameter in parameters]
    renew_cg()
    inputs = [dy.inputTensor(array) for array in arrays]
    gradients(inputs, True)
    for one, other in zip(together, inputs):
        assert one == pytest.approx(other.gradient(), rel=1e-5, abs=1e-6)


def test_noisy_weights_of_gates():
    renew_cg()
    x, h, b = dy.zeros(1), dy.zeros(1), dy.zeros(4)
    results = [
        dy.vanilla_lstm_gates(x, h, dy.zeros((4, 1)), dy.zeros((4, 1)), b, weightnoise_std=0.5) for _ in range(400)
    ]
    candidates = np.arctanh(np.array([result.npvalue()[3] for result in results], float))
    assert abs(candidates.mean()) < 0.1
    assert candidates.std() == pytest.approx(0.5, rel=0.15)


ALTERNATING = [  # an element within rounding of the threshold, which iterations could include and exclude forever
    [0.01668832, 0.06808373, 0.37027028, -0.12920912, 0.58609134, 0.01668832, 0.04230791, -0.36049914, -0.63292754,
     0.01668832],
    [-0.99777067, -0.6594759, 0.15977803, -0.75333023, -0.3261414, 0.41574726, 0.72938234, 0.0162982, 0.3655778,
     0.0688905, 0.17023581, -0.9385614, 0.0488791],
    [-0.27775195, -0.13799, 0.6418159, -0.75213444, 0.3613085, 0.6418159, 0.9045887, -0.6992888, 0.9026885,
     0.31663433, 0.05782675, 0.6324543, -0.52846175, -0.83351976, 0.7795532, 0.7467006, 0.550296, 0.6418159,
     0.02416314, 0.8755484, -0.30037224, 0.1128899],
]  # fmt: skip


@pytest.mark.parametrize("scores", ALTERNATING)
def test_sparsemax_ends_where_an_element_stands_at_the_threshold(scores):
    """Runs in a separate process: if it did not terminate, nothing in this process could stop it."""
    program = f"import dynet_ops as dy; print(dy.sum_elems(dy.sparsemax(dy.inputVector({scores}))).value())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) == pytest.approx(1, abs=1e-6)


@settings(deadline=None, max_examples=200)
@given(st.lists(st.floats(-4, 4, width=32), min_size=1, max_size=40), st.integers(1, 40), st.integers(0, 39))
def test_sparsemax_of_any_scores(scores, above, place):
    """This includes scores with an element exactly at the threshold of the `above` largest."""
    x = np.array(scores, np.float32)
    largest = np.sort(x)[::-1][:above]
    x[place % len(x)] = (largest.sum() - 1) / len(largest)
    y = dy.sparsemax(dy.inputVector(x)).npvalue()
    z = np.sort(x.astype(np.float64))[::-1]
    threshold = max((z[: k + 1].sum() - 1) / (k + 1) for k in range(len(z)))
    np.testing.assert_allclose(y, np.maximum(x - threshold, 0), atol=2e-6 * max(1, abs(x).max()))


def test_a_picture_names_each_reduction_as_it_was_called():
    renew_cg()
    x = dy.inputTensor(np.ones((3, 4)))
    dy.mean_elems(x), dy.mean_dim(dy.reshape(x, (12,)), [0], False)
    text = pictures.dot(current())
    assert "mean_elems" in text and "mean_dim" in text


def test_nan_of_either_sign_is_the_largest_to_kmax_pooling():
    x = np.array([[1.0, np.nan, 3.0, -np.nan, 2.0]], np.float32)
    assert np.signbit(x[0, 3])
    np.testing.assert_array_equal(dy.kmax_pooling(dy.inputTensor(x), 2).npvalue(), [[np.nan, np.nan]])
