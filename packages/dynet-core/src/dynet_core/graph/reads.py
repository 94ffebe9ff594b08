"""What a function reads besides its arguments: variables of enclosing functions and modules, and attributes.

A walk from the function's code finds every object that the code can reach by a name that occurs in it. For each name,
a *guard* says in which object the name was looked up, and what was found there.
"""

from __future__ import annotations

import builtins
import contextlib
import dis
import functools
import itertools
import re
import sys
import types
import weakref
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from dynet_kernels.recorder.words import ATTRIBUTE, DICT_ITEM, LIST_ITEM, WORD

from .. import recorder
from ..dim import Dim
from ..errors import FunctionError
from .expression import Expression

ABSENT = object()
MOST_GUARDS = 1 << 10
SIZE_OR_CONTENT = 2  # the number of the word with the size of a list or dict, or with the content of a cell
ATOMS = {
    int, float, complex, bool, str, bytes, range, slice, types.NoneType, types.EllipsisType, types.NotImplementedType,
    re.Pattern, types.GenericAlias, types.UnionType, Dim,
}  # fmt: skip
"""Types of objects that never change."""
OURS = frozenset("_dynet dynet dynet_config dynet_core dynet_kernels dynet_ops dynet_optim dynet_rnn".split())
LIBRARIES = OURS | set(
    "abc builtins collections contextlib copy dataclasses enum functools inspect itertools math cmath numbers numpy "
    "operator re string types typing warnings _abc _collections _functools _operator __future__".split()
)
"""Modules whose functions depend only on their arguments, as far as recording goes."""
IMPURE = frozenset("eval exec globals locals input open id setattr delattr __import__ cg_version random".split())
"""Names in LIBRARIES that a function cannot use: what they return differs from call to call, or what they change."""
BY_NAME = frozenset("getattr hasattr vars dir __dict__ attrgetter methodcaller MATCH_CLASS".split())
"""Names and instructions that can read attributes whose names are not in the code."""
UNCALLED = frozenset(
    "__init__ __new__ __del__ __repr__ __str__ __format__ __reduce__ __reduce_ex__ __getstate__ __setstate__ __copy__ "
    "__deepcopy__ __dir__ __sizeof__ __init_subclass__ __set_name__ __post_init__ __class_getitem__".split()
)
"""Special methods that operations on an object do not call."""
CALLABLE = (types.FunctionType, types.BuiltinFunctionType, recorder.FUNCTION_TYPE)
WRAPPERS = (types.MethodType, functools.partial, property, staticmethod, classmethod, functools.cached_property)
HEAP_TYPE = 1 << 9  # the flag of a type that is not built in
BASES = {object, list, dict, tuple, frozenset, str, int, float, BaseException, Exception, types.SimpleNamespace}


@dataclass(frozen=True, eq=False)
class Guard:
    """What was found under a name. `kind`: see `words.GUARD`. `path` says in errors what was read.

    `reference` returns the object in which the name was looked up. It does not keep the function's arguments alive.
    """

    kind: int
    reference: Callable[[], Any]
    name: Any
    found: Any
    path: str

    def holds(self) -> bool:
        """Return whether the same is found now, or an equal number or string."""
        now = self._read()
        return now is self.found or (type(now) is type(self.found) and is_atom(now) and repr(now) == repr(self.found))

    def now(self) -> Guard:
        return Guard(self.kind, self.reference, self.name, self._read(), self.path)

    def words(self) -> list[int]:
        owner = self.reference()
        is_count = self.kind == WORD and not isinstance(owner, types.CellType)
        expected = self.found if is_count else 0 if self.found is ABSENT else id(self.found)
        return [self.kind, id(owner), self.name if self.kind in (WORD, LIST_ITEM) else id(self.name), expected]

    def _read(self) -> Any:
        owner = self.reference()
        try:
            if self.kind == ATTRIBUTE:
                return getattr(owner, self.name)
            if self.kind == WORD:
                return owner.cell_contents if isinstance(owner, types.CellType) else len(owner)
            return owner[self.name]
        except (AttributeError, LookupError, ValueError):
            return ABSENT


