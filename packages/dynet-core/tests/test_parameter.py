"""Parameters, lookup parameters and collections. Expected names were printed by DyNet 2.1 (dyNET38)."""

import gc
import math
import pickle
import weakref

import numpy as np
import pytest

import dynet as dy
from dynet_core import (
    ArgumentError,
    ArgumentTypeError,
    InitializerError,
    Model,
    NumpyInitializer,
    OutOfRangeError,
    ParameterCollection,
    ShapeError,
    StaleExpressionError,
    renew_cg,
)

X = np.arange(6.0).reshape(2, 3)
T = np.arange(24.0).reshape(4, 2, 3)


def test_names():
    m = ParameterCollection()
    first = [m.add_parameters((2, 3)), m.add_parameters(2, name="W"), m.add_parameters(2, name="W")]
    tables = [m.add_lookup_parameters((4, 2)), m.add_lookup_parameters((4, 2), name="W")]
    encoders = [m.add_subcollection("enc"), m.add_subcollection("enc")]
    unnamed = [m.add_subcollection(), m.add_subcollection()]
    within = [
        encoders[0].add_parameters(2),
        encoders[0].add_parameters(2, name="W"),
        encoders[1].add_parameters(2),
        unnamed[0].add_parameters(2),
        unnamed[0].add_lookup_parameters((2, 2)),
    ]
    last = m.add_parameters(1)
    nested = encoders[0].add_subcollection("x")
    deep, same_as_a_collection = nested.add_parameters(1, name="b"), m.add_parameters(1, name="enc")
    assert [p.name() for p in first] == ["/_0", "/W", "/W_1"]
    assert [p.name() for p in tables] == ["/_1", "/W_2"]
    assert [p.name() for p in within] == ["/enc/_0", "/enc/W", "/enc_1/_0", "/_0/_0", "/_0/_1"]
    assert [last.name(), deep.name(), same_as_a_collection.name()] == ["/_2", "/enc/x/b", "/enc"]
    assert [c.name() for c in (m, *encoders, *unnamed, nested)] == ["/", "/enc/", "/enc_1/", "/_0/", "/_1/", "/enc/x/"]
    assert [p.name() for p in m.parameters_list()] == [
        "/_0", "/W", "/W_1", "/enc/_0", "/enc/W", "/enc_1/_0", "/_0/_0", "/_2", "/enc/x/b", "/enc",
    ]  # fmt: skip
    assert [p.name() for p in m.lookup_parameters_list()] == ["/_1", "/W_2", "/_0/_1"]
    assert [p.name() for p in encoders[0].parameters_list()] == ["/enc/_0", "/enc/W", "/enc/x/b"]
    assert m.parameter_count() == 41


@pytest.mark.parametrize("name", ["a/b", "/", "a_1", "_", None, 3])
def test_names_that_are_refused(name):
    m = Model()
    for add in (m.add_parameters, m.add_lookup_parameters):
        with pytest.raises((ArgumentError, ArgumentTypeError), match="name"):
            add((2, 2), name=name)
    assert m.add_parameters(1).name() == "/_0"


def test_shapes():
    m = Model()
    assert m.add_parameters(3).shape() == (3,)
    assert m.add_parameters((3,)).shape() == (3,)
    assert m.add_parameters([3, 2]).shape() == (3, 2)
    assert m.add_parameters(np.int64(3)).shape() == (3,)
    assert m.add_parameters(None, init=X).shape() == (2, 3)
    assert m.add_lookup_parameters((5, 2)).shape() == (5, 2)
    assert m.add_lookup_parameters((5, 2, 3)).shape() == (5, 2, 3)
    assert len(m.add_lookup_parameters((5, 2))) == 5


def test_a_table_of_numbers_has_rows_of_one():
    for table in (Model().add_lookup_parameters((3,)), Model().lookup_parameters_from_numpy(np.arange(3.0))):
        assert table.shape() == (3, 1) and table.as_array().shape == (3, 1)
        assert table[1].dim() == ((1,), 1) and table[1].npvalue().shape == (1,)


