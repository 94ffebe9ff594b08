"""Helper threads: when they start, how many there are, and what they must not do."""

import os

import pytest
from training_programs import run

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


@pytest.mark.thorough
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
    """Also if an environment variable of TVM makes compiled functions keep Python's GIL."""
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
assert sharing.thread_count() == 1
print("done")
"""


def test_a_library_that_replaces_threads():
    """For example gevent, whose threads would never let others run."""
    begin = "import _thread\n_thread.start_new_thread = lambda *arguments: exit(3)\n"
    assert run(OTHER_THREADS, begin, DYNET_NUM_THREADS="1") == ["done"]


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
assert (len(starts), sharing.thread_count()) == (allowed + 1, allowed + 1)
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
