"""Finds equal columns of a group, such as those for one word in a minibatch, so that kernels compute each once.

If one view determines a column, columns with the same address there are equal, and kernels run for the first only. Its
value is copied to the others. The gradients of equal columns are added up in memory of their own, from which the
operands' gradients, which are proportional to them, are computed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .. import layout
from ..plain import plain
from .nodes import Steps
from .tape import Block, Group, add_instruction, is_wanted

LEAST_COLUMNS = 8  # in smaller groups, equal columns are not looked for
LEAST_WORK = 50_000  # nor if the forward steps of a column take fewer picoseconds than this
LEAST_WORK_EACH = 300  # or fewer for each float of the column: it could be computed almost as fast as copied
LEAST_PART = 8  # all columns are computed unless an eighth of them or more can be left out
COPY, ADD = 0, 1  # the numbers of the two repeated steps of a signature
COLUMN_BITS = 24  # an entry of the hash table is the number of the search, and in its last bits a column
FACTOR = 2654435761  # near 2 ** 32 divided by the golden ratio, which spreads addresses with equal gaps (Knuth, 6.4)


@dataclass
class Equal:
    """The equal columns of a group that were found in the block of address lists `block`.

    Each column that equals no earlier one is the *first* of its kind. The first columns are numbered in their order,
    and those that equal them have the same number. If so many are equal that it pays, `count` is the number of first
    columns, which alone are computed. Otherwise `count` is the number of all columns.
    """

    group: Group
    block: Block
    count: Any

    @property
    def pays(self):
        """Whether there are enough equal columns, so that some are left out."""
        return self.count != self.block.columns

    def number_of(self, column):
        return self.group.plan.numbers_of_columns[column]

    def first_column(self, index):
        return self.group.plan.numbers_of_columns[self.block.columns + index]

    def address(self, view, side, column):
        """Return the address of a column of the group, from the list of values (side 0) or gradients (1) of a view."""
        return self.group.plan.index[self.block.base + (2 * view + side) * self.block.columns + column]

    @plain
    def write(self, with_gradients: bool, sums=0, width=0) -> Block:
        """Write address lists for the first columns, of gradients, too, if `with_gradients`.

        The gradients of the nodes themselves are replaced by those from address `sums` on, `width` floats per column.
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
        """Loop over the columns that equal earlier ones. Yield how many there were before, and the column."""
        count = 0
        for column in range(self.block.columns):
            if self.first_column(self.number_of(column)) != column:
                yield count, column
                count += 1

    @plain
    def add_step(self, kind: int, count, shared: int):
        """Append an instruction for one of the two repeated steps. Return where its two address lists begin."""
        plan, context = self.group.plan, self.group.plan.context
        step = Steps(self.group.signature, "repeated")[kind]
        base = context.index_top
        add_instruction(plan, step.opcode, base, count, step.parameters, 0, shared, count * step.work)
        context.index_top = base + 2 * count
        return base


@plain
def find_equal(group: Group, block: Block, gradients=0) -> Equal:
    """Look for equal columns in a group, if kernels take long enough for a column that this may pay.

    If `gradients` is 1, the gradients at the view that determines equal columns must have one address, too.
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
            if first * LEAST_PART <= columns * (LEAST_PART - 1):
                count = first
    return Equal(group, block, count)


@plain
def number_columns(equal: Equal, view, gradients):
    """Number the first columns in order, and those that equal them. Return how many first ones there are.

    They are in a hash table, by the address at the view that determines them. An entry has the number of this search
    and a column; older entries count as empty.
    """
    plan, columns = equal.group.plan, equal.block.columns
    buckets, numbers = plan.buckets, plan.numbers_of_columns
    bucket_count = 2 * columns  # not more, so that they are in a near cache
    plan.context.searches += 1
    search = plan.context.searches
    count = 0
    for column in range(columns):
        value = equal.address(view, 0, column)
        mixed = ((value & 0x7FFFFFFF) * FACTOR) & 0xFFFFFFFF
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
    """Write the address lists with which the forward steps compute each of the group's equal columns once.

    Return what `copy_values` needs, and the new lists, or `block` itself if nothing is left out.
    """
    equal = find_equal(group, block)
    base = equal.write(with_gradients=False).base if equal.pays else block.base
    return equal, Block(base, equal.count)


@plain
def copy_values(equal: Equal) -> None:
    index = equal.group.plan.index
    if equal.pays:
        count = equal.block.columns - equal.count
        base = equal.add_step(COPY, count, layout.BY_COLUMNS)
        for k, column in equal.each_repeated():
            index[base + k] = equal.address(0, 0, column)
            index[base + count + k] = equal.address(0, 0, equal.first_column(equal.number_of(column)))


@plain
def gradients_once(group: Group, block: Block, everything) -> Block:
    """Append instructions that add up gradients of equal columns; return lists for the sums, or `block` itself.

    The group's backward steps run with these lists. So do its deferred steps if the group has all nodes of the
    signature, which `sums_are_known` finds out later.
    """
    signature, context, index = group.signature, group.plan.context, group.plan.index
    to_operand, base = 0, block.base
    if signature.determined_by != layout.NO_VIEW:
        for k in range(signature.backward.count):
            if is_wanted(group, signature.backward[k], everything):
                to_operand = 1
    equal = find_equal(group, block, to_operand)
    if equal.pays:
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
    """Whether `gradients_once` wrote lists for exactly this group in this pass, which began at search `search`."""
    signature = group.signature
    known = signature.once_search > search and signature.once_nodes == group.count
    return signature.determined_by != layout.NO_VIEW and known
