"""Puts this folder on the import path, and defines fixtures for tests of the cache."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import pytest  # noqa: E402
from cached import COMPILE, run  # noqa: E402

from dynet_kernels import tuning_records  # noqa: E402
from dynet_kernels.cache import store  # noqa: E402


@pytest.fixture(scope="session")
def object_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("object") / "tiny.o"
    run(COMPILE, "import sys; build(sys.argv[1])", arguments=[path])
    return path


@pytest.fixture
def directory(tmp_path, monkeypatch):
    path = tmp_path / "cache"
    monkeypatch.setenv("DYNET_CACHE_DIR", str(path))
    return path


@pytest.fixture
def build(object_file):
    """A build that copies an object file and counts its calls."""

    def build(path):
        build.calls += 1
        path.write_bytes(object_file.read_bytes())

    build.calls = 0
    return build


@pytest.fixture
def fresh_temporary(tmp_path, monkeypatch):
    """A separate temporary directory; forgets which one was used and warned about before."""
    temporary = tmp_path / "temporary"
    temporary.mkdir(mode=0o700)
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    monkeypatch.delenv("DYNET_CACHE_DIR", raising=False)
    for function in (store._temporary_directory, store.warn):
        function.cache_clear()
    yield temporary
    for function in (store._temporary_directory, store.warn):
        function.cache_clear()


@pytest.fixture
def own_records(tmp_path, monkeypatch):
    """A user's cache directory without tuning records."""
    directory = tmp_path / "cache"
    monkeypatch.setenv("DYNET_CACHE_DIR", str(directory))
    monkeypatch.delenv("DYNET_RECORDS", raising=False)
    tuning_records._find_records.cache_clear()
    yield directory
    tuning_records._find_records.cache_clear()
