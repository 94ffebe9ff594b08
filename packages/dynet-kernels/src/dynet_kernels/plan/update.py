"""Plans the passes of trainers: one sums the squares of all gradients, one runs the update.

A trainer's table has a row for each parameter (`layout.UPDATE`), and each parameter gets one instruction. A *column* is
what a kernel works on at a time. A parameter that is no lookup table is one column. A lookup table has one column for
each *touched* row: each row to which gradients were added since the last update. So rows that are not touched cost
nothing.

A trainer has its own context, in which `table` is the trainer's table. The functions here emit the code that does all
this. Other terms are explained in `layout`.
"""

from __future__ import annotations

from .. import layout as at
from ..plain import Words
from ..tir import int64, let
from .flow import Variable, all_of, branch, each, pick, when
from .nodes import Plan
from .structs import Update
from .tape import add_instruction, start_tape

# An estimate of how many picoseconds one thread takes in an update to read and write one number of one tensor.
UPDATE_WORK = 500


def plan_gradient_norm(context, opcode, first, last, states, dense, total_at) -> None:
    """Plan the pass that sums the squared gradients of some parameters of a trainer.

    Each instruction has one view, and so two address lists. The first list has the addresses of the gradients. The
    second one begins with the address of the total.

    Args:
        context: the address of the trainer's context.
        opcode: the number of the kernel that adds the squares of the numbers in a column to a total.
        first, last: the parameters are in rows `first` to `last` - 1 of the trainer's table.
        states: the number of tensors that the trainer keeps for each parameter, such as its momentum.
        dense: 1 to take all rows of lookup tables, 0 for the touched ones only.
        total_at: the address, which counts floats, of the total, a float64 number.
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
    """Plan the pass that runs an update rule on those parameters of a trainer that are not frozen and are `chosen`.

    (See `layout.UPDATE` for `chosen`.) Each instruction has a view for the parameter's values, one for its gradient,
    then one for each tensor that the trainer keeps for it, and one for each number that the rule reads. Of the two
    address lists of each view, only the first is used.

    Args:
        context: the address of the trainer's context.
        opcode: the number of the rule's kernel.
        count: the number of rows of the trainer's table.
        states: the number of tensors that the trainer keeps for each parameter, such as its momentum.
        numbers: how many numbers, such as the learning rate, the rule reads.
        numbers_at: the address of these numbers, which counts floats.
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
    """Set `status` to TOO_SMALL if the buffer `index` has no room for the address lists.

    Args:
        rows: how many rows of the trainer's table the pass uses, from the first on.
        states, dense: as in `Updated`.
        views: how many views each instruction has. Each view has two lists.
    """
    needed = Variable(0)
    with each(rows) as number:
        needed.value += Updated(plan, number, states, dense).columns
    size = let(needed.value * 2 * views)
    with when(size > plan.context.index_end):
        plan.context.fill(status=at.TOO_SMALL, needed_index=size)


class Updated:
    """A parameter of a trainer, and the columns that the pass works on.

    `whole` is not 0 if all of the parameter is one column. Otherwise the parameter is a lookup table, and each touched
    row is a column. `columns` is the number of columns.

    Args:
        number: the parameter's row in the trainer's table.
        states: the number of tensors that the trainer keeps for each parameter.
        dense: 1 if the pass works on all rows of lookup tables, so that a table is one column; 0 if only on touched
            rows.
    """

    def __init__(self, plan: Plan, number, states, dense):
        self.plan = plan
        self.row = Update(plan.table, let(number * (len(at.UPDATE) + states)))
        self.parameter = parameter = plan.parameter(self.row.parameter)
        self.touched, self.rows = Words(parameter.touched), parameter.rows
        self.whole = pick(parameter.touched == 0, 1, lambda: dense | self.touched[1 + 2 * self.rows])
        self.columns = pick(self.whole != 0, 1, lambda: self.touched[0])

    def state(self, number):
        """Return the address of a tensor that the trainer keeps for this parameter, such as its momentum."""
        return self.plan.table[self.row.start + len(at.UPDATE) + number]

    def write_columns(self, list_at, start) -> None:
        """Write one address list: where each column starts in a tensor that has the parameter's shape.

        Args:
            list_at: where in the buffer `index` to write the list.
            start: the address of the tensor.
        """
        index = self.plan.index
        with branch(self.whole != 0) as (one, touched_rows):
            with one:
                index[list_at] = start
            with touched_rows:
                width = self.parameter.width
                with each(self.columns) as column:
                    index[list_at + column] = start + self.touched[1 + column] * width

    def add_instruction(self, opcode, list_end, work_each) -> None:
        """Append the instruction for this parameter to the tape. Its address lists start at `index_top`.

        The instruction gives one integer to the kernel: the size of a column, in floats.

        Args:
            opcode: the number of the kernel.
            list_end: where the instruction's address lists end in the buffer `index`.
            work_each: how many picoseconds one thread takes for each number of the parameter; 0 if threads cannot share
                the instruction.
        """
        context, row = self.plan.context, self.row
        row.column = pick(self.whole != 0, lambda: row.floats, lambda: self.parameter.width)
        work = let(self.columns * row.column * work_each)
        way = pick(work_each != 0, at.BY_ROWS, at.ALONE)
        size_at = let(row.start + at.UPDATE.column)
        add_instruction(self.plan, opcode, context.index_top, self.columns, size_at, shared=way, work=work)
        context.index_top = list_end

    def forget_touched(self) -> None:
        """Clear the list of touched rows, so that no row of the lookup table counts as touched any more."""
        touched, rows = self.touched, self.rows
        with each(touched[0]) as k:
            touched[1 + rows + touched[1 + k]] = 0
        touched[0] = 0
        touched[1 + 2 * rows] = 0
