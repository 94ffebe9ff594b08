"""Methods that raise an error if Python or numpy uses an expression as a number or an array.

An expression has no value before it is computed, and cannot be changed in place. Each error says what to write instead.
"""

from __future__ import annotations

import operator
import warnings
from collections.abc import Callable
from numbers import Number, Real
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from ..errors import ArgumentTypeError, DynetWarning
from .hints import HINTS, Hinted, UnassignableHint
from .wording import HUGE_INT

PYTHON_OPERATORS: dict[np.ufunc, Callable[..., Any]] = {
    np.add: operator.add,
    np.subtract: operator.sub,
    np.multiply: operator.mul,
    np.true_divide: operator.truediv,
    np.power: operator.pow,
    np.matmul: operator.matmul,
    np.negative: operator.neg,
    np.absolute: operator.abs,
}
"""numpy's function for an operator -> Python's function for the same operator."""
OPS_FOR_NUMPY: dict[str, str] = {}  # name of a numpy function -> what to use for expressions; filled by dynet_ops
MAX_NESTING = 8  # lists nested more deeply are not examined, because a list may contain itself
COMMON_NUMPY_TYPES = {np.float32, np.float64, np.int32, np.int64}  # frequent types of numpy numbers, not all of them
ORDER_COMPARISONS = (np.less, np.less_equal, np.greater, np.greater_equal)


