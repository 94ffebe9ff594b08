"""Puts this folder on the import path, and defines fixtures for tests of files."""

import sys
from pathlib import Path

import pytest

from dynet_core import config
from dynet_core.parameter import object_files

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def fresh(monkeypatch):
    """Settings of a new process, which has issued no warnings yet."""
    monkeypatch.setattr(config, "PARAMS", config.DynetParams())
    object_files._warn.cache_clear()
    yield config.PARAMS
    object_files._warn.cache_clear()


@pytest.fixture
def by_name(fresh):
    """Settings under which loading a class of the program's own needs permission."""
    fresh.set_own_classes(False)
