"""Ops recorded from templates give the same records as in Python, and only where the arguments determine them."""

import gc
import operator
import threading

import numpy as np
import pytest
from op_checks import python_calls
from tested_ops import each_sample

import dynet_ops as dy
from dynet_core import ParameterCollection, cg_checkpoint, cg_revert, errors, recorder, renew_cg, reset_random_seed
from dynet_core.graph import current, templates
from dynet_core.op import OPS, register
from dynet_ops.testing import draw, record

compiled = pytest.mark.skipif(recorder.DESCRIPTION != "compiled", reason="the recorder in Python has no templates")
TIMES = 6  # enough calls to learn and use a template


def recorded(action):
    """The records of an action: the integers, the inputs and the last node's value."""
    graph = current()
    begin, _, first = graph.records.ends()
    found = action()
    end, _, last = graph.records.ends()
    shape = found.dim() if hasattr(found, "dim") else [x.dim() for x in found]
    return graph.records.integers(begin, end), graph.records.floats(first, last - first).tolist(), shape


DETERMINISTIC = each_sample({name: op for name, op in OPS.items() if not op.random})


@pytest.mark.parametrize(("op", "sample"), DETERMINISTIC)
def test_an_op_records_the_same_each_time(op, sample):
    found, values = [], []
    for seed in range(TIMES):
        renew_cg()
        operands = [dy.inputTensor(array, batched=True) for array in draw(op, sample)]
        for k in range(seed % 3):  # the numbers of nodes and inputs differ each time
            dy.inputVector([float(k)])
        begin, nodes, inputs = current().records.ends()
        integers, floats, shape = recorded(lambda operands=operands: record(op, sample, operands))
        assert current().records.ends()[0] == begin + len(integers)
        found.append((len(integers), current().node_count() - nodes, floats, shape))
        result = record(op, sample, operands)
        values.append((result if hasattr(result, "npvalue") else result[0]).npvalue())
    assert all(each == found[0] for each in found)
    assert all(np.array_equal(value, values[0], equal_nan=True) for value in values)


DIFFERENT = [
    lambda x: dy.softmax(x, 0),
    lambda x: dy.softmax(x, 1),
    lambda x: dy.reshape(x, (4,)),
    lambda x: dy.reshape(x, (1, 4)),
    lambda x: dy.reshape(x, [4, 1]),
    lambda x: dy.sum_dim(x, [0]),
    lambda x: dy.sum_dim(x, [1]),
    lambda x: dy.sum_dim(x, [0, 1]),
    lambda x: dy.sum_dim(x, [0], True),
    lambda x: dy.sum_dim(x, [0], False),
    lambda x: dy.mean_dim(x, [0], False, 5),
    lambda x: dy.mean_dim(x, [0], False, 6),
    lambda x: x**2,
    lambda x: x**3,
    lambda x: x**2.5,
    lambda x: x**-1,
    lambda x: dy.hinge(dy.reshape(x, (4,)), 1),
    lambda x: dy.hinge(dy.reshape(x, (4,)), 2),
    lambda x: dy.hinge(dy.reshape(x, (4,)), 2, 0.5),
    lambda x: dy.hinge(dy.reshape(x, (4,)), v=2, m=0.25),
    lambda x: dy.hinge(dy.reshape(x, (4,)), m=0.125, v=1),
    lambda x: dy.pick(x, 1, 1),
    lambda x: dy.pick(x, 0, dim=1),
    lambda x: dy.constant((2,), 1.0),
    lambda x: dy.constant((2,), -0.0),
    lambda x: dy.constant((2,), 0.0),
    lambda x: dy.constant(2, float("nan")),
    lambda x: dy.zeros((2,)),
    lambda x: dy.zeros((2,), 3),
    lambda x: dy.one_hot(4, 1),
    lambda x: dy.one_hot(4, [1, 2]),
    lambda x: dy.concatenate([x, x * 2], 1),
    lambda x: dy.concatenate([x, x * 2], d=0),
    lambda x: dy.esum([x, dy.pick(x, 0)]),
    lambda x: dy.average([x, x * 2]),
    lambda x: dy.average((x * 2, x)),
]


def test_calls_that_differ_in_anything_are_told_apart():
    numbers = np.array([[1.0, 2.0], [3.0, 4.5]])
    renew_cg()
    expected = []
    for call in DIFFERENT:  # one call each, so nothing is learned
        found = call(dy.inputTensor(numbers))
        expected.append((found.dim(), found.npvalue().tobytes()))
    rng = np.random.default_rng(0)
    for _ in range(TIMES):
        renew_cg()
        for k in rng.permutation(len(DIFFERENT)):
            found = DIFFERENT[k](dy.inputTensor(numbers))
            assert (found.dim(), found.npvalue().tobytes()) == expected[k], k


def counted():
    """An op written in Python, with three nodes and an input, and a list of its calls."""
    calls = []

    def shifted_product(x, y, by=0.5):
        """(x + by) * y."""
        calls.append(by)
        return dy.cmult(x + by, y)

    return shifted_product, calls


