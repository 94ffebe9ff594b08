"""Calls copied from programs written for DyNet 2.1.

Accepted number types are tested in test_whole_numbers.py, size 0 in test_sizes_of_zero.py and test_empty_vectors.py.
"""

import numpy as np
import pytest

import dynet as dy
from dynet_core.compute import device
from dynet_core.graph import current


def vector(n):
    return dy.inputTensor(np.arange(float(n)))


def batch(*shape):
    return dy.inputTensor(np.arange(float(np.prod(shape))).reshape(shape), batched=True)


def table():
    return dy.Model().lookup_parameters_from_numpy(np.arange(12.0).reshape(4, 3))


# Whole-number floats


def test_networks_of_half_a_size():
    """`/` gives a float in Python 3: text retrieval, taggers, an arc-hybrid parser."""
    m = dy.Model()
    lstm = dy.VanillaLSTMBuilder(1, 8, 8 / 2, m)
    assert lstm.initial_state().add_input(vector(8)).output().dim() == ((4,), 1)
    network = dy.BiRNNBuilder(1, 8, 8.0, m, dy.VanillaLSTMBuilder)
    assert network.transduce([vector(8), vector(8)])[0].dim() == ((8,), 1)
    assert m.add_parameters((3, 8 / 2)).shape() == (3, 4)
    with pytest.raises(dy.ArgumentError, match=r"hidden_dim must be a whole number, not 4\.5"):
        dy.VanillaLSTMBuilder(1, 8, 9 / 2, m)


def test_indices_and_counts_of_arrays():
    x, s = vector(20), batch(3, 2)
    assert dy.reshape(vector(4), (2.0, 2.0)).dim() == ((2, 2), 1)
    assert dy.pick(x, 2.0).value() == 2.0
    assert dy.random_bernoulli((16.0,), 0.5).dim() == ((16,), 1)
    assert dy.moment_dim(vector(8), [0], 1, True, np.float64(8)).value() == 3.5
    assert dy.pick_range(x, 0, 16.0).dim() == ((16,), 1)
    assert dy.lookup_batch(table(), np.zeros(3)).npvalue().tolist() == [[0.0] * 3, [1.0] * 3, [2.0] * 3]
    wanted = dy.pickneglogsoftmax_batch(s, [1, 2]).npvalue().tolist()
    assert dy.pickneglogsoftmax_batch(s, [1.0, 2.0]).npvalue().tolist() == wanted
    assert table()[3.0].value() == [9.0, 10.0, 11.0]
    assert dy.pick(x, True).value() == 1.0


def test_a_network_whose_spec_holds_floats_is_saved_and_loaded(tmp_path):
    builder = dy.VanillaLSTMBuilder(1, 8, 8 / 2, dy.Model())
    assert builder.spec[:3] == (1, 8, 4)
    dy.save(str(tmp_path / "model"), [builder])
    (found,) = dy.load(str(tmp_path / "model"), dy.Model())
    assert found.spec == builder.spec
    again = dy.VanillaLSTMBuilder.from_spec((1.0, 8, 4.0, False, 1.0), dy.Model())  # as in DyNet's files
    assert again.spec[:3] == (1, 8, 4)


# Sizes of 0


def test_tables_of_features_that_are_switched_off(tmp_path):
    m = dy.ParameterCollection()
    tags, words = m.add_lookup_parameters((14, 0)), m.add_parameters((0, 100))
    used = m.add_parameters((2, 2))
    trainer = dy.AdamTrainer(m)
    dy.sum_elems(used * dy.inputVector([1, 2])).backward()
    trainer.update()
    m.save(str(tmp_path / "model"))
    m.populate(str(tmp_path / "model"))
    assert (tags.shape(), words.shape(), m.parameter_count()) == ((14, 0), (0, 100), 4)


# Devices


