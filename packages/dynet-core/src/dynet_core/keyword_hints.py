"""Other names of keyword arguments: those that functions accept, and those that only error messages know.

For `dy.AdamTrainer(m, lr=0.1)`, the error message names `learning_rate`.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from .hints import nearest
from .wording import counted

AnyFunction = TypeVar("AnyFunction", bound=Callable[..., Any])

RATE = "learning_rate alpha e0"
OTHER_NAMES: dict[str, str] = {
    # arguments of trainers
    **dict.fromkeys(("lr", "eta", "eta0", "alpha", "e0", "learning_rate"), RATE),
    "rate": f"{RATE} p",
    "epsilon": "eps",
    "momentum": "mom beta_1",
    "decay": "rho edecay",
    **dict.fromkeys(("params", "parameters", "collection", "m", "model", "pc"), "m model pc"),
    # arguments of builders
    **dict.fromkeys(("layers", "num_layers", "n_layers"), "layers num_layers"),
    **dict.fromkeys(("input_size", "in_dim", "in_features", "embedding_dim"), "input_dim rep_dim"),
    **dict.fromkeys(("hidden_size", "hidden", "out_dim", "out_features", "output_dim", "units"), "hidden_dim"),
    **dict.fromkeys(("rnn_builder", "builder", "factory", "cell"), "rnn_builder_factory"),
    **dict.fromkeys(("ln", "layer_norm"), "ln_lstm"),
    **dict.fromkeys(("classes", "n_classes", "vocab_size"), "num_classes"),
    # arguments of collections and initializers
    **dict.fromkeys(("shape", "dims", "dim", "size", "axis", "axes"), "dim d dims"),
    **dict.fromkeys(("initializer", "initial", "initial_value", "init_value", "values"), "init"),
    **dict.fromkeys(("std", "stddev", "sigma"), "std stddev"),
    "variance": "var",
    **dict.fromkeys(("value", "val"), "val c"),
    # arguments of operations
    **dict.fromkeys(("prob", "probability"), "p"),
    **dict.fromkeys(("i", "idx", "index"), "index v idx"),
    **dict.fromkeys(("idxs", "indices"), "indices vs v idxs"),
    **dict.fromkeys(("input", "e", "expr"), "x e"),
    **dict.fromkeys(("inputs", "es", "tensors", "expressions"), "xs exprs"),
    "batch": "batch_size",
}
"""Name of an argument elsewhere -> names that it may have here, separated by spaces. The first that a function has is
suggested."""


def unknown_keyword(
    function: str, given: Iterable[str], known: Iterable[str], uses: Mapping[str, str] | None = None
) -> str:
    """Return the error message for the first keyword argument that a function does not have; "" if it has all.

    Args:
        function: the name of the function that was called.
        given: the names of the keyword arguments of the call.
        known: the names of all arguments that the function has.
        uses: for names that are no argument under any name: what to use instead.
    """
    known = list(known)
    for name in given:
        if name not in known:
            found = next((other for other in OTHER_NAMES.get(name, "").split() if other in known), "")
            use = found or (uses or {}).get(name, "") or nearest(name, known)
            end = f"use {use}" if use else f"the arguments are {', '.join(known)}"
            return f"{function}(): got an unexpected keyword argument {name!r:.40}: {end}"
    return ""


def also_called(**others: str) -> Callable[[AnyFunction], AnyFunction]:
    """Return a decorator that states other names of an op's arguments: DyNet 2.1's, where the manual has its own.

    `also_called(s="v")` lets calls say `s=0` for the argument v. The names count only in calls that would be wrong
    without them, so one may also be the name of another argument.
    """

    def decorate(function: AnyFunction) -> AnyFunction:
        function.__dict__["other_keywords"] = others
        return function

    return decorate


def other_keywords(function: Callable) -> Mapping[str, str]:
    """Return the other names of a function's arguments that `also_called` has stated, with their usual names."""
    return getattr(function, "other_keywords", {})


