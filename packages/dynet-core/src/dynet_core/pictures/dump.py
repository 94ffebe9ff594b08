"""Print the value and the gradient of each expression of a graph."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import numpy as np

from .. import recorder
from ..checks import checked_flag
from ..errors import GradientError
from ..graph import Graph, current
from ..graph.nodes import nodes_of


def dump_cg(
    filename: str | bytes = "", show_values: bool = True, show_gradients: bool = True, nan_check_only: bool = False
) -> None:
    """Print the value and the gradient of every expression of the current graph. Values are computed if necessary.

    Args:
        filename: the file to write to; by default stdout.
        show_values: whether to print values.
        show_gradients: whether to print gradients.
        nan_check_only: print only whether all numbers of a value or gradient are finite: "valid" or "invalid".

    Raises:
        OSError: the file cannot be written.

    >>> _ = dy.renew_cg()
    >>> y = dy.tanh(dy.inputVector([1, 2]))
    >>> dump_cg(nan_check_only=True)
    Node 0: input (2,)
    Value: valid
    Gradient: (not computed)
    Node 1: tanh (2,)
    Value: valid
    Gradient: (not computed)
    """
    dump(current(), filename, show_values, show_gradients, nan_check_only)


def dump(graph: Graph, filename, show_values, show_gradients, nan_check_only) -> None:
    """Do for `graph` what `dump_cg` does."""
    flags = {"show_values": show_values, "show_gradients": show_gradients, "nan_check_only": nan_check_only}
    text = "\n".join(_lines(graph, *[checked_flag("dump_cg", what, value) for what, value in flags.items()])) + "\n"
    if filename:
        with open(os.fsdecode(filename), "w", encoding="utf-8") as file:
            file.write(text)
    else:
        sys.stdout.write(text)


def _lines(graph: Graph, show_values: bool, show_gradients: bool, only_check: bool) -> Iterator[str]:
    if not graph.records.length:
        yield "(Computation graph is empty)"
    for node in nodes_of(graph.records):
        for place in node.places:
            yield f"Node {place}: {node.op} {node.dim!r}"
            if show_values:
                yield _described("Value", recorder.handle(place, node.dim).npvalue(dtype=np.float32), only_check)
            if show_gradients:
                yield _described("Gradient", _gradient(place, node.dim), only_check)


def _gradient(place: int, dim) -> np.ndarray | None:
    try:
        return recorder.handle(place, dim).gradient(dtype=np.float32)
    except GradientError:
        return None


def _described(what: str, array: np.ndarray | None, only_check: bool) -> str:
    if array is None:
        return f"{what}: (not computed)"
    if only_check:
        return f"{what}: {'valid' if np.isfinite(array).all() else 'invalid'}"
    return f"{what}:\n{array}"
