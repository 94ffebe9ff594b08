"""Invalid arguments of selection, indexing, convolution, pooling, contraction and linear algebra."""

import math

import numpy as np
import pytest
from op_checks import check_refused

import dynet_ops as dy
from dynet_core import ArgumentError, ArgumentTypeError, OutOfRangeError, ShapeError, renew_cg
from dynet_core.graph import current


def zeros(*dims, batch=1):
    return dy.zeros(dims, batch)


def image(channels=2):
    return zeros(5, 4, channels)


def filters(channels=2, count=3):
    return zeros(2, 3, channels, count)


WRONG = [
    # rows and columns
    (lambda: dy.select_rows(zeros(4, 2), [0, 4]), OutOfRangeError, "select_rows", "4", "(4, 2)"),
    (lambda: dy.select_rows(zeros(4, 2), [-1]), OutOfRangeError, "select_rows", "-1"),
    (lambda: dy.select_rows(zeros(4, 2), []), ArgumentError, "select_rows"),
    (lambda: dy.select_rows(zeros(4, 2), None), ArgumentTypeError, "select_rows", "None"),
    (lambda: dy.select_rows(zeros(4, 2), 1), ArgumentTypeError, "select_rows", "1"),
    (lambda: dy.select_rows(zeros(4, 2), [0, 1.5]), ArgumentError, "select_rows", "1.5"),
    (lambda: dy.select_rows(zeros(4, 2), "01"), ArgumentTypeError, "select_rows", "'0'"),
    (lambda: dy.select_rows(None, [0]), ArgumentTypeError, "select_rows", "None"),
    (lambda: dy.select_cols(zeros(4, 2), [2]), OutOfRangeError, "select_cols", "2", "(4, 2)"),
    (lambda: dy.select_cols(zeros(4, 2), []), ArgumentError, "select_cols"),
    (lambda: dy.select_cols(zeros(4), [0]), ShapeError, "select_cols", "(4,)"),
    (lambda: dy.select_cols(zeros(4, 2, 2), [0]), ShapeError, "select_cols", "(4, 2, 2)"),
    (lambda: dy.select_cols(zeros(4, 2), [[0]]), ArgumentTypeError, "select_cols", "[0]"),
    (lambda: dy.select_cols(3.0, [0]), ArgumentTypeError, "select_cols", "3.0"),
    # regular selections
    (lambda: dy.strided_select(zeros(4, 2), [0]), ArgumentError, "strided_select", "strides", "[0]"),
    (lambda: dy.strided_select(zeros(4, 2), [1, -1]), ArgumentError, "strided_select", "[1, -1]"),
    (lambda: dy.strided_select(zeros(4, 2), [1, 1, 1, 1]), ArgumentError, "strided_select", "4", "(4, 2)"),
    (lambda: dy.strided_select(zeros(4, 2), [1.5]), ArgumentError, "strided_select", "1.5"),
    (lambda: dy.strided_select(zeros(4, 2), None), ArgumentTypeError, "strided_select", "strides", "None"),
    (lambda: dy.strided_select(zeros(4, 2), 2), ArgumentTypeError, "strided_select", "2"),
    (lambda: dy.strided_select(zeros(4, 2), "12"), ArgumentTypeError, "strided_select", "12"),
    (lambda: dy.strided_select(zeros(4, 2), [1], [-1]), ArgumentError, "strided_select", "range_from", "-1"),
    (lambda: dy.strided_select(zeros(4, 2), [1], [4]), OutOfRangeError, "strided_select", "4..4", "(4, 2)"),
    (lambda: dy.strided_select(zeros(4, 2), [1], [0], [5]), OutOfRangeError, "strided_select", "0..5"),
    (lambda: dy.strided_select(zeros(4, 2), [1], [2], [2]), OutOfRangeError, "strided_select", "2..2"),
    (lambda: dy.strided_select(zeros(4, 2), [1], [0, 1], [4, 1]), OutOfRangeError, "dimension 1", "1..1"),
    (lambda: dy.strided_select(zeros(4, batch=3), [1], [0, 3]), OutOfRangeError, "the batch", "(4,) x 3"),
    (lambda: dy.strided_select(zeros(4, 2), [1], None), ArgumentTypeError, "strided_select", "range_from"),
    (lambda: dy.strided_select([1.0], [1]), ArgumentTypeError, "strided_select", "list"),
    # indexing
    (lambda: zeros(4)[4], OutOfRangeError, "x[...]", "4", "(4,)"),
    (lambda: zeros(4)[-5], OutOfRangeError, "x[...]", "-5"),
    (lambda: zeros(4)[0, 0], OutOfRangeError, "x[...]", "2 indices", "(4,)"),
    (lambda: zeros(4, 2)[0, 2], OutOfRangeError, "x[...]", "2", "dimension 1"),
    (lambda: zeros(4)[1.5], ArgumentError, "x[...]", "1.5"),
    (lambda: zeros(4)["a"], ArgumentTypeError, "x[...]", "'a'"),
    (lambda: zeros(4)[None], ArgumentTypeError, "x[...]", "None"),
    (lambda: zeros(4)[...], ArgumentTypeError, "x[...]", "Ellipsis"),
    (lambda: zeros(4)[[0, 1]], ArgumentTypeError, "x[...]", "[0, 1]"),
    (lambda: zeros(4)[2:2], OutOfRangeError, "x[...]", "slice(2, 2, None)", "(4,)"),
    (lambda: zeros(4)[5:], OutOfRangeError, "x[...]", "nothing"),
    (lambda: zeros(4)[::-1], ArgumentError, "x[...]", "step", "-1"),
    (lambda: zeros(4)[::0], ArgumentError, "x[...]", "step", "0"),
    (lambda: zeros(4)[::1.5], ArgumentError, "x[...]", "1.5"),
    (lambda: zeros(4)["a":2], ArgumentTypeError, "x[...]", "'a'"),
    (lambda: zeros(4, 3)[:, 3:], OutOfRangeError, "x[...]", "dimension 1"),
    (lambda: dy.pick(zeros(3, batch=2), [0, 3]), OutOfRangeError, "pick", "3", "(3,) x 2"),
    (lambda: dy.pick(zeros(3, batch=2), [0]), ShapeError, "pick", "1", "2"),
    (lambda: dy.pick(zeros(3, batch=2), []), ArgumentError, "pick"),
    (lambda: dy.pick(zeros(3, batch=2), [0, 0.5]), ArgumentError, "pick", "0.5"),
    # pooling
    (lambda: dy.kmax_pooling(zeros(3, 4), 5), OutOfRangeError, "kmax_pooling", "5", "(3, 4)"),
    (lambda: dy.kmax_pooling(zeros(3, 4), 0), ArgumentError, "kmax_pooling", "k", "0"),
    (lambda: dy.kmax_pooling(zeros(3, 4), -1), ArgumentError, "kmax_pooling", "-1"),
    (lambda: dy.kmax_pooling(zeros(3, 4), 1.5), ArgumentError, "kmax_pooling", "1.5"),
    (lambda: dy.kmax_pooling(zeros(3, 4), None), ArgumentTypeError, "kmax_pooling", "None"),
    (lambda: dy.kmax_pooling(zeros(3), 1), OutOfRangeError, "kmax_pooling", "dimension 1", "(3,)"),
    (lambda: dy.kmax_pooling(zeros(3, 4), 1, -1), OutOfRangeError, "kmax_pooling", "-1"),
    (lambda: dy.kmax_pooling(None, 1), ArgumentTypeError, "kmax_pooling", "None"),
    (lambda: dy.maxpooling2d(image(), [6, 1], [1, 1]), ShapeError, "maxpooling2d", "(6, 1)", "(5, 4, 2)"),
    (lambda: dy.maxpooling2d(image(), [2, 2], [0, 1]), ArgumentError, "maxpooling2d", "stride", "0"),
    (lambda: dy.maxpooling2d(image(), [2, 2], [1]), ArgumentError, "maxpooling2d", "stride", "[1]"),
    (lambda: dy.maxpooling2d(image(), [2], [1, 1]), ArgumentError, "maxpooling2d", "ksize", "[2]"),
    (lambda: dy.maxpooling2d(image(), 2, [1, 1]), ArgumentTypeError, "maxpooling2d", "ksize", "2"),
    (lambda: dy.maxpooling2d(image(), [2, 2.5], [1, 1]), ArgumentError, "maxpooling2d", "ksize", "2.5"),
    (lambda: dy.maxpooling2d(image(), [2, 2], [1, 1], None), ArgumentTypeError, "maxpooling2d", "is_valid"),
    (lambda: dy.maxpooling2d(image(), [2, 2], [1, 1], "SAME"), ArgumentTypeError, "is_valid", "'SAME'"),
    (lambda: dy.maxpooling2d(zeros(4), [2, 2], [1, 1]), ShapeError, "maxpooling2d", "(4,)"),
    (lambda: dy.maxpooling2d(zeros(4, 4, 2, 2), [2, 2], [1, 1]), ShapeError, "maxpooling2d", "(4, 4, 2, 2)"),
    (lambda: dy.maxpooling2d(None, [2, 2], [1, 1]), ArgumentTypeError, "maxpooling2d", "None"),
    # convolution
    (lambda: dy.conv2d(image(), filters(3), [1, 1]), ShapeError, "conv2d", "(5, 4, 2)", "(2, 3, 3, 3)"),
    (lambda: dy.conv2d(image(), zeros(2, 3, 2), [1, 1]), ShapeError, "conv2d", "(2, 3, 2)"),
    (lambda: dy.conv2d(zeros(5), filters(), [1, 1]), ShapeError, "conv2d", "(5,)"),
    (lambda: dy.conv2d(image(), zeros(6, 1, 2, 1), [1, 1]), ShapeError, "conv2d", "(6, 1)", "is_valid"),
    (lambda: dy.conv2d(image(), zeros(1, 5, 2, 1), [1, 1]), ShapeError, "conv2d", "(1, 5)", "is_valid"),
    (lambda: dy.conv2d(image(), filters(), [0, 1]), ArgumentError, "conv2d", "stride", "0"),
    (lambda: dy.conv2d(image(), filters(), [1, -1]), ArgumentError, "conv2d", "stride", "-1"),
    (lambda: dy.conv2d(image(), filters(), [1]), ArgumentError, "conv2d", "stride", "[1]"),
    (lambda: dy.conv2d(image(), filters(), [1, 1, 2]), ArgumentError, "conv2d", "stride", "3"),
    (lambda: dy.conv2d(image(), filters(), 1), ArgumentTypeError, "conv2d", "stride", "1"),
    (lambda: dy.conv2d(image(), filters(), None), ArgumentTypeError, "conv2d", "stride", "None"),
    (lambda: dy.conv2d(image(), filters(), [1.5, 1]), ArgumentError, "conv2d", "stride", "1.5"),
    (lambda: dy.conv2d(image(), filters(), [math.nan, 1]), ArgumentError, "conv2d", "stride", "nan"),
    (lambda: dy.conv2d(image(), filters(), "11"), ArgumentTypeError, "conv2d", "stride", "11"),
    (lambda: dy.conv2d(image(), filters(), [1, 1], 2), ArgumentTypeError, "conv2d", "is_valid", "2"),
    (lambda: dy.conv2d(image(), None, [1, 1]), ArgumentTypeError, "conv2d", "None"),
    (lambda: dy.conv2d(np.zeros((5, 4, 2)), filters(), [1, 1]), ArgumentTypeError, "conv2d", "ndarray"),
    (
        lambda: dy.conv2d(zeros(5, 4, 2, batch=2), zeros(2, 3, 2, 3, batch=3), [1, 1]),
        ShapeError,
        "conv2d",
        "(5, 4, 2) x 2",
        "(2, 3, 2, 3) x 3",
    ),
    (lambda: dy.conv2d_bias(image(), filters(), zeros(2), [1, 1]), ShapeError, "conv2d_bias", "bias", "(2,)"),
    (lambda: dy.conv2d_bias(image(), filters(), zeros(3, 1), [1, 1]), ShapeError, "conv2d_bias", "(3, 1)"),
    (lambda: dy.conv2d_bias(image(), filters(), None, [1, 1]), ArgumentTypeError, "conv2d_bias", "None"),
    (
        lambda: dy.conv2d_bias(zeros(5, 4, 2, batch=2), filters(), zeros(3, batch=3), [1, 1]),
        ShapeError,
        "conv2d_bias",
        "(3,) x 3",
    ),
    (lambda: dy.filter1d_narrow(zeros(3, 4), zeros(2, 2)), ShapeError, "filter1d_narrow", "(3, 4)", "(2, 2)"),
    (lambda: dy.filter1d_narrow(zeros(3, 4), zeros(3, 5)), ShapeError, "filter1d_narrow", "(3, 5)"),
    (lambda: dy.filter1d_narrow(zeros(3, 4), zeros(3)), ShapeError, "filter1d_narrow", "(3,)"),
    (lambda: dy.filter1d_narrow(zeros(3, 4, 2), zeros(3, 2)), ShapeError, "filter1d_narrow", "(3, 4, 2)"),
    (lambda: dy.filter1d_narrow(zeros(3, 4), zeros(3, 2, 2, 2)), ShapeError, "filter1d_narrow", "(3, 2, 2, 2)"),
    (lambda: dy.filter1d_narrow(zeros(3, 4), 1.0), ArgumentTypeError, "filter1d_narrow", "1.0"),
    (
        lambda: dy.filter1d_narrow(zeros(3, 4, batch=2), zeros(3, 2, batch=3)),
        ShapeError,
        "filter1d_narrow",
        "(3, 4) x 2",
    ),
    # contraction
    (lambda: dy.contract3d_1d(zeros(2, 3, 4), zeros(3)), ShapeError, "contract3d_1d", "4 != 3"),
    (lambda: dy.contract3d_1d(zeros(2, 3), zeros(3)), ShapeError, "contract3d_1d", "(2, 3)"),
    (lambda: dy.contract3d_1d(zeros(2, 3, 4), zeros(4, 2)), ShapeError, "contract3d_1d", "(4, 2)"),
    (lambda: dy.contract3d_1d(zeros(2, 3, 4), None), ArgumentTypeError, "contract3d_1d", "None"),
    (
        lambda: dy.contract3d_1d(zeros(2, 3, 4, batch=2), zeros(4, batch=3)),
        ShapeError,
        "contract3d_1d",
        "(4,) x 3",
    ),
    (
        lambda: dy.contract3d_1d_bias(zeros(2, 3, 4), zeros(4), zeros(3, 2)),
        ShapeError,
        "contract3d_1d_bias",
        "bias",
        "(3, 2)",
    ),
    (lambda: dy.contract3d_1d_1d(zeros(2, 3, 4), zeros(4), zeros(2)), ShapeError, "contract3d_1d_1d", "(2,)"),
    (lambda: dy.contract3d_1d_1d(zeros(2, 3, 4), zeros(3), zeros(3)), ShapeError, "contract3d_1d_1d", "4 != 3"),
    (lambda: dy.contract3d_1d_1d(zeros(2, 3), zeros(3), zeros(3)), ShapeError, "contract3d_1d_1d", "(2, 3)"),
    (lambda: dy.contract3d_1d_1d(zeros(2, 3, 4), zeros(4), "z"), ArgumentTypeError, "contract3d_1d_1d", "'z'"),
    (
        lambda: dy.contract3d_1d_1d_bias(zeros(2, 3, 4), zeros(4), zeros(3), zeros(3)),
        ShapeError,
        "contract3d_1d_1d_bias",
        "bias",
        "(3,)",
    ),
    (
        lambda: dy.contract3d_1d_1d_bias(zeros(2, 3, 4), zeros(4, batch=2), zeros(3, batch=3), zeros(2)),
        ShapeError,
        "contract3d_1d_1d_bias",
        "(3,) x 3",
    ),
    # linear algebra
    (lambda: dy.inverse(zeros(2, 3)), ShapeError, "inverse", "square", "(2, 3)"),
    (lambda: dy.inverse(zeros(2)), ShapeError, "inverse", "(2,)"),
    (lambda: dy.inverse(zeros(2, 2, 2)), ShapeError, "inverse", "(2, 2, 2)"),
    (lambda: dy.inverse(None), ArgumentTypeError, "inverse", "None"),
    (lambda: dy.logdet(zeros(3, 2)), ShapeError, "logdet", "square", "(3, 2)"),
    (lambda: dy.logdet(zeros(2, 2, 2)), ShapeError, "logdet", "(2, 2, 2)"),
    (lambda: dy.logdet([[1.0]]), ArgumentTypeError, "logdet", "list"),
    (lambda: dy.trace_of_product(zeros(2, 3), zeros(3, 2)), ShapeError, "trace_of_product", "(2, 3)", "(3, 2)"),
    (lambda: dy.trace_of_product(zeros(2, 2, 2), zeros(2, 2, 2)), ShapeError, "trace_of_product", "(2, 2, 2)"),
    (lambda: dy.trace_of_product(zeros(2, 2), 2.0), ArgumentTypeError, "trace_of_product", "2.0"),
    (
        lambda: dy.trace_of_product(zeros(2, 2, batch=2), zeros(2, 2, batch=3)),
        ShapeError,
        "trace_of_product",
        "(2, 2) x 2",
    ),
]


