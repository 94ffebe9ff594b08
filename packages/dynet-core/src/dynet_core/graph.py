"""The computation graph of a thread: one flat list of integers, and what has been computed of it."""

from __future__ import annotations

import array
import itertools
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

import numpy as np

from dynet_kernels import layout as at

from .checks import checked_flag
from .dim import Dim
from .engine import ARENA_TOP, NODE_ROW, NODE_VALUE, Engine
from .errors import GradientError, StaleExpressionError
from .graph_methods import GraphMethods
from .handles import Handles
from .memory import floats_at
from .noise import renew_keys
from .signature import TABLE

if TYPE_CHECKING:
    from .expression import Expression
    from .watched import Watch

OTHER_THREAD = (
    "this expression belongs to another thread's graph; each thread has a graph of its own: "
    "record and read there what belongs together, and exchange values, as npvalue() gives them"
)
THREADS = getattr(threading, "_active", "several")
"""The threads of Python: one, or it may be another's graph that an operand belongs to.

To ask which thread it is costs a quarter of recording an op. A thread that Python did not start is one of these from
its first graph on.
"""
thread = threading.local()  # its attribute `graph`, once there is one, is the thread's graph
_versions = itertools.count(1)
NOTHING = 0, 0


class Graph(GraphMethods):
    """What has been recorded since the last `renew_cg` of this thread, which begins it anew under another version.

    `nodes` is the list of records. All handles of the thread refer to this object; those that the program holds beyond
    a `renew_cg` to a `Gone` from then on. Who keeps nodes' numbers instead has to compare versions. Only a
    `WatchedGraph` has a `watch`.
    """

    __slots__ = (
        "differentiated",
        "differentiated_fully",
        "done",
        "engine",
        "handles",
        "inputs",
        "inputs_done",
        "next",
        "nodes",
        "starts",
        "surveyed",
        "_version",
        "watch",
    )

    engine: Engine
    handles: Handles
    nodes: list[int]
    next: Expression  # the handle of the node that is recorded next; None if there is none ready, or the graph is gone
    inputs: array.array
    starts: dict[int, int]  # where the values of input nodes begin among `inputs`, by the nodes' numbers; known so far
    surveyed: tuple[int, int]  # up to which record and node they were looked for
    done: int  # how many records have been computed, and how many inputs they had
    inputs_done: int
    differentiated: int  # the node that `backward` started from last; -1: none
    differentiated_fully: bool
    watch: Watch

    def __init__(self):
        self.engine, self.inputs, self.starts = Engine(), array.array("f"), {}
        self.nodes = self.engine.recorded
        self.handles = Handles(self)
        self.next = self.handles[0]
        self._version = next(_versions)
        self.done = self.inputs_done = 0
        self.surveyed = NOTHING
        self.differentiated, self.differentiated_fully = -1, False

    def left_behind(self) -> Gone:
        """What handles refer to from now on that outlive what has been recorded."""
        gone = Gone.__new__(Gone)
        gone.nodes, gone.next, gone.done, gone._version = gone, None, 0, self._version  # type: ignore[assignment]
        return gone

    def as_of(self, version: int) -> Graph:
        """This graph, as long as its version is that one.

        Raises:
            StaleExpressionError: `renew_cg` has begun another since, or this is another thread's.
        """
        if version != self._version:
            raise StaleExpressionError(is_gone(version))
        self.check_thread()
        return self

    def node(self, number: int, dim: Dim) -> Expression:
        """The handle of a node that has been recorded."""
        node = self.handles[number]
        node.type = dim
        return node

    def new_nodes(self, count: int) -> list[Expression]:
        """The handles of the `count` nodes that are recorded next."""
        node = self.next
        if node is None:
            len(self.nodes)  # raises if the graph is gone
            handles = []
        else:
            handles = self.handles.chain[node.at : node.at + count]  # without a call, as a rule
        if len(handles) < count:
            handles = self.handles.take(node, count)
        self.next = handles[-1].next
        return handles

    def new_node(self, dim: Dim) -> Expression:
        """The handle of the node that is recorded next. The most frequent ops do this without a call, in place."""
        node = self.next
        if node is None:
            (node,) = self.new_nodes(1)
        self.next = node.next
        node.type = dim
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
        return self.handles.number_of(self.next)

    def _compute(self, recalculate: bool = False) -> None:
        """Compute every node recorded since the last call; with `recalculate`, all of them again."""
        self.check_thread()
        if recalculate is not False and checked_flag("value", "recalculate", recalculate):
            self.invalidate()
        if self.done < len(self.nodes):
            self._compute_new()

    def _compute_new(self) -> None:
        """Compute every node recorded since the last call, of which there are some."""
        nodes = self.nodes
        end = len(nodes)
        try:
            self.inputs_done = self.engine.forward(nodes, self.done, end, self.inputs, self.inputs_done)
        except BaseException:  # out of memory, an interrupt, kernels that cannot be compiled
            self.forget_values()
            raise
        self.done = end

    def refuse_thread(self) -> NoReturn:
        """Raise the error of a graph that is gone, or that belongs to another thread."""
        len(self.nodes)  # raises if the graph is gone
        raise StaleExpressionError(OTHER_THREAD)

    def check_thread(self) -> None:
        """Check that this is the graph of the thread that asks: its buffers are not made for two."""
        try:
            if thread.graph is self:
                return
        except AttributeError:
            current()
        self.refuse_thread()

    def invalidate(self) -> None:
        """Forget all values: inputs have changed. Random nodes will be drawn anew."""
        self.check_thread()
        self.forget_values()
        self.differentiated = -1
        if self.engine.keys:
            renew_keys(self)

    def forget_values(self) -> None:
        """Have all values computed again, from the same inputs and with the same noise."""
        self.engine.restart()
        self.done = self.inputs_done = 0

    def replace_input(self, place: int, values: np.ndarray) -> None:
        """Give an input node other values, of a float32 array; whatever has been computed is invalid then."""
        self.check_thread()
        start = self.start_of(place)
        assert start is not None
        if start < self.inputs_done:
            self.invalidate()
        self.inputs[start : start + values.size] = array.array("f", values.tobytes(order="F"))

    def holds(self, place: int) -> bool:
        """Whether a node of this graph has not been taken back."""
        return True

    def number(self, place: int) -> float:
        """The first number of a node's value."""
        if len(THREADS) > 1:
            self.check_thread()
        if self.done < len(self.nodes):
            self._compute_new()
        engine = self.engine
        address = engine.nodes[place * NODE_ROW + NODE_VALUE]
        number = address - engine.numbers_at
        if 0 <= number < engine.numbers_count:
            return engine.numbers[number]
        return float(floats_at(address, 1)[0])  # it stands in another chunk, or on a GPU

    def values(self, place: int, count: int) -> np.ndarray:
        """The numbers of a node's value, in the order they are stored; valid until the next node is computed."""
        self.check_thread()
        if self.done < len(self.nodes):
            self._compute_new()
        return floats_at(self.engine.nodes[place * at.NODE_ROW + at.NODE_VALUE], count)

    def address(self, place: int) -> int:
        """Where a node's value is; valid until the next node is computed."""
        self.check_thread()
        if self.done < len(self.nodes):
            self._compute_new()
        return self.engine.nodes[place * at.NODE_ROW + at.NODE_VALUE]

    def _differentiate(self, place: int, size: int, everything: bool) -> None:
        """Add the gradient of a node to every parameter it depends on."""
        if len(THREADS) > 1:
            self.check_thread()
        if self.done < len(self.nodes):
            self._compute_new()
        if not self.engine.backward(place, size, everything):
            self.forget_values()
            self._compute_new()
            self.engine.backward(place, size, everything)
        self.differentiated, self.differentiated_fully = place, everything

    def gradients(self, place: int, count: int) -> np.ndarray:
        """The numbers of a node's gradient after `backward`."""
        self.check_thread()
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

    def is_input(self, place: int) -> bool:
        """Whether a node's values came from outside and can be replaced."""
        self.check_thread()
        return self.start_of(place) is not None

    def start_of(self, place: int) -> int | None:
        """Where the values of an input node begin among `inputs`; None for another node.

        Who records need not note it: few programs ask.
        """
        end = len(self.nodes)  # raises if the graph is gone
        if place not in self.starts and self.surveyed[0] < end:
            from .nodes import nodes_of

            begin, number = self.surveyed
            for node in nodes_of(self, begin, number=number):
                if node.is_input:
                    self.starts[node.all[0]] = node.attributes[0]
            self.surveyed = end, self.node_count()
        return self.starts.get(place)

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


