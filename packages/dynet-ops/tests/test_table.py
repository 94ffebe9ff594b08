"""Every op of the table on each of its samples."""

import dataclasses
import doctest
import inspect
import itertools

import numpy as np
import pytest
from dynet_core.op import OPS
from op_checks import (
    Computed,
    Input,
    Parameter,
    check_batching,
    check_gradients,
    check_minibatch,
    check_operand_used_twice,
    check_value,
)

import dynet_ops as dy

SAMPLES = [
    pytest.param(op, sample, id=f"{name}-{number}")
    for name, op in OPS.items()
    for number, sample in enumerate(op.samples)
]
every_sample = pytest.mark.parametrize(("op", "sample"), SAMPLES)


@pytest.mark.parametrize("op", OPS.values(), ids=OPS)
def test_there_are_at_least_four_samples(op):
    assert len(op.samples) >= 4


@every_sample
def test_value(op, sample):
    for leaf in (Input, Parameter, Computed):
        check_value(op, sample, leaf)


def one_unlike_the_others(kind, rest, count):
    return [[kind if k == place else rest for k in range(count)] for place in range(count)]


@every_sample
def test_gradients(op, sample):
    count = len(sample.shapes)
    kinds = [[kind] * count for kind in (Input, Parameter, Computed)]
    if count > 1:
        for kind, rest in itertools.permutations((Input, Parameter, Computed), 2):
            kinds += one_unlike_the_others(kind, rest, count)
    check_gradients(op, sample, *kinds)


@every_sample
def test_operand_used_twice(op, sample):
    check_operand_used_twice(op, sample)


@every_sample
def test_nodes_that_run_together_do_not_meet(op, sample):
    check_batching(op, sample)


PER_ELEMENT = [parameter for parameter in SAMPLES if not parameter.values[0].whole_batch]


@pytest.mark.parametrize(("op", "sample"), PER_ELEMENT)
def test_a_minibatch_is_its_elements(op, sample):
    count = len(sample.shapes)
    choices = itertools.product([True, False], repeat=count) if count < 3 else one_unlike_the_others(True, False, count)
    for batched in choices:
        if any(batched):
            check_minibatch(op, sample, batched)


# The examples of docstrings ---------------------------------------------------------------------------------


def documented():
    return [name for name in dy.__all__ if inspect.isfunction(getattr(dy, name))]


@pytest.mark.parametrize("name", documented())
def test_docstring(name):
    function = getattr(dy, name)
    assert function.__doc__
    names = {name: getattr(dy, name) for name in dy.__all__} | {"np": np, "dy": dy}
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    for test in doctest.DocTestFinder(recurse=False).find(function, name, globs=names):
        runner.run(test)
    assert runner.tries, "no example"
    assert not runner.failures


# What must fail ----------------------------------------------------------------------------------------------

WITH_GRADIENT = [op for op in OPS.values() if op.differentiable]
of_each_op = pytest.mark.parametrize("op", WITH_GRADIENT, ids=lambda op: op.name)


def changed(op, change):
    """The op with its result, or its operands, passed through a function."""
    return dataclasses.replace(op, record=lambda *operands, **attributes: change(op.record, *operands, **attributes))


def with_gradient_times(x, factor):
    """x, whose gradient is `factor` times what it should be."""
    return x * factor + dy.nobackprop(x) * (1 - factor)


@of_each_op
@pytest.mark.parametrize("factor", [1.001, -1.0, 0.0], ids=["scaled", "flipped", "zeroed"])
def test_a_wrong_gradient_is_caught(op, factor):
    def wrong(record, *operands, **attributes):
        return with_gradient_times(record(*operands, **attributes), factor)

    sample = op.samples[0]
    with pytest.raises(AssertionError, match="gradient is off"):
        check_gradients(changed(op, wrong), sample, [Input] * len(sample.shapes))


@of_each_op
def test_a_wrong_gradient_of_one_operand_is_caught(op):
    for sample in op.samples:
        for place in range(len(sample.shapes)):

            def wrong(record, *operands, place=place, as_list=sample.as_list, **attributes):
                operands = list(operands[0] if as_list else operands)
                operands[place] = with_gradient_times(operands[place], 1.001)
                return record(operands, **attributes) if as_list else record(*operands, **attributes)

            with pytest.raises(AssertionError, match="gradient is off"):
                check_gradients(changed(op, wrong), sample, [Computed] * len(sample.shapes))


@pytest.mark.parametrize("op", OPS.values(), ids=OPS)
def test_a_wrong_value_is_caught(op):
    def wrong(record, *operands, **attributes):
        return record(*operands, **attributes) * (1 + 1e-4)

    for sample in op.samples:
        with pytest.raises(AssertionError):
            check_value(changed(op, wrong), sample)
