"""Emits the parts of compiled functions that deal with CPython: type checks, arguments, results, fallbacks.

Names that end in `_at` are addresses of Python objects. `shared` is the structure of the shared words, which has the
addresses of Python types that the code must recognise. A compiled function has a *fast path*. For calls that the fast
path cannot handle, it calls a Python function. Other terms: see `recorder/__init__.py`.
"""

from __future__ import annotations

from .. import tir
from ..tir import IntVariable, int64, let, when
from ..tvm_modules import T, tirx
from . import words
from .structures import Expression, Function, List, Object, Shared, Tuple, words_at, words_on_stack

# In a call by CPython's vectorcall, the argument `nargsf` is the number of positional arguments, plus a flag in the
# highest bit. This mask removes the flag.
COUNT = (1 << 63) - 1
NULL = 0


def extern(name, *arguments):
    """Emit a call of a C function that returns 64 bits, and return its result.

    Args:
        name: the name of a function of CPython's C interface, or one of the names in `functions.FUNCTIONS`.
    """
    return let(T.call_extern("int64", name, *map(int64, arguments)))


def not_(condition):
    return tirx.Not(condition)


def both(*conditions):
    """Emit the condition that all conditions hold. Like Python's `and`, it evaluates none after the first false one."""
    first, *rest = conditions
    return T.if_then_else(first, both(*rest), tirx.const(False, "bool")) if rest else first


def either(*conditions):
    first, *rest = conditions
    return T.Or(first, either(*rest)) if rest else first


class Flag(IntVariable):
    """A variable of the emitted code that is 1, or 0 after a condition that it requires does not hold."""

    def __init__(self, first=1):
        super().__init__(int64(first))

    def require(self, condition):
        with when(not_(condition)):
            self.set(int64(0))

    @property
    def on(self):
        return self.get() != int64(0)


def is_expression(shared, object_at):
    """Emit a check that an object is the expression of a node, or a parameter that is not a lookup table.

    An op on a whole lookup table is left to Python, which has to note that the graph uses all of the table.
    """
    kind = Object(object_at).type
    return either(kind == shared.expression, kind == shared.parameters, kind == shared.constant)


def fits(expression, graph, version):
    """Emit a check that an expression may be an operand in a graph, whose version is `version`.

    It may if it is a node of this graph, or a parameter, which is valid in any graph.
    """
    anywhere = expression.version == int64(words.ANY_GRAPH)
    return T.if_then_else(anywhere, tirx.const(True, "bool"), is_node_of(expression, graph, version))


def is_operand(shared, graph, version, object_at, of_lookup=False):
    """Emit a check that an object may be an operand in a graph, whose version is `version`.

    It may if it is an expression (or, with `of_lookup`, a lookup table) that `fits` the graph.
    """
    known = Object(object_at).type == shared.lookup if of_lookup else is_expression(shared, object_at)
    return both(known, fits(Expression(object_at), graph, version))


def is_node_of(expression, graph, version):
    """Emit a check that an expression is a node of a graph, whose version is `version`.

    It is if it has this version. It also is if it has one of the versions before `cg_revert` that are in the graph's
    words, and its node is one of the first, which still exist.
    """
    stays = both(
        expression.version < version,
        expression.version >= graph.past_version,
        expression.at < graph.past_nodes,
    )
    return T.if_then_else(expression.version == version, tirx.const(True, "bool"), stays)


def is_int(shared, object_at):
    return Object(object_at).type == shared.int


def is_index(shared, object_at):
    """Emit a check that an object is a Python int, or an int64 or int32 of numpy."""
    kind = Object(object_at).type
    return either(kind == shared.int, kind == shared.int64, kind == shared.int32)


def is_number(shared, object_at):
    """Emit a check that an object is a Python float or int, or a numpy number: float64, float32, int64 or int32."""
    kind = Object(object_at).type
    return either(*[kind == getattr(shared, name) for name in ("float", "int", "float64", "float32", "int64", "int32")])


def is_sequence(shared, object_at):
    kind = Object(object_at).type
    return either(kind == shared.list, kind == shared.tuple)


def behind(tuple_at):
    """Emit the address of a tuple's items, which in memory follow the words of TUPLE."""
    return let(tuple_at + int64(8 * len(words.TUPLE)))


def items_of(shared, sequence_at):
    """Emit the address of the items of a list or tuple."""
    of_list = Object(sequence_at).type == shared.list
    return let(T.if_then_else(of_list, List(sequence_at).items, behind(sequence_at)))


NO_INDEX = -(1 << 62)  # stands for what is no index; far from all indices, sizes and versions


def index_of(shared, object_at):
    """Emit code that reads an index, and return its value; NO_INDEX if it is no integer of 64 bits."""
    index = IntVariable(int64(NO_INDEX))
    with when(is_index(shared, object_at)):
        tir.choose(
            is_int(shared, object_at),
            lambda: index.set(extern("PyLong_AsSsize_t", object_at)),
            lambda: index.set(extern("PyNumber_AsSsize_t", object_at, NULL)),
        )
        with when(index.get() == int64(-1)), when(extern("PyErr_Occurred") != int64(NULL)):
            T.evaluate(T.call_extern("int32", "PyErr_Clear"))
            index.set(int64(NO_INDEX))
    return let(index.get())


