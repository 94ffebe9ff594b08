"""What the formats have in common: what a file holds, and how it is found there."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..errors import FileFormatError


@dataclass(frozen=True)
class Tensor:
    """A parameter's numbers, flat and in stored order; `gradient` is None if it is all zero.

    Of a lookup parameter the last dimension is the number of rows.
    """

    lookup: bool
    name: str
    dims: tuple[int, ...]
    values: np.ndarray
    gradient: np.ndarray | None


@dataclass(frozen=True)
class Entry:
    """What a file says of a parameter before its numbers are read, and where in the file these stand."""

    lookup: bool
    name: str
    dims: tuple[int, ...]
    gradient: bool = False
    at: int = 0

    @property
    def count(self) -> int:
        """How many values there are."""
        return math.prod(self.dims)

    def check(self, path: str, dims: tuple[int, ...]) -> None:
        """Raise FileFormatError if the dimensions are not these."""
        if self.dims != dims:
            kind = "lookup parameter" if self.lookup else "parameter"
            raise FileFormatError(f"{path}: {kind} {self.name} is {self.dims} in the file, {dims} in the model")


Expected = Sequence[tuple[bool, tuple[int, ...], str]]  # whether it is a lookup parameter, its dimensions and name

EXPLAIN: list[Callable[[Iterable[str], Iterable[str]], str]] = []
"""Functions that may know why a file does not fit, from the names it has and those expected; "" if they do not."""


class Reader:
    """An open file: first its `entries`, then the numbers of those that are wanted."""

    path: str
    entries: list[Entry]

    def read(self, entry: Entry) -> Tensor:
        """The numbers of an entry."""
        raise NotImplementedError

    def close(self) -> None:
        """Close the file."""
        raise NotImplementedError

    def __enter__(self):
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def with_prefix(self, key: str) -> list[Entry]:
        """The entries of the collection `key`; all of them if that is empty."""
        prefix = key if not key or key.endswith("/") else key + "/"
        return [entry for entry in self.entries if entry.name.startswith(prefix)]

    @cached_property
    def _by_name(self) -> dict[tuple[bool, str], Entry]:
        return {(entry.lookup, entry.name): entry for entry in reversed(self.entries)}

    def named(self, lookup: bool, name: str) -> Entry:
        """The first parameter, or lookup parameter, of a name.

        Raises:
            FileFormatError: there is none.
        """
        entry = self._by_name.get((lookup, name))
        if entry is None:
            kind = "lookup parameter" if lookup else "parameter"
            raise self._misfit(f"{self.path} holds no {kind} named {name!r}", self.entries, [name])
        return entry

    def _misfit(self, message: str, found: Iterable[Entry], expected: Iterable[str]) -> FileFormatError:
        """The error that a file does not fit, with what explains it."""
        names, wanted = [entry.name for entry in found], list(expected)
        return FileFormatError(". ".join(filter(None, [message, *[explain(names, wanted) for explain in EXPLAIN]])))

    def matching(self, key: str, expected: Expected) -> list[Entry]:
        """The entries of the collection `key`, in the order of what is expected.

        Raises:
            FileFormatError: there are more, fewer or other ones.
        """
        entries = self.with_prefix(key)
        parameters = [entry for entry in entries if not entry.lookup]
        lookups = [entry for entry in entries if entry.lookup]
        found, wanted = [*parameters, *lookups], sum(lookup for lookup, *_ in expected)
        if (len(found), len(lookups)) != (len(expected), wanted):
            there = f"{len(parameters)} parameters and {len(lookups)} lookup parameters"
            raise self._misfit(
                f"{self.path} holds {there}{' under ' * bool(key)}{key}, "
                f"the collection {len(expected) - wanted} and {wanted}",
                entries,
                [name for *_, name in expected],
            )
        for entry, (_, dims, _) in zip(found, expected):
            entry.check(self.path, dims)
        return found
