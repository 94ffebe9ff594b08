"""Finds the cache directory, and checks that only this user can write there: loaded code has this user's rights."""

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
    """Kernels cannot be loaded: the cache directory is not safe, compiling failed, or the compiled code is unusable."""


def cache_directory() -> Path:
    """Return the directory that DYNET_CACHE_DIR names; by default, `dynet` in the user's cache directory.

    If it cannot be created, or the default one is not safe, warn once and return a private temporary one. If the one
    that DYNET_CACHE_DIR names is not safe, raise a CacheError.
    """
    chosen = os.environ.get("DYNET_CACHE_DIR")
    directory = _wanted()
    try:
        if not chosen and not directory.is_absolute():  # for a user without a home directory, expanduser leaves the "~"
            raise CacheError("this user has no home directory")
        return private_directory(directory)
    except CacheError as problem:
        if chosen:
            raise CacheError(f"DYNET_CACHE_DIR cannot be used: {problem}") from None
        return temporary_instead(str(problem))
    except OSError as problem:
        return temporary_instead(f"{directory} cannot be created ({problem.strerror})")


def exists() -> bool:
    """Return whether there is a cache directory. Unlike `cache_directory`, this creates none and does not warn."""
    return os.path.isdir(_wanted())


def _wanted() -> Path:
    """Return the directory that the environment or the system names. It may not exist."""
    chosen = os.environ.get("DYNET_CACHE_DIR")
    return Path(os.path.expanduser(chosen or platformdirs.user_cache_dir("dynet", appauthor=False)))


def private_directory(directory: Path) -> Path:
    """Create `directory` if need be. Return its path without symbolic links. If it is unsafe, raise a CacheError."""
    directory = Path(os.path.realpath(directory))
    try:
        missing = [path for path in (directory, *directory.parents) if not path.exists()]
    except PermissionError as problem:
        raise CacheError(f"{problem.filename} cannot be accessed") from None
    if missing and os.name == "posix" and os.geteuid() == 0 and missing[-1].parent.stat().st_uid != 0:
        # Under sudo, HOME may be the home of another user, who could not use a directory that root creates there.
        raise CacheError(f"{missing[-1].parent} belongs to a user other than root")
    for path in reversed(missing):
        path.mkdir(mode=0o700, exist_ok=True)
    if not directory.is_dir():
        raise CacheError(f"{directory} is not a directory")
    if found := danger(directory.stat()):
        raise CacheError(f"{directory} {found}, and code stored there would run as this user")
    if not os.access(directory, os.R_OK | os.X_OK):
        raise CacheError(f"{directory} cannot be accessed (mode {stat.S_IMODE(directory.stat().st_mode):04o})")
    for path in directory.parents:
        # A directory above may be writable for its group: often only this user is in the group, and a file's owner is
        # checked when the file is read. If it is writable for all, the sticky bit must keep others from renaming
        # directories in it.
        mode = path.stat().st_mode
        if os.name == "posix" and mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            raise CacheError(f"{directory} is in {path}, writable by all (mode {stat.S_IMODE(mode):04o})")
    return directory


def danger(status: os.stat_result) -> str:
    """Return why other users may have written to a file or directory with this `status`; "" if they cannot have.

    The text is the end of an error message that begins with the path.
    """
    if os.name != "posix":
        return ""  # on Windows, a user's folders are private, and mode bits mean nothing
    if status.st_uid != os.geteuid():
        return f"belongs to another user (uid {status.st_uid})"
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return f"can be written to by others (mode {stat.S_IMODE(status.st_mode):04o})"
    return ""


def temporary_instead(reason: str) -> Path:
    """Return a private temporary directory for compiled kernels. Warn once that it is used, and why: `reason`."""
    directory = _temporary_directory()
    warn(
        f"dynet: compiled kernels are kept in {directory}, since {reason}. "
        "The environment variable DYNET_CACHE_DIR can name a different directory."
    )
    return directory


@functools.cache
def _temporary_directory() -> Path:
    """Return a private temporary directory, one for all processes of this user; if unsafe, one for this process."""
    user = os.geteuid() if os.name == "posix" else "user"
    directory = Path(os.path.realpath(tempfile.gettempdir())) / f"dynet-{user}"
    with suppress(CacheError, OSError):
        if private_directory(directory) == directory:  # the paths differ if somebody put a symbolic link there
            return directory
    directory = Path(tempfile.mkdtemp(prefix="dynet-"))
    atexit.register(_remove, directory, os.getpid())
    return directory


def _remove(directory: Path, owner: int) -> None:
    if os.getpid() == owner:  # a forked child must not remove the directory, because its parent still uses it
        shutil.rmtree(directory, ignore_errors=True)


@functools.cache
def warn(message: str) -> None:
    """Issue `message` as a RuntimeWarning, once per process."""
    warnings.warn(message, RuntimeWarning, stacklevel=2)
