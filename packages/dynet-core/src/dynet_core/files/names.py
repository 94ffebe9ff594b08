"""Find what the names in a `.meta` file refer to, and refuse those that the user does not allow.

Allowed are plain data types of Python and numpy, classes and operations of this library, classes that the user allows,
and objects of classes that belong to the one whose `from_spec` takes them. Nothing is imported, and nothing found by a
name is called: `plain_data`, `numpy_data` and `instances` make the objects.
"""

from __future__ import annotations

import re
import sys
import types
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import ArgumentTypeError
from ..messages.wording import shown
from ..recorder import FUNCTION_TYPE
from . import instances, numpy_data, plain_data
from .limits import Limits, is_a
from .modules import OPS, OURS, belongs, beside, imported, is_foreign, named
from .plain_data import MAKERS

THEIRS = ("_dynet", "_gdynet", "dynet")  # modules that files, including the original DyNet's, name for these
NAMESPACES = ("argparse.Namespace", "optparse.Values")  # every file may name them: their objects only hold attributes
CLASS, FUNCTION = "is a class that you have not allowed", "is a function that you have not allowed"
VALUE, KEY = CLASS + " as a value", CLASS + " as a key, which runs its __hash__ or __eq__"
FOREIGN = "is a function that is not the program's own: do not trust a file with it unless you saved it yourself"
ASKS = (CLASS, FUNCTION, VALUE, KEY)  # why something is refused that the user's `allow` permits
CALLED = "would be called"  # a function, where a file would have an object made

Allow = Mapping[str, Any] | Iterable[Any]
"""The user's argument `allow`: a list of classes and functions, or of their names; or a dict from the names that they
have in files to the classes and functions."""


@dataclass(frozen=True, eq=False)
class Function:
    """What is called instead of a function that pickles name, such as numpy's `_reconstruct`.

    `make(arguments, limits)` makes the object; `complete(made, state, limits)` sets its state, if it can have one.
    `own` is a class of the program's own, of which a pickle may make objects, but which is no value.
    """

    make: Callable[[Any, Limits], Any]
    complete: Callable[[Any, Any, Limits], None] | None = None
    own: type | None = None


@dataclass(frozen=True)
class Refused:
    """Stands for a class or function that is refused, and for all objects that a pickle makes by calling it.

    With it, reading can go on to the end, so that one error message lists everything that is refused.
    """

    name: str


# Stands for `copyreg._reconstructor`, by which pickles of protocols 0 and 1 make objects: `Names.call` uses
# `Names._rebuilt` instead of its `make`.
_REBUILD = Function(lambda arguments, limits: None)
_DTYPE = Function(numpy_data.dtype, numpy_data.set_dtype)
_NUMPY = {
    "multiarray._reconstruct": Function(numpy_data.array, numpy_data.set_array),
    "multiarray.scalar": Function(numpy_data.number),
    "numeric._frombuffer": Function(numpy_data.buffered),
}
PLAIN: dict[str, Any] = {
    **{f"{cls.__module__}.{cls.__name__}": cls for cls in [*MAKERS, bool]},
    **{f"__builtin__.{cls.__name__}": cls for cls in [*MAKERS, bool]},
    "__builtin__.xrange": range, "__builtin__.unicode": str, "__builtin__.long": int,
    **{f"numpy.{name}": cls for name, cls in vars(np).items() if isinstance(cls, type) and issubclass(cls, np.generic)},
    **{f"numpy.{package}.{name}": function for name, function in _NUMPY.items() for package in ("core", "_core")},
    "numpy.ndarray": np.ndarray, "numpy.dtype": np.dtype, "_codecs.encode": Function(plain_data.encoded),
    "copyreg._reconstructor": _REBUILD, "copy_reg._reconstructor": _REBUILD,
}  # fmt: skip
"""The classes and functions that every file may name, by their full names: plain data of Python and numpy."""

_PLAIN_CLASSES = {id(found) for found in PLAIN.values() if isinstance(found, type)}


