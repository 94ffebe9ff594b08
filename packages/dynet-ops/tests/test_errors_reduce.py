"""Invalid arguments of reductions, losses, projections and LSTM parts: one exception, and no partial node."""

import math

import numpy as np
import pytest

import dynet_ops as dy
from dynet_core import ArgumentError, ArgumentTypeError, OutOfRangeError, ShapeError, TooLargeError, renew_cg
from dynet_core.graph import current

NAN, INF = math.nan, math.inf
KINDS = ArgumentError, ArgumentTypeError, OutOfRangeError, ShapeError


def vector(size=3, batch=1):
    return dy.zeros((size,), batch)


def matrix(rows=2, columns=3, batch=1):
    return dy.zeros((rows, columns), batch)


def tensor():
    return dy.zeros((2, 3, 4))


def gates(x=2, h=2, Wx=(8, 2), Wh=(8, 2), b=8, **more):
    return dy.vanilla_lstm_gates(vector(x), vector(h), matrix(*Wx), matrix(*Wh), vector(b), **more)


def dropped(mask_x=2, mask_h=2, x=(2,)):
    inputs = [vector(size) for size in x]
    rest = vector(2), matrix(8, 2), matrix(8, 2), vector(8), vector(mask_x), vector(mask_h)
    return dy.vanilla_lstm_gates_dropout_concat(inputs, *rest)


