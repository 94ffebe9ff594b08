"""Summaries of parameters: one line for `repr`, and a table of a collection as text or HTML."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

from ..messages.wording import counted, printable
from .base import Trained

BYTES = 4  # bytes that a number takes
HEAD = ("name", "kind", "shape", "numbers", "trained", "bytes")
RIGHT = (3, 5)  # the columns that are aligned to the right: "numbers" and "bytes"
SHOWN = 60  # the most parameters that a table shows; if there are more, it shows the first and the last 30


def holdings(parameters: Iterable[Trained]) -> str:
    """Count the parameters, such as "2 parameters, 1 lookup parameter, 36 numbers"."""
    everything = list(parameters)
    tables = sum(p._lookup for p in everything)
    frozen = sum(not p.is_updated() for p in everything)
    parts = [counted(len(everything) - tables, "parameter")]
    if tables:
        parts.append(counted(tables, "lookup parameter"))
    parts.append(counted(_numbers(everything), "number"))
    if frozen:
        parts.append(f"{frozen:,} frozen")
    return ", ".join(parts)


def _numbers(parameters: Iterable[Trained]) -> int:
    return sum(p.type.total for p in parameters)


def _rows(everything: Sequence[Trained]) -> list[tuple[str, ...]]:
    """Return the cells of a table of parameters, row by row: the titles, the parameters, the totals."""
    hidden = everything[SHOWN // 2 : -(SHOWN // 2)] if len(everything) > SHOWN else []
    rows = [
        (
            printable(p.name()),
            "lookup" if p._lookup else "",
            repr(p.shape()),
            f"{p.type.total:,}",
            "yes" if p.is_updated() else "frozen",
            f"{BYTES * p.type.total:,}",
        )
        for p in ([*everything[: SHOWN // 2], *everything[-(SHOWN // 2) :]] if hidden else everything)
    ]
    if hidden:
        numbers = _numbers(hidden)
        more = f"... {len(hidden):,} more ...", "", "", f"{numbers:,}", "", f"{BYTES * numbers:,}"
        rows.insert(SHOWN // 2, more)
    total, frozen = _numbers(everything), sum(not p.is_updated() for p in everything)
    of_frozen = f"{frozen:,} frozen" if frozen else ""
    return [HEAD, *rows, (f"{len(everything):,} in all", "", "", f"{total:,}", of_frozen, f"{BYTES * total:,}")]


def table(parameters: Sequence[Trained]) -> str:
    """Return a table of parameters as text. Without lookup parameters, it has no column "kind"."""
    rows = _rows(parameters)
    kept = [place for place in range(len(HEAD)) if place != 1 or any(row[1] for row in rows[1:])]
    widths = {place: max(len(row[place]) for row in rows) for place in kept}

    def line(row: Sequence[str]) -> str:
        cells = [
            row[column].rjust(widths[column]) if column in RIGHT else row[column].ljust(widths[column])
            for column in kept
        ]
        return "  ".join(cells).rstrip()

    lines = [line(row) for row in rows]
    rule = "-" * max(map(len, lines))
    return "\n".join([lines[0], rule, *lines[1:-1], rule, lines[-1]])


def as_html(parameters: Sequence[Trained]) -> str:
    """Return the same table as HTML for notebooks, always with the column "kind"."""

    def line(row: Sequence[str], cell: str) -> str:
        aligned = ["right" if column in RIGHT else "left" for column in range(len(row))]
        cells = [f'<{cell} style="text-align: {side}">{html.escape(x)}</{cell}>' for x, side in zip(row, aligned)]
        return f"<tr>{''.join(cells)}</tr>"

    head, *rows, totals = _rows(parameters)
    body = "".join(line(row, "td") for row in rows)
    return f"<table><thead>{line(head, 'th')}</thead><tbody>{body}</tbody><tfoot>{line(totals, 'th')}</tfoot></table>"
