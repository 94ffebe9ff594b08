"""The program of a process that compiles parts for its parent, with which it exchanges pickles.

A request comes on stdin: the name of a lock file, and a pickled part or None. A part is emitted, and the answer is the
key of its code. On None, the code that was emitted last is compiled, and the answer is the compiled file. When the
parent closes stdin or dies, the process removes the lock file, for which other processes would wait, and ends. TVM
releases Python's global lock while it compiles, so other threads can listen to the parent and to signals.
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
    """Compiles parts in this process, in folders in `site`. `emit` and `build` are as those of `builders.Builder`."""

    def __init__(self, site: Path):
        self._site = site
        self._emitted: Any = None

    def emit(self, part: Any, lock: Path | None) -> str | None:
        self._emitted = part.emit() if hasattr(part, "emit") else part
        return None if self._emitted is part else self._emitted.key

    def build(self, lock: Path | None) -> bytes:
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
    # Importing TVM and emitting code make many objects that stay. Collecting garbage among them would take a fifth of
    # the import's time.
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
            # Undo an inherited "ignore", with which `sigwait` would not see the signal. Both signals are blocked.
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
