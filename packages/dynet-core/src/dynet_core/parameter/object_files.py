"""Save and load parameters, builders and users' objects: `dy.save` and `dy.load`. (The formats are in `files`.)

`save` writes two files: `.data` has the numbers, and `.meta` describes the objects. Even if saving is interrupted,
readers find two files that belong together: First, the new `.data` is written under a temporary name that contains a
hash of the new `.meta`. Then the new `.meta` replaces the old `.meta`. Now readers compute the hash of the new `.meta`,
and so find the new `.data` under its temporary name. Finally, the new `.data` is renamed and replaces the old `.data`.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import io
import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any

from .. import config
from ..annotations import Path
from ..checks import checked_path
from ..errors import ArgumentTypeError, FileFormatError
from ..files import meta, model_files
from ..files.names import Allow, allowed_by_name
from ..files.replacing import checked_mode, replacing
from ..files.tensors import Entry, ExpectedEntries, Reader, StoredTensor
from ..files.vocabulary import Vocabulary
from ..messages.wording import counted
from .base import Collection


def save(basename: Path, objects: Iterable[Any]) -> None:
    """Save parameters, builders, vocabularies and other objects to `basename.data` and `basename.meta`.

    An object that is not a parameter has a spec, from which its class recreates it. A spec may contain anything that
    can be pickled, including a `Vocabulary` and objects of your own classes. A warning names what `load` will
    refuse: classes and functions that are not listed in its argument `allow`, and objects that cannot be loaded,
    because their classes have their own pickle methods (see `load`).

    Args:
        basename: the path of the two files, without the extensions.
        objects: parameters, builders, vocabularies and objects of your own classes. Each of your classes needs a method
            `param_collection()`, a property `spec`, and a static method `from_spec(spec, model)` that recreates the
            object. There is a warning if `from_spec` is missing.

    Raises:
        ArgumentTypeError: `objects` contains something else, or a spec cannot be pickled. Nothing has been written.
        ArgumentError: a file cannot store the name of a parameter.
        OSError: the files cannot be written. The old files are unchanged.

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


def load(basename: Path, params: Collection, *, allow: Allow = (), int8: bool = False) -> list[Any]:
    """Load objects saved by `save` or by the original DyNet, and add their parameters to a collection.

    Loading imports nothing. Without `allow`, the only method that it calls is `from_spec`, of the library's builders
    and of classes in modules that are already imported. Specs may then contain plain data: numbers, strings, bytes,
    lists, tuples, sets, dicts (also OrderedDict, Counter and defaultdict), deques, ranges, slices, numpy's arrays and
    numbers, classes and operations of the library, and the options of argparse and optparse.

    Specs may also contain objects of the program's own classes. These are classes that no package manager has
    installed, and that are defined in the same module or folder as the class whose `from_spec` gets the spec, or in the
    same folder of a top-level package (a namespace package may have several). Their objects are made by
    `object.__new__`; then their attributes and slots are set, without running `__init__`. They include named tuples,
    enumerations (except combined flags) and classes derived from Python's containers, strings and numbers. But no
    object can be loaded if its class defines `__new__`, `__del__`, `__reduce__`, `__reduce_ex__`, `__setstate__`
    (except by `@dataclass`), `__getnewargs__` or `__getnewargs_ex__`. A class needs `allow` if its metaclass defines
    `__getattribute__`, `__hash__` or `__eq__`. With `dynet_config.set(own_classes=False)`, all own classes need it.

    `allow` permits objects of other classes. It is also needed for objects as dict keys or set elements if loading runs
    their `__hash__` or `__eq__`, and for classes and functions as values (only a `BiRNNBuilder` calls such values, to
    make its builders), except for the program's own classes that have their own `from_spec`.

    To allow classes without changing the program's calls, use `dynet_config.set(allow=["module.Class"])` before
    `import dynet`, or set DYNET_ALLOW=module.Class,module.Other in the environment. Their modules must be imported
    when the file is loaded.

    Args:
        basename: as for `save`.
        params: the collection to which all parameters are added.
        allow: a list of classes, or of names such as "module.Class"; or a dict from the names that files use to
            classes, such as {"__main__.Vocabulary": Vocabulary}.
        int8: whether to `quantize` what is loaded, for faster inference; see `ParameterCollection.quantize`.

    Returns:
        The objects, in the order in which they were saved.

    Raises:
        FileFormatError: a file is damaged, the two files do not match, or they contain objects of a class that is not
            allowed; the message names the class. Nothing has been added to `params`.
        OSError: a file cannot be read.

    For a parser whose spec contains a `Lexicon`, of a class defined by another package::

        dy.save("model", [parser])
        (parser,) = dy.load("model", dy.Model(), allow=[Lexicon])
    """
    base = _checked_basename(basename, params)
    with params._undo_on_error(), params._quantizing_new(int8):
        return _load_pair(base + ".data", base + ".meta", params, _permitted_classes(allow))


