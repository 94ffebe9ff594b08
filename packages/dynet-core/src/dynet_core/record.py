"""How a node gets into the graph. The functions that ops record with are made here.

A recording function does what it knows by itself: see `recorder`. What it does not know comes to the functions here:
shapes not seen before, graphs that are watched, wrong operands. Everything that can fail comes before the record is
added, which is one call, so that an error leaves no half node.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from . import recorder
from .dim import Dim
from .errors import ArgumentTypeError, ShapeError, StaleExpressionError
from .expression import Expression
from .graph import Draft, current, refuse
from .recorder import ANY_GRAPH, NO_NODE
from .signature import Signature

SignatureOf = Callable[..., Signature]
PARAMETERS: list[type] = []
"""The types of parameters. Objects of other types beneath `Expression` mean nothing to a graph."""


def graph_of(name: str, operands: Sequence[Expression]) -> Draft:
    """A draft of a record in the graph that operands belong to, which is this thread's; parameters belong to any.

    Checks that they are expressions at all, and no parameters of size 0: these can be made and saved, not used.
    """
    draft = Draft(current())
    graph = draft.graph
    for operand in operands:
        kind = type(operand)
        if kind is not Expression and not issubclass(kind, tuple(PARAMETERS)):
            raise ArgumentTypeError(
                f"{name}: expected an Expression, got {type(operand).__name__} {operand!r:.60}{made_of(operand)}"
            )
        if operand.version == ANY_GRAPH:
            if not operand.type.total:
                raise ShapeError(f"{name}: {operand!r} has size 0, and no graph can use it")
        elif operand.version == NO_NODE:
            raise ArgumentTypeError(f"{name}: expected an Expression, got an unfinished {type(operand).__name__}")
        elif not graph.holds(operand):
            try:
                refuse(operand)
            except StaleExpressionError as problem:
                raise StaleExpressionError(f"{name}: operand {operand.type!r}: {problem}") from None
    return draft


def made_of(value: Any) -> str:
    """What makes an expression of something that is none, for errors."""
    if isinstance(value, np.ndarray) or (isinstance(value, list) and value and isinstance(value[0], (int, float))):
        return "; dy.inputTensor(...) makes one of an array"
    return "; dy.scalarInput(...) makes one of a number" if isinstance(value, (int, float, np.number)) else ""


def _named(name: str, signature: Signature) -> Signature:
    """A signature that knows the name of its op."""
    signature.name = signature.name or name
    return signature


def append(graph: Draft, signature: Signature, integers: Sequence[int]) -> Expression:
    """Add a record of a signature to a graph."""
    return graph.append(signature, integers)


def one_operand(name: str, signature_of: SignatureOf) -> Callable[[Expression], Expression]:
    """The recording function of an op of one operand, whose signature follows from the operand's Dim."""
    known: dict[Dim, Signature] = {}

    def unusual(x: Expression) -> Expression:
        graph = graph_of(name, (x,))
        signature = known.get(x.type)
        if signature is None:
            signature = _named(name, signature_of(x.type))
            record.enter((x.type,), signature.at, signature.dim)
            known[x.type] = signature
        return graph.append(signature, (x.at,))

    record = recorder.function("one", unusual)
    return record


def two_operands(
    name: str, signature_of: SignatureOf, otherwise: Callable | None = None, with_number: Callable | None = None
) -> Callable[[Expression, Expression], Expression]:
    """The recording function of an op of two operands.

    Args:
        otherwise: records operands of shapes that no signature covers; asked first for shapes not seen before,
            and may return None.
        with_number: records an expression and something that is no expression, for operators.
    """
    known: dict[tuple[Dim, Dim], Signature] = {}
    record_number: Callable[..., Expression] = with_number or functools.partial(_refuse, name)

    def unusual(a: Expression, b: Expression) -> Expression:
        if not isinstance(b, Expression):
            return record_number(a, b)
        graph = graph_of(name, (a, b))
        key = a.type, b.type
        signature = known.get(key)
        if signature is None:
            if otherwise and (found := otherwise(a, b)) is not None:
                return found
            signature = _named(name, signature_of(*key))
            record.enter(key, signature.at, signature.dim)
            known[key] = signature
        return graph.append(signature, (a.at, b.at))

    record = recorder.function("two", unusual)
    return record


def _refuse(name: str, *operands) -> Expression:
    """Name the operand that is no expression."""
    graph_of(name, operands)
    raise AssertionError(name)


def many_operands(
    name: str,
    signature_of: SignatureOf,
    given: Callable[[Any], Sequence[Expression]] = lambda xs: xs,
    otherwise: Callable | None = None,
    variadic: bool = False,
) -> Callable[[Sequence[Expression]], Expression]:
    """The recording function of an op of operands in a list, whose number is known only at the call.

    Args:
        signature_of: the signature, of the operands' Dims.
        given: makes a list or tuple of what a user gave.
        otherwise: records operands that no signature covers; asked first for shapes not seen before, and may return
            None.
        variadic: the record says how many operands it has.
    """
    known: dict[tuple[Dim, ...], Signature] = {}

    def unusual(xs: Sequence[Expression]) -> Expression:
        operands = given(xs)
        graph = graph_of(name, operands)
        key = tuple([x.type for x in operands])
        signature = known.get(key)
        if signature is None:
            if otherwise and (found := otherwise(operands)) is not None:
                return found
            signature = _named(name, signature_of(*key))
            record.enter(key, signature.at, signature.dim, int(variadic))
            known[key] = signature
        places = [x.at for x in operands]
        return graph.append(signature, [len(places), *places] if variadic else places)

    record = recorder.function("many", unusual)
    return record


def common_batch(name: str, dims: Sequence[Dim]) -> int:
    """The batch size of a result: that of the operands, where 1 goes with any other."""
    batch = max(dim.batch for dim in dims)
    if any(dim.batch not in (1, batch) for dim in dims):
        raise ShapeError(f"{name}: batch sizes differ: operands are {described(dims)}")
    return batch


def described(dims: Sequence[Dim]) -> str:
    """Shapes for an error message."""
    return ", ".join(map(repr, dims))
