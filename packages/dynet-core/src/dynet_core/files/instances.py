"""Make the objects of a pickle: plain data, and objects of users' classes without running code of these classes.

The caller is `names.py`, which first checks that the class is allowed.
"""

from __future__ import annotations

import dataclasses
import enum
import math
import re
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable
from types import GetSetDescriptorType, MemberDescriptorType, NoneType, SimpleNamespace
from typing import Any

import numpy as np

from .limits import ATOM_TYPES, Limits, class_ids, is_a, type_attr

Maker = Callable[[type, tuple, Limits], Any]  # called with a class and the pickle's arguments; makes an object


def checked(arguments: Any, *kinds: tuple[type, ...], optional: int = 0) -> tuple:
    """Check and return the arguments of a call in a pickle, or raise ValueError.

    `kinds` has each argument's allowed types, without derived classes. The last `optional` arguments may be absent.
    """
    given = arguments if type(arguments) is tuple else (arguments,)
    if given is arguments and len(kinds) - optional <= len(given) <= len(kinds):
        if all(type(argument) in types for argument, types in zip(given, kinds)):
            return given
    given_types = ", ".join(type(argument).__name__ for argument in given)
    raise ValueError(f"arguments ({given_types}) that do not belong to plain data")


def set_items(target: Any, pairs: Iterable[tuple], limits: Limits) -> None:
    """Put pairs of key and value into a dict with the built-in method, even if the dict's class overrides it."""
    put = OrderedDict.__setitem__ if is_a(target, OrderedDict) else dict.__setitem__
    for key, value in pairs:
        put(target, limits.checked_key(key, target), value)


def add_items(target: set, items: Iterable, limits: Limits) -> None:
    """Put items into a set with the built-in method, even if the set's class overrides it."""
    for item in items:
        set.add(target, limits.checked_key(item, target))


def _only_argument(arguments: Any, limits: Limits, *kinds: type, default: Any = ()) -> Any:
    """Return a call's only argument, or `default` if it has none (None: ValueError). Count its items as copied."""
    (content,) = checked(arguments, kinds, optional=default is not None) or (default,)
    limits.count_copies(len(content))
    return content


def _copying_maker(base: type, default: Any = None) -> Maker:
    """Return a maker that copies the only argument in the pickle, a `base`. `default` replaces an absent argument."""
    return lambda cls, arguments, limits: base.__new__(cls, _only_argument(arguments, limits, base, default=default))


def _number_maker(base: type) -> Maker:
    """Return a maker that copies the only argument in the pickle, a `base`, which is `int` or `float`."""
    return lambda cls, arguments, limits: base.__new__(cls, *checked(arguments, (base,)))


def _filling_maker(base: type, fill: Callable[[Any, Any, Limits], None], *kinds: type) -> Maker:
    """Return a maker: `fill` puts the items of the pickle's argument, whose type is in `kinds`, into a new `base`."""

    def make(cls: type, arguments: tuple, limits: Limits) -> Any:
        instance = base.__new__(cls)  # type: ignore[reportCallIssue]
        fill(instance, _only_argument(arguments, limits, *kinds), limits)
        return instance

    return make


def _mapping_maker(base: type) -> Maker:
    def fill(target: Any, content: Any, limits: Limits) -> None:
        if type(content) is list and not all(type(pair) in (list, tuple) for pair in content):
            raise ValueError(f"a {base.__name__} of something other than pairs")
        set_items(target, content.items() if type(content) is dict else content, limits)

    return _filling_maker(base, fill, dict, list)


def _make_default_dict(cls: type, arguments: tuple, limits: Limits) -> Any:
    """Make a defaultdict. `arguments` is () or (default factory,). The caller has checked the factory."""
    instance = defaultdict.__new__(cls)
    for factory in arguments:
        vars(defaultdict)["default_factory"].__set__(instance, factory)
    return instance


def _make_deque(cls: type, arguments: tuple, limits: Limits) -> Any:
    content, max_length = checked(arguments, (list, tuple), (int, NoneType), optional=2) + ((), None)[len(arguments) :]
    instance = deque.__new__(cls)
    limits.count_copies(len(content))
    deque.__init__(instance, content, max_length)
    return instance


def _make_frozenset(cls: type, arguments: tuple, limits: Limits) -> Any:
    content = _only_argument(arguments, limits, list, tuple)
    return frozenset.__new__(cls, [limits.checked_key(item, content) for item in content])