def load_generator(basename: Path, params: Collection, *, allow: Allow = ()) -> Iterator[Any]:
    """Like `load`, but yield each object as soon as it is loaded.

    Raises:
        FileFormatError: as for `load`, but the parameters of objects yielded before the error stay in the collection.
    """
    base = _checked_basename(basename, params)
    return _load_objects(base + ".data", base + ".meta", params, _permitted_classes(allow))


def save_components(path: Path, components: Iterable[Any]) -> None:
    """Save the `components` of `ParameterCollection.save`: numbers to `path`, descriptions to `path.pym`."""
    path = checked_path("save", path)
    _save_pair(path, path + ".pym", components, stacklevel=5)


def load_components(path: Path, params: Collection, allow: Allow) -> list[Any]:
    """Load what `save_components` saved. If there is no file `path.pym`, load all parameters in `path`."""
    path, allowed_classes = checked_path("load", path), _permitted_classes(allow)
    if os.path.exists(path + ".pym"):
        return _load_pair(path, path + ".pym", params, allowed_classes)
    return [params._add_from_file(tensor) for tensor in model_files.load_all(path)]


def forget_components(path: Path) -> None:
    """Remove the file `path.pym` of an earlier `save_components`: a whole collection has been saved to `path` since."""
    with suppress(FileNotFoundError):
        os.unlink(os.fsdecode(path) + ".pym")


def _checked_basename(basename: Path, params: object) -> str:
    if not hasattr(params, "_add_from_file"):
        if isinstance(params, str) and not isinstance(basename, str):
            raise ArgumentTypeError(f"load: the name of the files comes first: load({params!r}, ...)")
        raise ArgumentTypeError(f"load: expected a ParameterCollection, got {type(params).__name__} {params!r:.60}")
    return checked_path("load", basename)


def _save_pair(data_path: str, meta_path: str, objects: Iterable, stacklevel: int) -> None:
    if hasattr(objects, "_tensor") or hasattr(objects, "param_collection"):
        raise ArgumentTypeError(f"save: the objects are one list: save(name, [...]), not {objects!r:.60}")
    if not isinstance(objects, Iterable):
        use = "; a collection has a method: model.save(path)" * hasattr(objects, "_add_from_file")
        raise ArgumentTypeError(f"save: expected a list of objects, got {objects!r:.60}{use}")
    saved = [_record_and_tensors(item) for item in objects]
    content, settings = io.BytesIO(), config.PARAMS
    problems = [meta.write_record(content, record, settings.allow, settings.own_classes) for record, _ in saved]
    target = os.path.realpath(data_path)
    checked_mode(target, data_path)
    ready_path = _temporary_path(target, content.getvalue())
    with replacing(ready_path, shown_as=data_path) as file:
        model_files.write(file, data_path, [tensor for _, tensors in saved for tensor in tensors])
    try:
        with replacing(meta_path) as file:
            file.write(content.getvalue())
    except BaseException:
        os.unlink(ready_path)
        raise
    os.replace(ready_path, target)
    for problem in filter(None, problems):
        _warn(problem, stacklevel)


@functools.cache
def _warn(problem: str, stacklevel: int) -> None:
    warnings.warn(f"save: the files are complete, but {problem}", stacklevel=stacklevel)


def _permitted_classes(allow: Allow) -> dict[str, Any]:
    """Return all classes and functions that files may name: those in `allow` and in the settings of `dynet_config`."""
    return {**config.PARAMS.allow, **allowed_by_name(allow)}


def _temporary_path(target_path: str, content: bytes) -> str:
    """Return the temporary path of a new `.data` file: its name, cut if long, and a hash of `content`, the `.meta`."""
    folder, name = os.path.split(target_path)
    return os.path.join(folder, f".{name[:150]}.{hashlib.sha256(content).hexdigest()[:24]}")


def _data_path_for(data_path: str, content: bytes) -> str:
    """Return the path of the data for `content`, the `.meta` file: `data_path`, or a temporary file if newer."""
    # If saving was interrupted after the `.meta` file was replaced, the new data is still in the temporary file.
    target = os.path.realpath(data_path)
    ready_path = _temporary_path(target, content)
    try:
        return ready_path if os.stat(ready_path).st_mtime_ns >= os.stat(target).st_mtime_ns else data_path
    except FileNotFoundError:
        return ready_path if os.path.exists(ready_path) else data_path


def _record_and_tensors(item: Any) -> tuple[meta.SavedObject, list[StoredTensor]]:
    if hasattr(item, "_tensor"):
        tensor = item._tensor()
        return meta.SavedObject("LookupParameters" if tensor.lookup else "Parameters", tensor.name), [tensor]
    if isinstance(item, Vocabulary):
        return meta.SavedObject(type(item), "", item.spec), []
    for name in ("param_collection", "spec"):  # a user's property counts as present even if it raises AttributeError
        if not hasattr(item, name) and inspect.getattr_static(item, name, None) is None:
            expected = "a parameter, a builder, a vocabulary or an object with param_collection and spec"
            raise ArgumentTypeError(f"save: expected {expected}, got {type(item).__name__}")
    collection = _collection_of(item)
    outside = [parameter._tensor() for parameter in getattr(item, "_outside_parameters", ())]
    return meta.SavedObject(type(item), collection.name(), item.spec), [*collection._tensors(), *outside]


