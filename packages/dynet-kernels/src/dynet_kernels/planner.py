"""What the planners share: they turn recorded nodes into a tape of instructions, compiled by TVM like the kernels.

What the integers mean stands in `layout`. No planner knows an op: a signature lists its views and steps. The planners
themselves are `forward_planner`, `backward_planner` and, for trainers, `update_planner`.
"""

from __future__ import annotations

from types import SimpleNamespace

from tvm.script import tirx as T

from . import layout as at
from . import tir
from .layout import SLOT

CLEAR_WORK = 100  # picoseconds that it takes to set one number to 0


def open_buffers(context):
    """Declare every buffer whose address stands in the context."""
    plan = SimpleNamespace(slots=tir.buffer_at(context, "int64"))
    for name in at.BUFFERS:
        setattr(plan, name, tir.buffer_at(plan.slots[SLOT[name]], "int64"))
    return plan


class Stretch:
    """A buffer from some place on."""

    def __init__(self, buffer, first):
        self.buffer, self.first = buffer, first

    def __getitem__(self, place):
        return self.buffer[self.first + place]


class Places:
    """The numbers from 0 on."""

    def __getitem__(self, place):
        return place


@T.inline
def count_sort(plan, source, target, count, keys, key_of):
    """Stable counting sort of `count` places by key_of[place] < keys."""
    for key in T.serial(keys + 1):
        plan.counters[key] = 0
    for k in T.serial(count):
        plan.counters[key_of[source[k]] + 1] += 1
    for key in T.serial(keys):
        plan.counters[key + 1] += plan.counters[key]
    for k in T.serial(count):
        place: T.let = source[k]
        key: T.let = key_of[place]
        target[plan.counters[key]] = place
        plan.counters[key] += 1


@T.inline
def put_in_order(plan):
    """Make `sorted` the nodes of `starts` by signature, and `order` the same by depth first."""
    count: T.let = plan.slots[SLOT["starts_count"]]
    places = T.meta_var(Places())
    count_sort(plan, places, plan.sorted, count, plan.slots[SLOT["numbered"]], plan.numbers)
    count_sort(plan, plan.sorted, plan.order, count, plan.slots[SLOT["deepest"]], plan.depths)
    for k in T.serial(count):
        plan.sorted[k] = plan.starts[plan.sorted[k]]
    for k in T.serial(count):
        plan.order[k] = plan.starts[plan.order[k]]


def node_at(plan, node, field):
    """What is known of a node: a field of its row."""
    return plan.node[node * at.NODE_ROW + field]


def local_of(plan, node):
    """The number of a node's signature in the present numbering."""
    return plan.table[node_at(plan, node, at.NODE_PART) + at.LOCAL]


def depth_of(plan, node):
    return node_at(plan, node, at.NODE_DEPTH) + plan.begins[node_at(plan, node, at.NODE_STAGE)]


def same_group(plan, node, other):
    return T.And(
        node_at(plan, node, at.NODE_PART) == node_at(plan, other, at.NODE_PART),
        depth_of(plan, node) == depth_of(plan, other),
    )


def is_later_part(plan, node):
    """Whether a node is a part of its record, and not the first."""
    return node > node_at(plan, node, at.NODE_BEGIN)


def needs_of(plan, node):
    """Whether a node needs a gradient."""
    return T.shift_right(node_at(plan, node, at.NODE_LIVE), T.int64(at.NEEDED.bit_length() - 1))


def operand_needs(plan, operand):
    """The same of an operand, which may be a parameter."""
    row = (-1 - operand) * at.PARAMETER_ROW + at.PARAMETER_NEEDS
    return tir.let(T.if_then_else(operand < 0, plan.parameters[row], needs_of(plan, operand)))


def property_of(plan, operand, field, node_field):
    """A property of an operand, which is a parameter or an earlier node."""
    row = (-1 - operand) * at.PARAMETER_ROW + field
    return tir.let(T.if_then_else(operand < 0, plan.parameters[row], node_at(plan, operand, node_field)))


def operand_count(plan, first, signature):
    """How many operands the record has whose operands begin at `first`; a variadic one says so itself."""
    return tir.let(
        T.if_then_else(
            plan.table[signature + at.VARIADIC] != 0, plan.nodes[first - 1], plan.table[signature + at.OPERANDS]
        )
    )


