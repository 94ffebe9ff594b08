"""The cache directory. It is private, because code that is loaded from it runs as this user."""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import stat
import tempfile
import warnings
from contextlib import suppress
from pathlib import Path

import platformdirs


class CacheError(RuntimeError):
    """The cache directory is not safe to load code from, or compiled kernels are not fit for use."""


def cache_directory() -> Path:
    """The directory of stored kernels: DYNET_CACHE_DIR, or `dynet` in this user's cache directory.

    Where that cannot be made, or the default is not safe, it is a private temporary one, with one warning.

    Raises:
        CacheError: others own DYNET_CACHE_DIR or can write to it.
    """
    chosen = os.environ.get("DYNET_CACHE_DIR")
    directory = Path(os.path.expanduser(chosen or platformdirs.user_cache_dir("dynet", appauthor=False)))
    try:
        if not chosen and not directory.is_absolute():  # "~" stays as it is for a user without a home
            raise CacheError("this user has no home directory")
        return private_directory(directory)
    except CacheError as problem:
        if chosen:
            raise CacheError(f"DYNET_CACHE_DIR cannot be used: {problem}") from None
        return temporary_instead(str(problem))
    except OSError as problem:
        return temporary_instead(f"{directory} cannot be made ({problem.strerror})")


def private_directory(directory: Path) -> Path:
    """Make `directory` if need be, and resolve it. CacheError if others own it or can write to it."""
    directory = Path(os.path.realpath(directory))
    missing = [path for path in (directory, *directory.parents) if not path.exists()]
    if missing and os.name == "posix" and os.geteuid() == 0 and missing[-1].parent.stat().st_uid != 0:
        # sudo may keep HOME, and a directory of root's in there would shut its owner out from then on.
        raise CacheError(f"{missing[-1].parent} belongs to another user than root")
    for path in reversed(missing):
        path.mkdir(mode=0o700, exist_ok=True)
    if not directory.is_dir():
        raise CacheError(f"{directory} is not a directory")
    if found := danger(directory.stat()):
        raise CacheError(f"{directory} {found}, and code stored there would run as this user")
    for path in directory.parents:
        # Groups do not count here: many a home's group has one member, and every file's owner is checked when
        # it is read. The sticky bit keeps others from renaming what is not theirs.
        mode = path.stat().st_mode
        if os.name == "posix" and mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            raise CacheError(f"{directory} is in {path}, writable by all (mode {stat.S_IMODE(mode):04o})")
    return directory


def danger(status: os.stat_result) -> str:
    """Why others may have put something into this file or directory; empty if they cannot have."""
    if os.name != "posix":
        return ""  # Windows keeps a user's folders private, and its mode bits say nothing
    if status.st_uid != os.geteuid():
        return f"belongs to another user (uid {status.st_uid})"
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return f"can be written to by others (mode {stat.S_IMODE(status.st_mode):04o})"
    return ""


def temporary_instead(reason: str) -> Path:
    """A temporary directory, with one warning that gives the reason."""
    directory = _temporary_directory()
    warn(
        f"dynet: compiled kernels are kept in {directory}, since {reason}. "
        "The environment variable DYNET_CACHE_DIR can name another directory."
    )
    return directory


@functools.cache
def _temporary_directory() -> Path:
    """A private directory that this user's next process finds again; if not safe, one for this process."""
    user = os.geteuid() if os.name == "posix" else "user"
    directory = Path(os.path.realpath(tempfile.gettempdir())) / f"dynet-{user}"
    with suppress(CacheError, OSError):
        if private_directory(directory) == directory:  # not a link that somebody put there
            return directory
    directory = Path(tempfile.mkdtemp(prefix="dynet-"))
    atexit.register(_remove, directory, os.getpid())
    return directory


def _remove(directory: Path, owner: int) -> None:
    if os.getpid() == owner:  # not in a child, whose parent goes on using it
        shutil.rmtree(directory, ignore_errors=True)


@functools.cache
def warn(message: str) -> None:
    """Warn once."""
    warnings.warn(message, RuntimeWarning, stacklevel=2)
