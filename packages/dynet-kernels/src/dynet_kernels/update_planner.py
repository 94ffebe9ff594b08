"""Lays out the tapes of trainers: one for the norm of all gradients, one for the update itself.

A dense parameter is one column; of a lookup table each touched row is a column: an update costs as they do.
"""

from __future__ import annotations

from tvm.script import tirx as T

from . import layout as at
from . import tir
from .layout import SLOT
from .planner import open_buffers
from .tape import emit, start_tape

UPDATE_WORK = 500  # picoseconds that a number of one of an update's tensors takes to be read and written


def entry(plan, number, states, field):
    """A field of row `number` of the trainer's table."""
    return tir.let(plan.table[number * (at.UPDATE_STATES + states) + field])


def parameter_field(plan, number, states, field):
    """A field of the parameter that row `number` of the trainer's table is about."""
    row = plan.table[number * (at.UPDATE_STATES + states) + at.UPDATE_PARAMETER]
    return tir.let(plan.parameters[row * at.PARAMETER_ROW + field])


def updated_whole(touched, rows, listed, dense):
    """1 where a parameter is updated whole: a dense one, or any where `dense` or its own flag says so."""
    return tir.let(T.if_then_else(listed == 0, T.int64(1), dense | touched[1 + 2 * rows]))


def column_count(touched, whole):
    return tir.let(T.if_then_else(whole != 0, T.int64(1), touched[0]))


@T.inline
def count_columns(plan, rows, states, dense, views):
    """Find out whether the lists of addresses of all columns have room."""
    needed: T.int64 = 0
    for number in T.serial(rows):
        listed: T.let = parameter_field(plan, number, states, at.PARAMETER_TOUCHED)
        touched = T.meta_var(tir.buffer_at(listed, "int64"))
        table_rows: T.let = parameter_field(plan, number, states, at.PARAMETER_ROWS)
        needed = needed + column_count(touched, updated_whole(touched, table_rows, listed, dense))
    if needed * 2 * views > plan.slots[SLOT["index_end"]]:
        plan.slots[SLOT["status"]] = at.TOO_SMALL
        plan.slots[SLOT["needed_index"]] = needed * 2 * views


@T.inline
def write_columns(plan, list_at, start, columns, touched, whole, width):
    """Write where the columns of one tensor begin."""
    if whole != 0:
        plan.index[list_at] = start
    else:
        for column in T.serial(columns):
            plan.index[list_at + column] = start + touched[1 + column] * width


@T.inline
def write_number(plan, list_at, address, columns):
    """All columns read the same number."""
    for column in T.serial(columns):
        plan.index[list_at + column] = address


@T.inline
def emit_columns(plan, opcode, number, states, columns, whole, width, list_end, work_each):
    """Write the instruction for one parameter; its parameter is the size of a column.

    A number takes `work_each` picoseconds; 0 if threads do not share the instruction.
    """
    place: T.let = number * (at.UPDATE_STATES + states)
    plan.table[place + at.UPDATE_COLUMN] = width
    if whole != 0:
        plan.table[place + at.UPDATE_COLUMN] = plan.table[place + at.UPDATE_FLOATS]
    work: T.let = columns * plan.table[place + at.UPDATE_COLUMN] * work_each
    way: T.let = T.if_then_else(work_each != 0, T.int64(at.BY_ROWS), T.int64(at.ALONE))
    emit(plan, opcode, plan.slots[SLOT["index_top"]], columns, place + at.UPDATE_COLUMN, 0, way, work)
    plan.slots[SLOT["index_top"]] = list_end


@T.inline
def forget_touched(touched, rows):
    """Empty the list of touched rows."""
    for k in T.serial(touched[0]):
        touched[1 + rows + touched[1 + k]] = 0
    touched[0] = 0
    touched[1 + 2 * rows] = 0


