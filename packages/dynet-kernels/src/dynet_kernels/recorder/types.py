"""What CPython asks of the types of expressions and of recording functions."""

from __future__ import annotations

from tvm.tirx.script import builder as T

from .. import tir
from ..tir import int64, when
from . import words
from .objects import NULL, Outcome, extern
from .recording import give_back
from .structures import Expression, Object, Shared, words_at


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
    """Set the fields of an expression, to make it a parameter. `version` is ANY_GRAPH."""
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
