"""Values read from a graph, as tensors or arrays, do not change when the graph is renewed."""

import numpy as np
import pytest

import dynet_ops as dy
from dynet_core import Model, renew_cg
from dynet_core.errors import ArgumentTypeError


def test_tensor_value():
    renew_cg()
    x = dy.inputTensor([[1, 5, 2], [7, 0, 3]])
    t = (x * 2.0).tensor_value()
    assert t.as_numpy().tolist() == [[2, 10, 4], [14, 0, 6]]
    assert t.argmax(0).as_numpy().tolist() == [[1, 0, 1]]
    renew_cg()
    dy.inputTensor(np.full((2, 3), 9)).value()
    assert np.asarray(t).tolist() == [[2, 10, 4], [14, 0, 6]]


def test_tensor_value_after_other_inputs():
    renew_cg()
    x = dy.scalarInput(1.0)
    y = x * 2.0
    assert y.tensor_value().as_numpy() == 2
    x.set(4.0)
    assert y.tensor_value(recalculate=True).as_numpy() == 8


def test_a_batch_and_a_sample():
    renew_cg()
    x = dy.inputTensor(np.array([[0, -50.0], [-50, 0]]), batched=True)
    t = dy.log_softmax(x).tensor_value()
    assert repr(t) == "tensor (2,) x 2"
    assert t.categorical_sample_log_prob().as_numpy().tolist() == [[0, 1]]


def test_memory_of_an_expression_is_not_given_away():
    renew_cg()
    x = dy.inputVector([1.0, 2.0])
    # numpy does not convert an expression to its values, as in DyNet: the values would be outside of the gradient.
    assert np.asarray(x).dtype == object and np.asarray(x).item() is x
    with pytest.raises(TypeError, match="npvalue"):
        np.asarray(x, np.float32)
    assert not hasattr(x, "__dlpack__")
    array = x.npvalue()
    renew_cg()
    assert dy.inputVector([3.0, 4.0]).value() == [3, 4]
    assert array.tolist() == [1, 2]


def test_an_array_of_expressions_holds_them():
    renew_cg()
    x, y = dy.inputVector([1.0, 2.0]), dy.scalarInput(3.0)
    for array in (np.array([x, y]), np.array([x, y], object), np.asarray((x, y))):
        assert (array.dtype, array.shape) == (object, (2,))
        assert array[0] is x and array[1] is y
    assert np.array([[x, y], [y, x]])[1, 0] is y
    assert (np.array([x, y])[0] + y).value() == [4, 5]
    assert np.sum([y, y, y]).value() == 9
    assert np.random.permutation([x]).tolist() == [x]
    assert np.asarray(x)[()] is x


def test_an_array_of_parameters_holds_their_values():
    p = Model().parameters_from_numpy([1, 2])
    assert np.array([p, p]).tolist() == [[1, 2], [1, 2]]
    assert np.asarray(p).dtype == np.float32


@pytest.mark.parametrize("read", [lambda x: x.npvalue(), lambda x: x.npvalue(dtype=np.float32), np.asarray])
def test_numpy_owns_the_memory_of_what_is_read(read):
    """If a bytearray were the base of the array, anyone could resize it, which frees the memory under the array."""
    for _ in range(3):  # compiled code reads the second value of a shape
        renew_cg()
        x = dy.inputTensor(np.arange(24.0).reshape(2, 3, 4), batched=True)
        array = read(x if read is not np.asarray else x.tensor_value())
        assert array.flags.owndata and array.base is None and array.flags.writeable
        np.testing.assert_array_equal(array, np.arange(24.0).reshape(2, 3, 4))


@pytest.mark.parametrize("name", ["value", "npvalue", "vec_value", "tensor_value", "forward"])
def test_a_flag_that_is_none_names_the_method(name):
    renew_cg()
    x = dy.inputVector([1.0, 2.0])
    for wrong in (None, 2, np.float32):
        with pytest.raises(ArgumentTypeError, match=f"^{name}: recalculate must be True or False, not "):
            getattr(x, name)(wrong)
    with pytest.raises(ArgumentTypeError, match="; dtype= takes a type$"):
        x.npvalue(np.float32)
    dy.sum_elems(x).backward(full=True)
    assert x.gradient(np.float32).dtype == np.float32
