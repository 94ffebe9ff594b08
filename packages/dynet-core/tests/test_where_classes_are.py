"""Which classes belong to one program, by where they are defined: its files may hold objects of these classes."""

import abc
import argparse
import importlib
import os
import sys
import types
import zipfile

import numpy as np
import pytest

import dynet_core as dy
from dynet_core import FileFormatError
from dynet_core.files import meta, names
from dynet_core.files.names import belongs


@pytest.fixture
def imported(tmp_path, monkeypatch):
    """Returns a function that writes a module with a class `Thing` into a folder and imports the class."""
    before = {*sys.modules}

    def made(entry, name, bases="object", file=None):
        path = tmp_path / entry / (name.replace(".", "/") + ".py")
        if file is None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"import dynet_core, argparse\nclass Thing({bases}): from_spec = None\n")
        if str(tmp_path / entry) not in sys.path:
            monkeypatch.syspath_prepend(tmp_path / entry)
        importlib.invalidate_caches()
        return importlib.import_module(name).Thing

    yield made
    for name in {*sys.modules} - before:
        del sys.modules[name]


TOGETHER = [
    ("a", "own_net", "a", "own_words"), ("a", "own_pack.net", "a", "own_pack.words"),
    ("a", "own_pack.net", "a", "own_pack.data.words"), ("a", "own_pack.x.y.net", "a", "own_pack.data.words"),
]  # fmt: skip
APART = [
    ("a", "own_net", "b", "own_words"), ("a", "own_net", "a", "own_pack.words"),
    ("a", "own_pack.net", "a", "own_pack2.words"), ("a", "own_net", "a/sub", "own_words"),
    ("a", "own_pack.net", "b", "own_pack.words"), ("a", "own_net", "site-packages", "own_words"),
    ("site-packages", "own_net", "site-packages", "own_words"), ("a", "own_pk.net", "site-packages", "own_pk.words"),
    ("dist-packages", "own_pack.net", "dist-packages", "own_pack.words"),
]  # fmt: skip


@pytest.mark.parametrize("places, together", [(p, True) for p in TOGETHER] + [(p, False) for p in APART], ids=str)
def test_which_classes_belong_together(places, together, imported):
    one, other = imported(*places[:2]), imported(*places[2:])
    assert belongs(one, other) is belongs(other, one) is together
    assert belongs(one, one) is ("packages" not in places[0])


@pytest.mark.parametrize("mark", ["thing-1.0.dist-info", "EGG-INFO"])
def test_a_folder_that_pip_installs_into_is_no_program(mark, imported, tmp_path):
    one, other = imported("a", "own_net"), imported("a", "own_pack.words")
    (tmp_path / "a" / mark).mkdir()
    assert not belongs(one, one) and not belongs(other, other)


def test_links_lead_nowhere_else(imported, tmp_path):
    """Neither a link from the program's folder to installed packages nor one in the other direction is followed."""
    one, two = imported("a", "own_net"), imported("site-packages", "own_words")
    os.symlink(tmp_path / "site-packages" / "own_words.py", tmp_path / "a" / "own_linked.py")
    os.symlink(tmp_path / "a" / "own_net.py", tmp_path / "site-packages" / "own_back.py")
    os.symlink(tmp_path / "a", tmp_path / "b")
    linked, back = imported("a", "own_linked", file=True), imported("site-packages", "own_back", file=True)
    assert not any(belongs(one, other) or belongs(other, one) for other in (two, linked, back))
    assert not belongs(linked, linked) and not belongs(back, back)
    (tmp_path / "a" / "own_other.py").write_text("class Thing: ...")
    sys.path.remove(str(tmp_path / "a"))
    assert belongs(one, imported("b", "own_other", file=True)), "one folder under two names"


def test_archives_have_no_folders(tmp_path, monkeypatch, imported):
    with zipfile.ZipFile(tmp_path / "app.zip", "w") as archive:
        for name in ("own_net", "own_words"):
            archive.writestr(name + ".py", "class Thing: ...\nclass More: ...\n")
    monkeypatch.syspath_prepend(tmp_path / "app.zip")
    one, other = (importlib.import_module(name) for name in ("own_net", "own_words"))
    assert belongs(one.Thing, one.More) and not belongs(one.Thing, other.Thing)


def test_nor_have_frozen_programs(imported, monkeypatch):
    one, other = imported("a", "own_net"), imported("a", "own_words")
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    assert belongs(one, one) and not belongs(one, other)


def test_a_module_without_a_file_has_only_itself(imported):
    notebook = types.ModuleType("own_notebook")
    exec("class Thing: ...\nclass More: ...", vars(notebook))
    sys.modules["own_notebook"] = notebook
    assert belongs(notebook.Thing, notebook.More) and not belongs(notebook.Thing, imported("a", "own_net"))


def test_what_is_installed_or_the_librarys_has_no_own_classes(imported):
    assert not belongs(argparse.Action, argparse.ArgumentParser) and not belongs(abc.ABC, abc.ABC)
    assert not belongs(pytest.Item, pytest.Item) and not belongs(np.ndarray, np.ndarray)
    assert not belongs(dy.ParameterCollection, dy.ParameterCollection) and not belongs(int, int)
    for base in ("dynet_core.ParameterCollection", "dynet_core.Expression"):
        made = imported("a", "own_" + base[11:].lower(), base)
        assert not belongs(made, imported("a", "own_net")) and belongs(imported("a", "own_net"), made)


def test_a_class_is_where_it_was_defined_and_not_where_it_says(imported):
    one = imported("a", "own_net")
    module = sys.modules["own_net"]
    module.Action = argparse.Action  # importing a class does not make it the program's own
    liar = type("Liar", (), {"__module__": "own_net"})
    assert not belongs(argparse.Action, one) and not belongs(liar, one)
    vars(module)["__file__"] = "own_net.py"  # a relative path without a base
    assert not belongs(one, imported("a", "own_words"))


def test_nothing_is_imported(imported, tmp_path, monkeypatch):
    one = imported("a", "own_net")
    (tmp_path / "a" / "own_trap.py").write_text("raise SystemExit('imported')")
    content = b"cown_net\nThing\ncown_trap\nThing\n)\x81X\x08\x00\x00\x00/holder/\x87."
    with pytest.raises(FileFormatError, match="own_trap.Thing is in no module that is imported"):
        meta.read_records(content, "model.meta", {}, True)
    assert "own_trap" not in sys.modules and names.imported_object("own_net", "Thing") is one


CALLED = []


class Meta(type):
    def __getattribute__(cls, name):
        CALLED.append(name)
        return type.__getattribute__(cls, name)

    def __hash__(cls):
        CALLED.append("__hash__")
        return 1


def test_a_metaclass_is_not_asked(imported):
    one = imported("a", "own_net")
    module = sys.modules["own_net"]
    module.Made = made = Meta("Made", (), {"__module__": "own_net"})
    CALLED.clear()
    found = belongs(made, one) and belongs(one, made)
    assert found and CALLED == []
