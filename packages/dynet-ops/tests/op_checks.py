"""Checks of one op on one sample of the table, against its float64 reference. Each raises AssertionError."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import dynet_ops as dy
from dynet_core import Model, renew_cg
from dynet_core.graph import current

GRADIENT_TOLERANCE = 1e-4
SMALLEST_GRADIENT = 1e-2  # below this, the tolerance stays as it is: larger terms have cancelled
STEP = 1e-5  # of central differences, in float64


def draw(op, sample, seed=0):
    """An operand for each shape of a sample; the batch is the last axis."""
    rng = np.random.default_rng(seed)
    return [drawn(op, rng, (*dims, batch)) for dims, batch in sample.shapes]


def drawn(op, rng, shape):
    array = rng.uniform(*op.domain, shape).astype(np.float32)
    return op.prepare(array) if op.prepare else array


def reference(op, sample, arrays):
    """What the op should give, in float64."""
    arrays = [np.asarray(array, np.float64) for array in arrays]
    if op.whole_batch:
        return op.reference(*arrays, **sample.attributes)
    batch = max(array.shape[-1] for array in arrays)
    return np.stack(
        [
            op.reference(*[array[..., b % array.shape[-1]] for array in arrays], **sample.attributes)
            for b in range(batch)
        ],
        axis=-1,
    )


def record(op, sample, operands):
    if sample.as_list:
        return op.record(list(operands), **sample.attributes)
    return op.record(*operands, **sample.attributes)


class Input:
    """An operand that comes from outside the graph."""

    def __init__(self, array):
        self.array = array
        self.expression = dy.inputTensor(array, batched=True)

    def gradient(self):
        return self.expression.gradient().reshape(self.array.shape)


class Parameter:
    """An operand that is a parameter, reshaped to a batch where it has one."""

    def __init__(self, array):
        self.array = array
        *dims, batch = array.shape
        values = array.ravel(order="F") if batch > 1 else array[..., 0]
        self.parameter = Model().parameters_from_numpy(values)
        self.expression = self.parameter if batch == 1 else dy.reshape(self.parameter, dims, batch)

    def gradient(self):
        return self.parameter.grad_as_array().reshape(self.array.shape, order="F")


class Computed(Parameter):
    """An operand that was computed from a parameter, and passes its gradient on."""

    def __init__(self, array):
        super().__init__(array)
        self.expression = dy.negative(dy.negative(self.expression))


def value_of(expression):
    """The value with the batch as its last axis."""
    dims, batch = expression.dim()
    return expression.npvalue().reshape(*dims, batch)


def largest(*arrays):
    return max([0.0, *[float(np.abs(array).max(initial=0)) for array in arrays]])


def summed_terms(op, sample, arrays):
    """The result with all operands positive: how large the terms of a sum are that may cancel."""
    with np.errstate(all="ignore"):
        terms = reference(op, sample, [np.abs(array) for array in arrays])
    return terms[np.isfinite(terms)]


def check_value(op, sample, leaf=Input):
    """The result has the reference's shape and values."""
    renew_cg()
    arrays = draw(op, sample)
    expected = reference(op, sample, arrays)
    result = record(op, sample, [leaf(array).expression for array in arrays])
    *dims, batch = expected.shape
    assert result.dim() == (tuple(dims), batch)
    error = largest(value_of(result) - expected)
    allowed = op.tolerance * largest(expected, summed_terms(op, sample, arrays))
    assert error <= allowed, f"value is off by {error}"


def functional(result, weights):
    """A random linear functional of a result."""
    return dy.sum_batches(dy.dot_product(result, dy.inputTensor(weights, batched=True)))


def numeric_gradient(function, array):
    """Central differences in float64."""
    array = array.astype(np.float64)
    gradient = np.empty_like(array)
    for place in np.ndindex(array.shape):
        middle = array[place]
        array[place] = middle + STEP
        above = function(array)
        array[place] = middle - STEP
        gradient[place] = (above - function(array)) / (2 * STEP)
        array[place] = middle
    return gradient


def weights_of_shape(shape, seed=1):
    return np.random.default_rng(seed).uniform(0.5, 1.5, shape).astype(np.float32)


def weights_for(result, seed=1):
    dims, batch = result.dim()
    return weights_of_shape((*dims, batch), seed)


_expected = {}  # many checks of one sample want the same


def expected_gradients(op, sample, arrays, weights):
    """Central differences of the weighted result for every operand."""
    if not op.differentiable:
        return [np.zeros(array.shape) for array in arrays]
    key = op.reference, repr(sample), weights.tobytes(), *[array.tobytes() for array in arrays]
    if key not in _expected:
        _expected[key] = [_differences(op, sample, arrays, weights, [place]) for place in range(len(arrays))]
    return _expected[key]


def _differences(op, sample, arrays, weights, places):
    """Central differences for one array that is the operand in several places at once."""
    op = dataclasses.replace(op, reference=op.differentiated_as or op.reference)

    def function(array):
        changed = [array if place in places else other for place, other in enumerate(arrays)]
        return (weights * reference(op, sample, changed)).sum()

    return numeric_gradient(function, arrays[places[0]])


