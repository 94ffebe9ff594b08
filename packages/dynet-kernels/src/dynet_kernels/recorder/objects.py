"""What compiled functions know of Python: what is asked of objects, how functions are called, what they give."""

from __future__ import annotations

from tvm import tirx
from tvm.tirx.script import builder as T

from ..tir import Counter, int64, let, when
from . import words
from .extension import CFunction
from .structures import Function, List, Object, Shared, Tuple, words_at

COUNT = (1 << 63) - 1  # the bits of vectorcall's `count` that are one; the other says that a place before is free
NULL = 0


def extern(name, *arguments):
    """Call a C function that returns a word: one of CPython's, or one that is compiled with this one."""
    return let(T.call_extern("int64", name, *map(int64, arguments)))


def extern_int(name, *arguments):
    """Call a C function that returns an int, or nothing."""
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


def is_expression(shared, object_at):
    """Whether an object is a node or a parameter. A lookup parameter's use has to be noted, so it is unusual."""
    kind = Object(object_at).type
    return either(kind == shared.expression, kind == shared.parameters, kind == shared.constant)


def fits(expression, version):
    """Whether an expression is a node of the graph of that version, or a parameter."""
    return either(expression.version == version, expression.version == int64(words.ANY_GRAPH))


def is_int(shared, object_at):
    return Object(object_at).type == shared.int


def is_index(shared, object_at):
    """Whether an object is an int, or an int64 or int32 of numpy."""
    kind = Object(object_at).type
    return either(kind == shared.int, kind == shared.int64, kind == shared.int32)


def is_number(shared, object_at):
    """Whether an object is a float or an int, of Python or, with 64 or 32 bits, of numpy."""
    kind = Object(object_at).type
    return either(*[kind == getattr(shared, name) for name in ("float", "int", "float64", "float32", "int64", "int32")])


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
    """The value of an int or of a numpy integer. `fits` is 1 if the value fits into an int64, else 0."""

    def __init__(self, object_at, shared=None):
        value = Counter(int64(0))
        if shared is None:
            value.set(extern("PyLong_AsSsize_t", object_at))
        else:
            with when(is_int(shared, object_at)):
                value.set(extern("PyLong_AsSsize_t", object_at))
            with when(not_(is_int(shared, object_at))):
                value.set(extern("PyNumber_AsSsize_t", object_at, NULL))
        self.value = let(value.get())
        self.fits = Counter(int64(1))
        with when(self.value == int64(-1)):
            with when(extern("PyErr_Occurred") != int64(NULL)):
                T.evaluate(T.call_extern("int32", "PyErr_Clear"))
                self.fits.set(int64(0))


class Outcome:
    """Whether the fast path has done the operation, and its result: an object, or NULL with an exception."""

    def __init__(self, out):
        self.out, self.done = words_at(out), Counter(int64(0))
        T.buffer_store(self.out, int64(NULL), [int64(0)])

    def give(self, object_at):
        T.buffer_store(self.out, int64(object_at), [int64(0)])
        self.done.set(int64(1))

    def give_known(self, object_at):
        """Return an object that has other owners, too."""
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
        self._function, self.arguments, self._words = function, arguments, words_at(arguments)
        self._count, self._given, self._names = Counter(let(T.bitwise_and(count, int64(COUNT)))), count, keywords
        with when(keywords != int64(NULL)):
            self._count.set(extern("dynet_count_in_order", function.address, self._count.get(), keywords))

    def count(self):
        """How many arguments there are; -1 if those by keyword are not in order."""
        return self._count.get()

    def has(self, count):
        return self._count.get() == int64(count)

    def __getitem__(self, place):
        return let(self._words[int64(place)])

    def otherwise(self, outcome):
        """Leave what is undone to the Python function; keywords that are in order are arguments by place."""
        with outcome.undone():
            in_order = let(T.And(self._names != int64(NULL), self._count.get() >= int64(0)))
            count = let(T.if_then_else(in_order, self._count.get(), self._given))
            names = let(T.if_then_else(in_order, int64(NULL), self._names))
            outcome.otherwise(self._function.slow, self.arguments, count, names)


# What CPython calls: f(self, arguments, count, keywords).
CALLED = ("function", "arguments", "count", "keywords")


def taking(*counts):
    """Make a C function from the emitter of its fast path: emit(shared, function, call, outcome).

    The fast path is for calls with one of these numbers of arguments; if none is given, for calls with any number. The
    Python function does what the fast path does not.
    """

    def decorate(emit):
        def emitted(shared_at, function_at, arguments, count, keywords, out):
            shared, function, outcome = Shared(shared_at), Function(function_at), Outcome(out)
            call = Call(function, arguments, count, keywords)
            with when(either(*map(call.has, counts)) if counts else call.count() >= int64(0)):
                emit(shared, function, call, outcome)
            call.otherwise(outcome)

        return CFunction(CALLED, emitted)

    return decorate


def called(operands, record):
    """A function of `operands` operands."""

    @taking(operands)
    def quick(shared, function, call, outcome):
        record(shared, function, *[call[place] for place in range(operands)], outcome)

    return quick


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
