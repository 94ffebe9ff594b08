"""Hints for attributes that users know from other libraries: `trainer.step()` raises an error that says what to use.

Hints are descriptors, which do not slow down attributes that exist: `__getattr__` would add 80 ns to each access.
Misspelled names need no hints, because Python suggests the right name.
"""

from __future__ import annotations

import difflib
import functools
import inspect
from collections import ChainMap
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NoReturn, TypeVar

from ..errors import ArgumentTypeError
from .hint_table import HINT_TABLE
from .wording import counted

OUR_PACKAGES = {"dynet_core", "dynet_ops", "dynet_rnn", "dynet_optim"}  # classes of all other packages are the user's


def _parse_hints(table: str) -> dict[str, dict[str, str]]:
    uses: dict[str, dict[str, str]] = {}
    sections = []
    for line in table.splitlines():
        use, separator, names = line.partition(" <- ")
        if not separator:
            sections = [uses.setdefault(title, {}) for title in line.strip("[]").split()]
        for section in sections:
            section.update({name: use.replace("{}", name) for name in names.split()})
    return uses


HINTS = _parse_hints(HINT_TABLE)
"""Section of `HINT_TABLE`, such as a class -> name that is missing there -> what to use instead."""


class Hint:
    """A descriptor for an attribute that does not exist. Reading it raises an AttributeError that says what to use.

    Objects and subclasses may still define an attribute of this name, which then hides the hint.
    """

    def __init__(self, name: str, use: str):
        self.name, self.use = name, use
        self.__doc__ = f"No attribute: use {use}."

    def __get__(self, x: Any, owner: type) -> NoReturn:
        raise AttributeError(f"{owner.__name__} has no attribute {self.name!r}: use {self.use}")


class UnassignableHint(Hint):
    """A hint that also refuses assignments."""

    def __set__(self, x: Any, value: object) -> NoReturn:
        self.__get__(x, type(x))


class UnsetAttribute:
    """A descriptor for an attribute that `__init__` sets. Reading it earlier raises an AttributeError that says so."""

    def __get__(self, x: Any, owner: type) -> NoReturn:
        raise AttributeError(f"{owner.__name__}.__init__ has not called super().__init__(...), which must come first")


def give_hints(cls: type[Hinted], uses: Mapping[str, str]) -> None:
    """Add hints to a class. `uses` maps each missing attribute's name to what to use instead."""
    for name, use in uses.items():
        setattr(cls, name, _special_method(cls, name, use) if name.startswith("__") else cls._hint_class(name, use))


def _special_method(cls: type, method: str, use: str) -> Callable[..., Any]:
    """Return a method, such as `__call__`, that calls the base class's method, or raises an error if there is none."""

    def call_or_refuse(self: Any, *arguments: Any, **keywords: Any) -> Any:
        if inherited := getattr(super(cls, self), method, None):  # type: ignore[misc]
            return inherited(*arguments, **keywords)
        kind = "function" if method == "__call__" else "list"
        raise ArgumentTypeError(f"a {type(self).__name__} is not a {kind}: use {use}")

    return call_or_refuse


def _is_ours(cls: type) -> bool:
    return str(getattr(cls, "__module__", "")).partition(".")[0] in OUR_PACKAGES


class Hinted:
    """The base class of classes with hints, from their section of `HINT_TABLE`. `dir` does not show hints."""

    __slots__ = ()
    _hint_class = Hint

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        if _is_ours(cls):
            give_hints(cls, HINTS.get(cls.__name__, {}))

    def __dir__(self) -> list[str]:
        own = getattr(self, "__dict__", ())
        attributes = [(name, inspect.getattr_static(type(self), name, None)) for name in object.__dir__(self)]
        return [name for name, value in attributes if name in own or not isinstance(value, Hint)]


class Closed(Hinted):
    """The base class of classes whose objects accept no new attributes, as in DyNet, so that misspelling is an error.

    Users' subclasses accept any attribute. The check takes 200 ns, so data that changes in each step is kept elsewhere.
    """

    __slots__ = ()

    def __setattr__(self, name: str, value: object) -> None:
        if not name.startswith("_") and _is_ours(type(self)):
            self._check_assignment(name, value)
        super().__setattr__(name, value)

    def _check_assignment(self, name: str, value: object) -> None:
        """Raise AttributeError if the class lacks the attribute, or if an uncallable value would replace a method."""
        owner = type(self)
        attribute = getattr(owner, name, None)
        if attribute is None:
            hint = inspect.getattr_static(owner, name, None)
            if isinstance(hint, Hint):
                hint.__get__(self, owner)
            suggestion = nearest_name(name, [existing for existing in dir(self) if not existing.startswith("_")])
            use = f"use {suggestion}" if suggestion else "only objects of your own subclasses accept new ones"
            raise AttributeError(f"{owner.__name__} has no attribute {name!r:.40}: {use}")
        if callable(attribute) and not callable(value):
            raise AttributeError(f"{owner.__name__}.{name} is a method: call it, {name}(...)")


def nearest_name(name: str, names: Iterable[str]) -> str:
    """Return the known name spelled most like `name`, ignoring case and underscores; "" if none is close.

    A `name` of at most four letters is close only to names with the same letters in a different order, because too many
    short names differ by one letter. Names whose digits differ are not close: `log2` is not suggested for `log`.
    """
    spelled = {_letters(candidate): candidate for candidate in sorted(names)}
    letters = _letters(name)
    if letters in spelled:
        return spelled[letters]
    if swapped := [candidate for candidate in spelled if sorted(candidate) == sorted(letters)]:
        return spelled[swapped[0]]
    same_digits = [candidate for candidate in spelled if _digits(candidate) == _digits(letters)]
    close_names = difflib.get_close_matches(letters, same_digits, 1, 0.8) if len(letters) > 4 else []
    return spelled[close_names[0]] if close_names else ""


