"""The recorder's paths for inputs give the same results in plain Python as when compiled.

See `uncompiled` for the comparison.
"""

import ctypes
import itertools

import numpy as np
import uncompiled
from hypothesis import given, settings
from hypothesis import strategies as st
from uncompiled import both, kind_of, known, left, of, same
from uncompiled_arguments import Listed, Real

import dynet_ops as dy
from dynet_core import cg_checkpoint, cg_revert, recorder, renew_cg
from dynet_core.graph import current
from dynet_core.graph.expression import Expression
from dynet_kernels.recorder import words
from dynet_kernels.recorder.arrays import NUMBER_TYPES

tried = settings(deadline=None, max_examples=80)


class Array(np.ndarray):
    """An array of another type."""


FITTING = [
    0,
    1,
    -1,
    2.5,
    -1.0,
    1e300,
    float("nan"),
    1 << 62,
    1 << 200,
    np.float32(0.5),
    np.float64(2),
    np.int64(3),
    np.int32(4),
]
OTHERS = [10**400, True, None, "1", 1j, Real(1), np.int8(1), np.float16(1), np.array(1.0), object()]
atoms = st.one_of(st.sampled_from(FITTING), st.sampled_from(FITTING), st.sampled_from([*FITTING, *OTHERS]))


def sequences(items, most=4):
    listed = st.lists(items, max_size=most)
    return st.one_of(listed, listed.map(tuple), listed.map(Listed))


@st.composite
def arrays(draw):
    """Arrays of many types, of 0 to 5 dimensions, in many orders."""
    dtype = draw(st.sampled_from([*NUMBER_TYPES, *NUMBER_TYPES, "int8", "uint64", "float16", ">f8", "bool"]))
    shape = draw(st.lists(st.sampled_from([3, 2, 1, 2, 3, 0]), max_size=5))
    array = np.arange(float(np.prod(shape))).reshape(shape).astype(dtype, order=draw(st.sampled_from("CF")))
    if array.ndim and draw(st.booleans()):
        array = array.transpose(draw(st.permutations(range(array.ndim))))
    if array.ndim and draw(st.booleans()):
        array = array[tuple(slice(None, None, draw(st.sampled_from([1, 2, -1, -2]))) for _ in range(array.ndim))]
    if draw(st.integers(0, 9)) == 0:
        array = draw(st.sampled_from([array.view(Array), np.ma.masked_array(array), array.tolist()]))
    elif draw(st.integers(0, 9)) == 0:
        array.flags.writeable = False
    return array


def served(record, *arguments, **named):
    """Call a function as a program does, then in both ways. Return whether the path handled it."""
    try:
        record(*arguments, **named)
    except Exception:
        assert isinstance(same(record, *arguments, **named), uncompiled.Declined)
    return isinstance(same(record, *arguments, **named), Expression)


@of("vector")
def test_numbers():
    for number in FITTING:
        known(dy.scalarInput, number)
    for number in (*OTHERS, dy.scalarInput(1.0), [1.0], np.ones(1)):
        left(dy.scalarInput, number)
    left(dy.scalarInput, 1.0, 2.0)


@of("vector")
@tried
@given(st.one_of(sequences(atoms, 9), arrays(), atoms))
def test_vectors(values):
    if served(dy.inputVector, values) and type(values) in (list, tuple):
        found = current().records.floats(current().records.inputs_length - len(values), len(values))
        with np.errstate(over="ignore"):
            assert np.array_equal(found, np.array([float(x) for x in values]).astype(np.float32), equal_nan=True)


@of("array")
@tried
@given(arrays(), st.sampled_from([(), (True,), (False,), (1,), (None,)]))
def test_arrays(array, batched):
    if served(dy.inputTensor, array, *batched):
        found = current().records.floats(current().records.inputs_length - array.size, array.size)
        assert np.array_equal(found, array.astype(np.float32).ravel("F"))
    if batched:
        served(dy.inputTensor, array, batched=batched[0])
        left(dy.inputTensor, batched=batched[0], arr=array)


@of("dynet_read_array", "dynet_copy_array")
@tried
@given(arrays())
def test_arrays_in_memory(array):
    view = (ctypes.c_int64 * len(words.BUFFER))()
    count = both("dynet_read_array", id(array), ctypes.addressof(view), is_object=False).result
    if count:
        numbers = np.zeros(count, np.float32)
        both("dynet_copy_array", ctypes.addressof(view), count, numbers.ctypes.data, is_object=False)
        assert np.array_equal(numbers, array.astype(np.float32).ravel("F"))


@of("array")
def test_lists_of_arrays_with_as_many_dimensions_as_there_may_be():
    """The list would add one more dimension."""
    array = np.ones((2, 1, 1, 1))
    left(dy.inputTensor, [array, array])
    left(dy.inputVector, [array])


@of("array")
@tried
@given(
    st.one_of(
        sequences(atoms), sequences(sequences(atoms, 3), 3), sequences(sequences(st.sampled_from(FITTING), 2), 2),
        sequences(arrays(), 3), st.builds(lambda x, n: [x] * n, arrays(), st.integers(1, 3)),
        sequences(st.one_of(atoms, sequences(atoms)), 3),
    ),
    st.booleans(),
)  # fmt: skip
def test_nested_lists_and_lists_of_arrays(values, batched):
    served(dy.inputTensor, values, batched)
    served(dy.inputTensor, values)


