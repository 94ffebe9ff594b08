"""Make extension types of CPython at run time. Their slots, such as for `x + y`, hold the compiled recorder's code."""

from __future__ import annotations

import ctypes
from ctypes import c_int64, c_void_p
from typing import Any

from dynet_kernels.layout import Structure
from dynet_kernels.recorder import words
from dynet_kernels.recorder.words import ANY_GRAPH

from .shared import ADDRESSES, SHARED, api, immortal, immortal_dim, native

_become = native("become", 4)

# Function -> number of its slot. The functions are the compiled recorder's or the C API's. The numbers of slots, member
# types and type flags belong to CPython's stable ABI, so they do not change between versions.
FUNCTION_SLOTS = {"PyVectorcall_Call": 50, "bind": 54}  # tp_call, tp_descr_get
EXPRESSION_SLOTS = {
    "free": 52, "new": 65, "PyObject_Free": 74,  # tp_dealloc, tp_new, tp_free
    # tp_traverse: otherwise the type would inherit its base class's, and the garbage collector would track expressions.
    "visit_nothing": 71,
    "subscript": 5, "add": 7, "multiply": 29, "negative": 30, "subtract": 36, "true_divide": 37,
}  # fmt: skip
TP_MEMBERS = 72
OBJECT, LONG_LONG, SSIZE, READ_ONLY = 16, 17, 19, 1
NO_INSTANCES, BASE_TYPE, HAS_VECTORCALL, HAS_GC = 1 << 7, 1 << 10, 1 << 11, 1 << 14
METHOD_DESCRIPTOR, DEFAULT = 1 << 17, 1 << 18
NOTHING = 0  # no docstring, or the end of a list


def _stored(*integers: int) -> int:
    """Store 64-bit words forever, and return their address. A C int in a structure of CPython takes a whole word."""
    return ctypes.addressof(immortal((c_int64 * len(integers))(*integers)))


def _text(text: str) -> int:
    return ctypes.addressof(immortal(ctypes.create_string_buffer(text.encode())))


def _make_type(
    name: str, names: Structure, members: dict[str, tuple[str, int]], slots: dict[str, int], flags: int, base: type
) -> Any:
    """Make an extension type whose objects consist of 64-bit words with these `names`.

    `members` maps read-only attributes to words and types such as OBJECT. `slots` maps functions to the numbers of
    their slots. `flags` is added to DEFAULT.
    """
    member_words: list[int] = []
    for member, (word, kind) in members.items():
        member_words += _text(member), kind, 8 * names[word], READ_ONLY, NOTHING
    slot_words: list[Any] = [TP_MEMBERS, _stored(*member_words, *[NOTHING] * 5)]
    for function, slot in slots.items():
        slot_words += slot, ADDRESSES.get(function) or ctypes.cast(getattr(api, function), c_void_p).value
    specification = _stored(_text(name), 8 * len(names), DEFAULT | flags, _stored(*slot_words, NOTHING, NOTHING))
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
    FUNCTION_SLOTS,
    NO_INSTANCES | HAS_VECTORCALL | METHOD_DESCRIPTOR,
    object,
)


def expression_type(operations: type) -> Any:
    expression = _make_type(
        "dynet_core.graph.expression.Expression",
        words.EXPRESSION,
        {"at": ("at", LONG_LONG), "version": ("version", LONG_LONG), "type": ("dim", OBJECT)},
        EXPRESSION_SLOTS,
        BASE_TYPE,
        operations,
    )
    if expression.__flags__ & HAS_GC:
        raise ImportError("dynet: expressions would be collected as garbage")
    SHARED["expression"] = id(expression)
    return expression


def become(x, at: int, dim) -> None:
    """Turn `x`, a new parameter, into an expression for every graph. `at` is -1 minus its row in PARAMETER_ROWS."""
    # `from_address` of ctypes would raise audit events whenever a file with parameters is loaded.
    _become(id(x), at, ANY_GRAPH, id(immortal_dim(dim)))
