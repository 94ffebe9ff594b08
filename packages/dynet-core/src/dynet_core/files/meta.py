"""Write and read the `.meta` file of `dy.save`: one pickle for each object, of one of these tuples:

    ("Parameters", name)   ("LookupParameters", name)   (class, spec, name of the object's parameter collection)

Classes of this library are named as in the original DyNet's files, for example `_dynet.VanillaLSTMBuilder`. Reading a
file imports nothing and calls nothing that the file names.
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
    """The description of one saved object.

    `kind` is "Parameters", "LookupParameters" or a class; `name` is that of the parameter, or of the object's
    collection; from `spec`, `kind.from_spec` makes the object again.
    """

    kind: str | type
    name: str
    spec: Any = None


def write(file: BinaryIO, record: Record, allow: Mapping[str, Any], own: bool = False) -> str:
    """Write the description of one object; `allow` and `own` are as for `read`.

    Return "" if `read` will accept it; otherwise what `read` will ask for, or why it will refuse it in any case. Raise
    ArgumentTypeError if the spec cannot be pickled.
    """
    if isinstance(record.kind, str):
        file.write(dumps((record.kind, record.name))[0])
        return ""
    try:
        content, makers = dumps((record.kind, record.spec, record.name))
    except Exception as error:  # pickling calls methods of the user's objects, which may raise anything
        raise ArgumentTypeError(f"save: the spec of {record.kind.__name__} cannot be pickled: {error}") from error
    file.write(content)
    asked = ""
    for everything in (False, True):
        names = Names(allow, Limits(len(content)), own, everything)
        try:
            _value(io.BytesIO(content), names)
            return asked
        except Exception as error:
            problem = _problem(error, names)
        asked = f"load will ask for a permission: {problem}"
    classes = [makers[name].__name__ for name in names.refused if name in makers and name_of(makers[name]) != name]
    return f"load will refuse them: {problem}" + (f" (for {', '.join(classes)})" if classes else "")


def read(content: bytes, path: str, allow: Mapping[str, Any], own: bool = False) -> list[Record]:
    """Read all descriptions of a `.meta` file.

    `allow` maps names in the file to allowed classes; None stands for the class of that name in modules already
    imported. `own` allows the program's own classes, too: see `modules.belongs`.
    """
    stream, records, limits = io.BytesIO(content), [], Limits(len(content))
    while stream.tell() < len(content):
        names = Names(allow, limits, own)
        try:
            records.append(record := _record(_value(stream, names)))
            if type(record.kind) is not str and record.kind is not names.first:
                raise ValueError("classes that belong to a different class than the one that takes them")
        except Exception as error:  # reading a damaged pickle may raise any exception
            damaged = "" if names.refused else "it is damaged, or more than plain data: "
            raise FileFormatError(f"{path}: object {len(records)}: {damaged}{_problem(error, names)}") from None
    return records


def _value(stream: BinaryIO, names: Names) -> Any:
    """Read the next pickle from `stream`. Damaged ones raise exceptions of any class."""
    try:
        found = PickleReader(names).read(stream)
        names.limits.check_paths([found, *names.fragile], Function, names.refuse_value)
        if names.refused:
            raise ValueError("it is refused")
    except BaseException:
        names.abandon()
        raise
    return found


def _problem(error: Exception, names: Names) -> str:
    if names.refused:
        return explanation(names.refused)
    return f"{error!s:.200}" if type(error) is ValueError else f"{error!r:.200}"


def _record(found: Any) -> Record:
    kind, *spec, name = found if type(found) is tuple and len(found) in (2, 3) else ("", "")
    if type(kind) is str and kind in ("Parameters", "LookupParameters") and not spec and type(name) is str:
        return Record(kind, name)
    if is_a(kind, type) and spec and type(name) is str:
        if not is_builder(kind):
            raise ValueError(f"it is a {name_of(kind)}, which has no from_spec")
        return Record(kind, name, *spec)
    raise ValueError("it is neither a parameter's name nor a class, a spec and a name")