def each_count(plan, first):
    """How many operands of a variadic record share EACH."""
    return plan.nodes[first - 1] - plan.table[plan.nodes[first - 2] + at.OPERANDS]


def first_each(plan, first):
    return tir.let(first + plan.table[plan.nodes[first - 2] + at.OPERANDS])


def part_count(plan, first, signature):
    """How many nodes a record is; where the last part repeats, one for each operand that shares EACH, and the first."""
    known = plan.table[signature + at.PARTS_KNOWN]
    repeated = T.if_then_else(plan.table[signature + at.PARTS_REPEAT] != 0, 1 + each_count(plan, first), known)
    return tir.let(T.if_then_else(known == 0, T.int64(1), repeated))


def part_signature(plan, signature, number):
    """What part `number` of a record with this signature runs by."""
    known = plan.table[signature + at.PARTS_KNOWN]
    listed = plan.table[signature + at.PARTS] + T.min(number, known - 1)
    return tir.let(T.if_then_else(known == 0, signature, plan.table[listed]))


def awaited(plan, first, signature, operands, turn):
    """Operands that a part waits for: where they begin, and how many; those that share EACH come in a second turn."""
    begin = plan.table[signature + at.WAITS_FROM]
    count = plan.table[signature + at.WAITS_COUNT]
    count = T.if_then_else(count == at.TO_THE_END, operands - begin, count)
    return (
        tir.let(first + T.if_then_else(turn == 0, begin, operands - each_count(plan, first))),
        tir.let(T.if_then_else(turn == 0, count, each_count(plan, first))),
    )


def size_of(plan, node, signature):
    """How many floats a node holds."""
    return tir.let(with_each(plan, node, plan.table[signature + at.SIZE], plan.table[signature + at.SIZE_EACH]))


def with_each(plan, node, number, number_each):
    """A number, and another for each operand that shares EACH."""
    each = number_each * each_count(plan, node_at(plan, node, at.NODE_FIRST))
    return number + T.if_then_else(number_each != 0, each, T.int64(0))


def column_count(plan, node, signature):
    """How many columns a node has in the lists of addresses."""
    return tir.let(with_each(plan, node, plan.table[signature + at.COLUMNS], plan.table[signature + at.COLUMNS_EACH]))


def float_count(plan, node, signature):
    """How many floats a node holds, in whole cache lines."""
    return tir.let(T.floordiv(size_of(plan, node, signature) + 15, 16) * 16)


def list_bits(bits, view):
    """Whether the values (1) and the gradients (2) of a view are among lists that are given as bits."""
    return tir.let(T.bitwise_and(T.shift_right(bits, T.min(2 * view, at.MOST_LISTS - 2)), T.int64(3)))


@T.inline
def write_operands(plan, order, count, list_at, source, offset, field, node_field):
    """Write where one operand of each node stands, or its gradient: a column each, at no stride."""
    for place in T.serial(count):
        operand: T.let = plan.nodes[node_at(plan, order[place], at.NODE_FIRST) + source]
        plan.index[list_at + place] = offset + property_of(plan, operand, field, node_field)


@T.inline
def write_themselves(plan, order, count, list_at, offset, node_field):
    """Write where each node stands, or its gradient: a column each, at no stride."""
    for place in T.serial(count):
        plan.index[list_at + place] = offset + node_at(plan, order[place], node_field)


@T.inline
def write_before(plan, order, count, list_at, offset, node_field):
    """Write where the parts before the nodes stand."""
    for place in T.serial(count):
        plan.index[list_at + place] = offset + node_at(plan, order[place] - 1, node_field)


@T.inline
def write_first(plan, order, count, list_at, offset, scale, node_field):
    """Write where the nodes' shares of the first parts of their records stand."""
    for place in T.serial(count):
        node: T.let = order[place]
        holder: T.let = node_at(plan, node, at.NODE_BEGIN)
        plan.index[list_at + place] = offset + (node - holder - 1) * scale + node_at(plan, holder, node_field)


@T.inline
def write_moved(plan, list_at, count, back, move):
    """Write a list of which each address is `move` more than that `back` entries before it."""
    for place in T.serial(count):
        plan.index[list_at + place] = plan.index[list_at + place - back] + move


