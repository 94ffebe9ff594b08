"""The code on every page of docs/ runs and prints what the page says, and every page is linked."""

import re
from pathlib import Path

import page_runner
import pytest

import dynet as dy

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = {path.relative_to(DOCS).as_posix(): path for path in sorted(DOCS.rglob("*.md"))}
ELSEWHERE = {"mistakes.md": "tests/test_mistakes.py runs each row after the first block"}
WITH_CODE = [name for name, path in PAGES.items() if page_runner.blocks(path.read_text("utf-8"))]
TREE = re.compile(r"^```\{toctree\}\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.mark.few(each=3)  # `nox -s docs` runs all
@pytest.mark.parametrize("name", [name for name in WITH_CODE if name not in ELSEWHERE])
def test_the_code_of_a_page_runs(name, tmp_path):
    assert page_runner.check(PAGES[name].read_text(encoding="utf-8"), tmp_path)


def listed(name):
    """The pages in the toctrees of a page."""
    for text in TREE.findall(PAGES[name].read_text(encoding="utf-8")):
        for line in text.splitlines():
            if line.strip() and not line.startswith(":"):
                found = (PAGES[name].parent / line.strip()).resolve()
                yield found.relative_to(DOCS).as_posix()


def test_each_page_is_in_one_toctree():
    found = [entry for name in PAGES for entry in listed(name)]
    notebooks = {path.relative_to(DOCS).with_suffix("").as_posix() for path in DOCS.rglob("*.ipynb")}
    pages = {name.removesuffix(".md") for name in PAGES} - {"index"}
    assert sorted(found) == sorted(pages | notebooks)


def test_pages_name_what_is_there():
    """Every `dy.name` on a page exists, except names that pages call missing."""
    missing, besides = {"relu", "gelu", "Adam", "sotfmax"}, {"Number"}  # Number exists, but is in no `__all__`
    named = {
        (name, word) for name, path in PAGES.items() for word in re.findall(r"\bdy\.(\w+)", path.read_text("utf-8"))
    }
    assert len(named) > 200
    assert sorted((name, word) for name, word in named if word not in {*missing, *besides, *dir(dy)}) == []


def test_pages_say_nothing_of_this_machine():
    wrong = re.compile("|".join(map(re.escape, ("/home/", "/root/", "/tmp/", str(DOCS.parent)))))
    assert [name for name, path in PAGES.items() if wrong.search(path.read_text(encoding="utf-8"))] == []


class TestTheRunner:
    """The page runner detects errors in pages."""

    @pytest.mark.parametrize(
        "page",
        [
            "```python\nprint(1)\n```\n```text\n2\n```",
            "```python\nprint(1)\n```",
            "```python\n1 / 0\n```",
            "```python\nimport warnings\nwarnings.warn('no')\n```",
            "```text\n1\n```",
            "```python\nprint(1.5, 2.25)\n```\n```text\n1.5 2.5\n```",
            "```python\nprint(1.5, 2.25)\n```\n```text\n1.5\n```",
            "```console\n$ python -c 'print(1)'\n2\n```",
            "```console\n$ ls\n```",
        ],
    )
    def test_what_is_wrong_is_found(self, page, tmp_path):
        with pytest.raises(AssertionError):
            page_runner.check(page + "\n", tmp_path)

    def test_what_is_left_out_may_be_nothing(self):
        assert page_runner.agrees("a\n...\nb 1.0\n...", "a\nb 1.01")
        assert page_runner.agrees("a 1.0\n...\nb 2\n...", "a  3.5\nc\nb 7", loosely=True)
        assert not page_runner.agrees("a 1.0\n...\nb 2\n...", "a  3.5\nc", loosely=True)

    def test_blocks_share_names_and_files_can_be_used(self, tmp_path):
        page = (
            "```python\n# mine.py\nx = 3\n```\n"
            "```python\nimport mine\n```\n"
            "```python\nprint(mine.x, 0.301)\nprint(5)\n```\n\n```text\n3 0.3001\n...\n```\n"
            "```console\n$ python -c 'print(1)'\n1\n$ python -c 'import mine; print(mine.x)'\n3\n```\n"
        )
        assert page_runner.check(page, tmp_path) == 4
