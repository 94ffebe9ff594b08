"""Functions that compute several expressions in one call: forward, values, npvalues."""

import numpy as np
import pytest

import dynet_core as dy
import dynet_ops as ops
from dynet_core.graph import current


@pytest.fixture(autouse=True)
def new_graph():
    dy.renew_cg()


def test_values_are_those_of_each():
    p = dy.ParameterCollection().add_parameters((2, 2))
    x = ops.inputVector([1, 2])
    batch = ops.inputTensor([[1, 2], [3, 4]], batched=True)
    found = [x, p, batch, ops.tanh(p * x), ops.sum_elems(x)]
    for one, e in zip(dy.values(found), found, strict=True):
        assert type(one) is type(e.value()) and np.array_equal(one, e.value())
    for one, e in zip(dy.npvalues(tuple(found)), found, strict=True):
        assert np.array_equal(one, e.npvalue()) and one.dtype == np.float64
    assert dy.forward(e for e in found) is None


@pytest.mark.parametrize("read", [dy.forward, dy.values, dy.npvalues])
def test_all_is_computed_by_one_pass(read, monkeypatch):
    xs = [ops.tanh(ops.inputVector([k, 1])) for k in range(5)]
    engine, passes = current().engine, []
    forward = type(engine).forward
    monkeypatch.setattr(type(engine), "forward", lambda *given: passes.append(given) or forward(*given))
    read(xs)
    read(xs)
    assert len(passes) == 1


def test_recalculating():
    x = ops.inputVector([1.0, 2.0])
    y = ops.dropout(ops.ones((1000,)), 0.5)
    z = ops.square(x)
    before = dy.npvalues([y, z])
    x.set([3.0, 4.0])
    assert dy.values([z]) == [[9.0, 16.0]]
    kept = dy.npvalues([y])[0]
    assert np.array_equal(kept, dy.npvalues([y])[0])
    again = dy.npvalues([y, z], recalculate=True)
    assert not np.array_equal(kept, again[0]) and not np.array_equal(before[1], again[1])


def test_nothing_is_nothing():
    assert dy.values([]) == dy.npvalues([]) == [] and dy.forward([]) is None


@pytest.mark.parametrize("read", [dy.forward, dy.values, dy.npvalues])
def test_what_is_no_list_of_expressions_is_refused(read):
    x = ops.inputVector([1, 2])
    name = read.__name__
    for wrong in (x, 3, None, [x, 3], [None], "ab"):
        with pytest.raises(dy.ArgumentTypeError, match=f"{name}: expected"):
            read(wrong)
    dy.renew_cg()
    with pytest.raises(dy.StaleExpressionError, match=name):
        read([ops.inputVector([1]), x])
