"""Ops of users: mistakes in them are named."""

import inspect
import math

import numpy as np
import pytest

import dynet_ops as dy
from dynet_core import ArgumentError, Model, renew_cg
from dynet_core.annotations import Number
from dynet_core.expression import Expression
from dynet_core.op import OPS
from dynet_kernels import formula as f
from dynet_kernels.formula import Formula
from dynet_kernels.table import KERNELS
from dynet_ops.axes import BATCH, DIMENSIONS, Along
from dynet_ops.kinds import columnwise, elementwise
from dynet_ops.loss.probability import column_softmax
from dynet_ops.testing import check_op

AFTER = "after `from dynet_kernels import formula as f`"


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
    @elementwise(reference=lambda x: np.where(x == 0, 5.0, np.maximum(x, 0)))
    def own_rectifier(x: Expression) -> Expression:
        """A rectifier that is 5 at 0."""
        return f.where(x == 0, 5.0, f.where(x > 0, x, 0 * x))

    try:
        assert own_rectifier(dy.inputVector([-1.0, 0.0, 2.0])).value() == [0, 5, 2]
        check_op(own_rectifier)
    finally:
        del OPS["own_rectifier"]


@pytest.mark.parametrize("kind", ["elementwise", "columnwise"])
def test_a_gradient_of_what_is_no_operand_is_refused(kind):
    def decorate():
        facts = {"gradients": {"y": lambda dy: dy}, "reference": np.abs}
        return elementwise(**facts) if kind == "elementwise" else columnwise(**facts)

    def unheard_of(a: Expression, b: Expression) -> Expression:
        return a + b

    with pytest.raises(
        ArgumentError, match="unheard_of: a gradient is given for 'y', which is no operand; .* are a, b"
    ):
        decorate()(unheard_of)
    assert "unheard_of" not in OPS


def own_op(formula=lambda x: x, **facts):
    formula.__name__ = "unheard_of"
    formula.__annotations__ = {"x": Expression}
    return elementwise(reference=np.abs, **facts)(formula)


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"formula": lambda x, y: x * y}, "the formula asks for 'y', which is no operand; the operands are x"),
        ({"formula": lambda x, y=2.0: x * y}, "the formula asks for 'y', which is no operand; the operands are x"),
        ({"formula": lambda x, beta: x * beta}, "the formula asks for 'beta', which is no operand; the operands are x"),
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
        (lambda x: None, "the formula returns nothing"),
        (lambda x: ..., "the formula returns nothing"),
        (lambda x: f.digamma(x), "digamma has no known derivative: state the gradient"),
        (lambda x: x * (x > 0), "is no number; a condition"),
        (lambda x: f.where(x, 1, 0), "is no condition"),
        (lambda x: f.exp(x > 0), "is no number"),
        (lambda x: f.exp(), "exp takes 1 argument, got 0"),
        (lambda x: f.exp(x, x), "exp takes 1 argument, got 2"),
        (lambda x: f.where(x > 0, x), "where takes 3 arguments, got 2"),
        (lambda x: f.maximum(x), "maximum takes 2 arguments, got 1"),
        (lambda x: np.exp(x), rf"numpy\.exp takes numbers, not the symbol input\('x'\), .*: write f\.exp, {AFTER}$"),
        (lambda x: x * np.arctan(x * 2), rf"numpy\.arctan takes numbers, .*: write f\.atan, {AFTER}$"),
        (lambda x: np.maximum(x, 0), rf"numpy\.maximum takes numbers, .*: write f\.maximum, {AFTER}$"),
        (lambda x: np.where(x > 0, x, 0), rf"numpy\.where takes numbers, .*: write f\.where, {AFTER}$"),
        (lambda x: np.sum(x), rf"numpy\.sum takes numbers, .*: write f\.sum, {AFTER}$"),
        (lambda x: np.add.reduce(x), rf"numpy\.add\.reduce takes numbers, .*: write f\.sum, {AFTER}$"),
        (
            lambda x: np.mean(x),
            r"numpy\.mean takes numbers, .*: a formula has only .* functions of dynet_kernels\.formula$",
        ),
        (lambda x: math.exp(x), rf"a function such as math\.exp takes numbers, .*: write f\.exp, {AFTER}$"),
        (lambda x: x * round(x), rf"round takes numbers, .*: write f\.round, {AFTER}$"),
        (lambda x: dy.tanh(x), rf"tanh: expected an Expression, got Symbol input\('x'\); write f\.tanh, {AFTER}$"),
        (lambda x: dy.abs(x), rf"abs: expected an Expression, got Symbol .*; write f\.absolute, {AFTER}$"),
        (lambda x: dy.cmult(x, x), r"cmult: expected an Expression, got Symbol .*; a formula has only numbers, .*"),
        (
            lambda x: dy.scalarInput(2.0) * x,
            r"\*: expected an Expression or a number, got Symbol .*; a formula has only",
        ),
        (lambda x: x * dy.scalarInput(2.0), "a formula consists of numbers and .*, not of Expression expression "),
        (lambda x: x * np.ones(2), r"a formula consists of numbers and .*, not of ndarray array\(\[1\., 1\.\]\)"),
        (lambda x: np.ones(2) * x, r"a formula consists of numbers and .*, not of ndarray array\(\[1\., 1\.\]\)"),
        (lambda x: x * "2a", "a formula consists of numbers and .*, not of str '2a'"),
        (lambda x: [x], "a formula consists of numbers and .*, not of list "),
    ],
)
def test_a_formula_that_cannot_be_compiled_is_refused(formula, message):
    with pytest.raises(TypeError, match=message):
        own_op(formula)
    assert "unheard_of" not in OPS