@T.inline
def write_plain(plan, order, nodes, source, offset, scale, list_at, all_bits, first_bits, side, field, node_field):
    """Write one list of a view with one column each: for all nodes, for the first, or for none."""
    count: T.let = T.if_then_else(
        T.bitwise_and(all_bits, side) != 0,
        nodes,
        T.if_then_else(T.bitwise_and(first_bits, side) != 0, T.int64(1), T.int64(0)),
    )
    if source >= 0:
        write_operands(plan, order, count, list_at, source, offset, field, node_field)
    elif source == at.SELF:
        write_themselves(plan, order, count, list_at, offset, node_field)
    elif source == at.BEFORE:
        write_before(plan, order, count, list_at, offset, node_field)
    else:
        write_first(plan, order, count, list_at, offset, scale, node_field)


@T.inline
def write_columns(plan, view, list_at, value, gradient, attributes, columns, count, with_gradients):
    """Write where one view's columns of one node stand, and their gradients `count` entries further on."""
    stride: T.let = plan.table[view + at.VIEW_STRIDE]
    period: T.let = plan.table[view + at.VIEW_PERIOD]
    index: T.let = plan.table[view + at.VIEW_INDEX]
    if period == 0 and index < 0:
        for column in T.serial(columns):
            plan.index[list_at + column] = value + column * stride
        if with_gradients:
            for column in T.serial(columns):
                plan.index[list_at + count + column] = gradient + column * stride
    else:
        outer: T.let = plan.table[view + at.VIEW_OUTER]
        step: T.let = plan.table[view + at.VIEW_INDEX_STEP]
        scale: T.let = plan.table[view + at.VIEW_INDEX_SCALE]
        for column in T.serial(columns):
            move = column * stride
            if period != 0:
                move = T.floormod(column, period) * stride + T.floordiv(column, period) * outer
            if index >= 0:
                move = move + plan.nodes[attributes + index + column * step] * scale
            plan.index[list_at + column] = value + move
            if with_gradients:
                plan.index[list_at + count + column] = gradient + move


@T.inline
def write_each(plan, node, view, list_at, count, with_gradients):
    """Write where the columns of the operands that share EACH stand."""
    offset: T.let = plan.table[view + at.VIEW_OFFSET]
    stride: T.let = plan.table[view + at.VIEW_STRIDE]
    period: T.let = plan.table[view + at.VIEW_PERIOD]
    operands: T.let = node_at(plan, node, at.NODE_FIRST)
    first: T.let = first_each(plan, operands)
    for k in T.serial(each_count(plan, operands)):
        operand: T.let = plan.nodes[first + k]
        value: T.let = offset + property_of(plan, operand, at.PARAMETER_VALUE, at.NODE_VALUE)
        for column in T.serial(period):
            plan.index[list_at + k * period + column] = value + column * stride
        if with_gradients:
            gradient: T.let = offset + property_of(plan, operand, at.PARAMETER_GRADIENT, at.NODE_GRADIENT)
            for column in T.serial(period):
                plan.index[list_at + count + k * period + column] = gradient + column * stride


@T.inline
def write_view(plan, order, nodes, signature, view, list_at, count, with_gradients):
    """Write one view of `nodes` nodes that have `count` columns together."""
    source: T.let = plan.table[view + at.VIEW_SOURCE]
    offset: T.let = plan.table[view + at.VIEW_OFFSET]
    begin = T.int64(0)
    for place in T.serial(nodes):
        node: T.let = order[place]
        columns: T.let = column_count(plan, node, signature)
        operands: T.let = node_at(plan, node, at.NODE_FIRST)
        if source == at.EACH:
            write_each(plan, node, view, list_at + begin, count, with_gradients)
        else:
            value = offset
            gradient = offset
            if source >= 0:
                operand: T.let = plan.nodes[operands + source]
                value = value + property_of(plan, operand, at.PARAMETER_VALUE, at.NODE_VALUE)
                if with_gradients:
                    gradient = gradient + property_of(plan, operand, at.PARAMETER_GRADIENT, at.NODE_GRADIENT)
            elif source != at.NOWHERE:
                holder = node
                if source == at.BEFORE:
                    holder = node - 1
                elif source == at.FIRST:
                    holder = node_at(plan, node, at.NODE_BEGIN)
                    move: T.let = (node - holder - 1) * plan.table[view + at.VIEW_INDEX_SCALE]
                    value = value + move
                    gradient = gradient + move
                value = value + node_at(plan, holder, at.NODE_VALUE)
                if with_gradients:
                    gradient = gradient + node_at(plan, holder, at.NODE_GRADIENT)
            attributes: T.let = operands + operand_count(plan, operands, signature)
            write_columns(plan, view, list_at + begin, value, gradient, attributes, columns, count, with_gradients)
        begin = begin + columns


