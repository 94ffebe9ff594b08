"""Plans the two passes of trainers: one sums the squares of all gradients, the other runs the update.

A trainer has its own context with its own `table`. Each parameter gets one instruction, and is one column; a lookup
table has a column for each touched row.
"""

from __future__ import annotations

from .. import layout
from ..plain import Words, plain
from .nodes import Plan, Update
from .tape import add_instruction, start_tape

UPDATE_WORK = 500  # an estimate of the picoseconds that one thread takes for a float of each tensor of an update


@plain
def plan_gradient_norm(context, opcode, first, last, states, dense, total_at) -> None:
    """Plan the pass that sums the squared gradients of the parameters in rows `first` to `last` - 1.

    Each instruction has two address lists: the addresses of the gradients, and the address of the total, a float64 at
    `total_at` (in float32s). `states` is the number of tensors that the trainer keeps for each parameter. If `dense`
    is 1, all rows of lookup tables are used, otherwise only touched rows.
    """
    plan = Plan(context)
    start_tape(plan.context)
    check_room(plan, last, states, dense, 1)
    if plan.context.status == layout.READY:
        for row in range(first, last):
            updated = Updated(plan, row, states, dense)
            if updated.columns and updated.parameter.needs_gradient:
                updated.write_list(0, updated.parameter.gradient, updated.width)
                plan.index[plan.context.index_top + updated.columns] = total_at
                updated.add_instruction(opcode, 1, 0)


@plain
def plan_update(context, opcode, count, states, numbers, numbers_at, dense) -> None:
    """Plan the pass that runs an update rule on all parameters that are not frozen and are `chosen` (`layout.UPDATE`).

    Each instruction has views for the values, the gradient, each of the `states` tensors that the trainer keeps, and
    each of the `numbers` floats at `numbers_at` (in floats) that the rule reads. It uses each view's first list.
    """
    plan = Plan(context)
    views = 2 + states + numbers
    start_tape(plan.context)
    check_room(plan, count, states, dense, views)
    if plan.context.status == layout.READY:
        for row in range(count):
            updated = Updated(plan, row, states, dense)
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
    """Set `status` to TOO_SMALL if `index` has no room for the lists of the first `rows` parameters, two per view."""
    needed = 0
    for row in range(rows):
        needed += 2 * views * Updated(plan, row, states, dense).columns
    if needed > plan.context.index_end:
        plan.context.fill(status=layout.TOO_SMALL, needed_index=needed)


class Updated:
    """The parameter in row `index` of a trainer's table, and the columns that the pass works on.

    If `whole`, all of the parameter is one column. Otherwise, it is a lookup table, and each touched row is a column.
    If `dense` is 1, lookup tables are also whole. The trainer keeps `states` tensors for each parameter.
    """

    @plain
    def __init__(self, plan: Plan, index, states, dense):
        self.plan = plan
        self.row = Update(plan.table, index * (len(layout.UPDATE) + states))
        parameter = plan.parameter(self.row.parameter)
        self.parameter, self.width, self.rows = parameter, parameter.width, parameter.rows
        self.touched = Words(parameter.touched)
        self.whole = parameter.touched == 0 or dense or self.touched[1 + 2 * self.rows]
        self.columns = 1 if self.whole else self.touched[0]

    def state(self, index):
        return self.plan.table[self.row.start + len(layout.UPDATE) + index]

    @plain
    def write_list(self, view, start, width) -> None:
        """Write the first address list of a view. The column of row k of a lookup table is at `start` + k * `width`."""
        index = self.plan.index
        list_start = self.plan.context.index_top + 2 * view * self.columns
        if self.whole:
            index[list_start] = start
        else:
            for column in range(self.columns):
                index[list_start + column] = start + self.touched[1 + column] * width

    @plain
    def add_instruction(self, opcode, views, work_each) -> None:
        """Append the instruction for this parameter, whose lists start at `index_top`.

        `work_each` is the picoseconds that one thread takes for each float, or 0 if threads cannot share it.
        """
        context, row = self.plan.context, self.row
        size = row.floats if self.whole else self.width
        row.column = size
        work, way = self.columns * size * work_each, layout.BY_ROWS if work_each else layout.ALONE
        size_offset = row.start + layout.UPDATE.column
        add_instruction(self.plan, opcode, context.index_top, self.columns, size_offset, shared=way, work=work)
        context.index_top += 2 * views * self.columns

    @plain
    def forget_touched(self) -> None:
        touched, rows = self.touched, self.rows
        for k in range(touched[0]):
            touched[1 + rows + touched[1 + k]] = 0
        touched[0] = 0
        touched[1 + 2 * rows] = 0  # else all rows would count as touched; see `layout.PARAMETER`
