"""Check ops against references in numpy; `check_op` runs all checks on one op. A failure raises AssertionError."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.random import Generator, default_rng

import dynet_ops as dy
from dynet_core import Model, renew_cg
from dynet_core.errors import ArgumentTypeError
from dynet_core.graph.expression import Expression
from dynet_core.op import OPS, Op, Sample
from dynet_kernels.formula import LARGEST_FLOAT, SMALLEST_NORMAL

GRADIENT_TOLERANCE = 1e-4
# GRADIENT_TOLERANCE is relative to the gradient's largest element, or to SMALLEST_GRADIENT if that is larger: a small
# gradient is often a sum of larger terms that cancel, while their rounding errors remain.
SMALLEST_GRADIENT = 1e-2
ROUNDING = 0.0  # the relative error that is allowed because products round their factors
DIFFERENCE_STEP = 1e-5  # by which each element of an operand is increased and decreased, for central differences
Arrays = Sequence[np.ndarray]


def draw(op: Op, sample: Sample, seed: int = 0) -> list[np.ndarray]:
    """Return a random array for each operand of a sample, the batch last."""
    rng = default_rng(seed)
    return [random_operand(op, rng, (*dims, batch)) for dims, batch in sample.shapes]


def random_operand(op: Op, rng: Generator, shape: Sequence[int]) -> np.ndarray:
    array = rng.uniform(*op.domain, shape).astype(np.float32)
    return op.prepare(array) if op.prepare else array


def reference(op: Op, sample: Sample, arrays: Arrays) -> np.ndarray:
    """Return what the op should compute, in float64, the batch last."""
    arrays = [np.asarray(array, np.float64) for array in arrays]
    if op.whole_batch:
        return op.reference(*arrays, **sample.attributes)
    batch = max(array.shape[-1] for array in arrays)
    elements = [[array[..., b % array.shape[-1]] for array in arrays] for b in range(batch)]
    return np.stack([op.reference(*element, **sample.attributes) for element in elements], axis=-1)


def record(op: Op, sample: Sample, operands: Sequence) -> Expression:
    """Call the op with `operands` and the sample's other arguments."""
    return op.record(*[[*operands]] if sample.as_list else operands, **sample.attributes)


class Input:
    """An operand that is an input node."""

    def __init__(self, array: np.ndarray):
        self.array = array
        self.expression = dy.inputTensor(array, batched=True)

    def gradient(self) -> np.ndarray:
        return self.expression.gradient().reshape(self.array.shape)


class Parameter:
    """An operand that is a parameter, which `reshape` divides into a batch if needed."""

    def __init__(self, array: np.ndarray):
        self.array = array
        *dims, batch = array.shape
        values = array.ravel(order="F") if batch > 1 else array[..., 0]
        self.parameter = Model().parameters_from_numpy(values)
        self.expression = self.parameter if batch == 1 else dy.reshape(self.parameter, dims, batch)

    def gradient(self) -> np.ndarray:
        return self.parameter.grad_as_array().reshape(self.array.shape, order="F")


class Computed(Parameter):
    """An operand that nodes compute from a parameter."""

    def __init__(self, array: np.ndarray):
        super().__init__(array)
        self.expression = dy.negative(dy.negative(self.expression))


OPERAND_CLASSES = (Input, Parameter, Computed)


def record_in_new_graph(op: Op, sample: Sample, arrays: Arrays, classes: Iterable[type]) -> tuple[list, Expression]:
    """Call the op in a new graph, with operands of `classes`, a class for each. Return the operands and the result."""
    renew_cg()
    leaves = [operand_class(array) for operand_class, array in zip(classes, arrays)]
    return leaves, record(op, sample, [leaf.expression for leaf in leaves])


def value_of(expression: Expression) -> np.ndarray:
    """Return the value of an expression, the batch last."""
    dims, batch = expression.dim()
    return expression.npvalue().reshape(*dims, batch)


