"""The recorder in Python: short and simple. It knows no quick ways."""

from __future__ import annotations

import array
import functools
import itertools
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dynet_kernels.recorder.words import ANY_GRAPH, NO_NODE

from .keywords import with_keywords

_versions = itertools.count(1)
_thread = threading.local()


def expression_type(operations: type) -> type:
    """The class of expressions."""

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
    """Say which types parameters have."""


class Records:
    """What a thread has recorded."""

    __slots__ = ("_entries", "_flat", "_floats", "computed", "differentiated", "key_places", "version")

    def __init__(self):
        self.renew()

    def adopt(self, graph: Any) -> None:
        """Be what the thread that calls records in."""
        _thread.records = self

    def renew(self) -> None:
        """Forget what has been recorded, under another version."""
        self._flat = array.array("q")
        self._floats = array.array("f")
        # What has been recorded: integers, how many of them there are by then, and how many nodes. One entry is added
        # at a time, so that a record is whole or absent.
        self._entries: list[tuple[tuple[int, ...], int, int]] = [((), 0, 0)]
        self.computed, self.differentiated = (0, 0), (-1, False)
        self.key_places: list[int] = []
        self.version = next(_versions)

    def cut(self, nodes: int, length: int, inputs_length: int) -> None:
        """Forget the newest records, under another version."""
        self.version = next(_versions)
        self._flat = array.array("q")
        self._entries = [entry for entry in self._entries if entry[1] <= length]
        del self._floats[inputs_length:]
        self.key_places = [place for place in self.key_places if place < inputs_length]

    def end(self) -> None:
        """The thread has ended: its expressions are nobody's."""
        self.version = next(_versions)

    def watch(self) -> None:
        """Have all records go the slow way, which they do."""

    def ends(self) -> tuple[int, int, int]:
        """How many integers, nodes and input values there are at one moment."""
        while True:  # a signal's handler may record, too
            entry = self._entries[-1]
            count = len(self._floats)
            if entry is self._entries[-1]:
                return entry[1], entry[2], count

    def is_unusual(self) -> None:
        """Say that more has to be done to renew it: there is no quick way here that would forget it."""

    def prepare(self, generation: int, forward: Any, backward: Any, **addresses: int) -> None:
        """Say what passes need: here they ask each time."""

    def is_prepared(self, generation: int) -> bool:
        """Whether they need not ask."""
        return True

    unprepare = watch_values = is_unusual

    @property
    def nodes(self) -> int:
        """How many nodes there are."""
        return self._entries[-1][2]

    @property
    def length(self) -> int:
        """How many integers there are."""
        return self._entries[-1][1]

    @property
    def inputs_length(self) -> int:
        """How many input values there are."""
        return len(self._floats)

    def address(self) -> int:
        """Where the integers are, until the next record."""
        if len(self._flat) != self.length:
            self._flat = array.array("q", itertools.chain.from_iterable([entry[0] for entry in self._entries]))
        return self._flat.buffer_info()[0]

    def inputs_address(self) -> int:
        """Where the input values are, until the next one."""
        return self._floats.buffer_info()[0]

    def integers(self, begin: int = 0, end: int | None = None) -> list[int]:
        """The integers, or some of them."""
        self.address()
        return self._flat[begin:end].tolist()

    def floats(self, start: int, count: int) -> np.ndarray:
        """A copy of input values."""
        return np.array(self._floats[start : start + count])

    def keys(self, begin: int) -> list[int]:
        """Where among the inputs, from `begin` on, the keys of random nodes stand, the newest first."""
        return [place for place in reversed(self.key_places) if place >= begin]

    def renew_keys(self) -> None:
        """Draw the keys of random nodes anew."""
        for place in reversed(self.key_places):
            self.write(place, _key())

    def write(self, start: int, values: np.ndarray) -> None:
        """Replace input values by those of a float32 array, column by column."""
        self._floats[start : start + values.size] = array.array("f", values.tobytes(order="F"))

    def take(self, values: np.ndarray) -> int:
        """Keep the values of a float32 array, column by column; where they begin among the inputs."""
        start = len(self._floats)
        self._floats = self._floats + array.array("f", values.tobytes(order="F"))
        return start


