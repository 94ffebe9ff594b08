"""Convert the argument `init=` of `add_parameters`, such as "glorot" or a number, to an initializer."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from numbers import Real
from typing import cast

import numpy as np

from ..annotations import Number
from ..checks import single
from ..errors import ArgumentTypeError
from .base import InitializerError, PyInitializer, initial_array
from .kinds import (
    ConstInitializer,
    GlorotInitializer,
    IdentityInitializer,
    NormalInitializer,
    NumpyInitializer,
    SaxeInitializer,
    UniformInitializer,
)

OTHER_NAMES = {"xavier": "'glorot'", "xavier_uniform": "'glorot'", "orthogonal": "'saxe'", "zeros": "0", "ones": "1"}
OTHER_NAMES |= {"kaiming": "'he'", "kaiming_normal": "'he'"}
NAMES = ("glorot", "he", "identity", "normal", "saxe", "uniform")


def initializer_from(
    init: object,
    dim: Sequence[int],
    lookup: bool = False,
    *,
    scale: Number = 1.0,
    mean: Number = 0.0,
    std: Number = 1.0,
) -> PyInitializer:
    """Return the initializer for a user's argument `init=`.

    - None or "glorot": `GlorotInitializer()`; "identity": `IdentityInitializer()`
    - an initializer: itself; a number: `ConstInitializer`; an array, list or tuple: `NumpyInitializer`
    - "uniform": `UniformInitializer(scale)`; "saxe": `SaxeInitializer(scale)`
    - "normal": `NormalInitializer` with the mean `mean` and the standard deviation `std`
    - "he": as in DyNet 2.1, `NormalInitializer` with variance 0.5 / n, where n is the last dimension of the parameter,
      or of one row if it is a lookup parameter. In the source (He, Zhang, Ren and Sun, "Delving deep into rectifiers",
      2015), the variance is 2 / n.

    As in DyNet, `scale`, `mean` and `std` are ignored if the initializer does not use them. For a lookup parameter,
    `dim` has the number of rows first.

    >>> initializer_from(None, (3, 4))
    GlorotInitializer(is_lookup=False, gain=1.0)
    >>> initializer_from("he", (3, 4))
    NormalInitializer(mean=0, var=0.125)
    """
    if init is None:
        return GlorotInitializer()
    if isinstance(init, PyInitializer):
        return init
    if isinstance(init, (np.ndarray, list, tuple)):
        return NumpyInitializer(initial_array(init, "init"))
    if isinstance(init, str):
        return _named(init, tuple(dim), lookup, scale, mean, std)
    if isinstance(init, (Real, np.bool_)):
        return ConstInitializer(cast(float, init))
    if isinstance(init, type) and issubclass(init, PyInitializer):
        raise ArgumentTypeError(f"init is the class {init.__name__}: pass an instance, {init.__name__}(...)")
    kinds = f"None, an initializer, a number, an array or one of {_names()}"
    raise ArgumentTypeError(f"init must be {kinds} but got {type(init).__name__}: {repr(init)[:100]}")


def _named(name: str, dim: tuple[int, ...], lookup: bool, scale: Number, mean: Number, std: Number) -> PyInitializer:
    if name == "glorot":
        return GlorotInitializer()
    if name == "uniform":
        return UniformInitializer(scale)
    if name == "saxe":
        return SaxeInitializer(scale)
    if name == "identity":
        return IdentityInitializer()
    if name == "normal":
        std = single(std)
        if not isinstance(std, (Real, np.bool_)):
            raise ArgumentTypeError(f"init='normal': std must be a number but got {std!r}")
        if std < 0:
            raise InitializerError(f"init='normal': std must be 0 or more but got {std}")
        return NormalInitializer(mean, float(std) * float(std))
    if name == "he":
        size = dim[1:] if lookup else dim
        if not size:
            raise InitializerError(f"init='he': the rows of a {dim} lookup parameter have no dimension")
        return NormalInitializer(var=0.5 / max(size[-1], 1))
    use = OTHER_NAMES.get(name) or ", ".join(map(repr, get_close_matches(name, NAMES, 1)))
    raise InitializerError(f"init is {name!r:.40}, which is none of {_names()}" + (f": use {use}" if use else ""))


def _names() -> str:
    return ", ".join(repr(name) for name in NAMES)
