"""After its first call, an op is recorded by compiled code, without calling a Python function."""

import inspect
import operator

import numpy as np
import pytest
from op_checks import python_calls
from tested_ops import each_sample

import dynet_ops as dy
from dynet_core import ParameterCollection, recorder, renew_cg
from dynet_core.graph import current
from dynet_core.graph.expression import Expression
from dynet_core.op import OPS
from dynet_core.recorder import FUNCTION_TYPE
from dynet_kernels import formula as f
from dynet_kernels.recorder.words import MOST_KEYED
from dynet_ops.kinds import columnwise, elementwise
from dynet_ops.testing import draw, record

pytestmark = pytest.mark.skipif(recorder.DESCRIPTION != "compiled", reason="the plain recorder knows no quick ways")


def check_quick(function, *arguments, **named):
    """Check that the second of two calls runs no Python function, and records the same as the first."""
    graph = current()
    function(*arguments, **named)
    before = graph.records.ends()
    assert python_calls(function, *arguments, **named) == []
    between = graph.records.ends()
    function(*arguments, **named)
    after = graph.records.ends()
    assert between > before
    assert [c - b for b, c in zip(between, after)] == [b - a for a, b in zip(before, between)]


def test_a_call_of_python_is_noticed():
    assert python_calls(lambda: dy.softmax(dy.inputVector([1.0, 2.0])))


# All ops of the table that are recording functions

COMPILED = {name: op for name, op in OPS.items() if type(op.record) is FUNCTION_TYPE}
RECORDED = [parameter for parameter in each_sample(COMPILED) if parameter.values[1].shapes]


@pytest.mark.parametrize(("op", "sample"), RECORDED)
def test_every_op_of_the_table(op, sample):
    renew_cg()
    operands = [dy.inputTensor(array, batched=True) for array in draw(op, sample)]
    for _ in range(4):
        record(op, sample, operands)
    given = [operands] if sample.as_list else operands
    called = python_calls(op.record, *given, **sample.attributes)
    in_order = by_place(op.record, given, sample.attributes)
    if recorder.call_key(*in_order):
        assert python_calls(op.record, *in_order) == []
        assert called == [] or "call_by_position" in called[0]  # it puts arguments in order
    else:
        assert called or len(operands) > MOST_KEYED  # lists too long for template keys may still be known by length


def by_place(function, given, named):
    """The given arguments of a call as positional ones."""
    bound = inspect.signature(function).bind(*given, **named)
    last = list(bound.arguments)[-1]
    bound.apply_defaults()
    return list(bound.arguments.values())[: list(bound.arguments).index(last) + 1]


def test_most_ops_are_recorded_so():
    assert len({id(parameter.values[0]) for parameter in RECORDED}) > 60


# Each form


class Collection(ParameterCollection):
    """Accepts new attributes, unlike the library's own class."""


@pytest.fixture(scope="module")
def model():
    found = Collection()
    found.p = found.add_parameters(3)
    found.w = found.add_parameters((4, 3))
    found.table = found.add_lookup_parameters((5, 3))
    return found


@pytest.fixture
def x():
    renew_cg()
    return dy.inputVector([1.0, 2.0, 3.0])


def test_one_and_two_operands(x, model):
    for operand in (x, model.p):
        check_quick(dy.tanh, operand)
        check_quick(dy.tanh, x=operand)
        check_quick(operator.neg, operand)
        check_quick(dy.sum_elems, operand)
        check_quick(dy.cmult, x, operand)
        check_quick(dy.cmult, operand, y=x)
        check_quick(dy.squared_distance, operand, x)
        check_quick(operator.mul, model.w, operand)
    check_quick(model.p.__add__, x)


@pytest.mark.parametrize("count", [1, 2, 3, 8, 9, 50])
@pytest.mark.parametrize("sequence", [list, tuple])
def test_many_operands(x, model, count, sequence):
    for op in (dy.esum, dy.concatenate, dy.concatenate_cols):
        check_quick(op, sequence([x] * count))
        check_quick(op, sequence([model.p] * count))
    if count < 9:
        check_quick(dy.concatenate, sequence([x, *[dy.inputVector([1.0])] * (count - 1)]))
    check_quick(dy.affine_transform, sequence([dy.inputVector([0.5] * 4), *[model.w, x] * min(count, 3)]))


@pytest.mark.parametrize("number", [2, 2.5, 0, -1, -1.0, float("inf"), float("nan"), 1 << 60, -(1 << 60), 1 << 200])
@pytest.mark.parametrize("name", ["add", "sub", "mul", "truediv"])
def test_operators_with_numbers(x, model, name, number):
    for operand in (x, model.p):
        check_quick(getattr(operator, name), operand, number)
        if name != "truediv" or number:
            check_quick(getattr(operator, name), number, operand)


@pytest.mark.parametrize("name", ["add", "sub", "truediv"])
def test_operators_with_expressions(x, model, name):
    for a, b in ((x, x), (x, model.p), (model.p, x), (model.p, model.p)):
        check_quick(getattr(operator, name), a, b)


