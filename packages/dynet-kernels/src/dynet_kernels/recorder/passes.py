"""Emits code that runs forward and backward passes, and reads values, without Python.

A forward pass computes values, a backward pass gradients. The code here works while a graph is *prepared*: Python has
written the addresses that a pass needs into the graph's words, and they are still valid. The graph stops being prepared
when a buffer is replaced, and when the shared word `generation` changes, because a signature is added or a parameter
changes. Then Python methods do the work, and they prepare the graph again. Other terms: see `recorder/__init__.py`.
"""

from __future__ import annotations

from .. import layout as at
from .. import tir
from ..layout import CONTEXT
from ..tir import IntVariable, int64, let, when
from ..tvm_modules import T
from .objects import NULL, Flag, both, extern, is_node_of, not_, taking
from .recording import with_graph
from .structures import ArrayObject, Expression, Graph, List, Object, Shared, words_at
from .tables import find


def is_prepared(shared, graph):
    """Emit a check that the graph is prepared, so that a pass can run without Python."""
    return graph.prepared == shared.generation


def call_planner(graph, function, *numbers):
    """Emit a call of the planner's function that plans and runs a pass. Return the condition that the call succeeded.

    Args:
        function: "forward" or "backward": the word of `graph` with the handle of the function.
        numbers: the arguments of the function after the first one, which is the address of the planner's context.
    """
    values = [graph.context, *numbers]
    for place, number in enumerate(values):
        setattr(graph, f"argument_{2 * place + 1}", number)
    first = graph.address + int64(8 * graph.names.index("argument_0"))
    failed = extern("dynet_call", getattr(graph, function), first, int64(len(values)))
    ready = words_at(graph.context)[int64(CONTEXT.status)] == int64(at.READY)
    return T.And(failed == int64(0), ready)


def compute(shared_at, graph_at, out):
    """Emit the C function that computes the values of all new nodes of a graph.

    A node is new if no forward pass has computed its value. The function returns 1 if all values are computed, and 0 if
    Python has to compute them.
    """
    shared, graph, result = Shared(shared_at), Graph(graph_at), words_at(out)
    T.buffer_store(result, int64(0), [int64(0)])
    with when(both(graph.prepared < shared.generation, graph.prepared >= shared.settled, graph.done == int64(0))):
        for plan in ("kept_end", "backward_plan"):  # plans depend on which parameters are frozen
            T.buffer_store(words_at(graph.context), int64(-1), [int64(CONTEXT[plan])])
        graph.prepared = shared.generation
    with when(is_prepared(shared, graph)):
        length, inputs_length = let(graph.length), let(graph.inputs_length)
        with when(length == graph.done):
            T.buffer_store(result, int64(1), [int64(0)])
        with when(graph.done == int64(0)):
            graph.begun = graph.changes
            graph.seen = graph.changes
        with when(both(length != graph.done, length + int64(2) < graph.most, graph.seen == graph.changes)):
            context = words_at(graph.context)
            T.buffer_store(context, graph.records, [int64(CONTEXT.new_records)])
            with when(graph.done == int64(0)):
                T.buffer_store(context, graph.values_begin, [int64(CONTEXT.arena_top)])
            numbers = graph.done, length, graph.inputs, graph.inputs_done, inputs_length
            with when(call_planner(graph, "forward", *numbers)):
                graph.done = length
                graph.planned = length
                graph.inputs_done = inputs_length
                T.buffer_store(result, int64(1), [int64(0)])


def value_at(graph, x):
    """Emit a load of the address of a computed node's value, and return this address, which counts floats.

    Args:
        x: the expression of the node.
    """
    return let(words_at(graph.node_rows)[x.at * int64(len(at.NODE)) + int64(at.NODE.value)])


def can_forget(shared, graph):
    """Emit code that finds out whether `forget_values` may run. If it may not, Python has to forget the values.

    Return a variable of the emitted code: 1 if it may run, else 0.
    """
    usual = IntVariable(int64(0))
    with when(T.And(is_prepared(shared, graph), graph.watched == int64(0))):
        # If Python has to start helping threads before the next pass, it gives the new keys, too.
        settings = words_at(words_at(graph.context)[int64(CONTEXT.sharing)])
        usual.set(int64(1) - settings[int64(at.SHARING.wanted)])
    return usual


def forget_values(graph) -> None:
    """Emit code that marks all values as not computed, and gives new random keys to nodes that draw random numbers.

    It may run only if `can_forget` says so.
    """
    for name in ("done", "inputs_done", "differentiated_fully"):
        setattr(graph, name, 0)
    graph.differentiated = -1
    with when(graph.newest_key != int64(0)):
        T.evaluate(T.call_extern("int64", "dynet_renew_keys", graph.address))


