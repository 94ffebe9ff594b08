"""The recorder in Python, short and simple. It is used where the compiled recorder cannot be used.

Its functions and classes have the interface of the compiled recorder, and some of them do nothing here. A graph
consists of records: integers that describe nodes (values to compute). Numbers that the user passes in are in an input
buffer. A random node, such as dropout, has a key among its inputs, which determines the random numbers that it draws. A
graph has a version, which changes when nodes are removed, so that expressions of removed nodes are noticed.

A recording function appends a record and returns an expression. In the compiled recorder, it is compiled code that
leaves some calls to its slow function, which is in Python. Here it is a copy of the slow function.
"""

from __future__ import annotations

import array
import bisect
import functools
import itertools
import threading
from collections.abc import Callable, Sequence
from operator import add, itemgetter
from types import FunctionType
from typing import Any

import numpy as np

from dynet_kernels.recorder.words import ANY_GRAPH, NO_NODE

from .keywords import with_keywords

_versions = itertools.count(1)
_NO_FLOATS = np.empty(0, np.float32)
_thread = threading.local()


def expression_type(operations: type) -> type:
    """Make the class of expressions, with the methods of the class `operations`."""

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
    """Make `x`, a new object of a class of parameters, an expression that every graph may use.

    Args:
        at: the number by which records refer to it: -1 minus its row in PARAMETER_ROWS, the table of all parameters.
        dim: its Dim (shape).
    """
    x._at, x._version, x._type = at, ANY_GRAPH, dim


def know_parameters(parameters: type, constant: type, lookup: type) -> None:
    """Do nothing: only the compiled recorder needs to know which classes are parameters."""


class Log:
    """A list of items, each a tuple of something and its sizes, with the totals of the sizes of the first items.

    An interrupt at any moment leaves each item whole or absent, because `list.append` cannot be interrupted. The place
    of an item is found only after that, because a signal handler may have appended others just before.

    Args:
        sizes: how many sizes an item has.
        items: the first items.
    """

    __slots__ = ("_totals", "items")

    def __init__(self, sizes: int, items: list[tuple]):
        self.items, self._totals = items, [(0,) * sizes]

    def append(self, item: tuple) -> tuple[int, ...]:
        """Append an item, a new tuple. Return the totals of all items before it."""
        self.items.append(item)
        place = len(self.items) - 1
        while self.items[place] is not item:
            place -= 1
        return self.totals(place)

    def totals(self, count: int) -> tuple[int, ...]:
        """Return the totals of the first `count` items."""
        known = self._totals
        for number in range(len(known), count + 1):
            known[number : number + 1] = [tuple(map(add, known[number - 1], self.items[number - 1][1:]))]
        return known[count]

    def count_up_to(self, size: int) -> int:
        """Return how many of the first items have a total of at most `size`, counting their first sizes only."""
        places = range(1, len(self.items) + 1)
        return bisect.bisect_right(places, size, key=lambda count: self.totals(count)[0])

    def whats(self) -> list:
        """Return of each item the first element."""
        return [*map(itemgetter(0), list(self.items))]


class Contents:
    """What a graph holds as long as it has one version. `renew` and `cut` replace the whole object, in one step.

    So code that is interrupted by `renew_cg` goes on with an old object, which nothing else uses any more.

    Attributes:
        version: the graph's version.
        records: for each record its integers, how many they are, and how many nodes it has.
        pieces: the input values, as float32 arrays, and their sizes. With a random node's key, the array is in a
            `Keyed`: the key is the second number, and the first is not used.
        computed, differentiated: see `Records`.
    """

    __slots__ = ("computed", "differentiated", "pieces", "records", "version")

    def __init__(self, records: Sequence[tuple] = (), pieces: Sequence[tuple] = ()):
        self.version = next(_versions)
        self.records, self.pieces = Log(2, [*records]), Log(1, [*pieces])
        self.computed, self.differentiated = (0, 0), (-1, False)

    def add_piece(self, values: np.ndarray, kind: type = tuple) -> int:
        """Append a float32 array, column by column, to the input values. Return where it starts."""
        values = np.array(values.ravel(order="F"), np.float32)
        return self.pieces.append(kind((values, values.size)))[0]


class Keyed(tuple):
    """An item of `Contents.pieces` that begins with the key of a random node."""


