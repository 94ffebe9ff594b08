"""Trainer updates shared by several threads give the same bits as one thread."""

import pytest
from trainer_models import Model

import dynet_optim
from dynet_kernels import layout as at
from dynet_kernels.layout import CONTEXT
from dynet_kernels.machine import sharing
from dynet_optim import registry

TRAINERS = list(registry.TRAINERS)


def trained(name, threads):
    with sharing.using(threads, 0, 0):
        model = Model(shapes=[(1,), (16, 2), (33,), (129, 30)], tables=[(9, 5), (4, 16), (20, 33)])
        trainer = getattr(dynet_optim, name)(model.collection)
        for size in (1.0, 1e-3, 10.0):
            model.draw_gradients(size)
            trainer.update()
        return model.values()


@pytest.mark.parametrize("name", TRAINERS)
def test_every_trainer(name):
    expected = trained(name, 1)
    for threads in (2, 3, 7):
        assert [value.tobytes() for value in trained(name, threads)] == [value.tobytes() for value in expected]


def ways(table):
    """How the instructions of a trainer's last pass are shared."""
    return set(table.tape[: table.context_view[CONTEXT.tape_count], at.INSTRUCTION.shared])


def test_updates_are_shared_and_norms_of_gradients_are_not():
    with sharing.using(2, 0, 0):
        model = Model()
        trainer = dynet_optim.AdamTrainer(model.collection)
        model.draw_gradients()
        trainer.update()
        assert ways(trainer._table) == {at.BY_ROWS}
        trainer._table.squared_norm(0)
        assert ways(trainer._table) == {at.ALONE}
