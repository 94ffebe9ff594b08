"""`DataParallel` without MPI: one process, checkpoints, and what ranks tell each other. tests/mpi has several ranks."""

import copy
import os
import pickle
import subprocess
import sys
import threading
import types

import numpy as np
import pytest
from trainer_models import Model

from dynet_core import noise
from dynet_core.errors import ArgumentError, ArgumentTypeError, DynetWarning, FileFormatError, ParallelError
from dynet_optim import AdamTrainer, DataParallel, MomentumSGDTrainer, SimpleSGDTrainer
from dynet_optim.parallel import communicator, meeting
from dynet_optim.parallel.meeting import Meeting, difference, digest
from dynet_optim.registry import TRAINERS


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    """These tests are one process, whoever started it."""
    monkeypatch.setattr("dynet_optim.parallel.data_parallel.meeting", lambda: None)


@pytest.mark.parametrize("kind", TRAINERS)
def test_one_process_trains_as_the_trainer_does(kind):
    models = Model(), Model()
    trainers = [TRAINERS[kind].kind(model.collection) for model in models]
    parallel = DataParallel(trainers[1])
    for scale in (1.0, 1.0, 0.5):
        for model in models:
            model.draw_gradients()
        trainers[0].update(scale)
        parallel.update(scale)
    for one, other in zip(models[0].values(), models[1].values()):
        np.testing.assert_array_equal(one, other)


def test_other_members_are_the_trainers():
    trainer = SimpleSGDTrainer(Model().collection, 0.5)
    parallel = DataParallel(trainer)
    assert (parallel.rank, parallel.size, parallel.trainer) == (0, 1, trainer)
    parallel.learning_rate = 0.25
    parallel.set_clip_threshold(7)
    assert (trainer.learning_rate, parallel.learning_rate, trainer.get_clip_threshold()) == (0.25, 0.25, 7)
    assert repr(parallel).startswith("<DataParallel: rank 0 of 1; <SimpleSGDTrainer")
    with pytest.raises(AttributeError, match="use trainer.update()"):
        parallel.step()
    with pytest.raises(AttributeError, match="DataParallel has no attribute '_nothing'"):
        parallel._nothing  # noqa: B018
    with pytest.raises(AttributeError, match=r"use set_updated\(False\)"):
        parallel.update_subset([0], [])
    for copied in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(ArgumentTypeError, match="cannot be copied"):
            copied(parallel)


def test_warnings_are_about_the_users_line():
    parallel = DataParallel(SimpleSGDTrainer(Model().collection))
    with pytest.warns(DynetWarning, match="no backward") as caught:
        parallel.update()
        parallel.update()
    assert [warning.filename for warning in caught] == [__file__]


def test_one_process_has_all():
    parallel = DataParallel(SimpleSGDTrainer(Model().collection))
    assert parallel.share([1, 2, 3]) == [1, 2, 3]
    assert parallel.total(2) == 2.0
    assert parallel.compare() is None


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"trainer": 3}, ArgumentTypeError, "expected a trainer, got int"),
        ({"average": "yes"}, ArgumentTypeError, "average"),
        ({"compare_every": -1}, ArgumentError, "compare_every is -1"),
        ({"compare_every": 1.5}, ArgumentError, "whole number"),
    ],
)
def test_wrong_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        DataParallel(**{"trainer": SimpleSGDTrainer(Model().collection), **arguments})


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"s": "x"}, ArgumentTypeError, "DataParallel.update: s must be a number"),
        ({"s": np.inf}, ArgumentError, "s must be a finite number"),
        ({"examples": 1.5}, ArgumentError, "whole number"),
        ({"examples": -1}, ArgumentError, "examples is -1"),
        ({}, ArgumentError, "needs the number of this rank's examples"),
    ],
)
def test_wrong_arguments_of_update_change_nothing(arguments, error, message):
    model = Model()
    model.draw_gradients()
    before, gradients = model.values(), model.gradients()
    parallel = DataParallel(SimpleSGDTrainer(model.collection), average=True)
    with pytest.raises(error, match=message):
        parallel.update(**arguments)
    for known, found in zip([*before, *gradients], [*model.values(), *model.gradients()]):
        np.testing.assert_array_equal(known, found)


# Checkpoints.


def trained(kind, updates, checkpoint=None, at=3):
    """Train with dropout; interrupted after `at` updates by a load of the checkpoint, if there is one."""
    model = Model(seed=2)
    parallel = DataParallel(TRAINERS[kind].kind(model.collection))
    first = 0
    noise.reset(4)
    if checkpoint:
        noise.reset(5)
        first = parallel.populate(checkpoint)["done"]
        assert first == at
    for number in range(first, updates):
        model.random = np.random.default_rng(number)
        model.draw_gradients(1 + noise.next_key()[0])  # draws as dropout does
        parallel.update()
    return model, parallel