@pytest.mark.parametrize("name", ["CPU", ""])
def test_devices_are_named_in_every_way(name):
    a = np.array([1.0, 2.0])
    assert dy.inputTensor(a, device=name).value() == [1.0, 2.0]
    assert dy.inputTensor(a, False, name).value() == [1.0, 2.0]
    assert dy.inputTensor(a, True, name, True).dim() == ((1,), 2)
    assert dy.inputVector(a, name).value() == dy.inputVector([1.0, 2.0], device=name).value() == [1.0, 2.0]
    assert dy.scalarInput(0, name).value() == dy.scalarInput(0, device=name).value() == 0.0
    assert dy.vecInput(2, name).value() == dy.vecInput(2, device=name).value() == [0.0, 0.0]
    assert dy.one_hot(2, 1, name).value() == dy.one_hot(2, 1, device=name).value() == [0.0, 1.0]
    sparse = ([1],), [3.0], (2,)
    assert dy.sparse_inputTensor(*sparse, False, 0, name).value() == [0.0, 3.0]
    assert dy.sparse_inputTensor(*sparse, device=name).value() == [0.0, 3.0]
    assert dy.to_device(dy.inputVector(a), name).value() == [1.0, 2.0]
    m = dy.Model()
    assert m.add_parameters((2, 3), None, "", name).shape() == (2, 3)
    assert m.add_lookup_parameters((2, 3), device=name).shape() == (2, 3)
    assert m.parameters_from_numpy(a, "", name).as_array().tolist() == [1.0, 2.0]
    assert m.lookup_parameters_from_numpy([a, a], "", name).shape() == (2, 2)


WITH_DEVICE = {
    "inputTensor": lambda name: dy.inputTensor([1.0], device=name),
    "inputVector": lambda name: dy.inputVector([1.0], name),
    "scalarInput": lambda name: dy.scalarInput(1.0, name),
    "vecInput": lambda name: dy.vecInput(2, name),
    "one_hot": lambda name: dy.one_hot(2, 0, name),
    "sparse_inputTensor": lambda name: dy.sparse_inputTensor(([0],), [1], (2,), device=name),
    "to_device": lambda name: dy.to_device(dy.inputVector([1.0]), name),
    "add_parameters": lambda name: dy.Model().add_parameters((2, 3), device=name),
    "add_lookup_parameters": lambda name: dy.Model().add_lookup_parameters((2, 3), device=name),
    "parameters_from_numpy": lambda name: dy.Model().parameters_from_numpy([1.0], device=name),
    "lookup_parameters_from_numpy": lambda name: dy.Model().lookup_parameters_from_numpy([[1.0]], device=name),
}


@pytest.mark.parametrize("wrong", ["GPU:1", "cpu", "CPU:0", "tpu"])
@pytest.mark.parametrize("name", WITH_DEVICE)
def test_devices_that_are_not_in_use_are_refused(name, wrong):
    with pytest.raises(dy.DeviceError, match=f": '{wrong}' is not the device in use, which is 'CPU'"):
        WITH_DEVICE[name](wrong)


@pytest.mark.parametrize("wrong", [None, 0, b"CPU"])
@pytest.mark.parametrize("name", WITH_DEVICE)
def test_what_is_no_device_is_refused(name, wrong):
    with pytest.raises(dy.ArgumentTypeError, match="a device is a str such as 'CPU', not "):
        WITH_DEVICE[name](wrong)


def test_a_refused_device_changes_nothing():
    m = dy.Model()
    before = current().records.length, current().records.inputs_length
    for call in (
        lambda: dy.inputVector([1.0], "GPU:1"),
        lambda: dy.scalarInput(1.0, "GPU:1"),
        lambda: m.add_parameters((2, 3), device="GPU:1"),
    ):
        with pytest.raises(dy.DeviceError):
            call()
    assert (current().records.length, current().records.inputs_length) == before
    assert m.parameters_list() == [] and m.add_parameters(1).name() == "/_0"


def test_the_device_in_use_is_accepted(monkeypatch):
    monkeypatch.setattr(device, "name", lambda: "GPU:1")
    for name in ("GPU:1", "CPU", ""):
        device.check_device("inputTensor", name)
    with pytest.raises(dy.DeviceError, match="'GPU:0' is not the device in use, which is 'GPU:1'"):
        device.check_device("inputTensor", "GPU:0")


def test_any_input_can_be_set_again():
    """DyNet needs `reusable_expr` for it."""
    for x in (dy.inputTensor([1.0, 2.0], reusable_expr=True), dy.inputTensor([1.0, 2.0])):
        y = x * 2
        assert y.value() == [2.0, 4.0]
        x.set([3.0, 4.0])
        assert y.value() == [6.0, 8.0]
    with pytest.raises(dy.ArgumentTypeError, match="reusable_expr"):
        dy.inputTensor([1.0], reusable_expr="yes")


# Slices of the batch


