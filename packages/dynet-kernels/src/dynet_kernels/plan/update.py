"""Lays out the tapes of trainers: one for the norm of all gradients, one for the update itself.

A dense parameter is one column; of a lookup table each touched row is a column: an update costs as they do.
"""

from __future__ import annotations

from .. import layout as at
from ..tir import int64, let
from .flow import Variable, all_of, branch, each, pick, when
from .nodes import Plan
from .structs import Update, Words
from .tape import add_instruction, start_tape

UPDATE_WORK = 500  # picoseconds that a number of one of an update's tensors takes to be read and written


def plan_gradient_norm(context, opcode, first, last, states, dense, total_at) -> None:
    """Lay out the tape that sums the squared gradients of rows first..last of a trainer's table.

    They are added to the float64 number at `total_at`, an address in floats.
    """
    plan = Plan(context)
    start_tape(plan.context)
    check_room(plan, last, states, dense, 1)
    with when(plan.context.status == at.READY), each(last - first) as step:
        updated = Updated(plan, let(first + step), states, dense)
        with when(all_of(updated.columns != 0, updated.parameter.needs_gradient != 0)):
            start = plan.context.index_top
            updated.write_columns(start, updated.parameter.gradient)
            plan.index[start + updated.columns] = total_at
            updated.add_instruction(opcode, let(start + 2 * updated.columns), int64(0))


def plan_update(context, opcode, count, states, numbers, numbers_at, dense) -> None:
    """Lay out the tape that runs an update rule on all `count` rows of a trainer's table.

    The rule's views are values, gradients, the states and `numbers` numbers, which begin at `numbers_at`.
    """
    plan = Plan(context)
    views, work_each = let(2 + states + numbers), let((2 + states) * UPDATE_WORK)
    start_tape(plan.context)
    check_room(plan, count, states, dense, views)
    with when(plan.context.status == at.READY), each(count) as number:
        updated = Updated(plan, number, states, dense)
        with when(all_of(updated.parameter.needs_gradient != 0, updated.row.chosen != 0)):
            with when(updated.columns != 0):
                start, columns = plan.context.index_top, updated.columns
                updated.write_columns(start, updated.parameter.value)
                updated.write_columns(let(start + 2 * columns), updated.parameter.gradient)
                with each(states) as k:
                    updated.write_columns(let(start + 2 * (2 + k) * columns), updated.state(k))
                with each(numbers) as k:
                    list_at = let(start + 2 * (2 + states + k) * columns)
                    with each(columns) as column:
                        plan.index[list_at + column] = numbers_at + k
                updated.add_instruction(opcode, let(start + 2 * views * columns), work_each)
            with when(updated.parameter.touched != 0):
                updated.forget_touched()


def check_room(plan: Plan, rows, states, dense, views) -> None:
    """Find out whether the lists of addresses of all columns have room."""
    needed = Variable(0)
    with each(rows) as number:
        needed.value += Updated(plan, number, states, dense).columns
    size = let(needed.value * 2 * views)
    with when(size > plan.context.index_end):
        plan.context.fill(status=at.TOO_SMALL, needed_index=size)


class Updated:
    """A parameter that is updated: row `number` of a trainer's table.

    Args:
        states: how many tensors the trainer keeps for each parameter.
        dense: whether all rows of lookup tables are updated.
    """

    def __init__(self, plan: Plan, number, states, dense):
        self.plan = plan
        self.row = Update(plan.table, let(number * (len(at.UPDATE) + states)))
        self.parameter = parameter = plan.parameter(self.row.parameter)
        self.touched, self.rows = Words(parameter.touched), parameter.rows
        self.whole = pick(parameter.touched == 0, 1, lambda: dense | self.touched[1 + 2 * self.rows])
        self.columns = pick(self.whole != 0, 1, lambda: self.touched[0])

    def state(self, number):
        """Where a tensor of the trainer's state begins."""
        return self.plan.table[self.row.start + len(at.UPDATE) + number]

    def write_columns(self, list_at, start) -> None:
        """Write where the columns of one tensor begin."""
        index = self.plan.index
        with branch(self.whole != 0) as (one, touched_rows):
            with one:
                index[list_at] = start
            with touched_rows:
                width = self.parameter.width
                with each(self.columns) as column:
                    index[list_at + column] = start + self.touched[1 + column] * width

    def add_instruction(self, opcode, list_end, work_each) -> None:
        """Add the instruction for this parameter; its parameter is the size of a column.

        A number takes `work_each` picoseconds; 0 if threads do not share the instruction.
        """
        context, row = self.plan.context, self.row
        row.column = pick(self.whole != 0, lambda: row.floats, lambda: self.parameter.width)
        work = let(self.columns * row.column * work_each)
        way = pick(work_each != 0, at.BY_ROWS, at.ALONE)
        size_at = let(row.start + at.UPDATE.column)
        add_instruction(self.plan, opcode, context.index_top, self.columns, size_at, shared=way, work=work)
        context.index_top = list_end

    def forget_touched(self) -> None:
        """Empty the list of touched rows."""
        touched, rows = self.touched, self.rows
        with each(touched[0]) as k:
            touched[1 + rows + touched[1 + k]] = 0
        touched[0] = 0
        touched[1 + 2 * rows] = 0
