"""The wheels install into a clean environment, and version numbers in all metadata agree."""

import importlib.util
import json
import os
import re
import runpy
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ROOT / "packages"
MANIFESTS = {
    path.parent.name: tomllib.loads(path.read_text(encoding="utf-8"))
    for path in sorted(PACKAGES.glob("*/pyproject.toml"))
}
SHARED = runpy.run_path(str(PACKAGES / "build_metadata.py"))
VERSION = SHARED["version"]()
OWN = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["dynet"]
EXTRAS = {
    "ops": {"dynet-ops"},
    "rnn": {"dynet-ops", "dynet-rnn"},
    "optim": {"dynet-optim"},
    "rnn,optim": {"dynet-ops", "dynet-rnn", "dynet-optim"},
    "all": {"dynet-ops", "dynet-rnn", "dynet-optim"},
}


def run(*command, cwd):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, cwd=cwd)
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


def siblings_in(requirements):
    return [text for text in requirements if re.match(r"dynet\b", text)]


def metadata_of(name):
    """The fields that a package build adds to its manifest."""
    found = {}
    SHARED["update"](found, MANIFESTS[name]["tool"]["hatch"]["metadata"]["hooks"]["custom"])
    return found


@pytest.mark.parametrize("name", MANIFESTS)
def test_siblings_are_pinned_to_one_version(name):
    project = metadata_of(name)
    assert project["version"] == VERSION
    requirements = siblings_in(project["dependencies"])
    for extra in project.get("optional-dependencies", {}).values():
        requirements += siblings_in(extra)
    assert [text for text in requirements if not text.endswith(f"=={VERSION}")] == []
    assert sorted(MANIFESTS[name]["project"]["dynamic"]) == sorted(project)


def test_the_version_stands_in_one_place():
    """Except the changelog and the citation, which tests/test_repository_files.py compares."""
    places = [ROOT / "pyproject.toml", ROOT / "noxfile.py", *PACKAGES.rglob("*.toml"), *PACKAGES.glob("*/src/**/*.py")]
    assert [path.name for path in places if VERSION in path.read_text(encoding="utf-8")] == ["__init__.py"]


def test_all_packages_build_with_the_same_script():
    scripts = {path.read_text(encoding="utf-8") for path in PACKAGES.glob("*/hatch_build.py")}
    assert len(scripts) == 1 and len(list(PACKAGES.glob("*/hatch_build.py"))) == len(MANIFESTS)


def test_the_address_stands_in_one_place():
    wrong = [path for path in ROOT.rglob("*.toml") if ".nox" not in path.parts and path != ROOT / "pyproject.toml"]
    wrong += [*ROOT.glob("*.md"), *ROOT.glob("*.cff"), *(ROOT / "docs").rglob("*.md")]
    assert [path for path in wrong if OWN["repository"] in path.read_text(encoding="utf-8")] == []


def test_readmes_need_no_pins():
    """No distribution name belongs to another project on the index."""
    assert not [path for path in [*PACKAGES.glob("*/README.md"), ROOT / "README.md"] if "==" in path.read_text()]
    assert {manifest["project"]["name"] for manifest in MANIFESTS.values()} == {
        "dynet-tvm" if name == "dynet" else name for name in MANIFESTS
    }


def pythons():
    """The supported Python versions, from the classifiers."""
    return [one.rpartition(" ")[2] for one in OWN["classifiers"] if re.search(r":: 3\.\d+$", one)]


