"""User-defined ops: values, gradients, and errors that point out mistakes in their definition."""

import functools
import inspect
import math
import pickle

import numpy as np
import pytest

import dynet_core
import dynet_ops as dy
from dynet_core import ArgumentError, ArgumentTypeError, Model, renew_cg
from dynet_core.annotations import Number
from dynet_core.graph.expression import Expression
from dynet_core.op import OPS, Sample
from dynet_kernels import formula as f
from dynet_kernels import layout
from dynet_kernels.formula import Formula
from dynet_kernels.table import KERNELS
from dynet_ops import exact
from dynet_ops.axes import BATCH, DIMENSIONS, Along
from dynet_ops.declare import (
    SELF,
    Dim,
    Index,
    Rule,
    Signature,
    Step,
    View,
    checked_indices,
    computed,
    derive_rules,
    graph_of,
    node,
    recorded,
    shape_of,
)
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
        ArgumentError, match="unheard_of: a gradient is given for 'y', which is not an operand; .* are a, b"
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
        (
            {"formula": lambda x, y: x * y},
            r"the formula asks for 'y', which is not an operand; the operands are x\. Annotate an operand as `y: "
            r"dy\.Expression`, and a plain number as `y: dy\.Number`",
        ),
        (
            {"formula": lambda x, y=2.0: x * y},
            "the formula asks for 'y', which .*, and a plain number as `y: dy.Number`",
        ),
        (
            {"formula": lambda x, beta: x * beta},
            "the formula asks for 'beta', which .* a plain number as `beta: dy.Number`",
        ),
        (
            {"formula": lambda x: f.sum(x)},
            "f.sum is over a column, but this works on each element separately: make an op by .*",
        ),
        ({"formula": lambda x: f.where(f.place > x, x, 1)}, "f.place is over a column, .*"),
        ({"gradients": {"x": lambda dy: dy * f.max(dy)}}, "f.max is over a column, .*"),
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
        (lambda x: x * (x > 0), "is not a number; a condition"),
        (lambda x: f.where(x, 1, 0), "is not a condition"),
        (lambda x: f.exp(x > 0), "is not a number"),
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
        (lambda x: x * "2", "a formula consists of numbers and .*, not of str '2'"),
        (lambda x: b"1_0", "a formula consists of numbers and .*, not of bytes b'1_0'"),
        (lambda x: [x], "a formula consists of numbers and .*, not of list "),
    ],
)
def test_a_formula_that_cannot_be_compiled_is_refused(formula, message):
    with pytest.raises(TypeError, match=message):
        own_op(formula)
    assert "unheard_of" not in OPS


@pytest.mark.parametrize("kind", [elementwise, columnwise])
@pytest.mark.parametrize(
    ("declared", "message"),
    [
        (
            lambda kind: kind(lambda x: x),
            r"\(\): too many positional arguments: write @.*\(reference=f\), of a numpy func",
        ),
        (lambda kind: kind(), r"\(\): missing a required argument: 'reference': write @.*\(reference=f\)"),
        (
            lambda kind: elementwise(reference=abs, gradient={}),
            r"\(\): got an unexpected keyword argument 'gradient': use grad",
        ),
        (lambda kind: kind(reference=3), "^unheard_of: reference must be a function of numpy arrays, not 3$"),
        (
            lambda kind: kind(reference=abs, gradients=[abs]),
            "^unheard_of: gradients must be a dict such as ",
        ),
        (
            lambda kind: kind(reference=abs, gradients={"x": 2}),
            "^unheard_of: gradients must be a dict .*, not {'x': 2}$",
        ),
    ],
)
def test_a_wrong_declaration_says_what_to_write(kind, declared, message):
    def unheard_of(x: Expression) -> Expression:
        return 2 * x

    with pytest.raises(TypeError, match=message):
        declared(kind)(unheard_of)
    assert "unheard_of" not in OPS


def test_a_formula_without_a_number_as_result_names_its_op():
    for result, said in ((None, "the formula returns nothing"), ((1, 2), "not of tuple"), ("a", "not of str")):
        with pytest.raises(TypeError, match=f"^unheard_of: .*{said}"):
            own_op(eval(f"lambda x: {result!r}"))
        with pytest.raises(TypeError, match=f"^unheard_of: the gradient of x: .*{said}"):
            own_op(gradients={"x": eval(f"lambda x: {result!r}")})


