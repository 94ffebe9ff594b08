"""Small files that would take hours, exhaust memory or crash Python are refused."""

import collections
import dataclasses
import gc
import pickle
import resource

import pytest

from dynet_core import FileFormatError
from dynet_core.files import meta
from dynet_core.files.names import allowed_by_name

HERE = __name__.encode()
MANY = 30_000
CRASH = 100_000  # freeing defaultdicts and deques that are nested this deeply crashes Python
NAME = b"X\x01\x00\x00\x00a"  # the opcodes of the string "a"


class Holder:
    from_spec = None


class Object:
    pass


class Slots:
    __slots__ = ("a",)


class Words(dict):
    pass


Pair = collections.namedtuple("Pair", "x y")


@dataclasses.dataclass(frozen=True)
class Rule:
    left: object
    right: object


ALLOWED = allowed_by_name([Object, Slots, Words, Pair, Rule])


def read(opcodes):
    """The spec of a file whose object has it."""
    content = b"c" + HERE + b"\nHolder\n" + opcodes + b"X\x08\x00\x00\x00/holder/\x87."
    (record,) = meta.read_records(content, "model.meta", ALLOWED)
    return record.spec


def known(module, name):
    """Opcodes that memoize a class as number 0, for use by `h\\0`."""
    return b"c" + module + b"\n" + name + b"\nq\x000"


# Nested


def nested(n):
    """Containers of each kind, nested n deep, by name."""
    outwards = known(b"collections", b"defaultdict") + b"h\0)Rq\x01q\x020"
    return {
        "list": b"]" * n + b"a" * (n - 1),
        "tuple": b")" + b"\x85" * n,
        "dict": b"}N" * n + b"N" + b"s" * n,
        "frozenset": b"(" * n + b"N" + b"\x91" * n,
        "OrderedDict": known(b"collections", b"OrderedDict") + b"h\0)RN" * n + b"N" + b"s" * n,
        "defaultdict": known(b"collections", b"defaultdict") + b"h\0)RN" * n + b"N" + b"s" * n,
        "defaultdict, from outside": outwards + b"h\x01h\0)Rq\x010Nh\x01s0" * n + b"h\x02",
        "deque": known(b"collections", b"deque") + b"h\0)R" * n + b"a" * (n - 1),
        "Words": known(HERE, b"Words") + b"h\0)\x81N" * n + b"N" + b"s" * n,
        "Pair": known(HERE, b"Pair") + b"h\0N" * n + b"N" + b"\x86\x81" * n,
    }


