"""Networks over trees and graphs: a function is called for each node, with the states of other nodes.

No Python code runs for each node, except the functions themselves, which should have the decorator `dy.function`.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from dynet_core.annotations import Index
from dynet_core.checks import whole
from dynet_core.errors import ArgumentError
from dynet_ops.reduce.sums import esum


def transduce(
    cell: Callable[[Any, list[Any]], Any],
    xs: Iterable[Any],
    heads: Iterable[Index] | None = None,
    *,
    children: Iterable[Iterable[Index]] | None = None,
) -> list[Any]:
    """Return the states of all nodes of one or several trees, or of other graphs without circles.

    Nodes whose children are all computed are computed together.

    Args:
        cell: a function of a node's input and the list of its children's states, which returns the node's state: an
            expression, or a tuple of them. With `dy.function`, no Python runs for a node.
        xs: the input of each node.
        heads: for each node of trees, the number of its parent; -1 for a root. Children are in the order of `xs`.
        children: instead of `heads`, a list of the numbers of its children for each node. A node may have several
            parents.

    Raises:
        ArgumentError: a number is out of range, a node is its own ancestor, or the lists differ in length.

    >>> W = dy.Model().add_parameters((2, 2))
    >>> @dy.function
    ... def cell(x, states):
    ...     return dy.tanh(W * dy.esum([x, *states]))
    >>> words = [dy.inputVector([k, 1]) for k in range(3)]
    >>> [state.dim() for state in dy.transduce(cell, words, heads=[1, -1, 1])]
    [((2,), 1), ((2,), 1), ((2,), 1)]
    """
    xs = list(xs)
    return states_of("transduce", cell, xs, *edges_of("transduce", len(xs), heads, children))


def edges_of(name: str, count: int, heads: Any, children: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the edges of trees, or of another structure: parents in ascending order, and a child for each."""
    if (heads is None) == (children is None):
        raise ArgumentError(f"{name}: give either heads or children")
    if heads is not None:
        above = _numbers(name, "a head, the number of a node or -1,", heads, -1, count, "head")
        _check_length(name, len(above), count, "heads")
        parents = above[above >= 0]
        order = np.argsort(parents, kind="stable")
        return parents[order], np.flatnonzero(above >= 0)[order]
    lists = [*map(list, children)]
    _check_length(name, len(lists), count, "lists of children")
    below = _numbers(name, "a child", itertools.chain(*lists), 0, count, "child")
    return np.repeat(np.arange(count), [*map(len, lists)]), below


def _numbers(name: str, what: str, values: Iterable[Index], least: int, count: int, short: str) -> np.ndarray:
    found: Any = values if isinstance(values, np.ndarray) else [*values]
    try:
        with np.errstate(invalid="ignore"):
            numbers = np.asarray(found, np.int64) if len(found) else np.zeros(0, np.int64)
        if numbers.ndim != 1 or not np.array_equal(numbers, found):
            raise ValueError
    except (ValueError, TypeError, OverflowError):
        numbers = np.array([whole(name, what, value) for value in found], np.int64)
    wrong = np.flatnonzero((numbers < least) | (numbers >= count))
    if wrong.size:
        place = f" of node {wrong[0]}" if short == "head" else ""
        raise ArgumentError(f"{name}: {short} {numbers[wrong[0]]}{place} is out of range: nodes are 0 to {count - 1}")
    return numbers


def _check_length(name: str, length: int, count: int, what: str) -> None:
    if length != count:
        raise ArgumentError(f"{name}: {count} inputs, but {length} {what}")


def states_of(
    name: str, cell: Callable, xs: list[Any], parents: np.ndarray, kids: np.ndarray, *constants: Any
) -> list[Any]:
    """Call the cell for all nodes, children first, and return the states. For the edges, see `edges_of`.

    The arguments of the cell are the input of a node, the list of its children's states, and the constants.
    """
    count, levels = len(xs), [*_levels(parents, kids, len(xs))]
    if len(lost := np.setdiff1d(np.arange(count), np.concatenate([*levels, []]))):
        raise ArgumentError(f"{name}: node {lost[0]:.0f} belongs to no tree: its children or heads lead in a circle")
    states: list[Any] = [None] * count
    begins, repeated = np.searchsorted(parents, np.arange(count + 1)), [*map(itertools.repeat, constants)]
    for nodes in levels:
        edges, lengths = _ranges(begins, nodes)
        found, ends = [*map(states.__getitem__, kids[edges].tolist())], np.cumsum(lengths)
        below = map(found.__getitem__, map(slice, (ends - lengths).tolist(), ends.tolist()))
        numbers = nodes.tolist()
        _exhaust(map(states.__setitem__, numbers, map(cell, map(xs.__getitem__, numbers), below, *repeated)))
    return states


