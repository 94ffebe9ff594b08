"""Macros of TVMScript are read without the source of their callers, and come out the same."""

import subprocess
import sys

PROGRAM = """
import inspect, sys
import tvm
from tvm.script.parser.core.parser import ScriptMacro
from dynet_kernels import machine
macros, theirs = [], ScriptMacro._find_parser_def
def counted(*arguments, real=inspect.getouterframes):
    if sys._getframe(1).f_code is theirs.__code__:
        macros.append(arguments)
    return real(*arguments)
inspect.getouterframes = counted
quick = machine.plans()["update"]
assert not macros
assert ScriptMacro._find_parser_def is theirs
del sys.modules["dynet_kernels.update_planner"], sys.modules["dynet_kernels"].update_planner
from dynet_kernels import update_planner
assert macros
tvm.ir.assert_structural_equal(quick, update_planner.plan_update)
"""


def test_planners_are_read_by_frames_alone():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
