"""Make the recording functions of ops, such as `dy.tanh`, which append a node to the graph.

These functions are compiled code. Each has a table of the combinations of Dims that it has seen (see `recorder`). For
new Dims, for wrong operands, and for graphs that compute nodes immediately, it calls the Python `record_slowly`, which
checks everything before the one call that appends the record. So an error never leaves an incomplete record.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dynet_kernels import formula
from dynet_kernels.recorder.words import IN_INPUTS, IN_RECORD

from .. import recorder
from ..annotations import Floats, Number
from ..dim import Dim
from ..errors import ArgumentError, ArgumentTypeError, ShapeError, StaleExpressionError
from ..messages.wording import shown
from ..recorder import ANY_GRAPH, NO_NODE, commit, commit_with_inputs, take, take_keyed
from ..signature import Signature, bounds, node_count, stored
from ..signature.by_sizes import Row, by_sizes, enter
from .expression import Expression, Unfinished
from .graph import OTHER_THREAD, Graph, current, gone_message, no_node_message, refuse, reverted_message
from .numbers import value_of
from .unused import forget_unused

PARAMETER_TYPES: list[type] = []
"""The classes of parameters, which can be operands. The package `parameter` adds them."""


def graph_of(name: str, operands: Sequence[Expression]) -> PinnedGraph:
    """Check the operands of the op `name`, and return this thread's graph as a PinnedGraph.

    Raises:
        ArgumentTypeError: an operand is not an expression.
        ShapeError: an operand is a parameter of size 0. Such parameters can be made and saved, but not used.
        StaleExpressionError: an operand is not a node of this thread's graph.
    """
    graph = current()
    pinned_graph = PinnedGraph(graph)
    version = pinned_graph.version
    for operand in [x for x in operands if type(x) is not Expression or x.version != version]:
        operand_type = type(operand)
        if operand_type is not Expression and not issubclass(operand_type, (Unfinished, *PARAMETER_TYPES)):
            raise ArgumentTypeError(
                f"{name}: expected an Expression, got {type(operand).__name__} {shown(operand)}{remedy(operand, name)}"
            )
        if operand.version == ANY_GRAPH:
            if not operand.type.total:
                raise ShapeError(f"{name}: {operand!r} has size 0 and cannot be used in a graph")
        elif operand.version == NO_NODE:
            raise ArgumentTypeError(f"{name}: {no_node_message(operand)}")
        elif not graph.holds(operand):
            try:
                refuse(operand)
            except StaleExpressionError as problem:
                raise StaleExpressionError(f"{name}: operand {operand.type!r}: {problem}") from None
    return pinned_graph


UNARY_OPS = {"average": "mean_elems", "emax": "max_dim", "esum": "sum_elems", "logsumexp": "logsumexp_dim"}
"""Op that reduces a list of expressions -> op that does the same to the elements of one expression."""


def listed(name: str, xs: Any) -> Sequence[Expression]:
    """Return the operands xs of an op as a list or tuple. The caller must check that the items are expressions.

    xs may be any iterable except an expression.
    """
    if xs.__class__ is not list and xs.__class__ is not tuple:
        if isinstance(xs, Expression):
            use = f"dy.{UNARY_OPS[name]} is for the elements of one" if name in UNARY_OPS else f"{name}([x]) takes one"
            raise ArgumentTypeError(f"{name}: expected a list of expressions, got one of {xs.type!r}; {use}")
        try:
            xs = list(xs)
        except TypeError:
            graph_of(name, (xs,))
    if not xs:
        raise ArgumentError(f"{name}: no expressions")
    return xs


def remedy(value: Any, name: str = "") -> str:
    """Return a hint for an error message: how to make an expression from `value`, a wrong operand of the op `name`."""
    if isinstance(value, np.ndarray) or (isinstance(value, list) and value and isinstance(value[0], (int, float))):
        return "; dy.inputTensor(...) makes one from an array"
    if isinstance(value, (list, tuple)) and value and isinstance(value[0], Expression):
        return "; give it the expression itself, not a list"
    if isinstance(value, formula.Symbol):
        return f"; {formula.hint(name)}"
    return "; dy.scalarInput(...) makes one from a number" if isinstance(value, (int, float, np.number)) else ""


def _with_name(name: str, signature: Signature) -> Signature:
    """Set a signature's name to the name of its op, unless it already has a name."""
    if type(signature) is Row:
        signature.op_names[:] = signature.op_names[:1] or [name]
    else:
        signature.name = signature.name or name
    return signature