def _levels(parents: np.ndarray, kids: np.ndarray, count: int) -> Iterator[np.ndarray]:
    """Yield the nodes without children, then again and again the nodes whose children have all been yielded."""
    waiting, order = np.bincount(parents, minlength=count), np.argsort(kids, kind="stable")
    begins = np.searchsorted(kids[order], np.arange(count + 1))
    nodes = np.flatnonzero(waiting == 0)
    while nodes.size:
        yield nodes
        above = parents[order[_ranges(begins, nodes)[0]]]
        waiting -= np.bincount(above, minlength=count)
        nodes = np.unique(above[waiting[above] == 0])


def _ranges(begins: np.ndarray, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return begins[k], begins[k] + 1, ..., begins[k + 1] - 1 for each k of `numbers`, and how many these are."""
    first, lengths = begins[numbers], begins[numbers + 1] - begins[numbers]
    return np.repeat(first - np.cumsum(lengths) + lengths, lengths) + np.arange(lengths.sum()), lengths


def _exhaust(iterator: Iterator[Any]) -> None:
    deque(iterator, maxlen=0)


def pass_messages(
    states: Sequence[Any],
    edges: Iterable[Sequence[Index]],
    message: Callable[..., Any],
    update: Callable[[Any, Any], Any],
    *,
    rounds: Index = 1,
    aggregate: Callable[[list[Any]], Any] = esum,
) -> list[Any]:
    """Return the states of the nodes of a graph after messages along its edges.

    Args:
        states: the state of each node.
        edges: the two nodes of each edge, the source first, as numbers in `states`; and perhaps a third number, the
            edge's kind. They may be the rows of an array.
        message: a function of the state of an edge's source, and of the edge's kind if edges have kinds.
        update: a function of the aggregated messages to a node and its state, which returns the new state. It gets None
            in place of messages if the node has no incoming edge.
        rounds: how often all nodes are updated.
        aggregate: a function of the list of messages to a node, such as `esum` or `average`.

    The functions should have the decorator `dy.function`.

    Source: Gilmer et al., "Neural message passing for quantum chemistry", 2017.

    Raises:
        ArgumentError: an edge has a node that does not exist, or not two or three numbers.

    >>> A = dy.Model().add_parameters((2, 2, 2))
    >>> message = dy.function(lambda h, kind: A[kind] * h)
    >>> update = dy.function(lambda messages, h: h if messages is None else dy.tanh(h + messages))
    >>> nodes = [dy.inputVector([k, 1]) for k in range(3)]
    >>> edges = [(0, 1, 0), (1, 0, 1), (2, 1, 1)]
    >>> [h.dim() for h in dy.pass_messages(nodes, edges, message, update, rounds=2)]
    [((2,), 1), ((2,), 1), ((2,), 1)]
    """
    states = list(states)
    try:
        columns = [*(edges.T if isinstance(edges, np.ndarray) else zip(*edges, strict=True))]
    except ValueError:
        columns = [()]  # of edges of different lengths: refused below
    if len(columns) not in (0, 2, 3):
        raise ArgumentError(
            "pass_messages: an edge is two numbers of nodes, or these and a kind, the same for all edges"
        )
    name, count = "pass_messages", len(states)
    sources, targets, *kinds = [
        _numbers(name, what, column, 0 if k < 2 else -(1 << 62), count if k < 2 else 1 << 62, what)
        for k, (what, column) in enumerate(zip(("a source", "a target", "a kind"), columns))
    ] or [np.zeros(0, np.int64)] * 2
    order = np.argsort(targets, kind="stable")
    receivers, first = np.unique(targets[order], return_index=True)
    slices = [*map(slice, first.tolist(), [*first[1:].tolist(), len(order)])]
    from_nodes, of_kinds = sources[order].tolist(), [kind[order].tolist() for kind in kinds]
    for _ in range(whole(name, "rounds", rounds)):
        messages = [*map(message, map(states.__getitem__, from_nodes), *of_kinds)]
        received: list[Any] = [None] * count
        _exhaust(map(received.__setitem__, receivers.tolist(), map(aggregate, map(messages.__getitem__, slices))))
        states = [*map(update, received, states)]
    return states


__all__ = ["pass_messages", "transduce"]
