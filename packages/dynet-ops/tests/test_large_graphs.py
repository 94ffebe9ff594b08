"""Graphs of any size: memory use and release, threads, and forked processes."""

import os
import subprocess
import sys
import textwrap
import threading

import numpy as np
import pytest

import dynet_ops as dy
from dynet_core import Model, renew_cg
from dynet_core.graph import current

on_linux = pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="reads /proc")


def in_a_process(program, *, shell=""):
    """Run a program in a separate process and return its output; `shell` is a command to run before it."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", textwrap.dedent(program)]
    if shell:
        command = ["sh", "-c", f'{shell}; exec "$0" "$@"', *command]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_a_hundred_thousand_nodes_in_a_chain():
    renew_cg()
    p = Model().parameters_from_numpy([0.0])
    x = dy.scalarInput(1.0)
    count = 100_000
    for _ in range(count):
        x = x + p
    assert x.value() == 1.0
    x.backward()
    assert p.gradient() == count
    renew_cg()
    assert (dy.scalarInput(1.0) + p).value() == 1.0


def test_a_hundred_thousand_nodes_side_by_side():
    renew_cg()
    p = Model().parameters_from_numpy(np.ones(3))
    xs = [dy.squared_norm(p * float(k % 3)) for k in range(33_000)]
    loss = dy.esum(xs)
    assert loss.value() == 33_000 / 3 * (3 + 12)
    loss.backward()
    assert p.grad_as_array().tolist() == [2 * 33_000 / 3 * 5] * 3


def test_a_graph_that_grows_while_it_is_read():
    renew_cg()
    p = Model().parameters_from_numpy(np.ones(50))
    total, values = dy.scalarInput(0.0), []
    for k in range(2000):
        total = total + dy.pick(p * float(k), k % 50)
        values.append(total.value())
    assert values == np.cumsum(np.arange(2000, dtype=np.float32)).tolist()
    total.backward()
    assert p.grad_as_array().sum() == pytest.approx(np.arange(2000).sum())
    assert total.value(recalculate=True) == values[-1]


def test_wide_values():
    renew_cg()
    x = dy.inputVector(np.arange(1_000_000, dtype=np.float32) % 7)
    y = x
    for _ in range(6):
        y = y + x
    assert y.npvalue().sum() == pytest.approx(7 * (np.arange(1_000_000) % 7).sum())
    dy.sum_elems(y).backward(full=True)
    assert (x.gradient() == 7).all()
    renew_cg()


@on_linux
def test_memory_is_given_back():
    """After large graphs, alone or in a row, many small ones run in little memory again."""
    program = """
        import os, numpy as np, dynet_ops as dy
        from dynet_core import renew_cg

        def megabytes():
            return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6

        def graph(nodes, size):
            renew_cg()
            x = dy.inputVector(np.ones(size, np.float32))
            y = x
            for _ in range(nodes):
                y = dy.cmult(y, x)  # whose gradient has memory of its own
            loss = dy.sum_elems(y)
            loss.backward(full=True)
            return megabytes()

        small = graph(10, 10)
        for repeats in (1, 3):
            large = [graph(150, 1_000_000) for _ in range(repeats)]
            many = graph(300_000, 1)
            for _ in range(200):
                graph(10, 10)
            renew_cg()
            print(large[-1] - small, many - small, megabytes() - small)
    """
    for large, _, after in np.array(in_a_process(program), float).reshape(-1, 3):
        assert large > 1000
        assert after < 260


def test_memory_is_kept_for_graphs_of_changing_size():
    """Memory for the largest recent graph is kept, as for minibatches of short and long sentences."""
    engine, kept = current().engine, set()
    for turn in range(3):
        for columns in (60, 20, 20, 35, 20, 20, 20, 20):
            renew_cg()
            x = dy.inputVector(np.ones(500_000, np.float32))
            loss = dy.esum([dy.sum_elems(dy.exp(x)) for _ in range(columns)])
            loss.value()
            if turn:
                kept.add((len(engine.chunks), engine.chunks[0].address))
    assert len(kept) == 1
    for _ in range(200):
        renew_cg()
        dy.inputVector([1.0]).value()
    assert engine.chunks[0].floats < 20 * 500_000


def test_eight_gigabytes_of_address_space_suffice():
    program = """
        import numpy as np, dynet_ops as dy
        x = dy.inputVector(np.ones(1_000_000, np.float32))
        for _ in range(200):
            y = x * 2.0
        print(dy.sum_elems(y).value())
    """
    assert in_a_process(program, shell="ulimit -v 8000000") == ["2000000.0"]


@on_linux
def test_graphs_leave_nothing_behind():
    """Ten thousand small graphs, with everything that they may keep."""
    program = """
        import os, numpy as np, dynet_ops as dy
        from dynet_core import Model, renew_cg

        def resident():
            return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

        m = Model()
        W, E = m.add_parameters((20, 20)), m.add_lookup_parameters((100, 20))
        x = dy.inputVector

        def graph(k):
            renew_cg()
            y = dy.tanh(W * E[k % 100]) + x([0.1] * 20)
            dy.pickneglogsoftmax(dy.dropout(y, 0.5), k % 20).backward()

        for k in range(1000):
            graph(k)
        before = resident()
        for k in range(10_000):
            graph(k)
        print(resident() - before)
    """
    assert int(in_a_process(program)[0]) < 2_000_000


# Threads and processes --------------------------------------------------------------------------------------


def trained(seed, steps=40):
    """The losses of a small network in training."""
    rng = np.random.default_rng(seed)
    m = Model()
    W, b = m.parameters_from_numpy(rng.normal(size=(4, 6))), m.parameters_from_numpy(np.zeros(4))
    E = m.lookup_parameters_from_numpy(rng.normal(size=(9, 6)))
    losses = []
    for step in range(steps):
        renew_cg()
        these = [dy.pickneglogsoftmax(dy.affine_transform([b, W, dy.tanh(E[(step + k) % 9])]), k % 4) for k in range(5)]
        loss = dy.esum(these)
        losses.append(loss.value())
        loss.backward()
        for p in (W, b, E):
            p.set_value(p.as_array() - 0.1 * p.grad_as_array())
            p.scale_gradient(0.0)
    return losses


def test_two_threads_train_side_by_side():
    expected = [trained(seed) for seed in range(4)]
    assert all(sum(losses[-9:]) < sum(losses[:9]) for losses in expected)
    results, start = {}, threading.Barrier(4)

    def run(seed):
        start.wait()
        results[seed] = [trained(seed) for _ in range(3)]

    threads = [threading.Thread(target=run, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {seed: [expected[seed]] * 3 for seed in range(4)}


def test_each_thread_has_its_own_graph():
    renew_cg()
    x = dy.inputVector([1.0])
    graphs = []
    thread = threading.Thread(target=lambda: graphs.append((current(), renew_cg(), dy.inputVector([2.0]).value())))
    thread.start()
    thread.join()
    assert graphs[0][0] is not current()
    assert graphs[0][2] == 2.0
    assert (x + 1.0).value() == 2.0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_goes_on():
    program = """
        import os, warnings, dynet_ops as dy
        warnings.simplefilter("ignore")
        from dynet_core import Model, renew_cg
        p = Model().parameters_from_numpy([1.0, 2.0])
        y = dy.tanh(p)
        before = y.value()
        child = os.fork()
        z = dy.squared_norm(y * 2.0)  # goes on in both
        z.backward()
        renew_cg()
        ok = y.dim() == ((2,), 1) and dy.sum_elems(p * 3.0).value() == 9.0 and p.grad_as_array().any()
        if not child:
            os._exit(0 if ok else 1)
        print(ok, os.waitpid(child, 0)[1])
    """
    assert in_a_process(program) == ["True", "0"]
