"""Finds equal columns of a group, such as those for one word in a minibatch, so that kernels compute each only once.

If one view determines a column, columns with the same address in this view are equal. Kernels run only for the first of
them, and its value is copied to the others. The gradients of equal columns are added up in separate memory. The
operands' gradients are linear in these gradients, so they are computed from the sums.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .. import layout
from ..plain import plain
from .nodes import Steps
from .tape import Group, GroupLists, add_instruction, has_to_run

LEAST_COLUMNS = 8  # groups with fewer columns are not searched
LEAST_WORK_PER_COLUMN = 50_000  # groups whose forward steps take fewer picoseconds per column are not searched
LEAST_WORK_PER_FLOAT = 300  # groups that take fewer picoseconds per float are not searched: copying is as slow
MOST_COLUMNS_PER_SKIPPED = 8  # columns are left out only if at least one in this many equals an earlier one
COPY, ADD = 0, 1  # the numbers of a signature's two steps in the direction "repeated" (see `layout.DIRECTIONS`)
COLUMN_BITS = 24  # an entry of the hash table has a column in this many low bits, and the number of a search above
HASH_FACTOR = 2654435761  # about 2 ** 32 / golden ratio, which spreads evenly spaced addresses (Knuth, 6.4)


@dataclass
class EqualColumns:
    """The equal columns of a group. `lists` are the address lists of all its columns.

    A column that equals no earlier column is a *first* column. First columns are numbered in order. Any other column
    has the number of the first column that it equals. If enough columns are equal, only the first columns are computed,
    and `count` is their number. Otherwise `count` is the number of all columns.
    """

    group: Group
    lists: GroupLists
    count: Any

    @property
    def skips_columns(self):
        return self.count != self.lists.columns

    def first_column_number(self, column):
        return self.group.plan.numbers_of_columns[column]

    def first_column(self, number):
        return self.group.plan.numbers_of_columns[self.lists.columns + number]

    def address(self, view, side, column):
        """Return the address of a column from the list of a view's values (side 0) or gradients (side 1)."""
        return self.group.plan.index[self.lists.base + (2 * view + side) * self.lists.columns + column]

    @plain
    def write_first_columns(self, with_gradients: bool, sums=0, width=0) -> GroupLists:
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
        return GroupLists(base, count)

    @plain
    def each_repeated_column(self) -> Iterator[tuple]:
        """Yield (k, column) for each column that equals an earlier column, where k counts these columns from 0."""
        count = 0
        for column in range(self.lists.columns):
            if self.first_column(self.first_column_number(column)) != column:
                yield count, column
                count += 1

    @plain
    def add_step(self, step_number: int, count, how_shared: int):
        """Append an instruction of `count` columns for step COPY or ADD. Return where its lists start in `index`."""
        plan, context = self.group.plan, self.group.plan.context
        step = Steps(self.group.signature, "repeated")[step_number]
        base = context.index_top
        add_instruction(plan, step.opcode, base, count, step.parameters, 0, how_shared, count * step.work)
        context.index_top = base + 2 * count
        return base


@plain
def find_equal_columns(group: Group, lists: GroupLists, compare_gradients=0) -> EqualColumns:
    """Search a group for equal columns, if leaving out columns would save enough time.

    If `compare_gradients` is 1, equal columns must also have the same gradient address in the determining view.
    """
    signature, columns = group.signature, lists.columns
    view, count = signature.determined_by, columns
    is_in_range = columns >= LEAST_COLUMNS and columns < 1 << COLUMN_BITS
    if view != layout.NO_VIEW and is_in_range and 2 * columns <= group.plan.context.bucket_count:
        work = 0
        for k in range(signature.forward.count):
            work += signature.forward[k].work
        if work >= max(LEAST_WORK_PER_COLUMN, LEAST_WORK_PER_FLOAT * (signature.size + signature.size_each)):
            first_count = number_columns(EqualColumns(group, lists, columns), view, compare_gradients)
            if first_count * MOST_COLUMNS_PER_SKIPPED <= columns * (MOST_COLUMNS_PER_SKIPPED - 1):
                count = first_count
    return EqualColumns(group, lists, count)


