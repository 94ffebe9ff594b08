"""A trainer's state is saved and loaded: training continues as if it had never stopped."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest

import dynet_core as dy
import dynet_optim
from dynet_core import FileFormatError
from dynet_core.random import noise
from dynet_optim import base, registry

TRAINERS = list(registry.TRAINERS)


class Training:
    """A model trained with gradients from a random generator."""

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


@pytest.mark.parametrize("suffix", ["", ".safetensors"])
@pytest.mark.parametrize("sparse", [True, False], ids=["sparse", "dense"])
@pytest.mark.parametrize("trainer", TRAINERS)
def test_interrupted_training_gives_the_same_numbers(trainer, sparse, suffix, tmp_path):
    model_file, trainer_file = tmp_path / f"model{suffix}", tmp_path / f"trainer{suffix}"
    through, first, second = (Training(trainer, edecay=0.1) for _ in range(3))
    for training in (through, first):
        training.trainer.set_sparse_updates(sparse)
        training.trainer.set_clip_threshold(1.5)
        training.trainer.learning_rate = 0.05
    through.steps(0, 20)
    first.steps(0, 9)
    first.model.save(model_file)
    first.trainer.save(trainer_file)
    second.model.populate(model_file)
    second.trainer.populate(trainer_file)
    assert second.trainer.get_clip_threshold() == 1.5
    second.steps(9, 20)
    assert second.values() == through.values()
    assert second.trainer._counts.recent_clips > 0


PROGRAM = """
import sys
import numpy as np
import dynet_core as dy
import dynet_ops as ops
import dynet_optim

folder, name, begin, end = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
dy.reset_random_seed(5)
model = dy.ParameterCollection()
model.set_weight_decay(1e-3)
E, W = model.add_lookup_parameters((20, 8)), model.add_parameters((4, 8))
trainer = getattr(dynet_optim, name)(model, edecay=0.1)
trainer.set_clip_threshold(0.5)
if begin:
    model.populate(folder + "/model")
    trainer.populate(folder + "/trainer")
for step in range(begin, end):
    dy.renew_cg()
    words = np.random.default_rng(step).integers(0, 20, 6).tolist()
    losses = [ops.pickneglogsoftmax(W * ops.dropout(E[word], 0.3), word % 4) for word in words]
    ops.esum(losses).backward()
    trainer.update()
    if step % 5 == 4:
        trainer.update_epoch()
