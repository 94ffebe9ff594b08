"""Make objects of users' classes from a pickle, without running code of these classes.

The caller, `names`, first checks that the user has allowed the class.
"""

from __future__ import annotations

import dataclasses
import enum
import types
from typing import Any

from .limits import Limits, is_a, kinds
from .modules import named
from .plain_data import MAKERS

_BUILT_IN = {id(base) for base in (*MAKERS, None)}  # ids, because metaclasses may define how classes are compared
# What sets the fields of a dataclass with `frozen=True, slots=True`, of which the state is a list
_SET_FIELDS = vars(dataclasses.make_dataclass("_", ["a"], frozen=True, slots=True))["__setstate__"]
OF_THEIR_OWN = (
    "__reduce__", "__reduce_ex__", "__setstate__", "__getnewargs__", "__getnewargs_ex__", "__new__", "__del__",
)  # fmt: skip
"""Methods that control how objects are pickled, created or deleted. If a class defines one of them, its objects cannot
be made or deleted without running code of the class, so they are refused."""


def static(cls: type, name: str) -> tuple[Any, Any]:
    """Look up an attribute of a class, without running code of descriptors or metaclasses as `getattr` does.

    Return the class that defines it, and what is stored there; (None, None) if there is none.
    """
    for base in named(cls, "__mro__"):
        if name in named(base, "__dict__"):
            return base, named(base, "__dict__")[name]
    return None, None


def reason_against(cls: type) -> str:
    """Return why objects of a class cannot be made without running its code; "" if they can."""
    if not named(cls, "__module__"):
        return "has a __module__ that is not a name"
    if issubclass(cls, enum.Enum):
        return ""
    for name in OF_THEIR_OWN:
        owner, method = static(cls, name)
        own = id(owner) not in _BUILT_IN and method is not _SET_FIELDS
        if own and not (name in ("__new__", "__getnewargs__") and _is_generated(owner)):
            return f"has {name} of " + ("its own" if owner is cls else named(owner, "__name__"))
    return ""


def has_own_hash(cls: type) -> bool:
    """Return whether hashing or comparing objects of a class, or asking for their names, runs code of the class."""
    owners = {id(static(cls, name)[0]) for name in ("__hash__", "__eq__", "__getattribute__", "__name__")}
    return not owners <= {*_BUILT_IN, id(type), id(enum.Enum)}


def made(cls: type, arguments: Any, limits: Limits) -> Any:
    """Make an object of a class for which `reason_against` returns ""; for an `Enum`, return the existing member.

    `arguments` are those that the pickle passes to the class; for an `Enum`, the value of the member.
    """
    if issubclass(cls, enum.Enum):
        limits.visit(arguments)  # the file may have objects whose classes compare them
        (value,) = arguments
        for member in static(cls, "_member_map_")[1].values():
            its = object.__getattribute__(member, "_value_")  # not `member._value_`: the class may define this method
            # Objects of further classes in it would compare themselves with the file's data.
            if type(its) is type(value) and kinds(its) <= kinds(value) and its == value:
                return member
        raise ValueError(f"{cls.__name__} has no member of this value")
    if is_named_tuple(cls):
        _, fields = static(cls, "_fields")
        if type(arguments) is not tuple or len(arguments) != len(fields):
            raise ValueError(f"values for something other than the {len(fields)} fields of {named(cls, '__name__')}")
        limits.copy(len(arguments))
        return tuple.__new__(cls, arguments)
    return MAKERS[base_of(cls)](cls, arguments, limits)


def base_of(cls: type) -> type:
    """Return the first class in the MRO of `cls` that is a key of MAKERS."""
    return next(base for base in named(cls, "__mro__") if id(base) in _BUILT_IN)


def set_state(target: Any, state: Any, limits: Limits) -> None:
    """Set the attributes and slots of an object that `made` has returned.

    `state` is a dict of attributes; for a class with `__slots__`, a pair of it (or None) and a dict of slots; for a
    frozen dataclass with slots, the list of its fields' values. Any other raises ValueError.
    """
    if type(state) is list and static(type(target), "__setstate__")[1] is _SET_FIELDS:
        described: Any = types.SimpleNamespace(__dataclass_fields__=static(type(target), "__dataclass_fields__")[1])
        state = None, {field.name: value for field, value in zip(dataclasses.fields(described), state, strict=True)}
    attributes, slots = state if type(state) is tuple and len(state) == 2 else (state, None)
    for content in (attributes, slots):
        if content is not None and (type(content) is not dict or not all(type(name) is str for name in content)):
            raise ValueError(f"the state of a {type(target).__name__} is not a dict of attributes")
    # The pickle may still change the dicts in `state`, but not what the object has got from them.
    limits.state(target, [value for part in (attributes, slots) if type(part) is dict for value in part.values()])
    if attributes:
        _, descriptor = static(type(target), "__dict__")
        if not is_a(descriptor, types.GetSetDescriptorType):
            raise ValueError(f"a {type(target).__name__} has no dict of attributes")
        object.__getattribute__(target, "__dict__").update(attributes)
    for name, value in (slots or {}).items():
        owner, descriptor = static(type(target), name)
        if id(owner) in _BUILT_IN or not is_a(descriptor, types.MemberDescriptorType):
            raise ValueError(f"a {type(target).__name__} has no slot {name!r:.40}")
        descriptor.__set__(target, value)


def is_member(made: Any) -> bool:
    """Return whether an object is a member of an `Enum`. Members existed before loading, so they get no state."""
    return is_a(made, enum.Enum)


def is_named_tuple(cls: type) -> bool:
    return any(_is_generated(base) for base in named(cls, "__mro__"))


def _is_generated(cls: type) -> bool:
    return issubclass(cls, tuple) and {"_fields", "_field_defaults", "_make"} <= named(cls, "__dict__").keys()
