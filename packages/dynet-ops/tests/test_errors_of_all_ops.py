"""Arguments that every op refuses: objects that are not expressions, and expressions of old graphs."""

import re

import numpy as np
import pytest
from op_checks import vector

import dynet_ops as dy
from dynet_core import (
    ArgumentError,
    ArgumentTypeError,
    StaleExpressionError,
    renew_cg,
)
from dynet_core.graph import current
from dynet_core.op import OPS
from dynet_ops.testing import record

of_each_op = pytest.mark.parametrize("op", OPS.values(), ids=OPS)
OPERATORS = {"add": "+", "subtract": "-", "cdiv": "/", "matmul": "*", "pow": "**"}
TAKE_NUMBERS = {"add", "subtract", "cdiv", "pow", "matmul"}  # as their second operand
STEPS_OF = {  # errors may name the op that does the work
    "trace_of_product": ["dot_product"],
    "column_softmax": ["softmax"],
    "column_log_softmax": ["log_softmax"],
    "column_cross_entropy": ["cross_entropy"],
    "column_rms_norm": ["rms_norm"],
    "max_dim": ["column_max", "transpose"],
    "min_dim": ["column_min", "transpose"],
}


def zeros_for(sample):
    return [dy.zeros(dims, batch) for dims, batch in sample.shapes]


def assert_refused(op, sample, operands, error, *parts):
    """Check that the call fails with this error, which starts with the op's name, and leaves the graph unchanged."""
    graph = current()
    nodes, inputs = graph.records.integers(), graph.records.floats(0, graph.records.inputs_length).tolist()
    with pytest.raises(error) as caught:
        record(op, sample, operands)
    assert type(caught.value) is error
    assert str(caught.value).split(":")[0] in [op.name, OPERATORS.get(op.name), *STEPS_OF.get(op.name, [])]
    for part in parts:
        assert part in str(caught.value)
    assert graph.records.integers() == nodes
    assert graph.records.floats(0, graph.records.inputs_length).tolist() == inputs


NO_EXPRESSIONS = [None, 1.0, np.ones(3)]
FURTHER = [pytest.param(wrong, marks=pytest.mark.thorough) for wrong in (2, "x", 1j, [1.0], np.array([None]))]


@of_each_op
@pytest.mark.parametrize("wrong", NO_EXPRESSIONS + FURTHER, ids=lambda wrong: type(wrong).__name__)
def test_no_op_takes_what_is_no_expression(op, wrong):
    renew_cg()
    for sample in op.samples:
        for place in range(len(sample.shapes)):
            if place and op.name in TAKE_NUMBERS and wrong.__class__ in (float, int):
                continue
            operands = zeros_for(sample)
            operands[place] = wrong
            assert_refused(op, sample, operands, ArgumentTypeError, type(wrong).__name__)


@of_each_op
def test_no_op_takes_an_expression_of_an_old_graph(op):
    for sample in op.samples:
        for place in range(len(sample.shapes)):
            renew_cg()
            stale = zeros_for(sample)[place]
            renew_cg()
            operands = zeros_for(sample)
            operands[place] = stale
            assert_refused(op, sample, operands, StaleExpressionError, "graph")


def takes_one_list(op):
    """Whether the op takes only a list; vanilla_lstm_gates_concat takes other operands after its list."""
    return op.samples[0].as_list and not op.name.startswith("vanilla_lstm_gates")


@pytest.mark.parametrize("op", [op for op in OPS.values() if takes_one_list(op)], ids=lambda op: op.name)
def test_no_op_takes_nothing_or_something_else_for_a_list(op):
    renew_cg()
    attributes = op.samples[0].attributes
    names = f"^({'|'.join([op.name, *STEPS_OF.get(op.name, [])])}): "
    with pytest.raises(ArgumentError, match=names):
        op.record([], **attributes)
    for wrong in (None, 1.0, "x", np.ones(3), {"x": 1}):
        with pytest.raises(ArgumentTypeError, match=names):
            op.record(wrong, **attributes)


# In the Python recorder, ops that are recorded from templates are plain Python functions.
OF_A_LIST = [op for op in OPS.values() if takes_one_list(op) and hasattr(op.record, "enter")]


@pytest.mark.parametrize("op", OF_A_LIST, ids=lambda op: op.name)
def test_operands_that_should_be_a_list_are_said_to_be_one(op):
    renew_cg()
    x = vector()
    for operands in ((x, x), (x, x, x)):
        with pytest.raises(TypeError, match=rf"^{op.name}.*; the expressions are one list, {op.name}\(\[\.\.\.\]\)$"):
            op.record(*operands)
    with pytest.raises(TypeError) as caught:
        op.record([x], 0, 0)
    assert "one list" not in str(caught.value)


SIGNS = {
    "+": [lambda x: x + 1, lambda x: 1 + x, lambda x: x + x],
    "-": [lambda x: x - 1, lambda x: 1 - x, lambda x: x - x],
    "*": [lambda x: x * 2, lambda x: 2 * x, lambda x: x * x],
    "/": [lambda x: x / 2, lambda x: x / x],
}


@pytest.mark.parametrize(("sign", "use"), [(sign, use) for sign, uses in SIGNS.items() for use in uses])
def test_an_operator_is_called_by_its_sign(sign, use):
    renew_cg()
    x = dy.scalarInput(1.0)
    use(x)
    renew_cg()
    with pytest.raises(StaleExpressionError, match=rf"^{re.escape(sign)}: "):
        use(x)


def test_a_matrix_of_one_number_is_told_how_to_be_read():
    renew_cg()
    x = dy.inputTensor([[6.0]])
    with pytest.raises(ArgumentTypeError, match=r"take its \.scalar_value\(\)"):
        float(x)
    assert float(x.scalar_value()) == 6.0
