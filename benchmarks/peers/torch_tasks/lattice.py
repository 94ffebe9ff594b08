"""The lattice LSTM in torch, level by level: all nodes of a minibatch whose longest paths have the same length.

All successors of a node begin at the same position of the sentence, so only one level takes the node's state. A level's
states are therefore ordered by the level that takes them and split once, as in the TreeLSTM. The product of a node's
output with the gates' matrices is computed once, before the number of its successors is known; the gates sum these
products over predecessors.
"""

from __future__ import annotations

from itertools import groupby

import numpy as np
import torch
from torch.nn import functional as F

from synthetic import VOCABULARY
from tasks.lattice import CLASSES, SIZE, examples

from .training import Lookup, training_steps, weight

LAST = 1 << 30
"""The `taken_by` of nodes without successors."""


class Node:
    __slots__ = ("word", "label", "before", "level", "taken_by", "place")  # place: index among what that level takes


def levels_of(batch) -> list[list[Node]]:
    """Return the nodes by the length of their longest path, ordered by the level that takes them."""
    levels: list[list[Node]] = []
    for lattice in batch:
        nodes: list[Node] = []
        for word, before, label in lattice:
            node = Node()
            node.word, node.label, node.taken_by = word, label, LAST
            node.before = [nodes[other] for other in before]
            node.level = 1 + max((other.level for other in node.before), default=-1)
            for other in node.before:
                other.taken_by = node.level
            nodes.append(node)
            if node.level == len(levels):
                levels.append([])
            levels[node.level].append(node)
    taken = dict.fromkeys([*range(len(levels)), LAST], 0)
    for level in levels:
        level.sort(key=lambda node: node.taken_by)
        for node in level:
            node.place = taken[node.taken_by]
            taken[node.taken_by] += 1
    return levels


def make(initial, minibatch, seed):
    words = Lookup(initial.lookup(VOCABULARY, SIZE))
    gates = [(initial.parameter(SIZE, SIZE), initial.parameter(SIZE, SIZE), initial.parameter(SIZE)) for _ in "iouf"]
    W, U, b = (weight(np.concatenate(parts)) for parts in zip(*gates))
    classes = weight(initial.parameter(CLASSES, SIZE))

    def run(level, of_words, taken):
        """Return h and c of a level, from its words' part of all gates and the states it takes from lower levels."""
        iou, forget = of_words.split([3 * SIZE, SIZE], 1)
        kept = None
        if taken:
            edges = [(other.place, place) for place, node in enumerate(level) for other in node.before]
            sources, targets = torch.tensor(edges).t()
            of_states, of_forget, c = torch.cat(taken).index_select(0, sources).split([3 * SIZE, SIZE, SIZE], 1)
            iou = iou.index_add(0, targets, of_states)
            kept = torch.sigmoid(forget.index_select(0, targets) + of_forget) * c
        io, u = iou.split([2 * SIZE, SIZE], 1)
        i, o = torch.sigmoid(io).chunk(2, 1)
        c = i * torch.tanh(u)
        if kept is not None:
            c = c.index_add(0, targets, kept)
        return o * torch.tanh(c), c

    def loss_of(batch):
        levels = levels_of(batch)
        numbers = np.array([node.word for level in levels for node in level])
        of_words = F.linear(words(words.use(numbers)), W, b).split([len(level) for level in levels])
        taken = {number: [] for number in [*range(len(levels)), LAST]}
        outputs = []
        for number, level in enumerate(levels):
            h, c = run(level, of_words[number], taken[number])
            outputs.append(h)
            groups = {taker: len(list(nodes)) for taker, nodes in groupby(level, lambda node: node.taken_by)}
            state = torch.cat([F.linear(h, U), c], 1)
            for taker, part in zip(groups, state.split(list(groups.values()))):
                taken[taker].append(part)
        labels = torch.tensor([node.label for level in levels for node in level])
        return F.cross_entropy(F.linear(torch.cat(outputs), classes), labels, reduction="sum")

    return training_steps([W, U, b, classes], [words], examples(minibatch, seed), loss_of)
