"""Other names of keyword arguments: those that functions accept, and those that only error messages know.

For `dy.AdamTrainer(m, lr=0.1)`, the error message names `learning_rate`.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from .hints import USES, nearest
from .wording import counted

AnyFunction = TypeVar("AnyFunction", bound=Callable[..., Any])


def also_called(**others: str) -> Callable[[AnyFunction], AnyFunction]:
    """Return a decorator that gives an op's arguments other names: `also_called(s="v")` lets calls say `s=0` for v.

    They count only in calls that would be wrong without them, so one may also be the name of another argument.
    """

    def decorate(function: AnyFunction) -> AnyFunction:
        function.__dict__["other_keywords"] = others
        return function

    return decorate


def with_usual_keywords(
    signature: inspect.Signature, arguments: Sequence, named: Mapping[str, Any], others: Mapping[str, str]
) -> tuple | None:
    """Return all arguments of a call by position, with usual names for other ones; None if they still do not fit."""
    usual = {others.get(name, name): value for name, value in named.items()}
    if usual.keys() == named.keys() or len(usual) < len(named):
        return None
    try:
        bound = signature.bind(*arguments, **usual)
    except TypeError:
        return None
    bound.apply_defaults()
    return bound.args


def explained(
    function: AnyFunction, called: Callable[..., str], others: Mapping[str, str], uses: Mapping[str, str], end: str = ""
) -> AnyFunction:
    """Return a method that calls `function`, and whose errors about arguments say what to use.

    `called` returns the name of the function in messages for an object; `others` and `uses` are as for `misfit`.
    """
    signature = inspect.signature(function)

    @functools.wraps(function)
    def checked(*arguments: Any, **named: Any) -> Any:
        if named and (bound := with_usual_keywords(signature, arguments, named, others)):
            return function(*bound)
        try:
            return function(*arguments, **named)
        except TypeError:
            if problem := misfit(called(*arguments[:1]), signature, arguments, named, others, uses):
                raise TypeError(problem + end) from None
            raise

    return checked  # type: ignore[return-value]


def method(**others: str) -> Callable[[AnyFunction], AnyFunction]:
    """Return a decorator of a method that many classes inherit. Errors about arguments then name the user's class."""
    return lambda function: explained(function, lambda self: f"{type(self).__name__}.{function.__name__}", others, {})


def written(use: str) -> Callable[[AnyFunction], AnyFunction]:
    """Return a decorator of a function that makes decorators. Wrong calls, as one without (), say to write `use`."""
    return lambda function: explained(function, lambda *_: function.__name__, {}, {}, f": write {use}")


def explain_arguments(*classes: type) -> None:
    """Let errors about the arguments of classes say what to use, as the sections of the classes and their bases do."""
    for cls in classes:
        init: Callable[..., None] = cls.__init__  # type: ignore[misc]
        if not hasattr(init, "__wrapped__"):
            uses = {name: use for kind in cls.__mro__[::-1] for name, use in USES.get(f"{kind.__name__}()", {}).items()}
            cls.__init__ = explained(init, functools.partial(_class_called, cls), {}, uses)  # type: ignore[misc]


def _class_called(cls: type, made: Any) -> str:
    """Return what messages call `cls.__init__`, which a user's class may have inherited."""
    inherits = type(made).__init__ is cls.__init__  # type: ignore[misc]
    return type(made).__name__ if inherits else f"{cls.__name__}.__init__"


def misfit(
    name: str,
    signature: inspect.Signature,
    arguments: Sequence,
    named: Mapping[str, Any],
    others: Mapping[str, str],
    uses: Mapping[str, str],
) -> str:
    """Return the error message for a call whose arguments do not fit the signature; "" if they do.

    `others` maps other names of arguments to usual ones; `uses` says what to use for names that are no arguments.
    """
    try:
        signature.bind(*arguments, **named)
        return ""
    except TypeError as problem:
        text = str(problem)
    known = [parameter for parameter in signature.parameters if parameter != "self"]
    if unknown := next((other for other in named if other not in others and other not in known), ""):
        usual = next((other for other in USES["arguments"].get(unknown, "").split() if other in known), "")
        use = uses.get(unknown, "") or usual or nearest(unknown, known)
        end = f"use {use}" if use else f"the arguments are {', '.join(known)}"
        return f"{name}(): got an unexpected keyword argument {unknown!r:.40}: {end}"
    if twice := next((other for other in named if others.get(other) in named), ""):
        return f"{name}(): {twice!r} is another name of {others[twice]!r}: give one of them"
    try:
        signature.bind(*arguments, **{others.get(other, other): value for other, value in named.items()})
    except TypeError as problem:
        text = str(problem)
    places = [one.name for one in signature.parameters.values() if one.kind is one.POSITIONAL_OR_KEYWORD]
    if len(arguments) > len(places) > 0 and "too many" in text:
        of_self = places[:1] == ["self"]
        takes = f"{counted(len(places) - of_self, 'argument')}, {', '.join(places[of_self:])}"
        text = f"takes {takes}, but {len(arguments) - of_self} were given"
    return f"{name}(): {text}"
