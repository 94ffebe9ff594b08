"""Emits the functions by which Python code appends records to the graph, and makes expressions for nodes.

A record is one operation as integers. If arguments are invalid, these functions append nothing and call Python
functions, which return None or raise an error. Other terms: see `recorder/__init__.py`.
"""

from __future__ import annotations

from .. import tir
from ..tir import IntVariable, int64, let, when
from ..tvm_modules import T
from .objects import (
    NO_INDEX,
    NULL,
    Flag,
    both,
    extern,
    index_of,
    is_below,
    is_int,
    is_node_of,
    is_operand,
    is_sequence,
    items_of,
    not_,
    taking,
)
from .recording import Recording, become_node, take_expression, with_any_graph
from .structures import Expression, List, Object, Tuple, words_at


@taking(5)
@with_any_graph
def commit(shared, graph, function, call, outcome):
    """Emit commit(dim, nodes, head, operands, version), which appends a record to this thread's graph.

    The record adds `nodes` nodes to the graph. It is the integers of the tuple `head`, which begin with the signature,
    then those of the list or tuple `operands`. An expression among them is written as its operand number. `commit`
    returns the expression of the last of the nodes, which has the shape `dim`. It returns None if the graph has another
    version than `version`, or if an item is neither an int nor an expression that fits the graph.

    Unlike the fast paths of ops, `commit` also appends to a graph whose `open` is WATCHED. `renew_cg` sets `open` to
    WATCHED for its options `immediate_compute` and `check_validity`, with which Python has to see each new node. Python
    sees the nodes that `commit` adds, because only Python code calls `commit`.
    """
    dim, nodes_at, head_at, operands_at = (call[place] for place in range(4))
    sequences = both(
        is_int(shared, nodes_at),
        is_int(shared, call[4]),
        Object(head_at).type == shared.tuple,
        is_sequence(shared, operands_at),
    )
    with when(sequences):
        head, operands = words_at(items_of(shared, head_at)), words_at(items_of(shared, operands_at))
        head_size, size = let(Tuple(head_at).size), let(Tuple(operands_at).size)
        nodes, version = index_of(shared, nodes_at), let(graph.version)
        fine = Flag()
        fine.require(T.And(index_of(shared, call[4]) == version, nodes >= int64(0)))
        for items, length in ((head, head_size), (operands, size)):
            check_numbers(shared, graph, version, items, length, fine)
        with when(fine.on):
            with Recording(shared, outcome, graph, head_size + size, nodes) as new:
                for items, length, begin in ((head, head_size, int64(0)), (operands, size, head_size)):
                    with T.serial(int64(0), length) as place:
                        new.write(begin + place, number_of(shared, let(items[place])))
                new.finish(dim)


def check_numbers(shared, graph, version, items, size, fine):
    """Emit code that sets the variable `fine` to 0 if an item is neither an int of 64 bits nor an operand."""
    with T.serial(int64(0), size) as place:
        item, known = let(items[place]), Flag(0)
        with when(is_int(shared, item)):
            known.set(T.Cast("int64", index_of(shared, item) != int64(NO_INDEX)))
        with when(is_operand(shared, graph, version, item)):
            known.set(int64(1))
        fine.require(known.on)


def number_of(shared, item):
    """Emit code that reads an int, or the number of the node that an expression stands for, and return it."""
    number = IntVariable(int64(0))
    tir.choose(
        is_int(shared, item),
        lambda: number.set(index_of(shared, item)),
        lambda: number.set(Expression(item).at),
    )
    return let(number.get())


@taking(5)
@with_any_graph
def sequence(shared, graph, function, call, outcome):
    """Emit sequence(result, head, xs, dim, version), which appends one record for a whole sequence `xs` of nodes.

    For example, it records a layer of a recurrent network. The record is the integers of the tuple `head`, which begin
    with the signature, then the numbers of the nodes in the list `xs`, which must all have the shape `dim`. The record
    adds one node to the graph, and then one more for each item of `xs`. `sequence` returns a list of the expressions of
    these further nodes, which have the shape `result`. It returns None if the graph has another version than `version`,
    or if an item of `xs` is not a node of the graph with the shape `dim`.
    """
    result, head_at, list_at, dim, version_at = (call[place] for place in range(5))
    kinds = Object(head_at).type == shared.tuple, Object(list_at).type == shared.list, is_int(shared, version_at)
    with when(both(*kinds)):
        size = let(List(list_at).size)
        # The list is made before the checks: making it may run the garbage collector, and so any Python code, which
        # could change what has been checked.
        made = extern("PyList_New", size)
        with when(made == int64(NULL)):
            outcome.give(made)
        with when(made != int64(NULL)):
            wanted = index_of(shared, version_at)
            add_sequence(shared, graph, outcome, result, head_at, list_at, dim, wanted, made, size)
            with when(outcome.out[int64(0)] != made):
                T.evaluate(T.call_extern("int32", "Py_DecRef", made))


def add_sequence(shared, graph, outcome, result, head_at, list_at, dim, wanted, made, size):
    head, items, found = words_at(items_of(shared, head_at)), words_at(List(list_at).items), words_at(List(made).items)
    head_size, version = let(Tuple(head_at).size), let(graph.version)
    fine = Flag()
    fine.require(both(wanted == version, List(list_at).size == size))
    with T.serial(int64(0), head_size) as place:
        fine.require(is_int(shared, let(head[place])))
    with when(fine.on):
        with T.serial(int64(0), size) as place:
            item = let(items[place])
            x = Expression(item)
            fine.require(both(Object(item).type == shared.expression, is_node_of(x, graph, version), x.dim == dim))
    length, needed = let(graph.length), let(head_size + size)
    with when(both(fine.on, length + needed > graph.room)):
        fine.set(extern("dynet_make_room", graph.address, needed))
        with when(not_(fine.on)):
            outcome.done.set(int64(1))
    nodes = let(graph.nodes)
    with when(fine.on):
        with T.serial(int64(0), size) as place:
            with when(fine.on):
                taken = IntVariable(int64(NULL))
                take_expression(shared, taken)
                T.buffer_store(found, taken.get(), [place])
                fine.require(taken.get() != int64(NULL))
                with when(taken.get() != int64(NULL)):
                    become_node(let(taken.get()), nodes + int64(1) + place, version, result)
        with when(not_(fine.on)):
            outcome.done.set(int64(1))
    with when(fine.on):
        integers = words_at(graph.records)
        with T.serial(int64(0), head_size) as place:
            T.buffer_store(integers, index_of(shared, let(head[place])), [length + place])
        with T.serial(int64(0), size) as place:
            T.buffer_store(integers, Expression(let(items[place])).at, [length + head_size + place])
        graph.length = length + needed
        graph.nodes = nodes + size + int64(1)
        outcome.give(made)


@taking(2)
@with_any_graph
def handle(shared, graph, function, call, outcome):
    """Emit handle(at, dim), which returns an expression for node number `at` of this thread's graph, of shape `dim`."""
    at = index_of(shared, call[0])
    with when(is_below(at, graph.nodes)):
        taken = IntVariable(int64(NULL))
        take_expression(shared, taken)
        outcome.give(taken.get())
        with when(taken.get() != int64(NULL)):
            become_node(let(taken.get()), at, graph.version, call[1])
