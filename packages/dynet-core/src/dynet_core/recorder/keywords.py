"""Wrap functions of positional arguments, for both recorders, so that they also accept keyword arguments."""

from __future__ import annotations

import functools
import inspect
import operator
from collections.abc import Callable, Sequence
from typing import Any

from ..messages.hints import misfit, with_usual_keywords

_is_missing = functools.partial(operator.is_, inspect.Parameter.empty)


def refuse_new() -> None:
    raise TypeError("expressions are made by operations, such as dy.inputVector, not by their class")


Learn = Callable[[Sequence], Callable[[Any], None] | None]
"""Observes a call of an op: called with the arguments before the op. The function that it returns, if any, is called
with the result."""


def with_keywords(
    documented: Callable, record: Callable, in_order: Callable | None = None, learn: Learn | None = None
) -> Callable:
    """Return a function with the parameters of `documented` that calls `record` with positional arguments.

    All its work is done in one Python frame, which keeps the user's tracebacks short. `in_order`, if given, is the
    compiled function that calls the result when it cannot record a call. It handles keyword arguments only in the order
    of the parameters. If they are in a different order, the result calls `in_order` with all arguments by position,
    because it may then be able to record the call.
    """
    signature, name = inspect.signature(documented), documented.__name__
    defaults = {parameter.name: parameter.default for parameter in signature.parameters.values()}
    most, least = len(defaults), list(defaults.values()).count(inspect.Parameter.empty)

    names, others = tuple(defaults), getattr(documented, "other_keywords", {})
    annotations = [str(parameter.annotation) for parameter in signature.parameters.values()]
    takes_list = annotations[:1] in (["Iterable[Expression]"], ["Sequence[Expression]"])

    def by_place(*arguments, **named) -> Any:
        if named:
            rest = names[len(arguments) :]
            if named.keys() <= {*rest}:
                rest = rest[: 1 + max(map(rest.index, named))]
                ordered = [*arguments, *(named.get(parameter, defaults[parameter]) for parameter in rest)]
                if len(ordered) >= least and not any(map(_is_missing, ordered)):
                    if in_order and tuple(named) != rest:
                        return in_order(*ordered)
                    arguments, named = ordered, {}
        if named and (bound := with_usual_keywords(signature, arguments, named, others)):
            arguments, named = bound, {}
        if named or not least <= len(arguments) <= most:
            if problem := misfit(name, signature, arguments, named, others, {}):
                one_by_one = takes_list and len(arguments) > 1 and not isinstance(arguments[0], (list, tuple))
                one_by_one = one_by_one and "unexpected keyword" not in problem
                raise TypeError(problem + f"; the expressions are one list, {name}([...])" * one_by_one)
        learned = learn and learn(arguments)
        result = record(*arguments)
        if learned:
            learned(result)
        return result

    by_place.__name__, by_place.__qualname__ = name, documented.__qualname__
    by_place.record = record  # type: ignore[attr-defined]
    return by_place
