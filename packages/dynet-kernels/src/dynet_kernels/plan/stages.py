"""Orders nodes: finds a *depth* for each; nodes run after those of smaller depth.

Nodes of one signature and depth share instructions, so the nodes of a signature should have as few depths as possible.
Therefore each signature first gets a *stage*: the number of signatures it depends on, directly or indirectly, itself
included. Lower stages run first. Signatures that depend on each other, such as those of a recurrent network, have the
same stage. Within a stage, the depth of a node is the length of the longest path to it. So all nodes of the output
layer of a recurrent network, one for each time step, have the same depth, and its matrix is read once. The functions
here emit the code that does this.
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
    """Begin to number signatures anew: the number of each becomes invalid until `number_signature` is called for it."""
    plan.context.fill(numbering=plan.context.numbering + 1, numbered=0)


def number_signature(plan: Plan, signature: Signature) -> None:
    """Number a signature, unless that has been done since `start_numbering`: the numbers are 0, 1, 2 and so on."""
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
    """Note that nodes of signature number `later` depend on nodes of signature number `earlier`."""
    with when(T.max(earlier, later) < at.MOST_NUMBERED):
        word = let(later * at.WORDS + (earlier >> 6))
        bit = int64(1) << (earlier & 63)
        plan.predecessors[word] = plan.predecessors[word] | bit


def note_edges(plan: Plan, node: Node, earliest, visit: Callable = lambda operand: None) -> None:
    """Note on which signatures a node's signature depends: those of its operands, but not of nodes before `earliest`.

    visit(operand) emits code for each operand that must be computed before the node.
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
    """Compute the stage of each signature: how many it depends on, directly or indirectly, itself included.

    `predecessors` is a matrix of bits with the direct dependences. Its transitive closure is computed in place.
    """
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
    """Compute stage and depth of the nodes from `first` to `last` - 1, after `note_edges` has been called for all.

    Nodes for which has_instructions(node) holds are listed in `planned`, with the numbers of their signatures and their
    depths. A node without instructions has the largest depth of its operands in the same stage.
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
            plan.by_depth[count.value - 1] = stage  # borrowed memory: `number_depths` reads the stages from here
        node.fill(stage=stage, depth=depth.value)
        plan.stage_begins[stage] = T.max(plan.stage_begins[stage], depth.value + 1)
    context.planned_count = count.value
    number_depths(plan, stages)


def add_planned(plan: Plan, count: Variable, node: Node, number, depth) -> None:
    """Append a node to the list `planned`, with the number of its signature and its depth. `count` is its length."""
    place = count.value
    plan.planned[place] = node.number
    plan.numbers[place] = number
    plan.depths[place] = depth
    count.value = place + 1


def number_depths(plan: Plan, stages) -> None:
    """Turn depths within a stage into depths over all stages: add the number of depths in all earlier stages.

    Before the call, `by_depth` holds the stages of the planned nodes, and `stage_begins` the number of depths in each
    stage. It is replaced by the first depth of each stage.
    """
    deepest = Variable()
    with each(stages) as stage:
        size = let(plan.stage_begins[stage])
        plan.stage_begins[stage] = deepest.value
        deepest.value += size
    plan.context.deepest = deepest.value
    with each(plan.context.planned_count) as place:
        plan.depths[place] = plan.depths[place] + plan.stage_begins[plan.by_depth[place]]
