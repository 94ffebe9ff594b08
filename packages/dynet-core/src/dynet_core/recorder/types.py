"""Make extension types of CPython at run time, with code of the compiled recorder in their slots.

A slot has the function that CPython calls for an operation, such as `x + y`, on objects of the type.
"""

from __future__ import annotations

import ctypes
import itertools
from ctypes import c_int64, c_void_p
from typing import Any

from dynet_kernels.layout import Structure
from dynet_kernels.recorder import words
from dynet_kernels.recorder.words import ANY_GRAPH

from .shared import ADDRESSES, SHARED, api, immortal, immortal_dim, native

_become = native("become", 4)

# Slots, types of members and flags of types. They belong to CPython's stable ABI, so they do not change with its
# version.
TP_CALL, TP_DEALLOC, TP_DESCR_GET, TP_NEW, TP_TRAVERSE, TP_MEMBERS, TP_FREE = 50, 52, 54, 65, 71, 72, 74
MP_SUBSCRIPT, NB_ADD, NB_MULTIPLY, NB_NEGATIVE, NB_SUBTRACT, NB_TRUE_DIVIDE = 5, 7, 29, 30, 36, 37
OBJECT, LONG_LONG, SSIZE, READ_ONLY = 16, 17, 19, 1
NO_INSTANCES, BASE_TYPE, HAS_VECTORCALL, HAS_GC = 1 << 7, 1 << 10, 1 << 11, 1 << 14
METHOD_DESCRIPTOR, DEFAULT = 1 << 17, 1 << 18
NOTHING = 0  # no docstring, or the end of a list


def _stored(*numbers: int) -> int:
    """Store 64-bit words forever, and return their address. An int in a structure of CPython fills a word here."""
    return ctypes.addressof(immortal((c_int64 * len(numbers))(*numbers)))


def _text(text: str) -> int:
    return ctypes.addressof(immortal(ctypes.create_string_buffer(text.encode())))


def _in_c(name: str) -> int:
    return ctypes.cast(getattr(api, name), c_void_p).value or 0


def _make_type(
    name: str, names: Structure, members: dict[str, tuple[str, int]], slots: dict[int, str], flags: int, base: type
) -> Any:
    """Make an extension type whose objects consist of 64-bit words with these `names`.

    `members` are the read-only attributes: name -> (name of the word, a constant such as OBJECT, which says how CPython
    converts the word). `slots` has the function for each slot, of the compiled recorder or of the C API. `flags` are
    those besides DEFAULT.
    """
    listed: list[int] = []
    for member, (word, kind) in members.items():
        listed += _text(member), kind, 8 * names[word], READ_ONLY, NOTHING
    functions = [(slot, ADDRESSES.get(called) or _in_c(called)) for slot, called in slots.items()]
    pairs = *itertools.chain(*functions), TP_MEMBERS, _stored(*listed, *[NOTHING] * 5), NOTHING, NOTHING
    specification = _stored(_text(name), 8 * len(names), DEFAULT | flags, _stored(*pairs))
    return immortal(api.PyType_FromSpecWithBases(specification, (base,)))


FunctionType = _make_type(
    "dynet_core.recorder.function",
    words.FUNCTION,
    {
        "__vectorcalloffset__": ("vectorcall", SSIZE),
        "__weaklistoffset__": ("weak", SSIZE),
        "__name__": ("name", OBJECT),
        "__qualname__": ("qualname", OBJECT),
    },
    {TP_CALL: "PyVectorcall_Call", TP_DESCR_GET: "bind"},
    NO_INSTANCES | HAS_VECTORCALL | METHOD_DESCRIPTOR,
    object,
)


def expression_type(operations: type) -> Any:
    made = _make_type(
        "dynet_core.graph.expression.Expression",
        words.EXPRESSION,
        {"at": ("at", LONG_LONG), "version": ("version", LONG_LONG), "type": ("dim", OBJECT)},
        {
            TP_DEALLOC: "free",
            TP_NEW: "new",
            # This function does nothing. Without it, the type would inherit its base class's function, and the garbage
            # collector would track all expressions.
            TP_TRAVERSE: "visit_nothing",
            TP_FREE: "PyObject_Free",
            NB_ADD: "add",
            NB_SUBTRACT: "subtract",
            NB_MULTIPLY: "multiply",
            NB_TRUE_DIVIDE: "true_divide",
            NB_NEGATIVE: "negative",
            MP_SUBSCRIPT: "subscript",
        },
        BASE_TYPE,
        operations,
    )
    if made.__flags__ & HAS_GC:
        raise ImportError("dynet: expressions would be collected as garbage")
    SHARED["expression"] = id(made)
    return made


def become(x, at: int, dim) -> None:
    """Make `x`, a new object of a class of parameters, an expression that every graph may use.

    `at` is -1 minus its row in PARAMETER_ROWS.
    """
    # Not by ctypes, which an auditing program would hear: files that are loaded make parameters.
    _become(id(x), at, ANY_GRAPH, id(immortal_dim(dim)))
