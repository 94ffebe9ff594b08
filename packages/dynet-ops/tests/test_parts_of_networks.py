"""What the table of ops does not say of `where`, `clip_by_value`, norms along a dimension, losses and tensors."""

import numpy as np
import pytest

import dynet_ops as dy
from dynet_core import Model, renew_cg
from dynet_core.errors import ArgumentError, ArgumentTypeError, OutOfRangeError, ShapeError
from dynet_ops.testing import Input, Parameter


@pytest.fixture(autouse=True)
def new_graph():
    renew_cg()


def gradients(loss, *inputs):
    loss.backward(full=True)
    return [x.gradient() for x in inputs]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_chosen_has_no_influence(bad):
    x, y = dy.inputVector([1, bad, 3]), dy.inputVector([bad, 20, bad])
    z = dy.where(dy.inputVector([1, 0, -1]), x, y)
    assert z.value() == [1, 20, 3]
    dx, d_y = gradients(dy.squared_norm(z), x, y)
    assert dx.tolist() == [2, 0, 6] and d_y.tolist() == [0, 40, 0]


def test_a_bad_gradient_reaches_only_what_is_chosen():
    x, y = dy.inputVector([4, 4]), dy.inputVector([0, 0])
    loss = dy.sum_elems(dy.sqrt(dy.where(dy.inputVector([1, 0]), x, y)))  # sqrt has an infinite gradient at 0
    dx, d_y = gradients(loss, x, y)
    assert dx.tolist() == [0.25, 0] and d_y.tolist() == [0, np.inf]


def test_where_broadcasts_a_mask_and_a_number():
    x = dy.inputTensor([[1, 2], [3, 4]])
    assert dy.where(dy.inputVector([1, 0]), x, dy.scalarInput(-1)).npvalue().tolist() == [[1, 2], [-1, -1]]
    with pytest.raises(ShapeError, match="where"):
        dy.where(dy.inputVector([1, 0, 1]), x, x)


def test_gradients_of_clipped_values():
    x = dy.inputVector([-2, -1, 0, 1, 2])
    y = dy.clip_by_value(x, -1, 1)
    assert y.value() == [-1, -1, 0, 1, 1]
    assert gradients(dy.sum_elems(y), x)[0].tolist() == [0, 1, 1, 1, 0]
    assert np.isnan(dy.clip_by_value(dy.scalarInput(np.nan), 0, 1).value())


@pytest.mark.parametrize(
    ("limits", "error", "match"),
    [
        ((1, -1), ArgumentError, "clip_by_value: least is 1, more than most, -1"),
        ((np.nan, 1), ArgumentError, "clip_by_value: least"),
        ((0, np.inf), ArgumentError, "clip_by_value: most"),
        (("a", 1), ArgumentTypeError, "clip_by_value: least"),
    ],
)
def test_bad_limits(limits, error, match):
    with pytest.raises(error, match=match):
        dy.clip_by_value(dy.scalarInput(1), *limits)


