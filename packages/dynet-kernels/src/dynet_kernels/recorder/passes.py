"""Runs forward and backward passes and reads values, without Python.

This works while a graph is prepared: the addresses in its words are valid. They become invalid when a buffer is
replaced, or when the shared word `generation` changes. Then Python does the work, and prepares the graph again.
"""

from __future__ import annotations

from .. import layout
from ..plain import Words, on_stack, plain
from ..plan.nodes import Context, Node, Plan, Sharing
from . import words
from .arrays import read_flat
from .c_api import NULL, call_or_fail, extern, fail, need, new_reference
from .calls import recording
from .extension import c_function
from .here import Here, Item, Items, NewRecord
from .structures import Function, Graph, List, Shared
from .tables import find

# A forward pass keeps the GIL if its new records have at most SMALL_RECORDS integers, its values and inputs take at
# most SMALL_VALUES floats of memory, and no instruction has much work (`MOST_WORK_WITH_GIL` in `planner.py`). Releasing
# the GIL and taking it again would make computing the value of one node a seventh slower.
SMALL_RECORDS, SMALL_VALUES = 64, 256
MOST_RECORDS_SEARCHED = 1 << 12  # `input_offset` reads at most this many records; beyond them, Python searches


@plain
def is_prepared(here: Here):
    return here.graph.prepared == here.shared.generation


@plain
def call_planner(graph: Graph, function_name: str, keeps_gil, *integers):
    """Call a function of the planner, without holding the GIL unless `keeps_gil`. Return whether the pass succeeded.

    Args:
        function_name: "forward", "backward" or "run", the word of `graph` with the function's handle.
        integers: the arguments of the function after the address of the planner's context.
    """
    for k, integer in enumerate((graph.context, *integers)):
        setattr(graph, f"argument_{2 * k + 1}", integer)
    first, result = graph.address + 8 * words.GRAPH.argument_0, on_stack(2)
    result[0], result[1] = 0, 0
    state = NULL if keeps_gil else extern("PyEval_SaveThread")
    count = 1 + len(integers)
    failed = extern("TVMFFIFunctionCall", getattr(graph, function_name), first, count, result.address, returns="int32")
    if state != NULL:
        extern("PyEval_RestoreThread", state)
    return failed == 0 and Context(graph.context).status == layout.READY


@c_function("dynet_compute")
def compute(shared_words: Shared, graph_address):
    """Compute the values of all new nodes. Return 1 if this succeeds, or 0 if Python has to compute them."""
    graph = Graph(graph_address)
    here, context = Here(shared_words, graph, graph.version), Context(graph.context)
    if graph.prepared < shared_words.generation and graph.prepared >= shared_words.settled and graph.done == 0:
        # Since the graph was prepared, parameters were only frozen or unfrozen. Plans depend on this, so discard them.
        context.fill(kept_end=-1, backward_plan=-1)
        graph.prepared = shared_words.generation
    if not is_prepared(here):
        return 0
    length, inputs_length = graph.length, graph.inputs_length
    if length == graph.done:
        return 1
    if graph.done == 0:
        graph.fill(begun=graph.changes, seen=graph.changes)
    if length + 2 >= graph.planner_room or graph.seen != graph.changes:
        return 0
    context.new_records = graph.records
    if graph.done == 0:
        context.arena_top = graph.values_begin
    is_small = length - graph.done <= SMALL_RECORDS and inputs_length - graph.inputs_done <= SMALL_VALUES
    context.small_end = context.arena_top + SMALL_VALUES if is_small else 0
    has_run = call_planner(
        graph, "forward", is_small, graph.done, length, graph.inputs, graph.inputs_done, inputs_length
    )
    context.small_end = 0
    if context.status == layout.LARGE:
        context.status = layout.READY
        has_run = call_planner(graph, "run", 0)
    if not has_run:
        return 0
    graph.fill(done=length, planned=length, inputs_done=inputs_length)
    return 1


def value_of(graph: Graph, x: Item) -> Words:
    return Words(4 * value_address(graph, x), "float32")


def value_address(graph: Graph, x: Item):
    """Return the address, in floats, of the value of a computed node."""
    return Node(Words(graph.node_rows), x.at * len(layout.NODE)).value


@plain
def can_forget(here: Here):
    """Whether `forget_values` may run. Otherwise Python has to forget the values."""
    # If `wanted` is not 0, Python has to start helpers before the next pass, and then also draws the new random keys.
    return is_prepared(here) and here.graph.has_watch == 0 and Sharing(Context(here.graph.context).sharing).wanted == 0


@plain
def forget_values(graph: Graph) -> None:
    """Mark all values as not computed, and draw new random keys."""
    graph.fill(done=0, inputs_done=0, differentiated_fully=0, differentiated=-1)
    if graph.newest_random_key != 0:
        extern("dynet_renew_keys", graph.address)


@recording(2, floats="float32", doubles="float64")
def into_array(here: Here, function: Function, x: Item, array: Item, dtype: str):
    """Copy a value, column-major, to a new numpy array, which owns its memory: nothing else can free or resize it."""
    need(array.type == here.shared.array)
    size = size_after_computing(here, function, x, 0)
    numbers, copy = value_of(here.graph, x), Words(Words(array.address)[words.ARRAY.data], dtype)
    for k in range(size):
        copy[k] = numbers[k]
    return new_reference(array.address)


