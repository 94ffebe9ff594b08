"""Functions of one expression, element by element: powers, logarithms, trigonometry, activations, rounding."""

from __future__ import annotations

from dynet_core.recorder import share_objects
from dynet_kernels.formula import SMALLEST_NORMAL

from ..declare import *
from ..kinds import UNARY_OPERATORS, elementwise_signature, formula_of, rules_of


@elementwise(reference=np.tanh)
def tanh(x: Expression) -> Expression:
    """Hyperbolic tangent of each element.

    >>> tanh(inputVector([0.0, 1.0])).npvalue().round(4)
    array([0.    , 0.7616])
    """
    return f.tanh(x)


@elementwise(
    reference=lambda x: 1 / (1 + np.exp(-x)),
    # The gradient is stated so that its factor cancels the gradient of `binary_log_loss`, which divides by this factor.
    gradients={"x": lambda x, y, dy: dy * f.maximum(y, SMALLEST_NORMAL) / (1 + f.exp(x))},
)
def logistic(x: Expression) -> Expression:
    """Logistic sigmoid of each element, y = 1 / (1 + exp(-x)).

    >>> logistic(inputVector([0.0, 2.0])).npvalue().round(4)
    array([0.5   , 0.8808])
    """
    return f.logistic(x)


@elementwise(reference=lambda x: np.maximum(x, 0))
def rectify(x: Expression) -> Expression:
    """Rectifier (ReLU) of each element, y = max(x, 0); the gradient at 0 is 0.

    >>> rectify(inputVector([-1.0, 2.0])).value()
    [0.0, 2.0]
    """
    return f.where(f.less_equal(x, 0), 0, x)


@elementwise(reference=np.exp)
def exp(x: Expression) -> Expression:
    """Natural exponential of each element, y = e^x.

    >>> exp(inputVector([0.0, 1.0])).npvalue().round(4)
    array([1.    , 2.7183])
    """
    return f.exp(x)


@elementwise(reference=np.log, domain=(0.2, 4.0))
def log(x: Expression) -> Expression:
    """Natural logarithm of each element: -inf for zero, NaN for negative numbers.

    >>> log(inputVector([1.0, 2.0])).npvalue().round(4)
    array([0.    , 0.6931])
    """
    return f.log(x)


@elementwise(reference=np.sqrt, domain=(0.2, 4.0))
def sqrt(x: Expression) -> Expression:
    """Square root of each element; NaN for negative numbers.

    >>> sqrt(inputVector([4.0, 9.0])).value()
    [2.0, 3.0]
    """
    return f.sqrt(x)


@elementwise(reference=np.square)
def square(x: Expression) -> Expression:
    """Square of each element.

    >>> square(inputVector([2.0, -3.0])).value()
    [4.0, 9.0]
    """
    return x * x


@elementwise(reference=lambda x: x**3)
def cube(x: Expression) -> Expression:
    """Third power of each element.

    >>> cube(inputVector([2.0, -3.0])).value()
    [8.0, -27.0]
    """
    return x * x * x


@elementwise(reference=np.negative, operator="-")
def negative(x: Expression) -> Expression:
    """The negative of each element, y = -x; the same as the operator `-`.

    >>> (-inputVector([2.0, -3.0])).value()
    [-2.0, 3.0]
    """
    return -x


@elementwise(reference=np.abs)
def abs(x: Expression) -> Expression:  # noqa: A001
    """Absolute value of each element; the gradient at 0 is 0.

    >>> abs(inputVector([2.0, -3.0])).value()
    [2.0, 3.0]
    """
    return f.absolute(x)


@elementwise(
    reference=lambda x: x / (1 + np.abs(x)),
    # The gradient is stated: for large |x|, the derivative subtracts nearly equal values, so no digit is correct.
    gradients={"x": lambda x, dy: dy / ((1 + f.absolute(x)) * (1 + f.absolute(x)))},
)
def softsign(x: Expression) -> Expression:
    """Softsign of each element, y = x / (1 + |x|).

    >>> softsign(inputVector([1.0, -3.0])).value()
    [0.5, -0.75]
    """
    return x / (1 + f.absolute(x))


