"""Forked children compute and exit normally, whatever the parent's threads do."""

import os

import pytest
from training_programs import run

FORK = """
with sharing.using(2, 0, 0):
    expected = train(dy.GRUBuilder, dy.AdamTrainer)
    assert len(os.listdir("/proc/self/task")) > 1
    child = os.fork()
    if not child:
        assert sharing.thread_count() == 1
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
    """Also while another Python thread is busy, and if the children have started threads of their own."""
    assert run(FORK_ASLEEP, f"busy = {busy}\n") == ["done"]


FORK_MORE = """
with sharing.using(3, 0, 0):
    expected = train(dy.GRUBuilder, dy.AdamTrainer)
    child = os.fork()
    if not child:
        assert sharing.thread_count() == 1
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


FORK_WHILE_LOCKED = """
from dynet_core import dim
from dynet_core.compute import device, parameter_rows
from dynet_core.random import random_stream
from dynet_kernels.cache import store

def hold():
    with LOCK:
        held.set()
        done.wait()

held, done = threading.Event(), threading.Event()
thread = threading.Thread(target=hold)
thread.start()
held.wait()
child = os.fork()
if not child:
    dy.ParameterCollection().add_parameters(3)
    train(dy.GRUBuilder, dy.AdamTrainer)
    os._exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
done.set()
thread.join()
print("done")
"""


LOCKS = ["device._machines_lock", "dim._dims_lock", "parameter_rows.PARAMETER_ROWS.lock"]
LOCKS += ["random_stream._current_stream._lock", "store._linking_lock"]


@pytest.mark.few(each=2)
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("lock", LOCKS)
def test_a_fork_while_another_thread_holds_a_lock(lock):
    assert run(FORK_WHILE_LOCKED.replace("LOCK", lock)) == ["done"]
