"""Signatures that differ only in sizes: the code that makes them runs for the first two (see `dynet_kernels.sizes`).

A *pattern* is what they have in common: formulas of the sizes for their integers in TABLE and for their fields.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any

from dynet_kernels.encode import TABLE
from dynet_kernels.layout import MARK, SIGNATURE
from dynet_kernels.sizes import Size, Trace, trace_of

from ..dim import Dim
from ..errors import DynetError
from ..recorder import forget_rows, next_generation
from . import KEPT, ORIGINS, SIGNATURES, Signature

MOST_SIZES = 96  # arguments of more sizes have no pattern: its formulas could be too long for Python
MOST_PATTERNS = 8  # of the signatures that one function makes for one kind of arguments
FIELDS = [field.name for field in fields(Signature) if field.name not in ("at", "dim", "_")]
RECENT: list[tuple[by_sizes, tuple, Row]] = []
"""Signatures from patterns, as (function, arguments, row), since the last call of `forget_recent`."""
KEYWORDS = object()  # begins the arguments of a call with keyword arguments


class Row:
    """A signature in TABLE. Its `Signature` object is only made when other attributes than these are read."""

    __slots__ = ("at", "dim", "is_forgotten", "op_names", "variadic")

    def __init__(self, at: int, dim: Dim, variadic: bool, op_names: list[str]):
        self.at, self.dim, self.variadic, self.op_names = at, dim, variadic, op_names
        self.is_forgotten: bool = False

    def __getattr__(self, name: str) -> Any:
        return getattr(SIGNATURES[self.at], name)


class Pattern:
    """What the signatures have in common that a function makes for one kind of arguments.

    The last signature of `trace` is the one that the function returns; the others are its parts.
    """

    def __init__(self, trace: Trace, op_names: list[str]):
        self._op_names = op_names
        self._traced = made = [signature for signature, _ in trace.descriptions]
        self._add_row = trace.row_function((made[-1].at, made[-1].dim.dims, made[-1].dim.batch))
        self._fields = [trace.function([getattr(one, name) for name in FIELDS]) for one in made]
        self._rows = trace.function([(one.at, one.dim.dims, one.dim.batch) for one in made])
        self._facts = made[-1].variadic, op_names
        self.claimed = trace.length, len(made)

    def row(self, sizes: Sequence[int]) -> Row | None:
        """Add a signature for these sizes to TABLE; return None if it does not have this pattern."""
        added = self._add_row(TABLE.claim, *sizes)
        if added is None:
            return None
        begin, mark, integers, (at, dims, batch) = added
        TABLE.integers[begin : begin + len(integers)] = integers
        ORIGINS[at] = self, begin, mark, *sizes
        if mark.bit_length() != (mark + len(MARK) * len(self._fields)).bit_length():
            next_generation()  # engines then make room for marks; see `Engine.refresh`
        return Row(at, Dim.of(dims, batch), *self._facts)

    def add_signatures(self, *variables: int) -> None:
        """Add the signatures for these values of the trace's variables to SIGNATURES."""
        for traced, (at, dims, batch), of in zip(self._traced, self._rows(*variables), self._fields):
            signature: Any = object.__new__(Signature)
            signature.at, signature.dim = at, Dim.of(dims, batch)
            for name, value in zip(FIELDS, of(*variables)):
                setattr(signature, name, value)
            first = TABLE.integers[at + SIGNATURE.parts]
            signature.parts = [SIGNATURES[part] for part in TABLE.integers[first : first + len(traced.parts)]]
            signature.name = signature.name or "".join(self._op_names[:1])
            SIGNATURES.setdefault(at, signature)


