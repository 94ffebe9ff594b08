"""Templates: copies of what an op written in Python has recorded, from which the recorder records it again.

The nodes that such an op records depend on its operands' Dims and on its other arguments (numbers, flags, lists).
These are the key of the call. If two calls with the same key record the same nodes and do nothing else, the records
become a template. Compiled code records later calls with this key, from the fourth call on.
"""

from __future__ import annotations

import array
from collections.abc import Callable, Sequence
from typing import Any

from dynet_kernels import layout as at
from dynet_kernels.recorder.words import INPUT, KEY, LITERAL, NODE, OPERAND

from . import recorder
from .encode import TABLE
from .expression import Expression
from .graph import Graph, current
from .nodes import bounds_of

MOST = 1 << 12  # keys of one op; Python records calls with further keys
MOST_INPUTS = 64  # input values of a template
MOST_CALLS = 8  # calls of one key without a template, after which no template is looked for


def with_templates(op: Callable) -> Any:
    """Return a function that records an op from templates, and calls `op` if there is none."""
    return recorder.with_templates(op, _Learner)


class _Learner:
    """Learns the templates of an op from calls that Python records."""

    def __init__(self, enter: Callable):
        self._enter = enter
        # by key: the number of calls, and the records of the last one
        self._seen: dict[bytes, tuple[int, list[int] | None]] = {}

    def begin(self, arguments: Sequence) -> tuple[bytes, Graph, tuple] | None:
        """Return the state before a call, for `end`; None if nothing is to be learned from this call."""
        key, seen = recorder.key(*arguments), self._seen
        if key is None or (key not in seen and len(seen) == MOST):
            return None
        calls, before = seen.get(key, (0, None))
        if calls < MOST_CALLS:
            seen[key] = calls + 1, before
        if not 0 < calls < MOST_CALLS:
            return None
        graph = current()
        return key, graph, _state(graph)

    def end(self, begun: tuple[bytes, Graph, tuple], arguments: Sequence, result: Any) -> None:
        """Compare what a call has recorded with the call before; enter a template if both are the same."""
        key, graph, state = begun
        calls, before = self._seen[key]
        template = _template(graph, state, arguments, result)
        if template is not None and before == template:
            self._enter(key, template, result.type)
            calls = MOST_CALLS
        self._seen[key] = calls, template or before


def _state(graph: Graph) -> tuple:
    """Return the facts that an op with a template must not change, and the ends of the graph."""
    engine, records = graph.engine, graph.records
    same = records.version, records.computed, len(engine.whole), graph.watch, recorder.passes()
    return same, records.ends()


def _template(graph: Graph, state: tuple, arguments: Sequence, result: Any) -> list[int] | None:
    """Return the records since a state as a template.

    None if they depend on more than the arguments: other nodes, inputs from before, or changes of the graph's state.
    """
    (same, (begin, first_node, first_input)), (now, (end, nodes, inputs)) = state, _state(graph)
    if now != same or end == begin or type(result) is not Expression or result.at != nodes - 1:
        return None
    operands = [x.at for x in _expressions(arguments)]
    if len(set(operands)) < len(operands):
        return None
    places: list[tuple[int, int]] = []
    integers, place = graph.records.integers(begin, end), 0
    while place < len(integers):
        head = integers[place]
        first, after, following = bounds_of(integers, place)
        constants = TABLE[head + at.SIGNATURE.constants]
        places += [(LITERAL, number) for number in integers[place:first]]
        for number in integers[first:after]:
            if number >= first_node:
                places.append((NODE, number - first_node))
            elif number in operands:
                places.append((OPERAND, operands.index(number)))
            else:
                return None
        for number in integers[after : after + constants]:
            if number < first_input:
                return None
            places.append((INPUT, number - first_input))
        places += [(LITERAL, number) for number in integers[after + constants : following]]
        place = following
    if inputs - first_input > MOST_INPUTS:
        return None
    bits = array.array("i", graph.records.floats(first_input, inputs - first_input).tobytes())
    keys = [start - first_input for start in reversed(graph.records.keys(first_input))]
    for key in keys:  # zeros: the recorder draws a new key, and writes a link to the previous one before it
        bits[key - 1 : key + len(KEY)] = array.array("i", [0] * (1 + len(KEY)))
    head = len(integers), nodes - first_node, len(bits), len(keys)
    return [*head, *[word for pair in places for word in pair], *bits, *keys]


def _expressions(arguments: Sequence) -> list:
    """Return the expressions among the arguments and in lists among them, in order."""
    flat = [item for x in arguments for item in (x if isinstance(x, (list, tuple)) else [x])]
    return [x for x in flat if isinstance(x, Expression)]
