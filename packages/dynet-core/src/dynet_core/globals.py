"""The functions of the module that concern the whole thread: graphs and seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from . import draw, graph, noise, random_stream, recorder, watched
from .checks import checked_flag, whole

if TYPE_CHECKING:
    from .expression import Expression
    from .parameter import LookupParameters


def renew_cg(
    immediate_compute: bool = False, check_validity: bool = False, autobatching: bool | None = None
) -> graph.Graph:
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
    fresh = graph.renew()
    if immediate_compute or check_validity:
        watched.watch_from_the_start(fresh, immediate_compute, check_validity)
    return fresh


renew_cg = recorder.describe(recorder.function("renew_quickly", renew_cg), renew_cg)


def cg() -> graph.Graph:
    """The current graph of this thread."""
    return graph.current()


def cg_version() -> int:
    """The number of this thread's current graph."""
    return graph.current()._version


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
    watched.checkpoint(graph.current())


def cg_revert() -> None:
    """Take the graph back to its last checkpoint, and free the memory used since. Newer expressions become stale.

    Raises:
        ArgumentError: there is no checkpoint.
    """
    watched.revert(graph.current())


def print_text_graphviz() -> None:
    """Print the current graph in the language of Graphviz."""
    print(draw.dot(graph.current()))


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
    print(draw.dot(graph.current(), show_dims and not compact, expression_names, lookup_names))


def reset_random_seed(seed: int) -> None:
    """Restart all random numbers: those of initial values, and those of dropout and noise."""
    seed = whole("reset_random_seed", "the seed", seed)
    random_stream.reset_random_seed(seed)
    noise.reset(seed)
