"""Invalid arguments of ops: one clear exception at the call, and the graph stays usable."""

import math
from decimal import Decimal

import numpy as np
import pytest
from op_checks import check_refused, matrix, table, vector
from wrong_calls import WRONG

import dynet_ops as dy
from dynet_core import (
    ArgumentError,
    ArgumentTypeError,
    OutOfMemoryError,
    OutOfRangeError,
    ShapeError,
    renew_cg,
)
from dynet_core.graph import current
from dynet_core.op import OPS

NAN, INF = math.nan, math.inf


HUGE = 10**30
WRONG += [
    # sizes beyond memory, or beyond the integers of the planner
    (lambda: dy.conv2d(dy.zeros((4, 4, 1)), dy.zeros((2, 2, 1, 1)), [HUGE, 1]), ArgumentError, "conv2d", str(HUGE)),
    (lambda: dy.maxpooling2d(dy.zeros((4, 4, 1)), [2, 2], [2**63, 1]), ArgumentError, "maxpooling2d", str(2**63)),
    (lambda: dy.maxpooling2d(dy.zeros((4, 4, 1)), [2**64, 3], [1, 1], False), ArgumentError, "maxpooling2d"),
    (lambda: dy.random_normal(10**19), ShapeError, "random_normal", str(10**19)),
    (lambda: dy.random_uniform((2**62, 4), 0, 1), ShapeError, "random_uniform", str(2**62)),
    (lambda: dy.random_gumbel(3, batch_size=HUGE), ArgumentError, "random_gumbel", str(HUGE)),
    (lambda: dy.vecInput(HUGE), ShapeError, "vecInput", str(HUGE)),
    (lambda: dy.zeros((10**6,) * 3), ShapeError, "zeros", "1000000"),
    (lambda: dy.moment_elems(vector(), HUGE), ArgumentError, "moment_elems", str(HUGE)),
    (lambda: dy.moment_batches(vector(3, 2), 2**24 + 1), ArgumentError, "moment_batches", str(2**24 + 1)),
    # booleans
    (lambda: dy.inputTensor([[1.0]], batched="no"), ArgumentTypeError, "inputTensor", "batched", "'no'"),
    (lambda: dy.inputTensor([[1.0]], batched=None), ArgumentTypeError, "inputTensor", "batched", "None"),
    (lambda: dy.sparse_inputTensor([[0]], [1.0], (2,), 7), ArgumentTypeError, "sparse_inputTensor", "batched", "7"),
    (lambda: dy.lookup(table(), 0, update="no"), ArgumentTypeError, "lookup", "update", "'no'"),
    (lambda: dy.lookup_batch(table(), [0], update="no"), ArgumentTypeError, "lookup", "update", "no"),
    (lambda: table().set_updated("no"), ArgumentTypeError, "set_updated", "'no'"),
    (lambda: vector(1).value(recalculate="no"), ArgumentTypeError, "recalculate", "'no'"),
    (lambda: vector(1).npvalue(recalculate=None), ArgumentTypeError, "recalculate", "None"),
    (lambda: vector(1).forward("no"), ArgumentTypeError, "recalculate", "'no'"),
    (lambda: vector(1).backward(full="no"), ArgumentTypeError, "backward", "full", "'no'"),
    (lambda: vector(1).backward(None), ArgumentTypeError, "backward", "full", "None"),
    (lambda: renew_cg("no"), ArgumentTypeError, "renew_cg", "immediate_compute", "'no'"),
    (lambda: renew_cg(check_validity=2), ArgumentTypeError, "renew_cg", "check_validity", "2"),
    # a truth value is a size and an index, as in DyNet (test_whole_numbers), but not a probability or a factor
    # lists of lists, some of which have different lengths
    (lambda: dy.hinge(vector(), [[1, 2], [0]]), ArgumentTypeError, "hinge: ", "[[1, 2], [0]]"),
    (lambda: dy.hinge(vector(3, 2), [1, [2]]), ArgumentTypeError, "hinge: ", "[2]"),
    (lambda: dy.hinge_dim(matrix(), [[1, 2, [0]]]), ArgumentTypeError, "hinge_dim: ", "[0]"),
    (lambda: dy.pickneglogsoftmax(vector(), [[1, 2], [0]]), ArgumentTypeError, "pickneglogsoftmax: ", "[1, 2]"),
    (lambda: dy.pickneglogsoftmax(vector(3, 2), [1, [2]]), ArgumentTypeError, "pickneglogsoftmax: ", "[2]"),
    (lambda: dy.poisson_loss(vector(1), [[1, 2], [0]]), ArgumentTypeError, "poisson_loss: ", "[1, 2]"),
    (lambda: dy.inputTensor([[1, 2], [3]]), ShapeError, "inputTensor: the rows of the list differ in length"),
    (lambda: dy.inputVector([1, [2]]), ArgumentTypeError, "inputVector: the rows of the list differ in length"),
    # the error names the op that was called, not the op that does the work
    (lambda: dy.zeros(0), ArgumentError, "zeros: ", "0"),
    (lambda: dy.ones((2, 0)), ArgumentError, "ones: ", "0"),
    (lambda: dy.softmax(None), ArgumentTypeError, "softmax: ", "None"),
    (lambda: dy.log_softmax("x"), ArgumentTypeError, "log_softmax: ", "'x'"),
    (lambda: dy.pow(2, 3), ArgumentTypeError, "pow: ", "2"),
    (lambda: dy.pow("x", 2), ArgumentTypeError, "pow: ", "'x'"),
    (lambda: dy.pick(vector(3, 2), [0, 5]), OutOfRangeError, "pick: ", "5"),
    (lambda: dy.pick_range(vector(), 2, 5), OutOfRangeError, "pick_range: ", "5"),
    (lambda: dy.concatenate_cols([vector(3), vector(2)]), ShapeError, "concatenate_cols: ", "(3,)", "(2,)"),
    (lambda: dy.colwise_add(matrix(2, 3, 2), vector(2, 3)), ShapeError, "colwise_add: ", "x 2", "x 3"),
]