def _make_byte_array(cls: type, arguments: tuple, limits: Limits) -> Any:
    """Make a bytearray. `arguments` is (), or has one bytes object, or the two arguments of `make_bytes`."""
    if len(arguments) == 2:
        arguments = (make_bytes(arguments, limits),)
    instance = bytearray.__new__(cls)
    bytearray.extend(instance, _only_argument(arguments, limits, bytes, default=b""))
    return instance


def make_bytes(arguments: tuple, limits: Limits) -> bytes:
    """Make bytes. Pickles of protocols 0 to 2 give two arguments: a string, one character per byte, and "latin1"."""
    text, encoding = checked(arguments, (str,), (str,))
    if encoding not in ("latin1", "latin-1"):
        raise ValueError(f"bytes as {encoding!r:.40}")
    limits.count_copies(len(text))
    return text.encode("latin-1")


def _whole_numbers_maker(base: type) -> Maker:
    """Return a maker that calls `base` (`range` or `slice`) with the pickle's three arguments, each an int or None."""
    int_or_none = (int, NoneType)
    return lambda cls, arguments, limits: base(*checked(arguments, int_or_none, int_or_none, int_or_none))


MAKERS: dict[type, Maker] = {
    object: lambda cls, arguments, limits: object.__new__(cls, *checked(arguments)),
    dict: _mapping_maker(dict), OrderedDict: _mapping_maker(OrderedDict), Counter: _mapping_maker(Counter),
    defaultdict: _make_default_dict,
    list: _filling_maker(list, lambda target, content, _: list.extend(target, content), list), deque: _make_deque,
    tuple: _copying_maker(tuple), set: _filling_maker(set, add_items, list, tuple), frozenset: _make_frozenset,
    str: _copying_maker(str), int: _number_maker(int), float: _number_maker(float),
    complex: lambda cls, arguments, _: complex.__new__(cls, *checked(arguments, (float, int), (float, int))),
    bytes: _copying_maker(bytes, b""), bytearray: _make_byte_array,
    range: _whole_numbers_maker(range), slice: _whole_numbers_maker(slice),
}  # fmt: skip


_PLAIN_DTYPE_PATTERN = re.compile(r"b1|[iu][1248]|f(2|4|8|12|16)|c(8|16|24|32)|[SU][0-9]{1,8}|[Mm]8|O8?")
_TIME_UNIT_PATTERN = re.compile(rb"[YMWDhms]|ms|us|ns|ps|fs|as")
_INT, _NONE = (int, bool), (NoneType,)  # argument types for `checked`
_MAX_SIZE = 2**32  # the largest product of an array's dimensions, where a dimension of 0 counts as 1


def make_dtype(arguments: Any, limits: Limits) -> np.dtype:
    """Return a new dtype in this machine's byte order. It is a copy, so that `set_dtype` may change it."""
    text, _, _ = checked(arguments, (str,), _INT, _INT)
    if not _PLAIN_DTYPE_PATTERN.fullmatch(text):
        raise ValueError(f"a dtype {text!r:.40}, which is not a plain one")
    return np.dtype(text, False, True)


def set_dtype(target: np.dtype, state: Any, limits: Limits) -> None:
    """Set the byte order of a dtype, and the unit of dates and times."""
    kinds = _INT, (str,), _NONE, _NONE, _NONE, _INT, _INT, _INT, (tuple, dict, NoneType)
    _, order, *_ = checked(state, *kinds, optional=1)
    if order not in ("<", ">", "|", "="):
        raise ValueError("the state of a dtype that is not a plain one")
    unit = _time_unit(*state[8:]) if target.kind in "Mm" else ""
    result = np.dtype(target.str[1:] + unit).newbyteorder(order)
    expected = result.__reduce__()[2]
    if state[2:8] != expected[2:8]:
        raise ValueError("the state of a dtype that is not a plain one")
    target.__setstate__(expected)  # type: ignore[attr-defined]


def _time_unit(state: Any = None) -> str:
    """Return a dtype's unit of dates or times, such as "[25s]", from the last item of its state; "" for no unit."""
    _, unit = checked(state, (dict, NoneType), (tuple,))
    unit, count, divisor, _ = checked(unit, (bytes,), (int,), (int,), (int,))
    if unit == b"generic":
        return ""
    if _TIME_UNIT_PATTERN.fullmatch(unit) and count > 0 and divisor == 1:
        return f"[{count}{unit.decode()}]"
    raise ValueError("a unit of time that is unknown")