def test_a_number_by_keyword_only_is_refused():
    def unheard_of(x: Expression, *, c: Number) -> Expression:
        return c * x

    with pytest.raises(ArgumentError, match="^unheard_of: the keyword-only c: .* is neither a plain operand"):
        elementwise(reference=np.multiply)(unheard_of)


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        (lambda a, b: a, r"^unheard_of of Sample\(.*missing 1 required positional argument: 'b'$"),
        (lambda a: 1.0, r"^unheard_of of Sample\(.*: the reference returns 1\.0, which is not an array$"),
        (lambda a: None, r"^unheard_of of Sample\(.*: the reference returns None, which is not an array$"),
        (lambda a: a[:0], r"^unheard_of of Sample\(.*: its shape is .*, the reference's \(\("),
    ],
)
def test_a_check_with_a_wrong_reference_names_the_op(reference, message):
    def unheard_of(x: Expression) -> Expression:
        return 2 * x

    try:
        with pytest.raises(AssertionError, match=message):
            check_op(elementwise(reference=reference)(unheard_of))
    finally:
        OPS.pop("unheard_of", None)


@pytest.mark.parametrize("what", ["tanh", lambda x: x, 3])
def test_what_is_no_op_is_not_checked(what):
    with pytest.raises(
        ArgumentTypeError, match=r"^check_op: .* is not an op: give it one, as in check_op\(dy\.tanh\)$"
    ):
        check_op(what)


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
        ArgumentError, match="^tanh: dynet_ops.elementwise.functions already has an op of this name: give the new one"
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
    @columnwise(is_op=False, reference=lambda x, n: np.abs(x).sum() / n)
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
    with pytest.raises(ArgumentError, match=f"^{column.__name__}: not a reduction: it must turn each"):
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


def made(parameters, body, kind=elementwise, **facts):
    """An op defined by the source text of its parameters and formula."""
    namespace = {"__name__": "made", "E": Expression, "N": Number, "f": f}
    exec(f"def own_made({parameters}):\n    return {body}", namespace)
    return kind(**({"reference": None} | facts))(namespace["own_made"])


@pytest.fixture
def own_made():
    yield made
    OPS.pop("own_made", None)


def of_vectors(op, *vectors, **numbers):
    """The value of an op's sum, and its gradients."""
    renew_cg()
    xs = [dy.inputVector(vector) for vector in vectors]
    y = op(*xs, **numbers)
    value = y.npvalue()
    dy.sum_elems(y).backward(full=True)
    return [value.tolist(), *[x.gradient().tolist() for x in xs]]


NAMES = [("y", "z"), ("x", "dx"), ("dx", "x"), ("x", "dy"), ("dy", "w"), ("z", "dz"), ("y", "dy"), ("result", "d")]


@pytest.mark.few(each=5)
@pytest.mark.parametrize("kind", [elementwise, columnwise])
@pytest.mark.parametrize(("a", "b"), NAMES)
def test_operands_may_have_any_names(a, b, kind, own_made):
    """Including names that the generated code uses for the result and the gradients."""
    op = own_made(f"{a}: E, {b}: E", f"{a} * {b} * {b}", kind)
    assert of_vectors(op, [2.0, 3.0], [5.0, 7.0]) == [[50, 147], [25, 49], [20, 42]]


@pytest.mark.parametrize(
    ("parameters", "result"),
    [("x: E", "y"), ("x: E, y: E", "z"), ("x: E, dy: E", "z"), ("x: E, y: E, dz: E", "result"), ("x: E, y: N", "z")],
)
def test_a_stated_gradient_asks_for_the_result_by_a_name_that_no_operand_has(parameters, result, own_made):
    namespace = {}
    exec(f"def gradient(d{result}, {result}):\n    return d{result} * {result} * 10", namespace)
    op = own_made(parameters, "x * 3", gradients={"x": namespace["gradient"]})
    others = [[1.0]] * (parameters.count(": E") - 1)
    numbers = {"y": 1.0} if "y: N" in parameters else {}
    assert of_vectors(op, [2.0], *others, **numbers)[:2] == [[6], [60]]