def commit(dim, nodes: int, head: tuple[int, ...], operands: Sequence, version: int) -> Any:
    """Add a record of `nodes` nodes; the expression of the last.

    None if the graph is of another version, or an operand is no node of it.
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
    """An expression of a node of this thread's graph."""
    node = object.__new__(_expression)
    node._at, node._version, node._type = at, _thread.records.version, dim
    return node


def sequence(result, head: tuple[int, ...], xs: list, dim, version: int) -> list | None:
    """Add a record of a list of nodes of one Dim: the nodes of that record but for the first.

    None if the graph is of another version, or what is in the list is no such node.
    """
    if any(type(x) is not _expression or x.version != version or x.type is not dim for x in xs):
        return None
    last = commit(result, 1 + len(xs), head, xs, version)
    return None if last is None else [handle(last.at + 1 + k - len(xs), result) for k in range(len(xs))]


def take(numbers: Sequence[float]) -> int:
    """Keep floats among the inputs; where they begin."""
    return _thread.records.take(_floats(numbers))


def _floats(numbers: Sequence[float]) -> np.ndarray:
    with np.errstate(over="ignore"):
        return np.array(numbers, np.float64).astype(np.float32)


def take_keyed(numbers: Sequence[float]) -> int:
    """Keep a new key and floats among the inputs; where the key is."""
    records, given = _thread.records, _floats(numbers)
    place = np.zeros(1, np.float32)  # where the compiled recorder notes the key before
    start = records.take(np.concatenate([place, _key(), given])) + 1
    records.key_places.append(start)
    return start


_noise = 0, itertools.count()


def _key() -> np.ndarray:
    seed, counter = _noise
    return np.array([seed, next(counter) & 0xFFFFFFFF], np.uint32).view(np.float32)


def noise() -> tuple[int, int]:
    """The seed of the keys of random nodes, and how many have been drawn."""
    seed, drawn = _noise[0], draw()
    set_noise(seed, drawn)
    return seed, drawn


def set_noise(seed: int, drawn: int) -> None:
    """Go on with the keys of a seed after so many."""
    global _noise
    _noise = seed, itertools.count(drawn)


def draw() -> int:
    """Draw a key that is no node's: its count."""
    return next(_noise[1])


def function(kind: str, slow: Callable) -> Any:
    """A function that records."""

    @functools.wraps(slow)
    def record(*arguments, **named):
        return slow(*arguments, **named)

    record.enter = _enter  # type: ignore[attr-defined]
    return record


def _enter(key: Sequence, signature: int, result, limit: int = 0) -> None:
    """What the compiled recorder would remember."""


def describe(record: Any, documented: Callable, around: Callable | None = None) -> Any:
    """Give a recording function the name, the documentation, the signature and the keywords of another one.

    What it does not know goes to `around`, if there is one, with the function that it went to before.
    """
    slow = record
    while hasattr(slow, "enter"):  # a function that records: few calls below the user's
        slow = slow.__wrapped__
    described = with_keywords(documented, slow if around is None else functools.partial(around, slow))
    functools.update_wrapper(described, documented)
    described.enter = _enter  # type: ignore[attr-defined]
    return described


def with_templates(op: Callable, learn: Callable) -> Callable:
    """What the compiled recorder records from templates is recorded by Python here."""
    return op


def key(*arguments) -> None:
    """The key of a template: nobody asks here."""


def operator(name: str, pair: Any, right: Any, left: Any, slow: Callable, reflected: Callable) -> None:
    """What an operator does: `slow(x, other)`, and `reflected(x, other)` where the expression is on the right."""
    name = {"add": "add", "subtract": "sub", "multiply": "mul", "true_divide": "truediv"}[name]
    setattr(_expression, f"__{name}__", lambda x, other: slow(x, other))
    setattr(_expression, f"__r{name}__", lambda x, other: reflected(x, other))


def negative(record: Callable) -> None:
    """What `-x` does."""
    _expression.__neg__ = lambda x: record(x)


def subscript(item: Any, stretch: Any, slow: Callable) -> None:
    """What `x[key]` does."""
    _expression.__getitem__ = lambda x, key: slow(x, key)


_passes = 0


def generation() -> int:
    """A number that would change with the table of signatures and with parameters: nobody asks here."""
    return 0


def next_generation() -> None:
    """Say that something changes."""


def passes() -> int:
    """How many backward passes of any graph there have been."""
    return _passes


def note_pass() -> None:
    """Note a backward pass."""
    global _passes
    _passes += 1
