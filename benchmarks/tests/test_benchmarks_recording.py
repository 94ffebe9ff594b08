"""The baselines of the recording benchmark, and the intervals of its ratios."""

import math
import random

import pytest

import nothing
import recording
import versus
from competitors import TASKS, rows_of
from tasks import single_ops, small_graphs
from worker import made

ROWS = [row for row in rows_of((*TASKS, "small_graphs")) if row.name not in recording.READS]


def steps_of(library, row):
    order = {"kind": "nothing", "task": row.task, "row": row.name, "minibatch": row.minibatch, "seed": 1}
    return made(library, order)


@pytest.mark.few(each=2)
@pytest.mark.parametrize("row", ROWS, ids=str)
def test_every_task_runs_on_nothing(row):
    steps = steps_of(nothing, row)
    if row.name == "graphnet, pass_messages":
        assert steps is None
        return
    assert steps.build() is nothing.CONSTANT and steps.train() is nothing.CONSTANT


def test_nothing_returns_one_object():
    it = nothing.CONSTANT
    assert all(getattr(nothing, name)([it], 3, x=it) is it for name in nothing.FUNCTIONS)
    assert all(getattr(it, name)(it, 3, x=it) is it for name in nothing.METHODS)
    assert it + it is it + 1 is it - it is it * 2.0 is it[3] is it[1:3] is it
    assert it.transduce(reversed([it, it])) == [it, it]


def test_small_graphs_hold_what_they_say():
    """Expressions that the program holds are the ones alive when a new graph begins."""

    class Watched:
        def __init__(self):
            self.alive, self.most = 0, []

        def __getattr__(self, name):
            if name == "renew_cg":
                return lambda: self.most.append(self.alive)

            def made(*operands):
                self.alive += 1
                return Node(self)

            return made

    class Node:
        def __init__(self, watched):
            self.watched = watched

        def __del__(self):
            self.watched.alive -= 1

        def value(self):
            return 0.0

    for kind, held in {"nothing": 0, "input": 1, "all": 3}.items():
        watched = Watched()
        steps = small_graphs.make(watched, 1, 1, kind)
        steps.train()
        steps.train()
        assert watched.most == [0, held]


@pytest.mark.parametrize("name", single_ops.OPS)
def test_single_ops_are_timed(name):
    import dynet

    step = single_ops.make(dynet, 1, 1, single_ops.OPS[name]).build
    step()
    taken = step.take()
    assert set(taken) == {"op", "loop"} and all(time > 0 for time in taken.values())
    assert step.times == {"op": [], "loop": []}


def test_ratio_and_rest():
    assert recording.ratio([6.0, 2.0]) == "3.00" and recording.ratio([2.0]) == recording.ratio([None, 2.0]) == "-"
    assert recording.less([5.0, None, 2.0], [1.0, 1.0, None]) == [4.0, None, None]


@pytest.mark.parametrize(("count", "place"), [(6, 0), (15, 3), (20, 5), (60, 21)])
def test_interval_is_the_sign_tests(count, place):
    """The places agree with published tables."""
    values = [float(number) for number in range(count)]
    random.Random(1).shuffle(values)
    assert versus.interval(values) == (place, count - 1 - place)


def test_few_values_bound_nothing():
    for count in range(6):
        assert versus.interval([1.0] * count) == (0.0, math.inf)
    assert versus.width([1.0]) == math.inf


def test_rows_are_chosen_by_task_or_name():
    rows, unknown = versus.chosen(["xor", "tagger at 10", "nonsense"])
    assert [str(row) for row in rows] == ["xor at 1", "xor at 64", "tagger at 10"] and unknown == ["nonsense"]
