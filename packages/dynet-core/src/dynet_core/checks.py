"""Checks of users' arguments. In error messages, `name` or `caller` is what the user called, a function or class."""

from __future__ import annotations

import ctypes
import math
import operator
import os
from collections.abc import Callable, Iterator, Mapping, MappingView
from typing import Any, SupportsFloat, SupportsIndex

import numpy as np

from .errors import ArgumentError, ArgumentTypeError, DynetError, OutOfRangeError, ShapeError, TooLargeError
from .messages.refusals import COMMON_NUMPY_TYPES, MAX_NESTING, Refusals
from .messages.wording import HUGE_INT, counted, few, printable, shown

MASKED_REASON = "some of the numbers are masked; the method filled() of their array gives them values"
UNMASKED_TYPES = {bool, float, int, *COMMON_NUMPY_TYPES}  # values of these types are never masked
SEVERAL_INDICES_HINTS = {  # public function that takes one index -> hint for a user who passes several
    "lookup": "dy.lookup_batch takes several",
    "x[...]": "dy.select_rows and dy.select_cols take several",
}
TOO_LARGE_REASON = "a number is too large for a float"
UNEVEN_REASON = "the rows of the list differ in length"
NESTED_REASON = "the list is nested too deeply"
Range = tuple[str, Callable[[float], bool]]  # a description for error messages, and a test of a number
FINITE: Range = "a finite number", lambda x: True  # no test, as `checked_number` always refuses infinities and NaN
POSITIVE: Range = "a positive number", lambda x: x > 0
NOT_NEGATIVE: Range = "a finite number, 0 or more", lambda x: x >= 0
FRACTION: Range = "at least 0 and less than 1", lambda x: 0 <= x < 1
UNIT_INTERVAL: Range = "in [0, 1]", lambda x: 0 <= x <= 1


def unpacked(value: Any) -> Any:
    """Return the number in an array of size 1, as from `np.where` or `npvalue()`; return any other value unchanged."""
    has_size_one = isinstance(value, np.ndarray) and value.size == 1
    return value.ravel()[0] if has_size_one and value.dtype.kind != "c" and not np.ma.is_masked(value) else value


def is_masked(values: Any, depth: int = MAX_NESTING) -> bool:
    """Return whether a number, an array or nested lists have masked values. Search lists up to `depth` levels deep."""
    if isinstance(values, (list, tuple)):
        may_be_masked = depth > 0 and not {*map(type, values)} <= UNMASKED_TYPES
        return may_be_masked and any(is_masked(value, depth - 1) for value in values)
    return isinstance(values, np.ma.MaskedArray) and bool(np.ma.is_masked(values))


def as_list(values: Any) -> Any:
    """Convert an iterator or a view of a dict to a list; return any other value unchanged."""
    return list(values) if isinstance(values, (Iterator, MappingView)) else values  # type: ignore[arg-type]


def checked_list(caller: str, items: Any, content: str = "") -> list[Any]:
    """Convert a user's argument to a list. `content` says in error messages what it should hold, such as "numbers"."""
    try:
        iterator = iter(items)
    except TypeError:
        got = f"{type(items).__name__} {shown(items, 60)}"
        raise ArgumentTypeError(f"{caller}: expected a list{' of ' * bool(content)}{content}, got {got}") from None
    return list(iterator)  # outside the `try`, because the user's generator may itself raise a TypeError


def whole(name: str, what: str, value, keeps_arguments: bool = False) -> int:
    """Convert a user's whole number to an int.

    Every function of the library accepts the same kinds of whole numbers: ints; floats without a fraction, because
    `8 / 2` is a float; booleans (True is 1, False is 0); numpy's numbers of these three kinds; and numpy arrays of size
    1 that have such a number.

    Args:
        name: the public function that the user called, for error messages.
        what: what the number is, for error messages, such as "an index".
        value: the user's argument.
        keeps_arguments: return an argument of a function that is being recorded as it is; see `graph/numbers.py`.

    Raises:
        ArgumentTypeError: `value` is none of these.
        ArgumentError: the number has a fraction, or is infinite or NaN.
        OutOfRangeError: the magnitude is HUGE_INT or more. Such numbers are never valid, and too long for messages.
    """
    kind = value.__class__
    is_argument = keeps_arguments and kind is not type(value) and issubclass(kind, (int, np.integer))
    if (type(value) is int or is_argument) and abs(value) < HUGE_INT:
        return value
    try:
        number = operator.index(value)
    except TypeError:
        number = unpacked(value)
        if not isinstance(number, (float, np.floating, np.bool_, np.integer)):
            hint = SEVERAL_INDICES_HINTS.get(name, "") if isinstance(value, list | tuple | slice | np.ndarray) else ""
            if isinstance(value, Refusals):
                hint = f"take int(...) of its {value._getter()}"
            got = f"{type(value).__name__} {shown(value, 40)}{': ' * bool(hint)}{hint}"
            raise ArgumentTypeError(f"{name}: {what} must be an int, not {got}") from None
        if not float(number).is_integer():
            raise ArgumentError(f"{name}: {what} must be a whole number, not {value!r:.40}") from None
        number = int(number)
    if abs(number) >= HUGE_INT:
        raise OutOfRangeError(f"{name}: {what} {shown(number, 40)} is out of range")
    return number