def magnitude(*arrays) -> float:
    """Return the largest magnitude in the arrays; 0 if they are empty, NaN if an element is NaN."""
    return float(np.max([0.0, *[np.abs(array).max(initial=0) for array in arrays]]))


def reference_of_magnitudes(op: Op, sample: Sample, arrays: Arrays) -> np.ndarray:
    """Return the finite elements of the reference for the operands' absolute values.

    They show how large the terms of sums are. Terms may cancel in the op's result, but their rounding errors do not.
    """
    with np.errstate(all="ignore"):
        terms = reference(op, sample, [np.abs(array) for array in arrays])
    return terms[np.isfinite(terms)]


def check_value(op: Op, sample: Sample, operand_class: type = Input) -> None:
    """Check the shape and the values of the result. All operands are of `operand_class`."""
    arrays = draw(op, sample)
    expected = reference(op, sample, arrays)
    result = record_in_new_graph(op, sample, arrays, itertools.repeat(operand_class))[1]
    shape = expected.shape[:-1], expected.shape[-1]
    assert result.dim() == shape, f"its shape is {result.dim()}, the reference's {shape}"
    error = magnitude(value_of(result) - expected)
    allowed = max(op.tolerance, ROUNDING) * magnitude(expected, reference_of_magnitudes(op, sample, arrays))
    assert error <= allowed, f"value is off by {error}"


def weighted_sum(result: Expression, weights: np.ndarray) -> Expression:
    """Return a loss: the sum of all elements of the result, each times its weight."""
    return dy.sum_batches(dy.dot_product(result, dy.inputTensor(weights, batched=True)))


def weights_of_shape(shape: Sequence[int], seed: int = 1) -> np.ndarray:
    return default_rng(seed).uniform(0.5, 1.5, shape).astype(np.float32)


def weights_for(result: Expression, seed: int = 1) -> np.ndarray:
    dims, batch = result.dim()
    return weights_of_shape((*dims, batch), seed)


_gradient_cache: dict[tuple, list[np.ndarray]] = {}  # a cache, because many checks use the same sample


def expected_gradients(op: Op, sample: Sample, arrays: Arrays, weights: np.ndarray) -> list[np.ndarray]:
    """Return each operand's gradient of the `weighted_sum` of the reference, by central differences."""
    key = op.reference, op.differentiable, repr(sample), *[array.tobytes() for array in (weights, *arrays)]
    if key not in _gradient_cache:
        _gradient_cache[key] = [_gradient_of(op, sample, arrays, weights, [k]) for k in range(len(arrays))]
    return _gradient_cache[key]


def _gradient_of(op: Op, sample: Sample, arrays: Arrays, weights: np.ndarray, indices: Sequence[int]) -> np.ndarray:
    """Return, by central differences, the gradient of an expression that is each of the operands number `indices`."""
    changed = arrays[indices[0]].astype(np.float64)
    gradient = np.zeros_like(changed)
    operands = [changed if index in indices else array for index, array in enumerate(arrays)]
    op = dataclasses.replace(op, reference=op.differentiated_as or op.reference)
    for index in np.ndindex(changed.shape if op.differentiable else 0):
        middle = changed[index]
        for step in (DIFFERENCE_STEP, -DIFFERENCE_STEP):
            changed[index] = middle + step
            gradient[index] += (weights * reference(op, sample, operands)).sum() / (2 * step)
        changed[index] = middle
    return gradient


def assert_gradient(actual: np.ndarray, expected: np.ndarray) -> None:
    error = magnitude(actual - expected)
    size = magnitude(expected)
    allowed = max(GRADIENT_TOLERANCE * max(SMALLEST_GRADIENT, size), ROUNDING * max(1.0, size))
    assert error <= allowed, f"gradient is off by {error} of {size}"


def mixtures(items: Sequence, count: int) -> list[list]:
    """Return lists of `count` items in which all entries, or all except one, are the same item."""
    lists = [[item] * count for item in items]
    for odd, usual in itertools.permutations(items, 2):
        lists += [[odd if k == position else usual for k in range(count)] for position in range(count) if count > 1]
    return lists


