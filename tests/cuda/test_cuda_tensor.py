"""Tensors read from a graph stay on the GPU, and behave like tensors on the CPU."""

import gc

import emulation
import numpy as np
import pytest
import tvm_ffi

import dynet as dy
from dynet_core.compute import device
from dynet_core.compute.tensor import GpuTensor, _exported_objects

SHAPES = [((7,), 1), ((300,), 3), ((3, 4), 1), ((2, 3, 4), 2), ((5, 1, 2, 3), 1)]


@pytest.fixture(autouse=True)
def on_the_gpu(emulated):
    with device.using(0):
        yield


def numbers(dims, batch):
    """Values of which many are equal."""
    shape = (*dims, batch) if batch > 1 else dims
    return np.random.default_rng(1).integers(-2, 3, shape).astype(np.float32)


def tensor(array, batched=False):
    return dy.inputTensor(array, batched=batched).tensor_value()


def tensors(array, batched=False):
    """The same tensor on the GPU and on the CPU."""
    with device.using(None):
        there = tensor(array, batched)
    here = tensor(array, batched)
    assert isinstance(here, GpuTensor) and not isinstance(there, GpuTensor)
    return here, there


def assert_same(here, there):
    assert isinstance(here, GpuTensor)
    assert here.as_numpy().dtype == there.as_numpy().dtype
    np.testing.assert_array_equal(here.as_numpy(), there.as_numpy())
    assert repr(here) == repr(there)


def downloaded(emulated, work):
    """The number of bytes that a function copies to the host, and its result."""
    before = emulated.emulated_bytes_downloaded()
    result = work()
    return emulated.emulated_bytes_downloaded() - before, result


@pytest.mark.parametrize("order", ["forward", "backward"])
@pytest.mark.parametrize("dims, batch", SHAPES)
def test_the_largest_are_those_of_the_cpu(dims, batch, order):
    here, there = tensors(numbers(dims, batch), batch > 1)
    with emulation.order(order):
        for dim, size in enumerate(dims):
            assert_same(here.argmax(dim), there.argmax(dim))
            for num in {1, min(2, size), size}:
                for one, other in zip(here.topk(dim, num), there.topk(dim, num), strict=True):
                    assert_same(one, other)


def test_infinities_nan_and_zeros():
    for array in ([1, np.inf, -np.inf, np.nan], [-0.0, 0.0, -1.0], [-np.nan, np.inf]):
        here, there = tensors(np.array(array, np.float32))
        for one, other in zip(here.topk(num=len(array)), there.topk(num=len(array)), strict=True):
            assert_same(one, other)


def test_indices_have_largest_ones_too():
    here, there = tensors(np.array([[3, 1, 2], [0, 9, 4]], np.float32))
    assert_same(here.argmax(1, 2).argmax(0), there.argmax(1, 2).argmax(0))


def test_nothing_comes_to_the_host_before_it_is_read(emulated):
    array = numbers((100, 5), 1)
    count, found = downloaded(emulated, lambda: tensor(array).argmax())
    assert count == 0
    count, read = downloaded(emulated, found.as_numpy)
    assert count == 8 * 5 and read.tolist() == array.argmax(0)[np.newaxis].tolist()


def test_a_value_stays_as_it_was():
    weight = dy.ParameterCollection().parameters_from_numpy([[1, 2], [3, 4]])
    graph_value, value = (weight * 2).tensor_value(), weight.tensor_value()
    fixed = weight.expr(update=False).tensor_value()
    weight.scale(2)
    dy.renew_cg()
    (weight * 7).forward()
    assert graph_value.as_numpy().tolist() == [[2, 4], [6, 8]]
    assert value.as_numpy().tolist() == np.asarray(fixed).tolist() == [[1, 2], [3, 4]]


def test_a_value_is_computed_anew_where_asked_for():
    x = dy.inputVector([1, 2])
    y = x * 2
    assert y.tensor_value().as_numpy().tolist() == [2, 4]
    x.set([3, 4])
    assert y.tensor_value(recalculate=True).as_numpy().tolist() == [6, 8]


def test_arrays_are_copies():
    here = tensor(np.ones((2, 3), np.float32))
    array = np.asarray(here, np.float64)
    array[:] = 7
    assert here.as_numpy().tolist() == [[1, 1, 1], [1, 1, 1]] and array.dtype == np.float64
    with pytest.raises(ValueError, match=r"tensor \(2, 3\) is on a GPU: as an array it can only be copied"):
        np.asarray(here, copy=False)


@pytest.mark.parametrize("dim", [0, 1])
def test_samples_are_those_of_the_cpu(dim):
    logs = np.log([[0.1, 0.5], [0.2, 0.4], [0.7, 0.1]]).astype(np.float32)
    here, there = tensors(logs)
    samples = []
    for each in (here, there):
        dy.reset_random_seed(3)
        samples.append(each.categorical_sample_log_prob(dim, 50))
    assert_same(*samples)
    with pytest.raises(dy.ArgumentError, match="no logarithms of probabilities"):
        tensor([np.nan, 0.0]).categorical_sample_log_prob()


def test_dlpack_is_the_memory_itself():
    here = tensor(np.arange(12, dtype=np.float32).reshape(2, 3, 2), batched=True)
    assert here.__dlpack_device__() == (2, 0)
    shared = tvm_ffi.from_dlpack(here)
    assert (tuple(shared.shape), tuple(shared.strides), str(shared.dtype)) == ((2, 3, 2), (1, 2, 6), "float32")
    assert shared.data_ptr() == 4 * here._block.address
    indices = here.argmax(1)
    assert str(tvm_ffi.from_dlpack(indices).dtype) == "int64"
    assert tuple(tvm_ffi.from_dlpack(indices).shape) == (2, 1, 2)
    del shared
    gc.collect()
    assert not _exported_objects


def test_a_tensor_knows_its_gpu_when_another_device_is_in_use():
    here = tensor([1.0, 5.0, 2.0])
    with device.using(None):
        assert here.argmax().as_numpy().tolist() == [1]


def test_memory_is_given_back(emulated):
    here = tensor(np.zeros(1000, np.float32))
    here.argmax()
    gc.collect()
    before = emulated.emulated_bytes_in_use()
    here.topk(num=1000)
    gc.collect()
    assert emulated.emulated_bytes_in_use() == before
    del here
    gc.collect()
    assert emulated.emulated_bytes_in_use() == before - 4000


def test_what_is_out_of_range_is_refused():
    here = tensor(np.zeros((2, 3), np.float32))
    with pytest.raises(dy.OutOfRangeError, match=r"topk: num is 4, dimension 1 of tensor \(2, 3\) has 3"):
        here.topk(1, 4)
    with pytest.raises(dy.OutOfRangeError, match=r"topk: dim is 2, tensor \(2, 3\) has 2 dimensions"):
        here.argmax(2)
