"""Make extension types of CPython at run time, such as the type of expressions.

Usually a module written in C defines such a type: which fields its objects have, and which functions CPython calls for
operations such as `x + y` (the type's slots). Here the functions are code of the compiled recorder.
"""

from __future__ import annotations

import ctypes
from ctypes import c_char_p, c_int, c_ssize_t, c_uint, c_void_p
from typing import Any

from dynet_kernels.layout import Structure
from dynet_kernels.recorder import words
from dynet_kernels.recorder.words import ANY_GRAPH

from .shared import ADDRESSES, SHARED, api, immortal, immortal_dim, native

_become = native("become", 4)

# The numbers of slots, the types of members and the flags of types, as in CPython's headers. They belong to its stable
# ABI, so they do not change with its version.
TP_CALL, TP_DEALLOC, TP_DESCR_GET, TP_NEW, TP_TRAVERSE, TP_MEMBERS, TP_FREE = 50, 52, 54, 65, 71, 72, 74
MP_SUBSCRIPT, NB_ADD, NB_MULTIPLY, NB_NEGATIVE, NB_SUBTRACT, NB_TRUE_DIVIDE = 5, 7, 29, 30, 36, 37
OBJECT, LONG_LONG, SSIZE, READ_ONLY = 16, 17, 19, 1
NO_INSTANCES, BASE_TYPE, HAS_VECTORCALL, HAS_GC = 1 << 7, 1 << 10, 1 << 11, 1 << 14
METHOD_DESCRIPTOR, DEFAULT = 1 << 17, 1 << 18


class _Slot(ctypes.Structure):
    _fields_ = [("slot", c_int), ("function", c_void_p)]


class _Spec(ctypes.Structure):
    _fields_ = [("name", c_char_p), ("size", c_int), ("item", c_int), ("flags", c_uint), ("slots", c_void_p)]


class _Member(ctypes.Structure):
    _fields_ = [("name", c_char_p), ("type", c_int), ("offset", c_ssize_t), ("flags", c_int), ("doc", c_char_p)]


def make_type(
    name: str,
    names: Structure,
    members: dict[str, tuple[str, int]],
    slots: dict[int, int],
    flags: int,
    bases: tuple[type, ...],
) -> Any:
    """Make an extension type whose objects consist of 64-bit words, and return it.

    Args:
        name: the full name of the type.
        names: the names of the words.
        members: the read-only attributes: name -> (name of the word that it returns, type of the member). The type is a
            constant such as OBJECT; it says how CPython converts the word to an object.
        slots: number of a slot -> address of the C function that CPython calls for it.
        flags: the flags of the type, besides DEFAULT.
        bases: its base classes.
    """
    listed = [
        _Member(member.encode(), kind, 8 * names[word], READ_ONLY, None) for member, (word, kind) in members.items()
    ]
    table = immortal((_Member * (len(listed) + 1))(*listed))
    pairs = [*slots.items(), (TP_MEMBERS, ctypes.addressof(table)), (0, 0)]
    slot_table = immortal((_Slot * len(pairs))(*[_Slot(*pair) for pair in pairs]))
    spec = immortal(_Spec(name.encode(), 8 * len(names), 0, DEFAULT | flags, ctypes.addressof(slot_table)))
    return immortal(api.PyType_FromSpecWithBases(ctypes.addressof(spec), bases))


def expression_type(operations: type) -> Any:
    """Make the type `Expression`, with the methods of the class `operations`, and return it."""
    made = make_type(
        "dynet_core.expression.Expression",
        words.EXPRESSION,
        {"at": ("at", LONG_LONG), "version": ("version", LONG_LONG), "type": ("dim", OBJECT)},
        {
            TP_DEALLOC: ADDRESSES["free"],
            TP_NEW: ADDRESSES["new"],
            # This function does nothing. Without it, the type would inherit its base class's function for this slot,
            # and the garbage collector would track all expressions.
            TP_TRAVERSE: ADDRESSES["visit_nothing"],
            TP_FREE: ctypes.cast(api.PyObject_Free, c_void_p).value or 0,
            NB_ADD: ADDRESSES["add"],
            NB_SUBTRACT: ADDRESSES["subtract"],
            NB_MULTIPLY: ADDRESSES["multiply"],
            NB_TRUE_DIVIDE: ADDRESSES["true_divide"],
            NB_NEGATIVE: ADDRESSES["negative"],
            MP_SUBSCRIPT: ADDRESSES["subscript"],
        },
        BASE_TYPE,
        (operations,),
    )
    if made.__flags__ & HAS_GC:
        raise ImportError("dynet: expressions would be collected as garbage")
    SHARED["expression"] = id(made)
    return made


def know_unfinished(unfinished: type) -> None:
    """Tell compiled code the subclass of `Expression` whose objects the call `Expression()` makes."""
    SHARED["unfinished"] = id(immortal(unfinished))


def know_parameters(parameters: type, constant: type, lookup: type) -> None:
    """Tell compiled code which Python classes are parameters. These classes are never freed from then on."""
    SHARED["parameters"], SHARED["constant"], SHARED["lookup"] = map(id, map(immortal, (parameters, constant, lookup)))


def become(x, at: int, dim) -> None:
    """Make `x`, a new object of a class of parameters, an expression that every graph may use.

    Args:
        at: the number by which records refer to it: -1 minus its row in PARAMETER_ROWS, the table of all parameters.
        dim: its Dim (shape).
    """
    # Not by ctypes, of which an auditing program would hear: files that are loaded make parameters.
    _become(id(x), at, ANY_GRAPH, id(immortal_dim(dim)))
