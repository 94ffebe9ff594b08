"""Counts, names and values as text, for messages and `repr`."""

from __future__ import annotations

import sys
from collections.abc import Iterable

MAX_NAMES = 3  # `few` returns at most this many names
HUGE_INT = 10**40  # larger than any index, size or seed; messages show no much larger int: Python may not print it
MAX_CHARACTERS = 80  # `printable` returns at most this many characters


def counted(count: int, what: str) -> str:
    """Return a count and the noun `what` as text, such as "1 node" or "2,000 nodes" for "node"."""
    return f"{count:,} {what}" + "s" * (count != 1)


def few(names: Iterable[str]) -> str:
    """Return the first MAX_NAMES names as text, with "..." for the rest; "nothing" if there are none."""
    names = list(names)
    return ", ".join([*names[:MAX_NAMES], *["..."] * (len(names) > MAX_NAMES)]) or "nothing"


def coroutine_note() -> str:
    """Return the end of the error message for a stale expression if an asyncio coroutine is running, else ""."""
    asyncio = sys.modules.get("asyncio")
    if asyncio is None or asyncio._get_running_loop() is None:
        return ""
    return ". Coroutines share their thread's graph: build and read between two awaits, or in a separate thread"


def shown(value: object, limit: int = 60) -> str:
    """Return the first `limit` characters of `repr(value)`; a description if it is a longer int or nested deeply."""
    if type(value) is int and abs(value) >= 10**limit:
        return f"of {value.bit_length():,} bits"
    try:
        return f"{value!r:.{limit}}"
    except RecursionError:
        return "that is nested too deeply"


def printable(name: str) -> str:
    """Return a name as printable text on one line: special characters are escaped, a long name is cut in the middle."""
    escaped = "".join([c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in name])
    half = MAX_CHARACTERS // 2 - 2  # leaves room for "..."
    return escaped if len(escaped) <= MAX_CHARACTERS else f"{escaped[:half]}...{escaped[-half:]}"