def test_a_gradient_that_could_not_ask_for_the_result_is_refused(own_made):
    with pytest.raises(ArgumentError, match="^own_made: rename an argument, so that a gradient can ask for the result"):
        own_made("y: E, z: E, dresult: E", "y * z")


def test_ops_of_many_operands_and_numbers():
    @elementwise(reference=lambda x, dx, y, z, b: x * dx + y * z / (1 + b * b))
    def own_five(x: Expression, dx: Expression, y: Expression, z: Expression, b: Expression) -> Expression:
        """A function of five."""
        return x * dx + y * z / (1 + b * b)

    @elementwise(reference=lambda x, y, a, b=1.5: a * x * x + b * np.sin(y))
    def own_mixture(x: Expression, y: Expression, a: Number, b: Number = 1.5) -> Expression:
        """A function of two and two numbers."""
        return a * x * x + b * f.sin(y)

    @elementwise(reference=lambda x, low=-1.0, high=1.0: np.clip(x, low, high))
    def own_clip(x: Expression, low: Number = -1.0, high: Number = 1.0) -> Expression:
        """A function of one and two numbers."""
        return f.minimum(f.maximum(x, low), high)

    @columnwise(reference=lambda x, y, z: x * y / np.abs(z).sum(0))
    def own_column(x: Expression, y: Expression, z: Expression) -> Expression:
        """A function of three columns."""
        return x * y / f.sum(f.absolute(z))

    @columnwise(
        above={"c": 1},
        reference=lambda x, y, c, d=2.0: x + y * y / c - d * x.sum(0),
        samples=[Sample([((3, 2), 2)] * 2, {"c": 1.5}), Sample([((5,), 1)] * 2, {"c": 3, "d": -1})],
    )
    def own_numbers(x: Expression, y: Expression, c: Number, d: Number = 2.0) -> Expression:
        """A function of two columns and two numbers."""
        return x + y * y / c - d * f.sum(x)

    try:
        with pytest.raises(ArgumentError, match=r"own_numbers: c must be above 1, got 1.0"):
            own_numbers(dy.vecInput(2), dy.vecInput(2), d=3, c=1)
        for op in (own_five, own_clip, own_column, own_numbers):
            check_op(op)
        x, y = dy.inputVector([1.0, 2.0]), dy.inputVector([0.0, 0.5])
        assert own_mixture(x, y, 2).npvalue() == pytest.approx([2, 8 + 1.5 * np.sin(0.5)])
        assert own_mixture(b=0, x=x, a=3, y=y).value() == [3, 12]
        with pytest.raises(ArgumentError, match="own_mixture: b must be a finite float32, got inf"):
            own_mixture(x, y, 1, np.inf)
        with pytest.raises(
            dynet_core.ShapeError, match=r"own_mixture: dimensions do not fit: operands are \(2,\), \(3,\)"
        ):
            own_mixture(x, dy.inputVector([1, 2, 3]), 1)
        with pytest.raises(TypeError, match="own_five: expected an Expression, got int 3"):
            own_five(x, x, x, x, 3)
    finally:
        del OPS["own_five"], OPS["own_mixture"], OPS["own_clip"], OPS["own_column"], OPS["own_numbers"]


@pytest.mark.parametrize("kind", [elementwise, columnwise])
def test_numbers_come_after_operands(own_made, kind):
    for parameters in ("a: N, x: E", "x: E, a: N, y: E", "a: N"):
        with pytest.raises(
            ArgumentError, match="^own_made: one or more expressions are needed, and plain numbers come af"
        ):
            own_made(parameters, "a * 2", kind)


@pytest.mark.parametrize("kind", [elementwise, columnwise])
def test_a_limit_of_a_number_that_is_none_is_refused(own_made, kind):
    for name in ("q", "x"):
        with pytest.raises(
            ArgumentError, match=f"^own_made: above names '{name}', which is not one of its plain numbers"
        ):
            own_made("x: E, c: N", "x * c", kind, above={name: 0})
    op = own_made("x: E, c: N", "x * c", kind, above={"c": 0}, reference=lambda x, c: x * c)
    with pytest.raises(ArgumentError, match="^own_made: c must be above 0, got 1e-50"):
        op(dy.inputVector([1.0]), 1e-50)  # 0 as a float32
    check_op(op)
    for limit in ("q", None, math.nan):
        with pytest.raises((ArgumentError, ArgumentTypeError), match="^own_made: the limit of c"):
            own_made("x: E, c: N", "x * c", kind, above={"c": limit})
    with pytest.raises(ArgumentError, match="^own_made: c must be above 1, got 0.5"):
        own_made("x: E, c: N = 0.5", "x * c", kind, above={"c": 1})


