"""`function`: a decorator for functions that record nodes. Compiled code repeats what a call has recorded.

The *kind* of a call is what its records may depend on: the Dims of expressions, the values of numbers that the function
has asked for, all other arguments, and what the function read besides its arguments (see `reads.py`).
"""

from __future__ import annotations

import functools
import inspect
import operator
import os
import types
import warnings
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar, overload

import numpy as np

from dynet_kernels.formula import LARGEST_FLOAT
from dynet_kernels.recorder.words import (
    CALL,
    CHECKED,
    IN_INPUTS,
    ITEM_BITS,
    LITERAL,
    NODE,
    OPERAND,
    PATCH,
    RESULT,
    TEMPLATE,
)

from .. import recorder
from ..checks import whole
from ..compute.parameter_rows import PARAMETER_ROWS
from ..errors import ArgumentTypeError, DynetWarning, FunctionError
from .expression import Expression
from .function_cells import with_cells
from .graph import Graph, current
from .numbers import Number, Recording, pinned, value_of
from .reads import Guard, Reads, is_atom
from .templates import graph_state_of, template_between

F = TypeVar("F", bound=Callable[..., Any])
MOST_INPUTS = 1 << 16  # a function may record at most this many input values
CHECKS_ALL = os.environ.get("DYNET_CHECK_FUNCTIONS", "") not in ("", "0")
ITEM_TYPES = (Expression, Number, int, float, np.int64, np.int32, np.float64, np.float32)


@overload
def function(f: F, *, kinds: int = 64) -> F: ...
@overload
def function(f: None = None, *, kinds: int = 64) -> Callable[[F], F]: ...
def function(f: Any = None, *, kinds: int = 64) -> Any:
    """Decorate a function that records nodes, such as a cell, a layer or a whole loss, to make its calls quicker.

    The first call of each kind runs the function. After that, compiled code records the same nodes again, and the
    function itself does not run. Results and gradients are the same. The kind of a call is what the nodes may depend
    on: the shapes of expressions, all other arguments, and what the function reads besides, such as attributes of
    `self`, variables around it and dropout rates of builders. A number among the arguments counts only if the function
    asks for its value, as in `if n > 2` or `range(n)`, and not if only operations use it, as in `x * n` or `x[n]`.

    Args:
        f: the function. Arguments and results are expressions, numbers, strings, None, and tuples, lists and dicts of
            these. It may also get objects, as a method gets `self`. It must record the same nodes in every call of a
            kind. What else it does, such as printing, happens only in the first.
        kinds: calls of more kinds than this run the undecorated function, and there is a warning.

    Raises:
        FunctionError: the function reads a value or something whose changes cannot be noticed, or changes what it read.

    With the environment variable DYNET_CHECK_FUNCTIONS=1, each call runs the function, and a call that records other
    nodes than the first of its kind raises FunctionError. Run your program once that way.

    >>> W = dy.Model().add_parameters((3, 2))
    >>> @dy.function
    ... def layer(x, slope):
    ...     return dy.tanh(W * x) * slope
    >>> layer(dy.inputVector([1, 2]), 0.5).dim()
    ((3,), 1)
    """
    most = whole("function", "kinds", kinds)
    if f is None:
        return functools.partial(function, kinds=most)
    if type(f) is types.MethodType:
        return types.MethodType(function(f.__func__, kinds=most), f.__self__)
    if type(f) is not types.FunctionType or inspect.iscoroutinefunction(f) or inspect.isgeneratorfunction(f):
        what = type(f).__name__ if type(f) is not types.FunctionType else "function that is async or yields"
        raise ArgumentTypeError(
            f"function: expected a function made by `def` or `lambda`, got a {what}; `staticmethod` and the like go "
            "above this decorator"
        )
    if not recorder.HAS_TEMPLATES:
        return f
    recorded = Recorded(f, most)
    result = recorded.direct.function()
    recorded.direct.function = weakref.ref(result)
    recorder.keep_with(result, recorded)
    return result


MOST_ROWS = 1 << 8  # a recording function with more rows begins anew
LAST_PIN = 62  # items from this one on are pinned together
ITEM: Any = object()  # in a structure: the next of the items


class Structure:
    """What the arguments or results of a call are besides its *items*, the nodes and numbers among them."""

    def __init__(self, content: Any):
        self.content = content  # ITEM, a _Same, or (class, contents, keys of a dict)

    def rebuilt(self, items: Iterable[Any]) -> Any:
        return _rebuilt(self.content, iter(items))

    def objects(self) -> list[Any]:
        return [same.get() for same in _sames(self.content)]

    def is_repeated_whole(self) -> bool:
        """Return whether compiled code can make a result of this structure: an item, or a tuple of items."""
        content = self.content
        return content is ITEM or (type(content) is tuple and content[0] is tuple and {*content[1]} == {ITEM})

    def has(self, reference: Any) -> bool:
        return any([same.get is reference for same in _sames(self.content)])

    def is_item(self) -> bool:
        return self.content is ITEM


