"""The common part of inputs: arguments become float32 arrays, and arrays become nodes."""

from __future__ import annotations

import array
import contextlib
from collections.abc import Callable, Iterator, MappingView

import numpy as np

from dynet_core.dim import Dim
from dynet_core.errors import (
    ArgumentError,
    ArgumentTypeError,
    DynetError,
    OutOfMemoryError,
    ShapeError,
    StaleExpressionError,
)
from dynet_core.expression import Expression
from dynet_core.graph import graph_of_node, pinned
from dynet_core.op import Function, Sample, register
from dynet_core.parameter import const_parameter as const_parameter
from dynet_core.parameter import parameter as parameter
from dynet_core.recorder import ANY_GRAPH, describe, function
from dynet_core.signature import Signature
from dynet_kernels.layout import INPUT


def set_values(x: Expression, values) -> None:
    """Replace the values of an input by a number, a list or an array as large as the input.

    Values that were computed before are computed again when they are next needed, with new dropout and noise.

    Raises:
        ArgumentError: the expression is not an input.
        ShapeError: the number of values differs.
        StaleExpressionError: the graph is gone, or `cg_revert` has removed the input.

    >>> x = scalarInput(1.0)
    >>> y = x * 2
    >>> y.value()
    2.0
    >>> x.set(3.0)
    >>> y.value()
    6.0
    """
    dim, array = x.type, real_array("set", values)
    try:
        graph = graph_of_node(x)
        if x.version == ANY_GRAPH or graph.start_of(x.at) is None:
            raise ArgumentError(f"set: expected an input, got an expression of {dim!r} that is computed")
        if array.size != dim.total or array.ndim > 1 and array.shape != dim.shape:
            raise ShapeError(f"set: values of shape {array.shape} for an input of {dim!r}")
        graph.replace_input(x.at, array)
        Expression.set.enter((dim,), input_signature(dim).at, dim, dim.total)  # type: ignore[attr-defined]
    except StaleExpressionError as error:
        raise StaleExpressionError(f"set: input {dim!r}: {error}") from None


Expression.set = describe(function("set", set_values), set_values)  # type: ignore[assignment]

_signatures: dict[Dim, Signature] = {}


def input_signature(dim: Dim) -> Signature:
    """Return the signature of an input with this Dim."""
    signature = _signatures.get(dim)
    if signature is None:
        signature = _signatures[dim] = Signature(dim, attributes=1, constants=1, kind=INPUT)
    return signature


def real_array(name: str, values, uneven: type[DynetError] = ArgumentTypeError) -> np.ndarray:
    """Return an argument as a float32 array: a number, nested lists, an array or an iterator of numbers.

    Args:
        name: the op, for errors.
        uneven: the type of the error for rows that differ in length.

    Raises:
        ArgumentTypeError: the values are not real numbers of one shape.
    """
    if isinstance(values, (Iterator, MappingView)):
        values = list(values)  # type: ignore[arg-type]
    try:
        array = np.asarray(values)
    except DynetError:
        raise  # from an expression in the list
    except ValueError:
        raise uneven(f"{name}: the rows of the list differ in length") from None
    if array.dtype == object and all(type(value) in (int, float) for value in array.flat):  # ints of more than 64 bits
        with contextlib.suppress(OverflowError):
            array = array.astype(np.float64)
    if array.dtype.kind not in "fiub":
        raise ArgumentTypeError(f"{name}: expected real numbers, got {type(values).__name__} {values!r:.60}")
    with np.errstate(over="ignore"):
        return array.astype(np.float32)


def add_input(array: np.ndarray, dim: Dim) -> Expression:
    """Record an input with the values of an array."""
    graph = pinned()
    return graph.append(input_signature(dim), (graph.take_array(array),))


def numbers(name: str, values) -> np.ndarray:
    """Return an argument as an array of one dimension. The elements of a list may be anything that float() accepts."""
    if isinstance(values, list):
        with contextlib.suppress(TypeError, OverflowError):
            return np.array(array.array("f", values))
    return flat(name, values)


def flat(name: str, values) -> np.ndarray:
    """Return an argument as an array of one dimension; raise if it has another shape."""
    array = real_array(name, values)
    if array.ndim != 1:
        kind = ShapeError if array.ndim else ArgumentTypeError
        raise kind(f"{name}: expected a flat list of numbers, got shape {array.shape}")
    return array


def checked_size(name: str, size: int) -> int:
    """Return the number of values; raise ArgumentError if it is 0."""
    if size < 1:
        raise ArgumentError(f"{name}: no values")
    return size


def filled(name: str, shape: tuple[int, ...], value: float) -> np.ndarray:
    """Return an array of one value; raise OutOfMemoryError if it is too large."""
    try:
        return np.full(shape, value, np.float32)
    except MemoryError:
        raise OutOfMemoryError(f"{name}: there is not enough memory for {shape} numbers") from None


def register_input(function: Function, reference: Callable, *attributes: dict, repeats: bool = False) -> Function:
    """Register an input, an op without operands. The reference returns its values, with the batch as the last axis."""
    samples = [Sample([], each) for each in attributes]
    facts = {"reference": reference, "whole_batch": True, "differentiable": False, "samples": samples}
    return register(function, repeats=repeats, **facts)


def stored(values, dim, batch_size: int = 1) -> np.ndarray:
    """Reshape values that are in the order of memory: column by column, batch element by batch element."""
    return np.reshape(values, (*np.atleast_1d(dim), batch_size), order="F")


NUMBERS = np.arange(-15.0, 15.0) / 8