@pytest.fixture
def op(request):
    function, calls = counted()
    function.__name__ = function.__qualname__ = f"shifted_product_{abs(hash(request.node.name))}"
    found = register(function, reference=lambda x, y, by=0.5: (x + by) * y, samples=[])
    yield found, calls
    del OPS[function.__name__]


@compiled
def test_an_op_written_in_python_is_recorded_without_it(op):
    op, calls = op
    renew_cg()
    for k in range(10):
        x, y = dy.inputVector([1.0, k]), dy.inputVector([2.0, 3.0])
        assert op(x, y).value() == [3.0, (k + 0.5) * 3]
        assert op(y, x, 0.25).value() == [2.25, 3.25 * k]
        assert op(x=x, y=y, by=0.25).value() == [2.5, (k + 0.25) * 3]
    assert calls.count(0.5) == 2
    assert calls.count(0.25) == 2  # the same call by keyword


@compiled
@pytest.mark.parametrize("power", [2, 2.5, -1])
def test_a_power_by_its_operator_is_recorded_without_python(power):
    renew_cg()
    x = dy.inputVector([1.0, 2.0])
    values = [(x**power).value() for _ in range(TIMES)]
    assert python_calls(operator.pow, x, power) == []
    assert values == [pytest.approx([1.0, 2.0**power])] * TIMES


@compiled
def test_gradients_flow_through_what_a_template_has_recorded(op):
    op, _ = op
    model = ParameterCollection()
    p = model.parameters_from_numpy(np.array([1.0, -2.0]))
    for k in range(TIMES):
        renew_cg()
        y = dy.inputVector([2.0, float(k)])
        dy.sum_elems(op(p, y)).backward()
        assert p.grad_as_array().tolist() == [2.0, float(k)]
        p.scale_gradient(0)


@compiled
def test_equal_operands_teach_only_what_equal_operands_record(op):
    op, calls = op
    renew_cg()
    x, y = dy.inputVector([1.0, 2.0]), dy.inputVector([5.0, 7.0])
    for _ in range(TIMES):
        assert op(x, x).value() == [1.5, 5.0]
    assert len(calls) == 2
    for _ in range(TIMES):
        assert op(x, y).value() == [7.5, 17.5]
        assert op(x, x).value() == [1.5, 5.0]
        assert op(y, x).value() == [5.5, 15.0]
    assert len(calls) == 3


@compiled
def test_the_size_of_templates_is_bounded(op, monkeypatch):
    monkeypatch.setattr(templates, "MOST_WORDS", 20)
    op, calls = op
    renew_cg()
    x, y = dy.inputVector([1.0, 2.0]), dy.inputVector([5.0, 7.0])
    for k in range(4):
        for _ in range(TIMES):
            assert op(x, y, k).value() == [(1 + k) * 5, (2 + k) * 7]
    assert [calls.count(k) for k in range(4)] == [2, 2, TIMES, TIMES]


@compiled
def test_what_else_happens_teaches_nothing(op):
    """An op whose function does more than record nodes stays in Python."""
    op, calls = op
    other = dy.inputVector([1.0, 2.0])

    def reads(x):
        """x, after it has been read."""
        calls.append(None)
        x.value()
        return x + 1

    def takes_another(x):
        """x and an expression that is no argument."""
        calls.append(None)
        return x + other

    def takes_many(x):
        """x and the sum of many numbers."""
        calls.append(None)
        return x + dy.sum_elems(dy.inputVector([0.0] * (templates.MOST_INPUTS + 1)))

    for function in (reads, takes_another, takes_many):
        found = register(function, reference=lambda x: x, samples=[])
        calls.clear()
        renew_cg()
        other = dy.inputVector([1.0, 2.0])
        for k in range(20):
            found(dy.inputVector([k, 1.0])).value()
        assert len(calls) == 20
        del OPS[function.__name__]


RANDOM = [
    lambda x: dy.dropout(x, 0.5),
    lambda x: dy.noise(x, 1.0),
    lambda x: dy.dropout_batch(x, 0.5),
    lambda x: dy.block_dropout(x, 0.5),
    lambda x: dy.random_normal((4,)),
    lambda x: dy.random_uniform(4, -1.0, 2.0),
    lambda x: dy.random_gumbel((4,)) + dy.dropout(x, 0.25),
]


@pytest.mark.parametrize("call", RANDOM)
def test_random_ops_draw_each_time(call):
    def values():
        reset_random_seed(3)
        found = []
        for k in range(4):
            renew_cg()
            for _ in range(k):
                dy.inputVector([0.5])
            x = dy.inputTensor(np.arange(1.0, 9.0).reshape(4, 2), batched=True)
            ys = [call(x) for _ in range(k + 1)]
            found += [y.npvalue().tolist() for y in ys]
            found += [y.npvalue(True).tolist() for y in ys]  # all are drawn again
            cg_checkpoint()
            call(x).value()
            cg_revert()
            found += [ys[0].npvalue(True).tolist(), call(x).npvalue().tolist()]
            x.set(np.ones(8))
            found.append(ys[-1].npvalue().tolist())
        return found

    first = values()
    assert first == values() == values()  # determined by the seed
    assert len({str(value) for value in first}) > 2


