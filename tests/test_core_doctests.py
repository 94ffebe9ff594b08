"""Runs the examples in dynet-core's docstrings."""

import doctest
import importlib
import pkgutil

import pytest

import dynet
import dynet_core

MODULES = [module.name for module in pkgutil.walk_packages(dynet_core.__path__, "dynet_core.")]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    found = doctest.testmod(importlib.import_module(name), extraglobs={"dy": dynet}, optionflags=flags)
    assert found.failed == 0
