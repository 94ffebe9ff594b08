"""Descriptions of kinds of nodes: what the planner needs to know to compute such nodes and their gradients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from . import layout

UNKNOWN_COUNT = 1 << 62  # a number of columns that is not known, larger than all real ones


class View(NamedTuple):
    """Where a kernel reads or writes in memory: one address for each column.

    The address of column c is base + offset + (c % period) * stride + (c // period) * outer, or
    base + offset + c * stride if `period` is 0. Distances count floats. Unless `index` is NO_INDEX, add
    scale * attribute[index + c * index_step], where `attribute` are the integers after the operands in the node's
    record. The base depends on `source`:

    - the number of an operand: the base is the address of this operand;
    - SELF: the address of the node itself;
    - EACH: the address of EACH operand number c // period, which has `period` columns (`outer`, `index` are not used);
    - NOWHERE: 0;
    - BEFORE: the address of the record's previous part;
    - FIRST: the address of the record's first part, plus `scale` for each part between it and the node itself;
    - HIDDEN: a place in the hidden floats of a cell; see `layout.HIDDEN_PLACE`. The cell has one column.
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
        """Return (columns per run, distance between columns, distance between runs) of the first `count` columns.

        Columns come in runs; distances are in floats, from start to start. `offset` and `index` are ignored, because
        they move all alike if `index_step` is 0. The last run may be shorter. If there is only one run, the distance
        between runs is 0; and if there is only one column, both distances are. If there are several runs, each has at
        least two columns. So views have equal results if their columns start at the same places.
        """
        stride, period = self.stride, self.period
        outer = 0 if self.source == layout.EACH else self.outer
        if period == 1:
            stride, period = outer, 0
        if not period or period >= count or outer == stride * period:
            return max(count, 1), stride if count > 1 else 0, 0
        return period, stride, outer

    def span(self, size: int, count: int) -> int | None:
        """Return the number of floats that the first `count` columns of `size` floats span, or None if any overlap."""
        # The result is also None if runs are interleaved, which no op uses, even if no columns overlap.
        run_length, column_distance, run_distance = self.runs(count)
        for distance, times in sorted([(column_distance, run_length), (run_distance, -(-count // run_length))]):
            if times > 1 and distance < size:
                return None
            size += distance * (times - 1)
        return size


class Step(NamedTuple):
    """A kernel call that computes, for all columns, a node's value or its operands' gradients.

    `parameters` are integers for the kernel: sizes, and roles, which say where it reads and writes. Role 2 * k is the
    value of view k, and role 2 * k + 1 is the gradient of view k. `gradient_of` is the number of the operand to
    whose gradient the step adds, or a negative constant of `layout`, such as NO_OPERAND. The kernel's view 0 is number
    `first_view` of the description.
    """

    kernel: str
    parameters: tuple[int, ...]
    gradient_of: int = layout.NO_OPERAND
    first_view: int = 0


def copy_step(kernel: str, target: int, source: int, size: int, gradient_of: int = layout.NO_OPERAND) -> Step:
    """Return a step that copies `size` adjacent floats of each column from role `source` to role `target`.

    `kernel` is "copy", or "accumulate" to add to the target. See `Step` for `gradient_of`.
    """
    return Step(kernel, (target, source, size, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 0), gradient_of)  # named in `Strides`


@dataclass(eq=False, slots=True, kw_only=True)
class Description:
    """Describes a kind of node to the planner: its shape, the memory that it uses, and the steps that compute it.

    Args:
        total: the number of floats in the value. If it is 0, no steps run.
        operands: the number of operands; if `variadic`, of those before the EACH operands. -1 means as many as the
            views mention (none if `variadic`). For `attributes` and `constants`, -1 means as many as the views use.
        variadic: whether the number of operands differs from record to record, so that each record stores it.
        attributes: the number of attributes, which are integers that a record stores after its operands.
        constants: this many of the first attributes are positions in the graph's buffer of input values.
        kind: COMPUTED if steps compute the value; INPUT if the program provides it; ALIAS if it is a section of the
            operand's value, in the same memory; APART for an alias whose gradient is always in separate memory.
        size: the number of floats of memory that the node takes. -1 means as many as `total`.
        size_each: the number of floats that each EACH operand adds to `size`.
        hidden: this many of the `size` floats, at the end, are only for the node's own steps. They have no gradient.
        columns: the number of columns that the steps compute: of the node or, if `each`, for each of the EACH operands.
        each: whether `columns` is the number for one EACH operand. None means the value of `variadic`.
        deferred: steps that run at the end of the backward pass, once for all nodes of the graph.
        determined_by: the number of the view that alone determines the value, or NO_VIEW. Columns with the same address
            in this view are equal, and are computed once. The results of backward steps must be proportional to the
            column's gradient, there must be one column per node or EACH operand, and view 0 must be the node's columns.
        passes: whether the node's operands can get gradients from the node.
        is_cell: whether views are HIDDEN. Then the last attributes are a HIDDEN_PLACE, which the planner fills in.
        alias_scale, alias_offset: an ALIAS starts alias_offset + alias_scale * (its first attribute) floats after its
            operand.
        parts: if not empty, a record consists of nodes with these descriptions, which must already be in the table.
        repeats: whether a record has one node more than it has EACH operands. Each description in `parts` then belongs
            to one node, in order, and the last of them also to all further nodes.
        waits: for a part, a pair (start, end): the part is computed after the previous part and the record's operands
            number start to end - 1. None means after all operands.
        waits_each: for a part, whether the part is also computed after all EACH operands.
        at: the index of the description's first integer in the planner's table, or -1 if it is not there yet.
        columns_each: if `each`, the value that was given for `columns`, which then becomes 0; otherwise 0.
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
    is_cell: bool = False
    at: int = -1
    columns_each: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        if self.size < 0:
            self.size = self.total
        if self.operands < 0:
            self.operands = 0 if self.variadic else max([0, *[view.source + 1 for view in self.views]])
        if self.attributes < 0:
            self.attributes = self._count_attributes(self.views)
        if self.constants < 0:
            self.constants = self._count_attributes([view for view in self.views if view.source == layout.NOWHERE])
        if self.variadic if self.each is None else self.each:
            self.columns, self.columns_each = 0, self.columns

    def _count_attributes(self, views: Sequence[View]) -> int:
        """Return the number of attributes, counted from the first, that the views read."""
        indexed = [view for view in views if view.index != layout.NO_INDEX]
        return max([0, *[view.index + view.index_step * (self.columns - 1) + 1 for view in indexed]])

    def column_count(self, view: View) -> int:
        """Return a view's number of columns (for EACH: per operand), or UNKNOWN_COUNT if it differs between nodes."""
        if view.source == layout.EACH:
            return view.period
        return UNKNOWN_COUNT if self.columns_each else self.columns

    @property
    def repeated(self) -> Sequence[Step]:
        """The steps COPY and ADD of `plan/repeats.py`: to copy a column to another, and to add a column to another."""
        if self.determined_by == layout.NO_VIEW:
            return ()
        size = self.size + self.size_each
        return copy_step("copy", 0, 1, size), copy_step("accumulate", 0, 1, size)
