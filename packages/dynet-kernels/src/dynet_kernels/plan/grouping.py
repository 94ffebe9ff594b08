"""Nodes that run together: those of one signature and depth stand next to each other in the order of depth."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .flow import Variable, each, forever, stop_unless
from .nodes import Node, Plan
from .structs import Words


def put_in_order(plan: Plan) -> None:
    """Sort the nodes being planned by signature into `by_signature`, and then by depth into `by_depth`."""
    context = plan.context
    count = context.planned_count
    count_sort(plan, count, lambda k: k, plan.by_signature, plan.numbers, context.numbered)
    count_sort(plan, count, lambda k: plan.by_signature[k], plan.by_depth, plan.depths, context.deepest)
    for places in (plan.by_signature, plan.by_depth):
        with each(count) as k:
            places[k] = plan.planned[places[k]]


def count_sort(plan: Plan, count, source: Callable, target: Words, key_of: Words, keys) -> None:
    """Stable counting sort of the `count` numbers source(k) by their key, which is less than `keys`."""
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
    """Nodes that stand next to each other in an order: `group[k]` is one, and `each_node` a loop over them."""

    def __init__(self, plan: Plan, order: Words, begin, count):
        self.plan, self.order, self.begin, self.count = plan, order, begin, count

    def __getitem__(self, place) -> Node:
        return self.plan.node(self.order[self.begin + place])

    @property
    def signature(self):
        return self[0].signature

    @contextmanager
    def each_node(self) -> Iterator[tuple]:
        """A loop over the nodes, with the place of each in the group."""
        with each(self.count) as place:
            yield place, self[place]


@contextmanager
def each_group(plan: Plan, order: Words, count, together: Callable) -> Iterator[Group]:
    """A loop over groups of `count` ordered nodes. together(node, first node) says whether a node is in its group."""
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
    """The same from the last group to the first."""
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
