"""Imports between packages go down only: kernels <- core <- ops <- rnn, core <- optim; dynet may import them all.

Within a package, imports have no cycles either, including imports in functions and for types. Sources are parsed, not
executed. Tests and examples may import upwards.
"""

import ast
import graphlib
import re
from pathlib import Path

import pytest

PACKAGES = Path(__file__).parents[1] / "packages"
TVM = {"tvm", "tvm_ffi", "tvm_ffi_orcjit"}
MAY_IMPORT = {
    "dynet_kernels": set(),
    "dynet_core": {"dynet_kernels"},
    "dynet_ops": {"dynet_kernels", "dynet_core"},
    "dynet_rnn": {"dynet_kernels", "dynet_core", "dynet_ops"},
    "dynet_optim": {"dynet_kernels", "dynet_core"},
    "dynet_config": {"dynet_core"},
    "_dynet": {"dynet_core", "dynet_ops", "dynet_rnn", "dynet_optim"},
    "_gdynet": {"_dynet"},
    "dynet": {"dynet_kernels", "dynet_core", "dynet_config", "_dynet"},
}


def imported_modules(source: str) -> set[str]:
    """The top-level modules that a source imports, also inside functions; relative imports are its own."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add(node.module.partition(".")[0])
        elif isinstance(node, ast.Call) and names_function(node.func, "import_module", "__import__"):
            first = node.args[0] if node.args else None
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                found.add(first.value.partition(".")[0])
    return found


def names_function(function: ast.expr, *names: str) -> bool:
    return getattr(function, "attr", getattr(function, "id", None)) in names


def upward_imports(module: str, source: str) -> set[str]:
    return (imported_modules(source) & MAY_IMPORT.keys()) - MAY_IMPORT[module] - {module}


def test_every_package_has_its_arrows_here():
    assert {path.parent.name for path in PACKAGES.glob("*/src/*/__init__.py")} == MAY_IMPORT.keys()


@pytest.mark.parametrize("module", MAY_IMPORT)
def test_imports_go_down_only(module):
    sources = sorted(PACKAGES.glob(f"*/src/{module}/**/*.py"))
    assert sources
    offenders = {
        str(path.relative_to(PACKAGES)): upward
        for path in sources
        if (upward := upward_imports(module, path.read_text(encoding="utf-8")))
    }
    assert not offenders


@pytest.mark.parametrize(
    "source",
    [
        "import dynet_rnn",
        "import numpy, dynet_rnn.lstm as lstm",
        "from dynet_rnn import LSTMBuilder",
        "from dynet_rnn.lstm import step",
        "def late():\n    import dynet_rnn",
        "importlib.import_module('dynet_rnn.lstm')",
        "__import__('dynet_rnn')",
    ],
)
def test_an_upward_import_is_seen_in_every_form(source):
    assert upward_imports("dynet_ops", source) == {"dynet_rnn"}


def test_downward_and_own_imports_are_allowed():
    source = "import dynet_core\nfrom dynet_kernels import planner\nfrom dynet_ops import tanh\nfrom . import loss"
    assert upward_imports("dynet_ops", source) == set()


# Within a package


def test_one_file_imports_tvm():
    """TVM moves names every few weeks."""
    sources = {path: path.read_text(encoding="utf-8") for path in PACKAGES.glob("*/src/**/*.py")}
    importers = {path.name for path, source in sources.items() if {*imported_modules(source)} & TVM}
    names = {path.name for path, source in sources.items() if '_Module("tvm' in source}
    assert importers == names == {"tvm_modules.py"}


def modules_of(root: Path) -> dict[str, Path]:
    """The files of a package by module name."""
    names = {path: [root.name, *path.relative_to(root).with_suffix("").parts] for path in root.rglob("*.py")}
    return {".".join(name[:-1] if name[-1] == "__init__" else name): path for path, name in names.items()}


def imports_within(modules: dict[str, Path], module: str) -> set[str]:
    """The modules of the same package that a module imports anywhere, not counting the package itself."""
    path, found = modules[module], set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = module.split(".")
            up = node.level - (path.name == "__init__.py")
            parts = [*base[: len(base) - up], node.module or ""] if node.level else [node.module or ""]
            source = ".".join(filter(None, parts))
            found |= {name if (name := f"{source}.{alias.name}") in modules else source for alias in node.names}
    return (found & modules.keys()) - {module}


def circle_of(modules: dict[str, Path]) -> list[str]:
    """A cycle of modules, each of which imports the next, and the last the first; empty if there is none."""
    try:
        graphlib.TopologicalSorter({module: imports_within(modules, module) for module in modules}).prepare()
    except graphlib.CycleError as problem:
        return problem.args[1]
    return []


@pytest.mark.parametrize("module", MAY_IMPORT)
def test_no_module_imports_itself_by_way_of_others(module):
    (root,) = PACKAGES.glob(f"*/src/{module}")
    modules = modules_of(root)
    assert module in modules
    assert circle_of(modules) == []


def test_rooms_of_the_core_import_from_rooms_below():
    """A room is a folder, or a module beside the folders. The README lists each room after those that it imports."""
    (root,) = PACKAGES.glob("*/src/dynet_core")
    modules = modules_of(root)
    rooms: dict[str, set[str]] = {}
    for module in modules.keys() - {"dynet_core"}:
        below = {name.split(".")[1] for name in imports_within(modules, module)}
        room = module.split(".")[1]
        rooms.setdefault(room, set()).update(below - {room})
    floors: dict[str, int] = {}
    for room in graphlib.TopologicalSorter(rooms).static_order():  # CycleError if there is a cycle
        floors[room] = max((floors[below] + 1 for below in rooms[room]), default=0)
    assert max(floors.values()) < 8
    readme = (root.parents[1] / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`.*?`) \|", readme, re.MULTILINE)
    listed = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    for place, room in enumerate(listed):
        assert rooms[room] <= {*listed[:place]}


@pytest.mark.parametrize(
    "line",
    [
        "from .b import name",
        "from . import b",
        "from package import b",
        "from package.b import name",
        "import package.b",
        "def late():\n    from .b import name",
        "if TYPE_CHECKING:\n    from .b import name",
    ],
)
def test_a_circle_is_seen_in_every_form(tmp_path, line):
    root = tmp_path / "package"
    root.mkdir()
    for name, text in {
        "__init__": "",
        "a": line,
        "b": "from .inner import c",
        "inner/__init__": "",
        "inner/c": "",
    }.items():
        path = root / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert circle_of(modules_of(root)) == []
    (root / "inner" / "c.py").write_text("from ..a import name")
    assert {*circle_of(modules_of(root))} >= {"package.a", "package.b"}
