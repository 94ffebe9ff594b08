"""The classes that all file formats share: stored parameters, their descriptions, and readers of files.

The part of a file that stores one parameter is called its entry. An `Entry` object has everything in this part but the
parameter's values and gradient. The model is the collection of parameters that is saved to a file or loaded from it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cached_property

import numpy as np

from ..errors import FileFormatError
from ..wording import few


@dataclass(frozen=True)
class StoredTensor:
    """A parameter as it is written to a file or was read from one.

    Args:
        lookup: whether this is a lookup parameter, a table of rows.
        name: the full name, such as `/encoder/_0`.
        dims: the dimensions; of a lookup parameter, the last one is the number of rows.
        values: all numbers in a flat array, column by column.
        gradient: the gradient, as a flat array like `values`; None if it is zero, or if the file stores no gradients.
        frozen: whether trainers leave the parameter unchanged.
    """

    lookup: bool
    name: str
    dims: tuple[int, ...]
    values: np.ndarray
    gradient: np.ndarray | None
    frozen: bool = False


@dataclass(frozen=True)
class Entry:
    """The description of a parameter in a file: everything but its values and gradient.

    Args:
        lookup, name, dims, frozen: as in `StoredTensor`.
        gradient: whether the file also has the parameter's gradient.
        position: at which byte of the file the values begin. Only the text format uses it.
    """

    lookup: bool
    name: str
    dims: tuple[int, ...]
    gradient: bool = False
    position: int = 0
    frozen: bool = False

    @property
    def count(self) -> int:
        """How many values the parameter has."""
        return math.prod(self.dims)

    def problem(self, dims: tuple[int, ...]) -> str:
        """Compare the entry's dimensions with those of the parameter in the model.

        Args:
            dims: the parameter's dimensions in the model, in the order in which files store them.

        Returns:
            An error message if they differ; else "".
        """
        if self.dims == dims:
            return ""
        there, here = shape_of(self.lookup, self.dims), shape_of(self.lookup, dims)
        return f"{kind_of(self.lookup)} {self.name} is {there} in the file, {here} in the model"

    def check(self, path: str, dims: tuple[int, ...]) -> None:
        """Raise FileFormatError if the entry has other dimensions than the parameter in the model.

        Args:
            path: the file, for the error message.
            dims: the parameter's dimensions in the model, in the order in which files store them.
        """
        if problem := self.problem(dims):
            raise FileFormatError(f"{path}: {problem}")


def kind_of(lookup: bool) -> str:
    """Return "lookup parameter" or "parameter", for error messages."""
    return "lookup parameter" if lookup else "parameter"


def shape_of(lookup: bool, dims: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape of a parameter as users write it.

    Args:
        lookup: whether it is a lookup parameter.
        dims: its dimensions as files store them. Only for a lookup parameter does the order differ: in files, the
            number of rows is last; users write it first.
    """
    return (dims[-1], *dims[:-1]) if lookup else dims


# What a file must contain to fit a model. It has one tuple for each parameter of the model: (whether this is a lookup
# parameter, its dimensions as files store them, its name). Lookup parameters come after all others.
Expected = Sequence[tuple[bool, tuple[int, ...], str]]
MOST_NAMED = 20  # the most problems that one error message lists
MOST_COMPARED = 1000  # the most names that are compared with a wrong one

EXPLAIN: list[Callable[[Iterable[str], Iterable[str]], str]] = []
"""Functions that may know why a file does not fit a model. Other packages append theirs to this list. Each function
takes two arguments: the names of the parameters in the file, and the names of the parameters that the model expects. It
returns a sentence for the error message, or "" if it knows no reason."""


