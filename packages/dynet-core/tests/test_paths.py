"""Wrong file paths: errors quote the path as written, and point out swapped arguments."""

import os
from pathlib import Path

import numpy as np
import pytest

import dynet_core as dy


def model():
    collection = dy.ParameterCollection()
    collection.add_parameters((2, 3))
    return collection


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("folder")


WRITES = {
    "save": lambda path: model().save(path),
    "save, safetensors": lambda path: model().save(path + ".safetensors" if path else path),
    "parameter": lambda path: model().parameters_list()[0].save(path),
    "append": lambda path: model().save(path, append=True),
}


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("path", ["", "no/such/model", "./no/../such/model", "folder", "./folder", "link"])
def test_errors_name_the_path_that_was_given(write, path):
    if "safetensors" in write and path.endswith(("folder", "link")):
        os.rename("folder", "folder.safetensors")
        os.symlink("folder.safetensors", "link.safetensors")
    with pytest.raises(OSError) as caught:
        WRITES[write](path)
    expected = f"{path}.safetensors" if "safetensors" in write and path else path
    assert caught.value.filename == expected and str(caught.value).endswith(f": {expected!r}")
    assert not isinstance(caught.value, dy.MissingFileError)


@pytest.mark.parametrize("path", [b"model", Path("model"), "model"])
def test_paths_may_be_bytes(path):
    first, second = model(), model()
    first.save(path)
    second.populate(path)
    np.testing.assert_array_equal(*[each.parameters_list()[0].as_array() for each in (first, second)])
    dy.save(path, first.parameters_list())
    assert len(dy.load(path, dy.Model())) == 1
    assert len(dy.ParameterCollection.from_file(path).parameters_list()) == 1


@pytest.mark.parametrize("path", [3, None, ["model"], model()], ids=repr)
def test_what_is_no_path_is_refused(path):
    collection = model()
    p = collection.parameters_list()[0]
    for name, call in (
        ("save", lambda: collection.save(path)),
        ("save", lambda: collection.save(path, components=[p])),
        ("save", lambda: p.save(path)),
        ("save", lambda: dy.save(path, [p])),
        ("populate", lambda: collection.populate(path)),
        ("populate", lambda: p.populate(path)),
        ("load", lambda: collection.load(path)),
        ("load", lambda: dy.load(path, collection)),
    ):
        with pytest.raises(dy.ArgumentTypeError, match=f"^{name}: a file is named by its path, a string, not by "):
            call()
    assert not [name for name in os.listdir() if name not in ("folder", "link")]


def test_arguments_in_each_others_place():
    collection = model()
    p = collection.parameters_list()[0]
    for call, message in (
        (lambda: dy.save("z", p), r"^save: the objects are one list: save\(name, \[...\]\), not Parameter /_0"),
        (lambda: dy.save("z", collection), r"^save: expected a list of objects, .*: model.save\(path\)$"),
        (lambda: dy.save("z", 3), "^save: expected a list of objects, got 3$"),
        (lambda: dy.save([p], "z"), r"^save: the name of the files comes first: save\('z', \[...\]\)$"),
        (lambda: dy.load(collection, "z"), r"^load: the name of the files comes first: load\('z', ...\)$"),
        (lambda: dy.load("z", 3), "^load: expected a ParameterCollection, got int 3$"),
        (lambda: collection.save("z", p), "^save: the objects are one list"),
    ):
        with pytest.raises(dy.ArgumentTypeError, match=message):
            call()
    assert not [name for name in os.listdir() if name not in ("folder", "link")]


@pytest.mark.parametrize("path", ["empty", "empty.safetensors"])
def test_an_empty_file_is_said_to_be_empty(path):
    Path(path).touch()
    with pytest.raises(dy.FileFormatError, match=f"^{path} is empty"):
        model().populate(path)
