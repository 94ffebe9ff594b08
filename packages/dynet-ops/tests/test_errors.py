"""Bad input: one clear exception at the call, and a graph that goes on working."""

import math
import re
from decimal import Decimal

import numpy as np
import pytest
from op_checks import check_refused

import dynet_ops as dy
from dynet_core import (
    ArgumentError,
    ArgumentTypeError,
    DeviceError,
    GradientError,
    Model,
    OutOfMemoryError,
    OutOfRangeError,
    ShapeError,
    StaleExpressionError,
    renew_cg,
)
from dynet_core.graph import current
from dynet_core.op import OPS
from dynet_ops.testing import record

NAN, INF = math.nan, math.inf


def vector(size=3, batch=1):
    return dy.zeros((size,), batch)


def matrix(rows=2, columns=3, batch=1):
    return dy.zeros((rows, columns), batch)


def tensor():
    return dy.zeros((2, 3, 4))


def table():
    return Model().add_lookup_parameters((5, 2), name="words")


WRONG = [
    # arithmetic
    (lambda: vector(3) + vector(4), ShapeError, "+: ", "(3,)", "(4,)"),
    (lambda: matrix(2, 3) - vector(3), ShapeError, "-: ", "(2, 3)", "(3,)"),
    (lambda: dy.cmult(vector(3), matrix(2, 3)), ShapeError, "cmult", "(3,)", "(2, 3)"),
    (lambda: dy.cdiv(tensor(), dy.zeros((2, 3, 5))), ShapeError, "cdiv", "(2, 3, 4)", "(2, 3, 5)"),
    (lambda: matrix(2, 3) * vector(2), ShapeError, "*: ", "(2, 3)", "(2,)"),
    (lambda: vector(3, 2) * vector(1, 4), ShapeError, "*: ", "(3,) x 2", "(1,) x 4"),
    (lambda: matrix(2, 3) / vector(3), ShapeError, "/: ", "(2, 3)", "(3,)"),
    (lambda: vector(3) ** vector(4), ShapeError, "**: ", "(3,)", "(4,)"),
    (lambda: matrix(2, 3) @ vector(2), ShapeError, "@: ", "(2, 3)", "(2,)"),
    (lambda: dy.add(vector(3), vector(4)), ShapeError, "add: ", "(3,)", "(4,)"),
    (lambda: matrix(2, 3) @ 2, ArgumentTypeError, "@: ", "int 2"),
    (lambda: np.ones((2, 2)) @ vector(2), ArgumentTypeError, "@: ", "ndarray"),
    (lambda: vector(3, 2) + vector(3, 4), ShapeError, "+: ", "(3,) x 2", "(3,) x 4"),
    (lambda: matrix(2, 3) * vector(2), ShapeError, "*", "(2, 3)", "(2,)", "3 != 2"),
    (lambda: matrix(2, 3, 2) * vector(3, 4), ShapeError, "*", "(2, 3) x 2", "(3,) x 4"),
    (lambda: tensor() * vector(4), ShapeError, "*", "(2, 3, 4)"),
    (lambda: matrix(2, 3) * tensor(), ShapeError, "*", "(2, 3, 4)"),
    (lambda: vector() + None, ArgumentTypeError, "+", "None"),
    (lambda: "1" + vector(), ArgumentTypeError, "+", "'1'"),
    (lambda: vector() - "1", ArgumentTypeError, "-", "'1'"),
    (lambda: vector() * 1j, ArgumentTypeError, "*", "1j"),
    (lambda: np.complex128(1j) * vector(), ArgumentTypeError, "*", "1j"),
    (lambda: vector() / [1.0, 2.0, 3.0], ArgumentTypeError, "/", "[1.0, 2.0, 3.0]"),
    (lambda: np.ones(3) / vector(), ArgumentTypeError, "/", "array"),
    (lambda: vector() + Decimal("1"), ArgumentTypeError, "+", "Decimal"),
    (lambda: vector() + np.array([None]), ArgumentTypeError, "+", "None"),
    (lambda: vector() + 10**400, ArgumentError, "+", "1000"),
    (lambda: 10**400 / vector(), ArgumentError, "/", "1000"),
    (lambda: dy.add("1", vector()), ArgumentTypeError, "add", "'1'"),
    (lambda: dy.add("1", 2.0), ArgumentTypeError, "+", "'1'"),
    (lambda: dy.cmult(vector(), 2.0), ArgumentTypeError, "cmult", "2.0"),
    (lambda: dy.cdiv(vector(), None), ArgumentTypeError, "/", "None"),
    (lambda: sum([vector(), "x"]), ArgumentTypeError, "+", "'x'"),
    # matrix products
    (
        lambda: dy.affine_transform([vector(2), matrix(2, 3), vector(2)]),
        ShapeError,
        "affine_transform",
        "3 != 2",
    ),
    (
        lambda: dy.affine_transform([vector(3), matrix(2, 3), vector(3)]),
        ShapeError,
        "affine_transform",
        "bias",
        "(3,)",
    ),
    (
        lambda: dy.affine_transform([matrix(2, 4), matrix(2, 3), vector(3)]),
        ShapeError,
        "affine_transform",
        "bias",
        "(2, 4)",
    ),
    (
        lambda: dy.affine_transform([vector(2), matrix(2, 3), vector(3), matrix(4, 3), vector(3)]),
        ShapeError,
        "affine_transform",
        "(4, 3)",
    ),
    (
        lambda: dy.affine_transform([vector(2), matrix(2, 3, 2), vector(3, 3)]),
        ShapeError,
        "affine_transform",
        "(2, 3) x 2",
        "(3,) x 3",
    ),
    (
        lambda: dy.affine_transform([vector(2), tensor(), vector(3)]),
        ShapeError,
        "affine_transform",
        "(2, 3, 4)",
    ),
    (lambda: dy.affine_transform([vector(2), matrix(2, 3)]), ArgumentError, "affine_transform", "2"),
    (lambda: dy.affine_transform([]), ArgumentError, "affine_transform"),
    (lambda: dy.affine_transform(None), ArgumentTypeError, "affine_transform", "None"),
    (lambda: dy.affine_transform(5), ArgumentTypeError, "affine_transform", "5"),
    (
        lambda: dy.affine_transform([vector(2), matrix(2, 3), [1, 2, 3]]),
        ArgumentTypeError,
        "affine_transform",
        "[1, 2, 3]",
    ),
    (lambda: dy.affine_transform([1.0]), ArgumentTypeError, "affine_transform", "1.0"),
    (lambda: dy.affine_transform("abc"), ArgumentTypeError, "affine_transform", "'a'"),
    # columns
    (lambda: dy.dot_product(vector(3), vector(4)), ShapeError, "dot_product", "(3,)", "(4,)"),
    (lambda: dy.squared_distance(vector(3), matrix(1, 3)), ShapeError, "squared_distance", "(3,)", "(1, 3)"),
    (lambda: dy.dot_product(vector(3, 2), vector(3, 3)), ShapeError, "dot_product", "(3,) x 2", "(3,) x 3"),
    (lambda: dy.dot_product(vector(3), 1.0), ArgumentTypeError, "dot_product", "1.0"),
    (lambda: dy.max_dim(matrix(), 2), OutOfRangeError, "max_dim", "2", "(2, 3)"),
    (lambda: dy.min_dim(matrix(), -1), OutOfRangeError, "min_dim", "-1", "(2, 3)"),
    (lambda: dy.max_dim(matrix(), 0.5), ArgumentError, "max_dim", "0.5"),
    (lambda: dy.max_dim([1, 2]), ArgumentTypeError, "max_dim", "[1, 2]"),
    # losses
    (lambda: dy.pickneglogsoftmax(vector(3), 3), OutOfRangeError, "pickneglogsoftmax", "3", "(3,)"),
    (lambda: dy.pickneglogsoftmax(vector(3), -1), OutOfRangeError, "pickneglogsoftmax", "-1", "(3,)"),
    (lambda: dy.pickneglogsoftmax(vector(3), 1.5), ArgumentError, "pickneglogsoftmax", "1.5"),
    (lambda: dy.pickneglogsoftmax(vector(3), None), ArgumentTypeError, "pickneglogsoftmax", "None"),
    (lambda: dy.pickneglogsoftmax(vector(3), "1"), ArgumentTypeError, "pickneglogsoftmax", "'1'"),
    (lambda: dy.pickneglogsoftmax(vector(3), []), ArgumentError, "pickneglogsoftmax"),
    (lambda: dy.pickneglogsoftmax(vector(3, 2), [0, 1, 2]), ShapeError, "pickneglogsoftmax", "3", "2"),
    (lambda: dy.pickneglogsoftmax(matrix(), 1), ShapeError, "pickneglogsoftmax", "(2, 3)"),
    (lambda: dy.pickneglogsoftmax(None, 1), ArgumentTypeError, "pickneglogsoftmax", "None"),
    (
        lambda: dy.pickneglogsoftmax_batch(vector(3, 2), [0, 3]),
        OutOfRangeError,
        "pickneglogsoftmax_batch",
        "3",
        "(3,) x 2",
    ),
    (lambda: dy.pickneglogsoftmax_batch(vector(3, 2), [0]), ShapeError, "pickneglogsoftmax_batch", "1", "2"),
    (
        lambda: dy.pickneglogsoftmax_batch(vector(3, 2), [0.0, 1.5]),
        ArgumentError,
        "pickneglogsoftmax_batch",
        "1.5",
    ),
    (lambda: dy.pickneglogsoftmax_batch(vector(3, 2), 1), ArgumentTypeError, "pickneglogsoftmax_batch", "1"),
    (
        lambda: dy.pickneglogsoftmax_batch(vector(3, 2), None),
        ArgumentTypeError,
        "pickneglogsoftmax_batch",
        "None",
    ),
    # shapes
    (lambda: dy.reshape(vector(6), (4, 2)), ShapeError, "reshape", "(6,)", "(4, 2)"),
    (lambda: dy.reshape(vector(6), (2, 3), 2), ShapeError, "reshape", "(6,)", "(2, 3) x 2"),
    (lambda: dy.reshape(vector(6), (0, 6)), ArgumentError, "reshape", "(0, 6)"),
    (lambda: dy.reshape(vector(6), ()), ArgumentError, "reshape", "()"),
    (lambda: dy.reshape(vector(6), (-1, 6)), ArgumentError, "reshape", "-1"),
    (lambda: dy.reshape(vector(6), (2.5, 3.0)), ArgumentError, "reshape", "2.5"),
    (lambda: dy.reshape(vector(6), None), ArgumentTypeError, "reshape", "None"),
    (lambda: dy.reshape(vector(6), "23"), ArgumentTypeError, "reshape", "'2'"),
    (lambda: dy.reshape(vector(6), (6,), 0), ArgumentError, "reshape", "0"),
    (lambda: dy.reshape(vector(1), (1,) * 8), ShapeError, "reshape", "8"),
    (lambda: dy.reshape(3, (1,)), ArgumentTypeError, "reshape", "3"),
    (lambda: dy.transpose(tensor()), ArgumentError, "transpose", "(1, 0)", "(2, 3, 4)"),
    (lambda: dy.transpose(matrix(), (0,)), ArgumentError, "transpose", "(0,)", "(2, 3)"),
    (lambda: dy.transpose(matrix(), (0, 0)), ArgumentError, "transpose", "(0, 0)"),
    (lambda: dy.transpose(matrix(), (1, 2)), ArgumentError, "transpose", "(1, 2)"),
    (lambda: dy.transpose(matrix(), (1.5, 0.0)), ArgumentError, "transpose", "1.5"),
    (lambda: dy.transpose(matrix(), 1), ArgumentTypeError, "transpose", "1"),
    (lambda: dy.transpose(matrix(), None), ArgumentTypeError, "transpose", "None"),
    (lambda: dy.transpose(matrix(), tuple(range(8))), ArgumentError, "transpose", "(2, 3)"),
    (lambda: dy.pick(vector(3), 3), OutOfRangeError, "pick", "3", "(3,)"),
    (lambda: dy.pick(vector(3), -1), OutOfRangeError, "pick", "-1"),
    (lambda: dy.pick(vector(3), 0, 1), OutOfRangeError, "pick", "1", "(3,)"),
    (lambda: dy.pick(vector(3), 1.5), ArgumentError, "pick", "1.5"),
    (lambda: dy.pick(vector(3), NAN), ArgumentError, "pick", "nan"),
    (lambda: dy.pick(vector(3), "0"), ArgumentTypeError, "pick", "'0'"),
    (lambda: dy.pick(vector(3), 0, None), ArgumentTypeError, "pick", "None"),
    (lambda: dy.pick(None, 0), ArgumentTypeError, "pick", "None"),
    (lambda: dy.pickrange(vector(3), 1, 4), OutOfRangeError, "pickrange", "1..4", "(3,)"),
    (lambda: dy.pickrange(vector(3), 2, 2), OutOfRangeError, "pickrange", "2..2"),
    (lambda: dy.pickrange(vector(3), -1, 2), OutOfRangeError, "pickrange", "-1..2"),
    (lambda: dy.pickrange(vector(3), 0, 1, 1), OutOfRangeError, "pickrange", "1"),
    (lambda: dy.pickrange(vector(3), 0, 1.5), ArgumentError, "pickrange", "1.5"),
    (lambda: dy.pick_batch(vector(3, 2), [0, 3]), OutOfRangeError, "pick_batch", "3"),
    (lambda: dy.pick_batch(vector(3, 2), [0]), ShapeError, "pick_batch", "1", "2"),
    (lambda: dy.pick_batch(vector(3, 2), []), ArgumentError, "pick_batch"),
    (lambda: dy.pick_batch(vector(3, 2), [None, 1]), ArgumentTypeError, "pick_batch", "None"),
    (lambda: dy.pick_batch(vector(3, 2), 1), ArgumentTypeError, "pick_batch", "1"),
    (lambda: dy.pick_batch_elem(vector(3, 2), 2), OutOfRangeError, "pick_batch_elem", "2"),
    (lambda: dy.pick_batch_elem(vector(3, 2), -1), OutOfRangeError, "pick_batch_elem", "-1"),
    (lambda: dy.pick_batch_elem(vector(3, 2), 0.5), ArgumentError, "pick_batch_elem", "0.5"),
    (lambda: dy.pick_batch_elems(vector(3, 2), [0, 2]), OutOfRangeError, "pick_batch_elems", "2"),
    (lambda: dy.pick_batch_elems(vector(3, 2), []), ArgumentError, "pick_batch_elems"),
    (lambda: dy.pick_batch_elems(vector(3, 2), "01"), ArgumentTypeError, "pick_batch_elems", "'0'"),
    (lambda: dy.concatenate([]), ArgumentError, "concatenate"),
    (lambda: dy.concatenate(None), ArgumentTypeError, "concatenate", "None"),
    (lambda: dy.concatenate([vector(), 1.0]), ArgumentTypeError, "concatenate", "1.0"),
    (lambda: dy.concatenate([matrix(2, 3), matrix(2, 4)]), ShapeError, "concatenate", "(2, 3)", "(2, 4)"),
    (lambda: dy.concatenate([vector(3, 2), vector(3, 3)]), ShapeError, "concatenate", "(3,) x 2", "(3,) x 3"),
    (lambda: dy.concatenate([vector()], 7), OutOfRangeError, "concatenate", "7"),
    (lambda: dy.concatenate([vector()], -1), OutOfRangeError, "concatenate", "-1"),
    (lambda: dy.concatenate([vector()], "0"), ArgumentTypeError, "concatenate", "'0'"),
    (lambda: dy.concatenate_cols([vector(3), vector(4)]), ShapeError, "concatenate", "(3,)", "(4,)"),
    (lambda: dy.concatenate_cols([]), ArgumentError, "concatenate_cols"),
    (
        lambda: dy.concatenate_to_batch([vector(3), vector(4)]),
        ShapeError,
        "concatenate_to_batch",
        "(3,)",
        "(4,)",
    ),
    (lambda: dy.concatenate_to_batch([]), ArgumentError, "concatenate_to_batch"),
    (lambda: dy.concatenate_to_batch(7), ArgumentTypeError, "concatenate_to_batch", "7"),
    (lambda: dy.esum([]), ArgumentError, "esum"),
    (lambda: dy.esum([vector(), None]), ArgumentTypeError, "esum", "None"),
    (lambda: dy.esum([None, vector()]), ArgumentTypeError, "esum", "None"),
    (lambda: dy.esum([vector(3), vector(4)]), ShapeError, "esum", "(3,)", "(4,)"),
    (lambda: dy.esum([vector(3, 2), vector(3, 4)]), ShapeError, "esum", "(3,) x 2", "(3,) x 4"),
    (lambda: dy.average([]), ArgumentError, "average"),
    (lambda: dy.average([1, 2]), ArgumentTypeError, "average", "1"),
    (lambda: dy.average([vector(3), vector(4)]), ShapeError, "average", "(3,)", "(4,)"),
    # dropout
    (lambda: dy.dropout(vector(), 1.0), ArgumentError, "dropout", "1.0"),
    (lambda: dy.dropout(vector(), -0.1), ArgumentError, "dropout", "-0.1"),
    (lambda: dy.dropout(vector(), NAN), ArgumentError, "dropout", "nan"),
    (lambda: dy.dropout(vector(), INF), ArgumentError, "dropout", "inf"),
    (lambda: dy.dropout(vector(), "0.5"), ArgumentTypeError, "dropout", "'0.5'"),
    (lambda: dy.dropout(vector(), None), ArgumentTypeError, "dropout", "None"),
    (lambda: dy.dropout(None, 0.5), ArgumentTypeError, "dropout", "None"),
    (lambda: dy.block_dropout(vector(), 1.0), ArgumentError, "block_dropout", "1.0"),
    (lambda: dy.block_dropout(vector(), NAN), ArgumentError, "block_dropout", "nan"),
    (lambda: dy.dropout_batch(vector(), -1), ArgumentError, "dropout_batch", "-1"),
    (lambda: dy.dropout_batch(vector(), "1"), ArgumentTypeError, "dropout_batch", "'1'"),
    (lambda: dy.dropout_dim(vector(), 1, 0.5), OutOfRangeError, "dropout_dim", "1", "(3,)"),
    (lambda: dy.dropout_dim(vector(), -1, 0.5), OutOfRangeError, "dropout_dim", "-1"),
    (lambda: dy.dropout_dim(vector(), 0.5, 0.5), ArgumentError, "dropout_dim", "0.5"),
    (lambda: dy.dropout_dim(vector(), 0, 1.5), ArgumentError, "dropout_dim", "1.5"),
    # numbers as arguments
    (lambda: dy.elu(vector(), NAN), ArgumentError, "elu", "alpha", "nan"),
    (lambda: dy.elu(vector(), "1"), ArgumentTypeError, "elu", "alpha", "'1'"),
    (lambda: dy.elu(vector(), vector()), ArgumentTypeError, "elu", "alpha"),
    (lambda: dy.silu(vector(), INF), ArgumentError, "silu", "beta", "inf"),
    (lambda: dy.silu(vector(), None), ArgumentTypeError, "silu", "beta", "None"),
    (lambda: dy.silu(vector(), 1e39), ArgumentError, "silu", "beta", "1e+39"),
    (lambda: dy.silu(vector(), 10**400), ArgumentError, "silu", "beta", "1000"),
    (lambda: dy.scale_gradient(vector(), NAN), ArgumentError, "scale_gradient", "lambd", "nan"),
    (lambda: dy.scale_gradient(vector(), [1.0, 2.0]), ArgumentTypeError, "scale_gradient", "lambd", "list"),
    (lambda: dy.floor(vector(), "none"), ArgumentError, "floor", "gradient_mode", "none"),
    (lambda: dy.ceil(vector(), None), ArgumentTypeError, "ceil", "gradient_mode", "None"),
    (lambda: dy.round(vector(), 1), ArgumentTypeError, "round", "gradient_mode", "1"),
    # powers, extremes
    (lambda: dy.pow(vector(3), vector(4)), ShapeError, "pow", "(3,)", "(4,)"),
    (lambda: dy.pow(vector(3, 2), vector(3, 3)), ShapeError, "pow", "(3,) x 2", "(3,) x 3"),
    (lambda: vector() ** None, ArgumentTypeError, "**", "None"),
    (lambda: vector() ** "2", ArgumentTypeError, "**", "'2'"),
    (lambda: "2" ** vector(), ArgumentTypeError, "**", "'2'"),
    (lambda: None ** vector(), ArgumentTypeError, "**", "None"),
    (lambda: vector() ** 1j, ArgumentTypeError, "**", "1j"),
    (lambda: vector() ** 10**400, ArgumentError, "**", "1000"),
    (lambda: dy.pow(2.0, vector()), ArgumentTypeError, "pow", "2.0"),
    (lambda: dy.bmin(vector(3), vector(4)), ShapeError, "bmin", "(3,)", "(4,)"),
    (lambda: dy.bmax(vector(3), 1.0), ArgumentTypeError, "bmax", "1.0"),
    (lambda: dy.emax([]), ArgumentError, "emax"),
    (lambda: dy.emax([vector(3), vector(3), vector(4)]), ShapeError, "emax", "(3,)", "(4,)"),
    (lambda: dy.emax([vector(3, 2), vector(3, 4)]), ShapeError, "emax", "(3,) x 2", "(3,) x 4"),
    (lambda: dy.logsumexp([vector(), 1.0]), ArgumentTypeError, "logsumexp", "1.0"),
    (lambda: dy.logsumexp(5), ArgumentTypeError, "logsumexp", "5"),
    (lambda: dy.logsumexp([vector(3), vector(4)]), ShapeError, "logsumexp", "(3,)", "(4,)"),
    (lambda: dy.colwise_add(matrix(2, 3), vector(3)), ShapeError, "colwise_add", "(2, 3)", "(3,)"),
    (lambda: dy.colwise_add(matrix(2, 3), matrix(2, 3)), ShapeError, "colwise_add", "(2, 3)"),
    (lambda: dy.colwise_add(matrix(1, 3), vector(2)), ShapeError, "colwise_add", "(1, 3)", "(2,)"),
    (lambda: dy.colwise_add(tensor(), vector(2)), ShapeError, "colwise_add", "(2, 3, 4)"),
    (lambda: dy.colwise_add(matrix(2, 3, 2), vector(2, 3)), ShapeError, "add", "(2, 3) x 2", "(2,) x 3"),
    # random tensors
    (lambda: dy.random_normal(0), ArgumentError, "random_normal", "0"),
    (lambda: dy.random_normal(None), ArgumentTypeError, "random_normal", "None"),
    (lambda: dy.random_normal((2,), batch_size=0), ArgumentError, "random_normal", "batch_size"),
    (lambda: dy.random_normal((2,), NAN), ArgumentError, "random_normal", "mean", "nan"),
    (lambda: dy.random_normal((2,), 0, -1.0), ArgumentError, "random_normal", "stddev", "-1.0"),
    (lambda: dy.random_normal((2,), 0, NAN), ArgumentError, "random_normal", "stddev", "nan"),
    (lambda: dy.random_normal((2,), "0"), ArgumentTypeError, "random_normal", "mean", "'0'"),
    (lambda: dy.random_uniform((2,), 2, 1), ArgumentError, "random_uniform", "2.0", "1.0"),
    (lambda: dy.random_uniform((2,), NAN, 1), ArgumentError, "random_uniform", "left", "nan"),
    (lambda: dy.random_uniform((2,), 0, INF), ArgumentError, "random_uniform", "right", "inf"),
    (lambda: dy.random_uniform((2,), -3e38, 3e38), ArgumentError, "random_uniform", "right - left", "6e+38"),
    (lambda: dy.random_uniform((2,), None, 1), ArgumentTypeError, "random_uniform", "left", "None"),
    (lambda: dy.random_bernoulli((2,), 1.5), ArgumentError, "random_bernoulli", "1.5"),
    (lambda: dy.random_bernoulli((2,), -0.5), ArgumentError, "random_bernoulli", "-0.5"),
    (lambda: dy.random_bernoulli((2,), NAN), ArgumentError, "random_bernoulli", "nan"),
    (lambda: dy.random_bernoulli((2,), 0.5, NAN), ArgumentError, "random_bernoulli", "scale", "nan"),
    (lambda: dy.random_gumbel((2,), NAN), ArgumentError, "random_gumbel", "mu", "nan"),
    (lambda: dy.random_gumbel((2,), 0, -1), ArgumentError, "random_gumbel", "beta", "-1.0"),
    (lambda: dy.noise(vector(), -0.1), ArgumentError, "noise", "stddev", "-0.1"),
    (lambda: dy.noise(vector(), NAN), ArgumentError, "noise", "stddev", "nan"),
    (lambda: dy.noise(vector(), None), ArgumentTypeError, "noise", "stddev", "None"),
    # inputs
    (lambda: dy.one_hot(3, 3), OutOfRangeError, "one_hot", "3"),
    (lambda: dy.one_hot(3, -1), OutOfRangeError, "one_hot", "-1"),
    (lambda: dy.one_hot(3, [0, 5]), OutOfRangeError, "one_hot", "5"),
    (lambda: dy.one_hot(3, []), ArgumentError, "one_hot"),
    (lambda: dy.one_hot(3, 1.5), ArgumentError, "one_hot", "1.5"),
    (lambda: dy.one_hot(3, "01"), ArgumentTypeError, "one_hot", "'0'"),
    (lambda: dy.one_hot(3, None), ArgumentTypeError, "one_hot", "None"),
    (lambda: dy.one_hot(0, 0), ArgumentError, "one_hot", "0"),
    (lambda: dy.one_hot(2.5, 0), ArgumentError, "one_hot", "2.5"),
    (lambda: dy.sparse_inputTensor(([0], [3]), [1], (2, 3)), OutOfRangeError, "sparse_inputTensor", "3"),
    (lambda: dy.sparse_inputTensor(([-1], [0]), [1], (2, 3)), OutOfRangeError, "sparse_inputTensor", "-1"),
    (lambda: dy.sparse_inputTensor(([0],), [1], (2, 3)), ShapeError, "sparse_inputTensor", "(2, 3)"),
    (lambda: dy.sparse_inputTensor(([0, 1], [0]), [1, 2], (2, 3)), ShapeError, "sparse_inputTensor", "2"),
    (lambda: dy.sparse_inputTensor(([0], [0.5]), [1], (2, 3)), ArgumentError, "sparse_inputTensor", "0.5"),
    (lambda: dy.sparse_inputTensor(None, [1], (2, 3)), ArgumentTypeError, "sparse_inputTensor", "None"),
    (lambda: dy.sparse_inputTensor(([0],), ["1"], (2,)), ArgumentTypeError, "sparse_inputTensor", "'1'"),
    (lambda: dy.sparse_inputTensor(([0],), [1], None), ArgumentTypeError, "sparse_inputTensor", "None"),
    (lambda: dy.sparse_inputTensor(([0],), [1], (2,), defval="a"), ArgumentTypeError, "sparse_inputTensor", "'a'"),
    (lambda: dy.sparse_inputTensor(([0],), [1], (2,), defval=[1, 2]), ShapeError, "sparse_inputTensor", "2"),
    (lambda: dy.inputTensorTranspose(np.ones((2, 3))), ShapeError, "inputTensorTranspose", "(2, 3)"),
    (lambda: dy.inputTensorTranspose([1, 2, 3], (2,)), ShapeError, "inputTensorTranspose", "3", "(2,)"),
    (lambda: dy.inputTensorTranspose([]), ArgumentError, "inputTensorTranspose"),
    (lambda: dy.inputTensorTranspose("abc", (3,)), ArgumentTypeError, "inputTensorTranspose", "abc"),
    (lambda: dy.inputTensorTranspose([1, 2], batch_size=0), ArgumentError, "inputTensorTranspose", "batch_size"),
    (lambda: dy.const_parameter(None), ArgumentTypeError, "const_parameter", "None"),
    (lambda: dy.const_parameter(vector()), ArgumentTypeError, "const_parameter"),
    (lambda: dy.to_device(vector(), "GPU:0"), DeviceError, "to_device", "'GPU:0'", "'CPU'"),
    (lambda: dy.to_device(vector(), None), ArgumentTypeError, "to_device", "NoneType"),
    (lambda: dy.to_device(None, "CPU"), ArgumentTypeError, "to_device", "None"),
    (lambda: dy.inputVector(None), ArgumentTypeError, "inputVector", "None"),
    (lambda: dy.inputVector("123"), ArgumentTypeError, "inputVector", "123"),
    (lambda: dy.inputVector(["1", "2"]), ArgumentTypeError, "inputVector", "'1'"),
    (lambda: dy.inputVector([1.0, None]), ArgumentTypeError, "inputVector", "None"),
    (lambda: dy.inputVector([1, 2j]), ArgumentTypeError, "inputVector", "2j"),
    (lambda: dy.inputVector([1, 10**400]), ArgumentTypeError, "inputVector"),
    (lambda: dy.inputVector(3.0), ArgumentTypeError, "inputVector"),
    (lambda: dy.inputVector([[1.0, 2.0]]), ShapeError, "inputVector", "(1, 2)"),
    (lambda: dy.inputVector([[1.0], [2.0, 3.0]]), ArgumentTypeError, "inputVector", "length"),
    (lambda: dy.inputVector(np.ones((2, 3))), ShapeError, "inputVector", "(2, 3)"),
    (lambda: dy.inputVector(np.array([1, None])), ArgumentTypeError, "inputVector"),
    (lambda: dy.inputVector(np.array([1j])), ArgumentTypeError, "inputVector"),
    (lambda: dy.inputVector([vector()]), ArgumentTypeError, "inputVector", "expression"),
    (lambda: dy.inputVector({1: 2}), ArgumentTypeError, "inputVector", "dict"),
    (lambda: dy.scalarInput(None), ArgumentTypeError, "scalarInput", "None"),
    (lambda: dy.scalarInput("1"), ArgumentTypeError, "scalarInput", "'1'"),
    (lambda: dy.scalarInput([1, 2]), ShapeError, "scalarInput", "2"),
    (lambda: dy.scalarInput(1j), ArgumentTypeError, "scalarInput", "1j"),
    (lambda: dy.vecInput(0), ArgumentError, "vecInput", "0"),
    (lambda: dy.vecInput(-2), ArgumentError, "vecInput", "-2"),
    (lambda: dy.vecInput(2.5), ArgumentError, "vecInput", "2.5"),
    (lambda: dy.vecInput("2"), ArgumentTypeError, "vecInput", "'2'"),
    (lambda: dy.vecInput(None), ArgumentTypeError, "vecInput", "None"),
    (lambda: dy.matInput(2, 0), ArgumentError, "matInput", "(2, 0)"),
    (lambda: dy.matInput(2, "3"), ArgumentTypeError, "matInput", "'3'"),
    (lambda: dy.inputMatrix([1, 2, 3], (2, 2)), ShapeError, "inputMatrix", "3", "(2, 2)"),
    (lambda: dy.inputMatrix([[1, 2], [3, 4]], (2, 2)), ShapeError, "inputMatrix", "(2, 2)"),
    (lambda: dy.inputMatrix([1, 2], "ab"), ArgumentTypeError, "inputMatrix", "'a'"),
    (lambda: dy.inputMatrix([1, 2], None), ArgumentTypeError, "inputMatrix", "None"),
    (lambda: dy.inputMatrix(None, (1,)), ArgumentTypeError, "inputMatrix", "None"),
    (lambda: dy.inputTensor([]), ArgumentError, "inputTensor"),
    (lambda: dy.inputTensor(None), ArgumentTypeError, "inputTensor", "None"),
    (lambda: dy.inputTensor("abc"), ArgumentTypeError, "inputTensor", "abc"),
    (lambda: dy.inputTensor([[1, 2], [3]]), ShapeError, "inputTensor", "length"),
    (lambda: dy.inputTensor(np.array([1j])), ArgumentTypeError, "inputTensor"),
    (lambda: dy.inputTensor(np.array(["a"])), ArgumentTypeError, "inputTensor"),
    (lambda: dy.inputTensor(np.array([object()])), ArgumentTypeError, "inputTensor"),
    (lambda: dy.inputTensor(np.array(["2020-01-01"], "datetime64[D]")), ArgumentTypeError, "inputTensor"),
    (lambda: dy.inputTensor([np.ones(2), np.ones(3)]), ShapeError, "inputTensor", "(2,)", "(3,)"),
    (lambda: dy.inputTensor([np.array([1j])]), ArgumentTypeError, "inputTensor"),
    (lambda: dy.inputTensor(np.ones((1,) * 8)), ShapeError, "inputTensor", "8"),
    (lambda: dy.inputTensor(np.ones((2, 0))), ArgumentError, "inputTensor"),
    (lambda: dy.zeros(0), ArgumentError, "0"),
    (lambda: dy.zeros((2,), 0), ArgumentError, "batch_size", "0"),
    (lambda: dy.zeros((2,), 1.5), ArgumentError, "batch_size", "1.5"),
    (lambda: dy.ones(None), ArgumentTypeError, "None"),
    (lambda: dy.constant((2,), None), ArgumentTypeError, "constant", "None"),
    (lambda: dy.constant((2,), [1, 2]), ShapeError, "constant", "2"),
    # parameters
    (lambda: dy.lookup(table(), 5), OutOfRangeError, "lookup", "5", "/words"),
    (lambda: dy.lookup(table(), -1), OutOfRangeError, "lookup", "-1", "/words"),
    (lambda: dy.lookup(table(), 1.5), ArgumentError, "lookup", "1.5"),
    (lambda: dy.lookup(None, 1), ArgumentTypeError, "lookup", "None"),
    (lambda: dy.lookup(Model().add_parameters(2), 1), ArgumentTypeError, "lookup", "Parameters"),
    (lambda: table()[5], OutOfRangeError, "5", "/words"),
    (lambda: table()["a"], ArgumentTypeError, "'a'"),
    (lambda: table()[None], ArgumentTypeError, "None"),
    (lambda: dy.lookup_batch(table(), [0, 5]), OutOfRangeError, "lookup_batch", "5", "/words"),
    (lambda: dy.lookup_batch(table(), []), ArgumentError, "lookup_batch"),
    (lambda: dy.lookup_batch(table(), 1), ArgumentTypeError, "lookup_batch", "1"),
    (lambda: dy.lookup_batch(table(), [0.5]), ArgumentError, "lookup_batch", "0.5"),
    (lambda: dy.parameter(None), ArgumentTypeError, "parameter", "None"),
    # dimensions that are no ints, and numbers that no float32 can be
    (lambda: dy.softmax(vector(), None), ArgumentTypeError, "softmax", "None"),  # type: ignore
    (lambda: dy.softmax(vector(), 0.5), ArgumentError, "softmax", "0.5"),  # type: ignore
    (lambda: dy.concatenate([vector(), vector()], 0.5), ArgumentError, "concatenate", "0.5"),  # type: ignore
    (lambda: dy.pairwise_rank_loss(vector(), vector(), 1e300), ArgumentError, "pairwise_rank_loss", "1e+300"),
    # what has no gradient, or is no number
    (lambda: vector().backward(), ShapeError, "backward", "(3,)"),
    (lambda: vector(1, 2).backward(), ShapeError, "backward", "(1,) x 2"),
    (lambda: vector().scalar_value(), ShapeError, "scalar_value", "(3,)"),
    (lambda: vector().gradient(), GradientError, "backward"),
]


