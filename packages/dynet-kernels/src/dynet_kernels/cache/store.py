"""A cache on disk for compiled code. Loading code needs neither TVM nor a compiler or system linker.

`KEY.o` has an object file, followed by a SHA-256 digest of its key and contents. Loaded code runs as this user, so
nobody else may be able to write to the cache. A file is read once, and exactly the bytes that were checked are loaded.
A key that is fast to compute may refer to a second key, which takes longer to compute: `KEY.key` has the second key and
a digest. A *module* is loaded machine code, in which TVM finds functions by name.
"""

from __future__ import annotations

import atexit
import functools
import os
import re
import shutil
import stat
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import platformdirs

from .. import building
from ..locks import new_lock
from ..tvm_modules import load_ffi, tvm_ffi_orcjit
from .seal import sealed, unsealed, write

STORED_SUFFIXES = (".o", ".key")  # suffixes of object files, and of files that map a key to a second key
UNFINISHED_SUFFIXES = (".lock", ".new")  # suffixes of lock files, and of files that are being written
DAY = 24 * 3600.0  # seconds
KEPT_FILE_COUNT = 512  # of the files with each suffix, keep this many, those used last; remove others a day after use
ABANDONED_AFTER = building.ABANDONED_AFTER  # seconds
PATIENCE = 120.0  # the most seconds to wait for another process that is compiling the same kernels
MIN_FREE = 64 << 20  # free bytes that a disk must have for kernels to be compiled there
_linking_lock = new_lock()


class CacheError(RuntimeError):
    """Kernels cannot be loaded: the cache directory is not safe, compiling failed, or the compiled code is unusable."""


class _UnwritableError(CacheError):
    """The cache directory cannot be written to, so `load_or_make` uses a temporary directory instead."""


def cache_directory() -> Path:
    """Return the directory that DYNET_CACHE_DIR names, or by default `dynet` in the user's cache directory.

    If this directory cannot be created, or if the default is not safe, warn once and return a private temporary
    directory. If the directory that DYNET_CACHE_DIR names is not safe, raise a CacheError.
    """
    setting = os.environ.get("DYNET_CACHE_DIR")
    directory = _configured_directory()
    try:
        if not setting and not directory.is_absolute():  # without a home directory, expanduser leaves the "~"
            raise CacheError("this user has no home directory")
        return private_directory(directory)
    except CacheError as problem:
        if setting:
            raise CacheError(f"DYNET_CACHE_DIR cannot be used: {problem}") from None
        return temporary_instead(str(problem))
    except OSError as problem:
        return temporary_instead(f"{directory} cannot be created ({problem.strerror})")


def exists() -> bool:
    """Return whether the cache directory exists. Unlike `cache_directory`, create no directory, and do not warn."""
    return os.path.isdir(_configured_directory())


def _configured_directory() -> Path:
    """Return the directory that DYNET_CACHE_DIR names, or the system's default, whether it exists or not."""
    setting = os.environ.get("DYNET_CACHE_DIR")
    return Path(os.path.expanduser(setting or platformdirs.user_cache_dir("dynet", appauthor=False)))


def private_directory(directory: Path) -> Path:
    """Create `directory` if necessary. Return its path without symbolic links. If it is unsafe, raise a CacheError."""
    directory = Path(os.path.realpath(directory))
    try:
        missing_paths = [path for path in (directory, *directory.parents) if not path.exists()]
    except PermissionError as problem:
        raise CacheError(f"{problem.filename} cannot be accessed") from None
    if missing_paths and os.name == "posix" and os.geteuid() == 0 and missing_paths[-1].parent.stat().st_uid != 0:
        # Under sudo, HOME may be another user's home, and that user could not use a directory created by root.
        raise CacheError(f"{missing_paths[-1].parent} belongs to a user other than root")
    for path in reversed(missing_paths):
        path.mkdir(mode=0o700, exist_ok=True)
    if not directory.is_dir():
        raise CacheError(f"{directory} is not a directory")
    if reason := why_unsafe(directory.stat()):
        raise CacheError(f"{directory} {reason}, and code stored there would run as this user")
    if not os.access(directory, os.R_OK | os.X_OK):
        raise CacheError(f"{directory} cannot be accessed (mode {stat.S_IMODE(directory.stat().st_mode):04o})")
    for path in directory.parents:
        # A parent may be group-writable: this user is often the only member of the group, and a file's owner is checked
        # when it is read. If a parent is world-writable, the sticky bit must keep others from renaming directories.
        mode = path.stat().st_mode
        if os.name == "posix" and mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            raise CacheError(f"{directory} is in {path}, writable by all (mode {stat.S_IMODE(mode):04o})")
    return directory


