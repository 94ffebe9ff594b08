"""A cache on disk for compiled kernels. Loading them needs neither TVM nor a compiler or system linker.

The file `KEY.o` holds an object file, followed by a SHA-256 digest of its key and contents. Loaded code runs with this
user's rights, so nobody else may be able to write to the cache. A file is read once, and exactly the bytes that were
checked are loaded. A *module* here is loaded machine code: an object of TVM that finds functions by name.

A key that is quick to compute can refer to a second key, which takes longer to compute. The file `KEY.key` then holds
the second key, followed by a digest as well. So different keys for the same code share one object file.
"""

from __future__ import annotations

import functools
import operator
import os
import re
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from .building import sites
from .cache_directory import CacheError, cache_directory, danger, temporary_instead, warn
from .locks import new_lock
from .seal import sealed, unsealed, write
from .tvm_modules import load_ffi, tvm_ffi_orcjit

STORED = (".o", ".key")  # suffixes of object files, and of files that map a key to a second key
UNFINISHED = (".lock", ".new")  # suffixes of lock files, and of files that are being written
DAY = 24 * 3600.0
KEEP = 512  # of each suffix, this many last used files are kept; all others are kept for a day
ABANDONED = sites.ABANDONED
PATIENCE = 120.0  # seconds to wait for another process that compiles the same kernels
ROOM = 64 << 20  # free bytes that a disk must have for kernels to be compiled there
_linking = new_lock()


class _Unwritable(CacheError):
    """The cache directory cannot be written to. `load_or_make` then uses a temporary directory instead."""


def load_object(machine_code: bytes) -> Any:
    """Load an object file into this process. Its functions stay valid until the process ends."""
    return load_objects([machine_code])


def load_or_make(
    key: str,
    make: Callable[[Path], bytes],
    load: Callable[[bytes], Any] = load_object,
    stopped: Callable[[], bool] = lambda: False,
    identify: Callable[[Path], str] | None = None,
) -> Any:
    """Return the module cached under `key`. If there is none, compile it with `make` and cache it.

    Args:
        key: a text that differs whenever the machine code may differ. It consists of letters, digits, `.`, `_` and `-`.
        make: make(lock) returns the contents of an object file. `lock` is the path of the lock file that this process
            holds meanwhile.
        load: load(contents) turns the contents of a cache file into a module.
        stopped: stopped() is called again and again while another process makes this module. If it returns True, stop
            waiting.
        identify: identify(lock) computes a second key, to which `key` refers from then on. It is called only if nothing
            is cached under `key`. If a module is cached under the second key, it is returned, and `make` is not called.
            None: there is no second key.

    Raises:
        CacheError: DYNET_CACHE_DIR is not safe, or `stopped` returned True.
    """
    if not re.fullmatch(r"\w[\w.-]*", key, re.ASCII):
        raise ValueError(f"a cache key consists of letters, digits, '.', '_' and '-', not {key!r}")

    def load_or_make_in(directory: Path) -> Any:
        def loaded(key: str) -> Any:
            code = stored(key, directory)
            return None if code is None else load(code)

        module = loaded(key)
        if module is not None:
            return module
        lock = directory / f"{key}.lock"
        with _turn(lock, lambda: stored(key, directory) is not None, stopped):
            module = loaded(key)  # another process may have made it while we waited for the lock
            if module is not None:
                return module
            known = identify(lock) if identify else key
            module = loaded(known)
            if module is None:
                code = make(lock)
                module = load(code)  # Load before storing: the cache must not hold a file that cannot be loaded.
                _keep(directory / f"{known}.o", known, code)
            if known != key:
                _keep(directory / f"{key}.key", key, known.encode())
            return module

    try:
        return load_or_make_in(cache_directory())
    except _Unwritable as problem:
        directory = temporary_instead(str(problem))
    return load_or_make_in(directory)


def stored(key: str, directory: Path | None = None) -> bytes | None:
    """Return the object file cached under `key`, or under the second key that it refers to; None if none is valid.

    `directory` is by default the cache directory.
    """
    directory = directory or cache_directory()
    other = _read(directory / f"{key}.key", key)
    if other is not None:
        key = other.decode()
    return _read(directory / f"{key}.o", key)


def load_objects(objects: list[bytes]) -> Any:
    """Load several object files, which may call each other's functions, as one module."""
    session = linker()
    # By default, TVM's `load_module` runs the C++ compiler to find the compiler's runtime library. Kernels do not need
    # that library, so name a compiler that does not exist.
    with _linking:
        return session.load_module(objects, cxx=f"{os.devnull}/compiler", keep_module_alive=True)


