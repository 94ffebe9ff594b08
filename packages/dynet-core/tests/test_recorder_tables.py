"""Lookup tables of recording functions: growth, colliding keys, and keys that are entered twice.

The functions are made up for these tests; their records are inspected and never computed.
"""

import ctypes

import pytest

from dynet_core import recorder, renew_cg
from dynet_core.dim import Dim
from dynet_core.graph import current
from dynet_core.graph.record import pinned
from dynet_core.recorder import commit, function
from dynet_kernels.recorder.words import FUNCTION, LIST_KEY_SIZE, MOST_KEYED, ROW, array_key

compiled_only = pytest.mark.skipif(recorder.DESCRIPTION != "compiled", reason="the recorder in Python has no tables")
RESULT = Dim.of((1,))
FIRST_SIGNATURE = 1 << 40  # signatures of the tests' rows, chosen to stand out among other integers


@pytest.fixture(autouse=True)
def graph():
    """A graph whose records are never computed."""
    renew_cg()
    yield current()
    renew_cg()


class Slow:
    """The Python function of a recording function: it enters each call's key under a new signature."""

    def __init__(self, kind, key_of, integers_of):
        self.calls, self.key_of, self.integers_of, self.limit = 0, key_of, integers_of, 0
        self.record = function(kind, lambda *operands: self(*operands))

    def __call__(self, *operands):
        signature, self.calls = FIRST_SIGNATURE + self.calls, self.calls + 1
        self.record.enter(self.key_of(*operands), signature, RESULT, self.limit)
        return commit(RESULT, 1, (signature,), self.integers_of(*operands), current().records.version)


def one():
    return Slow("one", lambda x: (x.type,), lambda x: (x,))


def stretch():
    return Slow("stretch", lambda x, start, stop: (x.type, stop - start), lambda x, start, stop: (x, start))


def node(*sizes):
    """A node with these dimensions."""
    return commit(Dim.of(sizes), 1, (0,), (), current().records.version)


def newest(count):
    """The most recently recorded integers."""
    return current().records.integers()[-count:]


def word(record, name):
    return ctypes.c_int64.from_address(id(record) + 8 * FUNCTION[name]).value


def taken(record):
    """The occupied rows of a function's table, in order."""
    width, rows = word(record, "key_size") + len(ROW), word(record, "mask") + 1
    table = (ctypes.c_int64 * (rows * width)).from_address(word(record, "table"))
    return [bool(first) for first in table[::width]]


def longest_run(flags):
    longest = run = 0
    for flag in flags:
        run = run + 1 if flag else 0
        longest = max(longest, run)
    return longest


