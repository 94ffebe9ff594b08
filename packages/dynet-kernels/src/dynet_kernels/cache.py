"""Compiled kernels kept on disk between runs, and loaded without TVM, compiler or linker.

A stored file is an object file followed by a SHA-256 digest of its key and contents. What is loaded from it
runs as this user, so nobody else may be able to write it, and what is read and checked is what is loaded.

A key that is found quickly can stand for another one, which takes longer to find: then the file `KEY.key` holds the
other key, and a digest in the same way. So one object file serves all keys that turn out to mean the same code.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import importlib.util
import operator
import os
import re
import shutil
import stat
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import tvm_ffi
import tvm_ffi_orcjit

from .building import sites
from .cache_directory import CacheError, cache_directory, danger, temporary_instead, warn

try:
    import fcntl
except ImportError:  # Windows: without a lock several processes may compile, which costs only time
    fcntl = None

STORED = (".o", ".key")  # object files; keys that stand for others
UNFINISHED = (".lock", ".new")
DAY = 24 * 3600.0
KEEP = 512  # so many files, those used last, are kept for KEEP_DAYS; the others only for a day
KEEP_DAYS = 30
ABANDONED = sites.ABANDONED
PATIENCE = 120.0  # seconds to wait for another process that compiles the same kernels
ROOM = 64 << 20  # free bytes wanted where kernels are built
_linking = threading.Lock()
_DIGEST_SIZE = hashlib.sha256().digest_size
_RUNTIME_FILE = {"darwin": "libtvm_runtime.dylib", "win32": "tvm_runtime.dll"}.get(sys.platform, "libtvm_runtime.so")


Load = Callable[[bytes], Any]
Identify = Callable[[Path], str]


class _Unwritable(Exception):
    """Nothing can be added to the cache directory."""


def load_or_build(
    key: str, build: Callable[[Path], None], check: Callable[[Any], bool] | None = None, load: Load | None = None
) -> Any:
    """The same as `load_or_make`, but `build` writes an object file to the path that it is given."""

    def make(_) -> bytes:
        with sites.folder(building_site()) as folder:
            built = folder / "kernels.o"
            build(built)
            return built.read_bytes()

    return load_or_make(key, make, check, load)


def load_or_make(
    key: str,
    make: Callable[[Path], bytes],
    check: Callable[[Any], bool] | None = None,
    load: Load | None = None,
    stopped: Callable[[], bool] = lambda: False,
    identify: Identify | None = None,
) -> Any:
    """The module stored under `key`, made first if there is none.

    Args:
        key: names all that the machine code depends on; letters, digits, `.`, `_` and `-`.
        make: the contents of an object file. It is told the lock that is held meanwhile: a file.
        check: whether a loaded module is fit for use. A stored one that is not is made again.
        load: makes a module of these contents, if they are not an object file for this CPU.
        stopped: whether to wait no longer for another process that makes the same.
        identify: finds a second key, for which `key` stands from then on. A module stored under the second key is
            taken instead of making one. It is told the lock, as `make` is, and called before it.

    Raises:
        CacheError: DYNET_CACHE_DIR is not safe, or a module just made is not fit for use, or it was stopped.
    """
    if not _is_key(key):
        raise ValueError(f"a cache key consists of letters, digits, '.', '_' and '-', not {key!r}")
    how = (make, check, load or load_object, stopped, identify)
    try:
        return _load_or_make_in(cache_directory(), key, *how)
    except _Unwritable as problem:
        directory = temporary_instead(str(problem))
    try:
        return _load_or_make_in(directory, key, *how)
    except _Unwritable as problem:
        raise CacheError(str(problem)) from None


def load_stored(key: str, load: Load | None = None) -> Any:
    """The module stored under `key`, or under the key that it stands for, if there is one."""
    machine_code = stored(key)
    return None if machine_code is None else (load or load_object)(machine_code)


def stored(key: str) -> bytes | None:
    """The object file stored under `key`, or under the key that it stands for, if there is one."""
    return _find(cache_directory(), key)


def load_object(machine_code: bytes) -> tvm_ffi.Module:
    """Load an object file; its functions stay valid until the process ends."""
    return load_objects([machine_code])


def load_objects(objects: list[bytes]) -> tvm_ffi.Module:
    """Load object files that refer to each other, as one module."""
    session = linker()
    # By default the session asks the C++ compiler where its runtime library is; kernels need neither.
    with _linking:
        return session.load_module(objects, cxx=f"{os.devnull}/compiler", keep_module_alive=True)


def linker() -> Any:
    """What links machine code into this process. The first call takes 7 ms and 10 MB."""
    load_runtime()
    return tvm_ffi_orcjit.default_session()


@functools.cache
def load_runtime() -> None:
    """Load TVM's small runtime library (1 ms), without which a kernel that uses `T.parallel` crashes."""
    spec = importlib.util.find_spec("tvm")  # finds the package without importing it
    if spec is None or spec.origin is None:
        raise ImportError("dynet-kernels needs the package apache-tvm, which is not installed")
    ctypes.CDLL(str(Path(spec.origin).parent / "lib" / _RUNTIME_FILE), ctypes.RTLD_GLOBAL)


