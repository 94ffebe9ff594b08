"""Emits C functions for the type slots, such as tp_dealloc, of `Expression` and of recording functions.

CPython calls the function in a type slot for an operation on objects of the type, such as freeing one. An expression is
the Python object for a node of the graph or, in subclasses of `Expression`, for a parameter. A recording function is a
callable object that appends an op to the graph.
"""

from __future__ import annotations

from .. import tir
from ..tir import int64, let, when
from ..tvm_modules import T
from . import words
from .objects import NULL, Outcome, extern
from .recording import give_back
from .structures import Expression, Object, Shared, words_at


def free(shared_at, x_at, out):
    """Emit tp_dealloc of `Expression`, which keeps the object for reuse, or frees it if enough are kept already.

    Objects of subclasses, which are parameters, are always freed.
    """
    shared = Shared(shared_at)
    kept = T.And(Object(x_at).type == shared.expression, shared.free_count < shared.free_most)
    tir.choose(
        kept,
        lambda: give_back(shared, x_at),
        lambda: T.evaluate(T.call_extern("int64", "dynet_free_object", x_at)),
    )
    T.buffer_store(words_at(out), int64(0), [int64(0)])


def new(shared_at, kind, arguments, keywords, out):
    """Emit tp_new of `Expression`, which makes an object of a subclass, or of `Expression` itself without arguments.

    Subclasses are the classes of parameters. The new object stands for no parameter until `become` is called.
    `Expression` without arguments makes an object of its subclass `shared.unfinished`, which never stands for a node:
    operations make those. With arguments, raise an error.
    """
    shared, outcome = Shared(shared_at), Outcome(out)
    with when(T.Or(kind != shared.expression, takes_nothing(arguments, keywords))):
        made_kind = let(T.if_then_else(kind == shared.expression, shared.unfinished, kind))
        made = extern("PyType_GenericAlloc", made_kind, int64(0))
        outcome.give(made)
        with when(made != int64(NULL)):
            Expression(made).version = words.NO_NODE
    outcome.otherwise(shared.refuse_new, out, int64(0), int64(NULL))


def takes_nothing(arguments, keywords):
    """Whether a class was called without arguments: `arguments` is a tuple, `keywords` a dict or NULL."""
    return T.And(keywords == int64(NULL), extern("PyTuple_Size", arguments) == int64(0))


def visit_nothing(shared_at, object_at, visit, given, out):
    """Emit tp_traverse of `Expression`, which does nothing, because an expression owns no references.

    Without this function, the garbage collector would track expressions.
    """
    T.buffer_store(words_at(out), int64(0), [int64(0)])


def become(shared_at, x_at, at, version, dim, out):
    """Emit the C function that makes the expression `x` stand for a parameter, by setting its words.

    Args:
        at: -1 minus the parameter's row in the table of parameters.
        version: `words.ANY_GRAPH`, because a parameter is valid in any graph.
        dim: the address of the parameter's Dim (shape).
    """
    x = Expression(x_at)
    x.at, x.version, x.dim = at, version, dim
    T.buffer_store(words_at(out), int64(0), [int64(0)])


def bind(shared_at, function_at, object_at, kind, out):
    """Emit tp_descr_get of recording functions, which makes a recording function work as a method of a class.

    CPython calls it when the attribute is read. For an instance of the class it returns a bound method, for the class
    itself the recording function.
    """
    shared, outcome = Shared(shared_at), Outcome(out)
    with when(T.Or(object_at == int64(NULL), object_at == shared.none)):
        outcome.give_known(function_at)
    with outcome.undone():
        outcome.give(extern("PyMethod_New", function_at, object_at))
