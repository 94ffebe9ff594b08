"""Lets plain functions call CPython's C functions. When run as Python, `extern` keeps an error pending, as C does."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable
from typing import Any

from ..plain import is_emitting, leave, on_stack, plain
from ..plain.memory import CTYPES
from ..tir import int64, let
from ..tvm_modules import T, tvm_ffi

NULL = 0
# What these functions return after an error. All others return NULL.
ERROR_RESULTS = {"PyLong_AsSsize_t": -1, "PyNumber_AsSsize_t": -1, "PyFloat_AsDouble": -1.0, "PyObject_GetBuffer": -1}
_pending_error: list[BaseException] = []  # the pending error, if the code runs as Python


def extern(name: str, *arguments, returns: str = "int64") -> Any:
    """Call a C function with integers (`PyFloat_FromDouble` with a float64). `returns` is the type of its result."""
    if is_emitting():
        result = T.call_extern(returns, name, *map(int64, arguments))
        return let(T.Cast("int64", result) if returns == "int32" else result)
    function = _ctypes_function(name, returns, len(arguments))
    try:
        return function(*arguments)
    except Exception as error:
        _pending_error[:] = [error]
        return ERROR_RESULTS.get(name, NULL)


@functools.cache
def _ctypes_function(name: str, returns: str, argument_count: int) -> Callable:
    if name in REPLACEMENTS:
        return REPLACEMENTS[name]
    kinds = [ctypes.c_double if name == "PyFloat_FromDouble" else ctypes.c_int64] * argument_count
    return ctypes.PYFUNCTYPE(CTYPES[returns], *kinds)((name, ctypes.pythonapi))


def _call_tvm(function: int, arguments: int, argument_count: int, result: int) -> int:
    handles = map(ctypes.c_void_p, (function, arguments))
    return tvm_ffi.LIB.TVMFFIFunctionCall(*handles, ctypes.c_int32(argument_count), ctypes.c_void_p(result))


REPLACEMENTS: dict[str, Callable] = {
    "TVMFFIFunctionCall": _call_tvm,
    "PyEval_SaveThread": lambda: NULL,  # nothing to do, because ctypes takes care of the GIL
    "PyEval_RestoreThread": lambda state: NULL,
    "PyErr_Occurred": lambda: len(_pending_error),
    "PyErr_Clear": _pending_error.clear,
}
"""What to call for a C function when the code runs as Python. `c_function` adds the recorder's own functions."""


@plain
def need(condition) -> None:
    """Unless a condition holds, leave the entry without a result, so that Python does the work."""
    if not condition:
        leave()


def fail(*owned) -> None:
    """Leave the entry because a C function has set an error. Release the references in `owned`."""
    for reference in owned:
        extern("Py_DecRef", reference)
    if not is_emitting():
        raise _pending_error.pop()
    leave(NULL)


@plain
def call_or_fail(name: str, *arguments, owned=()):
    """Call a C function that returns an address. If it is NULL, release the references in `owned` and `fail`."""
    address = extern(name, *arguments)
    if address == NULL:
        if name.startswith("PyMem_"):  # the allocators of CPython set no error
            extern("PyErr_NoMemory")
        fail(*owned)
    return address


def new_reference(address: Any) -> Any:
    extern("Py_IncRef", address)
    return address


@plain
def call_python(function, *objects):
    """Call a Python function. Return its result, or NULL if it has raised an error."""
    addresses = on_stack(len(objects))
    for k, x in enumerate(objects):
        addresses[k] = x
    return extern("PyObject_Vectorcall", function, addresses.address, len(objects), NULL)