class Records:
    """The records and input values of one thread's graph."""

    __slots__ = ("_buffers", "_contents")

    def __init__(self):
        self._contents = Contents()
        # Buffers that compiled code reads. Smaller ones stay in the lists, because a pass may still use them.
        self._buffers: dict[str, list[np.ndarray]] = {"q": [np.empty(64, np.int64)], "f": [np.empty(64, np.float32)]}

    @property
    def version(self) -> int:
        return self._contents.version

    @property
    def computed(self) -> tuple[int, int]:
        """How many integers of records, and how many input values, the computed values are for."""
        return self._contents.computed

    @computed.setter
    def computed(self, ends: tuple[int, int]) -> None:
        self._contents.computed = ends

    @property
    def differentiated(self) -> tuple[int, bool]:
        """From which node the last backward pass began (-1: there was none), and if it was for all nodes."""
        return self._contents.differentiated

    @differentiated.setter
    def differentiated(self, last: tuple[int, bool]) -> None:
        self._contents.differentiated = last

    def note_computed(self, version: int, ends: tuple[int, int]) -> None:
        """Set `computed`, unless the graph has another version by now: a signal handler may have called `renew_cg`."""
        contents = self._contents
        if contents.version == version:
            contents.computed = ends

    def note_differentiated(self, version: int, place: int, fully: bool) -> None:
        """Set `differentiated`, unless the graph has another version by now."""
        contents = self._contents
        if contents.version == version:
            contents.differentiated = place, fully

    def adopt(self, graph: Any) -> None:
        """Let the calling thread append to these records from now on. `graph` is not used here."""
        _thread.records = self

    def renew(self) -> None:
        """Remove all records and input values, and give the graph a new version."""
        self._contents = Contents()

    def cut(self, version: int, nodes: int, length: int, inputs_length: int) -> int:
        """Remove the newest records and give the graph a new version.

        Args:
            version: the version that the graph should have.
            nodes: how many nodes to keep.
            length: how many integers of the records to keep.
            inputs_length: how many input values to keep.

        Returns:
            The new version. 0 if the graph has another version than `version`; then nothing is removed.
        """
        old = self._contents
        if old.version != version:
            return 0
        records, pieces = old.records, old.pieces
        new = Contents(records.items[: records.count_up_to(length)], pieces.items[: pieces.count_up_to(inputs_length)])
        new.computed, new.differentiated = old.computed, old.differentiated
        if self._contents is old: self._contents = new  # fmt: skip  # noqa: E701  # no handler can run here
        return new.version if self._contents is new else 0

    end = renew
    """Change the version because the graph's thread has ended. The graph's expressions cannot be used any more."""

    def watch(self) -> None:
        """Do nothing. In the compiled recorder, this method makes Python record all nodes; here Python always does."""

    def ends(self) -> tuple[int, int, int]:
        """Return three counts, taken at the same moment: of the integers in all records, nodes, and input values."""
        contents = self._contents
        while True:  # try again if a signal handler has appended a record in between
            records, pieces = len(contents.records.items), len(contents.pieces.items)
            if records == len(contents.records.items):
                length, nodes = contents.records.totals(records)
                return length, nodes, contents.pieces.totals(pieces)[0]

    def mark_unusual(self) -> None:
        """Do nothing. In the compiled recorder, this makes Python do the next `renew_cg`; here Python always does."""

    def prepare(
        self, generation: int, engine: Any, changes: int, forward: Any, backward: Any, **addresses: int
    ) -> None:
        """Do nothing. In the compiled recorder, this lets compiled code start passes; here Python always starts them.

        A pass is the computation of the values or gradients of a graph.
        """

    def is_prepared(self, generation: int) -> bool:
        """Return True, because here `prepare` has nothing to do and need not be called."""
        return True

    unprepare = watch_values = mark_unusual

    @property
    def nodes(self) -> int:
        """How many nodes there are."""
        return self.ends()[1]

    @property
    def length(self) -> int:
        """How many integers all records have together."""
        return self.ends()[0]

    @property
    def inputs_length(self) -> int:
        """How many numbers the input buffer has."""
        return self.ends()[2]

    def address(self) -> int:
        """Return the address of the integers of the records, valid until the next record is appended."""
        return self._in_buffer("q", array.array("q", self._integers()))

    def _integers(self) -> list[int]:
        return [*itertools.chain.from_iterable(self._contents.records.whats())]

    def inputs_address(self) -> int:
        """Return the address of the input buffer, valid until the next input value is appended."""
        return self._in_buffer("f", self._all_floats())

    def _all_floats(self) -> np.ndarray:
        return np.concatenate([_NO_FLOATS, *self._contents.pieces.whats()])

    def _in_buffer(self, kind: str, numbers: Any) -> int:
        """Copy numbers to the buffer of this kind, which is replaced by a larger one if it is too small."""
        buffers = self._buffers[kind]
        if buffers[-1].size < len(numbers):
            buffers.append(np.empty(2 * len(numbers), kind))
        buffer = buffers[-1]
        buffer[: len(numbers)] = numbers
        return buffer.ctypes.data

    def integers(self, begin: int = 0, end: int | None = None) -> list[int]:
        """Return a copy of the records' integers `begin` to `end` - 1. If `end` is None, copy all from `begin` on."""
        return self._integers()[begin:end]

    def floats(self, start: int, count: int) -> np.ndarray:
        """Return a copy of `count` input values from `start` on."""
        return self._all_floats()[start : start + count]

    def keys(self, begin: int) -> list[int]:
        """Return the offsets of random nodes' keys in the input buffer, newest first. Omit those below `begin`."""
        pieces = self._contents.pieces
        keyed = [number for number, piece in enumerate(list(pieces.items)) if isinstance(piece, Keyed)]
        places = [pieces.totals(number)[0] + 1 for number in reversed(keyed)]
        return [place for place in places if place >= begin]

    def renew_keys(self) -> None:
        """Draw new keys for all random nodes, so that they draw other random numbers when they are computed again."""
        for place in self.keys(0):
            self.write(place, _key())

    def write(self, start: int, values: np.ndarray) -> None:
        """Overwrite the input values from offset `start` on with a float32 array, column by column.

        The values that are overwritten were appended by one call of `take` or `take_keyed`.
        """
        pieces = self._contents.pieces
        number = pieces.count_up_to(start)
        item, first = pieces.items[number], pieces.totals(number)[0]
        changed = item[0].copy()
        changed[start - first : start - first + values.size] = values.ravel(order="F")
        pieces.items[number] = type(item)((changed, changed.size))

    def take(self, values: np.ndarray) -> int:
        """Append a float32 array, column by column, to the input buffer. Return its offset there."""
        return self._contents.add_piece(values)


