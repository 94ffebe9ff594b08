"""Locks that are free in a forked child.

A child has only the thread that forked it. If another thread of the parent held a lock at that moment, nobody in the
child could release it.
"""

from __future__ import annotations

import os
import threading
import weakref

_made: weakref.WeakSet[threading.RLock] = weakref.WeakSet()  # type: ignore[type-arg]  # RLock is a class only to type checkers


def new_lock() -> threading.RLock:
    """Return a lock that forked children can take at once.

    It is reentrant: while a thread holds it, the garbage collector may run a finalizer in the same thread, and the
    finalizer may take it again.
    """
    lock = threading.RLock()
    _made.add(lock)
    return lock


def _free_all() -> None:
    for lock in list(_made):
        lock._at_fork_reinit()  # type: ignore[attr-defined]  # what Python's own modules call for their locks


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_free_all)
