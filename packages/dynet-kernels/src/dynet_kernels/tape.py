"""Writes what kernels read: lists of addresses, and the rows of the tape that refer to them."""

from __future__ import annotations

from tvm.script import tirx as T

from . import layout as at
from . import tir
from .layout import SLOT
from .planner import column_count, each_count, first_each, needs_of, node_at, operand_count, operand_needs, property_of

COLUMNS_EACH = 16  # of a product, so many that each thread works on some of them: what they are made of is in its cache
CLEAR_WORK = 100  # picoseconds that it takes to set one number to 0


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
    """Whether of order[:count] an operand needs a gradient: number `operand`, any that shares EACH, or any.

    With `everything` 1 all nodes need one, but a parameter only if it is trained.
    """
    result = T.int64(0)
    place = T.int64(0)
    while T.And(place < count, result == 0):
        node: T.let = order[place]
        operands: T.let = node_at(plan, node, at.NODE_FIRST)
        if operand >= 0:
            result = operand_needs(plan, plan.nodes[operands + operand], everything)
        elif operand == at.BEFORE_OPERAND:
            result = needs_of(plan, node - 1) | everything
        elif operand == at.EACH_OPERAND:
            each: T.let = first_each(plan, operands)
            for k in T.serial(each_count(plan, operands)):
                result = result | operand_needs(plan, plan.nodes[each + k], everything)
        else:
            result = needs_of(plan, node) | everything
        place = place + 1
    plan.slots[SLOT["wanted"]] = result


def bit_of(bits, number):
    return T.bitwise_and(T.shift_right(bits, number), T.int64(1))


def step_way(plan, step, distinct, count):
    """How threads share a step of `count` columns, if it is known whether no two nodes add to the same."""
    way = tir.let(plan.table[step + at.STEP_SHARED])
    columns = T.if_then_else(distinct != 0, T.int64(at.BY_COLUMNS), T.int64(at.ALONE))
    apart = T.Or(way == at.EITHER, T.And(way == at.EITHER_IF_DISTINCT, distinct != 0))
    many = count >= COLUMNS_EACH * plan.sharing[at.SHARING_THREADS]
    either = T.if_then_else(T.And(apart, many), T.int64(at.BY_COLUMNS), T.int64(at.BY_ROWS))
    return T.if_then_else(way == at.IF_DISTINCT, columns, T.if_then_else(way >= at.EITHER, either, way))


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
            way = T.meta_var(step_way(plan, step, bit_of(distinct, number), count))
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
