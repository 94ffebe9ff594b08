"""Find what the names in a `.meta` file refer to, and refuse those that the user does not allow.

These are allowed: plain data types of Python and numpy, classes and operations of this library, classes that the user
allows, and objects of the program's own classes, as `belongs` defines them. Nothing is imported, and nothing found by
name is called: the functions in `instances.py` make the objects.
"""

from __future__ import annotations

import os
import re
import sys
import sysconfig
import types
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import NoneType
from typing import Any

import numpy as np

from ..errors import ArgumentTypeError
from ..messages.wording import shown
from ..recorder import FUNCTION_TYPE
from . import instances
from .instances import MAKERS
from .limits import Limits, is_a, type_attr
from .vocabulary import Vocabulary

OPS_MODULE = "dynet_ops"  # this library's module that defines operations
SEARCHED_MODULES = ("dynet", "_dynet", "dynet_rnn", "dynet_optim", "dynet_core", OPS_MODULE)  # for `library_object`
LIBRARY = (*SEARCHED_MODULES, "dynet_kernels")  # the packages of this library that define classes
_STANDARD_FOLDERS = tuple(os.path.join(sysconfig.get_path(name), "") for name in ("stdlib", "platstdlib"))
_STANDARD_FOLDERS += tuple(os.path.join(os.path.realpath(path), "") for path in _STANDARD_FOLDERS)


def imported_object(module: str, name: str) -> Any:
    """Return the object with a name such as "Class.Inner" in an imported module, or None. Run no code of the module."""
    value: Any = sys.modules.get(module)
    for attribute in name.split("."):
        if not is_a(value, types.ModuleType, type):
            return None
        value = (type_attr if is_a(value, type) else object.__getattribute__)(value, "__dict__").get(attribute)
    return value


def belongs(cls: type, other: type) -> bool:
    """Return whether `cls` is beside the class `other`, and does not derive from a class of this library.

    Objects of this library's classes may hold memory addresses as attributes, which a file could forge.
    """
    is_ours = any(type_attr(base, "__module__").partition(".")[0] in LIBRARY for base in type_attr(cls, "__mro__"))
    return not is_ours and is_beside(cls, other)


def is_beside(cls: type, other: type) -> bool:
    """Return whether two classes are defined in one module, in one folder, or in one top-level package.

    Classes of installed packages and of the standard library are not beside any class.
    """
    (module, folders), (other_module, other_folders) = _module_and_folders(cls), _module_and_folders(other)
    return module is other_module is not None or bool(folders & other_folders)


def _module_and_folders(cls: type) -> tuple[Any, set[str]]:
    """Return a class's module, and a set of two folders: of the module's file, and of its top-level package.

    The module is None, and the set empty, if the module is installed or does not contain the class. The set is also
    empty if the module is not a file, or if installed code may be in the same folder, as in a PyInstaller program.
    """
    name = type_attr(cls, "__module__")
    if imported_object(name, type_attr(cls, "__qualname__")) is not cls:
        return None, set()
    module = sys.modules[name]
    namespace = object.__getattribute__(module, "__dict__")
    file = namespace.get("__file__")
    if type(file) is not str:  # a notebook or `python -c`, whose module has no `__spec__`, or a built-in module
        return (module if namespace.get("__spec__") is None else None), set()
    real = os.path.realpath(file)
    if _is_installed(file) or _is_installed(real):
        return None, set()
    folder, package = os.path.dirname(real), namespace.get("__package__") or ""
    inner = os.sep + package.replace(".", os.sep)
    root = folder.removesuffix(inner) if package else folder  # where Python found the module or its package
    if not (os.path.isabs(file) and os.path.isfile(real) and os.path.isdir(root)) or getattr(sys, "frozen", False):
        return module, set()
    if any(name.endswith((".dist-info", "EGG-INFO")) for name in os.listdir(root)):
        return None, set()  # pip has installed into this folder
    return module, {folder, folder if root == folder else os.path.join(root, package.partition(".")[0])}


