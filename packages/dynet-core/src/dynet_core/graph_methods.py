"""What programs can ask of a graph: the methods of `dy.cg()`. Most have a function of the library beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from .expression import Expression
    from .graph import Graph

# What these methods do needs graphs, so it is imported where it is used.


def _graph(methods: GraphMethods) -> Graph:
    return cast("Graph", methods)


class GraphMethods:
    """The methods of a graph that are for programs; `Graph` has those that are for the library.

    An `index` is the number of an expression in the graph, which its text shows: 2 for `expression 2/1: (3,)`.
    """

    __slots__ = ()

    _version: int

    def __dir__(self) -> list[str]:
        """The names that are for programs."""
        return [*dir(object), *(name for name in GraphMethods.__dict__ if not name.startswith("_"))]

    def version(self) -> int:
        """The number of the graph."""
        return self._version

    def renew(
        self, immediate_compute: bool = False, check_validity: bool = False, autobatching: bool | None = None
    ) -> Graph:
        """Begin a new graph, like `renew_cg`."""
        from .globals import renew_cg

        return renew_cg(immediate_compute, check_validity, autobatching)

    def parameters(self, params):
        """A parameter as an expression, like `parameter`."""
        from .parameter import parameter

        return parameter(params)

    def checkpoint(self) -> None:
        """Note where the graph is, like `cg_checkpoint`."""
        from .watched import checkpoint

        checkpoint(_graph(self))

    def revert(self) -> None:
        """Take the graph back to its last checkpoint, like `cg_revert`."""
        from .watched import revert

        revert(_graph(self))

    # Computing, by the number of an expression

    def _expression(self, name: str, index: int) -> Expression:
        from .nodes import expression_at

        return expression_at(_graph(self), name, index)

    def forward(self, index: int) -> None:
        """Compute the graph anew, noise included, with the expression of that number.

        >>> x = dy.inputVector([1, 2])
        >>> g = dy.cg()
        >>> g.forward(x.at), g.forward_vec(x.at)
        (None, [1.0, 2.0])

        Raises:
            OutOfRangeError: the graph has no expression of that number.
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
        from .dump import dump

        dump(_graph(self), filename, show_values, show_gradients, nan_check_only)

    def print_graphviz(self) -> None:
        """Print the graph in the language of Graphviz."""
        from .draw import dot

        print(dot(_graph(self)))

    def _repr_svg_(self) -> str:
        from .draw import svg

        return svg(_graph(self))

    def _repr_markdown_(self) -> str:
        from .draw import mermaid

        return f"```mermaid\n{mermaid(_graph(self))}```\n"