@of("one_hot")
@tried
@given(
    st.sampled_from([1, 2, 3, 0, -1, 1 << 63, True, 2.0, None, np.int64(3), np.int8(2)]),
    st.one_of(
        st.integers(-1, 3), sequences(st.integers(0, 1)), sequences(st.sampled_from([0, 1, np.int32(1), True, 1.0])),
        st.sampled_from([None, np.array([0, 1]), np.array([1, 0], np.int32)[::-1], np.ones(1), np.int64(1), 1 << 70]),
    ),
)  # fmt: skip
def test_one_hot(size, indices):
    served(dy.one_hot, size, indices)


indices = st.one_of(st.integers(0, 2), st.integers(0, 1), st.sampled_from([-1, 3, np.int64(1), True, 1.0, 1 << 63]))
sizes = st.one_of(st.integers(1, 3), st.sampled_from([2, 3, 0, -1, np.int32(2), 1 << 31, 1 << 63, 2.0]))


@st.composite
def sparse_arguments(draw):
    dims = draw(st.integers(1, 5))
    count = draw(st.integers(0, 3))
    if draw(st.booleans()):
        axes = [draw(st.lists(st.integers(0, 1), min_size=count, max_size=count)) for _ in range(dims)]
        shape, values = [draw(st.integers(2, 3)) for _ in range(dims)], [2.5] * count
    else:
        axes = draw(sequences(sequences(indices, 3), 3))
        shape, values = draw(sequences(sizes, 3)), draw(sequences(atoms, 3))
    rest = draw(
        st.sampled_from([(), (True,), (False,), (False, 0.5), (False, -1), (None,), (True, "x"), (False, 10**400)])
    )
    return axes, values, shape, *rest


@of("sparse")
@settings(deadline=None, max_examples=150)
@given(sparse_arguments())
def test_sparse_tensors(arguments):
    if not any(type(size) is int and size > 3 for size in arguments[2]):  # large ones need much memory
        served(dy.sparse_inputTensor, *arguments)


def test_sparse_tensors_that_the_path_serves():
    for rest in ((), (True,), (False, 0.5), (False, np.int64(2))):
        for shape in ([3], [3, 2], [2, 3, 1], (2, 2, 2, 3)):
            axes = [[0, 1 % size, 0] for size in shape]
            known(dy.sparse_inputTensor, axes, (1, 2.5, -1.0), shape, *rest)


@of("set")
@settings(deadline=None, max_examples=100)
@given(
    st.one_of(sequences(atoms), arrays(), st.lists(st.sampled_from(FITTING), min_size=2, max_size=2), atoms),
    st.sampled_from(["", "all", "some"]),
)
def test_values_that_are_set(values, computed):
    setting = Expression.set
    assert kind_of(setting) == "set"
    dy.tanh(dy.inputVector([0.5]))
    x, y = dy.inputVector([1.0, 2.0]), dy.scalarInput(3.0)
    z = dy.sum_elems(x) + y
    if computed:
        z.value()
    if computed == "some":
        dy.tanh(z)
    setting(x, [1, 2]), setting(y, 4)
    same(setting, x, values)
    same(setting, y, values)
    if computed != "some" and current().records.is_prepared(recorder.generation()):
        assert same(setting, x, (5, 6.5)) is None
        assert current().records.floats(1, 2).tolist() == [5, 6.5]
        assert same(setting, y, np.array([1.5])) is None
        assert z.value() == 13.0
    left(setting, z, [1.0])
    renew_cg()
    left(setting, x, [1.0, 2.0])


def test_values_of_nodes_from_before_a_revert():
    x = dy.inputVector([1.0, 2.0])
    x.set([2.0, 3.0])
    cg_checkpoint()
    dy.tanh(x)
    cg_revert()
    same(Expression.set, x, [3.0, 4.0])


# Python code that adds inputs


@of("take", "take_keyed")
@tried
@given(st.one_of(st.lists(atoms, max_size=9).map(tuple), sequences(atoms), atoms))
def test_numbers_that_are_taken(numbers):
    fine = type(numbers) is tuple and not any(number is other for number in numbers for other in OTHERS)
    dy.dropout(dy.inputVector([1.0, 2.0]), 0.5)
    for record in (recorder.take, recorder.take_keyed):
        begin = current().records.inputs_length
        result = same(record, numbers)
        assert (type(result) is int) == fine
        if fine:
            assert result == begin + (record is recorder.take_keyed)
    left(recorder.take)
    left(recorder.take, (), ())


@of("take_inputs", "overwrite", "dynet_renew_keys", "dynet_make_room")
def test_functions_for_inputs():
    x = dy.inputVector([1.0, 2.0, 3.0])
    for _ in range(3):
        y = dy.dropout(x, 0.5)
    graph, version = current().records._words.address, current().records.version
    numbers = np.arange(50_000, dtype=np.float32)
    taken = current().records.inputs_length
    for count in (0, 1, 7, 50_000):  # the last takes a larger buffer
        start = both("take_inputs", graph, numbers.ctypes.data, count, is_object=False).result
        assert current().records.floats(start, count).tolist() == numbers[:count].tolist()
    for each, start, count in itertools.product((version, version - 1, version + 1), (0, 1, 40), (0, 1, 5)):
        arguments = (graph, each, True, taken + start, numbers.ctypes.data, count)
        assert both("overwrite", *arguments, is_object=False).result == (each == version)
    y.value()
    for is_input in (True, False):
        assert both("overwrite", graph, version, is_input, 0, numbers.ctypes.data, 1, is_object=False).result == 0
    before = current().records.random_key_offsets(0)
    assert len(before) == 3
    assert both("dynet_renew_keys", graph, is_object=False).result == 0
    assert current().records.random_key_offsets(0) == before
    assert both("dynet_make_room", graph, 0, 5, is_object=False).result == 1
    assert ctypes.c_float.from_address(current().records.inputs_address).value == x.npvalue()[0]
