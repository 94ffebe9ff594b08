"""Turns recorded nodes into a tape of instructions. Compiled by TVM like the kernels it schedules.

What the integers mean stands in `layout`. The planner knows no op: a signature lists its views and steps.
"""

from __future__ import annotations

from types import SimpleNamespace

from tvm.script import tirx as T

from . import layout as at
from . import tir
from .layout import SLOT


def open_buffers(context):
    """Declare every buffer whose address stands in the context."""
    plan = SimpleNamespace(slots=tir.buffer_at(context, "int64"))
    for name in at.BUFFERS:
        setattr(plan, name, tir.buffer_at(plan.slots[SLOT[name]], "int64"))
    return plan


@T.inline
def count_sort(plan, source, target, count, keys, key_of):
    """Stable counting sort of `count` nodes by key_of(plan, node) < keys."""
    for key in T.serial(keys + 1):
        plan.counters[key] = 0
    for place in T.serial(count):
        plan.counters[key_of(plan, source[place]) + 1] += 1
    for key in T.serial(keys):
        plan.counters[key + 1] += plan.counters[key]
    for place in T.serial(count):
        node: T.let = source[place]
        key: T.let = key_of(plan, node)
        target[plan.counters[key]] = node
        plan.counters[key] += 1


def signature_number(plan, node):
    return plan.table[plan.part[node] + at.NUMBER]


def depth_of(plan, node):
    return plan.depth[node]


def same_group(plan, node, other):
    return T.And(plan.part[node] == plan.part[other], plan.depth[node] == plan.depth[other])


def property_of(plan, operand, field, per_node):
    """A property of an operand, which is a parameter or an earlier node."""
    row = (-1 - operand) * at.PARAMETER_ROW + field
    return tir.let(T.if_then_else(operand < 0, plan.parameters[row], per_node[operand]))


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


def with_each(plan, node, number, number_each):
    """A number, and another for each operand that shares EACH."""
    return number + T.if_then_else(number_each != 0, number_each * each_count(plan, plan.first[node]), T.int64(0))


def column_count(plan, node, signature):
    """How many columns a node has in the lists of addresses."""
    return tir.let(with_each(plan, node, plan.table[signature + at.COLUMNS], plan.table[signature + at.COLUMNS_EACH]))


def float_count(plan, node, signature):
    """How many floats a node holds, in whole cache lines."""
    size = with_each(plan, node, plan.table[signature + at.SIZE], plan.table[signature + at.SIZE_EACH])
    return tir.let(T.floordiv(size + 15, 16) * 16)


@T.inline
def write_view(plan, node, signature, view, list_at, value, gradient, attributes, columns, count, with_gradients):
    """Write where one view's columns stand, and their gradients `count` entries further on."""
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
    operands: T.let = plan.first[node]
    first: T.let = first_each(plan, operands)
    for k in T.serial(each_count(plan, operands)):
        operand: T.let = plan.nodes[first + k]
        value: T.let = property_of(plan, operand, at.PARAMETER_VALUE, plan.value) + offset
        for column in T.serial(period):
            plan.index[list_at + k * period + column] = value + column * stride
        if with_gradients:
            gradient: T.let = property_of(plan, operand, at.PARAMETER_GRADIENT, plan.gradient) + offset
            for column in T.serial(period):
                plan.index[list_at + count + k * period + column] = gradient + column * stride


@T.inline
def write_block(plan, order, first, last, signature, count, with_gradients):
    """Write the address lists of nodes order[first:last]: a list of values and one of gradients for each view."""
    base: T.let = plan.slots[SLOT["index_top"]]
    views: T.let = plan.table[signature + at.VIEWS]
    begin = T.int64(0)
    for place in T.serial(last - first):
        node: T.let = order[first + place]
        columns: T.let = column_count(plan, node, signature)
        operands: T.let = plan.first[node]
        attributes: T.let = operands + operand_count(plan, operands, signature)
        for number in T.serial(views):
            view: T.let = signature + at.HEAD + number * at.VIEW_ROW
            source: T.let = plan.table[view + at.VIEW_SOURCE]
            list_at: T.let = base + begin + 2 * number * count
            if source == at.EACH:
                write_each(plan, node, view, list_at, count, with_gradients)
            else:
                value = plan.table[view + at.VIEW_OFFSET]
                gradient = plan.table[view + at.VIEW_OFFSET]
                if source >= 0:
                    operand: T.let = plan.nodes[operands + source]
                    value = value + property_of(plan, operand, at.PARAMETER_VALUE, plan.value)
                    if with_gradients:
                        gradient = gradient + property_of(plan, operand, at.PARAMETER_GRADIENT, plan.gradient)
                elif source != at.NOWHERE:
                    holder = node
                    if source == at.BEFORE:
                        holder = node - 1
                    elif source == at.FIRST:
                        holder = operands - 2
                        move: T.let = (node - operands + 1) * plan.table[view + at.VIEW_INDEX_SCALE]
                        value = value + move
                        gradient = gradient + move
                    value = value + plan.value[holder]
                    if with_gradients:
                        gradient = gradient + plan.gradient[holder]
                write_view(plan, node, signature, view, list_at, value, gradient, attributes, columns, count,
                           with_gradients)  # fmt: skip
        begin = begin + columns
    plan.slots[SLOT["index_top"]] = base + count * 2 * views


