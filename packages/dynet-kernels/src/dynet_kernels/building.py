"""Starts processes that compile parts (see `parts.py`), so that this process need not import TVM.

To *emit* a part is to generate its TIR, which takes much less time than to compile this TIR. The key of the TIR tells
whether the cache already has the compiled code. Each process compiles in a temporary folder and holds a lock on it. So
a folder without a lock belongs to a dead process, and others can remove it.

A process exchanges pickles with its parent. A request comes on stdin: the name of a lock file, and a pickled part or
None. A part is emitted, and the answer is the key of its code. On None, the code that was emitted last is compiled, and
the answer is the compiled file. When the parent closes stdin or dies, the process removes the lock file, for which
other processes would wait, and ends. While TVM compiles, it does not hold Python's global lock, so other threads can
listen to the parent and to signals.
"""

from __future__ import annotations

import gc
import os
import pickle
import queue
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

try:
    import fcntl
except ImportError:  # Windows has no such locks: there, a folder counts as abandoned once it is old enough
    fcntl = None

FOLDER_PREFIX = "dynet-building-"
ABANDONED_AFTER = 3600.0  # seconds after which an unfinished file, or a folder without a lock, counts as abandoned


def try_to_lock(descriptor: int | None) -> bool | None:
    """Try to lock an open file or folder. Return whether it is locked now, or None if locks do not work."""
    if fcntl is None or descriptor is None:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as problem:
        return False if isinstance(problem, BlockingIOError) else None
    return True


@contextmanager
def _locked(folder: Path) -> Iterator[bool | None]:
    """Lock a folder for a `with` block, and yield whether this process holds the lock, or None if locks do not work."""
    descriptor = os.open(folder, os.O_RDONLY) if fcntl else None
    try:
        yield try_to_lock(descriptor)
    finally:
        if descriptor is not None:
            os.close(descriptor)


@contextmanager
def locked_folder(parent: Path) -> Iterator[Path]:
    """Make and lock a folder in `parent` for a `with` block, and remove it at the end of the block."""
    with ExitStack() as exit_stack:
        path = None
        while path is None or not path.exists():  # another process may remove the folder before it is locked
            path = Path(tempfile.mkdtemp(prefix=FOLDER_PREFIX, dir=parent))
            with suppress(FileNotFoundError):
                exit_stack.enter_context(_locked(path))
        exit_stack.callback(remove, path)
        yield path


def remove(folder: Path) -> None:
    for _ in range(100):  # repeat, because another thread may be writing to the folder
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            break


def prune(parent: Path) -> list[Path]:
    """Remove the folders that this user's dead processes have left in `parent`. Return their paths."""
    removed = []
    with suppress(OSError):
        for path in parent.glob(f"{FOLDER_PREFIX}*"):
            with suppress(OSError):
                status = path.lstat()
                if not stat.S_ISDIR(status.st_mode) or (os.name == "posix" and status.st_uid != os.geteuid()):
                    continue
                with _locked(path) as is_free:
                    if is_free or (is_free is None and time.time() - status.st_mtime >= ABANDONED_AFTER):
                        shutil.rmtree(path)
                        removed.append(path)
    return removed


class LocalBuilder:
    """Has the methods of `Builder`, but compiles in this process, in folders that it makes in `site`."""

    def __init__(self, site: Path):
        self._site = site
        self._emitted_part: Any = None

    def emit(self, part: Any, lock_file: Path | None) -> str | None:
        self._emitted_part = part.emit() if hasattr(part, "emit") else part
        return None if self._emitted_part is part else self._emitted_part.key

    def build(self, lock_file: Path | None) -> bytes:
        with locked_folder(self._site) as path:
            self._emitted_part.build(path / "part.o")
            return (path / "part.o").read_bytes()


class Worker:
    """The work of a child process: its main thread compiles parts in `folder`, others wait for requests and signals."""

    def __init__(self, folder: Path):
        self.folder, self.builder = folder, LocalBuilder(folder)
        self.lock_file: Path | None = None  # the cache's lock file that the parent holds, if any
        self.requests: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()  # pickled parts, or None for `build`

    def end(self) -> None:
        """Remove this process's folder and the lock file of the parent, then end this process."""
        remove(self.folder)
        if self.lock_file is not None:
            with suppress(OSError):
                self.lock_file.unlink()
        os._exit(0)

    def listen(self) -> None:
        """Put the parent's requests into `requests`. When the parent closes the pipe or dies, end this process."""
        try:
            while True:
                self.lock_file, part = pickle.load(sys.stdin.buffer)
                self.requests.put(part)
        finally:
            self.end()

    def wait_for_signal(self, signals: set[signal.Signals]) -> None:
        signal.sigwait(signals)
        self.end()

    def answer(self, pickled_part: bytes | None) -> tuple[bool, Any]:
        """Emit a part, or on None compile the emitted code. Return (True, the result) or (False, the traceback)."""
        try:
            if pickled_part is None:
                return True, self.builder.build(self.lock_file)
            return True, self.builder.emit(pickle.loads(pickled_part), self.lock_file)
        except Exception:
            return False, traceback.format_exc()


