"""Descriptions: what the planner knows about the nodes of one signature."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass

from dynet_kernels import layout as at
from dynet_kernels.layout import COMPUTED

from .dim import Dim


@dataclass(frozen=True)
class View:
    """The address that a step reads or writes in each column c. All fields but the indices count floats.

    The address is `base + offset + (c % period) * stride + (c // period) * outer`, or `base + offset + c * stride` if
    period is 0. `base` depends on `source`:

    - an operand's number: the start of this operand;
    - SELF: the start of the node itself;
    - EACH: the start of each operand after the first `operands`, one after the other, in a variadic record;
    - NOWHERE: 0;
    - BEFORE, in a record of parts: the start of the previous part;
    - FIRST, in a record of parts: the start of the first part, plus `scale` for each part between.

    With `index`, the term `scale * attribute[index + c * index_step]` is added.
    """

    source: int
    offset: int = 0
    stride: int = 0
    period: int = 0
    outer: int = 0
    index: int = at.NO_INDEX
    index_step: int = 0
    scale: int = 0


@dataclass(frozen=True)
class Step:
    """One instruction of a signature: a kernel, its parameters, and the operand whose gradient it computes, if any."""

    kernel: str
    parameters: tuple[int, ...]
    gradient_of: int = at.NO_OPERAND


@dataclass(eq=False, slots=True)
class Description:
    """The nodes of one signature: their shape, their views of memory, and the steps that compute them.

    A step runs once for all columns, and a view says where each column starts. A view refers to an operand by its
    number, or by EACH to all operands after the first `operands`, one after the other.

    Args:
        dim: the shape of the value.
        name: the name of the op, for messages.
        operands: the number of operands; of a variadic record, the number of those that views refer to one by one.
        variadic: the number of operands differs between records, and each record says its own.
        attributes: the number of attributes.
        constants: how many of the attributes, the first ones, are places in the input buffer.
        kind: COMPUTED, ALIAS, APART or INPUT, as in `layout`.
        size: the floats that a node takes; by default the size of `dim`.
        size_each: the floats that a variadic node takes in addition for each operand that shares EACH.
        columns: the number of columns that steps run on; with `each`, the number for each operand that shares EACH.
        each: whether there are columns for each operand that shares EACH; by default as `variadic` says.
        views: the memory that steps refer to, by roles. Role 2 * k is the value of view k, role 2 * k + 1 its gradient.
        forward, backward: the steps of each pass.
        deferred: steps of the backward pass that run at its end, for all nodes together.
        passes: whether the operands can get a gradient from the node.
        alias_scale, alias_offset: the start of an alias within its operand; see `signature.alias`.

    A record with `parts`, which are descriptions already in the table, is several nodes, one for each part:

        repeats: the last part occurs once for each operand that shares EACH.
        waits: (start, end): a part runs after the record's operands start to end - 1, and after the part before it.
            None means all operands.
        waits_each: a part also runs after the operands that share EACH.
    """

    dim: Dim
    _: KW_ONLY
    name: str = ""
    operands: int = 0
    variadic: bool = False
    attributes: int = 0
    constants: int = 0
    kind: int = COMPUTED
    size: int | None = None
    size_each: int = 0
    columns: int = 1
    each: bool | None = None
    waits: tuple[int, int] | None = None
    waits_each: bool = False
    parts: Sequence[Description] = ()
    repeats: bool = False
    alias_scale: int = 0
    alias_offset: int = 0
    passes: bool = True
    views: Sequence[View] = ()
    forward: Sequence[Step] = ()
    backward: Sequence[Step] = ()
    deferred: Sequence[Step] = ()
    at: int = -1

    @property
    def has_each(self) -> bool:
        """Return whether there are columns for each operand that shares EACH."""
        return self.variadic if self.each is None else self.each