@recording(1, 2, value=2, list=0)
def into_list(here: Here, function: Function, arguments: Items, least_list_size: int):
    """Return a value as a list of floats, or as one float if it has fewer elements than `least_list_size`."""
    x, recompute, size = arguments[0], here.flag(arguments, 1), size_of(here, function, arguments[0])
    if size < least_list_size:
        need(ensure_computed(here, recompute))
        return extern("PyFloat_FromDouble", value_of(here.graph, x)[0])
    # Make the list before the pass: making it may run the garbage collector, and so Python code that calls `renew_cg`.
    made_list = call_or_fail("PyList_New", size)
    # Hide the list, whose items are still NULL, from other threads: during the pass, `gc.get_objects` could find it.
    extern("PyObject_GC_UnTrack", made_list)
    if here.graph.open != here.version or not ensure_computed(here, recompute):
        extern("Py_DecRef", made_list)
        return
    numbers, items = value_of(here.graph, x), Words(List(made_list).items)
    for k in range(size):
        item = extern("PyFloat_FromDouble", numbers[k])
        if item == NULL:
            extern("PyObject_GC_Track", made_list)
            fail(made_list)
        items[k] = item
    extern("PyObject_GC_Track", made_list)
    return made_list


@plain
def size_of(here: Here, function: Function, x: Item):
    """Return the number of elements of x. Leave the entry if x is not a node of the graph.

    Call this before a pass, not after it: during the pass, another thread may replace the function's table.
    """
    need(x.type == here.shared.expression and here.is_node(x))
    return find(function, x.dim).limit


@plain
def ensure_computed(here: Here, recompute):
    """Compute all nodes that have no value, or all nodes if `recompute` is 1. Return whether all have values now."""
    if recompute:
        need(can_forget(here))
        forget_values(here.graph)
    if is_prepared(here) and here.graph.length == here.graph.done:
        return True
    return extern("dynet_compute", here.graph.address)


@plain
def size_after_computing(here: Here, function: Function, x: Item, recompute):
    size = size_of(here, function, x)
    need(ensure_computed(here, recompute))
    return size


@recording(1, 2, nothing=False, address=True)
def compute_node(here: Here, function: Function, arguments: Items, returns_address: bool):
    """Compute a node. Return None, or if `returns_address`, the address of its value, which counts floats."""
    size_after_computing(here, function, arguments[0], here.flag(arguments, 1))
    if returns_address:
        return extern("PyLong_FromSsize_t", value_address(here.graph, arguments[0]))
    return new_reference(here.shared.none)


@recording(1, 2)
def differentiate(here: Here, function: Function, arguments: Items):
    """Run the backward pass from a node with one element.

    Python runs the pass if parameters have changed since the graph was computed. The optional second argument says
    whether to compute the gradients of all nodes, even if they do not depend on a trained parameter.
    """
    graph, full = here.graph, here.flag(arguments, 1)
    size_after_computing(here, function, arguments[0], 0)
    node = arguments[0].at
    need(graph.begun == graph.changes)
    here.shared.passes += 1
    need(call_planner(graph, "backward", 0, node, 1, full))
    graph.fill(differentiated=node, differentiated_fully=full)
    return new_reference(here.shared.none)


@recording(2)
def set(here: Here, function: Function, x: Item, new_values: Item):
    """set(x, values) sets the values of the input node x. `values` is a number, a list of numbers or an array.

    The path runs only if the graph has been planned completely or not at all. The key is the Dim of `x`. The row has
    the signature of input nodes with this Dim. Its `limit` is the number of elements of each.
    """
    need(x.type == here.shared.expression and x.version == here.version)
    row = find(function, x.dim)
    need(can_forget(here))
    start = input_offset(here, x.at, row.signature)

    def overwrite_inputs(values):
        need(values.ndim <= 1 and values.count == row.limit)
        graph, new = here.graph, NewRecord(here, 0, row.limit)
        values.store(new.floats, new.inputs_start)  # first to unused memory, because an item may not be a number
        extern("memcpy", graph.inputs + 4 * start, graph.inputs + 4 * new.inputs_start, 4 * row.limit)
        if start < graph.inputs_done:
            forget_values(graph)
        return new_reference(here.shared.none)

    return read_flat(here, new_values, overwrite_inputs)


@plain
def input_offset(here: Here, input_node, signature):
    """Return the offset of an input node's first value in the input buffer. If it is not found, leave the entry.

    `input_node` is the number of the node, and `signature` is the signature that it has if it is an input. If the graph
    has been planned, the planner's table says where the node's record is. Otherwise the records are searched, starting
    at the input that was found last: most programs set inputs in the order of their nodes, or right after making them.
    """
    graph, records = here.graph, Words(here.graph.records)
    if graph.planned == graph.length:
        node = Node(Words(graph.node_rows), input_node * len(layout.NODE))
        need(node.signature_start == signature)
        return records[node.operands]
    need(graph.planned == 0)
    position, node_number, record_count = 0, 0, 0
    if graph.searched_version == here.version and graph.searched_node <= input_node:
        position, node_number = graph.searched_offset, graph.searched_node
    plan = Plan(graph.context, records=records)
    while node_number < input_node and record_count < MOST_RECORDS_SEARCHED:
        record = plan.record(position)
        node_number += record.part_count
        position = record.end
        record_count += 1
    need(node_number == input_node and records[position] == signature)
    graph.fill(searched_version=here.version, searched_offset=position, searched_node=input_node)
    return records[position + 1]