@pytest.mark.parametrize("ending", ["", ".safetensors"])
@pytest.mark.parametrize("kind", TRAINERS)
def test_training_goes_on_as_if_it_had_not_been_interrupted(kind, ending, tmp_path):
    file = tmp_path / f"checkpoint{ending}"
    _, parallel = trained(kind, 3)
    parallel.save(file, {"done": 3, "long": 2**53, "back": -7})
    whole, _ = trained(kind, 6)
    resumed, _ = trained(kind, 6, file)
    for one, other in zip(whole.values(), resumed.values()):
        np.testing.assert_array_equal(one, other)
    assert parallel.populate(file) == {"done": 3, "long": 2**53, "back": -7}


@pytest.mark.parametrize(
    ("position", "error"),
    [
        ({"a b": 1}, ArgumentError),
        ({3: 1}, ArgumentError),
        ({"a": 1.5}, ArgumentError),
        ({"a": "1"}, ArgumentTypeError),
        ({"a": 2**53 + 1}, ArgumentError),
        ([3], ArgumentTypeError),
    ],
)
def test_positions_are_names_and_whole_numbers(position, error, tmp_path):
    parallel = DataParallel(SimpleSGDTrainer(Model().collection))
    with pytest.raises(error, match="save: position"):
        parallel.save(tmp_path / "checkpoint", position)
    assert not list(tmp_path.iterdir())


def test_damaged_checkpoints_change_nothing(tmp_path):
    small = {"shapes": [(2,)], "tables": [(3, 2)]}
    model = Model(**small)
    parallel = DataParallel(MomentumSGDTrainer(model.collection))
    model.draw_gradients()
    parallel.update()
    file = tmp_path / "checkpoint"
    parallel.save(file, {"done": 1})
    text = file.read_text()
    lines = text.splitlines(keepends=True)
    damaged = [text[:end] for end in range(0, len(text) - 1, 7)]
    damaged += ["".join(lines[:n] + lines[n + 2 :]) for n in range(0, len(lines), 2)]
    damaged += [text.replace(name, "/other") for name in ("/digest", "/ranks", "/parameters", "/MomentumSGDTrainer")]
    damaged += [
        "".join([*lines[:n], lines[n].replace("+0", "+1", 1).replace("0", "nan", 1)]) for n in range(len(lines))
    ]
    other = Model(**small, seed=3)
    loaded = DataParallel(MomentumSGDTrainer(other.collection, 0.5))
    other.draw_gradients()
    loaded.update()
    noise.reset(8)

    def state():
        kept = [block.array.tobytes() for states in loaded.trainer._table.states_in_order() for block in states]
        return [v.tobytes() for v in other.values()], kept, loaded.trainer._in_files(), noise.state()

    before = state()
    for damage in damaged:
        file.write_text(damage)
        with pytest.raises(FileFormatError):
            loaded.populate(file)
        assert state() == before, damage
    file.write_text(text)
    assert loaded.populate(file) == {"done": 1}


@pytest.mark.parametrize(
    ("shapes", "kind"), [([(2,), (2,)], AdamTrainer), ([(3,)], AdamTrainer), ([(2,)], MomentumSGDTrainer)]
)
def test_checkpoints_of_other_models_are_refused(shapes, kind, tmp_path):
    DataParallel(AdamTrainer(Model([(2,)], []).collection)).save(tmp_path / "checkpoint")
    with pytest.raises(FileFormatError):
        DataParallel(kind(Model(shapes, []).collection)).populate(tmp_path / "checkpoint")


# How processes find each other.


@pytest.mark.parametrize(
    ("environment", "number"),
    [
        ({}, 1),
        ({"PMI_SIZE": "4"}, 4),
        ({"OMPI_COMM_WORLD_SIZE": "2"}, 2),
        ({"SLURM_STEP_NUM_TASKS": "8", "PMI_SIZE": "8"}, 8),
        ({"PMI_SIZE": "many"}, 1),
    ],
)
def test_launchers_say_how_many_they_start(environment, number):
    assert communicator.number_started(environment) == number


@pytest.fixture
def launched(monkeypatch):
    for name in communicator.STARTED:
        monkeypatch.delenv(name, raising=False)

    def set_number(number):
        monkeypatch.setenv("PMI_SIZE", str(number))

    return set_number


def test_without_mpi4py_one_process_is_alone(launched, monkeypatch):
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    monkeypatch.delitem(sys.modules, "mpi4py.MPI", raising=False)
    assert communicator.world() is None
    launched(4)
    with pytest.raises(ParallelError, match=r'4 processes were started, but mpi4py cannot be used .*optim\[mpi\]"'):
        communicator.world()