@pytest.mark.few(each=10)
@pytest.mark.parametrize("kind", nested(0))
def test_containers_that_are_nested_without_end(kind):
    opcodes = nested(CRASH if kind.startswith("de") else 5000)[kind]
    with pytest.raises(FileFormatError, match="nested too deeply"):
        read(opcodes)
    with pytest.raises(FileFormatError, match="opcode EXT1|nested too deeply"):
        read(opcodes[: -len(opcodes) // 10] + b"\x82\x01")
    gc.collect()


@pytest.mark.parametrize(
    "opcodes",
    [
        known(HERE, b"Object") + (b"h\0)\x81}" + NAME) * MANY + b"N" + b"sb" * MANY,
        known(HERE, b"Slots") + (b"h\0)\x81N}" + NAME) * MANY + b"N" + b"s\x86b" * MANY,
    ],
    ids=["dict", "slots"],
)
def test_a_chain_of_objects_may_be_long(opcodes):
    found, count = read(opcodes), 0
    while found is not None:
        found, count = found.a, count + 1
    assert count == MANY


def doubled(make, levels):
    """A value that holds a value of half its depth twice, and so on: few bytes, but 2 ** levels steps to traverse."""
    value = make(1, 2)
    for _ in range(levels):
        value = make(value, value)
    return value


@pytest.mark.parametrize("make", [lambda x, y: (x, y), lambda x, y: [x, y], lambda x, y: {1: x, 2: y}, Pair])
def test_values_with_too_many_ways_to_them(make):
    with pytest.raises(FileFormatError, match="nested too deeply"):
        read(pickle.dumps(doubled(make, 60), 2)[2:-1])


def test_lists_that_hold_each_other():
    lists: list = [[] for _ in range(30)]
    for one in lists:
        one.extend(lists)
    with pytest.raises(FileFormatError, match="nested too deeply"):
        read(pickle.dumps(lists, 2)[2:-1])


def test_objects_that_hold_each_other_are_no_harm():
    objects = [Object() for _ in range(100)]
    for one in objects:
        one.others = objects
    assert read(pickle.dumps(objects, 2)[2:-1])[5].others[7].others[99].others[0].others[5] is not None


# Keys


def as_key(opcodes):
    return b"}" + opcodes + b"Ns"


@pytest.mark.parametrize("levels", [60, 400])
def test_keys_that_take_long_to_hash(levels):
    tuples = b"K\x01\x85" + b"2\x86" * levels
    rule = b"c" + HERE + b"\nRule\n)\x81}(X\x04\0\0\0leftq\x05h\x01X\x05\0\0\0rightq\x06h\x01ub"
    rules = b"Nq\x010" + (rule + b"q\x010") * levels + b"h\x01"
    pairs = b"Nq\x010" + b"(h\x01h\x01h\x01K\x01\x86\x91q\x010" * levels + b"h\x01"
    for opcodes in (tuples, rules, pairs):
        with pytest.raises(FileFormatError, match="nested too deeply"):
            read(as_key(opcodes))


@pytest.mark.parametrize(
    "use", [b"}%sNs", b"}(%sNu", b"(%sNd", b"\x8f(%s\x90", b"(%s\x91", b"cbuiltins\nset\n](%se\x85R"]
)
def test_all_ways_to_make_a_key(use):
    with pytest.raises(FileFormatError, match="a key is nested too deeply"):
        read(use % (b")" + b"\x85" * 600))


@pytest.mark.parametrize("opcodes", [b")" + b"\x85" * MANY, b"(" * 600 + b"N" + b"\x91" * 600])
def test_keys_that_are_nested_too_deeply_to_hash(opcodes):
    with pytest.raises(FileFormatError, match="a key is nested too deeply"):
        read(as_key(opcodes))


def test_a_long_number_that_is_hashed_again_and_again():
    number = b"\x8b" + MANY.to_bytes(4, "little") + b"\x01" * MANY + b"q\x010"
    with pytest.raises(FileFormatError, match="nested too deeply"):
        read(number + b"(" + b"}h\x01Ns" * MANY + b"l")


def alike():
    """Values with equal hashes, of three kinds."""
    yield [tuple(-1 - (number >> bit & 1) for bit in range(12)) for number in range(1500)]
    yield [number * (2**61 - 1) for number in range(1, 1500)]
    yield [complex(10**12 - 1000003 * number, number) for number in range(1, 1500)]


@pytest.mark.parametrize("number", range(3))
def test_keys_with_the_same_hash(number):
    values = list(alike())[number]
    assert len({hash(value) for value in values}) == 1
    for value in (dict.fromkeys(values), set(values), frozenset(values), collections.OrderedDict.fromkeys(values)):
        for protocol in (2, 4):
            content = pickle.dumps(value, protocol)[2:-1]
            with pytest.raises(FileFormatError, match="more than 1000 keys have the same hash"):
                read(content.partition(b"\x95")[2][8:] if protocol == 4 else content)
    few = set(values[:900])
    assert read(pickle.dumps(few, 2)[2:-1]) == few


def test_the_same_keys_in_many_containers():
    key = (1, "a")
    assert read(pickle.dumps([{key: number} for number in range(3000)], 2)[2:-1])[2999] == {key: 2999}


# Copies

NUMBERS = [b"M" + number.to_bytes(2, "little") for number in range(30_000)]
ITEMS = b"](" + b"".join(NUMBERS) + b"eq\x010"
PAIRS = b"}(" + b"N".join(NUMBERS) + b"Nuq\x010"
BYTES = b"B" + MANY.to_bytes(4, "little") + b"\0" * MANY + b"q\x010"
TEXT = b"X" + MANY.to_bytes(4, "little") + b"a" * MANY + b"q\x010"
ARRAY = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85C\x01b\x87R"
DTYPE = b"cnumpy\ndtype\nX\x02\0\0\0u1\x89\x88\x87R"
SHAPE = b"J" + MANY.to_bytes(4, "little") + b"\x85"
COPIES = {
    "set": ITEMS + b"(" + b"c__builtin__\nset\nh\x01\x85R" * MANY,
    "deque": ITEMS + b"(" + b"ccollections\ndeque\nh\x01\x85R" * MANY,
    "Counter": PAIRS + b"(" + b"ccollections\nCounter\nh\x01\x85R" * MANY,
    "dict": PAIRS + b"(" + known(HERE, b"Words") + b"h\0h\x01\x85R" * MANY,
    "state": known(HERE, b"Object") + b"}(" + b"".join(b"X\x04\0\0\0%04dN" % n for n in range(9999)) + b"uq\x010("
    + b"h\0)\x81h\x01b" * MANY,
    "bytes": TEXT + b"X\x06\0\0\0latin1q\x020(" + b"c_codecs\nencode\nh\x01h\x02\x86R" * MANY,
    "bytearray": BYTES + b"(" + b"cbuiltins\nbytearray\nh\x01\x85R" * MANY,
    "array": BYTES + DTYPE + b"q\x020(" + (ARRAY + b"(K\x01" + SHAPE + b"h\x02\x89h\x01tb") * MANY,
    "buffer": BYTES + DTYPE + b"q\x020("
    + (b"cnumpy.core.numeric\n_frombuffer\n(h\x01h\x02" + SHAPE + b"X\x01\0\0\0CtR") * MANY,
}  # fmt: skip


@pytest.mark.parametrize("kind", COPIES)
def test_what_is_copied_again_and_again(kind):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(FileFormatError, match="it copies the same data again and again"):
        read(COPIES[kind] + b"l")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000  # kilobytes


def test_a_file_has_one_bound_for_all_its_objects():
    record = pickle.dumps((Holder, doubled(lambda x, y: (x, y), 10), "/holder/"))
    meta.read_records(record * 10, "model.meta", {})
    with pytest.raises(FileFormatError, match=r"object \d\d\d: .*nested too deeply"):
        meta.read_records(record * 1000, "model.meta", {})


# What a pickle can hide: it changes a dict after an object took its attributes from it, or drops what it has built

DEQUES = known(b"collections", b"deque") + b"h\0)R" * CRASH + b"a" * (CRASH - 1)
LISTS = b"]q\x050" + b"]h\x05ah\x05aq\x050" * 60 + b"h\x05"


@pytest.mark.parametrize("inner", [DEQUES, LISTS], ids=["deep", "shared"])
@pytest.mark.parametrize(
    "use",
    [
        b"cargparse\nNamespace\n)\x81}q\x01" + NAME + b"%ssbh\x01" + NAME + b"Ns0",
        known(HERE, b"Slots") + b"h\0)\x81N}q\x01" + NAME + b"%ss\x86bh\x01" + NAME + b"Ns0",
    ],
    ids=["attributes", "slots"],
)
def test_what_an_object_holds_counts_and_not_what_its_state_has_become(use, inner):
    with pytest.raises(FileFormatError, match="nested too deeply"):
        read(use % inner)
    gc.collect()


def test_what_a_pickle_drops_is_freed_too():
    with pytest.raises(FileFormatError, match="nested too deeply"):
        read(DEQUES + b"0N")
    gc.collect()


@pytest.mark.parametrize("levels", [60, 400])
def test_the_state_of_a_key_counts_even_if_changed(levels):
    rule = b"c" + HERE + b"\nRule\n)\x81}q\x02(X\x04\0\0\0leftq\x05h\x01X\x05\0\0\0rightq\x06h\x01ub"
    rule += b"h\x02(h\x05Nh\x06Nu0"
    with pytest.raises(FileFormatError, match="nested too deeply"):
        read(as_key(b"Nq\x010" + (rule + b"q\x010") * levels + b"h\x01"))
