"""Parameters, builders and users' objects in files: `dy.save` and `dy.load`.

Two files hold what one call saves: `.data`, in DyNet's text format, and `.meta`, which says what to make of
it. They change together: the new `.data` stands ready under a name that follows from the new `.meta`, and
once that has taken the old one's place, readers take this `.data`, whether or not it has got its own name yet.
"""

from __future__ import annotations

import functools
import hashlib
import io
import os
import warnings
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

from .. import config
from ..annotations import Path
from ..checks import checked_path
from ..errors import ArgumentTypeError, FileFormatError, MissingFileError
from ..types import Collection
from . import meta, model_files
from .names import Allow, allowed
from .replacing import checked_mode, replacing
from .tensors import Entry, Expected, Reader, Tensor


def save(basename: Path, objects: Iterable[Any]) -> None:
    """Save parameters, lookup parameters, builders and other objects to `basename.data` and `basename.meta`.

    A spec may hold whatever pickle takes, also objects of classes of your own, such as a vocabulary. `load` has to be
    told of their classes. Those with methods that decide how they are pickled (see `load`) cannot be loaded again; a
    warning says so.

    Args:
        basename: what the names of the two files begin with.
        objects: anything iterable. What is neither a parameter nor a builder has `param_collection()`, a
            property `spec`, and a static method `from_spec(spec, model)` that makes it anew.

    Raises:
        ArgumentTypeError: an object of another kind, or a spec that cannot be pickled; nothing has been written.
        ArgumentError: a name that a file cannot hold.
        OSError: the files cannot be written; the old ones are as they were.

    >>> import tempfile
    >>> W = dy.Model().parameters_from_numpy([1, 2])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     dy.save(folder + "/model", [W])
    ...     (copy,) = dy.load(folder + "/model", dy.Model())
    >>> copy.value()
    [1.0, 2.0]
    """
    if isinstance(objects, str) and not isinstance(basename, str):
        raise ArgumentTypeError(f"save: the name of the files comes first: save({objects!r}, [...])")
    base = checked_path("save", basename)
    _save_pair(base + ".data", base + ".meta", objects, stacklevel=4)


def load(basename: Path, params: Collection, *, allow: Allow = ()) -> list[Any]:
    """Load what `save` saved, also that of the original DyNet, into a collection.

    The files import nothing, and all of what they name that is run is `from_spec`: of the library's builders, and of
    classes in modules that are imported already. Specs may hold Python's and numpy's plain data: numbers,
    strings, bytes, lists, tuples, sets, dicts (OrderedDict, Counter, defaultdict), deques, ranges, slices, arrays and
    numbers of numpy's, operations of the library's, the options of argparse and optparse.

    Objects of other classes are made if you allow their classes: by `object.__new__`, then their attributes are set,
    in their dicts and slots; `__init__` is not run. Named tuples, members of enumerations (but combined flags) and
    classes derived from Python's containers, strings and numbers may be allowed, too, and functions, which a spec then
    gets. What cannot be allowed is a class with `__new__`, `__del__`, `__reduce__`, `__reduce_ex__`, `__setstate__`,
    `__getnewargs__` or `__getnewargs_ex__` of its own. Of a class that is allowed, `__hash__` and `__eq__` are run if
    its objects are keys or in sets.

    Where a program is not to be changed, `dynet_config.set(allow=["module.Class"])` before `import dynet`, or
    DYNET_ALLOW=module.Class,module.Other in the environment does the same for all files, with classes of modules
    that are imported by the time of loading.

    Args:
        basename: as in `save`.
        params: the collection to add everything to.
        allow: classes, or names such as "module.Class"; or a dict of classes by their names in the file, such as
            {"__main__.Vocabulary": Vocabulary}.

    Returns:
        The objects, in the order in which they were saved.

    Raises:
        FileFormatError: a file is damaged, does not fit the other, or has objects of a class that is not allowed,
            which the message names; nothing has been added.
        OSError: a file cannot be read.

    A parser whose spec has a vocabulary::

        dy.save("model", [parser])
        (parser,) = dy.load("model", dy.Model(), allow=[Vocabulary])
    """
    base = _basename(basename, params)
    return _load_pair(base + ".data", base + ".meta", params, _permitted(allow))


