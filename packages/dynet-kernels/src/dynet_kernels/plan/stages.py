"""Finds the depths of nodes, as few as possible for each signature: nodes of one signature and depth run together.

Each signature first gets a stage: the number of signatures that it depends on, directly or indirectly, itself included.
Lower stages run first. Signatures that depend on each other, such as those of a recurrent network, have the same stage.
Within a stage, the depth of a node is the length of the longest path to it. So all nodes of the output layer of a
recurrent network, one for each time step, have the same depth, and the matrix of this layer is read once.
"""

from __future__ import annotations

from collections.abc import Callable

from .. import layout
from ..plain import plain, popcount
from .nodes import Node, Plan
from .structs import Signature


@plain
def start_numbering(plan: Plan) -> None:
    """Begin to number signatures from 0. The numbers that signatures got in earlier plans become invalid."""
    plan.context.numbering += 1
    plan.context.numbered = 0


@plain
def number_signature(plan: Plan, signature: Signature) -> None:
    """Give a signature the next number, unless it has got one since the last call of `start_numbering`."""
    context = plan.context
    if signature.numbering == context.numbering:
        return
    number = context.numbered
    signature.numbering = context.numbering
    signature.number = number
    context.numbered = number + 1
    if number < layout.MOST_NUMBERED:
        for word in range(layout.WORDS):
            plan.predecessors[number * layout.WORDS + word] = 0
        goes_before(plan, number, number)


@plain
def goes_before(plan: Plan, earlier, later) -> None:
    """Note in `predecessors` that nodes of signature number `later` depend on nodes of signature number `earlier`."""
    if max(earlier, later) < layout.MOST_NUMBERED:
        plan.predecessors[later * layout.WORDS + (earlier >> 6)] |= 1 << (earlier & 63)


@plain
def note_edges(plan: Plan, node: Node, earliest, visit: Callable = lambda operand: None) -> None:
    """Note that a node's signature depends on those of its operands, and of the part before it.

    Operands below `earliest`, which are computed already or parameters, are left out. visit(operand) is called for all.
    """
    signature = node.signature
    number_signature(plan, signature)
    number = signature.number
    if node.is_later_part:
        goes_before(plan, node.part_before.signature.number, number)
    for operand in node.record.awaited():
        visit(operand)
        if operand >= earliest:
            goes_before(plan, plan.node(operand).signature.number, number)


@plain
def find_stages(plan: Plan) -> None:
    """Compute the stage of each signature.

    Before the call, each row of bits in `predecessors` says on which signatures one depends directly. The transitive
    closure is computed in place, so that the rows also have indirect dependencies.
    """
    count, predecessors = plan.context.numbered, plan.predecessors
    if count > layout.MOST_NUMBERED:
        return
    words = (count + 63) >> 6
    for via in range(count):
        for number in range(count):
            row = number * layout.WORDS
            if (predecessors[row + (via >> 6)] >> (via & 63)) & 1:
                for k in range(words):
                    predecessors[row + k] |= predecessors[via * layout.WORDS + k]
    for number in range(count):
        stage = 0
        for k in range(words):
            stage += popcount(predecessors[number * layout.WORDS + k])
        plan.stages[number] = stage


@plain
def find_depths(plan: Plan, first, last, has_instructions: Callable) -> None:
    """Compute the stages and depths of nodes `first` to `last` - 1, for all of which `note_edges` has been called.

    Those for which has_instructions(node) holds are listed in `planned`, their signatures' numbers in `numbers`, their
    depths in `depths`. All others get the largest depth of their operands in the same stage, or 0.
    """
    find_stages(plan)
    in_stages = plan.context.numbered <= layout.MOST_NUMBERED
    stages = plan.context.numbered + 1 if in_stages else 1
    for k in range(stages):
        plan.stage_begins[k] = 0
    plan.context.planned_count = 0
    for number in range(first, last):
        node = plan.node(number)
        signature = node.signature.number
        stage = plan.stages[signature] if in_stages else 0
        depth = 0

        def comes_after(earlier: Node):
            nonlocal depth
            if earlier.stage == stage:  # noqa: B023
                depth = max(depth, earlier.depth)

        if node.is_later_part:
            comes_after(node.part_before)
        for operand in node.record.awaited():
            if operand >= first:
                comes_after(plan.node(operand))
        if has_instructions(node):
            depth += 1
            # `by_depth` is not in use yet: it holds the stages of the planned nodes until `number_depths` reads them.
            plan.by_depth[plan.context.planned_count] = stage
            add_planned(plan, node, signature, depth)
        node.stage = stage
        node.depth = depth
        plan.stage_begins[stage] = max(plan.stage_begins[stage], depth + 1)
    number_depths(plan, stages)


@plain
def add_planned(plan: Plan, node: Node, number, depth) -> None:
    place = plan.context.planned_count
    plan.planned[place] = node.number
    plan.numbers[place] = number
    plan.depths[place] = depth
    plan.context.planned_count = place + 1


@plain
def number_depths(plan: Plan, stages) -> None:
    """Turn the depths in `depths`, which are counted within stages, into depths counted over all stages.

    Before, `by_depth` holds the stages of the planned nodes, and `stage_begins` how many depths each stage has;
    afterwards, `stage_begins` holds how many all earlier stages have.
    """
    deepest = 0
    for stage in range(stages):
        size = plan.stage_begins[stage]
        plan.stage_begins[stage] = deepest
        deepest += size
    plan.context.deepest = deepest
    for place in range(plan.context.planned_count):
        plan.depths[place] += plan.stage_begins[plan.by_depth[place]]