@T.inline
def write_block(plan, order, nodes, signature, count, with_gradients, lists, firsts):
    """Write the address lists of `nodes` nodes: a list of values and one of gradients for each view.

    Only those are written of which `lists` has the bit; of those of `firsts` the first address, or all.
    """
    base: T.let = plan.slots[SLOT["index_top"]]
    views: T.let = plan.table[signature + at.VIEWS]
    one_each: T.let = T.And(plan.table[signature + at.COLUMNS] == 1, plan.table[signature + at.COLUMNS_EACH] == 0)
    before_bits = T.int64(0)
    for number in T.serial(views):
        wanted_bits: T.let = list_bits(lists, number)
        first_bits: T.let = list_bits(firsts, number)
        view: T.let = signature + at.HEAD + number * at.VIEW_ROW
        source: T.let = plan.table[view + at.VIEW_SOURCE]
        offset: T.let = plan.table[view + at.VIEW_OFFSET]
        list_at: T.let = base + 2 * number * count
        moved_bits: T.let = T.if_then_else(
            plan.table[view + at.VIEW_FOLLOWS] != 0, T.bitwise_and(wanted_bits, before_bits), T.int64(0)
        )
        if moved_bits != 0:
            move: T.let = offset - plan.table[view - at.VIEW_ROW + at.VIEW_OFFSET]
            if T.bitwise_and(moved_bits, T.int64(1)) != 0:
                write_moved(plan, list_at, count, 2 * count, move)
            if with_gradients:
                if T.bitwise_and(moved_bits, T.int64(2)) != 0:
                    write_moved(plan, list_at + count, count, 2 * count, move)
        before_bits = wanted_bits
        all_bits: T.let = T.bitwise_and(wanted_bits, T.bitwise_not(moved_bits))
        known: T.let = T.Or(source >= at.SELF, T.Or(source == at.BEFORE, source == at.FIRST))
        plain: T.let = T.And(one_each, T.And(known, plan.table[view + at.VIEW_INDEX] == at.NO_INDEX))
        if plain:
            scale: T.let = plan.table[view + at.VIEW_INDEX_SCALE]
            write_plain(plan, order, nodes, source, offset, scale, list_at, all_bits, first_bits, 1,
                        at.PARAMETER_VALUE, at.NODE_VALUE)  # fmt: skip
            if with_gradients:
                write_plain(plan, order, nodes, source, offset, scale, list_at + count, all_bits, first_bits, 2,
                            at.PARAMETER_GRADIENT, at.NODE_GRADIENT)  # fmt: skip
        elif T.bitwise_or(all_bits, first_bits) != 0:
            write_view(plan, order, nodes, signature, view, list_at, count, with_gradients)
    plan.slots[SLOT["index_top"]] = base + count * 2 * views


@T.inline
def emit(plan, opcode, base, count, parameters, fresh, way, work):
    """Write one row of the tape. Threads may share it in some `way`; it takes `work` picoseconds then."""
    shared = T.int64(at.ALONE)
    if work >= plan.sharing[at.SHARING_INSTRUCTION]:
        shared = way
        if shared != at.ALONE:
            plan.slots[SLOT["shared_work"]] += work
    row: T.let = plan.slots[SLOT["tape_count"]] * at.TAPE_ROW
    plan.tape[row + at.TAPE_OPCODE] = opcode
    plan.tape[row + at.TAPE_BASE] = base
    plan.tape[row + at.TAPE_COUNT] = count
    plan.tape[row + at.TAPE_PARAMETERS] = parameters
    plan.tape[row + at.TAPE_FRESH] = fresh
    plan.tape[row + at.TAPE_SHARED] = shared
    plan.slots[SLOT["tape_count"]] += 1


