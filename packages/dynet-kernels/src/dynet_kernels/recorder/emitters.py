"""What recording does, as TIR: the quick ways only. Whatever is unusual goes to a Python function.

Everything is checked before the first word of a record is written, and nothing interrupts a compiled function: a record
is whole or absent. No word is read through an address before it is known to be an object of the right type.
"""

from __future__ import annotations

from collections.abc import Callable

from tvm import tirx
from tvm.tirx.script import builder as T

from .. import layout as at
from .. import tir
from ..layout import SLOT
from ..tir import Counter, float32, int64, let, when
from . import words
from .extension import CFunction
from .structures import Expression, Function, Graph, List, Object, Row, Shared, Slice, Tuple, words_at

HASH, HASHED = 0x9E3779B1, (1 << 30) - 1
COUNT = (1 << 63) - 1  # the bits of vectorcall's `count` that are one; the other says that a place before is free
NULL = 0


def extern(name, *arguments):
    """Call a function of CPython, or another of these, that gives a word."""
    return let(T.call_extern("int64", name, *map(int64, arguments)))


def extern_int(name, *arguments):
    """Call a function that gives a C int, or nothing."""
    return let(T.call_extern("int32", name, *map(int64, arguments)))


def not_(condition):
    return tirx.Not(condition)


def both(*conditions):
    """All of them, and none that follows a false one is looked at."""
    first, *rest = conditions
    return T.if_then_else(first, both(*rest), tirx.const(False, "bool")) if rest else first


def either(*conditions):
    first, *rest = conditions
    return T.Or(first, either(*rest)) if rest else first


# ------------------------------------------------------------------------------------------------------- what is asked


def is_expression(shared, object_at):
    """Whether an object is a node or a parameter. A lookup parameter's use has to be noted, so it is unusual."""
    kind = Object(object_at).type
    return either(kind == shared.expression, kind == shared.parameters, kind == shared.constant)


def fits(expression, version):
    """Whether an expression is a node of the graph of that version, or a parameter."""
    return either(expression.version == version, expression.version == int64(words.ANY_GRAPH))


def is_int(shared, object_at):
    return Object(object_at).type == shared.int


def is_number(shared, object_at):
    return either(Object(object_at).type == shared.float, is_int(shared, object_at))


def is_sequence(shared, object_at):
    kind = Object(object_at).type
    return either(kind == shared.list, kind == shared.tuple)


def behind(tuple_at):
    """Where the items of a tuple are."""
    return let(tuple_at + int64(8 * len(words.TUPLE)))


def items_of(shared, sequence_at):
    """Where the items of a list or tuple are."""
    of_list = Object(sequence_at).type == shared.list
    return let(T.if_then_else(of_list, List(sequence_at).items, behind(sequence_at)))


class Int:
    """The value of an int, and whether it is one that 63 bits hold."""

    def __init__(self, object_at):
        self.value = extern("PyLong_AsSsize_t", object_at)
        self.fits = Counter(int64(1))
        with when(self.value == int64(-1)):
            with when(extern("PyErr_Occurred") != int64(NULL)):
                T.evaluate(T.call_extern("int32", "PyErr_Clear"))
                self.fits.set(int64(0))


# ------------------------------------------------------------------------------------------------------------- results


class Outcome:
    """Whether the quick way has done it, and what it gives: an object, or NULL with an exception."""

    def __init__(self, out):
        self.out, self.done = words_at(out), Counter(int64(0))
        T.buffer_store(self.out, int64(NULL), [int64(0)])

    def give(self, object_at):
        T.buffer_store(self.out, int64(object_at), [int64(0)])
        self.done.set(int64(1))

    def give_known(self, object_at):
        """Give an object that is somebody else's too."""
        T.evaluate(T.call_extern("int32", "Py_IncRef", object_at))
        self.give(object_at)

    def undone(self):
        return when(self.done.get() == int64(0))

    def otherwise(self, function, arguments, count, keywords):
        """Leave it to a Python function."""
        with self.undone():
            self.give(extern("PyObject_Vectorcall", function, arguments, count, keywords))


class Call:
    """What a function was called with: its arguments by place. Those by keyword may be the last, in their order."""

    def __init__(self, function, arguments, count, keywords):
        self._words, self._count = words_at(arguments), Counter(let(T.bitwise_and(count, int64(COUNT))))
        with when(keywords != int64(NULL)):
            self._count.set(extern("dynet_count_in_order", function.address, self._count.get(), keywords))

    def has(self, count):
        return self._count.get() == int64(count)

    def __getitem__(self, place):
        return let(self._words[int64(place)])


# ------------------------------------------------------------------------------------------------------------- records


def thread_graph(shared):
    """The address of this thread's graph; NULL before the first."""
    return extern("PyThread_tss_get", shared.thread_graph)


