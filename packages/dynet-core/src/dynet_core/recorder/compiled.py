"""The recorder made of machine code: an extension type of CPython, and functions that it calls as C functions."""

from __future__ import annotations

import array
import ctypes
import functools
import inspect
import itertools
import os
import struct
import sys
from collections.abc import Callable, Sequence
from ctypes import c_char_p, c_int, c_int64, c_ssize_t, c_uint, c_void_p, py_object
from typing import Any

import numpy as np

from dynet_kernels.layout import INT_ARGUMENT
from dynet_kernels.recorder import compiled, words
from dynet_kernels.recorder.words import ANY_GRAPH, ARRAY_KEY, LIST_KEY, MOST_KEYED, NO_NODE, ROW, TEMPLATE_KEY, WATCHED

from .keywords import with_keywords


def whole_setting(name: str, default: int) -> int:
    """A whole number that an environment variable gives."""
    text = os.environ.get(name) or str(default)
    if not text.isdecimal():
        raise ImportError(f"{name} is {text!r}: it must be a whole number, or be left unset")
    return int(text)


_forever: list = []  # what compiled code or CPython refers to by its address
MOST_FREE = whole_setting("DYNET_EXPRESSION_CHAIN", 1 << 14)
"""How many expressions are kept to be used again; with 0 each is really freed, as tools that check memory want it."""


def immortal(x: Any) -> Any:
    """Keep an object for the life of the process, also while Python ends."""
    _forever.append(x)
    ctypes.pythonapi.Py_IncRef(py_object(x))
    return x


class Words:
    """Named words in memory of their own, which is never freed."""

    __slots__ = ("_places", "address", "view")

    def __init__(self, names: Sequence[str]):
        memory = immortal(np.zeros(len(names), np.int64))
        self.view, self.address = immortal(memoryview(memory).cast("B").cast("q")), memory.ctypes.data
        self._places = {name: place for place, name in enumerate(names)}

    def __getitem__(self, name: str) -> int:
        return self.view[self._places[name]]

    def together(self, places: slice) -> list[int]:
        """Several words at one moment."""
        return self.view[places].tolist()

    def set_together(self, places: slice, *values: int) -> None:
        """Write several words at one moment."""
        self.view[places] = array.array("q", values)

    def __setitem__(self, name: str, value: int) -> None:
        self.view[self._places[name]] = value


_api = ctypes.pythonapi
for _name, _result, *_arguments in (
    ("PyType_FromSpecWithBases", py_object, c_void_p, py_object),
    ("PyType_GenericAlloc", py_object, py_object, c_ssize_t),
    ("PyThread_tss_alloc", c_void_p),
    ("PyThread_tss_create", c_int, c_void_p),
    ("PyThread_tss_get", c_void_p, c_void_p),
    ("PyThread_tss_set", c_int, c_void_p, c_void_p),
    ("PyMem_RawCalloc", c_void_p, c_ssize_t, c_ssize_t),
    ("PyMem_RawFree", None, c_void_p),
    ("Py_DecRef", None, c_void_p),
):
    getattr(_api, _name).restype, getattr(_api, _name).argtypes = _result, _arguments

SHARED = Words(words.SHARED)
_address = compiled.addresses(SHARED.address)


def _native(name: str, count: int) -> Callable[..., int]:
    """A compiled function of so many words. It keeps the GIL, and nothing interrupts it."""
    function = immortal(ctypes.PYFUNCTYPE(c_int64, *[c_int64] * count)(_address[name]))

    def call(*numbers: int) -> int:
        try:
            return function(*numbers)
        except ctypes.ArgumentError:  # numbers are what is given, so memory has run out
            raise MemoryError from None

    return call


_become, _enter = _native("become", 4), _native("enter", 2)
_write_inputs = _native("write_inputs", 4)
_renew, _cut, _take_inputs = _native("renew", 1), _native("cut", 4), _native("take_inputs", 3)

