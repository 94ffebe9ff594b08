"""Write and read the `.meta` file of `dy.save`, which describes the saved objects.

The file has one pickle for each object. The pickled value is one of these tuples:

    ("Parameters", name)   ("LookupParameters", name)   (class, spec, name of the object's parameter collection)

A spec is the value from which the class makes the object again, by its method `from_spec`. It can be anything that can
be pickled. Classes of this library are named as in the original DyNet's files, for example `_dynet.VanillaLSTMBuilder`.
Reading a file imports nothing and calls nothing that the file names; see the modules `pickle_reader` and `names`.
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

    Args:
        kind: "Parameters" for a parameter, "LookupParameters" for a lookup parameter; for any other object, its class.
        name: the full name of the parameter; for any other object, the name of its parameter collection.
        spec: the value from which `kind.from_spec` makes the object again; None for parameters.
    """

    kind: str | type
    name: str
    spec: Any = None


def write(file: BinaryIO, record: Record, allow: Mapping[str, Any], own: bool = False) -> str:
    """Write the description of one object to an open `.meta` file.

    Args:
        file: the open file.
        record: the description.
        allow: as for `read`.
        own: as for `read`.

    Returns:
        "" if `read` will accept the description with the same `allow` and `own`. Otherwise a message that says what
        `read` will ask for, or why it will refuse the description in any case.

    Raises:
        ArgumentTypeError: the spec cannot be pickled.
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
    """Read all descriptions of a `.meta` file and return them.

    Args:
        content: the bytes of the file.
        path: the file's name, for error messages.
        allow: the classes that the user allows: a dict from the names that they have in the file to the classes. If a
            value is None, the class is looked up by its name in the modules that are already imported.
        own: whether the program's own classes are allowed, too: see `modules.belongs`.

    Raises:
        FileFormatError: the file is damaged, or names a class that is not allowed.
    """
    stream, records, limits = io.BytesIO(content), [], Limits(len(content))
    while stream.tell() < len(content):
        names = Names(allow, limits, own)
        try:
            records.append(record := _record(_value(stream, names)))
            if type(record.kind) is not str and record.kind is not names.first:
                raise ValueError("classes that belong to another class than the one that takes them")
        except Exception as error:  # reading a damaged pickle may raise any exception
            damaged = "" if names.refused else "it is damaged, or more than plain data: "
            raise FileFormatError(f"{path}: object {len(records)}: {damaged}{_problem(error, names)}") from None
    return records


def _value(stream: BinaryIO, names: Names) -> Any:
    """Read the next pickle from `stream` and return its value.

    Raises:
        ValueError: `names` refuses a class or function that the pickle names, or the pickle is not plain data.
        Exception: the pickle is damaged. The exception may be of any class.
    """
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
    """Return text for an error message: what `names` has refused, and why; if nothing, the text of `error`."""
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