@T.inline
def emit(plan, opcode, base, count, parameters):
    """Write one row of the tape."""
    row: T.let = plan.slots[SLOT["tape_count"]] * at.TAPE_ROW
    plan.tape[row + at.TAPE_OPCODE] = opcode
    plan.tape[row + at.TAPE_BASE] = base
    plan.tape[row + at.TAPE_COUNT] = count
    plan.tape[row + at.TAPE_PARAMETERS] = parameters
    plan.slots[SLOT["tape_count"]] += 1


@T.inline
def operand_needs(plan, order, first, last, operand, everything):
    """Whether of order[first:last] an operand needs a gradient: number `operand`, any that shares EACH, or any."""
    result = everything
    for place in T.serial(last - first):
        if result == 0:
            node: T.let = order[first + place]
            operands: T.let = plan.first[node]
            if operand >= 0:
                result = property_of(plan, plan.nodes[operands + operand], at.PARAMETER_NEEDS, plan.needs)
            elif operand == at.BEFORE_OPERAND:
                result = plan.needs[node - 1]
            elif operand == at.EACH_OPERAND:
                each: T.let = first_each(plan, operands)
                for k in T.serial(each_count(plan, operands)):
                    result = result | property_of(plan, plan.nodes[each + k], at.PARAMETER_NEEDS, plan.needs)
            else:
                result = plan.needs[node]
    plan.slots[SLOT["wanted"]] = result


@T.inline
def emit_steps(plan, order, first, last, signature, steps, step_count, with_gradients, everything):
    """Write one block of addresses and the instructions a signature wants for it."""
    base: T.let = plan.slots[SLOT["index_top"]]
    count = T.int64(0)
    if plan.table[signature + at.COLUMNS_EACH] != 0:
        for place in T.serial(last - first):
            count = count + column_count(plan, order[first + place], signature)
    else:
        count = (last - first) * plan.table[signature + at.COLUMNS]
    write_block(plan, order, first, last, signature, count, with_gradients)
    for number in T.serial(step_count):
        step: T.let = signature + steps + number * at.STEP_ROW
        operand: T.let = plan.table[step + at.STEP_OPERAND]
        wanted = T.int64(1)
        if operand != at.NO_OPERAND:
            operand_needs(plan, order, first, last, operand, everything)
            wanted = plan.slots[SLOT["wanted"]]
        if wanted != 0:
            emit(plan, plan.table[step + at.STEP_OPCODE], base, count, plan.table[step + at.STEP_PARAMETERS])


@T.inline
def emit_fill(plan, parameters, start, size, number):
    """Set a stretch of memory to a number."""
    plan.table[parameters] = start
    plan.table[parameters + 1] = size
    plan.table[parameters + 2] = number
    emit(plan, at.FILL, 0, 1, parameters)


@T.inline
def use_tape(slots, index, tape, index_end, tape_end):
    """Make the tape and index of one direction those that are planned and run."""
    slots[SLOT["index"]] = slots[index]
    slots[SLOT["tape"]] = slots[tape]
    slots[SLOT["index_end"]] = slots[index_end]
    slots[SLOT["tape_end"]] = slots[tape_end]


