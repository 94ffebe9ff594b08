"""After `cg_revert`, surviving nodes are still valid operands, recorded without Python; removed nodes are refused."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from op_checks import python_calls

import dynet_ops as dy
from dynet_core import Model, cg_checkpoint, cg_revert, recorder, renew_cg
from dynet_core.errors import ArgumentError, StaleExpressionError

compiled = pytest.mark.skipif(recorder.DESCRIPTION != "compiled", reason="the recorder in Python has no compiled code")


@compiled
def test_nodes_from_before_a_revert_are_operands_without_python():
    W = Model().parameters_from_numpy([[1.0, 0.0], [0.0, 2.0]])

    def uses(x):
        return [
            lambda: dy.tanh(x),
            lambda: x + x,
            lambda: x * 2.0,
            lambda: x[1],
            lambda: dy.pick(x, 1),
            lambda: x[0:1],
            lambda: W * x,
            lambda: dy.concatenate([x, x]),
            lambda: dy.affine_transform([x, W, x]),
            lambda: dy.pickneglogsoftmax(x, 1),
            lambda: dy.mean_elems(x),
        ]

    def value_of(use):
        return use().value()

    renew_cg()
    x = dy.inputVector([1.0, 2.0])
    values = [value_of(use) for use in uses(x) for _ in range(5)][::5]
    for _ in range(3):
        cg_checkpoint()
        again = dy.tanh(x)
        cg_revert()
        for use, value in zip(uses(x), values):
            assert len(python_calls(use)) == 1  # the lambda itself
            assert python_calls(x.value) == []
            assert use().value() == value
        with pytest.raises(StaleExpressionError, match="cg_revert has removed"):
            dy.tanh(again)


class Thread:
    """A thread of a random program: what it recorded, and which of it has been removed."""

    def __init__(self):
        self.pool = ThreadPoolExecutor(1)
        self.nodes, self.checkpoints = [], []  # nodes: the existing ones, with their values

    def run(self, function, *arguments):
        return self.pool.submit(function, *arguments).result()

    def renew(self):
        self.run(renew_cg)
        self.nodes, self.checkpoints = [], []

    def checkpoint(self):
        self.run(cg_checkpoint)
        self.checkpoints.append(len(self.nodes))

    def revert(self):
        if not self.checkpoints:
            with pytest.raises(ArgumentError):
                self.run(cg_revert)
            return
        self.run(cg_revert)
        del self.nodes[self.checkpoints.pop() :]

    def record(self, function, value):
        node = self.run(function)
        self.nodes.append((node, value))
        return node


USES = [
    (lambda x: x + 1.0, lambda value: value + 1),
    (lambda x: x + x, lambda value: 2 * value),
    (lambda x: dy.esum([x, x, x]), lambda value: 3 * value),
    (lambda x: dy.mean_elems(x), lambda value: value),
]

KINDS = ["checkpoint"] * 3 + ["revert"] * 3 + ["renew"] + ["use"] * 8
STEPS = st.tuples(st.integers(0, 1), st.sampled_from(KINDS), st.integers(0, 30), st.sampled_from(USES))

# The operation in the middle records node 1, which the reverts remove. The next one records another node 1.
NESTED = [
    *[("renew", 0), ("checkpoint", 0), ("use", 2), ("checkpoint", 0), ("revert", 0), ("revert", 0)],
    *[("use", 2), ("use", 3), ("use", 4)],
]


@settings(max_examples=150, deadline=None)
@given(program=st.lists(STEPS, max_size=60))
@example(program=[(0, what, place, USES[0]) for what, place in NESTED])
def test_threads_by_turns_take_back_what_they_record(program):
    threads, ever = [Thread(), Thread()], []
    for thread in threads:
        thread.renew()
        ever.append(thread.record(lambda: dy.scalarInput(0.5), 0.5))
    for which, what, place, (use, fact) in program:
        thread = threads[which]
        if what == "checkpoint":
            thread.checkpoint()
        elif what == "revert":
            thread.revert()
        elif what == "renew":
            thread.renew()
            ever.append(thread.record(lambda: dy.scalarInput(1.5), 1.5))
        else:
            x = ever[place % len(ever)]
            if known := [value for node, value in thread.nodes if node is x]:
                value = fact(known[0])
                y = thread.record(lambda use=use, x=x: use(x), value)
                ever.append(y)
                assert thread.run(y.value) == value
                assert thread.run(x.value) == known[0]
            else:
                for refused in (use, lambda x: x.value()):
                    with pytest.raises(StaleExpressionError):
                        thread.run(refused, x)
    for thread in threads:
        thread.pool.shutdown()