def load_generator(basename: Path, params: Collection, *, allow: Allow = ()) -> Iterator[Any]:
    """Like `load`, but one object after the other as they are asked for.

    Raises:
        FileFormatError: as for `load`; what was given out before remains.
    """
    base = _basename(basename, params)
    return _objects(base + ".data", base + ".meta", params, _permitted(allow))


def save_components(path: Path, components: Iterable[Any]) -> None:
    """Save objects to a file of parameters, and what they are to `path.pym`."""
    path = checked_path("save", path)
    _save_pair(path, path + ".pym", components, stacklevel=5)


def load_components(path: Path, params: Collection, allow: Allow) -> list[Any]:
    """Load the objects of a file of parameters; these themselves, if there is no `path.pym`."""
    path, permitted = checked_path("load", path), _permitted(allow)
    if os.path.exists(path + ".pym"):
        return _load_pair(path, path + ".pym", params, permitted)
    return [params._add_loaded(tensor) for tensor in model_files.load_all(path)]


def forget_components(path: Path) -> None:
    """Remove what says of a file that is written anew what its parameters belonged to."""
    with suppress(FileNotFoundError):
        os.unlink(os.fsdecode(path) + ".pym")


def _basename(basename: Path, params: object) -> str:
    """What the names of two files begin with, which are to be loaded into a collection."""
    if not hasattr(params, "_add_loaded"):
        if isinstance(params, str) and not isinstance(basename, str):
            raise ArgumentTypeError(f"load: the name of the files comes first: load({params!r}, ...)")
        raise ArgumentTypeError(f"load: expected a ParameterCollection, got {type(params).__name__} {params!r:.60}")
    return checked_path("load", basename)


def _save_pair(data: str, meta_path: str, objects: Iterable, stacklevel: int) -> None:
    if hasattr(objects, "_tensor") or hasattr(objects, "param_collection"):
        raise ArgumentTypeError(f"save: the objects are one list: save(name, [...]), not {objects!r:.60}")
    if not isinstance(objects, Iterable):
        use = "; a collection has a method: model.save(path)" if hasattr(objects, "_add_loaded") else ""
        raise ArgumentTypeError(f"save: expected a list of objects, got {objects!r:.60}{use}")
    records, tensors = [], []
    for item in objects:
        record, held = _described(item)
        records.append(record)
        tensors += held
    content = io.BytesIO()
    problems = [meta.write(content, record) for record in records]
    target = os.path.realpath(data)
    checked_mode(target, data)
    ready = _ready_name(target, content.getvalue())
    with replacing(ready, named=data) as file:
        model_files.write(file, data, tensors)
    try:
        with replacing(meta_path) as file:
            file.write(content.getvalue())
    except BaseException:
        os.unlink(ready)
        raise
    os.replace(ready, target)
    for problem in filter(None, problems):
        _warn(problem, stacklevel)


@functools.cache
def _warn(problem: str, stacklevel: int) -> None:
    warnings.warn(f"save: the files are whole, but load will refuse them: {problem}", stacklevel=stacklevel)


def _permitted(allow: Allow) -> dict[str, Any]:
    """The classes that a call and the settings allow."""
    return {**config.PARAMS.allow, **allowed(allow)}


def _ready_name(target: str, content: bytes) -> str:
    """Where the `.data` that belongs to a `.meta` stands until it takes its place."""
    folder, name = os.path.split(target)
    return os.path.join(folder, f".{name[:150]}.{hashlib.sha256(content).hexdigest()[:24]}")


def _data_for(data: str, content: bytes) -> str:
    """The `.data` to read: the one that stands ready, if a save was interrupted and none has followed."""
    target = os.path.realpath(data)
    ready = _ready_name(target, content)
    try:
        return ready if os.stat(ready).st_mtime_ns >= os.stat(target).st_mtime_ns else data
    except FileNotFoundError:
        return ready if os.path.exists(ready) else data


