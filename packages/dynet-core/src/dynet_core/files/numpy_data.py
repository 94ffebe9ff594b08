"""Make numpy's arrays, numbers and dtypes from a pickle, without calling what the pickle names.

A pickle first calls a function that makes an object (`dtype`, `array`), and then may set the object's state
(`set_dtype`, `set_array`). `arguments` is the tuple that it passes in the call; `limits` counts the cost. All functions
raise ValueError for what plain data do not have.
"""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np

from .limits import ATOMS, Limits, is_a
from .modules import named
from .plain_data import checked

_TEXT = re.compile(r"b1|[iu][1248]|f(2|4|8|12|16)|c(8|16|24|32)|[SU][0-9]{1,8}|[Mm]8|O8?")
_UNIT = re.compile(rb"[YMWDhms]|ms|us|ns|ps|fs|as")
_WHOLE, _BYTES, _NONE = (int, bool), (bytes, bytearray), (type(None),)
_MOST = 2**32  # the largest product of an array's dimensions, where a dimension of 0 counts as 1


def dtype(arguments: Any, limits: Limits) -> np.dtype:
    """Return a new dtype in this machine's byte order. `set_dtype` may change it: nothing else refers to it."""
    text, _, _ = checked(arguments, (str,), _WHOLE, _WHOLE, least=3)
    if not _TEXT.fullmatch(text):
        raise ValueError(f"a dtype {text!r:.40}, which is not a plain one")
    return np.dtype(text, False, True)


def set_dtype(made: np.dtype, state: Any, limits: Limits) -> None:
    """Set the byte order of a dtype, and the unit of dates and times."""
    kinds = _WHOLE, (str,), _NONE, _NONE, _NONE, _WHOLE, _WHOLE, _WHOLE, (tuple, dict, *_NONE)
    _, order, *rest = checked(state, *kinds, least=8)
    if order not in ("<", ">", "|", "="):
        raise ValueError("the state of a dtype that is not a plain one")
    wanted = np.dtype(made.str[1:] + (_unit(*rest[6:]) if made.kind in "Mm" else "")).newbyteorder(order)
    expected = wanted.__reduce__()[2]
    if rest[:6] != list(expected[2:8]):
        raise ValueError("the state of a dtype that is not a plain one")
    made.__setstate__(expected)  # type: ignore[attr-defined]


def _unit(state: Any = None) -> str:
    """Return the unit of a dtype of dates or times, such as "[25s]", from the end of its state; "" if none."""
    _, unit = checked(state, (dict, *_NONE), (tuple,), least=2)
    unit, number, per, _ = checked(unit, (bytes,), (int,), (int,), (int,), least=4)
    if unit == b"generic":
        return ""
    if _UNIT.fullmatch(unit) and number > 0 and per == 1:
        return f"[{number}{unit.decode()}]"
    raise ValueError("a unit of time that there is not")


def array(arguments: Any, limits: Limits) -> np.ndarray:
    """Return a new array without elements, for `set_array`."""
    cls: Any = arguments[0] if arguments else type(None)
    if cls is not np.ndarray:
        raise ValueError(f"an array of class {named(cls, '__name__') if is_a(cls, type) else None}")
    return np.ndarray((0,), np.int8)


def set_array(made: np.ndarray, state: Any, limits: Limits) -> None:
    """Set the shape, dtype and content of an array. Its objects may be numbers, strings, bytes and None."""
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


def buffered(arguments: Any, limits: Limits) -> np.ndarray:
    """Return the array that pickles of protocol 5 make by `_frombuffer(content, dtype, shape, order)`.

    If the order is "K", the order of the axes follows.
    """
    content, kind, shape, *rest = arguments
    order, axes, *_ = *checked(tuple(rest), (str,), (tuple, *_NONE), least=1), None
    count = _checked_shape(shape, kind)
    if type(content) not in _BYTES or kind.kind == "O" or len(content) != count * kind.itemsize:
        raise ValueError(f"an array {shape} of {kind} that has something else")
    limits.copy(len(content))
    if axes and order == "K":
        return np.ndarray(shape, kind, bytearray(content)).transpose(checked(axes, *[(int,)] * 64))
    return np.ndarray(shape, kind, bytearray(content), order="F" if order == "F" else "C")


def number(arguments: Any, limits: Limits) -> Any:
    kind, content = arguments
    if not is_a(kind, np.dtype) or kind.kind == "O" or type(content) is not bytes or len(content) != kind.itemsize:
        raise ValueError("a number that is not a plain one")
    limits.copy(len(content))
    return np.ndarray((), kind, content)[()]


def _checked_shape(shape: Any, kind: Any) -> int:
    if type(shape) is not tuple or len(shape) > 64 or not all(type(n) is int and 0 <= n <= _MOST for n in shape):
        raise ValueError("the shape of an array that is not a plain one")
    if not is_a(kind, np.dtype) or not kind.itemsize or math.prod(n or 1 for n in shape) > _MOST:
        raise ValueError("an array that is not a plain one")
    return math.prod(shape)