class Recording:
    """A record that is being made in this thread's graph.

    Used as `with Recording(shared, outcome, length) as new`: what is within is emitted where there is room for `length`
    integers and `inputs` floats, and an expression, `new.node`. Without memory, the outcome is an exception.
    """

    def __init__(self, shared, outcome, graph, length, nodes=1, inputs=0):
        self.shared, self.outcome, self.graph = shared, outcome, graph
        self.length, self.nodes, self.inputs = int64(length), int64(nodes), inputs
        self._fine, self._taken = Counter(int64(1)), Counter(int64(NULL))

    def __enter__(self):
        graph, fine = self.graph, self._fine
        with when(graph.length + self.length > graph.room):
            fine.set(extern("dynet_make_room", graph.address, self.length))
        if not isinstance(self.inputs, int) or self.inputs:
            with when(both(fine.get() != int64(0), graph.inputs_length + int64(self.inputs) > graph.inputs_room)):
                fine.set(extern("dynet_make_input_room", graph.address, int64(self.inputs)))
        with when(fine.get() != int64(0)):
            take_expression(self.shared, self._taken)
        self._within = when(self._taken.get() != int64(NULL))
        with when(self._taken.get() == int64(NULL)):
            self.outcome.done.set(int64(1))
        self._within.__enter__()
        self.node = let(self._taken.get())
        self.start = let(graph.length)
        self.integers = words_at(graph.records)
        return self

    def __exit__(self, *problem):
        return self._within.__exit__(*problem)

    def write(self, place, value):
        """Write an integer of the record."""
        T.buffer_store(self.integers, int64(value), [self.start + int64(place)])

    def finish(self, dim, integers=()):
        """Write the first integers, and have the record be one. The expression is that of the last of its nodes."""
        for place, value in enumerate(integers):
            self.write(place, value)
        graph = self.graph
        graph.length = self.start + self.length
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
    """Take an expression from the chain of free ones, or a new one; NULL without memory."""
    taken.set(shared.free)
    none_free = taken.get() == int64(NULL)
    tir.choose(
        none_free,
        lambda: taken.set(extern("_PyObject_New", shared.expression)),
        lambda: shorten_chain(shared, taken.get()),
    )


def shorten_chain(shared, expression_at):
    shared.free = Expression(expression_at).at
    shared.free_count = shared.free_count - int64(1)


def begin_input(recording):
    """Where the record's floats begin among the inputs, and the memory of these."""
    graph = recording.graph
    return let(graph.inputs_length), tir.buffer_at(graph.inputs, "float32")


# -------------------------------------------------------------------------------------------------------------- tables


def mixed(value, number):
    """A hash of numbers, begun with `value`. TVM takes it that products do not overflow, so this one cannot."""
    product = let(T.bitwise_and(T.bitwise_xor(value, number), int64(HASHED)) * int64(HASH))
    return let(T.shift_right(product, int64(16)))


class Found:
    """The row of a function's table under a key, if there is one. A taken row's first word of the key is not 0."""

    def __init__(self, function, key, first, same, value):
        table, mask = let(function.table), let(function.mask)
        place = Counter(T.bitwise_and(value, mask))

        def row():
            return Row(table, let(place.get()), key)

        going, self._place = Counter(int64(1)), place
        self.known = Counter(int64(0))
        with T.While(going.get() != int64(0)):
            here = row()
            begin = let(here.key_word(int64(0)))
            going.set(int64(0))
            with when(begin == int64(first)):
                self.known.set(int64(1))
                if same is not None:
                    same(here, self.known)
            with when(T.And(self.known.get() == int64(0), begin != int64(0))):
                going.set(int64(1))
                place.set(T.bitwise_and(place.get() + int64(1), mask))
        self._table, self._key = table, key

    def __enter__(self):
        self._within = when(self.known.get() != int64(0))
        self._within.__enter__()
        return Row(self._table, let(self._place.get()), self._key)

    def __exit__(self, *problem):
        return self._within.__exit__(*problem)


def find(function, *key):
    """The row under a key of few words."""
    value = int64(0)
    for number in key:
        value = mixed(value, number)

    def same(row, known):
        for place, number in enumerate(key[1:], 1):
            with when(row.key_word(int64(place)) != number):
                known.set(int64(0))

    return Found(function, len(key), key[0], same if len(key) > 1 else None, value)


# ------------------------------------------------------------------------------------------------- recording functions


def with_graph(emit: Callable) -> Callable:
    """Emit something where this thread has a graph that goes the quick way: emit(graph, its version)."""

    def emitted(shared, *arguments):
        graph_at = thread_graph(shared)
        with when(graph_at != int64(NULL)):
            graph = Graph(graph_at)
            version = let(graph.open)
            with when(version > int64(0)):
                emit(shared, graph, version, *arguments)

    return emitted


@with_graph
def record_one(shared, graph, version, function, x_at, outcome):
    x = Expression(x_at)
    with when(both(is_expression(shared, x_at), fits(x, version))):
        with find(function, let(x.dim)) as row, Recording(shared, outcome, graph, 2) as new:
            new.finish(row.result, [row.signature, x.at])


@with_graph
def record_two(shared, graph, version, function, a_at, b_at, outcome):
    a, b = Expression(a_at), Expression(b_at)
    known = both(is_expression(shared, a_at), is_expression(shared, b_at), fits(a, version), fits(b, version))
    with when(known):
        with find(function, let(a.dim), let(b.dim)) as row, Recording(shared, outcome, graph, 3) as new:
            new.finish(row.result, [row.signature, a.at, b.at])


