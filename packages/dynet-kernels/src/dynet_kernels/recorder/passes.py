"""Runs forward and backward passes, and reads values, without Python.

A forward pass computes values, a backward pass gradients. The code here works while a graph is *prepared*: Python has
written the addresses that a pass needs into the graph's words, and they are still valid. The graph stops being prepared
when a buffer is replaced, and when the shared word `generation` changes, because a signature is added or a parameter
changes. Then Python methods do the work, and they prepare the graph again. Other terms: see `recorder/__init__.py`.
"""

from __future__ import annotations

from collections.abc import Callable

from .. import layout as at
from ..plain import Words, entry, on_stack, plain
from ..plan.nodes import Node
from ..plan.structs import Context, Sharing
from . import words
from .c_api import NULL, extern, fail, need, new_reference
from .calls import recording
from .extension import Entry, c_function
from .here import Here, Item, Items
from .structures import Function, Graph, List, Shared
from .tables import find


@plain
def is_prepared(here: Here):
    """Whether the graph is prepared, so that a pass can run without Python."""
    return here.graph.prepared == here.shared.generation


@plain
def call_planner(graph: Graph, function: str, *numbers):
    """Call the planner's function that plans and runs a pass, without Python's lock. Return whether it has succeeded.

    Args:
        function: "forward" or "backward": the word of `graph` with the handle of the function.
        numbers: the arguments of the function after the first one, which is the address of the planner's context.
    """
    for place, number in enumerate((graph.context, *numbers)):
        setattr(graph, f"argument_{2 * place + 1}", number)
    first, result = graph.address + 8 * words.GRAPH.argument_0, on_stack(2)
    result[0], result[1] = 0, 0
    state = extern("PyEval_SaveThread")
    count = 1 + len(numbers)
    failed = extern("TVMFFIFunctionCall", getattr(graph, function), first, count, result.address, returns="int32")
    extern("PyEval_RestoreThread", state)
    return failed == 0 and Context(Words(graph.context)).status == at.READY


@c_function("dynet_compute")
def compute(shared: Shared, graph_at):
    """Compute the values of all new nodes of a graph: those whose values no forward pass has computed.

    Return 1 if all values are computed, and 0 if Python has to compute them.
    """
    graph = Graph(graph_at)
    here, context = Here(shared, graph, graph.version), Context(Words(graph.context))
    if graph.prepared < shared.generation and graph.prepared >= shared.settled and graph.done == 0:
        context.fill(kept_end=-1, backward_plan=-1)  # plans depend on which parameters are frozen
        graph.prepared = shared.generation
    if not is_prepared(here):
        return 0
    length, inputs_length = graph.length, graph.inputs_length
    if length == graph.done:
        return 1
    if graph.done == 0:
        graph.begun = graph.changes
        graph.seen = graph.changes
    if length + 2 >= graph.most or graph.seen != graph.changes:
        return 0
    context.new_records = graph.records
    if graph.done == 0:
        context.arena_top = graph.values_begin
    if not call_planner(graph, "forward", graph.done, length, graph.inputs, graph.inputs_done, inputs_length):
        return 0
    graph.fill(done=length, planned=length, inputs_done=inputs_length)
    return 1


def value_of(graph: Graph, x: Item) -> Words:
    """Return the value of a computed node, as floats."""
    return Words(4 * place_of(graph, x), "float32")


def place_of(graph: Graph, x: Item):
    """Return where the value of a computed node begins in the memory for values, in floats."""
    return Node(Words(graph.node_rows), x.at * len(at.NODE)).value


@plain
def can_forget(here: Here):
    """Whether `forget_values` may run. If it may not, Python has to forget the values."""
    if not is_prepared(here) or here.graph.watched != 0:
        return False
    # If Python has to start helping threads before the next pass, it gives the new keys, too.
    return Sharing(Words(Context(Words(here.graph.context)).sharing)).wanted == 0


@plain
def forget_values(graph: Graph) -> None:
    """Mark all values as not computed, and give new random keys to nodes that draw random numbers."""
    graph.fill(done=0, inputs_done=0, differentiated_fully=0, differentiated=-1)
    if graph.newest_key != 0:
        extern("dynet_renew_keys", graph.address)


