"""Signatures. Nodes with the same signature can run in one batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dynet_kernels import layout as at

from .description import Description, Step, View
from .dim import Dim
from .encode import enter

SIGNATURES: dict[int, Signature] = {}  # by their index in TABLE


@dataclass(eq=False, slots=True)
class Signature(Description):
    """A description that has been written to the planner's table, at index `at` of TABLE."""

    def __post_init__(self) -> None:
        self.at: int = enter(self)
        SIGNATURES[self.at] = self

    @property
    def kernel(self) -> str:
        """The name of the kernel that makes the value; "" if nothing is computed."""
        return self.forward[-1].kernel if self.forward else ""

    def nodes(self, integers: Sequence[int]) -> int:
        """Return how many nodes a record has, given its operands and attributes."""
        if not self.repeats:
            return len(self.parts) or 1
        return 1 + integers[0] - self.operands


def constant(attribute: int) -> View:
    """Return the view of a constant in the input buffer, whose place is the node's attribute number `attribute`."""
    return View(at.NOWHERE, index=attribute, scale=1)


def copy_step(kernel: str, target: int, source: int, size: int, gradient_of: int = at.NO_OPERAND) -> Step:
    """Return a step that copies (or adds) `size` adjacent numbers of each column from role `source` to `target`."""
    return Step(kernel, (target, source, size, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 0), gradient_of)


def alias(dim: Dim, *, name: str = "", scale: int | None = None, offset: int = 0) -> Signature:
    """Return the signature of a node whose value is a part of its operand's memory. Nothing is computed or copied.

    The part starts `offset` floats after the start of the operand's value. With `scale`, the node has one attribute,
    and the part starts `scale` times this attribute later. The gradient is a part of the operand's gradient, too,
    except after `backward(full=True)`: then the node has its own, which is added to the operand's.
    """
    return Signature(
        dim,
        name=name,
        operands=1,
        attributes=int(scale is not None),
        kind=at.ALIAS,
        alias_scale=scale or 0,
        alias_offset=offset,
        views=[View(at.SELF), View(0, offset=offset, index=at.NO_INDEX if scale is None else 0, scale=scale or 0)],
        backward=[copy_step("accumulate", 3, 1, dim.total, gradient_of=0)],
    )


def apart(dim: Dim, backward: Sequence[Step] = (), *, constants: int = 0) -> Signature:
    """Return the signature of a node that shares its operand's value but has its own gradient.

    The steps `backward` compute the operand's gradient from it. Without steps, the operand gets none.
    """
    return Signature(
        dim,
        operands=1,
        attributes=constants,
        constants=constants,
        kind=at.APART,
        passes=bool(backward),
        views=[View(at.SELF), View(0), *map(constant, range(constants))],
        backward=backward,
    )


__all__ = ["SIGNATURES", "Signature", "Step", "View", "alias", "apart", "constant", "copy_step"]