def test_methods_of_arrays_are_refused_in_formulas():
    for name, formula in (("exp", lambda x: x.exp()), ("sum", lambda x: x.sum())):
        with pytest.raises(AttributeError, match=rf"^a symbol has no method '{name}': write f\.{name}, {AFTER}$"):
            own_op(formula)
    with pytest.raises(AttributeError, match="'Symbol' object has no attribute 'T'"):
        own_op(lambda x: x.T)


def test_formulas_take_numbers_and_operators_of_numpy():
    formulas = [
        (lambda x: np.float32(2) * x, 6.0),
        (lambda x: np.float64(1) - x / np.float32(2), -0.5),
        (lambda x: np.int64(2) ** x, 8.0),
        (lambda x: x * np.array(2.0), 6.0),
        (lambda x: np.square(x) + np.multiply(x, 2), 15.0),
        (lambda x: abs(-x) + np.abs(x), 6.0),
        (lambda x: f.where(np.float32(0) < x, 1 / x * 3, 0), 1.0),
        (lambda x: np.sum([x, x, 1]), 7.0),
    ]
    for formula, value in formulas:
        try:
            assert own_op(formula)(dy.scalarInput(3.0)).value() == pytest.approx(value)
        finally:
            OPS.pop("unheard_of", None)


def test_annotations_may_be_texts():
    @elementwise(reference=lambda x: x + 1)
    def annotated(x: "Expression") -> "Expression":
        """The next number."""
        return x + 1

    try:
        assert annotated(dy.inputVector([1.0])).value() == 2
    finally:
        del OPS["annotated"]


CELL = """
@{kind}(reference=None)
def cell_{name}({parameters}) -> Expression:
    '''A cell of a notebook.'''
    return {body}
"""
CELLS = {
    "element": ("elementwise", "x: Expression", "x * {n}"),
    "number": ("elementwise", "x: Expression, c: float = 0.0", "x * {n} + c"),
    "column": ("columnwise", "x: Expression", "f.sum(x * {n})"),
}


@pytest.mark.parametrize("name", CELLS)
def test_a_cell_that_is_run_again_defines_its_op_anew(name):
    def run(n):
        kind, parameters, body = CELLS[name]
        exec(CELL.format(kind=kind, name=name, parameters=parameters, body=body.format(n=n)), namespace)
        return namespace[f"cell_{name}"]

    namespace = {"__name__": "__main__", "elementwise": elementwise, "columnwise": columnwise}
    namespace |= {"Expression": Expression, "f": f}
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
    assert OPS[f"cell_{name}"].record is third
    assert [n for n in (2, 3) if f"cell_{name}.{n}" in KERNELS._kernels] == [2]


