"""Shipped compiled code is found without a compiler and refused if damaged; also the command that builds it."""

import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from cached import run

from dynet_kernels import build, target, tuning_records
from dynet_kernels.cache import seal, shipped_code, store
from dynet_kernels.families.fill import Fill
from dynet_kernels.families.products import precision
from dynet_kernels.kernels import RUN_SHARD
from dynet_kernels.machine import library
from dynet_kernels.machine.parts import Shard, key_of
from dynet_kernels.table import KERNELS

MACHINE = {"x86_64": 62, "aarch64": 183}  # machine numbers in the ELF header of an object file

KERNELS_OF_PROGRAM = """
    import sys
    from pathlib import Path
    from dynet_kernels.machine import library
    from dynet_kernels.cache import shipped_code
    from dynet_kernels.families.fill import Fill
    from dynet_kernels.families.scan import Scan
    from dynet_kernels.kernels import Kernels
    from dynet_kernels.machine.parts import Planner, Shard, key_of
    kernels = Kernels()
    kernels.use(kernels.add("fill", Fill()))
    kernels.use(kernels.add("scan", Scan(False)))
"""
BUILD = """
    from dynet_kernels.target import host_general_targets
    target = host_general_targets()[0]
    parts = [Planner(target), *(Shard(kernels.shard(number), target) for number in kernels.shard_indices())]
    for part, code in zip(parts, library.load_modules(parts, load=bytes, allow_general_code=False)):
        if len(sys.argv) > 1:
            shipped_code.write(Path(sys.argv[1]), key_of(part, with_versions=False), code)
"""
USE = """
    shipped_code.FOLDER = Path(sys.argv[1])
    machine = library.Library(kernels)
    assert machine._loaded == {0, 1}
    print("tvm" in sys.modules)
"""


@pytest.fixture(scope="module")
def shipped(tmp_path_factory):
    """A folder with the code of a planner and two shards for a generic CPU."""
    folder = tmp_path_factory.mktemp("shipped")
    cached = {"DYNET_CACHE_DIR": str(tmp_path_factory.mktemp("cache")), "DYNET_CPU": "", "DYNET_RECORDS": ""}
    run(KERNELS_OF_PROGRAM, BUILD, arguments=[folder], environment=cached)
    return folder


