"""Gradients of formulas: each line of the derivative table, and the chain rule on random formulas."""

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dynet_kernels import formula as f
from dynet_kernels.derivative import CHOICES, GRADIENTS, NOT_DIFFERENTIABLE, WITH_ZERO_GRADIENT, gradients
from dynet_kernels.formula import CONDITIONS, FUNCTIONS, Formula, Symbol, subexpressions, use_counts
from dynet_kernels.simplification import Simplifier

SMALL = 1e-200  # the imaginary step of complex-step differentiation; its square is 0


def digamma(x: float) -> float:
    return digamma(x + 1) - 1 / x if x < 20 else math.log(x) - 1 / (2 * x) - 1 / (12 * x**2) + 1 / (120 * x**4)


def of_numpy(name: str):
    """Functions of formulas in numpy, for float64 and complex128; comparisons use real parts."""
    special = {
        "add": lambda a, b: a + b,
        "subtract": lambda a, b: a - b,
        "multiply": lambda a, b: a * b,
        "divide": lambda a, b: a / b,
        "negative": lambda x: -x,
        "absolute": lambda x: np.where(x.real > 0, x, np.where(x.real < 0, -x, 0.0))[()],
        "less": lambda a, b: a.real < b.real,
        "less_equal": lambda a, b: a.real <= b.real,
        "equal": lambda a, b: a.real == b.real,
        "where": lambda condition, a, b: a if condition else b,
        "minimum": lambda a, b: a if a.real < b.real else b,
        "maximum": lambda a, b: a if a.real > b.real else b,
        "logistic": lambda x: 1 / (1 + np.exp(-x)),
        "over_root": lambda a, b, c: a / (np.sqrt(b) + c),
        "lgamma": math.lgamma,
        "digamma": digamma,
        "sum": np.sum,
        "erf": lambda x: math.erf(x.real) + 1j * x.imag * 2 / math.sqrt(math.pi) * math.exp(-(x.real**2)),
    }
    inverse = {name: f"arc{name[1:]}" for name in ("asin", "acos", "atan", "asinh", "acosh", "atanh")}
    return special.get(name) or getattr(np, inverse.get(name, name))


def value(symbol: Symbol, known: dict):
    """The value of a symbol, given the values of inputs by name."""
    values: dict = {}

    def of(symbol):
        if symbol.function == "input":
            return known[symbol.arguments[0]]
        if symbol.function == "constant":
            return np.float64(symbol.arguments[0])
        if id(symbol) not in values:
            values[id(symbol)] = of_numpy(symbol.function)(*map(of, symbol.arguments))
        return values[id(symbol)]

    with np.errstate(all="ignore"):
        return of(symbol)


def derived(formula: Formula, at: dict) -> dict:
    """The gradients at a point, where the gradient of the result is 1."""
    found = gradients(formula, formula.names)
    known = at | {"y": value(formula.result, at), "dy": np.float64(1.0)}
    return {name: value(gradient.result, known) for name, gradient in found.items()}


def size(formula: Formula) -> int:
    """How many functions a formula computes."""
    return sum(symbol.function != "input" for symbol in subexpressions(formula.result).values())


# ------------------------------------------------------------------------------------------------------ the table


def test_every_function_has_its_line():
    lines = [*GRADIENTS, *CHOICES, *WITH_ZERO_GRADIENT, *NOT_DIFFERENTIABLE, *CONDITIONS]
    assert sorted(lines) == sorted(FUNCTIONS)


DOMAINS = {
    "acosh": [(1.1, 4)],
    "asin": [(-0.9, 0.9)],
    "acos": [(-0.9, 0.9)],
    "atanh": [(-0.9, 0.9)],
    "divide": [(-2, 2), (0.5, 2)],
    "lgamma": [(0.2, 6)],
    "log": [(0.2, 4)],
    "log1p": [(-0.8, 3)],
    "minimum": [(-2, 0), (0.1, 2)],
    "maximum": [(0.1, 2), (-2, 0)],
    "over_root": [(-2, 2), (0.2, 4), (0.1, 1)],
    "power": [(0.2, 3), (-2, 3)],
    "sqrt": [(0.2, 4)],
    "tan": [(-1.2, 1.2)],
}
TWO = ("add", "subtract", "multiply")


@pytest.mark.parametrize("name", [name for name in (*GRADIENTS, *CHOICES) if name not in ("where", "sum")])
def test_each_line_is_the_derivative(name):
    """Against central differences; also within a formula, where the function's result is not available."""
    domains = DOMAINS.get(name, [(-2, 2)] * (1 + (name in TWO)))
    rng, step = np.random.default_rng(0), 1e-6
    inputs = [Symbol("input", letter) for letter in "abc"[: len(domains)]]
    names = tuple(one.arguments[0] for one in inputs)
    alone = Formula(names, f.apply(name, *inputs))
    within = Formula(names, 3 * f.apply(name, *inputs))
    for _ in range(20):
        at = {key: np.float64(rng.uniform(*domain)) for key, domain in zip(names, domains, strict=True)}
        found, inner = derived(alone, at), derived(within, at)
        for key in names:
            high, low = (value(alone.result, at | {key: at[key] + move}) for move in (step, -step))
            expected = (high - low) / (2 * step)
            assert found[key] == pytest.approx(expected, rel=1e-6, abs=1e-8)
            assert inner[key] == pytest.approx(3 * expected, rel=1e-6, abs=1e-8)


