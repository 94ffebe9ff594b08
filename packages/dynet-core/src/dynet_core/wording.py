"""Functions that write counts and names as text, for messages and `repr`."""

from __future__ import annotations

from collections.abc import Iterable

FEW = 3  # the most names that `few` returns
LONGEST = 80  # the most characters of a name that `printable` returns


def counted(count: int, what: str) -> str:
    """Return a count and the noun `what` as text, such as "1 node" or "2,000 nodes" for "node"."""
    return f"{count:,} {what}" + "s" * (count != 1)


def few(names: Iterable[str]) -> str:
    """Return the first FEW names as text, with "..." for the others; "nothing" if there are none."""
    names = list(names)
    return ", ".join([*names[:FEW], *["..."] * (len(names) > FEW)]) or "nothing"


def printable(name: str) -> str:
    """Return a name as printable text on one line: special characters are escaped, a long name is cut in the middle."""
    shown = "".join([c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in name])
    half = LONGEST // 2 - 2
    return shown if len(shown) <= LONGEST else f"{shown[:half]}...{shown[-half:]}"