def why_unsafe(status: os.stat_result) -> str:
    """Return why other users may have written to a file or directory with this `status`, or "" if they cannot have.

    In error messages, the result follows the path.
    """
    if os.name != "posix":
        return ""  # on Windows, a user's folders are private, and mode bits are meaningless
    if status.st_uid != os.geteuid():
        return f"belongs to another user (uid {status.st_uid})"
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return f"can be written to by others (mode {stat.S_IMODE(status.st_mode):04o})"
    return ""


def temporary_instead(reason: str) -> Path:
    """Return a private temporary directory for compiled kernels. Warn once that it is used, and for what `reason`."""
    directory = _temporary_directory()
    warn(
        f"dynet: compiled kernels are kept in {directory}, since {reason}. "
        "The environment variable DYNET_CACHE_DIR can name a different directory."
    )
    return directory


@functools.cache
def _temporary_directory() -> Path:
    """Return a private temporary directory: one for all processes of this user or, if that is unsafe, for this one."""
    user = os.geteuid() if os.name == "posix" else "user"
    directory = Path(os.path.realpath(tempfile.gettempdir())) / f"dynet-{user}"
    with suppress(CacheError, OSError):
        if private_directory(directory) == directory:  # the paths differ if somebody put a symbolic link there
            return directory
    directory = Path(tempfile.mkdtemp(prefix="dynet-"))
    atexit.register(_remove, directory, os.getpid())
    return directory


def _remove(directory: Path, owner_pid: int) -> None:
    if os.getpid() == owner_pid:  # a forked child must not remove the directory, because its parent still uses it
        shutil.rmtree(directory, ignore_errors=True)


@functools.cache
def warn(message: str) -> None:
    """Issue `message` as a RuntimeWarning, once per process."""
    warnings.warn(message, RuntimeWarning, stacklevel=2)


def load_object(machine_code: bytes) -> Any:
    """Load an object file into this process. Its functions stay valid until the process ends."""
    return load_objects([machine_code])


def load_or_make(
    key: str,
    make: Callable[[Path], bytes],
    load: Callable[[bytes], Any] = load_object,
    is_stopped: Callable[[], bool] = lambda: False,
    identify: Callable[[Path], str] | None = None,
) -> Any:
    """Return the module cached under `key`. If there is none, compile it with `make` and cache it.

    Args:
        key: a string of letters, digits, `.`, `_` and `-`, which differs whenever the machine code may differ.
        make: make(lock) returns the contents of an object file, while this process holds the lock file `lock`.
        load: load(contents) turns the contents of an object file into a module.
        is_stopped: called often while another process compiles this module. If it returns True, a CacheError is raised.
        identify: if nothing is cached under `key`, identify(lock) computes a second key, to which `key` then refers.
            Code that is cached under the second key is loaded, not compiled again.
    """
    if not re.fullmatch(r"\w[\w.-]*", key, re.ASCII):
        raise ValueError(f"a cache key consists of letters, digits, '.', '_' and '-', not {key!r}")

    def load_or_make_in(directory: Path) -> Any:
        def load_cached(key: str) -> Any:
            code = find_object(key, directory)
            return None if code is None else load(code)

        module = load_cached(key)
        if module is not None:
            return module
        lock = directory / f"{key}.lock"
        with _held_lock(lock, lambda: find_object(key, directory) is not None, is_stopped):
            module = load_cached(key)  # another process may have stored it while this one waited for the lock
            if module is not None:
                return module
            code_key = identify(lock) if identify else key
            module = load_cached(code_key)
            if module is None:
                code = make(lock)
                module = load(code)  # Load before storing: the cache must not hold a file that cannot be loaded.
                _store(directory / f"{code_key}.o", code_key, code)
            if code_key != key:
                _store(directory / f"{key}.key", key, code_key.encode())
            return module

    try:
        return load_or_make_in(cache_directory())
    except _UnwritableError as problem:
        directory = temporary_instead(str(problem))
    return load_or_make_in(directory)


def find_object(key: str, directory: Path | None = None) -> bytes | None:
    """Return the object file cached under `key` or the second key that it refers to, or None if none is valid."""
    directory = directory or cache_directory()
    second_key = _read(directory / f"{key}.key", key)
    if second_key is not None:
        key = second_key.decode()
    return _read(directory / f"{key}.o", key)


def load_objects(objects: list[bytes]) -> Any:
    """Load several object files, which may call each other's functions, as one module."""
    session = linker()
    # Name a nonexistent C++ compiler: TVM would run it to find its runtime library, which kernels do not need.
    with _linking_lock:
        return session.load_module(objects, cxx=f"{os.devnull}/compiler", keep_module_alive=True)


def linker() -> Any:
    """Return TVM's object that links machine code into this process. The first call takes 7 ms and 10 MB."""
    load_ffi()
    return tvm_ffi_orcjit.default_session()


