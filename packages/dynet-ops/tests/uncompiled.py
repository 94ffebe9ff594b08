"""Runs the recorder's C functions in two ways, compiled and as the plain Python that they are written in.

Both ways read and write the real memory of real objects. `both` runs a function compiled, puts the graph back as it
was, runs the function uncompiled, and compares the outcomes: the result or the error, each word of the graph,
its records and its input values, and the shared words.
"""

import ctypes
import gc
from contextlib import contextmanager
from ctypes import addressof, c_int32, c_int64, py_object
from dataclasses import dataclass
from types import MethodType
from typing import Any

import numpy as np
import pytest

from dynet_core import recorder
from dynet_core.graph import current
from dynet_core.graph.expression import Expression
from dynet_core.recorder import FUNCTION_TYPE

if recorder.DESCRIPTION != "compiled":
    pytest.skip("the recorder in Python is not compiled", allow_module_level=True)

from dynet_core.recorder.shared import ADDRESSES, SHARED, pythonapi
from dynet_kernels.recorder import c_api, extension, words
from dynet_kernels.recorder.c_functions import FUNCTIONS

extension.shared_address = SHARED.address
NAMES = {address: name for name, address in ADDRESSES.items()}
OFFSET = -(1 << 63)  # a flag in the argument count of a vectorcall: the word before the arguments may be overwritten
CALLS_TO_LEARN = 4  # after this many calls of an op there is a template
ran: set[str] = set()  # the names of the functions that have run since the test began
# Words that hold addresses or scratch memory, and the chain of freed expressions, which keeps its own order.
LEFT_OUT = {"records", "inputs", "outgrown", *(f"argument_{place}" for place in range(2 * words.MOST_PASS_ARGUMENTS))}
# Words that may change without a record: `set` notes how far it searched, and a path may make room before it declines.
NOTED = dict.fromkeys(("searched_version", "searched_offset", "searched_node", "room", "inputs_room"))
FREED = {"free", "free_count"}


def of(*names):
    """Decorator: the test compares these C functions, and fails if they have not run (see `ran`)."""

    def declare(test):
        test.of = names
        return test

    return declare


@dataclass(eq=False)
class Declined:
    """Returned by the Python function that is called where a path has no result."""

    arguments: tuple
    named: dict


def declined(*arguments, **named):
    return Declined(arguments, named)


def word(record, name: str) -> c_int64:
    """A word of a recording function, whose `value` can be set."""
    return c_int64.from_address(id(record) + 8 * words.FUNCTION[name])


def shared_object(name: str) -> Any:
    """The object whose address is the shared word `name`."""
    return ctypes.cast(SHARED[name], py_object).value


def kind_of(record) -> str:
    return NAMES[word(record, "vectorcall").value]


@contextmanager
def declining(*records):
    """In this context, recording functions and operators return `Declined` where paths leave calls to Python."""
    places = [word(record, "slow") for record in records]
    kept = [place.value for place in places]
    slow = [name for name in words.SHARED if name.endswith("_slow")] + ["subscript"]
    for place in places:
        place.value = id(declined)
    shared = {name: SHARED[name] for name in slow}
    for name in slow:
        SHARED[name] = id(declined)
    try:
        yield
    finally:
        for place, value in zip(places, kept):
            place.value = value
        for name, value in shared.items():
            SHARED[name] = value


class State:
    """The memory of this thread's graph and the shared words, for comparing and restoring."""

    def __init__(self):
        self.view = current().records._view
        self.words = self.view.tolist()
        self.integers = self._memory("records", "length", c_int64)
        self.floats = self._memory("inputs", "inputs_length", c_int32)
        self.shared = SHARED.view.tolist()

    def __getattr__(self, name):
        return self.words[words.GRAPH[name]]

    def _memory(self, buffer, length, kind):
        count = self.words[words.GRAPH[length]]
        return (kind * count).from_address(self.words[words.GRAPH[buffer]])[:] if count else []

    def put_back(self):
        for place, number in enumerate(self.words):
            self.view[place] = number
        for buffer, kind, numbers in (("records", c_int64, self.integers), ("inputs", c_int32, self.floats)):
            if numbers:
                (kind * len(numbers)).from_address(getattr(self, buffer))[:] = numbers
        for name, place in zip(words.SHARED, range(len(words.SHARED))):
            if name not in FREED:
                SHARED.view[place] = self.shared[place]

    def described(self):
        graph = {name: number for name, number in zip(words.GRAPH, self.words) if name not in LEFT_OUT}
        shared = {name: number for name, number in zip(words.SHARED, self.shared) if name not in FREED}
        return {**graph, **shared, "integers": self.integers, "floats": self.floats}


