"""Hostile arguments of ops: endlessly nested lists, lists that shrink while they are read, and huge numbers."""

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

import dynet_ops as dy
from dynet_core import (
    ArgumentError,
    ArgumentTypeError,
    ConstInitializer,
    DynetError,
    DynetWarning,
    InitializerError,
    Model,
    OutOfRangeError,
    reset_random_seed,
)

TABLE = Model().add_lookup_parameters((5, 3))
HUGE = 10**400
UNTOLD = 10**5000  # Python refuses to write more than 4300 digits


def nested():
    deep = []
    for _ in range(100_000):
        deep = [deep]
    return deep


OF_LISTS = {
    "pick": dy.pick,
    "pick_batch": dy.pick_batch,
    "hinge": dy.hinge,
    "pickneglogsoftmax": dy.pickneglogsoftmax,
    "reshape": dy.reshape,
    "plus": lambda x, deep: x + deep,
    "esum": lambda x, deep: dy.esum(deep),
    "concatenate": lambda x, deep: dy.concatenate(deep),
    "zeros": lambda x, deep: dy.zeros(deep),
    "lookup": lambda x, deep: dy.lookup(TABLE, deep),
    "inputVector": lambda x, deep: dy.inputVector(deep),
    "inputTensor": lambda x, deep: dy.inputTensor(deep),
    "sparse_inputTensor": lambda x, deep: dy.sparse_inputTensor(deep, [1], (3,)),
    "conv2d": lambda x, deep: dy.conv2d(dy.zeros((3, 3, 1)), dy.zeros((1, 1, 1, 1)), [deep, 1]),
}


@pytest.mark.parametrize("name", OF_LISTS)
def test_a_list_nested_without_end_is_an_error_of_ours(name):
    with pytest.raises(DynetError, match="nested too deeply"):
        OF_LISTS[name](dy.inputVector([1, 2, 3]), nested())


@pytest.mark.parametrize("read", [dy.inputVector, dy.inputTensor])
def test_a_list_that_holds_itself_is_nested_too_deeply(read):
    own = []
    own.append(own)
    with pytest.raises(DynetError, match="the list is nested too deeply$"):
        read(own)


class Shrinks:
    """A number that empties the list that contains it when it is read."""

    def __init__(self, numbers):
        self.numbers = numbers

    def __float__(self):
        del self.numbers[1:]
        return 1.0

    def __index__(self):
        return int(float(self))


def shrinking():
    numbers = []
    numbers += [Shrinks(numbers), 1, 1]
    return numbers


SHRINKING = {
    "inputVector": dy.inputVector,
    "sparse_inputTensor": lambda xs: dy.sparse_inputTensor([[0, 1, 2]], xs, (9,)),
}


@pytest.mark.parametrize("name", SHRINKING)
def test_a_list_that_shrinks_while_it_is_read(name):
    with pytest.raises(ArgumentError, match=f"^{name}: the list has changed while it was read$"):
        SHRINKING[name](shrinking())


@pytest.mark.parametrize("result", ["no float", None])
def test_a_list_that_is_emptied_by_what_is_no_number(result):
    class Emptying:
        def __float__(self):
            numbers.clear()
            return result

    numbers: list = [Emptying(), 1, 1]
    with pytest.raises(ArgumentError, match="^inputVector: the list has changed while it was read$"):
        dy.inputVector(numbers)


class Quarter:
    def __float__(self):
        return 0.25


@pytest.mark.parametrize("number", [Fraction(1, 4), Decimal("0.25"), Quarter(), np.float16(0.25)])
def test_inputs_take_whatever_python_can_make_a_float_of(number):
    for _ in range(2):
        assert dy.scalarInput(number).value() == dy.constant(1, number).value() == 0.25
        assert dy.inputVector([number]).value() == dy.inputTensor([number]).value() == 0.25
        assert dy.inputTensor([[number, 1], [2, number]]).vec_value() == [0.25, 2, 1, 0.25]
    x = dy.scalarInput(1)
    x.set(number)
    assert x.value() == 0.25


