"""The GPU benchmark's torch programs train the same networks as this project's."""

import importlib

import pytest

import gpu_torch


@pytest.mark.parametrize("name", gpu_torch.TASKS)
def test_the_same_loss_before_training(name):
    """In both, random weights make every word or tag about equally likely."""
    torch = pytest.importorskip("torch")
    import dynet as dy

    theirs = gpu_torch.TASKS[name](torch, 4, 1, "cpu")
    ours = importlib.import_module(f"tasks.{name}").make(dy, 4, seed=1)
    for _ in range(2):
        assert theirs() == pytest.approx(ours(), rel=0.1)