def commit(dim, nodes: int, head: tuple[int, ...], operands: Sequence, version: int) -> Any:
    """Append a record to this thread's graph and return the expression of its last node.

    Args:
        dim: the Dim (shape) of the last node.
        nodes: how many nodes the record has.
        head: the integers with which the record begins.
        operands: what follows: ints, which are appended as they are, and expressions, whose `at` is appended.
        version: the version that the graph should have.

    Returns:
        The expression; None if the graph has another version, or an operand is neither a node of it nor a parameter.
    """
    records = getattr(_thread, "records", None)
    contents = None if records is None else records._contents
    if contents is None or contents.version != version:
        return None
    integers = list(head)
    for x in operands:
        if isinstance(x, int):
            integers.append(x)
        elif isinstance(x, _expression) and x.version in (ANY_GRAPH, version):
            integers.append(x.at)
        else:
            return None
    _, before = contents.records.append((tuple(integers), len(integers), nodes))
    return _node(before + nodes - 1, version, dim)


def _node(at: int, version: int, dim) -> Any:
    node = object.__new__(_expression)
    node._at, node._version, node._type = at, version, dim
    return node


def handle(at: int, dim) -> Any:
    """Return an expression for node number `at` of this thread's graph. `dim` is the Dim (shape) of the node."""
    return _node(at, _thread.records.version, dim)


def sequence(result, head: tuple[int, ...], xs: list, dim, version: int) -> list | None:
    """Append one record for a whole list of operands, such as the inputs of an RNN at all time steps.

    The record has 1 + len(xs) nodes: first one node for the whole list, then one for each operand.

    Args:
        result: the Dim (shape) of each node that belongs to one operand.
        head: the integers with which the record begins.
        xs: the operands, expressions of nodes.
        dim: the Dim that each operand should have.
        version: the version that the graph should have.

    Returns:
        The expressions of all nodes but the first; None if the graph has another version, or an operand is not a node
        of it or has another Dim.
    """
    for x in xs:
        if type(x) is not _expression or x.version != version or x.type is not dim:
            return None
    last = commit(result, 1 + len(xs), head, xs, version)
    return None if last is None else [_node(last.at + 1 + k - len(xs), version, result) for k in range(len(xs))]


def take(numbers: Sequence[float]) -> int:
    """Append numbers to the input buffer of this thread's graph. Return their offset there."""
    return _thread.records.take(_floats(numbers))


def _floats(numbers: Sequence[float]) -> np.ndarray:
    with np.errstate(over="ignore"):
        return np.array(numbers, np.float64).astype(np.float32)


