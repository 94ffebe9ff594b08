"""`__all__` of every package is accurate, and the meta-package re-exports all names."""

import importlib
import re
import sys

import pytest

import _dynet
import dynet
import dynet_ops
from dynet_core.annotations import Number

RE_EXPORTED = ["dynet_core", "dynet_ops", "dynet_rnn", "dynet_optim"]


@pytest.mark.parametrize("package", ["dynet_kernels", *RE_EXPORTED, "dynet"])
def test_all_names_exist_once(package):
    module = importlib.import_module(package)
    assert [name for name in module.__all__ if not hasattr(module, name)] == []
    assert sorted(module.__all__) == sorted(set(module.__all__))


@pytest.mark.parametrize("package", RE_EXPORTED)
def test_dynet_re_exports_the_same_objects(package):
    module = importlib.import_module(package)
    for names in (module.__all__, getattr(module, "_EXTRA_NAMES", [])):
        assert set(names) <= {*dynet.__all__, *_dynet._EXTRA_NAMES} & {*module.__all__}
        assert [name for name in names if getattr(dynet, name) is not getattr(module, name)] == []


BESIDES = {"HAVE_CUDA", "dynet_config", "np", "os", "pickle", "sys"}  # expected of `from dynet import *`


def test_dynet_adds_the_names_that_programs_expect_besides():
    siblings = [importlib.import_module(package) for package in RE_EXPORTED]
    names = {name for module in siblings for name in module.__all__}
    assert set(dynet.__all__) == BESIDES | names - {*_dynet._EXTRA_NAMES}


@pytest.mark.parametrize("module", ["dynet", "_dynet", "_gdynet"])
def test_plain_words_that_dynet_lacks_are_no_part_of_a_star_import(module):
    assert {"function", "transduce", "pass_messages"} <= {*_dynet._EXTRA_NAMES}
    assert {*_dynet._EXTRA_NAMES} <= {*dir(importlib.import_module(module))}
    names = {}
    exec(f"from {module} import *", names)
    assert "tanh" in names and not names.keys() & {*_dynet._EXTRA_NAMES}


def test_a_name_that_programs_may_have_themselves_is_no_part_of_a_star_import():
    assert dynet.Number is Number and "Number" not in dynet.__all__


def test_every_operation_of_a_module_is_one_of_the_package():
    modules = [module for name, module in sys.modules.items() if re.fullmatch(r"dynet_ops\.\w+\.\w+", name)]
    found = [name for module in modules for name in getattr(module, "__all__", [])]
    assert sorted(dynet_ops.__all__) == sorted({*found})
