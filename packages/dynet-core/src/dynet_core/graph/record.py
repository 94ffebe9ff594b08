"""Make the recording functions of ops, which users call, such as `dy.tanh`, to append a node to the graph.

They are compiled code with tables of the shapes that they have seen (see `recorder`). For new shapes, for wrong
operands, and for graphs that compute nodes as soon as they are recorded, they call a Python function, which is made
here and called `record_slowly`. All its checks come before the one call that appends the record, so an error never
leaves half a node.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dynet_kernels import formula

from .. import recorder
from ..dim import Dim
from ..errors import ArgumentError, ArgumentTypeError, ShapeError, StaleExpressionError
from ..messages.wording import shown
from ..recorder import ANY_GRAPH, NO_NODE
from ..signature import Signature
from .expression import Expression, Unfinished
from .graph import current, has_no_node, refuse
from .pinned_graph import PinnedGraph

SignatureOf = Callable[..., Signature]
PARAMETERS: list[type] = []
"""The subclasses of `Expression` whose objects can be operands: the types of parameters, added by the package
`parameter`."""


def graph_of(name: str, operands: Sequence[Expression]) -> PinnedGraph:
    """Check the operands of the op `name`, and return this thread's graph as a PinnedGraph.

    Raises:
        ArgumentTypeError: an operand is not an expression.
        ShapeError: an operand is a parameter of size 0. Such parameters can be made and saved, but not used.
        StaleExpressionError: an operand is not a node of this thread's graph.
    """
    pinned_graph = PinnedGraph(current())
    graph = pinned_graph.graph
    for operand in operands:
        kind = type(operand)
        if kind is not Expression and not issubclass(kind, (Unfinished, *PARAMETERS)):
            raise ArgumentTypeError(
                f"{name}: expected an Expression, got {type(operand).__name__} {shown(operand)}{made_of(operand, name)}"
            )
        if operand.version == ANY_GRAPH:
            if not operand.type.total:
                raise ShapeError(f"{name}: {operand!r} has size 0 and cannot be used in a graph")
        elif operand.version == NO_NODE:
            raise ArgumentTypeError(f"{name}: {has_no_node(operand)}")
        elif not graph.holds(operand):
            try:
                refuse(operand)
            except StaleExpressionError as problem:
                raise StaleExpressionError(f"{name}: operand {operand.type!r}: {problem}") from None
    return pinned_graph


OF_ONE = {"average": "mean_elems", "emax": "max_dim", "esum": "sum_elems", "logsumexp": "logsumexp_dim"}
"""Op of a list of expressions -> what reduces the elements of one expression."""


def listed(name: str, xs: Any) -> Sequence[Expression]:
    """Return the operands xs of an op as a list or tuple. The caller has to check that the items are expressions.

    xs may be any iterable except an expression, though one can be iterated over.
    """
    if xs.__class__ is not list and xs.__class__ is not tuple:
        if isinstance(xs, Expression):
            use = f"dy.{OF_ONE[name]} is for the elements of one" if name in OF_ONE else f"{name}([x]) takes one"
            raise ArgumentTypeError(f"{name}: expected a list of expressions, got one of {xs.type!r}; {use}")
        try:
            xs = list(xs)
        except TypeError:
            graph_of(name, (xs,))
    if not xs:
        raise ArgumentError(f"{name}: no expressions")
    return xs


def made_of(value: Any, name: str = "") -> str:
    """Return how to make an expression of what was given to the op `name` instead; "" if there is no way."""
    if isinstance(value, np.ndarray) or (isinstance(value, list) and value and isinstance(value[0], (int, float))):
        return "; dy.inputTensor(...) makes one from an array"
    if isinstance(value, (list, tuple)) and value and isinstance(value[0], Expression):
        return "; give it the expression itself, not a list"
    if isinstance(value, formula.Symbol):
        return f"; {formula.written(name)}"
    return "; dy.scalarInput(...) makes one from a number" if isinstance(value, (int, float, np.number)) else ""


def _named(name: str, signature: Signature) -> Signature:
    """Give a signature the name of its op, unless it has a name."""
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

    The node stores the places of `numbers`, which its kernels read, before the integers `attributes`.
    """
    graph = graph_of(name, operands)
    start = graph.take(numbers) if numbers else 0
    return graph.append(
        _named(name, signature), [*[x.at for x in operands], *range(start, start + len(numbers)), *attributes]
    )


def one_operand(name: str, signature_of: SignatureOf) -> Callable[[Expression], Expression]:
    """Return the recording function of an op with one operand. `signature_of` maps the operand's Dim to a signature."""
    known: dict[Dim, Signature] = {}

    def record_slowly(x: Expression) -> Expression:
        graph = graph_of(name, (x,))
        signature = known.get(x.type)
        if signature is None:
            signature = _named(name, signature_of(x.type))
            record.enter((x.type,), signature.at, signature.dim)
            known[x.type] = signature
        return graph.append(signature, (x.at,))

    record = recorder.function("one", record_slowly)
    return record


def two_operands(
    name: str, signature_of: SignatureOf, otherwise: Callable | None = None, with_number: Callable | None = None
) -> Callable[[Expression, Expression], Expression]:
    """Return the recording function of an op with two operands. `signature_of` maps their Dims to a signature.

    `otherwise` is called first for new shapes; it records the op, or returns None if `signature_of` is to be used.
    `with_number` is called if the second operand is not an expression, as in `x + 1`.
    """
    known: dict[tuple[Dim, Dim], Signature] = {}

    def record_slowly(a: Expression, b: Expression) -> Expression:
        if with_number and not isinstance(b, Expression):
            return with_number(a, b)
        graph = graph_of(name, (a, b))
        key = a.type, b.type
        signature = known.get(key)
        if signature is None:
            if otherwise and (result := otherwise(a, b)) is not None:
                return result
            signature = _named(name, signature_of(*key))
            record.enter(key, signature.at, signature.dim)
            known[key] = signature
        return graph.append(signature, (a.at, b.at))

    record = recorder.function("two", record_slowly)
    return record


def many_operands(
    name: str, signature_of: SignatureOf, otherwise: Callable | None = None
) -> Callable[[Sequence[Expression]], Expression]:
    """Return the recording function of an op of a list of operands. The arguments are as for `two_operands`."""
    known: dict[tuple[Dim, ...], Signature] = {}

    def record_slowly(xs: Sequence[Expression]) -> Expression:
        operands = listed(name, xs)
        graph = graph_of(name, operands)
        key = tuple([x.type for x in operands])
        signature = known.get(key)
        if signature is None:
            if otherwise and (result := otherwise(operands)) is not None:
                return result
            signature = _named(name, signature_of(*key))
            record.enter(key, signature.at, signature.dim, int(signature.variadic))
            known[key] = signature
        places = [x.at for x in operands]
        return graph.append(signature, [len(places), *places] if signature.variadic else places)

    record = recorder.function("many", record_slowly)
    return record


def common_batch(name: str, dims: Sequence[Dim]) -> int:
    """Return the largest of the operands' batch sizes; raise ShapeError if another one is not 1."""
    batch = max(dim.batch for dim in dims)
    if any(dim.batch not in (1, batch) for dim in dims):
        raise ShapeError(f"{name}: batch sizes differ: operands are {described(dims)}")
    return batch


def described(dims: Sequence[Dim]) -> str:
    """Return the shapes of operands as text for an error message."""
    return ", ".join(map(repr, dims))