# ----------------------------------------------------------------------------------------------------------- the types

# Numbers of slots and flags, as CPython's headers have them; they never change.
TP_CALL, TP_DEALLOC, TP_DESCR_GET, TP_NEW, TP_TRAVERSE, TP_MEMBERS, TP_FREE = 50, 52, 54, 65, 71, 72, 74
MP_SUBSCRIPT, NB_ADD, NB_MULTIPLY, NB_NEGATIVE, NB_SUBTRACT, NB_TRUE_DIVIDE = 5, 7, 29, 30, 36, 37
OBJECT, LONG_LONG, SSIZE, READ_ONLY = 16, 17, 19, 1
NO_INSTANCES, BASE_TYPE, HAS_VECTORCALL, HAS_GC = 1 << 7, 1 << 10, 1 << 11, 1 << 14
METHOD_DESCRIPTOR, DEFAULT = 1 << 17, 1 << 18


class _Slot(ctypes.Structure):
    _fields_ = [("slot", c_int), ("function", c_void_p)]


class _Spec(ctypes.Structure):
    _fields_ = [("name", c_char_p), ("size", c_int), ("item", c_int), ("flags", c_uint), ("slots", c_void_p)]


class _Member(ctypes.Structure):
    _fields_ = [("name", c_char_p), ("type", c_int), ("offset", c_ssize_t), ("flags", c_int), ("doc", c_char_p)]


def _make_type(
    name: str,
    names: Sequence[str],
    members: dict[str, tuple[str, int]],
    slots: dict[int, int],
    flags: int,
    bases: tuple[type, ...],
) -> Any:
    """An extension type whose objects are words with these names; `members` are its attributes, with their words."""
    listed = [
        _Member(member.encode(), kind, 8 * names.index(word), READ_ONLY, None)
        for member, (word, kind) in members.items()
    ]
    table = immortal((_Member * (len(listed) + 1))(*listed))
    pairs = [*slots.items(), (TP_MEMBERS, ctypes.addressof(table)), (0, 0)]
    slot_table = immortal((_Slot * len(pairs))(*[_Slot(*pair) for pair in pairs]))
    spec = immortal(_Spec(name.encode(), 8 * len(names), 0, DEFAULT | flags, ctypes.addressof(slot_table)))
    return immortal(_api.PyType_FromSpecWithBases(ctypes.addressof(spec), bases))


def expression_type(operations: type) -> Any:
    """The type of expressions, with the methods of a class."""
    made = _make_type(
        "dynet_core.expression.Expression",
        words.EXPRESSION,
        {"at": ("at", LONG_LONG), "version": ("version", LONG_LONG), "type": ("dim", OBJECT)},
        {
            TP_DEALLOC: _address["free"],
            TP_NEW: _address["new"],
            # Its own, or it would be one of those that the collector of garbage looks at, as its base is.
            TP_TRAVERSE: _address["visit_nothing"],
            TP_FREE: ctypes.cast(_api.PyObject_Free, c_void_p).value or 0,
            NB_ADD: _address["add"],
            NB_SUBTRACT: _address["subtract"],
            NB_MULTIPLY: _address["multiply"],
            NB_TRUE_DIVIDE: _address["true_divide"],
            NB_NEGATIVE: _address["negative"],
            MP_SUBSCRIPT: _address["subscript"],
        },
        BASE_TYPE,
        (operations,),
    )
    if made.__flags__ & HAS_GC:
        raise ImportError("dynet: expressions would be collected as garbage")
    SHARED["expression"] = id(made)
    return made


def _refuse_new() -> None:
    raise TypeError("an expression is made by an operation, such as dy.inputVector, not by its class")


for _name, _known in (
    ("list", list), ("tuple", tuple), ("float", float), ("int", int), ("slice", slice), ("none", None),
    ("true", True), ("false", False),
    ("not_implemented", NotImplemented), ("refuse_new", _refuse_new), ("int64", np.int64), ("int32", np.int32),
    ("float64", np.float64), ("float32", np.float32), ("array", np.ndarray),
):  # fmt: skip
    SHARED[_name] = id(immortal(_known))
