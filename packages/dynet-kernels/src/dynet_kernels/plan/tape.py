"""Finds groups, and writes the address lists and instructions of each group.

Nodes are sorted by depth and then by signature, so the nodes of a group are adjacent. Each view has two address lists,
of values and of gradients, with an entry for each column. All lists of a group are adjacent in the buffer `index`.
Lists that no kernel reads are left uninitialized.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from .. import layout
from ..kernels import SHARD_SIZE
from ..plain import Rows, Words, plain
from .nodes import Context, Instruction, Node, Plan, Step, Steps, View


@plain
def sort_planned(plan: Plan) -> None:
    """Sort the nodes in `planned`: by signature into `by_signature`; by depth, then signature, into `by_depth`.

    Afterwards, `planned` is sorted like `by_depth`.
    """
    context = plan.context
    count = context.planned_count
    # Until the last loop, entry k of `by_depth` is the depth of node `by_signature[k]`.
    nodes_and_depths = [(plan.planned, plan.by_signature), (plan.depths, plan.by_depth)]
    move_in_order(count, plan.numbers, context.numbered, plan.counters, nodes_and_depths)
    move_in_order(count, plan.by_depth, context.deepest, plan.counters, [(plan.by_signature, plan.planned)])
    for k in range(count):
        plan.by_depth[k] = plan.planned[k]


@plain
def move_in_order(count, keys: Words, key_count, counters: Words, lists: Sequence[tuple[Words, Words]]) -> None:
    """Copy lists to other memory, sorted by keys. This is a stable counting sort.

    `keys[k]`, at least 0 and less than `key_count`, is the key of entry k of each list. `counters` has room for
    `key_count` + 1 integers. `lists` are pairs of a list and the memory for its sorted copy.
    """
    for k in range(key_count + 1):
        counters[k] = 0
    for k in range(count):
        counters[keys[k] + 1] += 1
    for k in range(key_count):
        counters[k + 1] += counters[k]
    for k in range(count):
        key = keys[k]
        position = counters[key]
        counters[key] = position + 1
        for source, target in lists:
            target[position] = source[k]


class Group:
    """`count` nodes of one signature, adjacent in `sorted_nodes` from index `begin`. `group[k]` is number k of them."""

    def __init__(self, plan: Plan, sorted_nodes: Words, begin, count):
        self.plan, self.sorted_nodes, self.begin, self.count = plan, sorted_nodes, begin, count

    def __getitem__(self, k) -> Node:
        return self.plan.node(self.sorted_nodes[self.begin + k])

    @property
    def signature(self):
        return self[0].signature

    @plain
    def each_node(self) -> Iterator[tuple]:
        for k in range(self.count):
            yield k, self[k]


@plain
def each_group(plan: Plan, sorted_nodes: Words, count, same_group: Callable) -> Iterator[Group]:
    """Yield the groups in `sorted_nodes`. same_group(node, first) says whether a node is in the group of `first`."""
    begin = 0
    while begin < count:
        first = plan.node(sorted_nodes[begin])
        end = begin + 1
        while end < count and same_group(plan.node(sorted_nodes[end]), first):
            end += 1
        yield Group(plan, sorted_nodes, begin, end - begin)
        begin = end


@plain
def each_group_backwards(plan: Plan, sorted_nodes: Words, count, same_group: Callable) -> Iterator[Group]:
    """Like `each_group`, but from the last group to the first."""
    end = count
    while end > 0:
        last = plan.node(sorted_nodes[end - 1])
        begin = end - 1
        while begin > 0 and same_group(plan.node(sorted_nodes[begin - 1]), last):
            begin -= 1
        yield Group(plan, sorted_nodes, begin, end - begin)
        end = begin


@dataclass
class GroupLists:
    """The address lists of a group: they start at `base` in the buffer `index` and have `columns` entries each."""

    base: Any
    columns: Any


@plain
def write_lists(group: Group, steps: Steps, with_gradients: bool = False) -> GroupLists:
    """Write the address lists of a group that `steps` read: those of values, and if `with_gradients`, of gradients.

    The lists that `steps` do not read get room between these, but nothing is written there.
    """
    signature, context = group.signature, group.plan.context
    base, columns, count = context.index_top, count_columns(group), signature.view_count
    one_column = signature.columns == 1 and signature.columns_each == 0
    for k in range(count):
        view = signature.views[k]
        used = view.lists >> (4 * layout.DIRECTIONS.index(steps.direction))
        view_read, view_read_first = used & 3, (used >> 2) & 3
        values = base + 2 * k * columns
        gradients = values + columns
        sides = [("value", 1, values), ("gradient", 2, gradients)] if with_gradients else [("value", 1, values)]
        view_lists = ViewLists(group, view, sides)
        if one_column and view_lists.is_direct:
            view_lists.write_direct(view_read, view_read_first)
        elif view_read | view_read_first:
            view_lists.write_all()
    context.index_top = base + columns * 2 * count
    return GroupLists(base, columns)


@plain
def count_columns(group: Group):
    signature = group.signature
    if signature.columns_each == 0:
        return group.count * signature.columns
    columns = 0
    for _, node in group.each_node():
        columns += node.columns
    return columns


class ViewLists:
    """The address lists of a view, for all columns of a group.

    `sides` has a tuple for each list: (the field of a node with the address, "value" or "gradient"; the list's bit in a
    set of lists; the offset in the buffer `index` where the list starts).
    """

    def __init__(self, group: Group, view: View, sides: list[tuple]):
        self.group, self.view, self.sides = group, view, sides
        self.plan, self.index = group.plan, group.plan.index
        self.source, self.offset = view.source, view.offset

    @property
    @plain
    def is_direct(self):
        """Whether `start_of` is the first column's address: the source is not NOWHERE or EACH, and it has no index."""
        return self.source != layout.NOWHERE and self.source != layout.EACH and self.view.index == layout.NO_INDEX

    @plain
    def write_direct(self, read, read_first) -> None:
        """Write direct lists (`is_direct`) for a group whose nodes have one column each.

        Kernels read all entries of the lists in the set `read`, and only the first entry of the lists in `read_first`.
        """
        for field, bit, start in self.sides:
            count = self.group.count if read & bit else 1 if read_first & bit else 0
            # `start_of` covers all three cases; the first two are repeated here because they must be fast.
            if self.source >= 0:
                for k in range(count):
                    operand = self.group[k].record.operand(self.source)
                    self.index[start + k] = self.offset + self.plan.address(operand, field)
            elif self.source == layout.SELF:
                for k in range(count):
                    self.index[start + k] = self.offset + getattr(self.group[k], field)
            elif self.source == layout.HIDDEN:
                for k in range(count):
                    self.index[start + k] = self.offset + self.group[k].hidden_address(self.view, field)
            else:
                for k in range(count):
                    self.index[start + k] = self._start_of_part(self.group[k], field)

    @plain
    def write_all(self) -> None:
        """Write the addresses of all columns of all nodes of the group, for any view."""
        begin = 0
        for _, node in self.group.each_node():
            if self.source == layout.EACH:
                self._write_each(node, begin)
            else:
                self._write_columns(node, begin)
            begin += node.columns

    @plain
    def _write_each(self, node: Node, begin) -> None:
        """Write the addresses of a node's columns for a view with the source EACH, from entry `begin` of the lists."""
        view, record = self.view, node.record
        period, stride, first = view.period, view.stride, record.each_start
        for k in range(record.each_count):
            operand = record.operand(first + k)
            for field, _, list_start in self.sides:
                start = self.offset + self.plan.address(operand, field)
                position = list_start + begin + k * period
                for column in range(period):
                    self.index[position + column] = start + column * stride

    @plain
    def _write_columns(self, node: Node, begin) -> None:
        """Write the addresses of a node's columns for any other view, from entry `begin` of the lists."""
        view, attributes = self.view, node.record.attributes_start
        starts = [(self.start_of(node, field), list_start + begin) for field, _, list_start in self.sides]
        period, stride, outer = view.period, view.stride, view.outer
        attribute, index_step, scale = view.index, view.index_step, view.scale
        for column in range(node.columns):
            distance = column * stride
            if period:
                distance = column % period * stride + column // period * outer
            if attribute >= 0:
                distance += self.plan.records[attributes + attribute + column * index_step] * scale
            for start, position in starts:
                self.index[position + column] = start + distance

    @plain
    def start_of(self, node: Node, field: str):
        """Return the view's base address for a node, plus the view's `offset`; see `layout.VIEW`."""
        if self.source >= 0:
            return self.offset + self.plan.address(node.record.operand(self.source), field)
        if self.source == layout.SELF:
            return self.offset + getattr(node, field)
        if self.source == layout.HIDDEN:
            return self.offset + node.hidden_address(self.view, field)
        return self.offset if self.source == layout.NOWHERE else self._start_of_part(node, field)

    @plain
    def _start_of_part(self, node: Node, field: str):
        """Return the result of `start_of` for a view with the source BEFORE or FIRST."""
        if self.source == layout.BEFORE:
            return self.offset + getattr(node.part_before, field)
        first = node.first_part
        return self.offset + getattr(self.plan.node(first), field) + (node.number - first - 1) * self.view.scale


