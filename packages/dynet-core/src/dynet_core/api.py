"""The public functions and methods for computation graphs: new graphs, checkpoints, printing and drawing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

from . import recorder
from .annotations import Dims, Index, Number, Numbers
from .checks import checked_flag, checked_index
from .errors import OutOfRangeError
from .graph import Graph, checkpoints, current, renew
from .graph.expression import Expression
from .graph.nodes import node_at
from .parameter import LookupParameters, parameter
from .parameter.base import Trained
from .pictures import draw
from .pictures.dump import dump


class ComputationGraph(Graph):
    """The computation graph of a thread, with the methods for users. `dy.cg()` returns it.

    The methods of the base class `Graph` are for the library itself.

    Many methods take the number of an expression as `index`. The `repr` of an expression shows its number:
    `expression 2/1: (3,)` is number 2 of the graph with version 1, and has the shape (3,).
    """

    __slots__ = ()

    def __dir__(self) -> list[str]:
        return [*dir(object), *(name for name in ComputationGraph.__dict__ if not name.startswith("_"))]

    if TYPE_CHECKING:  # the package dynet_ops adds these methods at run time; they are declared here for type checkers

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
        """Set a checkpoint, to which `revert` returns, like the function `cg_checkpoint`."""
        checkpoints.checkpoint(self)

    def revert(self) -> None:
        """Remove the last checkpoint and all nodes recorded after it, like the function `cg_revert`."""
        checkpoints.revert(self)

    # Methods that compute values or gradients. Their argument `index` is the number of an expression.

    def _expression(self, name: str, index: int) -> Expression:
        self.check_thread()
        place = checked_index(name, index)
        node = node_at(self.records, place)
        if node is None:
            raise OutOfRangeError(f"{name}: graph {self.version()} has no expression number {place}")
        return recorder.handle(place, node.dim)

    def forward(self, index: int) -> None:
        """Compute the whole graph again, with new random numbers. `index` is the number of any expression of the graph.

        Raises:
            OutOfRangeError: the graph has no expression with this number.
            StaleExpressionError: the graph is another thread's.

        >>> x = dy.inputVector([1, 2])
        >>> g = dy.cg()
        >>> g.forward(x.at), g.forward_vec(x.at)
        (None, [1.0, 2.0])
        """
        self._expression("forward", index).forward(recalculate=True)

    def inc_forward(self, index: int) -> None:
        """Compute all expressions of the graph that have not been computed yet. `index` is as for `forward`."""
        self._expression("inc_forward", index).forward()

    def forward_scalar(self, index: int) -> float:
        """Compute the whole graph again. Return the value of expression `index`; it must be a single number."""
        return self._expression("forward_scalar", index).scalar_value(recalculate=True)

    def inc_forward_scalar(self, index: int) -> float:
        """Return the value of expression `index`; it must be a single number. Compute it first if necessary."""
        return self._expression("inc_forward_scalar", index).scalar_value()

    def forward_vec(self, index: int) -> list[float]:
        """Compute the whole graph again. Return the value of expression `index` as a flat list, column by column."""
        return self._expression("forward_vec", index).vec_value(recalculate=True)

    def inc_forward_vec(self, index: int) -> list[float]:
        """Return the value of expression `index` as a flat list, column by column. Compute it first if necessary."""
        return self._expression("inc_forward_vec", index).vec_value()

    def backward(self, index: int, full: bool = False) -> None:
        """Differentiate an expression with respect to all parameters, and add the results to the parameters' gradients.

        Args:
            index: the number of the expression, whose value must be a single number.
            full: as for `Expression.backward`.
        """
        self._expression("backward", index).backward(full)

    # Methods that print or draw the graph

    def dump(
        self,
        filename: str | bytes = "",
        show_values: bool = True,
        show_gradients: bool = True,
        nan_check_only: bool = False,
    ) -> None:
        """Print the value and the gradient of each expression. The arguments are those of the function `dump_cg`."""
        dump(self, filename, show_values, show_gradients, nan_check_only)

    def print_graphviz(self) -> None:
        """Print the graph as source text for Graphviz, a program that draws graphs."""
        print(draw.dot(self))

    def _repr_svg_(self) -> str:
        return draw.svg(self)

    def _repr_markdown_(self) -> str:
        return f"```mermaid\n{draw.mermaid(self)}```\n"


Graph._kind = ComputationGraph


def _public(graph: Graph) -> ComputationGraph:
    return cast(ComputationGraph, graph)


def renew_cg(
    immediate_compute: bool = False, check_validity: bool = False, autobatching: bool | None = None
) -> ComputationGraph:
    """Begin a new graph and return it. Using an expression of the old graph then raises StaleExpressionError.

    Args:
        immediate_compute: compute every node as soon as it is recorded, so that the line that causes an error raises
            it. This is slow.
        check_validity: raise NotFiniteError, which names the node, if a computed value is infinite or NaN.
        autobatching: accepted for compatibility, and ignored: batching is always on.
    """
    if immediate_compute is not False:
        immediate_compute = checked_flag("renew_cg", "immediate_compute", immediate_compute)
    if check_validity is not False:
        check_validity = checked_flag("renew_cg", "check_validity", check_validity)
    fresh = _public(renew())
    if immediate_compute or check_validity:
        checkpoints.watch_from_the_start(fresh, immediate_compute, check_validity)
    return fresh


renew_cg = recorder.describe(recorder.function("renew_quickly", renew_cg), renew_cg)


@contextmanager
def graph() -> Iterator[ComputationGraph]:
    """Return a context manager that begins a new graph on entry, and another one at the end of the `with` block.

    >>> with graph():
    ...     pass
    """
    try:
        yield renew_cg()
    finally:
        renew_cg()


def cg() -> ComputationGraph:
    """Return the current graph of this thread."""
    return _public(current())


def cg_version() -> int:
    """Return the version of this thread's current graph, a number that `renew_cg` and `cg_revert` change."""
    return current()._version