@pytest.mark.parametrize(
    ("dim", "error"),
    [
        (-1, ArgumentError),
        ((), ArgumentError),
        ((2, -1), ArgumentError),
        (2.5, ArgumentError),
        ("2", ArgumentTypeError),
        (("2",), ArgumentTypeError),
        (None, ArgumentTypeError),
        ((1,) * 8, ShapeError),
    ],
)
def test_dimensions_that_are_refused(dim, error):
    m = Model()
    with pytest.raises(error, match="add_parameters"):
        m.add_parameters(dim)
    with pytest.raises(error, match="add_lookup_parameters"):
        m.add_lookup_parameters(dim)
    assert not m.parameters_list() and not m.lookup_parameters_list()
    assert m.add_parameters(1).name() == "/_0"


def test_arrays_are_copies():
    p, table = Model().parameters_from_numpy(X), Model().lookup_parameters_from_numpy(T)
    for array in (p.as_array(), p.npvalue(), p.grad_as_array(), p.gradient()):
        array[:] = 99
    for array in (table.as_array(), table.row_as_array(1), table.rows_as_array([1, 2]), table.grad_as_array()):
        array[:] = 99
    assert p.as_array().tolist() == X.tolist()
    assert table.as_array().tolist() == T.tolist()
    assert not p.grad_as_array().any() and not table.grad_as_array().any()
    values = X.copy()
    q = Model().parameters_from_numpy(values)
    values[:] = 99
    assert q.as_array().tolist() == X.tolist()


def test_arrays_in_any_order():
    for array in (X, np.asfortranarray(X), X.tolist(), X.astype(np.int8), X[:, ::-1][:, ::-1], X.astype(">f4")):
        p = Model().parameters_from_numpy(array)
        assert p.as_array().tolist() == X.tolist()
        p.zero()
        p.set_value(array)
        assert p.as_array().tolist() == X.tolist()
    for array in (T, np.asfortranarray(T), np.moveaxis(np.moveaxis(T, 0, -1).copy(), -1, 0)):
        table = Model().lookup_parameters_from_numpy(array)
        assert table.as_array().tolist() == T.tolist()
        assert table.row_as_array(3).tolist() == T[3].tolist()
        assert table.rows_as_array([3, 0]).tolist() == T[[3, 0]].tolist()


def test_parameters_are_expressions():
    p = Model().parameters_from_numpy(X)
    assert p.dim() == ((2, 3), 1)
    assert p.npvalue().tolist() == X.tolist()
    assert p.vec_value() == X.ravel(order="F").tolist()
    assert Model().parameters_from_numpy([2.5]).scalar_value() == 2.5
    assert Model().parameters_from_numpy([2.5]).value() == 2.5
    assert p.expr(update=False).npvalue().tolist() == X.tolist()
    assert p.expr(update=False) is p.expr(update=False)


def test_changing_values():
    p = Model().parameters_from_numpy(X)
    p.scale(2)
    assert p.as_array().tolist() == (2 * X).tolist()
    p.clip_inplace(1, 6)
    assert p.as_array().tolist() == np.clip(2 * X, 1, 6).tolist()
    p.zero()
    assert not p.as_array().any()
    p.set_value(X + 1)
    assert p.as_array().tolist() == (X + 1).tolist()


def test_changing_gradients():
    p = Model().parameters_from_numpy([2.0])
    p.backward()
    p.backward()
    assert p.grad_as_array().tolist() == [2.0]
    p.scale_gradient(0.5)
    assert p.grad_as_array().tolist() == [1.0]
    p.scale_gradient(0)
    assert p.grad_as_array().tolist() == [0.0]


def test_changing_tables():
    table = Model().lookup_parameters_from_numpy(T)
    table.init_row(2, -T[2])
    assert table.as_array()[2].tolist() == (-T[2]).tolist()
    assert table.as_array()[[0, 1, 3]].tolist() == T[[0, 1, 3]].tolist()
    table.scale(2)
    assert table.row_as_array(1).tolist() == (2 * T[1]).tolist()
    table.init_from_array(T)
    assert table.as_array().tolist() == T.tolist()
    table.zero()
    assert not table.as_array().any()


