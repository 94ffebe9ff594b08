"""What the planner has to know about a kind of node, in order to compute it and its gradients.

The operands of a variadic record after the first `Description.operands` are *EACH operands*: they share views.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from . import layout

MANY = 1 << 62  # stands for a number of columns that is not known


class View(NamedTuple):
    """Where a kernel reads or writes in memory: one address for each column.

    The address of column c is base + offset + (c % period) * stride + (c // period) * outer, or
    base + offset + c * stride if `period` is 0. All of these count floats. Unless `index` is NO_INDEX,
    scale * attribute[index + c * index_step] is added, where `attribute` are the integers that the node's record holds
    after its operands. The base depends on `source`:

    - the number of an operand: where this operand starts;
    - SELF: where the node itself starts;
    - EACH: where EACH operand number c // period starts, which has `period` columns (`outer`, `index` are not used);
    - NOWHERE: 0;
    - BEFORE: where the previous part of the record starts;
    - FIRST: where the record's first part starts, plus `scale` for each part between it and the node itself.
    """

    source: int
    offset: int = 0
    stride: int = 0
    period: int = 0
    outer: int = 0
    index: int = layout.NO_INDEX
    index_step: int = 0
    scale: int = 0

    def runs(self, count: int) -> tuple[int, int, int]:
        """Describe where the first `count` columns start, apart from `offset` and `index`, which move all alike.

        Columns come in runs with equal gaps. Return how many columns a run has, how many floats after a column the next
        one starts, and how many floats after a run the next one starts. Views whose columns start at the same places
        have the same result. The last run may be shorter. If there is one run, the last number is 0, and if it is one
        column, the gap is 0, too; otherwise runs have at least two columns.
        """
        stride, period = self.stride, self.period
        outer = 0 if self.source == layout.EACH else self.outer
        if period == 1:
            stride, period = outer, 0
        if not period or period >= count or outer == stride * period:
            return max(count, 1), stride if count > 1 else 0, 0
        return period, stride, outer

    def span(self, size: int, count: int) -> int | None:
        """Return how many floats the first `count` columns of `size` floats span; None if two of them overlap."""
        # It is None also if runs lie within each other in ways that no op uses, even where no columns overlap.
        length, gap, far = self.runs(count)
        for distance, times in sorted([(gap, length), (far, -(-count // length))]):
            if times > 1 and distance < size:
                return None
            size += distance * (times - 1)
        return size


class Step(NamedTuple):
    """A kernel call that computes, for all columns, a node's value or its operands' gradients.

    `parameters` are the integers that the kernel needs: sizes, and roles, which say where it reads and writes. A role
    is 2 * k for the value of view k, 2 * k + 1 for its gradient. `gradient_of` is the number of the operand to whose
    gradient the step adds, or a negative constant of `layout`, such as NO_OPERAND.
    """

    kernel: str
    parameters: tuple[int, ...]
    gradient_of: int = layout.NO_OPERAND


def copy_step(kernel: str, target: int, source: int, size: int, gradient_of: int = layout.NO_OPERAND) -> Step:
    """Return a step that copies `size` adjacent numbers of each column from role `source` to role `target`.

    `kernel` is "copy", or "accumulate" to add to the target. `gradient_of` is the operand whose gradient that is.
    """
    return Step(kernel, (target, source, size, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 0), gradient_of)


@dataclass(eq=False, slots=True, kw_only=True)
class Description:
    """What the planner has to know about a kind of node: its shape, the memory it uses and the steps that compute it.

    Args:
        total: how many floats the value has. If it has none, no steps run.
        operands: the number of operands; if `variadic`, of the leading operands with views of their own. -1 means those
            that the views mention; this is also so for `attributes` and `constants`.
        variadic: whether the number of operands differs from record to record, so that each record stores it.
        attributes: the number of attributes, which are integers that a record stores after its operands.
        constants: how many attributes, counted from the first, are positions in the graph's buffer of input values.
        kind: COMPUTED if steps compute the value; INPUT if the user provides it; ALIAS if it is a part of the operand's
            value, in the same memory; APART for an alias whose gradient is always in separate memory.
        size: how many floats the node takes in memory; -1 means `total`.
        size_each: how many floats it takes in addition for each EACH operand.
        hidden: how many of the `size` floats, at the end, are for the node's own steps only. They have no gradient.
        columns: how many columns the steps compute; if `each`, how many for each EACH operand.
        each: whether `columns` is multiplied by the number of EACH operands; None means: if `variadic`.
        deferred: steps that run at the end of the backward pass, once for all nodes of the graph.
        determined_by: the number of the view that alone determines the value: columns with the same address there are
            equal, and are computed once. This requires that all backward steps are proportional to the column's
            gradient, that there is one column for each node or EACH operand, and that view 0 is all of it. NO_VIEW if
            this does not hold.
        passes: whether the node passes gradients on to its operands.
        alias_scale, alias_offset: an ALIAS starts alias_offset + alias_scale * (its first attribute) floats after its
            operand.
        parts: if not empty, a record is several nodes with these descriptions, which are already in the table.
        repeats: whether a record has one node more than it has EACH operands. Each part then describes one node, in
            order, and the last part describes all further nodes, too.
        waits: for a part, a pair (start, end): it is computed after the record's operands number start to end - 1, and
            after the part before it. None means after all operands.
        waits_each: for a part, whether it is computed after the EACH operands, too.
        at: the index of the description's first integer in the planner's table; -1 if it is not there yet.
        columns_each: `columns`, which is then 0, if it is to be multiplied.
    """

    total: int = 0
    operands: int = -1
    variadic: bool = False
    attributes: int = -1
    constants: int = -1
    kind: int = layout.COMPUTED
    size: int = -1
    size_each: int = 0
    hidden: int = 0
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
    determined_by: int = layout.NO_VIEW
    at: int = -1
    columns_each: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        if self.size < 0:
            self.size = self.total
        if self.operands < 0:
            self.operands = 0 if self.variadic else max([0, *[view.source + 1 for view in self.views]])
        if self.attributes < 0:
            self.attributes = self._attributes(self.views)
        if self.constants < 0:
            self.constants = self._attributes([view for view in self.views if view.source == layout.NOWHERE])
        if self.variadic if self.each is None else self.each:
            self.columns, self.columns_each = 0, self.columns

    def _attributes(self, views: Sequence[View]) -> int:
        """Return how many attributes, counted from the first one, views read."""
        indexed = [view for view in views if view.index != layout.NO_INDEX]
        return max([0, *[view.index + view.index_step * (self.columns - 1) + 1 for view in indexed]])

    def count(self, view: View) -> int:
        """Return how many columns of a view begin in one operand, or in the node itself; MANY if this differs."""
        if view.source == layout.EACH:
            return view.period
        return MANY if self.columns_each else self.columns

    @property
    def repeated(self) -> Sequence[Step]:
        """The steps that copy a column to its equals, and add up their gradients."""
        if self.determined_by == layout.NO_VIEW:
            return ()
        size = self.size + self.size_each
        return copy_step("copy", 0, 1, size), copy_step("accumulate", 0, 1, size)
