"""`set` of inputs before their graph is computed, as in programs that create an input, set it, and continue."""

import gc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from op_checks import python_calls

import dynet_ops as dy
from dynet_core import Model, cg_checkpoint, cg_revert, recorder, renew_cg
from dynet_core.errors import ArgumentError, ShapeError, StaleExpressionError
from dynet_kernels.machine import sharing

compiled = pytest.mark.skipif(recorder.DESCRIPTION != "compiled", reason="the recorder in Python has no compiled code")


def prepare():
    """Teach compiled code about a graph: it needs one pass, and one `set` of each kind of input."""
    renew_cg()
    for x in (dy.scalarInput(1), dy.vecInput(2), dy.vecInput(3)):
        x.set(np.ones(x.dim()[0]))
        dy.sum_elems(x).value()
    (dy.vecInput(2) * dy.scalarInput(1)).value()
    renew_cg()


@compiled
def test_inputs_are_set_without_python():
    gc.collect()  # models of earlier tests, because the end of a parameter makes Python prepare graphs again
    with sharing.using(1):  # no pass asks Python for the number of cores, which would make Python issue new keys
        prepare()
        x = dy.vecInput(2)
        assert python_calls(x.set, [1.0, 2.0]) == []
        y = dy.scalarInput(0)
        for values in (3, 4.0):
            assert python_calls(y.set, values) == []
        z = x * y
        assert python_calls(x.set, [5.0, 6.0]) == []
        assert python_calls(x.set, np.array([7.0, 8.0])) == []
        assert z.value() == [28.0, 32.0]
        assert python_calls(x.set, [1.0, 1.0]) == []
        assert z.value() == [4.0, 4.0]
        more = dy.vecInput(2)
        more.set([9.0, 9.0])
        assert (z + more).value() == [13.0, 13.0]


@compiled
def test_large_graphs_are_searched_by_python():
    prepare()
    first = dy.vecInput(2)
    for _ in range(5000):
        dy.scalarInput(1)
    last = dy.vecInput(2)
    assert python_calls(last.set, [1.0, 2.0]) != []
    assert python_calls(first.set, [3.0, 4.0]) == []
    assert (first + last).value() == [4.0, 6.0]


def test_only_inputs_are_set():
    prepare()
    x = dy.vecInput(2)
    x.set([1.0, 2.0])
    y = x * 2
    for _ in range(2):
        with pytest.raises(ArgumentError, match="expected an input or a lookup"):
            y.set([1.0, 2.0])
        with pytest.raises(ShapeError):
            x.set([1.0, 2.0, 3.0])
    renew_cg()
    dy.vecInput(2)
    with pytest.raises(StaleExpressionError):
        x.set([1.0, 2.0])


@pytest.mark.parametrize("batched", [False, True])
def test_the_array_that_made_an_input_can_set_it(batched):
    prepare()
    array = np.arange(9.0).reshape(3, 3, 1)
    x = dy.inputTensor(array, batched=batched)
    x.set(array + 1)
    assert np.array_equal(x.npvalue().ravel(), array.ravel() + 1)
    with pytest.raises(ShapeError, match=r"set: values of shape \(1, 3, 3\)"):
        x.set(array.reshape(1, 3, 3))


def test_graphs_that_are_cut():
    prepare()
    x = dy.vecInput(2)
    x.set([1.0, 2.0])
    cg_checkpoint()
    y = dy.vecInput(3)
    y.set([1.0, 2.0, 3.0])
    cg_revert()
    z = dy.scalarInput(5)
    z.set(6)
    x.set([3.0, 4.0])
    assert (x * z).value() == [18.0, 24.0]
    with pytest.raises(StaleExpressionError):
        y.set([1.0, 2.0, 3.0])


KINDS = {
    "scalar": lambda xs: dy.scalarInput(0),
    "vector": lambda xs: dy.vecInput(2),
    "longer": lambda xs: dy.vecInput(3),
    "list": lambda xs: dy.concatenate(xs),
    "sums": lambda xs: dy.esum([dy.sum_elems(x) for x in xs]),
    "parts": lambda xs: dy.sum_elems(dy.softmax(dy.concatenate(xs))),
    "row": lambda xs: TABLE[1],
    "dropped": lambda xs: dy.dropout(xs[0], 0.0),
    "moments": lambda xs: dy.layer_norm(dy.concatenate(xs), GAIN, GAIN) if sum_of(xs) == 3 else dy.tanh(xs[0]),
}
TABLE = Model().lookup_parameters_from_numpy([[1.0, 2.0], [3.0, 4.0]])
GAIN = Model().parameters_from_numpy([1.0, 1.0, 1.0])


def sum_of(xs):
    return sum(x.dim()[0][0] for x in xs)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from([*KINDS]), max_size=20), st.randoms(use_true_random=False), st.booleans())
def test_inputs_in_any_order_between_other_records(kinds, random, partly):
    prepare()
    nodes = [dy.scalarInput(1)]
    for kind in kinds:
        nodes.append(KINDS[kind](random.sample(nodes, min(len(nodes), 2))))
    inputs = [nodes[0], *(node for kind, node in zip(kinds, nodes[1:]) if kind in ("scalar", "vector", "longer"))]
    if partly:
        dy.esum([dy.sum_elems(x) for x in inputs]).value()
        inputs += [dy.vecInput(3), dy.scalarInput(0)]
    expected = {}
    for number in range(2 * len(inputs)):
        x = random.choice(inputs)
        expected[x] = np.full(x.dim()[0], float(number), np.float32)
        x.set(expected[x] if number % 2 else expected[x].tolist())
    for x, values in expected.items():
        assert x.npvalue().tolist() == values.tolist()
