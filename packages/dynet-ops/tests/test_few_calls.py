"""Errors about wrong arguments of ops are raised at most a few calls below the user's line."""

import inspect

import numpy as np
import pytest
from op_checks import calls_of_the_library

import dynet_ops as dy
from dynet_core import Model, renew_cg
from dynet_core.op import OPS

MOST_CALLS = 5
WRONG = {
    "None": lambda: None,
    "a text": lambda: "a",
    "a fraction": lambda: 1.5,
    "a large number": lambda: 99,
    "a negative number": lambda: -7,
    "a list of None": lambda: [None],
    "a list of large numbers": lambda: [99, -1],
    "an empty list": lambda: [],
    "an array": lambda: np.ones(3),
    "an expression": lambda: dy.zeros((2, 3, 4, 5, 6)),
    "expressions of other shapes": lambda: [dy.zeros(7), dy.zeros((2, 3, 4)), dy.zeros(5)],
    "an expression of an old graph": lambda: STALE[0],
    "expressions of an old graph": lambda: STALE,
    "a parameter of size 0": lambda: Model().add_parameters(0),
}
FEW = ("None", "an expression")  # also given by keyword in `nox -s tests`
WAYS = [
    pytest.param(what, by_keyword, marks=[pytest.mark.thorough] * (by_keyword and what not in FEW))
    for by_keyword in (False, True)
    for what in WRONG
]
renew_cg()
STALE = [dy.zeros(7), dy.zeros(7)]
renew_cg()


def arguments_of(op):
    """The arguments of an op's first sample, by name."""
    sample = op.samples[0]
    operands = [dy.constant(dims, 0.5, batch) for dims, batch in sample.shapes]
    names = list(inspect.signature(op.record).parameters)
    given = {names[0]: operands} if sample.as_list else dict(zip(names, operands))
    given |= sample.attributes
    return {name: given[name] for name in names if name in given}


@pytest.mark.few(each=3)
@pytest.mark.parametrize(("what", "by_keyword"), WAYS)
@pytest.mark.parametrize("name", [name for name, op in OPS.items() if op.record is getattr(dy, name, None)])
def test_errors_are_raised_few_calls_below_the_users(name, what, by_keyword):
    op, wrong = OPS[name], WRONG[what]
    deep = {}
    for at in arguments_of(op):
        renew_cg()
        arguments = {**arguments_of(op), at: wrong()}
        try:
            if by_keyword:
                op.record(**arguments)
            else:
                op.record(*arguments.values())
        except Exception as error:
            if calls_of_the_library(error) > MOST_CALLS:
                deep[at] = f"{type(error).__name__}: {error}, {calls_of_the_library(error)} calls"
    assert not deep