def make_array(arguments: Any, limits: Limits) -> np.ndarray:
    """Return a new array without elements, for `set_array`."""
    cls: Any = arguments[0] if arguments else NoneType
    if cls is not np.ndarray:
        raise ValueError(f"an array of class {type_attr(cls, '__name__') if is_a(cls, type) else None}")
    return np.ndarray((0,), np.int8)


def set_array(target: np.ndarray, state: Any, limits: Limits) -> None:
    """Set the shape, dtype and content of an array. An array of objects may hold numbers, strings, bytes and None."""
    if type(state) is not tuple or len(state) != 5:
        raise ValueError("the state of an array that is not a plain one")
    _, shape, dtype, fortran, content = state
    count = _checked_size(shape, dtype)
    if dtype.kind == "O":
        is_consistent = type(content) is list and len(content) == count and {*map(type, content)} <= ATOM_TYPES
    else:
        is_consistent = type(content) is bytes and len(content) == count * dtype.itemsize
    if not is_consistent or type(fortran) not in _INT:
        raise ValueError(f"an array {shape} of {dtype} that has something else")
    limits.count_copies(len(content))
    target.__setstate__((1, shape, dtype, bool(fortran), content))  # type: ignore[arg-type]


def make_from_buffer(arguments: Any, limits: Limits) -> np.ndarray:
    """Return the array that pickles of protocol 5 make with `_frombuffer(content, dtype, shape, order, axes)`.

    `axes` is the order of the axes if `order` is "K", and may otherwise be absent.
    """
    content, dtype, shape, *rest = arguments
    order, axes, *_ = *checked(tuple(rest), (str,), (tuple, NoneType), optional=1), None
    count = _checked_size(shape, dtype)
    if type(content) not in (bytes, bytearray) or dtype.kind == "O" or len(content) != count * dtype.itemsize:
        raise ValueError(f"an array {shape} of {dtype} that has something else")
    limits.count_copies(len(content))
    if axes and order == "K":
        return np.ndarray(shape, dtype, bytearray(content)).transpose(checked(axes, *[(int,)] * 64, optional=64))
    return np.ndarray(shape, dtype, bytearray(content), order="F" if order == "F" else "C")


def make_scalar(arguments: Any, limits: Limits) -> Any:
    dtype, content = arguments
    if not is_a(dtype, np.dtype) or dtype.kind == "O" or type(content) is not bytes or len(content) != dtype.itemsize:
        raise ValueError("a number that is not a plain one")
    limits.count_copies(len(content))
    return np.ndarray((), dtype, content)[()]


def _checked_size(shape: Any, dtype: Any) -> int:
    # An array of numpy has at most 64 axes.
    if type(shape) is not tuple or len(shape) > 64 or not all(type(n) is int and 0 <= n <= _MAX_SIZE for n in shape):
        raise ValueError("the shape of an array that is not a plain one")
    if not is_a(dtype, np.dtype) or not dtype.itemsize or math.prod(n or 1 for n in shape) > _MAX_SIZE:
        raise ValueError("an array that is not a plain one")
    return math.prod(shape)


# Ids, because a metaclass may define `==`. `static_attr` returns None as the owner of an undefined attribute.
_BUILT_IN_IDS = {*map(id, MAKERS), id(None)}
# The method that pickle calls to set the fields of a dataclass with `frozen=True, slots=True` from a list.
_FIELD_SETTER = vars(dataclasses.make_dataclass("_", ["a"], frozen=True, slots=True))["__setstate__"]
CUSTOM_METHODS = (
    "__reduce__", "__reduce_ex__", "__setstate__", "__getnewargs__", "__getnewargs_ex__", "__new__", "__del__",
)  # fmt: skip
"""Methods that control how objects are pickled, created or deleted. If a class defines one of them, making or deleting
its objects would run code of the class, so they are refused."""


def static_attr(cls: type, name: str) -> tuple[Any, Any]:
    """Look up an attribute of a class without running code of descriptors or metaclasses, unlike `getattr`.

    Return the class that defines it, and the object stored there; (None, None) if there is no such attribute.
    """
    for base in type_attr(cls, "__mro__"):
        if name in type_attr(base, "__dict__"):
            return base, type_attr(base, "__dict__")[name]
    return None, None


