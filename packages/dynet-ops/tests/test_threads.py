"""Passes shared by several threads give the same bits as one thread, however small the work."""

import numpy as np
import pytest
from tested_ops import each_sample

import dynet_ops as dy
from dynet_core import Model, renew_cg
from dynet_core.graph import current
from dynet_kernels import layout as at
from dynet_kernels.layout import CONTEXT
from dynet_kernels.machine import sharing
from dynet_kernels.table import KERNELS
from dynet_ops.testing import Computed, Input, draw, record, value_of, weighted_sum, weights_for

TOLD = {  # how threads share a kernel -> the arguments it gets
    at.ALONE: set(),
    at.BY_COLUMNS: {"others"},
    at.BY_ROWS: {"rows_before", "rows_after"},
    at.EITHER: {*at.SHARES},
}
NUMBERS = (2, 3, 7)  # numbers of threads; some exceed the number of columns


def run_by(threads, function, *arguments):
    """The result of a function when this many threads share all the work they can."""
    with sharing.using(threads, 0, 0):
        renew_cg()
        current().engine.discard_plans()  # a kept plan may share nothing
        result = function(*arguments)
    current().engine.discard_plans()
    return result


def assert_same_bits(function, *arguments):
    expected = run_by(1, function, *arguments)
    for threads in NUMBERS:
        for one, other in zip(run_by(threads, function, *arguments), expected, strict=True):
            assert one.tobytes() == other.tobytes(), f"{threads} threads differ"


def ways(direction):
    """How the instructions of the last pass are shared."""
    engine = current().engine
    count = engine.slots[CONTEXT.tape_count]
    return engine.buffers[f"{direction}_tape"].reshape(-1, len(at.INSTRUCTION))[:count, at.INSTRUCTION.shared].tolist()


def several(op, sample):
    """Values and gradients of nodes that run together, some of them with the same operands."""
    leaves = [[kind(array) for array in draw(op, sample, seed)] for seed, kind in enumerate((Input, Computed, Input))]
    operands = [[leaf.expression for leaf in these] for these in leaves]
    results = [record(op, sample, these) for these in (*operands, operands[0], operands[1])]
    weights = [weights_for(result, seed) for seed, result in enumerate(results)]
    dy.esum([weighted_sum(result, w) for result, w in zip(results, weights)]).backward(full=True)
    gradients = [leaf.gradient() for these in leaves for leaf in these]
    return [*map(value_of, results), *gradients]


@pytest.mark.parametrize(("op", "sample"), each_sample())
def test_every_op(op, sample):
    assert_same_bits(several, op, sample)


def layers(width, batch):
    rng = np.random.default_rng(width)
    model = Model()
    W, V = (model.parameters_from_numpy(rng.normal(size=(width, width)).astype(np.float32)) for _ in range(2))
    x = dy.inputTensor(rng.normal(size=(width, batch)).astype(np.float32), batched=True)
    h = dy.tanh(W * x) + dy.softmax(V * x)
    y = dy.logistic(W * h)
    loss = dy.sum_batches(dy.squared_norm(y))
    loss.value()
    loss.backward(full=True)
    return [value_of(y), x.gradient(), *(p.grad_as_array() for p in (W, V))]


@pytest.mark.parametrize("batch", [1, 5, 30, 600])
@pytest.mark.parametrize("width", [1, 16, 33, 300])
def test_layers(width, batch):
    assert_same_bits(layers, width, batch)


def test_products_are_shared_by_rows_and_rules_by_columns():
    engine = current().engine
    rows = engine.buffers["threads"].reshape(-1, at.THREAD_ROW)
    rows[:] = 0
    run_by(2, layers, 33, 5)
    assert {at.BY_COLUMNS, at.BY_ROWS} <= set(ways("backward"))
    address = engine.slots[CONTEXT.threads]
    assert [row[CONTEXT.address] for row in rows[:3]] == [address, address + 8 * at.THREAD_ROW, 0]


def test_kernels_are_told_what_to_share():
    """A kernel without this information would do all the work in every thread."""
    for name, kernel in KERNELS.items():
        told = {parameter.name for parameter in kernel.cpu_code(16).params} & set(at.SHARES)
        # For products, a group of 0 means that all columns share a matrix.
        parameters = [0 if parameter == "group" else k for k, parameter in enumerate(kernel.parameters)]
        effects = kernel.effects(tuple(parameters))
        assert told == TOLD[effects.shared], name