@dataclass(eq=False)
class Kind:
    """How the calls of one kind are repeated.

    `template` is what `template_between` returns, with cells if possible. `patches` has the words of PATCHes. `results`
    are the items of what the calls return: (kind, value, Dim) as in `words.RESULT`, but with an object for LITERAL.
    """

    template: list[int]
    patches: list[int]
    results: list[tuple[int, Any, Any]]
    structure: Structure
    guards: list[Guard]
    arguments: Structure

    def same_as(self, other: Kind) -> bool:
        """Return whether two kinds with the same key repeat the same."""
        mine, others = ([x for _, x, _ in kind.results if type(x) is int] for kind in (self, other))
        return (self.template, self.patches, mine) == (other.template, other.patches, others)

    def guards_hold(self) -> bool:
        """Return whether a call with the key of this kind is of this kind now."""
        return all([guard.holds() for guard in self.guards])

    def misfits(self, items: Sequence[Any]) -> set[int]:
        """Return the numbers of the items that are not in the range in which they were when this was recorded."""
        found = set()
        for k in range(0, len(self.patches), len(PATCH)):
            role, code, _, _, least, most = self.patches[k : k + len(PATCH)]
            x = items[code >> ITEM_BITS]
            if not (abs(x) <= LARGEST_FLOAT if role == IN_INPUTS else least <= x <= most):
                found.add(code >> ITEM_BITS)
        return found

    def words(self, key: bytes, is_whole: bool) -> list[np.ndarray]:
        """Return arrays for compiled code: the words of CALL, the template with the key of a call, and the lists.

        If not `is_whole`, the first result of the call will be this object.
        """
        counts, content = self.template[: len(TEMPLATE)], self.template[len(TEMPLATE) :]
        results = [] if is_whole else [LITERAL, id(self), 0]
        for kind, value, dim in self.results:
            results += kind, id(value) if kind == LITERAL else value, id(dim)
        guards = [word for guard in self.guards for word in guard.words()]
        lists = np.array([*guards, *self.patches, *results], np.int64)
        template = np.array([*counts, *np.frombuffer(key, np.int64)[1:], *content], np.int64)
        call = CALL.filled(
            template=template.ctypes.data,
            lists=lists.ctypes.data,
            guards=len(self.guards),
            patches=len(self.patches) // len(PATCH),
            results=len(results) // len(RESULT),
            single=int(is_whole and self.structure.is_item()),
        )
        return [np.array(call, np.int64), template, lists]


class Replay:
    """A recording function that repeats calls, and what its rows refer to."""

    def __init__(self, slow: Callable, documented: Callable):
        function = recorder.call_function(slow, documented)
        self._slow, self.function = slow, lambda: function
        self._rows: dict[bytes, tuple[Any, ...]] = {}  # key -> the kind, its arrays, and objects to keep alive
        self._old: Any = None  # rows that compiled code may be using while other code runs
        self.clear(0)

    def clear(self, pins: int) -> None:
        if function := self.function():
            recorder.clear_rows(function)
            recorder.set_pinned(function, pins)
        self._rows, self._old = {}, self._rows

    def enter(self, key: bytes, kind: Kind, is_whole: bool, kept: Sequence[Any] = ()) -> bool:
        """Let compiled code repeat calls with this key. Return False if it does so already."""
        words = kind.words(key, is_whole)
        self._old = self._rows.get(key)
        if self._old and self._old[0] is kind and np.array_equal(self._old[1][2], words[2]):
            return False
        self._rows[key] = kind, words, kind.guards, kept
        recorder.enter_call(self.function(), key, words[0].ctypes.data)
        return True

    def is_full(self) -> bool:
        return len(self._rows) > MOST_ROWS


