"""Ctrl-C and SIGTERM during compilation: all processes end quickly and leave nothing behind.

The normal suite tries two moments; `nox -s stress` tries ten for each signal, with a limit of one second.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

AT_LENGTH = os.environ.get("DYNET_STRESS") == "all"
SOON = 1.0 if AT_LENGTH else 10.0  # seconds, on a machine that may be busy
# In seconds. On an idle machine, the program's kernels are compiled after three seconds.
MOMENTS = [0.0, 0.2, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0] if AT_LENGTH else [1.0]
PROGRAM = "import dynet as dy; print(dy.tanh(dy.scalarInput(1.0)).value())"

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def members(session: int) -> list[int]:
    """The live processes of a session."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, number, *_ = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(number) == session and state != "Z":
            found.append(int(path.parent.name))
    return found


@pytest.fixture
def places(tmp_path):
    """A directory for the cache, and one for temporary files."""
    for name in ("cache", "temporary"):
        (tmp_path / name).mkdir(mode=0o700)
    return tmp_path / "cache", tmp_path / "temporary"


def started(places, program=PROGRAM):
    """Start a program in its own session; return when it has begun to compile."""
    cache, temporary = places
    environment = {**os.environ, "DYNET_CACHE_DIR": str(cache), "TMPDIR": str(temporary)}
    environment["DYNET_CPU"] = "native"  # compile kernels even if the package ships compiled ones
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", program],
        env=environment,
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    line = process.stderr.readline()
    assert line.startswith("dynet: compiling kernels"), line + process.communicate()[1]
    return process


def wait_until_gone(session: int) -> float:
    """How long it takes until a session has no processes left."""
    began = time.monotonic()
    while members(session) and time.monotonic() < began + 60:
        time.sleep(0.01)
    return time.monotonic() - began


def left_in(*directories: Path) -> list[str]:
    """The files other than complete kernels and the keys under which they are found."""
    files = [path for directory in directories for path in directory.rglob("*")]
    return [path.name for path in files if path.suffix not in (".o", ".key")]


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
@pytest.mark.parametrize("whole_group", [True, False] if AT_LENGTH else [False])
def test_nothing_is_left_of_what_is_interrupted(places, name, moment, whole_group):
    process = started(places)
    time.sleep(moment)
    number = getattr(signal, name)
    (os.killpg if whole_group else os.kill)(process.pid, number)
    seconds = wait_until_gone(process.pid)
    _, errors = process.communicate(timeout=60)
    print(f"{name} after {moment} s: all gone after {seconds:.2f} s")
    assert process.returncode == -number, errors
    assert seconds < SOON
    assert left_in(*places) == []


def test_what_killed_processes_leave_is_removed_by_the_next(places):
    process = started(places)
    _, temporary = places
    while not list(temporary.glob("dynet-building-*")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    abandoned = [*temporary.glob("dynet-building-*")]  # of what was compiled then, and perhaps of what came next
    assert abandoned
    process = started(places)
    assert not [folder for folder in abandoned if folder.exists()]
    os.kill(process.pid, signal.SIGTERM)
    wait_until_gone(process.pid)
    process.communicate(timeout=60)
