"""Signatures that are made from a pattern of others are those that the op's own function makes."""

import dataclasses
import gc
import random
import sys
import threading

import numpy as np
import pytest
from tested_ops import TESTED

import dynet_ops as dy
from dynet_core import Model, cg_checkpoint, cg_revert, renew_cg
from dynet_core.errors import DynetError, ShapeError
from dynet_core.graph import unused
from dynet_core.graph.graph import current
from dynet_core.signature import ORIGINS, SIGNATURES
from dynet_core.signature.by_sizes import FIELDS, by_sizes
from dynet_kernels import layout
from dynet_kernels.encode import TABLE, _encoded
from dynet_ops.testing import Input, Parameter, draw, record, value_of

SCALES = [lambda size: size, lambda size: 2 * size, lambda size: size + 1, lambda size: 3 * size, lambda size: 1]


def assert_same(signature, direct):
    signature, direct = SIGNATURES[signature.at], SIGNATURES[direct.at]
    for name in set(FIELDS) - {"name", "parts"}:
        value, expected = getattr(signature, name), getattr(direct, name)
        assert (value, type(value)) == (expected, type(expected)), name
    assert signature.dim is direct.dim and len(signature.parts) == len(direct.parts)
    direct_parts, direct.parts = direct.parts, signature.parts
    expected, indices = _encoded(direct)
    expected[layout.SIGNATURE.mark] = TABLE.integers[signature.at + layout.SIGNATURE.mark]
    for k in indices:
        expected[k] += signature.at
    assert [*TABLE.integers[signature.at : signature.at + len(expected)]] == expected
    for part, direct_part in zip(signature.parts, direct_parts):
        assert_same(part, direct_part)


@pytest.fixture
def compared(monkeypatch):
    """The functions whose signatures came from patterns; each was compared with the one that is made directly."""
    functions = []
    new_row = by_sizes._new_row

    def new_row_compared(self, arguments):
        row = new_row(self, arguments)
        if row.at in ORIGINS:
            assert_same(row, self._make_directly(arguments))
            functions.append(self)
        return row

    monkeypatch.setattr(by_sizes, "_new_row", new_row_compared)
    return functions


def of_other_sizes(sample, scale):
    def scaled(size):
        return scale(size) if size > 1 else 1

    return dataclasses.replace(sample, shapes=[([*map(scaled, dims)], scaled(batch)) for dims, batch in sample.shapes])


@pytest.mark.parametrize("op", TESTED.values(), ids=TESTED)
def test_signatures_of_other_sizes(op, compared):
    refused = 0
    for sample in op.samples:
        for scale in SCALES:
            renew_cg()
            try:
                other = of_other_sizes(sample, scale)
                value = value_of(record(op, other, [Input(x).expression for x in draw(op, other)]))
                again = value_of(record(op, other, [Parameter(x).expression for x in draw(op, other)]))
            except (DynetError, ValueError, IndexError):  # an argument, such as an index, does not fit this size
                refused += 1
                continue
            assert value.shape == again.shape
    assert refused < len(SCALES) * len(op.samples)


# ---------------------------------------------------------------------------------------------- what is given back


@pytest.fixture
def forgetful(monkeypatch):
    """Signatures are forgotten once there are 16 new ones."""
    gc.collect()  # a graph of an earlier test, in a circle of references, would keep their memory
    monkeypatch.setattr(unused, "MOST_RECENT", 16)


def chain(size, W):
    """Five ops of this width, and what they should compute."""
    array = np.random.default_rng(size).normal(size=(3, size)).astype(np.float32)
    x = dy.inputTensor(array)
    y = dy.tanh(dy.cmult(W * x, W * x))
    expected = np.tanh((W.as_array() @ array) ** 2)
    return y, dy.squared_norm(y), expected


