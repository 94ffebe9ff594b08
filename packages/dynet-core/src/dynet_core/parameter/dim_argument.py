"""The check of calls such as `add_parameters(4, 3)`, whose second argument is most likely meant as a dimension."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from ..errors import ArgumentError
from ..messages.hints import USES, explained

Method = TypeVar("Method", bound=Callable[..., Any])


def _is_whole(value: object) -> bool:
    if isinstance(value, np.ndarray) and not value.ndim:
        value = value[()]
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def one_dim_argument(method: Method) -> Method:
    """Decorate a method whose first argument is all dimensions, and whose second one is the initial values.

    In `add_parameters(4, 3)`, 3 is most likely meant as a second dimension. So two whole numbers, passed by position,
    raise ArgumentError if the second is at least 2; smaller numbers are usual as initial values. For keyword arguments
    that the method does not have, a TypeError says what to use.
    """
    called = explained(method, lambda self: method.__name__, {}, USES["add_parameters()"])

    @functools.wraps(method)
    def checked(self: Any, *positional: Any, **named: Any) -> Any:
        if len(positional) > 1:
            dim, init, *_ = positional
            if _is_whole(dim) and _is_whole(init) and init >= 2:
                raise ArgumentError(
                    f"{method.__name__}: dimensions are one argument: write (({dim}, {init})) for {dim} times {init}, "
                    f"or ({dim}, init={init}) for {dim} numbers that are all {init}"
                )
        return called(self, *positional, **named)

    return checked  # type: ignore[return-value]
