"""Ops on lists of operands are recorded from templates: lists of any length, including one or repeated operands."""

import numpy as np
import pytest
from op_checks import python_calls

import dynet_ops as dy
from dynet_core import ParameterCollection, errors, recorder, renew_cg
from dynet_core.graph import current

pytestmark = pytest.mark.skipif(recorder.DESCRIPTION != "compiled", reason="the recorder in Python has no templates")
TIMES = 6  # enough calls to learn and use a template


def test_patterns_of_equal_operands_are_told_apart():
    rng = np.random.default_rng(0)
    columns = np.arange(12.0).reshape(4, 3)
    for op, expected in ((dy.emax, np.max), (dy.average, np.mean)):
        for pattern in [*rng.integers(0, 4, (60, 5)), *rng.permuted(np.tile(range(4), (20, 1)), axis=1)]:
            renew_cg()
            xs = [dy.inputVector(column) for column in columns]
            found = op([xs[k] for k in pattern])
            assert found.npvalue() == pytest.approx(expected(columns[pattern], axis=0))


LISTS = [
    lambda x, y: [x],
    lambda x, y: (x,),
    lambda x, y: [x, y, x],
    lambda x, y: [x, x],
    lambda x, y: [x, y] * 10,
    lambda x, y: [y] * 13,
    lambda x, y: [x * k for k in range(1, 14)],
    lambda x, y: [x * k for k in range(1, 202)],
    lambda x, y: [*[x * k for k in range(20)], y[0], *[y * k for k in range(20)]],
    lambda x, y: tuple([x * 2, y[1]] * 20),
]


@pytest.mark.parametrize("op", [dy.emax, dy.logsumexp, dy.average, dy.esum, dy.concatenate])
@pytest.mark.parametrize("operands", LISTS)
def test_lists_of_any_length_are_recorded_without_python(op, operands):
    """This includes one-operand lists, for which some ops record nothing, and lists with a repeated operand."""
    model = ParameterCollection()
    p = model.parameters_from_numpy(np.array([0.5, -2.0]))
    found = []
    for k in range(TIMES):
        renew_cg()
        for _ in range(k):
            dy.inputVector([1.0])
        xs = operands(p * 1.5, dy.inputVector([1.0, -0.5]))
        if k == TIMES - 1:
            assert python_calls(op, xs) == []
        y = op(xs)
        dy.dot_product(y, y).backward()
        found.append([*y.npvalue().ravel(), *p.grad_as_array()])
        p.scale_gradient(0)
    assert found == [pytest.approx(found[0], rel=1e-5)] * TIMES


def test_a_sum_of_many_products_is_recorded_without_python():
    model = ParameterCollection()
    terms = [(model.add_parameters((3, k % 5 + 1)), np.full(k % 5 + 1, 0.5)) for k in range(20)]
    for k in range(TIMES):
        renew_cg()
        xs = [dy.inputVector([1.0, 2.0, 3.0])]
        for matrix, x in terms:
            xs += [matrix, dy.inputVector(x)]
        if k == TIMES - 1:
            assert python_calls(dy.affine_transform, xs) == []
        expected = [1, 2, 3] + sum(matrix.as_array() @ x for matrix, x in terms)
        assert dy.affine_transform(xs).npvalue() == pytest.approx(expected, rel=1e-5)


def test_what_an_op_returns_unchanged_is_the_argument_itself():
    model = ParameterCollection()
    p, q = model.add_parameters(2), model.add_parameters(2)
    for _ in range(TIMES):
        renew_cg()
        x, y = dy.inputVector([1.0, 2.0]), dy.inputVector([3.0, 4.0])
        for one in (x, y, p, q):
            before = current().records.ends()
            assert dy.emax([one]) is one
            assert dy.logsumexp([one]) is one
            assert current().records.ends() == before
    renew_cg()
    with pytest.raises(errors.StaleExpressionError):
        dy.emax([x])
