"""Objects of user-defined classes in specs: how loading rebuilds them, and which classes it refuses."""

import argparse
import collections
import dataclasses
import enum
import functools
import io
import math
import os
import pickle
import re
import textwrap
import typing

import numpy as np
import pytest
from spec_checks import Holder, assert_same, of_pickle, read_again

from dynet_core import ArgumentTypeError, FileFormatError
from dynet_core.files import meta
from dynet_core.files.names import allowed_by_name

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


class Vocabulary:
    def __init__(self):
        self.counts = collections.defaultdict(int, the=3)
        self.indices, self.words = {"the": 0}, ["the"]
        self.itself = self


class Slots:
    __slots__ = ("a", "__private", "unset")

    def __init__(self):
        self.a, self.__private = 1, [2]

    def values(self):
        return self.a, self.__private, hasattr(self, "unset")


class SlotsAndDict(Slots):
    def __init__(self):
        super().__init__()
        self.more = "more"


class Words(dict):
    def __init__(self, **words):
        super().__init__(words)
        self.attribute = True


class Sentence(list): ...


class Ordered(collections.OrderedDict): ...


class Defaults(collections.defaultdict): ...


class Counts(collections.Counter): ...


class Bag(set): ...


class FrozenBag(frozenset): ...


class Queue(collections.deque): ...


class Tag(str): ...


class Index(int): ...


class Score(float): ...


class Raw(bytes): ...


class Pair(tuple): ...


Point = collections.namedtuple("Point", "x y")


class Labelled(Point):
    def total(self):
        return self.x + self.y


class Span(typing.NamedTuple):
    start: int
    end: int = 7


class Color(enum.Enum):
    RED = 1
    GREEN = "g"
    PAIR = (1, 2)


class Level(enum.IntEnum):
    HIGH = 3


@dataclasses.dataclass
class Options:
    size: int
    rates: list


@dataclasses.dataclass(frozen=True)
class Rule:
    left: str
    right: tuple


@dataclasses.dataclass(slots=True)
class SlottedOptions:
    size: int


def with_attribute(value):
    value.attribute = [1]
    return value


ALLOWED = [
    Vocabulary, Slots, SlotsAndDict, Words, Sentence, Ordered, Defaults, Counts, Bag, FrozenBag, Queue, Tag, Index,
    Score, Raw, Pair, Point, Labelled, Span, Color, Level, Options, Rule, SlottedOptions,
]  # fmt: skip
OBJECTS = [
    Words(a=1), Sentence([1, [2]]), Ordered(b=1, a=2), Defaults(list, x=[1]), Counts("abca"), Bag({1}), FrozenBag({2}),
    Queue([1]), Tag("NN"), Index(4), Score(0.5), Raw(b"x"), Pair((1, [2])), Point(1, [2]), Span(3), Color.RED,
    Color.PAIR, Level.HIGH, Options(1, [2.0]), {Rule("S", ("NP", "VP")): 0.5, Span(1): 1}, {Rule("S", ())},
    Defaults(Vocabulary), argparse.Namespace(size=3), [Vocabulary], *[
        with_attribute(value) for value in (Tag("VB"), Words(b=2), Sentence(), Ordered(a=1), Bag({2}), Labelled(1, 2))
    ],
]  # fmt: skip


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("value", OBJECTS, ids=lambda value: type(value).__name__)
def test_objects_of_allowed_classes_are_made(value, protocol):
    assert_same(read_again([value, value], protocol, ALLOWED), [value, value])


def test_they_are_written_as_pickle_does():
    file = io.BytesIO()
    assert meta.write_record(file, meta.SavedObject(Holder, "/holder/", OBJECTS), allowed_by_name(ALLOWED)) == ""
    assert_same(pickle.loads(file.getvalue())[1], OBJECTS)
    assert_same(of_pickle(file.getvalue(), ALLOWED), OBJECTS)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_vocabulary(protocol):
    found = read_again(Vocabulary(), protocol, [Vocabulary])
    assert type(found) is Vocabulary and found.itself is found
    assert (found.counts.default_factory, found.counts) == (int, {"the": 3})
    assert (found.indices, found.words) == ({"the": 0}, ["the"])


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_slots(protocol):
    for value in (Slots(), SlotsAndDict()):
        found = read_again(value, protocol, ALLOWED)
        assert found.values() == (1, [2], False)
    assert found.more == "more"
    assert read_again(SlottedOptions(3), protocol, ALLOWED) == SlottedOptions(3)