def prune(directory: Path, kept_key: str) -> None:
    """Remove old files from the cache directory, and files that killed processes left behind.

    A file is old if KEPT_FILE_COUNT files with its suffix were used after it. Keep files of `kept_key`, and files used
    within a day, whose order of use is unknown, because the time of use is stored only once a day. Running processes do
    not need the files whose code they have loaded.
    """
    now = time.time()
    files_by_suffix: dict[str, list[tuple[float, Path]]] = {suffix: [] for suffix in STORED_SUFFIXES}
    old_files = []
    for path in directory.iterdir():
        with suppress(OSError):
            age = now - path.lstat().st_mtime
            if path.suffix in STORED_SUFFIXES and path.stem != kept_key:
                files_by_suffix[path.suffix].append((age, path))
            elif path.suffix in UNFINISHED_SUFFIXES and age > ABANDONED_AFTER:
                old_files.append((age, path))
    for files in files_by_suffix.values():
        files.sort()
        old_files += [pair for pair in files[KEPT_FILE_COUNT - 1 :] if pair[0] > DAY]
    for _, path in old_files:
        with suppress(OSError):
            path.unlink()


def clear() -> tuple[int, int]:
    """Remove all compiled kernels, and files that killed processes left behind, but not tuning records.

    Return the number of files and bytes removed. Running processes keep the code that they have loaded.
    """
    count = size = 0
    directory = cache_directory()
    for path in directory.iterdir():
        with suppress(OSError):
            status = path.lstat()
            if path.suffix in (*STORED_SUFFIXES, *UNFINISHED_SUFFIXES) and stat.S_ISREG(status.st_mode):
                path.unlink()
                count += 1
                size += status.st_size
    with suppress(OSError):
        building.prune(Path(tempfile.gettempdir()))
    return count, size


def _store(path: Path, key: str, content: bytes) -> None:
    """Write `content` and its digest to `path`, then `prune` the directory of `path`. If writing fails, only warn."""
    try:
        write(path, sealed(key, content), mode=0o600)
        prune(path.parent, kept_key=key)
    except OSError as problem:
        warn(f"dynet: compiled kernels cannot be kept in {path.parent} ({problem.strerror}).")


def building_site() -> Path:
    """Return a directory to compile in: the directory for temporary files or, if it is too full, the cache directory.

    Remove folders that dead processes left there. If neither directory has MIN_FREE bytes free, raise a CacheError,
    because LLVM ends the whole process if a write fails.
    """
    cache = cache_directory()
    building.prune(cache)
    with suppress(OSError):
        temporary = Path(tempfile.gettempdir())
        building.prune(temporary)
        if shutil.disk_usage(temporary).free >= MIN_FREE:
            return temporary
    if shutil.disk_usage(cache).free < MIN_FREE:
        raise CacheError(f"compiling kernels needs {MIN_FREE >> 20} MB of free space in {cache} or for temporary files")
    return cache


def _read(path: Path, key: str) -> bytes | None:
    """Return a cache file's contents without the digest, or None if it is missing, damaged or writable by others."""
    try:
        if not stat.S_ISREG(os.lstat(path).st_mode):
            return None
        # With O_NONBLOCK, `open` does not block if a pipe has replaced the file since `lstat`.
        flags = sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY"))
        descriptor = os.open(path, os.O_RDONLY | flags)
        with os.fdopen(descriptor, "rb") as file:
            # Check the open file, not its path: the check stays valid even if somebody replaces a parent directory.
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode) or why_unsafe(status):
                return None
            content = file.read()
    except OSError:
        return None
    stored = unsealed(key, content)
    if stored is not None and time.time() - status.st_mtime > DAY:
        with suppress(OSError):
            os.utime(path)  # tells `prune` that the file is in use
    return stored


@contextmanager
def _held_lock(path: Path, is_ready: Callable[[], bool], is_stopped: Callable[[], bool]) -> Iterator[None]:
    """Hold the lock file at `path` for a `with` block, so that one process compiles while the others wait.

    Wait until the lock is free, or until is_ready() returns True because another process has stored its result, but no
    longer than PATIENCE: the lock only saves time, and the code is correct without it. The system frees the lock when
    its holder dies, unless a child of the holder still has the file open. If is_stopped() returns True, raise a
    CacheError; if the lock file cannot be created, raise _UnwritableError.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as problem:
        raise _UnwritableError(f"{path.parent} cannot be written to ({problem.strerror})") from None
    try:
        deadline = time.monotonic() + PATIENCE
        while building.try_to_lock(descriptor) is False and time.monotonic() < deadline and not is_ready():
            if is_stopped():
                raise CacheError(f"gave up waiting for {path.stem}, which another process is compiling")
            time.sleep(0.05)
        yield
    finally:
        with suppress(OSError):
            path.unlink()
        os.close(descriptor)
