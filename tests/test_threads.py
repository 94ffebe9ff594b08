"""Threads share the work of complete programs: only the running time changes, whatever else a program does."""

import os

import pytest
from training_programs import run

from dynet_kernels.machine import sharing

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


WITHOUT_TVM = """
import pathlib, sys
with sharing.using(2, 0, 0):
    train(dy.GRUBuilder, dy.AdamTrainer)
maps = pathlib.Path("/proc/self/maps")
print("tvm" in sys.modules, "libtvm_runtime" in (maps.read_text() if maps.exists() else ""))
"""


def test_threads_need_nothing_of_tvm():
    run(WITHOUT_TVM)  # compiles missing kernels
    assert run(WITHOUT_TVM) == ["False", "False"]


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


SET = """
sharing.use(2, 0, 0)  # the first pass finds no helpers: Python starts them before another one
x, y = dy.scalarInput(1), dy.vecInput(2)
x.set(1), y.set([1, 1])
total = dy.sum_elems(x * y)
print(total.value())
for number in (2, 3, 4):
    if way == "number":
        x.set(number)
    elif way == "list":
        y.set([number, number])
    else:
        y.set(np.full(2, number, np.float32))
    print(total.value())
"""


@pytest.mark.parametrize("way", ["number", "list", "array"])
def test_new_inputs_count_before_there_are_helpers(way):
    assert run(SET, f"way = {way!r}\n") == ["2.0", "4.0", "6.0", "8.0"]


on_linux = pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="sets which cores a process may use")


@on_linux
def test_a_process_on_one_core_has_one_thread():
    assert run("print(sharing.thread_count())", cores=1) == ["1"]


@on_linux
def test_the_environment_and_the_command_line_have_their_say():
    several = min(len(os.sched_getaffinity(0)), sharing.MOST_DEFAULT_THREADS, sharing._quota_cores())
    assert run("print(sharing.thread_count())", DYNET_NUM_THREADS="1") == ["1"]
    assert run("print(sharing.thread_count())", OMP_NUM_THREADS="1") == ["1"]
    assert run("print(sharing.thread_count())") == [str(several)]
    asked = "import sys\nsys.argv[1:] = ['--dynet-threads', '3']\nfrom dynet_core import config\nconfig.init()\n"
    assert run(asked + "print(sharing.thread_count())", OMP_NUM_THREADS="1") == ["3"]
    before = "import dynet_config\ndynet_config.set(threads=2)\n"
    assert run("print(sharing.thread_count())", before, OMP_NUM_THREADS="1") == ["2"]


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
    right = trainer._table.context_view[layout.CONTEXT.sharing] == sharing.address()
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