def hand_written(made):
    """A `.meta` file whose spec is built by the given opcodes; `%s` in them is the name of this module."""
    return (b"c%s\nHolder\n" + made + b"X\x08\x00\x00\x00/holder/\x87.").replace(b"%s", __name__.encode())


@pytest.mark.parametrize(
    "made",
    [b"(i%s\nVocabulary\n}b", b"(c%s\nVocabulary\no}b", b"c%s\nVocabulary\n)\x81}b", b"c%s\nVocabulary\n)}\x92}b"],
    ids=["INST", "OBJ", "NEWOBJ", "NEWOBJ_EX"],
)
def test_all_opcodes_that_make_objects(made):
    found = of_pickle(hand_written(made), [Vocabulary])
    assert type(found) is Vocabulary and vars(found) == {}


def test_a_graph_of_objects_with_many_ways_through_it():
    nodes = [Vocabulary() for _ in range(60)]
    for node in nodes:
        node.itself = nodes
    assert read_again(nodes, 4, [Vocabulary])[7].itself[7].itself[3].words == ["the"]


def test_nested_as_deeply_as_pickle_takes_it():
    value: list = []
    for _ in range(400):
        node = Vocabulary()
        node.itself = value
        value = [node]
    file = io.BytesIO()
    assert meta.write_record(file, meta.SavedObject(Holder, "/holder/", value), allowed_by_name([Vocabulary])) == ""
    assert of_pickle(file.getvalue(), [Vocabulary])[0].itself[0].words == ["the"]


def test_what_is_not_allowed_is_named_with_the_way_to_allow_it():
    name = f"{__name__}.Vocabulary"
    with pytest.raises(FileFormatError) as caught:
        read_again([Vocabulary(), Options(1, []), Vocabulary()])
    said = "is a class that you have not allowed"
    assert f"model.meta: object 0: {name} {said}; {__name__}.Options {said}; if this file may name them" in str(
        caught.value
    )
    assert "dy.load(..., allow=[Vocabulary, Options])" in str(caught.value)
    assert f"DYNET_ALLOW={name},{__name__}.Options" in str(caught.value)
    with pytest.raises(FileFormatError, match=r"Options is a class that you have not allowed.*allow=\[Options\]"):
        read_again([Vocabulary(), Options(1, []), Vocabulary()], 4, [Vocabulary])


class Renamed:
    pass


def test_another_class_can_take_the_place_of_one():
    found = read_again(Vocabulary(), 4, {f"{__name__}.Vocabulary": Renamed})
    assert type(found) is Renamed and found.words == ["the"]


def test_a_function_is_given_and_not_called():
    with pytest.raises(
        FileFormatError, match=r"with_attribute is a function that you have not allowed; .*\[with_attribute\]"
    ):
        read_again(with_attribute)
    assert read_again([with_attribute], 4, [with_attribute]) == [with_attribute]
    with pytest.raises(FileFormatError, match="with_attribute would be called"):
        of_pickle(hand_written(b"c%s\nwith_attribute\n)R"), [with_attribute])


@pytest.mark.parametrize("function", [os.system, os.path.join, math.sqrt, textwrap.dedent])
def test_no_advice_is_given_to_allow_a_function_that_is_not_the_programs(function):
    with pytest.raises(
        FileFormatError, match="is a function that is not the program's own: do not trust a file with"
    ) as caught:
        read_again(collections.defaultdict(function))
    assert "allow" not in str(caught.value)
    assert read_again([function], 4, [function]) == [function]


# Classes that are refused

CALLED = []


class HasReduce:
    def __reduce__(self):
        return HasReduce, ()


class HasReduceEx:
    def __reduce_ex__(self, protocol):
        return with_attribute, (Tag("NN"),)


class HasSetstate:
    def __setstate__(self, state):
        CALLED.append("__setstate__")


class HasGetnewargs:
    def __getnewargs__(self):
        return ()


class HasGetnewargsEx:
    def __getnewargs_ex__(self):
        return (), {"a": 1}

    def __new__(cls, a=1):
        CALLED.append("__new__")
        return object.__new__(cls)


class HasNew:
    def __new__(cls):
        CALLED.append("__new__")
        return object.__new__(cls)