def of_node(recalculates: bool = True) -> Callable[[Entry], Entry]:
    """Decorator: make an entry the path of a method of expressions which needs all values.

    The method is a recording function, although it records nothing: its table has a row for each Dim (shape) of an
    expression that the path can handle. The path computes the nodes that have no value yet, and then reads. The method
    has one optional argument, a bool called the flag.

    The entry is what the method does after the forward pass. It is called as read(here, x, size, flag), where `size` is
    the row's limit, and `flag` is 0 or 1.

    Args:
        recalculates: whether the flag True means that all values are to be computed again.
    """

    def declare(read: Entry) -> Entry:
        read = entry(read)

        @recording(1, 2, name=read.__name__)
        def path(here: Here, function: Function, given: Items):
            flag, row = here.flag(given, 1), find_node(here, function, given[0])
            need(is_computed(here, flag if recalculates else 0))
            return read(here, given[0], row.limit, flag)

        return read

    return declare


def into_array(name: str, dtype: str) -> None:
    """Make a method that copies a node's value to a new numpy array, its second argument, column-major.

    numpy owns its memory, which thus nothing else can free or resize.
    """

    @recording(2, name=name)
    def path(here: Here, function: Function, x: Item, array: Item):
        row = find_node(here, function, x)
        need(array.type == here.shared.array and is_computed(here, 0))
        numbers, copy = value_of(here.graph, x), Words(Words(array.address)[words.ARRAY.data], dtype)
        for place in range(row.limit):
            copy[place] = numbers[place]
        return new_reference(array.address)


into_array("floats", "float32")
into_array("doubles", "float64")


def into_list(name: str, least: int) -> None:
    """Make a method that returns a node's value as a list of floats if it has at least `least` elements.

    Otherwise it returns the only element as a float.
    """

    @recording(1, 2, name=name)
    def path(here: Here, function: Function, given: Items):
        x, flag, row = given[0], here.flag(given, 1), find_node(here, function, given[0])
        if row.limit < least:
            need(is_computed(here, flag))
            return extern("PyFloat_FromDouble", value_of(here.graph, x)[0])
        # The list is made before the forward pass: making it may run the garbage collector and so any Python code,
        # which could empty the graph.
        made = extern("PyList_New", row.limit)
        if made == NULL:
            fail()
        # Hide the list from the garbage collector. Other threads run during the pass. By `gc.get_objects` they could
        # find the list, whose items are still NULL.
        extern("PyObject_GC_UnTrack", made)
        if here.graph.open != here.version or not is_computed(here, flag):
            extern("Py_DecRef", made)
            return
        numbers, items = value_of(here.graph, x), Words(List(made).items)
        for place in range(row.limit):
            number = extern("PyFloat_FromDouble", numbers[place])
            if number == NULL:
                extern("PyObject_GC_Track", made)
                fail(made)
            items[place] = number
        extern("PyObject_GC_Track", made)
        return made


into_list("value", least=2)
into_list("list", least=0)


@plain
def find_node(here: Here, function: Function, x: Item):
    """Return the row of a method's table for x. If x is not a node of the graph, leave the entry without a result."""
    need(x.type == here.shared.expression and here.is_node(x))
    return find(function, x.dim)


@plain
def is_computed(here: Here, again):
    """Compute all nodes that have no value yet, or if `again` is 1, all nodes. Return whether all have values now."""
    if again:
        need(can_forget(here))
        forget_values(here.graph)
    if is_prepared(here) and here.graph.length == here.graph.done:
        return True
    return extern("dynet_compute", here.graph.address)


@of_node()
def nothing(here: Here, x: Item, size, flag):
    return new_reference(here.shared.none)


@of_node()
def address(here: Here, x: Item, size, flag):
    return extern("PyLong_FromSsize_t", place_of(here.graph, x))


@of_node(recalculates=False)
def differentiate(here: Here, x: Item, size, full):
    """Run the backward pass from a node with one element.

    If parameters have changed since the values of the graph were computed, this is left to Python.

    Args:
        full: 1: compute the gradients of all nodes. 0: only those of nodes that depend on a parameter which is not
            frozen.
    """
    place = x.at
    need(here.graph.begun == here.graph.changes)
    here.shared.passes += 1
    need(call_planner(here.graph, "backward", place, 1, full))
    here.graph.fill(differentiated=place, differentiated_fully=full)
    return new_reference(here.shared.none)
