"""A saved parser whose vocabulary has a user-defined class loads with `own_classes=False`, by each way to allow it."""

import os
import subprocess
import sys

import pytest

PROGRAM = """
import sys
import dynet_config
dynet_config.set(own_classes=sys.argv[1] == "own")
if sys.argv[1] == "set":
    dynet_config.set(allow=["__main__.Vocabulary"])
import dynet as dy

class Vocabulary:
    def __init__(self):
        self.indices = {"the": 0}

class Parser:
    def __init__(self, model, vocabulary, activation):
        self.spec = {"vocabulary": vocabulary, "activation": activation}
        self.collection = model.add_subcollection("Parser")
        self.W = self.collection.add_parameters((2, 2))

    def param_collection(self):
        return self.collection

    @classmethod
    def from_spec(cls, spec, model):
        return cls(model, **spec)

dy.save("parser", [Parser(dy.Model(), Vocabulary(), dy.tanh)])
options = {"allow": [Vocabulary]} if sys.argv[1] == "load" else {}
(parser,) = dy.load("parser", dy.Model(), **options)
assert type(parser.spec["vocabulary"]) is Vocabulary and parser.spec["vocabulary"].indices == {"the": 0}
assert parser.spec["activation"] is dy.tanh
"""


def run(way, folder, **environment):
    (folder / "program.py").write_text(PROGRAM)
    command = [sys.executable, "-W", "error", "-W", "default:save:UserWarning", "program.py", way]
    return subprocess.run(
        command, cwd=folder, env=os.environ | environment, capture_output=True, text=True, timeout=300
    )


@pytest.mark.parametrize(
    "way, environment", [("own", ""), ("load", ""), ("set", ""), ("environment", "__main__.Vocabulary")]
)
def test_a_class_is_allowed(way, environment, tmp_path):
    result = run(way, tmp_path, DYNET_ALLOW=environment)
    assert result.returncode == 0, result.stderr
    assert ("load will ask for a permission: __main__.Vocabulary" in result.stderr) is (way == "load")


def test_a_class_that_is_not_allowed_is_named(tmp_path):
    result = run("environment", tmp_path, DYNET_ALLOW="")
    assert "FileFormatError: parser.meta: object 0: __main__.Vocabulary is a class that you have not" in result.stderr
    assert "DYNET_ALLOW=__main__.Vocabulary" in result.stderr
