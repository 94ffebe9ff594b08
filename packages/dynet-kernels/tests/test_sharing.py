"""How many threads share passes, and which setting decides it."""

import os
import threading

import pytest

from dynet_kernels import layout as at
from dynet_kernels.machine import sharing


@pytest.fixture(autouse=True)
def many_cores(monkeypatch):
    for name in ("DYNET_NUM_THREADS", "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sharing, "core_count", lambda: 6)
    monkeypatch.setattr(sharing, "_quota_cores", lambda: 7)


def test_a_thread_for_each_core_unless_there_are_many(monkeypatch):
    assert sharing.default_threads() == 6
    monkeypatch.setattr(sharing, "core_count", lambda: 96)
    assert sharing.default_threads() == 7
    monkeypatch.setattr(sharing, "_quota_cores", lambda: 96)
    assert sharing.default_threads() == sharing.MOST_DEFAULT_THREADS


@pytest.mark.parametrize(
    "own, openmp, expected",
    [
        ("3", None, 3),
        ("3", "2", 3),
        (None, "2", 2),
        (None, "4,2", 4),
        (None, "", 6),
        (None, "many", 6),
        ("50", None, 6),
    ],
)
def test_the_environment_can_want_fewer(own, openmp, expected, monkeypatch):
    for name, value in (("DYNET_NUM_THREADS", own), ("OMP_NUM_THREADS", openmp)):
        if value is not None:
            monkeypatch.setenv(name, value)
    assert sharing.default_threads() == expected


@pytest.mark.parametrize("value", ["0", "-1", "two", "1.5"])
def test_a_malformed_number_is_an_error(value, monkeypatch):
    monkeypatch.setenv("DYNET_NUM_THREADS", value)
    with pytest.raises(ValueError, match=f"DYNET_NUM_THREADS is '{value}', not a whole number of at least 1"):
        sharing.default_threads()


@pytest.mark.parametrize("told, cores", [("200000 100000\n", 2), ("50000 100000\n", 1), ("max 100000\n", None)])
def test_the_quota_of_a_container(told, cores, tmp_path, monkeypatch):
    monkeypatch.undo()
    path = tmp_path / "cpu.max"
    path.write_text(told)
    assert sharing._quota_cores(str(path)) == (cores or sharing.MOST_DEFAULT_THREADS)
    assert sharing._quota_cores(str(tmp_path / "none")) == sharing.MOST_DEFAULT_THREADS


@pytest.mark.parametrize("count", [0, -1, at.MOST_THREADS + 1])
def test_too_few_and_too_many_are_refused(count):
    before = sharing.thread_count()
    with pytest.raises(ValueError, match=f"{count} threads were asked for; 1 to {at.MOST_THREADS} can be used"):
        sharing.use(count)
    assert sharing.thread_count() == before


def test_a_number_for_the_length_of_a_block():
    before = sharing._settings[:3]
    with sharing.using(5, 1, 2):
        assert sharing.thread_count() == 5
        assert sharing._settings[1:3] == [1, 2]
    assert sharing._settings[:3] == before


def test_other_threads_of_python_share_nothing():
    found = []
    thread = threading.Thread(target=lambda: found.append(sharing.address()))
    thread.start()
    thread.join()
    assert found != [sharing.address()]
    assert sharing._settings_alone[at.SHARING.threads] == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_goes_on_alone():
    with sharing.using(3):
        child = os.fork()
        if not child:
            os._exit(sharing.thread_count())
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
        assert sharing.thread_count() == 3
