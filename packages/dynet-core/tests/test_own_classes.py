"""A program's own classes in files: what loading builds without `allow`, and what it refuses."""

import abc
import collections
import dataclasses
import enum
import os  # noqa: F401  (a file names it as this module's)
import pickle
import typing

import numpy as np
import pytest
from spec_checks import Holder, assert_same

import dynet_core as dy
from dynet_core import FileFormatError, ParameterCollection
from dynet_core.files import meta
from dynet_core.parameter import object_files

PROTOCOLS = range(2, pickle.HIGHEST_PROTOCOL + 1)
CALLED = []


def read(content, own=True):
    """The spec of the only object in a `.meta` file, loaded without `allow`."""
    (record,) = meta.read_records(content, "model.meta", {}, own)
    return record.spec


def read_again(value, protocol=4):
    return read(pickle.dumps((Holder, value, "/holder/"), protocol))


class Vocabulary:
    def __init__(self, *words):
        self.words, self.itself = list(words), self

    def __call__(self):
        CALLED.append("__call__")


class Shape(abc.ABC):
    @abc.abstractmethod
    def area(self): ...


class Square(Shape):
    side = 2

    def area(self):
        return self.side**2

    def __eq__(self, other):
        CALLED.append("__eq__")
        return type(other) is Square

    __hash__ = None


class Slots:
    __slots__ = ("a",)


class Words(dict): ...


class Tag(str): ...


Point = collections.namedtuple("Point", "x y")


class Span(typing.NamedTuple):
    start: int


class Color(enum.Enum):
    RED = 1


@dataclasses.dataclass
class Options:
    size: int
    rates: list


@dataclasses.dataclass(frozen=True)
class Rule:
    left: str


@dataclasses.dataclass(slots=True)
class SlottedOptions:
    size: int


@dataclasses.dataclass(frozen=True, slots=True)
class FrozenSlots:
    size: int
    kind: typing.ClassVar[str] = "frozen"
    rates: tuple = ()

    def __post_init__(self):
        CALLED.append("__post_init__")


class FrozenHeir(FrozenSlots):
    __slots__ = ()


class Level(enum.Enum):
    FIRST = Rule("S")


def function():
    CALLED.append("function")


def slots():
    made = Slots()
    made.a = [1]
    return made


OBJECTS = [
    Options(1, [Options(2, [])]), Rule("S"), SlottedOptions(3), FrozenSlots(1, (2,)), FrozenHeir(3),
    Point(1, [2]), Span(3), Color.RED, Words(a=[Tag("b")]),
    {Point(1, 2): Span(1), Color.RED: 1, Tag("NN"): 2}, {Span(1), (Color.RED, Tag("VB"))}, Square(),
    collections.defaultdict(list, {"a": [Rule("NP")]}),
]  # fmt: skip


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("value", OBJECTS, ids=lambda value: type(value).__name__)
def test_objects_of_own_classes_need_no_permission(value, protocol):
    CALLED.clear()
    found = read_again([value, value], protocol)
    assert CALLED == []
    assert_same(found, [value, value])


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_attributes_and_slots_come_back(protocol):
    found = read_again([Vocabulary("the"), slots()], protocol)
    assert found[0].words == ["the"] and found[0].itself is found[0] and found[1].a == [1]


def hand_written(made, first=b"c%h\nHolder\n"):
    """A `.meta` file whose spec is built by the given opcodes; %s in them is this module, %h the module of `Holder`."""
    content = first + made + b"X\x08\x00\x00\x00/holder/\x87."
    return content.replace(b"%s", __name__.encode()).replace(b"%h", Holder.__module__.encode())


