"""A kernel that cannot be compiled: only graphs that need it fail, nothing is half done, and it works once fixed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

BEGIN = """
import sys, threading
from pathlib import Path
import numpy as np
import dynet as dy
from broken_kernels import break_kernel
from dynet_kernels import formula as f
from dynet_kernels.families.fill import Fill
from dynet_kernels.machine.library import CompileError
from dynet_kernels.table import KERNELS
from dynet_ops.kinds import elementwise

mended = Path(sys.argv[1])
model = dy.ParameterCollection()
p = model.parameters_from_numpy(np.array([1.0, 2.0]))
table = model.lookup_parameters_from_numpy(np.eye(2))

def fails(work, names):
    try:
        work()
    except CompileError as error:
        assert f"compiling {names} failed" in str(error) and f"there is no {mended.name}" in str(error), error
    else:
        sys.exit("not refused")

def step():
    "A step of training, which has no broken kernel."
    dy.renew_cg()
    other = dy.ParameterCollection()
    q = other.parameters_from_numpy(np.array([1.0, 2.0]))
    dy.sum_elems(dy.tanh(q)).backward()
    dy.SimpleSGDTrainer(other, 0.5).update()
    np.testing.assert_allclose(q.as_array(), [1, 2] - 0.5 * (1 - np.tanh([1, 2]) ** 2), rtol=1e-6)
    dy.renew_cg()
"""
FORWARD = """
@elementwise(reference=lambda x: x * x + 7)
def broken(x: dy.Expression) -> dy.Expression:
    return x * x + 7.0

break_kernel("broken", mended)
x = dy.inputVector([1.0, 2.0])
y = dy.cmult(p, x)
loss = dy.sum_elems(y)
assert loss.value() == 5.0
z = broken(y)
later = dy.tanh(y)
for _ in range(2):
    fails(z.value, "broken, broken.dx")
    fails(later.value, "broken, broken.dx")
    fails(dy.sum_elems(z).backward, "broken, broken.dx")
assert (y.value(), loss.value()) == ([1.0, 4.0], 5.0)  # computed before
loss.backward()
np.testing.assert_array_equal(p.grad_as_array(), [1, 2])
step()

def other():
    step()
    fails(broken(dy.inputVector([1.0])).value, "broken, broken.dx")
    dy.renew_cg()
    step()

thread = threading.Thread(target=other)
thread.start()
thread.join()
step()
dy.erf(dy.inputVector([1.0])).value()  # another op, for the first time
old = broken

@elementwise(reference=lambda x: x * x + 8)
def broken(x: dy.Expression) -> dy.Expression:
    return x * x + 8.0

assert broken(dy.inputVector([1.0])).value() == 9.0
x = dy.inputVector([1.0, 2.0])
z = old(x)
fails(z.value, "broken, broken.dx")
mended.touch()
assert z.value() == [8.0, 11.0]
dy.sum_elems(z).backward(full=True)
np.testing.assert_array_equal(x.gradient(), [2, 4])
step()
"""
BACKWARD = """
for number in range(15):  # so that the gradient's kernel is in another shard
    KERNELS.add(f"half.{number}", Fill())

@elementwise(reference=lambda x: x * x + 9)
def half(x: dy.Expression) -> dy.Expression:
    return x * x + 9.0

break_kernel("half.dx", mended)
step()
both = dy.concatenate([dy.cmult(p, p), table[1]])
loss = dy.sum_elems(dy.cmult(both, half(both)) + both)
dy.sum_elems(both).backward()  # gradients to which nothing may be added
before = np.concatenate([p.grad_as_array(), table.grad_as_array().ravel()])
for _ in range(2):
    fails(loss.backward, "half.dx")
    assert np.array_equal(before, np.concatenate([p.grad_as_array(), table.grad_as_array().ravel()]))
    try:
        both.gradient()
    except dy.GradientError:
        pass
    else:
        sys.exit("there is no gradient")
np.testing.assert_allclose(both.value(), [1, 4, 0, 1])
mended.touch()
loss.backward()
b = np.array([1.0, 4, 0, 1])
np.testing.assert_allclose(p.grad_as_array(), (3 * b**2 + 11)[:2] * [2, 4], rtol=1e-6)
np.testing.assert_allclose(table.grad_as_array(), [[0, 0], [11, 14]], rtol=1e-6)
"""
UPDATE = """
from dynet_optim import Trainer
from dynet_optim.rule import update

class Slow(Trainer):
    @update
    def rule(p, g, rate):
        return {"p": p - rate * g}

    def __init__(self, m, learning_rate=0.5, edecay=0.0):
        super().__init__(m, learning_rate, edecay)

break_kernel("update.Slow.rule", mended)
slow = Slow(model)
dy.sum_elems(p).backward()
for _ in range(2):
    fails(slow.update, "update.Slow.rule")
    np.testing.assert_array_equal(p.as_array(), [1, 2])
    np.testing.assert_array_equal(p.grad_as_array(), [1, 1])
mended.touch()
slow.update()
np.testing.assert_array_equal(p.as_array(), [0.5, 1.5])
step()
"""


@pytest.mark.few(each=3)
@pytest.mark.parametrize("program", [FORWARD, BACKWARD, UPDATE], ids=["forward", "backward", "update"])
def test_only_graphs_with_a_broken_kernel_fail(program, tmp_path):
    search = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", BEGIN + program, str(tmp_path / "mended")],
        env={**os.environ, "PYTHONPATH": search}, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


PLANNER = """
import dynet as dy
from dynet_kernels.machine import library

def refuse(*_, **__):
    raise library.CompileError("compiling the planner failed")

compile_parts, library.load_modules = library.load_modules, refuse
y = dy.tanh(dy.inputVector([1.0, 2.0]))
z = dy.inputTensor([[3.0, 4.0]])
for read in (y.value, y.npvalue, z.npvalue, lambda: dy.forward([y, z]), dy.sum_elems(y).scalar_value) * 2:
    try:
        print("not refused:", read())
    except library.CompileError:
        pass
library.load_modules = compile_parts
assert abs(y.value()[0] - 0.76159) < 1e-4 and z.value().tolist() == [[3, 4]]
"""


def test_nothing_is_read_if_nothing_can_be_planned():
    done = subprocess.run([sys.executable, "-c", PLANNER], capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr
