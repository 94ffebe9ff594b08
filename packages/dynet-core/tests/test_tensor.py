"""Tensors detached from their graph: values, largest elements, and samples."""

import numpy as np
import pytest

from dynet_core import ArgumentError, ArgumentTypeError, OutOfRangeError, ParameterCollection, reset_random_seed
from dynet_core.compute.tensor import Tensor


def tensor(values, batched=False) -> Tensor:
    array = np.array(values, np.float32)
    return Tensor(array, array.ndim - batched)


def test_values_of_parameters():
    p = ParameterCollection().parameters_from_numpy([[1, 2], [3, 4]])
    t = p.tensor_value()
    p.scale(2)
    assert t.as_numpy().tolist() == [[1, 2], [3, 4]], "as it was"
    assert p.tensor_value().as_numpy().tolist() == [[2, 4], [6, 8]]
    assert repr(t) == "tensor (2, 2)"


def test_argmax_takes_the_first_of_equal_values():
    assert tensor([1, 5, 2, 5]).argmax().as_numpy().tolist() == [1]
    matrix = tensor([[1, 5, 2], [7, 0, 3]])
    assert matrix.argmax(dim=0).as_numpy().tolist() == [[1, 0, 1]]
    assert matrix.argmax(dim=1).as_numpy().tolist() == [[1], [0]]
    assert matrix.argmax(1, 2).as_numpy().tolist() == [[1, 2], [0, 2]]


def test_the_batch_is_the_last_axis_and_no_dimension():
    t = tensor([[1, 0], [5, 3], [2, 3]], batched=True)
    assert repr(t) == "tensor (3,) x 2"
    values, indices = t.topk(dim=0, num=2)
    assert values.as_numpy().tolist() == [[5, 3], [2, 3]]
    assert indices.as_numpy().tolist() == [[1, 1], [2, 2]]
    with pytest.raises(OutOfRangeError, match="dim is 1"):
        t.argmax(1)


@pytest.mark.parametrize("shape", [(7,), (3, 4), (2, 3, 4), (5, 1, 2, 3)])
def test_topk_is_a_sorted_part(shape):
    array = np.random.default_rng(1).integers(0, 5, shape).astype(np.float32)
    for batched in range(2 if len(shape) > 1 else 1):
        t = Tensor(array, array.ndim - batched)
        for dim in range(array.ndim - batched):
            for num in range(1, shape[dim] + 1):
                values, indices = t.topk(dim, num)
                expected = np.argsort(-array, dim, kind="stable").take(range(num), dim)
                assert indices.as_numpy().tolist() == expected.tolist()
                assert values.as_numpy().tolist() == np.take_along_axis(array, expected, dim).tolist()
                assert values.as_numpy().dtype == np.float64 and indices.as_numpy().dtype == np.int64


@pytest.mark.parametrize("shape", [(7,), (3, 4), (2, 3, 4)])
def test_argmax_is_the_first_index_of_topk(shape, monkeypatch):
    array = np.random.default_rng(1).choice([1, 2, 3, np.inf, -np.inf, np.nan], shape).astype(np.float32)
    for order in "CF":
        for batched in range(2 if len(shape) > 1 else 1):
            t = Tensor(np.array(array, order=order), array.ndim - batched)
            for dim in range(array.ndim - batched):
                expected = t.topk(dim, shape[dim])[1].as_numpy().take([0], dim)
                with monkeypatch.context() as patch:
                    patch.delattr(np, "argsort")  # the largest value is found without sorting
                    found, (values, places) = t.argmax(dim), t.topk(dim)
                assert found.as_numpy().tolist() == places.as_numpy().tolist() == expected.tolist()
                np.testing.assert_array_equal(values.as_numpy(), np.take_along_axis(array, expected, dim))
                assert found.as_numpy().dtype == np.int64 and repr(found) == repr(places)


def test_infinities_and_nan():
    t = tensor([1, np.inf, -np.inf, np.nan])
    assert t.argmax().as_numpy().tolist() == [3]
    assert t.topk(num=4)[1].as_numpy().tolist() == [3, 1, 0, 2]


