"""safetensors files: round trips, and how other software reads them."""

import json

import numpy as np
import pytest
import safetensors.numpy as library

import dynet_core as dy
from dynet_core import ArgumentError, FileFormatError, ParameterCollection
from dynet_core.files import safetensors_format


@pytest.fixture
def model():
    model = ParameterCollection()
    model.add_lookup_parameters((4, 2, 3), name="rows")
    model.add_parameters((2, 3, 2))
    model.add_subcollection("part").add_parameters(5)
    return model


@pytest.fixture
def file(tmp_path):
    return tmp_path / "model.safetensors"


def arrays(model) -> dict:
    everything = [*model.parameters_list(), *model.lookup_parameters_list()]
    return {p.name(): np.asarray(p).copy() for p in everything}


def assert_equal(first, second) -> None:
    first, second = arrays(first), arrays(second)
    assert first.keys() == second.keys()
    for name, array in first.items():
        np.testing.assert_array_equal(array, second[name])


def test_all_values_come_back(model, file):
    special = np.array([0, -0.0, 1e-45, 3.4028235e38, np.inf, -np.inf, np.nan, 1], np.float32)
    model.parameters_from_numpy(special)
    model.save(file)
    assert_equal(ParameterCollection.from_file(file), model)
    bits = ParameterCollection.from_file(file).parameters_list()[-1].as_array(dtype=np.float32).view(np.uint32)
    assert (bits == special.view(np.uint32)).all()
    before = arrays(model)
    for p in model._all_parameters():
        p.zero()
    model.populate(file)
    for name, array in arrays(model).items():
        np.testing.assert_array_equal(array, before[name])


def test_other_software_sees_the_arrays(model, file):
    model.save(file)
    found = library.load_file(file)
    for name, array in arrays(model).items():
        np.testing.assert_array_equal(found[name], array)


def test_parts_and_single_parameters(model, file):
    part = model.add_subcollection("part")
    rows = part.add_lookup_parameters((2, 3))
    part.save(file, "/other")
    rows.save(file, "rows", append=True)
    copy = ParameterCollection()
    assert copy.load_lookup_param(file, "rows").as_array().tolist() == rows.as_array().tolist()
    assert copy.load_lookup_param(file, "/other/_0").as_array().tolist() == rows.as_array().tolist()
    rows.zero()
    part.populate(file, "/other")
    assert rows.as_array().any()
    with pytest.raises(ArgumentError, match="two parameters are named rows"):
        rows.save(file, "rows", append=True)
    with pytest.raises(FileFormatError, match="holds no parameter named 'rows'"):
        copy.load_param(file, "rows")
    model.save(file, [rows])
    assert [p.name() for p in copy.load(file)] == ["/part_1/_0"]


def test_a_model_of_another_shape_is_left_alone(model, file):
    model.save(file)
    other = ParameterCollection()
    other.add_lookup_parameters((4, 2, 3), init=7)
    other.add_parameters((2, 3, 2), init=7)
    other.add_parameters(6, init=7)
    with pytest.raises(FileFormatError, match=r"/part/_0 is \(5,\) in the file, \(6,\) in the model"):
        other.populate(file)
    assert all((array == 7).all() for array in arrays(other).values())


@pytest.mark.parametrize(
    "tensors, order",
    [
        ({"/_0": np.zeros(2, np.float32)}, None),
        ({"/_0": np.zeros(2, np.float32)}, "5"),
        ({"/_0": np.zeros(2, np.float32)}, "[]"),
        ({"/_0": np.zeros(2, np.float32)}, "[" * 100_000),
        ({"/_0": np.zeros(2, np.float32)}, '[["/_0", 1]]'),
        ({"/_0": np.zeros(2, np.float32)}, '[["/_1", false]]'),
        ({"/_0": np.zeros(2, np.float32)}, '[["/_0", false], ["/_0", false]]'),
        ({"/_0": np.zeros(2, np.float64)}, '[["/_0", false]]'),
        ({"/_0": np.zeros(2, np.float32)}, '[["/_0", true]]'),
        ({"/_0": np.zeros((2**41, 0), np.float32)}, '[["/_0", false]]'),
        ({"/_0": np.zeros((1,) * 8, np.float32)}, '[["/_0", false]]'),
    ],
)
def test_files_from_elsewhere_are_refused(tensors, order, file):
    library.save_file(tensors, file, None if order is None else {"dynet": order})
    with pytest.raises(FileFormatError):
        ParameterCollection.from_file(file)


def test_a_damaged_file_is_refused(model, file):
    model.save(file)
    whole = file.read_bytes()
    for end in (0, 4, 8, 50, len(whole) - 1):
        file.write_bytes(whole[:end])
        with pytest.raises(FileFormatError):
            model.populate(file)
    with pytest.raises(FileNotFoundError):
        model.populate(file.with_name("nothing.safetensors"))
    assert json.loads(whole[8 : 8 + int.from_bytes(whole[:8], "little")])["__metadata__"]


def test_objects_are_saved_as_text_beside_it(model, file, tmp_path):
    dy.save(tmp_path / "objects", model.parameters_list())
    assert (tmp_path / "objects.data").read_bytes().startswith(b"#Parameter#")


def test_names_that_text_cannot_hold(file, tmp_path):
    model = ParameterCollection()
    model.add_parameters(2, name="a b #é")
    with pytest.raises(ArgumentError, match="cannot be a name in a file"):
        model.save(tmp_path / "text")
    model.save(file)
    assert_equal(ParameterCollection.from_file(file), model)
    with pytest.raises(ArgumentError, match="'__metadata__' cannot be a name in a file"):
        model.parameters_list()[0].save(file, "__metadata__")
    assert_equal(ParameterCollection.from_file(file), model)


def test_gradients_are_not_kept(model, file):
    for p in model._all_parameters():
        p._storage.set_gradient(p._storage.values.array)
    model.save(file)
    assert not any(p.grad_as_array().any() for p in ParameterCollection.from_file(file)._all_parameters())


@pytest.mark.parametrize("shape", [(3, 1), (7, 2), (2, 3, 4), (5, 4, 3, 2)])
@pytest.mark.parametrize("piece", [1, 2, 5, 6, 24, 1000])
def test_arrays_are_written_in_pieces(shape, piece, file, monkeypatch):
    monkeypatch.setattr(safetensors_format, "PIECE_SIZE", piece)
    model = ParameterCollection()
    model.parameters_from_numpy(np.arange(np.prod(shape)).reshape(shape))
    model.lookup_parameters_from_numpy(np.arange(np.prod(shape)).reshape(shape) + 0.5)
    model.save(file)
    assert_equal(ParameterCollection.from_file(file), model)
    assert {array.shape for array in library.load_file(file).values()} >= {shape}
