"""Finds equal columns of a group, such as those for one word in a minibatch, so that kernels compute each only once.

If one view determines a column, columns with the same address in this view are equal. Kernels run only for the first of
them, and its value is copied to the others. The gradients of equal columns are added up in separate memory. The
operands' gradients are linear in them, so they are computed from the sums.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .. import layout
from ..plain import plain
from .nodes import Steps
from .tape import Block, Group, add_instruction, is_wanted

LEAST_COLUMNS = 8  # groups with fewer columns are not searched
LEAST_WORK = 50_000  # groups whose forward steps take fewer picoseconds per column are not searched
LEAST_WORK_EACH = 300  # groups that take fewer picoseconds per float are not searched: copying is as slow
SKIPPED_PART = 8  # columns are left out only if they are at least 1 / SKIPPED_PART of all columns
COPY, ADD = 0, 1  # the numbers of the two repeated steps of a signature
COLUMN_BITS = 24  # an entry of the hash table has a column in its last bits, and before them the number of a search
HASH_FACTOR = 2654435761  # about 2 ** 32 / golden ratio, which spreads evenly spaced addresses (Knuth, 6.4)


@dataclass
class Equal:
    """The equal columns of a group, which were found in its address lists, `block`.

    A column that equals no earlier column is a *first* column. First columns are numbered in order. Any other column
    has the number of the first column that it equals. If enough columns are equal, only the first columns are computed,
    and `count` is their number. Otherwise `count` is the number of all columns.
    """

    group: Group
    block: Block
    count: Any

    @property
    def skips_columns(self):
        return self.count != self.block.columns

    def number_of(self, column):
        return self.group.plan.numbers_of_columns[column]

    def first_column(self, index):
        return self.group.plan.numbers_of_columns[self.block.columns + index]

    def address(self, view, side, column):
        """Return the address of a column from the list of a view's values (side 0) or gradients (side 1)."""
        return self.group.plan.index[self.block.base + (2 * view + side) * self.block.columns + column]

    @plain
    def write(self, with_gradients: bool, sums=0, width=0) -> Block:
        """Write the address lists of the first columns: those of values, and if `with_gradients`, of gradients.

        Lists of the nodes' own gradients get the addresses of the sums, which start at `sums`, `width` floats apart.
        """
        context, index = self.group.plan.context, self.group.plan.index
        signature, count, base = self.group.signature, self.count, context.index_top
        for k in range(signature.view_count):
            view = signature.views[k]
            start = base + 2 * k * count
            for column in range(count):
                index[start + column] = self.address(k, 0, self.first_column(column))
            if with_gradients:
                start_of_sums = sums + view.offset
                for column in range(count):
                    if view.source == layout.SELF:
                        index[start + count + column] = start_of_sums + column * width
                    else:
                        index[start + count + column] = self.address(k, 1, self.first_column(column))
        context.index_top = base + 2 * count * signature.view_count
        return Block(base, count)

    @plain
    def each_repeated(self) -> Iterator[tuple]:
        """Yield (k, column) for each column that equals an earlier column, where k counts these columns from 0."""
        count = 0
        for column in range(self.block.columns):
            if self.first_column(self.number_of(column)) != column:
                yield count, column
                count += 1

    @plain
    def add_step(self, kind: int, count, shared: int):
        """Append an instruction of `count` columns for step COPY or ADD. Return the offset of its lists in `index`."""
        plan, context = self.group.plan, self.group.plan.context
        step = Steps(self.group.signature, "repeated")[kind]
        base = context.index_top
        add_instruction(plan, step.opcode, base, count, step.parameters, 0, shared, count * step.work)
        context.index_top = base + 2 * count
        return base


@plain
def find_equal(group: Group, block: Block, gradients=0) -> Equal:
    """Search a group for equal columns, if leaving out columns would save enough time.

    If `gradients` is 1, equal columns must also have the same gradient address in the view that determines them.
    """
    signature, columns = group.signature, block.columns
    view, count = signature.determined_by, columns
    is_some = columns >= LEAST_COLUMNS and columns < 1 << COLUMN_BITS
    if view != layout.NO_VIEW and is_some and 2 * columns <= group.plan.context.bucket_count:
        work = 0
        for k in range(signature.forward.count):
            work += signature.forward[k].work
        if work >= max(LEAST_WORK, LEAST_WORK_EACH * (signature.size + signature.size_each)):
            first = number_columns(Equal(group, block, columns), view, gradients)
            if first * SKIPPED_PART <= columns * (SKIPPED_PART - 1):
                count = first
    return Equal(group, block, count)