@pytest.mark.parametrize("number", ["1e39", "-1e39", "10 ** 40", "10 ** 400", "3.403e38"])
def test_constants_beyond_float32_are_refused(number, own_made):
    with pytest.raises(
        ValueError, match=f"^the constant -?{number[:1]}.* is too large for a formula: the largest float32"
    ):
        own_made("x: E", f"x * {number}")
    assert own_made("x: E", "f.where(x < 3.4e38, x, float('inf'))")(dy.inputVector([1.0])).value() == 1


@pytest.mark.parametrize(
    ("body", "at", "gradient"),
    [
        ("f.cosh(x) / f.sinh(x) - 1 / x", [50.0], 1 / 2500),
        ("x / (1 + f.exp(-x)) + x", [-88.0], 1),
        ("x * (1 - 2 / (f.exp(2 * x) + 1))", [44.0], 1),
        ("f.asinh(f.cosh(x))", [50.0], 1),
        ("f.maximum(x, y) * f.sqrt(1 + (f.minimum(x, y) / f.maximum(x, y)) ** 2)", [3e30, 4e30], 0.6),
        ("f.where(x < 2, x, y) * x", [3.0, 5.0], 5),
        ("f.where(x < 0, y, f.tanh(x) * 300) - f.tanh(x) * 300", [0.3, 2.0], 0),
        ("x ** y", [0.0, 0.0], 0),
        ("x ** y", [-1.0, 1e30], -1e30),
        ("x ** y", [1.5e-39, 0.001], 0.001 * 1.5e-39**-0.999),
        ("f.tanh(x)", [6.0], 1 / np.cosh(6.0) ** 2),
        ("f.tanh(x)", [40.0], 1 / np.cosh(40.0) ** 2),
        ("1 - 2 * f.logistic(x)", [60.0], -2 * np.exp(-60.0)),
    ],
)
def test_derived_gradients_do_not_overflow_or_lose_digits(body, at, gradient, own_made):
    op = own_made(", ".join(f"{name}: E" for name in "xy"[: len(at)]), body)
    found = of_vectors(op, *[[number] for number in at])
    assert found[1][0] == pytest.approx(gradient, rel=1e-3, abs=0)
    if at == [0, 0]:
        assert found[2] == [0]


def test_checks_try_all_magnitudes(own_made):
    def check(body, message, **facts):
        op = own_made(
            "x: E", body, reference=lambda x: eval(body.replace("f.absolute", "np.abs").replace("f.", "np.")), **facts
        )
        with np.errstate(all="ignore"):
            if not message:
                return check_op(op)
            with pytest.raises(AssertionError, match=message):
                check_op(op)

    check("x / (1 + f.absolute(x) / 3)", r"the gradient of own_made\(10000\.0,\) by x is ")
    stated = {"x": lambda x, dy: dy / (1 + f.absolute(x) / 3) / (1 + f.absolute(x) / 3)}
    check("x / (1 + f.absolute(x) / 3)", None, gradients=stated)
    check("f.tanh(x)", r"the gradient of own_made\(10\.0,\) by x is ", gradients={"x": lambda y, dy: dy * (1 - y * y)})
    check("x - f.sinh(x)", r"own_made\(.*\) is .*, not .* to ")
    check("x - f.sinh(x)", "say in range_reason why the op has a limit or least", least=0.1)
    check("x - f.sinh(x)", None, least=0.1, range_reason="x and sinh(x) are nearly equal")