def main(site: str) -> None:
    # Importing TVM creates many long-lived objects. Garbage collection would take a fifth of the import's time.
    gc.disable()
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # redirect a compiler's stdout to stderr, because the answers use stdout
    with locked_folder(Path(site)) as path:
        # TVM leaves a small object file in the directory for temporary files: let this be `path`, removed at the end.
        os.environ["TMPDIR"] = str(path)
        worker = Worker(path)
        watchers = [threading.Thread(target=worker.listen, daemon=True)]
        if hasattr(signal, "sigwait"):
            signals = {signal.SIGTERM, signal.SIGHUP}
            # Undo an inherited SIG_IGN, which would hide the signal from `sigwait`. Both signals are blocked.
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            watchers.append(threading.Thread(target=worker.wait_for_signal, args=(signals,), daemon=True))
        for watcher in watchers:
            watcher.start()
        try:
            while True:
                pickle.dump(worker.answer(worker.requests.get()), answers)
                answers.flush()
        finally:
            worker.end()


PATIENCE = 0.5  # seconds to wait for a process to end before killing it
CHILD_SOURCE = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent also gets it, and decides what to do
if hasattr(signal, "pthread_sigmask"):  # block them, for the thread that waits for them
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGHUP])
os.write(1, b"!")
_, site, *sys.path[:] = sys.argv
# Import it from its folder: importing the whole library takes long, and until then nothing handles signals.
import building
del sys.path[0]
building.main(site)
"""


class BuildError(RuntimeError):
    """Raised if a part of the machine code could not be compiled. The message has the child process's error."""


class Builder:
    """A child process that compiles parts, one after another, in a folder that it makes in `site`."""

    def __init__(self, site: Path):
        self._stderr = tempfile.TemporaryFile()  # the stderr of the process
        command = [sys.executable, "-c", CHILD_SOURCE, str(site), str(Path(__file__).parent), *map(str, sys.path)]
        self.process: Any = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._stderr
        )
        self.process.stdout.read(1)  # wait for the "!": from then on, the process cleans up before it ends

    def emit(self, part: Any, lock_file: Path | None) -> str | None:
        """Have the process emit a part, which must be picklable. Return the key of the code, which `build` compiles.

        The key is None for a part without a method `emit`, for which `build` does everything. If the parent is killed,
        the child removes `lock_file`, the cache's lock file. Raise a BuildError if emitting fails or the child ends.
        """
        return self._ask(lock_file, pickle.dumps(part))

    def build(self, lock_file: Path | None) -> bytes:
        """Have the process compile the code just emitted. Return the compiled file. For `lock_file`, see `emit`."""
        return self._ask(lock_file, None)

    def _ask(self, lock_file: Path | None, pickled_part: bytes | None) -> Any:
        try:
            pickle.dump((lock_file, pickled_part), self.process.stdin)
            self.process.stdin.flush()
            has_succeeded, answer = pickle.load(self.process.stdout)
        except (BrokenPipeError, EOFError, pickle.UnpicklingError):
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(PATIENCE)
            self._stderr.seek(0)
            has_succeeded, answer = False, self._stderr.read().decode(errors="replace")
            answer += f"its process ended with status {self.process.returncode}"
        if not has_succeeded:
            raise BuildError(answer)
        return answer

    def end(self) -> None:
        """After `process.terminate`, wait until the process ends. Kill it if this takes longer than PATIENCE."""
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def close(self) -> None:
        """Close the pipes to the process. No thread may be using them."""
        for file in (self.process.stdin, self.process.stdout, self._stderr):
            with suppress(BrokenPipeError):  # the process ended before it received everything
                file.close()


class Builders:
    """Starts builders for several threads, and ends the builders' processes, which make their folders in `site`."""

    def __init__(self, site: Path):
        self.site = site
        self.is_stopped = False
        self._builders: list[Builder] = []
        self._lock = threading.Lock()

    def start_builder(self) -> Builder | LocalBuilder:
        """Start a builder. Raise a BuildError if `stop` has been called.

        If Python's executable is unknown, or is a bundled program (`sys.frozen`), return a builder in this process.
        """
        if not sys.executable or getattr(sys, "frozen", False):
            return LocalBuilder(self.site)
        with self._lock:
            if self.is_stopped:
                raise BuildError("it was stopped")
            self._builders.append(Builder(self.site))
            return self._builders[-1]

    def stop(self) -> None:
        """End the processes of all builders. Afterwards, `start_builder` raises a BuildError."""
        with self._lock:
            self.is_stopped = True
        for builder in self._builders:
            builder.process.terminate()  # a thread that waits in `emit` or `build` gets a BuildError
        for builder in self._builders:
            builder.end()
        prune(self.site)  # a killed process leaves its folder

    def close(self) -> None:
        """Close the pipes to all builders. No thread may be using them."""
        for builder in self._builders:
            builder.close()