def cg_checkpoint() -> None:
    """Set a checkpoint: `cg_revert` removes the nodes that are recorded after it. Checkpoints can be nested.

    All nodes recorded so far are computed now, unless they have been computed already.

    >>> _ = dy.renew_cg()
    >>> x = dy.inputVector([1, 2])
    >>> dy.cg_checkpoint()
    >>> y = dy.tanh(x)
    >>> dy.cg_revert()
    >>> y.value()
    Traceback (most recent call last):
    dynet_core.errors.StaleExpressionError: ... belongs to a part of graph ... that cg_revert has removed
    """
    checkpoints.checkpoint(current())


def cg_revert() -> None:
    """Remove the last checkpoint and all nodes recorded after it, and free their memory.

    Using an expression of these nodes then raises StaleExpressionError.

    Raises:
        ArgumentError: there is no checkpoint.
    """
    checkpoints.revert(current())


def print_text_graphviz() -> None:
    """Print the current graph as source text for Graphviz, a program that draws graphs."""
    print(draw.dot(current()))


def print_graphviz(
    compact: bool = False,
    show_dims: bool = True,
    expression_names: Mapping[Expression, str] | None = None,
    lookup_names: Mapping[LookupParameters, Sequence[str]] | None = None,
    collapse_birnns: bool = False,
) -> None:
    """Print the current graph as source text for Graphviz. The arguments are those of DyNet's module `dynet_viz`.

    Args:
        compact: leave out the dimensions, even if `show_dims` is True.
        show_dims: show the dimensions of each node.
        expression_names: a dict from expression to the name to show for it.
        lookup_names: a dict from lookup parameter to a list with the name to show for each row.
        collapse_birnns: accepted for compatibility, and ignored: a layer of a recurrent network is one box anyway.
    """
    print(draw.dot(current(), show_dims and not compact, expression_names, lookup_names))