def linker() -> Any:
    """Return TVM's object that links machine code into this process. The first call takes 7 ms and 10 MB of memory."""
    load_ffi()
    return tvm_ffi_orcjit.default_session()


def prune(directory: Path, keep: str) -> None:
    """Remove old files from the cache directory, and files that killed processes left behind.

    A file is old if KEEP files with its suffix were used after it. The files of the key `keep` stay. Files used within
    the last day stay, too: the stored time of use is updated at most once a day, so it does not tell which of them was
    used last. Running processes do not need a file once they have loaded it.
    """
    now = time.time()
    stored: dict[str, list[tuple[float, Path]]] = {suffix: [] for suffix in STORED}
    old = []
    for path in directory.iterdir():
        with suppress(OSError):
            age = now - path.lstat().st_mtime
            if path.suffix in STORED and path.stem != keep:
                stored[path.suffix].append((age, path))
            elif path.suffix in UNFINISHED and age > ABANDONED:
                old.append((age, path))
    for files in stored.values():
        files.sort()
        old += [pair for pair in files[KEEP - 1 :] if pair[0] > DAY]
    for _, path in old:
        with suppress(OSError):
            path.unlink()


def clear() -> tuple[int, int]:
    """Remove all compiled kernels from the cache directory, and files that killed processes left behind.

    Running processes keep the code that they have loaded. The results of tuning are not removed. Return how many files
    of the cache directory were removed, and how many bytes they had.
    """
    count = size = 0
    directory = cache_directory()
    for path in directory.iterdir():
        with suppress(OSError):
            status = path.lstat()
            if path.suffix in (*STORED, *UNFINISHED) and stat.S_ISREG(status.st_mode):
                path.unlink()
                count, size = count + 1, size + status.st_size
    with suppress(OSError):
        sites.prune(Path(tempfile.gettempdir()))
    return count, size


def _keep(path: Path, key: str, content: bytes) -> None:
    """Write `content` and its digest to `path`, and `prune` the directory of this file. If writing fails, only warn."""
    try:
        write(path, sealed(key, content), mode=0o600)
        prune(path.parent, keep=key)
    except OSError as problem:
        warn(f"dynet: compiled kernels cannot be kept in {path.parent} ({problem.strerror}).")


def building_site() -> Path:
    """Return a directory in which to compile: the one for temporary files if it has enough space, else the cache's own.

    The free space is checked because LLVM ends the whole process if a write fails. Also remove folders that dead
    processes left in these directories.

    Raises:
        CacheError: neither directory has ROOM bytes free.
    """
    cache = cache_directory()
    sites.prune(cache)
    with suppress(OSError):
        temporary = Path(tempfile.gettempdir())
        sites.prune(temporary)
        if shutil.disk_usage(temporary).free >= ROOM:
            return temporary
    if shutil.disk_usage(cache).free < ROOM:
        raise CacheError(f"compiling kernels needs {ROOM >> 20} MB of free space in {cache} or for temporary files")
    return cache


def _read(path: Path, key: str) -> bytes | None:
    """Return the contents of a cache file without the digest. None if it is missing, damaged or writable by others."""
    try:
        if not stat.S_ISREG(os.lstat(path).st_mode):
            return None
        # With O_NONBLOCK, opening does not wait if a pipe has replaced the file since lstat.
        flags = (getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY"))
        descriptor = os.open(path, functools.reduce(operator.or_, flags, os.O_RDONLY))
        with open(descriptor, "rb") as file:
            # Ask about the open file, not its path: the answer stays true even if somebody replaces a directory above.
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode) or danger(status):
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
def _turn(path: Path, ready: Callable[[], bool], stopped: Callable[[], bool]) -> Iterator[None]:
    """Hold the lock file at `path` for a `with` block, so that one process compiles while the others wait.

    Wait until the lock is free, or until ready() returns True because another process has stored its result, but at
    most PATIENCE seconds. Then go on in any case: the lock only saves time, and results are right without it. The
    operating system frees the lock when the process that holds it dies, unless a child of that process still has the
    file open.

    Raises:
        CacheError: stopped() returned True while waiting.
        _Unwritable: the lock file cannot be created.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as problem:
        raise _Unwritable(f"{path.parent} cannot be written to ({problem.strerror})") from None
    try:
        deadline = time.monotonic() + PATIENCE
        while sites.lock(descriptor) is False and time.monotonic() < deadline and not ready():
            if stopped():
                raise CacheError(f"it was not waited for {path.stem}, which another process compiles")
            time.sleep(0.05)
        yield
    finally:
        with suppress(OSError):
            path.unlink()
        os.close(descriptor)
