"""Look up what imported modules define, and which of their classes belong together.

Nothing is imported, and no code of the modules is run.
"""

from __future__ import annotations

import os
import sys
import sysconfig
import types
from typing import Any

from .limits import is_a

OURS = ("dynet", "_dynet", "dynet_rnn", "dynet_optim", "dynet_core")  # this library's modules; some may not be imported
OPS = "dynet_ops"  # this library's module that defines operations
LIBRARY = (*OURS, OPS, "dynet_kernels")
_STANDARD = tuple(os.path.join(sysconfig.get_path(name), "") for name in ("stdlib", "platstdlib"))
_STANDARD += tuple(os.path.join(os.path.realpath(path), "") for path in _STANDARD)


def imported(module: str, name: str) -> Any:
    """Return what an imported module has under a name such as "Class.Inner", without running code of it, or None."""
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        if not is_a(found, types.ModuleType, type):
            return None
        found = (named if is_a(found, type) else object.__getattribute__)(found, "__dict__").get(part)
    return found


def belongs(cls: type, other: type) -> bool:
    """Return whether `cls` is beside `other` and does not derive from a class of this library.

    Forged attributes of an object that does could be addresses.
    """
    ours = any(named(base, "__module__").partition(".")[0] in LIBRARY for base in named(cls, "__mro__"))
    return not ours and beside(cls, other)


def beside(cls: type, other: type) -> bool:
    """Return whether two classes are defined in the same module, folder or folder of a top-level package.

    Installed packages and the standard library have no classes that are beside others.
    """
    (module, folders), (its_module, its_folders) = _home(cls), _home(other)
    return module is not None and its_module is not None and (module is its_module or bool(folders & its_folders))


def _home(cls: type) -> tuple[Any, set[str]]:
    """Return a class's module, and the folders of its file and of its top-level package.

    The module is None if it is installed, or does not have the class. There are no folders where a folder may mix the
    program with what is installed, as in archives.
    """
    name = named(cls, "__module__")
    if imported(name, named(cls, "__qualname__")) is not cls:
        return None, set()
    module = sys.modules[name]
    inside = object.__getattribute__(module, "__dict__")
    file = inside.get("__file__")
    if type(file) is not str:  # a notebook's module or that of `python -c`, which has no spec, or a built-in one
        return (module if inside.get("__spec__") is None else None), set()
    real = os.path.realpath(file)
    if _is_installed(file) or _is_installed(real):
        return None, set()
    folder, package = os.path.dirname(real), inside.get("__package__") or ""
    inner = os.sep + package.replace(".", os.sep)
    entry = folder.removesuffix(inner) if package else folder  # where Python has found the module or its package
    if not (os.path.isabs(file) and os.path.isfile(real) and os.path.isdir(entry)) or getattr(sys, "frozen", False):
        return module, set()
    if any(name.endswith((".dist-info", "EGG-INFO")) for name in os.listdir(entry)):
        return None, set()  # pip has installed into this folder
    return module, {folder, folder if entry == folder else os.path.join(entry, package.partition(".")[0])}


def is_foreign(module: str | None) -> bool:
    """Return whether a module is installed, built-in, of the standard library or not imported."""
    inside = object.__getattribute__(sys.modules.get(module or "", types), "__dict__")
    file = inside.get("__file__") or ("" if inside.get("__spec__") is None else _STANDARD[0])
    return _is_installed(os.path.realpath(str(file))) or file in _STANDARD


def _is_installed(path: str) -> bool:
    return not {"site-packages", "dist-packages"}.isdisjoint(path.split(os.sep)) or path.startswith(_STANDARD)


def named(cls: type, attribute: str) -> Any:
    """Return an attribute that every class has, without running code. A name that is no `str` becomes ""."""
    found = vars(type)[attribute].__get__(cls)
    return found if type(found) in (str, tuple, types.MappingProxyType) else ""