class HasDel:
    def __del__(self):
        CALLED.append("__del__")


class Heir(HasSetstate):
    pass


class Failure(Exception):
    pass


class Matrix(np.ndarray):
    pass


class Permission(enum.Flag):
    READ = 1
    WRITE = 2


REFUSED = [
    (HasReduce, "HasReduce has __reduce__ of its own"),
    (HasReduceEx, "with_attribute would be called .for HasReduceEx."),
    (HasSetstate, "HasSetstate has __setstate__ of its own"),
    (HasGetnewargs, "HasGetnewargs has __getnewargs__ of its own"),
    (HasGetnewargsEx, "HasGetnewargsEx has __getnewargs_ex__ of its own"),
    (HasNew, "HasNew has __new__ of its own"),
    (HasDel, "HasDel has __del__ of its own"),
    (Heir, "Heir has __setstate__ of HasSetstate"),
    (Failure, "Failure has __reduce__ of BaseException"),
    (lambda: np.zeros(2).view(Matrix), "an array of class Matrix"),
    (lambda: functools.partial(int), "functools.partial has __reduce__ of its own"),
    (lambda: np.array([[1], None], dtype=object), "an array .2,. of object that has something else"),
    (lambda: np.zeros(2, "i4,f4"), "a dtype 'V8', which is not a plain one"),
    (lambda: Permission.READ | Permission.WRITE, "Permission has no member|builtins.getattr|enum.*_or_|_operator.or_"),
    (lambda: np.random.RandomState(1), "numpy.random.*would be called .*RandomState"),
    (lambda: type(None), "builtins.type would be called|builtins.type has"),
    (lambda: np.zeros(1).__reduce__()[0], "a function that pickles are made by, as a value"),
]


@pytest.mark.parametrize("make, reason", REFUSED, ids=[str(number) for number in range(len(REFUSED))])
def test_what_nobody_can_load_is_written_and_said_so(make, reason):
    file = io.BytesIO()
    problem = meta.write_record(file, meta.SavedObject(Holder, "/holder/", make()), {})
    assert re.search(reason, problem), problem
    assert pickle.loads(file.getvalue())[0] is Holder
    CALLED.clear()
    allow = [f"{__name__}.{name}" for name in globals()] + ["functools.partial", "builtins.type"]
    with pytest.raises(FileFormatError, match="object 0: "):
        of_pickle(file.getvalue(), allow)
    assert CALLED == []


def test_a_state_does_not_change_what_a_defaultdict_makes():
    content = hand_written(b"c%s\nDefaults\n)\x81N}X\x0f\x00\x00\x00default_factorycbuiltins\nint\ns\x86b")
    with pytest.raises(FileFormatError, match="a Defaults has no slot 'default_factory'"):
        of_pickle(content, [Defaults])


class Guarded:
    """Records every call made on it."""

    def __init__(self):
        CALLED.append("__init__")

    def __setattr__(self, name, value):
        CALLED.append("__setattr__")

    def __getattribute__(self, name):
        CALLED.append("__getattribute__")

    @property
    def other(self):
        return CALLED.append("getter")

    @other.setter
    def other(self, value):
        CALLED.append("setter")


STATES = [{"a": 1, "other": 2}, (None, {"other": 1}), (None, {"__dict__": {}}), (None, {"a": 1}), 5, {3: 4}, ({}, 5)]


@pytest.mark.parametrize("state", STATES, ids=str)
def test_a_state_calls_nothing_of_the_class(state):
    CALLED.clear()
    content = hand_written(b"c%s\nGuarded\n)\x81" + pickle.dumps(state, 2)[2:-1] + b"b")
    if state == STATES[0]:
        found = of_pickle(content, [Guarded])
        assert CALLED == []
        assert object.__getattribute__(found, "__dict__") == state
    else:
        with pytest.raises(FileFormatError, match="it is damaged, or more than plain data: .* Guarded"):
            of_pickle(content, [Guarded])
        assert CALLED == []


def test_what_is_allowed_may_be_nested_without_end():
    deep: list = []
    for _ in range(100_000):
        deep = [deep]
    for allow in (deep, {"module.Class": deep}):
        with pytest.raises(ArgumentTypeError, match="got list that is nested too deeply$"):
            allowed_by_name(allow)
