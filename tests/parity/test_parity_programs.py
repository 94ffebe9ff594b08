"""Parity of complete programs: both libraries reach the required quality, with the same losses."""

import re
import sys
from pathlib import Path

import pytest
from catalogue import PROGRAMS
from running import run_script

FOLDER = Path(__file__).resolve().parent / "programs"
SHARED = {"__main__", "catalogue", "toy_language", "training_report"}


@pytest.fixture(scope="module", params=PROGRAMS, ids=lambda program: program.name)
def program(request):
    return request.param


@pytest.fixture(scope="module")
def results(program, reference):
    """A program's results under each library. Warnings are errors here; -E hides this setting from the original."""
    script = FOLDER / f"{program.name}.py"
    ours = run_script([sys.executable], script, environment={**program.environment, "PYTHONWARNINGS": "error"})
    return ours, run_script(reference, script)


def test_losses(results):
    """The first loss to 1e-5. Later ones differ by rounding, which a trainer such as Adam amplifies."""
    ours, reference = [result["first losses"] for result in results]
    assert len(reference) == 10
    assert ours[0] == pytest.approx(reference[0], rel=1e-5)
    assert ours == pytest.approx(reference, rel=2e-3, abs=1e-4)


def test_what_is_learned(program, results):
    for result in results:
        assert program.is_good(result["quality"]), f"{program.measure} {result['quality']}"
    ours, reference = [result["quality"] for result in results]
    assert ours == pytest.approx(reference, abs=program.distance)


def test_no_program_is_forgotten():
    assert {program.name for program in PROGRAMS} | SHARED == {file.stem for file in FOLDER.glob("*.py")}
    table = (FOLDER.parents[2] / "docs" / "programs.md").read_text()
    assert [program.name for program in PROGRAMS] == re.findall(r"/programs/(\w+)\.py\)", table)
