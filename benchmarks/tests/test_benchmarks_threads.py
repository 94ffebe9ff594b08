"""The benchmark of threads has rows for one and for several threads, which do the same work."""

import importlib

import pytest

import threads


@pytest.mark.parametrize("row", threads.WHOLE)
def test_whole_steps_are_rows_of_the_tasks(row):
    module = importlib.import_module(f"tasks.{threads.WHOLE[row]}")
    assert [name for name, minibatches, _ in module.ROWS if name == row and 64 in minibatches] == [row]


def test_each_number_of_threads_has_a_task_of_its_own(monkeypatch):
    counts, made = [], []

    def make():
        calls = []
        made.append(calls)
        return lambda: calls.append(counts[-1]) or counts[-1]

    monkeypatch.setattr(threads.sharing, "use", counts.append)
    assert threads.compare(make, 3, rounds=2) == (1, 3)
    assert made == [[1] * 4, [3] * 4]


def test_a_whole_step_trains():
    step = threads.TASKS["whole tagger"]()
    assert step() > 0