def is_foreign(module: str | None) -> bool:
    """Return whether a module is installed, built in, part of the standard library, or not imported."""
    namespace = object.__getattribute__(sys.modules.get(module or "", types), "__dict__")  # `types` if not imported
    # In a notebook, `__main__` has no `__spec__` and is not foreign. Built-in modules have a `__spec__`, but no file.
    file = namespace.get("__file__") or ("" if namespace.get("__spec__") is None else _STANDARD_FOLDERS[0])
    return _is_installed(os.path.realpath(str(file))) or file in _STANDARD_FOLDERS


def _is_installed(path: str) -> bool:
    return not {"site-packages", "dist-packages"}.isdisjoint(path.split(os.sep)) or path.startswith(_STANDARD_FOLDERS)


FILE_MODULES = ("_dynet", "_gdynet", "dynet")  # names in files for modules of this library and the original DyNet
NAMESPACES = ("argparse.Namespace", "optparse.Values")  # allowed in every file: their objects only hold attributes
CLASS_REASON, FUNCTION_REASON = "is a class that you have not allowed", "is a function that you have not allowed"
VALUE_REASON, KEY_REASON = CLASS_REASON + " as a value", CLASS_REASON + " as a key, which runs its __hash__ or __eq__"
FOREIGN_REASON = "is a function that is not the program's own: do not trust a file with it unless you saved it yourself"
ALLOWABLE_REASONS = (CLASS_REASON, FUNCTION_REASON, VALUE_REASON, KEY_REASON)  # against names that `allow` may have
CALLED_REASON = "would be called"  # for a function or class that a file would call to make an object

Allow = Mapping[str, Any] | Iterable[Any]
"""The user's argument `allow`: a list of classes and functions, or of their names; or a dict from names in files to
classes and functions."""


@dataclass(frozen=True, eq=False)
class Substitute:
    """Stands for a function that pickles call, such as numpy's `_reconstruct`.

    `make(arguments, limits)` makes the object. `complete(object, state, limits)` sets its state; None if it has none.
    If `make` makes objects of one of the program's own classes, `own_class` is this class. Pickles may call the class,
    but must not use it as a value.
    """

    make: Callable[[Any, Limits], Any]
    complete: Callable[[Any, Any, Limits], None] | None = None
    own_class: type | None = None


@dataclass(frozen=True)
class Refused:
    """A placeholder for a refused class or function and its objects, so that one error can list everything refused."""

    name: str


# Replaces `copyreg._reconstructor`, with which pickles of protocols 0 and 1 make objects. `Names.call` calls
# `Names._rebuild` for it, not its `make`.
_RECONSTRUCTOR = Substitute(lambda arguments, limits: None)
_DTYPE = Substitute(instances.make_dtype, instances.set_dtype)
_NUMPY_FUNCTIONS = {
    "multiarray._reconstruct": Substitute(instances.make_array, instances.set_array),
    "multiarray.scalar": Substitute(instances.make_scalar),
    "numeric._frombuffer": Substitute(instances.make_from_buffer),
}
PLAIN_DATA: dict[str, Any] = {
    **{f"{module}.{cls.__name__}": cls for cls in [*MAKERS, bool] for module in (cls.__module__, "__builtin__")},
    "__builtin__.xrange": range, "__builtin__.unicode": str, "__builtin__.long": int,
    **{f"numpy.{name}": cls for name, cls in vars(np).items() if isinstance(cls, type) and issubclass(cls, np.generic)},
    **{f"numpy.{package}.{name}": value for name, value in _NUMPY_FUNCTIONS.items() for package in ("core", "_core")},
    "numpy.ndarray": np.ndarray, "numpy.dtype": np.dtype, "_codecs.encode": Substitute(instances.make_bytes),
    "copyreg._reconstructor": _RECONSTRUCTOR, "copy_reg._reconstructor": _RECONSTRUCTOR,
}  # fmt: skip
"""The classes and functions that every file may name, by their full names: plain data of Python and numpy."""

