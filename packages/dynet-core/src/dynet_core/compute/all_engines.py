"""All engines, of the graphs of all threads, and memory that is kept for them."""

from __future__ import annotations

import weakref
from typing import Any

RENEWED_BESIDE = (
    "while this graph was computed, a signal handler or a finalizer called renew_cg or cg_revert; "
    "the expressions of the old graph can no longer be used"
)
_engines: list[weakref.ref[Any]] = []


def note_engine(engine: Any) -> None:
    _engines[:] = [reference for reference in _engines if reference() is not None]
    _engines.append(weakref.ref(engine))


def keep_for_graphs(memory, engines=_engines) -> None:
    """Keep `memory`, of a deleted parameter, until every graph that may still use it has been renewed."""
    for reference in tuple(engines):
        engine = reference()
        if engine is not None and engine.recorded.length:
            engine.kept.append(memory)
            engine.large = True
            engine.recorded.mark_unusual()
