"""Shared parameters: forked workers train one model together, without locks (Hogwild)."""

import os
import subprocess
import sys

import pytest

PROGRAM = """
import os, sys
import _dynet as dy

params = dy.DynetParams()
params.set_random_seed(1)
params.set_shared_parameters(sys.argv[1] == "shared")
params.init() if sys.argv[1] == "own" else dy.init_from_params(params)
import dynet as dy

model = dy.ParameterCollection()
W, E = model.add_parameters((1, 2), init=0), model.add_lookup_parameters((2, 1), init=0)
trainer = dy.SimpleSGDTrainer(model, 0.1)

def loss(which):
    # Worker 0 sees one feature and row, worker 1 the other: only both together learn everything.
    dy.renew_cg()
    x = dy.inputVector([1.0 - which, float(which)])
    return dy.square(W * x + E[which] - (2.0 + which))

children = []
for which in range(2):
    child = os.fork()
    if not child:
        for _ in range(200):
            loss(which).backward()
            trainer.update()
        os._exit(0 if abs(loss(which).value()) < 1e-3 else 1)
    children.append(child)
assert [os.waitpid(child, 0)[1] for child in children] == [0, 0]
print(*[round(loss(which).value(), 3) for which in range(2)], *W.as_array().round(1).tolist())
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("memory, result", [("shared", "0.0 0.0 [1.0, 1.5]"), ("own", "4.0 9.0 [0.0, 0.0]")])
def test_two_processes_train_one_model(memory, result):
    command = [sys.executable, "-c", PROGRAM, memory]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == result