def test_samples_have_the_probabilities():
    reset_random_seed(1)
    p = np.array([[0.1, 0.5], [0.2, 0.5], [0.7, 0.0]])
    with np.errstate(divide="ignore"):
        t = tensor(np.log(p))
    drawn = t.categorical_sample_log_prob(dim=0, num=20_000).as_numpy()
    assert drawn.shape == (20_000, 2)
    for column in range(2):
        found = np.bincount(drawn[:, column], minlength=3) / 20_000
        np.testing.assert_allclose(found, p[:, column], atol=0.015)
    other = Tensor(np.asarray(t).T, 2).categorical_sample_log_prob(dim=1, num=3).as_numpy()
    assert other.shape == (2, 3) and not (other[1] == 2).any()
    batch = Tensor(np.asarray(t), 1).categorical_sample_log_prob().as_numpy()
    assert batch.shape == (1, 2)


def test_samples_follow_from_the_seed():
    t = tensor(np.zeros(1000))
    samples = []
    for seed in (1, 1, 2):
        reset_random_seed(seed)
        samples.append([t.categorical_sample_log_prob().as_numpy().tolist() for _ in range(3)])
    assert samples[0] == samples[1] != samples[2]
    assert len({tuple(sample) for sample in samples[0]}) > 1


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_no_probability(bad):
    with pytest.raises(ArgumentError, match="no logarithms of probabilities"):
        tensor([0.0, bad]).categorical_sample_log_prob()
    with pytest.raises(ArgumentError, match="no logarithms of probabilities"):
        tensor([[0.0, 0.0], [-np.inf, -np.inf]]).categorical_sample_log_prob(1)


@pytest.mark.parametrize("method", ["argmax", "topk", "categorical_sample_log_prob"])
@pytest.mark.parametrize(
    "arguments, error, message",
    [
        ({"dim": 2}, OutOfRangeError, r"dim is 2, tensor \(2, 3\) has 2 dimensions"),
        ({"dim": -1}, OutOfRangeError, "dim is -1"),
        ({"dim": 0.5}, ArgumentError, "dim must be a whole number, not 0.5"),
        ({"num": 0}, ArgumentError, "num must be at least 1, got 0"),
        ({"num": None}, ArgumentTypeError, "num must be an int, not NoneType"),
    ],
)
def test_arguments_out_of_range(method, arguments, error, message):
    with pytest.raises(error, match=message):
        getattr(tensor([[1, 2, 3], [4, 5, 6]]), method)(**arguments)


def test_more_than_there_is():
    with pytest.raises(OutOfRangeError, match=r"num is 4, dimension 1 of tensor \(2, 3\) has 3"):
        tensor([[1, 2, 3], [4, 5, 6]]).topk(1, 4)


# Memory


def test_a_tensor_gives_its_memory():
    t = tensor([[1, 2], [3, 4]])
    view = np.asarray(t)
    assert np.shares_memory(view, np.from_dlpack(t)) and not np.shares_memory(view, t.as_numpy())
    assert np.asarray(t, np.float64).dtype == np.float64
    copied = np.array(t)
    assert not np.shares_memory(view, copied) and copied.tolist() == view.tolist()


def test_parameters_give_their_memory():
    model = ParameterCollection()
    p, table = model.add_parameters((2, 3)), model.add_lookup_parameters((4, 2, 3))
    for parameter in (p, table):
        view, shared, copy = np.asarray(parameter), np.from_dlpack(parameter), parameter.as_array()
        assert view.shape == shared.shape == parameter.shape() == copy.shape
        parameter.scale(2)
        assert view.tolist() == shared.tolist() == parameter.as_array().tolist() == (2 * copy).tolist()
        view[0] = 7
        assert (parameter.as_array()[0] == 7).all()
        assert not np.shares_memory(view, np.array(parameter))


def test_views_outlive_parameters():
    view = np.asarray(ParameterCollection().parameters_from_numpy(np.arange(1000)))
    shared = np.from_dlpack(ParameterCollection().lookup_parameters_from_numpy(np.ones((100, 10))))
    others = [ParameterCollection().add_parameters(1000, init=9) for _ in range(20)]
    assert view.tolist() == list(range(1000)) and (shared == 1).all() and len(others) == 20