def prune(directory: Path, keep: str) -> None:
    """Remove files unused for KEEP_DAYS, all but the KEEP last used, and what killed processes left behind.

    KEEP object files are kept, and as many keys that stand for others. The file of the key `keep` stays, and so do all
    used within a day: the time of use is noted at most daily, so among those it does not say which is older. No running
    process needs a file that it has loaded.
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
        young = [pair for pair in files if pair[0] < KEEP_DAYS * DAY]
        old += files[len(young) :] + [pair for pair in young[KEEP - 1 :] if pair[0] > DAY]
    for _, path in old:
        with suppress(OSError):
            path.unlink()


def clear() -> tuple[int, int]:
    """Remove all compiled kernels, and what killed processes left behind; how many files and bytes that were.

    What running processes have loaded stays with them, and what was tuned stays, too.
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


def _is_key(key: str) -> bool:
    return re.fullmatch(r"\w[\w.-]*", key, re.ASCII) is not None


def _load_or_make_in(directory, key, make, check, load, stopped, identify):
    def load_stored(key):
        machine_code = _find(directory, key)
        if machine_code is None:
            return None
        module = load(machine_code)
        return module if check is None or check(module) else None

    module = load_stored(key)
    if module is not None:
        return module
    lock = directory / f"{key}.lock"
    with _turn(lock, lambda: _find(directory, key) is not None, stopped):
        module = load_stored(key)  # another process may have made it meanwhile
        if module is not None:
            return module
        if identify is None:
            return _make(directory, key, make, lock, check, load)
        known = identify(lock)
        module = load_stored(known)
        if module is None:
            module = _make(directory, known, make, lock, check, load)
        _keep(directory / f"{key}.key", key, known.encode())
        return module


def _make(directory, key, make, lock, check, load):
    machine_code = make(lock)
    module = load(machine_code)  # before it is kept: what cannot be loaded must not be found again
    if check is not None and not check(module):
        raise CacheError(f"the kernels just compiled ({key}) are not fit for use")
    _keep(directory / f"{key}.o", key, machine_code)
    return module


def _keep(path: Path, key: str, content: bytes) -> None:
    """Store a file, if there is room for it."""
    try:
        _write(path, sealed(key, content))
        prune(path.parent, keep=key)
    except OSError as problem:
        warn(f"dynet: compiled kernels cannot be kept in {path.parent} ({problem.strerror}).")


def _find(directory: Path, key: str) -> bytes | None:
    """The object file stored under `key`, or under the key that it stands for; None if `_read` finds none."""
    other = _read(directory / f"{key}.key", key)
    if other is not None:
        key = other.decode()
    return _read(directory / f"{key}.o", key)


def building_site() -> Path:
    """A directory in which to build object files: the one for temporary files if it has room, else the cache's.

    LLVM ends the whole process if a write fails, so the free space is checked first. Folders that dead processes left
    in these directories are removed.
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
    """What is stored at `path`; None if there is nothing, it is damaged, or others could write it."""
    try:
        if not stat.S_ISREG(os.lstat(path).st_mode):
            return None
        # Without waiting, should it have become a pipe since.
        flags = (getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY"))
        descriptor = os.open(path, functools.reduce(operator.or_, flags, os.O_RDONLY))
        with open(descriptor, "rb") as file:
            # Asked of the open file, the answer holds whatever becomes of the directories above it.
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode) or danger(status):
                return None
            content = file.read()
    except OSError:
        return None
    stored = unsealed(key, content)
    if stored is not None and time.time() - status.st_mtime > DAY:
        with suppress(OSError):
            os.utime(path)  # it is in use: see prune
    return stored


def _write(path: Path, content: bytes) -> None:
    """Write a whole file or nothing."""
    descriptor, unfinished = tempfile.mkstemp(prefix=path.stem, suffix=".new", dir=path.parent)
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        os.replace(unfinished, path)
    except BaseException:
        os.unlink(unfinished)
        raise


def sealed(key: str, content: bytes) -> bytes:
    """What a file holds in which `content` is stored under `key`."""
    return content + _digest(key, content)


def unsealed(key: str, stored: bytes) -> bytes | None:
    """The content of a file that is stored under `key`; None if it is damaged, or belongs to another key."""
    content = stored[:-_DIGEST_SIZE]
    return content if stored[-_DIGEST_SIZE:] == _digest(key, content) else None


def _digest(key: str, content: bytes) -> bytes:
    digest = hashlib.sha256(f"{len(key)} {key} ".encode())
    digest.update(content)
    return digest.digest()


@contextmanager
def _turn(path: Path, ready: Callable[[], bool], stopped: Callable[[], bool]) -> Iterator[None]:
    """Hold the lock at `path`, so that one process compiles while the others wait until it is `ready`.

    The lock saves time and guards nothing: a build is right without it. The system frees it when its holder
    dies; a holder that hangs, or dies and leaves a child, keeps the others waiting for PATIENCE at most.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as problem:
        raise _Unwritable(f"{path.parent} cannot be written to ({problem.strerror})") from None
    try:
        deadline = time.monotonic() + PATIENCE
        while not _try_lock(descriptor) and time.monotonic() < deadline and not ready():
            if stopped():
                raise CacheError(f"it was not waited for {path.stem}, which another process compiles")
            time.sleep(0.05)
        yield
    finally:
        with suppress(OSError):
            path.unlink()
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    """Take the lock unless another holds it; on a file system without locks everybody may go on."""
    if fcntl is not None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            pass
    return True