@with_graph
def record_number(shared, graph, version, function, x_at, number_at, outcome, sign=1.0):
    """A record of an expression and a number, which stands among the inputs."""
    x = Expression(x_at)
    known = both(is_expression(shared, x_at), is_number(shared, number_at), fits(x, version))
    with when(known):
        with find(function, let(x.dim)) as row, Recording(shared, outcome, graph, 3, inputs=1) as new:
            (start, inputs), fine = begin_input(new), Counter(int64(1))
            store_number(inputs, start, number_at, fine)
            if sign != 1.0:
                T.buffer_store(inputs, inputs[start] * float32(sign), [start])
            with when(fine.get() != int64(0)):
                graph.inputs_length = start + int64(1)
                new.finish(row.result, [row.signature, x.at, start])
            with when(fine.get() == int64(0)):
                give_back(shared, new.node)


def index_in(row, index, from_end):
    """Whether an index is one of a row; with `from_end`, what is negative counts from the end."""
    return T.And(index >= (-row.limit if from_end else int64(0)), index < row.limit)


def record_index(of_lookup=False, from_end=False):
    @with_graph
    def emit(shared, graph, version, function, x_at, index_at, outcome):
        """A record of an expression, or of a table of parameters, and an index that its row limits."""
        x = Expression(x_at)
        fine = Object(x_at).type == shared.lookup if of_lookup else is_expression(shared, x_at)
        with when(both(fine, is_int(shared, index_at), fits(x, version))):
            number = Int(index_at)
            index = number.value
            with find(function, let(x.dim)) as row:
                with when(both(number.fits.get() != int64(0), index_in(row, index, from_end))):
                    if from_end:
                        index = let(T.if_then_else(index < int64(0), index + row.limit, index))
                    with Recording(shared, outcome, graph, 3) as new:
                        new.finish(row.result, [row.signature, x.at, index])

    return emit


@with_graph
def record_stretch(shared, graph, version, function, x_at, start_at, stop_at, outcome, shorter=False):
    """A record of an expression and two ends, of whose distance the signature is; the row limits the second."""
    x = Expression(x_at)
    known = both(is_expression(shared, x_at), is_int(shared, start_at), is_int(shared, stop_at), fits(x, version))
    with when(known):
        start, stop = Int(start_at), Int(stop_at)
        with when(T.And(start.fits.get() + stop.fits.get() == int64(2), start.value >= int64(0))):
            length = let(stop.value - start.value)
            with find(function, let(x.dim), length) as row:
                least = length < row.limit if shorter else stop.value <= row.limit  # all of it is x itself
                with when(T.And(stop.value <= row.limit, least)):
                    with Recording(shared, outcome, graph, 3) as new:
                        new.finish(row.result, [row.signature, x.at, start.value])


@with_graph
def record_list(shared, graph, version, function, list_at, outcome):
    """A record of the expressions of a list. Its key is how many they are, and their Dims."""
    with when(is_sequence(shared, list_at)):
        size, items = let(List(list_at).size), words_at(items_of(shared, list_at))
        same_dims, fine = Counter(int64(1)), Counter(int64(1))
        value = Counter(mixed(int64(0), size))
        first_dim = Counter(int64(0))
        with T.serial(int64(0), size) as place:
            x_at = let(items[place])
            x = Expression(x_at)
            good = both(is_expression(shared, x_at), fits(x, version))
            with when(not_(good)):
                fine.set(int64(0))
            with when(fine.get() != int64(0)):
                dim = let(x.dim)
                with when(place == int64(0)):
                    first_dim.set(dim)
                with when(first_dim.get() != dim):
                    same_dims.set(int64(0))
                with when(size <= int64(words.MOST_KEYED)):
                    value.set(mixed(value.get(), dim))
        few = let(size <= int64(words.MOST_KEYED))
        keyed = both(fine.get() != int64(0), size > int64(0), T.Or(few, same_dims.get() != int64(0)))
        with when(keyed):
            with when(not_(few)):
                value.set(mixed(mixed(int64(0), -size), first_dim.get()))
            first = let(T.if_then_else(few, size, -size))

            def same(row, known):
                with T.serial(int64(0), T.min(size, T.if_then_else(few, size, int64(1)))) as place:
                    with when(row.key_word(place + int64(1)) != Expression(let(items[place])).dim):
                        known.set(int64(0))

            with Found(function, words.LIST_KEY, first, same, let(value.get())) as row:
                variadic = let(row.limit)  # 1: how many operands there are stands in the record
                with Recording(shared, outcome, graph, size + variadic + int64(1)) as new:
                    new.write(1, size)
                    with T.serial(int64(0), size) as place:
                        new.write(variadic + place + int64(1), Expression(let(items[place])).at)
                    new.finish(row.result, [row.signature])


def store_number(inputs, place, object_at, fine):
    """Store a number as a float32, unless it is an int that is too large; `fine` says so."""
    number = let(T.call_extern("float64", "PyFloat_AsDouble", object_at))
    T.buffer_store(inputs, T.Cast("float32", number), [place])
    with when(number == tirx.const(-1.0, "float64")):
        with when(extern("PyErr_Occurred") != int64(NULL)):
            T.evaluate(T.call_extern("int32", "PyErr_Clear"))
            fine.set(int64(0))


