"""Locks that are freed in a forked child: only the thread that forked exists there, so no other can release them."""

from __future__ import annotations

import os
import threading
import weakref

_locks: weakref.WeakSet[threading.RLock] = weakref.WeakSet()  # type: ignore[type-arg]  # RLock is a class only to type checkers


def new_lock() -> threading.RLock:
    """Return a reentrant lock: a thread that holds the lock may run a finalizer that acquires the same lock."""
    lock = threading.RLock()
    _locks.add(lock)
    return lock


def _free_all() -> None:
    for lock in list(_locks):
        lock._at_fork_reinit()  # type: ignore[attr-defined]  # Python's own modules call this for their locks


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_free_all)
