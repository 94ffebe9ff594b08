"""Write and read the `.meta` file of `dy.save`. It has a pickle for each object, of one of these tuples:

    ("Parameters", name)   ("LookupParameters", name)   (class, spec, name of the object's parameter collection)

Classes of this library are named as in the original DyNet's files, for example `_dynet.VanillaLSTMBuilder`. Reading a
file imports nothing and calls nothing that the file names.
"""

from __future__ import annotations

import io
import pickle
import pickletools
import sys
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import FunctionType
from typing import Any, BinaryIO

from ..errors import ArgumentTypeError, FileFormatError
from .instances import add_items, set_items
from .limits import MOST_LEVELS, Limits, is_a
from .names import Names, Refused, Substitute, explanation, is_builder, is_listable, library_object, name_of
from .vocabulary import Vocabulary


class PickleReader:
    """Reads one pickle. Its opcode MARK puts a mark on the stack, before the items of a container.

    `stack` has the values after the last mark. `outer_stacks` has a list for each mark: the values between the previous
    mark and this one. `memo` is number -> value, for values that the pickle uses again.
    """

    def __init__(self, names: Names):
        self.names, self.limits = names, names.limits
        self.stack: list = []
        self.outer_stacks: list[list] = []
        self.memo: dict[int, Any] = {}

    def read(self, file: BinaryIO) -> Any:
        """Read the next pickle of a file and return its value."""
        for opcode, argument, _ in pickletools.genops(file):
            perform = OPCODES.get(opcode.name)
            if perform is None:
                raise ValueError(f"opcode {opcode.name}, which plain data do not need")
            perform(self, argument)
        if self.outer_stacks or len(self.stack) != 1:
            raise ValueError("a pickle that ends within a value")
        return self.stack[0]

    def pop(self, count: int) -> list:
        if count > len(self.stack):
            raise ValueError("a stack that is too short")
        values = self.stack[-count:]
        del self.stack[-count:]
        return values

    def pop_to_mark(self) -> list:
        """Remove the last mark and all values after it. Return these values."""
        values, self.stack = self.stack, self.outer_stacks.pop()
        return values


OpcodeFunction = Callable[[PickleReader, Any], Any]


def _mark(reader: PickleReader, argument: None) -> None:
    if len(reader.outer_stacks) > MOST_LEVELS:
        raise ValueError("it is nested too deeply")
    reader.outer_stacks.append(reader.stack)
    reader.stack = []


def _pop(reader: PickleReader, argument: None) -> None:
    if reader.stack:
        del reader.stack[-1]
    else:
        reader.pop_to_mark()


def _put(reader: PickleReader, index: int) -> None:
    reader.memo[index] = reader.stack[-1]


def _pushing(make: Callable[[], Any]) -> OpcodeFunction:
    """Return the function of an opcode that pushes the result of `make()` onto the stack."""
    return lambda reader, _: reader.stack.append(make())


def _tuple_of_top(count: int) -> OpcodeFunction:
    """Return the function of an opcode that replaces the last `count` values with a tuple of them."""
    return lambda reader, _: reader.stack.append(tuple(reader.pop(count)))


def _of_marked(make: Callable[[PickleReader, list], Any]) -> OpcodeFunction:
    """Return the function of an opcode that replaces all values since the last mark with the result of `make`."""

    def perform(reader: PickleReader, argument: None) -> None:
        values = reader.pop_to_mark()
        reader.stack.append(make(reader, values))

    return perform


def _into_container(put: Callable[[Any, list, Limits], None], count: int = 0) -> OpcodeFunction:
    """Return an opcode's function: it moves the top `count` values (0: all since the mark) into the container below."""

    def perform(reader: PickleReader, argument: None) -> None:
        values = reader.pop(count) if count else reader.pop_to_mark()
        target = reader.stack[-1]
        if type(target) is not Refused:
            put(target, values, reader.limits)

    return perform


def _extend(target: Any, values: list, limits: Limits) -> None:
    (list if is_a(target, list) else deque).extend(target, values)


def _put_pairs(target: Any, values: list, limits: Limits) -> None:
    set_items(target, zip(values[::2], values[1::2], strict=True), limits)


def _make_dict(reader: PickleReader, values: list) -> dict:
    result: dict = {}
    _put_pairs(result, values, reader.limits)
    return result


def _make_frozenset(reader: PickleReader, values: list) -> frozenset:
    return frozenset(reader.limits.checked_key(value, values) for value in values)


def _stack_global(reader: PickleReader, argument: None) -> None:
    module, name = reader.pop(2)
    if type(module) is not str or type(name) is not str:
        raise ValueError("a name that is not a string")
    reader.stack.append(reader.names.find(module, name))


def _call(reader: PickleReader, argument: None) -> None:
    reader.stack.append(reader.names.call(*reader.pop(2)))