@elementwise(reference=np.vectorize(math.erf, otypes=[float]))
def erf(x: Expression) -> Expression:
    """Gaussian error function of each element, y = 2 / sqrt(pi) times the integral from 0 to x of e^(-t^2) dt.

    >>> erf(inputVector([0.0, 1.0])).npvalue().round(4)
    array([0.    , 0.8427])
    """
    return f.erf(x)


def _lgamma_reference(x: float) -> float:
    """Return log |Gamma(x)|. It is infinite at 0, -1, -2, ..., where math.lgamma raises an error."""
    return math.inf if x <= 0 and x == np.floor(x) else math.lgamma(x)


@elementwise(reference=np.vectorize(_lgamma_reference, otypes=[float]), domain=(0.2, 6.0))
def lgamma(x: Expression) -> Expression:
    """Logarithm of the gamma function of each element, y = log |Gamma(x)|; infinite at 0, -1, -2, ...

    >>> lgamma(inputVector([0.5, 4.0])).npvalue().round(4)
    array([0.5724, 1.7918])
    """
    return f.lgamma(x)


share_objects(negative=UNARY_OPERATORS["-"])  # compiled code calls this function for -x
Expression.__abs__ = abs  # type: ignore[method-assign]


@elementwise(reference=np.sinh)
def sinh(x: Expression) -> Expression:
    """Hyperbolic sine of each element, y = (e^x - e^-x) / 2.

    >>> sinh(inputVector([0.0, 1.0])).npvalue().round(4)
    array([0.    , 1.1752])
    """
    return f.sinh(x)


@elementwise(reference=np.cosh)
def cosh(x: Expression) -> Expression:
    """Hyperbolic cosine of each element, y = (e^x + e^-x) / 2.

    >>> cosh(inputVector([0.0, 1.0])).npvalue().round(4)
    array([1.    , 1.5431])
    """
    return f.cosh(x)


@elementwise(reference=np.arcsinh)
def asinh(x: Expression) -> Expression:
    """Inverse hyperbolic sine of each element, y = log(x + sqrt(x^2 + 1)).

    >>> asinh(inputVector([0.0, 1.0])).npvalue().round(4)
    array([0.    , 0.8814])
    """
    return f.asinh(x)


@elementwise(reference=np.arccosh, domain=(1.2, 4.0))
def acosh(x: Expression) -> Expression:
    """Inverse hyperbolic cosine of each element, y = log(x + sqrt(x^2 - 1)); NaN below 1.

    >>> acosh(inputVector([1.0, 2.0])).npvalue().round(4)
    array([0.   , 1.317])
    """
    return f.acosh(x)


@elementwise(reference=np.arctanh, domain=(-0.9, 0.9))
def atanh(x: Expression) -> Expression:
    """Inverse hyperbolic tangent of each element, y = log((1 + x) / (1 - x)) / 2; NaN outside [-1, 1].

    >>> atanh(inputVector([0.0, 0.5])).npvalue().round(4)
    array([0.    , 0.5493])
    """
    return f.atanh(x)


ANGLES = {"limit": 2.0**27, "range_reason": "larger angles count as 0: neighboring float32s are more than a turn apart"}


@elementwise(reference=np.sin, **ANGLES)
def sin(x: Expression) -> Expression:
    """Sine of each element, an angle in radians.

    Results are accurate to the last digits of a float32 up to |x| = 2^27. Larger angles are treated as 0, because
    adjacent float32 values are then more than a full turn apart.

    >>> sin(inputVector([0.0, 1.0])).npvalue().round(4)
    array([0.    , 0.8415])
    """
    return f.sin(x)


@elementwise(reference=np.cos, **ANGLES)
def cos(x: Expression) -> Expression:
    """Cosine of each element, an angle in radians. Angles beyond 2^27 are treated as 0, as in `sin`.

    >>> cos(inputVector([0.0, 1.0])).npvalue().round(4)
    array([1.    , 0.5403])
    """
    return f.cos(x)


@elementwise(reference=np.tan, **ANGLES, domain=(-1.2, 1.2))
def tan(x: Expression) -> Expression:
    """Tangent of each element, an angle in radians. Angles beyond 2^27 are treated as 0, as in `sin`.

    >>> tan(inputVector([0.0, 1.0])).npvalue().round(4)
    array([0.    , 1.5574])
    """
    return f.tan(x)


