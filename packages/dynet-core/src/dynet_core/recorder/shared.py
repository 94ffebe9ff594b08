"""The compiled recorder's functions, for calls from Python, and the objects that it knows, which are never freed."""

from __future__ import annotations

import ctypes
import functools
import os
from collections.abc import Callable
from ctypes import c_int, c_int64, c_ssize_t, c_void_p, py_object
from typing import Any

import numpy as np

from dynet_kernels.recorder import compiled

from .keywords import refuse_to_make
from .named_words import SHARED

_chain_setting = os.environ.get("DYNET_EXPRESSION_CHAIN") or str(1 << 14)
if not _chain_setting.isdecimal():
    raise ImportError(f"DYNET_EXPRESSION_CHAIN is {_chain_setting!r}: it must be a whole number, or be left unset")
MOST_FREE_EXPRESSIONS = int(_chain_setting)
"""The memory of at most this many deleted expressions is kept for new ones. With 0, memory is freed immediately, so
that memory checkers find uses of deleted expressions."""
_immortal_objects: list = []  # objects to keep alive, because compiled code or CPython knows their addresses


def immortal(x: Any) -> Any:
    """Keep an object alive until the process ends, even while Python shuts down. Return it."""
    _immortal_objects.append(x)
    ctypes.pythonapi.Py_IncRef(py_object(x))
    return x


pythonapi = ctypes.pythonapi  # CPython's C functions; the loop below sets the types of results and arguments
for _name, _result, *_arguments in (
    ("PyType_FromSpecWithBases", py_object, c_void_p, py_object),
    ("PyType_GenericAlloc", py_object, py_object, c_ssize_t),
    ("PyThread_tss_alloc", c_void_p),
    ("PyThread_tss_create", c_int, c_void_p),
    ("PyThread_tss_get", c_void_p, c_void_p),
    ("PyThread_tss_set", c_int, c_void_p, c_void_p),
    ("PyMem_RawCalloc", c_void_p, c_ssize_t, c_ssize_t),
    ("Py_DecRef", None, c_void_p),
):
    getattr(pythonapi, _name).restype, getattr(pythonapi, _name).argtypes = _result, _arguments

immortal(SHARED)
# Name of a compiled function -> its address, and -> how many words each key in the tables of such functions has.
ADDRESSES, KEY_SIZES = compiled.load_functions(SHARED.address)


def native_function(name: str, argument_count: int) -> Callable[..., int]:
    """Return a Python function that calls the compiled function `name` with ints. The call keeps the GIL."""
    function = immortal(ctypes.PYFUNCTYPE(c_int64, *[c_int64] * argument_count)(ADDRESSES[name]))

    def call(*arguments: int) -> int:
        try:
            return function(*arguments)
        except ctypes.ArgumentError:  # all arguments are ints, so the only possible cause is a lack of memory
            raise MemoryError from None

    return call


def share_objects(**objects: Any) -> None:
    """Store the addresses of objects that compiled code treats specially in SHARED, and keep the objects alive.

    The name of an argument is a word of SHARED. `unfinished` is the class of the objects that `Expression()` makes;
    `parameters`, `constant` and `lookup` are the classes of parameters. `negative` is called for `-x`, where x is an
    expression. For `x[key]`, `item` is called with an int, `stretch` with the ends of a slice such as x[1:3], and
    `subscript(x, key)` for all other keys. `negative`, `item` and `stretch` are recording functions.
    """
    for word, special_object in objects.items():
        SHARED[word] = id(immortal(special_object))


share_objects(
    list=list, tuple=tuple, float=float, int=int, slice=slice, none=None, true=True, false=False,
    refuse_new=refuse_to_make, int64=np.int64, int32=np.int32, float64=np.float64, float32=np.float32, array=np.ndarray,
)  # fmt: skip
SHARED["free_most"] = MOST_FREE_EXPRESSIONS
THREAD_GRAPH_KEY = pythonapi.PyThread_tss_alloc()
if not THREAD_GRAPH_KEY or pythonapi.PyThread_tss_create(THREAD_GRAPH_KEY):
    raise ImportError("dynet: there is no key left under which a thread could keep its graph")
SHARED["thread_graph"] = THREAD_GRAPH_KEY
# Keeps a Dim alive until the process ends, because expressions store only the address. Cached: runs once per Dim.
immortal_dim = functools.cache(immortal)