def node(
    name: str,
    signature: Signature,
    operands: Sequence[Expression],
    attributes: Sequence[int] = (),
    numbers: Sequence[float] = (),
) -> Expression:
    """Append a call of the op `name` to this thread's graph, and return an expression for its last node.

    `numbers` go to the input buffer, where kernels read them. In the record, their offsets there precede `attributes`.
    """
    graph = graph_of(name, operands)
    start = graph.take(numbers) if numbers else 0
    return graph.append(
        _with_name(name, signature), [*[x.at for x in operands], *range(start, start + len(numbers)), *attributes]
    )


def op_function(
    kind: str,
    name: str,
    signature_of: Callable[..., Signature],
    special: Callable | None = None,
    with_number: Callable | None = None,
) -> Callable[..., Expression]:
    """Return the recording function of an op. `signature_of` maps the operands' Dims to a signature.

    `kind` says how many operands the op takes: "one", "two", or "many" in a list. For new Dims, `special` is called
    first, with the operands; it records the op, or returns None if `signature_of` should be used. `with_number` is
    called if the second of two operands is not an expression, as in `x + 1`.
    """
    rows_by_sizes = signature_of if isinstance(signature_of, by_sizes) else by_sizes(signature_of)
    rows_by_sizes.op_names.append(name)

    def record_slowly(*arguments: Any) -> Expression:
        if with_number and not isinstance(arguments[1], Expression):
            return with_number(*arguments)
        operands = listed(name, *arguments) if kind == "many" else arguments
        graph = graph_of(name, operands)
        key = tuple([x.type for x in operands])
        is_known = key in rows
        if not is_known:
            if special and (result := special(operands) if kind == "many" else special(*operands)) is not None:
                return result
            forget_unused()
        signature = rows_by_sizes.row(key)
        if not is_known:
            enter(recording_function, key, signature, int(signature.variadic))
            if recorder.HAS_TEMPLATES:
                return recording_function(operands) if kind == "many" else recording_function(*operands)
        nodes = [x.at for x in operands]
        return graph.append(signature, [len(nodes), *nodes] if signature.variadic else nodes)

    recording_function = recorder.function(kind, record_slowly)
    rows = recorder.rows_of(recording_function)
    return recording_function


one_operand, two_operands, many_operands = (functools.partial(op_function, kind) for kind in ("one", "two", "many"))


def common_batch(name: str, dims: Sequence[Dim]) -> int:
    """Return the largest of the operands' batch sizes. Raise ShapeError if any other batch size is not 1."""
    batch = max(dim.batch for dim in dims)
    if any(dim.batch not in (1, batch) for dim in dims):
        raise ShapeError(f"{name}: batch sizes differ: operands are {described(dims)}")
    return batch


def described(dims: Sequence[Dim]) -> str:
    """Return the shapes of operands, for an error message."""
    return ", ".join(map(repr, dims))


