"""Nested lists and arrays, of numbers and of indices: compiled code reads them starting at the second call."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from op_checks import python_calls

import dynet_ops as dy
from dynet_core import ParameterCollection, recorder
from dynet_core.errors import ArgumentError, ArgumentTypeError, DynetError, OutOfRangeError
from dynet_core.graph import current

compiled = pytest.mark.skipif(recorder.DESCRIPTION != "compiled", reason="the recorder in Python has no compiled code")
ROWS = [[1, 2.5, -3], [4.0, 5, 1e300]]
LISTS = {"rows": ROWS, "tuples": ((1, 2), [3, 4], (5, 6)), "column": [[1], [2]], "flat": [1, 2.5], "one": [[7]]}


@pytest.mark.parametrize("batched", [False, True])
@pytest.mark.parametrize("values", LISTS.values(), ids=LISTS)
def test_a_tensor_has_the_values_of_its_list(values, batched):
    with np.errstate(over="ignore"):
        expected = np.float32(np.array(values))
    for _ in range(3):
        x = dy.inputTensor(values, batched=batched)
        assert x.dim() == ((expected.shape, 1) if not batched else (expected.shape[:-1] or (1,), expected.shape[-1]))
        np.testing.assert_array_equal(x.npvalue().reshape(expected.shape), expected)


@compiled
@pytest.mark.parametrize("values", [*LISTS.values(), np.ones((2, 3, 2))], ids=[*LISTS, "array"])
def test_the_second_tensor_of_a_shape_needs_no_python(values):
    for arguments in ((), (False,), (True,)):
        dy.inputTensor(values, *arguments)
        assert python_calls(dy.inputTensor, values, *arguments) == []
    assert python_calls(dy.inputTensor, values, batched=True) == []


CUBE = np.arange(-5, 19).reshape(2, 3, 4)
STACKS = {
    "vectors": [CUBE[0, 0], CUBE[1, 2]],
    "float32": [CUBE[0].astype(np.float32)] * 3,
    "mixed": (CUBE[0] / 2, CUBE[1], CUBE[0].astype(np.int32)),
    "views": [CUBE.T, np.asfortranarray(CUBE.T), (CUBE[::-1, ::-1] / 4).T],
    "one": [CUBE],
}


@compiled
@pytest.mark.parametrize("dtype", ["int64", "int32", "float64", "float32"])
@pytest.mark.parametrize("values", [CUBE, CUBE.T, CUBE[0, 0], CUBE[:, ::2]], ids=["C", "Fortran", "flat", "strided"])
def test_arrays_of_any_type_need_no_python(values, dtype):
    values = values.astype(dtype, order="A")
    dy.inputTensor(values)
    assert python_calls(dy.inputTensor, values) == []
    np.testing.assert_array_equal(dy.inputTensor(values).npvalue(), values)


def test_integers_are_rounded_to_floats_as_numpy_does():
    values = np.array([2**24 + 1, -(2**24) - 3, 2**53 + 1, 2**63 - 1, -(2**63), 2**31 - 1])
    for _ in range(3):
        np.testing.assert_array_equal(dy.inputTensor(values).npvalue(), values.astype(np.float32))


@compiled
@pytest.mark.parametrize("values", STACKS.values(), ids=STACKS)
def test_the_second_list_of_arrays_of_a_shape_needs_no_python(values):
    dy.inputTensor(values)
    for arguments in ((), (False,), (True,)):
        assert python_calls(dy.inputTensor, values, *arguments) == []
    x = dy.inputTensor(values)
    assert x.dim() == (values[0].shape, len(values))
    np.testing.assert_array_equal(x.npvalue(), np.stack(values, -1)[..., 0 if len(values) == 1 else slice(None)])


def test_lists_of_arrays_that_differ_are_no_batches_of_them():
    ones = np.ones(2)
    for _ in range(2):
        dy.inputTensor([ones, ones])
        before = current().records.ends()
        for wrong in (
            [ones, np.ones(3)],
            [ones, np.ones((2, 1))],
            [ones, 1.0],
            [1.0, ones],
            [ones, None],
            [ones, "11"],
        ):
            with pytest.raises(DynetError, match="inputTensor"):
                dy.inputTensor(wrong)
        assert current().records.ends() == before
        assert dy.inputTensor([ones, [3.0, 4.0]]).npvalue().tolist() == [[1.0, 1.0], [3.0, 4.0]]


def sparse_array(idxs, values, shape, batched=False, defval=0.0):
    """The dense array of a `sparse_inputTensor` call, without the batch."""
    array = np.full(shape, defval, np.float32)
    for *place, value in zip(*idxs, values):
        array[tuple(place)] = value
    return array


@compiled
@pytest.mark.parametrize("others", [(), (False,), (True,), (False, 0.5), (True, -2)])
@pytest.mark.parametrize("shape", [(7,), (3, 4), [2, 3, 4], (2, 1, 3, 2)])
def test_the_second_sparse_tensor_of_a_shape_needs_no_python(shape, others):
    rng = np.random.default_rng(0)
    dy.sparse_inputTensor([[0]] * len(shape), [1.0], shape, *others[:1])
    for count in (1, 5, 50):
        idxs, values = [rng.integers(0, size, count).tolist() for size in shape], rng.normal(size=count).tolist()
        for arguments in ((idxs, values, shape, *others), (tuple(map(tuple, idxs)), tuple(values), shape, *others)):
            assert python_calls(dy.sparse_inputTensor, *arguments) == []
            x = dy.sparse_inputTensor(*arguments)
            np.testing.assert_array_equal(x.npvalue().reshape(shape), sparse_array(*arguments))
            assert x.dim()[1] == (shape[-1] if others[:1] == (True,) else 1)


def test_a_wrong_sparse_tensor_of_a_known_shape_is_refused_and_records_nothing():
    for _ in range(2):
        dy.sparse_inputTensor(([0, 1], [2, 0]), [1.0, 2.0], (2, 3))
        dy.sparse_inputTensor([[1]], [1.0], (5,), True, 1.5)
        before = current().records.ends()
        for wrong in (
            (([0, 1], [3, 0]), [1.0, 2.0], (2, 3)),
            (([0, -1], [2, 0]), [1.0, 2.0], (2, 3)),
            (([0, 1], [2, 0]), [1.0, None], (2, 3)),
            (([0, 1], [2]), [1.0, 2.0], (2, 3)),
            (([0, 1], [2, 0]), [1.0], (2, 3)),
            (([0, 1], [2, 0.5]), [1.0, 2.0], (2, 3)),
            (([0, 1],), [1.0, 2.0], (2, 3)),
            (([0, 1], None), [1.0, 2.0], (2, 3)),
            (([], []), [], (2, 3)),
            ([[1]], [1.0], (5,), 2),
            ([[1]], [1.0], (5,), True, None),
        ):
            with pytest.raises(DynetError, match="sparse_inputTensor"):
                dy.sparse_inputTensor(*wrong)
        assert current().records.ends() == before
        x = dy.sparse_inputTensor([np.array([0, 1]), (2, 0)], np.array([1, 2]), [2, np.int64(3)])
        assert x.npvalue().tolist() == [[0.0, 0.0, 1.0], [2.0, 0.0, 0.0]]


numbers = st.one_of(st.integers(-(2**24), 2**24), st.floats(width=32, allow_nan=False))


@given(st.integers(1, 5).flatmap(lambda size: st.lists(st.lists(numbers, min_size=size, max_size=size), min_size=1)))
def test_random_lists(rows):
    for _ in range(2):
        for batched in (False, True):
            value = dy.inputTensor(rows, batched).npvalue()
            np.testing.assert_array_equal(value.reshape(len(rows), -1), np.float32(np.array(rows)))


WRONG = {
    "uneven": [[1, 2, 3], [1, 2]],
    "a missing row": [[1, 2, 3], 4],
    "a nested item": [[1, 2, 3], [1, 2, [3]]],
    "None": [[1, 2, 3], [1, None, 3]],
    "a string": [[1, 2, 3], ["1", 2, 3]],
    "a complex number": [[1, 2, 3], [1, 2j, 3]],
    "a large int": [[1, 2, 3], [1, 10**400, 3]],
}


@pytest.mark.parametrize("values", WRONG.values(), ids=WRONG)
def test_a_wrong_list_of_a_known_shape_is_refused_and_records_nothing(values):
    with pytest.raises(DynetError) as first:
        dy.inputTensor(values)
    dy.inputTensor(ROWS)
    before = current().records.ends()
    with pytest.raises(type(first.value)) as second:
        dy.inputTensor(values)
    assert str(second.value) == str(first.value)
    assert current().records.ends() == before
    np.testing.assert_array_equal(dy.inputTensor([[1, 2, 3], [4, 5, 6]]).npvalue(), [[1, 2, 3], [4, 5, 6]])


@pytest.mark.parametrize("values", [[[True, False]], [[np.int64(1), np.float32(2)]], [[np.bool_(True), 2]]])
def test_other_numbers_in_lists(values):
    for _ in range(3):
        np.testing.assert_array_equal(dy.inputTensor(values).npvalue(), np.float32(np.array(values)))


ONES = {"int": 7, "numpy's": np.int32(0), "list": [0, 119, 0], "tuple": (5,), "array": np.array([118, 0]), "few": [1]}


@compiled
@pytest.mark.parametrize("places", ONES.values(), ids=ONES)
@pytest.mark.parametrize("size", [120, 3000])
def test_the_second_one_hot_vector_of_a_size_needs_no_python(size, places):
    dy.one_hot(size, np.zeros_like(places).tolist())
    assert python_calls(dy.one_hot, size, places) == []
    for scale in (1, 0):
        x = dy.one_hot(np.int64(size), np.asarray(places) * scale)
        columns = np.eye(size)[:, np.atleast_1d(places) * scale]
        np.testing.assert_array_equal(x.npvalue().reshape(columns.shape), columns)


def test_a_one_hot_vector_of_a_known_size_with_a_wrong_index_is_refused_and_records_nothing():
    for size in (2, 90):
        for _ in range(2):
            dy.one_hot(size, 1), dy.one_hot(size, [1, 0])
        before = current().records.ends()
        for wrong in (size, -1, [0, size], [-1, 0], np.array([0, size]), 10**30):
            with pytest.raises(OutOfRangeError, match="one_hot"):
                dy.one_hot(size, wrong)
        for wrong in ([0, 1.5], [0, None], [], "01"):
            with pytest.raises(DynetError, match="one_hot"):
                dy.one_hot(size, wrong)
        assert current().records.ends() == before
        x = dy.one_hot(size, 1)
        x.set(np.arange(size))
        assert x.value() == list(range(size))


def test_the_flag_of_a_tensor_is_no_device_of_a_vector():
    dy.inputTensor(np.ones(3), True)
    dy.inputVector(np.ones(3))
    with pytest.raises(DynetError, match="device"):
        dy.inputVector(np.ones(3), True)


# Arrays of indices


@pytest.fixture
def table():
    return ParameterCollection().lookup_parameters_from_numpy(np.arange(12.0).reshape(6, 2))


@pytest.fixture
def columns():
    return dy.inputTensor(np.arange(18.0).reshape(6, 3), batched=True)


ARRAYS = {
    "int64": np.array([5, 0, 2]),
    "int32": np.array([5, 0, 2], np.int32),
    "every other": np.array([5, 9, 0, 9, 2, 9])[::2],
    "backwards": np.array([2, 0, 5])[::-1],
    "read-only": np.broadcast_to(np.array(3), (3,)),
}
OTHERS = {
    "uint8": np.array([5, 0, 2], np.uint8),
    "big-endian": np.array([5, 0, 2], ">i8"),
    "subclass": np.array([5, 0, 2]).view(np.recarray),
}


@pytest.mark.parametrize("indices", [*ARRAYS.values(), *OTHERS.values()], ids=[*ARRAYS, *OTHERS])
def test_arrays_of_indices_pick_what_lists_pick(table, columns, indices):
    for _ in range(3):
        for call, x in calls(table, columns):
            np.testing.assert_array_equal(call(x, indices).npvalue(), call(x, indices.tolist()).npvalue())


def calls(table, columns):
    return (
        (dy.lookup_batch, table),
        (type(table).batch, table),
        (dy.pick_batch, columns),
        (dy.pickneglogsoftmax_batch, columns),
    )


@compiled
@pytest.mark.parametrize("indices", ARRAYS.values(), ids=ARRAYS)
def test_the_second_array_of_indices_needs_no_python(table, columns, indices):
    for call, x in calls(table, columns):
        call(x, indices)
        assert python_calls(call, x, indices) == []


@pytest.mark.parametrize(("index", "error"), [(6, OutOfRangeError), (-1, OutOfRangeError), (1 << 40, OutOfRangeError)])
def test_an_array_with_a_wrong_index_is_refused_and_records_nothing(table, columns, index, error):
    for call, x in calls(table, columns):
        call(x, np.array([0, 1, 2]))
        before = current().records.ends()
        with pytest.raises(error, match=str(index)):
            call(x, np.array([0, index, 2]))
        assert current().records.ends() == before


def test_arrays_that_are_no_list_of_indices_are_refused(table):
    dy.lookup_batch(table, np.array([0, 1]))
    for indices in (np.array(1), np.array([[0, 1]]), np.array([[0], [1]]), np.array([0.5, 1.0]), np.array([], int)):
        with pytest.raises(DynetError, match="ind"):
            dy.lookup_batch(table, indices)


def test_an_empty_view_of_known_length(table):
    dy.lookup_batch(table, [0])
    with pytest.raises(ArgumentError, match="no indices"):
        dy.lookup_batch(table, np.array([0])[:0])


@pytest.mark.parametrize("values", [[1.0, 2.0], np.ones(2)], ids=["list", "array"])
def test_a_device_that_is_no_text_is_refused_in_every_call(values):
    for _ in range(3):
        dy.inputVector(values)
        with pytest.raises(ArgumentTypeError, match="inputVector: a device is a str"):
            dy.inputVector(values, False)


@compiled
def test_an_input_takes_all_numbers_of_a_list_or_tuple_or_none():
    x = dy.inputVector([1.0, 2.0])
    x.set([3.0, 4.0])
    x.value()
    assert python_calls(x.set, [5, np.float32(6)]) == python_calls(x.set, (7.0, 8)) == []
    with pytest.raises(DynetError, match="too large"):
        x.set((9.0, 10**400))
    assert x.value() == [7.0, 8.0]


@compiled
def test_numbers_of_numpy_are_the_ends_of_a_range():
    x = dy.inputVector([1.0, 2.0, 3.0, 4.0])
    dy.pickrange(x, 1, 3)
    one, three = np.int64(1), np.int32(3)
    assert python_calls(dy.pickrange, x, one, three) == []
    assert dy.pickrange(x, one, three).value() == [2.0, 3.0]