def fake_mpi4py(monkeypatch, size):
    comm = types.SimpleNamespace(size=size, Dup=lambda: "a communicator of its own")
    MPI = types.SimpleNamespace(COMM_WORLD=comm, Get_library_version=lambda: "Some MPI 1.0\n and more")
    monkeypatch.setitem(sys.modules, "mpi4py", types.SimpleNamespace(MPI=MPI))
    monkeypatch.setitem(sys.modules, "mpi4py.MPI", MPI)


def test_the_launcher_of_another_mpi_is_noticed(launched, monkeypatch):
    fake_mpi4py(monkeypatch, 1)
    assert communicator.world() is None
    launched(2)
    with pytest.raises(
        ParallelError, match="2 processes .* finds itself alone: mpi4py uses Some MPI 1.0, and the laun"
    ):
        communicator.world()
    fake_mpi4py(monkeypatch, 2)
    assert communicator.world() == "a communicator of its own"


FAILS = """
import subprocess, sys
import dynet
print(subprocess.run([sys.executable, "-c", "import dynet; 1 / 0"]))
raise ValueError("failed")
"""


@pytest.mark.parametrize(("number", "code"), [(1, 1), (2, -9)])
def test_an_exception_before_the_start_kills_the_process(number, code):
    """So that mpiexec ends the others. Processes that a rank starts end as usual."""
    command = [sys.executable, "-c", FAILS]
    environment = {name: value for name, value in os.environ.items() if name not in communicator.STARTED}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=300, env={**environment, "PMI_SIZE": str(number)}
    )
    assert done.returncode == code
    assert "returncode=1)" in done.stdout
    assert "ValueError: failed\n" in done.stderr
    assert done.stderr.count("ends all ranks, because of this exception") == (code != 1)


# What ranks tell each other, with threads as ranks.


class Ranks:
    """Communicators of as many threads."""

    def __init__(self, size):
        self.size, self.barrier, self.given = size, threading.Barrier(size, timeout=60), [None] * size

    def run(self, work):
        """Run work(meeting, rank) in each; what it returns or raises, by rank."""
        found = [None] * self.size

        def one(rank):
            try:
                found[rank] = work(Meeting(Comm(self, rank)), rank)
            except Exception as error:
                found[rank] = error

        threads = [threading.Thread(target=one, args=(rank,)) for rank in range(self.size)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return found


class Comm:
    def __init__(self, ranks, rank):
        self.ranks, self.rank, self.size = ranks, rank, ranks.size

    def allgather(self, value):
        self.ranks.given[self.rank] = value
        self.ranks.barrier.wait()
        found = list(self.ranks.given)
        self.ranks.barrier.wait()
        return found

    def Allgather(self, own, everyone):
        everyone[:] = self.allgather(own.copy())


@pytest.fixture(autouse=True)
def no_end(monkeypatch):
    """Meetings of threads do not meet again when Python ends."""
    monkeypatch.setattr(meeting.atexit, "register", lambda function: None)


def test_ranks_that_agree_get_all_headers():
    found = Ranks(3).run(lambda m, rank: m.meet("update", 4, (), (), 10 + rank, rank).copy())
    for headers in found:
        assert headers[:, meeting.EXAMPLES].tolist() == [10, 11, 12]
        assert headers[:, meeting.TOUCHED].tolist() == [0, 1, 2]


@pytest.mark.parametrize("different", range(3))
def test_all_ranks_hear_of_one_that_differs(different):
    def work(m, rank):
        model = [("the trainer", "Adam"), ("/w", (3, 2 + (rank == different)))]
        m.meet("update", 0, model, (), 0, 0, digest(model))

    for rank, error in enumerate(Ranks(3).run(work)):
        assert type(error) is ParallelError
        assert f"rank {rank} has another model than rank " in str(error)
        assert "/w is (3, " in str(error)


def test_a_rank_that_has_ended_stays_ended():
    def work(m, rank):
        if rank == 1:
            return m._end()
        messages = []
        for _ in "abc":
            with pytest.raises(ParallelError) as raised:
                m.meet("update", 1)
            messages.append(str(raised.value))
        m._end()
        return messages

    first, second, third = Ranks(3).run(work)
    assert second is None
    assert first == 3 * [first[0]]
    assert "rank 0 has done 1 update and goes on, but rank 1 has ended after 0" in first[0]
    assert "rank 2 has done 1 update" in third[0]


def test_ranks_that_end_together_say_nothing():
    assert Ranks(3).run(lambda m, rank: m._end()) == [None] * 3


@pytest.mark.parametrize(
    ("own", "others", "said"),
    [
        ([("a", 1)], [("a", 2)], "a is 1 here, and 2 there"),
        ([("a", 1)], [("b", 1)], "where this has a, rank 3 has b"),
        ([("a", 1), ("b", 2)], [("a", 1)], "b is only here"),
        ([("a", 1)], [("a", 1), ("b", 2)], "b is only there"),
    ],
)
def test_differences_in_words(own, others, said):
    assert difference(own, others, 3) == said
