"""Values are returned in the types of DyNet 2.1, and programs that rely on these types run."""

import json

import numpy as np
import pytest

import dynet as dy

MODEL = dy.ParameterCollection()
W = MODEL.parameters_from_numpy(np.full((2, 3), 0.1))
E = MODEL.lookup_parameters_from_numpy(np.full((4, 2), 0.1))
CUBES = MODEL.add_lookup_parameters((4, 2, 3), init=0.1)


def vector():
    return dy.inputVector([0.1, -1e-45, np.inf])


def matrix():
    return dy.inputTensor(np.full((2, 3), 0.1))


def differentiated(x):
    """x, with a gradient of 0.1 for each element."""
    if x in (W, E, CUBES):
        x.scale_gradient(0)
    dy.sum_batches(dy.sum_elems(0.1 * x)).backward(full=True)
    return x


READERS = {
    "npvalue of a number": lambda **how: dy.scalarInput(0.1).npvalue(**how),
    "npvalue of a vector": lambda **how: vector().npvalue(**how),
    "npvalue of a matrix": lambda **how: matrix().npvalue(**how),
    "npvalue, computed again": lambda **how: matrix().npvalue(True, **how),
    "npvalue of a large batch": lambda **how: dy.inputTensor(np.full((33, 9, 5), 0.1), batched=True).npvalue(**how),
    "npvalue of a row": lambda **how: E[1].npvalue(**how),
    "npvalue of a parameter": lambda **how: W.npvalue(**how),
    "npvalue of a table": lambda **how: E.npvalue(**how),
    "npvalue of a constant": lambda **how: W.expr(update=False).npvalue(**how),
    "npvalues": lambda **how: dy.npvalues([matrix(), vector()], **how)[1],
    "gradient": lambda **how: differentiated(matrix()).gradient(**how),
    "gradient of a vector": lambda **how: differentiated(vector()).gradient(**how),
    "gradient that is zero": lambda **how: (differentiated(matrix()), matrix())[1].gradient(**how),
    "gradient of a parameter": lambda **how: differentiated(W).gradient(**how),
    "as_array": lambda **how: W.as_array(**how),
    "as_array of a table": lambda **how: CUBES.as_array(**how),
    "grad_as_array": lambda **how: differentiated(W).grad_as_array(**how),
    "grad_as_array of a table": lambda **how: differentiated(CUBES).grad_as_array(**how),
    "row_as_array": lambda **how: CUBES.row_as_array(1, **how),
    "row_grad_as_array": lambda **how: differentiated(CUBES).row_grad_as_array(1, **how),
    "rows_as_array": lambda **how: E.rows_as_array([1, 0], **how),
    "rows_grad_as_array": lambda **how: differentiated(E).rows_grad_as_array([1, 0], **how),
    "as_numpy": lambda **how: matrix().tensor_value().as_numpy(**how),
    "as_numpy of a parameter": lambda **how: W.tensor_value().as_numpy(**how),
    "as_numpy of topk": lambda **how: matrix().tensor_value().topk()[0].as_numpy(**how),
}


@pytest.fixture(autouse=True)
def new_graph():
    dy.renew_cg()


@pytest.mark.parametrize("name", READERS)
def test_arrays_are_float64_unless_another_type_is_asked_for(name):
    usual, single = READERS[name](), READERS[name](dtype=np.float32)
    assert (usual.dtype, single.dtype) == (np.float64, np.float32)
    np.testing.assert_array_equal(usual, single)  # no digit is lost or invented
    for array in (usual, single):
        before = READERS[name]()
        array[...] = 7  # a copy, which belongs to the caller
        np.testing.assert_array_equal(READERS[name](), before)
    assert READERS[name](dtype="float16").dtype == np.float16


def test_indices_are_int64():
    best = matrix().tensor_value().argmax()
    assert best.as_numpy().dtype == np.int64
    assert best.as_numpy(dtype=np.int32).dtype == np.int32


def test_arrays_of_indices_have_the_order_of_dynets():
    best = dy.inputTensor(np.arange(24.0).reshape(2, 3, 4)).tensor_value().argmax()
    assert best.as_numpy().flags.f_contiguous


def test_values_are_floats_lists_of_them_or_arrays():
    batch = dy.inputTensor(np.full((2, 3), 0.1), batched=True)
    numbers = [dy.scalarInput(0.1).value(), dy.scalarInput(0.1).scalar_value(), *vector().value(), *batch.value()]
    numbers += [*matrix().vec_value(), *W.vec_value(), *dy.values([vector()])[0]]
    assert {type(number) for number in numbers} == {float}
    for array in (matrix().value(), matrix().value(recalculate=True), W.value(), dy.values([matrix()])[0]):
        assert array.dtype == np.float64


def test_what_shares_memory_stays_float32():
    tensor = matrix().tensor_value()
    for source, memory in ((W, W), (E, E), (tensor, tensor)):
        array, other = np.asarray(source), np.from_dlpack(memory)
        assert array.dtype == other.dtype == np.float32 and np.shares_memory(array, other)
    assert W._tensor().values.dtype == np.float32  # the dtype written to files


def test_an_array_has_the_digits_of_the_computation():
    assert vector().npvalue()[0] == float(np.float32(0.1)) != 0.1


# Programs that break with float32


def test_probabilities_that_are_divided_by_their_sum():
    random = np.random.RandomState(1)
    for scores in random.normal(0, 8, (50, 40)):
        p = dy.softmax(dy.inputVector(scores)).npvalue()
        p /= p.sum()
        assert np.random.RandomState(1).multinomial(10, p).sum() == 10
        assert 0 <= random.choice(40, p=p) < 40


def test_one_number_is_a_float():
    number = dy.scalarInput(0.5).npvalue()[0]
    assert isinstance(number, float)
    assert json.dumps({"loss": number}) == '{"loss": 0.5}'


def test_a_long_sum_keeps_its_digits():
    total, e = 0.0, dy.scalarInput(0.1)
    for _ in range(20_000):
        total += e.npvalue()[0]
    assert total == pytest.approx(2000, rel=1e-7)


def test_scores_of_a_long_beam_do_not_tie():
    before = dy.scalarInput(2.0**24).npvalue()
    first, second = before + dy.inputVector([0.25, 0.5]).npvalue()
    assert first < second