@elementwise(reference=np.arcsin, domain=(-0.9, 0.9))
def asin(x: Expression) -> Expression:
    """Inverse sine of each element, between -pi/2 and pi/2; NaN outside [-1, 1].

    >>> asin(inputVector([0.0, 1.0])).npvalue().round(4)
    array([0.    , 1.5708])
    """
    return f.asin(x)


@elementwise(reference=np.arccos, domain=(-0.9, 0.9))
def acos(x: Expression) -> Expression:
    """Inverse cosine of each element, between 0 and pi; NaN outside [-1, 1].

    >>> acos(inputVector([1.0, 0.0])).npvalue().round(4)
    array([0.    , 1.5708])
    """
    return f.acos(x)


@elementwise(reference=np.arctan)
def atan(x: Expression) -> Expression:
    """Inverse tangent of each element, between -pi/2 and pi/2.

    >>> atan(inputVector([0.0, 1.0])).npvalue().round(4)
    array([0.    , 0.7854])
    """
    return f.atan(x)


SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772  # from the paper that `selu` cites


@elementwise(reference=lambda x, alpha=1.0: np.where(x > 0, x, alpha * np.expm1(np.where(x > 0, 0, x))))
def elu(x: Expression, alpha: Number = 1.0) -> Expression:
    """Exponential linear unit of each element, y = x where x > 0, else alpha (e^x - 1).

    alpha is a plain number; y tends to -alpha for very negative x.

    Source: Clevert, Unterthiner and Hochreiter, "Fast and Accurate Deep Network Learning by Exponential Linear
    Units", 2016.

    >>> elu(inputVector([-1.0, 2.0])).npvalue().round(4)
    array([-0.6321,  2.    ])
    """
    return f.where(f.greater(x, 0), x, alpha * f.expm1(x))


@elementwise(reference=lambda x: SELU_SCALE * np.where(x > 0, x, SELU_ALPHA * np.expm1(np.where(x > 0, 0, x))))
def selu(x: Expression) -> Expression:
    """Scaled exponential linear unit of each element: 1.0507 times `elu` with alpha = 1.6733.

    Source: Klambauer, Unterthiner, Mayr and Hochreiter, "Self-Normalizing Neural Networks", 2017.

    >>> selu(inputVector([-1.0, 2.0])).npvalue().round(4)
    array([-1.1113,  2.1014])
    """
    return f.where(f.greater(x, 0), SELU_SCALE * x, SELU_SCALE * SELU_ALPHA * f.expm1(x))


@elementwise(reference=lambda x, beta=1.0: x / (1 + np.exp(-beta * x)))
def silu(x: Expression, beta: Number = 1.0) -> Expression:
    """Sigmoid linear unit ("swish") of each element, y = x / (1 + e^(-beta x)). beta is a plain number.

    Source: Elfwing, Uchibe and Doya, "Sigmoid-Weighted Linear Units for Neural Network Function Approximation in
    Reinforcement Learning", 2017; Ramachandran, Zoph and Le, "Searching for Activation Functions", 2017.

    >>> silu(inputVector([-1.0, 2.0])).npvalue().round(4)
    array([-0.2689,  1.7616])
    """
    return x * f.logistic(beta * x)


@elementwise(
    reference=lambda x: np.minimum(x, 0) - np.log1p(np.exp(-np.abs(x))),
    # The gradient is stated: the derivative is wrong at x = 0, where both terms have a kink, but their sum has none.
    gradients={"x": lambda x, dy: dy * f.logistic(-x)},
)
def log_sigmoid(x: Expression) -> Expression:
    """Logarithm of the logistic sigmoid of each element, y = -log(1 + e^-x). Large |x| do not overflow.

    >>> log_sigmoid(inputVector([0.0, -1000.0])).npvalue().round(4)
    array([-6.931e-01, -1.000e+03])
    """
    return f.minimum(x, 0) - f.log1p(f.exp(-f.absolute(x)))


ZERO_GRADIENT, STRAIGHT_THROUGH = "zero_gradient", "straight_through_gradient"


