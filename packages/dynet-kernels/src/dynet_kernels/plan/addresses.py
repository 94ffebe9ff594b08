"""Writes the address lists of a group, which tell kernels where their columns are.

Each view has two lists, of values and of gradients, with an entry for each column. All lists of a group are adjacent in
the buffer `index`. Lists that no kernel reads are left uninitialized.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .. import layout as at
from ..plain import plain
from .grouping import Group
from .nodes import Node
from .structs import Steps, View


@dataclass
class Block:
    """The address lists of a group: they begin at `base` in the buffer `index`, and each is for `columns` columns."""

    base: Any
    columns: Any


@plain
def write_lists(group: Group, steps: Steps, with_gradients: bool = False) -> Block:
    """Write the address lists that `steps` read, for all nodes of a group, and reserve room for all other lists.

    Without `with_gradients`, only lists of values are written.
    """
    signature, context = group.signature, group.plan.context
    base, columns, count = context.index_top, group_columns(group), signature.view_count
    one_column = signature.columns == 1 and signature.columns_each == 0
    read, read_first = steps.lists, steps.first_lists
    for number in range(count):
        # Lists from MOST_LISTS on have no bits: if a step reads one of them, all bits of `read` are set.
        bits = min(2 * number, at.MOST_LISTS - 2)
        whole, first = (read >> bits) & 3, (read_first >> bits) & 3
        values = base + 2 * number * columns
        gradients = values + columns
        sides = [("value", 1, values), ("gradient", 2, gradients)] if with_gradients else [("value", 1, values)]
        lists = Lists(group, signature.views[number], sides)
        if one_column and lists.is_direct:
            lists.write_direct(whole, first)
        elif whole | first:
            lists.write_all()
    context.index_top = base + columns * 2 * count
    return Block(base, columns)


@plain
def group_columns(group: Group):
    signature = group.signature
    if signature.columns_each == 0:
        return group.count * signature.columns
    columns = 0
    for _, node in group.each_node():
        columns += node.columns
    return columns


class Lists:
    """The two address lists of a view.

    A side in `sides` is the attribute with the address to write, "value" or "gradient"; the list's bit in a set of
    lists; and where in the buffer `index` the list starts.
    """

    def __init__(self, group: Group, view: View, sides: list[tuple]):
        self.group, self.view, self.sides = group, view, sides
        self.plan, self.index = group.plan, group.plan.index
        self.source, self.offset = view.source, view.offset

    @property
    @plain
    def is_direct(self):
        """Whether the first column of each node is `offset` floats behind one address, as `start_of` finds it."""
        return self.source != at.NOWHERE and self.source != at.EACH and self.view.index == at.NO_INDEX

    @plain
    def write_direct(self, whole, first) -> None:
        """Write lists that are direct (`is_direct`), for a group whose nodes have one column each.

        Of the lists in the set `whole` kernels read all entries, of those in `first` only the first entry.
        """
        for field, bit, start in self.sides:
            count = self.group.count if whole & bit else 1 if first & bit else 0
            # The first two cases are there for speed only.
            if self.source >= 0:
                for place in range(count):
                    operand = self.group[place].record.operand(self.source)
                    self.index[start + place] = self.offset + self.plan.address(operand, field)
            elif self.source == at.SELF:
                for place in range(count):
                    self.index[start + place] = self.offset + getattr(self.group[place], field)
            else:
                for place in range(count):
                    self.index[start + place] = self._beside(self.group[place], field)

    @plain
    def write_all(self) -> None:
        """Write the addresses of all columns of all nodes of the group, for any view."""
        begin = 0
        for _, node in self.group.each_node():
            if self.source == at.EACH:
                self._write_each(node, begin)
            else:
                self._write_columns(node, begin)
            begin += node.columns

    @plain
    def _write_each(self, node: Node, begin) -> None:
        """Write the addresses of a node's columns if many operands share the view. `begin` columns come before."""
        view, record = self.view, node.record
        period, stride, first = view.period, view.stride, record.each_start
        for k in range(record.each_count):
            operand = record.operand(first + k)
            for field, _, list_at in self.sides:
                start = self.offset + self.plan.address(operand, field)
                place = list_at + begin + k * period
                for column in range(period):
                    self.index[place + column] = start + column * stride

    @plain
    def _write_columns(self, node: Node, begin) -> None:
        """Write the addresses of a node's columns, for a view with any source but EACH. `begin` columns come before."""
        view, attributes = self.view, node.record.attributes
        starts = [(self.start_of(node, field), list_at + begin) for field, _, list_at in self.sides]
        period, stride, outer = view.period, view.stride, view.outer
        index, index_step, scale = view.index, view.index_step, view.scale
        for column in range(node.columns):
            move = column * stride
            if period:
                move = column % period * stride + column // period * outer
            if index >= 0:
                move += self.plan.records[attributes + index + column * index_step] * scale
            for start, place in starts:
                self.index[place + column] = start + move

    @plain
    def start_of(self, node: Node, field: str):
        """Return the base address of the view for this node, plus the view's `offset`. See `layout.VIEW`."""
        if self.source >= 0:
            return self.offset + self.plan.address(node.record.operand(self.source), field)
        if self.source == at.SELF:
            return self.offset + getattr(node, field)
        return self.offset if self.source == at.NOWHERE else self._beside(node, field)

    @plain
    def _beside(self, node: Node, field: str):
        """Return the address for a view of a part of the same record: the part before, or a share of the first part."""
        if self.source == at.BEFORE:
            return self.offset + getattr(node.part_before, field)
        first = node.first_part
        return self.offset + getattr(self.plan.node(first), field) + (node.number - first - 1) * self.view.scale