@compiled_only
def test_a_hundred_thousand_dims_are_each_found_again():
    op, many = one(), 100_000
    xs = [node(2 + k % 1000, 2 + k // 1000) for k in range(many)]
    for x in xs:
        op.record(x)
    assert op.calls == many
    for x in xs:
        assert op.record(x).type is RESULT
    assert op.calls == many  # each key is known
    expected = [number for k, x in enumerate(xs) for number in (FIRST_SIGNATURE + k, x.at)]
    assert newest(2 * many) == expected
    rows = taken(op.record)
    assert sum(rows) == word(op.record, "used") == many
    assert 2 * many <= len(rows) <= 8 * many
    assert longest_run(rows) < 400  # rows that a lookup may pass: no part of the table is crowded


@compiled_only
def test_a_hundred_thousand_numbers_are_each_found_again():
    """Keys that are consecutive numbers, beside a Dim."""
    op, many = (
        Slow("stretch", lambda x, start, stop: (x.type, stop - start), lambda x, start, stop: (x, start)),
        100_000,
    )
    op.limit = many + 1
    x = node(7)
    for turn in range(2):
        for length in range(1, many + 1):
            op.record(x, 0, length)
        assert op.calls == many, turn
    assert newest(3) == [FIRST_SIGNATURE + many - 1, x.at, 0]
    assert longest_run(taken(op.record)) < 400


@compiled_only
def test_a_key_that_begins_like_another_one_does_not_replace_it():
    """A size of 0 looks like the unused words at the end of a key."""
    op = Slow("array", lambda key: key, lambda key: ())
    keys = [(3, size, last) for size in range(1, 200) for last in (7, 0)]
    for key in keys:
        op.record.enter(key + (0, 0), FIRST_SIGNATURE, RESULT)
    assert word(op.record, "used") == sum(taken(op.record)) == len(keys)


@compiled_only
@pytest.mark.parametrize("kind", ["one", "two", "many", "number", "index", "stretch", "vector"])
def test_every_kind_knows_a_key_the_second_time(kind):
    x, y = node(3), node(4, 2)
    arguments, key_of, integers_of = {
        "one": ((x,), lambda x: (x.type,), lambda x: (x,)),
        "two": ((x, y), lambda x, y: (x.type, y.type), lambda x, y: (x, y)),
        "many": (([x, y, x],), lambda xs: tuple(x.type for x in xs), lambda xs: xs),
        "number": ((x, 2.5), lambda x, c: (x.type,), lambda x, c: (x, pinned().take((c,)))),
        "index": ((x, 2), lambda x, k: (x.type,), lambda x, k: (x, k)),
        "stretch": ((x, 1, 3), lambda x, a, b: (x.type, b - a), lambda x, a, b: (x, a)),
        "vector": (([2.5, 1],), lambda v: array_key((len(v),)), lambda v: (pinned().take(v),)),
    }[kind]
    op = Slow(kind, key_of, integers_of)
    op.limit = 0 if kind == "many" else 3
    first, begin = op.record(*arguments), current().records.length
    second, length = op.record(*arguments), current().records.length
    assert op.calls == 1 and second.at == first.at + 1 and second.type is first.type is RESULT
    integers = current().records.integers()
    before, after = integers[2 * begin - length : begin], integers[begin:]
    if kind in ("number", "vector"):  # the numbers are added to the inputs again
        assert current().records.floats(before.pop(), 1) == current().records.floats(after.pop(), 1) == 2.5
    assert before == after


@compiled_only
def test_a_key_in_another_order_is_another_key():
    op = Slow("two", lambda x, y: (x.type, y.type), lambda x, y: (x, y))
    x, y = node(3), node(4)
    for turn in range(2):
        for pair in ((x, y), (y, x), (x, x), (y, y)):
            op.record(*pair)
        assert op.calls == 4, turn
    assert newest(12)[::3] == [FIRST_SIGNATURE + k for k in range(4)]


@compiled_only
@pytest.mark.parametrize("count", [*range(1, MOST_KEYED + 4), 1000])
def test_lists_are_told_apart_by_length_and_by_each_dim(count):
    """Long lists are known only if all their Dims are the same; otherwise the Python function records them."""
    op = Slow("many", lambda xs: tuple(x.type for x in xs), lambda xs: xs)
    x, y = node(3), node(4)
    lists = [[x] * count, [x] * (count + 1), [y] * count]
    if count > 1:
        lists += [[*[x] * (count - 1), y], [y, *[x] * (count - 1)]]
    known = [xs for xs in lists if len(xs) <= MOST_KEYED or len(set(xs)) == 1]
    for xs in lists:
        op.record(xs)
    assert op.calls == len(lists)
    for xs in lists:
        op.record(xs)
        op.record(tuple(xs))
    assert op.calls == len(lists) + 2 * (len(lists) - len(known))
    assert op.record(known[0]).type is RESULT
    assert newest(count + 1) == [FIRST_SIGNATURE, *[x.at] * count]
    assert LIST_KEY_SIZE == MOST_KEYED + 1


@compiled_only
def test_keys_that_hash_to_one_place_are_both_found():
    """A number's hash is the exclusive or of its halves."""
    op = stretch()
    op.limit = 1 << 50
    x, lengths = node(7), [(k << 32) + (3 ^ k) for k in range(40)]
    for turn in range(3):
        for length in lengths:
            op.record(x, 0, length)
        assert op.calls == len(lengths), turn
        assert newest(3 * len(lengths))[::3] == [FIRST_SIGNATURE + k for k in range(len(lengths))]
    assert longest_run(taken(op.record) * 2) >= len(lengths)  # they do collide


@compiled_only
def test_a_key_entered_again_takes_no_other_row():
    """For example after an interrupt between the entry and the Python function's bookkeeping: the newest row counts."""
    op, x = one(), node(5)
    for k in range(50):
        op.record.enter((x.type,), FIRST_SIGNATURE + k, RESULT)
        assert word(op.record, "used") == sum(taken(op.record)) == 1
        op.record(x)
        assert op.calls == 0 and newest(2) == [FIRST_SIGNATURE + k, x.at]


@compiled_only
def test_functions_have_tables_of_their_own():
    ops, x = [one() for _ in range(20)], node(6)
    for turn in range(2):
        for op in ops:
            op.record(x)
        assert [op.calls for op in ops] == [1] * len(ops), turn


@compiled_only
def test_what_is_unusual_is_not_taken_for_what_is_known():
    """Each call reaches the Python function despite the row, and leaves nothing behind if that function refuses."""
    renew_cg()
    old = node(3)
    renew_cg()
    op, x = Slow("index", lambda x, k: (x.type,), lambda x, k: (x, k)), node(3)
    op.limit = 3
    op.record(x, 0)
    length = current().records.length
    for arguments in (
        (x, 3), (x, -1), (x, 1 << 63), (x, 1 << 200), (x, -(1 << 63)), (x, True), (x, 1.0), (x, None), (old, 1),
        (3, x), (None, 0), (object(), 0),
    ):  # fmt: skip
        seen = []
        refuse = function("index", lambda *given, seen=seen: seen.append(given))
        refuse.enter((x.type,), FIRST_SIGNATURE, RESULT, 3)
        assert refuse(*arguments) is None
        assert seen == [arguments]
        assert current().records.length == length
    for arguments in ((), (x,), (x, 0, 0)):
        with pytest.raises(TypeError):
            op.record(*arguments)
    assert current().records.length == length
