"""`arrays` and `set_arrays` of a collection: all values by name."""

import types

import numpy as np
import pytest

from dynet_core import ArgumentError, ArgumentTypeError, ParameterCollection, ShapeError


def model():
    m = ParameterCollection()
    m.add_parameters((2, 3), init=np.arange(6.0).reshape(2, 3), name="W")
    inner = m.add_subcollection("encoder")
    inner.add_parameters(2, init=[7, 8])
    inner.add_lookup_parameters((4, 2, 3), init=np.arange(24.0).reshape(4, 2, 3), name="words")
    m.add_lookup_parameters((3,), init=[[1], [2], [3]])
    return m, inner


def equal(x, y):
    assert x.keys() == y.keys()
    for name in x:
        np.testing.assert_array_equal(x[name], y[name])


def test_names_shapes_and_values():
    m, inner = model()
    assert {name: array.shape for name, array in m.arrays().items()} == {
        "W": (2, 3), "encoder/_0": (2,), "encoder/words": (4, 2, 3), "_0": (3, 1),
    }  # fmt: skip
    assert {array.dtype for array in m.arrays().values()} == {np.dtype(np.float32)}
    np.testing.assert_array_equal(m.arrays()["W"], np.arange(6).reshape(2, 3))
    np.testing.assert_array_equal(m.arrays()["encoder/words"], np.arange(24).reshape(4, 2, 3))
    assert list(inner.arrays()) == ["_0", "words"]
    assert ParameterCollection().arrays() == {}


def test_arrays_are_copies():
    m, _ = model()
    for array in m.arrays().values():
        array[:] = -1
    equal(m.arrays(), model()[0].arrays())
    given = m.arrays()
    m.set_arrays(given)
    given["W"][:] = -1
    equal(m.arrays(), model()[0].arrays())


def test_a_round_trip(tmp_path):
    m, _ = model()
    other, _ = model()
    for p in other.parameters_list() + other.lookup_parameters_list():
        p.zero()
    np.savez(tmp_path / "all.npz", **m.arrays())  # type: ignore[arg-type]
    with np.load(tmp_path / "all.npz") as file:
        other.set_arrays(file)
    equal(other.arrays(), m.arrays())
    np.testing.assert_array_equal(other.lookup_parameters_list()[0].row_as_array(2), np.arange(12, 18).reshape(2, 3))


def test_what_is_given_may_be_of_other_types():
    m = ParameterCollection()
    W, b, E = m.add_parameters((2, 2)), m.add_parameters(1), m.add_lookup_parameters((2, 2))
    lists = {"_0": [[1, 2], [3, 4]], "_1": 5, "_2": np.array([[1, 2], [3, 4]], np.int8, order="F")}
    m.set_arrays(types.MappingProxyType(lists))
    assert W.as_array().tolist() == [[1, 2], [3, 4]]
    assert (b.as_array().tolist(), E.as_array().tolist()) == ([5], [[1, 2], [3, 4]])


def test_gradients_and_frozenness_stay():
    m = ParameterCollection()
    w, b = m.add_parameters(1), m.add_parameters(2)
    w.backward()
    b.set_updated(False)
    m.set_arrays({"_0": [2], "_1": [3, 4]})
    assert w.grad_as_array() == [1] and not b.is_updated() and b.as_array().tolist() == [3, 4]


def test_values_that_are_not_finite_are_taken():
    m = ParameterCollection()
    m.add_parameters(3)
    m.set_arrays({"_0": [np.inf, -np.inf, np.nan]})
    m.set_arrays(m.arrays())
    np.testing.assert_array_equal(m.arrays()["_0"], [np.inf, -np.inf, np.nan])


def without(name):
    return lambda arrays: {key: array for key, array in arrays.items() if key != name}


