"""Templates: the records of an op written in Python, stored so that compiled code can append them again.

A call's *key* is the Dims of its operands and its other arguments (numbers, flags, lists). What an op records must
depend on nothing else. The second call with a key leads to a template: in later calls, compiled code appends its
records, and the Python function does not run. If two operands of a call are the same node, its records do not show
which of these operands they use. The template is then used only for calls in which these operands are equal, until a
call with different operands leads to a template for all calls.
"""

from __future__ import annotations

import contextlib
import functools
from array import array
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from typing import Any

from dynet_kernels.recorder.words import INPUT, ITEM_BITS, LITERAL, NODE, OPERAND, RANDOM_KEY

from .. import recorder
from ..signature import KEPT, stored
from .expression import Expression
from .graph import Graph, current
from .nodes import decoded

MOST_KEYS = 1 << 12  # calls are counted for the newest keys of an op, at most this many
MOST_INPUTS = 64  # a template has at most this many input values
MOST_WORDS = 1 << 20  # once an op's templates have this many words in total, no more are made for it
MOST_CALLS = 8  # if this many calls with a key have not led to a template, later ones are not observed


def with_templates(op: Callable) -> Any:
    """Return a function that does the same as `op`, using a template if there is one for the arguments."""
    return recorder.with_templates(op, _Observer)


class _Observer:
    """Observes an op's calls that run in Python, and makes templates. `enter` hands a template to compiled code."""

    def __init__(self, enter: Callable):
        self._enter, self._template_words, self._calls_by_key = enter, 0, dict[bytes, int]()

    def __call__(self, arguments: Sequence) -> Callable[[Any], None] | None:
        """Called before the op. Return the function to call with the op's result; None to not observe this call."""
        key = recorder.call_key(*arguments)
        if key is None or self._template_words > MOST_WORDS:
            return None
        call_count = self._calls_by_key.pop(key, 0)
        self._calls_by_key[key] = call_count + 1
        if len(self._calls_by_key) > MOST_KEYS:
            with contextlib.suppress(RuntimeError, StopIteration, KeyError):  # other threads may change it
                del self._calls_by_key[next(iter(self._calls_by_key))]
        if not 0 < call_count < MOST_CALLS:
            return None
        graph = current()
        return functools.partial(self._note_result, key, graph, graph_state_of(graph), arguments)

    def _note_result(self, key: bytes, graph: Graph, graph_state: tuple, arguments: Sequence, result: Any) -> None:
        template = _call_template(graph, graph_state, arguments, result)
        if template is not None:
            self._enter(key, template, result.type)
            self._template_words += len(template)


def graph_state_of(graph: Graph) -> tuple:
    """Return the state that no op with a template may change, and the three counts of `Records.ends`."""
    records = graph.records
    whole_lookups = len(graph.engine.whole_lookups)
    return (records.version, records.computed, records.differentiated, whole_lookups, graph.watch), records.ends()