@plain
def number_columns(equal: Equal, view, gradients):
    """Number the columns as `Equal` describes. Return how many first columns there are.

    A hash table finds them by their address in the view that determines them. An entry combines the number of a search
    with a column; entries of older searches count as empty.
    """
    plan, columns = equal.group.plan, equal.block.columns
    buckets, numbers = plan.buckets, plan.numbers_of_columns
    bucket_count = 2 * columns  # no more, so that they stay in a fast cache
    plan.context.searches += 1
    search = plan.context.searches
    count = 0
    for column in range(columns):
        value = equal.address(view, 0, column)
        mixed = ((value & 0x7FFFFFFF) * HASH_FACTOR) & 0xFFFFFFFF
        bucket, first = (mixed * bucket_count) >> 32, -1
        while first < 0 and buckets[bucket] >> COLUMN_BITS == search:
            earlier = buckets[bucket] & ((1 << COLUMN_BITS) - 1)
            equals = equal.address(view, 0, earlier) == value
            if equals and (not gradients or equal.address(view, 1, earlier) == equal.address(view, 1, column)):
                first = earlier
            else:
                bucket = 0 if bucket + 1 == bucket_count else bucket + 1
        if first < 0:
            buckets[bucket] = (search << COLUMN_BITS) + column
            numbers[column] = count
            numbers[columns + count] = column
            count += 1
        else:
            numbers[column] = numbers[first]
    return count


@plain
def values_once(group: Group, block: Block) -> tuple[Equal, Block]:
    """Write address lists with which the forward steps compute equal columns of the group only once.

    Return the argument for `copy_values`, and the new lists, or `block` itself if no column is left out.
    """
    equal = find_equal(group, block)
    base = equal.write(with_gradients=False).base if equal.skips_columns else block.base
    return equal, Block(base, equal.count)


@plain
def copy_values(equal: Equal) -> None:
    index = equal.group.plan.index
    if equal.skips_columns:
        count = equal.block.columns - equal.count
        base = equal.add_step(COPY, count, layout.BY_COLUMNS)
        for k, column in equal.each_repeated():
            index[base + k] = equal.address(0, 0, column)
            index[base + count + k] = equal.address(0, 0, equal.first_column(equal.number_of(column)))


@plain
def gradients_once(group: Group, block: Block, everything) -> Block:
    """Append instructions that add up the gradients of equal columns. Return address lists with the sums.

    If no column is left out, return `block`. Deferred steps of these nodes may use the lists too; see `sums_are_known`.
    """
    signature, context, index = group.signature, group.plan.context, group.plan.index
    to_operand, base = 0, block.base
    if signature.determined_by != layout.NO_VIEW:
        for k in range(signature.backward.count):
            if is_wanted(group, signature.backward[k], everything):
                to_operand = 1
    equal = find_equal(group, block, to_operand)
    if equal.skips_columns:
        count = equal.count
        width = layout.aligned(signature.size + signature.size_each)
        sums = context.gradient_top
        context.gradient_top = sums + count * width
        copied = equal.add_step(COPY, count, layout.BY_COLUMNS)
        for k in range(count):
            index[copied + k] = sums + k * width
            index[copied + count + k] = equal.address(0, 1, equal.first_column(k))
        others = block.columns - count
        added = equal.add_step(ADD, others, layout.ALONE)
        for k, column in equal.each_repeated():
            index[added + k] = sums + equal.number_of(column) * width
            index[added + others + k] = equal.address(0, 1, column)
        base = equal.write(with_gradients=True, sums=sums, width=width).base
        signature.fill(once_base=base, once_columns=count, once_nodes=group.count, once_search=context.searches)
    return Block(base, equal.count)


@plain
def sums_are_known(group: Group, search):
    """Whether `gradients_once` wrote lists for exactly this group since `context.searches` was `search`."""
    signature = group.signature
    known = signature.once_search > search and signature.once_nodes == group.count
    return signature.determined_by != layout.NO_VIEW and known
