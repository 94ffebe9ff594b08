"""Finds groups. Nodes are sorted by depth and then by signature, so the nodes of a group are adjacent."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from ..plain import Words, plain
from .nodes import Node, Plan


@plain
def put_in_order(plan: Plan) -> None:
    """Sort the nodes in `planned` by signature into `by_signature`, and by depth, then signature, into `by_depth`.

    Afterwards `planned` is sorted like `by_depth`.
    """
    context = plan.context
    count = context.planned_count
    # Until the last loop, entry k of `by_depth` is the depth of node `by_signature[k]`.
    nodes_and_depths = [(plan.planned, plan.by_signature), (plan.depths, plan.by_depth)]
    move_in_order(count, plan.numbers, context.numbered, plan.counters, nodes_and_depths)
    move_in_order(count, plan.by_depth, context.deepest, plan.counters, [(plan.by_signature, plan.planned)])
    for k in range(count):
        plan.by_depth[k] = plan.planned[k]


@plain
def move_in_order(count, keys: Words, key_count, counters: Words, lists: Sequence[tuple[Words, Words]]) -> None:
    """Sort lists by keys, and write the sorted lists to other memory. This is a stable counting sort.

    `keys[k]`, at least 0 and less than `key_count`, belongs to entry k of each list. `counters` has room for
    `key_count` + 1 integers. `lists` has pairs of a list and the memory to which it is copied.
    """
    for k in range(key_count + 1):
        counters[k] = 0
    for k in range(count):
        counters[keys[k] + 1] += 1
    for k in range(key_count):
        counters[k + 1] += counters[k]
    for k in range(count):
        key = keys[k]
        place = counters[key]
        counters[key] = place + 1
        for source, target in lists:
            target[place] = source[k]


class Group:
    """`count` nodes of one signature, adjacent in the list `order` from place `begin` on. `group[k]` is the k-th."""

    def __init__(self, plan: Plan, order: Words, begin, count):
        self.plan, self.order, self.begin, self.count = plan, order, begin, count

    def __getitem__(self, place) -> Node:
        return self.plan.node(self.order[self.begin + place])

    @property
    def signature(self):
        return self[0].signature

    @plain
    def each_node(self) -> Iterator[tuple]:
        for place in range(self.count):
            yield place, self[place]


@plain
def each_group(plan: Plan, order: Words, count, together: Callable) -> Iterator[Group]:
    """Loop over the groups in a sorted list; together(node, first node of a group) tells whether a node is in it."""
    begin = 0
    while begin < count:
        first = plan.node(order[begin])
        end = begin + 1
        while end < count and together(plan.node(order[end]), first):
            end += 1
        yield Group(plan, order, begin, end - begin)
        begin = end


@plain
def each_group_backwards(plan: Plan, order: Words, count, together: Callable) -> Iterator[Group]:
    """Loop over the groups of nodes in a sorted list, from the last to the first. Arguments are as for `each_group`."""
    end = count
    while end > 0:
        last = plan.node(order[end - 1])
        begin = end - 1
        while begin > 0 and together(plan.node(order[begin - 1]), last):
            begin -= 1
        yield Group(plan, order, begin, end - begin)
        end = begin