@T.inline
def same_records(plan, begin, end, inputs):
    """Whether these records, from a graph's beginning on, are those of the last plan and go to the same place."""
    slots = T.meta_var(plan.slots)
    differ = T.int64(0)
    if (
        begin != 0
        or slots[SLOT["kept_end"]] != end
        or slots[SLOT["kept_inputs"]] != inputs
        or slots[SLOT["kept_start"]] != slots[SLOT["arena_top"]]
    ):
        differ = T.int64(1)
    place = T.int64(0)
    while T.And(place < end, differ == 0):
        for k in T.serial(T.min(T.int64(64), end - place)):
            differ = differ | T.bitwise_xor(plan.fresh[place + k], plan.kept[place + k])
        place = place + 64
    slots[SLOT["wanted"]] = T.if_then_else(differ == 0, T.int64(1), T.int64(0))


@T.inline
def start_tape(plan):
    plan.slots[SLOT["index_top"]] = 0
    plan.slots[SLOT["tape_count"]] = 0
    plan.slots[SLOT["status"]] = at.READY


def has_own_gradient(plan, node, signature, loss, everything):
    """Whether a node has memory for its gradient. An alias adds to its operand's, unless somebody may ask for it."""
    return T.Or(plan.table[signature + at.KIND] != at.ALIAS, T.Or(node == loss, everything != 0))


def has_gradient_steps(plan, node, signature, loss, everything):
    """Whether a node passes its gradient on by instructions."""
    return T.And(plan.table[signature + at.KIND] != at.INPUT, has_own_gradient(plan, node, signature, loss, everything))


@T.inline
def touch_rows(plan, node, signature, first, operand):
    """Note the rows of a lookup table that a node will add gradients to."""
    touched_at: T.let = plan.parameters[(-1 - operand) * at.PARAMETER_ROW + at.PARAMETER_TOUCHED]
    if touched_at != 0:
        touched = T.meta_var(tir.buffer_at(touched_at, "int64"))
        rows: T.let = plan.parameters[(-1 - operand) * at.PARAMETER_ROW + at.PARAMETER_ROWS]
        for k in T.serial(plan.table[signature + at.ATTRIBUTES]):
            row: T.let = plan.nodes[first + 1 + k]
            if touched[1 + rows + row] == 0:
                touched[1 + rows + row] = 1
                touched[1 + touched[0]] = row
                touched[0] = touched[0] + 1


