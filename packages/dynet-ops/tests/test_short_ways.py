"""Ops on operands of known shapes take the fast path, with the same values and errors as the first call."""

import inspect
import itertools
import threading

import numpy as np
import pytest

import dynet_ops as dy
from dynet_core import (
    ArgumentError,
    ArgumentTypeError,
    Model,
    OutOfRangeError,
    ShapeError,
    StaleExpressionError,
    cg_checkpoint,
    cg_revert,
    renew_cg,
)
from dynet_core.graph import current

VALUES = np.arange(1, 6, dtype=np.float32)


def vector(values=VALUES):
    return dy.inputVector([float(value) for value in values])


def scores():
    return dy.inputTensor(np.arange(12).reshape(4, 3), batched=True)


@pytest.fixture
def table():
    return Model().lookup_parameters_from_numpy(np.arange(8).reshape(4, 2))


def refused(call, error):
    """Check that the call raises, also when its shapes are known, records nothing, and leaves the graph usable."""
    before = current().records.integers()
    for _ in range(2):
        with pytest.raises(error):
            call()
    assert current().records.integers() == before
    assert dy.sum_elems(vector()).value() == 15


@pytest.mark.parametrize("indices", [[3, 0, 3], (3, 0, 3), np.array([3, 0, 3]), [np.int64(3), 0, 3]])
def test_indices_of_any_kind(table, indices):
    for _ in range(2):
        assert dy.lookup_batch(table, indices).npvalue().tolist() == [[6, 0, 6], [7, 1, 7]]
        losses = dy.pickneglogsoftmax_batch(scores(), indices).npvalue()
        expected = [dy.pickneglogsoftmax(dy.pick_batch_elem(scores(), k), i).value() for k, i in enumerate([3, 0, 3])]
        np.testing.assert_allclose(losses[0], expected, rtol=1e-6)


def test_indices_stay_the_users(table):
    indices = [3, 0, 3]
    found = dy.lookup_batch(table, indices)
    indices[0] = 1
    assert found.npvalue().tolist() == [[6, 0, 6], [7, 1, 7]]


def test_wrong_indices(table):
    dy.lookup_batch(table, [3, 0]), dy.pickneglogsoftmax_batch(scores(), [3, 0, 1])
    for wrong, error in (([4, 0], OutOfRangeError), ((0, -1), OutOfRangeError), ([None, 0], ArgumentTypeError),
                         ([1.5, 0], ArgumentError)):  # fmt: skip
        refused(lambda wrong=wrong: dy.lookup_batch(table, wrong), error)
        x = scores()
        refused(lambda wrong=wrong, x=x: dy.pickneglogsoftmax_batch(x, [*wrong, 0]), error)
    x = scores()
    refused(lambda: dy.pickneglogsoftmax_batch(x, [0, 1]), ShapeError)
    with pytest.raises(OutOfRangeError, match=r"index 4 .* x \(4,\) x 3, which has 4"):
        dy.pickneglogsoftmax_batch(x, [0, 4, 1])


def test_one_vector_of_scores_for_several_choices():
    x = vector()
    assert dy.pickneglogsoftmax_batch(x, [2]).dim() == ((1,), 1)
    assert dy.pickneglogsoftmax_batch(x, [2, 3]).dim() == ((1,), 2)
    assert dy.pickneglogsoftmax_batch(x, [2]).dim() == ((1,), 1)


@pytest.mark.parametrize("bounds", [(0, 2), (1, 3), (3, 5), (np.int64(1), 4)])
def test_ranges(bounds):
    start, stop = bounds
    for _ in range(2):
        assert dy.pickrange(vector(), start, stop).value() == VALUES[start:stop].tolist()


@pytest.mark.parametrize(
    "part", [slice(1, 3), slice(None, 2), slice(-2, None), slice(1, 99), slice(0, -1), slice(None)]
)
def test_slices(part):
    for _ in range(2):
        assert vector()[part].value() == VALUES[part].tolist()