def is_atom(x: Any) -> bool:
    return type(x) in ATOMS or isinstance(x, (np.generic, np.dtype))


class Reads:
    """The guards of a function, called with certain objects among its arguments.

    `changeable` are guards of names that the function may change. `asks_for_types` is whether it calls `type`, or asks
    whether two things are the same object.
    """

    def __init__(self, function: types.FunctionType, objects: Iterable[Any]):
        self._title, objects = function.__qualname__, [*objects]
        self._arguments = {id(x) for x in objects if hasattr(type(x), "__weakref__")}
        self._read_names, self._written_names, self._reads_all = set[str](), set[str](), False
        self.asks_for_types = False
        facts: Any = None
        while facts != (facts := (len(self._read_names), len(self._written_names), self._reads_all)):
            # Code that was found late may have names of objects that were found early.
            self.guards: list[Guard] = []
            self.changeable: list[Guard] = []
            self._seen: dict[int, Any] = {}
            try:
                self._visit_function(function, "the function")
                for x in objects:
                    self._visit(x, f"an argument, a {type(x).__name__}")
            except RecursionError:
                self._refuse("what it reads", "is nested too deeply")

    def _refuse(self, path: str, why: str) -> NoReturn:
        raise FunctionError(
            f"{self._title}: {path} {why}. Pass expressions and numbers instead, or leave out the decorator `function`"
        )

    def _reference(self, owner: Any) -> Any:
        return weakref.ref(owner) if id(owner) in self._arguments else lambda: owner

    def _guard(self, kind: int, owner: Any, name: Any, found: Any, path: str) -> None:
        self.guards.append(Guard(kind, self._reference(owner), name, found, path))
        if len(self.guards) > MOST_GUARDS:
            self._refuse(path, f"is one of more than {MOST_GUARDS} things that the function reads")
        if kind != WORD or isinstance(owner, types.CellType):
            self._visit(found, path)

    def _guard_size(self, x: Any, path: str) -> None:
        self._guard(WORD, x, SIZE_OR_CONTENT, len(x), path)

    def _visit(self, x: Any, path: str) -> None:
        """Add the guards of what can be reached from an object."""
        if is_atom(x) or x is ABSENT or id(x) in self._seen:
            return
        self._seen[id(x)] = x
        if isinstance(x, Expression):
            if "is_updated" in self._read_names and hasattr(x, "_updated"):
                self._guard(ATTRIBUTE, x, "_updated", getattr(x, "_updated"), f"{path}.is_updated()")  # noqa: B009
        elif isinstance(x, CALLABLE):
            self._visit_callable(x, path)
        elif isinstance(x, WRAPPERS):
            for part in ("__func__", "__self__", "func", "args", "keywords", "fget"):
                self._visit(getattr(x, part, None), path)
        elif isinstance(x, (types.ModuleType, type)):
            if not _is_of(LIBRARIES, x):
                self._visit_attributes(x, path)
            elif isinstance(x, types.ModuleType) and x.__name__ == "numpy" and "random" in self._read_names:
                self._refuse(f"{path}.random", "returns other numbers in each call")
            if isinstance(x, type):
                self._visit_special_methods(x, path, UNCALLED - {"__init__", "__new__", "__post_init__"})
        else:
            self._visit_instance(x, path)

    def _visit_callable(self, x: Any, path: str) -> None:
        self._visit(getattr(x, "__wrapped__", None), path)
        if isinstance(x, types.FunctionType):
            self._visit_function(x, path)
        elif isinstance(x, types.BuiltinFunctionType):
            if isinstance(x.__self__, types.ModuleType) or x.__self__ is None:
                if not _is_of(LIBRARIES, x) or x.__name__ in IMPURE:
                    self._refuse(path, "may be different in each call")
            else:
                self._visit(x.__self__, path)  # a method of an object

    def _visit_function(self, function: types.FunctionType, path: str) -> None:
        scope = function.__globals__
        if str(scope.get("__name__")).partition(".")[0] in LIBRARIES:
            if "registry" in vars(function) or function.__name__ in IMPURE:
                self._refuse(path, "may be different in each call")
            return
        instructions = [x for code in _codes(function.__code__) for x in dis.get_instructions(code)]
        named = [x for x in instructions if x.opcode in dis.hasname]
        names = {x.argval for x in named if x.opname.endswith(("GLOBAL", "_NAME")) and x.opname != "IMPORT_NAME"}
        attributes = [x for x in named if x.argval not in names or "ATTR" in x.opname or "METHOD" in x.opname]
        self._read_names |= {x.argval for x in attributes if not x.opname.startswith(("STORE", "DELETE", "IMPORT"))}
        self._written_names |= {x.argval for x in attributes if x.opname.startswith(("STORE", "DELETE"))}
        if not BY_NAME.isdisjoint({x.argval for x in named} | {x.opname for x in instructions}):
            self._reads_all = True
        for before, x in itertools.pairwise(instructions):
            self.asks_for_types |= x.opname == "IS_OP" and before.opname != "LOAD_CONST"
        for imported in {x.argval for x in named if x.opname == "IMPORT_NAME"}:
            if imported.partition(".")[0] not in LIBRARIES:
                self._refuse(f"{imported!r}, which it imports,", "may be different in each call")
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or ()):
            self._guard(WORD, cell, SIZE_OR_CONTENT, _content(cell), name)
        for name in sorted(names):
            self._guard(DICT_ITEM, scope, name, scope.get(name, ABSENT), name)
            if name not in scope and hasattr(builtins, name):
                self.asks_for_types |= name == "type"
                self._visit(getattr(builtins, name), name)
        for values in (function.__defaults__, function.__kwdefaults__):
            self._visit(values, f"a default of {path}")
        for name in vars(function).keys() & self._read_names - {"__wrapped__"}:
            self._guard(ATTRIBUTE, function, name, vars(function)[name], f"{path}.{name}")

    def _visit_instance(self, x: Any, path: str) -> None:
        kind = type(x)
        if isinstance(x, (list, dict)):
            self._guard_size(x, f"the length of {path}")
            for name, item in enumerate(x) if isinstance(x, list) else [*x.items()]:
                if not is_atom(name):
                    self._refuse(path, "has keys that may change")
                self._guard(LIST_ITEM if isinstance(x, list) else DICT_ITEM, x, name, item, f"{path}[{name!r:.40}]")
        elif isinstance(x, (tuple, frozenset)):
            for k, item in enumerate(x):
                self._visit(item, f"{path}[{k}]")
        is_namespace = kind is types.SimpleNamespace or (kind.__module__, kind.__name__) == ("argparse", "Namespace")
        is_built_in = not kind.__flags__ & HEAP_TYPE
        if (kind in BASES and not is_namespace) or (
            is_built_in and _is_of(LIBRARIES, kind) and hasattr(kind, "__get__")
        ):
            return
        if any([_is_of(OURS, cls) for cls in kind.__mro__]):
            self._visit_library_object(x, path)
        elif isinstance(x, functools._lru_cache_wrapper):
            self._visit(x.__wrapped__, path)
            return
        elif callable(x) and kind.__module__.startswith("numpy"):  # a function of numpy
            return
        elif not is_built_in and getattr(x, "__dict__", None) == {} and kind.__mro__ == (kind, object):
            pass  # it has no content, such as an object that stands for an absent value
        elif not is_namespace and (
            _is_of(LIBRARIES | sys.stdlib_module_names, kind)
            or any([not cls.__flags__ & HEAP_TYPE and cls not in BASES for cls in kind.__mro__])
        ):
            self._refuse(path, f"is of the type {kind.__name__}, whose changes cannot be noticed")
        if not _is_of(OURS, kind):
            self._visit_special_methods(kind, path, UNCALLED)
            self._visit_attributes(x, path)

    def _visit_library_object(self, x: Any, path: str) -> None:
        """Add guards for the numbers of an object of ours, such as dropout rates, and for the objects in its lists."""
        facts = {name: value for cls in type(x).__mro__ if _is_of(OURS, cls) for name, value in vars(cls).items()}
        for name, value in (facts | getattr(x, "__dict__", {})).items():
            if name.startswith("__") or name == "_latest":
                continue
            if is_atom(value) or (isinstance(value, tuple) and all(map(is_atom, value))):
                self._guard(ATTRIBUTE, x, name, getattr(x, name, ABSENT), f"{path}.{name}")
            elif isinstance(value, list):
                self._guard_size(value, f"the length of {path}.{name}")
            for part in _leaves(value) if isinstance(value, (list, tuple)) else ():
                if _is_of(OURS, type(part)):
                    self._visit(part, path)

    def _visit_attributes(self, x: Any, path: str) -> None:
        own: Any = {}
        with contextlib.suppress(TypeError):  # it has slots
            own = vars(x)
        if type(own) is dict and not isinstance(x, types.ModuleType):
            self._guard_size(own, f"the number of attributes of {path}")
        classes = x.__mro__ if isinstance(x, type) else type(x).__mro__
        for name in sorted(self._written_names):
            slots = [vars(cls)[name] for cls in classes if name in vars(cls)]
            if name in own or isinstance([*slots, None][0], types.MemberDescriptorType):
                found = getattr(x, name, ABSENT)
                self.changeable.append(Guard(ATTRIBUTE, self._reference(x), name, found, f"{path}.{name}"))
        more = own if self._reads_all and not isinstance(x, type) else ()
        for name in sorted({*self._read_names, *(name for name in more if not name.startswith("__"))}):
            where = f"{path}.{name}"
            in_classes = [vars(cls)[name] for cls in classes if name in vars(cls) and not _is_of(LIBRARIES, cls)]
            if name in own and not isinstance(x, type):
                self._guard(ATTRIBUTE, x, name, own[name], where)
            elif in_classes:
                self._guard_class_attribute(x, name, in_classes[0], where)
            for found in in_classes[1:]:  # which `super()` may find
                self._visit(found, where)

    def _guard_class_attribute(self, x: Any, name: str, found: Any, path: str) -> None:
        owner = x if isinstance(x, type) else type(x)
        if isinstance(found, (*CALLABLE, staticmethod, property)):
            self._guard(ATTRIBUTE, owner, name, getattr(owner, name, ABSENT), path)
        elif isinstance(found, types.MemberDescriptorType):  # a slot
            self._guard(ATTRIBUTE, x, name, getattr(x, name, ABSENT), path)
        elif hasattr(type(found), "__get__"):
            self._visit(found, path)
        else:
            self._guard(ATTRIBUTE, x, name, found, path)

    def _visit_special_methods(self, kind: type, path: str, left_out: Iterable[str]) -> None:
        """Visit methods such as `__call__` and `__getitem__`, whose names are not in the code that calls them."""
        for cls in kind.__mro__:
            for name, found in {} if _is_of(LIBRARIES, cls) else vars(cls).items():
                if name.startswith("__") and isinstance(found, CALLABLE) and name not in left_out:
                    self._visit(found, f"{path}.{name}")


def _is_of(libraries: Iterable[str], x: Any) -> bool:
    """Return whether a class, built-in function or module is part of one of these libraries."""
    name = x.__name__ if isinstance(x, types.ModuleType) else getattr(x, "__module__", None)
    return isinstance(name, str) and name.partition(".")[0] in libraries and not name.startswith("numpy.random")


def _leaves(items: Iterable[Any]) -> Iterator[Any]:
    for item in items:
        yield from _leaves(item) if isinstance(item, (list, tuple)) else [item]


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _codes(constant)


def _content(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # the variable has no value yet
        return ABSENT
