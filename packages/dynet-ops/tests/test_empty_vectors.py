"""`inputVector([])` is an empty vector, as in DyNet. Ops on it give empty results; sums are 0."""

import itertools
import math

import numpy as np
import pytest

import dynet_ops as dy
from dynet_core import ParameterCollection, ShapeError, renew_cg
from dynet_core.errors import DynetError
from dynet_core.graph import current
from dynet_core.graph.nodes import decoded
from dynet_core.op import OPS

NAN, INF = math.nan, math.inf


@pytest.fixture(autouse=True)
def new_graph():
    renew_cg()


def nothing():
    return dy.inputVector([])


@pytest.mark.parametrize("given", [[], (), np.zeros(0), np.zeros(0, np.int64)], ids=repr)
def test_what_it_is(given):
    x = dy.inputVector(given)
    assert x.dim() == ((0,), 1)
    assert x.value() == x.vec_value() == x.npvalue().tolist() == []
    assert x.npvalue().shape == x.tensor_value().as_numpy().shape == (0,)
    assert len(x) == 0
    x.set([])
    assert x.value(recalculate=True) == []


def test_what_it_is_not():
    x = nothing()
    for wrong in (lambda: x.scalar_value(), lambda: x.backward(), lambda: x.set([1]), lambda: x[0]):
        with pytest.raises(DynetError):
            wrong()


EMPTY = {
    "tanh": dy.tanh,
    "exp": dy.exp,
    "-x": lambda x: -x,
    "x + 1": lambda x: x + 1,
    "x - 1": lambda x: x - 1,
    "x * 2": lambda x: x * 2,
    "x / 2": lambda x: x / 2,
    "1 - x": lambda x: 1 - x,
    "x + x": lambda x: x + x,
    "x - x": lambda x: x - x,
    "cmult": lambda x: dy.cmult(x, x),
    "cdiv": lambda x: dy.cdiv(x, x),
    "esum": lambda x: dy.esum([x, x]),
    "average": lambda x: dy.average([x, x]),
    "emax": lambda x: dy.emax([x, x]),
    "logsumexp": lambda x: dy.logsumexp([x, x]),
    "softmax": dy.softmax,
    "log_softmax": dy.log_softmax,
    "dropout": lambda x: dy.dropout(x, 0.5),
    "noise": lambda x: dy.noise(x, 0.5),
    "nobackprop": dy.nobackprop,
    "sum_batches": dy.sum_batches,
    "cumsum": dy.cumsum,
    "to_device": lambda x: dy.to_device(x, "CPU"),
    "concatenate": lambda x: dy.concatenate([x, x]),
}


@pytest.mark.parametrize("name", EMPTY)
def test_ops_of_nothing(name):
    y = EMPTY[name](nothing())
    assert y.dim() == ((0,), 1)
    assert y.value() == []


@pytest.mark.parametrize(
    "make, dim",
    [
        (lambda x: dy.concatenate_cols([x, x]), ((0, 2), 1)),
        (lambda x: dy.concatenate_to_batch([x, x]), ((0,), 2)),
        (dy.transpose, ((1, 0), 1)),
        (lambda x: dy.transpose(dy.concatenate_cols([x, x])), ((2, 0), 1)),
    ],
)
def test_other_shapes_of_nothing(make, dim):
    y = make(nothing())
    assert y.dim() == dim
    assert y.npvalue().shape == (*dim[0], *[2] * (dim[1] > 1))


@pytest.mark.parametrize(
    "make, value",
    [
        (dy.sum_elems, 0),
        (dy.squared_norm, 0),
        (dy.l2_norm, 0),
        (lambda x: dy.sum_dim(x, [0]), 0),
        (lambda x: dy.dot_product(x, x), 0),
        (lambda x: dy.squared_distance(x, x), 0),
        (lambda x: dy.l1_distance(x, x), 0),
        (dy.max_dim, -INF),
        (dy.min_dim, INF),
        (dy.mean_elems, NAN),
        (lambda x: dy.moment_elems(x, 2), NAN),
        (dy.std_elems, NAN),
        (lambda x: dy.sum_elems(dy.tanh(x) + 1), 0),
    ],
)
def test_numbers_of_nothing(make, value):
    np.testing.assert_array_equal(make(nothing()).value(), value)


def test_products_over_nothing_are_zeros():
    x = dy.concatenate_cols([nothing(), nothing(), nothing()])
    assert (dy.transpose(x) * nothing()).value() == [0.0, 0.0, 0.0]
    assert (dy.transpose(x) * x).npvalue().tolist() == [[0.0] * 3] * 3
    assert (x * dy.inputVector([1, 2, 3])).value() == []
    assert dy.sum_cols(dy.transpose(x)).npvalue().ravel().tolist() == [0.0, 0.0, 0.0]


def test_joined_with_something():
    x = dy.inputVector([1, 2])
    assert dy.concatenate([nothing(), x]).value() == dy.concatenate([x, nothing()]).value() == [1.0, 2.0]
    assert dy.concatenate_cols([dy.transpose(nothing()), dy.inputTensor([[5]])]).npvalue().tolist() == [[5.0]]


def test_gradients_pass_by():
    p = ParameterCollection().parameters_from_numpy([1, 2])
    x = nothing()
    joined = dy.concatenate([dy.tanh(x), p, x])
    (dy.sum_elems(joined) + dy.dot_product(x, x)).backward(full=True)
    assert p.gradient().tolist() == [1.0, 1.0]
    assert x.gradient().shape == (0,)
    assert joined.gradient().tolist() == [1.0, 1.0]


def test_what_does_not_fit_is_refused():
    for wrong in (
        lambda: nothing() + dy.inputVector([1, 2, 3]),
        lambda: dy.inputTensor(np.ones((2, 3))) * nothing(),
        lambda: dy.dot_product(nothing(), dy.inputVector([1])),
        lambda: dy.reshape(nothing(), (1,)),
    ):
        with pytest.raises(ShapeError):
            wrong()


def operands():
    x = nothing()
    columns = dy.concatenate_cols([x, x])
    rows = dy.transpose(columns)
    return {
        "vector": x,
        "columns": columns,
        "rows": rows,
        "batch": dy.concatenate_to_batch([x, x]),
        "batch of rows": dy.concatenate_to_batch([rows, rows]),
        "something": dy.inputTensor(np.ones((2, 3))),
    }


@pytest.mark.parametrize("name", [name for name, op in OPS.items() if any(sample.shapes for sample in op.samples)])
def test_every_op_computes_or_refuses_nothing(name):
    """A refusal raises one of the library's own errors."""
    op = OPS[name]
    calls = {(len(sample.shapes), repr(sample.attributes)): sample for sample in op.samples if sample.shapes}
    for sample in calls.values():
        count = len(sample.shapes)
        for kinds in itertools.product(operands(), repeat=min(count, 2)):
            if {*kinds} == {"something"}:
                continue
            renew_cg()
            found = operands()
            xs = [found[kind] for kind in (*kinds, *kinds[-1:] * (count - len(kinds)))]
            try:
                y = op.record(xs, **sample.attributes) if sample.as_list else op.record(*xs, **sample.attributes)
            except DynetError:
                continue
            dims, batch = y.dim()
            records = current().records
            assert sum(len(node.node_numbers) for node in decoded(records)) == records.nodes  # records are complete
            assert y.npvalue().shape == (*dims, *[batch] * (batch > 1))
            if op.differentiable:
                dy.sum_batches(dy.sum_elems(y)).backward(full=True)
                for x in xs:
                    assert x.gradient().shape == x.npvalue().shape