@T.prim_func(s_tir=True, private=True)
def plan_gradient_norm(
    context: T.int64,
    opcode: T.int64,
    first: T.int64,
    last: T.int64,
    states: T.int64,
    dense: T.int64,
    total_at: T.int64,
):
    """Lay out the tape that sums the squared gradients of rows first..last of a trainer's table.

    They are added to the float64 number at `total_at`, an address in floats.
    """
    plan = T.meta_var(open_buffers(context))
    start_tape(plan)
    count_columns(plan, last, states, dense, T.int64(1))
    if plan.slots[SLOT["status"]] == at.READY:
        for step in T.serial(last - first):
            number: T.let = first + step
            listed: T.let = parameter_field(plan, number, states, at.PARAMETER_TOUCHED)
            touched = T.meta_var(tir.buffer_at(listed, "int64"))
            rows: T.let = parameter_field(plan, number, states, at.PARAMETER_ROWS)
            whole: T.let = updated_whole(touched, rows, listed, dense)
            columns: T.let = column_count(touched, whole)
            width: T.let = parameter_field(plan, number, states, at.PARAMETER_WIDTH)
            if columns * parameter_field(plan, number, states, at.PARAMETER_NEEDS) != 0:
                start: T.let = plan.slots[SLOT["index_top"]]
                gradient: T.let = parameter_field(plan, number, states, at.PARAMETER_GRADIENT)
                write_columns(plan, start, gradient, columns, touched, whole, width)
                plan.index[start + columns] = total_at
                list_end: T.let = start + 2 * columns
                emit_columns(plan, opcode, number, states, columns, whole, width, list_end, T.int64(0))


@T.prim_func(s_tir=True, private=True)
def plan_update(
    context: T.int64,
    opcode: T.int64,
    count: T.int64,
    states: T.int64,
    numbers: T.int64,
    numbers_at: T.int64,
    dense: T.int64,
):
    """Lay out the tape that runs an update rule on all `count` rows of a trainer's table.

    The rule's views are values, gradients, the states and `numbers` numbers, which begin at `numbers_at`.
    """
    plan = T.meta_var(open_buffers(context))
    views: T.let = 2 + states + numbers
    work_each: T.let = (2 + states) * UPDATE_WORK
    start_tape(plan)
    count_columns(plan, count, states, dense, views)
    if plan.slots[SLOT["status"]] == at.READY:
        for number in T.serial(count):
            listed: T.let = parameter_field(plan, number, states, at.PARAMETER_TOUCHED)
            touched = T.meta_var(tir.buffer_at(listed, "int64"))
            rows: T.let = parameter_field(plan, number, states, at.PARAMETER_ROWS)
            needs: T.let = parameter_field(plan, number, states, at.PARAMETER_NEEDS)
            if needs * entry(plan, number, states, at.UPDATE_CHOSEN) != 0:
                whole: T.let = updated_whole(touched, rows, listed, dense)
                columns: T.let = column_count(touched, whole)
                width: T.let = parameter_field(plan, number, states, at.PARAMETER_WIDTH)
                if columns != 0:
                    start: T.let = plan.slots[SLOT["index_top"]]
                    value: T.let = parameter_field(plan, number, states, at.PARAMETER_VALUE)
                    gradient: T.let = parameter_field(plan, number, states, at.PARAMETER_GRADIENT)
                    write_columns(plan, start, value, columns, touched, whole, width)
                    write_columns(plan, start + 2 * columns, gradient, columns, touched, whole, width)
                    for k in T.serial(states):
                        state: T.let = entry(plan, number, states, at.UPDATE_STATES + k)
                        list_at: T.let = start + 2 * (2 + k) * columns
                        write_columns(plan, list_at, state, columns, touched, whole, width)
                    for k in T.serial(numbers):
                        write_number(plan, start + 2 * (2 + states + k) * columns, numbers_at + k, columns)
                    list_end: T.let = start + 2 * views * columns
                    emit_columns(plan, opcode, number, states, columns, whole, width, list_end, work_each)
                if listed != 0:
                    forget_touched(touched, rows)