HUGE = 10**30
WRONG += [
    # what does not fit into memory, or into the integers that the planner counts with
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
    # yes and no
    (lambda: dy.inputTensor([[1.0]], batched="no"), ArgumentTypeError, "inputTensor", "batched", "'no'"),
    (lambda: dy.inputTensor([[1.0]], batched=None), ArgumentTypeError, "inputTensor", "batched", "None"),
    (lambda: dy.sparse_inputTensor([[0]], [1.0], (2,), 7), ArgumentTypeError, "sparse_inputTensor", "batched", "7"),
    (lambda: dy.lookup(table(), 0, update="no"), ArgumentTypeError, "lookup", "update", "'no'"),
    (lambda: dy.lookup_batch(table(), [0], update=None), ArgumentTypeError, "lookup", "update", "None"),
    (lambda: table().set_updated("no"), ArgumentTypeError, "set_updated", "'no'"),
    (lambda: vector(1).value(recalculate="no"), ArgumentTypeError, "recalculate", "'no'"),
    (lambda: vector(1).npvalue(recalculate=None), ArgumentTypeError, "recalculate", "None"),
    (lambda: vector(1).forward("no"), ArgumentTypeError, "recalculate", "'no'"),
    (lambda: vector(1).backward(full="no"), ArgumentTypeError, "backward", "full", "'no'"),
    (lambda: vector(1).backward(None), ArgumentTypeError, "backward", "full", "None"),
    (lambda: renew_cg("no"), ArgumentTypeError, "renew_cg", "immediate_compute", "'no'"),
    (lambda: renew_cg(check_validity=2), ArgumentTypeError, "renew_cg", "check_validity", "2"),
    # a truth value is a size and an index, as in DyNet (test_whole_numbers), and no probability or factor
    (lambda: dy.random_bernoulli(3, True), ArgumentTypeError, "random_bernoulli", "True"),
    (lambda: dy.elu(vector(), True), ArgumentTypeError, "elu", "True"),
    (lambda: dy.scale_gradient(vector(), np.True_), ArgumentTypeError, "scale_gradient", "True"),
    # the op that was called is named, not the one that does the work
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
    def refuse(*_):
        raise MemoryError

    renew_cg()
    monkeypatch.setattr(np, "full", refuse)
    with pytest.raises(OutOfMemoryError, match="(vecInput|matInput|one_hot): .* memory for .*7"):
        call()


def test_memory_that_there_is_not_ends_one_graph_only(monkeypatch):
    from dynet_core import memory

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
OPERATORS = {"add": "+", "subtract": "-", "cdiv": "/", "matmul": "*", "pow": "**"}
TAKE_NUMBERS = {"add", "subtract", "cdiv", "pow", "matmul"}  # as their second operand
STEPS_OF = {  # errors may name the op that does the work
    "trace_of_product": ["dot_product"],
    "column_softmax": ["softmax"],
    "column_log_softmax": ["log_softmax"],
    "max_dim": ["column_max", "transpose"],
    "min_dim": ["column_min", "transpose"],
}


def zeros_for(sample):
    return [dy.zeros(dims, batch) for dims, batch in sample.shapes]


def assert_refused(op, sample, operands, error, *parts):
    """The call fails with this error, which begins with the op's name, and leaves the graph as it was."""
    graph = current()
    nodes, inputs = graph.records.integers(), graph.records.floats(0, graph.records.inputs_length).tolist()
    with pytest.raises(error) as caught:
        record(op, sample, operands)
    assert type(caught.value) is error
    assert str(caught.value).split(":")[0] in [op.name, OPERATORS.get(op.name), *STEPS_OF.get(op.name, [])]
    for part in parts:
        assert part in str(caught.value)
    assert graph.records.integers() == nodes
    assert graph.records.floats(0, graph.records.inputs_length).tolist() == inputs


@of_each_op
@pytest.mark.parametrize(
    "wrong", [None, 1.0, 2, "x", 1j, [1.0], np.ones(3), np.array([None])], ids=lambda wrong: type(wrong).__name__
)
def test_no_op_takes_what_is_no_expression(op, wrong):
    renew_cg()
    for sample in op.samples:
        for place in range(len(sample.shapes)):
            if place and op.name in TAKE_NUMBERS and wrong.__class__ in (float, int):
                continue
            operands = zeros_for(sample)
            operands[place] = wrong
            assert_refused(op, sample, operands, ArgumentTypeError, type(wrong).__name__)


@of_each_op
def test_no_op_takes_an_expression_of_an_old_graph(op):
    for sample in op.samples:
        for place in range(len(sample.shapes)):
            renew_cg()
            stale = zeros_for(sample)[place]
            renew_cg()
            operands = zeros_for(sample)
            operands[place] = stale
            assert_refused(op, sample, operands, StaleExpressionError, "graph")


def takes_one_list(op):
    """Whether a list is all that the op takes; after that of vanilla_lstm_gates_concat come other operands."""
    return op.samples[0].as_list and not op.name.startswith("vanilla_lstm_gates")


@pytest.mark.parametrize("op", [op for op in OPS.values() if takes_one_list(op)], ids=lambda op: op.name)
def test_no_op_takes_nothing_or_something_else_for_a_list(op):
    renew_cg()
    attributes = op.samples[0].attributes
    names = f"^({'|'.join([op.name, *STEPS_OF.get(op.name, [])])}): "
    with pytest.raises(ArgumentError, match=names):
        op.record([], **attributes)
    for wrong in (None, 1.0, "x", np.ones(3), {"x": 1}):
        with pytest.raises(ArgumentTypeError, match=names):
            op.record(wrong, **attributes)


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
        (np.ones((3, 1)), ShapeError),
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


@pytest.mark.parametrize("op", [op for op in OPS.values() if takes_one_list(op)], ids=lambda op: op.name)
def test_operands_that_should_be_a_list_are_said_to_be_one(op):
    if not hasattr(op.record, "enter"):
        pytest.skip("a plain function, which the recorder in Python leaves as it is")
    renew_cg()
    x = vector()
    for operands in ((x, x), (x, x, x)):
        with pytest.raises(TypeError, match=rf"^{op.name}.*; the expressions are one list, {op.name}\(\[\.\.\.\]\)$"):
            op.record(*operands)
    with pytest.raises(TypeError) as caught:
        op.record([x], 0, 0)
    assert "one list" not in str(caught.value)


SIGNS = {
    "+": [lambda x: x + 1, lambda x: 1 + x, lambda x: x + x],
    "-": [lambda x: x - 1, lambda x: 1 - x, lambda x: x - x],
    "*": [lambda x: x * 2, lambda x: 2 * x, lambda x: x * x],
    "/": [lambda x: x / 2, lambda x: x / x],
}


@pytest.mark.parametrize(("sign", "use"), [(sign, use) for sign, uses in SIGNS.items() for use in uses])
def test_an_operator_is_called_by_its_sign(sign, use):
    renew_cg()
    x = dy.scalarInput(1.0)
    use(x)
    renew_cg()
    with pytest.raises(StaleExpressionError, match=rf"^{re.escape(sign)}: "):
        use(x)


def test_a_matrix_of_one_number_is_told_how_to_be_read():
    renew_cg()
    x = dy.inputTensor([[6.0]])
    with pytest.raises(ArgumentTypeError, match=r"take its \.scalar_value\(\)"):
        float(x)
    assert float(x.scalar_value()) == 6.0
