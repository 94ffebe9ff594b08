"""Parameters, lookup parameters and collections: names, values, gradients, copies."""

import copy
import pickle

import numpy as np
import pytest

import dynet_core as dy
from dynet_core import ArgumentError, ArgumentTypeError, OutOfRangeError, ParameterCollection, ShapeError


@pytest.fixture
def model():
    return ParameterCollection()


# Names


def test_both_kinds_share_one_counter_for_each_name(model):
    names = [
        model.add_parameters(2),
        model.add_lookup_parameters((2, 2)),
        model.add_parameters(2, name="x"),
        model.add_lookup_parameters((2, 2), name="x"),
        model.add_parameters(2, None, "x"),
        model.add_parameters(2),
    ]
    assert [p.name() for p in names] == ["/_0", "/_1", "/x", "/x_1", "/x_2", "/_2"]


def test_subcollections_have_counters_of_their_own(model):
    model.add_parameters(2, name="x")
    parts = [model.add_subcollection(name) for name in ("x", "x", "", None)]
    assert [part.name() for part in parts] == ["/x/", "/x_1/", "/_0/", "/_1/"]
    assert parts[1].add_subcollection("y").add_parameters(1).name() == "/x_1/y/_0"
    assert model.name() == "/"


@pytest.mark.parametrize("name", ["a_1", "_", "a/b", "/", 5, b"a"])
def test_names_that_dynet_refuses(model, name):
    with pytest.raises(ArgumentError, match="without '/' and '_'"):
        model.add_parameters(2, name=name)
    with pytest.raises(ArgumentError, match="without '/' and '_'"):
        model.add_subcollection(name)
    assert model.add_parameters(2).name() == "/_0"


def test_parents_list_what_is_within_in_the_order_of_adding(model):
    part = model.add_subcollection("part")
    inner = part.add_subcollection("inner")
    added = [inner.add_parameters(1), model.add_parameters(2), part.add_parameters(3)]
    rows = inner.add_lookup_parameters((2, 3))
    assert model.parameters_list() == added
    assert part.parameters_list() == [added[0], added[2]]
    assert inner.parameters_list() == [added[0]]
    assert model.lookup_parameters_list() == part.lookup_parameters_list() == [rows]
    assert [p.get_index() for p in added] == [0, 1, 1]
    assert (model.parameter_count(), inner.parameter_count()) == (12, 7)


def test_repr_names_the_parameter(model):
    assert repr(model.add_parameters(2)) == "Parameter /_0"
    assert str(model.add_lookup_parameters((2, 2))) == "LookupParameter /_1"


# Parameters


def test_values_can_be_read_and_replaced(model):
    p = model.parameters_from_numpy([[1, 2, 3], [4, 5, 6]])
    assert p.shape() == (2, 3)
    assert p.dim() == ((2, 3), 1)
    assert p.vec_value() == [1, 4, 2, 5, 3, 6]
    p.scale(2)
    p.clip_inplace(left=3, right=10)
    assert p.as_array().tolist() == p.npvalue().tolist() == p.value().tolist() == [[3, 4, 6], [8, 10, 10]]
    p.set_value(np.arange(6).reshape(2, 3))
    assert p.as_array().tolist() == [[0, 1, 2], [3, 4, 5]]
    p.zero()
    assert not p.as_array().any()
    with pytest.raises(ShapeError, match=r"the array is \(3, 2\), the parameter is \(2, 3\)"):
        p.set_value(np.zeros((3, 2)))
    with pytest.raises(ArgumentTypeError):
        p.set_value("x")
    with pytest.raises(ArgumentError):
        p.clip_inplace(1, 0)
    with pytest.raises(ArgumentError):
        p.scale(float("nan"))


def test_as_array_is_a_copy(model):
    p, table = model.add_parameters(2, init=1), model.add_lookup_parameters((2, 2), init=1)
    for array in (p.as_array(), p.npvalue(), table.as_array(), table.npvalue(), table.row_as_array(0)):
        array[:] = 5
    assert p.value() == [1, 1]
    assert table.as_array().tolist() == [[1, 1], [1, 1]]


def test_numpy_and_dlpack_see_the_memory_itself(model):
    p = model.add_parameters((2, 3), init=1)
    for view in (np.asarray(p), np.from_dlpack(p)):
        p.scale(2)
        assert view.shape == (2, 3) and (view == p.as_array()).all()
    np.asarray(p)[1, 2] = 9
    assert p.as_array()[1, 2] == 9
    assert np.asarray(p, np.float64).dtype == np.float64
    table = model.add_lookup_parameters((3, 2), init=1)
    np.asarray(table)[1, 0] = 9
    assert table.row_as_array(1).tolist() == [9, 1]
    assert np.array(table).shape == (3, 2)


def test_a_view_outlives_its_parameter():
    view = np.asarray(ParameterCollection().add_parameters(1000, init=3))
    assert (view == 3).all()


def test_updated_is_a_flag(model):
    for p in (model.add_parameters(2), model.add_lookup_parameters((2, 2))):
        assert p.is_updated()
        p.set_updated(False)
        assert not p.is_updated()


def test_a_parameter_as_a_constant(model):
    p = model.add_parameters(2, init=1)
    assert p.expr() is p.expr(update=True) is p
    constant = p.expr(update=False)
    p.scale(3)
    assert constant.value() == [3, 3]
    assert p.expr(False) is constant


# Lookup parameters


@pytest.fixture
def table(model):
    return model.lookup_parameters_from_numpy(np.arange(12).reshape(3, 2, 2))


