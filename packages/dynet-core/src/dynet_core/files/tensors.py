"""The classes that all file formats share: stored parameters, their descriptions (entries), and readers of files."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cached_property

import numpy as np

from ..errors import FileFormatError
from ..messages.wording import few


@dataclass(frozen=True)
class StoredTensor:
    """A parameter as stored in a file.

    For a lookup parameter, `lookup` is true and the last of `dims` is the number of rows. `values` and `gradient` are
    flat arrays, column by column; `gradient` is None if it is zero or not stored. If `is_quantized`, the values are
    products of int8s and a scale for each row.
    """

    lookup: bool
    name: str
    dims: tuple[int, ...]
    values: np.ndarray
    gradient: np.ndarray | None
    frozen: bool = False
    is_quantized: bool = False


@dataclass(frozen=True)
class Entry:
    """The description of a parameter in a file: everything but its values and gradient.

    `has_gradient` says whether the file has a gradient. `position` is the byte where the values begin in a text file.
    """

    lookup: bool
    name: str
    dims: tuple[int, ...]
    has_gradient: bool = False
    position: int = 0
    frozen: bool = False
    is_quantized: bool = False

    @property
    def count(self) -> int:
        """How many values the parameter has."""
        return math.prod(self.dims)

    def __str__(self) -> str:
        return f"{kind_of(self.lookup)} {self.name} {shape_of(self.lookup, self.dims)}"

    def mismatch(self, dims: tuple[int, ...]) -> str:
        """Return how the dimensions differ from `dims`, the model's dimensions in the order of files; "" if equal."""
        if self.dims == dims:
            return ""
        in_file, in_model = shape_of(self.lookup, self.dims), shape_of(self.lookup, dims)
        return f"{kind_of(self.lookup)} {self.name} is {in_file} in the file, {in_model} in the model"


def kind_of(is_lookup: bool) -> str:
    return "lookup parameter" if is_lookup else "parameter"


def shape_of(is_lookup: bool, dims: tuple[int, ...]) -> tuple[int, ...]:
    """Return a parameter's shape as users see it: a lookup parameter's number of rows, last in files, comes first."""
    return (dims[-1], *dims[:-1]) if is_lookup else dims


ExpectedEntries = Sequence[Entry]  # descriptions of the parameters of a model, lookup parameters last
MOST_LISTED_PROBLEMS = 20  # an error message lists at most this many problems
MOST_COMPARED_NAMES = 1000  # a wrong name is compared with at most this many names, to save time

EXPLAINERS: list[Callable[[Iterable[str], Iterable[str]], str]] = []
"""Functions that explain why a file does not match a model; other packages append to this list. The arguments are the
names of the parameters in the file, and in the model. The result is a sentence for the error message, or ""."""