SHARED["free_most"] = MOST_FREE
_thread_graph = _api.PyThread_tss_alloc()
if not _thread_graph or _api.PyThread_tss_create(_thread_graph):
    raise ImportError("dynet: there is no key left under which a thread could keep its graph")
SHARED["thread_graph"] = _thread_graph


def know_parameters(parameters: type, constant: type, lookup: type) -> None:
    """Say which types parameters have."""
    SHARED["parameters"], SHARED["constant"], SHARED["lookup"] = map(id, map(immortal, (parameters, constant, lookup)))


def become(x, at: int, dim) -> None:
    """Make an object a parameter."""
    _become(id(x), at, ANY_GRAPH, id(immortal_dim(dim)))


_dims: set = set()


def immortal_dim(dim):
    """A Dim, which is never freed: expressions know its address."""
    if dim not in _dims:
        _dims.add(immortal(dim))
    return dim


# ------------------------------------------------------------------------------------------------ recording functions

_function = _make_type(
    "dynet_core.recorder.function",
    words.FUNCTION,
    {
        "__vectorcalloffset__": ("vectorcall", SSIZE),
        "__name__": ("name", OBJECT),
        "__qualname__": ("qualname", OBJECT),
    },
    {
        TP_CALL: ctypes.cast(_api.PyVectorcall_Call, c_void_p).value or 0,
        TP_DESCR_GET: _address["bind"],
    },
    NO_INSTANCES | HAS_VECTORCALL | METHOD_DESCRIPTOR,
    (object,),
)
KEYS = {
    **dict.fromkeys(("key", "commit", "handle", "sequence", "take", "renew_quickly"), 0),
    **dict.fromkeys(("two", "stretch", "indices", "lookup_indices"), 2),
    "many": LIST_KEY,
    "array": ARRAY_KEY,
    "template": TEMPLATE_KEY,
}
"""How many words the key of a function's table has; of kinds that are not named, one."""
_documented: dict[int, Callable] = {}  # by the address of a function: the Python function that it stands for
_entered: dict[int, dict] = {}  # what has been entered
_sizes: dict[int, int] = {}  # words of the key of its table


def _word(function: Any, name: str) -> c_int64:
    return c_int64.from_address(id(function) + 8 * words.FUNCTION.index(name))


def function(kind: str, slow: Callable) -> Any:
    """A function that records what it knows, and calls `slow` for the rest."""
    made = immortal(_api.PyType_GenericAlloc(_function, 0))
    key = KEYS.get(kind, 1)
    table = _api.PyMem_RawCalloc(words.FIRST_ROWS, 8 * (key + len(ROW)))
    if not table:
        raise MemoryError
    _entered[id(made)] = {}
    _sizes[id(made)], _documented[id(made)] = key, immortal(slow)
    for name, value in (
        ("slow", id(slow)), ("table", table), ("mask", words.FIRST_ROWS - 1), ("key", key),
        ("vectorcall", _address[kind]),
    ):  # fmt: skip
        _word(made, name).value = value
    _take_names(made, slow)
    return made


def _enter_row(self, key: Sequence, signature: int, result, limit: int = 0) -> None:
    """Remember what is recorded for operands of these Dims: the signature's place and the node's Dim."""
    known, facts = _entered[id(self)], (signature, result, limit)
    if known.get(key) == facts:
        return
    numbers = [x if type(x) is int else id(immortal_dim(x)) for x in key]
    size = _sizes[id(self)]
    if size == LIST_KEY:
        if len(key) <= MOST_KEYED:
            numbers = [len(key), *numbers]
        elif len(set(numbers)) == 1:
            numbers = [-len(key), numbers[0]]
        else:
            return
        numbers += [0] * (size - len(numbers))
    row = (c_int64 * (size + len(ROW)))(*numbers, signature, id(immortal_dim(result)), limit)
    _enter(id(self), ctypes.addressof(row))
    known[key] = facts


