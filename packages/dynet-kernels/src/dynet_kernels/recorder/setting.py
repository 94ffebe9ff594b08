"""Emits the fast path of `x.set(values)`, which replaces the values of an input node.

Terms: see `recorder/__init__.py`.
"""

from __future__ import annotations

from .. import layout as at
from .. import tir
from ..plain import Words
from ..plan.flow import Variable, all_of, branch, forever, pick, stop_unless
from ..plan.nodes import Plan
from ..tir import int64, let, when
from ..tvm_modules import T
from .arrays import Nested, opened
from .objects import Flag, both, taking
from .passes import can_forget, forget_values
from .recording import with_graph
from .structures import Expression, Object, words_at
from .tables import find

MOST_SEARCHED = 1 << 12  # a search passes at most this many records: Python keeps an index for large graphs


@taking(2)
@with_graph
def set_values(shared, graph, version, function, call, outcome):
    """Emit the fast path of set(x, values), where `values` is a number, a list of numbers or an array.

    It runs only if all of the graph or nothing of it has been planned. The key that is looked up in the table of `set`
    is the Dim (shape) of `x`. The row has the signature of input nodes with this Dim, and its `limit` is their number
    of elements.
    """
    x = Expression(call[0])
    with when(both(Object(call[0]).type == shared.expression, x.version == version)):
        with find(function, let(x.dim)) as row:
            signature, count = let(row.signature), let(row.limit)
            with when(can_forget(shared, graph).get() != int64(0)):
                start = _start_of(graph, version, let(x.at), signature)
                with when(start >= int64(0)):
                    stored = _store(shared, call.place(1), count, tir.buffer_at(graph.inputs, "float32"), start)
                    with when(stored.on):
                        with when(start < graph.inputs_done):
                            forget_values(graph)
                        outcome.give_known(shared.none)


def _start_of(graph, version, place, signature):
    """Emit code that finds the values of an input node in the input buffer.

    In a graph that has been planned, the planner's table says where the record of the node is. In one that has not, the
    records are searched, from the input on that was found last. Most programs set inputs in the order of their nodes,
    or each one when it is made.

    Args:
        version: the version of the graph.
        place, signature: the number of the node; and its signature, if it is an input.

    Returns:
        The offset of the first value, or -1 if it is not found: then Python has to search.
    """
    start = Variable(-1)
    with branch(graph.planned == graph.length) as (planned, others):
        with planned:
            node = words_at(graph.node_rows + place * int64(8 * len(at.NODE)))
            with when(node[int64(at.NODE.signature)] == signature):
                start.value = words_at(graph.records)[node[int64(at.NODE.operands)]]
        with others, when(graph.planned == int64(0)):
            goes_on = let(T.And(graph.searched_version == version, graph.searched_node <= place))
            position, number = (Variable(pick(goes_on, word, 0)) for word in (graph.searched, graph.searched_node))
            records, turns = Words(graph.records), Variable(0)
            plan = Plan(graph.context, records=records)
            with forever():
                stop_unless(all_of(number.value < place, turns.value < MOST_SEARCHED))
                record = plan.record(position.value)
                number.value += record.part_count
                position.value = record.end
                turns.value += 1
            with when(all_of(number.value == place, records[position.value] == signature)):
                start.value = records[position.value + 1]
                graph.searched_version = version
                graph.searched = position.value
                graph.searched_node = place
    return start.value


def _store(shared, place, count, inputs, start):
    """Emit code that stores all numbers of `values` in the input buffer, or none of them.

    Args:
        place: the address of the word that has the address of `values`, which is a number, a list or an array.
        count: how many numbers it must have.
        inputs, start: the input buffer, and the offset there.

    Returns:
        A variable of the emitted code (`IntVariable`): 1 if the numbers are stored, 0 if Python has to do it.
    """
    stored = Flag(0)
    for dims in (0, 1):
        numbers = Nested(shared, place, dims, fits=True)
        with when(numbers.count.get() == count):
            stored.set(int64(1))
            numbers.store(inputs, start, stored)
    with opened(shared, let(words_at(place)[int64(0)])) as array:
        with when(both(array.dims == int64(1), array.count.get() == count)):
            stored.set(int64(1))
            array.store(inputs, start, stored)
    return stored
