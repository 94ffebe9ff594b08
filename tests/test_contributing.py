"""The examples of CONTRIBUTING.md, which add ops, run unchanged in a separate process."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def run_examples(file):
    command = [sys.executable, "-m", "doctest", str(file)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)


def test_examples_of_contributing():
    done = run_examples(ROOT / "CONTRIBUTING.md")
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("right", "wrong", "op"),
    [
        ("f.less(x, 0), -dy, dy)", "f.less(x, 0), -dy, 2 * dy)", "one_norm"),
        pytest.param("f.less(x, 0), -dy, dy)", "f.less(x, 0), -1, 1)", "one_norm", marks=pytest.mark.thorough),
    ],
)
def test_a_wrong_gradient_of_an_example_is_caught(right, wrong, op, tmp_path):
    assert TEXT.count(right) == 1
    file = tmp_path / "examples.md"
    file.write_text(TEXT.replace(right, wrong), encoding="utf-8")
    done = run_examples(file)
    assert done.returncode
    assert done.stdout.count("\nFailed example:") == 2, done.stdout  # one_norm and one_norm_dim, with equal formulas
    assert f"{op} of Sample" in done.stdout
    assert "gradient is off" in done.stdout
