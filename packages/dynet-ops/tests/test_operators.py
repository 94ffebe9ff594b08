"""The operators + - * / ** between expressions and plain numbers, in either order."""

import math
import operator
import re
import unittest.mock
import warnings
from fractions import Fraction

import numpy as np
import pytest
from op_checks import calls_of_the_library

import dynet_ops as dy
from dynet_core import ArgumentTypeError, DynetWarning, Model, StaleExpressionError, renew_cg
from dynet_core import Expression as dy_expression
from dynet_core.graph import current
from dynet_core.messages.hints import Hint
from dynet_core.messages.refusals import Refusals

X, Y = np.array([[1.0, -2.0, 4.0], [0.5, 8.0, -1.0]]), np.array([[2.0, 4.0, -8.0], [0.25, 1.0, 2.0]])
NUMBERS = [
    3,
    -2.5,
    True,
    Fraction(1, 4),
    np.float32(1.5),
    np.float64(-2.0),
    np.int64(7),
    np.uint8(2),
    np.bool_(1),
]
NUMBERS += [np.array(2.5), np.array([4.0]), np.array([[2]], np.int32)]


@pytest.mark.parametrize("apply", [operator.add, operator.sub, operator.truediv])
def test_of_two_expressions(apply):
    assert apply(dy.inputTensor(X), dy.inputTensor(Y)).npvalue() == pytest.approx(apply(X, Y))


@pytest.mark.parametrize("apply", [operator.add, operator.sub, operator.mul, operator.truediv])
@pytest.mark.parametrize("number", NUMBERS, ids=lambda number: f"{type(number).__name__} {number}")
def test_with_a_number(apply, number):
    plain = float(np.ravel(number)[0]) if isinstance(number, np.ndarray) else float(number)
    for record, expected in (
        (lambda x: apply(x, number), lambda x: apply(x, plain)),
        (lambda x: apply(number, x), lambda x: apply(plain, x)),
    ):
        x = dy.inputTensor(X)
        y = record(x)
        assert y.npvalue() == pytest.approx(expected(X), rel=1e-6)
        dy.sum_elems(y).backward(full=True)
        slope = (expected(X + 1e-6) - expected(X - 1e-6)) / 2e-6
        np.testing.assert_allclose(x.gradient(), slope, rtol=1e-4)


@pytest.mark.parametrize("apply", [operator.add, operator.sub, operator.mul, operator.truediv, operator.pow])
def test_with_a_number_in_a_graph_that_computes_at_once(apply):
    renew_cg(immediate_compute=True)
    x = dy.inputTensor(np.abs(X))
    assert apply(x, 2.5).npvalue() == pytest.approx(apply(np.abs(X), 2.5))
    assert apply(2.5, x).npvalue() == pytest.approx(apply(2.5, np.abs(X)))


@pytest.mark.parametrize("apply", [operator.add, operator.sub, operator.mul, operator.truediv])
def test_with_a_number_and_a_parameter(apply):
    p = Model().parameters_from_numpy(X)
    dy.sum_elems(apply(p, 2.0) + apply(2.0, p)).backward()
    slope = {"add": 2 + 0 * X, "sub": 0 * X, "mul": 4 + 0 * X, "truediv": 0.5 - 2 / X**2}[apply.__name__]
    np.testing.assert_allclose(p.grad_as_array(), slope, rtol=1e-6)


X_POSITIVE = np.abs(X)


@pytest.mark.parametrize("number", [*NUMBERS, 2, 3, 0, 0.5, np.float32(2)], ids=lambda n: f"{type(n).__name__} {n}")
def test_powers_with_a_number(number):
    plain = float(np.ravel(number)[0]) if isinstance(number, np.ndarray) else float(number)
    x = dy.inputTensor(X_POSITIVE)
    for y, again in ((x**number, x**number), (dy.pow(x, number), x**number)):
        assert y.npvalue() == pytest.approx(X_POSITIVE**plain, rel=2e-6)
        assert again.npvalue() == pytest.approx(X_POSITIVE**plain, rel=2e-6)
    renew_cg()
    x = dy.inputTensor(X_POSITIVE)
    y = x**number
    dy.sum_elems(y).backward(full=True)
    np.testing.assert_allclose(x.gradient(), plain * X_POSITIVE ** (plain - 1), rtol=1e-5)