def checked_index(name: str, index) -> int:
    """Return an index that a user gave the function `name` as an int, or raise an error as `whole` does.

    An argument of a function that is being recorded is returned as it is.
    """
    return whole(name, "an index", index, keeps_arguments=True)


def _are_valid_indices(values, size: int) -> bool:
    """Return whether `values` is a nonempty list or tuple of ints from 0 to `size` - 1. In most calls, this is true."""
    if values.__class__ is not list and values.__class__ is not tuple:
        return False
    for value in values:
        if value.__class__ is not int or not 0 <= value < size:
            return False
    return bool(values)


def checked_indices(name: str, indices, size: int, of: object, one: str = "index") -> list[int]:
    """Check that indices, given to the function `name`, are from 0 to `size` - 1. Return them as a list of ints.

    The result may be the user's own list, so it must not be changed. In error messages, `of` is what the indices
    select from: a str, or the `Dim` of an op's operand x, which is shown as "x" and the shape. `one` is what one index
    selects, such as "row".

    Raises:
        ArgumentTypeError: `indices` is not a sequence of numbers.
        ArgumentError: there are no indices, or an index is not a whole number.
        OutOfRangeError: an index is out of range.
    """
    if _are_valid_indices(indices, size):
        return indices if indices.__class__ is list else list(indices)
    if indices.__class__ is np.ndarray:
        indices = indices.tolist()
        if _are_valid_indices(indices, size):
            return indices
    if not np.iterable(indices) or isinstance(indices, Refusals):
        raise ArgumentTypeError(f"{name}: indices must be a sequence of ints, not {indices!r:.60}")
    ints = []
    for index in (*indices,):  # a copy, because converting an index of a user's class may change the list
        ints.append(whole(name, "an index", index))
    if not ints:
        raise ArgumentError(f"{name}: no indices")
    if min(ints) < 0 or max(ints) >= size:
        wrong_index = next(index for index in ints if not 0 <= index < size)
        raise out_of_range(name, wrong_index, size, of, one)
    return ints


def out_of_range(caller: str, index: int, size: int, source: object, item: str = "index") -> OutOfRangeError:
    """Return the error for an index out of range for `source`. `item` is what an index selects, such as "row"."""
    label = source if isinstance(source, str) else f"x {source!r}"
    content = size if item == "index" else counted(size, item)
    return OutOfRangeError(f"{caller}: {item} {shown(index)} is out of range for {label}, which has {content}")


def checked_path(caller: str, path) -> str:
    try:
        return os.fsdecode(path)
    except TypeError:
        raise ArgumentTypeError(
            f"{caller}: a file is named by its path, a string, not by {type(path).__name__} {path!r:.60}"
        ) from None


def checked_flag(name: str, what: str, value, end: str = "") -> bool:
    """Return a flag, given to the function `name`, as a bool. Error messages call it `what` and end with `end`."""
    if not isinstance(value, (np.bool_, int)) or value not in (0, 1):
        raise ArgumentTypeError(f"{name}: {what} must be True or False, not {value!r:.40}{end}")
    return bool(value)


def plain_number(what: str, value) -> float:
    """Convert a user's number, which may be in an array, to a float. `what` is its name in error messages."""
    try:
        number = unpacked(value)
        if isinstance(number, (str, bytes, np.ndarray)):
            raise TypeError
        return float(number)
    except OverflowError:
        raise TooLargeError(f"{what}: {TOO_LARGE_REASON}") from None
    except (TypeError, ValueError):
        raise ArgumentTypeError(f"{what} must be a number, not {type(value).__name__} {shown(value, 40)}") from None


def checked_number(what: str, value, allowed_range: Range = FINITE) -> float:
    """Check a user's number, which may be in an array, and convert it to a float.

    Args:
        what: what the number is, for error messages, such as "AdamTrainer: eps".
        value: the user's argument.
        allowed_range: which numbers are allowed. Numbers that are infinite or NaN as float32 are always refused.

    Raises:
        ArgumentTypeError: the value is not a number.
        ArgumentError: the number is not allowed.
    """
    number, (description, is_allowed) = plain_number(what, value), allowed_range
    rounded = float32(number)
    if not (math.isfinite(rounded) and is_allowed(rounded)):
        raise ArgumentError(f"{what} must be {description}, got {value!r}")
    return number


