"""The public functions and methods for computation graphs: new graphs, checkpoints, values, printing and drawing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

import numpy as np
import numpy.typing as npt

from . import pictures, recorder
from .annotations import Array, Dims, Index, Number, Numbers
from .checks import checked_flag, checked_index, checked_list, plain_number
from .compute.engine import RENEWED_IN_PASS_REASON
from .errors import ArgumentError, ArgumentTypeError, OutOfRangeError, StaleExpressionError
from .graph.expression import Expression
from .graph.graph import Checkpoint, Graph, Watch, current, renew
from .graph.nodes import record_of
from .graph.record import graph_of
from .parameter import LookupParameters, parameter
from .parameter.base import Trained


class ComputationGraph(Graph):
    """The computation graph of a thread, with the methods for users. `dy.cg()` returns it.

    The methods of the base class `Graph` are internal.

    Many methods take the number of an expression as `index`. The `repr` of an expression shows its number:
    `expression 2/1: (3,)` is number 2 of the graph with version 1, and has the shape (3,).
    """

    __slots__ = ()

    def __dir__(self) -> list[str]:
        return [*dir(object), *(name for name in ComputationGraph.__dict__ if not name.startswith("_"))]

    if TYPE_CHECKING:  # the package dynet_ops adds these methods at run time

        def inputMatrixLiteral(self, v: Numbers, d: Dims, batch_size: Index = 1, device: str = "") -> Expression: ...
        def inputSparseTensor(
            self,
            idxs: Iterable[Index],
            v: Numbers,
            dim: Dims,
            batch_size: Index = 1,
            defval: Number = 0.0,
            device: str = "",
        ) -> Expression: ...

    def version(self) -> int:
        """Return the version of the graph, a number that no other graph has. `renew` and `revert` change it."""
        return self.records.version

    def renew(
        self, immediate_compute: bool = False, check_validity: bool = False, autobatching: bool | None = None
    ) -> ComputationGraph:
        """Begin a new graph, like the function `renew_cg` with the same arguments, and return it."""
        return renew_cg(immediate_compute, check_validity, autobatching)

    def parameters(self, params: Trained) -> Expression:
        """Return a parameter as an expression, like the function `dy.parameter`."""
        return parameter(params)

    def checkpoint(self) -> None:
        """Set a checkpoint, to which `revert` returns. The function `cg_checkpoint` does the same."""
        self._compute()
        self.watch_or_new().checkpoints.append(Checkpoint(*self.records.ends(), self.engine.arena_mark()))

    def revert(self) -> None:
        """Remove the last checkpoint and all nodes recorded after it, like the function `cg_revert`."""
        self.check_thread()
        version = self.records.version
        watch, engine = self.watch_or_new(), self.engine
        checkpoint = watch.checkpoints[-1] if watch.checkpoints else None
        if checkpoint is None:
            raise ArgumentError(f"cg_revert: graph {self.version()} has no checkpoint to go back to")
        watch.checked_node_count = min(watch.checked_node_count, checkpoint.nodes)
        watch.checked_integer_count = min(watch.checked_integer_count, checkpoint.length)
        watch.past_versions.note_revert(self.records, version, checkpoint.nodes)
        new_version = self.records.cut(version, checkpoint.nodes, checkpoint.length, checkpoint.inputs)
        if not new_version:
            raise StaleExpressionError(f"cg_revert: {RENEWED_IN_PASS_REASON}")
        # All on one line, so that no signal handler runs in between; an earlier handler may have called cg_revert.
        if watch.checkpoints and watch.checkpoints[-1] is checkpoint: watch.checkpoints.pop()  # fmt: skip  # noqa: E701
        if checkpoint.arena_mark is not None and not engine.changing:
            engine.return_to(new_version, checkpoint.length, checkpoint.arena_mark)

    # Methods that compute values or gradients

    def _expression_at(self, method_name: str, index: int) -> Expression:
        self.check_thread()
        index = checked_index(method_name, index)
        record = record_of(self.records, index)
        if record is None:
            raise OutOfRangeError(f"{method_name}: graph {self.version()} has no expression number {index}")
        return recorder.node_at(index, record.dim)

    def forward(self, index: int) -> None:
        """Compute the whole graph again, with new random numbers. `index` is the number of any expression of the graph.

        Raises:
            OutOfRangeError: the graph has no expression with this number.
            StaleExpressionError: the graph belongs to another thread.

        >>> x = dy.inputVector([1, 2])
        >>> g = dy.cg()
        >>> g.forward(x.at), g.forward_vec(x.at)
        (None, [1.0, 2.0])
        """
        self._expression_at("forward", index).forward(recalculate=True)

    def inc_forward(self, index: int) -> None:
        """Compute all expressions of the graph that have not been computed yet. `index` is as for `forward`."""
        self._expression_at("inc_forward", index).forward()

    def forward_scalar(self, index: int) -> float:
        """Compute the whole graph again. Return the value of expression `index`; it must be a single number."""
        return self._expression_at("forward_scalar", index).scalar_value(recalculate=True)

    def inc_forward_scalar(self, index: int) -> float:
        """Return the value of expression `index`; it must be a single number. Compute it first if necessary."""
        return self._expression_at("inc_forward_scalar", index).scalar_value()

    def forward_vec(self, index: int) -> list[float]:
        """Compute the whole graph again. Return the value of expression `index` as a flat list, column by column."""
        return self._expression_at("forward_vec", index).vec_value(recalculate=True)

    def inc_forward_vec(self, index: int) -> list[float]:
        """Return the value of expression `index` as a flat list, column by column. Compute it first if necessary."""
        return self._expression_at("inc_forward_vec", index).vec_value()

    def backward(self, index: int, full: bool = False) -> None:
        """Differentiate an expression with respect to all parameters, and add the results to the parameters' gradients.

        Args:
            index: the number of the expression, whose value must be a single number.
            full: as for `Expression.backward`.
        """
        self._expression_at("backward", index).backward(full)

    # Methods that print or draw the graph

    def dump(
        self,
        filename: str | bytes = "",
        show_values: bool = True,
        show_gradients: bool = True,
        nan_check_only: bool = False,
    ) -> None:
        """Print the value and the gradient of each expression. The arguments are those of the function `dump_cg`."""
        pictures.dump(self, filename, show_values, show_gradients, nan_check_only)

    def print_graphviz(self) -> None:
        """Print the graph as Graphviz source."""
        print(pictures.dot(self))

    def _repr_svg_(self) -> str:
        return pictures.svg(self)

    def _repr_markdown_(self) -> str:
        return f"```mermaid\n{pictures.mermaid(self)}```\n"


Graph._graph_class = ComputationGraph  # the class of all new graphs


def renew_cg(
    immediate_compute: bool = False, check_validity: bool = False, autobatching: bool | None = None
) -> ComputationGraph:
    """Begin a new graph and return it. Using an expression of the old graph then raises StaleExpressionError.

    Args:
        immediate_compute: compute every node as soon as it is recorded, so that an error is raised by the line that
            causes it. This is slow.
        check_validity: raise NotFiniteError, which names the node, if a computed value is infinite or NaN.
        autobatching: accepted for compatibility, and ignored: batching is always on.
    """
    immediate_compute = checked_flag("renew_cg", "immediate_compute", immediate_compute)
    check_validity = checked_flag("renew_cg", "check_validity", check_validity)
    new_graph = cast(ComputationGraph, renew())
    if immediate_compute or check_validity:
        new_graph.records.watch_values()  # Python, not compiled code, will recalculate and do the next `renew_cg`
        new_graph.watch = Watch(immediate_compute, check_validity)
        new_graph.records.watch_records()  # Python records all nodes, so that it can compute each immediately
    return new_graph


# From here on, `renew_cg` is compiled code, which calls the Python function above for what it cannot do itself.
renew_cg = recorder.describe(recorder.function("renew_quickly", renew_cg), renew_cg)


@contextmanager
def graph() -> Iterator[ComputationGraph]:
    """Return a context manager that begins a new graph at the start of its `with` block, and another at the end.

    >>> with graph():
    ...     pass
    """
    try:
        yield renew_cg()
    finally:
        renew_cg()


def cg() -> ComputationGraph:
    """Return the current graph of this thread."""
    return cast(ComputationGraph, current())


def cg_version() -> int:
    """Return the version of this thread's current graph, a number that `renew_cg` and `cg_revert` change."""
    return current().version()