def _call_template(graph: Graph, graph_state: tuple, arguments: Sequence, result: Any) -> list[int] | None:
    """Return a template of what an op has recorded since `graph_state`; None if a template could not replace the call.

    A template cannot replace a call that uses input values of earlier records, or nodes that are not arguments, or that
    does more than record nodes.
    """
    operands: dict[int, int] = {}
    equal: list[int] = []
    for word, x in _expressions(arguments):
        if operands.setdefault(x.at, word) != word:
            equal += [operands[x.at], word]
    new_state = graph_state_of(graph)
    if graph_state == new_state:
        if not any(x is result for _, x in _expressions(arguments)):  # false if the op returns an argument: `emax([x])`
            return None
        return [1, 0, 0, 0, len(equal) // 2, OPERAND, operands[result.at], *equal]  # no nodes: an operand is the result
    return _template_to(result, graph, graph_state, new_state, operands, equal)


def _template_to(result: Any, graph: Graph, *arguments: Any, **keywords: Any) -> list[int] | None:
    """Return what `template_between` returns, but None if `result` is not the last node."""
    (_, (begin, _, _)), (_, (end, nodes, _)) = arguments[:2]
    is_last = type(result) is Expression and result.at == nodes - 1 and begin < end
    return template_between(graph, *arguments, **keywords) if is_last else None


def template_between(
    graph: Graph,
    graph_state: tuple,
    new_graph_state: tuple,
    operands: Mapping[int, int],
    equal_operands: Sequence[int] = (),
    is_fixed: Callable[[int], bool] = lambda node: False,
    most_inputs: int = MOST_INPUTS,
) -> list[int] | None:
    """Return a template of what was recorded between two states, or None; see `_call_template`.

    A signal handler may have recorded more since then.

    `operands` maps the nodes and parameters that later calls may replace to their numbers among the arguments (see
    `words.OPERAND`). `equal_operands`: pairs of such numbers, for operands that must be the same node.
    `is_fixed(operand)`: whether an operand that is not in `operands` stays the same in later calls.
    """
    old_state, (begin, first_node, first_input) = graph_state
    new_state, (end, nodes, inputs) = new_graph_state
    if new_state != old_state or inputs - first_input > most_inputs:
        return None
    content: list[int] = []
    try:
        recorded = [*decoded(graph.records, begin, end)]
    except (KeyError, IndexError):  # the records are gone: a signal handler called `renew_cg`
        return None
    for record in recorded:
        KEPT.add(record.at)
        content += LITERAL, record.at
        if stored(record.at, "variadic"):
            content += LITERAL, len(record.operands)
        for operand in record.operands:
            if operand >= first_node:
                content += NODE, operand - first_node
            elif operand in operands:
                content += OPERAND, operands[operand]
            elif is_fixed(operand):
                content += LITERAL, operand
            else:
                return None
        constants = stored(record.at, "constants")
        for position in record.attributes[:constants]:
            if position < first_input:
                return None
            content += INPUT, position - first_input
        for attribute in record.attributes[constants:]:
            content += LITERAL, attribute
    bits = array("i", graph.records.floats(first_input, inputs - first_input).tobytes())
    key_starts = reversed(graph.records.random_key_offsets(first_input))
    key_offsets = [start - first_input for start in key_starts if start < inputs]
    # Random keys, which are among the input values, and the links before them differ in each call. So they are 0 in the
    # template, and compiled code writes them in each call.
    for key in key_offsets:
        for index in range(key - 1, key + len(RANDOM_KEY)):
            bits[index] = 0
    sizes = len(content) // 2, nodes - first_node, len(bits), len(key_offsets), len(equal_operands) // 2
    return [*sizes, *content, *bits, *key_offsets, *equal_operands]


class Observation:
    """Observes what Python code records after this object is made, so that `recorder.replay` can record it again.

    For operands with the same Dims, the code must record the same.
    """

    def __init__(self):
        self._graph = current()
        self._state = graph_state_of(self._graph)

    def template(self, operands: Sequence[int], last: Expression, fixed_nodes: Container[int]) -> bytes | None:
        """Return the template of the new records, whose last node is `last`; None if it could not replace the code.

        Later calls replace `operands`. `fixed_nodes` stay the same, as do parameters not in `operands`. There is no
        template if two operands are equal, or if the code used other old nodes or did more than append records.
        """
        indices = {operand: index for index, operand in enumerate(operands)}
        if len(indices) < len(operands):
            return None

        def is_fixed(operand: int) -> bool:
            return operand < 0 or operand in fixed_nodes

        new_state = graph_state_of(self._graph)
        words = _template_to(last, self._graph, self._state, new_state, indices, is_fixed=is_fixed)
        return None if words is None else array("q", words).tobytes()


def _expressions(arguments: Sequence) -> Iterator[tuple[int, Expression]]:
    """Yield (number as in `words.OPERAND`, expression) for the expressions among arguments and items of lists."""
    for position, x in enumerate(arguments):
        for index, item in enumerate(x if isinstance(x, (list, tuple)) else [x]):
            if isinstance(item, Expression):
                yield (position << ITEM_BITS) + index, item
