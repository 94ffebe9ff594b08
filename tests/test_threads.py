"""Threads share the work of whole programs: nothing but the time changes, whatever else a program does."""

import os
import subprocess
import sys

import pytest

from dynet_kernels import sharing

TRAIN = """
import hashlib
import os
import sys
import threading
import time
import numpy as np
import dynet as dy
from dynet_kernels import sharing

def train(builder, trainer, width=40, steps=3):
    dy.reset_random_seed(5)
    draw = np.random.default_rng(2)
    model = dy.ParameterCollection()
    E, W = model.add_lookup_parameters((60, 24)), model.add_parameters((7, 2 * width))
    V, b = model.add_parameters((2 * width, width)), model.add_parameters(2 * width)
    rnn = builder(2, 24, width, model)
    trainer = trainer(model)
    for _ in range(steps):
        dy.renew_cg()
        losses = []
        for _ in range(6):
            words = draw.integers(0, 60, draw.integers(2, 9)).tolist()
            for word, h in zip(words, rnn.initial_state().transduce([E[word] for word in words])):
                wide = dy.rectify(dy.affine_transform([b, V, dy.dropout(h, 0.2)]))
                losses.append(dy.pickneglogsoftmax(W * wide, word % 7))
        dy.esum(losses).backward()
        trainer.update()
    values = [p.as_array() for p in (*model.parameters_list(), *model.lookup_parameters_list())]
    assert all(np.isfinite(value).all() for value in values)
    return hashlib.sha256(b"".join(value.tobytes() for value in values)).hexdigest()
"""


def run(program, begin="", **environment):
    """What a program prints, after `begin` and TRAIN, in its own process; a number of `cores` is what it may use."""
    if cores := environment.pop("cores", None):
        begin += f"import os\nos.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:{cores}])\n"
    clean = {k: v for k, v in os.environ.items() if k not in ("DYNET_NUM_THREADS", "OMP_NUM_THREADS")}
    environment = {**clean, "DYNET_LSTM_BUILDER": "vanilla", **environment}
    command = [sys.executable, "-W", "error", "-c", begin + TRAIN + program]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


SAME = """
for builder in (dy.SimpleRNNBuilder, dy.GRUBuilder, dy.VanillaLSTMBuilder, dy.CoupledLSTMBuilder, dy.FastLSTMBuilder):
    for trainer in (dy.SimpleSGDTrainer, dy.AdamTrainer):
        found = set()
        for threads in (1, 2, 3):
            with sharing.using(threads, 0, 0):
                found.add(train(builder, trainer))
        assert len(found) == 1, (builder, trainer)
print("same")
"""


def test_training_is_the_same_to_the_last_bit():
    assert run(SAME) == ["same"]


def test_training_is_the_same_without_a_linker_or_compiler():
    assert run(SAME.replace("(dy.SimpleSGDTrainer, dy.AdamTrainer)", "(dy.AdamTrainer,)"), PATH="") == ["same"]


FORK = """
with sharing.using(2, 0, 0):
    expected = train(dy.GRUBuilder, dy.AdamTrainer)
    assert len(os.listdir("/proc/self/task")) > 1
    child = os.fork()
    if not child:
        assert sharing.threads() == 1
        assert train(dy.GRUBuilder, dy.AdamTrainer) == expected
        sys.exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert train(dy.GRUBuilder, dy.AdamTrainer) == expected
print("done")
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="reads /proc")
def test_a_forked_child_goes_on_and_ends():
    assert run(FORK) == ["done"]


FORK_ASLEEP = """
def work():
    while not done:
        pass

done, ended = not busy, 0
threading.Thread(target=work, daemon=True).start()
with sharing.using(2, 0, 0):
    train(dy.GRUBuilder, dy.AdamTrainer)
    for _ in range(5):
        time.sleep(0.05)  # the other thread sleeps after about five milliseconds without work
        child = os.fork()
        if not child:
            sys.exit(7)
        begin = time.monotonic()
        while (status := os.waitpid(child, os.WNOHANG))[0] == 0 and time.monotonic() < begin + 10:
            time.sleep(0.01)
        if status[0]:
            assert os.waitstatus_to_exitcode(status[1]) == 7
            ended += 1
        else:
            os.kill(child, 9)
            os.waitpid(child, 0)
