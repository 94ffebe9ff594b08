"""Finds equal columns of a group, so that kernels compute each of them once.

Words come up again and again. In a minibatch of sentences, W x is the same wherever x is the embedding of the same
word. If one view alone determines a column (`determined_by` in `layout`), columns with the same address there are
equal. Kernels then run for the first one of them only:

- In the forward pass, the result is copied to the others.
- In the backward pass, the gradients of equal columns are added up in memory of their own. The kernels that add to the
  gradients of the operands then run for the sums, because these gradients are proportional to those of the columns.

The functions here emit the code that does this. A *group* is the nodes of one signature and depth. A *column* is what a
kernel works on at a time. Other terms are explained in `layout`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from .. import layout as at
from ..tir import int64, let
from ..tvm_modules import T
from .flow import Variable, all_of, any_of, branch, each, forever, pick, stop_unless, when
from .grouping import Group
from .nodes import whole_lines
from .structs import Steps
from .tape import Block, add_instruction, is_wanted

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
    def found(self):
        """Whether there are enough equal columns, so that some are left out."""
        return self.count != self.block.columns

    def number_of(self, column):
        """Return the number that `column` shares with the columns that equal it."""
        return self.group.plan.numbers_of_columns[column]

    def first_column(self, number):
        """Return the first of the equal columns that have this number."""
        return self.group.plan.numbers_of_columns[self.block.columns + number]

    def address(self, view, side, column):
        """Return the address of a column of the group, from the list of values (side 0) or gradients (1) of a view."""
        return self.group.plan.index[self.block.base + (2 * view + side) * self.block.columns + column]

    def write(self, with_gradients: bool, sums=0, width=0) -> Block:
        """Write address lists for the first columns.

        Args:
            with_gradients: whether to write lists of gradients, too.
            sums, width: the gradients of the nodes themselves are replaced by those from address `sums` on, `width`
                floats for each column.
        """
        context, index, signature = self.group.plan.context, self.group.plan.index, self.group.signature
        base = context.index_top
        with each(signature.view_count) as number:
            view = signature.views[number]
            for side in (0, 1) if with_gradients else (0,):
                start = let(base + (2 * number + side) * self.count)
                with each(self.count) as place:
                    index[start + place] = self.address(number, side, self.first_column(place))
                if side:
                    with when(view.source == at.SELF), each(self.count) as place:
                        index[start + place] = sums + place * width + view.offset
        context.index_top = base + 2 * self.count * signature.view_count
        return Block(base, self.count)

    @contextmanager
    def each_repeated(self) -> Iterator[tuple]:
        """Loop over the columns that equal earlier ones. Yield how many there were before, and the column."""
        place = Variable(0)
        with each(self.block.columns) as column:
            with when(self.first_column(self.number_of(column)) != column):
                yield place.value, column
                place.value += 1

    def add_step(self, kind: int, count, shared: int) -> Any:
        """Append an instruction for one of the two repeated steps. Return where its two address lists begin."""
        plan, context = self.group.plan, self.group.plan.context
        step = Steps(self.group.signature, "repeated")[kind]
        base = context.index_top
        add_instruction(plan, step.opcode, base, count, step.parameters, 0, shared, let(count * step.work))
        context.index_top = base + 2 * count
        return base


def find_equal(group: Group, block: Block, gradients=0) -> Equal:
    """Look for equal columns in a group, if kernels take long enough for a column that this may pay.

    Args:
        block: the address lists of the group.
        gradients: 1 if columns count as equal only if also their gradients at the view that determines them have the
            same address; else 0.
    """
    plan, signature, columns = group.plan, group.signature, block.columns
    view = signature.determined_by
    count = Variable(columns)
    may_pay = all_of(view != at.NO_VIEW, columns >= LEAST_COLUMNS, columns < (1 << COLUMN_BITS))
    with when(all_of(may_pay, 2 * columns <= plan.context.bucket_count)):
        work = Variable(0)
        with each(signature.forward.count) as number:
            work.value += signature.forward[number].work
        least = T.max(int64(LEAST_WORK), LEAST_WORK_EACH * (signature.size + signature.size_each))
        with when(work.value >= least):
            first = number_columns(Equal(group, block, columns), view, gradients)
            with when(first * LEAST_PART <= columns * (LEAST_PART - 1)):
                count.value = first
    return Equal(group, block, count.value)


def number_columns(equal: Equal, view, gradients):
    """Number the first columns, in the order of the lists, and those that equal them. Return how many there are.

    The columns are in a hash table, by the address at the view that determines them. An entry has the number of this
    search and a column; older entries count as empty.
    """
    plan, context = equal.group.plan, equal.group.plan.context
    buckets, numbers = plan.buckets, plan.numbers_of_columns
    bucket_count = let(2 * equal.block.columns)  # not more, so that they are in a near cache
    search = let(context.searches + 1)
    context.searches = search
    count = Variable(0)
    with each(equal.block.columns) as column:
        value = equal.address(view, 0, column)
        mixed = let(((value & int64(0x7FFFFFFF)) * int64(FACTOR)) & int64(0xFFFFFFFF))
        bucket, first = Variable((mixed * bucket_count) >> 32), Variable(-1)
        with forever():
            entry = buckets[bucket.value]
            stop_unless((entry >> COLUMN_BITS) == search)
            earlier = let(entry & ((1 << COLUMN_BITS) - 1))
            with when(equal.address(view, 0, earlier) == value):
                with when(any_of(gradients == 0, equal.address(view, 1, earlier) == equal.address(view, 1, column))):
                    first.value = earlier
            stop_unless(first.value < 0)
            bucket.value = pick(bucket.value + 1 == bucket_count, 0, bucket.value + 1)
        with branch(first.value < 0) as (is_first, equals_another):
            with is_first:
                number = count.value
                buckets[bucket.value] = (search << COLUMN_BITS) + column
                numbers[column] = number
                numbers[equal.block.columns + number] = column
                count.value = number + 1
            with equals_another:
                numbers[column] = numbers[first.value]
    return count.value


def values_once(group: Group, block: Block) -> tuple[Equal, Block]:
    """Write the address lists with which the forward steps compute each of the group's equal columns once.

    Returns:
        what `copy_values` needs; and the new lists, or `block` itself if nothing is left out.
    """
    equal = find_equal(group, block)
    base = pick(equal.found, lambda: equal.write(with_gradients=False).base, block.base)
    return equal, Block(base, equal.count)


def copy_values(equal: Equal) -> None:
    """Append the instruction that copies the values of columns to those that equal them."""
    index = equal.group.plan.index
    with when(equal.found):
        count = let(equal.block.columns - equal.count)
        base = equal.add_step(COPY, count, at.BY_COLUMNS)
        with equal.each_repeated() as (place, column):
            index[base + place] = equal.address(0, 0, column)
            index[base + count + place] = equal.address(0, 0, equal.first_column(equal.number_of(column)))


def gradients_once(group: Group, block: Block, everything) -> Block:
    """Append the instructions that add up the gradients of equal columns, and write address lists for the sums.

    The backward steps of the group then run with these lists. So do its deferred steps if the group is all nodes of the
    signature, which `sums_are_known` finds out later.

    Args:
        everything: 1 if all nodes need gradients, even those that depend on no trained parameter; else 0.

    Returns:
        the new lists, or `block` itself if nothing is left out.
    """
    plan, signature = group.plan, group.signature
    base = Variable(block.base)
    to_operand = Variable(0)
    with when(signature.determined_by != at.NO_VIEW):
        with each(signature.backward.count) as number:
            to_operand.value |= pick(is_wanted(group, signature.backward[number], everything), 1, 0)
    equal = find_equal(group, block, to_operand.value)
    with when(equal.found):
        count, context, index = equal.count, plan.context, plan.index
        width = whole_lines(signature.size + signature.size_each)
        sums = context.gradient_top
        context.gradient_top = sums + count * width
        lists = equal.add_step(COPY, count, at.BY_COLUMNS)
        with each(count) as number:
            index[lists + number] = sums + number * width
            index[lists + count + number] = equal.address(0, 1, equal.first_column(number))
        others = let(block.columns - count)
        lists = equal.add_step(ADD, others, at.ALONE)
        with equal.each_repeated() as (place, column):
            index[lists + place] = sums + equal.number_of(column) * width
            index[lists + others + place] = equal.address(0, 1, column)
        base.value = equal.write(with_gradients=True, sums=sums, width=width).base
        signature.fill(once_base=base.value, once_columns=count, once_nodes=group.count, once_search=context.searches)
    return Block(base.value, equal.count)


def sums_are_known(group: Group, search):
    """Whether `gradients_once` has written address lists for exactly the nodes of this group.

    Args:
        search: what `searches` of the context was when the backward pass began.
    """
    signature = group.signature
    return all_of(
        signature.determined_by != at.NO_VIEW, signature.once_search > search, signature.once_nodes == group.count
    )
