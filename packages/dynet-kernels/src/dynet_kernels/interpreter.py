"""Refuses subinterpreters, in which numpy and TVM do not work. It runs before the package imports either."""

from __future__ import annotations

import ctypes


def check_interpreter() -> None:
    api = getattr(ctypes, "pythonapi", None)
    if api is None or not hasattr(api, "PyInterpreterState_GetID"):  # not CPython, so there is nothing to check
        return
    api.PyInterpreterState_Get.restype = ctypes.c_void_p
    api.PyInterpreterState_GetID.argtypes = [ctypes.c_void_p]
    api.PyInterpreterState_GetID.restype = ctypes.c_int64
    if api.PyInterpreterState_GetID(api.PyInterpreterState_Get()) != 0:
        raise ImportError("dynet works only in the main interpreter of a process, like numpy and TVM")