@pytest.mark.parametrize(
    ("values", "error"),
    [
        (np.ones((3, 2)), ShapeError),
        (np.ones(7), ShapeError),
        (np.ones((2, 3, 1)), ShapeError),
        (1.0, ShapeError),
        ([], ShapeError),
        (None, ArgumentTypeError),
        ("abc", ArgumentTypeError),
        (np.full((2, 3), "1"), ArgumentTypeError),
        (np.full((2, 3), 1j), ArgumentTypeError),
        (np.full((2, 3), None), ArgumentTypeError),
        ([[1, 2, 3], [4, 5]], ArgumentTypeError),
    ],
)
def test_values_that_are_refused(values, error):
    p = Model().parameters_from_numpy(X)
    table = Model().lookup_parameters_from_numpy(T)
    with pytest.raises(error):
        p.set_value(values)
    with pytest.raises(error):
        table.init_row(1, values)
    with pytest.raises(error):
        table.init_from_array(values)
    assert p.as_array().tolist() == X.tolist()
    assert table.as_array().tolist() == T.tolist()


@pytest.mark.parametrize("ragged", [[[1, 2, 3], [4, 5]], [1, [2]], [[1], 2], ([1, 2], (3,)), [np.ones(2), np.ones(3)]])
def test_rows_of_different_lengths_are_named(ragged):
    model = Model()
    p, table = model.parameters_from_numpy(X), model.lookup_parameters_from_numpy(T)
    for name, call in (
        ("set_value", p.set_value),
        ("init_from_array", table.init_from_array),
        ("init_row", lambda rows: table.init_row(0, rows)),
    ):
        with pytest.raises(ArgumentTypeError, match=f"^{name}: the rows of the list differ in length$"):
            call(ragged)
    for name, call in (
        ("init", lambda rows: model.add_parameters((2, 3), init=rows)),
        ("init", lambda rows: model.add_lookup_parameters((2, 3), init=rows)),
        ("parameters_from_numpy", model.parameters_from_numpy),
        ("lookup_parameters_from_numpy", model.lookup_parameters_from_numpy),
        ("NumpyInitializer", NumpyInitializer),
    ):
        with pytest.raises(InitializerError, match=f"^{name}: the rows of the list differ in length$"):
            call(ragged)
    assert len(model.parameters_list()) == len(model.lookup_parameters_list()) == 1


def test_what_is_no_number_is_shown():
    p = Model().parameters_from_numpy(X)
    for values in ("a", [1, None], {1: 2}, [3j]):
        with pytest.raises(ArgumentTypeError) as caught:
            p.set_value(values)
        kind = type(values).__name__
        assert str(caught.value) == f"set_value: expected real numbers, got {kind} {values!r}"


@pytest.mark.parametrize("number", [math.nan, math.inf, "2", None, [1.0, 2.0]])
def test_numbers_that_are_refused(number):
    p = Model().parameters_from_numpy(X)
    for call in (p.scale, p.scale_gradient, lambda s: p.clip_inplace(s, 1), lambda s: p.clip_inplace(0, s)):
        with pytest.raises((ArgumentError, ArgumentTypeError)):
            call(number)
    with pytest.raises(ArgumentError, match="left is 2.*right is 1"):
        p.clip_inplace(2, 1)
    assert p.as_array().tolist() == X.tolist()


@pytest.mark.parametrize(
    ("row", "error"),
    [
        (4, OutOfRangeError),
        (-1, OutOfRangeError),
        (1.5, ArgumentError),
        ("1", ArgumentTypeError),
        (None, ArgumentTypeError),
    ],
)
def test_rows_that_are_refused(row, error):
    table = Model().add_lookup_parameters((4, 2), name="words")
    for call in (
        lambda: table[row],
        lambda: table.lookup(row),
        lambda: table.batch([0, row]),
        lambda: table.row_as_array(row),
        lambda: table.rows_as_array([0, row]),
        lambda: table.init_row(row, [1, 2]),
    ):
        with pytest.raises(error) as caught:
            call()
        if error is OutOfRangeError:
            assert "/words" in str(caught.value) and str(row) in str(caught.value) and "4" in str(caught.value)


