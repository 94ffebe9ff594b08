"""Ops of users: mistakes in them are named."""

import numpy as np
import pytest

import dynet_ops as dy
from dynet_core import ArgumentError, Model, renew_cg
from dynet_core.expression import Expression
from dynet_core.op import OPS
from dynet_kernels import formula as f
from dynet_kernels.formula import Formula
from dynet_kernels.kernels import KERNELS
from dynet_kernels.rule import sum_over
from dynet_ops.kinds import columnwise, elementwise
from dynet_ops.testing import check_op


@pytest.mark.parametrize(
    "formula",
    [
        lambda x: x if x > 0 else 0 * x,
        lambda x: max(x, 0),
        lambda x: min(0.0, x),
        lambda x: x and 1,
        lambda x: 1 if not x else x,
        lambda x: x if x == 0 else -x,
        lambda x: x if 0 < x < 1 else -x,
        lambda x: x if x in (1.0, 2.0) else -x,
    ],
)
def test_a_condition_of_python_in_a_formula_is_refused(formula):
    with pytest.raises(TypeError, match=r"neither true nor false.*where\(x > 0, x, y\)"):
        Formula.of(formula)


def test_inequality_is_refused():
    with pytest.raises(TypeError, match=r"where\(x == y, a, b\)"):
        Formula.of(lambda x: f.where(x != 0, x, 1))


def test_equality_is_a_condition():
    assert Formula.of(lambda x: f.where(x == 0, 5.0, x)).key == Formula.of(lambda x: f.where(f.equal(x, 0), 5.0, x)).key


def test_an_op_with_a_condition_that_numpy_has_no_name_for():
    @elementwise(
        forward=lambda x: f.where(x == 0, 5.0, f.where(x > 0, x, 0 * x)),
        gradients={"x": lambda x, dy: f.where(x > 0, dy, 0 * dy)},
        reference=lambda x: np.where(x == 0, 5.0, np.maximum(x, 0)),
    )
    def own_rectifier(x: Expression) -> Expression:
        """A rectifier that is 5 at 0."""
        ...

    try:
        assert own_rectifier(dy.inputVector([-1.0, 0.0, 2.0])).value() == [0, 5, 2]
        check_op(own_rectifier)
    finally:
        del OPS["own_rectifier"]


@pytest.mark.parametrize("kind", ["elementwise", "columnwise"])
def test_a_gradient_of_what_is_no_operand_is_refused(kind):
    def decorate():
        facts = {"gradients": {"y": lambda dy: dy}, "reference": np.abs}
        if kind == "elementwise":
            return elementwise(forward=lambda a, b: a + b, **facts)
        return columnwise(formula=lambda a, b: a + b, **facts)

    def unheard_of(a: Expression, b: Expression) -> Expression: ...

    with pytest.raises(
        ArgumentError, match="unheard_of: a gradient is given for 'y', which is no operand; .* are a, b"
    ):
        decorate()(unheard_of)
    assert "unheard_of" not in OPS


def own_op(**facts):
    def unheard_of(x: Expression) -> Expression: ...

    facts = {"forward": lambda x: x, "gradients": {"x": lambda dy: dy}, "reference": np.abs} | facts
    return elementwise(**facts)(unheard_of)


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"forward": lambda x, y: x * y}, "the formula asks for 'y'; there are x"),
        ({"forward": lambda x, y=2.0: x * y}, "the formula asks for 'y'; there are x"),
        ({"forward": lambda x, beta: x * beta}, "the formula asks for 'beta'; there are x"),
        ({"gradients": {"x": lambda x, dx: dx}}, "the gradient of x asks for 'dx'; there are x, y, dy"),
    ],
)
def test_a_formula_that_asks_for_what_is_not_there_is_refused(facts, message):
    with pytest.raises(ArgumentError, match=f"^unheard_of: {message}$"):
        own_op(**facts)
    assert "unheard_of" not in OPS


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        (lambda x: x > 0, "the result is a condition"),
        (lambda x: x * (x > 0), "is no number; a condition"),
        (lambda x: f.where(x, 1, 0), "is no condition"),
        (lambda x: f.exp(x > 0), "is no number"),
        (lambda x: f.exp(), "exp takes 1 argument, got 0"),
        (lambda x: f.exp(x, x), "exp takes 1 argument, got 2"),
        (lambda x: f.where(x > 0, x), "where takes 3 arguments, got 2"),
        (lambda x: f.maximum(x), "maximum takes 2 arguments, got 1"),
    ],
)
def test_a_formula_that_cannot_be_compiled_is_refused(formula, message):
    with pytest.raises(TypeError, match=message):
        own_op(forward=formula)
    assert "unheard_of" not in OPS


def test_annotations_may_be_texts():
    def annotated(x: "Expression") -> "Expression":
        """The same."""
        ...

    made = elementwise(forward=lambda x: x + 1, gradients={"x": lambda dy: dy}, reference=lambda x: x + 1)(annotated)
    try:
        assert made(dy.inputVector([1.0])).value() == 2
    finally:
        del OPS["annotated"]


CELL = '''
@{kind}(reference=None, {facts})
def cell_{kind}(x: Expression) -> Expression:
    """A cell of a notebook."""
'''
FACTS = {
    "elementwise": 'forward=lambda x: x * {n}, gradients={{"x": lambda dy: dy * {n}}}',
    "columnwise": (
        'reductions={{"total": sum_over(lambda x: x * {n})}}, formula=lambda total: total, '
        'gradients={{"x": lambda dy: dy * {n}}}, number=True, whole=True'
    ),
}


@pytest.mark.parametrize("kind", FACTS)
def test_a_cell_that_is_run_again_defines_its_op_anew(kind):
    def run(n):
        exec(CELL.format(kind=kind, facts=FACTS[kind].format(n=n)), namespace)
        return namespace[f"cell_{kind}"]

    namespace = {"__name__": "__main__", "elementwise": elementwise, "columnwise": columnwise, "sum_over": sum_over}
    namespace["Expression"] = Expression
    p = Model().parameters_from_numpy([3.0])
    first = run(2)
    second, third = run(2), run(5)
    for op, factor in ((first, 2), (second, 2), (third, 5), (first, 2)):
        renew_cg()
        y = op(p)
        assert y.value() == 3 * factor
        y.backward()
        assert p.grad_as_array() == [factor]
        p.scale_gradient(0)
    assert OPS[f"cell_{kind}"].record is third
    names = [name for name in (f"cell_{kind}.{n}" for n in (2, 3)) if name in KERNELS._kernels]
    assert names == [f"cell_{kind}.2"]


def test_an_op_may_not_take_anothers_name():
    def tanh(x: Expression) -> Expression: ...

    with pytest.raises(ArgumentError, match="^tanh: dynet_ops.elementwise has an op of this name: give the new one"):
        elementwise(forward=lambda x: x, gradients={}, reference=None)(tanh)
