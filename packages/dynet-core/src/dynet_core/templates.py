"""What operations have recorded, as templates from which the recorder records it again.

An op that is written in Python records some nodes, which follow from its arguments: from operands' Dims, and from
numbers, flags and lists of these. The recorder does it without Python from the fourth time on. A template is learnt
where two calls with the same key have recorded the same, and nothing else has happened.
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

MOST = 1 << 12  # keys of one op; the calls of those that come later are recorded by Python
MOST_INPUTS = 64  # of a template
MOST_CALLS = 8  # of one key; after so many without a template there will be none


def with_templates(op: Callable) -> Any:
    """Have an op recorded from templates where else Python would record it."""
    return recorder.with_templates(op, _Learner)


class _Learner:
    """Learns the templates of an op from calls that Python records."""

    def __init__(self, enter: Callable):
        self._enter = enter
        # by keys: how many calls there have been, and what the last recorded
        self._seen: dict[bytes, tuple[int, list[int] | None]] = {}

    def begin(self, arguments: Sequence) -> tuple[bytes, Graph, tuple] | None:
        """What to compare with after a call; None if there is nothing to learn from it."""
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
        """Learn what the call has recorded."""
        key, graph, state = begun
        calls, before = self._seen[key]
        template = _template(graph, state, arguments, result)
        if template is not None and before == template:
            self._enter(key, template, result.type)
            calls = MOST_CALLS
        self._seen[key] = calls, template or before


def _state(graph: Graph) -> tuple:
    """What must be the same after an op as before, and how far the graph has got."""
    engine, records = graph.engine, graph.records
    same = records.version, records.computed, len(engine.whole), graph.watch, recorder.passes()
    return same, records.ends()


def _template(graph: Graph, state: tuple, arguments: Sequence, result: Any) -> list[int] | None:
    """What has been recorded since a state: None if it says more than the arguments do."""
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
        constants = TABLE[head + at.CONSTANTS]
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
    for key in keys:  # which the recorder draws, and links to the one before
        bits[key - 1 : key + len(KEY)] = array.array("i", [0] * (1 + len(KEY)))
    head = len(integers), nodes - first_node, len(bits), len(keys)
    return [*head, *[word for pair in places for word in pair], *bits, *keys]


def _expressions(arguments: Sequence) -> list:
    """The expressions among arguments, and in lists among these, in their order."""
    flat = [item for x in arguments for item in (x if isinstance(x, (list, tuple)) else [x])]
    return [x for x in flat if isinstance(x, Expression)]