def use(folder, cache_directory, **environment):
    """Load the shards; return whether TVM was imported, how many files of code were compiled, and the messages."""
    search = os.pathsep.join([str(Path(store.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    known = {"PYTHONPATH": search, "DYNET_CACHE_DIR": str(cache_directory), "DYNET_CPU": "", "DYNET_RECORDS": ""}
    program = "\n".join(line[4:] for line in (KERNELS_OF_PROGRAM + USE).splitlines())
    done = subprocess.run(
        [sys.executable, "-c", program, str(folder)],
        env={**os.environ, **known, **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "False\n"
    return len(list(Path(cache_directory).glob("*.o"))), done.stderr


def test_shipped_code_is_used_and_nothing_is_compiled(shipped, tmp_path):
    assert use(shipped, tmp_path) == (0, "")


@pytest.mark.few(each=3)
@pytest.mark.parametrize("harm", ["cut", "changed", "foreign"])
def test_a_damaged_or_foreign_file_is_refused_and_compiled_instead(harm, shipped, tmp_path):
    folder = tmp_path / "damaged"
    shutil.copytree(shipped, folder)
    paths = sorted(folder.iterdir(), key=lambda path: path.stat().st_size)
    content = paths[0].read_bytes()
    harmed = {"cut": content[:-1], "changed": content[:100] + b"!" + content[101:], "foreign": paths[1].read_bytes()}
    paths[0].write_bytes(harmed[harm])
    count, said = use(folder, tmp_path / "cache")
    assert count == 1
    assert f"RuntimeWarning: dynet: {paths[0]} is damaged and not used" in said
    assert "Install dynet-kernels again" in said


@pytest.mark.thorough
def test_code_for_exactly_this_cpu_is_compiled_if_asked_for(shipped, tmp_path):
    assert use(shipped, tmp_path, DYNET_CPU="native")[0] == 3
    # Now it is preferred.
    assert use(tmp_path / "nothing", tmp_path) == (3, "")


@pytest.mark.thorough
def test_a_chosen_kind_takes_its_own_shipped_code(shipped, tmp_path):
    kind = target.host_general_targets()[0].kind
    assert use(shipped, tmp_path / "same", DYNET_CPU=kind) == (0, "")
    if kind != "generic":
        assert use(shipped, tmp_path / "other", DYNET_CPU="generic")[0] == 3


def test_kernels_tuned_for_this_cpu_are_compiled(shipped, tmp_path, monkeypatch):
    monkeypatch.delenv("DYNET_CPU", raising=False)
    target.host_cpu.cache_clear()
    record = {
        "family": "update",
        "target": tuning_records.kind_of(target.host_cpu()),
        "cpu": target.host_cpu().identity,
    }
    (tmp_path / "tuned.json").write_text(json.dumps([{**record, "parameters": {"vectors": 2}}]))
    tmp_path.chmod(0o700)
    assert use(shipped, tmp_path)[0] == 3


@pytest.mark.thorough
def test_code_for_a_general_kind_is_found_in_the_cache_too(tmp_path):
    """As in a container image built by `python -m dynet_kernels.build --for KIND`."""
    cached = tmp_path / "cache"
    run(KERNELS_OF_PROGRAM, BUILD, environment={"DYNET_CACHE_DIR": str(cached), "DYNET_CPU": "", "DYNET_RECORDS": ""})
    assert use(tmp_path, cached) == (3, "")


@pytest.mark.parametrize(
    ("machine", "features", "kinds"),
    [
        ("x86_64-linux", target._KINDS[target.BF16][2], ["avx512_bf16", "avx512", "avx2", "generic"]),
        ("x86_64-linux", target._KINDS["avx512"][2], ["avx512", "avx2", "generic"]),
        ("x86_64-linux", target._KINDS["avx2"][2], ["avx2", "generic"]),
        ("x86_64-linux", target._KINDS["avx2"][2] - {"fma"}, ["generic"]),
        ("aarch64-linux", frozenset({"asimd"}), ["generic"]),
    ],
)
def test_only_code_that_this_cpu_can_run_is_considered(machine, features, kinds, monkeypatch):
    monkeypatch.setattr(target, "read_cpu", lambda: (machine, "model", features))
    assert [found.kind for found in target.host_general_targets()] == kinds
    assert {found.machine for found in target.host_general_targets()} <= {machine}


# The command


def test_every_kernel_is_built():
    parts = build.parts_for(target.BUILD_TARGETS["aarch64"])
    names = [name for part in parts if isinstance(part, Shard) for name, _ in part.kernels.values()]
    assert sorted(names) == sorted(name for name, _ in KERNELS.items())
    assert len(parts) == len(KERNELS.shard_indices()) + 2  # plus the planner and the recorder
    more = build.parts_for(target.BUILD_TARGETS["x86-64-v4-bf16"])[len(parts) :]
    assert [(part.name, part.factors) for part in more] == [  # type: ignore[union-attr]
        (name, factors)
        for factors in (precision.AMX, precision.AVX512)
        for name in ("product", "product.dx", "product.dW")
    ]


@pytest.mark.few(each=2)
@pytest.mark.parametrize("kind", target.BUILD_TARGETS)
def test_code_for_other_machines_is_built(kind, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("DYNET_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(build, "parts_for", lambda target: [Shard({0: ("fill", Fill())}, target)])
    monkeypatch.setattr(build, "import_packages", lambda: None)
    folder = tmp_path / "into"
    folder.mkdir()
    monkeypatch.setenv("DYNET_RECORDS", "")
    build.main(["--for", kind, kind, "--for", kind, "--into", str(folder)])
    (path,) = folder.glob("*.o")
    index = json.loads((folder / shipped_code.INDEX_NAME).read_text())
    assert list(index.values()) == [path.stem]
    with monkeypatch.context() as frozen:
        frozen.setattr(shipped_code, "index", lambda: index)
        assert index[key_of(Shard({0: ("fill", Fill())}, target.BUILD_TARGETS[kind]), with_versions=False)] == path.stem
    code = seal.unsealed(path.stem, path.read_bytes())
    assert code is not None and code[:5] == b"\x7fELF\x02"
    architecture = target.BUILD_TARGETS[kind].machine.partition("-")[0]
    assert int.from_bytes(code[18:20], "little") == MACHINE[architecture]
    if architecture == platform.machine():  # linked even if this CPU could not run it
        assert store.load_object(code).get_function(RUN_SHARD)
    assert capsys.readouterr().out == f"{target.BUILD_TARGETS[kind].identity}: 1 modules, 0.0 MiB, in {folder}\n"
    assert os.environ["DYNET_RECORDS"] == str(tuning_records.SHIPPED_RECORDS)  # even if this user has tuned kernels
    with pytest.raises(SystemExit):
        build.main(["--for", kind, "--into", str(folder)])
    assert "is not empty" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--for", "aarch64", "--into", "nowhere"], "--into: nowhere is not a directory"),
        (["--into", "."], "--into: name the kinds of CPU with --for"),
        (["--for", "z80"], "invalid choice: 'z80'"),
        (["--for"], "expected at least one argument"),
    ],
)
def test_wrong_arguments_are_refused(given, said, capsys):
    with pytest.raises(SystemExit):
        build.parsed_arguments(given)
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("error", [store.CacheError("no luck"), OSError("no luck"), ValueError("no luck")])
def test_a_failed_build_ends_with_its_reason(error, monkeypatch):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(library, "load_modules", fail)
    monkeypatch.setattr(build, "import_packages", lambda: None)
    with pytest.raises(SystemExit, match="^python -m dynet_kernels.build: no luck$"):
        build.main([])


def test_an_interrupted_build_says_so(monkeypatch):
    def interrupt():
        raise KeyboardInterrupt

    monkeypatch.setattr(build, "import_packages", interrupt)
    with pytest.raises(SystemExit, match="interrupted; the next call continues from here"):
        build.main([])


def test_a_build_that_the_cache_does_not_keep_fails(monkeypatch, directory):
    monkeypatch.setattr(library, "load_modules", lambda parts, **_: [b"code"] * len(parts))
    monkeypatch.setattr(build, "import_packages", lambda: None)
    with pytest.raises(SystemExit, match="does not keep what was compiled: is the disk full"):
        build.main([])


def test_half_a_file_is_not_written(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError("no room")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="no room"):
        shipped_code.write(tmp_path, "key", b"code")
    assert list(tmp_path.iterdir()) == []


def test_no_cache_directory_is_made_where_all_code_is_shipped(shipped, tmp_path):
    nowhere = tmp_path / "nowhere"
    search = os.pathsep.join([str(Path(store.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    program = "\n".join(line[4:] for line in (KERNELS_OF_PROGRAM + USE).splitlines())
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DYNET_", "XDG_"))}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, str(shipped)],
        env={**kept, "PYTHONPATH": search, "HOME": str(nowhere)},
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("False\n", "")
    assert not nowhere.exists()


def test_a_file_that_is_not_there_is_not_found(monkeypatch, tmp_path):
    monkeypatch.setattr(shipped_code, "FOLDER", tmp_path)
    assert shipped_code.find("key") is None
