"""The digest of the sources that emit code covers everything that they import, and little else."""

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import dynet_kernels
from dynet_kernels.cache import sources
from dynet_kernels.families.fill import Fill
from dynet_kernels.machine import parts
from dynet_kernels.recorder.compiled import Recorder

PACKAGE = Path(dynet_kernels.__file__).parent
EMITTERS = [
    *(PACKAGE / name for name in ("machine/modules.py", "machine/planner.py", "cuda/codegen.py", "target.py")),
    *(path for folder in ("families", "plan", "recorder") for path in (PACKAGE / folder).rglob("*.py")),
]


def imported(path: Path) -> set[Path]:
    """The files of this package that a file imports, also inside functions, found by Python's own parser."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.ImportFrom) or not node.level:
            continue
        base = path.parents[node.level - 1].joinpath(*(node.module or "").split("."))
        for alias in node.names:
            candidates = base.with_suffix(".py"), base / f"{alias.name}.py", base / alias.name / "__init__.py"
            file = next((file for file in (*candidates, base / "__init__.py") if file.is_file()), None)
            found |= {file} if file else set()
    return found


def test_all_that_emitters_import_counts():
    waiting, found = [path for path in EMITTERS if path != PACKAGE / "recorder" / "compiled.py"], set()
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting += imported(path)
    assert len(found) > 50
    assert {str(path) for path in found} <= set(sources._emitting_files(sources.PACKAGE_FOLDER))


def test_what_loads_and_keeps_code_does_not_count():
    counted = {str(Path(file).relative_to(PACKAGE)) for file in sources._emitting_files(sources.PACKAGE_FOLDER)}
    assert {
        "machine/modules.py",
        "tuning.py",
        "families/rules.py",
        "vmath.py",
        "plan/forward.py",
    } < counted
    assert not counted & {"machine/library.py", "cache/store.py", "table.py", "building.py", "tune/search.py"}
    assert all(map(os.path.exists, sources.OMITTED_PATHS))


def test_all_parts_of_the_package_have_one_digest():
    digests = {parts.source_digest(part) for part in (parts.Planner(), Recorder(), parts.Shard({0: ("fill", Fill())}))}
    assert len(digests) == 1


def test_the_file_of_a_kernel_from_elsewhere_counts(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    digests = set()
    for text in ("1", "2"):
        (tmp_path / "own_kernel.py").write_text(
            f"from dynet_kernels.families.fill import Fill\nclass Own(Fill): {text}"
        )
        sys.modules.pop("own_kernel", None)
        sources._digest_of.cache_clear()
        import own_kernel

        digests.add(parts.source_digest(parts.Shard({0: ("own", own_kernel.Own())})))
    sources._digest_of.cache_clear()
    assert len(digests - {parts.source_digest(parts.Shard({0: ("fill", Fill())}))}) == 2


# Changed files

PROGRAM = """
from dynet_kernels.machine import library
from dynet_kernels.families.fill import Fill
from dynet_kernels.families.scan import Scan
from dynet_kernels.kernels import Kernels
kernels = Kernels()
kernels.use(kernels.add("fill", Fill()))
kernels.use(kernels.add("scan", Scan(False)))
library.Library(kernels)
"""


@pytest.fixture
def compiled(tmp_path):
    """Change a file of a copy of the package and run the program; return how many keys and files of code are new."""
    without = shutil.ignore_patterns("__pycache__", "compiled")  # `compiled` has shipped code, which would be used
    shutil.copytree(PACKAGE, tmp_path / "source" / "dynet_kernels", ignore=without)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "source"), "DYNET_CACHE_DIR": str(tmp_path / "cache")}

    def run(name: str, old: str, new: str) -> tuple[int, int]:
        path = tmp_path / "source" / "dynet_kernels" / name
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new), encoding="utf-8")
        before = set((tmp_path / "cache").glob("*"))
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", PROGRAM], env=environment, capture_output=True, text=True, timeout=200
        )
        assert done.returncode == 0, done.stderr
        found = set((tmp_path / "cache").glob("*")) - before
        return tuple(sum(path.suffix == suffix for path in found) for suffix in (".key", ".o"))

    return run


@pytest.mark.thorough
def test_what_is_compiled_again_is_what_comes_out_differently(compiled):
    scan, comment = "families/scan.py", '"""Cumulative sums'
    assert compiled(scan, comment, comment) == (3, 3)  # the planner and two shards
    assert compiled(scan, comment, '"""Sums') == (3, 0)
    assert compiled(scan, "Accumulator(lanes, 0.0)", "Accumulator(lanes, 1.0)") == (3, 1)
    assert compiled(scan, "Accumulator(lanes, 1.0)", "Accumulator(lanes, 0.0)") == (0, 0)
    assert compiled("target.py", "inline-instr-cost:int=10000", "inline-instr-cost:int=9999") == (3, 3)
    assert compiled("tir.py", "def let(", "# shared\ndef let(") == (3, 0)
    assert compiled("machine/library.py", "class Library(Shards):", "# keeps\nclass Library(Shards):") == (0, 0)
