"""The test option --op, which limits the table tests to one op."""

import subprocess
import sys
from pathlib import Path

import dynet_ops  # noqa: F401  (fills OPS)
from dynet_core.op import OPS

TABLE = Path(__file__).parent / "test_table.py"


def collected(*arguments):
    command = [sys.executable, "-m", "pytest", "-q", "--collect-only", "-p", "no:cacheprovider", str(TABLE), *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=TABLE.parents[3])


def test_only_the_tests_of_the_op_are_collected():
    done = collected("--op", "cumsum")
    assert done.returncode == 0, done.stdout + done.stderr
    names = [line.partition("::")[2] for line in done.stdout.splitlines() if "::" in line]
    of_ops = [name for name in names if "[" in name and "test_check_op_says" not in name]
    assert len(of_ops) >= 10 * len(OPS["cumsum"].samples)
    assert all("cumsum" in name for name in of_ops)


def test_an_op_that_does_not_exist_is_refused():
    done = collected("--op", "cumsm")
    assert done.returncode == 4
    assert "there is no op 'cumsm'; the ops are " in done.stderr