def test_a_vector_is_normalized_as_by_layer_norm():
    arrays = np.random.default_rng(0).normal(size=(3, 9)).astype(np.float32)
    values = [f(*[dy.inputTensor(one) for one in arrays]).npvalue() for f in (dy.layer_norm, dy.layer_norm_dim)]
    np.testing.assert_allclose(*values, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("normalize", [lambda x, g: dy.layer_norm_dim(x, g, g), dy.rms_norm])
def test_a_column_that_cannot_be_normalized(normalize):
    bad = 0 if normalize is dy.rms_norm else 5
    x, g = dy.inputTensor([[bad, 1], [bad, 3], [bad, 4]]), dy.inputVector([1, 2, 3])
    y = normalize(x, g)
    assert y.npvalue()[:, 0].tolist() == ([0, 0, 0] if normalize is dy.rms_norm else [1, 2, 3])
    (dx,) = gradients(dy.squared_norm(y), x)
    assert dx[:, 0].tolist() == [0, 0, 0] and np.isfinite(dx).all() and dx[:, 1].any()


def test_norms_refuse_vectors_of_another_size():
    x, g = dy.inputTensor(np.ones((3, 4))), dy.inputVector([1, 1, 1])
    with pytest.raises(
        ShapeError, match=r"layer_norm_dim: dimension 1 of x \(3, 4\) has the size 4, so a vector \(4,\)"
    ):
        dy.layer_norm_dim(x, g, g, d=1)
    with pytest.raises(ShapeError, match=r"rms_norm: dimension 0 .* not \(4,\)"):
        dy.rms_norm(x, dy.inputVector([1, 1, 1, 1]))
    with pytest.raises(OutOfRangeError, match="rms_norm: dimension 2"):
        dy.rms_norm(x, g, 2)


def test_cross_entropy_of_a_choice():
    scores = [[300.0, -2000.0, 0.5], [1.0, 1.0, 1.0]]
    for column in scores:
        x = dy.inputVector(column)
        losses = [dy.cross_entropy(x, dy.one_hot(3, k)).value() for k in range(3)]
        np.testing.assert_allclose(losses, [dy.pickneglogsoftmax(x, k).value() for k in range(3)], rtol=1e-6)


@pytest.mark.parametrize("smoothing", [-0.1, 1, np.nan])
def test_cross_entropy_refuses_a_smoothing(smoothing):
    with pytest.raises(ArgumentError, match="cross_entropy: smoothing"):
        dy.cross_entropy(dy.inputVector([1, 2]), dy.one_hot(2, 0), smoothing)


def test_losses_of_the_columns_of_a_matrix():
    array = np.random.default_rng(1).normal(size=(4, 3)).astype(np.float32)
    x, indices = Parameter(array[..., None]).expression, [3, 0, 3]
    losses = dy.pickneglogsoftmax(x, indices)
    assert losses.dim() == ((3,), 1)
    columns = [dy.pickneglogsoftmax(dy.inputVector(array[:, k]), v).value() for k, v in enumerate(indices)]
    assert losses.value() == columns
    with pytest.raises(ShapeError, match=r"pickneglogsoftmax: 2 indices, but x is \(4, 3\), which has 3 columns"):
        dy.pickneglogsoftmax(x, [1, 2])
    with pytest.raises(OutOfRangeError, match="pickneglogsoftmax"):
        dy.pickneglogsoftmax(x, [1, 4, 2])


def test_loss_of_large_logits():
    x = dy.inputVector([1e4, -1e4, 1e4, 0])
    loss = dy.binary_log_loss_of_logits(x, dy.inputVector([0, 1, 1, 0.5]))
    np.testing.assert_allclose(loss.value(), 2e4 + np.log(2), rtol=1e-6)
    assert gradients(loss, x)[0].tolist() == [1, -1, 0, 0]


def test_the_gradient_of_the_sparsemax_loss_is_the_difference_of_distributions():
    array = np.random.default_rng(2).normal(size=6).astype(np.float32)
    x = dy.inputVector(array)
    (dx,) = gradients(dy.sparsemax_loss(x, [4, 1]), x)
    np.testing.assert_allclose(dx, dy.sparsemax(x).npvalue() - [0, 0.5, 0, 0, 0.5, 0], rtol=0, atol=1e-7)
    assert dy.sparsemax_loss(dy.inputVector([5, 0]), [0]).value() == 0


@pytest.mark.parametrize(
    ("x", "v", "error"),
    [
        (np.ones((2, 2)), [0], ShapeError),
        (np.ones(2), [], ArgumentError),
        (np.ones(2), [1, 1], ArgumentError),
        (np.ones(2), [2], OutOfRangeError),
    ],
)
def test_sparsemax_loss_refuses(x, v, error):
    with pytest.raises(error, match="sparsemax_loss"):
        dy.sparsemax_loss(dy.inputTensor(x), v)


@pytest.mark.parametrize("kind", [Input, Parameter])
def test_heads_as_a_tensor(kind):
    """One product of tensors is what a loop over heads computes, with its gradients."""
    arrays = [
        np.random.default_rng(k).normal(size=size).astype(np.float32) for k, size in enumerate([(5, 3, 4), (3, 6, 4)])
    ]
    a, b = [kind(array[..., None]) for array in arrays]
    y = dy.matmul(a.expression, b.expression)
    dy.squared_norm(y).backward(full=True)
    heads = [a @ b for a, b in zip(*[np.moveaxis(array.astype(float), 2, 0) for array in arrays])]
    np.testing.assert_allclose(y.npvalue(), np.stack(heads, 2), rtol=1e-5, atol=1e-6)
    da = np.stack([2 * y @ b.T for y, b in zip(heads, np.moveaxis(arrays[1], 2, 0))], 2)
    np.testing.assert_allclose(a.gradient()[..., 0], da, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("shapes", [((2, 3, 4), (2, 3, 4)), ((2, 3, 4), (3, 2, 5)), ((2, 3), (2, 5, 4))])
def test_tensors_that_do_not_fit(shapes):
    W = Model().add_parameters(shapes[0])
    with pytest.raises(ShapeError, match=r"^\*: "):
        dy.matmul(W, dy.inputTensor(np.ones(shapes[1])))


@pytest.mark.parametrize("size", [1e-20, 1e-10, 1, 1e10, 1e18])
def test_rms_norm_of_small_and_large_numbers(size):
    """The squares of the smallest are denormal numbers, of few digits."""
    x, g = dy.inputTensor([[size], [3 * size]]), dy.inputVector([1, 2])
    y = dy.rms_norm(x, g)
    np.testing.assert_allclose(y.npvalue().ravel(), np.array([1, 6]) / 5**0.5, rtol=2e-4)
    dy.pick(y, 0).backward(full=True)
    np.testing.assert_allclose(x.gradient().ravel() * size, np.array([0.9, -0.3]) / 5**0.5, rtol=1e-3)


def test_cross_entropy_of_scores_that_are_ruled_out():
    x, y = dy.inputVector([0, -np.inf, 0]), dy.inputVector([1, 0, 0])
    loss = dy.cross_entropy(x, y)
    loss.backward(full=True)
    np.testing.assert_allclose(loss.value(), np.log(2), rtol=1e-6)
    assert x.gradient().tolist() == [-0.5, 0, 0.5]
