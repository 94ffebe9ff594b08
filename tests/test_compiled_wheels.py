"""Wheels with compiled kernels, built by `nox -s compiled_wheels`, run without compiling anything."""

import os
import platform
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from dynet_kernels.cache.seal import sealed
from dynet_kernels.target import bfloat16_of_host

ROOT = Path(__file__).parents[1]
PACKAGES = ROOT / "packages"
GIVEN = os.environ.get("DYNET_COMPILED_WHEELS")
MACHINES = {"x86_64": 62, "aarch64": 183}  # machine numbers in the ELF header of an object file
KINDS = {"x86_64": 3, "aarch64": 1}
LARGEST = 60 << 20  # maximum size of a wheel, in bytes
PRODUCT = """import dynet as dy
model = dy.ParameterCollection()
W = model.add_parameters((64, 64), dy.ConstInitializer(0.5))
"""
VALUE = """loss = dy.sum_elems(W * dy.inputTensor([[1.0] * 64] * 64))
assert abs(loss.value() - 64 * 64 * 32) < 1
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not GIVEN, reason="the wheels take minutes to build: nox -s compiled_wheels"),
]


def wheel_for(architecture):
    (wheel,) = Path(GIVEN).glob(f"dynet_kernels-*-py3-none-manylinux_2_28_{architecture}.whl")
    return wheel


def run(*command, cwd, **environment):
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, cwd=cwd, env={**os.environ, **environment}
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.mark.parametrize("architecture", MACHINES)
def test_a_wheel_has_code_for_its_machine_alone(architecture):
    wheel = wheel_for(architecture)
    assert wheel.stat().st_size < LARGEST
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if name.startswith("dynet_kernels/compiled/")]
        names.remove("dynet_kernels/compiled/index.json")
        heads = [archive.read(name)[:20] for name in names]
        described = archive.read(next(name for name in archive.namelist() if name.endswith("/WHEEL"))).decode()
    code = [head for head in heads if head[:4] == b"\x7fELF"]  # the recorder is two object files after their sizes
    assert len(code) == len(heads) - KINDS[architecture]
    assert {int.from_bytes(head[18:20], "little") for head in code} == {MACHINES[architecture]}
    assert "Root-Is-Purelib: false" in described
    assert f"Tag: py3-none-manylinux_2_28_{architecture}" in described


@pytest.mark.parametrize(
    ("architecture", "name", "content", "said"),
    [
        ("sparc", None, b"", "DYNET_ARCHITECTURE is 'sparc', not one of x86_64, aarch64"),
        ("x86_64", None, b"", "has no compiled kernels"),
        ("x86_64", "index.json", b"{}", "has no compiled kernels"),
        ("x86_64", "junk.o", b"junk", "is not a file of compiled kernels, or it is damaged"),
        ("x86_64", "readme.txt", b"", "is not a file of compiled kernels, or it is damaged"),
        ("x86_64", "key.o", sealed("key", b"\x7fELF".ljust(18, b"\0") + b"\xb7\0"), "is not for x86_64"),
    ],
)
def test_other_files_do_not_get_into_a_wheel(architecture, name, content, said, tmp_path):
    folder = tmp_path / "compiled"
    folder.mkdir()
    if name:
        (folder / "index.json").touch()
        (folder / name).write_bytes(content)
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", f"--wheel-dir={tmp_path}", PACKAGES / "dynet-kernels"]
    environment = {**os.environ, "DYNET_COMPILED": str(folder), "DYNET_ARCHITECTURE": architecture}
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, env=environment)
    assert done.returncode and said in done.stdout + done.stderr


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The Python of a new environment in which the wheels are installed."""
    folder = tmp_path_factory.mktemp("installed")
    run(sys.executable, "-m", "virtualenv", "--quiet", folder / "env", cwd=folder)
    python = folder / "env" / "bin" / "python"
    siblings = [path.parent for path in PACKAGES.glob("*/pyproject.toml") if path.parent.name != "dynet-kernels"]
    pip = [python, "-m", "pip", "install", "--quiet"]
    run(*pip, "--no-deps", *siblings, cwd=folder)
    run(*pip, wheel_for(platform.machine()), "dynet-tvm", "--find-links", GIVEN, cwd=folder)
    run(python, "-m", "pip", "check", cwd=folder)
    return python


def programs():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    yield "tanh", "import dynet as dy\nassert abs(dy.tanh(dy.scalarInput(1.0)).value() - 0.76159) < 1e-4\n"
    yield "README", "\n".join(re.findall(r"```python\n(.*?)```", readme, re.DOTALL))
    yield "int8", PRODUCT + "model.quantize()\n" + VALUE
    if bfloat16_of_host()[0]:
        yield "bfloat16", "import dynet_config\ndynet_config.set(bf16=True)\n" + PRODUCT + VALUE + "loss.backward()\n"


@pytest.mark.parametrize(("name", "program"), [pytest.param(*case, id=case[0]) for case in programs()])
def test_programs_compile_nothing(name, program, installed, tmp_path):
    end = "\nimport sys; assert 'tvm' not in sys.modules"
    run(
        installed, "-I", "-W", "error", "-c", program + end,
        cwd=tmp_path, DYNET_CACHE_DIR=str(tmp_path / "cache"), DYNET_CPU="",
    )  # fmt: skip
    assert list((tmp_path / "cache").glob("*.o")) == []


def test_the_report_says_where_code_comes_from(installed, tmp_path):
    report = run(installed, "-I", "-m", "dynet", cwd=tmp_path, DYNET_CACHE_DIR=str(tmp_path / "cache"))
    assert re.search(r"^shipped code: \d+ files, [\d.]+ MiB", report, re.MULTILINE)
    assert re.search(r"^recorder: compiled$", report, re.MULTILINE)


def test_a_new_op_is_compiled_alone(installed, tmp_path):
    program = (
        "import dynet as dy\nfrom dynet_ops.kinds import elementwise\nfrom dynet_kernels import formula as f\n"
        "import numpy as np\n"
        "@elementwise(reference=lambda x: x * x + 1)\n"
        "def square_plus_one(x: dy.Expression) -> dy.Expression:\n    return x * x + 1.0\n"
        "assert square_plus_one(dy.tanh(dy.scalarInput(0.0))).value() == 1.0\n"
    )
    run(installed, "-I", "-c", program, cwd=tmp_path, DYNET_CACHE_DIR=str(tmp_path / "cache"), DYNET_CPU="")
    assert len(list((tmp_path / "cache").glob("*.o"))) == 1
