"""Write pickles that the original DyNet can read, with the names that classes and operations have there."""

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

PACKAGES = ("dynet_core", "dynet_ops", "dynet_rnn", "dynet_optim")  # the packages of this library
# Unlike the pickler in C, this one has methods to override.
_PythonPickler: Any = pickle._Pickler  # type: ignore[attr-defined]


def dumps(value: Any) -> tuple[bytes, dict[str, type]]:
    """Return the pickle of a value, and a dict from the name of what it calls to the class of what the call makes.

    If the value contains an object of the library, such as a parameter, raise ArgumentTypeError. Errors of methods of
    objects in the value are passed on.
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
        """Write a class or function as its full name; for one of this library, as the name that DyNet gives it."""
        module, known = getattr(obj, "__module__", None) or "", name or getattr(obj, "__qualname__", "")
        if module.partition(".")[0] in PACKAGES and ours(known) is obj:
            known = obj._dynet_name() if hasattr(obj, "_dynet_name") else known
            self._save_name("_dynet", known, obj)
        elif module.startswith("numpy._core."):  # numpy 1 has no `_core`; numpy 2 also knows the old name
            self._save_name("numpy.core." + module.removeprefix("numpy._core."), known, obj)
        else:
            super().save_global(obj, name)

    dispatch[FunctionType] = save_global

    def save_reduce(self, func: Any, *arguments: Any, obj: Any = None, **named: Any) -> None:
        """Write an object as a call of a function, and note this function in `makers`."""
        if any(base.__module__.partition(".")[0] in PACKAGES for base in type(obj).__mro__):
            raise ArgumentTypeError(f"a {type(obj).__name__} is the library's own, and cannot stand in a spec")
        if is_listable(func):
            self.makers[name_of(func)] = type(obj)
        # A call through super() takes space on the C stack, which deeply nested objects would use up.
        _PythonPickler.save_reduce(self, func, *arguments, obj=obj, **named)

    def _save_name(self, module: str, name: str, obj: Any) -> None:
        self.save(module)
        self.save(name)
        self.write(pickle.STACK_GLOBAL)
        self.memoize(obj)


@contextmanager
def _deeper_recursion() -> Iterator[None]:
    """Raise the recursion limit fivefold: the pickler in Python needs five calls where the one in C needs one."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(5 * before)
    try:
        yield
    finally:
        sys.setrecursionlimit(before)
