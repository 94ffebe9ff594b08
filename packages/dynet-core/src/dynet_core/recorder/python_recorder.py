"""The recorder in Python, used where the compiled one cannot run. Here, some functions of the interface do nothing."""

from __future__ import annotations

import functools
import sys
from array import array
from collections.abc import Callable, Sequence
from types import FunctionType
from typing import Any

import numpy as np

from dynet_kernels.recorder.words import ANY_GRAPH, NO_NODE

from .keywords import refuse_to_make, with_keywords
from .python_records import THREAD, Records, new_key


def expression_type(operations: type) -> type:
    class Expression(operations):
        __slots__ = ("_at", "_type", "_version")

        def __new__(cls, *arguments, **named):
            if cls is Expression and (arguments or named):
                refuse_to_make()
            node = object.__new__(_special_objects["unfinished"] if cls is Expression else cls)
            node._at, node._version = 0, NO_NODE
            return node

        at = property(lambda self: self._at)
        version = property(lambda self: self._version)
        type = property(lambda self: self._type)

    Expression.__module__, Expression.__qualname__ = operations.__module__, "Expression"
    global _expression_class
    _expression_class = Expression
    return Expression


_expression_class: Any = None
_special_objects: dict[str, Any] = {}
_tables: list[dict] = []  # the rows of all recording functions, as `enter` got them
_OPERATOR_METHODS = {"negative": "__neg__", "subscript": "__getitem__"}  # name of a special object -> name as a method


def share_objects(**objects: Any) -> None:
    """Tell the recorder about special objects, such as `unfinished`; see `shared.share_objects`."""
    _special_objects.update(objects)
    for role in _OPERATOR_METHODS.keys() & objects:
        setattr(_expression_class, _OPERATOR_METHODS[role], objects[role])


def make_parameter(x, at: int, dim) -> None:
    """Turn `x`, a new parameter, into an expression for every graph. `at` is -1 minus its row in PARAMETER_ROWS."""
    x._at, x._version, x._type = at, ANY_GRAPH, dim


def _do_nothing(*arguments) -> None:
    """Do nothing. Only the compiled recorder has templates and tables."""


call_function = keep_with = call_key = pinned_key = replay = set_pinned = enter_call = clear_rows = _do_nothing


def commit(dim, nodes: int, head: tuple[int, ...], operands: Sequence, version: int, start: int = sys.maxsize) -> Any:
    """Append a record to this thread's graph and return the expression of its last node.

    The record begins with the integers `head`, and has `nodes` nodes; `dim` is the Dim of the last node. Operands are
    ints, or expressions, whose `at` is appended. `version` is the version that the graph should have. `start`, if
    given, is the offset of the first input value that the record refers to. Return None if the graph has a different
    version or an operand is neither a node of the graph nor a parameter, False if a pass has read these input values.
    """
    records, integers = getattr(THREAD, "records", None), list(head)
    for x in operands:
        if isinstance(x, int):
            integers.append(x)
        elif isinstance(x, _expression_class) and x.version in (ANY_GRAPH, version):
            integers.append(x.at)
        else:
            return None
    count_before = None if records is None else records.append(integers, nodes, version, start)
    if count_before is None:
        return None
    if count_before < 0:
        return False
    return _new_node(count_before + nodes - 1, version, dim)


def commit_with_inputs(records: Records, start: int, *record: Any) -> Any:
    """Append a record that refers to input values, starting at `start`; return False if a pass has already read them.

    A signal handler may have computed the graph since the values were appended. The next pass reads only later values.
    """
    return commit(*record, start=start)


def _new_node(node_index: int, version: int, dim) -> Any:
    node = object.__new__(_expression_class)
    node._at, node._version, node._type = node_index, version, dim
    return node


def node_at(node_index: int, dim) -> Any:
    return _new_node(node_index, THREAD.records.version, dim)


def add_list(result_dim, head: tuple[int, ...], xs: list, dim, version: int) -> list | None:
    """Append one record for a list of operands. It has one node for the whole list, then one for each operand.

    Return the expressions of the operands' nodes, each with Dim `result_dim`. Return None if the graph has a
    different version, or if an operand is not a node of the graph with Dim `dim`.
    """
    for x in xs:
        if type(x) is not _expression_class or x.version != version or x.type is not dim:
            return None
    last = commit(result_dim, 1 + len(xs), head, xs, version)
    return None if last is None else [_new_node(last.at + 1 + k - len(xs), version, result_dim) for k in range(len(xs))]


def take(numbers: Sequence[float]) -> int:
    """Append numbers to the input buffer of this thread's graph. Return their offset."""
    return THREAD.records.take(np.array(array("f", numbers)))


def take_keyed(numbers: Sequence[float]) -> int:
    """Append a new random key, and then `numbers`, to the input buffer. Return the offset of the key."""
    link = np.zeros(1, np.float32)  # the link to the previous key, which `Records.take` sets
    return THREAD.records.take(np.concatenate([link, new_key(), array("f", numbers)]), True) + 1


def function(kind: str, slow: Any) -> Any:
    """Return a copy of `slow`, whatever the `kind`. A wrapper would make the user's tracebacks longer."""
    record: Any = FunctionType(slow.__code__, slow.__globals__, slow.__name__, slow.__defaults__, slow.__closure__)
    record.__kwdefaults__ = slow.__kwdefaults__
    record.rows = rows = {}
    _tables.append(rows)
    record.enter = lambda key, *row: rows.setdefault(key, row)
    return functools.update_wrapper(record, slow)


def rows_of(record: Any) -> dict:
    """Return what `enter` has been called with; see `functions.rows_of`."""
    return record.rows


def forget_rows(signatures: set[int]) -> None:
    """Remove the rows of these signatures; see `functions.forget_rows`."""
    for rows in _tables.copy():
        for key in [key for key, row in rows.copy().items() if row[0] in signatures]:
            rows.pop(key, None)


def describe(recording_function: Any, documented: Callable, around: Callable | None = None) -> Any:
    """Give a recording function its name, docstring and parameters; see `functions.describe`."""
    slow = recording_function
    while hasattr(slow, "enter"):  # call the slow function itself, so that the user's tracebacks are shorter
        slow = slow.__wrapped__
    described = with_keywords(documented, slow if around is None else functools.partial(around, slow))
    functools.update_wrapper(described, documented)
    described.enter = _do_nothing  # type: ignore[attr-defined]
    return described


def with_templates(op: Callable, make_observer: Callable) -> Callable:
    """Return the op itself, without templates; or, if it has `other_keywords`, a wrapper that accepts these names."""
    if hasattr(op, "enter") or not hasattr(op, "other_keywords"):
        return op
    return functools.update_wrapper(with_keywords(op, op), op)


def set_operator(name: str, pair: Any, right: Any, left: Any) -> None:
    """Set an operator of `Expression` to `pair(x, other)`, or `left(x, other)` if x is on the right; not to `right`."""
    name = {"add": "add", "subtract": "sub", "multiply": "mul", "true_divide": "truediv"}[name]
    setattr(_expression_class, f"__{name}__", lambda x, other: pair(x, other))
    setattr(_expression_class, f"__r{name}__", lambda x, other: left(x, other))
