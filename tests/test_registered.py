"""Ops missing from `__all__`, and builders or trainers missing from a table, are reported with what to add."""

import sys

import pytest

import dynet_ops as dy
import dynet_optim
import dynet_rnn
from dynet_core.graph.expression import Expression
from dynet_core.op import OPS
from dynet_ops.kinds import elementwise
from dynet_ops.network.recurrent import CELLS
from dynet_optim import Trainer
from dynet_optim.registry import TRAINERS
from dynet_rnn import _RNNBuilder
from dynet_rnn.registry import BUILDERS

PARTS = {
    "clipped",
    "column_cross_entropy",
    "column_log_softmax",
    "column_logsumexp",
    "column_max",
    "column_min",
    "column_rms_norm",
    "column_softmax",
    "larger",
    "masked",
    *CELLS,
}
"""Ops that only other ops call."""
BASES = {"Variational", "Vertical", "LSTMBuilder"}
"""Builders without a cell of their own; `LSTMBuilder` makes one of the others."""


def unlisted_ops():
    return [
        f"{name}: add it to `__all__` in {module} and in dynet_ops/__init__.py, or to PARTS here if only ops call it"
        for name, module in ((name, op.record.__module__) for name, op in OPS.items() if name not in PARTS)
        if module.startswith("dynet_ops.") and not {name} <= {*sys.modules[module].__all__} & {*dy.__all__}
    ]


def unregistered(base, registered, table):
    """The library's subclasses that are not in a table."""
    return [
        f"{kind.__name__}: decorate it with `@register(...)` of {table}, and import it in {package}/__init__.py"
        for kind in subclasses(base)
        if (package := str(kind.__module__).partition(".")[0]) in ("dynet_rnn", "dynet_optim")
        if kind not in registered and kind.__name__ not in BASES
    ]


def subclasses(kind):
    return {found for child in kind.__subclasses__() for found in (child, *subclasses(child))}


def unregistered_builders():
    return unregistered(_RNNBuilder, {one.kind for one in BUILDERS.values()}, "dynet_rnn/registry.py")


def unregistered_trainers():
    return unregistered(Trainer, {one.kind for one in TRAINERS.values()}, "dynet_optim/registry.py")


@pytest.mark.parametrize("missing", [unlisted_ops, unregistered_builders, unregistered_trainers])
def test_nothing_is_missing(missing):
    assert missing() == []


def test_all_that_is_registered_is_public():
    for package, table in ((dynet_rnn, BUILDERS), (dynet_optim, TRAINERS)):
        assert {one.kind.__name__ for one in table.values()} <= {*package.__all__}


def test_an_op_without_a_public_name_is_noticed():
    def forgotten(x: Expression) -> Expression:
        """Twice x."""
        return x + x

    forgotten.__module__ = dy.tanh.__module__
    elementwise(reference=lambda x: 2 * x)(forgotten)
    try:
        (message,) = unlisted_ops()
    finally:
        del OPS["forgotten"]
    assert message.startswith(
        "forgotten: add it to `__all__` in dynet_ops.elementwise.functions and in dynet_ops/__init"
    )


@pytest.mark.parametrize(
    ("base", "package", "missing"),
    [(_RNNBuilder, "dynet_rnn", unregistered_builders), (Trainer, "dynet_optim", unregistered_trainers)],
)
def test_a_class_that_is_not_registered_is_noticed(base, package, missing):
    kind = type("Forgotten", (base,), {"__module__": f"{package}.forgotten"})
    try:
        (message,) = missing()
    finally:
        kind.__module__ = __name__
    assert message.startswith(f"Forgotten: decorate it with `@register(...)` of {package}/registry.py, and import it")