def reason_against(cls: type) -> str:
    """Return why objects of `cls` must not be made, mostly because that would run code of `cls`; "" if they may."""
    if not type_attr(cls, "__module__"):
        return "has a __module__ that is not a name"
    if issubclass(cls, enum.Enum):
        return ""
    for name in CUSTOM_METHODS:
        owner, method = static_attr(cls, name)
        is_own = id(owner) not in _BUILT_IN_IDS and method is not _FIELD_SETTER
        if is_own and not (name in ("__new__", "__getnewargs__") and _is_from_namedtuple(owner)):
            return f"has {name} of " + ("its own" if owner is cls else type_attr(owner, "__name__"))
    return ""


def runs_code_when_used(cls: type) -> bool:
    """Return whether hashing an object of `cls`, comparing it or reading its attributes runs code of its class."""
    owners = {id(static_attr(cls, name)[0]) for name in ("__hash__", "__eq__", "__getattribute__", "__name__")}
    return not owners <= {*_BUILT_IN_IDS, id(type), id(enum.Enum)}


def make_object(cls: type, arguments: Any, limits: Limits) -> Any:
    """Make an object of a class for which `reason_against` returns ""; for an `Enum`, return the existing member.

    `arguments` is the tuple of arguments in the pickle. For an `Enum`, its only item is the member's value.
    """
    if issubclass(cls, enum.Enum):
        limits.check_hash_cost(arguments)  # refuses objects whose classes define comparisons
        (value,) = arguments
        for member in static_attr(cls, "_member_map_")[1].values():
            member_value = object.__getattribute__(member, "_value_")  # the class may define `__getattribute__`
            # Compare only if `check_hash_cost` has seen all classes: `==` of others could run code on the file's data.
            may_compare = type(member_value) is type(value) and class_ids(member_value) <= class_ids(value)
            if may_compare and member_value == value:
                return member
        raise ValueError(f"{cls.__name__} has no member of this value")
    if is_named_tuple(cls):
        _, fields = static_attr(cls, "_fields")
        if type(arguments) is not tuple or len(arguments) != len(fields):
            raise ValueError(f"values that do not match the {len(fields)} fields of {type_attr(cls, '__name__')}")
        limits.count_copies(len(arguments))
        return tuple.__new__(cls, arguments)
    return MAKERS[base_of(cls)](cls, arguments, limits)


def base_of(cls: type) -> type:
    """Return the first class in the MRO of `cls` that is a key of MAKERS."""
    return next(base for base in type_attr(cls, "__mro__") if id(base) in _BUILT_IN_IDS)


def set_state(target: Any, state: Any, limits: Limits) -> None:
    """Set the attributes and slots of an object that `make_object` has returned.

    `state` is a dict of attributes; for a class with `__slots__`, a pair: this dict (or None) and a dict of slots; for
    a frozen dataclass with slots, a list of the fields' values. Any other state raises ValueError.
    """
    cls = type(target)
    if type(state) is list and static_attr(cls, "__setstate__")[1] is _FIELD_SETTER:
        stand_in: Any = SimpleNamespace(__dataclass_fields__=static_attr(cls, "__dataclass_fields__")[1])
        state = None, {field.name: value for field, value in zip(dataclasses.fields(stand_in), state, strict=True)}
    attributes, slots = state if type(state) is tuple and len(state) == 2 else (state, None)
    for content in (attributes, slots):
        if content is not None and (type(content) is not dict or not all(type(name) is str for name in content)):
            raise ValueError(f"the state of a {cls.__name__} is not a dict of attributes")
    # The values are passed in a new list, because the pickle may still change the dicts in `state`.
    limits.note_state(target, [value for item in (attributes, slots) if type(item) is dict for value in item.values()])
    if attributes:
        _, descriptor = static_attr(cls, "__dict__")
        if not is_a(descriptor, GetSetDescriptorType):
            raise ValueError(f"a {cls.__name__} has no dict of attributes")
        object.__getattribute__(target, "__dict__").update(attributes)
    for name, value in (slots or {}).items():
        owner, descriptor = static_attr(cls, name)
        if id(owner) in _BUILT_IN_IDS or not is_a(descriptor, MemberDescriptorType):
            raise ValueError(f"a {cls.__name__} has no slot {name!r:.40}")
        descriptor.__set__(target, value)


def is_enum_member(value: Any) -> bool:
    """Return whether an object is a member of an `Enum`: no file makes it, so no file may set its attributes."""
    return is_a(value, enum.Enum)


def is_named_tuple(cls: type) -> bool:
    return any(map(_is_from_namedtuple, type_attr(cls, "__mro__")))


def _is_from_namedtuple(cls: type) -> bool:
    return issubclass(cls, tuple) and {"_fields", "_field_defaults", "_make"} <= type_attr(cls, "__dict__").keys()