def assert_gradient(actual, expected):
    error = largest(actual - expected)
    assert error <= GRADIENT_TOLERANCE * max(SMALLEST_GRADIENT, largest(expected)), f"gradient is off by {error}"


def check_gradients(op, sample, *kinds):
    """Every operand's gradient is that of the reference; each list of kinds says what the operands are."""
    arrays = draw(op, sample)
    expected = None
    for leaves_of in kinds:
        renew_cg()
        leaves = [leaf(array) for leaf, array in zip(leaves_of, arrays)]
        result = record(op, sample, [leaf.expression for leaf in leaves])
        weights = weights_for(result)
        if expected is None:
            expected = expected_gradients(op, sample, arrays, weights)
        functional(result, weights).backward(full=Input in leaves_of)
        for leaf, gradient in zip(leaves, expected):
            assert_gradient(leaf.gradient(), gradient)


def check_operand_used_twice(op, sample):
    """One expression in every place that has its shape, and in two nodes: all uses add up."""
    arrays = draw(op, sample)
    first = {array.shape: array for array in reversed(arrays)}
    arrays = [first[array.shape] for array in arrays]
    renew_cg()
    leaves = {shape: Computed(array) for shape, array in first.items()}
    operands = [leaves[array.shape].expression for array in arrays]
    one, other = record(op, sample, operands), record(op, sample, operands)
    weights, more = weights_for(one), weights_for(other, seed=2)
    (functional(one, weights) + functional(other, more)).backward()
    for shape, leaf in leaves.items():
        places = [place for place, array in enumerate(arrays) if array.shape == shape]
        if op.differentiable:
            assert_gradient(leaf.gradient(), _differences(op, sample, arrays, weights + more, places))
        else:
            assert_gradient(leaf.gradient(), np.zeros(shape))


def run(op, sample, arrays, weights=None):
    """Value and gradients of one node in a graph of its own."""
    renew_cg()
    leaves = [Input(array) for array in arrays]
    result = record(op, sample, [leaf.expression for leaf in leaves])
    functional(result, weights_for(result) if weights is None else weights).backward(full=True)
    return [value_of(result), *[leaf.gradient() for leaf in leaves]]


def assert_same(actual, expected):
    """Equal up to the rounding of sums in another order."""
    for one, other in zip(actual, expected, strict=True):
        assert one.shape == other.shape
        np.testing.assert_allclose(one, other, rtol=2e-6, atol=2e-6 * largest(other))


def check_refused(call, error, *parts):
    """A call raises that error with those parts in its message, and leaves a graph that goes on working."""
    renew_cg()
    x = dy.inputVector([1.0, 2.0])
    y = dy.tanh(x)
    graph = current()
    with pytest.raises(error) as caught:
        call()
    assert type(caught.value) is error
    for part in parts:
        assert part in str(caught.value)
    z = dy.sum_elems(y + x)
    assert z.value() == pytest.approx(np.tanh(1) + np.tanh(2) + 3)
    z.backward(full=True)
    assert x.gradient() == pytest.approx([2 - np.tanh(1) ** 2, 2 - np.tanh(2) ** 2])
    assert current() is graph


def check_batching(op, sample, copies=4):
    """Nodes that run together give what each gives alone."""
    sets = [draw(op, sample, seed) for seed in range(copies)]
    alone = [run(op, sample, arrays) for arrays in sets]
    renew_cg()
    leaves = [[Input(array) for array in arrays] for arrays in sets]
    others = [dy.tanh(leaf.expression) for leaf in leaves[0]]  # something between and beside them
    results = [record(op, sample, [leaf.expression for leaf in these]) for these in leaves]
    losses = [functional(result, weights_for(result)) for result in results]
    losses += [dy.sum_batches(dy.sum_elems(other)) * 0.0 for other in others]
    dy.esum(losses).backward(full=True)
    for result, these, expected in zip(results, leaves, alone):
        assert_same([value_of(result), *[leaf.gradient() for leaf in these]], expected)


def check_minibatch(op, sample, batched, batch=3):
    """A minibatch gives what its elements give one by one; `batched` says which operands have one."""
    rng = np.random.default_rng(3)
    arrays = [
        drawn(op, rng, (*dims, batch if has_batch else 1)) for (dims, _), has_batch in zip(sample.shapes, batched)
    ]
    actual = run(op, sample, arrays)
    weights = weights_of_shape(actual[0].shape)
    singles = []
    for b in range(batch):
        parts = [array[..., b : b + 1] if array.shape[-1] > 1 else array for array in arrays]
        singles.append(run(op, sample, parts, weights[..., b : b + 1]))
    expected = []
    for whole, parts in zip(actual, zip(*singles)):
        expected.append(np.concatenate(parts, axis=-1) if whole.shape[-1] > 1 else sum(parts))
    assert_same(actual, expected)
