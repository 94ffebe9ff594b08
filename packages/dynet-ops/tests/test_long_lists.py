"""Lists of operands of one shape are concatenated by a single step, however long they are."""

import numpy as np
import pytest

import dynet_ops as dy
from dynet_core import ParameterCollection, renew_cg
from dynet_kernels.encode import TABLE
from dynet_ops.shape.joining import MOST_SEPARATE_STEPS
from dynet_ops.testing import value_of, weighted_sum

JOINS = {  # name -> the op, and the numpy equivalent for arrays whose last axis is the batch
    "concatenate": (dy.concatenate, lambda arrays: np.concatenate(arrays, 0)),
    "concatenate along 1": (lambda xs: dy.concatenate(xs, 1), lambda arrays: np.concatenate(arrays, 1)),
    "concatenate along 2": (lambda xs: dy.concatenate(xs, 2), lambda arrays: np.stack(arrays, 2)),
    "concatenate_cols": (dy.concatenate_cols, lambda arrays: np.concatenate(arrays, 1)),
    "concatenate_to_batch": (dy.concatenate_to_batch, lambda arrays: np.concatenate(arrays, -1)),
}
joins = pytest.mark.parametrize("name", JOINS)
batches = pytest.mark.parametrize("batch", [1, 3])
LENGTHS = [MOST_SEPARATE_STEPS + 1, MOST_SEPARATE_STEPS + 1, MOST_SEPARATE_STEPS + 4, MOST_SEPARATE_STEPS, 2]


def growth(op, batch, lengths):
    """How much TABLE grows when lists of these lengths are recorded and computed."""
    before = TABLE.end()
    for length in lengths:
        renew_cg()
        operands = [dy.zeros((5, 7), batch) for _ in range(4)]
        op([operands[k % 4] for k in range(length)]).forward()
    return TABLE.end() - before


@pytest.mark.parametrize("op", [dy.esum, dy.concatenate, dy.concatenate_cols, dy.concatenate_to_batch, dy.average])
def test_a_generator_of_operands_of_a_new_shape(op):
    shape = (3, 911 + len(op.__name__))  # of no other test
    for _ in range(3):
        found = op(dy.zeros(shape) for _ in range(2)).dim()
        assert found == op([dy.zeros(shape), dy.zeros(shape)]).dim()


@joins
@batches
def test_a_new_length_takes_little_memory(name, batch):
    op, _ = JOINS[name]
    growth(op, batch, [MOST_SEPARATE_STEPS])
    assert growth(op, batch, [401]) == growth(op, batch, [1201]) < 150
    assert growth(op, batch, [1201, 401]) == 0


class Operands:
    """Six operands of one shape: 0, 1 are computed, 2 is an alias, 3 aliases a frozen parameter, 4 and 5 are inputs."""

    def __init__(self, draw, batch):
        self.arrays = draw.normal(size=(6, 2, 3, batch)).astype(np.float32)
        model = ParameterCollection()
        self.parameters = [model.parameters_from_numpy(array.ravel(order="F")) for array in self.arrays[:4]]
        self.parameters[3].set_updated(False)
        shaped = [dy.reshape(p, (2, 3), batch) for p in self.parameters]
        self.inputs = [dy.inputTensor(array, batched=True) for array in self.arrays[4:]]
        self.expressions = [*[dy.negative(dy.negative(x)) for x in shaped[:2]], *shaped[2:], *self.inputs]

    def check(self, gradients, full):
        """Compare the gradients after a backward pass with the expected ones, one for each operand."""
        for p, gradient in zip(self.parameters[:3], gradients):
            found = p.grad_as_array().reshape(gradient.shape, order="F")
            np.testing.assert_allclose(found, gradient, rtol=1e-4, atol=1e-5)
        assert not self.parameters[3].grad_as_array().any()
        for x, gradient in zip(self.inputs if full else (), gradients[4:]):
            np.testing.assert_allclose(x.gradient().reshape(gradient.shape), gradient, rtol=1e-4, atol=1e-5)


def parts(join, weights, count):
    """Cut an array of the result's shape into the parts that belong to each of `count` operands."""
    batch = weights.size // (6 * count)
    places = join([np.full((2, 3, batch), k) for k in range(count)])
    return [weights[places == k].reshape(2, 3, batch) for k in range(count)]


@joins
@batches
@pytest.mark.parametrize("kinds", [[0, 1], [0], [0, 4], [0, 1, 2], [3, 5], range(6)], ids=str)
@pytest.mark.parametrize("full", [False, True])
def test_values_and_gradients(name, batch, kinds, full):
    """Several lists in one graph, with repeated operands."""
    op, join = JOINS[name]
    draw = np.random.default_rng(7)
    renew_cg()
    operands, losses = Operands(draw, batch), []
    gradients = np.zeros(operands.arrays.shape)
    for length in LENGTHS:
        chosen = draw.choice(list(kinds), length)
        result, expected = op([operands.expressions[k] for k in chosen]), join([operands.arrays[k] for k in chosen])
        np.testing.assert_array_equal(value_of(result), expected)
        weights = draw.normal(size=expected.shape).astype(np.float32)
        losses.append(weighted_sum(result, weights))
        for k, part in zip(chosen, parts(join, weights, length)):
            gradients[k] += part
    dy.esum(losses).backward(full=full)
    operands.check(gradients, full)


@joins
@batches
def test_gradients_that_are_set(name, batch):
    """No other node uses the operands, so the step sets their gradients instead of adding to them."""
    op, join = JOINS[name]
    draw = np.random.default_rng(8)
    renew_cg()
    found, losses, wanted = [], [], []
    for length in LENGTHS:
        arrays = draw.normal(size=(length, 2, 3, batch)).astype(np.float32)
        xs = [dy.inputTensor(array, batched=True) for array in arrays]
        result, expected = op([dy.negative(x) for x in xs]), join(list(-arrays))
        np.testing.assert_array_equal(value_of(result), expected)
        weights = draw.normal(size=expected.shape).astype(np.float32)
        losses.append(weighted_sum(result, weights))
        wanted += parts(join, -weights, length)
        found += xs
    dy.esum(losses).backward(full=True)
    for x, part in zip(found, wanted):
        np.testing.assert_allclose(x.gradient().reshape(part.shape), part, rtol=1e-6)
