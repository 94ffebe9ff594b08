"""The cache of compiled kernels: real object files, real processes."""

import ctypes
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from pathlib import Path

import pytest

from dynet_kernels import cache
from dynet_kernels.cache import CacheError, cache_directory, load_or_build

posix_only = pytest.mark.skipif(os.name != "posix", reason="needs POSIX owners and modes")
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")
root_only = pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can give files away")

# Writes f(address, x): *address = 2x + 1, and fill(address, n), the same for each x below n in parallel.
COMPILE = """
    def build(path):
        import tvm
        from tvm import ir, tirx
        from tvm.script.ir_builder import IRBuilder
        from tvm.tirx.script import builder as T

        def function(body):
            with IRBuilder() as builder:
                with T.prim_func(s_tir=True):
                    T.func_name(body.__name__)
                    address, number = T.arg("address", T.int64()), T.arg("number", T.int64())
                    pointer = T.reinterpret(ir.PointerType(ir.PrimType("int64")), address)
                    body(T.decl_buffer((1 << 40,), "int64", data=T.bind(pointer)), number)
            return builder.get()

        def f(memory, x):
            T.buffer_store(memory, 2 * x + 1, [tirx.const(0, "int64")])

        def fill(memory, count):
            with T.parallel(tirx.const(0, "int64"), count) as x:
                T.buffer_store(memory, 2 * x + 1, [x])

        module = ir.IRModule({ir.GlobalVar("f"): function(f), ir.GlobalVar("fill"): function(fill)})
        tvm.compile(module, target="llvm").mod.write_to_file(str(path))
"""
USE = """
    import ctypes
    def use(module, x=20):
        memory = (ctypes.c_int64 * 1)()
        module.get_function("f")(ctypes.addressof(memory), x)
        return memory[0]
"""


