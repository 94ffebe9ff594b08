"""Arrays as inputs, and setting new input values, at the first call in Python and later in compiled code."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from op_checks import python_calls

import dynet_ops as dy
from dynet_core import ParameterCollection, cg_checkpoint, cg_revert, errors, recorder, renew_cg

compiled = pytest.mark.skipif(recorder.DESCRIPTION != "compiled", reason="the recorder in Python knows no quick ways")
TIMES = 3
DTYPES = ["float32", "float64", "int64", "int8", "uint16", "bool", "float16", ">f4", ">f8"]
steps = st.sampled_from([1, 2, -1, 3])


@st.composite
def arrays(draw):
    """Arrays with any memory layout."""
    shape = tuple(draw(st.lists(st.integers(1, 5), min_size=0, max_size=5)))
    array = np.random.default_rng(draw(st.integers(0, 99))).normal(0, 9, [3 * size for size in shape])
    array = array.astype(draw(st.sampled_from(DTYPES)))
    array = array[tuple([slice(None, None, draw(steps)) for _ in shape])]
    array = array[tuple([slice(0, size) for size in shape])]
    return array.transpose(draw(st.permutations(range(len(shape)))))


@settings(max_examples=200, deadline=None)
@given(arrays())
def test_an_array_of_any_layout(array):
    renew_cg()
    for _ in range(TIMES):
        x = dy.inputTensor(array)
        assert x.npvalue().tolist() == array.astype(np.float32).reshape(x.dim()[0]).tolist()
        if array.ndim == 1:
            assert dy.inputVector(array).npvalue().tolist() == array.astype(np.float32).tolist()


@settings(max_examples=200, deadline=None)
@given(arrays(), st.integers(0, 3))
def test_set_takes_what_inputs_take(array, others):
    array = array.ravel()
    renew_cg()
    for _ in range(others):
        dy.inputVector([0.5, 0.25])
    x, number = dy.vecInput(array.size), dy.scalarInput(1.0)
    total = dy.sum_elems(x) * number
    for k in range(TIMES):
        for values in (array, array.tolist(), array + k):
            x.set(values)
            number.set(float(k))
            expected = np.asarray(values).astype(np.float32)
            assert x.npvalue().tolist() == expected.tolist()
            assert total.value() == pytest.approx(float(expected.astype(float).sum()) * k, rel=1e-3, abs=1e-3)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1.0], errors.ShapeError),
        ([1.0, 2.0, 3.0], errors.ShapeError),
        (np.zeros(3), errors.ShapeError),
        (np.zeros((1, 2)), errors.ShapeError),
        (1.0, errors.ShapeError),
        ([1.0, "2"], errors.ArgumentTypeError),
        ([1.0, None], errors.ArgumentTypeError),
        ([1.0, 10**400], errors.ArgumentTypeError),
        (np.array([1, 2j]), errors.ArgumentTypeError),
        ("12", errors.ArgumentTypeError),
    ],
)
def test_values_that_are_refused_change_nothing(values, kind):
    renew_cg()
    x = dy.inputVector([1.0, 2.0])
    y = x * 2
    for _ in range(TIMES):
        assert y.value() == [2.0, 4.0]
        with pytest.raises(kind, match="^set: "):
            x.set(values)
        x.set([1.0, 2.0])


def test_what_is_no_input_is_refused_also_after_inputs_have_been_set():
    renew_cg()
    model = ParameterCollection()
    xs = [dy.inputVector([float(k), 1.0]) for k in range(60)]
    computed = [xs[0] + 1, dy.concatenate([dy.pick(x, 0) for x in xs[:2]]), dy.esum(xs), model.add_parameters(2)]
    for _ in range(TIMES):
        for x in xs:
            x.set([2.0, 3.0])
        assert computed[2].value() == [120.0, 180.0]
        for y in computed:
            with pytest.raises(errors.ArgumentError, match="expected an input"):
                y.set([1.0, 2.0])
    renew_cg()
    with pytest.raises(errors.StaleExpressionError):
        xs[0].set([1.0, 2.0])


def test_inputs_are_set_after_a_part_of_the_graph_has_been_taken_back():
    renew_cg()
    x = dy.inputVector([1.0, 2.0])
    y = x * 2
    for k in range(5):
        y.value()
        cg_checkpoint()
        other = dy.inputVector([7.0, 8.0])
        z = other + x
        assert z.value() == [7.0 + (k or 1), 10.0]
        cg_revert()
        dy.inputVector([5.0])  # takes the place of `other`
        third = dy.inputVector([3.0, 3.0]) + y
        with pytest.raises(errors.StaleExpressionError):
            other.set([0.0, 0.0])
        x.set([k + 1.0, 2.0])
        assert y.value() == [2.0 * (k + 1), 4.0]
        assert third.value() == [2.0 * (k + 1) + 3, 7.0]


def test_a_pass_after_set_has_the_new_values():
    renew_cg()
    model = ParameterCollection()
    w = model.parameters_from_numpy(np.array([1.0, 2.0]))
    x, target = dy.vecInput(2), dy.scalarInput(0.0)
    loss = dy.square(dy.dot_product(w, x) - target)
    for k in range(5):
        x.set([k, 1.0])
        target.set(k)
        error = k + 2.0 - k
        loss.backward()
        assert w.grad_as_array().tolist() == [2 * error * k, 2 * error]
        w.scale_gradient(0)
        loss.backward(full=True)
        assert x.gradient().tolist() == [2 * error, 4 * error]
        w.scale_gradient(0)


@pytest.mark.parametrize("flag", [True, False, np.True_])
def test_methods_with_a_flag(flag):
    renew_cg()
    x = dy.inputVector([1.0, 2.0])
    y, s = x * 2, dy.sum_elems(x)
    for _ in range(TIMES):
        assert y.value(flag) == y.vec_value(flag) == y.value(recalculate=flag) == [2.0, 4.0]
        assert s.value(flag) == s.scalar_value(flag) == s.scalar_value(recalculate=flag) == 3.0
        assert s.vec_value(flag) == [3.0]
        assert y.forward(flag) is None and y.npvalue(flag).tolist() == [2.0, 4.0]
        s.backward(flag)
        s.backward(full=flag)
    for wrong in (2, "no", None, 1.5):
        for call in (y.value, y.vec_value, s.scalar_value, y.forward, s.backward):
            with pytest.raises(errors.ArgumentTypeError):
                call(wrong)


@pytest.mark.parametrize("number", [2**64, -(2**70), 10**30, 10**39])
def test_ints_of_more_than_64_bits_are_numbers(number):
    expected = float(np.float32(min(float(number), np.inf))) if abs(number) < 3e38 else np.inf
    renew_cg()
    x, s = dy.inputVector([1.0, 2.0]), dy.scalarInput(1.0)
    for _ in range(TIMES):
        assert dy.scalarInput(number).value() == dy.inputVector([number]).value() == expected
        s.set(number)
        x.set([number, 1])
        assert s.value() == x.value()[0] == expected
        assert dy.inputTensor([[number]]).npvalue().item() == expected
    for refused in (10**400, [10**400], [10**30, "1"], [10**30, None]):
        with pytest.raises(errors.ArgumentTypeError):
            dy.inputTensor(refused)


@compiled
def test_an_input_that_was_set_the_slow_way_is_set_the_quick_way_then():
    renew_cg()
    x = dy.inputVector([1.0, 2.0, 3.0, 4.0, 5.0])
    y = x * 2
    assert y.value() == [2.0, 4.0, 6.0, 8.0, 10.0]
    for k in range(4):
        called = python_calls(x.set, [float(k)] * 5)
        assert python_calls(y.value, True) == [] or k == 0
        assert y.value() == [2.0 * k] * 5
    assert called == []


ONE = [np.array([1]), np.array([1.0], np.float32), np.where(np.array([0, 1, 0]))[0], np.array(1)]


@pytest.mark.parametrize("one", ONE, ids=repr)
def test_arrays_of_one_element_are_indices(one):
    """As returned by `npvalue()` of a scalar and by `numpy.where`."""
    table = ParameterCollection().lookup_parameters_from_numpy(np.arange(6.0).reshape(3, 2))
    x = dy.inputVector([3.0, 4.0, 5.0])
    batch = dy.inputTensor(np.arange(6.0).reshape(2, 3), batched=True)
    matrix = dy.inputTensor(np.arange(6.0).reshape(3, 2))
    pairs = [
        (table[one], table[1]),
        (dy.lookup(table, one), table[1]),
        (dy.lookup_batch(table, [one, 0]), dy.lookup_batch(table, [1, 0])),
        (dy.pick(x, one), dy.pick(x, 1)),
        (dy.pick_range(x, one, 3), dy.pick_range(x, 1, 3)),
        (dy.pick_batch_elem(batch, one), dy.pick_batch_elem(batch, 1)),
        (dy.pick_batch_elems(batch, [one, 2]), dy.pick_batch_elems(batch, [1, 2])),
        (dy.pick_batch(batch, [one, 0, 1]), dy.pick_batch(batch, [1, 0, 1])),
        (dy.select_rows(matrix, [one, 2]), dy.select_rows(matrix, [1, 2])),
        (dy.pickneglogsoftmax(x, one), dy.pickneglogsoftmax(x, 1)),
    ]
    for found, expected in pairs:
        assert found.npvalue().tolist() == expected.npvalue().tolist()
    table.init_row(one, [7.0, 8.0])
    assert table.row_as_array(1).tolist() == [7, 8]


@pytest.mark.parametrize(
    "no_index", [np.array([1, 2]), np.array([]), np.array([1.5]), np.array(["1"]), [1, 2]], ids=repr
)
def test_other_arrays_are_no_index(no_index):
    table = ParameterCollection().add_lookup_parameters((3, 2))
    for use in (lambda: dy.lookup(table, no_index), lambda: dy.pick_range(dy.zeros(3), no_index, 3)):
        with pytest.raises((errors.ArgumentError, errors.ArgumentTypeError)):
            use()


def test_a_list_of_values_of_numbers_is_a_vector():
    scalars = [dy.scalarInput(k) for k in (1.5, 2.5, 3.5)]
    values = [e.npvalue() for e in scalars]
    expected = [1.5, 2.5, 3.5]
    for values_given in (values, np.array(values), np.array(values)[:, :, None], tuple(values)):
        assert dy.inputVector(values_given).value() == expected
        x = dy.vecInput(3)
        x.set(values_given)
        assert x.value() == expected
        assert dy.inputMatrix(values_given, (3,)).value() == expected
    for wrong in (np.ones((1, 3)), np.ones((2, 2)), [[1, 2], [3, 4]]):
        with pytest.raises(errors.ShapeError):
            dy.inputVector(wrong)