class PinnedGraph:
    """A graph together with its present version, for Python code that appends records (calls of ops) to it.

    While Python prepares a record, methods of the user's objects and signal handlers may run. If they call `renew_cg`,
    appending raises StaleExpressionError, instead of adding the record to the new graph. They may also compute the
    graph after `take` has appended input values, and before the record that uses these values is appended. The next
    pass would then begin after these values, so this class appends them again.
    """

    __slots__ = ("_taken_inputs", "_taken_numbers", "graph", "version")

    def __init__(self, graph: Graph):
        self.graph, self.version = graph, graph.records.version
        # The input values of the next record: (their offset, the function that appended them, its argument).
        self._taken_inputs: tuple[int, Callable[[Any], int], Any] | None = None
        self._taken_numbers: Sequence = ()  # these values again, among them arguments of a function that is recorded

    @classmethod
    def as_of(cls, graph: Graph, version: int, nodes: Sequence[int] = ()) -> PinnedGraph:
        """Return a PinnedGraph for code that stored the node numbers `nodes` when the graph had `version`.

        Raise StaleExpressionError if these nodes have been removed, or if the graph belongs to another thread.
        """
        pinned_graph = cls(graph)
        if version != pinned_graph.version:
            if graph.watch is None or not graph._had_version(version):
                raise StaleExpressionError(gone_message(version))
            if any(node >= graph.watch.past_versions.count_remaining(version) for node in nodes):
                raise StaleExpressionError(reverted_message(version))
        graph.check_thread()
        return pinned_graph

    def append(self, signature: Signature, integers: Sequence[int]) -> Expression:
        """Append a record (checked operands as ints, then attributes) and return an expression for its last node."""
        forget_unused()
        return self.add(signature.dim, node_count(signature.at, integers), (signature.at,), integers)

    def add(self, dim: Dim, node_count: int, head: tuple[int, ...], integers: Sequence[int]) -> Expression:
        """Append a record: `head`, which begins with the signature, then `integers`. Return its last node."""
        if recording := self.graph._recording:
            length, nodes, _ = self.graph.records.ends()
            integers = recording.values(IN_RECORD, length + len(head), integers)
            if self._taken_inputs:
                recording.values(IN_INPUTS, self._taken_inputs[0], self._taken_numbers)
        if self._taken_inputs is None:
            node = commit(dim, node_count, head, integers, self.version)
        else:
            node = self._commit_with_inputs(dim, node_count, head, integers)
        if node is None:
            raise StaleExpressionError(f"while an operation was recorded, its graph has become stale: {self._cause()}")
        graph = self.graph
        if recording and node.at != nodes + node_count - 1:
            recording.is_disturbed = True
        if graph.watch is not None and graph.watch.immediate:
            graph._compute_new()
        return node

    def _commit_with_inputs(self, dim: Dim, node_count: int, head: tuple[int, ...], integers: Sequence[int]) -> Any:
        """Append a record that uses the input values last taken. Return None if the graph's version has changed."""
        while True:
            start, take_again, values = self._taken_inputs  # type: ignore[misc]  # `add` has checked that it is not None
            node = commit_with_inputs(self.graph.records, start, dim, node_count, head, integers, self.version)
            if node is not False:
                self._taken_inputs = None
                return node
            record, shift = [*head, *integers], self._take_with(take_again, values) - start
            _, attributes_begin, _ = bounds(record)
            for position in range(attributes_begin, attributes_begin + stored(head[0], "constants")):
                record[position] += shift
            integers = record[len(head) :]

    def rewrite(self, start: int, integers: Sequence[int]) -> None:
        """Overwrite integers of a record, starting at index `start` among the integers of all records.

        If the record has been computed, perhaps just now by a signal handler, discard all values first.
        """
        records = self.graph.records
        while not records.rewrite(self.version, start, integers):
            if records.version != self.version:
                raise StaleExpressionError(gone_message(self.version))
            if records.computed[0] > start:
                self.graph.invalidate()

    def _cause(self) -> str:
        return OTHER_THREAD if self.graph is not current() else gone_message(self.version)

    def node(self, index: int, dim: Dim) -> Expression:
        """Return an expression for a node. Raise StaleExpressionError if the graph's version has changed."""
        node = recorder.node_at(index, dim)
        if node.version != self.version:
            raise StaleExpressionError(self._cause())
        return node

    def take(self, values: Sequence[float]) -> int:
        """Append numbers to the graph's buffer of input values, and return their position there.

        For each record, at most one of `take`, `take_array` and `take_keyed` is called, just before `append` or `add`.
        """
        self._taken_numbers = values
        return self._take_with(take, tuple(map(value_of, values)) if self.graph._recording else tuple(values))

    def take_array(self, values: Floats, numbers: Any = ()) -> int:
        """Like `take`, for a float32 array, which is appended column-major. It was made of `numbers`, if given."""
        self._taken_numbers = numbers if isinstance(numbers, (list, tuple)) else (numbers,)
        return self._take_with(self.graph.records.take, values)

    def take_keyed(self, numbers: Sequence[Number]) -> int:
        """Like `take`, but append a new random key before the numbers. Return the position of the key."""
        return self._take_with(take_keyed, tuple(numbers))

    def _take_with(self, append_values: Callable[[Any], int], values: Any) -> int:
        start = append_values(values)
        self._taken_inputs = start, append_values, values
        return start


def pinned() -> PinnedGraph:
    """Return a PinnedGraph of this thread's graph."""
    return PinnedGraph(current())
