"""Starts processes that compile parts (see `parts.py`), so that this process need not import TVM.

To *emit* a part is to generate its TIR, which takes much less time than to compile this TIR. The key of the TIR tells
whether the cache already has the compiled code. `worker.py` has the program of the processes.
"""

from __future__ import annotations

import contextlib
import pickle
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

from . import sites
from .worker import LocalBuilder

PATIENCE = 0.5  # seconds to wait for a process to end by itself
CHILD = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent gets it, too, and decides
if hasattr(signal, "pthread_sigmask"):  # until there is a thread that waits for them
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGHUP])
os.write(1, b"!")
_, site, *sys.path[:] = sys.argv
# From the package's own folder: to import the whole library takes long, and nobody would listen meanwhile.
from building import worker
del sys.path[0]
worker.main(site)
"""


class BuildError(RuntimeError):
    """Raised if a part of the machine code could not be compiled. The message has the error of the child process."""


class Builder:
    """A child process that compiles parts, one after the other, in a folder that it makes in `site`."""

    def __init__(self, site: Path):
        self._said = tempfile.TemporaryFile()  # gets what the process writes to stderr
        package = str(Path(__file__).parents[1])
        command = [sys.executable, "-c", CHILD, str(site), package, *map(str, sys.path)]
        self.process: Any = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._said)
        self.process.stdout.read(1)  # wait for the "!": from then on the process cleans up before it ends

    def emit(self, part: Any, lock: Path | None) -> str | None:
        """Have the process emit a part, which is pickled. Return the key of the code, which `build` then compiles.

        The key is None for a part without a method `emit`, for which `build` does everything. `lock` is the lock file
        that this process has made in the cache, if any: if this process is killed, the child removes it. A BuildError
        is raised if emitting fails or the child ends.
        """
        return self._ask(lock, pickle.dumps(part))

    def build(self, lock: Path | None) -> bytes:
        """Have the process compile the code just emitted, and return the compiled file. Otherwise it is like `emit`."""
        return self._ask(lock, None)

    def _ask(self, lock: Path | None, part: bytes | None) -> Any:
        try:
            pickle.dump((lock, part), self.process.stdin)
            self.process.stdin.flush()
            is_well, found = pickle.load(self.process.stdout)
        except (BrokenPipeError, EOFError, pickle.UnpicklingError):
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(PATIENCE)
            self._said.seek(0)
            is_well, found = False, self._said.read().decode(errors="replace")
            found += f"its process ended with status {self.process.returncode}"
        if not is_well:
            raise BuildError(found)
        return found

    def end(self) -> None:
        """Wait until the process has ended, after `process.terminate`. Kill it if that takes longer than PATIENCE."""
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def close(self) -> None:
        """Close the pipes to the process. Call this only when no thread uses them."""
        for file in (self.process.stdin, self.process.stdout, self._said):
            with contextlib.suppress(BrokenPipeError):  # the process ended before it received everything
                file.close()


class Builders:
    """Starts builders for several threads, and ends their processes. They make their folders in `site`."""

    def __init__(self, site: Path):
        self.site = site
        self.stopped = False
        self._all: list[Builder] = []
        self._lock = threading.Lock()

    def new(self) -> Builder | LocalBuilder:
        """Start a builder, in this process if Python's executable is unknown or is the user's program.

        A BuildError is raised if `stop` has been called.
        """
        if not sys.executable or getattr(sys, "frozen", False):
            return LocalBuilder(self.site)
        with self._lock:
            if self.stopped:
                raise BuildError("it was stopped")
            self._all.append(Builder(self.site))
            return self._all[-1]

    def stop(self) -> None:
        """End the processes of all builders. From then on, `new` raises a BuildError."""
        with self._lock:
            self.stopped = True
        for builder in self._all:
            builder.process.terminate()  # a thread that waits in `emit` or `build` gets a BuildError
        for builder in self._all:
            builder.end()
        sites.prune(self.site)  # a killed process leaves its folder

    def close(self) -> None:
        """Close the pipes to all builders. Call this only when no thread uses them."""
        for builder in self._all:
            builder.close()
