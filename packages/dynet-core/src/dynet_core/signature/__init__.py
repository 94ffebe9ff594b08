"""Signatures, each of which says how one kind of node is computed. The planner reads them from the list TABLE."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any

from dynet_kernels.description import Description, Step, View, copy_step
from dynet_kernels.encode import TABLE, append_to_table
from dynet_kernels.layout import ALIAS, APART, NO_INDEX, NOWHERE, SELF, SIGNATURE
from dynet_kernels.table import KERNELS

from ..dim import Dim
from ..errors import ArgumentError, ShapeError
from ..recorder import next_generation


class Signatures(dict[int, "Signature"]):
    """Index in TABLE -> signature. Those of patterns are made when they are first asked for; see `by_sizes`."""

    def __missing__(self, at: int) -> Signature:
        pattern, *variables = ORIGINS[at]
        pattern.add_signatures(*variables)
        return self[at]


ORIGINS: dict[int, tuple] = {}
"""Index of a signature in TABLE -> the pattern that makes it, and the arguments of `add_signatures`."""
SIGNATURES = Signatures()
KEPT: set[int] = set()
"""Indices in TABLE of signatures to which others than graphs refer, such as templates. They are never forgotten."""


@dataclass(eq=False, slots=True)
class Signature(Description):
    """A `Description` that the constructor also writes to TABLE, at index `at`.

    `name` is the name of the op, for messages. For `has_gradient_of_whole`, see `alias`. `choices`, only for a pick,
    whose attributes are indices: how many elements it picks from, and whether each batch element has an index.
    """

    dim: Dim
    _: KW_ONLY
    name: str = ""
    has_gradient_of_whole: bool = False
    choices: tuple[int, bool] | None = None

    def __post_init__(self) -> None:
        self.total = self.dim.total
        Description.__post_init__(self)
        try:
            self.at = append_to_table(self)
        except OverflowError:
            raise ShapeError(f"{self.name or 'op'}: sizes or strides are too large for {self.dim!r}") from None
        if type(self.at) is int:
            SIGNATURES[self.at] = self
            next_generation()

    @property
    def kernel(self) -> str:
        """The kernel that computes the node's value; "" if there is none, for example for an input."""
        return self.forward[-1].kernel if self.forward else ""


def stored(at: int, name: str) -> int:
    """Return an integer of the signature at this index in TABLE, without making a `Signature`; see `layout`."""
    return TABLE.integers[at + SIGNATURE[name]]


def node_count(at: int, integers: Sequence[int]) -> int:
    """Return how many nodes a record with this signature adds. `integers`: those after the signature."""
    if not stored(at, "last_part_repeats"):
        return stored(at, "part_count") or 1
    # One node for the whole list, and one for each EACH operand. The first integer counts all operands.
    return 1 + integers[0] - stored(at, "operands")


def bounds(records: Sequence[int], start: int = 0) -> tuple[int, int, int]:
    """Return where the operands and attributes of the record at index `start` begin, and where the record ends."""
    at = records[start]
    is_variadic = stored(at, "variadic")  # such a record first stores its number of operands
    operands_begin = start + 1 + is_variadic
    attributes_begin = operands_begin + (records[start + 1] if is_variadic else stored(at, "operands"))
    return operands_begin, attributes_begin, attributes_begin + stored(at, "attributes")


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
    """Return the signature of a node with one kernel for its value, and one for the gradient of each operand.

    Args:
        kernel: the kernel's name. The kernel for the gradient of the operand x, if any, is named `kernel` + ".dx".
        parameters: the integers that all these kernels take.
        views: the views of the node itself, then of all that the kernels read, each of `columns` columns.
        names: the names of the views, in the same order; by default, the names in the kernel's formulas.
        passes: whether operands get gradients.
        facts: other fields of `Signature`.

    Raises:
        ArgumentError: there are fewer views than names.
    """
    rule: Any = KERNELS[kernel]
    view_names = [name.lstrip(".") for name in names or getattr(rule, "rule", rule).views]
    if len(view_names) > len(views):
        wanted = ", ".join(["the result", *view_names[1:]])
        raise ArgumentError(f"{kernel}: expected {len(view_names)} views ({wanted}), got {len(views)}")
    backward = [
        Step(gradient, parameters, view.source)
        for name, view in list(zip(view_names, views))[1:]
        if passes and (gradient := f"{kernel}.d{name}") in KERNELS
    ]
    facts |= {"views": views, "columns": columns, "passes": bool(backward)}
    return Signature(dim, forward=[Step(kernel, parameters)], backward=backward, **facts)


def number_views(count: int) -> list[View]:
    """Return `count` views of one input value each. Attribute k is the index of value k in the input buffer."""
    return [View(NOWHERE, index=attribute, scale=1) for attribute in range(count)]


def alias(
    dim: Dim, *, name: str = "", scale: int | None = None, offset: int = 0, has_gradient_of_whole: bool = False
) -> Signature:
    """Return the signature of a node whose value is a section of its operand's value, in the same memory.

    The section starts `offset` floats after the start of the operand's value. If `scale` is given, the record has one
    attribute, and the section starts `scale` times this attribute later.

    Likewise, its gradient is a section of the operand's gradient, in the same memory. But if the node is the loss, or
    in `backward(full=True)`, the node's gradient has separate memory, and is added to the operand's gradient.

    With `has_gradient_of_whole`, users who ask for the node's gradient always get the section of the operand's
    gradient, which includes contributions from other nodes that use the operand.
    """
    return Signature(
        dim,
        name=name,
        kind=ALIAS,
        has_gradient_of_whole=has_gradient_of_whole,
        alias_scale=scale or 0,
        alias_offset=offset,
        views=[View(SELF), View(0, offset=offset, index=NO_INDEX if scale is None else 0, scale=scale or 0)],
        backward=[copy_step("accumulate", 3, 1, dim.total, gradient_of=0)],  # role 1: node's gradient; 3: operand's
    )


def alias_apart(dim: Dim, backward: Sequence[Step] = (), *, constants: int = 0) -> Signature:
    """Return the signature of a node that shares its operand's value, in the same memory, but has its own gradient.

    The steps `backward` compute the operand's gradient from the node's gradient. If there are none, the operand gets no
    gradient from this node. The steps read `constants` numbers from the graph's buffer of input values.
    """
    return Signature(
        dim, kind=APART, passes=bool(backward), views=[View(SELF), View(0), *number_views(constants)], backward=backward
    )


__all__ = ["SIGNATURES", "Signature", "Step", "View", "alias", "alias_apart", "computed", "copy_step", "number_views"]
