"""Finds groups: nodes of one signature and depth, which one instruction computes together.

Nodes are sorted by depth and then by signature, so the nodes of a group are adjacent in this order. The functions here
emit the code that does this. `layout` explains terms such as depth and signature.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .flow import Variable, each, forever, stop_unless
from .nodes import Node, Plan
from .structs import Words


def put_in_order(plan: Plan) -> None:
    """Sort the numbers of the nodes in `planned` in two ways, and write them to two buffers.

    In `by_signature` they are sorted by signature. In `by_depth` they are sorted by depth, and those of equal depth by
    signature.
    """
    context = plan.context
    count = context.planned_count
    count_sort(plan, count, lambda k: k, plan.by_signature, plan.numbers, context.numbered)
    count_sort(plan, count, lambda k: plan.by_signature[k], plan.by_depth, plan.depths, context.deepest)
    for places in (plan.by_signature, plan.by_depth):
        with each(count) as k:
            places[k] = plan.planned[places[k]]


def count_sort(plan: Plan, count, source: Callable, target: Words, key_of: Words, keys) -> None:
    """Sort numbers by their keys, with a stable counting sort, and write them to `target`.

    Args:
        count: how many numbers there are.
        source: a function from k to the k-th of the numbers.
        key_of: the keys: `key_of[number]` is the key of a number.
        keys: an upper limit: all keys are at least 0 and less than this.
    """
    counters = plan.counters
    with each(keys + 1) as key:
        counters[key] = 0
    with each(count) as k:
        key = key_of[source(k)]
        counters[key + 1] += 1
    with each(keys) as key:
        counters[key + 1] += counters[key]
    with each(count) as k:
        number = source(k)
        key = key_of[number]
        target[counters[key]] = number
        counters[key] += 1


class Group:
    """A group of nodes, which all have the same signature. `group[k]` is its node number k, counted from 0.

    Args:
        order: a sorted list of the numbers of nodes, in which the nodes of a group are adjacent.
        begin, count: the group consists of `count` nodes of this list, from place `begin` on.
    """

    def __init__(self, plan: Plan, order: Words, begin, count):
        self.plan, self.order, self.begin, self.count = plan, order, begin, count

    def __getitem__(self, place) -> Node:
        return self.plan.node(self.order[self.begin + place])

    @property
    def signature(self):
        return self[0].signature

    @contextmanager
    def each_node(self) -> Iterator[tuple]:
        """Loop over pairs of a place in the group, 0 to `count` - 1, and the node there."""
        with each(self.count) as place:
            yield place, self[place]


@contextmanager
def each_group(plan: Plan, order: Words, count, together: Callable) -> Iterator[Group]:
    """Loop over the groups of nodes in a sorted list.

    Args:
        order: the list, which has the numbers of nodes.
        count: how many nodes it has.
        together: called as together(node, first node of a group), emits the condition that the node is in the group.
    """
    begin = Variable(0)
    with forever():
        stop_unless(begin.value < count)
        first = plan.node(order[begin.value])
        end = Variable(begin.value + 1)
        with forever():
            stop_unless(end.value < count)
            stop_unless(together(plan.node(order[end.value]), first))
            end.value += 1
        yield Group(plan, order, begin.value, end.value - begin.value)
        begin.value = end.value


@contextmanager
def each_group_backwards(plan: Plan, order: Words, count, together: Callable) -> Iterator[Group]:
    """Loop over the groups of nodes in a sorted list, from the last to the first. Arguments are as for `each_group`."""
    end = Variable(count)
    with forever():
        stop_unless(end.value > 0)
        last = plan.node(order[end.value - 1])
        begin = Variable(end.value - 1)
        with forever():
            stop_unless(begin.value > 0)
            stop_unless(together(plan.node(order[begin.value - 1]), last))
            begin.value -= 1
        yield Group(plan, order, begin.value, end.value - begin.value)
        end.value = begin.value