@T.inline
def step_needs(plan, order, count, operand, everything):
    """Whether of order[:count] an operand needs a gradient: number `operand`, any that shares EACH, or any."""
    result = everything
    place = T.int64(0)
    while T.And(place < count, result == 0):
        node: T.let = order[place]
        operands: T.let = node_at(plan, node, at.NODE_FIRST)
        if operand >= 0:
            result = operand_needs(plan, plan.nodes[operands + operand])
        elif operand == at.BEFORE_OPERAND:
            result = needs_of(plan, node - 1)
        elif operand == at.EACH_OPERAND:
            each: T.let = first_each(plan, operands)
            for k in T.serial(each_count(plan, operands)):
                result = result | operand_needs(plan, plan.nodes[each + k])
        else:
            result = needs_of(plan, node)
        place = place + 1
    plan.slots[SLOT["wanted"]] = result


def bit_of(bits, number):
    return T.bitwise_and(T.shift_right(bits, number), T.int64(1))


def step_way(plan, step, distinct):
    """How threads may share a step, if it is known whether no two nodes add to the same."""
    way = plan.table[step + at.STEP_SHARED]
    columns = T.if_then_else(distinct != 0, T.int64(at.BY_COLUMNS), T.int64(at.ALONE))
    return T.if_then_else(way == at.IF_DISTINCT, columns, way)


@T.inline
def emit_steps(plan, order, nodes, signature, group, with_gradients, everything, fresh, distinct, lent):
    """Write one block of addresses and the instructions a signature wants for the nodes order[:nodes].

    `group` is the field of the signature that says where its steps begin. Bit k of `fresh` says that what step k adds
    to is of no meaning yet; of `distinct`, that no two nodes add to the same; of `lent`, that there is nothing to do.
    """
    base: T.let = plan.slots[SLOT["index_top"]]
    count = T.int64(0)
    if plan.table[signature + at.COLUMNS_EACH] != 0:
        for place in T.serial(nodes):
            count = count + column_count(plan, order[place], signature)
    else:
        count = nodes * plan.table[signature + at.COLUMNS]
    lists: T.let = plan.table[signature + group + (at.FORWARD_LISTS - at.FORWARD)]
    firsts: T.let = plan.table[signature + group + (at.FORWARD_FIRSTS - at.FORWARD)]
    write_block(plan, order, nodes, signature, count, with_gradients, lists, firsts)
    for number in T.serial(plan.table[signature + group + (at.FORWARD_COUNT - at.FORWARD)]):
        step: T.let = signature + plan.table[signature + group] + number * at.STEP_ROW
        operand: T.let = plan.table[step + at.STEP_OPERAND]
        wanted = T.int64(1)
        if operand != at.NO_OPERAND:
            step_needs(plan, order, nodes, operand, everything)
            wanted = plan.slots[SLOT["wanted"]]
        if T.And(wanted != 0, bit_of(lent, number) == 0):
            bit: T.let = bit_of(fresh, number)
            way = T.meta_var(step_way(plan, step, bit_of(distinct, number)))
            work: T.let = count * plan.table[step + at.STEP_WORK]
            emit(plan, plan.table[step + at.STEP_OPCODE], base, count, plan.table[step + at.STEP_PARAMETERS], bit,
                 way, work)  # fmt: skip


@T.inline
def emit_fill(plan, parameters, start, size, number):
    """Set a stretch of memory to a number."""
    plan.table[parameters] = start
    plan.table[parameters + 1] = size
    plan.table[parameters + 2] = number
    emit(plan, at.FILL, 0, 1, parameters, 0, at.ALONE, 0)


@T.inline
def emit_clear(plan, start, size):
    """Set a stretch of memory to 0."""
    base: T.let = plan.slots[SLOT["index_top"]]
    plan.index[base] = start
    plan.index[base + 1] = size
    emit(plan, at.CLEAR, base, 1, 0, 0, at.BY_ROWS, size * CLEAR_WORK)
    plan.slots[SLOT["index_top"]] = base + 2


@T.inline
def use_tape(slots, index, tape, index_end, tape_end):
    """Make the tape and index of one direction those that are planned and run."""
    slots[SLOT["index"]] = slots[index]
    slots[SLOT["tape"]] = slots[tape]
    slots[SLOT["index_end"]] = slots[index_end]
    slots[SLOT["tape_end"]] = slots[tape_end]


@T.inline
def start_tape(plan):
    plan.slots[SLOT["index_top"]] = 0
    plan.slots[SLOT["tape_count"]] = 0
    plan.slots[SLOT["shared_work"]] = 0
    plan.slots[SLOT["status"]] = at.READY
