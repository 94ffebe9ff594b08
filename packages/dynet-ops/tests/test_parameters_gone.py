"""Deleted parameters free their memory, and parameters created in their place are not mistaken for them."""

import gc
import subprocess
import sys
import threading

import numpy as np
import pytest

import dynet_ops as dy
from dynet_core import Model, ParameterCollection, renew_cg
from dynet_core.compute.parameter_rows import PARAMETER_ROWS
from dynet_core.signature import SIGNATURES


def use_a_model(value: float) -> None:
    """Use parameters in every way a graph can: whole, as a constant, one row, several rows, and the whole table."""
    model = ParameterCollection()
    W, b = model.add_parameters((3, 2), init=value), model.add_parameters(3, init=value)
    E = model.add_lookup_parameters((4, 2), init=value)
    renew_cg()
    y = dy.affine_transform([b, W, E[1]]) + W * dy.lookup(E, 2, update=False) + b.expr(False)
    z = dy.sum_batches(dy.sum_elems(dy.lookup_batch(E, [0, 3]))) + dy.sum_elems(E)
    (dy.sum_elems(y) + z).backward()
    assert y.value() == pytest.approx([2 * value + 4 * value**2] * 3)
    assert W.grad_as_array().tolist() == [[2 * value] * 2] * 3
    assert E.grad_as_array()[:, 0].tolist() == pytest.approx([2, 1 + 3 * value, 1, 2])


@pytest.mark.thorough
def test_models_that_are_gone_cost_nothing():
    for k in range(40):
        use_a_model(1 + k / 8)
        gc.collect()
    before = len(PARAMETER_ROWS.names), len(SIGNATURES)
    for k in range(400):
        use_a_model(1 + k / 64)
        if k % 20 == 0:
            gc.collect()
    gc.collect()
    rows, signatures = len(PARAMETER_ROWS.names) - before[0], len(SIGNATURES) - before[1]
    assert rows < 20 * 8 and signatures < 20 * 12, "no more than for the models that were not collected yet"


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_does_not_grow_with_ten_thousand_models():
    program = """
import gc
import dynet_ops as dy
from dynet_core import Model, renew_cg

def memory():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4

def use(count):
    for k in range(count):
        model = Model()
        W, E = model.add_parameters((8, 8), init=0.5), model.add_lookup_parameters((10, 8), init=0.5)
        renew_cg()
        dy.sum_elems(dy.tanh(W * E[k % 10])).backward()

use(1000)
before = memory()
use(10_000)
print(memory() - before)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 1000, "KiB; each model has 1.5"


def test_a_graph_goes_on_with_parameters_that_are_gone():
    renew_cg()
    p = Model().parameters_from_numpy([1.0, 2.0])
    T = Model().lookup_parameters_from_numpy([[5.0, 6.0]])
    row, x = p._storage.row, dy.inputVector([1.0, 1.0])
    y = dy.cmult(p, x) + T[0]
    assert y.value() == [6, 8]
    del p, T
    gc.collect()
    others = [Model().parameters_from_numpy([100.0, 200.0]) for _ in range(20)]
    tables = [Model().lookup_parameters_from_numpy([[7.0, 7.0]]) for _ in range(20)]
    assert row not in [other._storage.row for other in others]
    assert y.value(recalculate=True) == [6, 8]
    dy.sum_elems(y).backward()
    assert not any(other.grad_as_array().any() for other in [*others, *tables])
    renew_cg()
    gc.collect()
    more = [Model().parameters_from_numpy([1.0, 2.0]) for _ in range(2 + len(PARAMETER_ROWS.free_rows))]
    assert row in [other._storage.row for other in more]


def test_the_graph_of_another_thread_goes_on_too():
    p = Model().parameters_from_numpy([1.0, 2.0])
    row = p._storage.row
    steps, results = [threading.Event() for _ in range(2)], []

    def train(p):
        renew_cg()
        y = p * 2.0
        results.append(y.value())
        del p
        steps[0].set()
        steps[1].wait(60)
        results.append(y.value(recalculate=True))
        renew_cg()

    holder = [p]
    thread = threading.Thread(target=lambda: train(holder.pop()))
    thread.start()
    steps[0].wait(60)
    renew_cg()
    del p
    gc.collect()
    others = [Model().parameters_from_numpy([100.0, 200.0]) for _ in range(2 + len(PARAMETER_ROWS.free_rows))]
    assert row not in [other._storage.row for other in others]
    steps[1].set()
    thread.join()
    assert results == [[2, 4], [2, 4]]


def test_parameters_of_one_shape_are_told_apart():
    """Each parameter has its own Dims, which identify it in signatures; they are released in any order."""
    choose = np.random.default_rng(1)
    alive = []
    for _ in range(200):
        renew_cg()
        for k in sorted(choose.choice(len(alive), len(alive) // 2, replace=False), reverse=True) if alive else []:
            del alive[k]
        alive += [Model().parameters_from_numpy(choose.standard_normal((2, 2))) for _ in range(3)]
        assert len({id(p.type) for p in alive}) == len({p._storage.row for p in alive}) == len(alive)
        x = dy.inputVector([1.0, -1.0])
        products = [p * x for p in alive]
        dy.sum_elems(dy.esum([dy.cmult(y, dy.constant((2,), k + 1)) for k, y in enumerate(products)])).backward()
        for k, (p, y) in enumerate(zip(alive, products)):
            np.testing.assert_allclose(y.npvalue(), p.as_array() @ [1, -1], rtol=1e-5, atol=1e-6)
            assert p.grad_as_array().tolist() == [[k + 1, -(k + 1)]] * 2
            p.scale_gradient(0)
