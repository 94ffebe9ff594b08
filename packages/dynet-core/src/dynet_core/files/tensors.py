"""The classes that all file formats use: stored tensors, entries of a file, and readers that find them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..errors import FileFormatError


@dataclass(frozen=True)
class StoredTensor:
    """A parameter as files store it.

    Args:
        lookup: whether this is a lookup parameter.
        name: the full name.
        dims: the dimensions; of a lookup parameter, the last one is the number of rows.
        values: a flat array, column by column.
        gradient: the same for the gradient; None if it is zero.
        frozen: whether trainers do not change it.
    """

    lookup: bool
    name: str
    dims: tuple[int, ...]
    values: np.ndarray
    gradient: np.ndarray | None
    frozen: bool = False


@dataclass(frozen=True)
class Entry:
    """The description of a parameter in a file. `position` is the place of its numbers in the file, in bytes.

    `gradient` says whether the file has a gradient. The other fields are as in `StoredTensor`.
    """

    lookup: bool
    name: str
    dims: tuple[int, ...]
    gradient: bool = False
    position: int = 0
    frozen: bool = False

    @property
    def count(self) -> int:
        """The number of values."""
        return math.prod(self.dims)

    def problem(self, dims: tuple[int, ...]) -> str:
        """Return a message if the dimensions are not `dims`, else ""."""
        if self.dims == dims:
            return ""
        there, here = shape_of(self.lookup, self.dims), shape_of(self.lookup, dims)
        return f"{kind_of(self.lookup)} {self.name} is {there} in the file, {here} in the model"

    def check(self, path: str, dims: tuple[int, ...]) -> None:
        """Raise FileFormatError if the dimensions are not `dims`."""
        if problem := self.problem(dims):
            raise FileFormatError(f"{path}: {problem}")


def kind_of(lookup: bool) -> str:
    """Return the name for error messages of a parameter or a lookup parameter."""
    return "lookup parameter" if lookup else "parameter"


def shape_of(lookup: bool, dims: tuple[int, ...]) -> tuple[int, ...]:
    """Return stored dimensions as users write them: for a lookup parameter, the number of rows comes first."""
    return (dims[-1], *dims[:-1]) if lookup else dims


Expected = Sequence[tuple[bool, tuple[int, ...], str]]  # (whether it is a lookup parameter, dimensions, name)
MOST_NAMED = 20  # the most problems in one error message

EXPLAIN: list[Callable[[Iterable[str], Iterable[str]], str]] = []
"""Functions that explain why a file does not fit, given the names in it and the expected ones; or return ""."""


class Reader:
    """An open file. `entries` are known after opening; `read` returns the numbers of an entry."""

    path: str
    entries: list[Entry]

    def read(self, entry: Entry) -> StoredTensor:
        """Return the numbers of an entry."""
        raise NotImplementedError

    def close(self) -> None:
        """Close the file."""
        raise NotImplementedError

    def __enter__(self):
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def with_prefix(self, key: str) -> list[Entry]:
        """Return the entries of the collection `key`; all entries if it is empty."""
        prefix = key if not key or key.endswith("/") else key + "/"
        return [entry for entry in self.entries if entry.name.startswith(prefix)]

    @cached_property
    def _by_name(self) -> dict[tuple[bool, str], Entry]:
        return {(entry.lookup, entry.name): entry for entry in reversed(self.entries)}

    def named(self, lookup: bool, name: str) -> Entry:
        """Return the first parameter, or lookup parameter, with a name.

        Raises:
            FileFormatError: the file has none.
        """
        entry = self._by_name.get((lookup, name))
        if entry is None:
            raise self._misfit(f"{self.path} holds no {kind_of(lookup)} named {name!r}", self.entries, [name])
        return entry

    def _misfit(self, message: str, found: Iterable[Entry], expected: Iterable[str]) -> FileFormatError:
        """Return the error for a file that does not fit, with explanations from EXPLAIN."""
        names, wanted = [entry.name for entry in found], list(expected)
        return FileFormatError(". ".join(filter(None, [message, *[explain(names, wanted) for explain in EXPLAIN]])))

    def matching(self, key: str, expected: Expected) -> list[Entry]:
        """Return the entries of the collection `key`, in the order of `expected`.

        Raises:
            FileFormatError: their number or their dimensions are not as expected.
        """
        entries = self.with_prefix(key)
        parameters = [entry for entry in entries if not entry.lookup]
        lookups = [entry for entry in entries if entry.lookup]
        found, wanted = [*parameters, *lookups], sum(lookup for lookup, *_ in expected)
        names = [name for *_, name in expected]
        if (len(found), len(lookups)) != (len(expected), wanted):
            there = f"holds {len(parameters)} parameters and {len(lookups)} lookup parameters"
            there = f"{there}{' under ' * bool(key)}{key}" if self.entries else "is empty: it holds no parameters"
            raise self._misfit(
                f"{self.path} {there}, "
                f"the collection {len(expected) - wanted} and {wanted}{_listed(_by_name(found, expected))}",
                entries,
                names,
            )
        problems = [entry.problem(dims) for entry, (_, dims, _) in zip(found, expected)]
        if any(problems):
            raise FileFormatError(f"{self.path} does not fit the collection{_listed(list(filter(None, problems)))}")
        return found


def _by_name(found: Iterable[Entry], expected: Expected) -> list[str]:
    """Return how the tensors of a file differ from the expected ones, compared by name."""
    there = {(entry.lookup, entry.name): entry for entry in found}
    wanted = {(lookup, name): dims for lookup, dims, name in expected}
    different = [there[key].problem(dims) for key, dims in wanted.items() if key in there]
    missing = [
        f"{kind_of(lookup)} {name} {shape_of(lookup, dims)} is in the model only"
        for (lookup, name), dims in wanted.items()
        if (lookup, name) not in there
    ]
    more = [
        f"{kind_of(entry.lookup)} {entry.name} {shape_of(entry.lookup, entry.dims)} is in the file only"
        for key, entry in there.items()
        if key not in wanted
    ]
    return [*filter(None, different), *missing, *more]


def _listed(problems: list[str]) -> str:
    """Return the first problems as text for an error message."""
    more = f"; {len(problems) - MOST_NAMED} more" if len(problems) > MOST_NAMED else ""
    return ": " * bool(problems) + "; ".join(problems[:MOST_NAMED]) + more
