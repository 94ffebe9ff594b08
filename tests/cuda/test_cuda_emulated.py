"""Ops, builders, trainers and tasks give the same results on the emulated GPU as on the CPU, in two thread orders."""

import functools
import importlib

import emulation
import pytest

import gpu_checks
import synthetic

pytestmark = pytest.mark.usefixtures("emulated")
ORDERS = ["forward", "backward"]
WORDS = 200


@pytest.mark.parametrize("name", gpu_checks.OPS)
def test_op(name, counts):
    numbers = [number for op, number in gpu_checks.samples() if op == name]
    for number in numbers:
        for order in ORDERS:
            with emulation.order(order):
                gpu_checks.check_op(name, number)
        counts["compared"] += 1


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("name", gpu_checks.BUILDERS)
def test_builder(name, order):
    with emulation.order(order):
        gpu_checks.check_losses(lambda: gpu_checks.train_builder(name))


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("name", gpu_checks.TRAINERS)
def test_trainer(name, order):
    with emulation.order(order):
        gpu_checks.check_trainer(name)


@pytest.mark.parametrize("name", gpu_checks.EXAMPLES)
def test_example(name):
    gpu_checks.check_losses(lambda: gpu_checks.train_example(name))


def test_every_example_is_there():
    assert {path.parent.name for path in gpu_checks.ROOT.glob("examples/*/train.py")} == set(gpu_checks.EXAMPLES)


@pytest.mark.parametrize("name", gpu_checks.TASKS)
def test_task(name, monkeypatch):
    """With fewer words: the emulation takes minutes for a softmax over ten thousand."""
    few = functools.partial(synthetic.sentences, count=20, vocabulary=WORDS)
    for module in (f"tasks.{name}", "tasks.treelstm", "tasks.lattice"):  # the builders' tasks have their examples
        task = importlib.import_module(module)
        monkeypatch.setattr(task, "VOCABULARY", WORDS, raising=False)
        monkeypatch.setattr(task, "sentences", few, raising=False)
    gpu_checks.check_losses(lambda: gpu_checks.train_task(name))
