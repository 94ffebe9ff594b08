"""A trainer's state survives in a file: training goes on as if it had never stopped."""

import numpy as np
import pytest

import dynet_core as dy
import dynet_optim
from dynet_core import FileFormatError, noise
from dynet_optim import state

TRAINERS = [name for name in dynet_optim.__all__ if name != "Trainer"]


class Training:
    """A model that is trained by gradients set from a generator."""

    def __init__(self, trainer: str, **options):
        self.model = dy.ParameterCollection()
        self.dense = self.model.add_parameters((3, 2), init=1)
        self.table = self.model.add_lookup_parameters((4, 2), init=1)
        self.trainer = getattr(dynet_optim, trainer)(self.model, **options)

    def steps(self, begin: int, end: int) -> None:
        for step in range(begin, end):
            generator = np.random.default_rng(step)
            self.dense._storage.set_gradient(generator.standard_normal(6).astype(np.float32))
            rows = np.zeros((4, 2), np.float32)
            rows[step % 3] = generator.standard_normal(2)
            self.table._storage.set_gradient(rows.ravel())
            self.trainer.update()
            if step % 4 == 3:
                self.trainer.update_epoch()

    def values(self) -> list:
        return [self.dense.as_array().tolist(), self.table.as_array().tolist(), self.trainer.learning_rate]


@pytest.mark.parametrize("trainer", TRAINERS)
def test_interrupted_training_gives_the_same_numbers(trainer, tmp_path):
    through, first, second = (Training(trainer, edecay=0.1) for _ in range(3))
    through.steps(0, 20)
    first.trainer.set_clip_threshold(3)
    first.trainer.set_clip_threshold(5)
    first.steps(0, 9)
    first.model.save(tmp_path / "model")
    state.save(first.trainer, tmp_path / "trainer")
    second.model.populate(tmp_path / "model")
    state.populate(second.trainer, tmp_path / "trainer")
    second.steps(9, 20)
    assert second.values() == through.values()


def test_the_generator_of_noise_goes_on(tmp_path):
    training = Training("SimpleSGDTrainer")
    noise.reset(0xFEDCBA98)
    for _ in range(5):
        noise.next_key()
    state.save(training.trainer, tmp_path / "trainer")
    keys = [noise.next_key() for _ in range(3)]
    noise.reset(1)
    state.populate(training.trainer, tmp_path / "trainer")
    assert [noise.next_key() for _ in range(3)] == keys


@pytest.mark.parametrize("rate", [0.1, 1 / 3, 1e-30, 123456789.123, 5e-7])
def test_numbers_are_kept_exactly(rate, tmp_path):
    training = Training("AdamTrainer", alpha=rate)
    state.save(training.trainer, tmp_path / "trainer")
    other = Training("AdamTrainer")
    state.populate(other.trainer, tmp_path / "trainer")
    assert other.trainer.learning_rate == rate


def test_the_state_of_another_trainer_is_refused(tmp_path):
    file = tmp_path / "trainer"
    adam, momentum = Training("AdamTrainer"), Training("MomentumSGDTrainer")
    adam.steps(0, 3)
    state.save(adam.trainer, file)
    before = momentum.values()
    with pytest.raises(FileFormatError, match="not the state of this MomentumSGDTrainer"):
        state.populate(momentum.trainer, file)
    other = Training("AdamTrainer")
    other.model.add_parameters(2)
    with pytest.raises(FileFormatError, match="its parameters differ"):
        state.populate(other.trainer, file)
    adam.model.save(file)
    with pytest.raises(FileFormatError):
        state.populate(adam.trainer, file)
    assert momentum.values() == before
