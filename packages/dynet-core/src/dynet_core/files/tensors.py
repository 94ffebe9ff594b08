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

    Of a lookup parameter the last dimension is the number of rows. `frozen` says that trainers leave it alone.
    """

    lookup: bool
    name: str
    dims: tuple[int, ...]
    values: np.ndarray
    gradient: np.ndarray | None
    frozen: bool = False


@dataclass(frozen=True)
class Entry:
    """What a file says of a parameter before its numbers are read, and where in the file these stand."""

    lookup: bool
    name: str
    dims: tuple[int, ...]
    gradient: bool = False
    at: int = 0
    frozen: bool = False

    @property
    def count(self) -> int:
        """How many values there are."""
        return math.prod(self.dims)

    def problem(self, dims: tuple[int, ...]) -> str:
        """How the dimensions differ from these; empty if they do not."""
        if self.dims == dims:
            return ""
        there, here = shape_of(self.lookup, self.dims), shape_of(self.lookup, dims)
        return f"{kind_of(self.lookup)} {self.name} is {there} in the file, {here} in the model"

    def check(self, path: str, dims: tuple[int, ...]) -> None:
        """Raise FileFormatError if the dimensions are not these."""
        if problem := self.problem(dims):
            raise FileFormatError(f"{path}: {problem}")


def kind_of(lookup: bool) -> str:
    """What errors call a parameter, or a lookup parameter."""
    return "lookup parameter" if lookup else "parameter"


def shape_of(lookup: bool, dims: tuple[int, ...]) -> tuple[int, ...]:
    """Stored dimensions as users write them: the rows of a lookup parameter come first."""
    return (dims[-1], *dims[:-1]) if lookup else dims


Expected = Sequence[tuple[bool, tuple[int, ...], str]]  # whether it is a lookup parameter, its dimensions and name
MOST_NAMED = 20  # problems in one error

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
            raise self._misfit(f"{self.path} holds no {kind_of(lookup)} named {name!r}", self.entries, [name])
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
    """How the tensors of a file differ from those expected, as far as their names tell."""
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
    """Problems for an error, the first ones at least."""
    more = f"; {len(problems) - MOST_NAMED} more" if len(problems) > MOST_NAMED else ""
    return ": " * bool(problems) + "; ".join(problems[:MOST_NAMED]) + more