def test_an_op_may_not_take_anothers_name():
    def tanh(x: Expression) -> Expression:
        return x

    with pytest.raises(
        ArgumentError, match="^tanh: dynet_ops.elementwise.functions has an op of this name: give the new one"
    ):
        elementwise(reference=None)(tanh)


def test_a_stated_gradient_takes_the_place_of_the_derived_one():
    @elementwise(reference=np.multiply, gradients={"x": lambda dz: 7 * dz})
    def own_product(x: Expression, y: Expression) -> Expression:
        """A product with a gradient of its own."""
        return x * y

    try:
        x, y = dy.inputVector([2.0]), dy.inputVector([3.0])
        own_product(x, y).backward(full=True)
        assert (x.gradient(), y.gradient()) == (7, 2)
    finally:
        del OPS["own_product"]


def test_an_op_of_an_expression_and_a_number():
    @elementwise(reference=lambda x, slope=0.1: np.maximum(x, slope * x))
    def own_leaky(x: Expression, slope: Number = 0.1) -> Expression:
        """A rectifier with a slope below 0."""
        return f.maximum(x, slope * x)

    try:
        check_op(own_leaky)
        x = dy.inputVector([-2.0, 3.0])
        assert own_leaky(x, slope=0.5).value() == [-1, 3]
        dy.sum_elems(own_leaky(x, 0.25)).backward(full=True)
        assert x.gradient().tolist() == [0.25, 1]
        with pytest.raises(ArgumentError, match="own_leaky: slope must be a finite float32"):
            own_leaky(x, np.inf)
        with pytest.raises(TypeError, match=r"own_leaky\(\): missing a required argument: 'x'"):
            own_leaky(slope=1.0)
    finally:
        del OPS["own_leaky"]


def test_a_stated_gradient_of_an_op_with_a_number():
    @elementwise(reference=np.multiply, gradients={"x": lambda c, dy: dy * c * 7})
    def own_multiple(x: Expression, c: float) -> Expression:
        """A multiple with a gradient of its own."""
        return x * c

    try:
        x = dy.inputVector([2.0])
        own_multiple(x, 3).backward(full=True)
        assert x.gradient() == 21
    finally:
        del OPS["own_multiple"]


def test_a_reduction_is_stated_once_for_all_axes():
    @columnwise(reference=lambda x, n: np.abs(x).sum() / n)
    def mean_size(x: Expression, share: Number):
        """The mean of magnitudes, for share = 1 / n."""
        return f.sum(f.absolute(x)) * share

    along = Along(mean_size, parts=dy.sum_elems, constants=lambda n, count: (1 / n,))

    @along.op(DIMENSIONS)
    def own_mean_dim(x: Expression, d=(0,), b: bool = False) -> Expression:
        return along.dimensions("own_mean_dim", x, d, b)

    @along.op(BATCH)
    def own_mean_batches(x: Expression) -> Expression:
        return along.over_batch("own_mean_batches", x)

    try:
        check_op(own_mean_dim)
        check_op(own_mean_batches)
        assert own_mean_dim(dy.inputTensor([[1, -2], [-3, 4]]), [1]).value() == [1.5, 3.5]
    finally:
        del OPS["own_mean_dim"], OPS["own_mean_batches"]


@pytest.mark.parametrize("column", [dy.dot_product, column_softmax], ids=["two operands", "a column"])
def test_what_is_no_reduction_is_not_made_one(column):
    with pytest.raises(ArgumentError, match=f"^{column.__name__}: no reduction: it must make one number of each"):
        Along(column)


def test_an_op_of_steps_has_no_gradient():
    @elementwise(reference=np.floor)
    def own_floor(x: Expression) -> Expression:
        """The whole number below."""
        return f.floor(x)

    try:
        assert not OPS["own_floor"].differentiable
        check_op(own_floor)
    finally:
        del OPS["own_floor"]


def test_an_op_shows_what_its_function_shows():
    @elementwise(reference=np.add)
    def own_sum(x: Expression, y: Expression) -> Expression:
        """A sum."""
        return x + y

    try:
        assert own_sum.__doc__ == "A sum."
        assert [p.annotation for p in inspect.signature(own_sum).parameters.values()] == [Expression, Expression]
        assert own_sum(y=dy.inputVector([1.0]), x=dy.inputVector([2.0])).value() == 3
    finally:
        del OPS["own_sum"]
