"""Batching: nodes that can run together are one instruction, whatever is between them."""

import numpy as np
import pytest

import dynet_ops as dy
from dynet_core import Model, renew_cg
from dynet_core.graph import current
from dynet_kernels import layout as at
from dynet_kernels.layout import CONTEXT
from dynet_kernels.table import KERNELS


def columns_of(kernel):
    """The column counts of a kernel's instructions on the last tape, in order."""
    engine = current().engine
    opcode = KERNELS.opcode(kernel)
    tape = engine.buffers["forward_tape"].reshape(-1, len(at.INSTRUCTION))[: engine.slots[CONTEXT.tape_count]]
    return tape[tape[:, at.INSTRUCTION.opcode] == opcode, at.INSTRUCTION.count].tolist()


@pytest.fixture
def weights():
    model = Model()
    return [model.parameters_from_numpy(np.eye(size, 3)) for size in (3, 5)]


def chain(weights, steps, each):
    """A recurrent chain of products and tanh; `each` is called with every state."""
    W, _ = weights
    h = dy.inputVector([0.1, 0.2, 0.3])
    for _ in range(steps):
        h = dy.tanh(W * h)
        each(h)


def test_an_output_layer_is_one_product_for_all_steps(weights):
    renew_cg()
    scores = []
    chain(weights, 6, lambda h: scores.append(weights[1] * h))
    total = dy.sum_elems(dy.esum(scores))
    total.value()
    assert columns_of("product") == [1] * 6 + [6]


def test_what_follows_on_itself_waits_for_each_step(weights):
    renew_cg()
    chain(weights, 6, lambda h: None)
    current()._compute()
    assert columns_of("product") == [1] * 6


def test_chains_of_different_depth_keep_pace(weights):
    """The second chain begins later, but its steps still run with those of the first."""
    renew_cg()
    W, _ = weights
    x = dy.inputVector([0.1, 0.2, 0.3])
    late = dy.exp(dy.square(dy.sqrt(x)))
    for start in (x, late):
        h = start
        for _ in range(4):
            h = dy.tanh(W * h)
    current()._compute()
    assert columns_of("product") == [2] * 4


def test_two_networks_that_feed_each_other_run_by_turns(weights):
    renew_cg()
    W, _ = weights
    V = Model().parameters_from_numpy(np.eye(3))
    h = dy.inputVector([0.1, 0.2, 0.3])
    for _ in range(3):
        h = V * (W * h)
    np.testing.assert_allclose(h.value(), [0.1, 0.2, 0.3], rtol=1e-6)
    assert columns_of("product") == [1] * 6


def test_gradients_of_an_output_layer_are_one_product_too(weights):
    renew_cg()
    losses = []
    chain(weights, 6, lambda h: losses.append(dy.pickneglogsoftmax(weights[1] * h, 1)))
    loss = dy.esum(losses)
    loss.value()
    loss.backward()
    engine = current().engine
    tape = engine.buffers["backward_tape"].reshape(-1, len(at.INSTRUCTION))[: engine.slots[CONTEXT.tape_count]]
    counts = tape[tape[:, at.INSTRUCTION.opcode] == KERNELS.opcode("product.dx"), at.INSTRUCTION.count].tolist()
    assert counts[0] == 6


@pytest.mark.parametrize("count", [at.MOST_NUMBERED - 2, at.MOST_NUMBERED + 50])
def test_more_signatures_than_have_stages(count):
    """Each matrix is a separate signature; beyond a limit, nodes are ordered by depth alone."""
    renew_cg()
    model = Model()
    matrices = [model.parameters_from_numpy(np.full((1, 1), 1 + k % 3)) for k in range(count)]
    x = dy.inputVector([2.0])
    products = [W * x for W in matrices]
    loss = dy.sum_elems(dy.esum([dy.square(product) for product in products]))
    expected = sum((2 * (1 + k % 3)) ** 2 for k in range(count))
    assert loss.value() == expected
    loss.backward()
    for k, W in enumerate(matrices):
        assert W.grad_as_array().item() == 8 * (1 + k % 3)


def gradients_of_chain(weights, by_turns, full):
    """The gradients of both matrices; with `by_turns`, each state is read as soon as it is recorded."""
    renew_cg()
    losses = []

    def each(h):
        if by_turns:
            h.value()
        losses.append(dy.squared_norm(weights[1] * h))

    chain(weights, 5, each)
    loss = dy.esum(losses)
    loss.value()
    for W in weights:
        W.scale_gradient(0)
    loss.backward(full=full)
    return [W.grad_as_array() for W in weights]


@pytest.mark.parametrize("full", [False, True])
def test_gradients_of_a_graph_that_was_computed_by_turns(weights, full):
    for one, other in zip(gradients_of_chain(weights, True, full), gradients_of_chain(weights, False, False)):
        np.testing.assert_allclose(one, other, rtol=1e-6)
