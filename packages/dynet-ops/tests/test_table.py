"""Every op of the table on each of its samples. With the option --op, only the named op."""

import dataclasses
import doctest
import functools
import inspect
import itertools
import types

import numpy as np
import pytest
from tested_ops import TESTED, each_sample

import dynet_core
import dynet_ops as dy
from dynet_core import renew_cg
from dynet_core.op import OPS
from dynet_ops import testing
from dynet_ops.testing import (
    OPERAND_CLASSES,
    Computed,
    Input,
    batch_combinations,
    check_accuracy,
    check_batching,
    check_gradients,
    check_minibatch,
    check_op,
    check_operand_used_twice,
    check_operands_of_many_nodes,
    check_value,
    draw,
    expected_gradients,
    magnitude,
    reference,
    weights_of_shape,
)

SAMPLES = each_sample(TESTED, few=False)
every_sample = pytest.mark.parametrize(("op", "sample"), SAMPLES)
few_samples = pytest.mark.parametrize(("op", "sample"), each_sample(TESTED))


@pytest.mark.parametrize("op", TESTED.values(), ids=TESTED)
def test_there_are_at_least_four_samples(op):
    assert len(op.samples) >= 4


@every_sample
def test_value(op, sample):
    for leaf in OPERAND_CLASSES:
        check_value(op, sample, leaf)


@few_samples
def test_value_in_a_graph_that_computes_at_once(op, sample, monkeypatch):
    monkeypatch.setattr(testing, "renew_cg", functools.partial(renew_cg, immediate_compute=True))
    check_value(op, sample, Computed)


@every_sample
def test_gradients(op, sample):
    check_gradients(op, sample)


@pytest.mark.parametrize("op", TESTED.values(), ids=TESTED)
def test_digits_of_values_and_gradients_of_all_magnitudes(op):
    check_accuracy(op)


@few_samples
def test_operand_used_twice(op, sample):
    check_operand_used_twice(op, sample)


@every_sample
@pytest.mark.parametrize(
    "leaf", [Computed, *(pytest.param(leaf, marks=pytest.mark.thorough) for leaf in OPERAND_CLASSES[:2])]
)
def test_nodes_that_run_together_and_share_operands(op, sample, leaf):
    check_operands_of_many_nodes(op, sample, leaf)


@every_sample
def test_nodes_that_run_together_do_not_meet(op, sample):
    check_batching(op, sample)


PER_ELEMENT = [parameter for parameter in SAMPLES if not parameter.values[0].whole_batch]


@pytest.mark.parametrize(("op", "sample"), PER_ELEMENT)
def test_a_minibatch_is_its_elements(op, sample):
    for is_batched in batch_combinations(len(sample.shapes)):
        check_minibatch(op, sample, is_batched)


# The examples of docstrings ---------------------------------------------------------------------------------


def documented():
    """The functions of this package; with --op, the function of that op, if it is public."""
    names = dy.__all__ if len(TESTED) == len(OPS) else [name for name in dy.__all__ if name in TESTED]
    return [name for name in names if inspect.isroutine(getattr(dy, name))]


@pytest.mark.parametrize("name", documented())
def test_docstring(name):
    function = getattr(dy, name)
    assert function.__doc__
    names = {name: getattr(module, name) for module in (dynet_core, dy) for name in module.__all__}
    names |= {"np": np, "dy": types.SimpleNamespace(**names)}
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    for test in doctest.DocTestFinder(recurse=False).find(function, name, globs=names):
        runner.run(test)
    assert runner.tries, "no example"
    assert not runner.failures


# Failures that must be detected -------------------------------------------------------------------------------

of_each_op = pytest.mark.parametrize("op", TESTED.values(), ids=TESTED)
of_each_op_with_gradient = pytest.mark.parametrize(
    "op", [op for op in TESTED.values() if op.differentiable], ids=lambda op: op.name
)


