"""Files written by an earlier commit (with `written/write.py`) load, and training resumes bit for bit."""

import base64
import io
import pickle
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest

import dynet as dy

WRITTEN = Path(__file__).with_name("written")
sys.path.insert(0, str(WRITTEN))
import write  # noqa: E402


@pytest.fixture(scope="module", params=sorted(WRITTEN.glob("*.txt")), ids=lambda path: path.stem)
def folder(request, tmp_path_factory):
    found = tmp_path_factory.mktemp("written")
    packed = io.BytesIO(base64.decodebytes(request.param.read_bytes()))
    with tarfile.open(fileobj=packed) as files:
        files.extractall(found, filter="data")
    return found


def values(w, table):
    return np.concatenate([w.as_array().ravel(), table.as_array().ravel()])


@pytest.mark.parametrize("name", write.TRAINERS)
def test_training_resumes(name, folder):
    m, w, table = write.model()
    trainer = getattr(dy, name)(m)
    m.populate(folder / f"{name}.model")
    trainer.populate(folder / f"{name}.trainer")
    write.steps(w, table, trainer, range(3, 6))
    assert np.array_equal(values(w, table), np.load(folder / f"{name}.npy"))


@pytest.mark.parametrize("name", write.TRAINERS)
def test_a_pickled_trainer_has_the_same_settings(name, folder):
    trainer = pickle.loads((folder / f"{name}.pickle").read_bytes())
    m, w, table = write.model()
    expected = getattr(dy, name)(m)
    write.steps(w, table, expected, range(3))
    assert type(trainer).__name__ == name and trainer.learning_rate == expected.learning_rate


@pytest.mark.parametrize("name", write.BUILDERS)
def test_a_builder_loads(name, folder):
    expected = dy.ParameterCollection()
    write.builder(name, expected)
    write.fill(expected)
    found = dy.ParameterCollection()
    built, extra = dy.load(str(folder / name), found)
    assert type(built).__name__ == name and extra.as_array().tolist() == [1.5, 1.5]
    pairs = zip(expected.parameters_list(), found.parameters_list())
    assert all(np.array_equal(a.as_array(), b.as_array()) for a, b in pairs)
    assert len(found.parameters_list()) == len(expected.parameters_list()) + 1
