"""docs/moved_names.md is true: the old names no longer exist, and the new ones do."""

import importlib
import pickle
import re
from pathlib import Path

import pytest

import dynet as dy

PAGE = Path(__file__).parents[1] / "docs" / "moved_names.md"
ROWS = re.findall(r"^\| `([\w.]+)` \| (.*) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)


def found(path):
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


@pytest.mark.parametrize("before, now", ROWS, ids=[before for before, _ in ROWS])
def test_a_name_has_moved(before, now):
    with pytest.raises((ImportError, AttributeError)):
        found(before)
    named = re.findall(r"`(dynet_\w+\.[\w.]+)`", now)
    assert named and all(map(found, named))


@pytest.mark.parametrize("name", ["tensor.Tensor", "expression.Expression", "device.DeviceInfo", "several.values"])
def test_pickles_of_older_versions_find_what_they_name(name):
    module, _, public = name.partition(".")
    assert pickle.loads(f"cdynet_core.{module}\n{public}\n.".encode()) is getattr(dy, public)


def test_pickles_of_saving_functions_and_values_load():
    assert pickle.loads(b"cdynet_core.files.object_files\nload\n.") is dy.load
    assert pickle.loads(b"cdynet_core.mutable_values\nFloatValue\n.") is dy.FloatValue


def test_there_are_rows():
    assert len(ROWS) > 10
