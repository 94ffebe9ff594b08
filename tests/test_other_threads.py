"""Expressions used in another thread: a clear error, and both threads' graphs stay usable."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import dynet as dy


def in_a_thread(function):
    """Call a function in a new thread; return its result or raise its error."""
    found = []

    def run():
        try:
            found.append((function(), None))
        except BaseException as error:
            found.append((None, error))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    result, error = found[0]
    if error is not None:
        raise error
    return result


@pytest.fixture(scope="module")
def model():
    return dy.ParameterCollection()


class Mine:
    """The records of a thread."""

    def __init__(self, model):
        dy.renew_cg()
        self.x, self.y = dy.inputVector([1.0, 2.0]), dy.inputVector([3.0, 4.0])
        self.W, self.E = model.parameters_from_numpy(np.eye(2)), model.add_lookup_parameters((5, 2), init=1.0)
        self.b = model.parameters_from_numpy([1.0, 1.0])
        self.V = model.parameters_from_numpy(np.eye(2))
        self.row, self.picked = self.E[1], self.x[1]
        self.loss = dy.sum_elems(dy.tanh(self.W * self.x) + self.y)
        self.network = dy.VanillaLSTMBuilder(1, 2, 2, model)
        self.tree = dy.ChildSumTreeLSTMBuilder(1, 2, 2, model)
        self.state = self.network.initial_state().add_input(self.x)
        self.node = self.tree.initial_state().add_input(self.x)
        self.graph = dy.cg()
        self.loss.value()
        self.records = self.graph.records.integers()


USES = {
    "value": lambda m: m.x.value(),
    "scalar_value": lambda m: m.loss.scalar_value(),
    "vec_value": lambda m: m.x.vec_value(),
    "npvalue": lambda m: m.x.npvalue(),
    "tensor_value": lambda m: m.x.tensor_value(),
    "forward": lambda m: m.loss.forward(),
    "recalculate": lambda m: m.loss.value(recalculate=True),
    "backward": lambda m: m.loss.backward(),
    "gradient": lambda m: m.x.gradient(),
    "set": lambda m: m.x.set([5.0, 6.0]),
    "set_index": lambda m: m.picked.set_index(0),
    "one operand": lambda m: dy.tanh(m.x),
    "negative": lambda m: -m.x,
    "two operands": lambda m: m.x + m.y,
    "one of two operands": lambda m: m.x + dy.inputVector([1.0, 1.0]),
    "the other of two operands": lambda m: dy.inputVector([1.0, 1.0]) - m.x,
    "a parameter and an operand": lambda m: m.W * m.x,
    "a number on the right": lambda m: m.x * 2.0,
    "a number on the left": lambda m: 1 - m.x,
    "affine_transform": lambda m: dy.affine_transform([m.b, m.W, m.x]),
    "affine_transform of two": lambda m: dy.affine_transform([m.b, m.W, m.x, m.V, m.y]),
    "esum": lambda m: dy.esum([m.x, m.y]),
    "esum of one": lambda m: dy.esum([m.x]),
    "average": lambda m: dy.average([m.x, m.y]),
    "emax": lambda m: dy.emax([m.x, m.y]),
    "concatenate two": lambda m: dy.concatenate([m.x, m.y]),
    "concatenate three": lambda m: dy.concatenate([m.x, m.y, m.x]),
    "concatenate four": lambda m: dy.concatenate([m.b, m.y, m.x, m.x]),
    "concatenate five": lambda m: dy.concatenate([m.x] * 5),
    "concatenate_cols": lambda m: dy.concatenate_cols([m.x, m.y]),
    "pick": lambda m: dy.pick(m.x, 1),
    "pick_range": lambda m: dy.pick_range(m.x, 0, 1),
    "x[0]": lambda m: m.x[0],
    "x[0:1]": lambda m: m.x[0:1],
    "pickneglogsoftmax": lambda m: dy.pickneglogsoftmax(m.x, 1),
    "pickneglogsoftmax_batch": lambda m: dy.pickneglogsoftmax_batch(m.x, [1]),
    "reshape": lambda m: dy.reshape(m.x, (1, 2)),
    "dropout": lambda m: dy.dropout(m.x, 0.5),
    "noise": lambda m: dy.noise(m.x, 0.5),
    "softmax": lambda m: dy.softmax(m.x),
    "pow": lambda m: m.x**2,
    "a row": lambda m: dy.tanh(m.row),
    "add_input": lambda m: m.state.add_input(m.y),
    "add_input of its own": lambda m: m.state.add_input(dy.inputVector([1.0, 2.0])),
    "add_inputs": lambda m: m.state.add_inputs([m.y]),
    "transduce": lambda m: m.state.transduce([m.y]),
    "another's input": lambda m: m.network.initial_state().add_input(m.y),
    "transduce another's input": lambda m: m.network.initial_state().transduce([m.y, m.x]),
    "a state's vectors": lambda m: m.state.s(),
    "tree": lambda m: m.node.add_input(m.y),
    "a tree's output": lambda m: m.node.output(),
    "checkpoint": lambda m: m.graph.checkpoint(),
    "revert": lambda m: m.graph.revert(),
}


@pytest.mark.few(each=2)
@pytest.mark.parametrize("name", USES)
@pytest.mark.parametrize("has_graph", [False, True])
def test_a_use_in_another_thread_is_an_error(name, has_graph, model):
    USES[name](Mine(model)) if name not in ("gradient", "revert") else None  # so that shapes are known
    mine = Mine(model)

    def use():
        other = dy.tanh(dy.inputVector([0.0, 0.0])) if has_graph else None
        with pytest.raises(dy.StaleExpressionError, match="another thread's graph|graphs of two threads"):
            USES[name](mine)
        if has_graph:
            assert dy.sum_elems(other).value() == 0

    in_a_thread(use)
    assert mine.graph.records.integers() == mine.records
    assert mine.loss.value() == pytest.approx(np.tanh(1) + np.tanh(2) + 7)
    mine.loss.backward()
    assert mine.W.grad_as_array().any()


def test_an_expression_outlives_its_thread_but_cannot_be_used():
    x = in_a_thread(lambda: dy.inputVector([1.0]))
    for use in (x.value, lambda: dy.tanh(x), lambda: x + 1.0, lambda: x.set([2.0])):
        with pytest.raises(dy.StaleExpressionError, match="a thread that has ended"):
            use()


def test_what_is_gone_is_gone_for_other_threads_too():
    dy.renew_cg()
    x = dy.inputVector([1.0])
    dy.renew_cg()
    for use in (x.value, lambda: dy.tanh(x), lambda: x + 1.0):
        with pytest.raises(dy.StaleExpressionError, match="renew_cg has replaced"):
            in_a_thread(use)


def test_threads_share_parameters_and_compute_side_by_side():
    model = dy.ParameterCollection()
    W = model.parameters_from_numpy(np.eye(2))

    def run():
        for number in range(200):
            dy.renew_cg()
            assert dy.sum_elems(W * dy.inputVector([number, 1.0])).value() == number + 1

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(run) for _ in range(4)]:
            done.result()