@pytest.mark.parametrize("row", WRONG, ids=lambda row: f"{WRONG.index(row)}-{row[2]}")
def test_bad_input(row):
    call, error, *parts = row
    check_refused(call, error, *parts)


@pytest.mark.parametrize(
    "call",
    [
        lambda x: x[0, 9],
        lambda x: x[0:2, ::-1],
        lambda x: dy.select_rows(x, [0, 9]),
        lambda x: dy.strided_select(x, [1, 1], [0, 9]),
        lambda x: dy.kmax_pooling(x, 9),
        lambda x: dy.conv2d(x, x, [1, 1]),
        lambda x: dy.contract3d_1d_1d(dy.reshape(x, (1, 2, 3)), dy.reshape(x, (6,)), x),
        lambda x: dy.inverse(x),
    ],
)
def test_an_error_leaves_no_half_node(call):
    renew_cg()
    x = dy.inputTensor(np.ones((2, 3)))
    views = [dy.reshape(x, (1, 2, 3)), dy.reshape(x, (6,))]
    nodes = current().records.integers()
    with pytest.raises((ArgumentError, ShapeError, OutOfRangeError)):
        call(x)
    assert current().records.integers()[: len(nodes)] == nodes
    assert dy.sum_elems(x + dy.reshape(views[0], (2, 3))).value() == 12.0