def float32(number: float) -> float:
    """Return the nearest float32; plus or minus infinity if the number is too large."""
    return ctypes.c_float(number).value


Error = type[DynetError]


def real_array(
    name: str, values: Any, *, uneven: Error = ArgumentTypeError, strict: Error | None = None, dtype: type = np.float32
) -> np.ndarray:
    """Convert an argument (a number, nested lists, an array or an iterator of numbers) to a new array of `dtype`.

    An array may be of another library: one with `__array__`, or with `__dlpack__` on the CPU.

    Errors name the function `name`. Their types: `uneven` is raised if rows differ in length or lists are nested too
    deeply, `strict` if values are masked, not real numbers or too large for float32. If `strict` is None, masked values
    and values that are not real raise ArgumentTypeError, ones too large for float64 TooLargeError; others become inf.
    """
    values, error_type = as_list(values), strict or ArgumentTypeError
    if is_masked(values):
        raise error_type(f"{name}: {MASKED_REASON}")
    try:
        is_exported = hasattr(type(values), "__dlpack__") and not hasattr(values, "__array__")
        array = np.from_dlpack(values) if is_exported else np.asarray(values)
    except DynetError:
        raise  # an expression in the list raised this error, and its message says what is wrong
    except ValueError as problem:
        if isinstance(values, (list, tuple)):
            numbers = [*map(unpacked, values)]
            if not all(map(operator.is_, numbers, values)):  # some numbers were in arrays of size 1
                return real_array(name, numbers, uneven=uneven, strict=strict, dtype=dtype)
            raise uneven(f"{name}: {NESTED_REASON if 'exceed' in str(problem) else UNEVEN_REASON}") from None
        raise error_type(f"{name}: {_not_real_message(values)} ({problem})") from None
    except TypeError:
        raise error_type(f"{name}: {_not_real_message(values)}") from None
    except (RuntimeError, BufferError) as problem:  # such as a tensor of torch that is on a GPU or requires a gradient
        raise error_type(f"{name}: {_not_real_message(values)} ({problem})") from None
    # numpy stores ints with more than 64 bits, Fractions and similar numbers in an array of objects. Convert it.
    if array.dtype == object and all(map(_is_real, array.flat)):
        try:
            array = array.astype(np.float64)
        except OverflowError:
            raise (strict or TooLargeError)(f"{name}: {TOO_LARGE_REASON}") from None
        except (TypeError, ValueError):
            pass  # this array is refused below
    if array.dtype.kind not in "fiub":  # numpy's codes for floats, ints, unsigned ints and bools
        raise error_type(f"{name}: {_not_real_message(values)}")
    if array.dtype == dtype:
        return array.copy(order="K")
    with np.errstate(over="ignore"):
        rounded = array.astype(dtype)
    if strict and np.any(np.isinf(rounded) & np.isfinite(array)):
        raise strict(f"{name}: array holds values that float32 cannot hold")
    return rounded


def _is_real(value: object) -> bool:
    if isinstance(value, (np.generic, np.ndarray)):
        return value.dtype.kind in "fiub"
    return isinstance(value, (SupportsFloat, SupportsIndex)) and not isinstance(value, Refusals)


def _not_real_message(values) -> str:
    return f"expected real numbers, got {type(values).__name__} {shown(values)}"


def fitted(caller: str, array: np.ndarray, dims: tuple[int, ...]) -> np.ndarray:
    """Return an array with a parameter's shape `dims`, or raise ShapeError. If both have size 1, shapes may differ."""
    if array.size == 1 == math.prod(dims):
        array = array.reshape(dims)
    if array.shape != dims:
        raise ShapeError(f"{caller}: the array is {array.shape}, the parameter is {dims}")
    return array


def checked_arrays(caller: str, arrays: Any, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """Return the arrays of a user's dict as float32 copies. It must have exactly the names and shapes of `shapes`.

    Raises:
        ArgumentTypeError: `arrays` is not a dict or another mapping.
        ArgumentError: names are missing or unknown, or an array has something other than numbers of float32.
        ShapeError: an array has a different shape.
    """
    if not isinstance(arrays, Mapping):
        got = f"{type(arrays).__name__} {shown(arrays)}"
        raise ArgumentTypeError(f"{caller}: expected a dict of names and arrays, got {got}")
    missing, unknown = [name for name in shapes if name not in arrays], [name for name in arrays if name not in shapes]
    if missing or unknown:
        raise ArgumentError(f"{caller}: missing: {few(map(repr, missing))}; unknown: {few(map(shown, unknown))}")
    checked = {}
    for name, shape in shapes.items():
        label = f"{caller}: {printable(name)}"
        array = real_array(label, arrays[name], uneven=ArgumentError, strict=ArgumentError)
        checked[name] = fitted(label, array, shape)
    return checked