def products(count, size, repeated):
    """Return this many products with one matrix. If `repeated`, each operand is used by two products."""
    rng = np.random.default_rng(count)
    W = Model().parameters_from_numpy(rng.normal(size=(40, size)).astype(np.float32))
    xs = [dy.tanh(dy.inputTensor(rng.normal(size=size).astype(np.float32))) for _ in range(count)]
    more = [dy.squared_norm(x) for x in xs]  # so that the gradients of x are nonzero already
    used = xs[: (count + 1) // 2] * 2 if repeated else xs
    loss = dy.esum([dy.squared_norm(W * x) for x in used] + more)
    loss.value()
    loss.backward(full=True)
    return [W.grad_as_array(), *(x.gradient() for x in xs)]


@pytest.mark.parametrize("repeated", [False, True])
@pytest.mark.parametrize("size", [5, 40, 130])
@pytest.mark.parametrize("count", [7, 33, 70, 121])
def test_products_of_many_nodes(count, size, repeated):
    assert_same_bits(products, count, size, repeated)


def ways_of(kernel, direction, *arguments):
    """How two threads share the instructions of a kernel, in the pass of that direction."""
    run_by(2, products, *arguments)
    engine = current().engine
    opcode = KERNELS.opcode(kernel)
    tape = engine.buffers[f"{direction}_tape"].reshape(-1, len(at.INSTRUCTION))
    count = engine.slots[CONTEXT["kept_tape_count" if direction == "forward" else "backward_tape_count"]]
    return {row[at.INSTRUCTION.shared] for row in tape[:count] if row[at.INSTRUCTION.opcode] == opcode}


def test_more_threads_than_a_kept_plan_has_columns():
    """The work is shared as planned, among all current threads: some have nothing to do."""
    rng = np.random.default_rng(1)
    W = Model().parameters_from_numpy(rng.normal(size=(40, 40)).astype(np.float32))
    found = []
    current().engine.discard_plans()
    for threads in (2, at.MOST_THREADS, 2):
        with sharing.using(threads, 0, 0):
            renew_cg()
            xs = [dy.tanh(dy.inputTensor(np.full(40, 0.1 * k))) for k in range(33)]
            loss = dy.esum([dy.squared_norm(W * x) for x in xs])
            value, shared = loss.value(), ways("forward")
            loss.backward()
            found.append((value, shared, W.grad_as_array().tobytes()))
            W.scale_gradient(0)
    current().engine.discard_plans()
    assert at.BY_COLUMNS in found[0][1]
    assert found[1:] == found[:1] * 2


def test_products_are_shared_by_columns_if_these_are_many_and_the_matrix_small():
    assert ways_of("product", "forward", 31, 40, False) == {at.BY_ROWS}
    assert ways_of("product", "forward", 32, 40, False) == {at.BY_COLUMNS}
    assert ways_of("product", "forward", 32, 40, True) == {at.BY_COLUMNS}
    assert ways_of("product", "forward", 32, 1 << 12, False) == {at.BY_ROWS}
    assert ways_of("product.dx", "backward", 31, 40, False) == {at.BY_ROWS}
    assert ways_of("product.dx", "backward", 32, 40, False) == {at.BY_COLUMNS}
    assert ways_of("product.dx", "backward", 32, 40, True) == {at.BY_ROWS}
    assert ways_of("product.dW", "backward", 32, 40, False) == {at.BY_ROWS}


def many_nodes(count):
    rng = np.random.default_rng(count)
    model = Model()
    W = model.parameters_from_numpy(rng.normal(size=(20, 20)).astype(np.float32))
    xs = [dy.inputTensor(rng.normal(size=20).astype(np.float32)) for _ in range(count)]
    row = xs
    while len(row) > 1:
        row = [dy.tanh(W * (a + b)) for a, b in zip(row[::2], row[1::2])]
    loss = dy.squared_norm(row[0])
    loss.value()
    loss.backward(full=True)
    return [row[0].npvalue(), W.grad_as_array(), *(x.gradient() for x in xs)]


def test_a_large_graph():
    assert_same_bits(many_nodes, 1 << 11)


@pytest.mark.parametrize("again, expected", [(False, at.BY_COLUMNS), (True, at.ALONE)])
def test_columns_are_shared_only_if_they_add_to_different_operands(again, expected):
    """Both kinds add to nonzero gradients; the second adds twice to one operand."""

    def program():
        xs = [dy.tanh(dy.inputTensor(np.full(4, k + 1.0))) for k in range(6)]
        more = [dy.exp(x) for x in xs]
        ys = [dy.square(x) for x in ([*xs[:5], xs[0]] if again else xs)]
        loss = dy.sum_elems(dy.esum([dy.square(y) for y in ys]) + dy.esum([dy.cmult(m, m) for m in more]))
        loss.value()
        loss.backward(full=True)
        return [x.gradient() for x in xs]

    assert_same_bits(program)
    tape = current().engine.buffers["backward_tape"].reshape(-1, len(at.INSTRUCTION))
    adding = [
        row for row in tape[: current().engine.slots[CONTEXT.backward_tape_count]] if row[at.INSTRUCTION.count] == 6
    ]
    found = [row[at.INSTRUCTION.shared] for row in adding if not row[at.INSTRUCTION.fresh]]
    assert expected in found
    assert again or at.ALONE not in found


def test_small_work_is_not_shared():
    with sharing.using(2):
        renew_cg()
        current().engine.discard_plans()
        dy.sum_elems(dy.tanh(dy.inputVector([1, 2]))).value()
    assert set(ways("forward")) == {at.ALONE}
    assert current().engine.slots[CONTEXT.shared_work] == 0


def test_a_kept_plan_is_shared_again():
    def program():
        return [layers(33, 5), layers(33, 5)][1]

    assert_same_bits(program)
