"""Runs the scripts in this folder under both the original DyNet and this interpreter's `dynet`."""

import functools
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
SCRIPTS = HERE / "scripts"
sys.path[:0] = [str(SCRIPTS), str(HERE), str(HERE / "programs")]

from running import ScriptFailed, run_script  # noqa: E402


@dataclass(frozen=True)
class Results:
    """The results that a script reported under each library."""

    ours: dict
    reference: dict


@pytest.fixture(scope="session")
def reference():
    """The command that runs the original DyNet's Python; -E keeps PYTHONPATH from leading it to our `dynet`."""
    python = os.environ.get("DYNET_REFERENCE_PYTHON")
    if not python:
        pytest.skip("DYNET_REFERENCE_PYTHON names no Python with real DyNet; `nox -s parity` sets it")
    return [python, "-E"]


@pytest.fixture(scope="session")
def run(reference):
    """Runs a script under one library: run("ours", "script.py", ...) or run("reference", ...)."""
    commands = {"ours": [sys.executable], "reference": reference}

    def run_one(library: str, script: str, *arguments: str) -> dict:
        try:
            return run_script(commands[library], SCRIPTS / script, arguments)
        except ScriptFailed as error:
            pytest.fail(str(error), pytrace=False)

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
