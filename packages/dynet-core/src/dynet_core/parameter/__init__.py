"""Parameters, lookup parameters, and the collections that own them."""

from __future__ import annotations

from typing import Any

from ..checks import checked_flag
from ..errors import ArgumentTypeError
from ..signature import copy_step as copy_step
from .base import Trained
from .collection import Model, ParameterCollection
from .dense import Parameters
from .lookup import LookupParameters

__all__ = [
    "LookupParameters", "Model", "ParameterCollection", "Parameters", "const_parameter", "parameter",
]  # fmt: skip


def parameter(p: Parameters | LookupParameters, update=True, *more) -> Any:
    """A parameter, or a whole lookup table, as an expression; with update=False, one without a gradient.

    Several parameters, `parameter(W, b)`, give a list, as in DyNet 2.1.

    >>> W = dy.Model().parameters_from_numpy([1, 2])
    >>> dy.parameter(W).value()
    [1.0, 2.0]
    """
    if isinstance(update, Trained) or more:
        return [_checked("parameter", each).expr() for each in (p, update, *more)]
    return _checked("parameter", p).expr(checked_flag("parameter", "update", update))


def const_parameter(p: Parameters | LookupParameters, *more) -> Any:
    """A parameter, or a whole lookup table, as an expression without a gradient; of several, a list.

    >>> W = dy.Model().parameters_from_numpy([1, 2])
    >>> dy.const_parameter(W).value()
    [1.0, 2.0]
    """
    found = [_checked("const_parameter", each).expr(False) for each in (p, *more)]
    return found if more else found[0]


def _checked(name: str, p) -> Trained:
    if isinstance(p, Trained):
        return p
    raise ArgumentTypeError(f"{name}: expected Parameters or LookupParameters, got {type(p).__name__}")
