"""The computation graph of a thread: what it has recorded, and what has been computed of it."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Sequence
from typing import ClassVar, NoReturn

import numpy as np

from dynet_kernels import layout as at

from . import device, recorder
from .annotations import Array
from .checks import checked_flag
from .dim import Dim
from .encode import TABLE
from .engine import NODE_ROW, NODE_VALUE, Engine
from .errors import GradientError, StaleExpressionError
from .expression import GRAPH_OF_NODE, Expression, Operations
from .memory import floats_at
from .nodes import nodes_of
from .recorder import ANY_GRAPH, NO_NODE, commit, take
from .signature import Signature
from .watch import Watch
from .wording import counted

OTHER_THREAD = (
    "this expression belongs to another thread's graph; each thread has a graph of its own: "
    "record and read there what belongs together, and exchange numbers, as .value() and .npvalue() give them"
)
thread = threading.local()  # its attribute `graph`, once there is one, is the thread's graph
NOTHING, UNDIFFERENTIATED = (0, 0), (-1, False)


class Survey:
    """Where values of input nodes begin among a graph's inputs, by the nodes' numbers: of those looked at so far."""

    __slots__ = ("nodes", "records", "starts", "version")

    nodes: int
    records: int
    starts: dict[int, int]
    version: int

    def __init__(self, version: int, records: int = 0, nodes: int = 0, starts: dict[int, int] | None = None):
        self.version, self.records, self.nodes, self.starts = version, records, nodes, starts or {}


class Graph:
    """What has been recorded since the last `renew_cg` of this thread, which begins it anew under another version.

    Code that stores node numbers must check the version before it uses them. A graph has a `watch` if it is more than
    recorded and run.
    """

    __slots__ = (
        "__weakref__",
        "ended",
        "engine",
        "records",
        "survey",
        "watch",
    )

    _kind: ClassVar[type[Graph]]
    """What a thread's graph is made of: the class with what programs can ask of it, which stands above."""

    ended: int | None  # the version that this had when its thread ended
    engine: Engine
    records: recorder.Records
    survey: Survey
    watch: Watch | None

    def __init__(self) -> None:
        self.ended = None
        self.records, self.survey, self.watch = recorder.Records(), Survey(NO_NODE), None
        self.engine = Engine(self.records)

    def __repr__(self) -> str:
        if self.ended is not None:
            return f"<graph {self.ended} of a thread that has ended>"
        length, nodes, _ = self.records.ends()
        computed = "computed" if self.records.computed[0] >= length else "not computed to the end"
        return f"<graph {self._version}: {counted(nodes, 'expression')}, {computed}>"

    @property
    def _version(self) -> int:
        return self.records.version

    def version(self) -> int:
        """The number of the graph."""
        return self.records.version

    def node(self, number: int, dim: Dim) -> Expression:
        """An expression of a node that has been recorded."""
        return recorder.handle(number, dim)

    def node_count(self) -> int:
        """How many nodes have been recorded."""
        return self.records.nodes

    # Whose it is

    def as_of(self, version: int, places: Sequence[int] = ()) -> Draft:
        """A draft of a record in this graph, as long as its nodes of that version are there: those at some places.

        Raises:
            StaleExpressionError: `renew_cg` has begun another since, or this is another thread's.
        """
        draft = Draft(self)
        if version != draft.version:
            if self.watch is None or version not in self.watch.older:
                raise StaleExpressionError(is_gone(version))
            if any(place >= self.watch.older.count(version) for place in places):
                raise StaleExpressionError(is_taken_back(version))
        self.check_thread()
        return draft

    def holds(self, x: Operations) -> bool:
        """Whether an expression is a node of this graph, or a parameter."""
        version = x.version
        if version in (self.records.version, ANY_GRAPH):
            return True
        return self.watch is not None and x.at < self.watch.older.count(version)

    def check_thread(self) -> None:
        """Check that this is the graph of the thread that asks: its buffers are not made for two."""
        if current() is not self:
            raise StaleExpressionError(OTHER_THREAD if self.ended is None else is_gone(self.ended))

    # Computing

    def _compute(self, recalculate: bool = False) -> None:
        """Compute every node recorded since the last call; with `recalculate`, all of them again."""
        self.check_thread()
        if recalculate is not False and checked_flag("value", "recalculate", recalculate):
            self.invalidate()
        if self.records.computed[0] < self.records.length or self.engine.changing:
            self._compute_new()

    def _compute_new(self) -> None:
        """Compute every node recorded since the last call."""
        if self.engine.changing:  # an interrupt has come between
            self._replace_engine()
        self.records.computed = self.engine.forward(*self.records.computed)
        if self.watch is not None and self.watch.check:
            self.watch.check_values(self.records, self.values)

    def _replace_engine(self) -> None:
        """Have other buffers, in which all is computed again: these may be half replaced."""
        if self.watch is not None:
            self.watch.forget_arenas()  # first: an interrupt may come between
        self.records.computed = NOTHING
        self.engine = self.engine.successor()

    def invalidate(self) -> None:
        """Forget all values: inputs have changed. Random nodes will be drawn anew."""
        self.check_thread()
        self.forget_values()
        self.records.differentiated = UNDIFFERENTIATED
        self.records.renew_keys()

    def forget_values(self) -> None:
        """Have all values computed again, from the same inputs and with the same noise."""
        if self.watch is not None:
            self.watch.forget_arenas()  # first: an interrupt may come between
        self.records.computed = NOTHING
        if not self.engine.changing:
            self.engine.restart()

    def number(self, place: int) -> float:
        """The first number of a node's value."""
        if self.records.computed[0] < self.records.length or self.engine.changing:
            self._compute_new()
        engine = self.engine
        address = engine.nodes[place * NODE_ROW + NODE_VALUE]
        number = address - engine.numbers_at
        if 0 <= number < engine.numbers_count:
            return engine.numbers[number]
        return float(floats_at(address, 1)[0])  # it stands in another chunk, or on a GPU

    def values(self, place: int, count: int) -> Array:
        """The numbers of a node's value, in the order they are stored; valid until the next node is computed."""
        return floats_at(self.address(place), count)

    def address(self, place: int) -> int:
        """Where a node's value is; valid until the next node is computed."""
        if self.records.computed[0] < self.records.length or self.engine.changing:
            self._compute_new()
        return self.engine.nodes[place * at.NODE_ROW + at.NODE_VALUE]

    def _differentiate(self, place: int, size: int, everything: bool) -> None:
        """Add the gradient of a node to every parameter it depends on."""
        if self.records.computed[0] < self.records.length or self.engine.changing:
            self._compute_new()
        if not self.engine.backward(place, size, everything):
            self.forget_values()
            self._compute_new()
            self.engine.backward(place, size, everything)
        self.records.differentiated = place, everything

    def gradients(self, place: int, count: int) -> Array:
        """The numbers of a node's gradient after `backward`."""
        differentiated, fully = self.records.differentiated
        if differentiated < 0 or self.engine.changing:
            raise GradientError("gradient: backward() has not been called on this graph")
        if not fully and place != differentiated and self._is_alias(place):
            raise GradientError(
                "gradient: this expression is a part of another one, as which it is differentiated; "
                "backward(full=True) tells their gradients apart"
            )
        row = place * at.NODE_ROW
        if place > differentiated or not self.engine.nodes[row + at.NODE_LIVE] & at.TOUCHED:
            return np.zeros(count, np.float32)
        return floats_at(self.engine.nodes[row + at.NODE_GRADIENT], count)

    def _is_alias(self, place: int) -> bool:
        return TABLE[self.engine.nodes[place * at.NODE_ROW + at.NODE_PART] + at.KIND] == at.ALIAS

    # Inputs

    def replace_input(self, place: int, values: Array) -> None:
        """Give an input node other values, of a float32 array; whatever has been computed is invalid then."""
        start = self.start_of(place)
        assert start is not None
        if start < self.records.computed[1]:
            self.invalidate()
        self.records.write(start, values)

    def start_of(self, place: int) -> int | None:
        """Where the values of an input node begin among the inputs; None for another node.

        Code that records need not note it: few programs ask.
        """
        survey, version = self.survey, self.records.version
        if survey.version != version:
            survey = Survey(version)
        if place not in survey.starts and survey.records < self.records.length:
            starts, (length, nodes, _) = dict(survey.starts), self.records.ends()
            for node in nodes_of(self.records, survey.records, length, survey.nodes):
                if node.is_input:
                    starts[node.all[0]] = node.attributes[0]
            survey = self.survey = Survey(version, length, nodes, starts)
        return survey.starts.get(place)


