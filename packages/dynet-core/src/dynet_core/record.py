"""How a node gets into the graph. The functions that ops record with are made here; they are the hot path.

Everything that can fail comes before the record is appended, so that an error leaves no half node.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Sequence
from typing import Any

from .dim import Dim
from .errors import ArgumentTypeError, ShapeError, StaleExpressionError
from .expression import Expression
from .graph import OTHER_THREAD, THREADS, Gone, Graph, current, is_gone, thread
from .signature import Signature

SignatureOf = Callable[..., Signature]


def graph_of(name: str, operands: Sequence[Expression]) -> Graph:
    """The graph that operands belong to; parameters belong to any.

    Checks that they are expressions at all, and no parameters of size 0: these can be made and saved, not used.
    """
    found = None
    for operand in operands:
        if not isinstance(operand, Expression):
            raise ArgumentTypeError(f"{name}: expected an Expression, got {type(operand).__name__} {operand!r:.60}")
        graph = operand.graph
        if graph is not None and graph is not found:
            if graph.__class__ is Gone:
                raise StaleExpressionError(f"{name}: operand {operand.type!r}: {is_gone(graph._version)}")
            if found is not None:
                raise StaleExpressionError(f"{name}: the operands belong to the graphs of two threads; {OTHER_THREAD}")
            found = graph
        elif graph is None and not operand.type.total:
            shape = operand.shape()  # type: ignore[attr-defined]
            raise ShapeError(f"{name}: {operand!r} has size 0: it is {shape}, and no graph can use it")
    if found is not None and found is not current():
        raise StaleExpressionError(f"{name}: {OTHER_THREAD}")
    return current() if found is None else found


def _named(name: str, signature: Signature) -> Signature:
    """A signature that knows the name of its op."""
    signature.name = signature.name or name
    return signature


def append(graph: Graph, signature: Signature, integers: Sequence[int]) -> Expression:
    """Add a record of a signature to a graph."""
    return _append(graph, signature.at, signature.dim, integers)


def _append(graph: Graph, signature: int, dim: Dim, integers: Sequence[int]) -> Expression:
    node = graph.new_node(dim)
    graph.nodes += (signature, *integers)
    return node


def of_its_own(record: Callable, name: str) -> Callable:
    """A function like another that shares its code with none.

    CPython makes code fast for the types that it meets: functions that one `def` has made meet each other's.
    """
    code = record.__code__.replace(co_name=name)
    return types.FunctionType(code, record.__globals__, name, record.__defaults__, record.__closure__)


def one_operand(name: str, signature_of: SignatureOf) -> Callable[[Expression], Expression]:
    """The recording function of an op of one operand, whose signature follows from the operand's Dim."""
    known: dict[Dim, tuple[int, Dim]] = {}

    def unusual(x: Expression) -> Expression:
        graph = graph_of(name, (x,))
        if x.type not in known:
            new = _named(name, signature_of(x.type))
            known[x.type] = new.at, new.dim
        return _append(graph, *known[x.type], (x.at,))

    def record(x: Expression) -> Expression:
        try:
            signature, dim = known[x.type]
            graph = x.graph
            if len(THREADS) > 1 and graph is not thread.graph:
                return unusual(x)
            node = graph.next  # not of a parameter, which has no graph
            graph.next = node.next
        except (KeyError, AttributeError):
            return unusual(x)
        node.type = dim
        nodes = graph.nodes
        nodes.append(signature)
        nodes.append(x.at)
        return node

    return of_its_own(record, name)


def two_operands(
    name: str,
    signature_of: SignatureOf,
    otherwise: Callable | None = None,
    with_number: Callable | None = None,
    with_float: Callable | None = None,
) -> Callable[[Expression, Expression], Expression]:
    """The recording function of an op of two operands.

    Args:
        otherwise: records operands of shapes that no signature covers; asked first for shapes not seen before,
            and may return None.
        with_number: records an expression and something that is no expression, for operators.
        with_float: the same for a plain float, which need not be looked at.
    """
    known: dict[Dim, dict[Dim, tuple[int, Dim]]] = {}
    record_number: Callable[..., Expression] = with_number or functools.partial(_refuse, name)
    record_float = with_float or record_number

    def unusual(a: Expression, b: Expression) -> Expression:
        if not isinstance(b, Expression):
            return record_number(a, b)
        graph = graph_of(name, (a, b))
        row = known.setdefault(a.type, {})
        if b.type not in row:
            if otherwise and (found := otherwise(a, b)) is not None:
                return found
            new = _named(name, signature_of(a.type, b.type))
            row[b.type] = new.at, new.dim
        return _append(graph, *row[b.type], (a.at, b.at))

    def record(a: Expression, b: Expression) -> Expression:
        if b.__class__ is not Expression:
            if b.__class__ is float:
                return record_float(a, b)
            if b.__class__ is int:
                return record_number(a, b)
        try:
            signature, dim = known[a.type][b.type]
            graph = a.graph
            if b.graph is not graph:
                if graph is None:  # a is a parameter
                    graph = b.graph
                elif b.graph is not None:
                    graph_of(name, (a, b))  # raises
            if len(THREADS) > 1 and graph is not thread.graph:
                return unusual(a, b)
            node = graph.next
            graph.next = node.next
        except (KeyError, AttributeError):
            return unusual(a, b)
        node.type = dim
        nodes = graph.nodes
        nodes.append(signature)
        nodes.append(a.at)
        nodes.append(b.at)
        return node

    return of_its_own(record, name)


def _refuse(name: str, *operands) -> Expression:
    """Name the operand that is no expression."""
    graph_of(name, operands)
    raise AssertionError(name)


def many_operands(name: str, signature_of: SignatureOf) -> Callable[[Sequence[Expression]], Expression]:
    """The recording function of an op of a fixed number of operands that is known only at the call."""
    known: dict[Dim | None, Any] = {}  # by the Dim of the first, the second, ..., of the last, and None

    def unusual(operands: Sequence[Expression]) -> Expression:
        graph = graph_of(name, operands)
        dims = [x.type for x in operands]
        found: Any = known
        for dim in dims:
            found = found.setdefault(dim, {})
        if None not in found:
            new = _named(name, signature_of(*dims))
            found[None] = new.at, new.dim
        signature, result = found[None]
        return _append(graph, signature, result, [x.at for x in operands])

    def record(operands: Sequence[Expression]) -> Expression:
        try:
            found: Any = known
            graph = None
            for x in operands:
                found = found[x.type]
                if x.graph is not graph and x.graph is not None:  # None: a parameter
                    graph = x.graph if graph is None else graph_of(name, operands)
            signature, dim = found[None]
            if len(THREADS) > 1 and graph is not thread.graph:
                return unusual(operands)
            node = graph.next  # type: ignore[union-attr]
            graph.next = node.next  # type: ignore[union-attr]
        except (KeyError, AttributeError):
            return unusual(operands)
        node.type = dim
        nodes = graph.nodes  # type: ignore[union-attr]
        nodes.append(signature)
        for x in operands:
            nodes.append(x.at)
        return node

    return of_its_own(record, name)


def common_batch(name: str, dims: Sequence[Dim]) -> int:
    """The batch size of a result: that of the operands, where 1 goes with any other."""
    batch = max(dim.batch for dim in dims)
    if any(dim.batch not in (1, batch) for dim in dims):
        raise ShapeError(f"{name}: batch sizes differ: operands are {described(dims)}")
    return batch


def described(dims: Sequence[Dim]) -> str:
    """Shapes for an error message."""
    return ", ".join(map(repr, dims))
