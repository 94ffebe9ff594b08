"""The machine's parts: compiled when they are used, each for itself, in real processes."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

import dynet_kernels
from dynet_kernels import cache, library
from dynet_kernels.families.fill import Fill
from dynet_kernels.families.rules import Rule
from dynet_kernels.kernels import SHARD, Kernels, NoCodeError

MESSAGE = "dynet: compiling kernels for this CPU, once for this machine (up to a minute) ...\n"


def filled(count):
    kernels = Kernels()
    for number in range(count):
        kernels.add(f"k{number}", Fill())
    return kernels


def test_neighbours_share_a_shard():
    kernels = filled(SHARD + 2)
    assert list(kernels.shard(0)) == list(range(SHARD))
    assert list(kernels.shard(1).values()) == [(f"k{SHARD}", Fill()), (f"k{SHARD + 1}", Fill())]


def test_a_shard_is_used_when_an_opcode_is_asked_for():
    kernels = filled(SHARD + 2)
    assert kernels.used == set()
    assert kernels.opcode(f"k{SHARD}") == SHARD
    assert kernels.used == {1}
    assert kernels.use(3) == 3
    assert kernels.used == {0, 1}


def test_nothing_is_added_to_a_closed_shard():
    kernels = filled(2)
    kernels.close(0)
    kernels.close(0)
    assert kernels.add("late", Fill()) == SHARD
    kernels.close(0)  # it is no longer the last
    assert kernels.add("later", Fill()) == SHARD + 1
    assert [opcode for opcode, _, _ in kernels.numbered()] == [0, 1, SHARD, SHARD + 1]


def test_a_name_stands_for_one_kernel():
    kernels = filled(1)
    assert kernels.add("k0", Fill()) == 0
    with pytest.raises(ValueError, match="k0 is defined twice"):
        kernels.add("k0", Rule(("y",), {"y": lambda: 1.0}))


def run(program, directory):
    """What a program prints, with a cache directory of its own, and what it says on stderr."""
    search = os.pathsep.join([str(Path(dynet_kernels.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": search, "DYNET_CACHE_DIR": str(directory)}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], env=environment, capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


LATE = """
from dynet_kernels import library
from dynet_kernels.families.fill import Fill
from dynet_kernels.kernels import SHARD, Kernels, NoCodeError
library.PLACES = 2
kernels = Kernels()
kernels.use(kernels.add("fill", Fill()))
machine = library.Library(kernels)
first = machine.run
kernels.add("unused", Fill())
machine.load_used()
assert machine.run is first and machine._loaded == {0}
kernels.opcode("unused")
machine.load_used()
assert machine.run is first and machine._loaded == {0, 1}
kernels.use(kernels.add("more", Fill()))
machine.load_used()
assert machine.run is not first and machine._loaded == {0, 1, 2}
"""


def test_parts_are_compiled_when_used_and_kept_each_for_itself(tmp_path):
    _, errors = run(LATE, tmp_path)
    assert errors == MESSAGE
    assert len(list(tmp_path.glob("*.o"))) == 5  # three shards, and planners for two and for four
    assert run(LATE, tmp_path) == ("", "")


CHANGED = """
from dynet_kernels import parts
parts.sources_of = lambda part: "others"
"""


def test_changed_sources_that_emit_the_same_code_compile_nothing(tmp_path):
    run(LATE, tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.o")}
    run(CHANGED + LATE, tmp_path)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.o")} == before
    assert len(list(tmp_path.glob("*.key"))) == 10
    assert run(CHANGED + LATE, tmp_path) == ("", "")


EMIT = """
from dynet_kernels import library
from dynet_kernels.families.scan import Scan
print(library.Shard(3, {97: ("scan", Scan(False)), 98: ("other", Scan(BACKWARD))}).emit().key)
"""


def test_emitted_code_has_the_same_key_in_every_process(tmp_path, monkeypatch):
    keys = []
    for seed, backward in [("1", "True"), ("2", "True"), ("1", "False")]:
        monkeypatch.setenv("PYTHONHASHSEED", seed)
        keys.append(run(EMIT.replace("BACKWARD", backward), tmp_path)[0])
    assert keys[0] == keys[1] != keys[2]


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_shows_how_many_are_compiled(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    with library.Progress("CPU", 3) as progress:
        for _ in range(3):
            progress.advance()
    lines = [f"\rdynet: compiling kernels, {number} of 3, once for this machine" for number in (1, 2, 3, 3)]
    assert sys.stderr.getvalue() == "".join(lines) + "\n"


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal(), None])
def test_no_progress_is_shown_of_what_has_no_name_and_without_a_stream(monkeypatch, stream):
    monkeypatch.setattr(library.Progress, "_is_said", False)
    monkeypatch.setattr(sys, "stderr", stream)
    for kind in [None] if stream else [None, "CPU"]:
        with library.Progress(kind, 1) as progress:
            progress.advance()
    assert stream is None or stream.getvalue() == ""


@pytest.mark.parametrize(
    ("how", "said"),
    [("raise OSError('no room')", "OSError: no room"), ("os._exit(3)", "heard\nits process ended with status 3")],
)
def test_a_part_that_cannot_be_built_says_why(how, said, tmp_path, monkeypatch):
    (tmp_path / "broken.py").write_text(
        "import os\n\nclass Broken:\n    key, name = 'broken', 'what is broken'\n"
        f"    def build(self, path):\n        print('heard', flush=True); {how}\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("DYNET_CACHE_DIR", str(tmp_path / "cache"))
    import broken

    with pytest.raises(cache.CacheError, match="compiling what is broken failed:\n(.|\n)*" + said):
        library.modules([broken.Broken()], kind=None)
    assert list((tmp_path / "cache").iterdir()) == []


def test_instructions_without_code_are_refused(tmp_path):
    program = (Path(__file__).parent / "missing_code.py").read_text(encoding="utf-8")
    assert run(program, tmp_path)[0] == "refused\n"


def test_the_error_names_the_kernel():
    error = filled(1).no_code(0)
    assert isinstance(error, NoCodeError)
    assert "kernel k0 (opcode 0)" in str(error)
    assert "kernel unknown (opcode 99)" in str(filled(1).no_code(99))
