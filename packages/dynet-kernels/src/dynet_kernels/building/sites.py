"""Folders in which kernels are built. Each is locked by its process, so that others can tell what a dead one left."""

from __future__ import annotations

import os
import secrets
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: without locks, only age says that a folder is abandoned
    fcntl = None

PREFIX = "dynet-building-"
ABANDONED = 3600.0  # seconds after which what is unfinished, and cannot be locked, is taken for abandoned


class Site:
    """A folder of this process in `parent`, made when it is first asked for."""

    def __init__(self, parent: Path):
        self._parent, self._lock = parent, threading.Lock()
        self._folder: Path | None = None
        self._descriptor: int | None = None

    def folder(self) -> Path:
        """Where to build."""
        with self._lock:
            while self._folder is None or not self._folder.exists():
                self._forget()
                self._folder = self._parent / f"{PREFIX}{secrets.token_hex(8)}"
                self._folder.mkdir(mode=0o700)
                with suppress(OSError):  # locked by who is about to prune it: then it is gone soon
                    self._descriptor = _locked(self._folder)
            return self._folder

    def remove(self, for_good: bool = False) -> None:
        """Remove the folder; `for_good`: no thread can make another one from then on."""
        self._lock.acquire()
        for _ in range(100):  # another thread may be writing into it
            if self._folder is None or not self._folder.exists():
                break
            shutil.rmtree(self._folder, ignore_errors=True)
        if not for_good:
            self._forget()
            self._lock.release()

    def _forget(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
        self._folder = self._descriptor = None


@contextmanager
def folder(parent: Path) -> Iterator[Path]:
    """A folder for the length of a `with` block."""
    site = Site(parent)
    try:
        yield site.folder()
    finally:
        site.remove()


def prune(parent: Path) -> list[Path]:
    """Remove what dead processes of this user have left in a directory; the folders that were removed."""
    removed = []
    with suppress(OSError):
        for path in parent.glob(f"{PREFIX}*"):
            with suppress(OSError):
                if _prune(path):
                    removed.append(path)
    return removed


def _prune(path: Path) -> bool:
    status = path.lstat()
    if path.is_symlink() or not path.is_dir() or (os.name == "posix" and status.st_uid != os.geteuid()):
        return False
    descriptor = None
    try:
        descriptor = _locked(path)
        if descriptor is None and time.time() - status.st_mtime < ABANDONED:
            return False
        shutil.rmtree(path)
    finally:
        if descriptor is not None:
            os.close(descriptor)
    return True


def _locked(path: Path) -> int | None:
    """A descriptor that holds the folder's lock; None where there are no locks. BlockingIOError if another holds it."""
    if fcntl is None:
        return None
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as problem:
        os.close(descriptor)
        if isinstance(problem, BlockingIOError):
            raise
        return None
    return descriptor
