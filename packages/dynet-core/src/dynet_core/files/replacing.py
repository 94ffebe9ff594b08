"""Files that change all at once or not at all."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO


@contextmanager
def replacing(
    path: str | os.PathLike[str], keep: bool = False, named: str | os.PathLike[str] | None = None
) -> Iterator[BinaryIO]:
    """A file to write, which takes the place of `path` when the block ends without an error.

    Whoever reads `path` meanwhile, or after a crash at any moment, finds the old file, whole. What is no
    regular file (a pipe, a terminal) is written to directly.

    Args:
        path: the file; through a symbolic link, what it leads to.
        keep: begin with what the file holds.
        named: what errors call the file, if that is no `path` that a user gave.

    Raises:
        OSError: the file cannot be written; the old one is as it was.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with replacing(folder + "/model") as file:
    ...         _ = file.write(b"values")
    ...     os.path.getsize(folder + "/model")
    6
    """
    shown = os.fspath(named or path)
    if not shown:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), shown)
    target = os.path.realpath(path)
    mode = checked_mode(target, shown)
    if mode is not None and not stat.S_ISREG(mode):
        with open(target, "ab" if keep else "wb") as file:
            yield file
        return
    try:
        temporary = new_file_beside(target, mode)
    except OSError as error:
        raise type(error)(error.errno, error.strerror, shown) from None
    try:
        with open(temporary, "wb") as file:
            if keep and mode is not None:
                with open(target, "rb") as old:
                    shutil.copyfileobj(old, file, 1 << 20)
            yield file
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException as error:
        os.unlink(temporary)
        if isinstance(error, OSError) and error.filename in (temporary, target):
            raise type(error)(error.errno, error.strerror, shown) from None
        raise
    settle_folder(target)


def new_file_beside(target: str, mode: int | None = None) -> str:
    """A new empty file in the folder of `target`, so that it can be renamed to it; with its permissions."""
    folder, name = os.path.split(target)
    path = os.path.join(folder, f".{name[:200]}.{secrets.token_hex(6)}")
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
    if mode is not None:
        with suppress(OSError):  # not every file system has permissions
            os.chmod(path, stat.S_IMODE(mode))
    return path


def settle_folder(target: str) -> None:
    """Have the names in a file's folder outlive a power failure, where the system can."""
    try:
        folder = os.open(os.path.dirname(target), os.O_RDONLY)
    except OSError:
        return
    with suppress(OSError):
        os.fsync(folder)
    os.close(folder)


def checked_mode(path: str, named: str | bytes) -> int | None:
    """The mode of a file that is to be replaced; None if there is none.

    Args:
        named: what errors call it.

    Raises:
        OSError: it is a directory, or must not be written to.
    """
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), named)
    if not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), named)
    return mode
