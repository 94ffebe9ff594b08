"""How objects are called where they say what they are."""

from __future__ import annotations

LONGEST = 80  # of a name


def counted(count: int, what: str) -> str:
    """So many of something, in words."""
    return f"{count:,} {what}" + "s" * (count != 1)


def printable(name: str) -> str:
    """A name on one line: what no terminal shows as Python writes it, and without the middle of a long one."""
    shown = "".join([c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in name])
    half = LONGEST // 2 - 2
    return shown if len(shown) <= LONGEST else f"{shown[:half]}...{shown[-half:]}"