def keep_or_give_back(shared, new, start, count, row, fine):
    """Make a record of an input whose numbers stand in their place, unless one of them could not be stored."""
    with when(fine.get() != int64(0)):
        new.graph.inputs_length = start + count
        new.finish(row.result, [row.signature, start])
    with when(fine.get() == int64(0)):
        give_back(shared, new.node)


@with_graph
def record_scalar(shared, graph, version, function, number_at, outcome):
    """A record of an input of one number."""
    with when(is_number(shared, number_at)):
        with find(function, int64(1)) as row, Recording(shared, outcome, graph, 2, inputs=1) as new:
            (start, inputs), fine = begin_input(new), Counter(int64(1))
            store_number(inputs, start, number_at, fine)
            keep_or_give_back(shared, new, start, int64(1), row, fine)


@with_graph
def record_vector(shared, graph, version, function, list_at, outcome):
    """A record of an input of a list of numbers; the key is how many they are."""
    with when(Object(list_at).type == shared.list):
        size, items, fine = let(List(list_at).size), words_at(List(list_at).items), Counter(int64(1))
        with T.serial(int64(0), size) as place:
            with when(not_(is_number(shared, let(items[place])))):
                fine.set(int64(0))
        with when(T.And(fine.get() != int64(0), size > int64(0))):
            with find(function, size) as row, Recording(shared, outcome, graph, 2, inputs=size) as new:
                start, inputs = begin_input(new)
                with T.serial(int64(0), size) as place:
                    store_number(inputs, start + place, let(items[place]), fine)
                keep_or_give_back(shared, new, start, size, row, fine)


# What CPython calls: f(self, arguments, count, keywords).
CALLED = ("function", "arguments", "count", "keywords")


def called(operands, record):
    """A function of `operands` operands."""

    def emit(shared_at, function_at, arguments, count, keywords, out):
        shared, function, outcome = Shared(shared_at), Function(function_at), Outcome(out)
        call = Call(function, arguments, count, keywords)
        with when(call.has(operands)):
            record(shared, function, *[call[place] for place in range(operands)], outcome)
        outcome.otherwise(function.slow, arguments, count, keywords)

    return CFunction(CALLED, emit)


def operator(name):
    """The slot of an operator: both operands are expressions, or one is a number."""

    def emit(shared_at, arguments, out):
        shared, outcome = Shared(shared_at), Outcome(out)
        pair, right, left, slow = (let(getattr(shared, f"{name}_{what}")) for what in words.OPERATOR)
        call = words_at(arguments)
        a, b = let(call[int64(0)]), let(call[int64(1)])
        with when(slow == int64(NULL)):
            outcome.give_known(shared.not_implemented)
        with when(slow != int64(NULL)):
            a_is, b_is = let(is_expression(shared, a)), let(is_expression(shared, b))
            with when(T.And(a_is, b_is)):
                record_two(shared, Function(pair), a, b, outcome)
            with when(T.And(a_is, not_(b_is))):
                sign = -1.0 if name == "subtract" else 1.0  # x - c is x + -c
                record_number(shared, Function(right), a, b, outcome, sign)
            with when(T.And(b_is, not_(a_is))):
                record_number(shared, Function(left), b, a, outcome)
            outcome.otherwise(slow, arguments, int64(2), int64(NULL))

    return CFunction(("a", "b"), emit, gathered=True)


def negative(shared_at, arguments, out):
    """The slot of `-x`."""
    shared, outcome = Shared(shared_at), Outcome(out)
    function = Function(let(shared.negative))
    with when(function.address != int64(NULL)):
        record_one(shared, function, let(words_at(arguments)[int64(0)]), outcome)
        outcome.otherwise(function.slow, arguments, int64(1), int64(NULL))


def subscript(shared_at, arguments, out):
    """The slot of `x[key]`: an int, a slice of ints, or what a Python function makes of it."""
    shared, outcome = Shared(shared_at), Outcome(out)
    call = words_at(arguments)
    x_at, key_at = let(call[int64(0)]), let(call[int64(1)])
    with when(shared.subscript != int64(NULL)):
        with when(is_int(shared, key_at)):
            record_index(from_end=True)(shared, Function(let(shared.item)), x_at, key_at, outcome)
        with when(Object(key_at).type == shared.slice):
            key = Slice(key_at)
            with when(key.step == shared.none):
                record_stretch(
                    shared, Function(let(shared.stretch)), x_at, let(key.start), let(key.stop), outcome, True
                )
        outcome.otherwise(shared.subscript, arguments, int64(2), int64(NULL))


# ------------------------------------------------------------------------------------------------ what Python commits


