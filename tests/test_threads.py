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

done = not busy
threading.Thread(target=work, daemon=True).start()
with sharing.using(2, 0, 0):
    train(dy.GRUBuilder, dy.AdamTrainer)
    for _ in range(5):
        time.sleep(0.05)  # the other thread sleeps after about five milliseconds without work
        child = os.fork()
        if not child:
            thread = threading.Thread(target=print)
            thread.start()
            thread.join()
            sys.exit(7)
        begin = time.monotonic()
        while (status := os.waitpid(child, os.WNOHANG))[0] == 0 and time.monotonic() < begin + 60:
            time.sleep(0.01)
        if not status[0]:
            os.kill(child, 9)
            status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status[1]) == 7
    train(dy.GRUBuilder, dy.AdamTrainer)
done = True
print("done")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("busy", [False, True])
def test_children_end_that_were_forked_while_helpers_slept(busy):
    """Also while another thread of Python is busy, and if they have started threads of their own."""
    assert run(FORK_ASLEEP, f"busy = {busy}\n") == ["done"]


FORK_MORE = """
with sharing.using(3, 0, 0):
    expected = train(dy.GRUBuilder, dy.AdamTrainer)
    child = os.fork()
    if not child:
        assert sharing.threads() == 1
        with sharing.using(2, 0, 0):
            assert train(dy.GRUBuilder, dy.AdamTrainer) == expected
            assert len(os.listdir("/proc/self/task")) == 2  # the threads of BLAS are the parent's
        sys.exit(7)
    assert train(dy.GRUBuilder, dy.AdamTrainer) == expected
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
print("done")
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="reads /proc")
def test_a_child_can_have_threads_of_its_own():
    assert run(FORK_MORE) == ["done"]


CHANGES = """
model = dy.ParameterCollection()
W = model.parameters_from_numpy(np.random.default_rng(1).normal(size=(50, 50)).astype(np.float32) / 8)

def value(depth):  # another depth than before, so that the graph is planned anew
    dy.renew_cg()
    h = dy.inputTensor(np.ones((50, 9), np.float32), batched=True)
    for _ in range(depth):
        h = dy.tanh(W * h)
    return dy.sum_batches(dy.squared_norm(h)).value()

expected = [value(depth) for depth in range(3)]
for turn in range(4000):
    with sharing.using((8, 8, 2, 5, 2)[turn % 5], 0, 0):
        assert value(turn % 3) == expected[turn % 3]
print("done")
"""


def test_the_number_of_threads_may_change_from_pass_to_pass():
    assert run(CHANGES) == ["done"]


COMPUTES_WHILE_STARTING = """
real = sharing._start_thread

def start(*arguments):
    sharing._start_thread = real
    found.append(train(dy.GRUBuilder, dy.AdamTrainer))  # as a signal handler may
    return real(*arguments)

found, before = [train(dy.GRUBuilder, dy.AdamTrainer)], len(os.listdir("/proc/self/task"))
sharing._start_thread = start
sharing.use(4, 0, 0)
try:
    train(dy.GRUBuilder, dy.AdamTrainer)
    sys.exit("the handler has renewed the graph, and the program did not notice")
except dy.StaleExpressionError:
    pass
found += [train(dy.GRUBuilder, dy.AdamTrainer), train(dy.GRUBuilder, dy.AdamTrainer)]
assert sharing._start_thread is real
assert len(set(found)) == 1 and len(found) == 4
assert len(os.listdir("/proc/self/task")) == before + 3
print("done")
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="reads /proc")
def test_a_handler_that_computes_while_threads_start():
    assert run(COMPUTES_WHILE_STARTING, DYNET_NUM_THREADS="1") == ["done"]


TWICE = """
expected, before = train(dy.GRUBuilder, dy.AdamTrainer), len(os.listdir("/proc/self/task"))
sharing.use(3, 0, 0)
for _ in range(3):
    assert train(dy.GRUBuilder, dy.AdamTrainer) == expected
assert len(os.listdir("/proc/self/task")) == before + 2
print("done")
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="reads /proc")
@pytest.mark.parametrize("keeps_gil", ["0", "1"])
def test_threads_start_when_they_are_wanted(keeps_gil):
    """Also where an environment variable of TVM asks that compiled functions keep Python's GIL."""
    assert run(TWICE, DYNET_NUM_THREADS="1", TVM_FFI_RELEASE_GIL_BY_DEFAULT=keeps_gil) == ["done"]


@pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="reads /proc")
def test_small_stacks_of_threads():
    small = "import threading\nthreading.stack_size(1 << 16)\n"
    assert run(TWICE + "assert threading.stack_size() == 1 << 16", small, DYNET_NUM_THREADS="1") == ["done"]