LONG = {
    "shared": lambda x: functools.reduce(lambda y, _: 0.5 * (y + x / y), range(18), x),
    "terms": lambda x: sum(x * (k + 0.5) for k in range(500)),
    "functions": lambda x: sum(f.tanh(x * (k / 40)) for k in range(60)),
    "choices": lambda x: functools.reduce(lambda y, k: f.where(x < k / 10, x * k, y), range(30), 0 * x),
    "choices of choices": lambda x: functools.reduce(lambda y, k: f.where(y > k, y * 1.01, y / (1 + y)), range(30), x),
    "extremes": lambda x: functools.reduce(lambda y, k: f.minimum(y * 1.1, f.maximum(y - 1, x * k)), range(30), x),
    "factors": lambda x: -functools.reduce(lambda y, _: y * (1 + x / 1000), range(300), x),
}


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.thorough] * (name not in ("shared", "factors"))) for name in LONG],
)
def test_long_formulas_are_compiled(name):
    """In a second or two, without hitting a Python limit; repeated parts are written once."""
    formula = Formula.of(LONG[name])
    assert len(formula.key) < 50_000
    assert len(repr(formula.result)) < 1000
    assert pickle.loads(pickle.dumps(formula)).key == formula.key
    try:
        value, gradient = of_vectors(own_op(lambda x: LONG[name](x)), np.linspace(0.5, 3, 4))
        true = [exact.value(Formula.of(LONG[name]), {"x": x}) for x in np.float32(np.linspace(0.5, 3, 4)).tolist()]
        assert value == pytest.approx([float(one) for one in true], rel=1e-4)
        slopes = [exact.slopes(formula, {"x": x}, "x")[-1] for x in np.float32(np.linspace(0.5, 3, 4)).tolist()]
        assert gradient == pytest.approx([float(one) for one in slopes], rel=1e-3)
    finally:
        OPS.pop("unheard_of", None)


def test_squares_of_squares_are_compiled():
    """x^(2^40): its gradient has a product of 40 different factors, not of 2^40."""
    try:
        op = own_op(lambda x: functools.reduce(lambda y, _: y * y, range(40), x))
        value, gradient = of_vectors(op, np.array([1.0, -1.0, 0.5]))
        assert (list(value), list(gradient)) == ([1, 1, 0], [2.0**40, -(2.0**40), 0])
    finally:
        OPS.pop("unheard_of", None)


COLUMNS = [
    ("x: E", "f.maximum(x - f.sum(x), 0)", lambda x: np.maximum(x - x.sum(0), 0)),
    ("x: E", "f.maximum(x, f.sum(x) * 0.2)", lambda x: np.maximum(x, x.sum(0) * 0.2)),
    ("x: E, y: E", "f.where(x > 0, x, f.sum(y * y))", lambda x, y: np.where(x > 0, x, (y * y).sum(0))),
    ("x: E, y: E", "f.where(x > 0, x * f.sum(y * y), 0)", lambda x, y: np.where(x > 0, x * (y * y).sum(0), 0)),
    (
        "x: E",
        "f.where(x > 0, f.exp(x) / f.sum(f.exp(x)), 0)",
        lambda x: np.where(x > 0, np.exp(x) / np.exp(x).sum(0), 0),
    ),
    ("x: E", "f.where(x > 0, x, x * f.sum(f.exp(x)))", lambda x: np.where(x > 0, x, x * np.exp(x).sum(0))),
    ("x: E", "x + f.sum(f.sum(x * x) * f.sum(x * x))", lambda x: x + len(x) * (x * x).sum(0) ** 2),
    ("x: E", "f.sum(f.tanh(f.sum(x)))", lambda x: np.atleast_1d(len(x) * np.tanh(x.sum(0)))),
]


@pytest.mark.parametrize(("parameters", "body", "reference"), COLUMNS, ids=[body for _, body, _ in COLUMNS])
def test_gradients_of_numbers_of_a_column_in_choices_and_sums(parameters, body, reference, own_made):
    check_op(own_made(parameters, body, columnwise, reference=reference))


@pytest.mark.parametrize("body", ["x + a / 0", "a / (0 * a) + x", "x / (a - a)", "f.where(x < 9, x, a / 0)"])
def test_a_division_by_zero_is_computed(body, own_made):
    op = own_made("x: E, a: N", body)
    with np.errstate(all="ignore"):
        found = op(dy.inputVector([1.0, 20.0]), np.float32(2)).npvalue()
    expected = [1, np.inf] if "where" in body else [np.inf, np.inf]
    assert found.tolist() == expected