_PLAIN_CLASS_IDS = {id(value) for value in PLAIN_DATA.values() if isinstance(value, type)}


class Names:
    """Looks up the names in one pickle, and makes objects where the pickle calls a class or function.

    `allow` is as for `meta.read_records`. `allows_own` allows the program's own classes, and `allows_all` all classes
    and functions of imported modules, to check a file that has just been written.
    """

    def __init__(self, allow: Mapping[str, Any], limits: Limits, allows_own: bool = False, allows_all: bool = False):
        self.refused: dict[str, str] = {}  # name -> why it is refused
        self.limits = limits
        self._allow = {**dict.fromkeys(NAMESPACES), **allow}
        self._allows_own, self._allows_all = allows_own, allows_all
        self.builder: Any = None  # the first object that the pickle names: the class whose `from_spec` is called
        self._is_own_by_id: dict[int, bool] = {}  # `id` of a class -> whether it is the program's own
        self._allowed_by_id: dict[int, Any] = {}  # `id` -> allowed class or function that the pickle has named
        # `id` of an object whose state the pickle may still set -> (object, function that sets the state)
        self._incomplete_by_id: dict[int, tuple[Any, Callable]] = {}
        self.fragile_containers: list[Any] = []  # defaultdicts and deques: freeing deeply nested ones may crash Python

    def find(self, module: str, name: str) -> Any:
        """Return the class or function that a pickle names `module.name`, or a `Refused` if it is not allowed.

        For one of the program's own classes without `from_spec`, return a `Substitute` that makes its objects.
        """
        value = self._look_up(module, name)
        self.builder = value if self.builder is None else self.builder
        return value

    def _look_up(self, module: str, name: str) -> Any:
        full_name = f"{module}.{name}"
        if full_name in PLAIN_DATA:
            return PLAIN_DATA[full_name]
        if module in FILE_MODULES:
            value = library_object(name)
            if is_a(value, type) or is_op(value):
                return value
            return self._refuse(full_name, "is neither a class nor an operation of this library")
        value = self._allow.get(full_name)
        if value is None:
            value = imported_object(module, name)
        if self.builder is None and is_a(value, type) and not is_builder(value):
            return self._refuse(full_name, "has no from_spec, the method by which load makes the objects of a class")
        if self._allows_all or full_name in self._allow:
            if not is_listable(value):
                return self._refuse(full_name, self._refusal_reason(value))
            self._allowed_by_id[id(value)] = value
        elif is_builder(value) and (
            self.builder is None or value is self.builder or self._allows_own and is_beside(value, self.builder)
        ):
            if instances.runs_code_when_used(type(value)):  # with a metaclass that defines `__hash__` or the like
                self.limits.refused_key_classes[id(type(value))] = lambda: self._refuse(full_name, KEY_REASON)
        elif self._is_own_class(value):
            return Substitute(lambda arguments, limits: self._make_instance(value, arguments), own_class=value)
        else:
            return self._refuse(full_name, CLASS_REASON if is_builder(value) else self._refusal_reason(value))
        return value

    def call(self, callee: Any, arguments: Any) -> Any:
        """Return the object that a pickle makes by calling `callee`, a result of `find`, with a tuple of arguments.

        `callee` is not called: functions in `instances.py` make the object.
        """
        if type(callee) is Refused:
            if self.refused[callee.name] in (FUNCTION_REASON, FOREIGN_REASON):
                self.refused[callee.name] = CALLED_REASON
            return callee
        if type(arguments) is not tuple:
            raise ValueError("a call without arguments")
        if callee is _RECONSTRUCTOR:
            return self._rebuild(*arguments)
        substitute = _DTYPE if callee is np.dtype else callee
        if type(substitute) is Substitute:
            instance = substitute.make(arguments, self.limits)
            if substitute.complete:
                self._incomplete_by_id[id(instance)] = instance, substitute.complete
            return instance
        if callee is Vocabulary:
            words, *special = instances.checked(arguments, (list,), (str, NoneType), (str, NoneType))
            self.limits.count_copies(len(words))
            return Vocabulary([*instances.checked(tuple(words), *[(str,)] * len(words))], *special)
        if is_a(callee, type):
            return self._make_instance(callee, arguments)
        if not is_listable(callee):
            raise ValueError(f"a call of a {type(callee).__name__}")
        return self._refuse(callee, CALLED_REASON)

    def build(self, target: Any, state: Any) -> None:
        """Set the state of `target`, which `call` made. Raise ValueError if it has a state or cannot have one."""
        if type(target) is Refused:
            return
        if id(target) not in self._incomplete_by_id:
            raise ValueError(f"a state for a {type(target).__name__}")
        self._incomplete_by_id.pop(id(target))[1](target, state, self.limits)

    def abandon(self) -> None:
        """Empty all defaultdicts and deques after an error, because freeing deeply nested ones may crash Python."""
        for container in self.fragile_containers:
            (dict if is_a(container, dict) else deque).clear(container)

    def _make_instance(self, cls: type, arguments: tuple) -> Any:
        is_plain = id(cls) in _PLAIN_CLASS_IDS
        if is_plain and cls not in MAKERS:
            return self._refuse(cls, CALLED_REASON)
        if not is_plain and id(cls) not in self._allowed_by_id:
            if not self._is_own_class(cls):
                return self._refuse(cls, instances.reason_against(cls) or CLASS_REASON)
            if instances.runs_code_when_used(cls):
                self.limits.refused_key_classes[id(cls)] = lambda: self._refuse(cls, KEY_REASON)
        elif not is_plain and (reason := instances.reason_against(cls)):
            return self._refuse(cls, reason)
        base = instances.base_of(cls)
        if base is defaultdict:
            self._check_factory(*arguments)
        instance = instances.make_object(cls, arguments, self.limits)
        if base in (defaultdict, deque):
            self.fragile_containers.append(instance)
        if not is_plain and not instances.is_enum_member(instance):
            self._incomplete_by_id[id(instance)] = instance, instances.set_state
        return instance

    def _rebuild(self, cls: Any, base: Any, content: Any) -> Any:
        """Make the object that a pickle of protocol 0 or 1 makes with `copyreg._reconstructor`.

        `base` is the built-in class from which `cls` derives, such as `list`. `content` is a `base` object with the
        contents of the new object; None if `base` is `object`.
        """
        if type(cls) is Refused:
            return cls
        cls = cls.own_class if type(cls) is Substitute else cls
        if not is_a(cls, type) or base is not instances.base_of(cls):
            raise ValueError("an object of a different class than it says")
        if base is object:
            return self._make_instance(cls, ())
        return self._make_instance(cls, content if instances.is_named_tuple(cls) else (content,))

    def refuse_value(self, value: Substitute) -> None:
        """Refuse a function or class that a pickle uses as a value, although pickles may only call it."""
        if value.own_class is None:
            raise ValueError("a function that pickles are made by, as a value")
        self._refuse(value.own_class, VALUE_REASON)

    def _is_own_class(self, value: Any) -> bool:
        if (
            not self._allows_own
            or not is_a(value, type)
            or not is_builder(self.builder)
            or instances.runs_code_when_used(type(value))
        ):
            return False
        if id(value) not in self._is_own_by_id:
            self._is_own_by_id[id(value)] = not instances.reason_against(value) and belongs(value, self.builder)
        return self._is_own_by_id[id(value)]

    def _refusal_reason(self, value: Any) -> str:
        """Return why a name in a file is refused. `value` is the object that it refers to, or None."""
        if value is None:
            return "is in no module that is imported"
        if is_a(value, type):
            return instances.reason_against(value) or CLASS_REASON
        if not is_listable(value):
            return "is not a class"
        if self.builder is None:
            return "is a function, not a class"
        return FOREIGN_REASON if is_foreign(value.__module__) else FUNCTION_REASON

    def _check_factory(self, factory: Any = None) -> None:
        is_allowed = factory is None or id(factory) in _PLAIN_CLASS_IDS or id(factory) in self._allowed_by_id
        if type(factory) is Substitute:
            self.refuse_value(factory)
        elif not is_allowed and type(factory) is not Refused:
            raise ValueError("a defaultdict whose factory is not allowed")

    def _refuse(self, value_or_name: Any, reason: str) -> Refused:
        name = name_of(value_or_name)
        self.refused.setdefault(name, reason)
        return Refused(name)


