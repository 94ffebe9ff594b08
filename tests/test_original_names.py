"""Every name in DyNet 2.1 exists here, except those with a documented reason."""

import json
import subprocess
import sys

import original_names as original
import pytest

import dynet as dy
import dynet_config

ASIDE = {
    "ERRMSG": "what it says where there is no GPU support; DeviceError says here what is missing",
    "_CONF": "where its module `dynet` keeps what `dynet_config.get()` gives",
    "__gitversion__": "a commit of its repository",
    "print_function": "what `from __future__ import print_function` leaves behind",
    "_inputExpression": "its classes of inputs, lookups and picks; here each is an Expression",
} | dict.fromkeys(set(original.UNDERSCORED) - {"_RNNBuilder"}, "see _inputExpression")
MEMBERS_ASIDE = {"inputTensorTranspose": "a class of expressions; here a function that gives an Expression"}
STAR = [name for name in original.DYNET if not name.startswith("_")]


def missing(names, there):
    return {name for name in names if not there(name)}


def test_module():
    found = missing(original.DYNET, lambda name: name in dir(dy))
    assert found == {name for name in original.DYNET if name in ASIDE}


def test_star_import():
    namespace = {}
    exec("from dynet import *", namespace)
    assert missing(STAR, namespace.__contains__) == {name for name in STAR if name in ASIDE}


@pytest.mark.parametrize("name", original.CLASSES)
def test_class(name):
    found = missing(original.CLASSES[name], lambda member: hasattr(getattr(dy, name), member))
    assert found == ({*original.CLASSES[name]} if name in MEMBERS_ASIDE else set())


def test_config():
    assert missing(original.CONFIG, lambda name: hasattr(dynet_config, name)) == set()


PROGRAM = """
import json, sys
import {module} as library

def names():
    return [name for name in json.loads(sys.argv[1]) if not hasattr(library, name)]

before = names()
library.init()
trainer = library.AdamTrainer(library.Model())
x = library.tanh(library.inputVector([1, 2]))
print(json.dumps([before, names(), "dynet" in sys.modules, trainer.learning_rate, x.value()]))
"""


@pytest.mark.parametrize("module", ["_dynet", "_gdynet"])
def test_the_module_without_settings(module):
    wanted = [*STAR, *original.UNDERSCORED]
    command = [sys.executable, "-W", "error", "-c", PROGRAM.format(module=module), json.dumps(wanted)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    before, after, with_settings, rate, value = json.loads(done.stdout)
    aside = {name for name in wanted if name in ASIDE or name in original.NOT_UNDERSCORED} - {"print_graphviz"}
    assert {*before} == {*after} == aside
    assert not with_settings, "importing it imports `dynet`, which reads the command line"
    assert rate == pytest.approx(0.001)
    assert value == pytest.approx([0.7615942, 0.9640276])