def check_gradients(op: Op, sample: Sample, *class_lists: Sequence[type]) -> None:
    """Check the gradient of each operand against central differences of the reference.

    Each of `class_lists` has a class for each operand; the default is all `mixtures` of classes. If a class is `Input`,
    or there are no operands, also check the result's own gradient.
    """
    arrays = draw(op, sample)
    for classes in class_lists or mixtures(OPERAND_CLASSES, len(arrays)):
        leaves, result = record_in_new_graph(op, sample, arrays, classes)
        weights = weights_for(result)
        full = Input in classes or not leaves
        weighted_sum(result, weights).backward(full=full)
        for leaf, gradient in zip(leaves, expected_gradients(op, sample, arrays, weights)):
            assert_gradient(leaf.gradient(), gradient)
        if full:
            assert_gradient(result.gradient().reshape(weights.shape), weights)


def check_operand_used_twice(op: Op, sample: Sample) -> None:
    """Check that gradients add up if all operands of one shape are the same expression, which two nodes use."""
    arrays = draw(op, sample)
    array_of_shape = {array.shape: array for array in reversed(arrays)}
    arrays = [array_of_shape[array.shape] for array in arrays]
    renew_cg()
    leaves = {shape: Computed(array) for shape, array in array_of_shape.items()}
    operands = [leaves[array.shape].expression for array in arrays]
    results = [record(op, sample, operands) for _ in range(2)]
    weights = [weights_for(result, seed) for seed, result in enumerate(results, 1)]
    first_loss, second_loss = map(weighted_sum, results, weights)
    (first_loss + second_loss).backward()
    for shape, leaf in leaves.items():
        indices = [index for index, array in enumerate(arrays) if array.shape == shape]
        assert_gradient(leaf.gradient(), _gradient_of(op, sample, arrays, np.add(*weights), indices))


def value_and_gradients(op: Op, sample: Sample, arrays: Arrays, weights: np.ndarray | None = None) -> list[np.ndarray]:
    """Return the value of the op in a new graph, and each operand's gradient of `weighted_sum(value, weights)`."""
    leaves, result = record_in_new_graph(op, sample, arrays, itertools.repeat(Input))
    weighted_sum(result, weights_for(result) if weights is None else weights).backward(full=True)
    return [value_of(result), *[leaf.gradient() for leaf in leaves]]


def assert_close(actual: Arrays, expected: Arrays, scales: Sequence[float] | None = None) -> None:
    """Check that arrays are equal, except for the rounding errors of sums that are added in a different order.

    Errors are relative to `scales`: the largest term of each array's sums, or by default, the array's largest element.
    """
    for array, expected_array, scale in zip(actual, expected, scales or map(magnitude, expected), strict=True):
        assert array.shape == expected_array.shape
        np.testing.assert_allclose(array, expected_array, rtol=2e-6, atol=2e-6 * scale)  # 17 times float32's epsilon


def check_batching(op: Op, sample: Sample, count: int = 4) -> None:
    """Check that `count` nodes that run as one batch have the same values and gradients as each alone in a graph."""
    operand_sets = [draw(op, sample, seed) for seed in range(count)]
    results_alone = [value_and_gradients(op, sample, arrays) for arrays in operand_sets]
    renew_cg()
    leaves = [[Input(array) for array in arrays] for arrays in operand_sets]
    other_nodes = [dy.tanh(leaf.expression) for leaf in leaves[0]]  # nodes of an op that must not change the results
    results = [record(op, sample, [leaf.expression for leaf in operands]) for operands in leaves]
    losses = [weighted_sum(result, weights_for(result)) for result in results]
    losses += [dy.sum_batches(dy.sum_elems(other_node)) * 0.0 for other_node in other_nodes]
    dy.esum(losses).backward(full=True)
    for result, operands, expected in zip(results, leaves, results_alone):
        assert_close([value_of(result), *[leaf.gradient() for leaf in operands]], expected)