def _call_with_keywords(reader: PickleReader, argument: None) -> None:
    *call, keywords = reader.pop(3)
    result = reader.names.call(*call)
    if type(result) is not Refused and (type(keywords) is not dict or keywords):
        raise ValueError("arguments with names, which plain data do not need")
    reader.stack.append(result)


def _call_marked(reader: PickleReader, values: list) -> Any:
    callee, *arguments = values
    return reader.names.call(callee, tuple(arguments))


def _call_global(reader: PickleReader, module_and_name: str) -> None:
    arguments = tuple(reader.pop_to_mark())
    reader.stack.append(reader.names.call(reader.names.find(*module_and_name.split(" ", 1)), arguments))


def _build(reader: PickleReader, argument: None) -> None:
    (state,) = reader.pop(1)
    reader.names.build(reader.stack[-1], state)


_VALUE_OPCODES = """
    INT BININT BININT1 BININT2 LONG LONG1 LONG4 FLOAT BINFLOAT STRING BINSTRING SHORT_BINSTRING
    UNICODE BINUNICODE SHORT_BINUNICODE BINUNICODE8 BINBYTES SHORT_BINBYTES BINBYTES8 BYTEARRAY8
"""
OPCODES: dict[str, OpcodeFunction] = {
    **dict.fromkeys(("PROTO", "FRAME", "STOP"), lambda reader, _: None),
    **dict.fromkeys(_VALUE_OPCODES.split(), lambda reader, value: reader.stack.append(value)),
    "NONE": _pushing(lambda: None), "NEWTRUE": _pushing(lambda: True), "NEWFALSE": _pushing(lambda: False),
    "MARK": _mark, "POP": _pop, "POP_MARK": lambda reader, _: reader.pop_to_mark(),
    "DUP": lambda reader, _: reader.stack.append(reader.stack[-1]),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), _put),
    "MEMOIZE": lambda reader, _: _put(reader, len(reader.memo)),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), lambda reader, index: reader.stack.append(reader.memo[index])),
    "EMPTY_TUPLE": _pushing(tuple), "EMPTY_LIST": _pushing(list),
    "EMPTY_DICT": _pushing(dict), "EMPTY_SET": _pushing(set),
    "TUPLE1": _tuple_of_top(1), "TUPLE2": _tuple_of_top(2), "TUPLE3": _tuple_of_top(3),
    "TUPLE": _of_marked(lambda _, values: tuple(values)), "LIST": _of_marked(lambda _, values: values),
    "DICT": _of_marked(_make_dict), "FROZENSET": _of_marked(_make_frozenset),
    "APPEND": _into_container(_extend, 1), "APPENDS": _into_container(_extend), "ADDITEMS": _into_container(add_items),
    "SETITEM": _into_container(_put_pairs, 2), "SETITEMS": _into_container(_put_pairs),
    "GLOBAL": lambda reader, module_and_name: reader.stack.append(reader.names.find(*module_and_name.split(" ", 1))),
    "STACK_GLOBAL": _stack_global,
    "REDUCE": _call, "NEWOBJ": _call, "NEWOBJ_EX": _call_with_keywords, "OBJ": _of_marked(_call_marked),
    "INST": _call_global, "BUILD": _build,
}  # fmt: skip
"""The function that performs each opcode, by the opcode's name in the module `pickletools`."""


PACKAGES = ("dynet_core", "dynet_ops", "dynet_rnn", "dynet_optim")  # `.meta` files name their classes `_dynet.NAME`
# Unlike the C pickler, the Python pickler has methods to override.
_PythonPickler: Any = pickle._Pickler  # type: ignore[attr-defined]


def dumps(value: Any) -> tuple[bytes, dict[str, type]]:
    """Return a value's pickle, and a dict: name of a class or function that the pickle calls -> class of the result.

    Raise ArgumentTypeError if the value contains an object of the library, such as a parameter. Pickling calls methods
    of the user's objects, which may raise any other error.
    """
    try:
        return _Pickler.dumps(value)
    except RecursionError:
        limit = sys.getrecursionlimit()
        sys.setrecursionlimit(5 * limit)  # for each call of the pickler in C, the pickler in Python needs five
        try:
            return _Pickler.dumps(value)
        finally:
            sys.setrecursionlimit(limit)


