"""Several processes and threads build the same kernels concurrently."""

import signal
import textwrap
import threading
import time

import pytest
from built import load_or_build
from cached import USE, names, posix_only, start, use

from dynet_kernels.cache import store

SLOW = """
    import pathlib, sys, time
    from built import load_or_build
    object_file, log, seconds = sys.argv[1:]
    def build(path):
        with open(log, "a") as file:
            file.write("built\\n")
        path.write_bytes(pathlib.Path(object_file).read_bytes())
        time.sleep(float(seconds))
"""


def start_slow(object_file, log, seconds, then="print(use(load_or_build('key', build)))"):
    program = "\n".join(map(textwrap.dedent, (USE, SLOW, then)))
    # Temporary files of a killed build are removed with this test's directory.
    return start(program, arguments=[object_file, log, seconds], environment={"TMPDIR": str(log.parent)})


def wait_for(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("before", ["nothing", "damaged"])
def test_of_four_processes_that_start_at_once_one_builds(directory, object_file, tmp_path, before):
    if before == "damaged":
        directory.mkdir(mode=0o700)
        (directory / "key.o").write_bytes(b"damaged")
        (directory / "key.o").chmod(0o600)
    log = tmp_path / "log"
    processes = [start_slow(object_file, log, 1.0) for _ in range(4)]
    results = [process.communicate(timeout=60) for process in processes]
    assert [output for output, _ in results] == ["41\n"] * 4, results
    assert log.read_text() == "built\n"
    assert names(directory) == ["key.o"]


def test_of_four_threads_one_builds(directory, build):
    results = []

    def slow(path):
        build(path)
        time.sleep(0.3)

    threads = [threading.Thread(target=lambda: results.append(use(load_or_build("key", slow)))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [41] * 4
    assert build.calls == 1


def test_without_locks_all_processes_still_succeed(directory, object_file, tmp_path):
    then = "from dynet_kernels import building; building.fcntl = None; print(use(load_or_build('key', build)))"
    processes = [start_slow(object_file, tmp_path / "log", 0.5, then) for _ in range(4)]
    results = [process.communicate(timeout=60) for process in processes]
    assert [output for output, _ in results] == ["41\n"] * 4, results
    assert names(directory) == ["key.o"]


@posix_only
def test_a_process_killed_while_it_builds_leaves_the_way_free(directory, object_file, tmp_path, build):
    log = tmp_path / "log"
    process = start_slow(object_file, log, 60)
    wait_for(log.exists)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not (directory / "key.o").exists()
    began = time.monotonic()
    assert use(load_or_build("key", build)) == 41
    assert time.monotonic() - began < 30  # the killed process would have taken 60
    assert names(directory) == ["key.o"]


@posix_only
def test_a_process_killed_while_others_wait_is_replaced(directory, object_file, tmp_path):
    log = tmp_path / "log"
    first = start_slow(object_file, log, 60)
    wait_for(log.exists)
    second = start_slow(object_file, log, 0)
    time.sleep(0.5)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    output, errors = second.communicate(timeout=60)
    assert output == "41\n", errors
    assert log.read_text() == "built\n" * 2


@posix_only
def test_a_process_that_hangs_is_not_waited_for_forever(directory, object_file, tmp_path, build, monkeypatch):
    log = tmp_path / "log"
    process = start_slow(object_file, log, 60)
    try:
        wait_for(log.exists)
        process.send_signal(signal.SIGSTOP)
        monkeypatch.setattr(store, "PATIENCE", 0.2)
        assert use(load_or_build("key", build)) == 41
        assert build.calls == 1
    finally:
        process.kill()
        process.communicate()


@posix_only
def test_a_child_that_keeps_the_lock_is_not_waited_for(directory, object_file, tmp_path, build):
    """A child forked during a build inherits the lock's descriptor; the finished file must be enough."""
    log = tmp_path / "log"
    then = """
        import os
        def build_and_fork(path):
            build(path)
            if os.fork() == 0:
                os.closerange(0, 3)
                time.sleep(60)
                os._exit(0)
        print(use(load_or_build("key", build_and_fork)))
    """
    first = start_slow(object_file, log, 0.5, textwrap.dedent(then))
    wait_for(log.exists)
    began = time.monotonic()
    assert use(load_or_build("key", build)) == 41
    assert time.monotonic() - began < 30
    assert build.calls == 0
    assert first.communicate(timeout=60)[0] == "41\n"