class Recorded:
    """A decorated function. Users call `direct.function`. If this cannot repeat a call, it calls `_call`.

    `_call` turns the arguments into a structure and a flat list of items. `flat.function` repeats calls with such
    arguments. It returns the `Kind` and the items of the result, or (None, result) if the call was not repeated.
    """

    def __init__(self, f: Any, most_kinds: int):
        self._f, self._most_kinds, self._kind_count, self._title = f, most_kinds, 0, f.__qualname__
        self._pins = 0  # a bit for each item: whether its value is part of the kind, if it is a number
        self._kinds: dict[bytes, list[Kind]] = {}
        self._structures: dict[Any, Structure] = {}
        self.direct, self.flat = Replay(self._call, f), Replay(self._call_flat, f)

    def _call(self, *arguments: Any, **named: Any) -> Any:
        graph, items = current(), list[Any]()
        # While a function is recorded, those that it calls run undecorated.
        is_possible = graph._recording is None and graph.watch is None
        content = self._flattened((arguments, named), items) if is_possible else None
        if content is None or not all([graph.holds(x) for x in items if isinstance(x, Expression)]):
            return self._f(*arguments, **named)
        structure = self._structures.get(content) or Structure(content)
        kind, *results = self.flat.function()(structure, *items)
        if kind is None:
            return results[0]
        if kind.structure.is_repeated_whole() and not named and all(map(_is_simple, arguments)):
            if key := recorder.pinned_key(self._pins, *arguments):
                if self.direct.is_full():  # as if a text is a new object in each call
                    self.direct.clear(self._pins)
                self.direct.enter(key, kind, True, [x for x in _leaves(arguments) if is_atom(x)])
        return kind.structure.rebuilt(results)

    def _call_flat(self, structure: Structure, *items: Any) -> tuple[Any, ...]:
        key = recorder.pinned_key(self._pins, structure, *items)
        kind = next((kind for kind in self._kinds.get(key, ()) if kind.guards_hold()), None)
        misfits = kind.misfits(items) if kind else ()
        if kind and not misfits and not CHECKS_ALL:
            kind.guards = [guard.now() for guard in kind.guards]  # an equal number may be another object now
            if self.flat.enter(key, kind, False):
                return self.flat.function()(structure, *items)
        if not key or (not kind and self._kind_count >= self._most_kinds):
            if key and self._kind_count == self._most_kinds:
                self._kind_count += 1
                self._warn()
            arguments, named = structure.rebuilt(items)
            return None, self._f(*arguments, **named)
        new, result, asked = self._recorded(structure, items)
        if new is None:
            return None, result
        if kind and not misfits:
            if CHECKS_ALL and not new.same_as(kind):
                raise FunctionError(f"{self._title}: a call has recorded other nodes than the first call of its kind")
            return None, result
        pins = functools.reduce(operator.or_, [1 << min(k, LAST_PIN) for k in {*asked, *misfits}], self._pins)
        if pins != self._pins:
            self._pins = pins
            self._forget()
        if new_key := recorder.pinned_key(self._pins, structure, *items):
            self._structures[structure.content] = structure
            self._kinds.setdefault(new_key, []).insert(0, new)
            self._kind_count += 1
            if not CHECKS_ALL:
                self.flat.enter(new_key, new, False)
        return None, result

    def _warn(self) -> None:
        frame, level = inspect.currentframe(), 1
        while frame and str(frame.f_globals.get("__name__")).startswith("dynet_core"):
            frame, level = frame.f_back, level + 1
        warnings.warn(
            f"{self._title}: calls of {self._most_kinds} kinds were recorded; others run undecorated from now on. "
            "Numbers that `if`, `range` and the like ask for are part of the kind; kinds= allows more",
            DynetWarning,
            stacklevel=level,
        )

    def _recorded(self, structure: Structure, items: Sequence[Any]) -> tuple[Kind | None, Any, set[int]]:
        """Run the function. Return the kind, the result, and the numbers of the items whose values it asked for.

        The kind is None if a signal handler has recorded nodes meanwhile.
        """
        graph, recording = current(), Recording(self._title)
        reads = Reads(self._f, structure.objects())
        given = [x if isinstance(x, Expression) else Number(recording, k, x) for k, x in enumerate(items)]
        if reads.asks_for_types:  # a Number has another one
            given, recording.pinned = [*items], {*range(len(items))}
        arguments, named = structure.rebuilt(given)
        state, changes = graph_state_of(graph), _library_state(graph)
        _, (first_integer, first_node, first_input) = state
        try:
            graph._recording = recording
            graph.records.watch_records()
            result = self._f(*arguments, **named)
        finally:
            graph._recording = None
            graph.records.unwatch_records()
        operands = {x.at: k << ITEM_BITS for k, x in enumerate(items) if type(x) is Expression}
        new_state = graph_state_of(graph)
        template = template_between(
            graph, state, new_state, operands, is_fixed=lambda node: node < 0, most_inputs=MOST_INPUTS
        )
        if template is None:
            self._refuse(
                "uses an expression that is not an argument, or does more than record nodes: it renews or reverts the "
                "graph, or uses a whole lookup table"
            )
        after: list[Any] = []
        if self._flattened((arguments, named), after) != structure.content or [*map(id, after)] != [*map(id, given)]:
            self._refuse("changes a list or dict among its arguments, which it would not do when it is repeated")
        if changed := next((one.path for one in [*reads.guards, *reads.changeable] if not one.holds()), None):
            self._refuse(f"changes {changed}, which it would not do when it is repeated")
        if changes != _library_state(graph):
            self._refuse("changes values of parameters, which are trained, or the seed")
        result_items: list[Any] = []
        result_structure = Structure(self._flattened(result, result_items, is_result=True))
        results = []
        for x in result_items:
            if type(x) is Number and x._is_unchanged():
                results.append((OPERAND, x._item << ITEM_BITS, None))
            elif type(x) is not Expression:
                results.append((LITERAL, pinned(x), None))
            elif x.at >= first_node:
                results.append((NODE, x.at - first_node, x.type))
            elif x.at in operands:
                results.append((OPERAND, operands[x.at], None))
            else:
                self._refuse("returns an expression that is not an argument")
        patches = recording.patch_words(first_integer, first_input)
        for role, _, place, *_ in (patches[k : k + len(PATCH)] for k in range(0, len(patches), len(PATCH))):
            if role != CHECKED:  # the template has 0 where a number of the call will be
                is_input = role == IN_INPUTS
                template[len(TEMPLATE) + (2 * template[TEMPLATE.length] + place if is_input else 2 * place + 1)] = 0
        result = result_structure.rebuilt(map(value_of, result_items))
        if recording.is_disturbed:
            return None, result, set()
        kind = Kind(*with_cells(template, patches, results), result_structure, reads.guards, structure)
        return kind, result, recording.pinned

    def _flattened(self, x: Any, items: list[Any], is_result: bool = False) -> Any:
        """Append the items in x to `items`. Return the content of its `Structure`."""
        kind = type(x)
        if kind in ITEM_TYPES:
            items.append(x)
            return ITEM
        if kind in (list, tuple, dict) or (
            isinstance(x, tuple) and hasattr(kind, "_fields") and not hasattr(x, "__dict__")
        ):
            keys = [_Same(pinned(key), self._forget) for key in x] if kind is dict else []
            contents = [self._flattened(one, items, is_result) for one in (x.values() if isinstance(x, dict) else x)]
            return kind, tuple(contents), tuple(keys)
        if is_result and not is_atom(x) and not isinstance(x, Expression):
            self._refuse(
                f"returns an object of the type {kind.__name__}; possible are expressions, numbers, strings, None, and "
                "tuples, lists and dicts of these"
            )
        return _Same(x, self._forget)

    def _forget(self, reference: Any = None) -> None:
        """Forget the kinds of calls with an object that was deleted, whose address may be reused, or all kinds."""
        for replay in (self.direct, self.flat):
            replay.clear(self._pins)
        for key, kinds in [*self._kinds.items()]:
            kept = [kind for kind in kinds if reference and not kind.arguments.has(reference)]
            self._kind_count -= len(kinds) - len(kept)
            self._kinds[key] = kept
        for content, structure in [*self._structures.items()]:
            if not reference or structure.has(reference):
                del self._structures[content]

    def _refuse(self, what: str) -> NoReturn:
        raise FunctionError(f"{self._title}: the function {what}. Leave out the decorator `function`, or change this")


