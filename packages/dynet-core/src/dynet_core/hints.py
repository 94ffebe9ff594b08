"""Hints for attributes that other libraries have: `trainer.step()` raises an error that says what to use.

Hints are descriptors, which do not slow down existing attributes. A `__getattr__` would add 80 ns to each access.
Python itself makes suggestions for misspelt attributes.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn


class Hint:
    """An attribute that raises an AttributeError with a hint. Objects and subclasses may define the attribute."""

    def __init__(self, name: str, use: str):
        self.name, self.use = name, use
        self.__doc__ = f"No attribute: use {use}."

    def use_for(self, owner: type) -> str:
        """Return what to use instead, for an object of the class `owner`."""
        return self.use

    def __get__(self, x: Any, owner: type) -> NoReturn:
        raise AttributeError(f"{owner.__name__} has no attribute {self.name!r}: use {self.use_for(owner)}")


class FirmHint(Hint):
    """A hint for an attribute that cannot be assigned either."""

    def __set__(self, x: Any, value: object) -> NoReturn:
        self.__get__(x, type(x))


class Hinted:
    """The base of classes with hints."""

    __slots__ = ()

    def __dir__(self) -> list[str]:
        """Return the names of all attributes except the hints."""
        own = getattr(self, "__dict__", ())
        there = [(name, inspect.getattr_static(type(self), name, None)) for name in object.__dir__(self)]
        return [name for name, found in there if name in own or not isinstance(found, Hint)]


def give_hints(to: type, uses: Mapping[str, str], kind: type[Hint] = Hint) -> None:
    """Add hints to a class. `uses` maps the name of each missing attribute to what to use instead."""
    for name, use in uses.items():
        setattr(to, name, kind(name, use))


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the known name that is spelled most like `name`, ignoring case and underscores; "" if none is close.

    Names of at most four letters must have the same letters, because too many others are close. Names with other
    digits are not close: `log2` is not `log`.
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
