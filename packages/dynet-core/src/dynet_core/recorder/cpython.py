"""Check that this Python's objects have the memory layout that the compiled recorder expects."""

from __future__ import annotations

import ctypes
import sys
import sysconfig

from dynet_kernels.recorder.words import LIST, OBJECT, SLICE, TUPLE


def problem() -> str:
    """Return why the compiled recorder cannot work with this Python; "" if it can."""
    if sys.implementation.name != "cpython":
        return f"this is {sys.implementation.name}, not CPython"
    if sys.maxsize < 1 << 32 or ctypes.sizeof(ctypes.c_void_p) != 8 or sys.byteorder != "little":
        return "this Python does not have little-endian words of 64 bits"
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        return "this is a free-threaded build of Python"
    if hasattr(sys, "gettotalrefcount") or sysconfig.get_config_var("Py_TRACE_REFS"):
        return "this is a debug build of Python"
    differing = next((name for name, is_same in _comparisons() if not is_same), "")
    return f"this Python stores {differing} differently" if differing else ""


def word(address: int, index: int = 0) -> int:
    """Read word `index` of the 64-bit words at an address."""
    return ctypes.c_int64.from_address(address + 8 * index).value


def _comparisons():
    """Yield the name of each check, such as "lists", and whether the memory is as expected."""
    probe = object()
    samples = [probe, 1.5, 7, [1], (1,), slice(1, 2), None]
    yield "types", all(word(id(x), OBJECT["type"]) == id(type(x)) for x in samples)
    count = word(id(probe), OBJECT["references"])
    references = [probe, probe]
    yield "references", count > 0 and word(id(probe)) == count + len(references) and sys.getrefcount(probe) >= count + 2
    items = [object() for _ in range(5)]
    addresses, stored_items = [*map(id, items)], word(id(items), LIST["items"])
    yield "lists", word(id(items), LIST["size"]) == 5 and [word(stored_items, k) for k in range(5)] == addresses
    item_tuple, first = tuple(items), len(TUPLE)
    has_same_size = word(id(item_tuple), TUPLE["size"]) == len(item_tuple)
    yield "tuples", has_same_size and [word(id(item_tuple), first + k) for k in range(5)] == addresses
    section = slice(*items[:3])
    yield "slices", [word(id(section), SLICE[name]) for name in ("first", "stop", "step")] == addresses[:3]
