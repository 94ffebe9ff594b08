"""Temporary folders in which kernels are compiled.

Each process locks its folder, and the system frees the lock when the process dies. So other processes can tell which
folders are left over from dead processes, and remove them.
"""

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
except ImportError:  # Windows has no such locks: there, a folder that is old enough counts as left over
    fcntl = None

PREFIX = "dynet-building-"
ABANDONED = 3600.0  # seconds after which an unfinished file, or a folder without a lock, counts as left over


class Site:
    """This process's folder for compiling, in the directory `parent`. It is created when it is first asked for."""

    def __init__(self, parent: Path):
        self._parent, self._lock = parent, threading.Lock()
        self._folder: Path | None = None
        self._descriptor: int | None = None

    def folder(self) -> Path:
        """Return the path of the folder. Create and lock the folder if it does not exist."""
        with self._lock:
            while self._folder is None or not self._folder.exists():
                self._forget()
                self._folder = self._parent / f"{PREFIX}{secrets.token_hex(8)}"
                self._folder.mkdir(mode=0o700)
                with suppress(OSError):  # fails if another process has locked the folder to remove it
                    self._descriptor = _locked(self._folder)
            return self._folder

    def remove(self, for_good: bool = False) -> None:
        """Remove the folder.

        Args:
            for_good: whether the process is about to end, so that no folder must be created any more. If true, a thread
                that calls `folder` later waits forever.
        """
        self._lock.acquire()
        for _ in range(100):  # try again, as another thread may be writing to the folder
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
    """Create and lock a folder in `parent` for a `with` block, and remove it at the end of the block."""
    site = Site(parent)
    try:
        yield site.folder()
    finally:
        site.remove()


def prune(parent: Path) -> list[Path]:
    """Remove the folders that dead processes of this user have left in `parent`. Return the paths of these folders."""
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
    """Lock a folder. Return the file descriptor that holds the lock, or None if the system cannot lock folders.

    Raises:
        BlockingIOError: another process holds the lock.
    """
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
