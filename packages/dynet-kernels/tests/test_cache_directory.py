"""Permissions of the cache directory, and where kernels go if it cannot be used."""

import os
import shutil
import stat
import tempfile
from pathlib import Path

import pytest
from built import load_or_build
from cached import USE, linux_only, names, posix_only, root_only, run, use

from dynet_kernels.cache import store
from dynet_kernels.cache.store import CacheError, cache_directory


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
    with pytest.raises(CacheError, match="a user other than root"):
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


NOBODY = """
    import os, sys, tempfile
    from dynet_kernels.cache import shipped_code, store
    os.environ["DYNET_CACHE_DIR"], tempfile.tempdir = sys.argv[1:]
    os.setgid(65534)
    os.setuid(65534)
    shipped_code.should_look_in_cache()
    for use in (store.clear, lambda: store.load_or_make("key", lambda lock: b"code", load=bytes)):
        try:
            use()
        except store.CacheError as error:
            print(error)
    for name in ("XDG_CACHE_HOME", "HOME"):
        os.environ[name] = os.environ["DYNET_CACHE_DIR"]
    del os.environ["DYNET_CACHE_DIR"]
    import warnings
    warnings.simplefilter("ignore")  # that a temporary directory is used
    assert not store.exists()
    assert store.load_or_make("key", lambda lock: b"code", load=bytes) == b"code"
"""


@root_only
@pytest.mark.parametrize("place", ["closed", "closed/cache", "own"])
def test_a_directory_that_may_not_be_looked_into_is_refused(place):
    with tempfile.TemporaryDirectory() as folder:  # not in `tmp_path`, which is closed to other users
        folder = Path(folder)
        folder.chmod(0o755)
        for name, mode, owner in (("closed", 0o700, 0), ("closed/cache", 0o700, 65534), ("own", 0, 65534)):
            (folder / name).mkdir()
            os.chown(folder / name, owner, owner)
            (folder / name).chmod(mode)
        (folder / "temporary").mkdir()
        (folder / "temporary").chmod(0o1777)
        said = run(NOBODY, arguments=[folder / place, folder / "temporary"])[0].splitlines()
        why = "belongs to another user" if place == "closed" else "cannot be accessed"
        assert len(said) == 2
        assert all(f"DYNET_CACHE_DIR cannot be used: {folder / place} {why}" in line for line in said)


@posix_only
def test_a_file_in_the_place_of_the_directory_is_refused(directory):
    directory.write_text("")
    with pytest.raises(CacheError, match="is not a directory"):
        cache_directory()


@posix_only
def test_a_home_that_cannot_be_written_is_replaced_with_one_warning(tmp_path, monkeypatch, fresh_temporary, build):
    (tmp_path / "home").write_text("not even root can make a directory in a file")
    for name in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    with pytest.warns(RuntimeWarning, match="kept in .*DYNET_CACHE_DIR can name a different") as caught:
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
    store._remove(chosen, os.getpid() + 1)
    assert chosen.exists()
    store._remove(chosen, os.getpid())
    assert not chosen.exists()


@posix_only
def test_a_directory_that_cannot_be_written_is_still_read(directory, object_file, build):
    """Runs as a user that permissions bind, because root may write anywhere."""
    load_or_build("stored", build)
    program = """
        import os, sys, pathlib
        from built import load_or_build
        directory, object_file, temporary, user = sys.argv[1:]
        if os.geteuid() == 0:
            import tvm_ffi_orcjit  # while all may be read
            from dynet_kernels.cache import store
            import ctypes
            store.linker()
            code = open(object_file, "rb").read()
            store.load_object(code)
            os.seteuid(int(user))
        else:
            from dynet_kernels.cache import store
            code = open(object_file, "rb").read()
        import warnings
        build = lambda path: path.write_bytes(code)
        assert use(load_or_build("stored", lambda path: 1 / 0)) == 41
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            assert use(load_or_build("missing", build)) == 41
            assert use(load_or_build("missing", lambda path: 1 / 0)) == 41
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
        from built import load_or_build
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
    monkeypatch.setattr(store, "MIN_FREE", 1 << 60)
    with pytest.raises(CacheError, match="needs .* MB of free space"):
        load_or_build("key", build)
    assert build.calls == 0
