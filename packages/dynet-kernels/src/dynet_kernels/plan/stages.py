"""Orders nodes: finds a *depth* for each. A node runs after all nodes of smaller depth.

Nodes of one signature (a description of how to compute them) and depth share instructions, so the nodes of a signature
should have as few depths as possible. Therefore each signature first gets a *stage*: the number of signatures that it
depends on, directly or indirectly, itself included. Lower stages run first. Signatures that depend on each other, such
as those of a recurrent network, have the same stage. Within a stage, the depth of a node is the length of the longest
path to it. So all nodes of the output layer of a recurrent network, one for each time step, have the same depth, and
the matrix of this layer is read once.

In each plan, the signatures that occur get numbers from 0 on, which are indices into lists such as `stages`. Other
terms are explained in `layout`.
"""

from __future__ import annotations

from collections.abc import Callable

from .. import layout as at
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
    if number < at.MOST_NUMBERED:
        for word in range(at.WORDS):
            plan.predecessors[number * at.WORDS + word] = 0
        goes_before(plan, number, number)


@plain
def goes_before(plan: Plan, earlier, later) -> None:
    """Note in `predecessors` that nodes of signature number `later` depend on nodes of signature number `earlier`."""
    if max(earlier, later) < at.MOST_NUMBERED:
        plan.predecessors[later * at.WORDS + (earlier >> 6)] |= 1 << (earlier & 63)


@plain
def note_edges(plan: Plan, node: Node, earliest, visit: Callable = lambda operand: None) -> None:
    """Note that a node's signature depends on the signatures of the nodes that must be computed before this node.

    These are operands and, for a later part of a record, the part before it.

    Args:
        earliest: operands with lower numbers than this are computed already, or are parameters. They are left out.
        visit: called as visit(operand) for each operand that must be computed before the node, even if it is left out.
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
    """Compute the stage of each signature: how many signatures it depends on, directly or indirectly, itself included.

    Before the call, the buffer `predecessors` is a matrix of bits: each row says on which signatures one signature
    depends directly. Its transitive closure is computed in place, so that the rows also have indirect dependencies.
    """
    count, predecessors = plan.context.numbered, plan.predecessors
    if count > at.MOST_NUMBERED:
        return
    words = (count + 63) >> 6
    for via in range(count):
        for number in range(count):
            row = number * at.WORDS
            if (predecessors[row + (via >> 6)] >> (via & 63)) & 1:
                for k in range(words):
                    predecessors[row + k] |= predecessors[via * at.WORDS + k]
    for number in range(count):
        stage = 0
        for k in range(words):
            stage += popcount(predecessors[number * at.WORDS + k])
        plan.stages[number] = stage


@plain
def find_depths(plan: Plan, first, last, has_instructions: Callable) -> None:
    """Compute the stages and depths of nodes, for all of which `note_edges` has been called.

    The nodes that have instructions are listed in `planned`, with the numbers of their signatures in `numbers` and
    their depths in `depths`. A node without instructions gets the largest depth that its operands in the same stage
    have, or 0.

    Args:
        first, last: the nodes are number `first` to `last` - 1.
        has_instructions: called as has_instructions(node), says whether the pass has instructions for it.
    """
    find_stages(plan)
    in_stages = plan.context.numbered <= at.MOST_NUMBERED
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
            # `by_depth` is not in use yet. It holds the stages of the planned nodes until `number_depths` reads them.
            plan.by_depth[plan.context.planned_count] = stage
            add_planned(plan, node, signature, depth)
        node.stage = stage
        node.depth = depth
        plan.stage_begins[stage] = max(plan.stage_begins[stage], depth + 1)
    number_depths(plan, stages)


@plain
def add_planned(plan: Plan, node: Node, number, depth) -> None:
    """Append a node to the list of planned nodes.

    Args:
        number: the number of the node's signature.
        depth: the depth of the node.
    """
    place = plan.context.planned_count
    plan.planned[place] = node.number
    plan.numbers[place] = number
    plan.depths[place] = depth
    plan.context.planned_count = place + 1


@plain
def number_depths(plan: Plan, stages) -> None:
    """Turn the depths in `depths`, which are counted within stages, into depths counted over all stages.

    To do so, add to each how many depths all earlier stages have. Before the call, the buffer `by_depth` holds the
    stages of the planned nodes, and `stage_begins` how many depths each stage has. After it, `stage_begins` holds how
    many depths all earlier stages have.

    Args:
        stages: the number of stages.
    """
    deepest = 0
    for stage in range(stages):
        size = plan.stage_begins[stage]
        plan.stage_begins[stage] = deepest
        deepest += size
    plan.context.deepest = deepest
    for place in range(plan.context.planned_count):
        plan.depths[place] += plan.stage_begins[plan.by_depth[place]]