def test_numbers_of_any_type_are_taken_whether_or_not_a_list_is_the_first_of_its_length():
    for values in ([Decimal(1), 2], [2, Decimal(1)]) * 2:
        assert dy.inputVector(values).value() == [float(value) for value in values]


@pytest.mark.parametrize("call", [lambda: dy.vecInput(7), lambda: dy.matInput(7, 1), lambda: dy.one_hot(7, 0)])
def test_inputs_for_which_there_is_no_memory(monkeypatch, call):
    def refuse(*_, **__):
        raise MemoryError

    renew_cg()
    monkeypatch.setattr(np, "full", refuse)
    with pytest.raises(OutOfMemoryError, match="(vecInput|matInput|one_hot): .* memory for .*7"):
        call()


def test_memory_that_there_is_not_ends_one_graph_only(monkeypatch):
    from dynet_core.compute import memory

    def refuse(*_):
        raise MemoryError

    renew_cg()
    y = dy.random_normal((1000, 1000), batch_size=50)
    with monkeypatch.context() as patched:
        patched.setattr(memory, "HostBlock", refuse)
        with pytest.raises(OutOfMemoryError, match="not enough memory for"):
            y.npvalue()
    renew_cg()
    assert dy.square(dy.scalarInput(3.0)).value() == 9.0


@pytest.mark.parametrize("row", WRONG, ids=lambda row: f"{WRONG.index(row)}-{row[2]}")
def test_bad_input(row):
    call, error, *parts = row
    check_refused(call, error, *parts)


of_each_op = pytest.mark.parametrize("op", OPS.values(), ids=OPS)
# An error adds nothing to the graph, whatever the operands --------------------------------------------------


@pytest.mark.parametrize(
    "call",
    [
        lambda x: x + None,
        lambda x: x * 10**400,
        lambda x: dy.add(x, "1"),
        lambda x: dy.esum([x, 1.0]),
        lambda x: dy.concatenate([x, None]),
        lambda x: dy.affine_transform([x, x, x]),
        lambda x: dy.dropout(x, 2.0),
        lambda x: dy.pick(x, 9),
        lambda x: dy.max_dim(x, 4),
        lambda x: dy.pickneglogsoftmax(x, 9),
        lambda x: dy.pickneglogsoftmax_batch(x, [0, 9]),
        lambda x: dy.reshape(x, (7,)),
        lambda x: dy.transpose(x, (0, 0)),
        lambda x: dy.inputVector([1.0, None]),
        lambda x: dy.inputVector([1.0, 2.0, "3"]),
        lambda x: dy.inputVector([[1.0, 2.0]]),
        lambda x: dy.inputTensor([np.ones(2), np.ones(3)]),
    ],
)
def test_an_error_leaves_no_half_node(call):
    renew_cg()
    x = dy.inputVector([1.0, 2.0, 3.0])
    graph = current()
    nodes, inputs = graph.records.integers(), graph.records.floats(0, graph.records.inputs_length).tolist()
    with pytest.raises((ArgumentError, ArgumentTypeError, ShapeError, OutOfRangeError)):
        call(x)
    assert graph.records.integers() == nodes
    assert graph.records.floats(0, graph.records.inputs_length).tolist() == inputs


# Values of inputs -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ([1.0], ShapeError),
        ([1.0, 2.0, 3.0, 4.0], ShapeError),
        ([], ShapeError),
        (1.0, ShapeError),
        ([[1.0, 2.0, 3.0]], ShapeError),
        (np.ones((1, 3)), ShapeError),
        (None, ArgumentTypeError),
        ("123", ArgumentTypeError),
        (["1", "2", "3"], ArgumentTypeError),
        ([1.0, 2.0, None], ArgumentTypeError),
        ([1.0, 2.0, 3j], ArgumentTypeError),
        ([1.0, [2.0], 3.0], ArgumentTypeError),
    ],
)
def test_set_with_wrong_values_changes_nothing(values, error):
    renew_cg()
    x = dy.vecInput(3)
    x.set([1.0, 2.0, 3.0])
    with pytest.raises(error, match="set"):
        x.set(values)
    assert x.value() == [1.0, 2.0, 3.0]


def test_set_takes_a_matrix_of_the_input_s_shape_or_a_list_of_columns():
    x = dy.matInput(2, 3)
    x.set(np.arange(6.0).reshape(2, 3))
    assert x.npvalue().tolist() == [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]
    x.set([0.0, 3.0, 1.0, 4.0, 2.0, 5.0])
    assert x.npvalue(recalculate=True).tolist() == [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]
    with pytest.raises(ShapeError, match=r"set: .*\(3, 2\).*\(2, 3\)"):
        x.set(np.zeros((3, 2)))


@pytest.mark.parametrize("wrapped", [list, tuple])
def test_an_expression_in_a_list_is_asked_for_itself(wrapped):
    x = dy.inputVector([1, 2])
    for call in (dy.tanh, dy.softmax, lambda xs: dy.cmult(xs, x), lambda xs: dy.pick(xs, 0)):
        with pytest.raises(ArgumentTypeError, match="; give it the expression itself, not a list$"):
            call(wrapped([x]))