model.save(folder + "/model")
trainer.save(folder + "/trainer")
"""


@pytest.mark.parametrize("trainer", ["AdamTrainer", "CyclicalSGDTrainer"])
def test_a_program_that_is_stopped_and_started_again_gives_the_same_files(trainer, tmp_path):
    pytest.importorskip("dynet_ops")
    files = []
    for name, bounds in (("through", (0, 30)), ("interrupted", (0, 13, 22, 30))):
        folder = tmp_path / name
        folder.mkdir()
        for begin, end in zip(bounds, bounds[1:]):
            command = [sys.executable, "-c", PROGRAM, str(folder), trainer, str(begin), str(end)]
            subprocess.run(command, check=True, timeout=300)
        files.append([(folder / file).read_bytes() for file in ("model", "trainer")])
    assert files[0] == files[1]


def test_parameters_of_one_name_are_kept_apart(tmp_path):
    training = Training("MomentumSGDTrainer")
    training.model.save(tmp_path / "model")
    other = training.model.load_param(tmp_path / "model", "/_0")
    other._storage.gradient.array[:] = 1
    training.steps(0, 1)
    assert other.name() == training.dense.name()
    training.trainer.save(tmp_path / "trainer")
    kept = [tensor.values.copy() for tensor in states_of(training)]
    assert kept[0].tolist() != kept[1].tolist()
    training.steps(1, 2)
    training.trainer.populate(tmp_path / "trainer")
    np.testing.assert_equal([tensor.values for tensor in states_of(training)], kept)


def test_states_have_their_names_in_files_and_had_numbers_before(tmp_path):
    training = Training("AmsgradTrainer")
    training.steps(0, 2)
    training.trainer.save(tmp_path / "trainer")
    kept, stored = states_of(training), base.model_files.load_all(tmp_path / "trainer")
    names = [tensor.name for tensor in stored[1:]]
    assert {name.rpartition(".")[2] for name in names} == {"m", "v", "largest"}
    old = [stored[0]]
    for tensor in stored[1:]:
        start, _, name = tensor.name.rpartition(".")
        old.append(dataclasses.replace(tensor, name=f"{start}.{['m', 'v', 'largest'].index(name)}"))
    base.model_files.save(old, tmp_path / "old")
    other = Training("AmsgradTrainer")
    other.trainer.populate(tmp_path / "old")
    np.testing.assert_equal([t.values for t in states_of(other)], [t.values for t in kept])


def test_the_generator_of_noise_goes_on(tmp_path):
    training = Training("SimpleSGDTrainer")
    noise.reset(0xFEDCBA98)
    for _ in range(5):
        noise.next_key()
    training.trainer.save(tmp_path / "trainer")
    keys = [noise.next_key() for _ in range(3)]
    noise.reset(1)
    training.trainer.populate(tmp_path / "trainer")
    assert [noise.next_key() for _ in range(3)] == keys


@pytest.mark.parametrize("rate", [0.1, 1 / 3, 1e-30, 123456789.123, 5e-7])
def test_numbers_are_kept_exactly(rate, tmp_path):
    training = Training("AdamTrainer", alpha=rate)
    training.trainer.save(tmp_path / "trainer")
    other = Training("AdamTrainer")
    other.trainer.populate(tmp_path / "trainer")
    assert other.trainer.learning_rate == rate


@pytest.mark.parametrize(
    "number",
    [np.inf, 1e40, 3.5e38, 1.7e308, 1e-50, 5e-324, 1e-33, 0.1, 2.0**53, -1.0, -1e-40, -0.1, 0.0, 4194304.0, 12582912.5],
)
def test_every_number_is_read_as_it_was_written(number):
    values = base.tensor_of_numbers("/two", [number, number]).values
    assert values.dtype == np.float32
    assert np.isfinite(values).all()
    assert base.stored_numbers(values) == [number, number]


@pytest.mark.parametrize("threshold", [np.inf, 1e40, 1e-50])
def test_a_trainer_with_odd_settings_is_kept(threshold, tmp_path):
    training = Training("AdamTrainer", edecay=0.5)
    training.trainer.set_clip_threshold(threshold)
    training.trainer.update_epoch(19)
    training.trainer.learning_rate = 3e38  # the rate at epoch 0 is too large for a float32
    training.trainer.update_epoch(-20)
    training.trainer.save(tmp_path / "trainer")
    other = Training("AdamTrainer", edecay=0.5)
    other.trainer.populate(tmp_path / "trainer")
    assert other.trainer._saved_numbers() == training.trainer._saved_numbers()


def test_the_state_of_another_trainer_is_refused(tmp_path):
    file = tmp_path / "trainer"
    adam, momentum = Training("AdamTrainer"), Training("MomentumSGDTrainer")
    adam.steps(0, 3)
    adam.trainer.save(file)
    before = momentum.values()
    with pytest.raises(FileFormatError, match="holds no state of MomentumSGDTrainer: it has /AdamTrainer, "):
        momentum.trainer.populate(file)
    other = Training("AdamTrainer")
    other.model.add_parameters(2)
    with pytest.raises(FileFormatError, match="its parameters differ"):
        other.trainer.populate(file)
    adam.model.save(file)
    with pytest.raises(FileFormatError, match="holds no state of AdamTrainer: it has "):
        adam.trainer.populate(file)
    assert momentum.values() == before


@pytest.mark.parametrize(
    "place, number", [(0, np.nan), (0, -1.0), (3, np.inf), (15, -2.0), (15, 0.5), (-1, 0.25), (-3, -1.0)]
)
def test_a_damaged_state_changes_nothing(place, number, tmp_path):
    training = Training("MomentumSGDTrainer")
    training.steps(0, 3)
    own, *states = [own_tensor(training), *states_of(training)]
    own.values[place] = number
    base.model_files.save([own, *states], tmp_path / "trainer")
    training.steps(3, 4)
    before = noise.state(), [tensor.values.tolist() for tensor in states_of(training)], training.values()
    with pytest.raises(FileFormatError):
        training.trainer.populate(tmp_path / "trainer")
    after = noise.state(), [tensor.values.tolist() for tensor in states_of(training)], training.values()
    assert after == before


def states_of(training):
    """The tensors of a trainer's file that hold its states."""
    return [tensor for tensor, _ in base.tensors_and_blocks(training.trainer._table.prepared())]


def own_tensor(training):
    """The tensor of a trainer's file that holds its scalars."""
    seen = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(base.model_files, "save", lambda tensors, path: seen.extend(tensors))
        training.trainer.save("nowhere")
    return seen[0]


def test_a_state_that_is_not_there():
    with pytest.raises(FileNotFoundError):
        Training("AdamTrainer").trainer.populate("/nowhere/trainer")
