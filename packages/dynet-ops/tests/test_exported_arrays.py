"""Arrays of other libraries, which numpy reads by `__dlpack__` only, wherever arrays are taken."""

from typing import Any

import numpy as np
import pytest

import dynet as dy

X = np.arange(6, dtype=np.float32).reshape(2, 3)


class Exported:
    """An array with `__dlpack__`, and without `__array__`."""

    def __init__(self, array):
        self.array = array

    def __dlpack__(self, **options):
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


class OnGPU(Exported):
    """One whose memory numpy cannot read."""

    def __dlpack__(self, **options):
        raise BufferError("it is on a GPU")

    def __dlpack_device__(self):
        return 2, 0


class Trained(Exported):
    """One as torch's that require a gradient."""

    def __array__(self, *_, **__):
        raise RuntimeError("it requires a gradient: use detach()")


class WithArray(Exported):
    """One with `__array__`, which is read first."""

    def __array__(self, *_, **__):
        return 2 * self.array


def model():
    m = dy.Model()
    return m, m.add_parameters((2, 3), init=0.0), m.add_lookup_parameters((2, 3), init=0.0)


def set_value(x):
    _, W, _ = model()
    W.set_value(x)
    return W.as_array()


def set_rows(x):
    _, _, E = model()
    E.set_value(x)
    return E.as_array()


def set_row(x):
    _, _, E = model()
    E.init_row(1, x[1] if isinstance(x, np.ndarray) else type(x)(x.array[1]))
    return E.as_array()[1]


def set_input(x):
    e = dy.inputTensor(np.zeros((2, 3)))
    e.set(x)
    return e.npvalue()


def set_arrays(x):
    m = dy.Model()
    W = m.add_parameters((2, 3))
    m.set_arrays({"_0": x})
    return W.as_array()


def set_torch_weights(x):
    _, W, _ = model()
    dy.set_torch_weights(W, {"weight": x})
    return W.as_array()


TAKEN = {
    "inputTensor": lambda x: dy.inputTensor(x).npvalue(),
    "inputTensor, batched": lambda x: dy.inputTensor(x, batched=True).npvalue(),
    "parameters_from_numpy": lambda x: dy.Model().parameters_from_numpy(x).as_array(),
    "lookup_parameters_from_numpy": lambda x: dy.Model().lookup_parameters_from_numpy(x).as_array(),
    "init": lambda x: dy.Model().add_parameters((2, 3), init=x).as_array(),
    "init of rows": lambda x: dy.Model().add_lookup_parameters((2, 3), init=x).as_array(),
    "NumpyInitializer": lambda x: dy.Model().add_parameters((2, 3), init=dy.NumpyInitializer(x)).as_array(),
    "set_value": set_value, "set_value of rows": set_rows, "init_row": set_row, "set": set_input,
    "set_arrays": set_arrays, "set_torch_weights": set_torch_weights,
}  # fmt: skip
each = pytest.mark.parametrize("take", TAKEN.values(), ids=TAKEN)


@each
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.uint8])
def test_exported_arrays_are_taken(take, dtype):
    given = X.astype(dtype)
    np.testing.assert_array_equal(take(Exported(given)), take(given))
    np.testing.assert_array_equal(given, X)


@each
def test_they_are_copied(take):
    given = X.copy()
    found = take(Exported(given))
    given[:] = -1
    np.testing.assert_array_equal(found, take(X.copy()))


@each
def test_other_orders_of_memory(take):
    given = np.asfortranarray(X)
    np.testing.assert_array_equal(take(Exported(given)), take(X.copy()))
    np.testing.assert_array_equal(take(Exported(np.repeat(X, 2, 1)[:, ::2])), take(X.copy()))


@each
def test_an_array_with_both_is_read_by_array(take):
    np.testing.assert_array_equal(take(WithArray(X)), take(2 * X))


@each
@pytest.mark.parametrize(
    "given, reason",
    [
        (OnGPU(X), r"\((it is on a GPU|.*device.*)\)$"),
        (Trained(X), r"\(it requires a gradient: use detach\(\)\)$"),
        (Exported(X * 1j), ""),
    ],
    ids=["on a GPU", "with a gradient", "complex"],
)
def test_what_cannot_be_read_is_refused(take, given, reason):
    with pytest.raises(
        (dy.ArgumentTypeError, dy.ArgumentError, dy.InitializerError), match=f"expected real num.*{reason}"
    ):
        take(given)


def test_shapes_are_checked():
    exported: Any = Exported
    _, W, _ = model()
    with pytest.raises(dy.ShapeError, match=r"the array is \(3, 2\), the parameter is \(2, 3\)"):
        W.set_value(exported(X.T))
    with pytest.raises(dy.ShapeError):
        dy.inputVector(exported(X))
    assert dy.inputVector(exported(X[0])).value() == [0, 1, 2] and dy.scalarInput(exported(X[1, :1])).value() == 3


def test_a_class_is_no_array():
    kind: Any = Exported
    for call in (lambda: dy.inputTensor(kind), lambda: dy.Model().add_parameters(2, init=kind)):
        with pytest.raises(dy.ArgumentTypeError):
            call()
