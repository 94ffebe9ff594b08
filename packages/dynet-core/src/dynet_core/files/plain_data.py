"""Python's plain data: what pickles make by naming its class, made without a call of what a pickle names.

`MAKERS` has a function of ours for each class, which also makes objects of the classes that are derived from it.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable
from typing import Any

from .limits import Limits, is_a

Maker = Callable[[type, tuple, Limits], Any]


def checked(given: Any, *kinds: tuple[type, ...], least: int = 0) -> tuple:
    """The arguments of a call in a pickle, if they are as many as expected, of exactly these types.

    Raises:
        ValueError: otherwise.
    """
    if type(given) is tuple and least <= len(given) <= len(kinds):
        if all(type(argument) in types for argument, types in zip(given, kinds)):
            return given
    found = ", ".join(type(argument).__name__ for argument in given) if type(given) is tuple else type(given).__name__
    raise ValueError(f"arguments ({found}) that do not belong to plain data")


def set_items(target: Any, pairs: Iterable[tuple], limits: Limits) -> None:
    """Put pairs of keys and values into a dict."""
    put = OrderedDict.__setitem__ if is_a(target, OrderedDict) else dict.__setitem__
    for key, value in pairs:
        put(target, limits.key(key, target), value)


def add_items(target: set, items: Iterable, limits: Limits) -> None:
    """Put items into a set."""
    for item in items:
        set.add(target, limits.key(item, target))


def _object(cls: type, given: tuple, limits: Limits) -> Any:
    checked(given)
    return object.__new__(cls)


def _mapping(base: type) -> Maker:
    def make(cls: type, given: tuple, limits: Limits) -> Any:
        made = base.__new__(cls)  # type: ignore[reportCallIssue]
        for content in checked(given, (dict, list)):
            limits.copy(len(content))
            set_items(made, content.items() if type(content) is dict else content, limits)
        return made

    return make


def _default_dict(cls: type, given: tuple, limits: Limits) -> Any:
    """`given` is the factory, which the caller has checked, or nothing."""
    made = defaultdict.__new__(cls)
    for factory in given:
        vars(defaultdict)["default_factory"].__set__(made, factory)
    return made


def _list(cls: type, given: tuple, limits: Limits) -> Any:
    made = list.__new__(cls)
    for content in checked(given, (list,)):
        limits.copy(len(content))
        list.extend(made, content)
    return made


def _deque(cls: type, given: tuple, limits: Limits) -> Any:
    content, longest = checked(given, (list, tuple), (int, type(None))) + ((), None)[len(given) :]
    made = deque.__new__(cls)
    limits.copy(len(content))
    deque.__init__(made, content, longest)
    return made


def _set(cls: type, given: tuple, limits: Limits) -> Any:
    made = set.__new__(cls)
    for content in checked(given, (list, tuple)):
        limits.copy(len(content))
        add_items(made, content, limits)
    return made


def _frozenset(cls: type, given: tuple, limits: Limits) -> Any:
    (content,) = checked(given, (list, tuple)) or ((),)
    limits.copy(len(content))
    return frozenset.__new__(cls, [limits.key(item, content) for item in content])


def _tuple(cls: type, given: tuple, limits: Limits) -> Any:
    (content,) = checked(given, (tuple,), least=1)
    limits.copy(len(content))
    return tuple.__new__(cls, content)


def _same(base: type) -> Maker:
    """Made from one object of the class `base`."""

    def make(cls: type, given: tuple, limits: Limits) -> Any:
        checked(given, (base,), least=1)
        if base in (str, bytes):
            limits.copy(len(given[0]))
        return base.__new__(cls, *given)

    return make


def _complex(cls: type, given: tuple, limits: Limits) -> Any:
    return complex.__new__(cls, *checked(given, (float, int), (float, int), least=2))


def _bytes(cls: type, given: tuple, limits: Limits) -> Any:
    (content,) = checked(given, (bytes,)) or (b"",)
    limits.copy(len(content))
    return bytes.__new__(cls, content)


def _byte_array(cls: type, given: tuple, limits: Limits) -> Any:
    """From bytes, or from a string with a character for each byte."""
    if len(given) == 2:
        given = (encoded(given, limits),)
    made = bytearray.__new__(cls)
    (content,) = checked(given, (bytes,)) or (b"",)
    limits.copy(len(content))
    bytearray.extend(made, content)
    return made


def encoded(given: tuple, limits: Limits) -> bytes:
    """Bytes, which old pickles have as a string with a character for each."""
    text, encoding = checked(given, (str,), (str,), least=2)
    if encoding not in ("latin1", "latin-1"):
        raise ValueError(f"bytes as {encoding!r:.40}")
    limits.copy(len(text))
    return text.encode("latin-1")


def _of_whole_numbers(base: type) -> Maker:
    """Ranges and slices."""
    whole = (int, type(None))
    return lambda cls, given, limits: base(*checked(given, whole, whole, whole, least=3))


MAKERS: dict[type, Maker] = {
    object: _object,
    dict: _mapping(dict), OrderedDict: _mapping(OrderedDict), Counter: _mapping(Counter), defaultdict: _default_dict,
    list: _list, deque: _deque, tuple: _tuple, set: _set, frozenset: _frozenset,
    str: _same(str), int: _same(int), float: _same(float), complex: _complex,
    bytes: _bytes, bytearray: _byte_array, range: _of_whole_numbers(range), slice: _of_whole_numbers(slice),
}  # fmt: skip