def start(program, *, arguments=(), environment=None, **options):
    """Start a Python process with this program, in a changed environment."""
    search = os.pathsep.join([str(Path(cache.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    env = {**os.environ, "PYTHONPATH": search, **(environment or {})}
    command = [sys.executable, "-W", "error", "-c", program, *map(str, arguments)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, env=env, **pipes, **options)


def run(*parts, **options):
    """What a program prints, after it has ended well, and what it says on stderr."""
    process = start("\n".join(map(textwrap.dedent, parts)), **options)
    output, errors = process.communicate(timeout=100)
    assert process.returncode == 0, errors
    return output, errors


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
    """A temporary directory of its own; forgets which one was used and warned of before."""
    temporary = tmp_path / "temporary"
    temporary.mkdir(mode=0o700)
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    monkeypatch.delenv("DYNET_CACHE_DIR", raising=False)
    for function in (cache._temporary_directory, cache._warn):
        function.cache_clear()
    yield temporary
    for function in (cache._temporary_directory, cache._warn):
        function.cache_clear()


def use(module, x=20):
    memory = (ctypes.c_int64 * 1)()
    module.get_function("f")(ctypes.addressof(memory), x)
    return memory[0]


def set_age(path, seconds):
    then = time.time() - seconds
    os.utime(path, (then, then))


def names(directory):
    return sorted(path.name for path in directory.iterdir())


# Building once


def test_builds_once(directory, build, capsys):
    assert cache.load_stored("key") is None
    assert use(load_or_build("key", build)) == 41
    assert use(load_or_build("key", build)) == 41
    assert use(cache.load_stored("key")) == 41
    assert build.calls == 1
    assert capsys.readouterr() == ("", "")
    assert names(directory) == ["key.o"]


def test_each_key_has_its_own_file(directory, build):
    load_or_build("a", build)
    load_or_build("b", build)
    assert build.calls == 2
    assert names(directory) == ["a.o", "b.o"]


@pytest.mark.parametrize("key", ["", "../a", "a/b", ".hidden", "a b", "ä", "a\n"])
def test_a_key_that_is_no_file_name_is_refused(directory, build, key):
    with pytest.raises(ValueError, match="cache key"):
        load_or_build(key, build)
    assert build.calls == 0


def test_a_failed_build_leaves_nothing(directory, build):
    def fail(path):
        path.write_bytes(b"half")
        raise KeyError("on purpose")

    with pytest.raises(KeyError, match="on purpose"):
        load_or_build("key", fail)
    assert names(directory) == []
    assert use(load_or_build("key", build)) == 41


def test_what_cannot_be_loaded_is_not_kept(directory, build, object_file):
    with pytest.raises(RuntimeError, match="past the end of"):
        load_or_build("key", lambda path: path.write_bytes(object_file.read_bytes()[:-1000]))
    assert names(directory) == []
    assert use(load_or_build("key", build)) == 41


def test_a_stored_module_that_fails_its_check_is_built_again(directory, build):
    load_or_build("key", build)
    answers = [False, False, True]
    assert use(load_or_build("key", build, check=lambda module: answers.pop(0))) == 41
    assert build.calls == 2


def test_a_built_module_that_fails_its_check_is_an_error(directory, build):
    with pytest.raises(CacheError, match="not fit for use"):
        load_or_build("key", build, check=lambda module: False)
    assert names(directory) == []


# Keys that stand for others


@pytest.fixture
def identified(object_file):
    """`load_or_make` by two keys; counts how often the second was asked for, and something made."""

    def load(key, known="code"):
        def identify(lock):
            assert lock.exists()
            load.identified += 1
            return known

        def make(lock):
            load.made += 1
            return object_file.read_bytes()

        return cache.load_or_make(key, make, identify=identify)

    load.identified = load.made = 0
    return load


def test_keys_that_turn_out_to_be_the_same_share_a_file(directory, identified):
    for key in ("a", "b", "a", "b"):
        assert use(identified(key)) == 41
    assert (identified.identified, identified.made) == (2, 1)
    assert names(directory) == ["a.key", "b.key", "code.o"]
    assert use(cache.load_stored("a")) == use(cache.load_stored("b")) == 41


def test_keys_that_turn_out_to_differ_have_a_file_each(directory, identified):
    identified("a", "one")
    identified("b", "two")
    assert identified.made == 2
    assert names(directory) == ["a.key", "b.key", "one.o", "two.o"]


@pytest.mark.parametrize("damage", ["remove", "cut", "give another's"])
def test_a_damaged_second_key_is_found_again(directory, identified, damage):
    identified("a")
    identified("b", "another")
    path = directory / "a.key"
    intact = path.read_bytes()
    if damage == "remove":
        path.unlink()
    else:
        path.write_bytes(intact[:-1] if damage == "cut" else (directory / "b.key").read_bytes())
    assert use(identified("a")) == 41
    assert (identified.identified, identified.made) == (3, 2)
    assert path.read_bytes() == intact


def test_what_a_key_stands_for_is_made_again_where_it_is_gone(directory, identified):
    identified("a")
    (directory / "code.o").unlink()
    assert cache.load_stored("a") is None
    assert use(identified("a")) == 41
    assert (identified.identified, identified.made) == (2, 2)


def test_a_second_key_that_cannot_be_found_leaves_nothing(directory):
    with pytest.raises(KeyError, match="on purpose"):
        cache.load_or_make("a", lambda lock: b"", identify=lambda lock: {}["on purpose"])
    assert names(directory) == []


# Damage


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[:10],
        lambda content: content[:-1],
        lambda content: content[: len(content) // 2],
        lambda content: content + b"\0",
        lambda content: content[:1000] + bytes([content[1000] ^ 4]) + content[1001:],
        lambda content: bytes(len(content)),
    ],
    ids=["empty", "start", "one byte less", "half", "one byte more", "bit flipped", "zeros"],
)
def test_a_damaged_file_is_built_again(directory, build, damage):
    load_or_build("key", build)
    path = directory / "key.o"
    intact = path.read_bytes()
    path.write_bytes(damage(intact))
    assert use(load_or_build("key", build)) == 41
    assert build.calls == 2
    assert path.read_bytes() == intact


def test_a_flipped_bit_is_seen_wherever_it_is(directory, build):
    load_or_build("key", build)
    path = directory / "key.o"
    intact = path.read_bytes()
    assert cache._read(path, "key") == intact[:-32]
    for place in [*range(0, len(intact), 97), len(intact) - 1]:
        content = bytearray(intact)
        content[place] ^= 1 << place % 8
        path.write_bytes(content)
        assert cache._read(path, "key") is None, place


def test_a_file_under_another_key_is_not_taken(directory, build):
    load_or_build("key", build)
    (directory / "key.o").rename(directory / "other.o")
    load_or_build("other", build)
    assert build.calls == 2


def test_a_directory_in_the_place_of_a_file_does_no_harm(directory, build):
    (directory / "key.o").mkdir(parents=True, mode=0o700)
    directory.chmod(0o700)
    with pytest.warns(RuntimeWarning, match="cannot be kept"):
        assert use(load_or_build("key", build)) == 41
    assert names(directory) == ["key.o"]


# Safety


@posix_only
def test_the_directory_and_its_parents_are_made_private(tmp_path, monkeypatch):
    monkeypatch.setenv("DYNET_CACHE_DIR", str(tmp_path / "a" / "b"))
    mask = os.umask(0)
    try:
        assert cache_directory() == tmp_path / "a" / "b"
    finally:
        os.umask(mask)
    for path in (tmp_path / "a", tmp_path / "a" / "b"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700


@posix_only
@pytest.mark.parametrize("mode", [0o770, 0o720, 0o702, 0o777, 0o1777])
def test_a_directory_others_can_write_to_is_refused(directory, build, mode):
    directory.mkdir()
    directory.chmod(mode)
    with pytest.raises(CacheError, match=rf"DYNET_CACHE_DIR .*written to by others \(mode {mode:04o}\)"):
        load_or_build("key", build)
    assert build.calls == 0


@posix_only
def test_a_directory_others_can_read_is_accepted(directory):
    directory.mkdir()
    directory.chmod(0o755)
    assert cache_directory() == directory


@posix_only
def test_links_are_followed_before_the_check(directory, tmp_path):
    target = tmp_path / "target"
    target.mkdir(mode=0o700)
    directory.symlink_to(target)
    assert cache_directory() == target
    target.chmod(0o777)
    with pytest.raises(CacheError, match="written to by others"):
        cache_directory()


@posix_only
def test_a_directory_that_all_can_rename_is_refused(tmp_path, monkeypatch):
    (tmp_path / "open" / "own").mkdir(parents=True)
    monkeypatch.setenv("DYNET_CACHE_DIR", str(tmp_path / "open" / "own"))
    (tmp_path / "open").chmod(0o777)
    with pytest.raises(CacheError, match="writable by all"):
        cache_directory()
    (tmp_path / "open").chmod(0o1777)
    assert cache_directory() == tmp_path / "open" / "own"


@root_only
def test_a_directory_of_another_user_is_refused(directory, build):
    directory.mkdir(mode=0o700)
    os.chown(directory, 12345, -1)
    with pytest.raises(CacheError, match=r"belongs to another user \(uid 12345\)"):
        load_or_build("key", build)
    assert build.calls == 0


@root_only
def test_root_leaves_no_directory_in_the_home_of_another_user(tmp_path, monkeypatch):
    (tmp_path / "home").mkdir()
    os.chown(tmp_path / "home", 12345, -1)
    monkeypatch.setenv("DYNET_CACHE_DIR", str(tmp_path / "home" / "cache" / "dynet"))
    with pytest.raises(CacheError, match="another user than root"):
        cache_directory()
    assert names(tmp_path / "home") == []


@root_only
def test_a_file_of_another_user_is_not_loaded(directory, build):
    load_or_build("key", build)
    os.chown(directory / "key.o", 12345, -1)
    load_or_build("key", build)
    assert build.calls == 2
    assert (directory / "key.o").stat().st_uid == os.geteuid()


@posix_only
def test_a_file_others_can_write_to_or_a_link_is_not_loaded(directory, build, tmp_path):
    load_or_build("key", build)
    (directory / "key.o").chmod(0o622)
    load_or_build("key", build)
    assert build.calls == 2
    assert stat.S_IMODE((directory / "key.o").stat().st_mode) == 0o600
    (directory / "key.o").rename(tmp_path / "elsewhere.o")
    (directory / "key.o").symlink_to(tmp_path / "elsewhere.o")
    load_or_build("key", build)
    assert build.calls == 3


@posix_only
def test_a_file_in_the_place_of_the_directory_is_refused(directory):
    directory.write_text("")
    with pytest.raises(CacheError, match="is not a directory"):
        cache_directory()


# Places to fall back to


@posix_only
def test_a_home_that_cannot_be_written_is_replaced_with_one_warning(tmp_path, monkeypatch, fresh_temporary, build):
    (tmp_path / "home").write_text("not even root can make a directory in a file")
    for name in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    with pytest.warns(RuntimeWarning, match="kept in .*DYNET_CACHE_DIR can name another") as caught:
        module = load_or_build("key", build)
        assert use(module) == 41
        load_or_build("key", build)
    assert len(caught) == 1
    assert build.calls == 1
    assert names(fresh_temporary) == [f"dynet-{os.geteuid()}"]
    assert stat.S_IMODE((fresh_temporary / names(fresh_temporary)[0]).stat().st_mode) == 0o700


@posix_only
def test_an_unsafe_default_is_replaced_too(tmp_path, monkeypatch, fresh_temporary):
    (tmp_path / "dynet").mkdir()
    (tmp_path / "dynet").chmod(0o777)
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda *names, **options: str(tmp_path / "dynet"))
    with pytest.warns(RuntimeWarning, match="written to by others"):
        assert cache_directory().parent == fresh_temporary


@posix_only
def test_a_user_without_a_home_gets_no_directory_called_tilde(tmp_path, monkeypatch, fresh_temporary):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda *names, **options: "~/.cache/dynet")
    monkeypatch.setattr("os.path.expanduser", lambda path: path)
    with pytest.warns(RuntimeWarning, match="no home directory"):
        assert cache_directory().parent == fresh_temporary
    assert not (tmp_path / "~").exists()


@posix_only
def test_a_link_left_in_the_temporary_directory_is_not_followed(tmp_path, monkeypatch, fresh_temporary):
    (tmp_path / "target").mkdir(mode=0o700)
    (fresh_temporary / f"dynet-{os.geteuid()}").symlink_to(tmp_path / "target")
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda *names, **options: str(tmp_path / "f" / "dynet"))
    (tmp_path / "f").write_text("")
    with pytest.warns(RuntimeWarning):
        chosen = cache_directory()
    assert chosen.parent == fresh_temporary and not chosen.is_symlink()
    assert names(tmp_path / "target") == []
    cache._remove(chosen, os.getpid() + 1)
    assert chosen.exists()
    cache._remove(chosen, os.getpid())
    assert not chosen.exists()


@posix_only
def test_a_directory_that_cannot_be_written_is_still_read(directory, object_file, build):
    """Run as a user whom modes bind: root may write anywhere."""
    load_or_build("stored", build)
    program = """
        import os, sys, pathlib
        directory, object_file, temporary, user = sys.argv[1:]
        if os.geteuid() == 0:
            import tvm_ffi_orcjit  # while all may be read
            from dynet_kernels import cache
            import ctypes
            cache.load_runtime()
            code = open(object_file, "rb").read()
            cache.load_object(code)
            os.seteuid(int(user))
        else:
            from dynet_kernels import cache
            code = open(object_file, "rb").read()
        import warnings
        build = lambda path: path.write_bytes(code)
        assert use(cache.load_or_build("stored", lambda path: 1 / 0)) == 41
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            assert use(cache.load_or_build("missing", build)) == 41
            assert use(cache.load_or_build("missing", lambda path: 1 / 0)) == 41
        print([str(warning.message) for warning in caught])
    """
    user = os.geteuid() or 12345
    # Not in tmp_path, which only its owner may enter.
    home = Path(tempfile.mkdtemp())
    home.chmod(0o755)
    read_only, temporary = home / "cache", home / "temporary"
    try:
        read_only.mkdir()
        temporary.mkdir()
        (read_only / "stored.o").write_bytes((directory / "stored.o").read_bytes())
        (read_only / "stored.o").chmod(0o600)
        for path in (read_only / "stored.o", read_only, temporary):
            os.chown(path, user, -1)
        read_only.chmod(0o500)
        output, _ = run(
            USE,
            program,
            arguments=[read_only, object_file, temporary, user],
            environment={"DYNET_CACHE_DIR": str(read_only), "TMPDIR": str(temporary)},
        )
        assert output.count("cannot be written to (Permission denied)") == 1
        assert names(read_only) == ["stored.o"]
        assert (temporary / f"dynet-{user}" / "missing.o").exists()
    finally:
        read_only.chmod(0o700)
        shutil.rmtree(home)


@linux_only
def test_a_full_disk_costs_only_the_next_start(directory, object_file):
    program = """
        import pathlib, resource, sys, warnings
        from dynet_kernels.cache import load_or_build
        def build(path):
            path.write_bytes(pathlib.Path(sys.argv[1]).read_bytes())
            resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            assert use(load_or_build("key", build)) == 41
        print(caught[0].message, len(caught))
    """
    output, _ = run(USE, program, arguments=[object_file])
    assert "cannot be kept in" in output and output.endswith(" 1\n")
    assert names(directory) == []


def test_no_room_to_build_is_said_before_llvm_ends_the_process(directory, build, monkeypatch):
    monkeypatch.setattr(cache, "ROOM", 1 << 60)
    with pytest.raises(CacheError, match="needs .* MB of free space"):
        load_or_build("key", build)
    assert build.calls == 0


# Several processes

SLOW = """
    import pathlib, sys, time
    from dynet_kernels.cache import load_or_build
    object_file, log, seconds = sys.argv[1:]
    def build(path):
        with open(log, "a") as file:
            file.write("built\\n")
        path.write_bytes(pathlib.Path(object_file).read_bytes())
        time.sleep(float(seconds))
"""


def start_slow(object_file, log, seconds, then="print(use(load_or_build('key', build)))"):
    program = "\n".join(map(textwrap.dedent, (USE, SLOW, then)))
    # What a killed build leaves among temporary files goes away with this test's directory.
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
    then = "from dynet_kernels import cache; cache.fcntl = None; print(use(load_or_build('key', build)))"
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
    assert time.monotonic() - began < 5
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
        monkeypatch.setattr(cache, "PATIENCE", 0.2)
        assert use(load_or_build("key", build)) == 41
        assert build.calls == 1
    finally:
        process.kill()
        process.communicate()


@posix_only
def test_a_child_that_keeps_the_lock_is_not_waited_for(directory, object_file, tmp_path, build):
    """A child forked during a build has the lock's descriptor; the finished file must be enough."""
    log = tmp_path / "log"
    then = """
        import os
        def build_and_fork(path):
            build(path)
            if os.fork() == 0:
                os.closerange(0, 3)
                time.sleep(20)
                os._exit(0)
        print(use(load_or_build("key", build_and_fork)))
    """
    first = start_slow(object_file, log, 0.5, textwrap.dedent(then))
    wait_for(log.exists)
    began = time.monotonic()
    assert use(load_or_build("key", build)) == 41
    assert time.monotonic() - began < 10
    assert build.calls == 0
    assert first.communicate(timeout=60)[0] == "41\n"


# Loading


@linux_only
def test_compiling_and_loading_need_no_tools_and_8_gigabytes(directory):
    limit = "import resource; resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))"
    cold = """
        from dynet_kernels.cache import load_or_build
        print(use(load_or_build("key", build)))
    """
    output, errors = run(limit, COMPILE, USE, cold, environment={"PATH": "", "CXX": ""})
    assert output == "41\n"
    assert errors == ""
    warm = """
        import sys
        from dynet_kernels.cache import load_or_build
        module = load_or_build("key", lambda path: 1 / 0)
        assert "tvm" not in sys.modules
        print(use(module))
    """
    assert run(limit, USE, warm, environment={"PATH": "", "CXX": ""}) == ("41\n", "")
    modest = limit.replace("8 << 30", "1 << 30")
    assert run(modest, USE, warm, environment={"PATH": "", "CXX": "", "OPENBLAS_NUM_THREADS": "1"}) == (
        "41\n",
        "",
    )


def test_parallel_loops_work_without_tvm(directory, object_file):
    program = """
        import ctypes, pathlib, sys
        from dynet_kernels.cache import load_or_build
        module = load_or_build("key", lambda path: path.write_bytes(pathlib.Path(sys.argv[1]).read_bytes()))
        memory = (ctypes.c_int64 * 10000)()
        module.get_function("fill")(ctypes.addressof(memory), 10000)
        assert list(memory) == list(range(1, 20001, 2)), list(memory)[:5]
        assert "tvm" not in sys.modules
    """
    run(program, arguments=[object_file])


def test_tvm_can_be_imported_after_loading(directory):
    program = """
        from dynet_kernels.cache import load_or_build
        first = load_or_build("first", build)
        import tvm
        second = load_or_build("second", build)
        print(use(first), use(second))
    """
    run(COMPILE, USE, "from dynet_kernels.cache import load_or_build; load_or_build('first', build)")
    assert run(COMPILE, USE, program)[0] == "41 41\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_goes_on_with_what_is_loaded_and_loads_more(directory, object_file):
    program = """
        import os, pathlib, sys
        from dynet_kernels.cache import load_or_build
        def build(path):
            path.write_bytes(pathlib.Path(sys.argv[1]).read_bytes())
        module = load_or_build("first", build)
        if os.fork() == 0:
            assert use(module) == 41
            assert use(load_or_build("second", build)) == 41
            os._exit(7)
        assert os.waitstatus_to_exitcode(os.wait()[1]) == 7
        assert use(module) == 41
        assert use(load_or_build("second", lambda path: 1 / 0)) == 41
    """
    run(USE, program, arguments=[object_file])


def test_functions_outlive_their_module(directory, build):
    function = load_or_build("key", build).get_function("f")
    cache.tvm_ffi_orcjit.default_session().clear_free_slabs()
    memory = (ctypes.c_int64 * 1)()
    function(ctypes.addressof(memory), 3)
    assert memory[0] == 7


# Pruning


def make(directory, name, age):
    path = directory / name
    path.write_bytes(b"")
    set_age(path, age)


def test_old_files_are_removed_after_a_build(directory, build):
    directory.mkdir(mode=0o700)
    make(directory, "old.o", 31 * cache.DAY)
    make(directory, "young.o", 29 * cache.DAY)
    make(directory, "old.key", 31 * cache.DAY)
    make(directory, "young.key", 29 * cache.DAY)
    make(directory, "killed.lock", 2 * cache.ABANDONED)
    make(directory, "killed.new", 2 * cache.ABANDONED)
    make(directory, "busy.lock", 1)
    make(directory, "busy.new", 1)
    make(directory, "notes.txt", 100 * cache.DAY)
    load_or_build("key", build)
    assert names(directory) == ["busy.lock", "busy.new", "key.o", "notes.txt", "young.key", "young.o"]


def test_the_last_used_are_kept(directory, build):
    directory.mkdir(mode=0o700)
    for number in range(cache.KEEP + 14):
        for suffix in cache.STORED:
            make(directory, f"{number:02}{suffix}", 2 * cache.DAY + number)
    load_or_build("key", build)
    kept = [f"{number:02}{suffix}" for number in range(cache.KEEP - 1) for suffix in (".key", ".o")]
    assert names(directory) == [*kept, "key.o"]


def test_files_in_use_are_kept_however_many(directory, build):
    directory.mkdir(mode=0o700)
    for number in range(cache.KEEP + 9):
        make(directory, f"{number:02}.o", 3600)
    make(directory, "unused.o", 2 * cache.DAY)
    load_or_build("key", build)
    assert names(directory) == [f"{number:02}.o" for number in range(cache.KEEP + 9)] + ["key.o"]


def test_use_is_noted_once_a_day(directory, build):
    load_or_build("key", build)
    path = directory / "key.o"
    set_age(path, 3600)
    before = path.stat().st_mtime
    load_or_build("key", build)
    assert path.stat().st_mtime == before
    set_age(path, 2 * cache.DAY)
    load_or_build("key", build)
    assert time.time() - path.stat().st_mtime < 60
    assert build.calls == 1