# If threads can share a step by columns or by rows, they share it by columns if each thread gets at least this many
# columns. A thread then often reads columns that it has written itself, which are in its cache.
LEAST_THREAD_COLUMNS = 16
CLEAR_WORK_PER_FLOAT = 100  # an estimate of the picoseconds that one thread takes to set one float to 0


def use_tape(context: Context, direction: str) -> None:
    """Select the tape and the address lists that planning and running use. `direction` is "forward" or "backward"."""
    context.take(context, ("index", "tape", "index_end", "tape_end"), of=direction + "_{}")


def start_tape(context: Context) -> None:
    context.fill(index_top=0, tape_count=0, shared_work=0, most_work=0, status=layout.READY)


@plain
def add_instruction(
    plan: Plan, opcode, base, count, parameters=0, is_fresh=0, how_shared=layout.ALONE, work=0, is_distinct=0
) -> None:
    """Append an instruction of `count` columns. If its kernel is not loaded, set `status` to NO_CODE: nothing runs.

    Its address lists start at `base` in `index`, its parameters at `parameters` in `table`. If `is_fresh`, the kernel
    overwrites uninitialized memory instead of adding to it. `work` is the picoseconds that one thread needs. If `work`
    is too little to be worth sharing, `how_shared` (see `layout.STEP`) is ignored.
    """
    context = plan.context
    chosen = (
        choose_sharing(plan, how_shared, count, is_distinct) if work >= plan.limits.least_instruction else layout.ALONE
    )
    if chosen != layout.ALONE:
        context.shared_work += work
    context.most_work = max(context.most_work, work)
    row = context.tape_count
    instruction = Rows(Instruction, plan.tape)[row]
    instruction.fill(opcode=opcode, base=base, count=count, parameters=parameters, fresh=is_fresh, shared=chosen)
    context.tape_count = row + 1
    if Words(context.code)[opcode // SHARD_SIZE] == 0:
        context.fill(status=layout.NO_CODE, row=row)


@plain
def choose_sharing(plan: Plan, how_shared, count, is_distinct):
    """Return how threads share an instruction of `count` columns: ALONE, BY_COLUMNS or BY_ROWS.

    Some values of `how_shared` leave the choice to this function; see `layout.STEP`. `is_distinct` is 1 if the step is
    known to add to a different gradient for each node of the group.
    """
    if how_shared == layout.IF_DISTINCT:
        return layout.BY_COLUMNS if is_distinct else layout.ALONE
    if how_shared < layout.EITHER:
        return how_shared
    by_columns = how_shared == layout.EITHER or is_distinct
    return layout.BY_COLUMNS if by_columns and count >= LEAST_THREAD_COLUMNS * plan.limits.threads else layout.BY_ROWS


def add_fill(plan: Plan, parameters, start, size, value) -> None:
    """Append an instruction that sets `size` floats at `start` to `value`, with parameters at `table[parameters]`."""
    for k, integer in enumerate((start, size, value)):
        plan.table[parameters + k] = integer  # reserved for this engine (`seed_fill`)
    add_instruction(plan, layout.FILL, 0, 1, parameters)


def add_clear(plan: Plan, start, size) -> None:
    base = plan.context.index_top
    plan.index[base] = start  # the only entry of the first list
    plan.index[base + 1] = size  # the only entry of the second list
    add_instruction(plan, layout.CLEAR, base, 1, how_shared=layout.BY_ROWS, work=size * CLEAR_WORK_PER_FLOAT)
    plan.context.index_top = base + 2


@plain
def add_steps(group: Group, steps: Steps, lists: GroupLists, is_full=0, fresh=0, distinct=0, left_out=0) -> None:
    """Append an instruction for each step that has to run for a group.

    Three arguments are sets of steps, where bit k is step k: `fresh` steps overwrite uninitialized gradients,
    `distinct` steps add to a different gradient for each node, and `left_out` steps have nothing to do.
    """
    base, columns = lists.base, lists.columns
    for k in range(steps.count):
        step = steps[k]
        if not (left_out >> k) & 1 and has_to_run(group, step, is_full):
            basic = opcode_of(group, step), base + 2 * step.first_view * columns, columns, step.parameters
            add_instruction(group.plan, *basic, (fresh >> k) & 1, step.shared, columns * step.work, (distinct >> k) & 1)


@plain
def opcode_of(group: Group, step: Step):
    """Return the opcode of a step, which the parameter may choose that is the matrix of a product."""
    opcode = step.opcode
    if step.matrix >= 0:
        operand = group[0].record.operand(step.matrix)
        if operand < 0:
            chosen = group.plan.parameter(-1 - operand).product
            opcode = chosen if chosen else opcode
    return opcode


@plain
def has_to_run(group: Group, step: Step, is_full):
    """Whether a step has to run for a group: it adds to no operand's gradient, or to one that is needed.

    If `is_full` is 1, all nodes and all trained parameters need gradients.
    """
    gradient_of = step.gradient_of
    is_always_needed = gradient_of == layout.NO_OPERAND or gradient_of <= layout.OWN
    return is_always_needed or _gradient_is_needed(group, gradient_of, is_full)


@plain
def _gradient_is_needed(group: Group, gradient_of, is_full):
    plan = group.plan
    position, needed = 0, 0
    while position < group.count and not needed:
        node = group[position]
        record = node.record
        if gradient_of >= 0:
            needed = plan.needs_gradient(record.operand(gradient_of), is_full)
        elif gradient_of == layout.EACH_OPERAND:
            first = record.each_start
            for k in range(record.each_count):
                needed |= plan.needs_gradient(record.operand(first + k), is_full)
        elif gradient_of == layout.BEFORE_OPERAND:
            needed = is_full | node.part_before.needs_gradient
        else:
            needed = is_full | node.needs_gradient
        position += 1
    return needed
