"""Python operators that do the same as an op, such as `a + b`. Their errors show the sign instead of the op's name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dynet_core.dim import Dim
from dynet_core.graph.expression import Expression
from dynet_core.graph.record import two_operands
from dynet_core.signature import Signature


@dataclass(frozen=True)
class Operator:
    """A Python operator with two operands.

    `repeating` is called first for shapes that are new. It copies operands that no kernel can broadcast in place and
    returns a node of the copies, otherwise None. `with_number` is called if the second operand is a plain number.
    """

    name: str
    signature_of: Callable[..., Signature]
    repeating: Callable[[Expression, Expression], Expression | None]
    with_number: Callable[..., Any] | None

    def record(self) -> Callable[[Expression, Expression], Expression]:
        """Return a function of two operands that adds the operator's node to the graph."""
        return two_operands(self.name, self.signature_of, self.repeating, self.with_number)


OPERATORS: dict[str, Operator] = {}
"""Operators with two operands, by their signs."""
SIGNS: dict[str, Callable[[Expression], Expression]] = {}
"""Operators with one operand, by their signs, as functions that add a node to the graph."""


def with_op_name(name: str, signature_of: Callable[..., Signature]) -> Callable[..., Signature]:
    """Return `signature_of`, but name signatures after the op: an operator shares them and may use one first."""

    def signature(*dims: Dim) -> Signature:
        found = signature_of(*dims)
        found.name = found.name or name
        return found

    return signature