def commit(shared_at, function_at, arguments, count, keywords, out):
    """commit(dim, nodes, head, operands): a record whose integers are those of the tuple `head` and of `operands`.

    Gives the expression of its last node, and None if it cannot be: an operand is neither an int nor an expression of
    this graph. It works for graphs that something watches, too.
    """
    shared, function, outcome = Shared(shared_at), Function(function_at), Outcome(out)
    call = Call(function, arguments, count, keywords)
    with when(call.has(4)):
        dim, nodes_at, head_at, operands_at = (call[place] for place in range(4))
        graph_at = thread_graph(shared)
        sequences = both(
            graph_at != int64(NULL),
            is_int(shared, nodes_at),
            Object(head_at).type == shared.tuple,
            is_sequence(shared, operands_at),
        )
        with when(sequences):
            graph = Graph(graph_at)
            head, operands = words_at(items_of(shared, head_at)), words_at(items_of(shared, operands_at))
            head_size, size = let(Tuple(head_at).size), let(Tuple(operands_at).size)
            nodes = Int(nodes_at)
            fine = Counter(nodes.fits.get())
            version = let(graph.version)
            for items, length in ((head, head_size), (operands, size)):
                with T.serial(int64(0), length) as place:
                    item = let(items[place])
                    good = either(
                        is_int(shared, item), both(is_expression(shared, item), fits(Expression(item), version))
                    )
                    with when(not_(good)):
                        fine.set(int64(0))
            with when(fine.get() != int64(0)):
                with Recording(shared, outcome, graph, head_size + size, nodes.value) as new:
                    for items, length, begin in ((head, head_size, int64(0)), (operands, size, head_size)):
                        with T.serial(int64(0), length) as place:
                            item = let(items[place])
                            number = Counter(int64(0))
                            with when(is_int(shared, item)):
                                value = Int(item)
                                number.set(value.value)
                                with when(value.fits.get() == int64(0)):
                                    fine.set(int64(0))
                            with when(not_(is_int(shared, item))):
                                number.set(Expression(item).at)
                            new.write(begin + place, number.get())
                    with when(fine.get() != int64(0)):
                        new.finish(dim)
                    with when(fine.get() == int64(0)):  # an int of more than 63 bits: nothing has been recorded
                        give_back(shared, new.node)
    outcome.otherwise(function.slow, arguments, count, keywords)


def give_back(shared, expression_at):
    """Put an expression that was taken back into the chain."""
    Expression(expression_at).at = shared.free
    shared.free = expression_at
    shared.free_count = shared.free_count + int64(1)


def handle(shared_at, function_at, arguments, count, keywords, out):
    """handle(at, dim): an expression of a node of this thread's graph."""
    shared, function, outcome = Shared(shared_at), Function(function_at), Outcome(out)
    call = Call(function, arguments, count, keywords)
    with when(call.has(2)):
        graph_at = thread_graph(shared)
        with when(both(graph_at != int64(NULL), is_int(shared, call[0]))):
            graph, at = Graph(graph_at), Int(call[0])
            with when(T.And(at.fits.get() != int64(0), T.And(at.value >= int64(0), at.value < graph.nodes))):
                taken = Counter(int64(NULL))
                take_expression(shared, taken)
                outcome.give(taken.get())
                with when(taken.get() != int64(NULL)):
                    become_node(let(taken.get()), at.value, graph.version, call[1])
    outcome.otherwise(function.slow, arguments, count, keywords)


def handles(shared_at, function_at, arguments, count, keywords, out):
    """handles(first, count, dim): a list of expressions of nodes of this thread's graph that follow each other."""
    shared, function, outcome = Shared(shared_at), Function(function_at), Outcome(out)
    call = Call(function, arguments, count, keywords)
    with when(call.has(3)):
        graph_at = thread_graph(shared)
        with when(both(graph_at != int64(NULL), is_int(shared, call[0]), is_int(shared, call[1]))):
            graph, first, number = Graph(graph_at), Int(call[0]), Int(call[1])
            inside = T.And(T.And(first.value >= int64(0), number.value >= int64(0)),
                           T.And(first.value <= graph.nodes, number.value <= graph.nodes - first.value))  # fmt: skip
            with when(T.And(first.fits.get() + number.fits.get() == int64(2), inside)):
                made, fine = extern("PyList_New", number.value), Counter(int64(1))
                outcome.give(made)
                with when(made != int64(NULL)):
                    items = words_at(List(made).items)
                    with T.serial(int64(0), number.value) as place:
                        taken = Counter(int64(NULL))
                        with when(fine.get() != int64(0)):
                            take_expression(shared, taken)
                            T.buffer_store(items, taken.get(), [place])
                            with when(taken.get() == int64(NULL)):
                                fine.set(int64(0))
                            with when(taken.get() != int64(NULL)):
                                become_node(let(taken.get()), first.value + place, graph.version, call[2])
                    with when(fine.get() == int64(0)):
                        outcome.give(int64(NULL))
                        T.evaluate(T.call_extern("int32", "Py_DecRef", made))
    outcome.otherwise(function.slow, arguments, count, keywords)


# ------------------------------------------------------------------------------------------------------------- passes


def is_prepared(shared, graph):
    """Whether nothing has to be done in Python before a pass."""
    return graph.prepared == shared.generation


def call_planner(graph, function, *numbers):
    """Call a function of the planner; whether it has neither failed nor found too little room."""
    values = [graph.context, *numbers]
    for place, number in enumerate(values):
        setattr(graph, f"argument_{2 * place + 1}", number)
    first = graph.address + int64(8 * graph.names.index("argument_0"))
    failed = extern("dynet_call", getattr(graph, function), first, int64(len(values)))
    ready = words_at(graph.context)[int64(SLOT["status"])] == int64(at.READY)
    return T.And(failed == int64(0), ready)


