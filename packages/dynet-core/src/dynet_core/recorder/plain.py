"""The recorder in Python: short and simple, without fast paths. See `compiled` for what the methods do."""

from __future__ import annotations

import array
import functools
import itertools
import threading
from collections.abc import Callable, Sequence
from types import FunctionType
from typing import Any

import numpy as np

from dynet_kernels.recorder.words import ANY_GRAPH, NO_NODE

from .keywords import with_keywords

_versions = itertools.count(1)
_thread = threading.local()


def expression_type(operations: type) -> type:
    """Make the class of expressions."""

    class Expression(operations):
        __slots__ = ("_at", "_type", "_version")

        def __new__(cls, *arguments, **named):
            if cls is Expression:
                raise TypeError(REFUSAL)
            made = object.__new__(cls)
            made._at, made._version = 0, NO_NODE
            return made

        at = property(lambda self: self._at)
        version = property(lambda self: self._version)
        type = property(lambda self: self._type)

    Expression.__module__, Expression.__qualname__ = operations.__module__, "Expression"
    global _expression
    _expression = Expression
    return Expression


REFUSAL = "an expression is made by an operation, such as dy.inputVector, not by its class"
_expression: Any = None


def become(x, at: int, dim) -> None:
    """Make an object a parameter."""
    x._at, x._version, x._type = at, ANY_GRAPH, dim


def know_parameters(parameters: type, constant: type, lookup: type) -> None:
    """Do nothing: only compiled code needs these types."""


class Records:
    """The records of a thread."""

    __slots__ = ("_entries", "_flat", "_floats", "computed", "differentiated", "key_places", "version")

    def __init__(self):
        self.renew()

    def adopt(self, graph: Any) -> None:
        """Make these the records of the calling thread."""
        _thread.records = self

    def renew(self) -> None:
        """Remove all records and take a new version."""
        self._flat = array.array("q")
        self._floats = array.array("f")
        # One entry per record: its integers, and the counts of integers and nodes after it. An entry is appended at
        # once, so a record is whole or absent.
        self._entries: list[tuple[tuple[int, ...], int, int]] = [((), 0, 0)]
        self.computed, self.differentiated = (0, 0), (-1, False)
        self.key_places: list[int] = []
        self.version = next(_versions)

    def cut(self, nodes: int, length: int, inputs_length: int) -> None:
        """Remove the newest records and take a new version."""
        self.version = next(_versions)
        self._flat = array.array("q")
        self._entries = [entry for entry in self._entries if entry[1] <= length]
        del self._floats[inputs_length:]
        self.key_places = [place for place in self.key_places if place < inputs_length]

    def end(self) -> None:
        """End the records when their thread ends: its expressions become stale."""
        self.version = next(_versions)

    def watch(self) -> None:
        """Do nothing: all recording is in Python here."""

    def ends(self) -> tuple[int, int, int]:
        """Return the counts of integers, nodes and input values at one moment."""
        while True:  # again if a signal handler has recorded in between
            entry = self._entries[-1]
            count = len(self._floats)
            if entry is self._entries[-1]:
                return entry[1], entry[2], count

    def mark_unusual(self) -> None:
        """Do nothing: `renew_cg` is in Python here."""

    def prepare(self, generation: int, forward: Any, backward: Any, **addresses: int) -> None:
        """Do nothing: passes are always started from Python here."""

    def is_prepared(self, generation: int) -> bool:
        """Return True: there is nothing to prepare."""
        return True

    unprepare = watch_values = mark_unusual

    @property
    def nodes(self) -> int:
        """The number of nodes."""
        return self._entries[-1][2]

    @property
    def length(self) -> int:
        """The number of integers of the records."""
        return self._entries[-1][1]

    @property
    def inputs_length(self) -> int:
        """The number of input values."""
        return len(self._floats)

    def address(self) -> int:
        """Return the address of the integers, valid until the next record."""
        if len(self._flat) != self.length:
            self._flat = array.array("q", itertools.chain.from_iterable([entry[0] for entry in self._entries]))
        return self._flat.buffer_info()[0]

    def inputs_address(self) -> int:
        """Return the address of the input values, valid until the next one is added."""
        return self._floats.buffer_info()[0]

    def integers(self, begin: int = 0, end: int | None = None) -> list[int]:
        """Return a copy of the integers from `begin` to `end`."""
        self.address()
        return self._flat[begin:end].tolist()

    def floats(self, start: int, count: int) -> np.ndarray:
        """Return a copy of input values."""
        return np.array(self._floats[start : start + count])

    def keys(self, begin: int) -> list[int]:
        """Return the places of the random nodes' keys in the input buffer, from `begin` on, the newest first."""
        return [place for place in reversed(self.key_places) if place >= begin]

    def renew_keys(self) -> None:
        """Draw new keys for all random nodes."""
        for place in reversed(self.key_places):
            self.write(place, _key())

    def write(self, start: int, values: np.ndarray) -> None:
        """Replace the input values from `start` on by a float32 array, column by column."""
        self._floats[start : start + values.size] = array.array("f", values.tobytes(order="F"))

    def take(self, values: np.ndarray) -> int:
        """Append a float32 array, column by column, to the input buffer. Return where it starts there."""
        start = len(self._floats)
        self._floats = self._floats + array.array("f", values.tobytes(order="F"))
        return start


