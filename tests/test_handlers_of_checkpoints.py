"""Signal handlers that set checkpoints or revert, at any line of `cg_revert`, `renew_cg`, `set` and others."""

import contextlib
import itertools

import numpy as np
import pytest
from at_lines import lines_of

import dynet as dy

START = np.array([0.1, -0.2, 0.3])


class Program:
    """A graph with a checkpoint, and expressions recorded by programs and handlers, with their right values."""

    def __init__(self):
        dy.renew_cg()
        self.x = self.input(START)
        self.nodes = [(self.x, START), (dy.tanh(self.x), np.tanh(START))]
        self.nodes[-1][0].value()
        dy.cg_checkpoint()
        self.gone = dy.exp(self.x)
        self.gone.value()

    @staticmethod
    def input(values):
        return dy.inputTensor(values)

    def record(self):
        """Record an input and a node, and compute it."""
        values = START * (2 + len(self.nodes))
        x = self.input(values)
        self.nodes += [(x, values), (dy.tanh(x), np.tanh(values))]
        self.nodes[-1][0].value()

    def check(self):
        """Check that every expression has its value or is stale, also after others are recorded."""
        for _ in range(3):
            for node, value in self.nodes:
                try:
                    found = node.value()
                except dy.StaleExpressionError:
                    continue
                np.testing.assert_allclose(found, value, rtol=1e-5)
            self.record()


def revert(program):
    dy.cg_revert()


def try_something(program):
    dy.cg_checkpoint()
    dy.tanh(program.input(START)).value()
    dy.cg_revert()


def renew(program):
    dy.renew_cg()
    program.record()


HANDLERS = {
    "record": Program.record,
    "checkpoint": lambda program: dy.cg_checkpoint(),
    "revert": revert,
    "checkpoint, revert": try_something,
    "renew": renew,
    "renew, checkpoint": lambda program: (renew(program), dy.cg_checkpoint()),
}
ACTS = {
    "revert": revert,
    "checkpoint": lambda program: dy.cg_checkpoint(),
    "renew": lambda program: dy.renew_cg(),
    "item": lambda program: program.x[1,],
    "value": lambda program: dy.exp(program.x).value(),
}


def quietly(handler, program):
    with contextlib.suppress(dy.ArgumentError):  # there is no checkpoint anymore
        handler(program)


@pytest.mark.parametrize("act", ACTS.values(), ids=ACTS)
@pytest.mark.parametrize("handler", HANDLERS.values(), ids=HANDLERS)
def test_a_handler_at_any_line_leaves_right_values(act, handler):
    for line in itertools.count(1):
        program, more = Program(), False
        try:
            more = lines_of(
                lambda program=program: act(program), lambda program=program: quietly(handler, program), line
            )
        except (dy.StaleExpressionError, dy.ArgumentError):
            more = True
        program.check()
        if not more:
            break
    assert line > 1 or act is ACTS["value"]  # it may need no Python


@pytest.mark.parametrize("handler", HANDLERS.values(), ids=HANDLERS)
def test_no_checkpoint_outlives_its_graph(handler):
    for line in itertools.count(1):
        program = Program()
        more = lines_of(dy.renew_cg, lambda program=program: quietly(handler, program), line)
        dy.renew_cg()
        with pytest.raises(dy.ArgumentError, match="no checkpoint"):
            dy.cg_revert()
        program.record()
        program.nodes = program.nodes[-2:]
        program.check()
        with pytest.raises(dy.StaleExpressionError):
            program.gone.value()
        if not more:
            break
    assert line > 1


@pytest.mark.parametrize("handler", HANDLERS.values(), ids=HANDLERS)
def test_an_input_is_set_whole_or_not_at_all(handler):
    new = np.array([9.0, 8.0, 7.0])
    for line in itertools.count(1):
        program, more, is_set = Program(), False, True
        try:
            more = lines_of(
                lambda program=program: program.x.set([*new]), lambda program=program: handler(program), line
            )
        except dy.StaleExpressionError:
            more, is_set = True, False
        if is_set:
            program.nodes[:2] = [(program.x, new), (program.nodes[1][0], np.tanh(new))]
        program.check()
        if not more:
            break
    assert line > 1


@pytest.mark.parametrize("handler", HANDLERS.values(), ids=HANDLERS)
def test_values_are_checked_or_stale(handler):
    for line in itertools.count(1):
        dy.renew_cg(check_validity=True)
        x, more = dy.inputTensor(START), False
        y = dy.tanh(x)
        dy.cg_checkpoint()
        z = dy.exp(y)
        program = Program.__new__(Program)
        program.nodes = []
        try:
            more = lines_of(z.value, lambda program=program: handler(program), line)
        except (dy.StaleExpressionError, dy.ArgumentError):
            more = True
        program.check()
        if not more:
            break
    assert line > 1
