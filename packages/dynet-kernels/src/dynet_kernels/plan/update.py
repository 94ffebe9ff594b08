"""Plans the passes of trainers: one sums the squares of all gradients, one runs the update.

A trainer's table has a row for each parameter (`layout.UPDATE`), and each parameter gets one instruction. A dense
parameter is one column of it. Of a lookup table, each *touched* row, one that gradients were added to, is a column. So
rows that are not touched cost nothing. The functions here emit the code that does this.
"""

from __future__ import annotations

from .. import layout as at
from ..tir import int64, let
from .flow import Variable, all_of, branch, each, pick, when
from .nodes import Plan
from .structs import Update, Words
from .tape import add_instruction, start_tape

UPDATE_WORK = 500  # picoseconds that an update takes for each number of each tensor, to read and write it


def plan_gradient_norm(context, opcode, first, last, states, dense, total_at) -> None:
    """Plan the pass that sums the squared gradients of parameters of a trainer.

    Args:
        context: the address of the planner's context.
        opcode: the number of the kernel that adds the squares of a column to a total.
        first, last: the parameters, as rows first to last - 1 of the trainer's table.
        states: the number of tensors that the trainer keeps for each parameter, such as its momentum.
        dense: 1 to take all rows of lookup tables, 0 for the touched ones only.
        total_at: the address, in floats, of the float64 number to which the squares are added.
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
    """Plan the pass that runs an update rule on all parameters of a trainer that are trained and chosen.

    The address lists of an instruction are: values, gradients, each state, each number of the rule.

    Args:
        context: the address of the planner's context.
        opcode: the number of the rule's kernel.
        count: the number of rows of the trainer's table.
        states: the number of tensors that the trainer keeps for each parameter, such as its momentum.
        numbers: how many numbers, such as the learning rate, the rule reads.
        numbers_at: the address of these numbers, in floats.
        dense: 1 to update all rows of lookup tables, 0 for the touched ones only.
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
    """Set `status` to TOO_SMALL if the address lists, two for each of `views` views, do not have room in `index`."""
    needed = Variable(0)
    with each(rows) as number:
        needed.value += Updated(plan, number, states, dense).columns
    size = let(needed.value * 2 * views)
    with when(size > plan.context.index_end):
        plan.context.fill(status=at.TOO_SMALL, needed_index=size)


class Updated:
    """A parameter in row `number` of a trainer's table, with the columns that an update of it has.

    Args:
        states: the number of tensors that the trainer keeps for each parameter.
        dense: 1 if all rows of lookup tables are updated, 0 if only the touched ones are.
    """

    def __init__(self, plan: Plan, number, states, dense):
        self.plan = plan
        self.row = Update(plan.table, let(number * (len(at.UPDATE) + states)))
        self.parameter = parameter = plan.parameter(self.row.parameter)
        self.touched, self.rows = Words(parameter.touched), parameter.rows
        self.whole = pick(parameter.touched == 0, 1, lambda: dense | self.touched[1 + 2 * self.rows])
        self.columns = pick(self.whole != 0, 1, lambda: self.touched[0])

    def state(self, number):
        """Return the address of tensor `number` of those that the trainer keeps for this parameter."""
        return self.plan.table[self.row.start + len(at.UPDATE) + number]

    def write_columns(self, list_at, start) -> None:
        """Write an address list, at `list_at` in `index`: the columns of the tensor that starts at address `start`."""
        index = self.plan.index
        with branch(self.whole != 0) as (one, touched_rows):
            with one:
                index[list_at] = start
            with touched_rows:
                width = self.parameter.width
                with each(self.columns) as column:
                    index[list_at + column] = start + self.touched[1 + column] * width

    def add_instruction(self, opcode, list_end, work_each) -> None:
        """Append the instruction for this parameter. The kernel's only parameter is the size of a column, in floats.

        Args:
            opcode: the number of the kernel.
            list_end: the end of the instruction's address lists in `index`.
            work_each: picoseconds for each number; 0 if threads cannot share the instruction.
        """
        context, row = self.plan.context, self.row
        row.column = pick(self.whole != 0, lambda: row.floats, lambda: self.parameter.width)
        work = let(self.columns * row.column * work_each)
        way = pick(work_each != 0, at.BY_ROWS, at.ALONE)
        size_at = let(row.start + at.UPDATE.column)
        add_instruction(self.plan, opcode, context.index_top, self.columns, size_at, shared=way, work=work)
        context.index_top = list_end

    def forget_touched(self) -> None:
        """Clear the list of touched rows and their marks."""
        touched, rows = self.touched, self.rows
        with each(touched[0]) as k:
            touched[1 + rows + touched[1 + k]] = 0
        touched[0] = 0
        touched[1 + 2 * rows] = 0