def cg_checkpoint() -> None:
    """Set a checkpoint: `cg_revert` removes the nodes that are recorded after it. Checkpoints can be nested.

    All nodes recorded so far that have not been computed yet are computed now.

    >>> _ = dy.renew_cg()
    >>> x = dy.inputVector([1, 2])
    >>> dy.cg_checkpoint()
    >>> y = dy.tanh(x)
    >>> dy.cg_revert()
    >>> y.value()
    Traceback (most recent call last):
    dynet_core.errors.StaleExpressionError: ... belongs to a part of graph ... that cg_revert has removed
    """
    cg().checkpoint()


def cg_revert() -> None:
    """Remove the last checkpoint and all nodes recorded after it, and free their memory.

    Using an expression of these nodes then raises StaleExpressionError.

    Raises:
        ArgumentError: there is no checkpoint.
    """
    cg().revert()


def print_text_graphviz() -> None:
    """Print the current graph as Graphviz source."""
    print(pictures.dot(current()))


def print_graphviz(
    compact: bool = False,
    show_dims: bool = True,
    expression_names: Mapping[Expression, str] | None = None,
    lookup_names: Mapping[LookupParameters, Sequence[str]] | None = None,
    collapse_birnns: bool = False,
) -> None:
    """Print the current graph as Graphviz source, with the arguments of DyNet's module `dynet_viz`.

    Args:
        compact: leave out the dimensions, even if `show_dims` is True.
        show_dims: show the dimensions of each node.
        expression_names: a dict from expression to the name to show for it.
        lookup_names: a dict from lookup parameter to a list with the name to show for each row.
        collapse_birnns: accepted for compatibility, and ignored: a layer of a recurrent network is always one box.
    """
    show_dims = show_dims and not compact
    print(pictures.dot(current(), show_dims=show_dims, expression_names=expression_names, lookup_names=lookup_names))


