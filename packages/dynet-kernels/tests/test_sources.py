"""Which sources compiled code depends on: found by text as by parsing, and no more than need be."""

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import dynet_kernels
from dynet_kernels import parts, sources
from dynet_kernels.families.fill import Fill
from dynet_kernels.families.products import Product
from dynet_kernels.families.rules import Rule
from dynet_kernels.families.scan import Scan

PACKAGE = Path(dynet_kernels.__file__).parent
FILES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")
KERNELS = {"fill": Fill(), "scan": Scan(False), "product": Product(), "rule": Rule(("y", "x"), {"y": lambda x: x})}


def parsed(path: Path) -> set[tuple[str, bool]]:
    """What `sources` should find in a file: by Python's own parser."""
    found = set()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    top = set(map(id, tree.body))
    for node in ast.walk(tree):
        if not isinstance(node, ast.ImportFrom) or not node.level:
            continue
        base = path.parents[node.level - 1].joinpath(*(node.module or "").split("."))
        for alias in node.names:
            candidates = base.with_suffix(".py"), base / f"{alias.name}.py", base / alias.name / "__init__.py"
            file = next((file for file in (*candidates, base / "__init__.py") if file.is_file()), None)
            if file:
                found.add((str(file), id(node) not in top))
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_are_found_as_by_parsing(path):
    assert set(sources._read(str(path))[1]) == parsed(path)


@pytest.mark.parametrize("line", ["from dynet_kernels import tir", "from dynet_kernels.tir import let, int64"])
def test_imports_of_kernels_from_elsewhere_are_found(tmp_path, line):
    (tmp_path / "own.py").write_text(f"{line}\n# from .other import name\n")
    (tmp_path / "other.py").write_text("")
    assert str(PACKAGE / "tir.py") in sources.reached([str(tmp_path / "own.py")])
    assert str(tmp_path / "other.py") not in sources.reached([str(tmp_path / "own.py")])


def of(name: str) -> set[str]:
    """The files that a shard of one kernel depends on, as the package names them."""
    files = sources.reached({parts.MACHINE, *sources.files_of(type(KERNELS[name]))})
    return {str(Path(file).relative_to(PACKAGE)) for file in files}


def test_a_shard_depends_on_the_families_of_its_kernels_alone():
    shared = {"machine.py", "tir.py", "tvm_modules.py", "kernels.py", "families/threads.py"}
    assert all(of(name) > shared for name in KERNELS)
    assert "families/scan.py" in of("scan") - of("rule") - of("product") - of("fill")
    assert "families/products/panels.py" in of("product") - of("rule") - of("scan")
    assert {"families/rules/columns.py", "formula.py", "functions/vmath.py"} <= of("rule") - of("scan")
    others = {"library.py", "cache.py", "table.py", "passes.py", "team.py", "plan/backward.py"}
    assert not others & set.union(*map(of, KERNELS))
    planner = sources.reached([parts.PASSES], nested=True)
    assert {str(PACKAGE / name) for name in ("machine.py", "team.py", "plan/backward.py")} < planner


def test_emitters_import_at_the_top_of_their_files():
    """Imports within functions do not count for shards."""
    files = set().union(*(sources.files_of(type(kernel)) for kernel in KERNELS.values()))
    files |= {str(path) for path in (PACKAGE / "families").rglob("*.py")}
    nested = {
        file: found for file in sources.reached(files) if (found := [one for one in sources._read(file)[1] if one[1]])
    }
    assert nested == {}


# Files that change

PROGRAM = """
from dynet_kernels import library
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
    """Change a file of a copy of the package and run the program: how many keys and files of code are new."""
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


def test_what_is_compiled_again_is_what_comes_out_differently(compiled):
    scan, comment = "families/scan.py", '"""Cumulative sums'
    assert compiled(scan, comment, comment) == (3, 3)  # the planner and two shards
    assert compiled(scan, comment, '"""Sums') == (1, 0)
    assert compiled(scan, "tir.float32(0.0)", "tir.float32(1.0)") == (1, 1)
    assert compiled(scan, "tir.float32(1.0)", "tir.float32(0.0)") == (0, 0)
    assert compiled("target.py", "inline-instr-cost:int=10000", "inline-instr-cost:int=9999") == (3, 3)
    assert compiled("tir.py", "def let(", "# shared\ndef let(") == (3, 0)
    assert compiled("library.py", "class Library(Shards):", "# keeps\nclass Library(Shards):") == (0, 0)