@pytest.mark.parametrize(
    "made",
    [
        b"(i%s\nVocabulary\n}b", b"(c%s\nVocabulary\no}b", b"c%s\nVocabulary\n)\x81}b", b"c%s\nVocabulary\n)}\x92}b",
        b"c%s\nVocabulary\n)R}b", b"ccopyreg\n_reconstructor\n(c%s\nVocabulary\ncbuiltins\nobject\nNtR}b",
    ],
    ids=["INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "REDUCE", "_reconstructor"],
)  # fmt: skip
def test_all_opcodes_that_make_objects(made):
    found = read(hand_written(made))
    assert type(found) is Vocabulary and vars(found) == {}
    with pytest.raises(FileFormatError, match="Vocabulary is a class that you have not allowed; "):
        read(hand_written(made), own=False)


class HasReduce:
    def __reduce__(self):
        return HasReduce, ()


class HasSetstate:
    def __setstate__(self, state):
        CALLED.append("__setstate__")


class HasNew:
    def __new__(cls, *arguments):
        CALLED.append("__new__")
        return object.__new__(cls)


class HasDel:
    def __del__(self):
        CALLED.append("__del__")


class Heir(HasSetstate):
    def __init_subclass__(cls):
        CALLED.append("__init_subclass__")


class Meta(type):
    def __call__(cls, *arguments):
        CALLED.append("Meta.__call__")
        return type.__call__(cls, *arguments)

    def __getattribute__(cls, name):
        CALLED.append("Meta.__getattribute__")
        return type.__getattribute__(cls, name)

    def __hash__(cls):
        CALLED.append("Meta.__hash__")
        return 1

    def __instancecheck__(cls, instance):
        CALLED.append("Meta.__instancecheck__")
        return True


class Generated(typing.NamedTuple):
    path: str

    def __del__(self):
        CALLED.append("__del__")


class GeneratedToo(typing.NamedTuple):
    path: str

    def __setstate__(self, state):
        CALLED.append("__setstate__")


class Made(metaclass=Meta): ...


class MadeList(list, metaclass=Meta): ...


class MadeTuple(tuple, metaclass=Meta): ...


class MetaOfEnums(enum.EnumMeta):
    def __getattribute__(cls, name):
        CALLED.append("MetaOfEnums.__getattribute__")
        return type.__getattribute__(cls, name)


class MadeColor(enum.Enum, metaclass=MetaOfEnums):
    RED = 1


class Nameless:
    __module__ = property(lambda self: CALLED.append("__module__"))  # pyright: ignore


class Mine(dy.ParameterCollection):
    pass


class MyExpression(dy.Expression):
    pass


class Matrix(np.ndarray):
    pass


NEVER = {
    "HasReduce": "has __reduce__ of its own", "HasSetstate": "has __setstate__ of its own",
    "HasNew": "has __new__ of its own", "HasDel": "has __del__ of its own", "Heir": "has __setstate__ of HasSetstate",
    "Generated": "Generated has __del__ of its own", "GeneratedToo": "GeneratedToo has __setstate__ of its own",
    **dict.fromkeys(["Made", "MadeList", "MadeTuple", "MadeColor"], "is a class that you have not allowed; "),
    "Nameless": "Nameless has a __module__ that is not a name",
    "Meta": "has __new__ of type", "Mine": "", "MyExpression": "", "Matrix": "has __", "function": "would be called",
    "CALLED.append": "", "os.system": "would be called", "CALLED": "is not a class", "os": "is not a class",
    "Vocabulary.__call__": "would be called", "Vocabulary.__class__": "", "argparse.Action": "",
    "pickle.loads": "would be called", "nothing": "is in no module that is imported",
}  # fmt: skip


@pytest.mark.parametrize("name", NEVER)
@pytest.mark.parametrize("made", [b"%n)R}b", b"%n)\x81}X\x01\x00\x00\x00aK\x01sb", b"%n(K\x01tR", b"}%nK\x01s"])
def test_what_can_run_code_stays_refused(name, made):
    CALLED.clear()
    content = hand_written(made.replace(b"%n", f"c%s\n{name}\n".encode()))
    with pytest.raises(FileFormatError, match=f"object 0: .*{NEVER[name] if made[0] != ord('}') else ''}"):
        read(content)
    assert CALLED == []


class Shade(enum.Enum):
    DARK = 1

    def __getattribute__(self, name):
        CALLED.append("__getattribute__")
        return object.__getattribute__(self, name)


class AsProperty:
    @property
    def __class__(self):  # pyright: ignore
        CALLED.append("__class__")
        return type


class Guarded:
    def __getattribute__(self, name):
        CALLED.append("__getattribute__")
        return object.__getattribute__(self, name)


class Built(metaclass=Meta):
    from_spec = None


def test_no_attribute_of_a_member_is_asked_for():
    shade = Shade.DARK
    CALLED.clear()
    assert read(hand_written(b"c%s\nShade\nK\x01\x85R")) is shade
    for damaged in (b"}c%s\nShade\nK\x01\x85RK\x01s", b"c%s\nShade\nK\x02\x85R"):
        with pytest.raises(FileFormatError, match="Shade is a class that .* as a key|Shade has no member of this"):
            read(hand_written(damaged))
    assert CALLED == []


@pytest.mark.parametrize("kind", ["AsProperty", "Guarded"])
def test_an_object_where_a_class_should_be_is_not_asked(kind):
    CALLED.clear()
    with pytest.raises(FileFormatError, match="neither a parameter's name nor a class"):
        read(hand_written(f"0c%s\n{kind}\n)\x81N".encode("latin-1")))
    assert CALLED == []


def test_a_class_with_from_spec_is_no_key_if_its_metaclass_hashes_it():
    CALLED.clear()
    with pytest.raises(FileFormatError, match="Built is a class that you have not allowed as a key"):
        read(hand_written(b"}c%s\nBuilt\nNs"))
    assert CALLED == []


class Comparing:
    def __eq__(self, other):
        CALLED.append("__eq__")
        return True

    __hash__ = None


class Range(enum.Enum):
    SMALL = (Comparing(), "s")
    LISTED = [Comparing()]  # noqa: RUF012
    LARGE = ([1.5, "a", frozenset({1})], "l")


def test_no_value_of_a_member_compares_itself_with_data_of_a_file():
    CALLED.clear()
    for data in (b"X\x01\x00\x00\x00aX\x01\x00\x00\x00s\x86", b"]K\x01a", b"(K\x01K\x02t"):
        with pytest.raises(FileFormatError, match="Range has no member of this value"):
            read(hand_written(b"c%s\nRange\n" + data + b"\x85R"))
    assert read_again([Range.LARGE]) == [Range.LARGE]
    assert CALLED == []


@pytest.mark.parametrize("state", [b"]", b"]K\x01a", b"](K\x01K\x02K\x03e", b"]K\x01a\x85"])
def test_fields_of_a_frozen_dataclass_are_as_many_as_it_has(state):
    with pytest.raises(FileFormatError, match="object 0: "):
        read(hand_written(b"c%s\nFrozenSlots\n)\x81" + state + b"b"))


class Beside:
    from_spec = None


class Network(ParameterCollection):  # subclasses of the library's classes have no objects in specs, but may be values
    from_spec = None


@pytest.mark.parametrize("kind", [Beside, Network])
def test_only_classes_that_are_allowed_are_given_to_from_spec(kind):
    named = f"c%s\n{kind.__name__}\n".encode()
    assert read(hand_written(named, b"c%s\nOther\n")) is kind  # defined beside this class
    content = hand_written(named, b"c%s\nOther\n")
    with pytest.raises(FileFormatError, match=rf"{kind.__name__} is a class that .*allow=\[{kind.__name__}\]"):
        read(content, own=False)
    assert meta.read_records(content, "model.meta", {f"{__name__}.{kind.__name__}": kind}, False)[0].spec is kind
    decoy = hand_written(b"h\x00", named + b"q\x000c%h\nHolder\n")
    with pytest.raises(FileFormatError, match="belong to a different class than the one that takes them"):
        read(decoy)


KEYS = [{Rule("S"): 1}, {Rule("S")}, frozenset({Rule("S")}), {(1, (Rule("S"),)): 2}]


@pytest.mark.parametrize("value", KEYS, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_what_a_class_hashes_itself_is_no_key(value, protocol):
    with pytest.raises(FileFormatError, match=r"Rule is a class that you .* as a key, .* dy.load\(..., allow=\[Rule\]"):
        read_again(value, protocol)
    content = pickle.dumps((Holder, value, "/holder/"), protocol)
    (record,) = meta.read_records(content, "model.meta", {f"{__name__}.Rule": Rule}, True)
    assert record.spec == value


@pytest.mark.parametrize("key", [b"", b"(", b"(("], ids=["alone", "in a tuple", "deeper"])
def test_no_own_hash_or_comparison_runs(key):
    CALLED.clear()
    for made in (b"c%s\nSquare\n)\x81", b"c%s\nRule\n)\x81"):
        entry = key + made + b"t" * len(key)
        for content in (
            b"}" + entry + b"K\x01s",
            b"\x8f(" + entry + b"\x90",
            b"(" + entry + b"\x91",
            b"(" + entry + b"K\x01d",
        ):
            with pytest.raises(FileFormatError, match="as a key"):
                read(hand_written(content))
        # a member is looked up by value, which is compared with the values of all members
        with pytest.raises(FileFormatError, match="as a key"):
            read(hand_written(b"c%s\nLevel\n" + entry + b"\x85R"))
    assert CALLED == []


VALUES = [Vocabulary, [Vocabulary], {"a": Vocabulary}, {Vocabulary: 1}, (Color, 1), function, [function]]


@pytest.mark.parametrize("value", VALUES, ids=range(len(VALUES)))
def test_a_class_or_function_as_a_value_is_asked_for(value):
    with pytest.raises(FileFormatError, match=r"(Vocabulary|Color|function) is a .* you have not allowed.*allow=\["):
        read_again(value)
    found = pickle.dumps((Holder, value, "/holder/"))
    allow = {f"{__name__}.{one.__name__}": one for one in (Vocabulary, Color, function)}
    assert meta.read_records(found, "model.meta", allow, True)[0].spec == value


def test_a_factory_and_an_attribute_are_values():
    vocabulary = Vocabulary()
    vocabulary.words = Vocabulary
    for value in (collections.defaultdict(Vocabulary), vocabulary, Point(Vocabulary, 1)):
        with pytest.raises(FileFormatError, match="Vocabulary is a class that you have not allowed as a value; if "):
            read_again(value)


@pytest.mark.parametrize("kind", [__name__ + "\nVocabulary", "argparse\nNamespace"])
def test_an_attribute_is_refused_even_if_the_state_has_lost_it(kind):
    made = b"c" + kind.encode() + b"\n)\x81}q\x01X\x01\x00\x00\x00ac%s\nVocabulary\nsbh\x01X\x01\x00\x00\x00aNs0"
    with pytest.raises(FileFormatError, match="Vocabulary is a class that you have not allowed as a value"):
        read(hand_written(made))


def test_the_class_that_takes_the_objects_is_the_one_that_was_looked_at():
    """A file cannot get one class checked and then build objects of another."""
    named = hand_written(b"c%s\nVocabulary\n)\x81", first=b"c%h\nHolder\n0c%s\nOther\n")
    with pytest.raises(FileFormatError, match="belong to a different class than the one that takes them"):
        read(named)
    with pytest.raises(FileFormatError, match="Vocabulary is a class that you have not allowed"):
        read(hand_written(b"c%s\nVocabulary\n)\x81", first=b"c_dynet\nParameterCollection\n0c%h\nHolder\n"))


class Other:
    from_spec = None


# Saving, and the setting


class Layer:
    """A user-defined class with parameters."""

    def __init__(self, model, value):
        self.collection, self.spec = model.add_subcollection("layer"), value

    def param_collection(self):
        return self.collection

    @staticmethod
    def from_spec(spec, model):
        return Layer(model, spec)


def test_own_objects_are_saved_and_loaded_without_a_word(fresh, tmp_path):
    base = str(tmp_path / "model")
    dy.save(base, [Layer(ParameterCollection(), Vocabulary("the"))])
    (layer,) = dy.load(base, ParameterCollection())
    assert layer.spec.words == ["the"]
    fresh.set_own_classes(False)
    with pytest.raises(FileFormatError, match="Vocabulary is a class that you have not allowed; if this file"):
        dy.load(base, ParameterCollection())
    with pytest.raises(dy.ArgumentTypeError, match="set_own_classes: own_classes must be True or False"):
        fresh.set_own_classes("no")


ASKED = {
    "class": ([Vocabulary], r"Vocabulary is a class that you have not allowed as a value; .*allow=\[Vocabulary\]"),
    "function": ([function], r"function is a function that you have not allowed; .*allow=\[function\]"),
    "key": ({Rule("S"): 1}, r"Rule is a class that you have not allowed as a key, .*allow=\[Rule\]"),
}


@pytest.mark.parametrize("what", ASKED)
def test_saving_says_what_loading_will_ask_for(what, fresh, tmp_path):
    value, said = ASKED[what]
    base, layer = str(tmp_path / "model"), Layer(ParameterCollection(), value)
    with pytest.warns(UserWarning, match="save: the files are complete, but load will ask for a permission: .*" + said):
        dy.save(base, [layer])
    with pytest.raises(FileFormatError, match=said):
        dy.load(base, ParameterCollection())
    allow = [Vocabulary, function, Rule]
    assert dy.load(base, ParameterCollection(), allow=allow)[0].spec == value
    object_files._warn.cache_clear()
    fresh.set_allow(allow)
    dy.save(base, [layer])  # no notice if all files may use the class
    assert dy.load(base, ParameterCollection())[0].spec == value


class Asked:
    """Records every access to it."""

    def __getattr__(self, name):
        CALLED.append(name)
        return "__name__"

    def __eq__(self, other):
        CALLED.append("__eq__")
        return True

    __hash__ = None

    def __iter__(self):
        CALLED.append("__iter__")
        return iter((1, 2))

    def __len__(self):
        CALLED.append("__len__")
        return 2

    def __bool__(self):
        CALLED.append("__bool__")
        return False

    def __index__(self):
        CALLED.append("__index__")
        return 0


OBJECT = b"c%s\nAsked\n)\x81"
BYTES = b"cnumpy\ndtype\nX\x02\0\0\0u1\x89\x88\x87R"
DATES = b"cnumpy\ndtype\nX\x02\0\0\0M8\x89\x88\x87R(K\x04X\x01\0\0\0<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0}("
WHERE_DATA_SHOULD_BE = {
    "an array's class": b"cnumpy.core.multiarray\n_reconstruct\n%oK\0C\x01b\x87R",
    "an array's order": b"cnumpy.core.numeric\n_frombuffer\n(C\x01a" + BYTES + b"K\x01\x85%otR",
    "an array's axes": b"cnumpy.core.numeric\n_frombuffer\n(C\x01a" + BYTES + b"K\x01\x85X\x01\0\0\0K%otR",
    "one of the axes": b"cnumpy.core.numeric\n_frombuffer\n(C\x01a" + BYTES + b"K\x01\x85X\x01\0\0\0K%o\x85tR",
    "a dtype's order": BYTES + b"(K\x03%oNNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb",
    "a dtype's state": BYTES + b"(K\x03X\x01\0\0\0|%oNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb",
    "a unit of time": DATES + b"%oK\x01K\x01K\x01t\x86tb",
    "how many of them": DATES + b"C\x01DK\x01%oK\x01t\x86tb",
    "a pair": b"ccollections\nOrderedDict\n]%oa\x85R",
    "a named tuple's values": b"ccopyreg\n_reconstructor\nc%s\nPoint\ncbuiltins\ntuple\n%o\x87R",
    "arguments with names": b"ccollections\nOrderedDict\n)%o\x92",
}


@pytest.mark.parametrize("where", WHERE_DATA_SHOULD_BE)
def test_an_object_where_data_should_be_is_not_asked(where):
    CALLED.clear()
    with pytest.raises(FileFormatError, match="object 0: it is damaged, or more than plain data"):
        read(hand_written(WHERE_DATA_SHOULD_BE[where].replace(b"%o", OBJECT)))
    assert CALLED == []
