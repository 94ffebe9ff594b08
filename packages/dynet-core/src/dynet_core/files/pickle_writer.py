"""Writes pickles that the original DyNet reads: whatever pickle can, with our classes and operations as its own."""

from __future__ import annotations

import io
import pickle
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FunctionType
from typing import Any

from ..errors import ArgumentTypeError
from .names import is_listable, name_of, ours

PACKAGES = ("dynet_core", "dynet_ops", "dynet_rnn", "dynet_optim")
_PythonPickler: Any = pickle._Pickler  # type: ignore[attr-defined]  # in Python, for its methods to be replaced


def dumps(value: Any) -> tuple[bytes, dict[str, type]]:
    """The pickle of a value, and which functions it names for an object to be made by, with the object's class.

    Raises:
        ArgumentTypeError: it holds an object of the library's, such as a parameter.
        Exception: whatever pickling the objects in it raises.
    """
    try:
        return _Pickler.dumps(value)
    except RecursionError:
        with _deeper_recursion():
            return _Pickler.dumps(value)


class _Pickler(_PythonPickler):
    dispatch = dict(_PythonPickler.dispatch)

    @classmethod
    def dumps(cls, value: Any) -> tuple[bytes, dict[str, type]]:
        stream = io.BytesIO()
        pickler = cls(stream, protocol=4)
        pickler.makers = {}
        pickler.dump(value)
        return stream.getvalue(), pickler.makers

    def save_global(self, obj: Any, name: str | None = None) -> None:
        """Write a class or function by its name."""
        module, known = getattr(obj, "__module__", None) or "", name or getattr(obj, "__qualname__", "")
        if module.partition(".")[0] in PACKAGES and ours(known) is obj:
            known = obj._dynet_name() if hasattr(obj, "_dynet_name") else known
            self._save_name("_dynet", known, obj)
        elif module.startswith("numpy._core."):  # which numpy 1 lacks; both versions know the old name
            self._save_name("numpy.core." + module.removeprefix("numpy._core."), known, obj)
        else:
            super().save_global(obj, name)

    dispatch[FunctionType] = save_global

    def save_reduce(self, func: Any, *arguments: Any, obj: Any = None, **named: Any) -> None:
        """Write an object by what makes it anew."""
        if any(base.__module__.partition(".")[0] in PACKAGES for base in type(obj).__mro__):
            raise ArgumentTypeError(f"a {type(obj).__name__} is the library's own, and cannot stand in a spec")
        if is_listable(func):
            self.makers[name_of(func)] = type(obj)
        _PythonPickler.save_reduce(self, func, *arguments, obj=obj, **named)  # as a function: super() would recur in C

    def _save_name(self, module: str, name: str, obj: Any) -> None:
        self.save(module)
        self.save(name)
        self.write(pickle.STACK_GLOBAL)
        self.memoize(obj)


@contextmanager
def _deeper_recursion() -> Iterator[None]:
    """A block that may recur as deeply as pickle's compiled version, which needs a fifth of the calls."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(5 * before)
    try:
        yield
    finally:
        sys.setrecursionlimit(before)