def test_wrong_ranges():
    dy.pickrange(vector(), 1, 3)
    x = vector()
    for v, u, error in ((4, 6, OutOfRangeError), (-1, 1, OutOfRangeError), (3, 1, OutOfRangeError),
                        (None, 3, ArgumentTypeError), (1.5, 3, ArgumentError)):  # fmt: skip
        refused(lambda v=v, u=u: dy.pickrange(x, v, u), error)
    refused(lambda: x[3:1], OutOfRangeError)
    refused(lambda: x["a":], ArgumentTypeError)


def test_sums():
    for _ in range(2):
        assert dy.esum([vector(), vector(2 * VALUES)]).value() == (3 * VALUES).tolist()
        assert dy.esum((vector(), vector())).value() == (2 * VALUES).tolist()
        assert dy.esum([vector(), dy.inputVector([1])]).value() == (VALUES + 1).tolist()
        assert dy.esum([vector()]).value() == VALUES.tolist()
        parameter = Model().parameters_from_numpy(VALUES)
        assert dy.esum([vector(), parameter]).value() == (2 * VALUES).tolist()
        assert dy.esum([parameter, parameter]).value() == (2 * VALUES).tolist()


@pytest.mark.parametrize("kinds", [kinds for n in range(1, 6) for kinds in itertools.product("xp", repeat=n)])
def test_columns_of_any_number(kinds):
    """Nodes and parameters of different lengths, as each operand. At the second call, the shapes are known."""
    parameters = [Model().parameters_from_numpy(VALUES[: 1 + place]) for place in range(5)]
    for _ in range(2):
        renew_cg()
        xs = [vector(VALUES[place:]) if kind == "x" else parameters[place] for place, kind in enumerate(kinds)]
        expected = [VALUES[place:] if kind == "x" else VALUES[: 1 + place] for place, kind in enumerate(kinds)]
        joined = dy.concatenate(xs)
        assert joined.vec_value() == np.concatenate(expected).tolist()
        assert joined.dim() == ((sum(map(len, expected)),), 1)


@pytest.mark.parametrize("count", range(1, 6))
def test_columns_of_an_old_graph(count):
    for place in range(count):
        dy.concatenate([vector()] * count)
        old = vector()
        renew_cg()
        xs = [vector() for _ in range(count)]
        xs[place] = old
        refused(lambda xs=xs: dy.concatenate(xs), StaleExpressionError)
        refused(lambda xs=xs: dy.concatenate([old] * len(xs)), StaleExpressionError)  # noqa: B023


@pytest.mark.parametrize("count", range(2, 6))
def test_columns_that_do_not_fit(count):
    for place in range(count):
        xs = [vector() for _ in range(count)]
        dy.concatenate(xs)
        xs[place] = dy.inputTensor(np.zeros((3, 2)))
        refused(lambda xs=xs: dy.concatenate(xs), ShapeError)
        xs[place] = 1.0
        refused(lambda xs=xs: dy.concatenate(xs), ArgumentTypeError)


def test_one_vector_is_not_taken_for_a_list():
    x, same = vector([1, 2]), vector([3, 4])
    dy.concatenate([x, same])
    refused(lambda: dy.concatenate(x), ArgumentTypeError)
    refused(lambda: dy.concatenate([x, same], None), ArgumentTypeError)
    assert dy.concatenate([x, same], False).value() == [1, 2, 3, 4]
    assert dy.concatenate([x, same], np.int64(0)).value() == [1, 2, 3, 4]


def recording_ops(table):
    """Calls that record a node from a given operand."""
    W, b = Model().parameters_from_numpy(np.eye(5)), Model().parameters_from_numpy(VALUES)
    return [
        dy.tanh,
        lambda x: dy.cmult(x, x),
        lambda x: W * x,
        lambda x: x + b,
        lambda x: dy.esum([x, x]),
        lambda x: dy.concatenate([x, x, x]),
        lambda x: dy.affine_transform([b, W, x]),
        lambda x: dy.affine_transform([b, W, x, W, x]),
        lambda x: dy.pickrange(x, 1, 3),
        lambda x: x[1:4],
        lambda x: dy.pick(x, 1),
        lambda x: dy.pickneglogsoftmax(x, 1),
        lambda x: dy.pickneglogsoftmax_batch(x, [1]),
    ]