@pytest.mark.parametrize("base", [2, 0.5, np.float32(3), np.float64(1.5), np.int64(2), np.array(2.5), 1, 0])
def test_powers_of_a_number(base):
    renew_cg()
    x = dy.inputTensor(X_POSITIVE)
    y = base**x
    plain = float(base)
    assert y.npvalue() == pytest.approx(plain**X_POSITIVE, rel=2e-6)
    dy.sum_elems(y).backward(full=True)
    slope = plain**X_POSITIVE * np.log(plain) if plain else 0 * X_POSITIVE
    np.testing.assert_allclose(x.gradient(), slope, rtol=1e-5)


def test_powers_of_expressions():
    x, y = dy.inputTensor(X_POSITIVE), dy.inputTensor(Y)
    assert (x**y).npvalue() == pytest.approx(X_POSITIVE**Y, rel=2e-6)
    assert (x ** dy.scalarInput(1.5)).npvalue() == pytest.approx(X_POSITIVE**1.5, rel=2e-6)
    x **= 2
    assert x.npvalue() == pytest.approx(X_POSITIVE**2)


def test_negative():
    x = dy.inputVector([1.0, -2.0, 0.0])
    assert (-x).value() == [-1.0, 2.0, 0.0]
    negated = -x
    assert (-negated).value() == x.value()


def test_sum_of_a_list():
    xs = [dy.inputVector([1.0, 2.0]) * k for k in (1.0, 2.0, 3.0)]
    assert sum(xs).value() == [6.0, 12.0]
    assert sum(xs, xs[0]).value() == [7.0, 14.0]


def test_augmented_assignment_makes_a_new_node():
    x = first = dy.inputVector([1.0, 2.0])
    x += 1
    x *= 2
    x -= first
    x /= 2
    assert x.value() == [1.5, 2.0]
    assert first.value() == [1.0, 2.0]


W, V = np.arange(6.0).reshape(2, 3), np.array([1.0, 2.0, 3.0])


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        (W, V, W @ V),
        (W, W.T, W @ W.T),
        (V, np.array([2.0]), 2 * V),
        (np.array([2.0]), V, 2 * V),
        (V, np.array([[1.0, 5.0]]), np.outer(V, [1.0, 5.0])),
        (W, np.array([2.0]), 2 * W),
        (np.array([2.0]), W, 2 * W),
        (np.array([2.0]), np.array([3.0]), np.array([6.0])),
        (np.array([[2.0]]), np.array([[3.0, 4.0]]), np.array([[6.0, 8.0]])),
        (np.ones((2, 3, 4)), np.array([2.0]), np.full((2, 3, 4), 2.0)),
        (np.array([2.0]), np.ones((3, 1, 1)), np.full((3, 1, 1), 2.0)),
        (np.ones((3, 1, 1)), np.array([2.0]), np.full((3, 1, 1), 2.0)),
    ],
)
def test_the_product_of_matrices_and_of_a_single_number(left, right, expected):
    product = (dy.inputTensor(left) * dy.inputTensor(right)).npvalue()
    assert product.shape == expected.shape
    np.testing.assert_allclose(product, expected)


def test_a_matrix_times_each_element_of_a_batch():
    xs = np.arange(6.0).reshape(3, 2)
    assert (dy.inputTensor(W) * dy.inputTensor(xs, batched=True)).npvalue() == pytest.approx(W @ xs)


def test_conditions_and_equality_are_those_of_objects():
    x, y = dy.inputVector([0.0]), dy.inputVector([0.0])
    assert x == x and x != y
    assert len({x, y}) == 2
    assert bool(x) is True


class EqualsAnything:
    def __eq__(self, other):
        return True


ITSELF: list = []
ITSELF.append(ITSELF)
COMPARED = [0.5, True, Fraction(1, 4), np.float32(0.5), [0.5, 1], ([0.5],), np.array([0.5, 1]), np.array(1)]


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize("other", COMPARED, ids=repr)
def test_equality_with_numbers_is_warned_of(other, swapped):
    x = dy.inputVector([0.5, 1.0])
    for compare, sign, expected in ((operator.eq, "==", False), (operator.ne, "!=", True)):
        plain = other if np.ndim(other) or not hasattr(other, "item") else other.item()
        equals = f"never equals an object of type {type(plain).__name__}, whatever its value"
        said = f"an expression {equals}: write e.npvalue() {sign} {plain!r}"
        with pytest.warns(DynetWarning, match=re.escape(said)) as warned:
            assert (compare(other, x) if swapped else compare(x, other)) is expected
        assert (warned[0].filename, len(warned)) == (__file__, 1)