def check_operands_of_many_nodes(op: Op, sample: Sample, operand_class: type = Computed, count: int = 40) -> None:
    """Check that gradients add up if `count` nodes that run as one batch share two sets of operands."""
    sets = [draw(op, sample, seed) for seed in (0, 2)]
    choices = default_rng(4).integers(0, len(sets), count)
    renew_cg()
    leaves = [[operand_class(array) for array in arrays] for arrays in sets]
    results = [record(op, sample, [operand.expression for operand in leaves[index]]) for index in choices]
    weights = np.array([weights_for(result, seed) for seed, result in enumerate(results)]) / np.float32(count)
    dy.esum([*map(weighted_sum, results, weights)]).backward(full=operand_class is Input)
    gradients = [[operand.gradient() for operand in operands] for operands in leaves]
    for index, arrays in enumerate(sets):
        total = weights[choices == index].sum(0)
        for gradient, expected in zip(gradients[index], value_and_gradients(op, sample, arrays, total)[1:]):
            assert_gradient(gradient, expected)


def check_minibatch(op: Op, sample: Sample, is_batched: Sequence[bool], batch: int = 3) -> None:
    """Check that a minibatch gives the same as its elements singly. `is_batched` says which operands have a batch."""
    rng = default_rng(3)
    operands = zip(sample.shapes, is_batched)
    arrays = [random_operand(op, rng, (*dims, batch if has_batch else 1)) for (dims, _), has_batch in operands]
    actual = value_and_gradients(op, sample, arrays)
    weights = weights_of_shape(actual[0].shape)
    elements = [[array[..., [b % array.shape[-1]]] for array in (*arrays, weights)] for b in range(batch)]
    single_results = [*zip(*[value_and_gradients(op, sample, pieces, weight) for *pieces, weight in elements])]
    expected = [
        np.concatenate(pieces, axis=-1) if whole.shape[-1] > 1 else np.sum(pieces, axis=0)
        for whole, pieces in zip(actual, single_results)
    ]
    # The gradient of an operand without a batch is a sum over the batch, whose rounding errors depend on its terms.
    assert_close(actual, expected, [magnitude(*pieces) for pieces in single_results])


ACCURACY_TOLERANCE = 1e-4  # the relative error that `check_accuracy` allows for each value and gradient
TRIAL_MAGNITUDES = [0.0, *10.0 ** np.arange(-6, 11), 0.3, 0.7, 3.0, 6.0, 17.0, 30.0, 44.0, 50.0, 80.0, 87.0, 88.5]
LARGE_TRIAL_MAGNITUDES = [1e15, 1e19, 1e25, 1e30, 3e38]  # tried only for ops of one operand


def trial_operands(op: Op) -> np.ndarray:
    """Return operands of all magnitudes for an op: an array with a row for each operand, a column for each call.

    In a call, all operands are equal, or only one is large or small. Both of two operands may be large or small.
    """
    rng, operand_count = default_rng(5), len(op.samples[0].shapes)
    magnitudes = np.array(TRIAL_MAGNITUDES + LARGE_TRIAL_MAGNITUDES * (operand_count == 1), np.float32)
    signed = np.concatenate([magnitudes, -magnitudes])
    blocks = [np.tile(signed, (operand_count, 1))]
    for operand in range(operand_count if operand_count > 1 else 0):
        blocks.append(rng.choice(np.array([0.25, 0.7, 1.0, 3.0, -2.0], np.float32), (operand_count, len(signed))))
        blocks[-1][operand] = signed
    if operand_count == 2:
        blocks.append(rng.choice(signed, (2, 200)))  # 200 random pairs
    return np.hstack(blocks)


