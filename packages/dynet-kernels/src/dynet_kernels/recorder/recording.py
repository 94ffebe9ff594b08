"""Emits the code that appends one record (an operation, as integers) to the graph of the calling thread.

Everything is checked before the record counts as a part of the graph, and nothing interrupts a compiled function. So a
graph never has an incomplete record. An expression is the Python object for a node. For a new node it is taken from a
linked list of freed expressions; only if this list is empty, it is allocated. Other terms: see `recorder/__init__.py`.
"""

from __future__ import annotations

from collections.abc import Callable

from .. import tir
from ..plan.flow import branch
from ..tir import IntVariable, int64, let, when
from ..tvm_modules import T
from .objects import NULL, Flag, both, extern, not_
from .structures import Expression, Graph, words_at


def with_any_graph(emit: Callable) -> Callable:
    """Decorator of an emitter: the code of `emit` runs only if this thread has a graph.

    The decorated function is called without the graph, as f(shared, *arguments), where `shared` is the shared words. It
    calls emit(shared, graph, *arguments).
    """

    def emitted(shared, *arguments):
        graph_at = extern("PyThread_tss_get", shared.thread_graph)
        with when(graph_at != int64(NULL)):
            emit(shared, Graph(graph_at), *arguments)

    return emitted


def with_graph(emit: Callable) -> Callable:
    """As `with_any_graph`, but fast paths must be allowed to append to the graph.

    The decorated function calls emit(shared, graph, version of the graph, *arguments).
    """

    @with_any_graph
    def emitted(shared, graph, *arguments):
        version = let(graph.open)
        with when(version > int64(0)):
            emit(shared, graph, version, *arguments)

    return emitted


class Recording:
    """A new record of this thread's graph: `with Recording(shared, outcome, graph, length) as new`.

    The emitted code first makes room for the record, and takes the expression `new.node` for its last node. Then the
    code of the `with` block runs. The block must store the integers of the record, and its input values in the buffer
    `new.floats` from offset `new.first` on, and end with `new.finish`. If there is no memory, the code of the block is
    skipped, and the outcome is an exception.

    Args:
        length: the number of integers of the record.
        nodes: the number of nodes that it adds to the graph.
        inputs: how many floats it adds to the input buffer.
    """

    def __init__(self, shared, outcome, graph, length, nodes=1, inputs=None):
        self.shared, self.outcome, self.graph = shared, outcome, graph
        self.length, self.nodes, self.inputs = int64(length), int64(nodes), inputs
        self._fine, self._taken = Flag(), IntVariable(int64(NULL))

    def __enter__(self):
        graph, fine = self.graph, self._fine
        with when(graph.length + self.length > graph.room):
            fine.set(extern("dynet_make_room", graph.address, self.length))
        if self.inputs is not None:
            with when(both(fine.on, graph.inputs_length + int64(self.inputs) > graph.inputs_room)):
                fine.set(extern("dynet_make_input_room", graph.address, int64(self.inputs)))
        with when(fine.on):
            take_expression(self.shared, self._taken)
        self._within = when(self._taken.get() != int64(NULL))
        with when(self._taken.get() == int64(NULL)):
            self.outcome.done.set(int64(1))
        self._within.__enter__()
        self.node = let(self._taken.get())
        self.start = let(graph.length)
        self.integers = words_at(graph.records)
        self.first, self.floats = let(graph.inputs_length), tir.buffer_at(graph.inputs, "float32")
        return self

    def __exit__(self, *problem):
        return self._within.__exit__(*problem)

    def write(self, place, value):
        """Emit a store of `value` as integer number `place` of the record."""
        T.buffer_store(self.integers, int64(value), [self.start + int64(place)])

    def finish(self, dim, integers=(), fine=None):
        """Emit code that completes the record: from then on it is a part of the graph.

        The outcome is the expression of the record's last node.

        Args:
            dim: the address of the Dim of this expression.
            integers: values to write as the first integers of the record.
            fine: a variable of the emitted code. If it is 0, the record is dropped.
        """
        if fine is not None:
            with when(fine.on):
                self.finish(dim, integers)
            with when(not_(fine.on)):
                give_back(self.shared, self.node)
            return
        for place, value in enumerate(integers):
            self.write(place, value)
        graph = self.graph
        graph.length = self.start + self.length
        if self.inputs is not None:
            graph.inputs_length = self.first + int64(self.inputs)
        nodes = let(graph.nodes + self.nodes)
        graph.nodes = nodes
        become_node(self.node, let(nodes - int64(1)), graph.version, dim)
        self.outcome.give(self.node)


def become_node(expression_at, at, version, dim):
    expression = Expression(expression_at)
    expression.references = 1
    expression.at = at
    expression.version = version
    expression.dim = dim


def take_expression(shared, taken):
    """Emit code that takes an expression for a new node: a freed one, or if there is none, a newly allocated one.

    The code sets the variable `taken` to the address of the expression; to NULL if there is no memory.
    """
    free = let(shared.free)
    with branch(free == int64(NULL)) as (none_free, others):
        with none_free:
            taken.set(extern("_PyObject_New", shared.expression))
        with others:
            taken.set(free)
            shared.free = Expression(free).at
            shared.free_count = shared.free_count - int64(1)


def give_back(shared, expression_at):
    """Emit code that adds an expression to the linked list of freed ones. Nothing may refer to it any more."""
    Expression(expression_at).at = shared.free
    shared.free = expression_at
    shared.free_count = shared.free_count + int64(1)
