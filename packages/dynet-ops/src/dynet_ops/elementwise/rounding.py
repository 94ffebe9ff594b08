"""Functions that round each element.

Their true gradient is 0, so by default x gets none. With "straight_through_gradient", it gets that of the result.
"""

from __future__ import annotations

from ..declare import *
from ..kinds import elementwise_signature
from ..op_formulas import formula_of, rules_of

ZERO, STRAIGHT_THROUGH = "zero_gradient", "straight_through_gradient"


def checked_gradient_mode(name: str, mode) -> str:
    if not isinstance(mode, str):
        raise ArgumentTypeError(f"{name}: gradient_mode must be a str, not {type(mode).__name__} {mode!r:.40}")
    if mode not in (ZERO, STRAIGHT_THROUGH):
        raise ArgumentError(f"{name}: gradient_mode must be {ZERO!r} or {STRAIGHT_THROUGH!r}, not {mode!r:.40}")
    return mode


def _rounding(formula: Callable, reference: Callable) -> Callable[[Function], Function]:
    """Return a decorator that makes a rounding op with the argument `gradient_mode`. The function's body never runs."""

    def decorate(function: Function) -> Function:
        name = function.__name__
        kernels = KERNELS.add_defined(name, rules_of("x", formula_of(formula, "x"), {"x": Formula.of(lambda dy: dy)}))

        def recording(passes: bool) -> Callable:
            facts = {"kernels": kernels, "passes": passes}
            return one_operand(name, by_plain_dims(lambda dim: elementwise_signature(name, "x", (dim,), **facts)))

        modes = {ZERO: recording(False), STRAIGHT_THROUGH: recording(True)}

        def record(x: Expression, gradient_mode: str = ZERO) -> Expression:
            return modes[checked_gradient_mode(name, gradient_mode)](x)

        return register(
            functools.update_wrapper(record, function),  # type: ignore[arg-type]
            elementwise=True,
            reference=lambda x, gradient_mode=ZERO: reference(x),
            differentiated_as=lambda x, gradient_mode=ZERO: x if gradient_mode == STRAIGHT_THROUGH else 0 * x,
            samples=[Sample(one.shapes, {"gradient_mode": mode}) for one, mode in zip(ONE, 2 * list(modes))],
        )

    return decorate


@_rounding(lambda x: f.floor(x), np.floor)
def floor(x: Expression, gradient_mode: str = ZERO) -> Expression:
    """Each element rounded down: the largest whole number that is not above it.

    With the `gradient_mode` "zero_gradient", x gets no gradient; with "straight_through_gradient", x gets the gradient
    of the result unchanged.

    >>> floor(inputVector([-1.5, 2.5])).value()
    [-2.0, 2.0]
    """
    ...


@_rounding(lambda x: f.ceil(x), np.ceil)
def ceil(x: Expression, gradient_mode: str = ZERO) -> Expression:
    """Each element rounded up: the smallest whole number that is not below it.

    With the `gradient_mode` "zero_gradient", x gets no gradient; with "straight_through_gradient", x gets the gradient
    of the result unchanged.

    >>> ceil(inputVector([-1.5, 2.5])).value()
    [-1.0, 3.0]
    """
    ...


@_rounding(lambda x: f.round(x), lambda x: np.copysign(np.floor(np.abs(x) + 0.5), x))
def round(x: Expression, gradient_mode: str = ZERO) -> Expression:  # noqa: A001
    """The whole number nearest to each element. Halves are rounded away from zero.

    With the `gradient_mode` "zero_gradient", x gets no gradient; with "straight_through_gradient", x gets the gradient
    of the result unchanged.

    >>> round(inputVector([-1.5, 0.4, 2.5])).value()
    [-2.0, 0.0, 3.0]
    """
    ...


__all__ = ["ceil", "floor", "round"]
