"""numpy's arrays, numbers and dtypes as pickles have them, made without a call of what a pickle names.

As pickles do, `dtype` and `array` make something that `set_dtype` and `set_array` complete.
"""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np

from .limits import ATOMS, Limits, is_a
from .plain_data import checked

_TEXT = re.compile(r"b1|[iu][1248]|f(2|4|8|12|16)|c(8|16|24|32)|[SU][0-9]{1,8}|[Mm]8|O8?")
_UNIT = re.compile(rb"[YMWDhms]|ms|us|ns|ps|fs|as")
_WHOLE, _BYTES = (int, bool), (bytes, bytearray)
_MOST = 2**32  # numbers that an array could have if its dimensions of 0 were 1


def dtype(given: Any, limits: Limits) -> np.dtype:
    """A dtype in the order of this machine, which shares nothing with others."""
    text, _, _ = checked(given, (str,), _WHOLE, _WHOLE, least=3)
    if not _TEXT.fullmatch(text):
        raise ValueError(f"a dtype {text!r:.40}, which is not a plain one")
    return np.dtype(text, False, True)


def set_dtype(made: np.dtype, state: Any, limits: Limits) -> None:
    """Set the order of bytes of a dtype, and the unit of times."""
    order, unit = (state[1], state[8:]) if type(state) is tuple and len(state) in (8, 9) else (None, ())
    if order not in ("<", ">", "|", "="):
        raise ValueError("the state of a dtype that is not a plain one")
    wanted = np.dtype(made.str[1:] + (_unit(*unit) if made.kind in "Mm" else "")).newbyteorder(order)
    expected = wanted.__reduce__()[2]
    if list(state[2:8]) != list(expected[2:8]):
        raise ValueError("the state of a dtype that is not a plain one")
    made.__setstate__(expected)  # type: ignore[attr-defined]


def _unit(state: Any = None) -> str:
    """The unit of times as dtypes write it: [25s]."""
    _, (unit, number, per, _) = checked(state, (dict, type(None)), (tuple,), least=2)
    if unit == b"generic":
        return ""
    if type(unit) is bytes and _UNIT.fullmatch(unit) and type(number) is int and number > 0 and per == 1:
        return f"[{number}{unit.decode()}]"
    raise ValueError("a unit of time that there is not")


def array(given: Any, limits: Limits) -> np.ndarray:
    """An array whose state follows."""
    cls = given[0] if given else None
    if cls is not np.ndarray:
        raise ValueError(f"an array of class {getattr(cls, '__name__', None)}")
    return np.ndarray((0,), np.int8)


def set_array(made: np.ndarray, state: Any, limits: Limits) -> None:
    """Set shape, dtype and content of an array. Objects in it are strings, numbers and None: it is not for more."""
    if type(state) is not tuple or len(state) != 5:
        raise ValueError("the state of an array that is not a plain one")
    _, shape, kind, fortran, content = state
    count = _checked_shape(shape, kind)
    if kind.kind == "O":
        fits = type(content) is list and len(content) == count and all(type(one) in ATOMS for one in content)
    else:
        fits = type(content) is bytes and len(content) == count * kind.itemsize
    if not fits or type(fortran) not in _WHOLE:
        raise ValueError(f"an array {shape} of {kind} that has something else")
    limits.copy(len(content))
    made.__setstate__((1, shape, kind, bool(fortran), content))  # type: ignore[arg-type]


def buffered(given: Any, limits: Limits) -> np.ndarray:
    """An array as protocol 5 has it."""
    content, kind, shape, order, *axes = given
    count = _checked_shape(shape, kind)
    if type(content) not in _BYTES or kind.kind == "O" or len(content) != count * kind.itemsize:
        raise ValueError(f"an array {shape} of {kind} that has something else")
    limits.copy(len(content))
    if axes and order == "K":
        return np.ndarray(shape, kind, bytearray(content)).transpose(*axes)
    return np.ndarray(shape, kind, bytearray(content), order="F" if order == "F" else "C")


def number(given: Any, limits: Limits) -> Any:
    """A number, or another single element."""
    kind, content = given
    if not is_a(kind, np.dtype) or kind.kind == "O" or type(content) is not bytes or len(content) != kind.itemsize:
        raise ValueError("a number that is not a plain one")
    limits.copy(len(content))
    return np.ndarray((), kind, content)[()]


def _checked_shape(shape: Any, kind: Any) -> int:
    """How many elements an array of a shape has."""
    if type(shape) is not tuple or len(shape) > 64 or not all(type(n) is int and 0 <= n <= _MOST for n in shape):
        raise ValueError("the shape of an array that is not a plain one")
    if not is_a(kind, np.dtype) or not kind.itemsize or math.prod(n or 1 for n in shape) > _MOST:
        raise ValueError("an array that is not a plain one")
    return math.prod(shape)
