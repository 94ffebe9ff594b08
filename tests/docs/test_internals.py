"""The functions that docs/internals.md shows are those of the sources, without their docstrings."""

import ast
import re
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
KERNELS = ROOT / "packages" / "dynet-kernels" / "src" / "dynet_kernels"
BLOCKS = re.findall(r"(?:^    .*\n|^\n)+", (ROOT / "docs" / "internals.md").read_text(encoding="utf-8"), re.MULTILINE)
SHOWN = [textwrap.dedent(block).strip() for block in BLOCKS if re.search(r"^    def ", block, re.MULTILINE)]


def functions(source):
    """The source of each function at the top level without its docstring, by name."""
    found = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef):
            node.body = node.body[ast.get_docstring(node) is not None :]
            found[node.name] = ast.unparse(node)
    return found


@pytest.mark.parametrize("folder", ["plan", "recorder"])
def test_a_shown_function_is_the_source(folder):
    sources = {}
    for path in (KERNELS / folder).glob("*.py"):
        sources |= functions(path.read_text(encoding="utf-8"))
    shown = {name: text for block in SHOWN for name, text in functions(block).items()}
    assert len(shown) == 2 and len(shown.keys() & sources.keys()) == 1
    for name in shown.keys() & sources.keys():
        assert shown[name] == sources[name]