def test_rows_can_be_read_and_replaced(table):
    assert (len(table), table.shape()) == (3, (3, 2, 2))
    assert table.row_as_array(1).tolist() == table[1].npvalue().tolist() == [[4, 5], [6, 7]]
    assert table.rows_as_array([2, 0]).tolist() == [[[8, 9], [10, 11]], [[0, 1], [2, 3]]]
    assert table.batch([2, 0]).npvalue()[..., 1].tolist() == [[0, 1], [2, 3]]
    table.init_row(1, [[1, 2], [3, 4]])
    assert table.row_as_array(1).tolist() == [[1, 2], [3, 4]]
    table.init_row(1, [1, 2, 3, 4])  # column by column, as DyNet takes it
    assert table.row_as_array(1).tolist() == [[1, 3], [2, 4]]
    table.init_from_array(np.ones((2, 2, 2)))
    assert table.as_array()[:, 0, 0].tolist() == [1, 1, 8]
    table.scale(2)
    table.clip_inplace(0, 20)
    assert table.as_array()[:, 0, 0].tolist() == [2, 2, 16]
    table.zero()
    assert not table.as_array().any()


def test_rows_that_do_not_exist_or_fit(table):
    for call in (table.row_as_array, table.row_grad_as_array, table.lookup):
        for index in (3, -1):
            with pytest.raises(OutOfRangeError):
                call(index)
        with pytest.raises(ArgumentTypeError):
            call("x")
    with pytest.raises(ShapeError):
        table.init_row(0, [1, 2, 3])
    with pytest.raises(ShapeError):
        table.init_from_array(np.ones((4, 2, 2)))
    with pytest.raises(ShapeError):
        table.init_from_array(np.ones((3, 4)))


def test_a_table_of_numbers(model):
    table = model.add_lookup_parameters(3, init=2)
    assert table.shape() == (3, 1)
    table.init_from_array([1, 2])
    assert table.as_array().tolist() == [[1], [2], [2]]


def test_the_whole_table_is_an_expression(table):
    assert table.dim() == ((2, 2, 3), 1)
    assert table.npvalue().shape == (2, 2, 3)
    assert (np.moveaxis(table.value(), -1, 0) == table.as_array()).all()
    assert isinstance(table, dy.Expression)


def test_gradients_of_rows(model):
    table = model.add_lookup_parameters((3, 1), init=1)
    dy.renew_cg()
    table[2].backward()
    assert table.grad_as_array().tolist() == [[0], [0], [1]]
    assert table.row_grad_as_array(2).tolist() == [1]
    assert table.rows_grad_as_array([2, 1]).tolist() == [[1], [0]]
    table.scale_gradient(3)
    assert table.gradient().tolist() == [[0, 0, 3]]
    assert not table._dense_gradient


# Copies


def filled(model) -> list:
    part = model.add_subcollection("part")
    everything = [model.add_parameters((2, 3)), part.add_parameters(2), part.add_lookup_parameters((3, 2), name="rows")]
    everything[1].set_updated(False)
    dy.renew_cg()
    everything[2]._storage.set_gradient(np.array([0, 0, 1, 2, 0, 0], np.float32))
    return everything


def facts(p):
    return [p.name(), p.as_array().tolist(), p.grad_as_array().tolist(), p.is_updated()]


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_a_model_can_be_copied(model, copied):
    filled(model)
    second = copied(model)
    assert list(map(facts, second._everything())) == list(map(facts, model._everything()))
    assert second._everything()[-1]._storage.touched.tolist() == [1, 1, 0, 0, 0, 1, 0, 0]
    assert second.add_parameters(1).name() == "/_1"
    assert second.add_subcollection("part").name() == "/part_1/"
    inner = second.parameters_list()[1].collection
    assert inner.name() == "/part/"
    assert second.parameters_list()[-2] is inner.parameters_list()[0]
    inner.add_parameters(1)
    assert len(second.parameters_list()) == len(model.parameters_list()) + 2
    second.parameters_list()[0].zero()
    assert model.parameters_list()[0].as_array().any()


def test_a_parameter_and_its_constant_can_be_copied(model):
    p = model.add_parameters(2, init=2)
    again, constant = copy.deepcopy([p, p.expr(update=False)])
    again.zero()
    assert constant.value() == [0, 0]
    assert p.value() == [2, 2]


def test_expressions_cannot_be_pickled(model):
    dy.renew_cg()
    with pytest.raises(TypeError, match="belongs to its graph"):
        pickle.dumps(model.add_lookup_parameters((2, 2))[1])


def test_an_expression_becomes_an_array_by_copying(table):
    dy.renew_cg()
    row = table[0]
    assert np.asarray(row).tolist() == [[0, 1], [2, 3]]
    np.asarray(row)[:] = 7
    assert row.value().tolist() == [[0, 1], [2, 3]]
    with pytest.raises(TypeError, match="does not support ufuncs"):
        np.exp(row)


# Weight decay and shared memory


def test_weight_decay_is_inherited_when_a_subcollection_is_made(model, monkeypatch):
    assert model.get_weight_decay() == 0
    model.set_weight_decay_lambda(0.1)
    part = model.add_subcollection()
    model.set_weight_decay(0.25)
    assert (part.get_weight_decay(), model.get_weight_decay()) == (0.1, 0.25)
    for wrong in (-0.1, 1, float("nan")):
        with pytest.raises(ArgumentError):
            model.set_weight_decay(wrong)
    params = dy.DynetParams()
    params.set_weight_decay(0.5)
    monkeypatch.setattr("dynet_core.config.PARAMS", params)
    assert ParameterCollection().get_weight_decay() == 0.5
