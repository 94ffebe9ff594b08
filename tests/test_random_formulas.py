"""Values and gradients of random formulas as ops, against mpmath. `stress/random_formulas.py` tries more."""

import os
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import sys
sys.path.insert(0, sys.argv[1])
from dynet_kernels import derivative
if sys.argv[2]:
    derivative.GRADIENTS[sys.argv[2]] = lambda dy, y, x: dy * 0.999
import random_formulas
sys.exit(random_formulas.main(sys.argv[3:]))
"""
STRESS = Path(__file__).parent / "stress"


def run(*arguments, wrong: str = "") -> subprocess.CompletedProcess:
    """Run the program; if a function is named, with a wrong derivative for it."""
    environment = {name: value for name, value in os.environ.items() if name != "TORCH_PYTHON"}
    command = [sys.executable, "-c", PROGRAM, str(STRESS), wrong, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900)


def test_values_and_gradients_are_right():
    done = run("--count", "5", "--seed", "5", "--reasons", "0")
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    assert done.stdout.splitlines()[-1].startswith("5 formulas"), done.stdout


def test_a_wrong_derivative_is_found():
    done = run("--only", "4", "--operands", "1", "--names", "x", wrong="sqrt")
    assert done.returncode == 1, done.stdout + done.stderr[-3000:]
    assert "OURS IS OFF" in done.stdout
