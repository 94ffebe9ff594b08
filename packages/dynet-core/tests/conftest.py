"""Makes the helpers of this folder importable, and has the settings that tests of files share."""

import sys
from pathlib import Path

import pytest

from dynet_core import config
from dynet_core.parameter import object_files

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def fresh(monkeypatch):
    """Settings of a new program, which has not been warned of anything."""
    monkeypatch.setattr(config, "PARAMS", config.DynetParams())
    object_files._warn.cache_clear()
    yield config.PARAMS
    object_files._warn.cache_clear()


@pytest.fixture
def by_name(fresh):
    """Settings with which a class of the program's own needs a permission."""
    fresh.set_own_classes(False)
