"""The READMEs are true: their programs run, files in their tables exist, and figures match docs/performance.md."""

import doctest
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
TABLED = ("dynet-ops", "dynet-rnn", "dynet-optim")  # packages whose README has a table of all modules


def _package(readme: Path) -> str:
    return readme.parent.name


def test_the_program_runs_from_an_empty_file_and_has_learned(tmp_path):
    (program,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    (tmp_path / "program.py").write_text(program, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "error", "program.py"], cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    *losses, predicted = done.stdout.splitlines()
    assert float(losses[-1]) < float(losses[0])
    assert predicted == "[0, 2, 0, 2, 1]"
    assert len([line for line in program.splitlines() if line]) <= 20


PACKAGES = sorted((ROOT / "packages").glob("*/README.md"))


@pytest.mark.parametrize(
    "readme", [p for p in PACKAGES if "```python\nimport" in p.read_text(encoding="utf-8")], ids=_package
)
def test_programs_of_packages_run(readme, tmp_path):
    programs = re.findall(r"```python\n(.*?)```", readme.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "program.py").write_text("\n".join(programs), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "error", "program.py"], cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout


@pytest.mark.parametrize("readme", [p for p in PACKAGES if p.parent.name in TABLED], ids=_package)
def test_tables_of_packages_name_every_module(readme):
    first_cells = re.findall(r"^\| (`.*?) \|", readme.read_text(encoding="utf-8"), re.MULTILINE)
    named = {name.strip("/") for cell in first_cells for name in re.findall(r"`([^`]+)`", cell)}
    source = readme.parent / "src" / readme.parent.name.replace("-", "_")
    there = {path.name for path in source.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert named == there - {"__init__.py"}


def test_it_is_short_and_links_to_what_is_there():
    assert len(README.splitlines()) <= 120
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def test_its_figures_are_those_of_the_document():
    document = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8").splitlines()
    rows, task = set(), ""
    for line in document:
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        task = cells[0] or task
        rows.add((task, *cells[1:8]))
    shown = [
        tuple(cell.strip() for cell in line.strip("|").split("|"))
        for line in README.splitlines()
        if re.match(r"\| .*\d", line)
    ]
    assert len(shown) == 4
    assert set(shown) <= rows


@pytest.mark.parametrize("path", sorted(ROOT.glob("packages/*/README.md")), ids=lambda path: path.parent.name)
def test_examples_of_a_package_run(path):
    results = doctest.testfile(str(path), module_relative=False, optionflags=doctest.ELLIPSIS)
    assert results.failed == 0
    assert results.attempted > 0 or path.parent.name != "dynet-core"


def test_the_table_of_dynet_core_names_all_modules():
    package = ROOT / "packages" / "dynet-core"
    rows = re.findall(r"^\| (`.*?`) \|", (package / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    named = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    source = package / "src" / "dynet_core"
    there = [path.stem for path in source.glob("*.py")] + [path.parent.name for path in source.glob("*/__init__.py")]
    assert sorted(named) == sorted(set(there) - {"__init__"})
