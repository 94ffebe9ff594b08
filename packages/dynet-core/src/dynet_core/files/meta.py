"""The `.meta` file of `dy.save`: a pickle for each object, whose classes are those of module `_dynet`.

    ("Parameters", name)   ("LookupParameters", name)   (class, spec, name of its collection)

Reading one runs no code and imports nothing: only plain values are taken from a pickle, and for a class just
its name, by which it is then looked for among the classes that may be meant.
"""

from __future__ import annotations

import io
import pickle
import sys
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from ..errors import ArgumentError, FileFormatError

OURS = ("dynet", "_dynet", "dynet_rnn")  # modules that hold the builders, if they are imported
THEIRS = ("_dynet", "_gdynet", "dynet")  # what their module is called in files
PLAIN = (type(None), bool, int, float, str, bytes)
DEEPEST = 50


@dataclass(frozen=True)
class Record:
    """What `.meta` says of one object; `kind` is "Parameters", "LookupParameters" or a class."""

    kind: str | type
    name: str
    spec: Any = None


def write(file: BinaryIO, record: Record) -> None:
    """Write a record.

    Raises:
        ArgumentError: a spec that `read` would not accept.
    """
    if isinstance(record.kind, str):
        content: tuple = (record.kind, record.name)
    else:
        content = (record.kind, _plain(record.spec, record.kind), record.name)
    _Pickler(file, protocol=4).dump(content)


# The pickle module's classes in Python, for their tables of what to do with a type or an opcode.
_PythonPickler: Any = pickle._Pickler  # type: ignore[attr-defined]
_PythonUnpickler: Any = pickle._Unpickler  # type: ignore[attr-defined]


class _Pickler(_PythonPickler):
    """Writes our classes as DyNet's."""

    dispatch = dict(_PythonPickler.dispatch)

    def save_class(self, cls: type) -> None:
        module, name = _module_in_file(cls), cls.__qualname__
        self.save(module)
        self.save(cls._dynet_name() if module == "_dynet" and hasattr(cls, "_dynet_name") else name)  # type: ignore
        self.write(pickle.STACK_GLOBAL)
        self.memoize(cls)

    dispatch[type] = save_class


def _module_in_file(cls: type) -> str:
    package = cls.__module__.partition(".")[0]
    return "_dynet" if package.startswith("dynet_") and _ours(cls.__name__) is cls else cls.__module__


def _ours(name: str) -> Any:
    modules = [sys.modules[module] for module in OURS if module in sys.modules]
    return next((getattr(module, name) for module in modules if hasattr(module, name)), None)


def _plain(value: Any, owner: type, depth: int = 0) -> Any:
    """A spec in the types that files hold; numpy's numbers become Python's."""
    if isinstance(value, np.generic):
        value = value.item()
    if type(value) in PLAIN or isinstance(value, type) and hasattr(value, "from_spec"):
        return value
    if depth < DEEPEST and type(value) in (tuple, list, set, frozenset):
        return type(value)(_plain(item, owner, depth + 1) for item in value)  # type: ignore
    if depth < DEEPEST and type(value) is dict:
        return {_plain(k, owner, depth + 1): _plain(v, owner, depth + 1) for k, v in value.items()}
    raise ArgumentError(
        f"save: the spec of {owner.__name__} holds a {type(value).__name__}, {value!r:.60}; a file can hold "
        "numbers, strings, classes with from_spec, and tuples, lists, sets and dicts of these"
    )


def read(content: bytes, path: str) -> list[Record]:
    """All records of a file.

    Raises:
        FileFormatError: the file is damaged, or names a class that no imported module has.
    """
    stream, records = io.BytesIO(content), []
    while stream.tell() < len(content):
        where = f"{path}: object {len(records)}"
        try:
            found = _Unpickler(stream).load()
        except Exception as error:  # whatever a damaged pickle may lead to
            raise FileFormatError(f"{where} is damaged: {error!r:.200}") from None
        records.append(_record(found, _Resolver(where, most=1000 + 100 * len(content))))
    return records


@dataclass(frozen=True)
class _Name:
    """Stands for a class while a pickle is read."""

    module: str
    name: str


_PLAIN = """
    PROTO FRAME STOP MARK POP POP_MARK DUP PUT BINPUT LONG_BINPUT GET BINGET LONG_BINGET MEMOIZE
    NONE NEWTRUE NEWFALSE INT BININT BININT1 BININT2 LONG LONG1 LONG4 FLOAT BINFLOAT
    STRING BINSTRING SHORT_BINSTRING UNICODE BINUNICODE SHORT_BINUNICODE BINUNICODE8
    BINBYTES SHORT_BINBYTES BINBYTES8 TUPLE EMPTY_TUPLE TUPLE1 TUPLE2 TUPLE3 LIST EMPTY_LIST APPEND APPENDS
    DICT EMPTY_DICT SETITEM SETITEMS EMPTY_SET ADDITEMS FROZENSET GLOBAL STACK_GLOBAL
"""
PLAIN_OPCODES = [getattr(pickle, name)[0] for name in _PLAIN.split()]


class _Unpickler(_PythonUnpickler):
    """Knows only opcodes that make plain values: none that call anything or reserve memory unseen."""

    dispatch = {code: _PythonUnpickler.dispatch[code] for code in PLAIN_OPCODES}

    def find_class(self, module: str, name: str) -> Any:
        return _Name(str(module), str(name))


def _record(found: Any, resolver: _Resolver) -> Record:
    if isinstance(found, tuple) and len(found) == 2 and found[0] in ("Parameters", "LookupParameters"):
        kind, name = found
        if type(name) is str:
            return Record(kind, name)
    if isinstance(found, tuple) and len(found) == 3 and isinstance(found[0], _Name) and type(found[2]) is str:
        return Record(resolver.class_of(found[0]), found[2], resolver.value(found[1]))
    raise FileFormatError(f"{resolver.where} is neither a parameter's name nor a class, a spec and a name")


class _Resolver:
    """Puts classes where a spec has names.

    Args:
        most: how many values a spec may have, one that stands in several places counted in each.
    """

    def __init__(self, where: str, most: int):
        self.where, self.left = where, most

    def value(self, found: Any, depth: int = 0) -> Any:
        self.left -= 1
        if self.left < 0 or depth > DEEPEST:
            raise FileFormatError(f"{self.where}: the spec is nested too deeply")
        kind = type(found)
        if kind is _Name:
            return self.class_of(found)
        if kind in (tuple, list, set, frozenset):
            return kind(self.value(item, depth + 1) for item in found)
        if kind is dict:
            return {self.value(k, depth + 1): self.value(v, depth + 1) for k, v in found.items()}
        return found

    def class_of(self, wanted: _Name) -> type:
        """One of our builders for DyNet's; else what an imported module has under the name."""
        found: Any
        if wanted.module in THEIRS:
            found = _ours(wanted.name)
        else:
            found = sys.modules.get(wanted.module)
            for part in wanted.name.split("."):
                found = getattr(found, "__dict__", {}).get(part)
        if not isinstance(found, type) or not callable(getattr(found, "from_spec", None)):
            name = f"{wanted.module}.{wanted.name}"
            raise FileFormatError(f"{self.where} is a {name}: no imported module has it, with from_spec")
        return found