SLICES = {
    (4, 6): [
        np.s_[:, 1:3],
        np.s_[:, ::2],
        np.s_[:, 1:6:2],
        np.s_[1:3, 1:3],
        np.s_[:, :],
        np.s_[::2, 5:],
        np.s_[:, -2:],
    ],
    (4, 5, 6): [np.s_[:, :, 1:3], np.s_[1:2, 1:3, 1:3], np.s_[1:, ::2, ::3]],
    (2, 3, 4, 5): [np.s_[:, :, :, 2:4], np.s_[:, 1:, ::2, 1:2]],
    (4, 1): [np.s_[:, 0:1], np.s_[1:3, :]],
}


@pytest.mark.parametrize("shape, key", [(shape, key) for shape, keys in SLICES.items() for key in keys], ids=repr)
def test_a_slice_behind_the_dimensions_is_of_the_batch(shape, key):
    array = np.arange(float(np.prod(shape))).reshape(shape)
    y, wanted = dy.inputTensor(array, batched=True)[key], array[key]
    assert y.dim() == (wanted.shape[:-1], wanted.shape[-1])
    np.testing.assert_array_equal(y.npvalue(), wanted if wanted.shape[-1] > 1 else wanted[..., 0])


def test_without_a_batch_there_is_one_element():
    x = vector(4)
    assert x[:, 0:1].value() == [0.0, 1.0, 2.0, 3.0]
    assert x[1:3, 0:1].value() == [1.0, 2.0]
    assert dy.inputTensor(np.ones((4, 3)))[:, :, 0:1].dim() == ((4, 3), 1)


def test_an_index_and_a_slice_of_the_batch():
    assert batch(4, 6)[1, 1:3].npvalue().tolist() == [[7.0, 8.0]]
    assert batch(4, 5, 6)[1, :, 1:3].dim() == ((5,), 2)


def test_gradients_of_slices_of_the_batch():
    x = batch(2, 3)
    dy.sum_batches(dy.sum_elems(x[:, 1:] * 2)).backward(full=True)
    assert x.gradient().tolist() == [[0.0, 2.0, 2.0], [0.0, 2.0, 2.0]]


@pytest.mark.parametrize(
    "key, error, message",
    [
        (
            np.s_[:, 3:3],
            dy.OutOfRangeError,
            r"slice\(3, 3, None\) selects nothing from the batch of x, which is \(4,\) x 6",
        ),
        (np.s_[:, 6:], dy.OutOfRangeError, "selects nothing from the batch"),
        (np.s_[:, ::0], dy.ArgumentError, "step"),
        (np.s_[:, 1.5:], dy.ArgumentError, r"1\.5"),
        (np.s_[:, "a":], dy.ArgumentTypeError, "'a'"),
        (np.s_[:, 0], dy.OutOfRangeError, "2 indices"),
        (np.s_[:, :, 0:1], dy.OutOfRangeError, "3 indices"),
        (np.s_[9, 1:3], dy.OutOfRangeError, "index 9"),
    ],
)
def test_slices_of_the_batch_that_are_refused(key, error, message):
    x = batch(4, 6)
    before = current().records.length
    with pytest.raises(error, match=message):
        x[key]
    assert current().records.length == before


# Lists of arrays


def test_lists_of_arrays_without_dimensions_are_batches():
    numbers = [np.array(1.0), np.array(2.0)]
    for x in (dy.inputTensor(numbers, batched=True), dy.inputTensor(numbers), dy.inputTensor(tuple(numbers))):
        assert x.dim() == ((1,), 2)
        assert x.npvalue().tolist() == [[1.0, 2.0]]
    assert dy.inputTensor([np.float64(1), np.float64(2)], batched=True).dim() == ((1,), 2)
    assert dy.inputTensor([np.array(1.0)], batched=True).dim() == ((1,), 1)
    with pytest.raises(dy.ShapeError, match="differ in shape"):
        dy.inputTensor([np.array(1.0), np.array([2.0])], batched=True)


# Calls in the style of other libraries and of older programs


def test_strides_and_windows_with_entries_for_channels_and_the_batch():
    """A library of classifiers and taggers passes (1, 1, 1, 1) and [1, length, 1]."""
    x, f, b = dy.inputTensor(np.ones((1, 4, 3))), dy.ones((1, 2, 3, 5)), dy.ones(5)
    assert dy.conv2d_bias(x, f, b, (1, 1, 1, 1), is_valid=False).dim() == ((1, 4, 5), 1)
    assert dy.conv2d(x, f, [1, 2, 1], is_valid=True).value().tolist() == dy.conv2d(x, f, [1, 2]).value().tolist()
    assert dy.maxpooling2d(x, [1, 4, 1], (1, 1, 1, 1)).dim() == ((1, 1, 3), 1)
    for bad in ((1,), (1, 1, 2), (1, 1, 1, 0)):
        with pytest.raises(dy.ArgumentError, match="maxpooling2d: stride must be"):
            dy.maxpooling2d(x, (1, 1), bad)


