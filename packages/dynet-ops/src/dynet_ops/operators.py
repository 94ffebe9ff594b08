"""Tables of the Python operators that do the same as an op, such as `a + b`, by their signs.

An operator adds the same node to the graph as its op, but its errors show the sign instead of the op's name. The
`Signature` of a node says how it is computed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dynet_core.dim import Dim
from dynet_core.expression import Expression
from dynet_core.record import two_operands
from dynet_core.signature import Signature


@dataclass(frozen=True)
class Operator:
    """A Python operator with two operands, such as `+`, that does the same as an op. Its error messages name the sign.

    Args:
        name: the sign, such as "+".
        signature_of: returns the signature of a node for operands of given shapes.
        repeating: called first when operands have shapes for which no node was added before. If no kernel can broadcast
            the operands in place, it copies them to the full shape, adds a node for the copies and returns it.
            Otherwise it returns None.
        with_number: called if the second operand is a plain number.
    """

    name: str
    signature_of: Callable[..., Signature]
    repeating: Callable[[Expression, Expression], Expression | None]
    with_number: Callable[..., Any] | None

    def record(self) -> Callable[[Expression, Expression], Expression]:
        """Return a function of two operands that adds the operator's node to the graph and returns its expression."""
        return two_operands(self.name, self.signature_of, self.repeating, self.with_number)


OPERATORS: dict[str, Operator] = {}
"""The Python operators with two operands, such as `a + b`, by their signs."""
SIGNS: dict[str, Callable[[Expression], Expression]] = {}
"""The Python operators with one operand, such as `-x`, by their signs, as functions that add a node to the graph."""


def with_op_name(name: str, signature_of: Callable[..., Signature]) -> Callable[..., Signature]:
    """Return `signature_of`, changed to name each signature after the op `name`, unless it has a name already.

    An operator and its op share signatures. Without this, a signature that is first used by the operator would be named
    after the operator's sign.
    """

    def signature(*dims: Dim) -> Signature:
        found = signature_of(*dims)
        found.name = found.name or name
        return found

    return signature
