"""The cache of compiled kernels: storing, finding and removing real object files."""

import ctypes
import os
import time

import pytest
from built import load_or_build
from cached import COMPILE, USE, linux_only, names, run, set_age, use

from dynet_kernels.cache import store


def test_builds_once(directory, build, capsys):
    assert store.find_object("key") is None
    assert use(load_or_build("key", build)) == 41
    assert use(load_or_build("key", build)) == 41
    assert use(store.load_object(store.find_object("key"))) == 41
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


@pytest.fixture
def identified(object_file):
    """Call `load_or_make` with two keys; count how often the second was requested and how often something was built."""

    def load(key, known="code"):
        def identify(lock):
            assert lock.exists()
            load.identified += 1
            return known

        def make(lock):
            load.made += 1
            return object_file.read_bytes()

        return store.load_or_make(key, make, identify=identify)

    load.identified = load.made = 0
    return load


def test_keys_that_turn_out_to_be_the_same_share_a_file(directory, identified):
    for key in ("a", "b", "a", "b"):
        assert use(identified(key)) == 41
    assert (identified.identified, identified.made) == (2, 1)
    assert names(directory) == ["a.key", "b.key", "code.o"]
    assert store.find_object("a") == store.find_object("b") and use(store.load_object(store.find_object("a"))) == 41


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
    assert store.find_object("a") is None
    assert use(identified("a")) == 41
    assert (identified.identified, identified.made) == (2, 2)


def test_a_second_key_that_cannot_be_found_leaves_nothing(directory):
    with pytest.raises(KeyError, match="on purpose"):
        store.load_or_make("a", lambda lock: b"", identify=lambda lock: {}["on purpose"])
    assert names(directory) == []


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
    assert store._read(path, "key") == intact[:-32]
    for place in [*range(0, len(intact), 97), len(intact) - 1]:
        content = bytearray(intact)
        content[place] ^= 1 << place % 8
        path.write_bytes(content)
        assert store._read(path, "key") is None, place


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


@linux_only
def test_compiling_and_loading_need_no_tools_and_8_gigabytes(directory):
    limit = "import resource; resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))"
    cold = """
        from built import load_or_build
        print(use(load_or_build("key", build)))
    """
    output, errors = run(limit, COMPILE, USE, cold, environment={"PATH": "", "CXX": ""})
    assert output == "41\n"
    assert errors == ""
    warm = """
        import sys
        from built import load_or_build
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


def test_tvm_can_be_imported_after_loading(directory):
    program = """
        from built import load_or_build
        first = load_or_build("first", build)
        import tvm
        second = load_or_build("second", build)
        print(use(first), use(second))
    """
    run(COMPILE, USE, "from built import load_or_build; load_or_build('first', build)")
    assert run(COMPILE, USE, program)[0] == "41 41\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_goes_on_with_what_is_loaded_and_loads_more(directory, object_file):
    program = """
        import os, pathlib, sys
        from built import load_or_build
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
    store.tvm_ffi_orcjit.default_session().clear_free_slabs()
    memory = (ctypes.c_int64 * 1)()
    function(ctypes.addressof(memory), 3)
    assert memory[0] == 7


def make(directory, name, age):
    path = directory / name
    path.write_bytes(b"")
    set_age(path, age)


def test_what_killed_processes_left_is_removed_after_a_build(directory, build):
    """Code is kept at any age: a container image may hold it for months before it is used."""
    directory.mkdir(mode=0o700)
    make(directory, "old.o", 400 * store.DAY)
    make(directory, "old.key", 400 * store.DAY)
    make(directory, "killed.lock", 2 * store.ABANDONED_AFTER)
    make(directory, "killed.new", 2 * store.ABANDONED_AFTER)
    make(directory, "busy.lock", 1)
    make(directory, "busy.new", 1)
    make(directory, "notes.txt", 100 * store.DAY)
    load_or_build("key", build)
    assert names(directory) == ["busy.lock", "busy.new", "key.o", "notes.txt", "old.key", "old.o"]


def test_the_last_used_are_kept(directory, build):
    directory.mkdir(mode=0o700)
    for number in range(store.KEPT_FILE_COUNT + 14):
        for suffix in store.STORED_SUFFIXES:
            make(directory, f"{number:03}{suffix}", 2 * store.DAY + number)
    load_or_build("key", build)
    kept = [f"{number:03}{suffix}" for number in range(store.KEPT_FILE_COUNT - 1) for suffix in (".key", ".o")]
    assert names(directory) == [*kept, "key.o"]


def test_files_in_use_are_kept_however_many(directory, build):
    directory.mkdir(mode=0o700)
    for number in range(store.KEPT_FILE_COUNT + 9):
        make(directory, f"{number:03}.o", 3600)
    make(directory, "unused.o", 2 * store.DAY)
    load_or_build("key", build)
    assert names(directory) == [f"{number:03}.o" for number in range(store.KEPT_FILE_COUNT + 9)] + ["key.o"]


def test_use_is_noted_once_a_day(directory, build):
    load_or_build("key", build)
    path = directory / "key.o"
    set_age(path, 3600)
    before = path.stat().st_mtime
    load_or_build("key", build)
    assert path.stat().st_mtime == before
    set_age(path, 2 * store.DAY)
    load_or_build("key", build)
    assert time.time() - path.stat().st_mtime < 60
    assert build.calls == 1