@compiled
def test_a_table_of_parameters_is_not_taken_by_a_template():
    """Whether a lookup table is trained as a whole is noted at each use."""
    model = ParameterCollection()
    table = model.lookup_parameters_from_numpy(np.arange(6.0).reshape(3, 2))
    for _ in range(TIMES):
        renew_cg()
        dy.sum_elems(dy.reshape(table, (6,))).backward()
        assert table.grad_as_array().tolist() == [[1.0, 1.0]] * 3
        table.scale_gradient(0)


def test_errors_are_those_of_python_afterwards(op):
    op, _ = op
    renew_cg()
    x, y = dy.inputVector([1.0, 2.0]), dy.inputVector([5.0, 7.0])
    for _ in range(TIMES):
        op(x, y)
        dy.softmax(dy.reshape(x, (1, 2)), 1)
    renew_cg()
    for stale in (lambda: op(x, dy.inputVector([1.0, 2.0])), lambda: dy.reshape(x, (1, 2))):
        with pytest.raises(errors.StaleExpressionError):
            stale()
    with pytest.raises(errors.ShapeError):
        dy.reshape(dy.inputVector([1.0, 2.0]), (3, 2))
    with pytest.raises(TypeError):
        dy.reshape(dy.inputVector([1.0, 2.0]), (2, 1), 1, 1)


@compiled
def test_calls_are_counted_for_few_keys(op, monkeypatch):
    """Numbers that are always new do not keep other calls from templates."""
    monkeypatch.setattr(templates, "MOST_KEYS", 8)
    op, calls = op
    renew_cg()
    x, y = dy.inputVector([1.0, 2.0]), dy.inputVector([5.0, 7.0])
    for k in range(100):
        assert op(x, y, k).value() == [(1 + k) * 5, (2 + k) * 7]
        assert op(x, y, -1).value() == [0, 7]
    for k in range(90):  # all of them were forgotten
        op(x, y, k)
    assert [calls.count(k) for k in (-1, 0, 1, 89)] == [2] * 4
    for _ in range(TIMES):
        op(x, y, 99)
    assert calls.count(99) == 3  # its first call was forgotten


def test_another_thread_uses_the_same_templates(op):
    op, _ = op
    found = []

    def use():
        values = []
        for k in range(TIMES):
            renew_cg()
            values.append(op(dy.inputVector([1.0, k]), dy.inputVector([2.0, 3.0])).value())
        found.append(values)

    use()
    threads = [threading.Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [[[3.0, (k + 0.5) * 3] for k in range(TIMES)]] * 5


def test_graphs_that_are_watched_are_recorded_by_python(op):
    op, calls = op
    for _ in range(TIMES):
        renew_cg()
        op(dy.inputVector([1.0, 2.0]), dy.inputVector([2.0, 3.0]))
    renew_cg(immediate_compute=True, check_validity=True)
    before = len(calls)
    x = dy.inputVector([1.0, 2.0])
    assert op(x, x * 2).value() == [3.0, 10.0]
    assert len(calls) == before + 1
    with pytest.raises(errors.NotFiniteError):
        op(x, dy.inputVector([1.0, float("inf")]) * 1)
    renew_cg()


def test_a_number_of_numpys_is_told_from_an_int():
    """An op may accept one type and refuse the other, also after it has seen the other."""
    renew_cg()
    x = dy.inputTensor([[1.0, 2.0], [3.0, 4.0]])
    for _ in range(TIMES):
        assert dy.mean_dim(x, [0], 0).value() == [2.0, 3.0]
        with pytest.raises(errors.ArgumentTypeError, match="must be True or False"):
            dy.mean_dim(x, [0], np.int32(0))


def test_lists_that_are_made_are_whole_for_other_threads():
    """Other threads run during a pass and may inspect all objects, as profilers do."""
    size, done, seen = 777, threading.Event(), []
    before = [found for found in gc.get_objects() if type(found) is list and len(found) == size]
    others = {id(found) for found in before}

    def look():
        while not done.is_set():
            for found in gc.get_objects():
                if type(found) is list and len(found) == size and id(found) not in others:
                    seen.append({type(item) for item in found})

    thread = threading.Thread(target=look)
    thread.start()
    weights = ParameterCollection().add_parameters((size, size))
    for _ in range(5):
        renew_cg()
        x = dy.inputVector([0.5] * size)
        for _ in range(30):
            x = dy.tanh(weights * x)
        value = x.value()
        assert gc.is_tracked(value) and len(value) == size
    done.set()
    thread.join()
    assert all(types <= {float} for types in seen)