def by_gradient_mode(name: str, signature_of: Callable[[Dim, bool], Signature]) -> Callable[..., Expression]:
    """Return the recording function of an op of x and a mode, which says whether x gets the result's gradient.

    `signature_of` takes the Dim of x and whether x gets the gradient.
    """

    def recording_function(passes_gradient: bool) -> Callable:
        return one_operand(name, by_plain_dims(lambda dim: signature_of(dim, passes_gradient)))

    modes = {ZERO_GRADIENT: recording_function(False), STRAIGHT_THROUGH: recording_function(True)}

    def record(x: Expression, gradient_mode: str = ZERO_GRADIENT) -> Expression:
        if not isinstance(gradient_mode, str):
            raise ArgumentTypeError(
                f"{name}: gradient_mode must be a str, not {type(gradient_mode).__name__} {gradient_mode!r:.40}"
            )
        if gradient_mode not in modes:
            raise ArgumentError(
                f"{name}: gradient_mode must be {ZERO_GRADIENT!r} or {STRAIGHT_THROUGH!r}, not {gradient_mode!r:.40}"
            )
        return modes[gradient_mode](x)

    return record


def _rounding_op(formula: Callable, reference: Callable) -> Callable[[Function], Function]:
    """Return a decorator that makes a rounding op with the argument `gradient_mode`. The function's body never runs."""

    def decorate(function: Function) -> Function:
        name = function.__name__
        kernels = KERNELS.add_defined(name, rules_of("x", formula_of(formula, "x"), {"x": Formula.of(lambda dy: dy)}))

        def signature_of(dim: Dim, passes_gradient: bool) -> Signature:
            return elementwise_signature(name, "x", (dim,), kernels=kernels, passes=passes_gradient)

        return register(
            functools.update_wrapper(by_gradient_mode(name, signature_of), function),  # type: ignore[arg-type]
            elementwise=True,
            reference=lambda x, gradient_mode=ZERO_GRADIENT: reference(x),
            differentiated_as=lambda x, gradient_mode=ZERO_GRADIENT: x if gradient_mode == STRAIGHT_THROUGH else 0 * x,
            samples=f"1 gradient_mode='{ZERO_GRADIENT}'; 7 gradient_mode='{STRAIGHT_THROUGH}'; "
            f"16x3 gradient_mode='{ZERO_GRADIENT}'; 5x2*3 gradient_mode='{STRAIGHT_THROUGH}'",
        )

    return decorate


@_rounding_op(lambda x: f.floor(x), np.floor)
def floor(x: Expression, gradient_mode: str = ZERO_GRADIENT) -> Expression:
    """Each element rounded down: the largest whole number that is not above it.

    With `gradient_mode` "zero_gradient", x gets no gradient; with "straight_through_gradient", the result's gradient.

    >>> floor(inputVector([-1.5, 2.5])).value()
    [-2.0, 2.0]
    """
    ...


@_rounding_op(lambda x: f.ceil(x), np.ceil)
def ceil(x: Expression, gradient_mode: str = ZERO_GRADIENT) -> Expression:
    """Each element rounded up: the smallest whole number that is not below it.

    With `gradient_mode` "zero_gradient", x gets no gradient; with "straight_through_gradient", the result's gradient.

    >>> ceil(inputVector([-1.5, 2.5])).value()
    [-1.0, 3.0]
    """
    ...


@_rounding_op(lambda x: f.round(x), lambda x: np.copysign(np.floor(np.abs(x) + 0.5), x))
def round(x: Expression, gradient_mode: str = ZERO_GRADIENT) -> Expression:  # noqa: A001
    """The whole number nearest to each element. Halves are rounded away from zero.

    With `gradient_mode` "zero_gradient", x gets no gradient; with "straight_through_gradient", the result's gradient.

    >>> round(inputVector([-1.5, 0.4, 2.5])).value()
    [-2.0, 0.0, 3.0]
    """
    ...


__all__ = [
    "abs", "acos", "acosh", "asin", "asinh", "atan", "atanh", "ceil", "cos", "cosh", "cube", "elu", "erf", "exp",
    "floor", "lgamma", "log", "log_sigmoid", "logistic", "negative", "rectify", "round", "selu", "silu", "sin",
    "sinh", "softsign", "sqrt", "square", "tan", "tanh",
]  # fmt: skip
