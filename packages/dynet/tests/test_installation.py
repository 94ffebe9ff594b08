"""What `import dynet` says about an installation that does not fit together."""

import importlib.machinery
import warnings
from importlib import metadata

import pytest

import dynet
from dynet import _installation

HERE = dynet.__version__


@pytest.fixture
def installed(monkeypatch):
    """Pretend that exactly these versions and modules are installed."""

    def pretend(versions, modules=()):
        monkeypatch.setattr(_installation, "version_of", versions.get)
        monkeypatch.setattr(_installation, "is_installed", lambda module: module in modules)

    return pretend


def test_version_is_the_distribution_s():
    assert metadata.version("dynet") == HERE


def test_matching_versions_pass_in_silence(installed):
    installed({"dynet": HERE, "dynet-kernels": HERE, "dynet-core": HERE})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _installation.check(HERE)


@pytest.mark.parametrize("sibling", _installation.SIBLINGS)
def test_sibling_of_another_version_is_an_import_error(installed, sibling):
    installed({"dynet": HERE, sibling: "2.9.1"})
    with pytest.raises(ImportError, match=f"needs {sibling} {HERE}, but {sibling} 2.9.1") as raised:
        _installation.check(HERE)
    assert f'pip install "{sibling}=={HERE}"' in str(raised.value)


def test_original_library_under_our_name_is_an_import_error(installed):
    installed({"dynet": "2.1.2"})
    with pytest.raises(ImportError, match=r"dynet 2\.1\.2 .* original C\+\+ library"):
        _installation.check(HERE)


def test_original_library_beside_ours_is_a_warning_naming_it(installed, monkeypatch):
    installed({"dynet": HERE})
    elsewhere = importlib.machinery.ModuleSpec("_dynet", None, origin="/elsewhere/_dynet.so")
    monkeypatch.setattr(_installation.util, "find_spec", lambda name: elsewhere)
    monkeypatch.setattr(metadata, "packages_distributions", lambda: {"_dynet": ["dyNET38"]})
    with pytest.warns(RuntimeWarning, match="_dynet, from dyNET38"):
        _installation.check(HERE)


@pytest.mark.parametrize(
    ("name", "extra"), [("LSTMBuilder", "rnn"), ("AdamTrainer", "optim"), ("tanh", "ops"), ("_private", None)]
)
def test_missing_name_says_which_extra_may_bring_it(installed, name, extra):
    installed({}, modules=["dynet_core"])
    with pytest.raises(AttributeError, match="module 'dynet' has no attribute") as raised:
        dynet.__getattr__(name)
    assert (f"dynet-core[{extra}]=={HERE}" in str(raised.value)) == (extra is not None)


def test_unknown_name_gives_no_hint_where_everything_is_installed(installed):
    installed({}, modules=["dynet_core", "dynet_ops", "dynet_rnn", "dynet_optim"])
    with pytest.raises(AttributeError, match="module 'dynet' has no attribute 'NoSuchBuilder'$"):
        dynet.__getattr__("NoSuchBuilder")


@pytest.mark.parametrize("there", [True, False])
def test_have_cuda_is_whether_there_is_a_driver(there, monkeypatch):
    monkeypatch.setattr(dynet.dynet_core.device, "has_driver", lambda: there)
    namespace = {}
    exec("from dynet import *", namespace)
    assert dynet.HAVE_CUDA is namespace["HAVE_CUDA"] is there
