"""Plans the passes of trainers: one sums the squares of all gradients, one runs the update.

A trainer's table has a row for each parameter (`layout.UPDATE`), and each parameter gets one instruction. A *column* is
what a kernel works on at a time. A parameter that is no lookup table is one column. A lookup table has one column for
each *touched* row: each row to which gradients were added since the last update. So rows that are not touched cost
nothing.

A trainer has its own context, in which `table` is the trainer's table. Other terms are explained in `layout`.
"""

from __future__ import annotations

from .. import layout as at
from ..plain import Words, plain
from .nodes import Plan
from .structs import Update
from .tape import add_instruction, start_tape

# An estimate of how many picoseconds one thread takes in an update to read and write one number of one tensor.
UPDATE_WORK = 500


@plain
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
    if plan.context.status == at.READY:
        for number in range(first, last):
            updated = Updated(plan, number, states, dense)
            if updated.columns and updated.parameter.needs_gradient:
                updated.write_list(0, updated.parameter.gradient, updated.width)
                plan.index[plan.context.index_top + updated.columns] = total_at
                updated.add_instruction(opcode, 1, 0)


@plain
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
    views = 2 + states + numbers
    start_tape(plan.context)
    check_room(plan, count, states, dense, views)
    if plan.context.status == at.READY:
        for number in range(count):
            updated = Updated(plan, number, states, dense)
            if updated.parameter.needs_gradient and updated.row.chosen:
                if updated.columns:
                    updated.write_list(0, updated.parameter.value, updated.width)
                    updated.write_list(1, updated.parameter.gradient, updated.width)
                    for k in range(states):
                        updated.write_list(2 + k, updated.state(k), updated.width)
                    for k in range(numbers):
                        updated.write_list(2 + states + k, numbers_at + k, 0)
                    updated.add_instruction(opcode, views, (2 + states) * UPDATE_WORK)
                if updated.parameter.touched:
                    updated.forget_touched()


@plain
def check_room(plan: Plan, rows, states, dense, views) -> None:
    """Set `status` to TOO_SMALL if the buffer `index` has no room for the address lists.

    Args:
        rows: how many rows of the trainer's table the pass uses, from the first on.
        states, dense: as in `Updated`.
        views: how many views each instruction has. Each view has two lists.
    """
    needed = 0
    for number in range(rows):
        needed += 2 * views * Updated(plan, number, states, dense).columns
    if needed > plan.context.index_end:
        plan.context.fill(status=at.TOO_SMALL, needed_index=needed)


class Updated:
    """A parameter of a trainer, and the columns that the pass works on.

    `whole` says whether all of the parameter is one column. Otherwise the parameter is a lookup table, and each touched
    row is a column. `columns` is the number of columns.

    Args:
        number: the parameter's row in the trainer's table.
        states: the number of tensors that the trainer keeps for each parameter.
        dense: 1 if the pass works on all rows of lookup tables, so that a table is one column; 0 if only on touched
            rows.
    """

    @plain
    def __init__(self, plan: Plan, number, states, dense):
        self.plan = plan
        self.row = Update(plan.table, number * (len(at.UPDATE) + states))
        parameter = plan.parameter(self.row.parameter)
        self.parameter, self.width, self.rows = parameter, parameter.width, parameter.rows
        self.touched = Words(parameter.touched)
        self.whole = parameter.touched == 0 or dense or self.touched[1 + 2 * self.rows]
        self.columns = 1 if self.whole else self.touched[0]

    def state(self, number):
        """Return the address of a tensor that the trainer keeps for this parameter, such as its momentum."""
        return self.plan.table[self.row.start + len(at.UPDATE) + number]

    @plain
    def write_list(self, view, start, width) -> None:
        """Write the first address list of a view: column c is at `start` + `width` * (its row of the lookup table)."""
        index = self.plan.index
        list_at = self.plan.context.index_top + 2 * view * self.columns
        if self.whole:
            index[list_at] = start
        else:
            for column in range(self.columns):
                index[list_at + column] = start + self.touched[1 + column] * width

    @plain
    def add_instruction(self, opcode, views, work_each) -> None:
        """Append the instruction for this parameter to the tape. Its address lists start at `index_top`.

        The instruction gives one integer to the kernel: the size of a column, in floats.

        Args:
            opcode: the number of the kernel.
            views: how many views, of two address lists each, it has.
            work_each: how many picoseconds one thread takes for each number of the parameter; 0 if threads cannot share
                the instruction.
        """
        context, row = self.plan.context, self.row
        size = row.floats if self.whole else self.width
        row.column = size
        work, way = self.columns * size * work_each, at.BY_ROWS if work_each else at.ALONE
        size_at = row.start + at.UPDATE.column
        add_instruction(self.plan, opcode, context.index_top, self.columns, size_at, shared=way, work=work)
        context.index_top += 2 * views * self.columns

    @plain
    def forget_touched(self) -> None:
        """Clear the list of touched rows, so that no row of the lookup table counts as touched any more."""
        touched, rows = self.touched, self.rows
        for k in range(touched[0]):
            touched[1 + rows + touched[1 + k]] = 0
        touched[0] = 0
        touched[1 + 2 * rows] = 0
