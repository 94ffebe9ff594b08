"""What `import dynet` reports about an installation with mismatched packages."""

import subprocess
import sys
import warnings

import pytest

import dynet
from dynet import _installation, _other_names

HERE = dynet.__version__


@pytest.fixture
def installed(monkeypatch):
    """Pretend that exactly these versions and modules are installed."""

    def pretend(versions, modules=()):
        monkeypatch.setattr(_installation, "version_of", versions.get)
        monkeypatch.setattr(_installation, "is_installed", lambda module: module in modules)

    return pretend


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A directory on the search path in which tests pretend that a distribution is installed."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def install(name, version, files=(), information="dist-info", top_level=None):
        folder = tmp_path / f"{name}-{version}.{information}"
        folder.mkdir()
        about = "PKG-INFO" if information == "egg-info" else "METADATA"
        (folder / about).write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        if top_level is None:
            (folder / "RECORD").write_text("".join(f"{file},,\n" for file in files))
        else:
            (folder / "top_level.txt").write_text("\n".join(top_level))
        for file in files:
            (tmp_path / file).parent.mkdir(exist_ok=True)
            (tmp_path / file).write_text("")

    return install


def test_version_is_the_distribution_s():
    assert _installation.version_of("dynet-tvm") in (HERE, None)  # None: imported from a source tree


def test_matching_versions_pass_in_silence(installed):
    installed({"dynet-tvm": HERE, "dynet-kernels": HERE, "dynet-core": HERE})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _installation.check(HERE)


@pytest.mark.parametrize("distribution", ["dynet-tvm", *_installation.SIBLING_DISTRIBUTIONS])
def test_a_part_of_another_version_is_an_import_error(installed, distribution):
    installed({"dynet-tvm": HERE, distribution: "2.9.1"})
    with pytest.raises(ImportError, match=f"needs {distribution} {HERE}, but {distribution} 2.9.1") as raised:
        _installation.check(HERE)
    assert f'pip install "{distribution}=={HERE}"' in str(raised.value)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("dyNET", {"files": ["dynet.py", "dynet_config.py"]}),
        ("dyNET38", {"files": ["dynet.py", "_dynet.so"]}),
        ("dyNET38", {"files": ["_dynet.so"]}),
        ("dynet", {"files": ["dynet/__init__.py"]}),
        ("dyNET", {"information": "egg-info", "top_level": ["_dynet", "dynet"]}),
        ("dynet.fork", {"top_level": ["dynet"]}),
        ("another-name", {"files": ["dynet.py"]}),
        ("another-name", {"files": ["_dynet.py"]}),
        ("another-name", {"files": ["dynet/__init__.py"]}),
    ],
)
def test_another_owner_of_our_modules_is_an_import_error_that_names_it(site, name, options):
    site("something", "1.0", ["something.py"])
    site(name, "2.2", **options)
    with pytest.raises(ImportError, match=rf"cannot be used beside {name} 2\.2, ") as raised:
        _installation.check(HERE)
    assert f"pip uninstall {name}, then: " in str(raised.value)
    assert f'pip install --force-reinstall --no-deps "dynet-tvm=={HERE}"' in str(raised.value)


@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("dynet_core", ["dynet_core/__init__.py"]),
        ("Dynet.TVM", ["dynet/__init__.py", "dynet/_installation.py", "_dynet.py"]),
        ("dynet", ["_dynet.pth"]),  # an editable installation from the time when our package had this name
        ("dynet-tools", ["dynet_tools.py"]),
        ("something", ["dynet/data.txt"]),
    ],
)
def test_what_has_other_modules_does_no_harm(site, name, files):
    site(name, HERE, files)
    _installation.check(HERE)


def test_files_of_no_distribution_do_no_harm(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "dynet.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path / "missing"))
    _installation.check(HERE)


@pytest.mark.parametrize(
    ("name", "extra"), [("LSTMBuilder", "rnn"), ("AdamTrainer", "optim"), ("tanh", "ops"), ("_private", None)]
)
def test_missing_name_says_which_extra_may_bring_it(installed, name, extra):
    installed({}, modules=["dynet_core"])
    assert not _installation.is_complete()
    message = _other_names.message(name, [], HERE)
    assert message.startswith(f"module 'dynet' has no attribute {name!r}")
    assert (f"dynet-core[{extra}]=={HERE}" in message) == (extra is not None)


def test_unknown_name_gives_no_hint_where_everything_is_installed(installed):
    installed({}, modules=["dynet_core", "dynet_ops", "dynet_rnn", "dynet_optim"])
    assert _installation.is_complete()
    assert _other_names.message("NoSuchBuilder", [], HERE) == "module 'dynet' has no attribute 'NoSuchBuilder'"


WITHOUT_RNN = """
from importlib.machinery import PathFinder
find = PathFinder.find_spec
PathFinder.find_spec = lambda name, path=None, target=None: find(name, ["."] if name == "dynet_rnn" else path, target)
import dynet as dy
dy.NAME
"""


@pytest.mark.parametrize("folder", ["dynet_rnn", "other"])
@pytest.mark.parametrize("name", ["NoSuchBuilder", "RNNBuilder"])
def test_a_program_without_an_extra_is_told_of_it(name, folder, tmp_path):
    """The error is the same if an uninstall has left a folder `dynet_rnn` without modules."""
    (tmp_path / folder / "__pycache__").mkdir(parents=True)
    command = [sys.executable, "-c", WITHOUT_RNN.replace("NAME", name)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 1
    assert f'dynet-rnn is not installed and may have it: pip install "dynet-core[rnn]=={HERE}"' in done.stderr


@pytest.mark.parametrize("there", [True, False])
def test_have_cuda_is_whether_there_is_a_driver(there):
    replaced = f"from dynet_core.compute import device; device.has_driver = lambda: {there}"
    program = f"{replaced}; from dynet import *; print(HAVE_CUDA)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == (f"{there}\n", "")
