"""What an expression refuses, since it is a node of a graph: to be a number, an array, or changed in place.

Each error says what to write instead.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from .errors import ArgumentTypeError, DynetWarning

if TYPE_CHECKING:
    from .dim import Dim

OPERATORS: dict[np.ufunc, tuple[str, ...]] = {
    np.add: ("__add__", "__radd__"),
    np.subtract: ("__sub__", "__rsub__"),
    np.multiply: ("__mul__", "__rmul__"),
    np.true_divide: ("__truediv__", "__rtruediv__"),
    np.power: ("__pow__", "__rpow__"),
    np.matmul: ("__matmul__", "__rmatmul__"),
    np.negative: ("__neg__",),
}
"""The operators that numpy calls by these functions, for an expression on the left and on the right."""
OPERATIONS: set[str] = set()  # the names of operations, once dynet_ops is there
COMPARISONS = (np.less, np.less_equal, np.greater, np.greater_equal)


class Hints:
    """Attributes that arrays have elsewhere; each raises an AttributeError that says what to use (see `dynet_ops`)."""

    __slots__ = ()


class Refusals(Hints):
    """The methods by which Python and numpy would take an expression for something else."""

    __slots__ = ()

    if TYPE_CHECKING:

        @property
        def type(self) -> Dim: ...

    _gives_numbers = False  # whether numpy's functions take the numbers, as they do of parameters
    _change = "operations make another one, such as dy.concatenate of parts"  # what to do instead of changing it

    def __bool__(self) -> bool:
        warnings.warn(
            "an expression is always true, whatever its value: test its .value(), or whether it `is not None`",
            DynetWarning,
            stacklevel=2,
        )
        return True

    # Numbers

    def _number(self) -> str:
        """What gives the numbers of this."""
        if self.type.total > 1:
            return ".npvalue()"
        return ".value()" if len(self.type.dims) <= 1 else ".scalar_value()"

    def _refuse_float(self) -> NoReturn:
        raise ArgumentTypeError(
            f"a number is needed, not an expression of {self.type!r}: take its {self._number()}, "
            "which has no gradient; dy.log and its like are operations of expressions"
        )

    def __float__(self) -> float:
        self._refuse_float()

    def __int__(self) -> int:
        self._refuse_float()

    def __format__(self, form: str) -> str:
        if form:
            raise ArgumentTypeError(
                f"the format {form!r} is for numbers, not for an expression of {self.type!r}: "
                f"format its {self._number()}"
            )
        return str(self)

    def _refuse_comparison(self, other: object) -> NoReturn:
        raise ArgumentTypeError(
            f"< and > compare numbers, not an expression of {self.type!r} with {type(other).__name__} {other!r:.60}: "
            f"compare its {self._number()}"
        )

    def __lt__(self, other: object) -> bool:
        self._refuse_comparison(other)

    def __le__(self, other: object) -> bool:
        self._refuse_comparison(other)

    def __gt__(self, other: object) -> bool:
        self._refuse_comparison(other)

    def __ge__(self, other: object) -> bool:
        self._refuse_comparison(other)

    # Change

    def __setitem__(self, key: object, value: object) -> None:
        raise ArgumentTypeError(f"{self!r} cannot be changed in place: {self._change}")

    def __delitem__(self, key: object) -> None:
        raise ArgumentTypeError(f"{self!r} cannot be changed in place: {self._change}")

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError("an expression belongs to its graph and cannot be copied or pickled; its npvalue() can")

    # numpy

    def __array_ufunc__(self, function: np.ufunc, method: str, *inputs: Any, **named: Any) -> Any:
        """What numpy's arithmetic, `numpy.float32(2) * e`, and its functions of each element do, as `numpy.log(e)`."""
        if method == "__call__" and not named:
            if function in OPERATORS:
                name = OPERATORS[function]
                if isinstance(inputs[0], Refusals):
                    return getattr(inputs[0], name[0])(*inputs[1:])
                return getattr(inputs[1], name[1])(inputs[0])
            if function in (np.equal, np.not_equal):
                return (inputs[0] is inputs[1]) == (function is np.equal)
            if function in COMPARISONS:
                self._refuse_comparison(next(x for x in inputs if x is not self))
        use = f"; dy.{function.__name__} is the operation" if function.__name__ in OPERATIONS else ""
        raise ArgumentTypeError(
            f"numpy.{function.__name__} takes numbers, not an expression of {self.type!r}: "
            f"give it {self._number()}, which has no gradient{use}"
        )

    def __array_function__(self, function: Any, types: Any, arguments: Any, named: Any) -> Any:
        """What numpy's functions do. They would take an expression for one object: `argmax` would be 0."""
        if any(isinstance(x, Refusals) and not x._gives_numbers for x in (*arguments, *named.values())):
            raise ArgumentTypeError(
                f"numpy.{function.__name__} takes numbers, not an expression of {self.type!r}: "
                "give it .npvalue(), which has no gradient"
            )
        arguments = [np.asarray(x) if isinstance(x, Refusals) else x for x in arguments]
        return function._implementation(*arguments, **named)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        """The expression itself in an array of objects, so that numpy never takes its numbers without the gradient.

        `numpy.array([e1, e2])` holds the expressions and `numpy.sum([e1, e2])` adds them up as a graph does.
        """
        if dtype is not None and np.dtype(dtype) != object:
            raise ArgumentTypeError(
                f"an expression is no array of {np.dtype(dtype)}: its .npvalue() is one, which has no gradient"
            )
        found = np.empty((), object)
        found[()] = self
        return found
