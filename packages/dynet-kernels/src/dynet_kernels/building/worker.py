"""The program of a process that compiles parts of the library's machine code for another process, its parent.

A part is a group of kernels, or the planner, which turns graphs into lists of kernel calls; see `parts.py`. A request
comes on stdin. It has two strings of bytes, each preceded by its length: the name of a lock file, and a pickled part,
or nothing. Given a part, the process *emits* it: it generates the part's code in TVM's intermediate language. The
answer is the key of this code, by which the cache can tell whether it has the compiled code. If the second string is
empty, the process compiles the code that it emitted last. The answer is the contents of the compiled file. Answers go
to stdout, preceded by their length. The process ends when the parent closes stdin or dies. It then removes the lock
file, for which other processes would otherwise wait.

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
import struct
import sys
import threading
import traceback
from pathlib import Path
from typing import Any, BinaryIO

from .sites import Site

LENGTH = struct.Struct("<q")


def send(file: BinaryIO, content: bytes) -> None:
    """Write `content` to a pipe, preceded by its length, so that `receive` can read it at the other end."""
    file.write(LENGTH.pack(len(content)))
    file.write(content)
    file.flush()


def receive(file: BinaryIO) -> bytes | None:
    """Read what `send` wrote to a pipe, and return it. Return None if the other end of the pipe has been closed."""
    head = file.read(LENGTH.size)
    if head is None or len(head) < LENGTH.size:
        return None
    (length,) = LENGTH.unpack(head)
    content = file.read(length)
    return content if len(content) == length else None


class Worker:
    """The state of this process, and its threads: one compiles, the others wait for requests and for signals."""

    def __init__(self, site: Site):
        self.site = site
        self.lock: Path | None = None  # the lock file of the cache that the parent holds, if any
        self.work: queue.SimpleQueue[bytes] = queue.SimpleQueue()  # requests that `listen` has received
        self.emitted: Any = None  # the result of the last call of `emit`

    def end(self) -> None:
        """Remove this process's folder and the parent's lock file, and end the process."""
        self.site.remove(for_good=True)
        if self.lock is not None:
            with contextlib.suppress(OSError):
                self.lock.unlink()
        os._exit(0)

    def listen(self) -> None:
        """Put the parent's requests into `work`. When the parent has closed the pipe or died, end the process."""
        while (lock := receive(sys.stdin.buffer)) is not None and (asked := receive(sys.stdin.buffer)) is not None:
            self.lock = Path(os.fsdecode(lock)) if lock else None
            self.work.put(asked)
        self.end()

    def wait_for_signal(self, signals: set[signal.Signals]) -> None:
        signal.sigwait(signals)
        self.end()

    def answer(self, asked: bytes) -> bytes:
        """Do what the parent asks for, and return the answer as a pickle.

        Args:
            asked: a pickled part to emit, or b"" to compile what was emitted last.

        Returns:
            The pickle of (True, key of the emitted code or contents of the compiled file) or (False, text of an error).
        """
        try:
            if asked:
                self.emitted = emit(pickle.loads(asked))
                found = self.emitted.key
            else:
                path = self.site.folder() / "part.o"
                self.emitted.build(path)
                found = path.read_bytes()
            return pickle.dumps((True, found))
        except Exception:
            return pickle.dumps((False, traceback.format_exc()))


def emit(part: Any) -> Any:
    """Emit the code of a part. Return an object that has the attribute `key`, and a method `build` to compile the code.

    A part without a method `emit` has these two itself, so return the part.
    """
    return part.emit() if hasattr(part, "emit") else part


def main(site: str) -> None:
    """Compile what the parent asks for on stdin, in a folder of the directory `site`."""
    # Importing TVM makes many objects that stay. To look for garbage among them takes a fifth of the import's time.
    # Emitting code makes more of them. The process ends when all parts are compiled.
    gc.disable()
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a compiler prints to stdout goes to stderr, as answers use stdout
    worker = Worker(Site(Path(site)))
    # TVM leaves a small object file in the directory for temporary files. The folder is removed at the end.
    os.environ["TMPDIR"] = str(worker.site.folder())
    watchers = [threading.Thread(target=worker.listen, daemon=True)]
    if hasattr(signal, "sigwait"):
        signals = {signal.SIGTERM, signal.SIGHUP}
        # Undo an "ignore" inherited from the parent, with which `sigwait` would not see the signal. The default action,
        # to end the process, does not happen, as both signals are blocked.
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        watchers.append(threading.Thread(target=worker.wait_for_signal, args=(signals,), daemon=True))
    for watcher in watchers:
        watcher.start()
    try:
        while True:
            send(answers, worker.answer(worker.work.get()))
    finally:
        worker.end()