def of_node(emit, makes_list: bool | str = False, recalculates=True, takes_array=False):
    """Return what emits the C function of a method of expressions, such as `value`, which needs all values.

    The method is a recording function, although it records nothing: its table has a row for each Dim (shape) of an
    expression that the fast path can handle. The fast path computes the nodes that have no value yet, then runs the
    code from `emit`. The method has one optional argument, a bool called the flag.

    Args:
        emit: emits what the method does after the forward pass. It is called as emit(shared, graph, the row's limit,
            expression, flag, new list or NULL, outcome).
        makes_list: whether the method's result is a list. True: only if the expression has more than one element (the
            row's `limit` is their number). "always": in every case. The list is made before the forward pass, because
            making it may run the garbage collector and so any Python code, which could empty the graph.
        recalculates: whether the flag True means that all values are to be computed again.
        takes_array: whether the argument is no flag but an array; its address is passed on as the flag.
    """

    @with_graph
    def computed(shared, graph, version, function, x_at, flag, outcome):
        x = Expression(x_at)
        with when(both(Object(x_at).type == shared.expression, is_node_of(x, graph, version))):
            with find(function, let(x.dim)) as row:
                known, made = let(row.limit), IntVariable(int64(NULL))
                if makes_list:
                    with when(known > int64(0 if makes_list == "always" else 1)):
                        made.set(extern("PyList_New", known))
                        with when(made.get() == int64(NULL)):
                            outcome.give(int64(NULL))
                        with when(made.get() != int64(NULL)):
                            # Hide the list from the garbage collector. Other threads run during the pass. By
                            # `gc.get_objects` they could find the list, whose items are still NULL.
                            T.evaluate(T.call_extern("int32", "PyObject_GC_UnTrack", made.get()))
                with when(both(not_(outcome.done.on), graph.open == version)):
                    fine = Flag()
                    if recalculates:
                        with when(flag != int64(0)):
                            fine.set(can_forget(shared, graph).get())
                            with when(fine.on):
                                forget_values(graph)
                    all_computed = both(is_prepared(shared, graph), graph.length == graph.done)
                    with when(T.And(fine.on, T.Not(all_computed))):
                        fine.set(extern("dynet_compute", graph.address))
                    with when(fine.on):
                        emit(shared, graph, known, x, flag, made.get(), outcome)
                if makes_list:
                    with when(both(not_(outcome.done.on), made.get() != int64(NULL))):
                        T.evaluate(T.call_extern("int32", "Py_DecRef", made.get()))

    @taking(1, 2)
    def method(shared, function, call, outcome):
        flag = IntVariable(int64(-1))
        with when(call.has(1)):
            flag.set(int64(0))
        with when(call.has(2)):
            if takes_array:
                flag.set(call[1])
            with when(call[1] == shared.false):
                flag.set(int64(0))
            with when(call[1] == shared.true):
                flag.set(int64(1))
        with when(flag.get() >= int64(0)):
            computed(shared, function, call[0], let(flag.get()), outcome)

    return method


def float_object(value):
    return extern("PyFloat_FromDouble", T.Cast("float64", value))


def read_value(shared, graph, size, x, flag, made, outcome):
    """Emit code that makes the value of a node the outcome: as a float, or as a list of floats.

    Args:
        size: the number of elements of the value.
        x: the expression of the node.
        flag: not used.
        made: the address of a new list of length `size`, or NULL to return the only element as a float.
    """
    numbers = tir.buffer_at(value_at(graph, x) * int64(4), "float32")
    with when(made == int64(NULL)):
        outcome.give(float_object(numbers[int64(0)]))
    with when(made != int64(NULL)):
        items, fine, given = words_at(List(made).items), Flag(), let(made)
        outcome.give(given)
        with T.serial(int64(0), size) as place:
            with when(fine.on):
                number = float_object(numbers[place])
                T.buffer_store(items, number, [place])
                fine.require(number != int64(NULL))
        T.evaluate(T.call_extern("int32", "PyObject_GC_Track", given))
        with when(not_(fine.on)):
            outcome.give(int64(NULL))
            T.evaluate(T.call_extern("int32", "Py_DecRef", given))


def read_nothing(shared, graph, known, x, flag, made, outcome):
    outcome.give_known(shared.none)


def read_address(shared, graph, known, x, flag, made, outcome):
    outcome.give(extern("PyLong_FromSsize_t", value_at(graph, x)))


def read_into(dtype: str):
    """Return what emits the copying of a node's value to a new numpy array of `dtype`, column-major: the outcome.

    numpy owns its memory, which thus nothing else can free or resize.
    """

    def emit(shared, graph, size, x, array, made, outcome):
        with when(Object(array).type == shared.array):
            numbers = tir.buffer_at(value_at(graph, x) * int64(4), "float32")
            copy = tir.buffer_at(ArrayObject(array).data, dtype)
            with T.serial(int64(0), size) as place:
                T.buffer_store(copy, T.Cast(dtype, numbers[place]), [place])
            outcome.give_known(array)

    return emit


def differentiate(shared, graph, known, x, full, made, outcome):
    """Emit code that runs the backward pass from a node with one element.

    If parameters have changed since the values of the graph were computed, this is left to Python.

    Args:
        known, made: not used.
        x: the expression of the node.
        full: the flag. 1: compute the gradients of all nodes. 0: only those of nodes that depend on a parameter which
            is not frozen.
    """
    place = let(x.at)
    with when(graph.begun == graph.changes):
        shared.passes = shared.passes + int64(1)
        with when(call_planner(graph, "backward", place, int64(1), full)):
            graph.differentiated = place
            graph.differentiated_fully = full
            outcome.give_known(shared.none)
