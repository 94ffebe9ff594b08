"""Dropout and other random ops: draws depend only on the seed."""

import os
import subprocess
import sys

import numpy as np
import pytest

import dynet_ops as dy
from dynet_core import Model, cg_checkpoint, cg_revert, renew_cg, reset_random_seed
from dynet_ops.testing import value_of


def dropped(seed, count=1, size=1000, p=0.3):
    """The values of dropout nodes applied to ones."""
    renew_cg()
    reset_random_seed(seed)
    nodes = [dy.dropout(dy.constant((size,), 1.0), p) for _ in range(count)]
    return [node.npvalue() for node in nodes]


@pytest.mark.parametrize("p", [0.1, 0.3, 0.5, 0.9])
def test_how_many_are_dropped_and_how_the_rest_is_scaled(p):
    (y,) = dropped(seed=1, size=200_000, p=p)
    kept = y != 0
    assert kept.mean() == pytest.approx(1 - p, abs=5 * np.sqrt(p * (1 - p) / 200_000))
    np.testing.assert_allclose(y[kept], 1 / (1 - p), rtol=1e-6)
    assert y.mean() == pytest.approx(1, abs=0.05)


def test_elements_are_independent():
    (y,) = dropped(seed=2, size=100_000, p=0.5)
    kept = (y != 0).astype(float) - 0.5
    for distance in (1, 2, 3, 15, 16, 17, 64, 1000):
        assert abs((kept[distance:] * kept[:-distance]).mean()) < 0.005
    for width in (2, 3, 5):  # runs of every pattern are equally frequent
        codes = sum((kept[k : len(kept) - width + k + 1] > 0) * 2**k for k in range(width))
        np.testing.assert_allclose(np.bincount(codes) / len(codes), 2.0**-width, rtol=0.06)


def test_nodes_are_independent():
    first, second, third = dropped(seed=3, count=3, size=50_000, p=0.5)
    for one, other in ((first, second), (second, third), (first, third)):
        assert np.mean((one != 0) == (other != 0)) == pytest.approx(0.5, abs=0.02)


def test_seeds_decide():
    np.testing.assert_equal(dropped(seed=4, count=3), dropped(seed=4, count=3))
    assert np.mean(dropped(seed=4)[0] == dropped(seed=5)[0]) < 0.7


def test_a_graph_computed_in_parts_draws_the_same():
    expected = dropped(seed=6, count=4)
    renew_cg()
    reset_random_seed(6)
    parts = []
    for _ in range(4):
        x = dy.tanh(dy.constant((1000,), 0.5))
        parts.append(dy.dropout(dy.constant((1000,), 1.0), 0.3).npvalue())
        x.value()
    np.testing.assert_equal(parts, expected)


def test_batching_does_not_matter():
    """Nodes of equal and different shapes run together, or each in its own graph."""
    shapes = [((1000,), 1), ((1000,), 1), ((10, 100), 1), ((100,), 10), ((1000,), 1)]

    def draw(each_alone):
        reset_random_seed(7)
        renew_cg()
        nodes, values = [], []
        for dims, batch in shapes:
            nodes.append(dy.dropout(dy.ones(dims, batch), 0.4))
            if each_alone:
                values.append(value_of(nodes[-1]))
                renew_cg()
        return values if each_alone else [value_of(node) for node in nodes]

    np.testing.assert_equal(draw(True), draw(False))


def test_a_recalculation_draws_anew():
    renew_cg()
    reset_random_seed(8)
    p = Model().parameters_from_numpy(np.ones(1000))
    y = dy.dropout(p, 0.5)
    z = dy.dropout(dy.ones((1000,)), 0.5)
    masks = [x.npvalue() for x in (y, z)] + [x.npvalue(recalculate=True) for x in (y, z, y)]
    for k, mask in enumerate(masks):
        assert set(mask) == {0, 2}
        assert all((mask != other).mean() > 0.4 for other in masks[:k])
    assert y.value() == masks[-1].tolist(), "without a recalculation nothing is drawn"
    dy.sum_elems(y).backward()
    assert p.grad_as_array().tolist() == masks[-1].tolist()
    renew_cg()
    reset_random_seed(8)
    again = dy.dropout(p, 0.5), dy.dropout(dy.ones((1000,)), 0.5)
    np.testing.assert_equal([x.npvalue() for x in again], masks[:2])


def test_new_input_values_draw_anew():
    renew_cg()
    x = dy.inputVector(np.ones(1000))
    y = dy.dropout(x, 0.5)
    before = y.npvalue()
    x.set(np.full(1000, 2))
    after = y.npvalue()
    assert set(after) == {0, 4}
    assert ((before > 0) != (after > 0)).mean() > 0.4


def test_what_a_revert_takes_back_is_not_drawn_anew():
    renew_cg()
    x = dy.inputVector(np.ones(1000))
    y = dy.dropout(x, 0.5)
    cg_checkpoint()
    dy.dropout(x, 0.5).value()
    cg_revert()
    z = dy.inputVector([1.5, 2.5])
    y.value(recalculate=True)
    assert z.value() == [1.5, 2.5]


FORKS = """
import os
import numpy as np
import dynet_ops as dy
from dynet_core import renew_cg, reset_random_seed

def drawn():
    renew_cg()
    return (dy.dropout(dy.ones((500,)), 0.5).npvalue() > 0).astype(np.uint8)

def of_processes(children):
    reset_random_seed(9)
    read, write = os.pipe()
    masks = []
    for _ in range(children):
        child = os.fork()
        if not child:
            os.write(write, drawn().tobytes())
            os._exit(0)
        assert os.waitpid(child, 0) == (child, 0)
        masks.append(np.frombuffer(os.read(read, 500), np.uint8))
    return [*masks, drawn()]

first, second, parent = of_processes(2)
assert all(np.mean(one == other) < 0.7 for one, other in ((first, second), (first, parent), (second, parent)))
assert np.array_equal(of_processes(2), [first, second, parent]), "not what the seed says"
assert np.array_equal(of_processes(0), [parent]), "forks change what the parent draws"
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_draws_otherwise_than_its_parent_and_siblings():
    done = subprocess.run([sys.executable, "-c", FORKS], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


def test_the_gradient_passes_where_the_value_did():
    renew_cg()
    p = Model().parameters_from_numpy(np.full(1000, 2.0))
    y = dy.dropout(p, 0.25)
    dy.sum_elems(y * 3.0).backward()
    np.testing.assert_allclose(p.grad_as_array(), 3 * y.npvalue() / 2, rtol=1e-6)


def test_none_is_dropped_with_probability_zero():
    renew_cg()
    x = np.random.default_rng(0).normal(size=100).astype(np.float32)
    np.testing.assert_array_equal(dy.dropout(dy.inputVector(x), 0).npvalue(), x)
