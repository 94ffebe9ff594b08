"""Make objects of Python's built-in classes from a pickle, without calling what the pickle names.

`MAKERS` maps each built-in class to its maker. This function takes the class of the new object (the built-in class or
one derived from it), the tuple of arguments that the pickle passes, and a `Limits`, which counts the cost.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable
from typing import Any

from .limits import Limits, is_a

Maker = Callable[[type, tuple, Limits], Any]


def checked(arguments: Any, *kinds: tuple[type, ...], least: int = 0) -> tuple:
    """Return the arguments that a pickle passes in a call, or raise ValueError.

    There must be at least `least` of them. `kinds` has the types that each may have; derived classes are refused.
    """
    if type(arguments) is tuple and least <= len(arguments) <= len(kinds):
        if all(type(argument) in types for argument, types in zip(arguments, kinds)):
            return arguments
    given = arguments if type(arguments) is tuple else (arguments,)
    found = ", ".join(type(argument).__name__ for argument in given)
    raise ValueError(f"arguments ({found}) that do not belong to plain data")


def set_items(target: Any, pairs: Iterable[tuple], limits: Limits) -> None:
    """Put pairs into a dict, by the built-in methods even if its class overrides them."""
    put = OrderedDict.__setitem__ if is_a(target, OrderedDict) else dict.__setitem__
    for key, value in pairs:
        put(target, limits.key(key, target), value)


def add_items(target: set, items: Iterable, limits: Limits) -> None:
    """Put items into a set, by the built-in methods even if its class overrides them."""
    for item in items:
        set.add(target, limits.key(item, target))


def _object(cls: type, arguments: tuple, limits: Limits) -> Any:
    checked(arguments)
    return object.__new__(cls)


def _mapping(base: type) -> Maker:
    def make(cls: type, arguments: tuple, limits: Limits) -> Any:
        made = base.__new__(cls)  # type: ignore[reportCallIssue]
        for content in checked(arguments, (dict, list)):
            limits.copy(len(content))
            if type(content) is list and not all(type(pair) in (list, tuple) for pair in content):
                raise ValueError(f"a {base.__name__} of something other than pairs")
            set_items(made, content.items() if type(content) is dict else content, limits)
        return made

    return make


def _default_dict(cls: type, arguments: tuple, limits: Limits) -> Any:
    """Make a defaultdict. The caller has checked the default factory in `arguments`."""
    made = defaultdict.__new__(cls)
    for factory in arguments:
        vars(defaultdict)["default_factory"].__set__(made, factory)
    return made


def _list(cls: type, arguments: tuple, limits: Limits) -> Any:
    made = list.__new__(cls)
    for content in checked(arguments, (list,)):
        limits.copy(len(content))
        list.extend(made, content)
    return made


def _deque(cls: type, arguments: tuple, limits: Limits) -> Any:
    content, longest = checked(arguments, (list, tuple), (int, type(None))) + ((), None)[len(arguments) :]
    made = deque.__new__(cls)
    limits.copy(len(content))
    deque.__init__(made, content, longest)
    return made


def _set(cls: type, arguments: tuple, limits: Limits) -> Any:
    made = set.__new__(cls)
    for content in checked(arguments, (list, tuple)):
        limits.copy(len(content))
        add_items(made, content, limits)
    return made


def _frozenset(cls: type, arguments: tuple, limits: Limits) -> Any:
    (content,) = checked(arguments, (list, tuple)) or ((),)
    limits.copy(len(content))
    return frozenset.__new__(cls, [limits.key(item, content) for item in content])


def _tuple(cls: type, arguments: tuple, limits: Limits) -> Any:
    (content,) = checked(arguments, (tuple,), least=1)
    limits.copy(len(content))
    return tuple.__new__(cls, content)


def _same(base: type) -> Maker:
    """Return a maker for `base` (str, int or float) from one object of it."""

    def make(cls: type, arguments: tuple, limits: Limits) -> Any:
        checked(arguments, (base,), least=1)
        if base in (str, bytes):
            limits.copy(len(arguments[0]))
        return base.__new__(cls, *arguments)

    return make


def _complex(cls: type, arguments: tuple, limits: Limits) -> Any:
    return complex.__new__(cls, *checked(arguments, (float, int), (float, int), least=2))


def _bytes(cls: type, arguments: tuple, limits: Limits) -> Any:
    (content,) = checked(arguments, (bytes,)) or (b"",)
    limits.copy(len(content))
    return bytes.__new__(cls, content)


def _byte_array(cls: type, arguments: tuple, limits: Limits) -> Any:
    """Make a bytearray of nothing, of bytes, or of a string and an encoding as for `encoded`."""
    if len(arguments) == 2:
        arguments = (encoded(arguments, limits),)
    made = bytearray.__new__(cls)
    (content,) = checked(arguments, (bytes,)) or (b"",)
    limits.copy(len(content))
    bytearray.extend(made, content)
    return made


def encoded(arguments: tuple, limits: Limits) -> bytes:
    """Return the bytes that pickles of protocols 0, 1 and 2 store as a string, one character each, and "latin1"."""
    text, encoding = checked(arguments, (str,), (str,), least=2)
    if encoding not in ("latin1", "latin-1"):
        raise ValueError(f"bytes as {encoding!r:.40}")
    limits.copy(len(text))
    return text.encode("latin-1")


def _of_whole_numbers(base: type) -> Maker:
    """Return a maker for range or slice, from three ints or None."""
    whole = (int, type(None))
    return lambda cls, arguments, limits: base(*checked(arguments, whole, whole, whole, least=3))


MAKERS: dict[type, Maker] = {
    object: _object,
    dict: _mapping(dict), OrderedDict: _mapping(OrderedDict), Counter: _mapping(Counter), defaultdict: _default_dict,
    list: _list, deque: _deque, tuple: _tuple, set: _set, frozenset: _frozenset,
    str: _same(str), int: _same(int), float: _same(float), complex: _complex,
    bytes: _bytes, bytearray: _byte_array, range: _of_whole_numbers(range), slice: _of_whole_numbers(slice),
}  # fmt: skip
