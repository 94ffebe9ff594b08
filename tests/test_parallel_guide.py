"""The code of docs/parallel.md runs, in one process."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from dynet_kernels.cache import store

TEXT = (Path(__file__).parents[1] / "docs" / "parallel.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)
PROGRAM = "\n".join(code for language, code in BLOCKS if language == "python")
SHELL = [code for language, code in BLOCKS if language == "bash"]
LAUNCHER = """#!/bin/sh
# Starts one process, whatever the options say.
while [ "$1" != python ]; do shift; done
exec "$@"
"""


@pytest.fixture
def folder(tmp_path):
    """A folder with the program, and launchers that start one process."""
    (tmp_path / "train.py").write_text(PROGRAM, "utf-8")
    (tmp_path / "bin").mkdir()
    for name in ("mpiexec", "mpirun", "srun"):
        (tmp_path / "bin" / name).write_text(LAUNCHER)
        (tmp_path / "bin" / name).chmod(0o755)
    (tmp_path / "bin" / "python").symlink_to(sys.executable)
    activate = tmp_path / "environment" / "bin" / "activate"
    activate.parent.mkdir(parents=True)
    activate.write_text("")
    return tmp_path


def run(folder, *command):
    known = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "USER": "somebody"}
    known |= {"PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}", "HOME": str(folder)}
    known["DYNET_CACHE_DIR"] = str(store.cache_directory())  # otherwise it would depend on HOME
    done = subprocess.run(command, cwd=folder, env=known, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_the_program_learns_and_goes_on_from_its_checkpoint(folder):
    losses = [float(line.split()[-1]) for line in run(folder, sys.executable, "-W", "error", "train.py")]
    assert len(losses) == 3
    assert losses[2] < losses[0]
    assert (folder / "trained.model").exists()
    assert (folder / "checkpoint").exists()
    assert len(run(folder, sys.executable, "-W", "error", "train.py")) == 3


@pytest.mark.parametrize("code", SHELL, ids=["start", "hosts", "slurm"])
def test_commands_start_the_program(folder, code):
    (folder / "commands.sh").write_text(code, "utf-8")
    starts = len(re.findall(r"python train\.py", code))
    assert len(run(folder, "bash", "-e", "commands.sh")) == 3 * starts


def test_the_job_of_kubernetes_starts_the_program(folder):
    (job,) = (code for language, code in BLOCKS if language == "yaml")
    (command,) = re.findall(r"command: \[(.*)\]", job)
    assert len(run(folder, *(word.strip('"') for word in command.split(", ")))) == 3
    ranks, slots, workers = (
        int(re.search(pattern, job)[1])
        for pattern in ('"(\\d+)"', r"slotsPerWorker: (\d+)", r"Worker:\n *replicas: (\d+)")
    )
    assert ranks == slots * workers


def test_no_code_is_left_out():
    assert {language for language, _ in BLOCKS} == {"python", "text", "bash", "yaml"}
    assert len(SHELL) == 3
