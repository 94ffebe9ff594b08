"""What members are called elsewhere: `trainer.step()` says what to use.

Hints are descriptors, which cost nothing where an attribute exists: with a `__getattr__`, every attribute of an object
takes 80 ns more. Of misspelt members Python says by itself what may be meant.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn


class Hint:
    """The place of an attribute that does not exist. Objects and subclasses may have one of that name."""

    def __init__(self, name: str, use: str):
        self.name, self.use = name, use
        self.__doc__ = f"No attribute: use {use}."

    def use_for(self, owner: type) -> str:
        """What to use."""
        return self.use

    def __get__(self, x: Any, owner: type) -> NoReturn:
        raise AttributeError(f"{owner.__name__} has no attribute {self.name!r}: use {self.use_for(owner)}")


class FirmHint(Hint):
    """One that cannot be assigned to either."""

    def __set__(self, x: Any, value: object) -> NoReturn:
        self.__get__(x, type(x))


class Hinted:
    """The base of classes with hints."""

    __slots__ = ()

    def __dir__(self) -> list[str]:
        """All attributes that there are."""
        own = getattr(self, "__dict__", ())
        there = [(name, inspect.getattr_static(type(self), name, None)) for name in object.__dir__(self)]
        return [name for name, found in there if name in own or not isinstance(found, Hint)]


def give_hints(to: type, uses: Mapping[str, str], kind: type[Hint] = Hint) -> None:
    """Have a class say what to use for attributes that it lacks."""
    for name, use in uses.items():
        setattr(to, name, kind(name, use))


def nearest(name: str, known: Iterable[str]) -> str:
    """The name that is spelled most like another, whatever its case and underscores; "" if none is meant for sure.

    Names of four letters or less are near to many, and so are those that differ in a number: `log2` is not `log`.
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
