"""Orders nodes: finds a *depth* for each. A node runs after all nodes of smaller depth.

Nodes of one signature (a description of how to compute them) and depth share instructions, so the nodes of a signature
should have as few depths as possible. Therefore each signature first gets a *stage*: the number of signatures that it
depends on, directly or indirectly, itself included. Lower stages run first. Signatures that depend on each other, such
as those of a recurrent network, have the same stage. Within a stage, the depth of a node is the length of the longest
path to it. So all nodes of the output layer of a recurrent network, one for each time step, have the same depth, and
the matrix of this layer is read once.

In each plan, the signatures that occur get numbers from 0 on, which are indices into lists such as `stages`. The
functions here emit the code that does all this. Other terms are explained in `layout`.
"""

from __future__ import annotations

from collections.abc import Callable

from .. import layout as at
from ..tir import int64, let
from ..tvm_modules import T
from .flow import Variable, each, pick, when
from .nodes import Node, Plan
from .structs import Signature


def start_numbering(plan: Plan) -> None:
    """Begin to number signatures from 0. The numbers that signatures got in earlier plans become invalid."""
    plan.context.fill(numbering=plan.context.numbering + 1, numbered=0)


def number_signature(plan: Plan, signature: Signature) -> None:
    """Give a signature the next number, unless it has got one since the last call of `start_numbering`."""
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
    """Note in `predecessors` that nodes of signature number `later` depend on nodes of signature number `earlier`."""
    with when(T.max(earlier, later) < at.MOST_NUMBERED):
        word = let(later * at.WORDS + (earlier >> 6))
        bit = int64(1) << (earlier & 63)
        plan.predecessors[word] = plan.predecessors[word] | bit


def note_edges(plan: Plan, node: Node, earliest, visit: Callable = lambda operand: None) -> None:
    """Note that a node's signature depends on the signatures of the nodes that must be computed before this node.

    These are operands and, for a later part of a record, the part before it.

    Args:
        earliest: operands with lower numbers than this are computed already, or are parameters. They are left out.
        visit: called as visit(operand) to emit more code. This code runs for each operand that must be computed before
            the node, even if it is left out.
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
    """Compute the stage of each signature: how many signatures it depends on, directly or indirectly, itself included.

    Before the call, the buffer `predecessors` is a matrix of bits: each row says on which signatures one signature
    depends directly. Its transitive closure is computed in place, so that the rows also have indirect dependencies.
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
    """Compute the stages and depths of nodes, for all of which `note_edges` has been called.

    The nodes that have instructions are listed in `planned`, with the numbers of their signatures in `numbers` and
    their depths in `depths`. A node without instructions gets the largest depth that its operands in the same stage
    have, or 0.

    Args:
        first, last: the nodes are number `first` to `last` - 1.
        has_instructions: called as has_instructions(node), emits the condition that the pass has instructions for it.
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
            # `by_depth` is not in use yet. It holds the stages of the planned nodes until `number_depths` reads them.
            plan.by_depth[count.value - 1] = stage
        node.fill(stage=stage, depth=depth.value)
        plan.stage_begins[stage] = T.max(plan.stage_begins[stage], depth.value + 1)
    context.planned_count = count.value
    number_depths(plan, stages)


def add_planned(plan: Plan, count: Variable, node: Node, number, depth) -> None:
    """Append a node to the list of planned nodes.

    Args:
        count: the length of the list, which is increased by 1.
        number: the number of the node's signature.
        depth: the depth of the node.
    """
    place = count.value
    plan.planned[place] = node.number
    plan.numbers[place] = number
    plan.depths[place] = depth
    count.value = place + 1


def number_depths(plan: Plan, stages) -> None:
    """Turn the depths in `depths`, which are counted within stages, into depths counted over all stages.

    To do so, add to each how many depths all earlier stages have. Before the call, the buffer `by_depth` holds the
    stages of the planned nodes, and `stage_begins` how many depths each stage has. After it, `stage_begins` holds how
    many depths all earlier stages have.

    Args:
        stages: the number of stages.
    """
    deepest = Variable()
    with each(stages) as stage:
        size = let(plan.stage_begins[stage])
        plan.stage_begins[stage] = deepest.value
        deepest.value += size
    plan.context.deepest = deepest.value
    with each(plan.context.planned_count) as place:
        plan.depths[place] = plan.depths[place] + plan.stage_begins[plan.by_depth[place]]