class Names:
    """Looks up the names in one pickle, and makes objects where it calls a class or function.

    `allow` is as for `meta.read`. `own` allows objects of the program's own classes; `everything`, to check a file that
    has just been written, all classes and functions of imported modules.
    """

    def __init__(self, allow: Mapping[str, Any], limits: Limits, own: bool = False, everything: bool = False):
        self.refused: dict[str, str] = {}  # name -> why it is refused
        self.limits = limits
        self._allow = {**dict.fromkeys(NAMESPACES), **allow}
        self._own, self._everything = own, everything
        self.first: Any = None  # what the pickle has named first: the class of the object, whose `from_spec` is called
        self._belonging: dict[int, bool] = {}  # `id` of a class -> whether it is the program's own
        self._listed: dict[int, Any] = {}  # allowed classes and functions that the pickle has named, by their `id`
        # `id` -> (object for which the pickle may still set a state, function that sets it)
        self._incomplete: dict[int, tuple[Any, Callable]] = {}
        self.fragile: list[Any] = []  # the defaultdicts and deques: nested very deeply, they crash Python when freed

    def find(self, module: str, name: str) -> Any:
        """Return the class or function that a pickle names `module.name`, or a `Refused` if it is not allowed.

        For a class of the program's own, return a `Function` that makes its objects.
        """
        found = self._found(module, name)
        self.first = found if self.first is None else self.first
        return found

    def _found(self, module: str, name: str) -> Any:
        full = f"{module}.{name}"
        if full in PLAIN:
            return PLAIN[full]
        if module in THEIRS:
            found = ours(name)
            if is_a(found, type) or is_op(found):
                return found
            return self._refuse(full, "is neither a class nor an operation of this library")
        found = self._allow.get(full)
        if found is None:
            found = imported(module, name)
        if self.first is None and is_a(found, type) and not is_builder(found):
            return self._refuse(full, "has no from_spec, the method by which load makes the objects of a class")
        if self._everything or full in self._allow:
            if not is_listable(found):
                return self._refuse(full, self._why_not(found))
            self._listed[id(found)] = found
        elif is_builder(found) and (
            self.first is None or found is self.first or self._own and beside(found, self.first)
        ):
            if instances.has_own_hash(type(found)):  # a class is hashed as its metaclass says
                self.limits.no_keys[id(type(found))] = lambda: self._refuse(full, KEY)
        elif self._is_own(found):
            return Function(lambda arguments, limits: self._instance(found, arguments), own=found)
        else:
            return self._refuse(full, CLASS if is_builder(found) else self._why_not(found))
        return found

    def call(self, callee: Any, arguments: Any) -> Any:
        """Return the object that a pickle makes by calling `callee`, a result of `find`, with a tuple of arguments.

        `callee` is not called: functions of this package make the object.
        """
        if type(callee) is Refused:
            if self.refused[callee.name] in (FUNCTION, FOREIGN):
                self.refused[callee.name] = CALLED
            return callee
        if type(arguments) is not tuple:
            raise ValueError("a call without arguments")
        if callee is _REBUILD:
            return self._rebuilt(*arguments)
        function = _DTYPE if callee is np.dtype else callee
        if type(function) is Function:
            made = function.make(arguments, self.limits)
            if function.complete:
                self._incomplete[id(made)] = made, function.complete
            return made
        if is_a(callee, type):
            return self._instance(callee, arguments)
        if not is_listable(callee):
            raise ValueError(f"a call of a {type(callee).__name__}")
        return self._refuse(name_of(callee), CALLED)

    def build(self, target: Any, state: Any) -> None:
        """Set the state of `target`, an object made by `call`, once. Raise ValueError if the pickle may not set one."""
        if type(target) is Refused:
            return
        if id(target) not in self._incomplete:
            raise ValueError(f"a state for a {type(target).__name__}")
        self._incomplete.pop(id(target))[1](target, state, self.limits)

    def abandon(self) -> None:
        """Empty all defaultdicts and deques that have been made, because reading fails.

        They may be nested so deeply that Python would crash when it frees them.
        """
        for made in self.fragile:
            (dict if is_a(made, dict) else deque).clear(made)

    def _instance(self, cls: type, arguments: tuple) -> Any:
        plain = id(cls) in _PLAIN_CLASSES
        if plain and cls not in MAKERS:
            return self._refuse(name_of(cls), CALLED)
        if not plain and id(cls) not in self._listed:
            if not self._is_own(cls):
                return self._refuse(name_of(cls), instances.reason_against(cls) or CLASS)
            if instances.has_own_hash(cls):
                self.limits.no_keys[id(cls)] = lambda: self._refuse(name_of(cls), KEY)
        elif not plain and (reason := instances.reason_against(cls)):
            return self._refuse(name_of(cls), reason)
        base = instances.base_of(cls)
        if base is defaultdict:
            self._check_factory(*arguments)
        made = instances.made(cls, arguments, self.limits)
        if base in (defaultdict, deque):
            self.fragile.append(made)
        if not plain and not instances.is_member(made):
            self._incomplete[id(made)] = made, instances.set_state
        return made

    def _rebuilt(self, cls: Any, base: Any, content: Any) -> Any:
        """Make what a pickle of protocol 0 or 1 makes by `copyreg._reconstructor`.

        `base` is the built-in class from which `cls` derives, such as `list`. `content` is an object of this class with
        the contents of the new object; None if `base` is `object`.
        """
        if type(cls) is Refused:
            return cls
        cls = cls.own if type(cls) is Function else cls
        if not is_a(cls, type) or base is not instances.base_of(cls):
            raise ValueError("an object of a different class than it says")
        if base is object:
            return self._instance(cls, ())
        return self._instance(cls, content if instances.is_named_tuple(cls) else (content,))

    def refuse_value(self, value: Function) -> None:
        """Refuse what a pickle may call, but has as a value."""
        if value.own is None:
            raise ValueError("a function that pickles are made by, as a value")
        self._refuse(name_of(value.own), VALUE)

    def _is_own(self, found: Any) -> bool:
        if not self._own or not is_a(found, type) or not is_builder(self.first) or instances.has_own_hash(type(found)):
            return False
        if id(found) not in self._belonging:
            self._belonging[id(found)] = not instances.reason_against(found) and belongs(found, self.first)
        return self._belonging[id(found)]

    def _why_not(self, found: Any) -> str:
        """Return why a name in a file is refused. `found` is what it refers to; None if nothing."""
        if found is None:
            return "is in no module that is imported"
        if is_a(found, type):
            return instances.reason_against(found) or CLASS
        if not is_listable(found):
            return "is not a class"
        if self.first is None:
            return "is a function, not a class"
        return FOREIGN if is_foreign(found.__module__) else FUNCTION

    def _check_factory(self, factory: Any = None) -> None:
        known = factory is None or id(factory) in _PLAIN_CLASSES or id(factory) in self._listed
        if type(factory) is Function:
            self.refuse_value(factory)
        elif not known and type(factory) is not Refused:
            raise ValueError("a defaultdict whose factory is not allowed")

    def _refuse(self, name: str, reason: str) -> Refused:
        self.refused.setdefault(name, reason)
        return Refused(name)