def take_keyed(numbers: Sequence[float]) -> int:
    """Append a new key for a random node, and then `numbers`, to the input buffer. Return the offset of the key."""
    link = np.zeros(1, np.float32)  # where the compiled recorder stores the offset of the previous key; not used here
    return _thread.records._contents.add_piece(np.concatenate([link, _key(), _floats(numbers)]), Keyed) + 1


_noise = 0, itertools.count()


def _key() -> np.ndarray:
    seed, counter = _noise
    return np.array([seed, next(counter) & 0xFFFFFFFF], np.uint32).view(np.float32)


def noise() -> tuple[int, int]:
    """Return the seed from which the keys of random nodes are made, and how many keys have been drawn from it."""
    seed, drawn = _noise[0], draw()
    set_noise(seed, drawn)
    return seed, drawn


def set_noise(seed: int, drawn: int) -> None:
    """Set the seed from which the keys of random nodes are made. Go on as if `drawn` keys had been drawn from it."""
    global _noise
    _noise = seed, itertools.count(drawn)


def draw() -> int:
    """Draw a key that no node uses, and return its number: how many keys were drawn before it."""
    return next(_noise[1])


def function(kind: str, slow: Any) -> Any:
    """Return a recording function that does what the Python function `slow` does. `kind` is not used here.

    The result is a copy of `slow`, because a function that calls `slow` would make the user's tracebacks longer.
    """
    record: Any = FunctionType(slow.__code__, slow.__globals__, slow.__name__, slow.__defaults__, slow.__closure__)
    record.__kwdefaults__ = slow.__kwdefaults__
    record.enter = _enter
    return functools.update_wrapper(record, slow)


def _enter(key: Sequence, signature: int, result, limit: int = 0) -> None:
    """Do nothing. In the compiled recorder, this method adds a row to the table of a recording function."""


def describe(record: Any, documented: Callable, around: Callable | None = None) -> Any:
    """Return a recording function with the name, docstring, parameters and keyword arguments of `documented`.

    Args:
        record: a recording function, which is a copy of a slow function.
        documented: the function whose name, docstring and parameters to use.
        around: if given, called instead of the slow function, as `around(slow, *arguments)`.
    """
    slow = record
    while hasattr(slow, "enter"):  # call the slow function itself, so that the user's tracebacks are shorter
        slow = slow.__wrapped__
    described = with_keywords(documented, slow if around is None else functools.partial(around, slow))
    functools.update_wrapper(described, documented)
    described.enter = _enter  # type: ignore[attr-defined]
    return described


def with_templates(op: Callable, learn: Callable) -> Callable:
    """Return the op itself. Only the compiled recorder has templates, copies of what earlier calls have recorded."""
    return op


def key(*arguments) -> None:
    """Return None. In the compiled recorder, the result is the key by which it finds a template for these arguments."""


def operator(name: str, pair: Any, right: Any, left: Any, slow: Callable, reflected: Callable) -> None:
    """Set one of the operators +, -, * and / of `Expression`.

    Args:
        name: the name of the operator, such as "add".
        pair, right, left: compiled functions for usual operands, in the compiled recorder; not used here.
        slow: called as `slow(x, other)`, where x is the expression.
        reflected: called as `reflected(x, other)` instead of `slow` if the expression is on the right.
    """
    name = {"add": "add", "subtract": "sub", "multiply": "mul", "true_divide": "truediv"}[name]
    setattr(_expression, f"__{name}__", lambda x, other: slow(x, other))
    setattr(_expression, f"__r{name}__", lambda x, other: reflected(x, other))


def negative(record: Callable) -> None:
    """Set the recording function that `-x` calls for an expression x."""
    _expression.__neg__ = lambda x: record(x)


def subscript(item: Any, stretch: Any, slow: Callable) -> None:
    """Let `x[key]` call `slow(x, key)` for an expression x. `item` and `stretch` are not used here."""
    _expression.__getitem__ = lambda x, key: slow(x, key)


_passes = 0


def generation() -> int:
    """Return 0. In the compiled recorder, the result is a number that changes when signatures or parameters change."""
    return 0


def next_generation() -> None:
    """Do nothing. In the compiled recorder, this changes the result of `generation`. Nothing depends on it here."""


def passes() -> int:
    """Return how many backward passes there have been, of all graphs together."""
    return _passes


def note_pass() -> None:
    """Add 1 to the number of backward passes that `passes` returns."""
    global _passes
    _passes += 1