class Gone(Graph):
    """What stands for a graph that `renew_cg` has replaced: it refuses whatever is done with its records.

    Handles refer to it, so those who record need not ask whether theirs are stale: it has no next handle.
    """

    __slots__ = ()

    def _refuse(self, *_):
        raise StaleExpressionError(is_gone(self._version))

    __len__ = __iadd__ = __getitem__ = _refuse


class Ownerless(list):
    """The records of a graph whose thread has ended: they are refused, like another thread's."""

    __slots__ = ()

    def _refuse(self, *_):
        raise StaleExpressionError(OTHER_THREAD)

    __len__ = __iadd__ = __getitem__ = append = extend = _refuse


class Owner:
    """Ends with the thread, which alone has it, and leaves the thread's graph without an owner."""

    __slots__ = ("graph",)

    def __init__(self, graph: Graph):
        self.graph = graph

    # Finalizers hold what they use: when Python ends, modules may be empty before they run.
    def __del__(self, Ownerless=Ownerless):
        self.graph.nodes, self.graph.next = Ownerless(), None  # type: ignore[assignment]


def is_gone(version: int) -> str:
    """Says that a graph has been replaced."""
    return (
        f"this expression belongs to graph {version}, which renew_cg has replaced; "
        f"the current graph is {current()._version}"
    )


def current() -> Graph:
    """The graph of this thread; the first call makes it."""
    try:
        return thread.graph
    except AttributeError:
        threading.current_thread()  # now it is one of THREADS, whoever started it
        graph = thread.graph = Graph()
        thread.owner = Owner(graph)
        return graph


def renew() -> Graph:
    """Begin a new graph; expressions of the old one are stale from now on.

    An interrupt at any line leaves a graph that the next call renews.
    """
    try:
        graph = thread.graph
    except AttributeError:
        return current()
    engine = graph.engine
    if engine.changing:  # an interrupt has come between
        engine = graph.engine = Engine()
        graph.nodes = engine.recorded
    if graph.__class__ is Graph:
        graph.nodes.clear()
    else:
        graph.nodes = engine.recorded = []
        graph.watch = None  # type: ignore[assignment]
        graph.__class__ = Graph
    if graph.inputs:
        del graph.inputs[:]
    if graph.starts:
        graph.starts.clear()
    graph.surveyed = NOTHING
    if engine.keys:
        engine.keys.clear()
    if engine.large:
        engine.tidy()
    engine.slots[ARENA_TOP] = engine.numbers_at
    graph.done = graph.inputs_done = 0
    graph.next = graph.handles.begin(graph.next)
    graph._version = next(_versions)
    graph.differentiated, graph.differentiated_fully = -1, False
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