def test_equality_with_one_number_names_its_value():
    p = Model().add_parameters(1)
    for x in (dy.scalarInput(0.5), p):
        with pytest.warns(DynetWarning, match=r"write e\.value\(\) == 0\.5$") as warned:
            assert (x == 0.5) is False
        assert (warned[0].filename, len(warned)) == (__file__, 1)


@pytest.mark.parametrize("other", [None, "text", (), [], {}, Ellipsis, np.array(["a"]), ITSELF], ids=repr)
def test_equality_with_anything_else_is_that_of_objects_without_a_word(other):
    x, y = dy.inputVector([0.5]), dy.inputVector([0.5])
    assert [x == other, other == x, x != other, other != x] == [False, False, True, True]
    assert x in [other, x] and x not in [other, y] and [other, y, x].index(x) == 2
    assert {x: 1, y: 2, "text": 3}[x] == 1 and (x, y) == (x, y) and [x, other] != [y, other]
    assert x == unittest.mock.ANY and unittest.mock.ANY == x and x == EqualsAnything()


@pytest.mark.parametrize("numbers", [[0.0], [1.0, 2.0], []])
def test_an_expression_is_true_without_a_warning(numbers):
    x = dy.inputVector(numbers)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for e in (x, Model().add_parameters(3), Model().add_lookup_parameters((3, 2))):
            assert bool(e) is True and (e or None) is e and [*filter(None, [e, None])] == [e]


def test_the_product_of_matrices_has_an_operator_of_its_own():
    x = dy.inputVector([1.0, -1.0, 2.0])
    assert (dy.inputTensor(W) @ x).npvalue() == pytest.approx(W @ [1.0, -1.0, 2.0])
    p = Model().parameters_from_numpy(W)
    dy.sum_elems(p @ x).backward()
    assert p.grad_as_array() == pytest.approx(np.ones((len(W), 1)) * [1.0, -1.0, 2.0])
    assert p.T.npvalue() == pytest.approx(W.T)


@pytest.mark.parametrize(("shape", "batched"), [((3,), False), ((3, 2), False), ((3, 2), True), ((2, 3, 4), False)])
def test_the_shape_is_that_of_the_array(shape, batched):
    x = dy.inputTensor(np.ones(shape), batched=batched)
    assert x.shape == x.npvalue().shape == shape


def test_numpy_does_not_take_expressions_apart():
    x = dy.inputVector([1.0, 2.0])
    assert (np.float64(2) * x).value() == [2.0, 4.0]
    with pytest.raises(ArgumentTypeError, match=r"^\+: expected an Expression or a number, got ndarray"):
        np.array([1.0, 2.0]) + x
    array = np.zeros(2)
    for place in (array, array[:1]):
        with pytest.raises(ArgumentTypeError, match=r"^numpy.add takes numbers, .* give it \.npvalue\(\)"):
            place += x
    assert not array.any()


ARITHMETIC = {
    np.add: operator.add,
    np.subtract: operator.sub,
    np.multiply: operator.mul,
    np.true_divide: operator.truediv,
    np.power: operator.pow,
}


@pytest.mark.parametrize("function", ARITHMETIC, ids=lambda function: function.__name__)
def test_arithmetic_of_numpy_is_that_of_operators(function):
    x, y = dy.inputTensor(np.abs(X)), dy.inputTensor([[2.0]])
    apply, values = ARITHMETIC[function], np.abs(X)
    for number in (np.float32(1.5), np.float64(2), np.int64(3), np.array(0.5), np.array([[2.5]])):
        plain = float(np.ravel(number)[0])
        for result in (apply(number, x), function(number, x)):
            assert result.npvalue() == pytest.approx(apply(plain, values), rel=1e-5)
        for result in (apply(x, number), function(x, number)):
            assert result.npvalue() == pytest.approx(apply(values, plain), rel=1e-5)
    assert function(x, y).npvalue() == pytest.approx(apply(values, 2.0), rel=1e-5)


