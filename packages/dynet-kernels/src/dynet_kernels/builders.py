"""Processes that build parts side by side, so that this one need not import TVM."""

from __future__ import annotations

import contextlib
import json
import pickle
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

from .worker import receive, send

PATIENCE = 1.0  # seconds in which a process should end that is told to
CHILD = """
import json, signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent gets it, too, and decides
sys.path[:], site = json.loads(sys.stdin.buffer.readline())
from dynet_kernels import worker
worker.main(site)
"""


class BuildError(RuntimeError):
    """A part could not be built."""


class Builder:
    """A process that builds parts in folders of the directory `site`."""

    def __init__(self, site: Path):
        self._said = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            [sys.executable, "-c", CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._said
        )
        try:
            self._stdin.write(json.dumps([sys.path, str(site)]).encode() + b"\n")
        except BrokenPipeError:  # it has ended: `build` says why
            pass

    @property
    def _stdin(self) -> Any:
        return self._process.stdin

    def build(self, part: Any, lock: Path | None) -> bytes:
        """What the part's `build` writes.

        Raises:
            BuildError: it fails, or the process ends.
        """
        answer = None
        try:
            send(self._stdin, pickle.dumps((part, lock)))
            answer = receive(self._process.stdout)  # type: ignore[arg-type]
        except BrokenPipeError:
            pass
        if answer is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(PATIENCE)
            self._said.seek(0)
            said = self._said.read().decode(errors="replace")
            raise BuildError(f"{said}its process ended with status {self._process.returncode}")
        content = pickle.loads(answer)
        if isinstance(content, str):
            raise BuildError(content)
        return content

    def tell_to_end(self) -> None:
        """Have the process end. A thread that waits for it is told so."""
        self._process.terminate()

    def end(self) -> None:
        """Wait until the process has ended, which was told to."""
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def close(self) -> None:
        """Close the ends of its pipes, when no thread uses them."""
        for file in (self._process.stdin, self._process.stdout, self._said):
            try:
                file.close()  # type: ignore[union-attr]
            except BrokenPipeError:  # something was not sent
                pass


class Builders:
    """As many of them as are needed at a time, until `stop` and `close`."""

    def __init__(self, site: Path):
        self.site = site
        self.stopped = False
        self._all: list[Builder] = []
        self._idle: list[Builder] = []
        self._lock = threading.Lock()

    def build(self, part: Any, lock: Path | None) -> bytes:
        """The same as `Builder.build`, by one that has nothing to do, or another."""
        with self._lock:
            if self.stopped:
                raise BuildError("its process was ended")
            if not self._idle:
                self._idle.append(Builder(self.site))
                self._all.append(self._idle[-1])
            builder = self._idle.pop()
        content = builder.build(part, lock)
        with self._lock:
            self._idle.append(builder)
        return content

    def stop(self) -> None:
        """End them all."""
        with self._lock:
            self.stopped = True
        for builder in self._all:
            builder.tell_to_end()
        for builder in self._all:
            builder.end()

    def close(self) -> None:
        """Close what they leave open, when no thread uses it."""
        for builder in self._all:
            builder.close()