@dataclass
class Outcome:
    """The outcome of a call: an object, a number if it returns no object, or an error; and the memory afterwards."""

    result: Any
    error: BaseException | None
    state: Any

    def described(self):
        about = {"result": described(self.result), "error": (type(self.error), getattr(self.error, "args", None))}
        return {**about, **self.state.described()}


def described(x):
    """The comparable part of a result that is computed twice."""
    if isinstance(x, Declined):
        return "declined", list(map(id, x.arguments)), {name: id(value) for name, value in x.named.items()}
    if isinstance(x, (list, tuple)):
        return type(x), [described(one) for one in x]
    if isinstance(x, Expression):
        return type(x), x.at, x.version, c_int64.from_address(id(x) + 8 * words.EXPRESSION["dim"]).value
    if isinstance(x, MethodType):
        return "method", id(x.__func__), id(x.__self__)
    if isinstance(x, np.ndarray):
        return "array", id(x), x.tobytes()
    if isinstance(x, (float, int, bytes)):
        return type(x), repr(x)
    return type(x), id(x)


def run(name: str, compiled: bool, numbers, is_object=True, memory=True) -> Outcome:
    """Call a C function in one of the two ways. Its result is an owned reference, unless it is no object.

    Without `memory`, the state of the graph is not read: this thread may have none.
    """
    assert not c_api._pending_error
    address, error = 0, None
    try:
        if compiled:
            address = ctypes.PYFUNCTYPE(c_int64, *[c_int64] * len(numbers))(ADDRESSES[name])(*numbers)
        else:
            ran.add(name)
            address = FUNCTIONS[name].run_as_python(*numbers)
    except Exception as problem:
        error = problem
    if c_api._pending_error:
        assert not compiled and not error
        error = c_api._pending_error.pop()
    result = taken(address) if is_object else int(address)
    return Outcome(result, error, State() if memory else None)


def taken(address: int):
    """Return the object at an address, and take ownership of the reference to it."""
    if not address:
        return None
    found = ctypes.cast(address, py_object).value
    pythonapi.Py_DecRef(address)
    return found


@contextmanager
def uncollected():
    """Disable garbage collection: a finalizer, such as a parameter's, may change words of the graph."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def both(name: str, *numbers, is_object=True) -> Outcome:
    """Call a C function in both ways from the same state of the graph, and compare. Return the uncompiled outcome."""
    with uncollected():
        before = State()
        first = run(name, True, numbers, is_object)
        before.put_back()
        second = run(name, False, numbers, is_object)
    check_equal(first.described(), second.described())
    if isinstance(second.result, Declined):
        check_equal(*({**state.described(), **NOTED} for state in (second.state, before)))
    return second


def check_equal(found: dict, expected: dict) -> None:
    differing = {name: (value, expected[name]) for name, value in found.items() if value != expected[name]}
    assert not differing, differing


def vectorcall(record, arguments, named=None, flag=OFFSET):
    """The integers with which CPython calls a recording function, and objects that must live as long as the call."""
    names = tuple(named) if named else None
    given = [*arguments, *(named or {}).values()]
    memory = (c_int64 * (len(given) + 1))(0, *map(id, given))
    count = len(arguments) | flag
    return (id(record), addressof(memory) + 8, count, id(names) if names else 0), (memory, names, given)


def same(record, *arguments, **named) -> Any:
    """Call a recording function in both ways, where Python functions decline, and compare. Return the result."""
    assert type(record) is FUNCTION_TYPE
    outcomes = []
    with declining(record), uncollected():
        for flag in (0, OFFSET):
            numbers, held = vectorcall(record, arguments, named, flag)
            begin = State()
            outcomes.append(both(kind_of(record), *numbers))
            if flag == 0:
                begin.put_back()
            del held
    check_equal(outcomes[0].described(), outcomes[1].described())
    if outcomes[1].error:
        raise outcomes[1].error
    return outcomes[1].result


def known(record, *arguments, **named) -> Any:
    """Like `same`, for a call that the path must handle itself, because the function has seen such calls before."""
    for _ in range(CALLS_TO_LEARN):
        record(*arguments, **named)
    result = same(record, *arguments, **named)
    assert not isinstance(result, Declined), (record, arguments, named)
    return result


def left(record, *arguments, **named) -> None:
    """Like `same`, for a call that the path must leave to Python, with all of its arguments."""
    result = same(record, *arguments, **named)
    assert isinstance(result, Declined), (record, arguments, named)
    assert list(map(id, [*result.arguments, *result.named.values()])) == list(map(id, [*arguments, *named.values()]))