def compute(shared_at, graph_at, out):
    """Compute what is new of a graph; 0 if that is left to Python."""
    shared, graph, result = Shared(shared_at), Graph(graph_at), words_at(out)
    T.buffer_store(result, int64(0), [int64(0)])
    with when(is_prepared(shared, graph)):
        length, inputs_length = let(graph.length), let(graph.inputs_length)
        with when(length == graph.done):
            T.buffer_store(result, int64(1), [int64(0)])
        with when(T.And(length != graph.done, length + int64(2) < graph.most)):
            context = words_at(graph.context)
            T.buffer_store(context, graph.records, [int64(SLOT["fresh"])])
            with when(graph.done == int64(0)):
                T.buffer_store(context, graph.values_begin, [int64(SLOT["arena_top"])])
            numbers = graph.done, length, graph.inputs, graph.inputs_done, inputs_length
            with when(call_planner(graph, "forward", *numbers)):
                graph.done = length
                graph.inputs_done = inputs_length
                T.buffer_store(result, int64(1), [int64(0)])


def value_at(graph, x):
    """Where the numbers of a node are, in floats, once they have been computed."""
    return let(words_at(graph.node_rows)[x.at * int64(at.NODE_ROW) + int64(at.NODE_VALUE)])


def of_node(emit):
    """A method of a node: once it is computed, emit(shared, graph, the row of its Dim, node, outcome)."""

    @with_graph
    def computed(shared, graph, version, function, x_at, outcome):
        x = Expression(x_at)
        with when(T.And(Object(x_at).type == shared.expression, x.version == version)):
            with find(function, let(x.dim)) as row:
                with when(extern("dynet_compute", graph.address) != int64(0)):
                    emit(shared, graph, row, x, outcome)

    return called(1, computed)


def float_object(value):
    return extern("PyFloat_FromDouble", T.Cast("float64", value))


def read_value(shared, graph, row, x, outcome):
    """A float, or a list of them."""
    numbers = tir.buffer_at(value_at(graph, x) * int64(4), "float32")
    with when(row.limit == int64(1)):
        outcome.give(float_object(numbers[int64(0)]))
    with when(row.limit > int64(1)):
        size = let(row.limit)
        made, fine = extern("PyList_New", size), Counter(int64(1))
        outcome.give(made)
        with when(made != int64(NULL)):
            items = words_at(List(made).items)
            with T.serial(int64(0), size) as place:
                with when(fine.get() != int64(0)):
                    number = float_object(numbers[place])
                    T.buffer_store(items, number, [place])
                    with when(number == int64(NULL)):
                        fine.set(int64(0))
            with when(fine.get() == int64(0)):
                outcome.give(int64(NULL))
                T.evaluate(T.call_extern("int32", "Py_DecRef", made))


def read_address(shared, graph, row, x, outcome):
    outcome.give(extern("PyLong_FromSsize_t", value_at(graph, x)))


def differentiate(shared, graph, row, x, outcome):
    """A backward pass from a number."""
    place = let(x.at)
    shared.passes = shared.passes + int64(1)
    with when(call_planner(graph, "backward", place, int64(1), int64(0))):
        graph.differentiated = place
        graph.differentiated_fully = 0
        outcome.give_known(shared.none)


def renew_quickly(shared_at, function_at, arguments, count, keywords, out):
    """renew_cg() of a graph of which nothing unusual is left."""
    shared, function, outcome = Shared(shared_at), Function(function_at), Outcome(out)
    call = Call(function, arguments, count, keywords)
    with when(call.has(0)):
        graph_at = thread_graph(shared)
        with when(graph_at != int64(NULL)):
            graph = Graph(graph_at)
            with when(graph.unusual == int64(0)):
                renew_words(shared, graph)
                outcome.give_known(graph.object)
    outcome.otherwise(function.slow, arguments, count, keywords)


# ------------------------------------------------------------------------------------------------------------- memory


def more_room(buffer, length, room, size):
    def emit(shared_at, graph_at, count, out):
        """Have room for `count` more; 0 with a MemoryError if there is none."""
        graph, result = Graph(graph_at), words_at(out)
        wanted = let(getattr(graph, room) * int64(2) + count)
        given = extern("PyMem_RawMalloc", (wanted + int64(1)) * int64(size) + int64(LINK))
        T.buffer_store(result, int64(0), [int64(0)])
        with when(given == int64(NULL)):
            T.evaluate(T.call_extern("int64", "PyErr_NoMemory"))
        with when(given != int64(NULL)):
            old, begin = let(getattr(graph, buffer)), let(given + int64(LINK))
            with when(old != int64(NULL)):
                used = let(getattr(graph, length) * int64(size))
                T.evaluate(T.call_extern("int64", "memcpy", begin, old, used))
                outgrow(graph, old)
            setattr(graph, buffer, begin)
            setattr(graph, room, wanted)
            T.buffer_store(result, int64(1), [int64(0)])

    return CFunction(("graph", "count"), emit)


LINK = 64  # bytes before a buffer, of which the first word links those that have been outgrown


