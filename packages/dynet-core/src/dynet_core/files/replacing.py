"""Replace files atomically: a reader sees either the whole old file or the whole new file."""

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
    path: str | os.PathLike[str], keep_contents: bool = False, shown_as: str | os.PathLike[str] | None = None
) -> Iterator[BinaryIO]:
    """Return a context manager that opens a new file, and renames it to `path` if the `with` block raises no error.

    Until then, readers find the old file, even after a crash. Symbolic links are followed. If `path` exists but is not
    a regular file, for example a pipe or a terminal, it is written directly. With `keep_contents`, the file starts with
    the contents of the old file. If writing fails, raise OSError (which names `shown_as`) and keep the old file.
    """
    shown_path = os.fspath(shown_as or path)
    if not shown_path:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), shown_path)
    target = os.path.realpath(path)
    mode = checked_mode(target, shown_path)
    is_direct = mode is not None and not stat.S_ISREG(mode)
    try:
        temporary = target if is_direct else new_file_beside(target, mode)
    except OSError as error:
        raise type(error)(error.errno, error.strerror, shown_path) from None
    try:
        with open(temporary, "ab" if keep_contents and is_direct else "wb") as file:
            if keep_contents and mode is not None and not is_direct:
                with open(target, "rb") as old_file:
                    shutil.copyfileobj(old_file, file, 1 << 20)  # 1 MiB at a time
            yield file
        if is_direct:
            return
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException as error:
        if not is_direct:
            with suppress(FileNotFoundError):  # an interrupt may come after the file has been renamed
                os.unlink(temporary)
        if isinstance(error, OSError) and error.errno and error.filename in (None, temporary, target):
            raise type(error)(error.errno, error.strerror, shown_path) from None
        raise
    sync_folder(target)


def new_file_beside(target: str, mode: int | None = None) -> str:
    """Create an empty hidden file in the folder of `target`, with permissions `mode` if given. Return its path."""
    folder, name = os.path.split(target)
    path = os.path.join(folder, f".{name[:200]}.{secrets.token_hex(6)}")  # systems limit the length of names
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
    if mode is not None:
        with suppress(OSError):  # some file systems have no permissions
            os.chmod(path, stat.S_IMODE(mode))
    return path


def sync_folder(target: str) -> None:
    """Write the folder of `target` to disk, if the system can, so that the new name survives a power failure."""
    with suppress(OSError):
        folder = os.open(os.path.dirname(target), os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def checked_mode(path: str, shown_path: str | bytes) -> int | None:
    """Check that a file can be replaced. Return its `st_mode`; None if there is no file. Errors name `shown_path`."""
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), shown_path)
    if not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), shown_path)
    return mode
