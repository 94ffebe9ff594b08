"""Plans the two passes of trainers: one sums the squares of all gradients, the other runs the update.

A trainer has its own context with its own `table`. Each parameter gets one instruction, and is one column; a lookup
table has a column for each touched row.
"""

from __future__ import annotations

from .. import layout
from ..plain import Words, plain
from .nodes import Plan, Update
from .tape import add_instruction, start_tape

UPDATE_WORK_PER_FLOAT = 500  # estimated picoseconds of one thread for each float of each tensor that an update reads


@plain
def plan_gradient_norm(context_address, opcode, first, end, state_count, is_dense, total_address) -> None:
    """Plan the pass that sums the squared gradients of the parameters in rows `first` to `end` - 1.

    Each instruction has two address lists: the addresses of the gradients, and `total_address`, the address of the
    total, a float64. All these addresses count float32s. `state_count` is the number of tensors that the trainer keeps
    for each parameter. If `is_dense` is 1, all rows of lookup tables are used, otherwise only touched rows.
    """
    plan = Plan(context_address)
    start_tape(plan.context)
    check_room(plan, end, state_count, is_dense, 1)
    if plan.context.status == layout.READY:
        for row in range(first, end):
            updated = UpdatedParameter(plan, row, state_count, is_dense)
            if updated.columns and updated.parameter.needs_gradient:
                updated.write_list(0, updated.parameter.gradient, updated.width)
                plan.index[plan.context.index_top + updated.columns] = total_address  # only the first entry is read
                updated.add_instruction(opcode, 1, 0)


@plain
def plan_update(context_address, opcode, parameter_count, state_count, number_count, numbers_address, is_dense) -> None:
    """Plan the pass that runs an update rule on all parameters that are not frozen and are `chosen` (`layout.UPDATE`).

    Each instruction has a view of the values, of the gradient, of each of `state_count` tensors that the trainer keeps,
    and of each of `number_count` floats that the rule reads. `numbers_address` has these floats for each group of
    parameters; `chosen` is the number of the parameter's group, from 1. Kernels read each view's first list.

    If `is_dense` is EVERYTHING, frozen parameters change too, and the touched rows stay so, for the trainer's update.
    """
    plan = Plan(context_address)
    view_count = 2 + state_count + number_count
    start_tape(plan.context)
    check_room(plan, parameter_count, state_count, is_dense, view_count)
    if plan.context.status == layout.READY:
        for row in range(parameter_count):
            updated = UpdatedParameter(plan, row, state_count, is_dense)
            if (updated.parameter.needs_gradient or is_dense == layout.EVERYTHING) and updated.update_row.chosen:
                if updated.columns:
                    updated.write_list(0, updated.parameter.value, updated.width)
                    updated.write_list(1, updated.parameter.gradient, updated.width)
                    for k in range(state_count):
                        updated.write_list(2 + k, updated.state_address(k), updated.width)
                    numbers = numbers_address + (updated.update_row.chosen - 1) * number_count
                    for k in range(number_count):
                        updated.write_list(2 + state_count + k, numbers + k, 0)
                    updated.add_instruction(opcode, view_count, (2 + state_count) * UPDATE_WORK_PER_FLOAT)
                    if updated.parameter.copy:
                        updated.write_list(0, updated.parameter.value, 0)
                        updated.write_list(1, updated.parameter.value + updated.parameter.copy, 0)
                        updated.add_instruction(layout.ROUND, 2, 2 * UPDATE_WORK_PER_FLOAT)
    # If the status is not READY, the update will be planned again.
    if plan.context.status == layout.READY and is_dense != layout.EVERYTHING:
        for row in range(parameter_count):
            used = UpdatedParameter(plan, row, state_count, is_dense)
            if used.parameter.touched and used.parameter.needs_gradient and used.update_row.chosen:
                used.forget_touched()


@plain
def check_room(plan: Plan, rows, state_count, is_dense, view_count) -> None:
    """Set `status` to TOO_SMALL if `index` has no room for the lists of the first `rows` parameters, two per view."""
    needed = 0
    for row in range(rows):
        updated = UpdatedParameter(plan, row, state_count, is_dense)
        needed += 2 * view_count * updated.columns
        if updated.parameter.copy:
            needed += 4  # the lists of the instruction that rounds the copy
    if needed > plan.context.index_end:
        plan.context.fill(status=layout.TOO_SMALL, needed_index=needed)


class UpdatedParameter:
    """The parameter in row `index` of a trainer's table, and the columns that the pass works on.

    If `is_one_column`, all of the parameter is one column. Otherwise, it is a lookup table, and each touched row is a
    column. If `is_dense` is 1, lookup tables are also one column. A trainer keeps `state_count` tensors for each.
    """

    @plain
    def __init__(self, plan: Plan, index, state_count, is_dense):
        self.plan = plan
        self.update_row = Update(plan.table, index * (len(layout.UPDATE) + state_count))
        parameter = plan.parameter(self.update_row.parameter)
        self.parameter, self.width, self.rows = parameter, parameter.width, parameter.rows
        self.touched = Words(parameter.touched)  # `layout.PARAMETER` describes this list
        self.is_one_column = parameter.touched == 0 or is_dense or self.touched[1 + 2 * self.rows]
        self.columns = 1 if self.is_one_column else self.touched[0]

    def state_address(self, index):
        return self.plan.table[self.update_row.start + len(layout.UPDATE) + index]

    @plain
    def write_list(self, view, start, width) -> None:
        """Write a view's list of values (role 2 * `view`). Row k of a lookup table is at `start` + k * `width`."""
        index = self.plan.index
        list_start = self.plan.context.index_top + 2 * view * self.columns
        if self.is_one_column:
            index[list_start] = start
        else:
            for column in range(self.columns):
                index[list_start + column] = start + self.touched[1 + column] * width

    @plain
    def add_instruction(self, opcode, view_count, work_per_float) -> None:
        """Append the instruction for this parameter, whose lists start at `index_top`.

        `work_per_float` is the picoseconds that one thread takes for each float, or 0 if threads cannot share it.
        """
        context, row = self.plan.context, self.update_row
        size = row.floats if self.is_one_column else self.width
        row.column = size
        work, shared = self.columns * size * work_per_float, layout.BY_ROWS if work_per_float else layout.ALONE
        size_offset = row.start + layout.UPDATE.column
        add_instruction(self.plan, opcode, context.index_top, self.columns, size_offset, how_shared=shared, work=work)
        context.index_top += 2 * view_count * self.columns

    @plain
    def forget_touched(self) -> None:
        touched, rows = self.touched, self.rows
        for k in range(touched[0]):
            touched[1 + rows + touched[1 + k]] = 0
        touched[0] = 0
        touched[1 + 2 * rows] = 0  # 1 would mean that all rows count as touched; see `layout.PARAMETER`