def test_other_arithmetic_of_numpy_is_that_of_operators():
    W_, x = dy.inputTensor(W), dy.inputVector(V)
    assert np.matmul(W_, x).npvalue() == pytest.approx(W @ V)
    assert np.negative(x).npvalue() == pytest.approx(-V)
    assert np.absolute(x).npvalue() == pytest.approx(abs(V))
    assert abs(x).npvalue() == pytest.approx(abs(V))
    with pytest.raises(ArgumentTypeError, match="^@: expected an Expression, got ndarray"):
        W @ x


OTHERS = [each for each in vars(np).values() if isinstance(each, np.ufunc)]
OTHERS = sorted({each for each in OTHERS if each not in ARITHMETIC}, key=lambda each: each.__name__)
NOT_REFUSED = {np.absolute, np.equal, np.not_equal, np.matmul, np.negative}


@pytest.mark.parametrize("function", OTHERS, ids=lambda function: function.__name__)
def test_other_functions_of_numpy_take_no_expression(function):
    renew_cg()
    x, p = dy.inputVector([0.5]), Model().parameters_from_numpy([0.5])
    before = current().records.length
    for e in (x, p):
        for place in range(function.nin):
            given = [np.float32(0.5)] * function.nin
            given[place] = e
            if function not in NOT_REFUSED:
                with pytest.raises(ArgumentTypeError, match=r"\.value\(\)"):
                    function(*given)
    with pytest.raises(ArgumentTypeError, match=rf"^numpy.{function.__name__} takes numbers"):
        function(*[x] * function.nin, out=(np.zeros(1),) * function.nout)
    assert current().records.length == before


NO_OPERATORS = {
    "round": round,
    "floor": math.floor,
    "ceil": math.ceil,
    "%": lambda x: x % 2,
    "%, on the right": lambda x: 2 % x,
    "//": lambda x: x // 2,
    "//, on the right": lambda x: 2 // x,
    "divmod": lambda x: divmod(x, 2),
    "<<": lambda x: x << 1,
    ">>": lambda x: x >> 1,
    "&": lambda x: x & x,
    "|": lambda x: x | x,
    "^": lambda x: True ^ x,
    "~": operator.invert,
}


@pytest.mark.parametrize("sign", NO_OPERATORS)
def test_operators_of_numbers_are_refused(sign):
    for x, value in ((dy.inputVector([0.5]), "value"), (Model().add_parameters((2, 3)), "npvalue")):
        start = re.escape(sign.partition(",")[0])
        with pytest.raises(ArgumentTypeError, match=rf"^{start} is for numbers, not for .* take its \.{value}\(\)"):
            NO_OPERATORS[sign](x)


@pytest.mark.parametrize("use", [range, operator.index, [1, 2].__getitem__, bytes, hex], ids=lambda use: use.__name__)
def test_an_expression_is_no_index(use):
    with pytest.raises(ArgumentTypeError, match=r"must be an int, not an expression of \(1,\): .* \.value\(\)"):
        use(dy.inputVector([0.5]))


@pytest.mark.parametrize("use", [int, float, complex, math.trunc, math.sqrt], ids=repr)
def test_an_expression_is_no_number(use):
    with pytest.raises(ArgumentTypeError, match=r"^a number is needed, not an expression .* \.value\(\)"):
        use(dy.inputVector([0.5]))


def test_expressions_equal_themselves():
    x, y, anything = dy.inputVector([1.0]), dy.inputVector([1.0]), unittest.mock.ANY
    assert x == x and x != y and not x == y and not x != x and x != "1" and x != None  # noqa: E711
    assert x == anything and anything == x and hash(x) != hash(y) and {x: 1}[x] == 1
    assert [x, y].index(y) == 1


