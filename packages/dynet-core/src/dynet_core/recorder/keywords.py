"""Wrap functions of positional arguments, for both recorders, so that they also accept keyword arguments."""

from __future__ import annotations

import functools
import inspect
import operator
from collections.abc import Callable, Sequence
from typing import Any

from ..messages.hints import misfit_message, with_usual_keywords

_is_missing = functools.partial(operator.is_, inspect.Parameter.empty)


def refuse_to_make() -> None:
    raise TypeError("expressions are made by operations, such as dy.inputVector, not by their class")


Observer = Callable[[Sequence], Callable[[Any], None] | None]
"""A function that is called before an op, with the sequence of the op's arguments. If it returns a second
function, that one is called with the op's result."""


def with_keywords(
    documented: Callable, positional: Callable, compiled: Callable | None = None, observer: Observer | None = None
) -> Callable:
    """Return a function with the parameters of `documented` that calls `positional` with positional arguments.

    The returned function does all its work in one Python frame, to keep the user's tracebacks short. If the recording
    function `compiled` is given, the returned function becomes its slow function. Compiled code handles keyword
    arguments only in the order of the parameters. For any other order, the returned function calls `compiled` with all
    arguments by position, so that compiled code may still record the call.
    """
    signature, name = inspect.signature(documented), documented.__name__
    defaults = {parameter.name: parameter.default for parameter in signature.parameters.values()}
    most_count, least_count = len(defaults), list(defaults.values()).count(inspect.Parameter.empty)

    names, other_names = tuple(defaults), getattr(documented, "other_keywords", {})
    annotations = [parameter.annotation for parameter in signature.parameters.values()]
    takes_list = annotations[:1] in (["Iterable[Expression]"], ["Sequence[Expression]"])

    def call_by_position(*arguments, **named) -> Any:
        if named:
            following = names[len(arguments) :]
            if named.keys() <= {*following}:
                following = following[: 1 + max(map(following.index, named))]
                ordered = [*arguments, *(named.get(parameter, defaults[parameter]) for parameter in following)]
                if len(ordered) >= least_count and not any(map(_is_missing, ordered)):
                    if compiled and tuple(named) != following:
                        return compiled(*ordered)
                    arguments, named = ordered, {}
        if named and (bound := with_usual_keywords(signature, arguments, named, other_names)):
            arguments, named = bound, {}
        if named or not least_count <= len(arguments) <= most_count:
            if problem := misfit_message(name, signature, arguments, named, other_names, {}):
                is_one_by_one = takes_list and len(arguments) > 1 and not isinstance(arguments[0], (list, tuple))
                is_one_by_one = is_one_by_one and "unexpected keyword" not in problem
                raise TypeError(problem + f"; the expressions are one list, {name}([...])" * is_one_by_one)
        note_result = observer and observer(arguments)
        result = positional(*arguments)
        if note_result:
            note_result(result)
        return result

    call_by_position.__name__, call_by_position.__qualname__ = name, documented.__qualname__
    call_by_position.positional = positional  # type: ignore[attr-defined]
    return call_by_position
