"""Argument checks: which values are accepted as whole numbers."""

import decimal
import fractions

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynet_core import ArgumentError, ArgumentTypeError, OutOfRangeError
from dynet_core.checks import checked_indices, whole


class OwnInt(int):
    pass


@given(st.integers(-(2**24), 2**24))
def test_every_type_of_number_that_is_whole(n):
    types = [int, OwnInt, float, np.float64, np.float32, np.longdouble, np.int32, np.int64, np.array]
    arrays = [np.array(n, np.float32), np.array([n]), np.array([[n]], np.float64)]
    for number in [kind(n) for kind in types] + arrays:
        found = whole("op", "n", number)
        assert found == n and type(found) is int


@pytest.mark.parametrize("kind", [bool, np.bool_, np.array])
def test_truth_values_are_one_and_zero(kind):
    for value in (True, False):
        found = whole("op", "n", kind(value))
        assert found == value and type(found) is int


def test_floats_beyond_the_ints_that_float64_tells_apart():
    assert whole("op", "n", 1e39) == int(1e39)


@given(st.floats().filter(lambda x: not x.is_integer()))
def test_other_floats_are_refused_with_their_value(x):
    for value in (x, np.float64(x), np.array(x)):
        with pytest.raises(ArgumentError) as caught:
            whole("op", "n", value)
        assert str(caught.value) == f"op: n must be a whole number, not {value!r:.40}"


WRONG = [
    None, "2", b"2", 2j, [2], (2,), {2}, np.array([2, 2]), np.array([]), np.array("2"), np.array(["2"]), np.array(None),
    np.complex64(2), np.datetime64("2020"), decimal.Decimal(2), fractions.Fraction(2), NotImplemented, np.ones((1, 2)),
]  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG, ids=repr)
def test_what_is_no_number_is_refused(wrong):
    with pytest.raises(ArgumentTypeError, match="op: n must be an int, not "):
        whole("op", "n", wrong)


@pytest.mark.parametrize(
    "indices",
    [
        [2, 0],
        (2, 0),
        [2.0, False],
        np.array([2, 0]),
        np.array([2.0, 0.0]),
        np.array([2, 0], np.uint8),
        range(2, -1, -2),
    ],
    ids=repr,
)
def test_indices_become_a_list_of_ints(indices):
    found = checked_indices("op", indices, 3, "x")
    assert found == [2, 0] and {type(index) for index in found} == {int}


def test_truth_values_as_indices():
    assert checked_indices("op", np.array([True, False]), 2, "x") == [1, 0]


@pytest.mark.parametrize(
    "indices, error",
    [
        ([0, 3], OutOfRangeError), (np.array([0, -1]), OutOfRangeError), ([0, 3.0], OutOfRangeError),
        ([], ArgumentError), (np.array([]), ArgumentError), ([0.5], ArgumentError), (np.array([0.5]), ArgumentError),
        (np.array([np.nan]), ArgumentError), (1, ArgumentTypeError), (np.array(1), ArgumentTypeError),
        (None, ArgumentTypeError), ("01", ArgumentTypeError), ([[0]], ArgumentTypeError),
        (np.array([[0]]), ArgumentTypeError), (np.array(["0"]), ArgumentTypeError),
    ],
    ids=repr,
)  # fmt: skip
def test_indices_that_are_refused(indices, error):
    with pytest.raises(error, match="op: "):
        checked_indices("op", indices, 3, "x")
