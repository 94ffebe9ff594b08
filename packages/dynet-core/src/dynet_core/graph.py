"""The computation graph of a thread: one flat list of integers, and what has been computed of it."""

from __future__ import annotations

import array
import itertools
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from dynet_kernels import layout as at

from .checks import checked_flag
from .dim import Dim
from .engine import Engine
from .errors import GradientError, StaleExpressionError
from .handles import Handles
from .memory import floats_at
from .noise import renew_keys
from .signature import TABLE

if TYPE_CHECKING:
    from .expression import Expression
    from .watched import Watch

thread = threading.local()  # its attribute `graph`, once there is one, is the current graph
_versions = itertools.count(1)


class Graph:
    """What has been recorded since the last `renew_cg` of this thread.

    `nodes` is the list of records. When the graph is gone, it is the graph itself, which then refuses whatever is
    done with a list: so those who record need not ask. Only a `WatchedGraph` has a `watch`.
    """

    __slots__ = (
        "differentiated",
        "differentiated_fully",
        "done",
        "engine",
        "inputs",
        "inputs_done",
        "next",
        "nodes",
        "_version",
        "watch",
    )

    engine: Engine
    nodes: list[int]
    next: Expression  # the handle of the node that is recorded next; None if there is none ready, or the graph is gone
    inputs: array.array
    done: int  # how many records have been computed, and how many inputs they had
    inputs_done: int
    differentiated: int  # the node that `backward` started from last; -1: none
    differentiated_fully: bool
    watch: Watch

    # For users. What these modules do needs graphs, so it is imported where it is used.

    def version(self) -> int:
        """The number of the graph."""
        return self._version

    def renew(self, immediate_compute: bool = False, check_validity: bool = False) -> Graph:
        """Begin a new graph, like `renew_cg`."""
        from .globals import renew_cg

        return renew_cg(immediate_compute, check_validity)

    def parameters(self, params):
        """A parameter as an expression, like `parameter`."""
        from .parameter import parameter

        return parameter(params)

    def checkpoint(self) -> None:
        """Note where the graph is, like `cg_checkpoint`."""
        from .watched import checkpoint

        checkpoint(self)

    def revert(self) -> None:
        """Take the graph back to its last checkpoint, like `cg_revert`."""
        from .watched import revert

        revert(self)

    def print_graphviz(self) -> None:
        """Print the graph in the language of Graphviz."""
        from .draw import dot

        print(dot(self))

    def _repr_svg_(self) -> str:
        from .draw import svg

        return svg(self)

    def _repr_markdown_(self) -> str:
        from .draw import mermaid

        return f"```mermaid\n{mermaid(self)}```\n"

    # For the library

    def gone(self) -> str:
        """Says that this is not the current graph any more."""
        return (
            f"this expression belongs to graph {self._version}, which renew_cg has replaced; "
            f"the current graph is {current()._version}"
        )

    def _refuse(self, *_):
        raise StaleExpressionError(self.gone())

    __len__ = __iadd__ = __getitem__ = _refuse

    def new_nodes(self, count: int) -> list[Expression]:
        """The handles of the `count` nodes that are recorded next."""
        if self.next is None:
            len(self.nodes)  # raises if the graph is gone
        handles = self.engine.handles.take(self.next, count)
        self.next = handles[-1].next
        return handles

    def new_node(self, dim: Dim) -> Expression:
        """The handle of the node that is recorded next. The most frequent ops do this without a call, in place."""
        node = self.next
        if node is None:
            (node,) = self.new_nodes(1)
        self.next = node.next
        node.graph, node.type = self, dim
        return node

    def new_pair(self) -> Expression:
        """The second handle of the two nodes that are recorded next, as parts of one record."""
        first = self.next
        node = None if first is None else first.next
        if node is None:
            _, node = self.new_nodes(2)
        self.next = node.next
        return node

    def node_count(self) -> int:
        """How many nodes have been recorded, whatever became of them."""
        return self.engine.handles.number_of(self.next)

    def forward(self, recalculate: bool = False) -> None:
        """Compute every node recorded since the last call; with `recalculate`, all of them again."""
        if recalculate is not False and checked_flag("value", "recalculate", recalculate):
            self.invalidate()
        nodes = self.nodes
        end = len(nodes)
        if self.done < end:
            self.inputs_done = self.engine.forward(nodes, self.done, end, self.inputs, self.inputs_done)
            self.done = end

    def invalidate(self) -> None:
        """Forget all values: inputs have changed. Random nodes will be drawn anew."""
        len(self.nodes)  # raises if the graph is gone
        self.engine.begin(again=True)
        self.done = self.inputs_done = 0
        self.differentiated = -1
        if self.engine.keys:
            renew_keys(self)

    def replace_input(self, place: int, start: int, values: np.ndarray) -> None:
        """Give an input node other values, of a float32 array; whatever has been computed is invalid then.

        Args:
            start: where its values begin among the inputs.
        """
        len(self.nodes)  # raises if the graph is gone
        if start < self.inputs_done:
            self.invalidate()
        self.inputs[start : start + values.size] = array.array("f", values.tobytes(order="F"))

    def holds(self, place: int) -> bool:
        """Whether a node of this graph has not been taken back."""
        return True

    def number(self, place: int) -> float:
        """The first number of a node's value."""
        if self.done < len(self.nodes):
            self.forward()
        return self.engine.number(place)

    def values(self, place: int, count: int) -> np.ndarray:
        """The numbers of a node's value, in the order they are stored; valid until the next node is computed."""
        if self.done < len(self.nodes):
            self.forward()
        return floats_at(self.engine.nodes[place * at.NODE_ROW + at.NODE_VALUE], count)

    def address(self, place: int) -> int:
        """Where a node's value is; valid until the next node is computed."""
        if self.done < len(self.nodes):
            self.forward()
        return self.engine.nodes[place * at.NODE_ROW + at.NODE_VALUE]

    def backward(self, place: int, size: int, everything: bool) -> None:
        """Add the gradient of a node to every parameter it depends on."""
        if self.done < len(self.nodes):
            self.forward()
        self.engine.backward(place, size, everything)
        self.differentiated, self.differentiated_fully = place, everything

    def gradients(self, place: int, count: int) -> np.ndarray:
        """The numbers of a node's gradient after `backward`."""
        len(self.nodes)  # raises if the graph is gone
        if self.differentiated < 0:
            raise GradientError("gradient: backward() has not been called on this graph")
        if not self.differentiated_fully and place != self.differentiated and self._is_alias(place):
            raise GradientError(
                "gradient: this expression is a part of another one, as which it is differentiated; "
                "backward(full=True) tells their gradients apart"
            )
        row = place * at.NODE_ROW
        if place > self.differentiated or not self.engine.nodes[row + at.NODE_LIVE] & at.TOUCHED:
            return np.zeros(count, np.float32)
        return floats_at(self.engine.nodes[row + at.NODE_GRADIENT], count)

    def _is_alias(self, place: int) -> bool:
        return TABLE[self.engine.nodes[place * at.NODE_ROW + at.NODE_PART] + at.KIND] == at.ALIAS

    def take(self, values) -> int:
        """Keep input values; where they begin among the inputs."""
        start = len(self.inputs)
        self.inputs.extend(values)
        return start

    def take_array(self, values: np.ndarray) -> int:
        """Keep the values of a float32 array, column by column."""
        start = len(self.inputs)
        self.inputs.frombytes(values.tobytes(order="F"))
        return start