class by_sizes:  # noqa: N801  # a decorator, like functools.cache
    """Decorates a function that returns a signature: makes signatures from patterns where possible, and each only once.

    Arguments are of one *kind* if they differ only in ints and in the sizes of Dims that are not parameters'.
    `convert`, if given, is called with the tuple of arguments and returns what to use instead. The first of `op_names`
    is the name of signatures without one.
    """

    def __init__(self, make: Callable[..., Signature], convert: Callable[[tuple], tuple] | None = None):
        functools.update_wrapper(self, make)
        self._make, self._convert = make, convert
        self.op_names: list[str] = []
        self._known_rows: dict[tuple, Row | Signature] = {}
        self._patterns: dict[tuple, list[Pattern] | None] = {}  # kind -> its patterns; None if there are none

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        """Return the signature, as a Row if it has a pattern. It is kept for ever."""
        if keywords:
            arguments = KEYWORDS, arguments, *keywords.items()
        try:
            row = self.row(arguments)
            if type(row) is Row:
                KEPT.add(row.at)
                if row.is_forgotten:  # by another thread, just now
                    return self(*arguments)
            return row
        except DynetError as error:
            raise error.with_traceback(None) from None  # for a shorter traceback
        except TypeError:  # another function calls this one, with sizes that may vary
            trace = trace_of(_kind_and_sizes(arguments)[1])
            if trace is None:
                raise
            signature, at = trace.without(lambda: self._make_directly(arguments), self._at, _unpacked(arguments))
            signature.at = at
            return signature

    def _at(self, *unpacked: Any) -> int:
        return self(*_packed(unpacked)).at

    def row(self, arguments: tuple) -> Any:
        """Return the signature for these arguments, for a record that is appended now. It may be forgotten later."""
        if self._convert:
            arguments = self._convert(arguments)
        try:
            return self._known_rows.get(arguments) or self._known_rows.setdefault(arguments, self._new_row(arguments))
        except DynetError as error:
            raise error.with_traceback(None) from None

    def _new_row(self, arguments: tuple) -> Row | Signature:
        kind, sizes = _kind_and_sizes(arguments)
        if trace_of(sizes):
            raise TypeError("sizes that may vary have no signature")
        if kind not in self._patterns:  # a kind that occurs only once needs no pattern
            self._patterns[kind] = [] if len(sizes) <= MOST_SIZES else None
        else:
            patterns = self._patterns[kind]
            for pattern in patterns or ():
                if row := pattern.row(sizes):
                    RECENT.append((self, arguments, row))
                    return row
            if patterns is not None and len(patterns) < MOST_PATTERNS:
                if (pattern := self._traced(arguments)) and (row := pattern.row(sizes)):
                    patterns.append(pattern)
                    return row  # never forgotten, because there are few such signatures
                self._patterns[kind] = None
        signature: Any = self._make_directly(arguments)
        if type(signature) is not Row:
            signature.name = signature.name or "".join(self.op_names[:1])
        return signature

    def _make_directly(self, arguments: tuple) -> Signature:
        if arguments and arguments[0] is KEYWORDS:
            return self._make(*arguments[1], **dict(arguments[2:]))
        return self._make(*arguments)

    def _traced(self, arguments: tuple) -> Pattern | None:
        """Call the function with sizes that may vary. Return the pattern of its result; None if there is none."""
        trace = Trace()

        def varying(value: Any) -> Any:
            if type(value) is tuple:
                return tuple([varying(item) for item in value])
            if type(value) is int:
                return trace.variable(value)
            if isinstance(value, Dim) and value.plain is value:
                sizes: Any = [trace.variable(size) for size in (*value.dims, value.batch)]
                return Dim.of(tuple(sizes[:-1]), sizes[-1])
            return value

        try:
            signature = self._make_directly(varying(arguments))
        except Exception:  # a wrong argument, or something that only real sizes can do
            return None
        is_last = bool(trace.descriptions) and trace.descriptions[-1][0] is signature
        return Pattern(trace, self.op_names) if is_last else None


def enter(function: Any, key: Sequence, signature: Any, limit: int = 0) -> None:
    """Let a recording function use a signature for calls with this key. See `enter_row` of the recorder."""
    function.enter(key, signature.at, signature.dim, limit)
    if type(signature) is Row and signature.is_forgotten:  # by another thread, just now
        forget_rows({signature.at})


def forget_recent() -> set[int]:
    """Forget all RECENT signatures that need not be kept, and return their indices in TABLE."""
    forgotten = set()
    while RECENT:
        function, arguments, row = RECENT.pop()
        if not _is_kept(row.at) and function._known_rows.pop(arguments, None):
            row.is_forgotten = True
            if not _is_kept(row.at):  # by another thread, just now
                forgotten.add(row.at)
    forget_rows(forgotten)
    return forgotten


def _is_kept(at: int) -> bool:
    return at in KEPT or at in SIGNATURES


def reuse(forgotten: set[int]) -> None:
    """Let TABLE reuse the integers of forgotten signatures that no graph and no plan contains any more."""
    for at in forgotten:
        if not _is_kept(at):
            pattern, begin, mark, *_ = ORIGINS.pop(at)
            TABLE.unused.setdefault(pattern.claimed, []).append((begin, mark))


by_plain_dims = functools.partial(by_sizes, convert=lambda dims: tuple([dim.plain for dim in dims]))
"""Decorates a function of Dims: all equal shapes, also those of parameters, have one signature."""


def _kind_and_sizes(arguments: tuple) -> tuple[tuple, list[int]]:
    kind: list[Any] = []
    sizes: list[Any] = []
    for argument in arguments:
        if type(argument) is Dim and argument.plain is argument:
            kind.append((Dim, len(argument.dims)))
            sizes += *argument.dims, argument.batch
        elif type(argument) in (int, Size):
            kind.append(int)
            sizes.append(argument)
        elif type(argument) is tuple:
            item_kind, item_sizes = _kind_and_sizes(argument)
            kind.append(item_kind)
            sizes += item_sizes
        else:
            kind.append(argument)
    return tuple(kind), sizes


def _unpacked(x: Any) -> Any:
    """Return arguments with a list of sizes in place of each Dim whose sizes may vary."""
    if type(x) is Dim and trace_of((*x.dims, x.batch)):
        return [*x.dims, x.batch]
    return tuple(map(_unpacked, x)) if type(x) is tuple else x


def _packed(x: Any) -> Any:
    if type(x) is list:
        return Dim.of(tuple(x[:-1]), x[-1])
    return tuple(map(_packed, x)) if type(x) is tuple else x
