"""C functions for the type slots, such as tp_dealloc, of `Expression` and of recording functions."""

from __future__ import annotations

from . import words
from .c_api import NULL, call_or_fail, call_python, extern, need, new_reference
from .extension import c_function
from .structures import Expression, Function, Shared

HAS_GC = 1 << 14  # the flag of types whose objects the garbage collector tracks (Py_TPFLAGS_HAVE_GC)


@c_function(fallback="dynet_free_slowly")
def free(shared_words: Shared, x_address):
    """tp_dealloc of `Expression`: keep a node's expression for reuse, unless enough are kept. Free all others."""
    need(Expression(x_address).type == shared_words.expression and shared_words.free_count < shared_words.free_most)
    Expression(x_address).at = shared_words.free
    shared_words.fill(free=x_address, free_count=shared_words.free_count + 1)
    return 0


@c_function("dynet_free_slowly")
def free_slowly(shared_words: Shared, x_address):
    """Free an expression or a parameter that is not kept for reuse."""
    kind = Expression(x_address).type  # read first, because the freed object no longer keeps its class alive
    if extern("PyType_GetFlags", kind) & HAS_GC:
        extern("PyObject_GC_Del", x_address)
    else:
        extern("PyObject_Free", x_address)
    extern("Py_DecRef", kind)
    return 0


@c_function()
def free_function(shared_words: Shared, function_address):
    """tp_dealloc of recording functions. Only those of users' functions are ever freed."""
    extern("PyObject_ClearWeakRefs", function_address)
    extern("PyMem_RawFree", Function(function_address).table)
    return extern("dynet_free_slowly", function_address)


@c_function()
def new(shared_words: Shared, type_address, arguments, keywords):
    """tp_new of `Expression`: make an object of a subclass, which stands for no parameter until `become` is called.

    `Expression()` makes an object of the subclass `shared_words.unfinished`, which never stands for a node: only
    operations make expressions of nodes. `Expression` with arguments raises an error.
    """
    if type_address == shared_words.expression and (keywords != NULL or extern("PyTuple_Size", arguments) != 0):
        return call_python(shared_words.refuse_new)
    x_address = call_or_fail(
        "PyType_GenericAlloc", shared_words.unfinished if type_address == shared_words.expression else type_address, 0
    )
    Expression(x_address).version = words.NO_NODE
    return x_address


@c_function()
def visit_nothing(shared_words: Shared, object_address, visit, visit_argument):
    """tp_traverse of `Expression`, which owns no references. An inherited one would let garbage collection track it."""
    return 0


@c_function()
def become(shared_words: Shared, x_address, at, version, dim_address):
    """Make an expression stand for the parameter in row -1 - `at`, whose Dim is at `dim_address`."""
    Expression(x_address).fill(at=at, version=version, dim=dim_address)
    return 0


@c_function()
def bind(shared_words: Shared, function_address, object_address, type_address):
    """tp_descr_get of recording functions: a bound method for an instance, the recording function for the class."""
    if object_address == NULL or object_address == shared_words.none:
        return new_reference(function_address)
    return extern("PyMethod_New", function_address, object_address)
