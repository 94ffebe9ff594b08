"""Which interpreter of the process this is. Asked before anything is imported that works in the main one alone."""

from __future__ import annotations

import ctypes


def check_interpreter() -> None:
    """Refuse a sub-interpreter.

    Raises:
        ImportError: this is none that the process began with.
    """
    api = getattr(ctypes, "pythonapi", None)
    if api is None or not hasattr(api, "PyInterpreterState_GetID"):  # not CPython
        return
    api.PyInterpreterState_Get.restype = ctypes.c_void_p
    api.PyInterpreterState_GetID.argtypes = [ctypes.c_void_p]
    api.PyInterpreterState_GetID.restype = ctypes.c_int64
    if api.PyInterpreterState_GetID(api.PyInterpreterState_Get()) != 0:
        raise ImportError("dynet works in the main interpreter of a process only: numpy and TVM do")