def check_accuracy(op: Op) -> None:
    """Check values and gradients of an elementwise op against exact results, for operands of all magnitudes.

    An error may be `ACCURACY_TOLERANCE` times the exact value. Values that are too large for a float32 are not checked.
    An op that works only in a smaller range declares `limit` or `least`, and the reason as `range_reason`.
    """
    if op.formula is None or op.random:
        return
    try:
        from . import exact
    except ImportError as problem:
        raise ImportError(f"check_op compares with exact numbers, for which it needs mpmath ({problem})") from None
    if (op.limit < np.inf or op.least) and not op.range_reason:
        raise AssertionError(f"{op.name}: say in range_reason why the op has a limit or least")
    arrays = trial_operands(op)
    magnitudes, numbers = np.abs(arrays), op.samples[1].attributes
    in_range = ((op.least <= magnitudes) & (magnitudes <= op.limit)).all(0)
    sample = Sample([((arrays.shape[1],), 1)] * len(arrays), numbers)
    leaves, result = record_in_new_graph(op, sample, [*arrays[..., None]], itertools.repeat(Input))
    values = result.npvalue()
    dy.sum_elems(result).backward(full=True)
    gradients = [leaf.gradient()[:, 0] for leaf in leaves] if op.differentiable else []
    for column in np.flatnonzero(in_range):
        inputs = dict(zip(op.formula.names, map(float, [*arrays[:, column], *numbers.values()])))
        exact_value, call = exact.value(op.formula, inputs), f"{op.name}{tuple(inputs.values())}"
        if not abs(exact_value) <= LARGEST_FLOAT:
            continue
        _check_near(f"{call} is", values[column], [exact_value])
        for name, gradient in zip(op.formula.names, gradients):
            slopes = exact.slopes(op.formula, inputs, name)
            _check_near(f"the gradient of {call} by {name[1:]} is", gradient[column], slopes)


def _check_near(prefix: str, value: float, exact_values: Sequence[float]) -> None:
    """Check that `value` is near or between `exact_values`, if float32 can hold these. Tiny ones may be 0."""
    if exact_values and all(abs(number) <= LARGEST_FLOAT for number in exact_values):
        low, high = float(min(exact_values)), float(max(exact_values))
        slack = ACCURACY_TOLERANCE * max(-low, high) + 2 * SMALLEST_NORMAL
        assert low - slack <= value <= high + slack, f"{prefix} {value}, not {low} to {high}: {float(exact_values[-1])}"


def batch_combinations(count: int) -> list[Sequence[bool]]:
    """Return lists for `check_minibatch`, each of which says for `count` operands whether they have a batch.

    For up to 4 operands, return all lists with a batch. For more: those in which all, one, or all but one have a batch.
    """
    combinations = itertools.product([True, False], repeat=count) if count <= 4 else mixtures([True, False], count)
    return [*filter(any, combinations)]


def check_op(function: Callable) -> None:
    """Run all checks of this module on one op, with all its samples.

    Values are compared with the reference, and gradients with central differences of the reference. This is repeated
    with operands that are inputs, parameters and computed values, and with one expression as several operands or as the
    operand of several nodes. Nodes that run as one batch must give the same results as each alone, and a minibatch the
    same as its elements one by one. `check_accuracy` tries operands of any magnitude. The checks call `renew_cg`.

    Args:
        function: what `elementwise`, `columnwise`, `op`, `recorded` or `register` returned.

    Raises:
        AssertionError: a check fails.
        ArgumentTypeError: `function` is not an op.

    >>> check_op(dy.tanh)
    """
    op = OPS.get(getattr(function, "__name__", ""))
    if op is None:
        raise ArgumentTypeError(f"check_op: {function!r:.60} is not an op: give it one, as in check_op(dy.tanh)")
    for sample in op.samples:
        try:
            for operand_class in OPERAND_CLASSES:
                check_value(op, sample, operand_class)
            check_gradients(op, sample)
            check_operand_used_twice(op, sample)
            check_operands_of_many_nodes(op, sample)
            check_batching(op, sample)
            for is_batched in batch_combinations(0 if op.whole_batch else len(sample.shapes)):
                check_minibatch(op, sample, is_batched)
        except (AssertionError, AttributeError, TypeError) as error:
            raise AssertionError(f"{op.name} of {sample}: {error}") from error
    check_accuracy(op)
