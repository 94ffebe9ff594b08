"""Signatures. A signature says how one kind of node is computed. Nodes with the same one can be computed in one batch.

A signature has *steps*, which are kernel calls, and *views*, which say where in memory the kernels read and write. The
planner, compiled code that orders and batches the nodes of a graph, reads signatures from the list TABLE.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any

from dynet_kernels import layout as at
from dynet_kernels.description import Description, Step, View, copy_step
from dynet_kernels.encode import enter
from dynet_kernels.table import KERNELS

from .dim import Dim
from .errors import ShapeError
from .recorder import next_generation

SIGNATURES: dict[int, Signature] = {}  # index in TABLE -> signature


@dataclass(eq=False, slots=True)
class Signature(Description):
    """A `Description` that is also in TABLE, where it begins at index `at`. The constructor writes it there.

    Args:
        dim: the shape of the value.
        name: the name of the op, for messages.
        has_gradient_of_whole: see `alias`.

    Raises:
        ShapeError: a size or stride does not fit into 64 bits.
    """

    dim: Dim
    _: KW_ONLY
    name: str = ""
    has_gradient_of_whole: bool = False

    def __post_init__(self) -> None:
        self.total = self.dim.total
        Description.__post_init__(self)
        try:
            self.at = enter(self)
        except OverflowError:
            raise ShapeError(f"{self.name or 'op'}: sizes or strides are too large for {self.dim!r}") from None
        SIGNATURES[self.at] = self
        next_generation()

    @property
    def kernel(self) -> str:
        """The name of the kernel that computes the node's value; "" if no kernel does, as for an input."""
        return self.forward[-1].kernel if self.forward else ""

    def nodes(self, integers: Sequence[int], place: int = 0) -> int:
        """Return how many nodes a record (a call of the op, as the graph stores it) adds to the graph.

        Args:
            integers: from index `place` on, the integers of the record after its signature: the operands, then the
                attributes. If the number of operands differs from record to record, this number comes first.
        """
        if not self.repeats:
            return len(self.parts) or 1
        return 1 + integers[place] - self.operands

    def bounds(self, records: Sequence[int], place: int = 0) -> tuple[int, int, int]:
        """Find the operands and the attributes of a record of this signature, which starts at index `place`.

        Returns:
            Three indices: where the operands start, where the attributes start, and where the next record starts.
        """
        first = place + 1 + self.variadic
        after = first + (records[place + 1] if self.variadic else self.operands)
        return first, after, after + self.attributes


def computed(
    kernel: str,
    dim: Dim,
    parameters: tuple[int, ...],
    views: Sequence[View],
    columns: int = 1,
    names: Sequence[str] = (),
    passes: bool = True,
    **facts: Any,
) -> Signature:
    """Return the signature of a node that one kernel computes, and its gradients by one kernel each.

    Args:
        kernel: the kernel's name. The gradient of the operand x is computed by a kernel with this name and ".dx" behind
            it, if there is one.
        dim: the shape of the node.
        parameters: the integers that each of these kernels needs.
        views: where they read and write.
        columns: the number of columns.
        names: what the views are called, beginning with the node itself; by default as the kernel's formulas say.
        passes: whether operands get gradients.
        facts: other fields of `Signature`.
    """
    rule: Any = KERNELS[kernel]
    called = [name.lstrip(".") for name in names or getattr(rule, "rule", rule).views]
    backward = [
        Step(gradient, parameters, view.source)
        for name, view in list(zip(called, views))[1:]
        if passes and (gradient := f"{kernel}.d{name}") in KERNELS
    ]
    facts |= {"views": views, "columns": columns, "passes": bool(backward)}
    return Signature(dim, forward=[Step(kernel, parameters)], backward=backward, **facts)


def number_views(count: int) -> list[View]:
    """Return views with which kernels read plain numbers from the graph's buffer of input values.

    The first `count` attributes (integers that a node has besides its operands) are their places in this buffer.
    """
    return [View(at.NOWHERE, index=attribute, scale=1) for attribute in range(count)]


def alias(
    dim: Dim, *, name: str = "", scale: int | None = None, offset: int = 0, has_gradient_of_whole: bool = False
) -> Signature:
    """Return the signature of a node whose value is a part of its operand's value, in the same memory, without a copy.

    The part starts `offset` floats after the start of the operand's value. If `scale` is given, the node has one
    attribute (an integer stored with it), and `scale` times this attribute is added to `offset`.

    In the same way, the node's gradient is a part of the operand's gradient, in the same memory. There are exceptions:
    if the node is the loss, and in `backward(full=True)`, the node's gradient has separate memory, and is added to the
    operand's gradient.

    If `has_gradient_of_whole`, the gradient that users get of the node is always the part of the operand's gradient.
    It contains what flows to the operand from elsewhere.
    """
    return Signature(
        dim,
        name=name,
        kind=at.ALIAS,
        has_gradient_of_whole=has_gradient_of_whole,
        alias_scale=scale or 0,
        alias_offset=offset,
        views=[View(at.SELF), View(0, offset=offset, index=at.NO_INDEX if scale is None else 0, scale=scale or 0)],
        backward=[copy_step("accumulate", 3, 1, dim.total, gradient_of=0)],
    )


def apart(dim: Dim, backward: Sequence[Step] = (), *, constants: int = 0) -> Signature:
    """Return the signature of a node whose value is its operand's, in the same memory, but whose gradient is separate.

    Args:
        dim: the shape of the node.
        backward: the steps (kernel calls) that compute the operand's gradient from the node's. Without any, the operand
            gets no gradient from this node.
        constants: how many constants the steps read from the graph's buffer of input values.
    """
    return Signature(
        dim,
        kind=at.APART,
        passes=bool(backward),
        views=[View(at.SELF), View(0), *number_views(constants)],
        backward=backward,
    )


__all__ = ["SIGNATURES", "Signature", "Step", "View", "alias", "apart", "computed", "copy_step", "number_views"]
