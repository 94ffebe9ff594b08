"""Gives back the memory of signatures that were made for new sizes and are not used any more.

They are forgotten all at once; those still in use are soon made again. Their memory is reused once each graph that may
contain them has been renewed.
"""

from __future__ import annotations

import threading
import weakref

from ..compute.parameter_rows import PARAMETER_ROWS
from ..signature.by_sizes import RECENT, forget_recent, reuse
from .graph import GRAPHS, Graph

MOST_RECENT = 1 << 13  # when there are this many new signatures, they are forgotten
_forgotten: list[tuple[set[int], list[tuple[weakref.ref[Graph], int]]]] = []
"""Indices in TABLE of signatures, with the graphs that may contain these: (graph, its version at that time)."""
_lock = threading.Lock()


def forget_unused() -> None:
    """Forget recent signatures if there are many."""
    # A signal handler may call this while this thread holds the lock.
    if len(RECENT) >= MOST_RECENT and _lock.acquire(blocking=False):
        try:
            _forget()
        finally:
            _lock.release()


def _forget() -> None:
    for _ in range(len(_forgotten)):
        indices, graphs = entry = _forgotten.pop(0)
        if any((graph := reference()) and graph._had_version(version) for reference, version in graphs):
            _forgotten.append(entry)
        else:
            PARAMETER_ROWS.note_change()  # engines then discard their plans, which may refer to these signatures
            reuse(indices)
    indices = forget_recent()
    _forgotten.append((indices, [(reference, graph.records.version) for reference in GRAPHS if (graph := reference())]))