def allowed_by_name(allow: Allow) -> dict[str, Any]:
    """Convert the argument `allow` to a dict: name in files -> class or function; None if only the name is given."""
    if isinstance(allow, Mapping):
        listed = list(allow.items())
    elif isinstance(allow, Iterable) and not isinstance(allow, str):
        listed = [(name_of(item), None if isinstance(item, str) else item) for item in allow]
    else:
        raise ArgumentTypeError(f"allow: expected a list of classes, got {type(allow).__name__} {shown(allow)}")
    for name, value in listed:
        if not isinstance(name, str) or "." not in name or not (value is None or is_listable(value)):
            wrong = name if value is None else value
            got = f"{type(wrong).__name__} {shown(wrong)}"
            raise ArgumentTypeError(f"allow: expected classes, or names such as 'module.Class', got {got}")
    return dict(listed)


def explanation(refused: Mapping[str, str]) -> str:
    """Return a message that lists `refused` (name -> reason) and says how the user can allow these names."""
    reasons = {_shown_name(name): reason for name, reason in [*refused.items()][:10]}
    sentences = [f"{name} {reason}" for name, reason in reasons.items()]
    if allowable := [name for name, reason in reasons.items() if reason in ALLOWABLE_REASONS]:
        classes = ", ".join(map(_name_in_module, allowable))
        sentences.append(
            f"if this file may name {'it' if len(allowable) == 1 else 'them'}, say dy.load(..., allow=[{classes}]), or "
            f"DYNET_ALLOW={','.join(allowable)} in the environment of a program that must not be changed"
        )
    return "; ".join(sentences)