def test_steps_have_no_gradient():
    for step in (f.floor, f.ceil, f.round):
        assert gradients(Formula(("x",), step(Symbol("input", "x"))), ["x"]) == {}
    assert gradients(Formula.of(lambda x, seed: f.where(f.uniform(seed, 1, 2) < 0.5, x, 0)), ["x", "seed"]).keys() == {
        "x"
    }


def test_an_unknown_derivative_is_refused_where_it_is_needed():
    with pytest.raises(TypeError, match="digamma has no known derivative"):
        gradients(Formula.of(lambda x: f.digamma(x)), ["x"])
    assert gradients(Formula.of(lambda x, c: x * f.digamma(c)), ["x"]).keys() == {"x"}


# -------------------------------------------------------------------------------------------------- the chain rule

UNARY = {
    "negative": lambda x: -x,
    "absolute": f.absolute,
    "exp": lambda x: f.exp(-f.absolute(x)),
    "expm1": lambda x: f.expm1(f.sin(x)),
    "log": lambda x: f.log(1.5 + x * x),
    "log1p": lambda x: f.log1p(x * x),
    "sqrt": lambda x: f.sqrt(0.5 + x * x),
    "tanh": f.tanh,
    "logistic": f.logistic,
    "sin": f.sin,
    "cos": f.cos,
    "atan": f.atan,
    "asinh": f.asinh,
    "erf": f.erf,
    "twice": lambda x: 2 * x,
    "cube": lambda x: x * x * x,
}
BINARY = {
    "add": lambda a, b: a + b,
    "subtract": lambda a, b: a - b,
    "multiply": lambda a, b: a * b,
    "divide": lambda a, b: a / (1 + b * b),
    "minimum": f.minimum,
    "maximum": f.maximum,
    "power": lambda a, b: f.power(1 + f.absolute(a), f.tanh(b)),
    "where": lambda a, b: f.where(a < b, f.tanh(a), a * b),
    "where not": lambda a, b: f.where(a <= 0, b, f.sqrt(a)),
}


@st.composite
def formulas(draw):
    """A random formula of x, c and earlier formulas, so parts occur several times."""
    made = [Symbol("input", "x"), Symbol("input", "c"), f.as_symbol(draw(st.sampled_from([0, 1, -1, 0.5, 3])))]
    for _ in range(draw(st.integers(1, 9))):
        of = st.sampled_from(made[-4:])
        if draw(st.booleans()):
            made.append(UNARY[draw(st.sampled_from([*UNARY]))](draw(of)))
        else:
            made.append(BINARY[draw(st.sampled_from([*BINARY]))](draw(of), draw(of)))
    return Formula(("x", "c"), made[-1])


@settings(max_examples=300, deadline=None)
@given(formulas(), st.sampled_from([-3.0, -1.0, -0.3, 0.0, 0.7, 1.0, 2.5]), st.sampled_from([-1.2, 0.0, 0.4, 2.0]))
def test_gradients_of_any_formula(formula, x, c):
    """Against complex-step derivatives, including values at 0 and equal values."""
    at = {"x": np.float64(x), "c": np.float64(c)}
    result = value(formula.result, at)
    values = [abs(value(one, at)) for one in subexpressions(formula.result).values() if one.function not in CONDITIONS]
    assume(np.isfinite(result) and np.nanmax(values, initial=0) < 1e6)
    assert value(Simplifier()(formula.result), at) == pytest.approx(result, rel=1e-9, abs=1e-9)
    found = derived(formula, at)
    for name in at:
        carried = np.complex128(value(formula.result, at | {name: np.complex128(at[name] + SMALL * 1j)}))
        expected = carried.imag / SMALL
        assert found.get(name, 0) == pytest.approx(expected, rel=1e-6, abs=1e-6 * max(1, abs(result)))


@pytest.mark.parametrize(
    ("function", "places"),
    [
        (lambda x: f.where(x > 0, f.log(x), x), [-1, 0]),
        (lambda x: f.where(x > 0, x, f.expm1(x)), [1e4, np.inf]),
        (lambda x: f.minimum(f.exp(x), 1), [1e4]),
        (lambda x: f.maximum(f.sqrt(x), 1), [0]),
        (lambda x: 3 * f.where(x > 0, f.sqrt(x) * x, 2 * x), [-1]),
        (lambda x: f.where(x > 1, f.where(x < 2, f.log(x - 1), x), f.log(1 - x)), [0, 3]),
        (lambda x: f.where(x < 0, f.where(x < 0, 0, f.sqrt(x)), f.sqrt(x)), [-1]),
        (lambda x: f.where(x < 0, f.where(x < 1, 3, f.sqrt(x)), f.where(x < 5, f.sqrt(x), 1)), [-1, 6]),
        (lambda x: f.where(x < 2, f.maximum(f.sqrt(x) * 2, 1 - x) + f.minimum(x - 1, f.sqrt(x)), f.sqrt(x)), [0]),
    ],
)
def test_a_branch_not_taken_adds_nothing(function, places):
    for place in places:
        (found,) = derived(Formula.of(function), {"x": np.float64(place)}).values()
        assert np.isfinite(found)


