"""Parameters, lookup parameters, and the collections that own them."""

from __future__ import annotations

from ..errors import ArgumentTypeError
from ..expression import Expression
from ..signature import copy_step as copy_step
from .base import Trained
from .checks import checked_index, checked_indices
from .collection import Model, ParameterCollection
from .dense import Parameters
from .lookup import LookupParameters

__all__ = [
    "LookupParameters", "Model", "ParameterCollection", "Parameters", "checked_index", "checked_indices",
    "parameter",
]  # fmt: skip


def parameter(p: Parameters | LookupParameters, update: bool = True) -> Expression:
    """A parameter, or a whole lookup table, as an expression; with update=False, one without a gradient.

    >>> W = dy.Model().parameters_from_numpy([1, 2])
    >>> dy.parameter(W).value()
    [1.0, 2.0]
    """
    if isinstance(p, Trained):
        return p.expr(update)
    raise ArgumentTypeError(f"parameter: expected Parameters or LookupParameters, got {type(p).__name__}")
