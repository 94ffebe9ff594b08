"""Programs in archives, with or without source files, use the compiled kernels and records next to the modules."""

import importlib.util
import os
import py_compile
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from dynet_kernels.target import host_general_targets

PACKAGES = Path(__file__).parents[1] / "packages"
BESIDE = ("numpy", "tvm", "tvm_ffi", "tvm_ffi_orcjit", "platformdirs")
TRAIN = """
import sys
import numpy as np
import dynet as dy

model = dy.ParameterCollection()
p = model.parameters_from_numpy(np.array([1.0, 2.0]))
trainer = dy.SimpleSGDTrainer(model, 0.5)
for _ in range(2):
    dy.renew_cg()
    dy.squared_norm(dy.tanh(p)).backward()
    trainer.update()
print(p.as_array().round(2), "tvm" in sys.modules)
"""
OWN = """
from dynet_ops.kinds import elementwise

@elementwise(reference=lambda x: x * x + 1)
def packed(x: dy.Expression) -> dy.Expression:
    return x * x + 1.0

print(packed(dy.scalarInput(2.0)).value())
"""
# Compiles only what a program needs into a folder.
SHIP = """
import sys
from dynet_kernels import build
from dynet_kernels.machine import library
from dynet_kernels.target import BUILD_TARGETS, host_cpu

real, parts = library.load_modules, []

def noting(wanted, *rest, **named):
    parts.extend(wanted)
    return real(wanted, *rest, **named)

library.load_modules = noting
exec(sys.argv[2])
library.load_modules = real
build.parts_for, build.import_packages = lambda target: parts, lambda: None
kind = next(name for name, target in BUILD_TARGETS.items() if target == host_cpu())
build.main(["--for", kind, "--into", sys.argv[1]])
"""
TRAINED = "[0.3  1.85] False"

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="kinds of CPU are named for Linux")


@pytest.fixture(scope="module")
def shipped(tmp_path_factory):
    """A folder with the compiled code that TRAIN needs."""
    folder = tmp_path_factory.mktemp("compiled")
    environment = {**os.environ, "DYNET_CPU": host_general_targets()[0].kind, "DYNET_RECORDS": "", "DYNET_RECORDER": ""}
    done = subprocess.run([sys.executable, "-c", SHIP, folder, TRAIN], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


def archive(path, program, compiled=None, sources=True):
    """Pack all packages and a program, which finds numpy and TVM at their installed location."""
    places = {str(Path(importlib.util.find_spec(name).origin).parents[1]) for name in BESIDE}
    with zipfile.ZipFile(path, "w") as packed:
        for file in PACKAGES.glob("*/src/**/*.*"):
            name = file.relative_to(PACKAGES).as_posix().partition("/src/")[2]
            if file.is_file() and file.suffix != ".pyc" and not name.startswith("dynet_kernels/compiled/"):
                if file.suffix == ".py" and not sources:
                    code = path.with_suffix(".pyc")
                    py_compile.compile(str(file), str(code), dfile=name, doraise=True)
                    file, name = code, f"{name}c"
                packed.write(file, name)
        for file in compiled.iterdir() if compiled else ():
            packed.write(file, f"dynet_kernels/compiled/{file.name}")
        packed.writestr("__main__.py", f"import sys\nsys.path += {sorted(places)!r}\n{program}")
    return path


def run(path, cache):
    """Run an archive without this Python's installed packages; return its stdout and stderr."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DYNET_")}
    return subprocess.run(
        [sys.executable, "-I", "-S", "-W", "error", f"./{path.name}"],
        env={**environment, "DYNET_CACHE_DIR": str(cache)}, cwd=path.parent, capture_output=True, text=True,
    )  # fmt: skip


@pytest.mark.parametrize("sources", [True, False], ids=["sources", "bytecode"])
def test_a_program_in_an_archive_uses_the_code_that_is_packed_with_it(sources, shipped, tmp_path):
    done = run(archive(tmp_path / "program.zip", TRAIN, shipped, sources), tmp_path / "cache")
    assert (done.stdout, done.stderr) == (f"{TRAINED}\n", "")
    assert not (tmp_path / "cache").exists()


def test_an_operation_of_ones_own_is_compiled_from_an_archive(shipped, tmp_path):
    path = archive(tmp_path / "program.zip", TRAIN + OWN, shipped, sources=False)
    done = run(path, tmp_path / "cache")
    assert done.stdout == f"{TRAINED}\n5.0\n", done.stderr
    count = len(list((tmp_path / "cache").glob("*.o")))
    assert count in (1, 2)  # the op and the input
    done = run(path, tmp_path / "cache")
    assert (done.stdout, done.stderr) == (f"{TRAINED}\n5.0\n", "")


def test_an_archive_without_compiled_code_says_what_it_lacks(tmp_path):
    done = run(archive(tmp_path / "program.zip", TRAIN), tmp_path / "cache")
    assert done.returncode
    assert "compiled lacks what `python -m dynet_kernels.build --into` writes for frozen programs" in done.stderr
