"""When nodes run: a number for each, its depth, by which those that are ready together stand together.

Nodes of one signature and depth become one instruction, so the fewer depths the nodes of a signature have, the better.
Therefore signatures are put into *stages* first: a signature that follows, over any number of edges, on fewer others
runs earlier. Signatures that follow on each other, as those of a recurrent network, follow on the same ones and share a
stage, in which their nodes are ordered by how many others of the stage come before. So the output layer of a
recurrent network is one instruction for all steps, and its matrix is read once.
"""

from __future__ import annotations

from tvm.script import tirx as T

from . import layout as at
from .layout import SLOT
from .planner import awaited, is_later_part, local_of, node_at, operand_count


@T.inline
def goes_before(plan, earlier, later):
    """Note that nodes of one signature, by number, are operands of nodes of another."""
    if T.max(earlier, later) < at.MOST_NUMBERED:
        word: T.let = later * at.WORDS + T.shift_right(earlier, T.int64(6))
        bit: T.let = T.shift_left(T.int64(1), T.bitwise_and(earlier, T.int64(63)))
        plan.before[word] = T.bitwise_or(plan.before[word], bit)


@T.inline
def number_signature(plan, signature):
    """Give a signature its number in the present numbering, unless it has one."""
    if plan.table[signature + at.STAMP] != plan.slots[SLOT["numbering"]]:
        number: T.let = plan.slots[SLOT["numbered"]]
        plan.table[signature + at.STAMP] = plan.slots[SLOT["numbering"]]
        plan.table[signature + at.LOCAL] = number
        plan.slots[SLOT["numbered"]] = number + 1
        if number < at.MOST_NUMBERED:
            for word in T.serial(at.WORDS):
                plan.before[number * at.WORDS + word] = 0
            goes_before(plan, number, number)


@T.inline
def find_stages(plan):
    """Each signature's stage: how many signatures go before it, over any number of edges, itself among them."""
    count: T.let = plan.slots[SLOT["numbered"]]
    words: T.let = T.floordiv(count + 63, 64)
    if count <= at.MOST_NUMBERED:
        for via in T.serial(count):
            word: T.let = T.shift_right(via, T.int64(6))
            bit: T.let = T.bitwise_and(via, T.int64(63))
            for number in T.serial(count):
                if T.bitwise_and(T.shift_right(plan.before[number * at.WORDS + word], bit), T.int64(1)) != 0:
                    for k in T.serial(words):
                        plan.before[number * at.WORDS + k] = T.bitwise_or(
                            plan.before[number * at.WORDS + k], plan.before[via * at.WORDS + k]
                        )
        for number in T.serial(count):
            stage = T.int64(0)
            for k in T.serial(words):
                stage = stage + T.popcount(plan.before[number * at.WORDS + k])
            plan.stage[number] = stage


@T.inline
def start_numbering(plan):
    """Begin to give signatures numbers."""
    plan.slots[SLOT["numbering"]] += 1
    plan.slots[SLOT["numbered"]] = 0


@T.inline
def note_edges(plan, node, signature, operands, earliest):
    """Note which signatures go before a node's: those of operands from `earliest` on."""
    number_signature(plan, signature)
    number: T.let = plan.table[signature + at.LOCAL]
    if is_later_part(plan, node):
        goes_before(plan, local_of(plan, node - 1), number)
    for turn in T.serial(1 + plan.table[signature + at.WAITS_EACH]):
        awaited_at, waits = T.meta_var(
            awaited(plan, operands, signature, operand_count(plan, operands, signature), turn)
        )
        for k in T.serial(waits):
            operand: T.let = plan.nodes[awaited_at + k]
            if operand >= earliest:
                goes_before(plan, local_of(plan, operand), number)


@T.inline
def find_depths(plan, first, last, counts):
    """The stage of the nodes from `first` to `last`, whose edges are noted, and their depth in it.

    counts(plan, node, signature) says whether a node has instructions, and so a depth of its own; what has none
    goes with its operands. Those that count become `starts`, with their numbers and depths.
    """
    find_stages(plan)
    staged: T.let = plan.slots[SLOT["numbered"]] <= at.MOST_NUMBERED
    stages: T.let = T.if_then_else(staged, plan.slots[SLOT["numbered"]] + 1, T.int64(1))
    for stage in T.serial(stages):
        plan.begins[stage] = 0
    count = T.int64(0)
    for place in T.serial(last - first):
        node: T.let = first + place
        signature: T.let = node_at(plan, node, at.NODE_PART)
        operands: T.let = node_at(plan, node, at.NODE_FIRST)
        number: T.let = plan.table[signature + at.LOCAL]
        stage: T.let = T.if_then_else(staged, plan.stage[number], T.int64(0))
        depth = T.int64(0)
        if is_later_part(plan, node):
            if node_at(plan, node - 1, at.NODE_STAGE) == stage:
                depth = node_at(plan, node - 1, at.NODE_DEPTH)
        for turn in T.serial(1 + plan.table[signature + at.WAITS_EACH]):
            awaited_at, waits = T.meta_var(
                awaited(plan, operands, signature, operand_count(plan, operands, signature), turn)
            )
            for k in T.serial(waits):
                operand: T.let = plan.nodes[awaited_at + k]
                if operand >= first:
                    if node_at(plan, operand, at.NODE_STAGE) == stage:
                        depth = T.max(depth, node_at(plan, operand, at.NODE_DEPTH))
        if counts(plan, node, signature):
            depth = depth + 1
            plan.starts[count] = node
            plan.numbers[count] = number
            plan.depths[count] = depth
            plan.order[count] = stage
            count += 1
        plan.node[node * at.NODE_ROW + at.NODE_STAGE] = stage
        plan.node[node * at.NODE_ROW + at.NODE_DEPTH] = depth
        plan.begins[stage] = T.max(plan.begins[stage], depth + 1)
    plan.slots[SLOT["starts_count"]] = count
    # one numbering for all stages
    deepest = T.int64(0)
    for stage in T.serial(stages):
        size: T.let = plan.begins[stage]
        plan.begins[stage] = deepest
        deepest = deepest + size
    plan.slots[SLOT["deepest"]] = deepest
    for place in T.serial(count):
        plan.depths[place] += plan.begins[plan.order[place]]
