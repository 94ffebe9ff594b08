"""The program of a process that compiles parts of the library's machine code for another process, its parent.

A part is a group of kernels, or the planner, which turns graphs into lists of kernel calls; see `parts.py`. A request
comes on stdin: the name of a lock file, and a pickled part or None. Given a part, the process *emits* it: it generates
the part's code in TVM's intermediate language. The answer is the key of this code, by which the cache can tell whether
it has the compiled code. Given None, the process compiles the code that it emitted last. The answer is the contents of
the compiled file. Requests and answers are pickles. The process ends when the parent closes stdin or dies. It then
removes the lock file, for which other processes would otherwise wait.

TVM is imported when the first part needs it. It releases Python's global lock while it compiles, so that other threads
can listen to the parent and to signals meanwhile, and end the process at any time.
"""

from __future__ import annotations

import contextlib
import gc
import os
import pickle
import queue
import signal
import sys
import threading
import traceback
from pathlib import Path
from typing import Any

from . import sites


class LocalBuilder:
    """Compiles parts in this process, one after the other, in folders that it makes in the directory `site`."""

    def __init__(self, site: Path):
        self._site = site
        self._emitted: Any = None

    def emit(self, part: Any, lock: Path | None) -> str | None:
        """Emit the code of a part, and return the key of the code; None for a part that only compiles itself."""
        self._emitted = part.emit() if hasattr(part, "emit") else part
        return None if self._emitted is part else self._emitted.key

    def build(self, lock: Path | None) -> bytes:
        """Compile the code that was just emitted. Return the contents of the compiled file."""
        with sites.folder(self._site) as folder:
            self._emitted.build(folder / "part.o")
            return (folder / "part.o").read_bytes()


class Worker:
    """The state of this process, and its threads: one compiles in `folder`, others wait for requests and signals."""

    def __init__(self, folder: Path):
        self.folder, self.builder = folder, LocalBuilder(folder)
        self.lock: Path | None = None  # the lock file of the cache that the parent holds, if any
        self.work: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()  # pickled parts that `listen` has received

    def end(self) -> None:
        """Remove this process's folder and the parent's lock file, and end the process."""
        sites.remove(self.folder)
        if self.lock is not None:
            with contextlib.suppress(OSError):
                self.lock.unlink()
        os._exit(0)

    def listen(self) -> None:
        """Put the parent's requests into `work`. When the parent has closed the pipe or died, end the process."""
        try:
            while True:
                self.lock, part = pickle.load(sys.stdin.buffer)
                self.work.put(part)
        finally:
            self.end()

    def wait_for_signal(self, signals: set[signal.Signals]) -> None:
        signal.sigwait(signals)
        self.end()

    def answer(self, part: bytes | None) -> tuple[bool, Any]:
        """Emit a part, or compile what was emitted. Return (True, what `LocalBuilder` does) or (False, an error)."""
        try:
            if part is None:
                return True, self.builder.build(self.lock)
            return True, self.builder.emit(pickle.loads(part), self.lock)
        except Exception:
            return False, traceback.format_exc()


def main(site: str) -> None:
    """Compile what the parent asks for on stdin, in a folder of the directory `site`."""
    # Importing TVM makes many objects that stay. To look for garbage among them takes a fifth of the import's time.
    # Emitting code makes more of them. The process ends when all parts are compiled.
    gc.disable()
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a compiler prints to stdout goes to stderr, as answers use stdout
    with sites.folder(Path(site)) as folder:
        # TVM leaves a small object file in the directory for temporary files. The folder is removed at the end.
        os.environ["TMPDIR"] = str(folder)
        worker = Worker(folder)
        watchers = [threading.Thread(target=worker.listen, daemon=True)]
        if hasattr(signal, "sigwait"):
            signals = {signal.SIGTERM, signal.SIGHUP}
            # Undo an "ignore" inherited from the parent, with which `sigwait` would not see the signal. The default
            # action, to end the process, does not happen, as both signals are blocked.
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            watchers.append(threading.Thread(target=worker.wait_for_signal, args=(signals,), daemon=True))
        for watcher in watchers:
            watcher.start()
        try:
            while True:
                pickle.dump(worker.answer(worker.work.get()), answers)
                answers.flush()
        finally:
            worker.end()