class _Same:
    """An object in a structure: equal only to itself, or to an equal number or string."""

    __slots__ = ("_identity", "get")

    def __init__(self, x: Any, forget: Callable[[Any], None]):
        self._identity = (type(x), repr(x)) if is_atom(x) else id(x)
        try:
            self.get: Callable[[], Any] = weakref.ref(x, forget)
        except TypeError:
            self.get = lambda: x

    def __hash__(self) -> int:
        return hash(self._identity)

    def __eq__(self, other: object) -> bool:
        is_equal = type(other) is _Same and self._identity == other._identity
        return is_equal and (type(self._identity) is tuple or self.get() is not None)  # not an address that is reused


def _library_state(graph: Graph) -> tuple[int, ...]:
    """Return what changes with values of parameters, with freezing of parameters, and with the seed."""
    return graph.records.changes, PARAMETER_ROWS.unfreeze_count, recorder.random_state()[0]


def _is_simple(x: Any, depth: int = 2) -> bool:
    """Return whether compiled code can make the key of a call with this argument."""
    if type(x) in (list, tuple):
        return depth > 0 and all([_is_simple(item, depth - 1) for item in x])
    return not isinstance(x, (list, tuple, dict))


def _leaves(x: Any) -> Iterator[Any]:
    if isinstance(x, (list, tuple)):
        for item in x:
            yield from _leaves(item)
    else:
        yield x


def _rebuilt(content: Any, items: Iterator[Any]) -> Any:
    if content is ITEM:
        return next(items)
    if type(content) is _Same:
        return content.get()
    kind, contents, keys = content
    values = [_rebuilt(one, items) for one in contents]
    if keys:
        return dict(zip([key.get() for key in keys], values))
    return kind(values) if kind in (list, tuple, dict) else tuple.__new__(kind, values)


def _sames(content: Any) -> Iterator[_Same]:
    if type(content) is _Same:
        yield content
    elif content is not ITEM:
        for one in content[1]:
            yield from _sames(one)
