"""Parameters, and rows of lookup parameters, as expressions."""

from __future__ import annotations

from typing import NoReturn

from dynet_core.parameter import LookupParameters
from dynet_core.parameter import const_parameter as const_parameter
from dynet_core.parameter import parameter as parameter
from dynet_core.parameter.lookup import BATCH_FUNCTIONS, ROW_FUNCTIONS

from ..declare import *


def lookup(p: LookupParameters, index: Index = 0, update: bool = True) -> Expression:
    """Row `index` of a lookup table p, the same as `p[index]`. With update=False, the row gets no gradient.

    >>> E = dy.Model().lookup_parameters_from_numpy([[1, 2], [3, 4]])
    >>> lookup(E, 1).value()
    [3.0, 4.0]
    """
    return p._looked_up(index, update) if isinstance(p, LookupParameters) else _refuse("lookup", p)


ROW_FUNCTIONS.append(function("lookup", lookup))
lookup = describe(ROW_FUNCTIONS[-1], lookup)


def lookup_batch(p: LookupParameters, indices: Iterable[Index], update: bool = True) -> Expression:
    """Several rows of a lookup table p, each a batch element of the result. With update=False, they get no gradient.

    >>> E = dy.Model().lookup_parameters_from_numpy([[1, 2], [3, 4]])
    >>> lookup_batch(E, [1, 1, 0]).dim()
    ((2,), 3)
    """
    return p._looked_up_batch(indices, update) if isinstance(p, LookupParameters) else _refuse("lookup_batch", p)


BATCH_FUNCTIONS.append(function("lookup_indices", lookup_batch))
lookup_batch = describe(BATCH_FUNCTIONS[-1], lookup_batch)


def _refuse(name: str, p) -> NoReturn:
    raise ArgumentTypeError(f"{name}: expected LookupParameters, got {type(p).__name__}")


__all__ = ["const_parameter", "lookup", "lookup_batch", "parameter"]
