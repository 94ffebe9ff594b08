"""Objects of classes that the user allows, made of what a file says of them and by nothing of the class's own."""

from __future__ import annotations

import enum
import types
from typing import Any

from .limits import Limits, is_a
from .plain_data import MAKERS

OF_THEIR_OWN = (
    "__reduce__", "__reduce_ex__", "__setstate__", "__getnewargs__", "__getnewargs_ex__", "__new__", "__del__",
)  # fmt: skip
"""Methods that decide how a class is pickled and made: they would have to be run."""


def static(cls: type, name: str) -> tuple[type | None, Any]:
    """The class that an attribute of a class stands in, and the attribute as it stands there."""
    for base in _bases(cls):
        if name in type.__getattribute__(base, "__dict__"):
            return base, type.__getattribute__(base, "__dict__")[name]
    return None, None


def reason_against(cls: type) -> str:
    """Why no object of a class can be made without code of its own; empty if it can."""
    if issubclass(cls, enum.Enum):
        return ""
    for name in OF_THEIR_OWN:
        owner, _ = static(cls, name)
        if owner is not None and owner not in MAKERS and not _is_generated(owner):
            return f"has {name} of " + ("its own" if owner is cls else owner.__name__)
    return ""


def made(cls: type, given: Any, limits: Limits) -> Any:
    """A new object of a class, or the member of an enumeration that has a value.

    Args:
        cls: a class that nothing is said against.
        given: what the pickle would call the class with.
    """
    if issubclass(cls, enum.Enum):
        return _member(cls, given)
    if is_named_tuple(cls):
        return _named_tuple(cls, given, limits)
    return MAKERS[base_of(cls)](cls, given, limits)


def base_of(cls: type) -> type:
    """The class of Python's that a class is derived from."""
    return next(base for base in _bases(cls) if base in MAKERS)


def set_state(target: Any, state: Any, limits: Limits) -> None:
    """Set the attributes of an object, in its dict and its slots.

    Args:
        state: a dict; or a pair of a dict or None, and a dict with what is in slots.
    """
    attributes, slots = state if type(state) is tuple and len(state) == 2 else (state, None)
    for content in (attributes, slots):
        if content is not None and (type(content) is not dict or not all(type(name) is str for name in content)):
            raise ValueError(f"the state of a {type(target).__name__} is no dict of attributes")
    limits.state(target, state)
    if attributes:
        _, descriptor = static(type(target), "__dict__")
        if not is_a(descriptor, types.GetSetDescriptorType):
            raise ValueError(f"a {type(target).__name__} has no dict of attributes")
        limits.copy(len(attributes))
        object.__getattribute__(target, "__dict__").update(attributes)
    for name, value in (slots or {}).items():
        owner, descriptor = static(type(target), name)
        if owner in MAKERS or not is_a(descriptor, types.MemberDescriptorType):
            raise ValueError(f"a {type(target).__name__} has no slot {name!r:.40}")
        descriptor.__set__(target, value)


def is_member(made: Any) -> bool:
    """Whether something is a member of an enumeration, which was there before."""
    return is_a(made, enum.Enum)


def is_named_tuple(cls: type) -> bool:
    """Whether a class is one that namedtuple or NamedTuple made, or is derived from one."""
    return any(_is_generated(base) for base in _bases(cls))


def _is_generated(cls: type) -> bool:
    return cls.__bases__[:1] == (tuple,) and {"_fields", "_field_defaults", "_make"} <= vars(cls).keys()


def _bases(cls: type) -> tuple[type, ...]:
    return type.__getattribute__(cls, "__mro__")


def _named_tuple(cls: type, given: Any, limits: Limits) -> Any:
    _, fields = static(cls, "_fields")
    if type(given) is not tuple or len(given) != len(fields):
        raise ValueError(f"{len(given)} values for the {len(fields)} fields of {cls.__name__}")
    limits.copy(len(given))
    return tuple.__new__(cls, given)


def _member(cls: type[enum.Enum], given: Any) -> enum.Enum:
    (value,) = given
    for member in type.__getattribute__(cls, "_member_map_").values():
        if type(member._value_) is type(value) and member._value_ == value:
            return member
    raise ValueError(f"{cls.__name__} has no member of this value")