@pytest.mark.parametrize(
    "function",
    [
        lambda x, g: f.sum(x * x * g),
        lambda x, g: f.sqrt(f.sum(x * x)) * g,
        lambda x, g: f.exp(x) / f.sum(f.exp(x)) + g,
        lambda x, g: x * (g / f.sqrt(f.sum(x * x))),
        lambda x, g: f.log(f.sum(f.exp(x) * f.sum(f.sin(x)) + g * g * x)),
        lambda x, g: (x - f.sum(x) * 0.25) / f.sqrt(f.sum(x * x)) + f.tanh(g) * x,
    ],
)
@pytest.mark.parametrize("is_number", [False, True])
def test_gradients_of_columns(function, is_number):
    """Sums over a column, and scalars that are broadcast to all of its elements."""
    rng, step = np.random.default_rng(0), 1e-6
    formula = Formula.of(function)
    at = {"x": rng.uniform(0.5, 2, 4), "g": rng.uniform(0.5, 2, None if is_number else 4)}
    result = value(formula.result, at)
    dy = rng.uniform(-1, 1, np.shape(result))
    found = gradients(formula, formula.names, numbers=["g"] if is_number else [])
    for name in at:
        gradient = value(found[name].result, at | {"y": result, "dy": dy})
        for place in np.ndindex(np.shape(at[name])):
            high, low = (np.array(at[name]) for _ in range(2))
            high[place] += step
            low[place] -= step
            change = value(formula.result, at | {name: high}) - value(formula.result, at | {name: low})
            assert np.broadcast_to(gradient, np.shape(at[name]))[place] == pytest.approx(
                np.sum(dy * change) / (2 * step), rel=1e-5, abs=1e-7
            )


# ------------------------------------------------------------------------------------------------------- their cost


@pytest.mark.parametrize(
    ("function", "reads", "functions"),
    [
        (lambda x: f.tanh(x), "dy x", 9),
        (lambda x: f.logistic(x), "dy x y", 4),
        (lambda x: f.exp(x), "dy y", 1),
        (lambda x: f.sqrt(x), "dy y", 2),
        (lambda x: f.tan(x), "dy y", 3),
        (lambda x: f.log(x), "dy x", 1),
        (lambda x: x + 1, "dy", 0),
        (lambda x: 5 - x, "dy", 1),
        (lambda x: x * x, "dy x", 2),
        (lambda x: x * x * x, "dy x", 3),
        (lambda x, c: x * f.logistic(c * x), "c dy x", 10),
        (lambda x, c: c / x, "dy x y", 3),
        (lambda x, c: f.exp(x) - c * x, "c dy x", 3),
        (lambda x, c: (x - c) * (x - c), "c dy x", 3),
        (lambda x, c: f.absolute(c - x), "c dy x", 5),
        (lambda x, c: f.maximum(c - x, 0), "dy y", 3),
        (lambda x, c: f.maximum(c, x * x), "c dy x", 5),
        (lambda x: f.where(x > 0, f.tanh(x), 0.1 * x), "dy x", 12),
        (lambda x: f.where(f.equal(1, 1), x, 0), "dy", 0),
        (lambda x: f.where(x < 1, f.exp(f.sin(x)), f.sin(x)), "dy x y", 5),
    ],
)
def test_gradients_are_no_more_than_they_must_be(function, reads, functions):
    gradient = gradients(Formula.of(function), ["x"])["x"]
    assert " ".join(gradient.names) == reads
    assert size(gradient) == functions


def test_equal_parts_are_computed_once():
    gradient = gradients(Formula.of(lambda x: f.exp(f.sin(x)) * f.log(f.sin(x))), ["x"])["x"]
    sines = [symbol for symbol in subexpressions(gradient.result).values() if symbol.function == "sin"]
    assert len(sines) == 1
    assert use_counts([gradient.result])[id(sines[0])] > 1


def test_powers_are_products_where_that_is_cheaper():
    def key(function):
        return Formula.of(function).key

    assert key(lambda x: x**1) == key(lambda x: x)
    assert key(lambda x: x**3) == key(lambda x: x * x * x)
    assert key(lambda x: x**5) == key(lambda x: f.power(x, 5))
    assert key(lambda x: x**0) == key(lambda x: f.power(x, 0))
    assert key(lambda x: x**0.5) == key(lambda x: f.power(x, 0.5))
    assert key(lambda x, y: x**y) == key(lambda x, y: f.power(x, y))
    assert key(lambda x: 2**x) == key(lambda x: f.power(2, x))