def allowed(allow: Allow) -> dict[str, Any]:
    """Return the argument `allow` as a dict from names in files to classes and functions; None if only named."""
    if isinstance(allow, Mapping):
        listed = list(allow.items())
    elif isinstance(allow, Iterable) and not isinstance(allow, str):
        listed = [(one, None) if isinstance(one, str) else (name_of(one), one) for one in allow]
    else:
        raise ArgumentTypeError(f"allow: expected a list of classes, got {type(allow).__name__} {shown(allow)}")
    for name, found in listed:
        if not isinstance(name, str) or "." not in name or not (found is None or is_listable(found)):
            what = name if found is None else found
            got = f"{type(what).__name__} {shown(what)}"
            raise ArgumentTypeError(f"allow: expected classes, or names such as 'module.Class', got {got}")
    return dict(listed)


def explanation(refused: Mapping[str, str]) -> str:
    """Return what was refused and why (`refused` maps names to reasons), and how the user can allow it if possible."""
    shown = {_shown(name): reason for name, reason in [*refused.items()][:10]}
    said = [f"{name} {reason}" for name, reason in shown.items()]
    if asked := [name for name, reason in shown.items() if reason in ASKS]:
        classes = ", ".join(map(_inside, asked))
        said.append(
            f"if this file may name {'it' if len(asked) == 1 else 'them'}, say dy.load(..., allow=[{classes}]), or "
            f"DYNET_ALLOW={','.join(asked)} in the environment of a program that must not be changed"
        )
    return "; ".join(said)


def ours(name: str) -> Any:
    """Return what the library's imported modules have under a name, other than modules; None if there is nothing."""
    found = [vars(sys.modules[module]).get(name) for module in (*OURS, OPS) if module in sys.modules]
    return next((one for one in found if one is not None and not is_a(one, types.ModuleType)), None)


def is_op(found: Any) -> bool:
    """Return whether an object is an operation of the library, such as `tanh`. Specs may contain these."""
    ops = sys.modules.get(OPS)
    return callable(found) and any(vars(ops)[name] is found for name in getattr(ops, "__all__", ()))


def is_listable(found: Any) -> bool:
    """Return whether the user's argument `allow` may contain an object."""
    return is_a(found, type, types.FunctionType, types.BuiltinFunctionType, FUNCTION_TYPE)


def is_builder(found: Any) -> bool:
    """Return whether an object is a class with a method `from_spec`, by which `dy.load` makes its objects."""
    return is_a(found, type) and instances.static(found, "from_spec")[0] is not None


def name_of(found: Any) -> Any:
    """Return the full name of a class or function. Return any other object unchanged."""
    get = named if is_a(found, type) else getattr
    return f"{get(found, '__module__')}.{get(found, '__qualname__')}" if is_listable(found) else found


def _inside(name: str) -> str:
    """Return what a class or function is called in its module, from its full name."""
    parts = name.split(".")
    last = max((k for k in range(1, len(parts)) if ".".join(parts[:k]) in sys.modules), default=len(parts) - 1)
    return ".".join(parts[last:])


def _shown(name: str) -> str:
    return name if re.fullmatch(r"[\w.<>-]{1,100}", name) else repr(name[:100])