def test_one_list_of_pythons_stands_everywhere():
    """The workflow and nox test the versions in the classifiers; README and CONTRIBUTING name them."""
    checks = (ROOT / ".github" / "workflows" / "checks.yml").read_text(encoding="utf-8")
    assert re.findall(r"python: \[(.*)\]", checks) == [", ".join(f'"{one}"' for one in pythons())]
    assert 'SHARED["classifiers"]' in (ROOT / "noxfile.py").read_text(encoding="utf-8")
    assert f"CPython {pythons()[0]} to {pythons()[-1]};" in (ROOT / "README.md").read_text(encoding="utf-8")
    named = f"under Python {', '.join(pythons()[:-1])} and {pythons()[-1]};"
    assert named in (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def test_tvm_is_required_as_a_range_with_an_end():
    required = MANIFESTS["dynet-kernels"]["tool"]["hatch"]["metadata"]["hooks"]["custom"]["dependencies"]
    ours = [one for one in required if one.startswith("apache-tvm")]
    assert len(ours) == 3 and all(re.fullmatch(r"[\w-]+>=[\d.]+(post\d+)?,.*<[\d.]+", one) for one in ours)


def test_one_license_is_in_every_package():
    text = (ROOT / "LICENSE").read_bytes()
    assert [(PACKAGES / name / "LICENSE").read_bytes() == text for name in MANIFESTS] == [True] * len(MANIFESTS)


def test_all_packages_are_members_of_the_workspace():
    uv = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["uv"]
    assert uv["workspace"]["members"] == ["packages/*"]
    assert uv["sources"] == {one["project"]["name"]: {"workspace": True} for one in MANIFESTS.values()}


def test_what_tutorial_and_guides_need_is_installed():
    """They write safetensors files, whose package is installed by each method in docs/install.md."""
    assert "safetensors>=0.4" in metadata_of("dynet-core")["optional-dependencies"]["all"]
    assert "-e ./packages/dynet-core[safetensors]" in (ROOT / "requirements.txt").read_text(encoding="utf-8")


@pytest.mark.few(each=2)
@pytest.mark.slow
@pytest.mark.parametrize("options", [[], ["-e"]], ids=["plain", "editable"])
def test_the_root_is_no_package_and_says_so(options, tmp_path):
    command = [sys.executable, "-m", "pip", "install", "--target", tmp_path, *options, ROOT]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    assert done.returncode and "no package. Run: pip install -r requirements.txt" in done.stdout + done.stderr
    assert list(tmp_path.iterdir()) == []


def test_one_oldest_python_stands_everywhere():
    """All six packages, ruff, pyright, the tests and the README agree."""
    (required,) = {manifest["project"]["requires-python"] for manifest in MANIFESTS.values()}
    oldest = required.removeprefix(">=")
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    assert tools["pyright"]["pythonVersion"] == oldest
    assert tools["ruff"]["target-version"] == "py" + oldest.replace(".", "")
    assert pythons()[0] == oldest
    for name in ("README.md", ".ci/run"):
        asked = re.findall(r"Python (\d+\.\d+) or (?:later|newer)", (ROOT / name).read_text(encoding="utf-8"))
        assert asked == [oldest], name


@pytest.fixture(scope="module")
def wheels(tmp_path_factory):
    """A folder with all wheels: the one in DYNET_WHEELS, or else built here."""
    if given := os.environ.get("DYNET_WHEELS"):
        return Path(given)
    folder = tmp_path_factory.mktemp("wheels")
    sources = [PACKAGES / name for name in MANIFESTS]
    options = ["--no-deps", *["--no-build-isolation"] * (importlib.util.find_spec("hatchling") is not None)]
    run(sys.executable, "-m", "pip", "wheel", *options, "--wheel-dir", folder, *sources, cwd=folder)
    return folder


@pytest.fixture(scope="module")
def clean_python(tmp_path_factory):
    """The Python of a new environment that contains only pip."""
    folder = tmp_path_factory.mktemp("clean")
    run(sys.executable, "-m", "virtualenv", "--quiet", folder, cwd=folder)
    return folder / "bin" / "python"


@pytest.mark.slow
def test_each_wheel_is_typed_and_holds_only_its_package(wheels, clean_python):
    for name in MANIFESTS:
        module, distribution = (text.replace("-", "_") for text in (name, MANIFESTS[name]["project"]["name"]))
        (wheel,) = wheels.glob(f"{distribution}-{VERSION}-*.whl")
        files = run(clean_python, "-m", "zipfile", "--list", wheel, cwd=wheels)
        names = [line.split()[0] for line in files.splitlines()[1:]]
        assert f"{module}/py.typed" in names
        assert f"{distribution}-{VERSION}.dist-info/licenses/LICENSE" in names
        beside = {"_dynet", "_gdynet", "dynet_config"} if name == "dynet" else set()
        assert {f"{one}/py.typed" for one in beside} <= {*names}
        assert {text.partition("/")[0] for text in names} == {module, f"{distribution}-{VERSION}.dist-info"} | beside
        with zipfile.ZipFile(wheel) as archive:
            said = archive.read(f"{distribution}-{VERSION}.dist-info/METADATA").decode()
        assert f"Project-URL: Repository, {OWN['repository']}\n" in said
        assert f"Author: {OWN['authors']}\n" in said
        assert all(f"Classifier: {one}\n" in said for one in OWN["classifiers"])


@pytest.mark.thorough  # `nox -s wheels` runs all
@pytest.mark.slow
def test_each_source_distribution_has_the_license(tmp_path):
    run(sys.executable, "-m", "virtualenv", "--quiet", tmp_path / "hatch", cwd=tmp_path)
    python = tmp_path / "hatch" / "bin" / "python"
    run(python, "-m", "pip", "install", "--quiet", "hatchling>=1.27", cwd=tmp_path)
    for name in MANIFESTS:
        run(python, "-m", "hatchling", "build", "-t", "sdist", "-d", tmp_path / "sdists", cwd=PACKAGES / name)
    found = [tarfile.open(path) for path in (tmp_path / "sdists").iterdir()]
    assert len(found) == len(MANIFESTS)
    for archive in found:
        with archive:
            member = archive.extractfile(f"{archive.getnames()[0].partition('/')[0]}/LICENSE")
            assert member.read() == (ROOT / "LICENSE").read_bytes()


@pytest.mark.thorough
@pytest.mark.slow
@pytest.mark.parametrize("extras", EXTRAS)
def test_extras_bring_their_siblings_and_the_meta_package(wheels, clean_python, extras):
    pip = [clean_python, "-m", "pip", "install", "--quiet", "--find-links", wheels]
    report = run(*pip, "--dry-run", "--report=-", f"dynet-core[{extras}]", cwd=wheels)
    chosen = {item["metadata"]["name"]: item["metadata"]["version"] for item in json.loads(report)["install"]}
    expected = EXTRAS[extras] | {"dynet-tvm", "dynet-core", "dynet-kernels"}
    assert {name: version for name, version in chosen.items() if re.match(r"dynet\b", name)} == dict.fromkeys(
        expected, VERSION
    )


@pytest.mark.thorough
@pytest.mark.slow
def test_wheels_install_into_a_clean_environment(wheels, clean_python, tmp_path, monkeypatch):
    """First with the extras `rnn` and `optim`, then without the packages that only they install.

    With PYTHONPYCACHEPREFIX set, uninstalling leaves folders that contain `__pycache__`; `-I` makes Python ignore it.
    """
    monkeypatch.setenv("PYTHONPYCACHEPREFIX", str(tmp_path / "bytecode"))
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    pip = [clean_python, "-m", "pip"]
    run(*pip, "install", "--quiet", "--find-links", wheels, "dynet-core[rnn,optim]", cwd=tmp_path)
    run(*pip, "check", cwd=tmp_path)
    program = (
        "import dynet as dy, dynet_core, dynet_ops, dynet_rnn, dynet_optim\n"
        "modules = [dynet_core, dynet_ops, dynet_rnn, dynet_optim]\n"
        "assert set(dir(dy)) >= {name for module in modules for name in module.__all__}\n"
        "assert all(hasattr(dy, name) for name in dy.__all__)\n"
    )
    run(clean_python, "-I", "-W", "error", "-c", program, cwd=tmp_path)

    run(*pip, "uninstall", "--quiet", "--yes", "dynet-rnn", "dynet-optim", cwd=tmp_path)
    program = (
        "import dynet as dy, dynet_core, dynet_ops, _dynet\n"
        "assert set(dir(dy)) >= {*_dynet.__all__, *dynet_core.__all__, *dynet_ops.__all__}\n"
        "assert not hasattr(_dynet, 'VanillaLSTMBuilder') and not hasattr(_dynet, 'AdamTrainer')\n"
        "try: dy.SomeTrainer\n"
        f"except AttributeError as error: assert 'dynet-core[optim]=={VERSION}' in str(error)\n"
        "else: raise AssertionError\n"
    )
    run(clean_python, "-I", "-W", "error", "-c", program, cwd=tmp_path)
