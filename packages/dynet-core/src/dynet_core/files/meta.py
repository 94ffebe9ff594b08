"""The `.meta` file of `dy.save`: a pickle for each object, whose classes are those of module `_dynet`.

    ("Parameters", name)   ("LookupParameters", name)   (class, spec, name of its collection)

A spec is whatever pickle takes. Reading one runs no code and imports nothing; see `pickle_reader` and `names`.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

from ..errors import ArgumentTypeError, FileFormatError
from .limits import Limits
from .names import Function, Names, explanation, is_builder
from .pickle_reader import PickleReader
from .pickle_writer import dumps


@dataclass(frozen=True)
class Record:
    """What `.meta` says of one object; `kind` is "Parameters", "LookupParameters" or a class."""

    kind: str | type
    name: str
    spec: Any = None


def write(file: BinaryIO, record: Record) -> str:
    """Write a record.

    Returns:
        Why nobody can read it again, whatever is allowed; empty if somebody can.

    Raises:
        ArgumentTypeError: a spec that cannot be pickled.
    """
    if isinstance(record.kind, str):
        file.write(dumps((record.kind, record.name))[0])
        return ""
    try:
        content, makers = dumps((record.kind, record.spec, record.name))
    except Exception as error:  # of the user's methods, too
        raise ArgumentTypeError(f"save: the spec of {record.kind.__name__} cannot be pickled: {error}") from error
    file.write(content)
    names = Names({}, Limits(len(content)), everything=True)
    try:
        _value(io.BytesIO(content), names)
    except ValueError as error:
        classes = [makers[name].__name__ for name in names.refused if name in makers]
        return f"{error}" + (f" to make a {', '.join(classes)}" if classes else "")
    return ""


def read(content: bytes, path: str, allow: Mapping[str, Any]) -> list[Record]:
    """All records of a file.

    Args:
        allow: classes of the user's, by their names in the file; None for those that imported modules tell.

    Raises:
        FileFormatError: the file is damaged, or names a class that is not allowed.
    """
    stream, records, limits = io.BytesIO(content), [], Limits(len(content))
    while stream.tell() < len(content):
        try:
            records.append(_record(_value(stream, Names(allow, limits))))
        except ValueError as error:
            raise FileFormatError(f"{path}: object {len(records)}: {error}") from None
    return records


def _value(stream: BinaryIO, names: Names) -> Any:
    """The next value of a file.

    Raises:
        ValueError: what is the matter with it.
    """
    found = None
    try:
        found = PickleReader(names).read(stream)
        names.limits.ways(found, without=Function)
    except Exception as error:  # whatever a damaged pickle may lead to
        if not names.refused:
            raise ValueError(f"it is damaged, or more than plain data: {error!r:.200}") from None
    if names.refused:
        raise ValueError(explanation(names.refused))
    return found


def _record(found: Any) -> Record:
    kind, *spec, name = found if type(found) is tuple and len(found) in (2, 3) else (None, None)
    if type(kind) is str and kind in ("Parameters", "LookupParameters") and not spec and type(name) is str:
        return Record(kind, name)
    if isinstance(kind, type) and spec and type(name) is str:
        if not is_builder(kind):
            raise ValueError(f"it is a {kind.__name__}, which has no from_spec")
        return Record(kind, name, *spec)
    raise ValueError("it is neither a parameter's name nor a class, a spec and a name")