@T.inline
def plan_new_forward(plan, inputs, memory, begin, end, inputs_begin, inputs_end):
    start_tape(plan)
    plan.slots[SLOT["plan"]] += 1
    plan.slots[SLOT["kept_end"]] = -1
    for place in T.serial(end - begin):
        plan.nodes[begin + place] = plan.fresh[begin + place]
    inputs_start: T.let = plan.slots[SLOT["arena_top"]]
    rebase: T.let = inputs_start - inputs_begin
    top = inputs_start + T.floordiv(inputs_end - inputs_begin + 15, 16) * 16
    position = begin
    count = T.int64(0)
    depths = T.int64(0)
    indices = T.int64(0)
    rows = T.int64(0)
    # each node: how deep it is, where its value goes, whether it needs a gradient
    while position < end:
        whole: T.let = plan.nodes[position]
        first: T.let = position + 1 + plan.table[whole + at.VARIADIC]
        operands: T.let = operand_count(plan, first, whole)
        attributes: T.let = first + operands
        for k in T.serial(plan.table[whole + at.CONSTANTS]):
            plan.nodes[attributes + k] = plan.nodes[attributes + k] + rebase
        for number in T.serial(part_count(plan, first, whole)):
            node: T.let = position + number
            signature: T.let = part_signature(plan, whole, number)
            kind: T.let = plan.table[signature + at.KIND]
            plan.part[node] = signature
            plan.first[node] = first
            depth = T.int64(0)
            needs = T.int64(0)
            if number > 0:
                depth = plan.depth[node - 1]
                needs = plan.needs[node - 1]
            for turn in T.serial(1 + plan.table[signature + at.WAITS_EACH]):
                awaited_at, waits = T.meta_var(awaited(plan, first, signature, operands, turn))
                for k in T.serial(waits):
                    operand: T.let = plan.nodes[awaited_at + k]
                    needs = needs | property_of(plan, operand, at.PARAMETER_NEEDS, plan.needs)
                    if operand >= begin:
                        depth = T.max(depth, plan.depth[operand])
            plan.needs[node] = needs * plan.table[signature + at.PASSES]
            if kind == at.COMPUTED:
                plan.value[node] = top
                top = top + float_count(plan, node, signature)
                plan.depth[node] = depth + 1
                depths = T.max(depths, depth + 2)
                plan.starts[count] = node
                count += 1
                indices = indices + 2 * plan.table[signature + at.VIEWS] * column_count(plan, node, signature)
                rows = rows + plan.table[signature + at.FORWARD_COUNT]
            elif kind != at.INPUT:
                base: T.let = property_of(plan, plan.nodes[first], at.PARAMETER_VALUE, plan.value)
                move = plan.table[signature + at.ALIAS_OFFSET]
                if plan.table[signature + at.ALIAS_SCALE] != 0:
                    move = move + plan.nodes[attributes] * plan.table[signature + at.ALIAS_SCALE]
                plan.value[node] = base + move
                plan.depth[node] = depth
            else:
                plan.value[node] = plan.nodes[attributes]
                plan.depth[node] = 0
        position = attributes + plan.table[whole + at.ATTRIBUTES]
    if (
        top > plan.slots[SLOT["arena_end"]]
        or indices > plan.slots[SLOT["index_end"]]
        or (rows > plan.slots[SLOT["tape_end"]])
    ):
        plan.slots[SLOT["status"]] = at.TOO_SMALL
        plan.slots[SLOT["needed_floats"]] = top - inputs_start
        plan.slots[SLOT["needed_index"]] = indices
        plan.slots[SLOT["needed_tape"]] = rows
    else:
        plan.slots[SLOT["arena_top"]] = top
        for place in T.serial(inputs_end - inputs_begin):
            memory[inputs_start + place] = inputs[inputs_begin + place]
        # nodes of one depth and signature stand together
        count_sort(plan, plan.starts, plan.sorted, count, plan.slots[SLOT["signatures"]], signature_number)
        count_sort(plan, plan.sorted, plan.order, count, depths, depth_of)
        group = T.int64(0)
        while group < count:
            node: T.let = plan.order[group]
            signature: T.let = plan.part[node]
            last = group + 1
            while T.if_then_else(last < count, same_group(plan, plan.order[last], node), False):
                last += 1
            emit_steps(plan, plan.order, group, last, signature, plan.table[signature + at.FORWARD],
                       plan.table[signature + at.FORWARD_COUNT], False, T.int64(0))  # fmt: skip
            group = last
        if begin == 0:
            for place in T.serial(end):
                plan.kept[place] = plan.fresh[place]
            plan.slots[SLOT["kept_end"]] = end
            plan.slots[SLOT["kept_inputs"]] = inputs_end - inputs_begin
            plan.slots[SLOT["kept_start"]] = inputs_start
            plan.slots[SLOT["kept_top"]] = top
            plan.slots[SLOT["kept_tape"]] = plan.slots[SLOT["tape_count"]]
            plan.slots[SLOT["kept_index_top"]] = plan.slots[SLOT["index_top"]]


@T.prim_func(s_tir=True, private=True)
def plan_forward(
    context: T.int64,
    begin: T.int64,
    end: T.int64,
    inputs_at: T.int64,
    inputs_begin: T.int64,
    inputs_end: T.int64,
):
    """Lay out the tape of nodes begin..end, and take in the input values that came with them.

    A graph that is the same as the one before, but for the values of its inputs, keeps the tape of that one.
    """
    slots = T.meta_var(tir.buffer_at(context, "int64"))
    use_tape(slots, SLOT["forward_index"], SLOT["forward_tape"], SLOT["forward_index_end"], SLOT["forward_tape_end"])
    plan = T.meta_var(open_buffers(context))
    inputs = T.meta_var(tir.buffer_at(inputs_at, "float32"))
    memory = T.meta_var(tir.buffer_at(plan.slots[SLOT["origin"]], "float32"))
    same_records(plan, begin, end, inputs_end - inputs_begin)
    if plan.slots[SLOT["wanted"]] != 0:
        for place in T.serial(inputs_end - inputs_begin):
            memory[plan.slots[SLOT["arena_top"]] + place] = inputs[inputs_begin + place]
        plan.slots[SLOT["arena_top"]] = plan.slots[SLOT["kept_top"]]
        plan.slots[SLOT["tape_count"]] = plan.slots[SLOT["kept_tape"]]
        plan.slots[SLOT["index_top"]] = plan.slots[SLOT["kept_index_top"]]
        plan.slots[SLOT["status"]] = at.READY
    else:
        plan_new_forward(plan, inputs, memory, begin, end, inputs_begin, inputs_end)


