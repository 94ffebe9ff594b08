"""The part of `every_public_name.py` that uses ops and values of expressions."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

import dynet as dy

Array = npt.NDArray[np.float64]
Single = npt.NDArray[np.float32]


def inputs() -> list[dy.Expression]:
    """Inputs of every kind."""
    counted = dy.vecInput(3)
    counted.set([1, 2, 3])
    matrix = dy.matInput(2, 2)
    matrix.set(np.arange(4).reshape(2, 2))
    counted[0].set_index(1)
    dy.pick_batch(counted, [0, 1]).set_index([1, 2])
    return [
        counted,
        matrix,
        dy.scalarInput(np.float32(2.5)),
        dy.inputVector(range(3)),
        dy.inputVector(np.ones(3)),
        dy.inputMatrix([1, 2, 3, 4], (2, 2)),
        dy.inputTensor([[1.0, 2.0], [3.0, 4.0]]),
        dy.inputTensor([np.zeros(2), np.ones(2)]),
        dy.inputTensorTranspose(np.arange(6), (2, 3)),
        dy.sparse_inputTensor(([0, 1], [1, 2]), [5, 6], (2, 3)),
        dy.one_hot(4, 1),
        dy.one_hot(4, np.array([1, 2])),
        dy.zeros(3),
        dy.zeroes((2, 3), batch_size=2),
        dy.ones([2, 2]),
        dy.constant((2,), 0.5),
        dy.random_normal(3, mean=1.0, stddev=np.float64(2.0)),
        dy.random_uniform((2, 2), -1, 1),
        dy.random_bernoulli(3, 0.5),
        dy.random_gumbel(3),
    ]


def elementwise(x: dy.Expression) -> list[dy.Expression]:
    """Elementwise functions."""
    return [
        dy.abs(x), dy.acos(x / 10), dy.acosh(x + 1), dy.asin(x / 10), dy.asinh(x), dy.atan(x), dy.atanh(x / 10),
        dy.ceil(x), dy.cos(x), dy.cosh(x), dy.cube(x), dy.elu(x, 0.5), dy.erf(x), dy.exp(x), dy.floor(x),
        dy.lgamma(x), dy.log(x), dy.log_sigmoid(x), dy.logistic(x), dy.negative(x), dy.rectify(x),
        dy.round(x, gradient_mode="straight_through_gradient"), dy.selu(x), dy.silu(x, beta=2.0), dy.sin(x),
        dy.sinh(x), dy.softsign(x), dy.sqrt(x), dy.square(x), dy.tan(x), dy.tanh(x),
    ]  # fmt: skip


def operators(x: dy.Expression, y: dy.Expression) -> list[dy.Expression]:
    """Operators, with numbers on both sides."""
    number, whole = np.float32(2), np.int64(3)
    found = [x + y, x - y, dy.cmult(x, y), x / y, -x, dy.transpose(x) * y]
    found += [x + 1, 1 + x, x - 1, 1 - x, x * 2, 2 * x, x / 2, 2 / x, x**2, 2**x, dy.pow(x, dy.scalarInput(2))]
    found += [x + number, x - number, x * number, x / number, x * whole, x**whole]
    found += [x[0], x[-1], x[0:2], x[:-1], x[::2], x[np.argmax([0, 1])], dy.inputTensor(np.ones((2, 3)))[:, 1]]
    found += [element * 2 for element in x]
    return found


def of_two(x: dy.Expression, y: dy.Expression) -> list[dy.Expression]:
    """Functions of two vectors, or of several expressions in a list."""
    several = [x, y]
    return [
        dy.add(x, y), dy.subtract(x, y), dy.cdiv(x, y), dy.bmax(x, y), dy.bmin(x, y), dy.dot_product(x, y),
        dy.circ_conv(x, y), dy.circ_corr(x, y), dy.squared_distance(x, y), dy.l1_distance(x, y),
        dy.huber_distance(x, y, c=1.0), dy.binary_log_loss(dy.logistic(x), dy.logistic(y)),
        dy.pairwise_rank_loss(x, y, 2.0), dy.constrained_softmax(x, dy.ones(3)), dy.weight_norm(x, dy.scalarInput(1)),
        dy.layer_norm(x, y, y), dy.concatenate(several), dy.concatenate(several, d=0), dy.concatenate_cols(several),
        dy.concatenate_to_batch(tuple(several)), dy.esum(several), dy.average(several), dy.emax(several),
        dy.logsumexp(several), dy.esum(dy.tanh(one) for one in several),
    ]  # fmt: skip


def of_vectors(x: dy.Expression) -> list[dy.Expression]:
    """Functions of a vector that are not elementwise."""
    batch = dy.inputTensor(np.ones((3, 2)), batched=True)
    return [
        dy.softmax(x), dy.log_softmax(x), dy.log_softmax(x, restrict=[0, 2]), dy.sparsemax(x),
        dy.argmax(x, "zero_gradient"),
        dy.pick(x, 1), dy.pick(x, index=np.int64(1)), dy.pick_batch(batch, [0, 1]), dy.pick_range(x, 0, 2),
        dy.pickrange(x, 0, 2), dy.pick_batch_elem(batch, 0), dy.pick_batch_elems(batch, [0, 1]),
        dy.pickneglogsoftmax(x, 0), dy.pickneglogsoftmax_batch(batch, np.array([0, 2])), dy.hinge(x, 0),
        dy.hinge(batch, [0, 1], m=2.0), dy.hinge_batch(batch, [0, 1]), dy.poisson_loss(dy.scalarInput(0), 2),
        dy.sum_elems(x), dy.mean_elems(x), dy.std_elems(x), dy.moment_elems(x, 2), dy.l2_norm(x), dy.squared_norm(x),
        dy.sum_batches(batch), dy.mean_batches(batch), dy.std_batches(batch), dy.moment_batches(batch, 3),
        dy.cumsum(x), dy.noise(x, 0.1), dy.dropout(x, 0.5), dy.dropout_batch(batch, 0.5), dy.block_dropout(x, 0.5),
        dy.nobackprop(x), dy.flip_gradient(x), dy.scale_gradient(x, 0.5), dy.reshape(x, (1, 3)), dy.to_device(x, "CPU"),
    ]  # fmt: skip


def of_matrices(x: dy.Expression, square: dy.Expression) -> list[dy.Expression]:
    """Functions of matrices and tensors: x is (4, 3)."""
    tensor, vector = dy.random_normal((2, 3, 4)), dy.ones(4)
    return [
        dy.matmul(dy.transpose(x), x), dy.transpose(tensor, [2, 0, 1]),
        dy.affine_transform([dy.ones(4), x, dy.ones(3)]),
        dy.colwise_add(x, vector), dy.inverse(square), dy.logdet(square), dy.trace_of_product(square, square),
        dy.select_rows(x, [0, 2]), dy.select_cols(x, np.array([1])), dy.strided_select(x, [2, 1]), dy.sum_cols(x),
        dy.sum_dim(x, [0]), dy.sum_dim(x, 1), dy.mean_dim(x, [0, 1], False), dy.std_dim(x, (1,)),
        dy.moment_dim(x, [0], 2), dy.max_dim(x), dy.min_dim(x, 1), dy.logsumexp_dim(x, d=1), dy.fold_rows(x, 2),
        dy.kmax_pooling(x, 2), dy.kmh_ngram(x, 2), dy.hinge_dim(x, [0, 1, 2]), dy.dropout_dim(x, 0, 0.5),
        dy.contract3d_1d(tensor, vector), dy.contract3d_1d_bias(tensor, vector, dy.ones((2, 3))),
        dy.contract3d_1d_1d(tensor, vector, dy.ones(3)),
        dy.contract3d_1d_1d_bias(tensor, vector, dy.ones(3), dy.ones(2)),
    ]  # fmt: skip


def convolutions() -> list[dy.Expression]:
    """Images are (height, width, channels), filters (height, width, channels, number)."""
    image, filters = dy.random_normal((5, 4, 2)), dy.random_normal((2, 2, 2, 3))
    return [
        dy.conv2d(image, filters, [1, 1]),
        dy.conv2d_bias(image, filters, dy.ones(3), (2, 2), is_valid=False),
        dy.maxpooling2d(image, [2, 2], [1, 1]),
        dy.filter1d_narrow(dy.random_normal((3, 5)), dy.random_normal((3, 2))),
    ]


def lstm_by_hand() -> dy.Expression:
    """A step of an LSTM with two units, from a vector of three elements."""
    x, h, c = dy.ones(3), dy.zeros(2), dy.zeros(2)
    Wx, Wh, b = dy.random_normal((8, 3)), dy.random_normal((8, 2)), dy.zeros(8)
    gates = dy.vanilla_lstm_gates(x, h, Wx, Wh, b)
    gates += dy.vanilla_lstm_gates_concat([x], h, Wx, Wh, b, weightnoise_std=0.01)
    gates += dy.vanilla_lstm_gates_dropout(x, h, Wx, Wh, b, dy.ones(3), dy.ones(2))
    gates += dy.vanilla_lstm_gates_dropout_concat([x], h, Wx, Wh, b, dy.ones(3), dy.ones(2))
    cell = dy.vanilla_lstm_c(c, gates)
    return dy.vanilla_lstm_h(cell, gates)


def values_of(x: dy.Expression) -> float:
    """The value of an expression: each way of reading it has its own type."""
    loss = dy.sum_elems(dy.square(x))
    total = 0.0
    for each in (loss, loss * 2):
        total += each.value()
    total += loss.scalar_value()
    numbers: list[float] = x.vec_value()
    array: Array = x.npvalue()
    single: Single = x.npvalue(dtype=np.float32)
    arrays: list[Array] = dy.npvalues([x, loss])
    dims: tuple[tuple[int, ...], int] = x.dim()
    shape: tuple[int, ...] = x.shape
    print(shape, dy.inputTensor([[1.0, 2.0]]).T @ dy.scalarInput(2))
    dy.forward([x, loss])
    loss.forward(recalculate=True)
    loss.backward(full=True)
    gradient: Array = x.gradient()
    single += x.gradient(dtype="float32") + dy.npvalues([x], dtype=np.dtype(np.float32))[0]
    total += sum(numbers) + float(array.sum() + gradient.sum() + arrays[0].sum()) + len(dims[0]) + len(x)
    total += sum(float(np.asarray(value, np.float32).sum()) for value in dy.values([x, loss]))
    best: dy.Tensor = x.tensor_value().argmax()
    largest, places = x.tensor_value().topk(num=2)
    drawn = dy.log_softmax(x).tensor_value().categorical_sample_log_prob(num=3)
    total += float(best.as_numpy()[0] + largest.as_numpy()[0] + places.as_numpy()[0] + drawn.as_numpy()[0])
    return total + float(np.asarray(largest).sum()) + float(x.at + x.version + x.type.total)