SIGNALS = """
import signal
with sharing.using(3, 0, 0):
    train(dy.GRUBuilder, dy.AdamTrainer)
    for task in os.listdir("/proc/self/task"):
        with open(f"/proc/self/task/{task}/status") as status:
            (blocked,) = (line.split()[1] for line in status if line.startswith("SigBlk:"))
        print(int(blocked, 16) >> signal.SIGTERM - 1 & 1)
assert signal.SIGTERM not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="reads /proc")
def test_helpers_do_not_take_the_signals_of_a_program():
    alone = run(SIGNALS.replace("using(3", "using(1"), DYNET_NUM_THREADS="1")
    assert sorted(run(SIGNALS, DYNET_NUM_THREADS="1")) == sorted([*alone, "1", "1"])


OTHER_THREADS = """
expected = train(dy.GRUBuilder, dy.AdamTrainer)
assert sharing._start_thread is None
sharing.use(3, 0, 0)
assert train(dy.GRUBuilder, dy.AdamTrainer) == expected
assert train(dy.GRUBuilder, dy.AdamTrainer) == expected
assert sharing.threads() == 1
print("done")
"""


def test_a_library_that_replaces_threads():
    """As gevent does: what it starts would never let others run."""
    begin = "import _thread\n_thread.start_new_thread = lambda *arguments: exit(3)\n"
    assert run(OTHER_THREADS, begin, DYNET_NUM_THREADS="1") == ["done"]


FORK_WHILE_LOCKED = """
from dynet_core import device

def hold():
    with device._lock:
        held.set()
        done.wait()

held, done = threading.Event(), threading.Event()
thread = threading.Thread(target=hold)
thread.start()
held.wait()
child = os.fork()
if not child:
    train(dy.GRUBuilder, dy.AdamTrainer)
    os._exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
done.set()
thread.join()
print("done")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_while_another_thread_loads_kernels():
    assert run(FORK_WHILE_LOCKED) == ["done"]


PROFILE = """
with sharing.using(3, 0, 0):
    expected = train(dy.GRUBuilder, dy.AdamTrainer)
    for _ in range(5):
        with dy.profile() as times:
            assert train(dy.GRUBuilder, dy.AdamTrainer) == expected
print(sorted(times.phases)[0])
"""


def test_a_profile_of_threads():
    assert run(PROFILE) == ["backward:", "plan"]


DRAWS = """
sharing.use(threads, 0, 0)
dy.reset_random_seed(3)
values = []
for _ in range(4):
    dy.renew_cg()
    x = dy.dropout(dy.inputTensor(np.ones((30, 9), np.float32), batched=True), 0.5)
    y = dy.sum_batches(dy.squared_norm(x * 2.0))
    values += [y.value(), y.value(recalculate=True), y.value(True)]
print(*values)
"""


def test_threads_draw_the_same_numbers():
    found = [run(DRAWS, f"threads = {threads}\n", DYNET_NUM_THREADS="1") for threads in (1, 2, 4)]
    assert found[0] == found[1] == found[2] and len(set(found[0])) > 6


NO_THREADS = """
starts, real = [], sharing._start_thread

def start(*arguments):
    starts.append(arguments)
    if len(starts) > allowed:
        raise RuntimeError("can't start new thread")
    return real(*arguments)

expected = train(dy.GRUBuilder, dy.AdamTrainer)
sharing._start_thread = start
sharing.use(4, 0, 0)
assert train(dy.GRUBuilder, dy.AdamTrainer) == expected
assert (len(starts), sharing.threads()) == (allowed + 1, allowed + 1)
print("done")
"""


@pytest.mark.parametrize("allowed", [0, 2])
def test_a_system_without_threads(allowed):
    assert run(NO_THREADS, f"allowed = {allowed}\n", DYNET_NUM_THREADS="1") == ["done"]


INTERRUPTED = """
real = sharing._start_thread

def start(*arguments):
    sharing._start_thread = real
    real(*arguments)
    raise KeyboardInterrupt

expected = train(dy.GRUBuilder, dy.AdamTrainer)
sharing._start_thread = start
sharing.use(3, 0, 0)
try:
    train(dy.GRUBuilder, dy.AdamTrainer)
    sys.exit("no interrupt")
except KeyboardInterrupt:
    pass
assert train(dy.GRUBuilder, dy.AdamTrainer) == expected
print("done")
"""


def test_an_interrupt_while_a_thread_starts():
    assert run(INTERRUPTED, DYNET_NUM_THREADS="1") == ["done"]


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