@T.inline
def plan_new_backward(plan, loss, size, everything):
    start_tape(plan)
    plan.slots[SLOT["backward_plan"]] = -1
    position = T.int64(0)
    visited = T.int64(0)
    depths = T.int64(0)
    # each node up to the loss: its depth in the whole graph
    while position <= loss:
        whole: T.let = plan.nodes[position]
        first: T.let = plan.first[position]
        operands: T.let = operand_count(plan, first, whole)
        for number in T.serial(part_count(plan, first, whole)):
            node: T.let = position + number
            signature: T.let = plan.part[node]
            depth = T.int64(0)
            if number > 0:
                depth = plan.depth[node - 1]
            for turn in T.serial(1 + plan.table[signature + at.WAITS_EACH]):
                awaited_at, waits = T.meta_var(awaited(plan, first, signature, operands, turn))
                for k in T.serial(waits):
                    operand: T.let = plan.nodes[awaited_at + k]
                    if operand >= 0:
                        depth = T.max(depth, plan.depth[operand])
            if has_gradient_steps(plan, node, signature, loss, everything):
                depth += 1
            plan.depth[node] = depth
            depths = T.max(depths, depth + 1)
            plan.live[node] = 0
            plan.starts[visited] = node
            visited += 1
        position = first + operands + plan.table[whole + at.ATTRIBUTES]
    # 3: the loss depends on it and it has steps to do; 1: only has room for a gradient
    plan.live[loss] = 3
    count = T.int64(0)
    indices = T.int64(0)
    rows = T.int64(2)
    for back in T.serial(visited):
        node: T.let = plan.starts[visited - 1 - back]
        if plan.live[node] != 0:
            signature: T.let = plan.part[node]
            first: T.let = plan.first[node]
            operands: T.let = operand_count(plan, first, signature)
            passed: T.let = T.if_then_else(plan.live[node] == 3, plan.table[signature + at.PASSES] * 2, T.int64(0))
            for turn in T.serial(1 + plan.table[signature + at.WAITS_EACH]):
                awaited_at, waits = T.meta_var(awaited(plan, first, signature, operands, turn))
                for k in T.serial(waits):
                    operand: T.let = plan.nodes[awaited_at + k]
                    if operand >= 0:
                        plan.live[operand] = plan.live[operand] | 1 | ((plan.needs[operand] | everything) * passed)
            if node > first - 1 - plan.table[signature + at.VARIADIC]:
                plan.live[node - 1] = plan.live[node - 1] | 1 | ((plan.needs[node - 1] | everything) * passed)
            if plan.live[node] == 3 and has_gradient_steps(plan, node, signature, loss, everything):
                count += 1
                indices = indices + 4 * plan.table[signature + at.VIEWS] * column_count(plan, node, signature)
                rows = rows + plan.table[signature + at.BACKWARD_COUNT] + plan.table[signature + at.DEFERRED_COUNT]
    # where gradients go
    start: T.let = plan.slots[SLOT["gradient_start"]]
    top = start
    for place in T.serial(visited):
        node: T.let = plan.starts[place]
        if plan.live[node] != 0:
            signature: T.let = plan.part[node]
            if has_own_gradient(plan, node, signature, loss, everything):
                plan.gradient[node] = top
                top = top + float_count(plan, node, signature)
            else:
                first: T.let = plan.first[node]
                base: T.let = property_of(plan, plan.nodes[first], at.PARAMETER_GRADIENT, plan.gradient)
                move = plan.table[signature + at.ALIAS_OFFSET]
                if plan.table[signature + at.ALIAS_SCALE] != 0:
                    move = move + plan.nodes[first + 1] * plan.table[signature + at.ALIAS_SCALE]
                plan.gradient[node] = base + move
    if (
        top > plan.slots[SLOT["gradient_end"]]
        or indices > plan.slots[SLOT["index_end"]]
        or (rows > plan.slots[SLOT["tape_end"]])
    ):
        plan.slots[SLOT["status"]] = at.TOO_SMALL
        plan.slots[SLOT["needed_floats"]] = top - start
        plan.slots[SLOT["needed_index"]] = indices
        plan.slots[SLOT["needed_tape"]] = rows
    else:
        plan.slots[SLOT["gradient_size"]] = top - start
        # `starts` shrinks to the live nodes that have instructions; touched rows of lookup tables are noted
        count = 0
        listed = T.int64(0)
        for place in T.serial(visited):
            node: T.let = plan.starts[place]
            if plan.live[node] == 3:
                signature: T.let = plan.part[node]
                first: T.let = plan.first[node]
                operand: T.let = plan.nodes[first]
                if T.if_then_else(
                    plan.table[signature + at.OPERANDS] == 1,
                    operand < 0,
                    False,
                ):
                    touch_rows(plan, node, signature, first, operand)
                    listed = listed | plan.parameters[(-1 - operand) * at.PARAMETER_ROW + at.PARAMETER_TOUCHED]
                if has_gradient_steps(plan, node, signature, loss, everything):
                    plan.starts[count] = node
                    count += 1
        count_sort(plan, plan.starts, plan.sorted, count, plan.slots[SLOT["signatures"]], signature_number)
        count_sort(plan, plan.sorted, plan.order, count, depths, depth_of)
        emit_fill(plan, at.ZERO_FILL, start, top - start, 0)
        emit_fill(plan, at.SEED_FILL, plan.gradient[loss], size, 1)
        last = count
        while last > 0:
            node: T.let = plan.order[last - 1]
            signature: T.let = plan.part[node]
            group = last - 1
            while T.if_then_else(group > 0, same_group(plan, plan.order[group - 1], node), False):
                group = group - 1
            if plan.table[signature + at.BACKWARD_COUNT] != 0:
                emit_steps(plan, plan.order, group, last, signature, plan.table[signature + at.BACKWARD],
                           plan.table[signature + at.BACKWARD_COUNT], True, everything)  # fmt: skip
            last = group
        # gradients of shared matrices: all columns of the whole graph at once
        group = T.int64(0)
        while group < count:
            signature: T.let = plan.part[plan.sorted[group]]
            stop = group + 1
            while T.if_then_else(stop < count, plan.part[plan.sorted[stop]] == signature, False):
                stop += 1
            if plan.table[signature + at.DEFERRED_COUNT] != 0:
                emit_steps(plan, plan.sorted, group, stop, signature, plan.table[signature + at.DEFERRED],
                           plan.table[signature + at.DEFERRED_COUNT], True, everything)  # fmt: skip
            group = stop
        if listed == 0:
            plan.slots[SLOT["backward_plan"]] = plan.slots[SLOT["plan"]]
            plan.slots[SLOT["backward_loss"]] = loss
            plan.slots[SLOT["backward_everything"]] = everything
            plan.slots[SLOT["backward_start"]] = start
            plan.slots[SLOT["backward_tape_count"]] = plan.slots[SLOT["tape_count"]]
            plan.slots[SLOT["backward_index_top"]] = plan.slots[SLOT["index_top"]]


