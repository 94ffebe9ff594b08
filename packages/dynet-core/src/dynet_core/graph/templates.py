"""Templates: the records of an op written in Python, stored so that compiled code can append them again.

A call's *key* is the shapes of its operands and its other arguments (numbers, flags, lists). If two successive calls
with a key, not counting the first, make the same records and do nothing else, these records become a template. In later
calls, compiled code makes the records, and the Python function does not run. If two operands of a call are the same
node, its records do not show which of these operands they use. The template is then used only for calls in which these
operands are equal, until a call with different operands replaces it with a template for all calls.
"""

from __future__ import annotations

import functools
from array import array
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from typing import Any

from dynet_kernels.recorder.words import INPUT, ITEM_BITS, KEY, LITERAL, NODE, OPERAND, TEMPLATE

from .. import recorder
from .expression import Expression
from .graph import Graph, current
from .nodes import decoded

MOST = 1 << 12  # at most this many keys of each op are observed at a time
MOST_INPUTS = 64  # a template has at most this many input values
MOST_WORDS = 1 << 20  # no more templates are made for an op once they have this many 64-bit words in total
MOST_CALLS = 8  # if this many calls with a key have not led to a template, the key is no longer observed


def with_templates(op: Callable) -> Any:
    """Return a function that uses a template for the arguments if there is one; else it calls and observes `op`."""
    return recorder.with_templates(op, _Learner)