def changed(op, record):
    """A copy of the op with another recording function, which receives all operands in a list."""

    def of_operands(*operands, **attributes):
        as_list = bool(operands) and isinstance(operands[0], list)
        call = (lambda xs: op.record(xs, **attributes)) if as_list else (lambda xs: op.record(*xs, **attributes))
        return record(call, operands[0] if as_list else list(operands))

    return dataclasses.replace(op, record=of_operands)


def with_gradient_times(x, factor):
    """x, with its gradient multiplied by `factor`."""
    return x * factor + dy.nobackprop(x) * (1 - factor)


def places_with_gradient(op):
    """Samples and operands on which the result depends: a softmax of one value is always 1."""
    for sample in op.samples:
        arrays = draw(op, sample)
        weights = weights_of_shape(reference(op, sample, arrays).shape)
        for place, gradient in enumerate(expected_gradients(op, sample, arrays, weights)):
            if magnitude(gradient) > 0.1:
                yield sample, place


@of_each_op_with_gradient
@pytest.mark.parametrize(
    "factor",
    [
        pytest.param(1.001, id="scaled"),
        pytest.param(-1.0, id="flipped", marks=pytest.mark.thorough),
        pytest.param(0.0, id="zeroed", marks=pytest.mark.thorough),
    ],
)
def test_a_wrong_gradient_is_caught(op, factor):
    wrong = changed(op, lambda call, operands: with_gradient_times(call(operands), factor))
    samples = [sample for sample, _ in places_with_gradient(op)]
    assert samples
    for sample in samples:
        with pytest.raises(AssertionError, match="gradient is off"):
            check_gradients(wrong, sample, [Input] * len(sample.shapes))


@of_each_op_with_gradient
def test_a_wrong_gradient_of_one_operand_is_caught(op):
    for sample, place in places_with_gradient(op):

        def record(call, operands, place=place):
            operands[place] = with_gradient_times(operands[place], 1.001)
            return call(operands)

        with pytest.raises(AssertionError, match="gradient is off"):
            check_gradients(changed(op, record), sample, [Computed] * len(sample.shapes))


@of_each_op
def test_a_wrong_value_is_caught(op):
    wrong = changed(op, lambda call, operands: call(operands) * (1 + 1e-4) + 1e-5)
    for sample in op.samples:
        with pytest.raises(AssertionError, match="value is off"):
            check_value(wrong, sample)


@of_each_op
def test_a_wrong_shape_is_caught(op):
    def flat(call, operands):
        result = call(operands)
        (*dims, last), batch = result.dim()
        return dy.reshape(result, (*dims, last, 1), batch)

    with pytest.raises(AssertionError):
        check_value(changed(op, flat), op.samples[0])


def test_an_element_that_runs_apart_is_caught():
    """An op that mixes elements of the batch, and an op that a second node disturbs."""
    op, sample = OPS["tanh"], OPS["tanh"].samples[3]
    mixed = changed(op, lambda call, operands: call(operands) + dy.sum_batches(operands[0]))
    with pytest.raises(AssertionError):
        check_minibatch(mixed, sample, [True])
    count = itertools.count()
    disturbed = changed(op, lambda call, operands: call(operands) * (1.0 + 1e-4 * next(count)))
    with pytest.raises(AssertionError):
        check_batching(disturbed, sample)


@pytest.mark.parametrize(
    ("message", "record"),
    [
        ("value is off", lambda call, operands: call(operands) * 1.001),
        ("gradient is off", lambda call, operands: with_gradient_times(call(operands), 1.001)),
        (  # no sample has this shape, only a minibatch, whose elements are right
            "Not equal",
            lambda call, operands: call(operands) * (1.001 if operands[0].dim() == ((1,), 3) else 1.0),
        ),
    ],
)
def test_check_op_says_what_is_wrong(monkeypatch, message, record):
    check_op(dy.tanh)
    monkeypatch.setitem(OPS, "tanh", changed(OPS["tanh"], record))
    with pytest.raises(AssertionError, match=f"(?s)tanh of Sample.*{message}"):
        check_op(dy.tanh)