def outgrow(graph, buffer_at):
    """Keep a buffer until the graph is renewed."""
    T.buffer_store(words_at(buffer_at - int64(LINK)), graph.outgrown, [int64(0)])
    graph.outgrown = buffer_at


def free_outgrown(graph):
    with T.While(graph.outgrown != int64(NULL)):
        begin = let(graph.outgrown - int64(LINK))
        graph.outgrown = words_at(begin)[int64(0)]
        T.evaluate(T.call_extern("int32", "PyMem_RawFree", begin))


def count_in_order(shared_at, function_at, count, keywords, out):
    """How many arguments there are, with those by keyword; -1 if these are not the next parameters in their order."""
    function, result, names = Function(function_at), words_at(out), Tuple(keywords)
    known_at, named = let(function.parameters), let(names.size)
    T.buffer_store(result, int64(-1), [int64(0)])
    with when(known_at != int64(NULL)):
        with when(Tuple(known_at).size >= count + named):
            given, known, wrong = words_at(behind(keywords)), words_at(behind(known_at)), Counter(int64(0))
            with T.serial(int64(0), named) as place:
                with when(given[place] != known[count + place]):
                    wrong.set(int64(1))
            with when(wrong.get() == int64(0)):
                T.buffer_store(result, count + named, [int64(0)])


def take_inputs(shared_at, graph_at, floats_at, count, out):
    """Keep floats among the inputs; where they begin, or -1 with a MemoryError."""
    graph, result = Graph(graph_at), words_at(out)
    fine = Counter(int64(1))
    with when(graph.inputs_length + count > graph.inputs_room):
        fine.set(extern("dynet_make_input_room", graph_at, count))
    T.buffer_store(result, int64(-1), [int64(0)])
    with when(fine.get() != int64(0)):
        start, inputs = let(graph.inputs_length), tir.buffer_at(graph.inputs, "float32")
        given = tir.buffer_at(floats_at, "float32")
        with T.serial(int64(0), count) as place:
            T.buffer_store(inputs, given[place], [start + place])
        graph.inputs_length = start + count
        T.buffer_store(result, start, [int64(0)])


SHRINK_FROM, SHRINK_TO = 1 << 20, 8
"""Integers or floats, from which on a graph gives back its room, if the last graph used no eighth of it."""


def renew_words(shared, graph):
    """Forget what has been recorded, under another version."""
    version = let(shared.newest + int64(1))
    shared.newest = version
    with when(graph.outgrown != int64(NULL)):
        free_outgrown(graph)
    for buffer, length, room in (("records", "length", "room"), ("inputs", "inputs_length", "inputs_room")):
        with when(getattr(graph, room) > int64(SHRINK_FROM)):
            with when(getattr(graph, room) > getattr(graph, length) * int64(SHRINK_TO)):
                outgrow(graph, let(getattr(graph, buffer)))  # freed when the next graph is renewed
                setattr(graph, buffer, NULL)
                setattr(graph, room, 0)
    graph.version = version
    graph.open = version
    for name in ("nodes", "length", "inputs_length", "done", "inputs_done", "differentiated_fully", "unusual"):
        setattr(graph, name, 0)
    graph.differentiated = -1


def renew(shared_at, graph_at, out):
    """Forget what has been recorded."""
    graph = Graph(graph_at)
    renew_words(Shared(shared_at), graph)
    T.buffer_store(words_at(out), graph.version, [int64(0)])


def cut(shared_at, graph_at, nodes, length, inputs_length, out):
    """Forget the newest records, under another version."""
    shared, graph = Shared(shared_at), Graph(graph_at)
    version = let(shared.newest + int64(1))
    shared.newest = version
    graph.version = version
    graph.open = let(T.if_then_else(graph.open == int64(words.WATCHED), int64(words.WATCHED), version))
    graph.nodes = nodes
    graph.length = length
    graph.inputs_length = inputs_length
    T.buffer_store(words_at(out), version, [int64(0)])


def enter(shared_at, function_at, row_at, out):
    """Enter a row into a function's table, which grows if more than half of it is taken; 0 with a MemoryError."""
    function, result, given = Function(function_at), words_at(out), words_at(row_at)
    key = let(function.key)
    width = let(key + int64(len(words.ROW)))
    fine = Counter(int64(1))
    with when((function.used + int64(1)) * int64(2) > function.mask + int64(1)):
        rows = let(function.mask + int64(1))
        table = extern("PyMem_RawCalloc", rows * int64(2), width * int64(8))
        with when(table == int64(NULL)):
            T.evaluate(T.call_extern("int64", "PyErr_NoMemory"))
            fine.set(int64(0))
        with when(table != int64(NULL)):
            old, bigger, mask = words_at(let(function.table)), words_at(table), let(rows * int64(2) - int64(1))
            with T.serial(int64(0), rows) as place:
                with when(old[place * width] != int64(0)):
                    put_row(bigger, mask, key, width, old, let(place * width), Counter(int64(0)))
            T.evaluate(T.call_extern("int32", "PyMem_RawFree", function.table))
            function.table = table
            function.mask = mask
    T.buffer_store(result, fine.get(), [int64(0)])
    with when(fine.get() != int64(0)):
        new = Counter(int64(0))
        put_row(words_at(let(function.table)), let(function.mask), key, width, given, int64(0), new)
        function.used = function.used + new.get()