def forward(exps: Iterable[Expression], recalculate: bool = False) -> None:
    """Compute several expressions in one pass.

    Args:
        exps: a list of expressions.
        recalculate: compute the whole graph again, with the inputs' present values and new random numbers.

    >>> x = dy.inputVector([1, 2])
    >>> forward([x, dy.square(x)])
    """
    _check_and_compute("forward", exps, recalculate)


def values(exps: Iterable[Expression], recalculate: bool = False) -> list[Any]:
    """Return the values of several expressions, as `Expression.value` returns them. The arguments are as for `forward`.

    >>> x = dy.inputVector([1, 2])
    >>> values([x, dy.sum_elems(x)])
    [[1.0, 2.0], 3.0]
    """
    return [e.value() for e in _check_and_compute("values", exps, recalculate)]


def npvalues(
    exps: Iterable[Expression], recalculate: bool = False, *, dtype: npt.DTypeLike = np.float64
) -> list[Array]:
    """Return the values of several expressions as arrays, as `Expression.npvalue` returns them.

    `exps` and `recalculate` are as for `forward`, `dtype` as for `Expression.npvalue`.

    >>> x = dy.inputVector([1, 2])
    >>> npvalues([x, dy.sum_elems(x)])
    [array([1., 2.]), array([3.])]
    """
    return [e.npvalue(dtype=dtype) for e in _check_and_compute("npvalues", exps, recalculate)]


def _check_and_compute(caller: str, exps: Iterable[Expression], recalculate: bool) -> Sequence[Expression]:
    """Check that `exps` are expressions, compute them, and return them as a list."""
    if isinstance(exps, Expression):
        raise ArgumentTypeError(f"{caller}: expected a list of expressions, got one: {exps!r}")
    expressions = checked_list(caller, exps, "expressions")
    graph_of(caller, expressions).graph._compute(checked_flag(caller, "recalculate", recalculate))
    return expressions


MAX_UNSIGNED = 2**32 - 1


def _checked_unsigned(caller: str, value: Any) -> int:
    number = checked_index(caller, value)
    if not 0 <= number <= MAX_UNSIGNED:
        raise OutOfRangeError(f"{caller}: expected a number in 0..{MAX_UNSIGNED}, got {number}")
    return number


class FloatValue:
    """A float that can be changed by `set`.

    >>> x = FloatValue(2.5)
    >>> x.set(3)
    >>> x.get()
    3.0
    """

    def __init__(self, val: float = 0.0):
        self.set(val)

    def set(self, val: float) -> None:
        """Replace the number with `val`."""
        self._value = plain_number("FloatValue: val", val)

    def get(self) -> float:
        """Return the number."""
        return self._value


class UnsignedValue:
    """A whole number from 0 to 2^32 - 1 that can be changed by `set`.

    >>> UnsignedValue(2).get()
    2
    """

    def __init__(self, val: int = 0):
        self.set(val)

    def set(self, val: int) -> None:
        """Replace the number with `val`."""
        self._value = _checked_unsigned("UnsignedValue", val)

    def get(self) -> int:
        """Return the number."""
        return self._value


T = TypeVar("T")


class _VectorValue(Generic[T]):
    """The base class of `FloatVectorValue` and `UnsignedVectorValue`. `_convert` checks and converts one number."""

    _convert: Callable[[str, Any], T]

    def __init__(self, vals: Iterable[T]):
        self.set(vals)

    def set(self, newval: Iterable[T]) -> None:
        """Replace the list with `newval`, which may have a different length."""
        name = type(self).__name__
        self._values = [self._convert(name, value) for value in checked_list(name, newval, "numbers")]

    def get(self) -> list[T]:
        """Return a copy of the list."""
        return list(self._values)

    def size(self) -> int:
        """Return the length of the list."""
        return len(self._values)


class FloatVectorValue(_VectorValue[float]):
    """A list of floats that can be changed by `set`.

    >>> x = FloatVectorValue([1, 2])
    >>> x.get(), x.size()
    ([1.0, 2.0], 2)
    """

    _convert = staticmethod(plain_number)


class UnsignedVectorValue(_VectorValue[int]):
    """A list of whole numbers from 0 to 2^32 - 1 that can be changed by `set`.

    >>> UnsignedVectorValue([1, 2]).get()
    [1, 2]
    """

    _convert = staticmethod(_checked_unsigned)