def commit(dim, nodes: int, head: tuple[int, ...], operands: Sequence, version: int) -> Any:
    """Append a record of `nodes` nodes and return the expression of the last one.

    Return None if the graph has another version, or an operand is not a node of it.
    """
    records = getattr(_thread, "records", None)
    if records is None or records.version != version:
        return None
    integers = list(head)
    for x in operands:
        if isinstance(x, int):
            integers.append(x)
        elif isinstance(x, _expression) and x.version in (ANY_GRAPH, records.version):
            integers.append(x.at)
        else:
            return None
    _, length, count = records._entries[-1]
    node = handle(count + nodes - 1, dim)
    records._entries.append((tuple(integers), length + len(integers), count + nodes))
    return node


def handle(at: int, dim) -> Any:
    """Return an expression for a node of this thread's graph."""
    node = object.__new__(_expression)
    node._at, node._version, node._type = at, _thread.records.version, dim
    return node


def sequence(result, head: tuple[int, ...], xs: list, dim, version: int) -> list | None:
    """Append a record whose operands are a list of nodes of one Dim. Return its nodes except the first.

    Return None if the graph has another version, or an item of the list is not such a node.
    """
    if any(type(x) is not _expression or x.version != version or x.type is not dim for x in xs):
        return None
    last = commit(result, 1 + len(xs), head, xs, version)
    return None if last is None else [handle(last.at + 1 + k - len(xs), result) for k in range(len(xs))]


def take(numbers: Sequence[float]) -> int:
    """Append floats to the input buffer. Return where they start there."""
    return _thread.records.take(_floats(numbers))


def _floats(numbers: Sequence[float]) -> np.ndarray:
    with np.errstate(over="ignore"):
        return np.array(numbers, np.float64).astype(np.float32)


def take_keyed(numbers: Sequence[float]) -> int:
    """Append a new key and floats to the input buffer. Return where the key starts there."""
    records, floats = _thread.records, _floats(numbers)
    link = np.zeros(1, np.float32)  # the compiled recorder stores the place of the previous key here
    start = records.take(np.concatenate([link, _key(), floats])) + 1
    records.key_places.append(start)
    return start


_noise = 0, itertools.count()


def _key() -> np.ndarray:
    seed, counter = _noise
    return np.array([seed, next(counter) & 0xFFFFFFFF], np.uint32).view(np.float32)


def noise() -> tuple[int, int]:
    """Return the seed of the keys of random nodes, and the number of keys drawn."""
    seed, drawn = _noise[0], draw()
    set_noise(seed, drawn)
    return seed, drawn


def set_noise(seed: int, drawn: int) -> None:
    """Set the seed of the keys of random nodes, and continue as after `drawn` keys."""
    global _noise
    _noise = seed, itertools.count(drawn)


def draw() -> int:
    """Draw a key that belongs to no node, and return its number."""
    return next(_noise[1])


def function(kind: str, slow: Any) -> Any:
    """Return a recording function: here a copy of `slow`, because a call of it would make tracebacks longer."""
    record: Any = FunctionType(slow.__code__, slow.__globals__, slow.__name__, slow.__defaults__, slow.__closure__)
    record.__kwdefaults__ = slow.__kwdefaults__
    record.enter = _enter
    return functools.update_wrapper(record, slow)


def _enter(key: Sequence, signature: int, result, limit: int = 0) -> None:
    """Do nothing: only the compiled recorder has tables."""


def describe(record: Any, documented: Callable, around: Callable | None = None) -> Any:
    """Give a recording function the name, docstring, signature and keyword arguments of a documented function.

    Args:
        around: called instead of the slow function, which is its first argument.
    """
    slow = record
    while hasattr(slow, "enter"):  # unwrap recording functions: the user's tracebacks get shorter
        slow = slow.__wrapped__
    described = with_keywords(documented, slow if around is None else functools.partial(around, slow))
    functools.update_wrapper(described, documented)
    described.enter = _enter  # type: ignore[attr-defined]
    return described


def with_templates(op: Callable, learn: Callable) -> Callable:
    """Return the op itself: there are no templates here."""
    return op


def key(*arguments) -> None:
    """Return None: there are no templates here."""


def operator(name: str, pair: Any, right: Any, left: Any, slow: Callable, reflected: Callable) -> None:
    """Set an operator of `Expression`: `slow(x, other)`, or `reflected(x, other)` if the expression is on the right."""
    name = {"add": "add", "subtract": "sub", "multiply": "mul", "true_divide": "truediv"}[name]
    setattr(_expression, f"__{name}__", lambda x, other: slow(x, other))
    setattr(_expression, f"__r{name}__", lambda x, other: reflected(x, other))


def negative(record: Callable) -> None:
    """Set the function that computes `-x`."""
    _expression.__neg__ = lambda x: record(x)


def subscript(item: Any, stretch: Any, slow: Callable) -> None:
    """Set the function that computes `x[key]`."""
    _expression.__getitem__ = lambda x, key: slow(x, key)


_passes = 0


def generation() -> int:
    """Return 0: passes are not prepared here, so nothing depends on the generation."""
    return 0


def next_generation() -> None:
    """Do nothing: nothing depends on the generation here."""


def passes() -> int:
    """Return the number of backward passes of all graphs so far."""
    return _passes


def note_pass() -> None:
    """Count a backward pass."""
    global _passes
    _passes += 1