@pytest.mark.parametrize("shape, dims", [((8,), (1, 1, 8)), ((4,), (4, 1)), ((4,), (1, 4)), ((2, 3), (2, 1, 3)),
                                         ((4, 1), (4,)), ((1, 4), (4,)), ((), (1,))])  # fmt: skip
def test_initial_values_whose_shape_differs_in_ones(shape, dims):
    """From the self-attention mask of a translation program."""
    array = np.arange(float(np.prod(shape))).reshape(shape)
    for init in (array, dy.NumpyInitializer(array)):
        p = dy.Model().add_parameters(dims, init=init)
        assert p.shape() == dims and p.as_array().ravel().tolist() == array.ravel().tolist()


def test_initial_values_of_a_table_count_rows_first():
    found = dy.Model().add_lookup_parameters((4, 3), init=np.arange(12.0).reshape(4, 1, 3))
    assert found.as_array().tolist() == np.arange(12.0).reshape(4, 3).tolist()
    for shape in ((1, 4), (4,)):
        with pytest.raises(dy.InitializerError):
            dy.Model().add_lookup_parameters((1, 4, 3), init=np.ones((*shape, 3)).T)
    with pytest.raises(dy.InitializerError):
        dy.Model().add_lookup_parameters((1, 4), init=np.ones((4, 1)))


def test_a_placeholder_that_is_replaced_later():
    """Layers of a library set `self.W = dy.Expression()` before the first graph."""
    x = dy.Expression()
    with pytest.raises(dy.ArgumentTypeError, match="unfinished Expression"):
        dy.tanh(x)


def test_rows_of_a_table_one_by_one():
    E, x = table(), vector(3)
    assert [row.value() for row in E] == E.as_array().tolist()
    assert [row.value() for row in reversed(E)] == E.as_array().tolist()[::-1]
    assert [number.value() for number in x] == [0.0, 1.0, 2.0]
    assert [row.value() for row in dy.inputTensor([[1, 2], [3, 4]])] == [[1.0, 2.0], [3.0, 4.0]]
    dy.sum_elems(dy.esum(list(E)[1:3])).backward()
    assert E.grad_as_array().tolist() == [[0.0] * 3, [1.0] * 3, [1.0] * 3, [0.0] * 3]


def test_products_by_numpy():
    """A recursive network uses `np.dot(W, l + r)`."""
    m = dy.Model()
    W, v = m.parameters_from_numpy([[1.0, 2.0], [3.0, 4.0]]), m.parameters_from_numpy([5.0, 6.0])
    x = vector(2)
    assert np.dot(W, x).value() == (W * x).value()
    assert np.dot(x, 2.0).value() == [0.0, 2.0]
    dy.sum_elems(np.dot(W, v)).backward()
    assert v.grad_as_array().tolist() == [4.0, 6.0]
    with pytest.raises(dy.ArgumentTypeError, match="numpy.dot takes numbers"):
        np.dot(np.ones((2, 2)), x)


def test_a_lookup_without_saying_whether_to_update():
    """The base class of a library's layers passes update=None."""
    E = table()
    dy.sum_elems(dy.lookup(E, 1, update=None) + dy.sum_batches(dy.lookup_batch(E, [1, 2], update=None))).backward()
    assert not E.grad_as_array().any()


class Layer:
    """A parser's layer, whose spec names the kinds of its parameters."""

    def __init__(self, model, kinds):
        self.spec = kinds
        self.collection = model.add_subcollection("layer")
        self.W = self.collection.add_parameters((2, 2))

    def param_collection(self):
        return self.collection

    @staticmethod
    def from_spec(spec, model):
        return Layer(model, spec)


def test_a_spec_that_names_classes_of_the_library(tmp_path):
    kinds = [
        (dy.Parameters, (2, None)),
        dy.LookupParameters,
        dy.AdamTrainer,
        dy.GlorotInitializer,
        dy.GRUBuilder,
        dy.tanh,
    ]
    dy.save(str(tmp_path / "model"), [Layer(dy.Model(), kinds)])
    (found,) = dy.load(str(tmp_path / "model"), dy.Model())
    assert found.spec == kinds