def with_usual_keywords(
    signature: inspect.Signature, arguments: Sequence, named: Mapping[str, Any], others: Mapping[str, str]
) -> tuple | None:
    """Return all arguments of a call by position, with usual names for other ones; None if they do not fit even so."""
    usual = {others.get(name, name): value for name, value in named.items()}
    if usual.keys() == named.keys() or len(usual) < len(named):
        return None
    try:
        bound = signature.bind(*arguments, **usual)
    except TypeError:
        return None
    bound.apply_defaults()
    return bound.args


def method(**others: str) -> Callable[[AnyFunction], AnyFunction]:
    """Return a decorator of a method that many classes inherit. Errors about the arguments then name the user's class.

    Args:
        others: other names of the arguments, as for `also_called`.
    """

    def decorate(function: AnyFunction) -> AnyFunction:
        signature = inspect.signature(function)

        @functools.wraps(function)
        def checked(self: Any, *arguments: Any, **named: Any) -> Any:
            if named and (bound := with_usual_keywords(signature, (self, *arguments), named, others)):
                return function(*bound)
            try:
                return function(self, *arguments, **named)
            except TypeError:
                name = f"{type(self).__name__}.{function.__name__}"
                if problem := misfit(name, signature, (self, *arguments), named, others):
                    raise TypeError(problem) from None
                raise

        return checked  # type: ignore[return-value]

    return decorate


def misfit(
    name: str,
    signature: inspect.Signature,
    arguments: Sequence,
    named: Mapping[str, Any],
    others: Mapping[str, str] | None = None,
) -> str:
    """Return the error message for a call whose arguments do not fit the signature of a function; "" if they do.

    Args:
        name: the function, as the message names it.
        others: other names of the arguments, with their usual names.
    """
    others = others or {}
    try:
        signature.bind(*arguments, **named)
        return ""
    except TypeError as problem:
        text = str(problem)
    known = [parameter for parameter in signature.parameters if parameter != "self"]
    if unknown := unknown_keyword(name, [other for other in named if other not in others], known):
        return unknown
    if twice := next((other for other in named if others.get(other) in named), ""):
        return f"{name}(): {twice!r} is another name of {others[twice]!r}: give one of them"
    try:
        signature.bind(*arguments, **{others.get(other, other): value for other, value in named.items()})
    except TypeError as problem:
        text = str(problem)
    places = [one.name for one in signature.parameters.values() if one.kind is one.POSITIONAL_OR_KEYWORD]
    if len(arguments) > len(places) and "too many" in text:
        of_self = places[:1] == ["self"]
        takes = f"{counted(len(places) - of_self, 'argument')}, {', '.join(places[of_self:])}"
        text = f"takes {takes}, but {len(arguments) - of_self} were given"
    return f"{name}(): {text}"


def give_keyword_hints(cls: type, uses: Mapping[str, str] | None = None) -> None:
    """Let the TypeError for an unknown keyword argument of a class say what to use. Wraps the method `__init__`.

    Args:
        cls: the class. A base class must get its hints before the classes that inherit its `__init__`.
        uses: as for `unknown_keyword`.
    """
    init: Callable[..., None] = cls.__init__  # type: ignore[misc]
    if hasattr(init, "__wrapped__"):
        return
    signature = inspect.signature(init)
    known = list(signature.parameters)[1:]

    @functools.wraps(init)
    def checked(self: Any, *arguments: Any, **named: Any) -> None:
        if named and (problem := unknown_keyword(type(self).__name__, named, known, uses)):
            raise TypeError(problem)
        try:
            init(self, *arguments, **named)
        except TypeError:
            name = type(self).__name__ if type(self).__init__ is checked else f"{cls.__name__}.__init__"
            if problem := misfit(name, signature, (self, *arguments), named):
                raise TypeError(problem) from None
            raise

    cls.__init__ = checked  # type: ignore[misc]