class _Learner:
    """Observes the calls of an op that run in Python, and makes templates, which `enter` gives to compiled code."""

    def __init__(self, enter: Callable):
        self._enter, self._words, self._is_full = enter, 0, False
        # key -> (the number of calls, the template of the last call or None)
        self._seen: dict[bytes, tuple[int, list[int] | None]] = {}

    def __call__(self, arguments: Sequence) -> Callable[[Any], None] | None:
        """Prepare to observe a call. Return the function to call with its result, or None to not observe it."""
        key = recorder.key(*arguments)
        if key is None:
            return None
        if key not in self._seen and len(self._seen) >= MOST:
            self._forget_single_calls()
            if self._is_full:
                return None
        call_count, previous = self._seen.get(key, (0, None))
        if call_count < MOST_CALLS:
            self._seen[key] = call_count + 1, previous
        if not 0 < call_count < MOST_CALLS or self._words > MOST_WORDS:
            return None
        graph = current()
        return functools.partial(self._note_result, key, graph, _state(graph), arguments)

    def _forget_single_calls(self) -> None:
        """Make room for new keys: forget keys seen only once, for example because an argument is always new.

        The older half of these keys is kept, because a program may cycle through many keys. If few can be forgotten,
        stop observing new keys, because frequent searches would be slow.
        """
        if not self._is_full:
            single_keys = [key for key, (calls, _) in self._seen.items() if calls == 1]
            forgotten = single_keys[len(single_keys) // 2 :]
            for key in forgotten:
                self._seen.pop(key, None)
            self._is_full = len(forgotten) <= MOST // 8

    def _note_result(self, key: bytes, graph: Graph, state: tuple, arguments: Sequence, result: Any) -> None:
        """Give compiled code a template if the op has just recorded the same as in its previous call with this key."""
        call_count, previous = self._seen[key]
        template = _template(graph, state, arguments, result)
        if template is not None and previous == template:
            self._enter(key, template, result.type)
            self._words += len(template)
            if not template[_EQUAL]:
                call_count = MOST_CALLS
        self._seen[key] = call_count, None if call_count == MOST_CALLS else template or previous


_EQUAL = TEMPLATE["equal"]


def _state(graph: Graph) -> tuple:
    """Return the state that an op with a template must not change, and the three counts of `Records.ends`."""
    engine, records = graph.engine, graph.records
    unchanged = records.version, records.computed, len(engine.whole_lookups), graph.watch, recorder.passes()
    return unchanged, records.ends()


def _template(graph: Graph, state: tuple, arguments: Sequence, result: Any) -> list[int] | None:
    """Return a template of what an op has recorded since `state`, or None if a template could not replace the op.

    A template cannot replace an op that uses input values of earlier records, or nodes that are not arguments, or that
    does more than record nodes.
    """
    operands: dict[int, int] = {}
    equal: list[int] = []
    for word, x in _expressions(arguments):
        if operands.setdefault(x.at, word) != word:
            equal += [operands[x.at], word]
    if state == _state(graph):
        if not any(x is result for _, x in _expressions(arguments)):  # false if the op returns an argument: `emax([x])`
            return None
        return [1, 0, 0, 0, len(equal) // 2, OPERAND, operands[result.at], *equal]
    return _copy(graph, state, result, operands, equal)


def _copy(
    graph: Graph,
    state: tuple,
    result: Any,
    operands: Mapping[int, int],
    equal: Sequence[int] = (),
    fixed: Callable[[int], bool] = lambda node: False,
) -> list[int] | None:
    """Return a template of what has been recorded, or None; see `_template`.

    `operands` maps the nodes and parameters that later calls may replace to their numbers among the arguments (see
    `words.OPERAND`). `equal` is pairs of such numbers, of operands that must be the same node. `fixed` says whether any
    other node or parameter is the same in later calls.
    """
    (old_state, (begin, first_node, first_input)), (new_state, (end, nodes, inputs)) = state, _state(graph)
    if new_state != old_state or end == begin or inputs - first_input > MOST_INPUTS:
        return None
    if type(result) is not Expression or result.at != nodes - 1:
        return None
    content: list[int] = []
    try:
        recorded = [*decoded(graph.records, begin, end)]
    except (KeyError, IndexError):  # a signal handler called `renew_cg`, so these are no longer records
        return None
    for node in recorded:
        signature = node.signature
        content += LITERAL, signature.at
        if signature.variadic:
            content += LITERAL, len(node.operands)
        for operand in node.operands:
            if operand >= first_node:
                content += NODE, operand - first_node
            elif operand in operands:
                content += OPERAND, operands[operand]
            elif fixed(operand):
                content += LITERAL, operand
            else:
                return None
        for position in node.attributes[: signature.constants]:
            if position < first_input:
                return None
            content += INPUT, position - first_input
        for attribute in node.attributes[signature.constants :]:
            content += LITERAL, attribute
    bits = array("i", graph.records.floats(first_input, inputs - first_input).tobytes())
    keys = [start - first_input for start in reversed(graph.records.keys(first_input))]
    # Random keys, which are input values, differ in each call, so they are zero here. Compiled code writes a new key
    # there, and before it the link to the graph's previous key.
    for key in keys:
        for index in range(key - 1, key + len(KEY)):
            bits[index] = 0
    sizes = len(content) // 2, nodes - first_node, len(bits), len(keys), len(equal) // 2
    return [*sizes, *content, *bits, *keys, *equal]


class Observed:
    """Observes what Python code records after this object is made, so that `recorder.replay` can record it again.

    The code must record the same for any operands with the same Dims.
    """

    def __init__(self):
        self._graph = current()
        self._state = _state(self._graph)

    def template(self, operands: Sequence[int], last: Expression, fixed: Container[int]) -> bytes | None:
        """Return the template; None if the code did more than record nodes, or used other nodes than these arguments.

        Later calls replace `operands`, which must be distinct. The nodes in `fixed` stay the same. `last` is the last
        node recorded.
        """
        indices = {operand: index for index, operand in enumerate(operands)}
        if len(indices) < len(operands):
            return None
        words = _copy(self._graph, self._state, last, indices, fixed=lambda node: node < 0 or node in fixed)
        return None if words is None else array("q", words).tobytes()


def _expressions(arguments: Sequence) -> Iterator[tuple[int, Expression]]:
    """Yield the expressions among the arguments and their items, each after its number k (see `words.OPERAND`)."""
    for position, x in enumerate(arguments):
        for index, item in enumerate(x if isinstance(x, (list, tuple)) else [x]):
            if isinstance(item, Expression):
                yield (position << ITEM_BITS) + index, item