@pytest.mark.parametrize(
    ("call", "use"),
    [
        (lambda x: x + np.ones(3), "dy.inputTensor"),
        (lambda x: np.ones(3) * x, "dy.inputTensor"),
        (lambda x: x @ np.ones(3), "dy.inputTensor"),
        (lambda x: dy.tanh(np.ones(3)), "dy.inputTensor"),
        (lambda x: dy.tanh([0.5, 1.0]), "dy.inputTensor"),
        (lambda x: dy.esum([x, 2]), "dy.scalarInput"),
        (np.sum, "dy.sum_elems or dy.sum_dim or dy.esum is the operation"),
        (np.mean, "dy.mean_elems or "),
        (np.tanh, "dy.tanh is"),
        (np.arctan, "dy.atan is"),
        (lambda x: np.dot(np.ones(3), x), r"\* is the operation"),
        (lambda x: np.concatenate([x, x]), r"npvalue\(\) of each, .*dy.concatenate is the operation"),
    ],
)
def test_errors_name_what_to_use(call, use):
    with pytest.raises(ArgumentTypeError, match=use):
        call(dy.inputVector([1.0, 2.0, 3.0]))


@pytest.mark.parametrize(
    ("call", "name"),
    [(operator.neg, "-"), (lambda x: x[0], "x[...]"), (lambda x: x[-1], "x[...]"), (lambda x: x[:1], "x[...]"),
     (list, "x[...]"), (operator.abs, "abs"), (dy.negative, "negative")],
)  # fmt: skip
def test_errors_call_operators_by_their_signs(call, name):
    x = dy.inputVector([1.0, 2.0, 3.0])
    for _ in range(2):
        call(x)
    renew_cg()
    with pytest.raises(StaleExpressionError, match=rf"^{re.escape(name)}: operand \(3,\): ") as caught:
        call(x)
    assert calls_of_the_library(caught.value) <= 5


@pytest.mark.parametrize("compare", [operator.lt, operator.le, operator.gt, operator.ge])
@pytest.mark.parametrize("other", [0.5, 1, np.float32(0.5), np.array([0.5]), None, "x"], ids=repr)
def test_expressions_are_not_compared(compare, other):
    x, y = dy.inputVector([1.0]), dy.inputVector([1.0, 2.0])
    for left, right in ((x, other), (other, x), (x, x)):
        with pytest.raises(ArgumentTypeError, match=r"compare numbers, .*\(1,\) .* compare its \.value\(\)$"):
            compare(left, right)
    with pytest.raises(ArgumentTypeError, match=r"compare its \.npvalue\(\)$"):
        compare(y, other)


@pytest.mark.parametrize(
    "convert", [float, int, complex, math.log, math.floor, math.isnan, "{:.3f}".format, "{:5}".format]
)
def test_expressions_are_no_numbers(convert):
    with pytest.raises(ArgumentTypeError, match=r"\(1,\).*\.value\(\)"):
        convert(dy.inputVector([1.0]))
    with pytest.raises(ArgumentTypeError, match=r"\(2,\).*\.npvalue\(\)"):
        convert(dy.inputVector([1.0, 2.0]))
    x = dy.inputVector([1.0])
    assert f"{x}" == str(x)


def test_expressions_are_not_changed_in_place():
    x = dy.inputVector([1.0, 2.0])
    for change in (lambda: x.__setitem__(0, 1.0), lambda: x.__delitem__(0)):
        with pytest.raises(ArgumentTypeError, match=r"^expression .* cannot be changed in place: .*dy.concatenate"):
            change()
    assert x.value() == [1.0, 2.0]


def test_methods_of_arrays_are_hints():
    x, p = dy.inputVector([1.0, 2.0]), Model().add_parameters(2)
    hints = [name for name, hint in vars(Refusals).items() if isinstance(hint, Hint)]
    assert len(hints) > 60
    for name in hints:
        with pytest.raises(AttributeError, match=f"^Expression has no attribute '{name}': use "):
            getattr(x, name)
        with pytest.raises(AttributeError, match="use "):
            setattr(x, name, 1)
        assert not hasattr(x, name) and not hasattr(dy_expression, name) and name not in dir(x)
    with pytest.raises(
        AttributeError,
        match=r"^Parameters has no attribute 'grad': use p.gradient\(\) after backward\(\), or p.grad_as_array\(\)$",
    ):
        _ = p.grad
    assert p.as_array().shape == (2,) and "as_array" in dir(p) and "zero" in dir(p)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = x.nothing


def test_a_long_format_is_cut():
    with pytest.raises(ArgumentTypeError, match="^the format '9{39} is for numbers"):
        format(dy.inputVector([1]), "9" * 100_000)
