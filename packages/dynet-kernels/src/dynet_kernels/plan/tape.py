"""Writes instructions to the tape, the list of instructions for a pass.

A *signature* describes nodes that can run in one batch; its *steps* are the kernel calls that they need (see `layout`).
A *group* is the nodes of one signature and depth. Each step becomes one instruction for all nodes of a group. Other
instructions fill or clear memory. The functions here emit the code that does this.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .. import layout as at
from ..kernels import SHARD
from ..plain import Rows, Words
from ..tir import int64, let
from .addresses import write_block
from .flow import Variable, all_of, any_of, branch, each, forever, pick, stop_unless, when
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


def add_instruction(plan: Plan, opcode, base, count, parameters=0, fresh=0, shared: Any = at.ALONE, work=0) -> None:
    """Append an instruction to the tape. If its kernel is not loaded, set `status` to NO_CODE: then nothing runs.

    Args:
        opcode: the number of its kernel.
        base: where in the buffer `index` its address lists start.
        count: the number of columns.
        parameters: where in the buffer `table` the kernel's parameters are.
        fresh: 1 if the kernel must overwrite uninitialised memory instead of adding to it.
        shared: ALONE, BY_COLUMNS or BY_ROWS: how threads share the instruction; or a function that emits this number.
        work: how long one thread takes for the instruction, in picoseconds. If this is too short to be worth sharing,
            threads do not share it, whatever `shared` says.
    """
    context = plan.context
    way = pick(work >= plan.limits.least_instruction, shared, at.ALONE)
    with when(way != at.ALONE):
        context.shared_work += work
    number = context.tape_count
    instruction = Rows(Instruction, plan.tape)[number]
    instruction.fill(opcode=opcode, base=base, count=count, parameters=parameters, fresh=fresh, shared=way)
    context.tape_count = number + 1
    with when(Words(context.code)[int64(opcode) // SHARD] == 0):
        context.fill(status=at.NO_CODE, row=number)


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
    add_instruction(plan, at.CLEAR, base, 1, shared=at.BY_ROWS, work=let(size * CLEAR_WORK))
    plan.context.index_top = base + 2


@dataclass
class Block:
    """The address lists of a group: they begin at `base` in the buffer `index`, and each is for `columns` columns."""

    base: Any
    columns: Any


def write_lists(group: Group, steps: Steps, with_gradients: bool = False) -> Block:
    """Write the address lists that steps of a group read.

    Args:
        steps: the steps of the group's signature in one direction.
        with_gradients: whether address lists of gradients are written, too.
    """
    base = group.plan.context.index_top
    columns = group_columns(group)
    write_block(group, columns, steps, with_gradients)
    return Block(base, columns)


def add_steps(
    group: Group,
    steps: Steps,
    block: Block,
    everything=0,
    fresh=0,
    distinct=0,
    left_out=0,
) -> None:
    """Append an instruction for each step of a group that has to run.

    Args:
        steps: the steps of the group's signature in one direction.
        block: the address lists that they read.
        everything: 1 if all nodes need gradients, even those that depend on no trained parameter; else 0.
        fresh: the set of steps, as bits, that must overwrite the gradient they add to, because it is uninitialised.
        distinct: the set of steps known to add to a different gradient for each node of the group. Threads can share
            these by columns.
        left_out: the set of steps that have nothing to do. They get no instruction.
    """
    plan = group.plan
    with each(steps.count) as number:
        step = steps[number]
        with when(all_of(is_wanted(group, step, everything), (left_out >> number) & 1 == 0)):
            add_instruction(
                plan,
                step.opcode,
                block.base,
                block.columns,
                step.parameters,
                (fresh >> number) & 1,
                lambda: way_to_share(plan, step, (distinct >> number) & 1, block.columns),  # noqa: B023
                let(block.columns * step.work),
            )


def group_columns(group: Group):
    """Return how many columns all nodes of a group have together."""
    signature, count = group.signature, Variable(0)
    with branch(signature.columns_each == 0) as (equal, different):
        with equal:
            count.value = group.count * signature.columns
        with different:
            for _, node in group.each_node():
                count.value += node.columns
    return count.value


def is_wanted(group: Group, step: Step, everything):
    """Whether a step has to run.

    A step that adds to gradients of operands has to run if one of these operands, in any node of the group, needs a
    gradient. All other steps always run.

    Args:
        everything: 1 if all nodes need gradients. Even then, parameters need them only if they are trained.
    """
    operand = step.gradient_of
    return pick(operand == at.NO_OPERAND, 1, lambda: _is_needed(group, operand, everything)) != 0


def _is_needed(group: Group, operand, everything):
    plan, found, place = group.plan, Variable(0), Variable(0)
    with forever():
        stop_unless(all_of(place.value < group.count, found.value == 0))
        node = group[place.value]
        record = node.record
        with branch(operand >= 0) as (one, others):
            with one:
                found.value = plan.needs_gradient(record.operand(operand), everything)
            with others, branch(operand == at.EACH_OPERAND) as (those_of_each, own):
                with those_of_each:
                    first = record.each_start
                    with each(record.each_count) as k:
                        found.value |= plan.needs_gradient(record.operand(first + k), everything)
                with own:
                    before = operand == at.BEFORE_OPERAND
                    found.value = everything | pick(
                        before, lambda: node.part_before.needs_gradient, lambda: node.needs_gradient
                    )
        place.value += 1
    return found.value


def way_to_share(plan: Plan, step: Step, distinct, count):
    """Return how threads share the instruction for a step: ALONE, BY_COLUMNS or BY_ROWS.

    The integer `shared` of the step is one of these, or a value such as EITHER, which leaves the choice to this
    function; see `layout.STEP`.

    Args:
        distinct: 1 if the step is known to add to a different gradient for each node of the group, else 0.
        count: the number of columns.
    """
    way = step.shared
    either_way = any_of(way == at.EITHER, all_of(way == at.EITHER_IF_DISTINCT, distinct != 0))
    many = count >= COLUMNS_EACH * plan.limits.threads
    either = pick(all_of(either_way, many), at.BY_COLUMNS, at.BY_ROWS)
    if_distinct = pick(distinct != 0, at.BY_COLUMNS, at.ALONE)
    return pick(way == at.IF_DISTINCT, if_distinct, pick(way >= at.EITHER, either, way))