class Draft:
    """A record that is being prepared, for a graph as it is: it cannot be added once the graph has been renewed.

    What is asked of a user's objects meanwhile, and handlers of signals, may run any program.
    """

    __slots__ = ("graph", "version")

    graph: Graph
    version: int

    def __init__(self, graph: Graph):
        self.graph, self.version = graph, graph.records.version

    def append(self, signature: Signature, integers: Sequence[int]) -> Expression:
        """Add a record; the expression of its last node."""
        return self.add(signature.dim, signature.nodes(integers), (signature.at,), integers)

    def add(self, dim: Dim, nodes: int, head: tuple[int, ...], integers: Sequence[int]) -> Expression:
        """Add a record of so many nodes, whose integers are these. Operands are checked before."""
        node = commit(dim, nodes, head, integers, self.version)
        if node is None:
            raise StaleExpressionError(f"while an operation was recorded, its graph has become stale: {self._gone()}")
        graph = self.graph
        if graph.watch is not None and graph.watch.immediate:
            graph._compute_new()
        return node

    def _gone(self) -> str:
        return OTHER_THREAD if self.graph is not current() else is_gone(self.version)

    def node(self, number: int, dim: Dim) -> Expression:
        """An expression of a node that has been recorded."""
        node = recorder.handle(number, dim)
        if node.version != self.version:
            raise StaleExpressionError(self._gone())
        return node

    def take(self, values: Sequence[float]) -> int:
        """Keep input values; where they begin among the inputs."""
        return take(tuple(values))

    def take_array(self, values: Array) -> int:
        """Keep the values of a float32 array, column by column."""
        return self.graph.records.take(values)


