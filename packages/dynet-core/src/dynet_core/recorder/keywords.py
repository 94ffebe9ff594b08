"""Keyword arguments for functions that take theirs by place."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any


def with_keywords(documented: Callable, record: Callable) -> Callable:
    """A function with the parameters of one that is documented, which calls another by place."""
    signature, name = inspect.signature(documented), documented.__name__
    defaults = {parameter.name: parameter.default for parameter in signature.parameters.values()}
    most, least = len(defaults), list(defaults.values()).count(inspect.Parameter.empty)

    def by_place(*arguments, **named) -> Any:
        if named and defaults.keys() >= named.keys() and len(arguments) <= most:
            known = {**defaults, **dict(zip(defaults, arguments)), **named}
            together = tuple(known.values())
            twice = any(key in named for key in list(defaults)[: len(arguments)])
            if not twice and all(value is not inspect.Parameter.empty for value in together):
                return record(*together)
        if named or not least <= len(arguments) <= most:
            try:
                signature.bind(*arguments, **named)
            except TypeError as problem:
                raise TypeError(f"{name}(): {problem}") from None
        return record(*arguments)

    by_place.__name__, by_place.__qualname__ = name, documented.__qualname__
    return by_place