@pytest.mark.parametrize("batch", [1, 3])
def test_expressions_that_scale_others(x, batch):
    scalar, many = dy.scalarInput(2.0), dy.inputTensor(np.arange(3.0 * batch).reshape(3, batch), batched=batch > 1)
    matrix = dy.inputTensor(np.arange(12.0).reshape(4, 3))
    for operand in (x, many, matrix):
        check_quick(operator.mul, scalar, operand)
        check_quick(operator.mul, operand, scalar)
        assert (scalar * operand).npvalue() == pytest.approx(2 * operand.npvalue())


def test_numbers_have_their_values(x):
    """Plain numbers in the place of each operand; the first call of each kind takes the slow path."""
    for number in (2, 0.5, -1, -1.0, 3.0, 1 << 30):
        for turn in range(2):
            values = np.array([1.0, 2.0, 3.0])
            pairs = [(x + number, values + number), (number + x, number + values), (x - number, values - number)]
            pairs += [(number - x, number - values), (x * number, values * number), (number * x, number * values)]
            pairs += [(x / number, values / number), (number / x, number / values)]
            for got, expected in pairs:
                assert got.npvalue() == pytest.approx(expected, rel=1e-6), (number, turn)


def test_indices_and_slices(x, model):
    for operand in (x, model.p):
        for index in (0, 2):
            check_quick(dy.pick, operand, index)
            check_quick(dy.pick, operand, index=index)
            check_quick(dy.pickneglogsoftmax, operand, index)
        for index in (0, 2, -1, -3):
            check_quick(operator.getitem, operand, index)
        for ends in ((0, 1), (1, 3), (0, 2)):
            check_quick(dy.pickrange, operand, *ends)
            check_quick(operator.getitem, operand, slice(*ends))
    matrix = dy.inputTensor(np.arange(12.0).reshape(4, 3))
    check_quick(operator.getitem, matrix, -4)
    check_quick(operator.getitem, matrix, slice(1, 4))


def test_rows_of_tables(x, model):
    for row in (0, 4):
        check_quick(operator.getitem, model.table, row)
        check_quick(model.table.lookup, row)


def test_rows_of_tables_that_are_not_trained(x, model):
    for look in (lambda: model.table.lookup(2, False), lambda: model.table.lookup(2, update=False)):
        look()
        called = [name.rpartition(".")[2] for name in python_calls(look)]
        assert called[-1] == "_fixed" and "append" not in called  # the recorder adds it
        assert look().npvalue() == pytest.approx(model.table.row_as_array(2))
    rows = dy.sum_batches(model.table.batch([0, 2, 2], update=False))
    assert rows.npvalue() == pytest.approx(model.table.rows_as_array([0, 2, 2]).sum(0))
    trained = model.table.lookup(1)
    loss = dy.dot_product(model.table.lookup(1, update=False) + dy.sum_batches(rows), trained)
    loss.backward()
    gradient = model.table.grad_as_array()
    assert gradient[1] == pytest.approx((rows + trained).npvalue()) and not gradient[[0, 2, 3, 4]].any()
    model.table.scale_gradient(0)


def test_inputs(x):
    for values in ([1.0], [1, 2.5, 3], [0.5] * 1000, [-1, -1.0]):
        check_quick(dy.inputVector, values)
    for value in (1.5, -1, 0, 1 << 100):
        check_quick(dy.scalarInput, value)


def test_ops_of_ones_own(x):
    """As in CONTRIBUTING: nothing extra is needed for this."""

    @elementwise(reference=lambda x: x / (1 + np.exp(-1.5 * x)))
    def quick_one(x: Expression) -> Expression:
        """x times the logistic function of 1.5 x."""
        return x * f.logistic(1.5 * x)

    @elementwise(reference=lambda x, y: x * x + y)
    def quick_two(x: Expression, y: Expression) -> Expression:
        """x squared plus y."""
        return x * x + y

    @columnwise(whole=True, reference=lambda x: np.atleast_1d((x**3).sum()))
    def quick_sum(x: Expression) -> Expression:
        """The sum of the third powers."""
        return f.sum(x**3)

    try:
        check_quick(quick_one, x)
        check_quick(quick_two, x, y=x)
        check_quick(quick_sum, x)
        assert quick_sum(quick_two(x, x)).value() == pytest.approx(2**3 + 6**3 + 12**3)
    finally:
        for name in ("quick_one", "quick_two", "quick_sum"):
            del OPS[name]


def test_a_number_is_not_taken_for_a_list_of_one_number():
    """Inputs of scalars and of vectors are recorded by one kind of function; their table keys differ."""
    check_quick(dy.inputVector, [5.0])
    check_quick(dy.scalarInput, 5.0)
    with pytest.raises(TypeError, match="inputVector: expected a flat list of numbers"):
        dy.inputVector(5.0)
    assert dy.scalarInput([1.5]).value() == 1.5 and dy.inputTensor([1.5]).value() == 1.5


@pytest.mark.parametrize("values", [[1.0, "a"], [1.0, 10**400], [1.0, None]])
def test_values_that_cannot_be_set_leave_the_others(values):
    x = dy.inputVector([3.0, 4.0])
    check_value = x.value()
    x.set([3.0, 4.0])
    x.set([3.0, 4.0])
    with pytest.raises((TypeError, ValueError, OverflowError)):
        x.set(values)
    assert x.value() == check_value == [3.0, 4.0]
