"""When nodes run: a number for each, its depth, by which those that are ready together stand together.

Nodes of one signature and depth become one instruction, so the fewer depths the nodes of a signature have, the better.
Therefore signatures are put into *stages* first: a signature that follows, over any number of edges, on fewer others
runs earlier. Signatures that follow on each other, as those of a recurrent network, follow on the same ones and share a
stage, in which their nodes are ordered by how many others of the stage come before. So the output layer of a
recurrent network is one instruction for all steps, and its matrix is read once.
"""

from __future__ import annotations

from collections.abc import Callable

from tvm.tirx.script import builder as T

from .. import layout as at
from ..tir import int64, let
from .flow import Variable, each, pick, when
from .nodes import Node, Plan
from .structs import Signature


def start_numbering(plan: Plan) -> None:
    """Begin to give signatures numbers."""
    plan.context.fill(numbering=plan.context.numbering + 1, numbered=0)


def number_signature(plan: Plan, signature: Signature) -> None:
    """Give a signature its number in the present numbering, unless it has one."""
    context = plan.context
    numbering = context.numbering
    with when(signature.numbering != numbering):
        number = context.numbered
        signature.fill(numbering=numbering, number=number)
        context.numbered = number + 1
        with when(number < at.MOST_NUMBERED):
            with each(at.WORDS) as word:
                plan.predecessors[number * at.WORDS + word] = 0
            goes_before(plan, number, number)


def goes_before(plan: Plan, earlier, later) -> None:
    """Note that nodes of signature number `later` wait for nodes of signature number `earlier`."""
    with when(T.max(earlier, later) < at.MOST_NUMBERED):
        word = let(later * at.WORDS + (earlier >> 6))
        bit = int64(1) << (earlier & 63)
        plan.predecessors[word] = plan.predecessors[word] | bit


def note_edges(plan: Plan, node: Node, earliest, visit: Callable = lambda operand: None) -> None:
    """Note which signatures go before a node's: those of operands from node `earliest` on.

    visit(operand) is called for all operands that the node waits for.
    """
    signature = node.signature
    number_signature(plan, signature)
    number = signature.number
    with when(node.is_later_part):
        goes_before(plan, node.part_before.signature.number, number)
    with node.record.awaited() as operand:
        visit(operand)
        with when(operand >= earliest):
            goes_before(plan, plan.node(operand).signature.number, number)


def find_stages(plan: Plan) -> None:
    """Each signature's stage: how many signatures go before it, over any number of edges, itself among them."""
    count, predecessors = plan.context.numbered, plan.predecessors
    words = let((count + 63) >> 6)
    with when(count <= at.MOST_NUMBERED):
        with each(count) as via:
            word, bit = let(via >> 6), let(via & 63)
            with each(count) as number:
                row = let(number * at.WORDS)
                with when(((predecessors[row + word] >> bit) & 1) != 0):
                    with each(words) as k:
                        predecessors[row + k] = predecessors[row + k] | predecessors[via * at.WORDS + k]
        with each(count) as number:
            stage = Variable()
            with each(words) as k:
                stage.value += T.popcount(predecessors[number * at.WORDS + k])
            plan.stages[number] = stage.value


def find_depths(plan: Plan, first, last, has_instructions: Callable) -> None:
    """The stage of the nodes from `first` to `last`, whose edges are noted, and their depth in it.

    has_instructions(node) says whether a node has a depth of its own; what has no instructions goes with its operands.
    Those that have some become `planned`, with the numbers of their signatures and their depths.
    """
    context = plan.context
    find_stages(plan)
    numbered = context.numbered
    in_stages = let(numbered <= at.MOST_NUMBERED)
    stages = pick(in_stages, numbered + 1, 1)
    with each(stages) as stage:
        plan.stage_begins[stage] = 0
    count = Variable()
    with each(last - first) as place:
        node = plan.node(let(first + place))
        number = node.signature.number
        stage = pick(in_stages, lambda: plan.stages[number], 0)
        depth = Variable()

        def comes_after(earlier: Node):
            with when(earlier.stage == stage):  # noqa: B023
                depth.value = T.max(depth.value, earlier.depth)  # noqa: B023

        with when(node.is_later_part):
            comes_after(node.part_before)
        with node.record.awaited() as operand:
            with when(operand >= first):
                comes_after(plan.node(operand))
        with when(has_instructions(node)):
            depth.value += 1
            add_planned(plan, count, node, number, depth.value)
            plan.by_depth[count.value - 1] = stage  # for a moment
        node.fill(stage=stage, depth=depth.value)
        plan.stage_begins[stage] = T.max(plan.stage_begins[stage], depth.value + 1)
    context.planned_count = count.value
    number_depths(plan, stages)


def add_planned(plan: Plan, count: Variable, node: Node, number, depth) -> None:
    """Add a node to those that are being planned."""
    place = count.value
    plan.planned[place] = node.number
    plan.numbers[place] = number
    plan.depths[place] = depth
    count.value = place + 1


def number_depths(plan: Plan, stages) -> None:
    """Have one numbering of depths for all stages. `by_depth` are the stages of the nodes that are being planned."""
    deepest = Variable()
    with each(stages) as stage:
        size = let(plan.stage_begins[stage])
        plan.stage_begins[stage] = deepest.value
        deepest.value += size
    plan.context.deepest = deepest.value
    with each(plan.context.planned_count) as place:
        plan.depths[place] = plan.depths[place] + plan.stage_begins[plan.by_depth[place]]