def describe(record: Any, documented: Callable, around: Callable | None = None) -> Any:
    """Give a recording function the name, the documentation and the signature of another one, and its keywords.

    What it does not know goes to `around`, if there is one, with the function that it went to before.
    """
    unusual = _documented[id(record)]
    if isinstance(unusual, _function):  # which takes what the first one does not know
        slow = describe(unusual, documented, around)
    else:
        slow = with_keywords(documented, functools.partial(around, unusual) if around else unusual)
    _documented[id(record)] = immortal(documented)
    _take_names(record, documented)
    _word(record, "parameters").value = id(immortal(tuple(map(sys.intern, inspect.signature(documented).parameters))))
    _word(record, "slow").value = id(immortal(slow))
    return record


def with_templates(op: Callable, learn: Callable) -> Any:
    """Have an op recorded from templates where else Python would record it.

    Args:
        op: a recording function, which then leaves to them what it does not know, or another one.
        learn: called with the Python function that records, and a function enter(key, template, Dim of the last node):
            gives the function that is called where there is no template.
    """
    last, slow = None, op
    while isinstance(slow, _function):
        last, slow = slow, ctypes.cast(_word(slow, "slow").value, py_object).value
    documented = op if last is None else _documented[id(op)]

    def enter(key: bytes, template: Sequence[int], result: Any) -> None:
        integers = immortal(np.array(template, np.int64))
        _enter_row(record, struct.unpack(f"={TEMPLATE_KEY}q", key), integers.ctypes.data, result)

    record = describe(function("template", learn(slow, enter)), documented)
    if last is None:
        return record
    _word(last, "slow").value = id(record)
    return op


def _take_names(function: Any, after: Callable) -> None:
    _word(function, "name").value = id(immortal(after.__name__))
    _word(function, "qualname").value = id(immortal(after.__qualname__))


def _fact(name: str) -> property:
    return property(lambda self: getattr(_documented[id(self)], name))


for _name, _attribute in {
    "__doc__": _fact("__doc__"),
    "__module__": _fact("__module__"),
    "__wrapped__": property(lambda self: _documented[id(self)]),
    "__reduce__": lambda self: self.__qualname__,
    "__repr__": lambda self: f"<function {self.__qualname__}>",
    "enter": _enter_row,
}.items():
    setattr(_function, _name, _attribute)


def operator(name: str, pair: Any, right: Any, left: Any, slow: Callable, reflected: Callable) -> None:
    """What an operator does: `pair` of two expressions, `right` and `left` of an expression and a number.

    The rest is `slow(x, other)`, or `reflected(x, other)` where the expression is on the right.
    """
    expression: Any = ctypes.cast(SHARED["expression"], py_object).value

    def unusual(a, b):
        return slow(a, b) if isinstance(a, expression) else reflected(b, a)

    for what, known in (("pair", pair), ("right", right), ("left", left), ("slow", immortal(unusual))):
        SHARED[f"{name}_{what}"] = id(known)


def negative(record: Any) -> None:
    """What `-x` does."""
    SHARED["negative"] = id(record)


def subscript(item: Any, stretch: Any, slow: Callable) -> None:
    """What `x[key]` does: `item` for an int, `stretch` for a slice of two ints, `slow` for the rest."""
    SHARED["item"], SHARED["stretch"], SHARED["subscript"] = id(item), id(stretch), id(immortal(slow))


# ------------------------------------------------------------------------------------------------------------- records


def _refuse_commit(dim, nodes, head, operands, version) -> None:
    """What `commit` gives where the graph is another by now, or an operand is not fit for a record."""
    return None


def _refuse_handle(at, dim) -> None:
    raise IndexError(f"this thread's graph has no node {at}")


