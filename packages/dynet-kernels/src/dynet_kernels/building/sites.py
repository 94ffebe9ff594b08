"""Temporary folders for compiling, locked by their processes, so that others can remove those of dead processes."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows has no such locks: there, a folder that is old enough counts as left over
    fcntl = None

PREFIX = "dynet-building-"
ABANDONED = 3600.0  # seconds after which an unfinished file, or a folder without a lock, counts as left over


def lock(descriptor: int | None) -> bool | None:
    """Try to lock an open file or folder. Return False if another process has locked it, None if there are no locks."""
    if fcntl is None or descriptor is None:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as problem:
        return False if isinstance(problem, BlockingIOError) else None
    return True


@contextmanager
def _locked(folder: Path) -> Iterator[bool | None]:
    """Try to lock a folder for a `with` block, which gets what `lock` returns."""
    descriptor = os.open(folder, os.O_RDONLY) if fcntl else None
    try:
        yield lock(descriptor)
    finally:
        if descriptor is not None:
            os.close(descriptor)


@contextmanager
def folder(parent: Path) -> Iterator[Path]:
    """Make and lock a folder in `parent` for a `with` block, and remove it at the end of the block."""
    with ExitStack() as held:
        path = None
        while path is None or not path.exists():  # another process may find it without a lock, and remove it
            path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
            with suppress(FileNotFoundError):
                held.enter_context(_locked(path))
        held.callback(remove, path)
        yield path


def remove(folder: Path) -> None:
    for _ in range(100):  # again, as another thread may be writing to the folder
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            break


def prune(parent: Path) -> list[Path]:
    """Remove the folders that dead processes of this user have left in `parent`. Return the paths of these folders."""
    removed = []
    with suppress(OSError):
        for path in parent.glob(f"{PREFIX}*"):
            with suppress(OSError):
                status = path.lstat()
                if not stat.S_ISDIR(status.st_mode) or (os.name == "posix" and status.st_uid != os.geteuid()):
                    continue
                with _locked(path) as is_free:
                    if is_free or (is_free is None and time.time() - status.st_mtime >= ABANDONED):
                        shutil.rmtree(path)
                        removed.append(path)
    return removed