def put_row(table, mask, key, width, source, begin, new):
    """Write a row where its key stands or the first free one is; the key's first word last. `new`: it was not there."""
    value = Counter(int64(0))
    with T.serial(int64(0), key) as place:
        number = let(source[begin + place])
        # the words of a list's key that are not in use are no part of its hash
        with when(T.Or(number != int64(0), place == int64(0))):
            value.set(mixed(value.get(), number))
    row, going = Counter(T.bitwise_and(value.get(), mask)), Counter(int64(1))
    with T.While(going.get() != int64(0)):
        at = let(row.get() * width)
        same = Counter(int64(1))
        with T.serial(int64(0), key) as place:
            with when(table[at + place] != source[begin + place]):
                same.set(int64(0))
        free = let(table[at] == int64(0))
        going.set(int64(0))
        with when(T.And(same.get() == int64(0), not_(free))):
            going.set(int64(1))
            row.set(T.bitwise_and(row.get() + int64(1), mask))
        with when(T.And(free, same.get() == int64(0))):
            new.set(int64(1))
    at = let(row.get() * width)
    with T.serial(int64(0), width - int64(1)) as place:
        back = let(width - int64(1) - place)
        T.buffer_store(table, source[begin + back], [at + back])
    T.buffer_store(table, source[begin], [at])


# --------------------------------------------------------------------------------------------------- types of CPython


def free(shared_at, x_at, out):
    """tp_dealloc of an expression: into the chain, as long as that is short. Others are freed as objects are."""
    shared = Shared(shared_at)
    kept = T.And(Object(x_at).type == shared.expression, shared.free_count < shared.free_most)
    tir.choose(
        kept,
        lambda: give_back(shared, x_at),
        lambda: T.evaluate(T.call_extern("int64", "dynet_free_object", x_at)),
    )
    T.buffer_store(words_at(out), int64(0), [int64(0)])


def new(shared_at, kind, arguments, keywords, out):
    """tp_new: an object of a type beneath `Expression` that is no node yet. Python cannot make an expression itself."""
    shared, outcome = Shared(shared_at), Outcome(out)
    with when(kind != shared.expression):
        made = extern("PyType_GenericAlloc", kind, int64(0))
        outcome.give(made)
        with when(made != int64(NULL)):
            Expression(made).version = words.NO_NODE
    outcome.otherwise(shared.refuse_new, out, int64(0), int64(NULL))


def visit_nothing(shared_at, object_at, visit, given, out):
    """tp_traverse of an expression, which refers to nothing."""
    T.buffer_store(words_at(out), int64(0), [int64(0)])


def become(shared_at, x_at, at, version, dim, out):
    """Have an object be what these say: a parameter, whose version is that of any graph."""
    x = Expression(x_at)
    x.at, x.version, x.dim = at, version, dim
    T.buffer_store(words_at(out), int64(0), [int64(0)])


def bind(shared_at, function_at, object_at, kind, out):
    """tp_descr_get of a recording function: as an attribute of an object, it is a method."""
    shared, outcome = Shared(shared_at), Outcome(out)
    with when(T.Or(object_at == int64(NULL), object_at == shared.none)):
        outcome.give_known(function_at)
    with outcome.undone():
        outcome.give(extern("PyMethod_New", function_at, object_at))


FUNCTIONS = {
    "value": of_node(read_value),
    "address": of_node(read_address),
    "differentiate": of_node(differentiate),
    "renew_quickly": CFunction(CALLED, renew_quickly),
    "one": called(1, record_one),
    "two": called(2, record_two),
    "many": called(1, record_list),
    "number": called(2, record_number),
    "index": called(2, record_index()),
    "lookup": called(2, record_index(of_lookup=True)),
    "stretch": called(3, record_stretch),
    "scalar": called(1, record_scalar),
    "vector": called(1, record_vector),
    "commit": CFunction(CALLED, commit),
    "handle": CFunction(CALLED, handle),
    "handles": CFunction(CALLED, handles),
    **{name: operator(name) for name in words.OPERATORS},
    "negative": CFunction(("x",), negative, gathered=True),
    "subscript": CFunction(("x", "key"), subscript, gathered=True),
    "free": CFunction(("x",), free),
    "new": CFunction(("kind", "arguments", "keywords"), new),
    "visit_nothing": CFunction(("object", "visit", "given"), visit_nothing),
    "become": CFunction(("x", "at", "version", "dim"), become),
    "bind": CFunction(("function", "object", "kind"), bind),
    "renew": CFunction(("graph",), renew),
    "cut": CFunction(("graph", "nodes", "length", "inputs_length"), cut),
    "take_inputs": CFunction(("graph", "floats", "count"), take_inputs),
    "enter": CFunction(("function", "row"), enter),
    "dynet_compute": CFunction(("graph",), compute),
    "dynet_count_in_order": CFunction(("function", "count", "keywords"), count_in_order),
    "dynet_make_room": more_room("records", "length", "room", 8),
    "dynet_make_input_room": more_room("inputs", "inputs_length", "inputs_room", 4),
}
