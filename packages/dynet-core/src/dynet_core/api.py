"""What programs ask of the graph, as functions and as methods of `dy.cg()`: renewing, checkpoints, pictures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

from . import checkpoints, draw, recorder
from .annotations import Dims, Index, Number, Numbers
from .checks import checked_flag, checked_index
from .dump import dump
from .errors import OutOfRangeError
from .expression import Expression
from .graph import Graph, current, renew
from .nodes import node_at
from .parameter import LookupParameters, parameter
from .parameter.base import Trained


class ComputationGraph(Graph):
    """The graph of a thread, with the methods that are for programs; `Graph` has those that are for the library.

    An `index` is the number of an expression in the graph, which its text shows: 2 for `expression 2/1: (3,)`.
    """

    __slots__ = ()

    def __dir__(self) -> list[str]:
        """The names that are for programs."""
        return [*dir(object), *(name for name in ComputationGraph.__dict__ if not name.startswith("_"))]

    if TYPE_CHECKING:  # installed by dynet_ops

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
        """The number of the graph."""
        return self.records.version

    def renew(
        self, immediate_compute: bool = False, check_validity: bool = False, autobatching: bool | None = None
    ) -> ComputationGraph:
        """Begin a new graph, like `renew_cg`."""
        return renew_cg(immediate_compute, check_validity, autobatching)

    def parameters(self, params: Trained) -> Expression:
        """A parameter as an expression, like `parameter`."""
        return parameter(params)

    def checkpoint(self) -> None:
        """Note where the graph is, like `cg_checkpoint`."""
        checkpoints.checkpoint(self)

    def revert(self) -> None:
        """Take the graph back to its last checkpoint, like `cg_revert`."""
        checkpoints.revert(self)

    # Computing, by the number of an expression

    def _expression(self, name: str, index: int) -> Expression:
        self.check_thread()
        place = checked_index(name, index)
        node = node_at(self.records, place)
        if node is None:
            raise OutOfRangeError(f"{name}: graph {self.version()} has no expression number {place}")
        return self.node(place, node.dim)

    def forward(self, index: int) -> None:
        """Compute the graph anew, noise included, with the expression of that number.

        >>> x = dy.inputVector([1, 2])
        >>> g = dy.cg()
        >>> g.forward(x.at), g.forward_vec(x.at)
        (None, [1.0, 2.0])

        Raises:
            OutOfRangeError: the graph has no expression of that number.
            StaleExpressionError: the graph is another thread's.
        """
        self._expression("forward", index).forward(recalculate=True)

    def inc_forward(self, index: int) -> None:
        """Compute what has not been computed of the graph."""
        self._expression("inc_forward", index).forward()

    def forward_scalar(self, index: int) -> float:
        """Compute the graph anew; the value of an expression that is a single number."""
        return self._expression("forward_scalar", index).scalar_value(recalculate=True)

    def inc_forward_scalar(self, index: int) -> float:
        """The value of an expression that is a single number."""
        return self._expression("inc_forward_scalar", index).scalar_value()

    def forward_vec(self, index: int) -> list[float]:
        """Compute the graph anew; the value of an expression as a flat list, column by column."""
        return self._expression("forward_vec", index).vec_value(recalculate=True)

    def inc_forward_vec(self, index: int) -> list[float]:
        """The value of an expression as a flat list, column by column."""
        return self._expression("inc_forward_vec", index).vec_value()

    def backward(self, index: int, full: bool = False) -> None:
        """Add the gradients of an expression that is a single number, like its method `backward`."""
        self._expression("backward", index).backward(full)

    # Looking

    def dump(
        self,
        filename: str | bytes = "",
        show_values: bool = True,
        show_gradients: bool = True,
        nan_check_only: bool = False,
    ) -> None:
        """Print what the graph holds, like `dump_cg`."""
        dump(self, filename, show_values, show_gradients, nan_check_only)

    def print_graphviz(self) -> None:
        """Print the graph in the language of Graphviz."""
        print(draw.dot(self))

    def _repr_svg_(self) -> str:
        return draw.svg(self)

    def _repr_markdown_(self) -> str:
        return f"```mermaid\n{draw.mermaid(self)}```\n"


Graph._kind = ComputationGraph


def _for_programs(found: Graph) -> ComputationGraph:
    return cast(ComputationGraph, found)


def renew_cg(
    immediate_compute: bool = False, check_validity: bool = False, autobatching: bool | None = None
) -> ComputationGraph:
    """Begin a new graph; all expressions of the old one become stale.

    Args:
        immediate_compute: compute every node as soon as it is recorded, where errors then show. Slow.
        check_validity: raise NotFiniteError, which names the node, when one is infinite or NaN.
        autobatching: accepted, and changes nothing: batching is always on.
    """
    if immediate_compute is not False:
        immediate_compute = checked_flag("renew_cg", "immediate_compute", immediate_compute)
    if check_validity is not False:
        check_validity = checked_flag("renew_cg", "check_validity", check_validity)
    fresh = _for_programs(renew())
    if immediate_compute or check_validity:
        checkpoints.watch_from_the_start(fresh, immediate_compute, check_validity)
    return fresh


renew_cg = recorder.describe(recorder.function("renew_quickly", renew_cg), renew_cg)


@contextmanager
def graph() -> Iterator[ComputationGraph]:
    """A graph for the length of a `with` block.

    >>> with graph():
    ...     pass
    """
    try:
        yield renew_cg()
    finally:
        renew_cg()


def cg() -> ComputationGraph:
    """The current graph of this thread."""
    return _for_programs(current())


def cg_version() -> int:
    """The number of this thread's current graph."""
    return current()._version


def cg_checkpoint() -> None:
    """Note where the graph is, for `cg_revert`; checkpoints can be nested. What is recorded is computed first.

    >>> dy.renew_cg()._version > 0
    True
    >>> x = dy.inputVector([1, 2])
    >>> dy.cg_checkpoint()
    >>> y = dy.tanh(x)
    >>> dy.cg_revert()
    >>> y.value()
    Traceback (most recent call last):
    dynet_core.errors.StaleExpressionError: ... belongs to a part of graph ... that cg_revert has taken back
    """
    checkpoints.checkpoint(current())


def cg_revert() -> None:
    """Take the graph back to its last checkpoint, and free the memory used since. Newer expressions become stale.

    Raises:
        ArgumentError: there is no checkpoint.
    """
    checkpoints.revert(current())


def print_text_graphviz() -> None:
    """Print the current graph in the language of Graphviz."""
    print(draw.dot(current()))


def print_graphviz(
    compact: bool = False,
    show_dims: bool = True,
    expression_names: Mapping[Expression, str] | None = None,
    lookup_names: Mapping[LookupParameters, Sequence[str]] | None = None,
    collapse_birnns: bool = False,
) -> None:
    """Print the current graph in the language of Graphviz, with the arguments of DyNet's `dynet_viz`.

    Args:
        compact: leave out the dimensions.
        show_dims: show the dimensions.
        expression_names: a dict of names by expression.
        lookup_names: a dict of lists of names of rows, by lookup parameter.
        collapse_birnns: accepted; a network is one node anyway.
    """
    print(draw.dot(current(), show_dims and not compact, expression_names, lookup_names))
