"""Records are read from Python's lists by compiled code, or packed where that cannot."""

import ctypes
import struct
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dynet_core import stored_ints
from dynet_core.device import compiled
from dynet_core.engine import SMALL, Engine
from dynet_kernels import layout as at

SMALL_ENOUGH = st.integers(1 - (1 << 60), (1 << 60) - 1)
ANY = st.one_of(st.integers(-5, 300), SMALL_ENOUGH, st.integers(-(1 << 63), (1 << 63) - 1))
AS_KNOWN = pytest.mark.skipif(not stored_ints.STORED, reason="this Python does not store ints as is known of CPython")


@pytest.fixture(scope="module")
def engine():
    made = Engine()
    made.machine = compiled()
    made._grow_records(1 << 14)
    return made


def packed(engine, numbers, begin=0):
    """What stands where the planner reads records begin.. of a list."""
    engine.buffers["fresh"][:] = -1
    engine._pack(numbers, begin, len(numbers))
    assert (engine.buffers["fresh"][:begin] == -1).all()
    assert (engine.buffers["fresh"][len(numbers) :] == -1).all()
    return engine.buffers["fresh"][begin : len(numbers)].tolist()


@given(numbers=st.lists(ANY, min_size=1, max_size=40), repeated=st.integers(1, 40), begin=st.integers(0, 300))
@settings(deadline=None)
def test_lists_of_any_length_are_written_as_struct_packs_them(engine, numbers, repeated, begin):
    numbers = numbers * repeated
    begin = min(begin, len(numbers))
    expected = struct.unpack(f"{len(numbers)}q", struct.pack(f"{len(numbers)}q", *numbers))
    assert packed(engine, numbers, begin) == list(expected[begin:])


@AS_KNOWN
def test_compiled_code_reads_what_has_two_digits(engine):
    numbers = stored_ints.SAMPLES * SMALL
    engine.buffers["fresh"][:] = -1
    assert engine._read(numbers, 3, len(numbers) - 5)
    assert engine.buffers["fresh"][: len(numbers)].tolist() == [-1] * 3 + numbers[3:-5] + [-1] * 5


def zeros_without_digits():
    """Zeros that are objects of their own, whose digit, which no code may look at, may hold anything."""
    make = ctypes.pythonapi._PyLong_New
    make.restype, make.argtypes = ctypes.py_object, [ctypes.c_ssize_t]
    made = [make(0) for _ in range(SMALL)]
    for zero in made:  # the room for it is there: memory comes in pieces of 16 bytes
        ctypes.c_int32.from_address(id(zero) + 4 * at.INT_DIGITS).value = 12345
    return made


@AS_KNOWN
def test_a_zero_is_zero_whatever_its_digit_says(engine):
    numbers = zeros_without_digits()
    assert [stored_ints.read(number, stored_ints.STORED) for number in numbers] == [0] * SMALL
    assert packed(engine, [5, *numbers]) == [5] + [0] * SMALL


@AS_KNOWN
@pytest.mark.parametrize("other", [1 << 60, -(1 << 62), True, np.int64(7)], ids=repr)
@pytest.mark.parametrize("place", [0, 100, SMALL])
def test_what_it_cannot_read_is_packed(engine, other, place):
    numbers = list(range(-3, SMALL))
    numbers[place] = other
    assert not engine._read(numbers, 0, len(numbers))
    assert packed(engine, numbers) == [int(number) for number in numbers]
    numbers[place] = 1
    assert engine._read(numbers, 0, len(numbers))


def test_what_is_no_number_is_refused(engine):
    with pytest.raises(struct.error):
        packed(engine, ["1", *range(SMALL)])
    with pytest.raises(struct.error):
        packed(engine, [1 << 63, *range(SMALL)])


def test_a_python_that_stores_ints_otherwise(engine, monkeypatch):
    monkeypatch.setattr(stored_ints, "STORED", 0)
    numbers = list(range(-SMALL, SMALL))
    assert not engine._read(numbers, 0, len(numbers))
    assert packed(engine, numbers, 7) == numbers[7:]


@pytest.mark.parametrize("what, value", [("word", lambda address, place: 0), ("INT_TYPE", 0)])
def test_a_difference_is_found(monkeypatch, what, value):
    monkeypatch.setattr(stored_ints, what, value)
    assert stored_ints._stored() == 0


def test_a_list_that_cannot_be_packed_leaves_nothing_known(engine):
    engine._pack([1, 2, 3], 0, 3)
    assert engine.known == [1, 2, 3]
    with pytest.raises(struct.error):
        engine._pack(["1", *range(SMALL)], 0, SMALL + 1)
    assert engine.known == []


def test_cpython_is_known():
    """Of a usual build, it is a defect if this Python's ints are not: all would be right, but slower."""
    usual = sys.implementation.name == "cpython" and (list.__basicsize__, int.__basicsize__) == (40, 24)
    expected = at.SIGNED_LENGTH if sys.version_info < (3, 12) else at.TAGGED_LENGTH
    assert stored_ints.STORED == (expected if usual else 0)
