"""Runs programs of several ranks with mpiexec. `nox -s mpi` runs these tests."""

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
PATIENCE = 300
"""Seconds after which a program that should have ended counts as one that hangs; the machine may be busy."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    lacks = [
        name for name, there in (("mpi4py", importlib.util.find_spec("mpi4py")), ("mpiexec", mpiexec())) if not there
    ]
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.mpi)
            if lacks:
                item.add_marker(pytest.mark.skip(f"there is no {' and no '.join(lacks)}"))


def mpiexec():
    """The mpiexec next to this Python, or the one on the machine's path."""
    return shutil.which("mpiexec", path=str(Path(sys.executable).parent)) or shutil.which("mpiexec")


class Done:
    """The outcome of a program: its return code, stdout, stderr, and end time."""

    def __init__(self, code, out, err):
        self.code, self.out, self.err, self.time = code, out, err, time.time()


@pytest.fixture(scope="session")
def run():
    """Run a script of this folder with this many ranks and wait; optionally send mpiexec a signal meanwhile."""

    def start(ranks, script, *arguments, interrupt=None, **environment):
        command = [sys.executable, "-W", "error", str(HERE / script), *map(str, arguments)]
        if ranks > 1:
            command = [mpiexec(), "-n", str(ranks), *command]
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
            start_new_session=True,
        )
        try:
            if interrupt:
                end = time.monotonic() + PATIENCE
                while process.poll() is None and time.monotonic() < end and not interrupt():
                    time.sleep(0.05)
                process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=PATIENCE)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
        return Done(process.returncode, out, err)

    return start
