"""A signal handler renews or reverts the graph while a node is being recorded."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

STEP = "1" if os.environ.get("DYNET_STRESS") == "all" else "31"  # step between the lines that are tried
PROGRAMS = (
    "tanh", "add", "number", "esum", "concatenate", "average", "pick", "pickneglogsoftmax", "slice", "reshape",
    "softmax", "inputVector", "lookup", "lookup_batch", "add_input", "value", "backward", "revert", "transduce",
)  # fmt: skip


@pytest.mark.few(each=5)
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize(
    "handler, program",
    [
        *[("renew_cg", program) for program in PROGRAMS],
        *[("cg_revert", program) for program in PROGRAMS],
        *[("compute", program) for program in ("add", "value", "backward", "revert")],
    ],
)
def test_what_was_being_recorded_is_right_or_refused(handler, program):
    command = [sys.executable, "-W", "error", str(Path(__file__).with_name("renewed.py")), handler, program, STEP]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1800)
    report = done.stdout + done.stderr[-3000:]
    assert done.returncode == 0, report
    counts = dict(item.split("=") for item in done.stdout.split())
    assert int(counts["trials"]) > 1, report
    assert (counts["wrong"], counts["deaths"]) == ("0", "0"), report
