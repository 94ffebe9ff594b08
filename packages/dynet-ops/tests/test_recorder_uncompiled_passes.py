"""The recorder's passes and value-reading methods give the same results in plain Python as when compiled.

See `uncompiled` for the comparison.
"""

import numpy as np
import pytest
import uncompiled
from uncompiled import declining, described, left, of, run, uncollected, vectorcall

import dynet_ops as dy
from dynet_core import ParameterCollection, renew_cg, reset_random_seed
from dynet_core.graph import current
from dynet_core.graph.expression import Expression
from dynet_kernels.recorder import c_api
from dynet_kernels.recorder.passes import SMALL_RECORDS, SMALL_VALUES

# Passes. Each way has a graph of its own, because a pass plans, which cannot be taken back.


def in_two_graphs(build, read, after=lambda x: None):
    """Compare the results of `read(compiled, x)` for a graph made by `build()`, and then of `after(x)`."""
    found = []
    for compiled in (True, False):
        with uncollected():
            reset_random_seed(7)
            renew_cg()
            x, passes = build(), uncompiled.SHARED["passes"]
            version = current().records.version
            outcome = read(compiled, x)
            state = outcome.state.described()
            state["passes"] -= passes
            for name in ("version", "open", "newest_version"):
                state[name] -= version
            del state["searched_version"]
            served = not isinstance(outcome.result, uncompiled.Declined)
            found.append({**state, "after": after(x), "result": described(outcome.result) if served else "declined"})
            assert outcome.error is None
    uncompiled.check_equal(*found)
    return served


def network():
    x = dy.inputTensor(np.arange(12.0).reshape(4, 3) / 10)
    y = dy.inputVector([0.5, -1.0, 2.0])
    return dy.sum_elems(dy.tanh(x * y) + dy.dropout(dy.inputVector([1.0, 2.0, 3.0, 4.0]), 0.5))


def vector():
    return dy.inputVector([1.0, 2.0]) * 2


def matrix():
    return dy.tanh(dy.inputTensor(np.ones((2, 3))))


def many_views():
    x = vector()
    for _ in range(SMALL_RECORDS // 4):
        x = dy.reshape(dy.reshape(x, (1, 2)), (2,))
    return x


LONG = ParameterCollection().add_parameters((1000, 1000))


def large():
    return dy.tanh(dy.inputVector([0.5] * (SMALL_VALUES + 1)))


def calling(record, *arguments, before=lambda x: None):
    """A function for `in_two_graphs` that calls a method of an expression."""

    def read(compiled, x):
        before(x)
        numbers, held = vectorcall(record, (x, *arguments))
        with declining(record):
            outcome = run(uncompiled.kind_of(record), compiled, numbers)
        assert held
        return outcome

    return read


def learn(build, *methods):
    """Call methods until the graph is prepared and their tables know the shape."""
    for _ in range(3):
        for method in methods:
            renew_cg()
            x = build()
            dy.tanh(x), dy.exp(x)
            method(x)


@of("value", "list", "nothing", "address")
@pytest.mark.parametrize("build", [network, vector, matrix, large])
def test_values(build):
    methods = [Expression.value, Expression.vec_value, Expression.forward, Expression._address]
    if build is network:
        methods.append(Expression.scalar_value)
    learn(build, *methods)
    for method in methods:
        for flag in ((), (False,), (True,), (1,), (None,)):
            for before in (lambda x: None, lambda x: x.npvalue(), lambda x: (x.npvalue(), dy.tanh(x))):
                served = in_two_graphs(build, calling(method, *flag, before=before), lambda x: x.vec_value())
                assert served == (
                    all(type(each) is bool for each in flag) and (build, method) != (matrix, Expression.value)
                )
    x = build()
    renew_cg()
    for method in methods:
        left(method, x)
        left(method, None)


@of("value")
@pytest.mark.parametrize(
    ("build", "releases"),
    [
        (vector, 0),
        (large, 1),
        (many_views, 1),
        (lambda: dy.pick(dy.inputVector([0.5] * (SMALL_VALUES + 1)), 3), 1),
        (lambda: dy.squared_norm(LONG), 1),
    ],
    ids=["small", "many values", "many records", "many inputs", "a large parameter"],
)
def test_only_a_small_pass_keeps_the_gil(build, releases, monkeypatch):
    learn(build, Expression.value)
    released = []
    monkeypatch.setitem(c_api.REPLACEMENTS, "PyEval_SaveThread", lambda: released.append(True) or 1)
    monkeypatch.setitem(c_api.REPLACEMENTS, "PyEval_RestoreThread", lambda state: None)
    c_api._ctypes_function.cache_clear()
    try:
        assert in_two_graphs(build, calling(Expression.value))
    finally:
        c_api._ctypes_function.cache_clear()
    assert len(released) == releases


@of("dynet_compute")
def test_forward_passes():
    learn(network, Expression.forward)

    def compute(compiled, x):
        return run("dynet_compute", compiled, (current().records._words.address,), is_object=False)

    def compute_in_parts(compiled, x):
        compute(compiled, x)
        assert compute(compiled, x).result == 1  # nothing is left to compute
        dy.exp(x)
        return compute(compiled, x)

    for read in (compute, compute_in_parts):
        assert in_two_graphs(network, read, lambda x: [current().records.computed, x.npvalue().tolist()])
    renew_cg()
    x = network()
    current().records.unprepare()
    assert [compute(compiled, x).result for compiled in (True, False)] == [0, 0]


@of("floats", "doubles")
def test_values_in_arrays():
    learn(vector, lambda x: x.npvalue(), lambda x: x.npvalue(dtype=np.float32))
    for name, dtype in (("_fill_floats", np.float32), ("_fill_doubles", np.float64)):
        array = np.empty(2, dtype)
        record = getattr(Expression, name)
        assert in_two_graphs(vector, calling(record, array))
        assert array.tolist() == [2.0, 4.0]
        left(record, vector(), [0.0, 0.0])
        left(record, None, array)


@of("differentiate")
def test_gradients():
    parameter = ParameterCollection().add_parameters(3)
    parameter.set_value([1.0, 2.0, 3.0])

    def build():
        return dy.squared_norm(dy.tanh(parameter)) + network()

    def gradient(x):
        found = parameter.grad_as_array().tolist()
        parameter.scale_gradient(0)
        return found, current().records.differentiated

    learn(build, Expression.backward, lambda x: x.backward(True))
    parameter.scale_gradient(0)
    for flag in ((), (False,), (True,)):
        assert in_two_graphs(build, calling(Expression.backward, *flag), gradient)
    left(Expression.backward, build(), 1)
    left(Expression.backward, None)
    x = build()
    x.value()
    parameter.set_value([3.0, 2.0, 1.0])
    left(Expression.backward, x)
