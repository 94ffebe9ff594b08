"""The first step that computes a gradient overwrites it, so the result does not depend on earlier memory contents."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dynet_ops as dy
from dynet_core import Model, renew_cg, reset_random_seed
from dynet_core.graph import current
from dynet_core.op import OPS
from dynet_kernels.layout import CONTEXT
from dynet_ops.testing import Computed, draw, record

ROWS = 6
ONE = [
    dy.tanh,
    lambda x: x,
    lambda x: x * 0.5,
    lambda x: -x,
    dy.nobackprop,
    dy.flip_gradient,
    lambda x: dy.concatenate([dy.pickrange(x, 0, ROWS // 2), dy.strided_select(x, [1], [0], [ROWS // 2])]),
    lambda x: dy.reshape(dy.reshape(x, (2, ROWS // 2)), (ROWS,)),
    lambda x: dy.reshape(dy.tanh(dy.reshape(x, (1, ROWS))), (ROWS,)),
    lambda x: dy.reshape(dy.sin(dy.reshape(x, (1,), batch_size=ROWS)), (ROWS,), batch_size=1),
    lambda x: dy.reshape(dy.transpose(dy.reshape(x, (2, ROWS // 2))), (ROWS,)),
    lambda x: dy.reshape(dy.transpose(dy.reshape(x, (1, 2, ROWS // 2)), [2, 0, 1]), (ROWS,)),
]
TWO = [
    lambda x, y: x + y,
    dy.cmult,
    lambda x, y: dy.pickrange(dy.concatenate([x, y]), ROWS // 2, ROWS // 2 + ROWS),
    lambda x, y: dy.esum([x, y, x]),
    lambda x, y: dy.average([y, x]),
    lambda x, y: x * dy.pick(y, 2),
    lambda x, y: dy.softmax(x) - y,
    lambda x, y: dy.transpose(x) * y * dy.reshape(x, (ROWS,)),
    lambda x, y: dy.reshape(dy.reshape(x, (ROWS // 2, 2)) + dy.reshape(y, (ROWS // 2, 2)), (ROWS,)),
]


def spoil_memory():
    """Write NaN to all memory where gradients have been and will be."""
    engine = current().engine
    if engine.gradients.floats:
        engine.gradients.write(np.nan)


def gradients(build, xs, W, only_adding, full):
    """The gradients of inputs and of a matrix, and the values of some nodes."""
    renew_cg()
    engine = current().engine
    engine.discard_plans()
    W.scale_gradient(0)
    inputs = [dy.inputTensor(x) for x in xs]
    nodes = build(inputs, W)
    loss = dy.sum_elems(dy.esum([dy.square(node) for node in nodes[-3:]]))
    loss.forward()
    engine.slots[CONTEXT.never_fresh] = int(only_adding)
    try:
        spoil_memory()
        loss.backward(full=full)
    finally:
        engine.slots[CONTEXT.never_fresh] = 0
    told = [node.gradient() for node in (*inputs, *nodes)] if full else []
    return [W.grad_as_array(), *told]


@pytest.fixture(scope="module")
def W():
    return Model().parameters_from_numpy(np.random.default_rng(1).uniform(-0.5, 0.5, (ROWS, ROWS)))


steps = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(ONE), st.integers(0, 99)),
        st.tuples(st.sampled_from(TWO), st.integers(0, 99), st.integers(0, 99)),
        st.tuples(st.none(), st.integers(0, 99)),
    ),
    min_size=1,
    max_size=20,
)


@settings(deadline=None, max_examples=150)
@given(steps, st.booleans())
def test_any_graph_has_the_gradients_of_one_that_only_adds(W, steps, full):
    xs = np.random.default_rng(2).uniform(-1, 1, (2, ROWS))

    def build(inputs, W):
        nodes = [W * x for x in inputs]
        for function, *places in steps:
            operands = [nodes[place % len(nodes)] for place in places]
            nodes.append(function(*operands) if function else W * operands[0])
        return nodes

    gradients(build, xs, W, True, full)  # so that there is memory to spoil
    wanted = gradients(build, xs, W, True, full)
    for given_, expected in zip(gradients(build, xs, W, False, full), wanted, strict=True):
        np.testing.assert_array_equal(given_, expected)


def test_an_operand_that_two_nodes_of_a_group_share_gets_both():
    renew_cg()
    spoil_memory()
    x = dy.square(dy.inputVector([0.5, 1.0]))
    loss = dy.sum_elems(dy.tanh(x) + dy.tanh(x))
    loss.backward(full=True)
    np.testing.assert_allclose(x.gradient(), 2 * (1 - np.tanh([0.25, 1.0]) ** 2), rtol=1e-5)


def test_a_node_that_nothing_is_added_to_has_no_gradient():
    """floor passes no gradient on, so its operand has a gradient of zeros, not earlier memory contents."""
    renew_cg()
    x = dy.square(dy.inputVector([1.5, 2.5]))
    loss = dy.sum_elems(dy.floor(x) + dy.inputVector([1.0, 1.0]))
    loss.forward()
    spoil_memory()
    loss.backward(full=True)
    np.testing.assert_array_equal(x.gradient(), [0.0, 0.0])


@pytest.mark.parametrize("place", range(3))
def test_a_part_of_a_node_leaves_the_rest_at_zero(place):
    renew_cg()
    x = dy.square(dy.inputVector([1.0, 2.0, 3.0]))
    loss = dy.pick(x, place) * 3.0
    loss.forward()
    spoil_memory()
    loss.backward(full=True)
    np.testing.assert_array_equal(x.gradient(), 3.0 * (np.arange(3) == place))


def instructions_of_backward(build):
    """How many instructions the backward pass takes."""
    renew_cg()
    loss = build()
    loss.backward(full=True)
    return current().engine.slots[CONTEXT.tape_count]


def test_what_only_a_sum_uses_has_the_gradient_of_the_sum():
    def a_sum(used):
        xs = [dy.square(dy.inputVector([k, 1.0, 2.0])) for k in range(3)]
        loss = dy.sum_elems(dy.tanh(dy.esum(xs)))
        return loss + dy.sum_elems(dy.exp(xs[1])) if used else loss

    # clear and seed the loss, then sum_elems, tanh, and all squares in one instruction
    assert instructions_of_backward(lambda: a_sum(False)) == 5
    # also exp, and, after a clear, the sum, whose operands cannot all borrow
    assert instructions_of_backward(lambda: a_sum(True)) == 8
    renew_cg()
    x, z = dy.square(dy.inputVector([0.5, 1.0])), dy.square(dy.inputVector([1.5, 2.0]))
    y = x + z
    loss = dy.sum_elems(dy.cube(y))
    loss.forward()
    spoil_memory()
    loss.backward(full=True)
    for node in (x, y, z):
        np.testing.assert_allclose(node.gradient(), 3 * y.npvalue() ** 2, rtol=1e-6)


@pytest.mark.parametrize("again", [lambda x, y: y + x, lambda x, y: y + dy.pick(x, 1), lambda x, y: dy.esum([y, x, x])])
def test_what_a_sum_and_others_use_has_a_gradient_of_its_own(again):
    renew_cg()
    x = dy.square(dy.inputVector([0.5, 1.0]))
    y = dy.cube(x + dy.inputVector([1.0, 2.0]))
    loss = dy.sum_elems(again(x, y))
    gradients = {}
    for only_adding in (1, 0):
        current().engine.discard_plans()
        current().engine.slots[CONTEXT.never_fresh] = only_adding
        loss.backward(full=True)
        gradients[only_adding] = [node.gradient() for node in (x, y)]
    np.testing.assert_array_equal(gradients[0], gradients[1])


@pytest.mark.parametrize("op", [op for op in OPS.values() if op.differentiable], ids=lambda op: op.name)
def test_the_result_of_any_op_can_have_the_gradient_of_a_sum(op):
    for sample in op.samples:
        found = []
        for only_adding in (1, 0):
            renew_cg()
            reset_random_seed(1)
            operands = [Computed(array) for array in draw(op, sample)]
            y = record(op, sample, [operand.expression for operand in operands])
            dims, batch = y.dim()
            weights = np.arange(1.0, np.prod(dims) * batch + 1).reshape((*dims, batch), order="F")
            z = y + dy.inputTensor(weights, batched=True)
            loss = dy.sum_batches(dy.sum_elems(dy.sin(z)))
            loss.forward()
            current().engine.slots[CONTEXT.never_fresh] = only_adding
            try:
                spoil_memory()
                loss.backward(full=True)
            finally:
                current().engine.slots[CONTEXT.never_fresh] = 0
            found.append([each.gradient() for each in (y, z)] + [operand.gradient() for operand in operands])
        for given_, expected in zip(*found, strict=True):
            np.testing.assert_array_equal(given_, expected)