MISFITS = {
    "missing": (without("W"), ArgumentError, "set_arrays: missing: 'W'; unknown: nothing"),
    "unknown": (lambda a: {**a, "x\n": [1]}, ArgumentError, r"set_arrays: missing: nothing; unknown: 'x\\n'"),
    "full name": (
        lambda a: {"/" + name: array for name, array in a.items()}, ArgumentError,
        "missing: 'W', 'encoder/_0', 'encoder/words', ...; unknown: '/W', '/encoder/_0', '/encoder/words', ...",
    ),
    "not a name": (lambda a: {**a, 3: [1]}, ArgumentError, "unknown: 3$"),
    "shape": (
        lambda a: {**a, "encoder/words": np.ones((2, 3, 4))}, ShapeError,
        r"set_arrays: encoder/words: the array is \(2, 3, 4\), the parameter is \(4, 2, 3\)",
    ),
    "transposed": (lambda a: {**a, "W": a["W"].T}, ShapeError, r"W: the array is \(3, 2\), the parameter is \(2, 3\)"),
    "text": (lambda a: {**a, "_0": "abc"}, ArgumentError, "set_arrays: _0: expected real numbers, got str 'abc'"),
    "none": (lambda a: {**a, "_0": None}, ArgumentError, "set_arrays: _0: expected real numbers"),
    "complex": (lambda a: {**a, "encoder/_0": np.ones(2) * 1j}, ArgumentError, "expected real numbers"),
    "uneven": (lambda a: {**a, "_0": [[1], [2, 3], [4]]}, ArgumentError, "the rows of the list differ in length"),
    "masked": (lambda a: {**a, "_0": np.ma.array(np.ones((3, 1)), mask=True)}, ArgumentError, "masked"),
    "too large": (lambda a: {**a, "_0": np.full((3, 1), 1e39)}, ArgumentError, "_0: array holds values that float32"),
    "a list": (lambda a: [*a.items()], ArgumentTypeError, "set_arrays: expected a dict of names and arrays, got list"),
    "nothing": (lambda a: None, ArgumentTypeError, "got NoneType None"),
}  # fmt: skip


@pytest.mark.parametrize("change, kind, message", MISFITS.values(), ids=MISFITS)
def test_misfits_change_nothing(change, kind, message):
    m, _ = model()
    arrays = {name: array + 1 for name, array in m.arrays().items()}
    with pytest.raises(kind, match=message):
        m.set_arrays(change(arrays))
    equal(m.arrays(), model()[0].arrays())
    m.set_arrays(arrays)
    equal(m.arrays(), arrays)


def test_quantized_parameters():
    m = ParameterCollection()
    W, b = m.add_parameters((2, 2), init=127.0), m.add_parameters(2, init=0.0)
    m.quantize()
    with pytest.raises(ArgumentError, match=r"set_arrays: Parameter /_0 \(2, 2\), int8 cannot take values"):
        m.set_arrays({"_1": [1, 2], "_0": [[1, 2], [3, np.inf]]})
    assert W.as_array().tolist() == [[127, 127], [127, 127]] and b.as_array().tolist() == [0, 0]
    m.set_arrays({"_0": [[127, 1.2], [254, 2]], "_1": [1, 2]})
    assert W.as_array().tolist() == [[127, 1], [254, 2]] and b.as_array().tolist() == [1, 2]


def test_two_parameters_of_one_name(tmp_path):
    m, _ = model()
    m.save(tmp_path / "file")
    m.load_param(tmp_path / "file", "/W")
    for method in (m.arrays, lambda: m.set_arrays({})):
        with pytest.raises(ArgumentError, match="arrays: two parameters are named /W"):
            method()


def test_a_parameter_loaded_under_another_name(tmp_path):
    m, _ = model()
    m.save(tmp_path / "file")
    inner = ParameterCollection().add_subcollection("x")
    inner.load_param(tmp_path / "file", "/W")
    assert list(inner.arrays()) == ["/W"]
    inner.set_arrays({"/W": np.ones((2, 3))})
    assert inner.arrays()["/W"].sum() == 6
