"""Writes the address lists of a group, from which kernels read where their columns are. See the terms in `layout`.

A *group* is the nodes of one signature and depth, which one instruction computes. A *column* is what a kernel works on
at a time, such as one batch element. A *view* of the signature says where the columns of an operand, or of the node
itself, start. For each view there are two lists, one with addresses of values and one with addresses of gradients. All
lists of a group are adjacent in the buffer `index`, and each has `count` entries, one for each column of the group.
Lists that no kernel reads are left uninitialised.

The functions here emit the code that writes the lists.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .. import layout as at
from ..tir import int64, let
from ..tvm_modules import T
from .flow import Variable, all_of, any_of, branch, each, pick, when
from .grouping import Group
from .nodes import Node
from .structs import Steps, View


@dataclass
class Side:
    """One of the two address lists of a view: the list for values or the list for gradients.

    Args:
        field: "value" or "gradient": the attribute of a node or parameter that has the address to write to the list.
        bit: the bit for this list in the result of `bits_of_view`: 1 for values, 2 for gradients.
        start: where the list starts in `index`, counted from the start of the view's first list, the one for values.
    """

    field: str
    bit: int
    start: object


def sides(count, with_gradients: bool) -> list[Side]:
    found = [Side("value", 1, int64(0))]
    return [*found, Side("gradient", 2, count)] if with_gradients else found


def write_block(group: Group, count, steps: Steps, with_gradients: bool) -> None:
    """Write the address lists that `steps` read, for all nodes of a group, and reserve room for all other lists.

    Args:
        group: the nodes.
        count: the number of columns of all these nodes together.
        steps: the steps of the group's signature in one direction.
        with_gradients: whether to write lists of gradients; else only lists of values.
    """
    signature, context = group.signature, group.plan.context
    base, views = context.index_top, signature.view_count
    one_column = all_of(signature.columns == 1, signature.columns_each == 0)
    lists, first_lists = steps.lists, steps.first_lists
    with each(views) as number:
        view = signature.views[number]
        block = Lists(group, view, let(base + 2 * number * count), count, sides(count, with_gradients))
        wanted, first = bits_of_view(lists, number), bits_of_view(first_lists, number)
        with branch(all_of(one_column, block.is_plain)) as (plain, otherwise):
            with plain:
                block.write_plain(wanted, first)
            with otherwise, when((wanted | first) != 0):
                block.write_all()
    context.index_top = base + count * 2 * views


def bits_of_view(bits, number):
    """Return the two bits of `bits` for the lists of view `number`: 1 for its values, 2 for its gradients.

    `bits` is a set of address lists as in `layout.STEPS`. It has a bit for each of the first MOST_LISTS lists. For a
    view with later lists, the result is the last two of these bits. This is no error: if a step reads one of the later
    lists, `bits` is ALL_LISTS, in which all bits are set.
    """
    return let((bits >> T.min(2 * number, int64(at.MOST_LISTS - 2))) & 3)


class Lists:
    """The two address lists of a view, and code that writes them.

    Args:
        group: the nodes whose columns the lists are for.
        view: a view of the group's signature.
        start: where in `index` the view's first list starts.
        count: the number of entries in each list.
        written: the lists that may be written: the one for values, or both.
    """

    def __init__(self, group: Group, view: View, start, count, written: Sequence[Side]):
        self.group, self.view, self.start, self.count, self.sides = group, view, start, count, written
        self.index = group.plan.index
        self.source, self.offset = view.source, view.offset

    @property
    def is_plain(self):
        """Whether the lists are plain: the first column of each node is `offset` floats behind a single address.

        This is the address of an operand, of the node itself, of the part before it, or of its memory in the record's
        first part. The lists are not plain if the view's source is EACH or NOWHERE, or if the view adds an attribute.
        """
        source = self.source
        known = any_of(source >= at.SELF, source == at.BEFORE, source == at.FIRST)
        return all_of(known, self.view.index == at.NO_INDEX)

    def write_plain(self, whole, first) -> None:
        """Write the lists if they are plain (see `is_plain`) and each node of the group has one column.

        Args:
            whole: the lists of which kernels read all entries, as the sum of their bits (`Side.bit`).
            first: the lists of which kernels read only the first entry, also as the sum of their bits.
        """
        for side in self.sides:
            count = pick((whole & side.bit) != 0, self.group.count, lambda: pick((first & side.bit) != 0, 1, 0))  # noqa: B023

            def write(address: Callable, side=side, count=count) -> None:
                with each(count) as place:
                    self.index[self.start + side.start + place] = self.offset + address(self.group[place], side.field)

            with branch(self.source >= 0) as (operands, others):
                with operands:
                    write(self._of_operand)
                with others, branch(self.source == at.SELF) as (itself, parts):
                    with itself:
                        write(getattr)
                    with parts, branch(self.source == at.BEFORE) as (before, first_part):
                        with before:
                            write(lambda node, field: getattr(node.part_before, field))
                        with first_part:
                            write(self._of_first_part)

    def _of_operand(self, node: Node, field: str):
        return self.group.plan.address(node.record.operand(self.source), field)

    def _of_first_part(self, node: Node, field: str):
        """Return the address of the floats in the record's first part that belong to `node`, one of the later parts.

        The value of the first part, and its gradient, have `scale` floats for each later part, in the order of the
        parts.
        """
        first = node.first_part
        share = (node.number - first - 1) * self.view.scale
        return share + getattr(self.group.plan.node(first), field)

    def write_all(self) -> None:
        """Write the lists completely, for any view: the addresses of all columns of all nodes of the group."""
        begin = Variable(0)
        for _, node in self.group.each_node():
            with branch(self.source == at.EACH) as (shared, otherwise):
                with shared:
                    self._write_each(node, begin.value)
                with otherwise:
                    self._write_columns(node, begin.value)
            begin.value += node.columns

    def _write_each(self, node: Node, begin) -> None:
        """Write the addresses of a node's columns if the view's source is EACH: many operands share the view.

        Args:
            begin: the number of columns of all nodes before this one.
        """
        view, record = self.view, node.record
        period, stride = view.period, view.stride
        first = record.each_start
        with each(record.each_count) as k:
            operand = record.operand(first + k)
            for side in self.sides:
                start = let(self.offset + self.group.plan.address(operand, side.field))
                list_at = let(self.start + side.start + begin + k * period)
                with each(period) as column:
                    self.index[list_at + column] = start + column * stride

    def _write_columns(self, node: Node, begin) -> None:
        """Write the addresses of the columns of one node, for a view with any source but EACH.

        Args:
            begin: the number of columns of all nodes before this one.
        """
        view, columns = self.view, node.columns
        starts = [self._start_of(node, side.field) for side in self.sides]
        lists = [let(self.start + side.start + begin) for side in self.sides]
        period, index, stride = view.period, view.index, view.stride
        with branch(all_of(period == 0, index < 0)) as (plain, otherwise):
            with plain:
                for start, list_at in zip(starts, lists):
                    with each(columns) as column:
                        self.index[list_at + column] = start + column * stride
            with otherwise:
                outer, index_step, scale, attributes = view.outer, view.index_step, view.scale, node.record.attributes
                with each(columns) as column:
                    move = Variable(column * stride)
                    with when(period != 0):
                        move.value = T.floormod(column, period) * stride + T.floordiv(column, period) * outer
                    with when(index >= 0):
                        move.value += self.group.plan.records[attributes + index + column * index_step] * scale
                    for start, list_at in zip(starts, lists):
                        self.index[list_at + column] = start + move.value

    def _start_of(self, node: Node, field: str):
        """Return the base address of the view for this node, plus the view's `offset`. See `layout.VIEW`."""

        def of_part():
            before = lambda: getattr(node.part_before, field)  # noqa: E731
            return pick(self.source == at.BEFORE, before, lambda: self._of_first_part(node, field))

        def of_node():
            return pick(self.source == at.SELF, lambda: getattr(node, field), of_part)

        def beside_operands():
            return pick(self.source == at.NOWHERE, 0, of_node)

        return let(self.offset + pick(self.source >= 0, lambda: self._of_operand(node, field), beside_operands))
