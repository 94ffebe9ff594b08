"""Signatures: nodes of one signature run together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dynet_kernels import layout as at

from .description import Description, Step, View
from .dim import Dim
from .encode import enter

SIGNATURES: dict[int, Signature] = {}  # by where they stand in the table


@dataclass(eq=False, slots=True)
class Signature(Description):
    """A description that stands in the planner's table; `at` is where."""

    def __post_init__(self) -> None:
        self.at = enter(self)
        SIGNATURES[self.at] = self

    @property
    def kernel(self) -> str:
        """The kernel of the last step; "" if nothing is computed."""
        return self.forward[-1].kernel if self.forward else ""

    def nodes(self, integers: Sequence[int]) -> int:
        """How many nodes a record is whose operands and attributes are these integers."""
        if not self.repeats:
            return len(self.parts) or 1
        return 1 + integers[0] - self.operands


def constant(attribute: int) -> View:
    """The view of a number that came with the node: attribute number `attribute` says where."""
    return View(at.NOWHERE, index=attribute, scale=1)


def copy_step(kernel: str, target: int, source: int, size: int, gradient_of: int = at.NO_OPERAND) -> Step:
    """A step that copies (or adds) `size` neighbouring numbers of each column from one role to another."""
    return Step(kernel, (target, source, size, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 0), gradient_of)


def alias(dim: Dim, *, name: str = "", scale: int | None = None, offset: int = 0) -> Signature:
    """A node that is a place inside its operand: nothing is computed or copied.

    With `scale`, it has one attribute, which counts in units of that many floats. Only where its gradient must
    be told from the operand's does it have one of its own, which is then added to the operand's.
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
    """A node whose values are its operand's, but not its gradient: `backward` makes the operand's of it, or nothing."""
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