@T.prim_func(s_tir=True, private=True)
def plan_backward(context: T.int64, loss: T.int64, size: T.int64, everything: T.int64):
    """Lay out the tape that adds the gradient of `size` numbers at `loss` to every parameter they depend on.

    `everything` 1 also computes gradients that no parameter needs, and keeps those of aliases apart. As long as the
    forward plan is the same, so is this one, unless it has to note rows of lookup tables.
    """
    slots = T.meta_var(tir.buffer_at(context, "int64"))
    use_tape(
        slots, SLOT["backward_index"], SLOT["backward_tape"], SLOT["backward_index_end"], SLOT["backward_tape_end"]
    )
    plan = T.meta_var(open_buffers(context))
    if (
        plan.slots[SLOT["backward_plan"]] == plan.slots[SLOT["plan"]]
        and plan.slots[SLOT["backward_loss"]] == loss
        and plan.slots[SLOT["backward_everything"]] == everything
        and plan.slots[SLOT["backward_start"]] == plan.slots[SLOT["gradient_start"]]
    ):
        plan.slots[SLOT["tape_count"]] = plan.slots[SLOT["backward_tape_count"]]
        plan.slots[SLOT["index_top"]] = plan.slots[SLOT["backward_index_top"]]
        plan.slots[SLOT["status"]] = at.READY
        plan.table[at.ZERO_FILL] = plan.slots[SLOT["gradient_start"]]
        plan.table[at.ZERO_FILL + 1] = plan.slots[SLOT["gradient_size"]]
        plan.table[at.SEED_FILL] = plan.gradient[loss]
        plan.table[at.SEED_FILL + 1] = size
    else:
        plan_new_backward(plan, loss, size, everything)
