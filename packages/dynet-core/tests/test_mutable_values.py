"""FloatValue, UnsignedValue and their lists."""

import pytest

from dynet_core import (
    ArgumentTypeError,
    FloatValue,
    FloatVectorValue,
    OutOfRangeError,
    UnsignedValue,
    UnsignedVectorValue,
)

NUMBERS = {FloatValue: (0.0, 2, 2.0, -1.5), UnsignedValue: (0, 3, 3, 2**32 - 1)}
LISTS = {FloatVectorValue: ([1, 2.5], [1.0, 2.5]), UnsignedVectorValue: ((1, 2), [1, 2])}


@pytest.mark.parametrize("kind", NUMBERS)
def test_a_number(kind):
    start, given, held, other = NUMBERS[kind]
    assert kind().get() == start
    value = kind(given)
    assert value.get() == held and type(value.get()) is type(held)
    value.set(other)
    assert value.get() == other


@pytest.mark.parametrize("kind", LISTS)
def test_a_list(kind):
    given, held = LISTS[kind]
    value = kind(given)
    assert value.get() == held and value.size() == 2
    value.get().append(7)
    assert value.get() == held, "what get gives is a list of its own"
    value.set([4])
    assert value.get() == [4] and value.size() == 1
    assert kind([]).get() == []


WRONG = [
    (FloatValue, "a", ArgumentTypeError), (FloatValue, None, ArgumentTypeError), (FloatValue, [1], ArgumentTypeError),
    (UnsignedValue, "a", ArgumentTypeError), (UnsignedValue, -1, OutOfRangeError),
    (UnsignedValue, 2**32, OutOfRangeError), (FloatVectorValue, 3, ArgumentTypeError),
    (FloatVectorValue, "ab", ArgumentTypeError), (FloatVectorValue, [1, None], ArgumentTypeError),
    (UnsignedVectorValue, [1, -1], OutOfRangeError), (UnsignedVectorValue, [1, "a"], ArgumentTypeError),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "wrong", "error"), WRONG)
def test_what_is_no_number_is_refused_and_changes_nothing(kind, wrong, error):
    with pytest.raises(error, match=kind.__name__):
        kind(wrong)
    value = kind([1] if "Vector" in kind.__name__ else 1)
    before = value.get()
    with pytest.raises(error, match=kind.__name__):
        value.set(wrong)
    assert value.get() == before