WRONG = [
    # dimensions
    *[
        row
        for op in (dy.sum_dim, dy.mean_dim, dy.std_dim)
        for name in [op.__name__]
        for row in [
            (lambda op=op: op(matrix(), [2]), OutOfRangeError, name, "2", "(2, 3)"),
            (lambda op=op: op(matrix(), [-1]), OutOfRangeError, name, "-1", "(2, 3)"),
            (lambda op=op: op(matrix(), []), ArgumentError, name, "no dimension"),
            (lambda op=op: op(matrix(), [0, 0]), ArgumentError, name, "[0, 0]"),
            (lambda op=op: op(matrix(), [0.5]), ArgumentError, name, "0.5"),
            (lambda op=op: op(matrix(), "0"), ArgumentTypeError, name, "'0'"),
            (lambda op=op: op(matrix(), None), ArgumentTypeError, name, "None"),
            (lambda op=op: op(matrix(), [0], None), ArgumentTypeError, name, "None"),
            (lambda op=op: op(matrix(), [0], "yes"), ArgumentTypeError, name, "'yes'"),
            (lambda op=op: op(None, [0]), ArgumentTypeError, name, "None"),
        ]
    ],
    (lambda: dy.mean_dim(matrix(), [0], False, -1), ArgumentError, "mean_dim", "n", "-1"),
    (lambda: dy.mean_dim(matrix(), [0], False, 1.5), ArgumentError, "mean_dim", "n", "1.5"),
    (lambda: dy.std_dim(matrix(), [0], False, NAN), ArgumentError, "std_dim", "n", "nan"),
    (lambda: dy.moment_dim(matrix(), [0], 0), ArgumentError, "moment_dim", "r", "0"),
    (lambda: dy.moment_dim(matrix(), [0], 2.5), ArgumentError, "moment_dim", "r", "2.5"),
    (lambda: dy.moment_dim(matrix(), [5], 2), OutOfRangeError, "moment_dim", "5", "(2, 3)"),
    (lambda: dy.moment_dim(matrix(), [0], 2, 2), ArgumentTypeError, "moment_dim", "b", "2"),
    (lambda: dy.moment_elems(matrix(), -1), ArgumentError, "moment_elems", "r", "-1"),
    (lambda: dy.moment_elems(matrix(), None), ArgumentTypeError, "moment_elems", "None"),
    (lambda: dy.logsumexp_dim(matrix(), 2), OutOfRangeError, "logsumexp_dim", "2", "(2, 3)"),
    (lambda: dy.logsumexp_dim(matrix(), [0]), ArgumentTypeError, "logsumexp_dim", "[0]"),
    (lambda: dy.cumsum(matrix(), -1), OutOfRangeError, "cumsum", "-1", "(2, 3)"),
    (lambda: dy.cumsum(matrix(), 3), OutOfRangeError, "cumsum", "3", "(2, 3)"),
    (lambda: dy.cumsum(matrix(), None), ArgumentTypeError, "cumsum", "None"),
    (lambda: dy.argmax(vector(), "soft"), ArgumentError, "argmax", "'soft'", "zero_gradient"),
    (lambda: dy.argmax(vector(), None), ArgumentTypeError, "argmax", "None"),
    # distances
    (lambda: dy.l1_distance(vector(3), vector(4)), ShapeError, "l1_distance", "(3,)", "(4,)"),
    (lambda: dy.l1_distance(vector(3, 2), vector(3, 3)), ShapeError, "l1_distance", "(3,) x 2", "(3,) x 3"),
    (lambda: dy.l1_distance(vector(), 1.0), ArgumentTypeError, "l1_distance", "1.0"),
    (lambda: dy.binary_log_loss(vector(3), matrix(1, 3)), ShapeError, "binary_log_loss", "(3,)", "(1, 3)"),
    (lambda: dy.binary_log_loss(vector(3), None), ArgumentTypeError, "binary_log_loss", "None"),
    (lambda: dy.huber_distance(vector(3), vector(4)), ShapeError, "huber_distance", "(3,)", "(4,)"),
    (lambda: dy.huber_distance(vector(3, 2), vector(3, 3)), ShapeError, "huber_distance", "(3,) x 2"),
    (lambda: dy.huber_distance(vector(), vector(), 0), ArgumentError, "huber_distance", "c", "0"),
    (lambda: dy.huber_distance(vector(), vector(), -1.0), ArgumentError, "huber_distance", "c", "-1.0"),
    (lambda: dy.huber_distance(vector(), vector(), NAN), ArgumentError, "huber_distance", "c", "nan"),
    (lambda: dy.huber_distance(vector(), vector(), "1"), ArgumentTypeError, "huber_distance", "c", "'1'"),
    (lambda: dy.huber_distance(vector(), vector(), 1j), ArgumentTypeError, "huber_distance", "c", "1j"),
    (lambda: dy.huber_distance([1.0], vector()), ArgumentTypeError, "huber_distance", "[1.0]"),
    # ranking
    (lambda: dy.pairwise_rank_loss(vector(3), vector(4)), ShapeError, "pairwise_rank_loss", "(3,)", "(4,)"),
    (lambda: dy.pairwise_rank_loss(vector(3, 2), vector(3, 3)), ShapeError, "pairwise_rank_loss", "(3,) x 2"),
    (lambda: dy.pairwise_rank_loss(vector(), vector(), NAN), ArgumentError, "pairwise_rank_loss", "m", "nan"),
    (lambda: dy.pairwise_rank_loss(vector(), vector(), None), ArgumentTypeError, "pairwise_rank_loss", "None"),
    (lambda: dy.pairwise_rank_loss(vector(), 2.0), ArgumentTypeError, "pairwise_rank_loss", "2.0"),
    (lambda: dy.hinge(vector(3), 3), OutOfRangeError, "hinge", "3", "(3,)"),
    (lambda: dy.hinge(vector(3), -1), OutOfRangeError, "hinge", "-1", "(3,)"),
    (lambda: dy.hinge(vector(3), 1.5), ArgumentError, "hinge", "1.5"),
    (lambda: dy.hinge(vector(3), None), ArgumentTypeError, "hinge", "None"),
    (lambda: dy.hinge(vector(3), []), ArgumentError, "hinge"),
    (lambda: dy.hinge(vector(3), 1, NAN), ArgumentError, "hinge", "m", "nan"),
    (lambda: dy.hinge(vector(3), 1, "1"), ArgumentTypeError, "hinge", "m", "'1'"),
    (lambda: dy.hinge(vector(3), 1, 10**400), TooLargeError, "hinge", "m"),
    (lambda: dy.hinge(matrix(), 1), ShapeError, "hinge", "(2, 3)"),
    (lambda: dy.hinge(None, 1), ArgumentTypeError, "hinge", "None"),
    (lambda: dy.hinge_batch(vector(3, 2), [0, 3]), OutOfRangeError, "hinge_batch", "3", "(3,) x 2"),
    (lambda: dy.hinge_batch(vector(3, 2), [0, 1, 2]), ShapeError, "hinge_batch", "3", "2"),
    (lambda: dy.hinge_batch(vector(3, 2), [0.0, 1.5]), ArgumentError, "hinge_batch", "1.5"),
    (lambda: dy.hinge_batch(vector(3, 2), 1), ArgumentTypeError, "hinge_batch", "1"),
    (lambda: dy.hinge_batch(vector(3, 2), []), ArgumentError, "hinge_batch"),
    (lambda: dy.hinge_dim(matrix(), [0, 1]), ShapeError, "hinge_dim", "2", "(2, 3)", "3"),
    (lambda: dy.hinge_dim(matrix(), [0, 1], 1, NAN), ArgumentError, "hinge_dim", "m", "nan"),
    (lambda: dy.hinge_dim(matrix(), [0, 1, 2], 0), OutOfRangeError, "hinge_dim", "2", "(2, 3)"),
    (lambda: dy.hinge_dim(matrix(), [0, 3], 1), OutOfRangeError, "hinge_dim", "3", "(2, 3)"),
    (lambda: dy.hinge_dim(matrix(), [0, 1], 2), OutOfRangeError, "hinge_dim", "2", "(2, 3)"),
    (lambda: dy.hinge_dim(matrix(), [], 0), ArgumentError, "hinge_dim"),
    (lambda: dy.hinge_dim(matrix(), None, 0), ArgumentTypeError, "hinge_dim", "None"),
    (lambda: dy.hinge_dim(matrix(2, 3, 3), [[0, 1, 0]] * 2), ShapeError, "hinge_dim", "2", "3"),
    (lambda: dy.hinge_dim(tensor(), [0, 1, 0]), ShapeError, "hinge_dim", "(2, 3, 4)"),
    # poisson
    (lambda: dy.poisson_loss(vector(3), 1), ShapeError, "poisson_loss", "(3,)"),
    (lambda: dy.poisson_loss(vector(1, 2), [1, 2, 3]), ShapeError, "poisson_loss", "3", "2"),
    (lambda: dy.poisson_loss(vector(1), -1), ArgumentError, "poisson_loss", "-1"),
    (lambda: dy.poisson_loss(vector(1), NAN), ArgumentError, "poisson_loss", "nan"),
    (lambda: dy.poisson_loss(vector(1), INF), ArgumentError, "poisson_loss", "inf"),
    (lambda: dy.poisson_loss(vector(1), []), ArgumentError, "poisson_loss", "empty"),
    (lambda: dy.poisson_loss(vector(1), [1, None]), ArgumentTypeError, "poisson_loss", "None"),
    (lambda: dy.poisson_loss(vector(1), "2"), ArgumentTypeError, "poisson_loss", "'2'"),
    (lambda: dy.poisson_loss(vector(1), np.ones((2, 2))), ArgumentTypeError, "poisson_loss"),
    (lambda: dy.poisson_loss(1.0, 2), ArgumentTypeError, "poisson_loss", "1.0"),
    # projections, normalisation, circles
    (lambda: dy.constrained_softmax(vector(3), vector(4)), ShapeError, "constrained_softmax", "(3,)", "(4,)"),
    (lambda: dy.constrained_softmax(vector(3, 2), vector(3, 3)), ShapeError, "constrained_softmax", "(3,) x 2"),
    (lambda: dy.constrained_softmax(vector(3), 0.5), ArgumentTypeError, "constrained_softmax", "0.5"),
    (lambda: dy.weight_norm(matrix(), vector(2)), ShapeError, "weight_norm", "(2, 3)", "(2,)"),
    (lambda: dy.weight_norm(vector(3, 2), vector(1, 3)), ShapeError, "weight_norm", "(3,) x 2", "(1,) x 3"),
    (lambda: dy.weight_norm(matrix(), 2.0), ArgumentTypeError, "weight_norm", "2.0"),
    (lambda: dy.circ_conv(vector(3), vector(4)), ShapeError, "circ_conv", "(3,)", "(4,)"),
    (lambda: dy.circ_conv(matrix(), matrix()), ShapeError, "circ_conv", "(2, 3)"),
    (lambda: dy.circ_corr(vector(3, 2), vector(3, 3)), ShapeError, "circ_corr", "(3,) x 2", "(3,) x 3"),
    (lambda: dy.circ_corr(vector(3), None), ArgumentTypeError, "circ_corr", "None"),
    # neighbours
    (lambda: dy.kmh_ngram(matrix(), 4), OutOfRangeError, "kmh_ngram", "4", "(2, 3)"),
    (lambda: dy.kmh_ngram(matrix(), 0), ArgumentError, "kmh_ngram", "v", "0"),
    (lambda: dy.kmh_ngram(matrix(), 1.5), ArgumentError, "kmh_ngram", "v", "1.5"),
    (lambda: dy.kmh_ngram(tensor(), 1), ShapeError, "kmh_ngram", "(2, 3, 4)"),
    (lambda: dy.fold_rows(matrix(3, 2)), ShapeError, "fold_rows", "(3, 2)", "2"),
    (lambda: dy.fold_rows(matrix(), 0), ArgumentError, "fold_rows", "nrows", "0"),
    (lambda: dy.fold_rows(matrix(), None), ArgumentTypeError, "fold_rows", "nrows", "None"),
    # parts of LSTM steps
    (lambda: gates(h=3), ShapeError, "vanilla_lstm_gates", "Wx is (12, 2)", "(3,)"),
    (lambda: gates(x=3), ShapeError, "vanilla_lstm_gates", "Wx is (8, 3)"),
    (lambda: gates(Wh=(8, 3)), ShapeError, "vanilla_lstm_gates", "(8, 3)"),
    (lambda: gates(b=2), ShapeError, "vanilla_lstm_gates", "b (8,)"),
    (lambda: gates(weightnoise_std=-1), ArgumentError, "vanilla_lstm_gates", "weightnoise_std", "-1"),
    (lambda: gates(weightnoise_std=NAN), ArgumentError, "vanilla_lstm_gates", "weightnoise_std", "nan"),
    (lambda: gates(weightnoise_std=None), ArgumentTypeError, "vanilla_lstm_gates", "weightnoise_std", "None"),
    (
        lambda: dy.vanilla_lstm_gates(vector(2, 2), vector(2, 3), matrix(8, 2), matrix(8, 2), vector(8)),
        ShapeError,
        "vanilla_lstm_gates",
        "(2,) x 2",
        "(2,) x 3",
    ),
    (lambda: dy.vanilla_lstm_gates(1.0, *[vector()] * 4), ArgumentTypeError, "vanilla_lstm_gates", "1.0"),
    (lambda: dy.vanilla_lstm_gates_concat([], *[vector()] * 4), ArgumentError, "vanilla_lstm_gates_concat"),
    (lambda: dy.vanilla_lstm_gates_concat(None, *[vector()] * 4), ArgumentTypeError, "None"),
    (lambda: dropped(mask_x=1), ShapeError, "vanilla_lstm_gates_dropout_concat", "masks (2,)"),
    (lambda: dropped(mask_h=3), ShapeError, "vanilla_lstm_gates_dropout_concat", "masks (2,)"),
    (lambda: dropped(x=(1, 2)), ShapeError, "vanilla_lstm_gates_dropout_concat", "inputs of 3"),
    (lambda: dy.vanilla_lstm_c(vector(2), vector(2)), ShapeError, "vanilla_lstm_c", "(2,)"),
    (lambda: dy.vanilla_lstm_c(matrix(2, 2), vector(8)), ShapeError, "vanilla_lstm_c", "(2, 2)"),
    (lambda: dy.vanilla_lstm_h(vector(2, 2), vector(8, 3)), ShapeError, "vanilla_lstm_h", "(8,) x 3"),
    (lambda: dy.vanilla_lstm_h(vector(2), [1.0]), ArgumentTypeError, "vanilla_lstm_h", "[1.0]"),
]


@pytest.mark.parametrize("row", WRONG, ids=lambda row: f"{WRONG.index(row)}-{row[2]}")
def test_bad_input(row, monkeypatch):
    """The operands are made once, so that the graph must be unchanged after the op has refused them."""
    call, error, *parts = row
    renew_cg()
    x = dy.inputVector([1.0, 2.0])
    made = []
    for op in ("vector", "matrix", "tensor"):
        monkeypatch.setitem(globals(), op, remembering(globals()[op], made))
    with pytest.raises(error):
        call()  # makes the operands
    operands = list(made)
    for op in ("vector", "matrix", "tensor"):
        monkeypatch.setitem(globals(), op, lambda *arguments, operands=operands: operands.pop(0))
    graph = current()
    nodes, inputs = graph.records.integers(), graph.records.floats(0, graph.records.inputs_length).tolist()
    with pytest.raises(error) as caught:
        call()
    assert type(caught.value) is error
    for part in parts:
        assert part in str(caught.value)
    assert graph.records.integers() == nodes
    assert graph.records.floats(0, graph.records.inputs_length).tolist() == inputs
    assert dy.sum_elems(x).value() == 3.0


def remembering(function, made):
    def make(*arguments):
        made.append(function(*arguments))
        return made[-1]

    return make
