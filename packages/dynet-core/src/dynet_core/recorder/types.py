"""Make extension types of CPython at run time. Their slots, such as for `x + y`, point to compiled code."""

from __future__ import annotations

import ctypes
from ctypes import c_int64, c_void_p
from typing import Any

from dynet_kernels.layout import Structure
from dynet_kernels.recorder import words
from dynet_kernels.recorder.words import ANY_GRAPH

from .shared import ADDRESSES, SHARED, immortal, immortal_dim, native_function, pythonapi

_make_parameter = native_function("become", 4)

# Function -> number of the slot for it. The functions are the compiled recorder's or the C API's. CPython's stable
# ABI defines the numbers of slots, member types and type flags below, so they are the same in all versions.
FUNCTION_SLOTS = {"PyVectorcall_Call": 50, "free_function": 52, "bind": 54}  # tp_call, tp_dealloc, tp_descr_get
EXPRESSION_SLOTS = {
    "free": 52, "new": 65, "PyObject_Free": 74,  # tp_dealloc, tp_new, tp_free
    # tp_traverse: otherwise the type would inherit its base class's, and the garbage collector would track expressions.
    "visit_nothing": 71,
    "subscript": 5, "add": 7, "multiply": 29, "negative": 30, "subtract": 36, "true_divide": 37,
}  # fmt: skip
TP_MEMBERS = 72  # the number of the slot for the list of members
OBJECT, LONG_LONG, SSIZE, READ_ONLY = 16, 17, 19, 1  # three types of members, and a flag of a member
NO_INSTANCES, BASE_TYPE, HAS_VECTORCALL, HAS_GC = 1 << 7, 1 << 10, 1 << 11, 1 << 14
METHOD_DESCRIPTOR, DEFAULT = 1 << 17, 1 << 18  # these six are flags of types
NOTHING = 0  # no docstring, or the end of a list


def _store(*integers: int) -> int:
    """Store 64-bit words forever, and return their address. C ints in CPython's structures here are padded or 0."""
    return ctypes.addressof(immortal((c_int64 * len(integers))(*integers)))


def _store_text(text: str) -> int:
    return ctypes.addressof(immortal(ctypes.create_string_buffer(text.encode())))


def _make_type(
    name: str, names: Structure, members: dict[str, tuple[str, int]], slots: dict[str, int], flags: int, base: type
) -> Any:
    """Make an extension type whose objects consist of 64-bit words with these `names`.

    `members` maps each read-only attribute to the name of its word, and to its type, such as OBJECT. `slots` maps names
    of functions to the numbers of their slots. `flags`: flags of the type besides DEFAULT.
    """
    member_words: list[int] = []
    for member, (word, kind) in members.items():
        member_words += _store_text(member), kind, 8 * names[word], READ_ONLY, NOTHING
    slot_words: list[Any] = [TP_MEMBERS, _store(*member_words, *[NOTHING] * 5)]  # an empty member ends the list
    for function, slot in slots.items():
        slot_words += slot, ADDRESSES.get(function) or ctypes.cast(getattr(pythonapi, function), c_void_p).value
    specification = _store(_store_text(name), 8 * len(names), DEFAULT | flags, _store(*slot_words, NOTHING, NOTHING))
    return immortal(pythonapi.PyType_FromSpecWithBases(specification, (base,)))


FunctionType = _make_type(
    "dynet_core.recorder.function",
    words.FUNCTION,
    {
        "__vectorcalloffset__": ("vectorcall", SSIZE),
        "__weaklistoffset__": ("weakrefs", SSIZE),
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


def make_parameter(x, at: int, dim) -> None:
    """Turn `x`, a new parameter, into an expression for every graph. `at` is -1 minus its row in PARAMETER_ROWS."""
    # Compiled code writes the words: `from_address` of ctypes would raise audit events whenever parameters are loaded.
    _make_parameter(id(x), at, ANY_GRAPH, id(immortal_dim(dim)))