@pytest.mark.parametrize("wrong", ["0.25", None, 1j, np.complex64(1), [Fraction(1, 4), "1"], [Fraction(1, 4), 1j]])
def test_what_is_no_real_number_is_refused_also_beside_fractions(wrong):
    with pytest.raises(ArgumentTypeError, match="^inputTensor: expected real numbers, got "):
        dy.inputTensor(wrong)


@pytest.mark.parametrize("second", [2, 3])
def test_a_second_size_is_not_taken_for_a_batch(second):
    x = dy.inputVector(range(2 * second))
    with pytest.raises(ArgumentTypeError) as caught:
        dy.reshape(x, 2, second)
    assert str(caught.value) == f"reshape: write (x, (2, {second})) or, for a batch, (x, (2,), {second})"
    assert dy.reshape(x, (2,), second).dim() == ((2,), second)
    assert dy.reshape(x, 2 * second).dim() == dy.reshape(x, 2 * second, 1).dim() == ((2 * second,), 1)


def test_a_pair_that_shrinks_is_read_before():
    image, filters = dy.zeros((3, 3, 1)), dy.zeros((1, 1, 1, 1))
    stride = []
    stride += [Shrinks(stride), 1]
    assert dy.conv2d(image, filters, stride).dim() == ((3, 3, 1), 1)


def test_indices_that_shrink_and_lists_that_empty_themselves_are_read_before():
    class Empties(list):
        def __getitem__(self, i):
            self.clear()
            return super().__getitem__(i)

    x = dy.inputVector([1, 2])
    assert dy.lookup_batch(TABLE, shrinking()).dim() == ((3,), 3)
    assert dy.select_rows(dy.inputTensor([[1], [2]]), shrinking()).npvalue().tolist() == [[2], [2], [2]]
    assert dy.esum(Empties([x, x])).value() == [2, 4] and dy.average(Empties([x, x])).value() == [1, 2]


def test_an_error_of_a_number_comes_through():
    class Fails:
        def __float__(self):
            raise IndexError("mine")

    with pytest.raises(IndexError, match="^mine$"):
        dy.inputVector([1.0, Fails()])


NUMBERS = {
    "plus": lambda x: x + HUGE,
    "power": lambda x: x**HUGE,
    "dropout": lambda x: dy.dropout(x, HUGE),
    "inputVector": lambda x: dy.inputVector([HUGE]),
    "scalarInput": lambda x: dy.scalarInput(-HUGE),
    "scale": lambda x: Model().add_parameters(2).scale(HUGE),
    "decay": lambda x: Model().set_weight_decay(HUGE),
}


@pytest.mark.parametrize("name", NUMBERS)
def test_a_number_that_is_too_large_is_not_shown_in_part(name):
    with pytest.raises(OverflowError, match="too large for a float") as caught:
        NUMBERS[name](dy.inputVector([1.0]))
    assert "000" not in str(caught.value)


class Whole:
    def __init__(self, number):
        self.number = number

    def __index__(self):
        return self.number


WHOLE = {
    "an index": lambda x, n: x[n],
    "an index of a parameter": lambda x, n: TABLE[n],
    "indices": lambda x, n: dy.lookup_batch(TABLE, [0, n]),
    "pick": dy.pick,
    "reshape": lambda x, n: dy.reshape(x, (n,)),
    "zeros": lambda x, n: dy.zeros((2, n)),
    "parameters": lambda x, n: Model().add_parameters(n),
    "a class of numbers": lambda x, n: dy.pick(x, Whole(n)),
    "the seed": lambda x, n: reset_random_seed(n),
}


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("name", WHOLE)
def test_a_whole_number_of_too_many_digits_for_python(name, sign):
    with pytest.raises(OutOfRangeError, match="of 16,610 bits is out of range$"):
        WHOLE[name](dy.inputVector([1, 2, 3]), sign * UNTOLD)


def test_other_numbers_of_too_many_digits_for_python():
    with pytest.raises(InitializerError, match="^ConstInitializer: c must be a float32, not of 16,610 bits$"):
        ConstInitializer(UNTOLD)
    with pytest.warns(
        DynetWarning, match=r"never equals an object of type int, whatever its value: write e.value\(\) == \.\.\.$"
    ):
        assert not (dy.inputVector([1]) == -UNTOLD)