def test_rows_in_graphs():
    """Without any op, a graph can read one or several rows of a table, until the graph ends."""
    table = Model().lookup_parameters_from_numpy(T)
    renew_cg()
    rows = [table[k] for k in (3, 0, 3)]
    together = table.batch([2, 2, 1])
    assert [row.npvalue().tolist() for row in rows] == [T[3].tolist(), T[0].tolist(), T[3].tolist()]
    assert together.dim() == ((2, 3), 3)
    assert together.npvalue().tolist() == np.moveaxis(T[[2, 2, 1]], 0, -1).tolist()
    table.scale(2)
    assert rows[0].npvalue(recalculate=True).tolist() == (2 * T[3]).tolist()
    assert together.npvalue().tolist() == (2 * np.moveaxis(T[[2, 2, 1]], 0, -1)).tolist()
    renew_cg()
    for expression in (rows[0], together):
        with pytest.raises(StaleExpressionError):
            expression.npvalue()


def test_collections_own_what_is_added():
    m = Model()
    child = m.add_subcollection("child")
    p, table = child.add_parameters(2), child.add_lookup_parameters((3, 2))
    q = m.add_parameters(2)
    assert m.parameters_list() == [p, q]
    assert child.parameters_list() == [p]
    assert m.lookup_parameters_list() == child.lookup_parameters_list() == [table]
    assert child.parameter_count() == 2 + 6
    assert m.parameter_count() == 2 + 6 + 2
    m.parameters_list().clear()
    assert m.parameters_list() == [p, q]


def test_is_updated():
    m = Model()
    for p in (m.add_parameters(2), m.add_lookup_parameters((3, 2))):
        assert p.is_updated()
        p.set_updated(False)
        assert not p.is_updated()
        p.set_updated(True)
        assert p.is_updated()


def test_a_collection_that_is_gone_takes_its_memory_along():
    renew_cg()
    m = Model()
    table = m.add_lookup_parameters((10, 2))
    gone = [weakref.ref(p) for p in (m.add_parameters((2, 2)), table)]
    table[1].npvalue()
    del m, table
    gc.collect()
    assert [p() for p in gone] == [None, None]
    renew_cg()


def test_a_parameter_survives_pickling():
    p = Model().parameters_from_numpy(X, name="W")
    copy = pickle.loads(pickle.dumps(p))
    assert copy.name() == "/W"
    assert copy.as_array().tolist() == X.tolist()
    copy.zero()
    assert p.as_array().tolist() == X.tolist()


MASKED = np.ma.masked_greater([1.0, 9.0], 5)


@pytest.mark.parametrize("shape", [(2,), (1, 2)])
def test_numbers_that_an_array_masks_are_refused(shape):
    """A conversion to float32 drops the mask, so masked values would be used as data."""
    model = Model()
    p, table = model.add_parameters(shape, init=3), model.add_lookup_parameters((1, 2), init=3)
    masked = MASKED.reshape(shape)
    for name, refused, call in (
        ("set_value", ArgumentTypeError, lambda: p.set_value(masked)),
        ("init_row", ArgumentTypeError, lambda: table.init_row(0, MASKED)),
        ("init", InitializerError, lambda: model.add_parameters(shape, init=masked)),
        ("parameters_from_numpy", InitializerError, lambda: model.parameters_from_numpy(masked)),
        ("inputTensor", ArgumentTypeError, lambda: dy.inputTensor(masked)),
        ("inputVector", ArgumentTypeError, lambda: dy.inputVector(MASKED)),
    ):
        with pytest.raises(refused, match=f"^{name}: some of the numbers are masked; the method filled"):
            call()
    assert (p.as_array() == 3).all() and (table.as_array() == 3).all() and len(model.parameters_list()) == 1
    p.set_value(masked.filled(0))
    assert p.as_array().ravel().tolist() == [1, 0]
    p.set_value(np.ma.array([4.0, 5.0]).reshape(shape))
    assert p.as_array().ravel().tolist() == [4, 5]


def test_numbers_from_an_iterator():
    model = Model()
    p = model.parameters_from_numpy(float(k) for k in range(3))
    q = model.add_parameters(2, init=np.zeros(2))
    q.set_value({"a": 1, "b": 2}.values())
    assert (p.as_array().tolist(), q.as_array().tolist()) == ([0, 1, 2], [1, 2])
