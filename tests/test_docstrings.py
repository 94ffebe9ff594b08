"""The docstring of each builder and trainer describes all arguments and has an example that runs."""

import doctest
import inspect
import re

import pytest

import dynet
import dynet_rnn
from dynet_optim.registry import TRAINERS
from dynet_rnn.registry import BUILDERS

BASES = {"SoftmaxBuilder", "_RNNBuilder"}
OTHERS = {getattr(dynet_rnn, name) for name in dynet_rnn.__all__ if name.endswith("Builder") and name not in BASES}
KINDS = {one.kind for one in (*BUILDERS.values(), *TRAINERS.values())} | OTHERS


def described(documentation):
    """The arguments described in the Args section."""
    _, _, section = inspect.cleandoc(documentation).partition("Args:\n")
    lines = re.findall(r"^    ([\w, ]+): ", section.partition("\n\n")[0], re.MULTILINE)
    return {name for line in lines for name in line.split(", ")}


@pytest.mark.parametrize("kind", sorted(KINDS, key=lambda kind: kind.__name__), ids=lambda kind: kind.__name__)
def test_arguments_and_an_example(kind, capsys):
    arguments = {*inspect.signature(kind.__init__).parameters} - {"self"}
    assert described(vars(kind)["__doc__"]) == arguments, f"Args of {kind.__name__} and its arguments differ"
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    for test in doctest.DocTestFinder(recurse=False).find(kind, kind.__name__, globs={"dy": dynet}):
        runner.run(test)
    assert runner.tries, f"{kind.__name__}: add an example (>>>) to the docstring"
    assert not runner.failures, capsys.readouterr().out