class Reader:
    """An open file of parameters. The list `entries` describes all of them, in the order of the file; `read` reads one.

    This is the base class; each file format has a subclass.
    """

    path: str
    entries: list[Entry]

    def read(self, entry: Entry) -> StoredTensor:
        """Read and return the parameter that `entry` describes."""
        raise NotImplementedError

    def close(self) -> None:
        """Close the file."""
        raise NotImplementedError

    def __enter__(self):
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def with_prefix(self, key: str) -> list[Entry]:
        """Return the entries whose names begin with `key`, the name of a collection; all entries if `key` is ""."""
        prefix = key if not key or key.endswith("/") else key + "/"
        return [entry for entry in self.entries if entry.name.startswith(prefix)]

    @cached_property
    def _by_name(self) -> dict[tuple[bool, str], Entry]:
        return {(entry.lookup, entry.name): entry for entry in reversed(self.entries)}

    def named(self, lookup: bool, name: str) -> Entry:
        """Return the first entry of a parameter with this name.

        Args:
            lookup: True finds only lookup parameters, False only other parameters.
            name: the full name, such as `/encoder/_0`.

        Raises:
            FileFormatError: the file has no such entry.
        """
        entry = self._by_name.get((lookup, name))
        if entry is None:
            there = [entry.name for entry in self.entries if entry.lookup == lookup]
            held = f": it holds {_nearest(name, there)}" * bool(there)
            raise self._misfit(f"{self.path} holds no {kind_of(lookup)} named {name!r}{held}", self.entries, [name])
        return entry

    def _misfit(self, message: str, found: Iterable[Entry], expected: Iterable[str]) -> FileFormatError:
        """Return an error whose text is `message`, followed by the reasons that the functions in EXPLAIN give.

        Args:
            message: how the file does not fit the model.
            found: the entries in the file.
            expected: the names of the parameters that the file should have.
        """
        names, wanted = [entry.name for entry in found], list(expected)
        return FileFormatError(". ".join(filter(None, [message, *[explain(names, wanted) for explain in EXPLAIN]])))

    def matching(self, key: str, expected: Expected) -> list[Entry]:
        """Return the entries of the collection `key`, one for each parameter in `expected`, in the same order.

        Entries and parameters are matched by their order, not by name: the first entry of a lookup parameter belongs to
        the first expected lookup parameter, and so on; the other entries likewise. In the file, lookup parameters may
        be between the others. In `expected` and in the result, they come after all others.

        Args:
            key: the name of the collection in the file; "" matches all entries of the file.
            expected: the parameters of the model.

        Raises:
            FileFormatError: the number of entries or their dimensions are not as expected.
        """
        entries = self.with_prefix(key)
        parameters = [entry for entry in entries if not entry.lookup]
        lookups = [entry for entry in entries if entry.lookup]
        found, wanted = [*parameters, *lookups], sum(lookup for lookup, *_ in expected)
        names = [name for *_, name in expected]
        if key and expected and self.entries and not found:
            held = _nearest(key, _collections(self.entries) or [entry.name for entry in self.entries])
            raise self._misfit(f"{self.path} holds nothing under {key}: it holds {held}", self.entries, names)
        if (len(found), len(lookups)) != (len(expected), wanted):
            there = f"holds {len(parameters)} parameters and {len(lookups)} lookup parameters"
            there = f"{there}{' under ' * bool(key)}{key}" if self.entries else "is empty: it holds no parameters"
            if len({entry.name for entry in found}) < len(found):
                there = f"{there}, some under the same name, as after save(append=True)"
            raise self._misfit(
                f"{self.path} {there}, "
                f"the collection {len(expected) - wanted} and {wanted}{_listed(different(found, expected))}",
                entries,
                names,
            )
        problems = [entry.problem(dims) for entry, (_, dims, _) in zip(found, expected)]
        if any(problems):
            listed = _listed(list(filter(None, problems)))
            raise self._misfit(f"{self.path} does not fit the collection{listed}", entries, names)
        return found


def _nearest(name: str, names: Iterable[str]) -> str:
    """Return the names that are most like `name`, for an error message."""
    names = list(dict.fromkeys(names))[:MOST_COMPARED]
    return few(sorted(names, key=lambda other: -SequenceMatcher(None, name, other).ratio()))


def _collections(entries: Iterable[Entry]) -> list[str]:
    """Return the names of all collections that the entries of a file are in, such as /encoder/, but not /."""
    parts = [entry.name.split("/")[1:-1] for entry in entries]
    return ["/" + "/".join(names[:depth]) + "/" for names in parts for depth in range(1, len(names) + 1)]


def different(found: Iterable[Entry], expected: Expected) -> list[str]:
    """Compare the entries of a file with the expected parameters, by name. Return one message for each difference."""
    there = {(entry.lookup, entry.name): entry for entry in found}
    wanted = {(lookup, name): dims for lookup, dims, name in expected}
    differing = [there[key].problem(dims) for key, dims in wanted.items() if key in there]
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
    return [*filter(None, differing), *missing, *more]


def _listed(problems: list[str]) -> str:
    """Return the end of an error message: a colon and the first MOST_NAMED problems; "" if there are none."""
    more = f"; {len(problems) - MOST_NAMED} more" if len(problems) > MOST_NAMED else ""
    return ": " * bool(problems) + "; ".join(problems[:MOST_NAMED]) + more