def _letters(name: str) -> str:
    return name.lower().replace("_", "")


def _digits(name: str) -> str:
    return "".join(filter(str.isdigit, name))


AnyFunction = TypeVar("AnyFunction", bound=Callable[..., Any])


def also_called(**other_names: str) -> Callable[[AnyFunction], AnyFunction]:
    """Return a decorator that gives an op's arguments other names: with `also_called(s="v")`, `s=0` can mean `v=0`.

    Such names are used only in calls that would be wrong without them, so other arguments may have these names.
    """

    def decorate(function: AnyFunction) -> AnyFunction:
        function.__dict__["other_keywords"] = other_names
        return function

    return decorate


def with_usual_keywords(
    signature: inspect.Signature, arguments: Sequence, keywords: Mapping[str, Any], other_names: Mapping[str, str]
) -> tuple | None:
    """Return a call's arguments by position, if renaming keywords (`other_names`, other -> usual) makes them fit."""
    renamed = {other_names.get(name, name): value for name, value in keywords.items()}
    if renamed.keys() == keywords.keys() or len(renamed) < len(keywords):
        return None
    try:
        bound = signature.bind(*arguments, **renamed)
    except TypeError:
        return None
    bound.apply_defaults()
    return bound.args


def with_hints(
    function: AnyFunction,
    name_of: Callable[..., str],
    other_names: Mapping[str, str],
    uses: Mapping[str, str],
    end: str = "",
    check: Callable[..., None] | None = None,
) -> AnyFunction:
    """Wrap `function` so that errors about its arguments say what to use.

    name_of(object) returns the function's name in messages, which end with `end`. `other_names` and `uses` are as for
    `misfit_message`. `check` is called first, with the arguments that are passed by position.
    """
    signature = inspect.signature(function)

    @functools.wraps(function)
    def call_checked(*arguments: Any, **keywords: Any) -> Any:
        if check:
            check(*arguments)
        if keywords and (bound := with_usual_keywords(signature, arguments, keywords, other_names)):
            return function(*bound)
        try:
            return function(*arguments, **keywords)
        except TypeError:
            if problem := misfit_message(name_of(*arguments[:1]), signature, arguments, keywords, other_names, uses):
                raise TypeError(problem + end) from None
            raise

    return call_checked  # type: ignore[return-value]


def method_with_hints(**other_names: str) -> Callable[[AnyFunction], AnyFunction]:
    """Return a decorator for inherited methods: errors name the object's class. `other_names`: as for `also_called`."""
    return lambda function: with_hints(
        function, lambda self: f"{type(self).__name__}.{function.__name__}", other_names, {}
    )


def written_as(use: str) -> Callable[[AnyFunction], AnyFunction]:
    """Return a decorator for functions that make decorators: errors about wrong calls of them say to write `use`."""
    return lambda function: with_hints(function, lambda *_: function.__name__, {}, {}, f": write {use}")


def add_argument_hints(*classes: type) -> None:
    """Let errors about classes' arguments say what to use, from the `HINTS` for the classes and their bases."""
    for cls in classes:
        init: Callable[..., None] = cls.__init__  # type: ignore[misc]
        if not hasattr(init, "__wrapped__"):
            uses = ChainMap(*[HINTS.get(f"{kind.__name__}()", {}) for kind in cls.__mro__])
            cls.__init__ = with_hints(init, functools.partial(_init_name, cls), {}, uses)  # type: ignore[misc]


def _init_name(cls: type, instance: Any) -> str:
    """Return what messages call `cls.__init__`: the instance's class, unless that class has its own `__init__`."""
    inherits = type(instance).__init__ is cls.__init__  # type: ignore[misc]
    return type(instance).__name__ if inherits else f"{cls.__name__}.__init__"


def misfit_message(
    name: str,
    signature: inspect.Signature,
    arguments: Sequence,
    keywords: Mapping[str, Any],
    other_names: Mapping[str, str],
    uses: Mapping[str, str],
) -> str:
    """Return the error message for a call whose arguments do not fit the signature; "" if they do.

    `other_names` maps other names of arguments to the usual names, `uses` maps unknown names to what to use instead.
    """
    try:
        signature.bind(*arguments, **keywords)
        return ""
    except TypeError as problem:
        text = str(problem)
    known_names = [parameter for parameter in signature.parameters if parameter != "self"]
    if unknown_name := next((key for key in keywords if key not in other_names and key not in known_names), ""):
        usual = next((known for known in HINTS["arguments"].get(unknown_name, "").split() if known in known_names), "")
        use = uses.get(unknown_name, "") or usual or nearest_name(unknown_name, known_names)
        end = f"use {use}" if use else f"the arguments are {', '.join(known_names)}"
        return f"{name}(): got an unexpected keyword argument {unknown_name!r:.40}: {end}"
    if repeated := next((key for key in keywords if other_names.get(key) in keywords), ""):
        return f"{name}(): {repeated!r} is another name of {other_names[repeated]!r}: give one of them"
    try:
        signature.bind(*arguments, **{other_names.get(key, key): value for key, value in keywords.items()})
    except TypeError as problem:
        text = str(problem)
    positional = [
        argument.name for argument in signature.parameters.values() if argument.kind is argument.POSITIONAL_OR_KEYWORD
    ]
    if len(arguments) > len(positional) > 0 and "too many" in text:
        has_self = positional[:1] == ["self"]
        takes = f"{counted(len(positional) - has_self, 'argument')}, {', '.join(positional[has_self:])}"
        text = f"takes {takes}, but {len(arguments) - has_self} were given"
    return f"{name}(): {text}"