@plain
def number_columns(equal: EqualColumns, view, compare_gradients):
    """Number the columns as `EqualColumns` describes. Return how many first columns there are.

    A hash table finds an earlier equal column by its address in the view that determines columns. An entry combines the
    number of a search with a column. Entries of older searches count as empty.
    """
    plan, columns = equal.group.plan, equal.lists.columns
    buckets, numbers = plan.buckets, plan.numbers_of_columns
    bucket_count = 2 * columns  # not the whole hash table, so that the buckets stay in a fast cache
    plan.context.searches += 1
    search = plan.context.searches
    count = 0
    for column in range(columns):
        value = equal.address(view, 0, column)
        mixed = ((value & 0x7FFFFFFF) * HASH_FACTOR) & 0xFFFFFFFF  # only 31 bits of `value`, so nothing overflows
        bucket, first = (mixed * bucket_count) >> 32, -1
        while first < 0 and buckets[bucket] >> COLUMN_BITS == search:
            earlier = buckets[bucket] & ((1 << COLUMN_BITS) - 1)
            equals = equal.address(view, 0, earlier) == value
            if equals and (not compare_gradients or equal.address(view, 1, earlier) == equal.address(view, 1, column)):
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
def skip_equal_columns(group: Group, lists: GroupLists) -> tuple[EqualColumns, GroupLists]:
    """Write address lists with which the forward steps compute equal columns of the group only once.

    Return the argument for `copy_values`, and the new lists. If no column is left out, these are the given `lists`.
    """
    equal = find_equal_columns(group, lists)
    base = equal.write_first_columns(with_gradients=False).base if equal.skips_columns else lists.base
    return equal, GroupLists(base, equal.count)


@plain
def copy_values(equal: EqualColumns) -> None:
    index = equal.group.plan.index
    if equal.skips_columns:
        count = equal.lists.columns - equal.count
        base = equal.add_step(COPY, count, layout.BY_COLUMNS)
        for k, column in equal.each_repeated_column():
            index[base + k] = equal.address(0, 0, column)
            index[base + count + k] = equal.address(0, 0, equal.first_column(equal.first_column_number(column)))


@plain
def sum_equal_gradients(group: Group, lists: GroupLists, is_full) -> GroupLists:
    """Append instructions that add up the gradients of equal columns. Return lists of first columns and these sums.

    If no column is left out, return `lists`. Deferred steps may use the returned lists too; see `sums_are_listed`.
    """
    plan, signature = group.plan, group.signature
    context, index = plan.context, plan.index
    has_wanted_step, base = 0, lists.base
    if signature.determined_by != layout.NO_VIEW:
        for k in range(signature.backward.count):
            if has_to_run(group, signature.backward[k], is_full):
                has_wanted_step = 1
    equal = find_equal_columns(group, lists, has_wanted_step)
    if equal.skips_columns:
        count = equal.count
        width = layout.aligned(signature.size + signature.size_each)
        sums = context.gradient_top
        context.gradient_top = sums + count * width
        copy_base = equal.add_step(COPY, count, layout.BY_COLUMNS)
        for k in range(count):
            index[copy_base + k] = sums + k * width
            index[copy_base + count + k] = equal.address(0, 1, equal.first_column(k))
        other_count = lists.columns - count
        add_base = equal.add_step(ADD, other_count, layout.ALONE)
        for k, column in equal.each_repeated_column():
            index[add_base + k] = sums + equal.first_column_number(column) * width
            index[add_base + other_count + k] = equal.address(0, 1, column)
        base = equal.write_first_columns(with_gradients=True, sums=sums, width=width).base
        plan.mark(signature).fill(
            once_base=base, once_columns=count, once_nodes=group.count, once_search=context.searches
        )
    return GroupLists(base, equal.count)


@plain
def sums_are_listed(group: Group, searches_before):
    """Whether `sum_equal_gradients` wrote lists for exactly this group since `searches` was `searches_before`."""
    signature, mark = group.signature, group.plan.mark(group.signature)
    listed = mark.once_search > searches_before and mark.once_nodes == group.count
    return signature.determined_by != layout.NO_VIEW and listed