@pytest.mark.parametrize("number", range(13))
def test_stale_operands(table, number):
    call = recording_ops(table)[number]
    call(vector())
    old = vector()
    renew_cg()
    vector()
    refused(lambda: call(old), StaleExpressionError)


def test_operands_of_two_threads():
    found = []
    x = vector()
    x + x, dy.esum([x]), dy.esum([x, x]), dy.concatenate([x, x, x])

    def work():
        found.append(vector())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    (other,), here = found, vector()
    for call in (
        lambda: here + other,
        lambda: dy.esum([here, other]),
        lambda: dy.esum([other, other]),
        lambda: dy.esum([other]),
        lambda: dy.concatenate([here, other, here]),
    ):
        refused(call, StaleExpressionError)


def test_what_is_no_expression():
    x = vector()
    dy.esum([x, x]), dy.concatenate([x, x]), dy.concatenate([x, x, x]), dy.cmult(x, x)
    for call in (
        lambda: dy.esum([x, 1.0]),
        lambda: dy.esum([1.0, x]),
        lambda: dy.concatenate([x, 1.0]),
        lambda: dy.concatenate([x, x, None]),
        lambda: dy.cmult(x, 2.0),
        lambda: dy.cmult(x, "a"),
        lambda: x + "a",
    ):
        refused(call, ArgumentTypeError)


def test_records_after_a_revert_are_not_taken_for_those_before():
    def record():
        renew_cg()
        x = vector()
        return x, dy.tanh(x), dy.exp(x)

    np.testing.assert_allclose(record()[-1].npvalue(), np.exp(VALUES), rtol=1e-6)
    x, y, _ = record()
    cg_checkpoint()
    dy.sqrt(y).value()
    cg_revert()
    z = dy.square(x)
    np.testing.assert_allclose(z.npvalue(), VALUES**2, rtol=1e-6)
    np.testing.assert_allclose(record()[-1].npvalue(), np.exp(VALUES), rtol=1e-6)


OF_LISTS = {
    "esum": "dy.sum_elems",
    "average": "dy.mean_elems",
    "emax": "dy.max_dim",
    "logsumexp": "dy.logsumexp_dim",
    "concatenate": r"concatenate\(\[x\]\)",
    "concatenate_cols": r"concatenate_cols\(\[x\]\)",
    "concatenate_to_batch": r"concatenate_to_batch\(\[x\]\)",
    "affine_transform": r"affine_transform\(\[x\]\)",
    "vanilla_lstm_gates_concat": r"vanilla_lstm_gates_concat\(\[x\]\)",
    "vanilla_lstm_gates_dropout_concat": r"vanilla_lstm_gates_dropout_concat\(\[x\]\)",
}


@pytest.mark.parametrize("name", OF_LISTS)
def test_an_expression_is_no_list_of_expressions(name):
    op, x = getattr(dy, name), vector([1, 2])
    rest = [vector([1])] * (len(inspect.signature(op).parameters) - 2) if "gates" in name else []
    for one in (x, vector([1]), Model().add_parameters(2), Model().add_lookup_parameters((5, 2))):
        for _ in range(5):  # also where the op is recorded from a template
            before = current().node_count()
            with pytest.raises(ArgumentTypeError, match=f"^{name}: expected a list of .*, got one.*{OF_LISTS[name]}"):
                op(one, *rest)
            assert current().node_count() == before
    if not rest:
        for xs in ([x], (x,), (e for e in [x]), iter([x]), {x: 1}, dict.fromkeys([x]).keys()):
            assert op(xs).npvalue().ravel().tolist() == [1, 2]
