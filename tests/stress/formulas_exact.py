"""Values and gradients of formulas in mpmath, for random_formulas.py, with an independent statement of derivatives."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence

import mpmath
import numpy as np
from formulas import CONDITIONS, STEPS, Formula, Node
from mpmath import inf, mp, mpf, nan

DIGITS = (120, 400)  # everything is computed with both, and must agree to 20 digits
FAR = 100_000  # exp(FAR) counts as infinite, exp(-FAR) as 0
LARGEST_ANGLE = 2.0**27
MOST_TIES = 3
LARGEST, SMALLEST = float(np.finfo(np.float32).max), float(np.finfo(np.float32).tiny)


class TooLarge(Exception):
    """An angle exceeds the range for which sin, cos and tan guarantee accuracy."""


def _exp(x):
    return inf if x > FAR else mpf(0) if x < -FAR else mp.exp(x)


def _power(x, y):
    if y == 0 or x == 1:
        return mpf(1)
    if x == 0:
        return mpf(0) if y > 0 else nan
    whole = mp.isint(y)
    if x < 0 and not whole:
        return nan
    size = _exp(y * mp.log(abs(x))) if abs(y * mp.log(abs(x))) > 1000 else mp.power(abs(x), y)
    return -size if x < 0 and int(y) % 2 else size


def _angle(function):
    def at(x):
        if abs(x) > LARGEST_ANGLE:
            raise TooLarge
        return function(x)

    return at


def _within(low, high, function):
    return lambda x: function(x) if low <= x <= high else nan


def _sinh(x):
    return mp.sinh(x) if abs(x) < FAR else mp.sign(x) * inf


def _cosh(x):
    return mp.cosh(x) if abs(x) < FAR else inf


def _lgamma(x):
    return nan if x <= 0 and mp.isint(x) else mp.loggamma(x).real


def _digamma(x):
    return nan if x <= 0 and mp.isint(x) else mp.digamma(x)


VALUES = {
    "add": lambda a, b: a + b,
    "subtract": lambda a, b: a - b,
    "multiply": lambda a, b: a * b,
    "divide": lambda a, b: nan if b == 0 else a / b,
    "negative": lambda x: -x,
    "square": lambda x: x * x,
    "cube": lambda x: x * x * x,
    "absolute": abs,
    "exp": _exp,
    "expm1": lambda x: mp.expm1(x) if abs(x) < FAR else _exp(x) - 1,
    "log": lambda x: mp.log(x) if x > 0 else nan,
    "log1p": lambda x: mp.log1p(x) if x > -1 else nan,
    "power": _power,
    "sqrt": lambda x: mp.sqrt(x) if x >= 0 else nan,
    "over_root": lambda x, y, c: x / (mp.sqrt(y) + c) if y >= 0 and mp.sqrt(y) + c != 0 else nan,
    "logistic": lambda x: 1 / (1 + _exp(-x)),
    "tanh": lambda x: mp.tanh(x) if abs(x) < FAR else mp.sign(x),
    "sinh": _sinh,
    "cosh": _cosh,
    "asinh": mp.asinh,
    "acosh": _within(1, inf, mp.acosh),
    "atanh": lambda x: mp.atanh(x) if abs(x) < 1 else nan,
    "sin": _angle(mp.sin),
    "cos": _angle(mp.cos),
    "tan": _angle(mp.tan),
    "asin": _within(-1, 1, mp.asin),
    "acos": _within(-1, 1, mp.acos),
    "atan": mp.atan,
    "erf": lambda x: mp.erf(x) if abs(x) < 1000 else mp.sign(x),
    "lgamma": _lgamma,
    "digamma": _digamma,
    "floor": mp.floor,
    "ceil": mp.ceil,
    "round": lambda x: mp.sign(x) * mp.floor(abs(x) + 0.5),
}

DERIVATIVES = {
    "add": lambda v, a, b: (1, 1),
    "subtract": lambda v, a, b: (1, -1),
    "multiply": lambda v, a, b: (b, a),
    "divide": lambda v, a, b: (1 / b, -a / (b * b)),
    "negative": lambda v, x: (-1,),
    "square": lambda v, x: (2 * x,),
    "cube": lambda v, x: (3 * x * x,),
    "exp": lambda v, x: (v,),
    "expm1": lambda v, x: (_exp(x),),
    "log": lambda v, x: (1 / x,),
    "log1p": lambda v, x: (1 / (1 + x),),
    "power": lambda v, a, b: (b * _power(a, b - 1), v * mp.log(a) if a > 0 else nan),
    "sqrt": lambda v, x: (1 / (2 * v),),
    "over_root": lambda v, x, y, c: (
        1 / (mp.sqrt(y) + c),
        -x / (2 * mp.sqrt(y) * (mp.sqrt(y) + c) ** 2),
        -x / (mp.sqrt(y) + c) ** 2,
    ),
    "logistic": lambda v, x: (1 / (2 + _exp(x) + _exp(-x)),),
    "tanh": lambda v, x: (1 / _cosh(x) ** 2,),
    "sinh": lambda v, x: (_cosh(x),),
    "cosh": lambda v, x: (_sinh(x),),
    "asinh": lambda v, x: (1 / mp.sqrt(1 + x * x),),
    "acosh": lambda v, x: (1 / mp.sqrt(x * x - 1),),
    "atanh": lambda v, x: (1 / (1 - x * x),),
    "sin": lambda v, x: (mp.cos(x),),
    "cos": lambda v, x: (-mp.sin(x),),
    "tan": lambda v, x: (1 / mp.cos(x) ** 2,),
    "asin": lambda v, x: (1 / mp.sqrt(1 - x * x),),
    "acos": lambda v, x: (-1 / mp.sqrt(1 - x * x),),
    "atan": lambda v, x: (1 / (1 + x * x),),
    "erf": lambda v, x: (2 / mp.sqrt(mp.pi) * _exp(-x * x),),
    "lgamma": lambda v, x: (_digamma(x),),
    **dict.fromkeys(STEPS, lambda v, x: (0,)),
}

# Common forms of derivatives that lose digits by cancellation, and the largest arguments that they support.
CANCELLING = {
    "logistic": lambda v, x: (v * (1 - v),),
    "tanh": lambda v, x: (1 - v * v,),
    "expm1": lambda v, x: (v + 1,),
    "power": lambda v, a, b: (b * v / a, v * mp.log(a) if a > 0 else nan),
}
LARGEST_SQUARED = ("asinh", "acosh", "atan", "square", "cube")


class Evaluation:
    """The value and the gradients of a formula at one point, at mpmath's current precision.

    Args:
        root: the formula.
        values: the value of each operand.
        sides: for each tie (of equal operands of `minimum`, say), which of the two derivatives to take.
        jitter: changes the value of each node, and each derivative, as rounding does.
        derivatives: how to compute the derivatives of each function.
    """

    def __init__(
        self,
        root: Node,
        values: dict[str, float],
        sides: Sequence[bool] = (),
        jitter=lambda x, node: x,
        derivatives=DERIVATIVES,
    ):
        self.operands, self.sides, self.jitter, self.ties = values, sides, jitter, 0
        self.derivatives = derivatives
        self.values: dict[int, object] = {}
        self.order: list[tuple[Node, list]] = []
        """Nodes, each with the arguments through which a gradient passes: (argument, derivative if it is known)."""
        self.root = root
        self.value = self._of(root)

    def _of(self, node):
        if isinstance(node, str):
            return mpf(self.operands[node])
        if not isinstance(node, Node):
            return mpf(node)
        if id(node) not in self.values:
            self.values[id(node)] = self._apply(node)
        return self.values[id(node)]

    def _side(self, tie: bool) -> bool:
        """Whether to take the other of two derivatives at a tie."""
        self.ties += tie
        return tie and self.ties <= len(self.sides) and self.sides[self.ties - 1]

    def _apply(self, node: Node):
        function, arguments = node.function, node.arguments
        if function in CONDITIONS:
            a, b = map(self._of, arguments)
            if mp.isnan(a) or mp.isnan(b):
                return nan
            return {"less": a < b, "less_equal": a <= b, "equal": a == b}[function]
        if function == "where":
            condition, *branches = arguments
            holds = self._of(condition)
            if holds is nan:
                return nan
            tie = condition.function != "equal" and self._of(condition.arguments[0]) == self._of(condition.arguments[1])
            taken = branches[(not holds) ^ self._side(tie)]
            value = self._of(taken)
            self.order.append((node, [(taken, 1)]))
            return value
        values = [self._of(argument) for argument in arguments]
        if any(mp.isnan(value) for value in values):
            return nan
        if function in ("minimum", "maximum"):
            a, b = values
            second = (b < a if function == "minimum" else b > a) ^ self._side(a == b)
            self.order.append((node, [(arguments[second], 1)]))
            return values[second]
        if function == "absolute":
            slope = -1 if (values[0] < 0) ^ self._side(values[0] == 0) else 1
            self.order.append((node, [(arguments[0], slope)]))
            return abs(values[0])
        value = self.jitter(VALUES[function](*values), node)
        if function == "digamma":
            self.order.append((node, []))
            return value
        self.order.append((node, [(argument, None) for argument in arguments]))
        return value

    def gradients(self) -> dict[str, object]:
        """The gradient of each operand; NaN if it has none."""
        found, self.parts = {id(self.root): mpf(1)}, []
        for node, passes in reversed(self.order):
            if id(node) not in found:
                continue
            above = found[id(node)]
            if passes and passes[0][1] is None:
                values = [self._of(argument) for argument in node.arguments]
                try:
                    slopes = self.derivatives[node.function](self._of(node), *values)
                except ZeroDivisionError:
                    slopes = [nan] * len(values)
                passes = list(zip(node.arguments, slopes))
            for argument, slope in passes:
                key = argument if isinstance(argument, str) else id(argument)
                self.parts.append((node, slope, above))
                part = mpf(0) if slope == 0 else self.jitter(above * slope, node)
                found[key] = found.get(key, mpf(0)) + part
        return {name: found.get(name, mpf(0)) for name in self.operands}


FAILURES = (ArithmeticError, ValueError, TypeError, MemoryError, mpmath.libmp.NoConvergence)  # from mpmath, at poles


def _attempt(root: Node, values: dict[str, float]) -> list[tuple[float, float]] | None:
    """The value, and each gradient, as (lowest, highest): these differ if one-sided derivatives do."""
    try:
        first = Evaluation(root, values)
        value = float(first.value)
        if np.isnan(value):
            return None
        every = [first.gradients()]
        if first.ties > MOST_TIES:
            every = [dict.fromkeys(values, nan)]
        elif first.ties:
            sides = itertools.product([False, True], repeat=first.ties)
            every += [Evaluation(root, values, side).gradients() for side in sides]
        floats = np.array([[float(gradients[name]) for name in values] for gradients in every])
    except FAILURES:
        return None
    low, high = np.where(np.isnan(floats), np.inf, floats).min(0), np.where(np.isnan(floats), -np.inf, floats).max(0)
    unknown = np.isnan(floats[0])
    return [(value, value), *zip(np.where(unknown, np.nan, low), np.where(unknown, np.nan, high))]


def exact(root: Node, values: dict[str, float]) -> np.ndarray | None:
    """The value and the gradients of a formula at one point: rows (lowest, highest), with NaN where unknown.

    Raises:
        TooLarge: it contains the sine of too large an angle.
    """
    found = []
    for digits in DIGITS:
        with mp.workdps(digits):
            attempt = _attempt(root, values)
        if attempt is None:
            return None
        found.append(np.array(attempt))
    with np.errstate(all="ignore"):
        agree = (found[0] == found[1]) | (abs(found[0] - found[1]) <= 1e-14 * abs(found[1]))
    return np.where(agree.all(1, keepdims=True), found[1], np.nan)


def one_sided(root: Node, values: dict[str, float], row: int) -> list[tuple[Sequence[bool], float | None]]:
    """The sides to take at ties, each with the resulting gradient of operand `row` - 1; None if there is only one."""
    with mp.workdps(DIGITS[0]):
        ties = Evaluation(root, values).ties
        if not (row and 0 < ties <= MOST_TIES):
            return [((), None)]
        every = itertools.product([False, True], repeat=ties)
        return [(sides, float([*Evaluation(root, values, sides).gradients().values()][row - 1])) for sides in every]


def jittered(
    root: Node,
    values: dict[str, float],
    seed: int,
    only: Node | None = None,
    cancelling: str = "",
    alike: bool = True,
    sides: Sequence[bool] = (),
) -> np.ndarray:
    """The value and the gradients of a formula if each value and derivative is randomly perturbed by up to one ulp.

    What a float32 can hold is not rounded.

    Args:
        only: the only node whose value is rounded.
        cancelling: a function whose derivative is computed in a way that loses digits.
        alike: whether equal numbers are rounded alike, as they are unless a product and a sum become one operation.
        sides: as for `Evaluation`.
    """
    derivatives = DERIVATIVES | ({cancelling: CANCELLING[cancelling]} if cancelling else {})

    def jitter(x, node):
        if (only is not None and node is not only) or x == float(np.float32(float(x))):
            return x
        rng = random.Random(f"{seed} {mp.nstr(x, 20)} {'' if alike else node.function}")
        return x * (1 + mpf(rng.uniform(-1, 1)) * 2**-23)

    try:
        with np.errstate(all="ignore"), mp.workdps(DIGITS[0]):
            evaluation = Evaluation(root, values, sides, jitter, derivatives)
            gradients = evaluation.gradients()
            return np.array([float(evaluation.value), *[float(gradients[name]) for name in values]])
    except (*FAILURES, TooLarge):
        return np.full(1 + len(values), np.nan)


def beyond(root: Node, values: dict[str, float], gradients: bool) -> list[str]:
    """Values beyond the range of a float32, as strings: values of nodes, or else derivatives."""
    found = []

    def look(what, value):
        if not mp.isnan(value) and abs(value) > LARGEST:
            found.append(f"{what} is beyond the largest float32")
        elif not mp.isnan(value) and abs(value) < SMALLEST and (value != 0 or "exp" in what or "power" in what):
            found.append(f"{what} is below the smallest float32")

    with mp.workdps(DIGITS[0]):
        evaluation = Evaluation(root, values)
        for node in root.beneath():
            if node.function not in CONDITIONS and id(node) in evaluation.values:
                look(f"the value of {node.function}", evaluation.values[id(node)])
        if gradients and not found:
            evaluation.gradients()
            for node, slope, above in evaluation.parts:
                if node.function not in STEPS:
                    look(f"the gradient of {node.function}", above)
                    look(f"the derivative of {node.function}", mpf(slope))
            for node, *_ in evaluation.parts:
                if node.function in LARGEST_SQUARED:
                    look(f"x * x, in the derivative of {node.function},", evaluation._of(node.arguments[0]) ** 2)
    return found


def truth(formula: Formula) -> tuple[np.ndarray, int]:
    """The value and the gradients at all points: an array (1 + operands, points, 2), and the number of skipped points.

    A point is left out if it contains the sine of too large an angle.
    """
    count = len(next(iter(formula.values.values())))
    result, left_out = np.full((1 + len(formula.operands), count, 2), np.nan), 0
    for place in range(count):
        try:
            found = exact(formula.root, point(formula, place))
        except TooLarge:
            left_out += 1
            continue
        if found is not None:
            result[:, place] = found
    return result, left_out


def point(formula: Formula, place: int) -> dict[str, float]:
    return {name: float(formula.values[name][place]) for name in formula.operands}
