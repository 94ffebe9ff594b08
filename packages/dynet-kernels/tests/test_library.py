"""The parts of the tape machine are compiled on first use, each separately; tested in real processes."""

import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import dynet_kernels
from dynet_kernels.cache import store
from dynet_kernels.families.fill import Fill
from dynet_kernels.families.rules import Rule
from dynet_kernels.kernels import SHARD_SIZE, Kernels, NoCodeError
from dynet_kernels.machine import library

MESSAGE = (
    "dynet: compiling kernels for this CPU, {parts}, once for this machine ...\n"
    "dynet: compiled {parts} in [0-9]+[.][0-9] s\n"
)


def filled(*names):
    kernels = Kernels()
    for name in names:
        kernels.add(name, Fill())
    return kernels


def test_kernels_whose_names_begin_alike_share_a_shard():
    kernels = filled("a", "b", "a.dx", "b.dx", "a.dy.first")
    assert [list(kernels.shard(number).values()) for number in kernels.shard_indices()] == [
        [("a", Fill()), ("a.dx", Fill()), ("a.dy.first", Fill())],
        [("b", Fill()), ("b.dx", Fill())],
    ]
    assert kernels.opcode("a.dx") == 1
    assert kernels.opcode("b.dx") == SHARD_SIZE + 1


def test_a_full_shard_is_followed_by_another():
    kernels = filled(*(f"a.{number}" for number in range(SHARD_SIZE)), "b", "a.last", "a.more")
    assert list(kernels.shard(0)) == list(range(SHARD_SIZE))
    assert list(kernels.shard(2).values()) == [("a.last", Fill()), ("a.more", Fill())]


def test_a_shard_is_used_when_an_opcode_is_asked_for():
    kernels = filled("a", "b")
    assert kernels.used_shards == set()
    assert kernels.opcode("b") == SHARD_SIZE
    assert kernels.used_shards == {1}
    assert kernels.use(3) == 3
    assert kernels.used_shards == {0, 1}


def test_nothing_is_added_to_a_closed_shard():
    kernels = filled("a", "b")
    kernels.close(0)
    kernels.close(0)
    assert kernels.add("a.late", Fill()) == 2 * SHARD_SIZE
    kernels.close(0)
    assert kernels.add("a.later", Fill()) == 2 * SHARD_SIZE + 1
    assert [opcode for opcode, _, _ in kernels.with_opcodes()] == [0, SHARD_SIZE, 2 * SHARD_SIZE, 2 * SHARD_SIZE + 1]


def test_a_kernel_can_be_alone():
    kernels = filled("a")
    assert kernels.add_alone("a.dx", Fill()) == SHARD_SIZE
    assert kernels.add("a.dy", Fill()) == 2 * SHARD_SIZE
    assert kernels.add_alone("a.dx", Fill()) == SHARD_SIZE


def test_there_are_as_many_shards_as_have_room_in_the_table(monkeypatch):
    monkeypatch.setattr("dynet_kernels.layout.MOST_SHARDS", 2)
    kernels = filled("a", "b", "b.dx")
    with pytest.raises(ValueError, match="kernel c: too many kernels: the limit is 2 groups"):
        kernels.add("c", Fill())
    assert "c" not in kernels
    assert len(kernels) == 3


def test_a_name_stands_for_one_kernel():
    kernels = filled("k")
    assert kernels.add("k", Fill()) == 0
    with pytest.raises(ValueError, match="k is defined twice"):
        kernels.add("k", Rule(("y",), {"y": lambda: 1.0}))