class _Pickler(_PythonPickler):
    dispatch = dict(_PythonPickler.dispatch)

    @classmethod
    def dumps(cls, value: Any) -> tuple[bytes, dict[str, type]]:
        stream = io.BytesIO()
        pickler = cls(stream, protocol=4)
        pickler.made_classes = {}
        pickler.dump(value)
        return stream.getvalue(), pickler.made_classes

    def save_global(self, obj: Any, name: str | None = None) -> None:
        """Write the full name of a class or function. If it is this library's, write its name in the original DyNet."""
        module, qualname = getattr(obj, "__module__", None) or "", name or getattr(obj, "__qualname__", "")
        if module.partition(".")[0] in PACKAGES and library_object(qualname) is obj:
            self._save_name("_dynet", obj._dynet_name() if hasattr(obj, "_dynet_name") else qualname, obj)
        elif module.startswith("numpy._core."):  # numpy 1 has no `_core`; numpy 2 also knows the old name
            self._save_name("numpy.core." + module.removeprefix("numpy._core."), qualname, obj)
        else:
            super().save_global(obj, name)

    dispatch[FunctionType] = save_global  # the copied table still has the base class's function

    def save_reduce(self, func: Any, *arguments: Any, obj: Any = None, **options: Any) -> None:
        """Write an object as a call of a function. Store the object's class in `made_classes[function's name]`."""
        if type(obj) is not Vocabulary and any(
            base.__module__.partition(".")[0] in PACKAGES for base in type(obj).__mro__
        ):
            raise ArgumentTypeError(f"a {type(obj).__name__} is the library's own, and cannot stand in a spec")
        if is_listable(func):
            self.made_classes[name_of(func)] = type(obj)
        # A call through super() takes space on the C stack, which deeply nested objects would use up.
        _PythonPickler.save_reduce(self, func, *arguments, obj=obj, **options)

    def _save_name(self, module: str, name: str, obj: Any) -> None:
        self.save(module)
        self.save(name)
        self.write(pickle.STACK_GLOBAL)
        self.memoize(obj)


@dataclass(frozen=True)
class SavedObject:
    """The description of one saved object.

    `kind` is "Parameters", "LookupParameters" or a class. `name` is the name of the parameter, or of the object's
    collection. `kind.from_spec` recreates the object from `spec`.
    """

    kind: str | type
    name: str
    spec: Any = None


def write_record(file: BinaryIO, record: SavedObject, allow: Mapping[str, Any], allows_own: bool = False) -> str:
    """Write the description of one object. `allow` maps allowed names to classes; see `read_records` for `allows_own`.

    Return "" if `read_records` accepts the object; otherwise, a message: what the user must allow, or why the object is
    always refused. Raise ArgumentTypeError if the spec cannot be pickled.
    """
    if isinstance(record.kind, str):
        file.write(dumps((record.kind, record.name))[0])
        return ""
    try:
        content, made = dumps((record.kind, record.spec, record.name))
    except Exception as error:
        raise ArgumentTypeError(f"save: the spec of {record.kind.__name__} cannot be pickled: {error}") from error
    file.write(content)
    request = ""
    for allows_all in (False, True):
        names = Names(allow, Limits(len(content)), allows_own, allows_all)
        try:
            _read_value(io.BytesIO(content), names)
            return request
        except Exception as error:
            problem = _problem_text(error, names)
        request = f"load will ask for a permission: {problem}"
    classes = [made[name].__name__ for name in names.refused if name in made and name_of(made[name]) != name]
    return f"load will refuse them: {problem}" + (f" (for {', '.join(classes)})" if classes else "")


def read_records(content: bytes, path: str, allow: Mapping[str, Any], allows_own: bool = False) -> list[SavedObject]:
    """Read all descriptions in a `.meta` file.

    `allow` maps names in the file to allowed classes and functions. None stands for the object that has this name in an
    imported module. `allows_own` also allows the program's own classes; see `names.belongs`.
    """
    stream, records, limits = io.BytesIO(content), [], Limits(len(content))
    while stream.tell() < len(content):
        names = Names(allow, limits, allows_own)
        try:
            records.append(record := _checked_record(_read_value(stream, names)))
            if type(record.kind) is not str and record.kind is not names.builder:
                raise ValueError("classes that belong to a different class than the one that takes them")
        except Exception as error:  # reading a damaged pickle may raise any exception
            prefix = "" if names.refused else "it is damaged, or more than plain data: "
            raise FileFormatError(f"{path}: object {len(records)}: {prefix}{_problem_text(error, names)}") from None
    return records


def _read_value(stream: BinaryIO, names: Names) -> Any:
    """Read the next pickle from `stream`. A damaged pickle may raise any exception."""
    try:
        value = PickleReader(names).read(stream)
        names.limits.check_paths([value, *names.fragile_containers], Substitute, names.refuse_value)
        if names.refused:
            raise ValueError("it is refused")
    except BaseException:
        names.abandon()
        raise
    return value


def _problem_text(error: Exception, names: Names) -> str:
    if names.refused:
        return explanation(names.refused)
    return f"{error!s:.200}" if type(error) is ValueError else f"{error!r:.200}"


def _checked_record(value: Any) -> SavedObject:
    kind, *spec, name = value if type(value) is tuple and len(value) in (2, 3) else ("", "")
    if type(name) is str and spec and is_a(kind, type):
        if not is_builder(kind):
            raise ValueError(f"it is a {name_of(kind)}, which has no from_spec")
        return SavedObject(kind, name, *spec)
    if type(kind) is type(name) is str and kind in ("Parameters", "LookupParameters") and not spec:
        return SavedObject(kind, name)
    raise ValueError("it is neither a parameter's name nor a class, a spec and a name")
