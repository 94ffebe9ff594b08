"""Errors about model files name each tensor that does not fit, and give the path as the user wrote it."""

import numpy as np
import pytest

import dynet_core as dy

SUFFIXES = ["", ".safetensors"]


def model_of(*shapes, rows=()):
    model = dy.ParameterCollection()
    for shape in shapes:
        model.add_parameters(shape)
    for shape in rows:
        model.add_lookup_parameters(shape)
    return model


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_tensor_that_does_not_fit_is_named(suffix, tmp_path):
    file = str(tmp_path / ("model" + suffix))
    model_of((2, 3), 4, 5, rows=[(10, 3)]).save(file)
    with pytest.raises(dy.FileFormatError) as caught:
        model_of((2, 4), 4, 6, rows=[(10, 2)]).populate(file)
    assert str(caught.value) == (
        f"{file} does not fit the collection: parameter /_0 is (2, 3) in the file, (2, 4) in the model; "
        "parameter /_2 is (5,) in the file, (6,) in the model; "
        "lookup parameter /_3 is (10, 3) in the file, (10, 2) in the model"
    )
    with pytest.raises(dy.FileFormatError) as caught:
        model_of((2, 3), 4, rows=[(10, 3)]).populate(file)
    assert str(caught.value) == (
        f"{file} holds 3 parameters and 1 lookup parameters, the collection 2 and 1: "
        "lookup parameter /_2 (10, 3) is in the model only; parameter /_2 (5,) is in the file only; "
        "lookup parameter /_3 (10, 3) is in the file only"
    )


def test_of_many_the_first_are_named(tmp_path):
    file = str(tmp_path / "model")
    model_of(*[2] * 50).save(file)
    with pytest.raises(dy.FileFormatError, match=r"; 30 more$") as caught:
        model_of(*[3] * 50).populate(file)
    assert str(caught.value).count("in the file") == 20


@pytest.mark.parametrize(
    "content", [b"some text " * 100, bytes(range(256)), b"\x80\x02}q\x00", b"#Parameter#" * 90, b"[1, 2, 3]\n" * 9]
)
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_is_no_model_is_shown_in_part(content, suffix, tmp_path):
    file = tmp_path / ("model" + suffix)
    file.write_bytes(content)
    with pytest.raises(dy.FileFormatError) as caught:
        model_of(2).populate(file)
    message = str(caught.value)
    if not suffix:
        assert message.startswith(f"{file}, byte 0: this is not a file of parameters: expected '#Parameter# ")
        assert len(message.partition("found ")[2]) <= 40
    assert len(message.removeprefix(str(file))) < 160


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_folder_that_does_not_exist_is_named_as_given(suffix, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = model_of(2)
    path = "nowhere/model" + suffix
    for call in (lambda: model.save(path), lambda: model.populate(path), lambda: model.parameters_list()[0].save(path)):
        with pytest.raises(FileNotFoundError) as caught:
            call()
        assert caught.value.filename == path
    with pytest.raises(FileNotFoundError) as caught:
        dy.save("nowhere/model", model.parameters_list())
    assert caught.value.filename == "nowhere/model.data"
    assert list(tmp_path.iterdir()) == []


def test_assigning_to_a_parameter_says_how_its_values_are_replaced():
    model = dy.ParameterCollection()
    p, table = model.add_parameters((2, 3)), model.add_lookup_parameters((4, 3))
    for x, way in ((p, r"set_value\(array\)"), (table, r"init_row\(i, row\).*set_value\(array\)")):
        with pytest.raises(dy.ArgumentTypeError, match=f"cannot be changed in place: {way}"):
            x[0] = np.zeros(3)
        with pytest.raises(dy.ArgumentTypeError, match=f"cannot be changed in place: {way}"):
            del x[0]
        for name in ("value", "shape", "npvalue", "weights"):
            with pytest.raises(AttributeError, match=way):
                setattr(x, name, np.zeros((2, 3)))


def test_the_array_of_a_parameter_is_a_copy_that_can_be_changed():
    p = dy.ParameterCollection().parameters_from_numpy(np.ones((2, 3)))
    array = p.as_array()
    array[0] = 7
    assert (p.as_array() == 1).all()


def test_the_shape_of_a_parameter_is_an_attribute_and_a_method():
    model = dy.ParameterCollection()
    p, table = model.add_parameters((2, 3)), model.add_lookup_parameters((4, 3))
    for x, shape in ((p, (2, 3)), (table, (4, 3)), (p.expr(update=False), (2, 3))):
        assert x.shape == x.shape() == shape
        assert type(x.shape()) is tuple
        assert repr(x.shape) == repr(shape)