def _take_unusual(bits: Sequence[int], numbers: Sequence[float]) -> int:
    values = np.concatenate([np.array(bits, np.uint32).view(np.float32), np.array(numbers, np.float32)])
    return _take_array(_api.PyThread_tss_get(_thread_graph), values)


def _take_array(graph: int, values: np.ndarray) -> int:
    """Keep the values of a float32 array, column by column, among the inputs of a graph; where they begin."""
    values = np.asfortranarray(values, np.float32)
    return _take_inputs(graph, values.ctypes.data, values.size)


def _refuse_sequence(result, head, xs, dim, version) -> None:
    """What `sequence` gives where it cannot be recorded at once."""
    return None


def _no_key(*arguments) -> None:
    """What `key` gives for arguments that have none."""
    return None


key = function("key", _no_key)
sequence = function("sequence", _refuse_sequence)
take = function("take", _take_unusual)
commit = function("commit", _refuse_commit)
handle = function("handle", _refuse_handle)

_unused: list[Words] = []  # of graphs whose threads have ended
_nobody = Words(words.GRAPH)


def _from_to(first: str, last: str) -> slice:
    return slice(words.GRAPH.index(first), words.GRAPH.index(last) + 1)


_VERSION, _LENGTH, _NODES, _INPUTS_LENGTH = map(words.GRAPH.index, ("version", "length", "nodes", "inputs_length"))
_ENDS = _from_to("length", "inputs_length")
_COMPUTED, _DIFFERENTIATED = _from_to("done", "inputs_done"), _from_to("differentiated", "differentiated_fully")
_nobody["version"] = _nobody["open"] = NO_NODE


def _ended(address: int, get=_api.PyThread_tss_get, set=_api.PyThread_tss_set, key=_thread_graph, renew=_renew) -> bool:
    """Leave a graph's words without a thread; whether that was this one, so that no thread refers to them any more."""
    renew(address)
    if get(key) != address:
        return False
    set(key, None)
    return True


def _release(words: Words, let_go=_api.Py_DecRef, Address=c_void_p) -> None:
    """Let go of the graph that words belong to."""
    graph, words["object"] = words["object"], 0
    if graph:
        let_go(Address(graph))