class Refusals(Hinted):
    """The methods that Python and numpy call to use an object as a number or an array. Most of them raise an error."""

    __slots__ = ()
    _hint_class = UnassignableHint

    type: Any  # the shape, a Dim, which is not imported because the module dim.py imports this module
    _gives_numbers = False  # whether numpy's functions may read the values; True only for parameters
    _change_hint = "operations make a new one, such as dy.concatenate of parts"

    def __bool__(self) -> bool:
        return True  # as in DyNet, even without elements: programs use `w = w or W * x`

    # Methods that Python calls to use an object as a number: conversions, formatting and comparisons

    def _getter(self) -> str:
        """Return the call that gets this expression's value, such as ".npvalue()", for messages."""
        if self.type.total > 1:
            return ".npvalue()"
        return ".value()" if len(self.type.dims) <= 1 else ".scalar_value()"

    def _refuse(self, start: str, end: str) -> NoReturn:
        raise ArgumentTypeError(
            f"{start} an expression of {self.type!r}: take its {self._getter()}, which has no gradient{end}"
        )

    def __float__(self) -> Any:
        self._refuse("a number is needed, not", "; dy.log and the like are operations on expressions")

    def __int__(self) -> Any:
        self.__float__()

    def __complex__(self) -> Any:
        self.__float__()

    def __trunc__(self) -> Any:
        self.__float__()

    def __format__(self, format_spec: str) -> str:
        if format_spec:
            raise ArgumentTypeError(
                f"the format {format_spec!r:.40} is for numbers, not for an expression of {self.type!r}: "
                f"format its {self._getter()}"
            )
        return str(self)

    def __lt__(self, other: object) -> bool:
        raise ArgumentTypeError(
            f"< and > compare numbers, not an expression of {self.type!r} with {type(other).__name__} {other!r:.60}: "
            f"compare its {self._getter()}"
        )

    def __le__(self, other: object) -> bool:
        return self < other

    def __gt__(self, other: object) -> bool:
        return self < other

    def __ge__(self, other: object) -> bool:
        return self < other

    # As in DyNet, an expression equals only itself, because programs keep expressions in lists and dicts. Comparing an
    # expression with a number causes a warning. Objects of other classes may define what equals them, like mock.ANY.

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Refusals):
            return self is other
        if _are_numbers(other):
            self._warn_of_equality("==", other)
            return False
        return NotImplemented

    def __ne__(self, other: object) -> bool:
        if isinstance(other, Refusals):
            return self is not other
        if _are_numbers(other):
            self._warn_of_equality("!=", other)
            return True
        return NotImplemented

    def _warn_of_equality(self, sign: str, other: object) -> None:
        if isinstance(other, (np.generic, np.ndarray)) and not other.ndim:
            other = other.item()  # numpy passes numpy's numbers as arrays of shape ()
        right = "..." if isinstance(other, int) and abs(other) >= HUGE_INT else f"{other!r:.40}"
        warnings.warn(
            f"an expression never equals an object of type {type(other).__name__}, whatever its value: "
            f"write e{self._getter()} {sign} {right}",
            DynetWarning,
            stacklevel=3,
        )

    if TYPE_CHECKING:

        def __hash__(self) -> int: ...
    else:
        __hash__ = object.__hash__

    # Methods that Python calls to change or copy an object

    def __setitem__(self, key: object, value: object = None) -> None:
        raise ArgumentTypeError(f"{self!r} cannot be changed in place: {self._change_hint}")

    __delitem__ = __setitem__

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError("an expression belongs to its graph and cannot be copied or pickled; its npvalue() can")

    # Methods that numpy calls

    def __array_ufunc__(self, function: np.ufunc, method: str, *inputs: Any, **keywords: Any) -> Any:
        """Handle numpy's operators and elementwise functions.

        Arithmetic, such as `numpy.float32(2) * e`, records a node. == and != compare identity. Other functions, such as
        `numpy.log(e)`, raise an error.
        """
        if method == "__call__" and not keywords:
            if function in PYTHON_OPERATORS:
                operate, left = PYTHON_OPERATORS[function], inputs[0]
                if left.__class__ in COMMON_NUMPY_TYPES:
                    return operate(float(left), inputs[1])
                if isinstance(left, Refusals):
                    return operate(*inputs)
                return getattr(inputs[1], f"__r{operate.__name__}__")(left)
            if function in (np.equal, np.not_equal):
                other = next((x for x in inputs if x is not self), self)
                if _are_numbers(other):
                    self._warn_of_equality("==" if function is np.equal else "!=", other)
                return (inputs[0] is inputs[1]) == (function is np.equal)
            if function in ORDER_COMPARISONS:
                self.__lt__(next(x for x in inputs if x is not self))
        raise ArgumentTypeError(self._array_message(function.__name__, self._getter()))

    def _array_message(self, name: str, call: str) -> str:
        use = f"; {OPS_FOR_NUMPY[name]} is the operation" if name in OPS_FOR_NUMPY else ""
        return (
            f"numpy.{name} takes numbers, not an expression of {self.type!r}: "
            f"give it {call}, which has no gradient{use}"
        )

    def __array_function__(self, function: Any, types: Any, arguments: Any, keywords: Any) -> Any:
        """Handle a call of a numpy function that is not elementwise, such as `numpy.argmax`.

        `numpy.dot` of expressions records their product. Other functions get the values of parameters, and raise an
        error for other expressions. Without this method, numpy would treat an expression as an array of one object:
        `numpy.argmax` would return 0.
        """
        if function is np.dot and not keywords and all(isinstance(x, (Refusals, Real)) for x in arguments):
            return operator.mul(*arguments)
        if any(isinstance(x, Refusals) and not x._gives_numbers for x in (*arguments, *keywords.values())):
            raise ArgumentTypeError(self._array_message(function.__name__, ".npvalue()"))
        arguments = [np.asarray(x) if isinstance(x, Refusals) else x for x in arguments]
        try:
            return function._implementation(*arguments, **keywords)  # numpy's own code, which does not call this method
        except (TypeError, ValueError):
            if self._gives_numbers:
                raise
        # Expressions that are arguments have raised an error above, so this expression is inside a list or tuple.
        raise ArgumentTypeError(self._array_message(function.__name__, ".npvalue() of each"))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        """Return an array whose only element is the expression, so that `numpy.sum([e1, e2])` records e1 + e2."""
        if dtype is not None and np.dtype(dtype) != object:
            raise ArgumentTypeError(
                f"an expression is not an array of {np.dtype(dtype)}: its .npvalue() is one, which has no gradient"
            )
        array = np.empty((), object)
        array[()] = self
        return array


def _are_numbers(value: object) -> bool:
    """Return whether `value` is a number or a numpy array of numbers, or a list or tuple that begins with one."""
    for _ in range(MAX_NESTING):
        if isinstance(value, (list, tuple)) and value:
            value = value[0]
    return isinstance(value, (Number, np.bool_)) or (isinstance(value, np.ndarray) and value.dtype.kind in "biufc")


def _refuse_index(self: Refusals) -> NoReturn:
    raise ArgumentTypeError(
        f"an index or a size must be an int, not an expression of {self.type!r}: take int(...) of its {self._getter()}"
    )


def _refusing_method(hint: str) -> Callable[..., NoReturn]:
    sign, separator, use = hint.partition("; ")
    return lambda self, *arguments: self._refuse(f"{sign} is for numbers, not for", separator + use)


# Set here and not in the class, so that type checkers report programs that use the operators.
for _method, _hint in HINTS["operators"].items():
    setattr(Refusals, _method, _refusing_method(_hint))
Refusals.__index__ = _refuse_index  # type: ignore[attr-defined]
