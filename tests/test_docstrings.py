"""The docstring of each builder and trainer describes all arguments and has an example that runs."""

import doctest
import inspect
import re

import pytest

import dynet
import dynet_rnn
from dynet_optim.registry import TRAINERS
from dynet_rnn.registry import BUILDERS

OTHERS = (  # builders that are not in the table because they have no cell
    dynet_rnn.BiRNNBuilder, dynet_rnn.CRFBuilder, dynet_rnn.ChildSumTreeLSTMBuilder,
    dynet_rnn.ClassFactoredSoftmaxBuilder, dynet_rnn.LSTMBuilder, dynet_rnn.NaryTreeLSTMBuilder,
    dynet_rnn.StandardSoftmaxBuilder,
)  # fmt: skip
KINDS = {one.kind for one in (*BUILDERS.values(), *TRAINERS.values())} | {*OTHERS}


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