class Records:
    """What a thread has recorded."""

    __slots__ = ("_view", "_words")

    def __init__(self):
        self._words = _unused.pop() if _unused else Words(words.GRAPH)
        self._view = self._words.view
        for place in range(words.MOST_ARGUMENTS):
            self._words[f"argument_{2 * place}"] = INT_ARGUMENT
        self.unprepare()
        self.renew()

    def adopt(self, graph: Any) -> None:
        """Be what the thread that calls records in; `graph` is what `renew_cg` gives then."""
        ctypes.pythonapi.Py_IncRef(py_object(graph))  # until the thread ends; at the end of Python, for ever
        self._words["object"] = id(graph)
        _api.PyThread_tss_set(_thread_graph, self._words.address)

    def renew(self) -> None:
        """Forget what has been recorded, under another version."""
        _renew(self._words.address)

    def cut(self, nodes: int, length: int, inputs_length: int) -> None:
        """Forget the newest records, under another version."""
        _cut(self._words.address, nodes, length, inputs_length)

    # Finalizers hold what they use: when Python ends, modules may be empty before they run.
    def end(self, finalizing=sys.is_finalizing, ended=_ended, nobody=_nobody, unused=_unused, release=_release) -> None:
        """The thread has ended: its expressions are nobody's, and another thread may have the memory."""
        if not finalizing() and self._words is not nobody:
            mine, self._words, self._view = self._words, nobody, nobody.view
            release(mine)
            if ended(mine.address):
                unused.append(mine)

    def watch(self) -> None:
        """Have all records go the slow way."""
        self._words["open"] = WATCHED

    @property
    def version(self) -> int:
        """The number of the graph."""
        return self._view[_VERSION]

    def ends(self) -> tuple[int, int, int]:
        """How many integers, nodes and input values there are at one moment: a signal's handler may record, too."""
        length, nodes, inputs_length = self._words.together(_ENDS)
        return length, nodes, inputs_length

    @property
    def nodes(self) -> int:
        """How many nodes there are."""
        return self._view[_NODES]

    @property
    def length(self) -> int:
        """How many integers there are."""
        return self._view[_LENGTH]

    @property
    def inputs_length(self) -> int:
        """How many input values there are."""
        return self._view[_INPUTS_LENGTH]

    @property
    def computed(self) -> tuple[int, int]:
        """How many integers of the records have been computed, and how many inputs they had."""
        length, inputs_length = self._words.together(_COMPUTED)
        return length, inputs_length

    @computed.setter
    def computed(self, ends: tuple[int, int]) -> None:
        self._words.set_together(_COMPUTED, *ends)
        if ends[0]:
            self._words["planned"] = ends[0]

    @property
    def differentiated(self) -> tuple[int, bool]:
        """The node that `backward` started from last, -1 if from none, and whether it gave all nodes gradients."""
        place, fully = self._words.together(_DIFFERENTIATED)
        return place, bool(fully)

    @differentiated.setter
    def differentiated(self, what: tuple[int, bool]) -> None:
        self._words.set_together(_DIFFERENTIATED, *what)

    def is_unusual(self) -> None:
        """Say that more has to be done to renew it than to forget the records."""
        self._words["unusual"] = 1

    def prepare(self, generation: int, forward: Any, backward: Any, **addresses: int) -> None:
        """Say what passes need, as long as `generation()` is this: passes go the quick way then."""
        for name, address in addresses.items():
            self._words[name] = address
        self._words["forward"], self._words["backward"] = forward.__chandle__(), backward.__chandle__()
        self._words["prepared"] = generation

    def is_prepared(self, generation: int) -> bool:
        """Whether `prepare` has been called for that generation."""
        return self._words["prepared"] == generation

    def unprepare(self) -> None:
        """Have passes go the slow way until `prepare` says what they need."""
        self._words["prepared"] = -1

    def address(self) -> int:
        """Where the integers are, until the next record."""
        return self._words["records"]

    def inputs_address(self) -> int:
        """Where the input values are, until the next one."""
        return self._words["inputs"]

    def integers(self, begin: int = 0, end: int | None = None) -> list[int]:
        """The integers, or some of them."""
        count = (self.length if end is None else end) - begin
        return (c_int64 * count).from_address(self.address() + 8 * begin)[:] if count else []

    def floats(self, start: int, count: int) -> np.ndarray:
        """Input values, to be read until the next one comes."""
        if not count:
            return np.zeros(0, np.float32)
        memory = (ctypes.c_float * count).from_address(self.inputs_address() + 4 * start)
        return np.frombuffer(memory, np.float32)  # type: ignore[call-overload]

    def write(self, start: int, values: np.ndarray) -> None:
        """Replace input values by those of a float32 array, column by column."""
        values = values.ravel(order="F")
        _write_inputs(self._words.address, start, values.ctypes.data, values.size)

    def take(self, values: np.ndarray) -> int:
        """Keep the values of a float32 array, column by column; where they begin among the inputs."""
        return _take_array(self._words.address, values)


def generation(place: int = words.SHARED.index("generation")) -> int:
    """A number that changes with the table of signatures and with parameters."""
    return SHARED.view[place]


def next_generation() -> None:
    """Say that something is going to change, or has changed."""
    SHARED["generation"] = next(_generations)


_generations = itertools.count(1)


def passes(place: int = words.SHARED.index("passes")) -> int:
    """How many backward passes of any graph there have been."""
    return SHARED.view[place]


def note_pass() -> None:
    """Note a backward pass."""
    SHARED["passes"] = SHARED["passes"] + 1
