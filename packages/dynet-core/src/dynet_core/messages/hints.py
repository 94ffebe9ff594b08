"""Hints for attributes that users know from other libraries: `trainer.step()` raises an error that says what to use.

Hints are descriptors, which do not slow down attributes that exist: `__getattr__` would add 80 ns to each access.
Misspelled names need no hints, because Python itself suggests the right ones.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NoReturn

from ..errors import ArgumentTypeError
from .hint_table import TABLE

OURS = {"dynet_core", "dynet_ops", "dynet_rnn", "dynet_optim"}  # packages whose classes are no subclasses of users


def _read(table: str) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    sections = []
    for line in table.splitlines():
        use, arrow, names = line.partition(" <- ")
        if not arrow:
            sections = [found.setdefault(place, {}) for place in line.strip("[]").split()]
        for section in sections:
            section.update({name: use.replace("{}", name) for name in names.split()})
    return found


USES = _read(TABLE)
"""Where a name is missing, as the sections of `TABLE` say -> the name -> what to use instead."""


class Hint:
    """A descriptor for an attribute that does not exist. Reading it raises an AttributeError that says what to use.

    Objects and subclasses may still define an attribute of this name, which then hides the hint.
    """

    def __init__(self, name: str, use: str):
        self.name, self.use = name, use
        self.__doc__ = f"No attribute: use {use}."

    def __get__(self, x: Any, owner: type) -> NoReturn:
        raise AttributeError(f"{owner.__name__} has no attribute {self.name!r}: use {self.use}")


class FirmHint(Hint):
    """A hint that also refuses assignments."""

    def __set__(self, x: Any, value: object) -> NoReturn:
        self.__get__(x, type(x))


class Missing:
    """A descriptor for an attribute that `__init__` sets. Reading it before raises an AttributeError that says so."""

    def __get__(self, x: Any, owner: type) -> NoReturn:
        raise AttributeError(f"{owner.__name__}.__init__ has not called super().__init__(...), which must come first")


def give_hints(to: type[Hinted], uses: Mapping[str, str]) -> None:
    """Add hints to a class. `uses` has the name of each missing attribute, and what to use instead."""
    for name, use in uses.items():
        setattr(to, name, _special(to, name, use) if name.startswith("__") else to._hint(name, use))


def _special(to: type, method: str, use: str) -> Callable[..., Any]:
    """Return what stands for a method such as `__call__` that a class lacks. A further base class may have it."""

    def refuse(self: Any, *arguments: Any, **named: Any) -> Any:
        if further := getattr(super(to, self), method, None):  # type: ignore[misc]
            return further(*arguments, **named)
        is_no = "function" if method == "__call__" else "list"
        raise ArgumentTypeError(f"a {type(self).__name__} is not a {is_no}: use {use}")

    return refuse


def _is_ours(cls: type) -> bool:
    return str(getattr(cls, "__module__", "")).partition(".")[0] in OURS


class Hinted:
    """The base of classes that have hints, in the section of their name. `dir` and editors do not show the hints."""

    __slots__ = ()
    _hint = Hint

    def __init_subclass__(cls, **named: Any) -> None:
        super().__init_subclass__(**named)
        if _is_ours(cls):
            give_hints(cls, USES.get(cls.__name__, {}))

    def __dir__(self) -> list[str]:
        own = getattr(self, "__dict__", ())
        there = [(name, inspect.getattr_static(type(self), name, None)) for name in object.__dir__(self)]
        return [name for name, found in there if name in own or not isinstance(found, Hint)]


class Closed(Hinted):
    """The base of classes whose objects take no new attributes, as in DyNet, so that a misspelled one is an error.

    Users' subclasses take any, and nothing is put into them. Setting an attribute takes 200 ns, so what each step of a
    program changes is kept in another object.
    """

    __slots__ = ()

    def __setattr__(self, name: str, value: object) -> None:
        if not name.startswith("_") and _is_ours(type(self)):
            self._check(name, value)
        super().__setattr__(name, value)

    def _check(self, name: str, value: object) -> None:
        """Raise AttributeError if the class has no such attribute, or if it is a method and `value` not a function."""
        owner = type(self)
        found = getattr(owner, name, None)
        if found is None:
            hint = inspect.getattr_static(owner, name, None)
            if isinstance(hint, Hint):
                hint.__get__(self, owner)
            near = nearest(name, [each for each in dir(self) if not each.startswith("_")])
            use = f"use {near}" if near else "only objects of your own subclasses accept new ones"
            raise AttributeError(f"{owner.__name__} has no attribute {name!r:.40}: {use}")
        if callable(found) and not callable(value):
            raise AttributeError(f"{owner.__name__}.{name} is a method: call it, {name}(...)")


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the known name spelled most like `name`, ignoring case and underscores; "" if none is close.

    A `name` of at most four letters is close only to names with the same letters in a different order, because too many
    short names differ by one letter. Names whose digits differ are not close: `log2` is not suggested for `log`.
    """
    spelled = {_letters(each): each for each in sorted(known)}
    letters = _letters(name)
    if letters in spelled:
        return spelled[letters]
    if swapped := [each for each in spelled if sorted(each) == sorted(letters)]:
        return spelled[swapped[0]]
    alike = [each for each in spelled if _digits(each) == _digits(letters)]
    found = difflib.get_close_matches(letters, alike, 1, 0.8) if len(letters) > 4 else []
    return spelled[found[0]] if found else ""


def _letters(name: str) -> str:
    return name.lower().replace("_", "")


def _digits(name: str) -> str:
    return "".join(filter(str.isdigit, name))
