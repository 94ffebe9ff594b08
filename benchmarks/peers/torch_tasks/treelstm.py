"""The TreeLSTM in torch, level by level: all nodes of a minibatch whose children are known are computed together.

A level's states are ordered by the higher level that takes them, and split once. The states that a level takes are
joined once. So every state is copied twice, whatever the number of levels.
"""

from __future__ import annotations

from itertools import groupby

import numpy as np
import torch
from torch.nn import functional as F

from synthetic import VOCABULARY
from tasks.treelstm import CLASSES, examples

from .training import Lookup, training_steps, weight

ROOT = 1 << 30  # a root's `taken_by`


class Node:
    __slots__ = ("label", "parts", "taken_by", "place")  # taken_by: a level; place: index among what it takes


def levels_of(batch) -> list[list[Node]]:
    """Return the nodes by their height above their lowest leaf, ordered by the higher level that takes them."""
    levels: list[list[Node]] = []

    def read(tree) -> tuple[Node, int]:
        node, height = Node(), 0
        node.label, *parts = tree
        node.taken_by = ROOT
        if len(parts) == 2:
            (left, left_height), (right, right_height) = read(parts[0]), read(parts[1])
            height = 1 + max(left_height, right_height)
            left.taken_by = right.taken_by = height
            parts = [left, right]
        node.parts = parts
        while len(levels) <= height:
            levels.append([])
        levels[height].append(node)
        return node, height

    for tree in batch:
        read(tree)
    taken = dict.fromkeys([*range(len(levels)), ROOT], 0)
    for level in levels:
        level.sort(key=lambda node: node.taken_by)
        for node in level:
            node.place = taken[node.taken_by]
            taken[node.taken_by] += 1
    return levels


def states_of(levels, read_leaves, join) -> list[tuple[torch.Tensor, ...]]:
    """Compute the states of all nodes, level by level.

    A state is one or several matrices, with a row for each node. `read_leaves` gets the lowest level. `join` gets
    another level and, for each matrix of the states, the parts that together have a row for each child of the level's
    nodes.
    """
    taken = {number: [] for number in [*range(len(levels)), ROOT]}
    states = []
    for number, level in enumerate(levels):
        states.append(join(level, *zip(*taken[number])) if number else read_leaves(level))
        groups = {taker: len(list(nodes)) for taker, nodes in groupby(level, lambda node: node.taken_by)}
        for taker, *parts in zip(groups, *(matrix.split(list(groups.values())) for matrix in states[-1])):
            taken[taker].append(parts)
    return states


def places_of(level) -> torch.Tensor:
    """Return the positions of the level's children among all states that the level takes."""
    return torch.tensor([part.place for node in level for part in node.parts])


def words_of(level) -> np.ndarray:
    return np.array([node.parts[0] for node in level])


def labels_of(levels) -> torch.Tensor:
    return torch.tensor([node.label for level in levels for node in level])


def make(initial, minibatch, seed, size):
    words = Lookup(initial.lookup(VOCABULARY, size))
    gates = [(initial.parameter(size, size), initial.parameter(size)) for _ in "iou"]
    leaf_W, leaf_b = (weight(np.concatenate(parts)) for parts in zip(*gates))
    gates = [(initial.parameter(size, size), initial.parameter(size, size), initial.parameter(size)) for _ in "iolru"]
    left_W, right_W, join_b = (np.concatenate(parts) for parts in zip(*gates))
    join_W, join_b = weight(np.concatenate([left_W, right_W], 1)), weight(join_b)
    classes = weight(initial.parameter(CLASSES, size))

    def read_leaves(level):
        io, u = F.linear(words(words.use(words_of(level))), leaf_W, leaf_b).split([2 * size, size], 1)
        i, o = torch.sigmoid(io).chunk(2, 1)
        c = i * torch.tanh(u)
        return o * torch.tanh(c), c

    def join(level, hs, cs):
        places = places_of(level)
        h = torch.cat(hs).index_select(0, places).view(-1, 2 * size)
        c = torch.cat(cs).index_select(0, places).view(-1, 2, size)
        iolr, u = F.linear(h, join_W, join_b).split([4 * size, size], 1)
        i, o, kept = torch.sigmoid(iolr).split([size, size, 2 * size], 1)
        c = torch.addcmul((kept.view(-1, 2, size) * c).sum(1), i, torch.tanh(u))
        return o * torch.tanh(c), c

    def loss_of(batch):
        levels = levels_of(batch)
        h = torch.cat([h for h, _ in states_of(levels, read_leaves, join)])
        return F.cross_entropy(F.linear(h, classes), labels_of(levels), reduction="sum")

    parameters = [leaf_W, leaf_b, join_W, join_b, classes]
    return training_steps(parameters, [words], examples(minibatch, seed), loss_of)