done = True
print(ended)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("busy", [False, True])
def test_children_end_that_were_forked_while_helpers_slept(busy):
    """Also while another thread of Python is busy.

    Most of them: on a busy machine, a helper may sleep again before the fork. Without the call that wakes it, all hang.
    """
    (ended,) = run(FORK_ASLEEP, f"busy = {busy}\n")
    assert int(ended) >= 3


FORK_MORE = """
with sharing.using(2, 0, 0):
    expected = train(dy.GRUBuilder, dy.AdamTrainer)
    child = os.fork()
    if not child:
        sharing.use(2, 0, 0)
        with sharing.using(2, 0, 0):
            assert sharing.threads() == 1
            assert train(dy.GRUBuilder, dy.AdamTrainer) == expected
        assert sharing.threads() == 1
        os._exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
print("done")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_cannot_ask_for_threads_that_it_does_not_have():
    assert run(FORK_MORE) == ["done"]


THREADS = """
with sharing.using(2, 0, 0):
    model = dy.ParameterCollection()
    W = model.parameters_from_numpy(np.random.default_rng(1).normal(size=(50, 50)).astype(np.float32) / 8)

    def values(seed):
        draw, found = np.random.default_rng(seed), []
        for _ in range(20):
            dy.renew_cg()
            h = dy.inputTensor(draw.normal(size=(50, 9)).astype(np.float32), batched=True)
            for _ in range(5):
                h = dy.tanh(W * h)
            found.append(dy.sum_batches(dy.squared_norm(h)).value())
        return found

    expected = [values(seed) for seed in range(5)]
    before = len(os.listdir("/proc/self/task"))
    got = {}
    threads = [threading.Thread(target=lambda seed=seed: got.update({seed: values(seed)})) for seed in range(1, 5)]
    for thread in threads:
        thread.start()
    got[0] = values(0)
    for thread in threads:
        thread.join()
    assert [got[seed] for seed in range(5)] == expected
    for _ in range(500):  # a thread that has been joined may still be listed
        if len(os.listdir("/proc/self/task")) == before:
            break
        time.sleep(0.01)
    else:
        sys.exit("threads are left")
print("done")
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="reads /proc")
def test_graphs_of_several_threads_of_python():
    assert run(THREADS) == ["done"]


on_linux = pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="sets which cores a process may use")


@on_linux
def test_a_process_on_one_core_has_one_thread():
    assert run("print(sharing.threads())", cores=1) == ["1"]


@on_linux
def test_the_environment_and_the_command_line_have_their_say():
    several = min(len(os.sched_getaffinity(0)), sharing.MOST, sharing._quota())
    assert run("print(sharing.threads())", DYNET_NUM_THREADS="1") == ["1"]
    assert run("print(sharing.threads())", OMP_NUM_THREADS="1") == ["1"]
    assert run("print(sharing.threads())") == [str(several)]
    asked = "import sys\nsys.argv[1:] = ['--dynet-threads', '3']\nfrom dynet_core import config\nconfig.init()\n"
    assert run(asked + "print(sharing.threads())", OMP_NUM_THREADS="1") == ["3"]
    before = "import dynet_config\ndynet_config.set(threads=2)\n"
    assert run("print(sharing.threads())", before, OMP_NUM_THREADS="1") == ["2"]


TRAINER = """
from dynet_kernels import layout
model = dy.ParameterCollection()
W = model.add_parameters((50, 50))
trainer = dy.AdamTrainer(model)
found = []

def update():
    dy.renew_cg()
    dy.squared_norm(W * dy.inputVector([1.0] * 50)).backward()
    trainer.update()
    right = trainer._table.slots[layout.CONTEXT.sharing] == sharing.address()
    found.append((right, len(os.listdir("/proc/self/task"))))

with sharing.using(2, 0, 0):
    update()
    thread = threading.Thread(target=update)
    thread.start()
    thread.join()
    update()
assert [right for right, _ in found] == [True] * 3
assert found[1][1] == found[0][1] + 1, found  # that thread itself, and none that helps it
print("done")
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="reads /proc")
def test_a_trainer_that_another_thread_uses_shares_nothing_there():
    assert run(TRAINER) == ["done"]
