"""Writes instructions to the tape: each step becomes one for all nodes of a group; others fill or clear memory."""

from __future__ import annotations

from .. import layout
from ..kernels import SHARD
from ..plain import Rows, Words, plain
from .addresses import Block
from .grouping import Group
from .nodes import Plan
from .structs import Context, Instruction, Step, Steps

# If threads can share a matrix product by rows or by columns, they do so by columns if each gets at least this many. A
# thread then finds the columns that it reads in its cache, because it has written them.
COLUMNS_EACH = 16
CLEAR_WORK = 100  # an estimate of how many picoseconds one thread takes to set one number to 0


def use_tape(context: Context, direction: str) -> None:
    """Select the tape and address lists that planning and running use from now on: "forward" or "backward"."""
    for name in ("index", "tape", "index_end", "tape_end"):
        setattr(context, name, getattr(context, f"{direction}_{name}"))


def start_tape(context: Context) -> None:
    context.fill(index_top=0, tape_count=0, shared_work=0, status=layout.READY)


@plain
def add_instruction(
    plan: Plan, opcode, base, count, parameters=0, fresh=0, shared=layout.ALONE, work=0, distinct=0
) -> None:
    """Append an instruction to the tape. If its kernel is not loaded, set `status` to NO_CODE: then nothing runs.

    Its address lists start at `base` in `index`, its parameters at `parameters` in `table`. With `fresh`, the kernel
    must overwrite uninitialized memory instead of adding to it. `work` is in picoseconds for one thread: if it is too
    short to be worth sharing, threads do not share it, whatever `shared` (see `layout.STEP`) says.
    """
    context = plan.context
    way = way_to_share(plan, shared, count, distinct) if work >= plan.limits.least_instruction else layout.ALONE
    if way != layout.ALONE:
        context.shared_work += work
    number = context.tape_count
    instruction = Rows(Instruction, plan.tape)[number]
    instruction.fill(opcode=opcode, base=base, count=count, parameters=parameters, fresh=fresh, shared=way)
    context.tape_count = number + 1
    if Words(context.code)[opcode // SHARD] == 0:
        context.fill(status=layout.NO_CODE, row=number)


@plain
def way_to_share(plan: Plan, shared, count, distinct):
    """Return how threads share an instruction of `count` columns: ALONE, BY_COLUMNS or BY_ROWS.

    `shared` may leave the choice to this function (see `layout.STEP`). `distinct` is 1 if the step is known to add to a
    different gradient for each node of the group.
    """
    if shared == layout.IF_DISTINCT:
        return layout.BY_COLUMNS if distinct else layout.ALONE
    if shared < layout.EITHER:
        return shared
    may_by_columns = shared == layout.EITHER or distinct
    return layout.BY_COLUMNS if may_by_columns and count >= COLUMNS_EACH * plan.limits.threads else layout.BY_ROWS


def add_fill(plan: Plan, parameters: int, start, size, number) -> None:
    """Append an instruction that sets `size` floats at `start` to `number`; these are in `table`, at `parameters`."""
    for place, value in enumerate((start, size, number)):
        plan.table[parameters + place] = value
    add_instruction(plan, layout.FILL, 0, 1, parameters)


def add_clear(plan: Plan, start, size) -> None:
    base = plan.context.index_top
    plan.index[base] = start
    plan.index[base + 1] = size
    add_instruction(plan, layout.CLEAR, base, 1, shared=layout.BY_ROWS, work=size * CLEAR_WORK)
    plan.context.index_top = base + 2


@plain
def add_steps(group: Group, steps: Steps, block: Block, everything=0, fresh=0, distinct=0, left_out=0) -> None:
    """Append an instruction for each step of a group that has to run.

    The last three arguments are sets of steps: bit k stands for step k. `fresh` steps overwrite uninitialized
    gradients, `distinct` steps add to a different gradient for each node, so that threads can share them by columns,
    and `left_out` steps have nothing to do.
    """
    columns = block.columns
    for number in range(steps.count):
        step = steps[number]
        if not (left_out >> number) & 1 and is_wanted(group, step, everything):
            add_instruction(
                group.plan,
                step.opcode,
                block.base,
                columns,
                step.parameters,
                (fresh >> number) & 1,
                step.shared,
                columns * step.work,
                (distinct >> number) & 1,
            )


@plain
def is_wanted(group: Group, step: Step, everything):
    """Whether a step has to run: unless it adds only to operands' gradients that no node of the group needs.

    If `everything` is 1, all nodes need gradients, but parameters still only if they are trained.
    """
    operand = step.gradient_of
    return operand == layout.NO_OPERAND or _is_needed(group, operand, everything)


@plain
def _is_needed(group: Group, operand, everything):
    plan = group.plan
    place, needed = 0, 0
    while place < group.count and not needed:
        node = group[place]
        record = node.record
        if operand >= 0:
            needed = plan.needs_gradient(record.operand(operand), everything)
        elif operand == layout.EACH_OPERAND:
            first = record.each_start
            for k in range(record.each_count):
                needed |= plan.needs_gradient(record.operand(first + k), everything)
        elif operand == layout.BEFORE_OPERAND:
            needed = everything | node.part_before.needs_gradient
        else:
            needed = everything | node.needs_gradient
        place += 1
    return needed