class Owner:
    """Ends with the thread, which alone has it, and leaves the thread's graph without an owner."""

    __slots__ = ("end", "graph")

    def __init__(self, graph: Graph):
        self.graph, self.end = graph, graph.records.end

    def __del__(self):
        self.graph.ended = self.graph.records.version
        self.end()


_graphs: list[weakref.ref[Graph]] = []  # of all threads


def refuse(x: Operations) -> NoReturn:
    """Raise the error of an expression that is no node of this thread's graph."""
    graph = current()
    if graph.watch is not None and x.version in graph.watch.older:
        raise StaleExpressionError(is_taken_back(x.version))
    others = [reference() for reference in tuple(_graphs)]
    theirs = any(other is not None and other is not graph and other.holds(x) for other in others)
    raise StaleExpressionError(OTHER_THREAD if theirs else is_gone(x.version))


def is_taken_back(version: int) -> str:
    """Says that a part of a graph is there no more."""
    return f"this expression belongs to a part of graph {version} that cg_revert has taken back"


def is_gone(version: int) -> str:
    """Says that a graph has been replaced."""
    return (
        f"this expression belongs to graph {version}, which renew_cg has replaced, "
        f"or another thread's graph, which has ended; the current graph is {current()._version}. "
        "Record it again; what is to outlive a graph are numbers, as in total += loss.value()"
    )


def graph_of_node(x: Operations) -> Graph:
    """The graph that a node belongs to, which is this thread's."""
    graph = current()
    if not graph.holds(x):
        refuse(x)
    return graph


GRAPH_OF_NODE.append(graph_of_node)


def current() -> Graph:
    """The graph of this thread; the first call makes it."""
    try:
        return thread.graph
    except AttributeError:
        graph = Graph._kind()
        _graphs[:] = [reference for reference in _graphs if reference() is not None] + [weakref.ref(graph)]
        thread.owner = Owner(graph)
        graph.records.adopt(graph)
        thread.graph = graph
        return graph


def draft() -> Draft:
    """A record of this thread's graph, without operands so far."""
    return Draft(current())


def renew() -> Graph:
    """Begin a new graph; expressions of the old one are stale from now on.

    Before the records are renewed the old graph stays usable, and after that the new one is, whatever line an
    interrupt comes at.
    """
    try:
        graph = thread.graph
    except AttributeError:
        return current()
    engine = graph.engine
    graph.records.computed = NOTHING
    graph.records.differentiated = UNDIFFERENTIATED
    if graph.watch is not None:
        graph.watch = None
    graph.records.renew()
    if engine.changing:
        graph.engine = Engine(graph.records)
    elif engine.large:
        engine.tidy()
    if graph.engine.large:
        graph.records.is_unusual()
    return graph


def _forget() -> None:
    """Have this thread begin a graph, with buffers on the device in use."""
    if hasattr(thread, "graph"):
        renew()
        del thread.graph
        del thread.owner  # which leaves what has been recorded to nobody


device.on_change(_forget)
