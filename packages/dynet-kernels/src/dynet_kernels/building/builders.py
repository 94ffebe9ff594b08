"""Starts processes that compile parts of the library's machine code, so that this process need not import TVM.

A part is a group of kernels, or the planner, which turns graphs into lists of kernel calls; see `parts.py`. To *emit* a
part is to generate its code in TVM's intermediate language, which takes much less time than to compile this code. The
key of the code is a text from which one can tell whether the cache already has the compiled code. The program of these
processes is in `worker.py`.
"""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from . import sites
from .worker import emit, receive, send

PATIENCE = 0.5  # seconds to wait for a process to end by itself
# The Python program with which a child process begins.
CHILD = """
import os, signal
signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent gets it, too, and decides
if hasattr(signal, "pthread_sigmask"):  # until there is a thread that waits for them
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGHUP])
os.write(1, b"!")
import importlib.machinery, importlib.util, json, sys
sys.path[:], site, folder = json.loads(sys.stdin.buffer.readline())
# By its path: to import the whole library takes long, and nobody would listen meanwhile.
spec = importlib.machinery.PathFinder.find_spec("building", [folder])
sys.modules["building"] = importlib.util.module_from_spec(spec)
from building import worker
worker.main(site)
"""


class BuildError(RuntimeError):
    """Raised if a part of the machine code could not be compiled. The message has the error of the child process."""


class Builder:
    """A child process that compiles parts, one after the other.

    Args:
        site: the directory in which the process makes a folder to work in.
    """

    def __init__(self, site: Path):
        self._said = tempfile.TemporaryFile()  # gets what the process writes to stderr
        self._process = subprocess.Popen(
            [sys.executable, "-c", CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._said
        )
        try:
            self._process.stdout.read(1)  # type: ignore[union-attr]  # wait for the "!": from then on the process cleans up before it ends
            self._stdin.write(json.dumps([sys.path, str(site), str(Path(__file__).parents[1])]).encode() + b"\n")
        except BrokenPipeError:  # the process has ended already: `emit` will say why
            pass

    @property
    def _stdin(self) -> Any:
        return self._process.stdin

    def emit(self, part: Any, lock: Path | None) -> str:
        """Have the process emit the code of a part, and return the key of the code. `build` then compiles this code.

        Args:
            part: what to compile, such as a `parts.Shard`. It is sent to the process as a pickle.
            lock: the lock file that the calling process has made in the cache; None if it has made none. If the calling
                process is killed, the child process removes this file.

        Raises:
            BuildError: emitting fails, or the process ends.
        """
        return self._ask(pickle.dumps(part), lock)

    def build(self, lock: Path | None) -> bytes:
        """Have the process compile the code that it has just emitted. Return the contents of the compiled file.

        `lock` is as in `emit`.

        Raises:
            BuildError: compiling fails, or the process ends.
        """
        return self._ask(b"", lock)

    def _ask(self, asked: bytes, lock: Path | None) -> Any:
        answer = None
        try:
            send(self._stdin, b"" if lock is None else os.fsencode(lock))
            send(self._stdin, asked)
            answer = receive(self._process.stdout)  # type: ignore[arg-type]
        except BrokenPipeError:
            pass
        if answer is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(PATIENCE)
            self._said.seek(0)
            said = self._said.read().decode(errors="replace")
            raise BuildError(f"{said}its process ended with status {self._process.returncode}")
        is_well, found = pickle.loads(answer)
        if not is_well:
            raise BuildError(found)
        return found

    def tell_to_end(self) -> None:
        """Ask the process to end. If another thread waits in `emit` or `build`, it gets a BuildError."""
        self._process.terminate()

    def end(self) -> bool:
        """Wait until the process has ended, after `tell_to_end`. Kill it if that takes longer than PATIENCE.

        Return whether it has ended by itself. In this case it has removed its folder; a killed process leaves it there.
        """
        try:
            self._process.wait(PATIENCE)
            return True
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            return False

    def close(self) -> None:
        """Close the pipes to the process. Call this only when no thread uses them."""
        for file in (self._process.stdin, self._process.stdout, self._said):
            try:
                file.close()  # type: ignore[union-attr]
            except BrokenPipeError:  # the process ended before it received everything
                pass


class LocalBuilder:
    """Does the work of a `Builder` in the calling process. Used if Python's executable is unknown, or is a program."""

    def __init__(self, site: Path):
        self._site = site
        self._emitted: Any = None

    def emit(self, part: Any, lock: Path | None) -> str:
        """Emit the code of a part, and return the key of the code. `build` then compiles this code."""
        self._emitted = emit(part)
        return self._emitted.key

    def build(self, lock: Path | None) -> bytes:
        """Compile the code that was just emitted. Return the contents of the compiled file."""
        with sites.folder(self._site) as folder:
            self._emitted.build(folder / "part.o")
            return (folder / "part.o").read_bytes()


class Builders:
    """Starts builders, objects that compile parts in child processes, and lends them to threads.

    Args:
        site: the directory in which each child process makes a folder to work in.
    """

    def __init__(self, site: Path):
        self.site = site
        self.stopped = False
        self._all: list[Builder] = []
        self._idle: list[Builder] = []
        self._lock = threading.Lock()

    @contextmanager
    def one(self) -> Iterator[Builder | LocalBuilder]:
        """Lend an idle builder, or a new one, to the caller for the length of a `with` block.

        Raises:
            BuildError: `stop` has been called.
        """
        if not sys.executable or getattr(sys, "frozen", False):  # then it is the user's program
            yield LocalBuilder(self.site)
            return
        with self._lock:
            if self.stopped:
                raise BuildError("it was stopped")
            if not self._idle:
                self._idle.append(Builder(self.site))
                self._all.append(self._idle[-1])
            builder = self._idle.pop()
        yield builder
        with self._lock:  # not done after an exception: the builder may have ended, so it must not be used again
            self._idle.append(builder)

    def stop(self) -> None:
        """End the processes of all builders. From then on, `one` raises a BuildError."""
        with self._lock:
            self.stopped = True
        for builder in self._all:
            builder.tell_to_end()
        if not all([builder.end() for builder in self._all]):
            sites.prune(self.site)

    def close(self) -> None:
        """Close the pipes to all builders. Call this only when no thread uses them."""
        for builder in self._all:
            builder.close()
