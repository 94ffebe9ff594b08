"""Keyword arguments for functions that take theirs by place."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any, Protocol


class Learner(Protocol):
    """Looks at what calls of a function record: `begin` before each, and `end` after it, unless that was None."""

    def begin(self, arguments: Sequence) -> Any: ...

    def end(self, begun: Any, arguments: Sequence, result: Any) -> None: ...


def with_keywords(
    documented: Callable, record: Callable, in_order: Callable | None = None, learner: Learner | None = None
) -> Callable:
    """A function with the parameters of one that is documented, which calls another by place.

    It does all that stands between a user's call and an op in one call of Python, for the sake of tracebacks.

    Args:
        in_order: what is called where arguments by keyword have been put in another order, in which it may know them;
            `record` if None.
        learner: looks at calls by place.
    """
    signature, name = inspect.signature(documented), documented.__name__
    defaults = {parameter.name: parameter.default for parameter in signature.parameters.values()}
    most, least = len(defaults), list(defaults.values()).count(inspect.Parameter.empty)

    names = tuple(defaults)
    first = next(iter(signature.parameters.values()), None)
    takes_list = first is not None and str(first.annotation) in ("Iterable[Expression]", "Sequence[Expression]")

    def by_place(*arguments, **named) -> Any:
        if named:
            given, found = list(arguments), 0
            for parameter in names[len(arguments) :]:
                if found == len(named):
                    break
                if parameter in named:
                    given.append(named[parameter])
                    found += 1
                else:
                    given.append(defaults[parameter])
            if found == len(named) and len(given) >= least and all(x is not inspect.Parameter.empty for x in given):
                if in_order and tuple(named) != names[len(arguments) : len(given)]:
                    return in_order(*given)
                arguments, named = given, {}
        if named or not least <= len(arguments) <= most:
            try:
                signature.bind(*arguments, **named)
            except TypeError as problem:
                one_by_one = takes_list and len(arguments) > 1 and not isinstance(arguments[0], (list, tuple))
                hint = f"; the expressions are one list, {name}([...])" if one_by_one else ""
                raise TypeError(f"{name}(): {problem}{hint}") from None
        begun = None if learner is None else learner.begin(arguments)
        if begun is None:
            return record(*arguments)
        result = record(*arguments)
        learner.end(begun, arguments, result)  # type: ignore[union-attr]
        return result

    by_place.__name__, by_place.__qualname__ = name, documented.__qualname__
    by_place.record = record  # type: ignore[attr-defined]
    return by_place