def library_object(name: str) -> Any:
    """Return the object, but no module, with this name in one of the library's imported modules; None if not found."""
    values = [vars(sys.modules[module]).get(name) for module in SEARCHED_MODULES if module in sys.modules]
    return next((value for value in values if value is not None and not is_a(value, types.ModuleType)), None)


def is_op(value: Any) -> bool:
    """Return whether an object is an operation of the library, such as `tanh`. Specs may contain operations."""
    ops = sys.modules.get(OPS_MODULE)
    return callable(value) and any(vars(ops)[name] is value for name in getattr(ops, "__all__", ()))


def is_listable(value: Any) -> bool:
    """Return whether an object is a class or a function, which the user's argument `allow` may contain."""
    return is_a(value, type, types.FunctionType, types.BuiltinFunctionType, FUNCTION_TYPE)


def is_builder(value: Any) -> bool:
    """Return whether an object is a class with a method `from_spec`, with which `dy.load` makes its objects."""
    return is_a(value, type) and instances.static_attr(value, "from_spec")[0] is not None


def name_of(value: Any) -> Any:
    """Return the full name of a class or function. Return any other object unchanged."""
    get = type_attr if is_a(value, type) else getattr
    return f"{get(value, '__module__')}.{get(value, '__qualname__')}" if is_listable(value) else value


def _name_in_module(name: str) -> str:
    """Return the name of a class or function within its module, given its full name."""
    names = name.split(".")
    inner_begin = max((k for k in range(1, len(names)) if ".".join(names[:k]) in sys.modules), default=len(names) - 1)
    return ".".join(names[inner_begin:])


def _shown_name(name: str) -> str:
    return name if re.fullmatch(r"[\w.<>-]{1,100}", name) else repr(name[:100])