def is_below(index, limit):
    """Emit a check that an index is at least 0 and less than `limit`."""
    return T.And(index >= int64(0), index < limit)


class Outcome:
    """The outcome of a fast path: whether it has a result, and which.

    The result, stored at the address `out`, is an object, or NULL if an exception is set. The variable `done` of the
    emitted code is 1 once there is a result. If it stays 0, the compiled function calls a Python function instead.
    """

    def __init__(self, out):
        self.out, self.done = words_at(out), Flag(0)
        T.buffer_store(self.out, int64(NULL), [int64(0)])

    def give(self, object_at):
        T.buffer_store(self.out, int64(object_at), [int64(0)])
        self.done.set(int64(1))

    def give_known(self, object_at):
        """Emit code that gives an existing object as the result. The code adds a reference to it for the caller."""
        T.evaluate(T.call_extern("int32", "Py_IncRef", object_at))
        self.give(object_at)

    def undone(self):
        return when(not_(self.done.on))

    def call_otherwise(self, function, *objects):
        """Emit the fallback: if the fast path has no result, call a Python function with these objects."""
        with self.undone():
            given = words_on_stack(len(objects))
            for place, object_at in enumerate(objects):
                T.buffer_store(given, object_at, [int64(place)])
            self.otherwise(function, T.address_of(given[int64(0)]), int64(len(objects)), int64(NULL))

    def otherwise(self, function, arguments, count, keywords):
        """Emit the fallback: if the fast path has no result, call a Python function and take its result.

        The arguments are those of CPython's `PyObject_Vectorcall`; `function` is the address of the Python function.
        """
        with self.undone():
            self.give(extern("PyObject_Vectorcall", function, arguments, count, keywords))


class Call:
    """The arguments of a call by CPython's vectorcall. `call[k]` is the address of argument k.

    Keyword arguments are treated as positional ones if they are *in order*: if their names are the names of the
    parameters that follow the positional arguments, in the same order.

    Args:
        function: the recording function that is called.
        arguments, count, keywords: what CPython passes: the address of an array of the arguments; the number of
            positional ones, plus a flag (see COUNT); and the address of a tuple with the names of the others, or NULL.
    """

    def __init__(self, function, arguments, count, keywords):
        self._function, self.arguments, self._words = function, arguments, words_at(arguments)
        self._count, self._given, self._names = IntVariable(let(T.bitwise_and(count, int64(COUNT)))), count, keywords
        with when(keywords != int64(NULL)):
            self._count.set(extern("dynet_count_in_order", function.address, self._count.get(), keywords))

    def count(self):
        """Return the number of all arguments, or -1 if there are keyword arguments that are not in order."""
        return self._count.get()

    def has(self, count):
        return self._count.get() == int64(count)

    def __getitem__(self, place):
        return let(self._words[int64(place)])

    def place(self, place):
        """Emit the address of the word that holds the address of an argument."""
        return let(self.arguments + int64(8 * place))

    def otherwise(self, outcome):
        """Emit the fallback: if the fast path has no result, call the recording function's `slow`, a Python function.

        Keyword arguments that are in order are passed as positional ones.
        """
        with outcome.undone():
            in_order = let(T.And(self._names != int64(NULL), self._count.get() >= int64(0)))
            count = let(T.if_then_else(in_order, self._count.get(), self._given))
            names = let(T.if_then_else(in_order, int64(NULL), self._names))
            outcome.otherwise(self._function.slow, self.arguments, count, names)


def taking(*counts):
    """Decorator: make an emitter of a C function from that of a fast path, `emit(shared, function, call, outcome)`.

    If the fast path has no result, the C function calls the recording function's `slow`.

    Args:
        counts: the fast path runs for calls with one of these numbers of arguments. If none is given, it runs for calls
            with any number.
    """

    def decorate(emit):
        # The parameters of a function that CPython calls by vectorcall; `function_at` is the callable object itself.
        def emitted(shared_at, function_at, arguments, count, keywords, out):
            shared, function, outcome = Shared(shared_at), Function(function_at), Outcome(out)
            call = Call(function, arguments, count, keywords)
            with when(either(*map(call.has, counts)) if counts else call.count() >= int64(0)):
                emit(shared, function, call, outcome)
            call.otherwise(outcome)

        return emitted

    return decorate


def count_in_order(shared_at, function_at, count, keywords, out):
    """Emit the C function that counts the arguments of a call of a recording function, keyword arguments included.

    It returns -1 if the keyword arguments are not the parameters that follow the positional arguments, in order.

    Args:
        count: the number of positional arguments.
        keywords: the address of a tuple with the names of the keyword arguments.
    """
    function, result, names = Function(function_at), words_at(out), Tuple(keywords)
    known_at, named = let(function.parameters), let(names.size)
    T.buffer_store(result, int64(-1), [int64(0)])
    with when(known_at != int64(NULL)):
        with when(Tuple(known_at).size >= count + named):
            given, known, fine = words_at(behind(keywords)), words_at(behind(known_at)), Flag()
            with T.serial(int64(0), named) as place:
                fine.require(given[place] == known[count + place])
            with when(fine.on):
                T.buffer_store(result, count + named, [int64(0)])
