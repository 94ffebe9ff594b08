"""Writes instructions to the tape, the list of instructions for a pass.

A *signature* describes nodes that can run in one batch; its *steps* are the kernel calls that they need (see `layout`).
A *group* is the nodes of one signature and depth. Each step becomes one instruction for all nodes of a group. Other
instructions fill or clear memory.
"""

from __future__ import annotations

from .. import layout as at
from ..kernels import SHARD
from ..plain import Rows, Words, plain
from .addresses import Block
from .grouping import Group
from .nodes import Plan
from .structs import Context, Instruction, Step, Steps

# If threads can share a matrix product either by rows of the result or by columns, they share it by columns if each
# thread gets at least this many columns. A thread then finds the columns that it reads in its cache, because it has
# written them.
COLUMNS_EACH = 16
CLEAR_WORK = 100  # an estimate of how many picoseconds one thread takes to set one number to 0


def use_tape(context: Context, direction: str) -> None:
    """Select the tape, and the buffer for address lists, that planning and running use from now on.

    Args:
        direction: "forward" or "backward", each of which has its own tape and buffer.
    """
    for name in ("index", "tape", "index_end", "tape_end"):
        setattr(context, name, getattr(context, f"{direction}_{name}"))


def start_tape(context: Context) -> None:
    context.fill(index_top=0, tape_count=0, shared_work=0, status=at.READY)


@plain
def add_instruction(
    plan: Plan, opcode, base, count, parameters=0, fresh=0, shared=at.ALONE, work=0, distinct=0
) -> None:
    """Append an instruction to the tape. If its kernel is not loaded, set `status` to NO_CODE: then nothing runs.

    Args:
        opcode: the number of its kernel.
        base: where in the buffer `index` its address lists start.
        count: the number of columns.
        parameters: where in the buffer `table` the kernel's parameters are.
        fresh: 1 if the kernel must overwrite uninitialised memory instead of adding to it.
        shared: how threads may share the instruction: one of the values in `layout.STEP`.
        work: how long one thread takes for the instruction, in picoseconds. If this is too short to be worth sharing,
            threads do not share it, whatever `shared` says.
        distinct: as in `way_to_share`.
    """
    context = plan.context
    way = way_to_share(plan, shared, count, distinct) if work >= plan.limits.least_instruction else at.ALONE
    if way != at.ALONE:
        context.shared_work += work
    number = context.tape_count
    instruction = Rows(Instruction, plan.tape)[number]
    instruction.fill(opcode=opcode, base=base, count=count, parameters=parameters, fresh=fresh, shared=way)
    context.tape_count = number + 1
    if Words(context.code)[opcode // SHARD] == 0:
        context.fill(status=at.NO_CODE, row=number)


@plain
def way_to_share(plan: Plan, shared, count, distinct):
    """Return how threads share an instruction: ALONE, BY_COLUMNS or BY_ROWS.

    Args:
        shared: one of these, or a value such as EITHER, which leaves the choice to this function; see `layout.STEP`.
        count: the number of columns.
        distinct: 1 if the step is known to add to a different gradient for each node of the group, else 0.
    """
    if shared == at.IF_DISTINCT:
        return at.BY_COLUMNS if distinct else at.ALONE
    if shared < at.EITHER:
        return shared
    may_by_columns = shared == at.EITHER or distinct
    return at.BY_COLUMNS if may_by_columns and count >= COLUMNS_EACH * plan.limits.threads else at.BY_ROWS


def add_fill(plan: Plan, parameters: int, start, size, number) -> None:
    """Append an instruction that sets `size` floats from address `start` on to `number`.

    Args:
        parameters: where in the buffer `table` to store `start`, `size` and `number`. The instruction reads them there.
    """
    for place, value in enumerate((start, size, number)):
        plan.table[parameters + place] = value
    add_instruction(plan, at.FILL, 0, 1, parameters)


def add_clear(plan: Plan, start, size) -> None:
    """Append an instruction that sets `size` floats from address `start` on to 0."""
    base = plan.context.index_top
    plan.index[base] = start
    plan.index[base + 1] = size
    add_instruction(plan, at.CLEAR, base, 1, shared=at.BY_ROWS, work=size * CLEAR_WORK)
    plan.context.index_top = base + 2


@plain
def add_steps(group: Group, steps: Steps, block: Block, everything=0, fresh=0, distinct=0, left_out=0) -> None:
    """Append an instruction for each step of a group that has to run.

    The last three arguments are sets of steps as bits: bit k stands for step k.

    Args:
        steps: the steps of the group's signature in one direction.
        block: the address lists that they read.
        everything: 1 if all nodes need gradients, even those that depend on no trained parameter; else 0.
        fresh: the steps that must overwrite the gradient they add to, because it is uninitialised.
        distinct: the steps known to add to a different gradient for each node of the group. Threads can share these by
            columns.
        left_out: the steps that have nothing to do. They get no instruction.
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
    """Whether a step has to run.

    A step that adds to gradients of operands has to run if one of these operands, in any node of the group, needs a
    gradient. All other steps always run.

    Args:
        everything: 1 if all nodes need gradients. Even then, parameters need them only if they are trained.
    """
    operand = step.gradient_of
    return operand == at.NO_OPERAND or _is_needed(group, operand, everything)


@plain
def _is_needed(group: Group, operand, everything):
    plan = group.plan
    place, needed = 0, 0
    while place < group.count and not needed:
        node = group[place]
        record = node.record
        if operand >= 0:
            needed = plan.needs_gradient(record.operand(operand), everything)
        elif operand == at.EACH_OPERAND:
            first = record.each_start
            for k in range(record.each_count):
                needed |= plan.needs_gradient(record.operand(first + k), everything)
        elif operand == at.BEFORE_OPERAND:
            needed = everything | node.part_before.needs_gradient
        else:
            needed = everything | node.needs_gradient
        place += 1
    return needed