def _described(item: Any) -> tuple[meta.Record, list[Tensor]]:
    if hasattr(item, "_tensor"):
        tensor = item._tensor()
        return meta.Record("LookupParameters" if tensor.lookup else "Parameters", tensor.name), [tensor]
    if not hasattr(item, "param_collection") or not hasattr(item, "spec"):
        raise ArgumentTypeError(
            f"save: expected a parameter, a builder or an object with param_collection and spec, "
            f"got {type(item).__name__}"
        )
    collection = item.param_collection()
    outside = [parameter._tensor() for parameter in getattr(item, "_outside", ())]
    return meta.Record(type(item), collection.name(), item.spec), [*collection._tensors(), *outside]


def _load_pair(data: str, meta_path: str, params: Collection, allow: dict[str, Any]) -> list[Any]:
    state = params._state()
    try:
        return list(_objects(data, meta_path, params, allow))
    except BaseException:
        params._return_to(state)
        raise


def _objects(data: str, meta_path: str, params: Collection, allow: dict[str, Any]) -> Iterator[Any]:
    try:
        with open(meta_path, "rb") as file:
            content = file.read()
    except FileNotFoundError as error:
        raise MissingFileError(error.errno, error.strerror, error.filename) from None
    records = meta.read(content, meta_path, allow)
    with model_files.opened(_data_for(data, content), named=data) as reader:
        entries = _Entries(reader, {record.name for record in records if isinstance(record.kind, str)})
        for record in records:
            yield _object(record, entries, params)


class _Entries:
    """The entries of a file, taken in order as long as the names agree, else found by name.

    `single` are the names of those that are objects themselves.
    """

    def __init__(self, reader: Reader, single: set[str]):
        self.reader, self.next, self.single = reader, 0, single

    def one(self, lookup: bool, name: str) -> Entry:
        entry = next(iter(self.reader.entries[self.next : self.next + 1]), None)
        if entry is None or entry.lookup != lookup or entry.name != name:
            return self.reader.named(lookup, name)
        self.next += 1
        return entry

    def floats(self, name: str) -> int:
        """How many numbers the collection of a name can have."""
        return sum(entry.count for entry in self.reader.with_prefix(name))

    def outside(self, expected: Expected) -> list[Entry]:
        """What follows a builder of the parameters that it has outside of its collection; DyNet's files lack them."""
        following = self.reader.entries[self.next : self.next + len(expected)]
        same = [(entry.lookup, entry.dims) for entry in following] == [(lookup, dims) for lookup, dims, _ in expected]
        if not same or any(entry.name in self.single for entry in following):
            return []
        self.next += len(expected)
        return following

    def all(self, name: str, expected: Expected) -> list[Entry]:
        following = self.reader.entries[self.next : self.next + len(expected)]
        if len(following) == len(expected) and all(
            entry.lookup == lookup and entry.dims == dims and entry.name.startswith(name)
            for entry, (lookup, dims, _) in zip(following, expected)
        ):
            self.next += len(expected)
            return following
        return self.reader.matching(name, expected)


def _object(record: meta.Record, entries: _Entries, params: Collection) -> Any:
    reader = entries.reader
    if isinstance(record.kind, str):
        return params._add_loaded(reader.read(entries.one(record.kind == "LookupParameters", record.name)))
    # the normalisation of a builder, which may not be in the file, is never larger than one and a half times the rest
    with params._all_or_nothing(entries.floats(record.name) * 5 // 2):
        try:
            made = record.kind.from_spec(record.spec, params)  # type: ignore[attr-defined]
        except FileFormatError:
            raise
        except Exception as error:
            raise FileFormatError(
                f"{reader.path}: {record.kind.__name__}.from_spec failed: {type(error).__name__}: {error}"
            ) from error
        targets = made.param_collection()._everything()
        expected = [target._expected() for target in targets]
        tensors = [reader.read(entry) for entry in entries.all(record.name, expected)]
        targets += (outside := list(getattr(made, "_outside", ())))
        tensors += [reader.read(entry) for entry in entries.outside([target._expected() for target in outside])]
        for target, tensor in zip(targets, tensors):
            target._take(tensor)
    return made
