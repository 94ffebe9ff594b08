"""docs/moved_names.md is true: old names are gone, and new ones exist."""

import importlib
import re
from pathlib import Path

import pytest

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


def test_there_are_rows():
    assert len(ROWS) > 10
