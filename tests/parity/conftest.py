"""Runs the scripts beside this file under real DyNet and under this interpreter's `dynet`."""

import functools
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parent / "scripts"
sys.path.insert(0, str(SCRIPTS))


@dataclass(frozen=True)
class Results:
    """What a script reported under each library."""

    ours: dict
    reference: dict


def run_script(python: list[str], script: str, arguments: tuple[str, ...]) -> dict:
    """The JSON object that the script prints on a line of its own; DyNet 2.1 prints remarks around it."""
    result = subprocess.run(
        [*python, str(SCRIPTS / script), *arguments],
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=600,
    )
    if result.returncode:
        pytest.fail(f"{script} under {python[0]} ended with {result.returncode}:\n{result.stderr}", pytrace=False)
    return json.loads(next(line for line in reversed(result.stdout.splitlines()) if line.startswith("{")))


@pytest.fixture(scope="session")
def reference():
    """The command that runs real DyNet's Python; -E, lest PYTHONPATH lead it to our `dynet`."""
    python = os.environ.get("DYNET_REFERENCE_PYTHON")
    if not python:
        pytest.skip("DYNET_REFERENCE_PYTHON names no Python with real DyNet; `nox -s parity` sets it")
    return [python, "-E"]


@pytest.fixture(scope="session")
def run(reference):
    """Runs a script under one library: run("ours", "script.py", ...) or run("reference", ...)."""
    commands = {"ours": [sys.executable], "reference": reference}

    def run_one(library: str, script: str, *arguments: str) -> dict:
        return run_script(commands[library], script, arguments)

    return run_one


@pytest.fixture(scope="session")
def both(run):
    """Runs a script under both libraries, each only once for the same arguments."""

    @functools.cache
    def run_both(script: str, *arguments: str) -> Results:
        return Results(run("ours", script, *arguments), run("reference", script, *arguments))

    return run_both


@pytest.fixture(scope="session")
def assert_close():
    """Compares nested dictionaries and lists: structure exactly, numbers within the tolerances."""

    def compare(ours, reference, rtol: float = 1e-5, atol: float = 1e-6, path: str = "") -> None:
        if isinstance(reference, dict):
            assert isinstance(ours, dict) and ours.keys() == reference.keys(), f"{path}: {ours}, not {reference}"
            for key in reference:
                compare(ours[key], reference[key], rtol, atol, f"{path}.{key}" if path else key)
        elif isinstance(reference, list):
            assert isinstance(ours, list) and len(ours) == len(reference), f"{path}: {ours}, not {reference}"
            for index, (mine, theirs) in enumerate(zip(ours, reference, strict=True)):
                compare(mine, theirs, rtol, atol, f"{path}[{index}]")
        elif isinstance(reference, float):
            assert ours == pytest.approx(reference, rel=rtol, abs=atol, nan_ok=True), path
        else:
            assert ours == reference, path

    return compare