def current() -> Graph:
    """The graph of this thread; the first call makes it."""
    try:
        return thread.graph
    except AttributeError:
        return renew()


def renew() -> Graph:
    """Begin a new graph; expressions of the old one are stale from now on."""
    try:
        old = thread.graph
    except AttributeError:
        engine, inputs = Engine(Handles()), array.array("f")
        nodes, unused = engine.recorded, None
    else:
        nodes, inputs, engine, unused = old.nodes, old.inputs, old.engine, old.next
        old.nodes, old.next = old, None  # type: ignore[assignment]  # see Graph
        if nodes.__class__ is list:
            nodes.clear()
        else:
            nodes = engine.recorded = []
        if inputs:
            del inputs[:]
        if engine.keys:
            engine.keys.clear()
        engine.begin()
    graph = thread.graph = Graph()
    graph.engine = engine
    graph.nodes = nodes
    graph.next = engine.handles.begin(unused)
    graph.inputs = inputs
    graph._version = next(_versions)
    graph.done = graph.inputs_done = 0
    graph.differentiated = -1
    graph.differentiated_fully = False
    return graph


@contextmanager
def graph():
    """A graph for the length of a `with` block.

    >>> with graph():
    ...     pass
    """
    try:
        yield renew()
    finally:
        renew()
