"""Descriptions: what the planner has to know about a kind of node, in order to compute it and its gradients.

The planner is compiled code that orders the nodes of a graph, puts them into batches and assigns memory. Its terms:

- A *record* is one call of an op, stored in the graph as integers: the index of its signature, its operands and its
  attributes (further integers). Most records are one node. Some have *parts*: then each part is a node.
- A *signature* is a description in the planner's table. Nodes with the same signature can be computed in one batch.
- A *column* is the unit of work, for example one batch element of a value. A kernel call computes one or more columns.
- A *step* is one kernel call. It reads and writes columns. A *view* says at which address each column starts.
- In a *variadic* record, which has a variable number of operands, only the first `Description.operands` operands have
  views of their own. All others are *EACH operands*: they share views, whose source is the constant EACH.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from . import layout as at

MANY = 1 << 62  # stands for a number of columns that is not known


class View(NamedTuple):
    """Where a kernel reads or writes in memory: one address for each column that it computes.

    The address of column c is `base + offset + (c % period) * stride + (c // period) * outer`, or
    `base + offset + c * stride` if `period` is 0. `offset`, `stride`, `outer` and `scale` count floats. What `base` is
    depends on `source`, which is the number of an operand or a constant of `layout`:

    - the number of an operand: where this operand starts;
    - SELF: where the node itself starts;
    - EACH, in a variadic record: where EACH operand number `c // period` starts (each of these operands has `period`
      columns; `outer` and `index` are not used);
    - NOWHERE: 0;
    - BEFORE, in a record of several parts: where the previous part starts;
    - FIRST, in a record of several parts: where the first part starts, plus `scale` for each part between the first
      one and the node itself.

    If `index` is not NO_INDEX, `scale * attribute[index + c * index_step]` is added to the address. `attribute` is the
    list of integers that the node's record holds after its operands.
    """

    source: int
    offset: int = 0
    stride: int = 0
    period: int = 0
    outer: int = 0
    index: int = at.NO_INDEX
    index_step: int = 0
    scale: int = 0

    def runs(self, count: int) -> tuple[int, int, int]:
        """Describe where the first `count` columns start: in runs of columns with equal gaps.

        The description ignores `offset` and `index`, which move all columns alike. Views have the same description if
        all their columns start at the same places, and only then.

        Returns:
            The length of a run, in columns; the gap, how many floats after a column the next one of its run starts; and
            how many floats after a run the next one starts. The last run may be shorter. If there is one run, the last
            number is 0, and if it has one column, the gap is 0, too. Otherwise runs have at least two columns.
        """
        stride, period = self.stride, self.period
        outer = 0 if self.source == at.EACH else self.outer
        if period == 1:
            stride, period = outer, 0
        if not period or period >= count or outer == stride * period:
            return max(count, 1), stride if count > 1 else 0, 0
        return period, stride, outer

    def span(self, size: int, count: int) -> int | None:
        """Return how many floats the first `count` columns span, of `size` floats each; None if two of them overlap.

        The result may be None although they do not overlap, if runs of columns (see `runs`) lie within each other in a
        way that no op uses.
        """
        length, gap, far = self.runs(count)
        for distance, times in sorted([(gap, length), (far, -(-count // length))]):
            if times > 1 and distance < size:
                return None
            size += distance * (times - 1)
        return size


class Step(NamedTuple):
    """One of the kernel calls that compute a node's value or its operands' gradients. It computes all columns.

    Args:
        kernel: the name of the kernel.
        parameters: the integers that the kernel needs: sizes, and roles, which say where it reads and writes. A role is
            2 * k for the value of view number k, 2 * k + 1 for its gradient.
        gradient_of: the number of the operand to whose gradient the step adds; or a negative constant of `layout`, such
            as NO_OPERAND for a step that adds to no operand's gradient.
    """

    kernel: str
    parameters: tuple[int, ...]
    gradient_of: int = at.NO_OPERAND


def copy_step(kernel: str, target: int, source: int, size: int, gradient_of: int = at.NO_OPERAND) -> Step:
    """Return a step that copies or adds numbers from `source` to `target`: `size` adjacent ones for each column.

    Args:
        kernel: "copy" to overwrite the target, "accumulate" to add to it.
        target, source: roles, which say where memory is: 2 * k is the value of view number k, 2 * k + 1 its gradient.
        gradient_of: the number of the operand whose gradient is the target; NO_OPERAND if the target is something else.
    """
    return Step(kernel, (target, source, size, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 0), gradient_of)


@dataclass(eq=False, slots=True, kw_only=True)
class Description:
    """What the planner has to know about a kind of node: its shape, the memory it uses and the steps that compute it.

    A step is a kernel call that handles all columns (vectors) of the nodes in a batch. A view says where each column
    starts in memory. The EACH operands of a variadic record are those after the first `operands`; they share views.

    Args:
        total: how many floats the value has. If it has none, no steps run.
        operands: the number of operands; if `variadic`, the number of leading operands with views of their own. -1
            means those that the views mention; so it does for `attributes` and `constants`.
        variadic: whether the number of operands differs from record to record, so that each record stores it.
        attributes: the number of attributes, which are integers that a record stores after its operands.
        constants: how many of the attributes, counted from the first one, are positions in the graph's buffer of input
            values.
        kind: COMPUTED if steps compute the value; INPUT if the user provides it; ALIAS if it is a part of the operand's
            value, in the same memory; APART for an alias whose gradient is always in separate memory.
        size: the number of floats that the node takes in memory; -1 means `total`.
        size_each: the number of floats that the node takes in addition for each EACH operand.
        hidden: how many of the `size` floats, at the end, are for the node's own steps only. They have no gradient.
        columns: the number of columns that the steps compute; if `each` is True, the number for each EACH operand.
        each: whether `columns` is to be multiplied by the number of EACH operands; None means the same as `variadic`.
        views: where the steps read and write. A step names a view by a role: 2 * k is the value of view number k,
            2 * k + 1 its gradient.
        forward, backward: the steps of the forward pass and of the backward pass.
        deferred: steps of the backward pass that run at its end, once for all nodes of the graph.
        determined_by: the number of the view that alone determines the value. Columns with the same address there have
            the same value; and all steps of the backward pass add numbers that are proportional to the column's
            gradient. There is one column for each node or EACH operand, and view 0 is all of it. Equal columns are
            then computed once. NO_VIEW: this does not hold.
        passes: whether the node passes gradients on to its operands.
        alias_scale, alias_offset: an ALIAS starts alias_offset + alias_scale * (its first attribute) floats after its
            operand.
        parts: if not empty, a record is several nodes with these descriptions, which are already in the table.
        repeats: whether the number of nodes of a record varies: one more than its number of EACH operands. Each part
            then describes one node, in order, and the last part also describes all further nodes.
        waits: for a part, a pair (start, end): the part is computed after the record's operands number start to
            end - 1, and after the part before it. None means after all operands.
        waits_each: for a part, whether it is computed after the EACH operands, too.
        at: the index of the description's first integer in the planner's table; -1 if it is not in the table yet.
        columns_each: `columns`, which is then 0, if it is to be multiplied.
    """

    total: int = 0
    operands: int = -1
    variadic: bool = False
    attributes: int = -1
    constants: int = -1
    kind: int = at.COMPUTED
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
    determined_by: int = at.NO_VIEW
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
            self.constants = self._attributes([view for view in self.views if view.source == at.NOWHERE])
        if self.variadic if self.each is None else self.each:
            self.columns, self.columns_each = 0, self.columns

    def _attributes(self, views: Sequence[View]) -> int:
        """Return how many attributes, counted from the first one, views read."""
        indexed = [view for view in views if view.index != at.NO_INDEX]
        return max([0, *[view.index + view.index_step * (self.columns - 1) + 1 for view in indexed]])

    def count(self, view: View) -> int:
        """Return how many columns of a view begin in one operand, or in the node itself; MANY if this differs."""
        if view.source == at.EACH:
            return view.period
        return MANY if self.columns_each else self.columns

    @property
    def repeated(self) -> Sequence[Step]:
        """Return the steps with which the planner copies a column, and adds up gradients of columns, that are equal."""
        if self.determined_by == at.NO_VIEW:
            return ()
        size = self.size + self.size_each
        return copy_step("copy", 0, 1, size), copy_step("accumulate", 0, 1, size)
