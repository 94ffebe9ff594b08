"""Files that the repository's hosting site reads are well-formed and match the project's commands."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
FORMS = [path for path in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml") if path.name != "config.yml"]
SCHEMAS = {
    "vendor.github-workflows": WORKFLOWS,
    "custom.github-workflows-require-timeout": WORKFLOWS,
    "vendor.github-issue-forms": sorted(FORMS),
    "vendor.github-issue-config": [ROOT / ".github" / "ISSUE_TEMPLATE" / "config.yml"],
    "vendor.citation-file-format": [ROOT / "CITATION.cff"],
}


def check(schema, *files):
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, "--default-filetype", "yaml"]
    return subprocess.run([*command, *map(str, files)], capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("schema", SCHEMAS)
def test_files_follow_their_schemas(schema):
    assert SCHEMAS[schema]
    done = check(schema, *SCHEMAS[schema])
    assert done.returncode == 0, done.stdout


def test_a_wrong_workflow_is_found(tmp_path):
    file = tmp_path / "wrong.yml"
    file.write_text(WORKFLOWS[0].read_text(encoding="utf-8").replace("runs-on:", "run-on:"), encoding="utf-8")
    assert check("vendor.github-workflows", file).returncode


def sessions():
    """The names of all sessions in noxfile.py."""
    return re.findall(r"^@nox\.session.*\n(?:@.*\n)*def (\w+)", (ROOT / "noxfile.py").read_text(encoding="utf-8"), re.M)


WHEN = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["dynet"]["sessions"]


def run_by(name):
    """The sessions that a workflow runs: those of its matrix, and those that its steps name."""
    text = (ROOT / ".github" / "workflows" / f"{name}.yml").read_text(encoding="utf-8")
    (listed,) = re.findall(r"session: \[(.*)\]", text)
    return [*listed.split(", "), *re.findall(r"nox -s (\w+)", text)]


def test_one_table_says_which_sessions_run_when():
    """The table is in the root's pyproject.toml: the noxfile reads it; workflows and documents must agree with it."""
    assert WHEN == {**WHEN, "workflow": run_by("checks"), "weekly": run_by("weekly")}
    assert {*WHEN["landing"], *WHEN["workflow"], *WHEN["weekly"]} <= {*sessions()}
    assert re.findall(r"nox -s (.*)", (ROOT / ".ci" / "run").read_text(encoding="utf-8")) == ["landing"]
    template = (ROOT / ".github" / "PULL_REQUEST_TEMPLATE.md").read_text(encoding="utf-8")
    assert re.findall(r"nox -s ([\w ]+)", template) == ["landing"]


def test_contributing_says_which_sessions_run_when():
    text = " ".join((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").split())
    assert [" ".join(names) for names in WHEN.values()] == re.findall(r"(?:runs|run) `([a-z_ ]+)`", text)


@pytest.mark.few(each=2)
@pytest.mark.parametrize("case", range(5))
def test_what_tests_leave_out_is_thorough(case, request):
    is_thorough = request.node.get_closest_marker("thorough") is not None
    assert is_thorough == (case % 2 == 1)


def test_style_is_checked_at_commits_as_by_nox():
    hooks = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    (group,) = re.findall(r'^lint = \["(ruff[^"]*)"', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.M)
    assert re.findall(r'additional_dependencies: \["(.*)"\]', hooks) == [group, group]


def test_one_version_stands_in_the_citation():
    (cited,) = re.findall(r"^version: (.*)$", (ROOT / "CITATION.cff").read_text(encoding="utf-8"), re.M)
    source = (ROOT / "packages" / "dynet" / "src" / "dynet" / "__init__.py").read_text(encoding="utf-8")
    assert re.findall(r'^__version__ = "(.*)"$', source, re.M) == [cited]
    assert f"## {cited}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
