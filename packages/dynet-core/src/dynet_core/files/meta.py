"""The `.meta` file of `dy.save`: a pickle for each object, in which classes are named as in module `_dynet`.

    ("Parameters", name)   ("LookupParameters", name)   (class, spec, name of its collection)

A spec is any value that can be pickled. Reading runs no code and imports nothing; see `pickle_reader` and `names`.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

from ..errors import ArgumentTypeError, FileFormatError
from .limits import Limits, is_a
from .names import Function, Names, explanation, is_builder, name_of
from .pickle_reader import PickleReader
from .pickle_writer import dumps


@dataclass(frozen=True)
class Record:
    """The description of one object. `kind` is "Parameters", "LookupParameters" or a class."""

    kind: str | type
    name: str
    spec: Any = None


def write(file: BinaryIO, record: Record) -> str:
    """Write a record.

    Returns:
        Why the record cannot be read again, even if all its classes are allowed; "" if it can.

    Raises:
        ArgumentTypeError: the spec cannot be pickled.
    """
    if isinstance(record.kind, str):
        file.write(dumps((record.kind, record.name))[0])
        return ""
    try:
        content, makers = dumps((record.kind, record.spec, record.name))
    except Exception as error:  # any exception: methods of the user's objects run here
        raise ArgumentTypeError(f"save: the spec of {record.kind.__name__} cannot be pickled: {error}") from error
    file.write(content)
    names = Names({}, Limits(len(content)), everything=True)
    try:
        _value(io.BytesIO(content), names)
    except Exception as error:
        classes = [makers[name] for name in names.refused if name in makers and name_of(makers[name]) != name]
        return _problem(error, names) + (f" (for {', '.join(cls.__name__ for cls in classes)})" if classes else "")
    return ""


def read(content: bytes, path: str, allow: Mapping[str, Any]) -> list[Record]:
    """Return all records of a file.

    Args:
        allow: the user's classes, by their names in the file; None for those to be found in imported modules.

    Raises:
        FileFormatError: the file is damaged, or names a class that is not allowed.
    """
    stream, records, limits = io.BytesIO(content), [], Limits(len(content))
    while stream.tell() < len(content):
        names = Names(allow, limits)
        try:
            records.append(_record(_value(stream, names)))
        except Exception as error:  # a damaged pickle may lead to any exception
            damaged = "" if names.refused else "it is damaged, or more than plain data: "
            raise FileFormatError(f"{path}: object {len(records)}: {damaged}{_problem(error, names)}") from None
    return records


def _value(stream: BinaryIO, names: Names) -> Any:
    """Read the next value of a file."""
    try:
        found = PickleReader(names).read(stream)
        names.limits.ways(found, without=Function)
        if names.refused:
            raise ValueError("it is refused")
    except BaseException:
        names.abandon()
        raise
    return found


def _problem(error: Exception, names: Names) -> str:
    """Return what was refused; if nothing was, the error's message."""
    if names.refused:
        return explanation(names.refused)
    return f"{error!s:.200}" if type(error) is ValueError else f"{error!r:.200}"


def _record(found: Any) -> Record:
    kind, *spec, name = found if type(found) is tuple and len(found) in (2, 3) else (None, None)
    if type(kind) is str and kind in ("Parameters", "LookupParameters") and not spec and type(name) is str:
        return Record(kind, name)
    if isinstance(kind, type) and is_a(kind, type) and spec and type(name) is str:
        if not is_builder(kind):
            raise ValueError(f"it is a {name_of(kind)}, which has no from_spec")
        return Record(kind, name, *spec)
    raise ValueError("it is neither a parameter's name nor a class, a spec and a name")
