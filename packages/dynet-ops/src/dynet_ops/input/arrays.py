"""What all inputs share: converting arguments to float32 arrays, and adding arrays to the graph as input nodes.

In all of these functions, `name` is the name of the op, for error messages.
"""

from __future__ import annotations

import array

from dynet_core.checks import is_masked
from dynet_core.compute.device import check_device
from dynet_core.errors import OutOfMemoryError, StaleExpressionError
from dynet_core.graph import graph_of_node
from dynet_core.parameter.lookup import set_rows
from dynet_core.recorder import ANY_GRAPH
from dynet_kernels.layout import INPUT

from ..declare import *


def set_values(x: Expression, values) -> None:
    """Replace the values of the input x by a number, a list or an array of the same size. Users call it as `x.set`.

    If x is a row of a lookup table, as `E[i]`, `lookup` and `lookup_batch` give it, it becomes the row of another
    index, and a batch of rows that of as many others. Gradients then go to these rows. The graph's values are computed
    again when they are next needed, with new random numbers for dropout and noise.

    Raises:
        ArgumentError: the expression is neither an input nor a lookup.
        ShapeError: the number of values differs from the size of the input, or an array of several dimensions differs
            from it in shape; or the number of indices differs from that of the lookup.
        OutOfRangeError: the table has no row of this index.
        StaleExpressionError: `renew_cg` has started a new graph, or `cg_revert` has removed x.

    >>> x = scalarInput(1.0)
    >>> y = x * 2
    >>> y.value()
    2.0
    >>> x.set(3.0)
    >>> y.value()
    6.0
    >>> E = dy.Model().lookup_parameters_from_numpy([[1, 2], [3, 4]])
    >>> row = E[0]
    >>> row.set(1)
    >>> row.value()
    [3.0, 4.0]
    """
    dim = x.type
    try:
        pinned_graph, graph = pinned(), graph_of_node(x)
        if x.version != ANY_GRAPH and set_rows(pinned_graph, x.at, values):
            return
        array = real_array("set", values)
        version, graph = pinned().version, graph_of_node(x)  # methods of the values may have called `renew_cg`
        if x.version == ANY_GRAPH:
            raise ArgumentError(
                f"set: expected an input or a lookup, got {x!r}: set_value and init_row change its values"
            )
        if graph.start_of(x.at) is None:
            raise ArgumentError(f"set: expected an input or a lookup, got an expression of {dim!r} that is computed")
        if array.size != dim.total or (
            array.ndim > 1 and array.shape not in (dim.shape, (*dim.dims, dim.batch)) and not is_column(array)
        ):
            raise ShapeError(f"set: values of shape {array.shape} for an input of {dim!r}")
        graph.replace_input(version, x.at, array)
        Expression.set.enter((dim,), input_signature(dim).at, dim, dim.total)  # type: ignore[attr-defined]
    except StaleExpressionError as error:
        raise StaleExpressionError(f"set: expression {dim!r}: {error}") from None


Expression.set = describe(function("set", set_values), set_values)  # type: ignore[assignment]


@functools.cache
def input_signature(dim: Dim) -> Signature:
    """Return the signature of input nodes of this shape."""
    return Signature(dim, attributes=1, constants=1, kind=INPUT)


def add_input(name: str, array: np.ndarray, dim: Dim, device: str = "") -> Expression:
    """Add an input node with the values of an array."""
    check_device(name, device)
    if array.size != dim.total:
        raise ShapeError(f"{name}: {array.size} values for a tensor of {dim!r}")
    graph = pinned()
    return graph.append(input_signature(dim), (graph.take_array(array),))


def numbers(name: str, values) -> np.ndarray:
    """Return a float32 array of one dimension, of objects with a method `__float__` or `__index__`."""
    if isinstance(values, list) and values and not is_masked(values):
        count = len(values)
        try:
            return np.frombuffer(array.array("f", values), np.float32)
        except (TypeError, OverflowError, IndexError) as problem:
            if len(values) < count:  # a method of a value, or another thread, has taken some out
                raise ArgumentError(f"{name}: the list has changed while it was read") from None
            if isinstance(problem, IndexError):
                raise
    return flat(name, values)


def flat(name: str, values) -> np.ndarray:
    """Convert to a float32 array of one dimension, as `real_array`.

    Dimensions of size 1 after the first are dropped: items of shape (1,), as `npvalue()` gives them, are numbers.
    """
    array = real_array(name, values)
    if is_column(array):
        array = array.ravel()
    if array.ndim != 1:
        kind = ShapeError if array.ndim else ArgumentTypeError
        raise kind(f"{name}: expected a flat list of numbers, got shape {array.shape}")
    return array


def is_column(array: np.ndarray) -> bool:
    """Return whether an array has several dimensions, all but the first of size 1."""
    return array.ndim > 1 and array.shape[0] == array.size


def one_number(name: str, value, what: str = "expected") -> np.ndarray:
    """Convert to a float32 array of exactly one number."""
    array = real_array(name, value)
    if array.size != 1:
        raise ShapeError(f"{name}: {what} one number, got {array.size}")
    return array


def check_any(name: str, array: np.ndarray) -> None:
    """Raise ArgumentError if an array has no values."""
    if not array.size:
        raise ArgumentError(f"{name}: no values")


def filled(name: str, shape: tuple[int, ...], value: float = 0.0) -> np.ndarray:
    """Return a column-major array; raise OutOfMemoryError if it does not fit."""
    try:
        return np.full(shape, value, np.float32, order="F")
    except MemoryError:
        raise OutOfMemoryError(f"{name}: there is not enough memory for {shape} numbers") from None


def input_op(
    reference: Callable, given: str | list[dict], kind: str = "", repeats: bool = False
) -> Callable[[Function], Function]:
    """Return a decorator that makes an op without operands, which makes an expression from numbers.

    Args:
        reference: returns the expected values from the op's arguments, the batch last.
        given: the op's arguments in each test call, as a text for `samples` or as dicts.
        kind: as in `dynet_core.op.recorded`.
        repeats: calls often have the same arguments, so that caching pays (see `dynet_core.op.register`).
    """
    calls = samples(given) if isinstance(given, str) else [Sample([], each) for each in given]
    facts: dict[str, Any] = {"reference": reference, "whole_batch": True, "differentiable": False, "samples": calls}
    return recorded(kind, repeats=repeats, **facts)


def stored(values, dim, batch_size: int = 1) -> np.ndarray:
    """Return an array of the dimensions `dim`, the batch last, from its values in memory order, for tests."""
    return np.reshape(values, (*np.atleast_1d(dim), batch_size), order="F")


NUMBERS = np.arange(-15.0, 15.0) / 8  # values of inputs in tests