class Reader(AbstractContextManager):
    """An open file of parameters, described by `entries` in the order of the file. Each format has a subclass."""

    path: str
    entries: list[Entry]

    def read(self, entry: Entry) -> StoredTensor:
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError

    def __exit__(self, *_) -> None:
        self.close()

    def entries_under(self, key: str) -> list[Entry]:
        """Return the entries of the collection `key` ("": all)."""
        prefix = key and key.removesuffix("/") + "/"
        return [entry for entry in self.entries if entry.name.startswith(prefix)]

    @cached_property
    def _entry_by_kind_and_name(self) -> dict[tuple[bool, str], Entry]:
        return {(entry.lookup, entry.name): entry for entry in reversed(self.entries)}

    def entry_named(self, is_lookup: bool, name: str) -> Entry:
        """Return the first entry with this kind and full name. Raise FileFormatError if there is none."""
        entry = self._entry_by_kind_and_name.get((is_lookup, name))
        if entry is None:
            names = [entry.name for entry in self.entries if entry.lookup == is_lookup]
            hint = f": it holds {_nearest_names(name, names)}" * bool(names)
            raise self._misfit(f"{self.path} holds no {kind_of(is_lookup)} named {name!r}{hint}", self.entries, [name])
        return entry

    def _misfit(self, message: str, entries: Iterable[Entry], expected_names: Sequence[str]) -> FileFormatError:
        """Return an error: `message`, followed by the explanations of the functions in EXPLAINERS."""
        names = [entry.name for entry in entries]
        explanations = [explain(names, expected_names) for explain in EXPLAINERS]
        return FileFormatError(". ".join(filter(None, [message, *explanations])))

    def matching_entries(self, key: str, expected: ExpectedEntries) -> list[Entry]:
        """Return the entries of the collection `key` ("": all) in the order of `expected`, or raise FileFormatError.

        Entries are matched by order, not by name: the first entry of a lookup parameter belongs to the first expected
        lookup parameter, and so on, and likewise for other parameters. Files may mix both kinds.
        """
        entries = self.entries_under(key)
        ordered = sorted(entries, key=lambda entry: entry.lookup)
        lookup_count = sum(entry.lookup for entry in entries)
        expected_count = sum(entry.lookup for entry in expected)
        names = [entry.name for entry in expected]
        if key and expected and self.entries and not ordered:
            nearest = _nearest_names(key, _collection_names(self.entries) or [entry.name for entry in self.entries])
            raise self._misfit(f"{self.path} holds nothing under {key}: it holds {nearest}", self.entries, names)
        if (len(ordered), lookup_count) != (len(expected), expected_count):
            contents = f"holds {len(ordered) - lookup_count} parameters and {lookup_count} lookup parameters"
            contents = f"{contents}{' under ' * bool(key)}{key}" if self.entries else "is empty: it holds no parameters"
            if len({entry.name for entry in ordered}) < len(ordered):
                contents += ", some under the same name, as after save(append=True)"
            raise self._misfit(
                f"{self.path} {contents}, the collection {len(expected) - expected_count} and "
                f"{expected_count}{_problems_text(differences(ordered, expected))}",
                entries,
                names,
            )
        problems = [entry.mismatch(parameter.dims) for entry, parameter in zip(ordered, expected)]
        if problems := [*filter(None, problems)]:
            raise self._misfit(f"{self.path} does not fit the collection{_problems_text(problems)}", entries, names)
        return ordered


def _nearest_names(name: str, names: Iterable[str]) -> str:
    names = list(dict.fromkeys(names))[:MOST_COMPARED_NAMES]
    return few(sorted(names, key=lambda other: -SequenceMatcher(None, name, other).ratio()))


def _collection_names(entries: Iterable[Entry]) -> list[str]:
    """Return the names of all collections with entries, such as /encoder/, except /."""
    paths = [entry.name.split("/")[1:-1] for entry in entries]
    return [f"/{'/'.join(path[:depth])}/" for path in paths for depth in range(1, len(path) + 1)]


def differences(entries: Iterable[Entry], expected: ExpectedEntries) -> list[str]:
    """Compare the entries of a file with the expected parameters, by name. Return one message for each difference."""
    in_file = {(entry.lookup, entry.name): entry for entry in entries}
    in_model = {(entry.lookup, entry.name): entry for entry in expected}
    differing = [in_file[key].mismatch(entry.dims) for key, entry in in_model.items() if key in in_file]
    missing = [f"{entry} is in the model only" for key, entry in in_model.items() if key not in in_file]
    extra = [f"{entry} is in the file only" for key, entry in in_file.items() if key not in in_model]
    return [*filter(None, differing), *missing, *extra]


def _problems_text(problems: list[str]) -> str:
    """Return the end of a message: a colon, the first problems and how many more there are; "" if none."""
    ending = f"; {len(problems) - MOST_LISTED_PROBLEMS} more" if len(problems) > MOST_LISTED_PROBLEMS else ""
    return f"{': ' * bool(problems)}{'; '.join(problems[:MOST_LISTED_PROBLEMS])}{ending}"