def run(program, directory):
    """Run a program with a fresh cache directory; return its stdout and stderr."""
    search = os.pathsep.join([str(Path(dynet_kernels.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": search, "DYNET_CACHE_DIR": str(directory)}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], env=environment, capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


LATE = """
from dynet_kernels.machine import library
from dynet_kernels.families.fill import Fill
from dynet_kernels.families.scan import Scan
from dynet_kernels.kernels import Kernels
kernels = Kernels()
kernels.use(kernels.add("fill", Fill()))
machine = library.Library(kernels)
first = machine.run
kernels.add("unused", Fill())
kernels.add("other", Scan(True))
machine.load_used()
assert machine._loaded == {0}
kernels.opcode("other")
machine.load_used()
assert machine._loaded == {0, 2}
kernels.use(kernels.add("other.more", Fill()))
machine.load_used()
assert machine.run is first and machine._loaded == {0, 2, 3}
"""


@pytest.fixture
def without_shipped_code(monkeypatch):
    monkeypatch.setenv("DYNET_CPU", "native")


@pytest.mark.usefixtures("without_shipped_code")
def test_parts_are_compiled_when_used_and_kept_each_for_itself(tmp_path):
    _, errors = run(LATE, tmp_path)
    assert re.fullmatch("".join(MESSAGE.format(parts=parts) for parts in ("2 parts", "1 part", "1 part")), errors)
    assert len(list(tmp_path.glob("*.o"))) == 4  # three shards and the planner
    assert run(LATE, tmp_path) == ("", "")


GONE = """
import gc
import tvm_ffi
from missing_code import Context
from dynet_kernels import layout as at
from dynet_kernels.machine import library
from dynet_kernels.families.fill import Fill
from dynet_kernels.kernels import Kernels
kernels = Kernels()
kernels.use(kernels.add("fill", Fill()))
machine = library.Library(kernels)
for _ in range(20):
    library.Library(kernels)
    gc.collect()
    others = [tvm_ffi.convert(len) for _ in range(200)]  # in the memory of what has been freed
    context = Context([0, 0])
    assert context.run(machine) == (at.READY, 2)
    assert context.memory.tolist() == [1, 1]
"""


def test_code_stays_when_a_library_is_dropped(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent) + os.pathsep + os.environ.get("PYTHONPATH", ""))
    run(GONE, tmp_path)


CHANGED = """
from dynet_kernels.machine import parts
parts.source_digest = lambda part: "others"
"""


@pytest.mark.usefixtures("without_shipped_code")
def test_changed_sources_that_emit_the_same_code_compile_nothing(tmp_path):
    run(LATE, tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.o")}
    run(CHANGED + LATE, tmp_path)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.o")} == before
    assert len(list(tmp_path.glob("*.key"))) == 8
    assert run(CHANGED + LATE, tmp_path) == ("", "")


EMIT = """
from dynet_kernels.machine import library
from dynet_kernels.families.scan import Scan
print(library.Shard({0: ("scan", Scan(False)), 1: ("scan.back", Scan(BACKWARD))}).emit().key)
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
    lines = [f"\rdynet: compiling kernels, {number} of 3, each once for this machine" for number in (1, 2, 3, 3)]
    assert sys.stderr.getvalue() == "".join(lines) + "\n"


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal(), None])
def test_no_progress_is_shown_of_what_has_no_name_and_without_a_stream(monkeypatch, stream):
    monkeypatch.setattr(sys, "stderr", stream)
    for device in [None] if stream else [None, "CPU"]:
        with library.Progress(device, 1) as progress:
            progress.advance()
    assert stream is None or stream.getvalue() == ""


def test_one_line_at_the_start_and_one_at_the_end_without_a_terminal(monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    for count in (2, 1):
        with library.Progress("CPU", count) as progress:
            for _ in range(count):
                progress.advance()
    with pytest.raises(KeyboardInterrupt), library.Progress("GPU", 1):
        raise KeyboardInterrupt
    said = "".join(MESSAGE.format(parts=parts) for parts in ("2 parts", "1 part"))
    last = "dynet: compiling kernels for this GPU, 1 part, once for this machine ...\n"
    assert re.fullmatch(said + last, sys.stderr.getvalue())


class Tee:
    """A user-defined stream without `isatty`."""

    def __init__(self):
        self.said = ""

    def write(self, text):
        self.said += text

    def flush(self):
        pass


class Broken(Terminal):
    """A terminal that has been closed."""

    def write(self, text):
        raise OSError("input/output error")


class Stubborn(io.StringIO):
    def isatty(self):
        raise RuntimeError("ask somebody else")

    def flush(self):
        raise ValueError("no")


class Undecided(io.StringIO):
    def isatty(self):
        return self

    def __bool__(self):
        raise RuntimeError("yes or no")


def closed():
    stream = Terminal()
    stream.close()
    return stream


@pytest.mark.parametrize("stream", [Tee(), Broken(), Stubborn(), Undecided(), closed(), object(), None])
def test_no_stream_makes_a_compilation_fail(stream, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("DYNET_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    monkeypatch.setattr(sys, "stderr", stream)
    assert library.load_modules([Local()], load=bytes) == [b"code"]
    assert capsys.readouterr().out == ""
    assert not isinstance(stream, Tee) or re.fullmatch(MESSAGE.format(parts="1 part"), stream.said)


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

    with pytest.raises(store.CacheError, match="compiling what is broken failed:\n(.|\n)*" + said):
        library.load_modules([broken.Broken()], device=None)
    assert list((tmp_path / "cache").iterdir()) == []


class Local:
    """A part that is built in the process that asks for it."""

    key, name, said = "local", "what is local", b"code"

    def build(self, path):
        if self.said is None:
            raise ValueError("on purpose")
        path.write_bytes(self.said)


def test_a_frozen_program_compiles_by_itself(monkeypatch, tmp_path):
    """There `sys.executable` is the program itself, so a compiler process would run the whole program again."""
    monkeypatch.setenv("DYNET_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("a process was started"))
    assert library.load_modules([Local()], load=bytes, device=None) == [b"code"]
    monkeypatch.setattr(Local, "said", None)
    monkeypatch.setattr(Local, "key", "other")
    with pytest.raises(library.CompileError, match="compiling what is local failed:\non purpose"):
        library.load_modules([Local()], load=bytes, device=None)


def test_errors_of_some_parts_are_kept(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("DYNET_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(sys, "frozen", True, raising=False)

    class Other(Local):
        key, name, said = "broken", "what is broken", None

    good, bad = library.load_modules([Local(), Other()], load=bytes, device=None, fallible_classes=(Other,))
    assert good == b"code" and isinstance(bad, library.CompileError)
    with pytest.raises(library.CompileError, match="what is broken"):
        library.load_modules([Local(), Other()], load=bytes, device=None, fallible_classes=(library.Shard,))
    capsys.readouterr()
    Other.key = "still broken"
    monkeypatch.setattr(Local, "key", "new")
    library.load_modules([Local(), Other()], load=bytes, fallible_classes=(Other,))
    assert "dynet: compiled 1 of 2 parts in" in capsys.readouterr().err


def test_instructions_without_code_are_refused(tmp_path):
    program = (Path(__file__).parent / "missing_code.py").read_text(encoding="utf-8")
    assert run(program, tmp_path)[0] == "refused\n"


def test_the_error_names_the_kernel():
    error = filled("k0").no_code_error(0)
    assert isinstance(error, NoCodeError)
    assert "kernel k0 (opcode 0)" in str(error)
    assert "kernel unknown (opcode 99)" in str(filled("k0").no_code_error(99))
