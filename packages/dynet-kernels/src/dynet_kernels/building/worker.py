"""A process that builds parts, one after the other, and ends when nobody waits for them any more.

It is asked on stdin, by the name of a lock and a pickle, each with its length before it, and answers so on stdout. The
pickle is a part: its code is emitted, and the answer is the code's key. No pickle means that the code just emitted is
to be built. TVM is imported by the first part, and works without Python's lock: so threads can watch meanwhile, and end
the process at any time.
"""

from __future__ import annotations

import contextlib
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
    """Write bytes that `receive` reads at the other end."""
    file.write(LENGTH.pack(len(content)))
    file.write(content)
    file.flush()


def receive(file: BinaryIO) -> bytes | None:
    """What was sent; None if there is nobody at the other end any more."""
    head = file.read(LENGTH.size)
    if head is None or len(head) < LENGTH.size:
        return None
    (length,) = LENGTH.unpack(head)
    content = file.read(length)
    return content if len(content) == length else None


class Worker:
    """The process."""

    def __init__(self, site: Site):
        self.site = site
        self.lock: Path | None = None  # the file that says that its parent has a part built
        self.work: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self.emitted: Any = None

    def end(self) -> None:
        """End the process, and leave nothing behind."""
        self.site.remove(for_good=True)
        if self.lock is not None:
            with contextlib.suppress(OSError):
                self.lock.unlink()
        os._exit(0)

    def listen(self) -> None:
        """Take work until nobody is there to ask for it."""
        while (lock := receive(sys.stdin.buffer)) is not None and (asked := receive(sys.stdin.buffer)) is not None:
            self.lock = Path(os.fsdecode(lock)) if lock else None
            self.work.put(asked)
        self.end()

    def wait_for_signal(self, signals: set[signal.Signals]) -> None:
        signal.sigwait(signals)
        self.end()

    def answer(self, asked: bytes) -> bytes:
        """The pickle of whether all went well, and of the key or the file; or of text that says why it failed."""
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
    """The code of a part, which has a `key` and can `build` a file. A part that has no `emit` is its own code."""
    return part.emit() if hasattr(part, "emit") else part


def main(site: str) -> None:
    """Build what is asked for on stdin, in folders of the directory `site`."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a compiler prints must not mix with the answers
    worker = Worker(Site(Path(site)))
    watchers = [threading.Thread(target=worker.listen, daemon=True)]
    if hasattr(signal, "sigwait"):
        signals = {signal.SIGTERM, signal.SIGHUP}
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # where the parent ignores it, too; they are blocked
        watchers.append(threading.Thread(target=worker.wait_for_signal, args=(signals,), daemon=True))
    for watcher in watchers:
        watcher.start()
    try:
        while True:
            send(answers, worker.answer(worker.work.get()))
    finally:
        worker.end()