def check(y, loss, expected):
    np.testing.assert_allclose(y.npvalue().reshape(expected.shape), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(loss.value(), (expected**2).sum(), rtol=1e-4)
    loss.backward()


def test_memory_of_sizes_that_are_not_used_any_more_is_reused(forgetful):
    """Even if a program keeps an expression, and thus the graph, of a thread that has ended."""
    kept = []
    thread = threading.Thread(target=lambda: kept.append((dy.tanh(dy.inputVector([1, 2])), current())))
    thread.start()
    thread.join()
    W = Model().add_parameters((4, 3))
    ends = []
    for begin in range(10, 1000, 100):
        for size in range(begin, begin + 100):
            renew_cg()
            check(*chain(size, W))
        ends.append(TABLE.end())
    assert ends[-1] == ends[2], kept


def test_a_graph_that_lives_on_keeps_its_signatures(forgetful):
    """Widths come and go in this thread, while the graph of another thread stays, and is then computed."""
    W = Model().add_parameters((4, 3))
    is_recorded, is_done, problems = threading.Event(), threading.Event(), []

    def record_and_wait():
        try:
            kept = [chain(size, W) for size in range(2000, 2010)]
            is_recorded.set()
            is_done.wait(60)
            for one in kept:
                check(*one)
        except Exception as problem:
            problems.append(problem)

    thread = threading.Thread(target=record_and_wait)
    thread.start()
    assert is_recorded.wait(60)
    for size in range(2010, 2200):
        renew_cg()
        check(*chain(size, W))
    is_done.set()
    thread.join()
    assert not problems


def test_reverted_nodes_and_checkpoints(forgetful):
    W = Model().add_parameters((4, 3))
    for begin in range(3000, 3300, 60):
        renew_cg()
        kept = chain(begin, W)
        for size in range(begin + 1, begin + 40):
            cg_checkpoint()
            check(*chain(size, W))
            cg_revert()
        check(*kept)


def test_signatures_that_others_hold_are_not_forgotten(forgetful):
    """`x[k]` keeps its signature for `set_index`, and a template keeps those of its records."""
    W, found = Model().add_parameters((4, 3)), []
    for _ in range(3):
        for size in range(4000, 4060):
            renew_cg()
            y, *_ = chain(size, W)
            element = dy.softmax(y)[1][size - 1]
            other = element * 2
            before = other.value()
            element.set_index(0)
            assert before != other.value()
            found.append(dy.squared_norm(dy.log_softmax(y)).value())
    assert found[:60] == found[60:120] == found[120:]


def test_several_threads_record_new_sizes(forgetful):
    W, problems = Model().add_parameters((4, 3)), []

    def record_sizes(begin):
        try:
            for size in range(begin, begin + 300):
                renew_cg()
                check(*chain(5000 + size % 350, W))
        except Exception as problem:
            problems.append(problem)

    threads = [threading.Thread(target=record_sizes, args=(begin,)) for begin in (0, 30, 100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems


def test_an_error_of_new_sizes_is_the_users():
    x = dy.zeros((6001, 2))
    for size in range(6000, 6010):
        with pytest.raises(ShapeError, match=r"cmult: .*6001, 2.*") as raised:
            dy.cmult(x, dy.zeros((size + 2, 3)))
        assert "by_sizes" not in str(raised.value)


def test_threads_that_forget_at_the_same_time(forgetful):
    """A thread does not enter rows again that another one has just forgotten."""
    problems, interval = [], sys.getswitchinterval()

    def record_sizes(seed):
        rng = random.Random(seed)
        try:
            for _ in range(150):
                renew_cg()
                sums = []
                for size in [rng.randint(6000, 30000) for _ in range(10)]:
                    x = dy.zeros(size) + 0.5
                    sums.append((dy.sum_elems(dy.concatenate([x, x])), size))
                for found, size in sums:
                    assert found.value() == pytest.approx(size, rel=1e-4)
        except Exception as problem:
            problems.append(problem)

    threads = [threading.Thread(target=record_sizes, args=(seed,)) for seed in range(4)]
    sys.setswitchinterval(1e-5)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert not problems