def test_checks_find_what_is_wrong_at_kinks_and_in_flat_parts(own_made):
    flat = lambda x: np.clip(x, -3, 3)  # noqa: E731
    for gradient in (
        lambda x, dy: f.where(f.absolute(x) < 3, dy, 7 * dy),
        lambda x, dy: f.where(f.absolute(x) < 3, dy, f.log(-1 - x * x) * dy),
    ):
        with pytest.raises(AssertionError, match="the gradient of own_made"):
            check_op(own_made("x: E", "f.minimum(f.maximum(x, -3), 3)", reference=flat, gradients={"x": gradient}))
    for kind in (elementwise, columnwise):
        with pytest.raises(AssertionError, match="value is off by nan"):
            check_op(
                own_made("x: E", "f.log(-1 - x * x)", kind, reference=lambda x: 0 * x, gradients={"x": lambda dy: dy})
            )


@pytest.mark.parametrize("parameters", ["x: E, y: E = None", "*x: E", "x: E, *, y: E", "x: E, **a: N", "x: E, /"])
def test_parameters_that_an_op_cannot_have_are_refused(parameters, own_made):
    with pytest.raises(ArgumentError, match="^own_made: .* is neither a plain operand nor a number with a default$"):
        own_made(parameters, "x * 2" if "*x" not in parameters else "x[0]")


def test_a_reference_gets_the_numbers_that_a_call_leaves_out():
    @elementwise(reference=lambda x, y, a, b: a * x * x + b * y)
    def of_two_numbers(x: Expression, y: Expression, a: Number = 0.5, b: Number = 2.0) -> Expression:
        """a x^2 + b y."""
        return a * x * x + b * y

    check_op(of_two_numbers)


def test_two_steps_add_to_one_gradient():
    """The first only copies the result's gradient, but the second step also changes the operand's."""
    derive_rules("own_difference", Formula.of(lambda x, row: x - row), ("x", "row"), ("row",))

    @functools.cache
    def signature_of(dim):
        views = [View(SELF, stride=dim.rows), View(0, stride=dim.rows), View(0, stride=dim.rows, index=0, scale=1)]
        return computed("own_difference", dim, (dim.rows,), views, dim.columns * dim.batch)

    @recorded(reference=lambda x, i: x - x[i : i + 1], samples="3x4 i=1; 5*3 i=4; 1 i=0")
    def own_difference(x: Expression, i: Index) -> Expression:
        dim = shape_of("own_difference", x)
        return node("own_difference", signature_of(dim), (x,), checked_indices("own_difference", [i], dim.rows, dim))

    try:
        check_op(own_difference)
    finally:
        del OPS["own_difference"]


@pytest.mark.parametrize(
    ("steps", "gradients"),
    [
        # Operand 0 is one of the operands that share EACH.
        ([("copies.dx", layout.EACH_OPERAND), ("copies.dfirst", 0)], [3.0, 1.0]),
        ([("copies.dx", layout.EACH_OPERAND), ("copies.dy", layout.NO_OPERAND), ("copies.dfirst", 0)], [3.0]),
    ],
    ids=["the operand's", "the node's"],
)
def test_a_copied_gradient_is_not_shared_if_another_step_changes_it(steps, gradients):
    views = "y", "x", "first"
    KERNELS.add("copies", Rule(views, {"y": lambda x, first: x + first}, accumulate=("y",)))
    for name in ("x", "first"):
        KERNELS.add(f"copies.d{name}", Rule(views, {f"d{name}": lambda dy: dy}))
    KERNELS.add("copies.dy", Rule(views, {"dy": lambda dy: 2 * dy}, overwriting=("dy",)))
    backward = [Step(kernel, (3,), of) for kernel, of in steps]
    signature = Signature(
        Dim.of((3,)),
        variadic=True,
        views=[View(SELF), View(layout.EACH, period=1), View(0)],
        forward=[Step("clear", (3,)), Step("copies", (3,))],
        backward=backward,
    )
    xs = [dy.tanh(dy.inputVector([0.0, 0.0, 0.0])) for _ in gradients]
    y = graph_of("copies", xs).append(signature, [len(xs), *[x.at for x in xs]])
    dy.sum_elems(y).backward(full=True)
    assert [x.gradient().tolist() for x in xs] == [[gradient] * 3 for gradient in gradients]


def test_views_must_be_as_many_as_a_kernel_has():
    with pytest.raises(ArgumentError, match=r"^cmult: expected 3 views \(the result, x, y\), got 2$"):
        computed("cmult", Dim.of((3,)), (3,), [View(SELF), View(0)])