def _collection_of(item: Any) -> Any:
    params = item.param_collection()
    if not hasattr(params, "_all_parameters"):
        raise ArgumentTypeError(f"{type(item).__name__}.param_collection() returned {params!r:.60}, not a collection")
    return params


def _load_pair(data_path: str, meta_path: str, params: Collection, allowed_classes: dict[str, Any]) -> list[Any]:
    with params._undo_on_error():
        return list(_load_objects(data_path, meta_path, params, allowed_classes))


def _load_objects(data_path: str, meta_path: str, params: Collection, allowed_classes: dict[str, Any]) -> Iterator[Any]:
    with model_files.open_file("load", meta_path) as file:
        content = file.read()
    records = meta.read_records(content, meta_path, allowed_classes, config.PARAMS.own_classes)
    with model_files.open_reader(_data_path_for(data_path, content), final_path=data_path) as reader:
        if reader.entries and not records:
            held = counted(len(reader.entries), "parameter")
            raise FileFormatError(
                f"{meta_path} describes no object, but {data_path} holds {held}: the files are damaged"
            )
        entries = _Entries(reader, {record.name for record in records if isinstance(record.kind, str)})
        for record in records:
            yield _load_object(record, entries, params)


class _Entries:
    """Finds the parameters of each loaded object among the entries of a `.data` file.

    Usually these are the next entries, those from index `position`; otherwise they are found by the name of the
    parameter or collection. `single_names` are the names of parameters that were saved separately, not in a builder.
    """

    def __init__(self, reader: Reader, single_names: set[str]):
        self.reader, self.position, self.single_names = reader, 0, single_names

    def single_entry(self, is_lookup: bool, name: str) -> Entry:
        """Return the entry of a parameter that was saved separately."""
        entry = next(iter(self.reader.entries[self.position : self.position + 1]), None)
        if entry is None or entry.lookup != is_lookup or entry.name != name:
            return self.reader.entry_named(is_lookup, name)
        self.position += 1
        return entry

    def value_count(self, name: str) -> int:
        """Return how many values the file has for the parameters of the collection `name`."""
        return sum(entry.count for entry in self.reader.entries_under(name))

    def outside(self, expected: ExpectedEntries) -> list[Entry]:
        """Return the next entries: the parameters that a builder uses but that are not in its collection.

        Only the layer normalization of an LSTM has such parameters. Return [] for files of the original DyNet: they
        lack these parameters, so the next entries are not as expected.
        """
        return self._next_entries(expected, lambda entry: entry.name not in self.single_names) or []

    def collection_entries(self, name: str, expected: ExpectedEntries) -> list[Entry]:
        """Return the entries of a builder's collection `name`, in the order of `expected`."""
        following = self._next_entries(expected, lambda entry: entry.name.startswith(name))
        return self.reader.matching_entries(name, expected) if following is None else following

    def _next_entries(self, expected: ExpectedEntries, fits: Callable[[Entry], bool]) -> list[Entry] | None:
        """Return the next entries and move past them; None if one is not as expected, or `fits` is false for it."""
        following = self.reader.entries[self.position : self.position + len(expected)]
        kinds, expected_kinds = ([(entry.lookup, entry.dims) for entry in entries] for entries in (following, expected))
        if kinds != expected_kinds or not all(map(fits, following)):
            return None
        self.position += len(expected)
        return following


def _load_object(record: meta.SavedObject, entries: _Entries, params: Collection) -> Any:
    reader = entries.reader
    if isinstance(record.kind, str):
        return params._add_from_file(reader.read(entries.single_entry(record.kind == "LookupParameters", record.name)))
    # Limit the total size of the parameters that `from_spec` adds, because a forged file could request huge parameters.
    # The limit is 2.5 times the size in the file, because files of the original DyNet lack the parameters of layer
    # normalization, which are at most 1.5 times as large as all other parameters.
    with params._undo_on_error(entries.value_count(record.name) * 5 // 2):
        try:
            loaded = record.kind.from_spec(record.spec, params)  # type: ignore[attr-defined]
            if isinstance(loaded, Vocabulary):
                return loaded
            if not hasattr(loaded, "param_collection"):
                raise ArgumentTypeError(f"it returned {loaded!r:.60}, which has no param_collection")
            collection = _collection_of(loaded)
        except Exception as error:
            raise FileFormatError(
                f"{reader.path}: {record.kind.__name__}.from_spec failed: {type(error).__name__}: {error}"
            ) from error
        targets = collection._all_parameters()
        expected = [target._expected_entry() for target in targets]
        tensors = [reader.read(entry) for entry in entries.collection_entries(record.name, expected)]
        targets += (outside := list(getattr(loaded, "_outside_parameters", ())))
        tensors += [reader.read(entry) for entry in entries.outside([target._expected_entry() for target in outside])]
        for target, tensor in zip(targets, tensors):
            target._take_stored(tensor)
    return loaded
