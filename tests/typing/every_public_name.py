"""A program that uses every public name, as users write it; `nox -s types` checks it, and a test runs it.

The checks are pyright's, standard and strict, and `mypy --strict`, all without a single error. Functions are called,
and methods are used on each kind of object.
"""

from __future__ import annotations

import contextlib
import io
import tempfile
import warnings

import numpy as np
import numpy.typing as npt

import dynet as dy

Array = npt.NDArray[np.float32]


def inputs() -> list[dy.Expression]:
    """Values from outside the graph."""
    counted = dy.vecInput(3)
    counted.set([1, 2, 3])
    matrix = dy.matInput(2, 2)
    matrix.set(np.arange(4).reshape(2, 2))
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
    """Functions of each element."""
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
    """Functions of a vector that are no functions of each element."""
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
    """A step of an LSTM of two units, from a vector of three."""
    x, h, c = dy.ones(3), dy.zeros(2), dy.zeros(2)
    Wx, Wh, b = dy.random_normal((8, 3)), dy.random_normal((8, 2)), dy.zeros(8)
    gates = dy.vanilla_lstm_gates(x, h, Wx, Wh, b)
    gates += dy.vanilla_lstm_gates_concat([x], h, Wx, Wh, b, weightnoise_std=0.01)
    gates += dy.vanilla_lstm_gates_dropout(x, h, Wx, Wh, b, dy.ones(3), dy.ones(2))
    gates += dy.vanilla_lstm_gates_dropout_concat([x], h, Wx, Wh, b, dy.ones(3), dy.ones(2))
    cell = dy.vanilla_lstm_c(c, gates)
    return dy.vanilla_lstm_h(cell, gates)


def values_of(x: dy.Expression) -> float:
    """What an expression is worth: each way of asking has its type."""
    loss = dy.sum_elems(dy.square(x))
    total = 0.0
    for each in (loss, loss * 2):
        total += each.value()
    total += loss.scalar_value()
    numbers: list[float] = x.vec_value()
    array: Array = x.npvalue()
    arrays: list[Array] = dy.npvalues([x, loss])
    dims: tuple[tuple[int, ...], int] = x.dim()
    shape: tuple[int, ...] = x.shape
    print(shape, dy.inputTensor([[1.0, 2.0]]).T @ dy.scalarInput(2))
    dy.forward([x, loss])
    loss.forward(recalculate=True)
    loss.backward(full=True)
    gradient: Array = x.gradient()
    total += sum(numbers) + float(array.sum() + gradient.sum() + arrays[0].sum()) + len(dims[0]) + len(x)
    total += sum(float(value.sum()) for value in dy.values([x, loss]))
    best: dy.Tensor = x.tensor_value().argmax()
    largest, places = x.tensor_value().topk(num=2)
    drawn = dy.log_softmax(x).tensor_value().categorical_sample_log_prob(num=3)
    total += float(best.as_numpy()[0] + largest.as_numpy()[0] + places.as_numpy()[0] + drawn.as_numpy()[0])
    return total + float(np.asarray(largest).sum()) + float(x.at + x.version + x.type.total)


def graphs() -> None:
    """The graph of this thread, and functions that concern it."""
    graph: dy.ComputationGraph = dy.renew_cg(check_validity=True)
    x = dy.inputVector([1, 2])
    loss = dy.sum_elems(x)
    graph.forward(x.at)
    graph.inc_forward(x.at)
    total = graph.forward_scalar(loss.at) + graph.inc_forward_scalar(loss.at)
    total += sum(graph.forward_vec(x.at)) + sum(graph.inc_forward_vec(x.at))
    graph.backward(loss.at)
    graph.checkpoint()
    graph.inputMatrixLiteral([1, 2, 3, 4], (2, 2))
    graph.inputSparseTensor([0, 3], [5, 6], (2, 2))
    graph.revert()
    dy.cg_checkpoint()
    dy.cg_revert()
    graph.dump(nan_check_only=True)
    graph.print_graphviz()
    dy.dump_cg(show_gradients=False)
    dy.print_graphviz(expression_names={x: "x"})
    dy.print_text_graphviz()
    print(total, dy.cg_version() == dy.cg().version(), graph.renew())
    with dy.graph() as inner:
        print(inner.parameters(dy.Model().add_parameters(2)))
    dy.reset_random_seed(1)


def initializers() -> list[dy.PyInitializer]:
    """Initial values of parameters."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("1 2 3 4")
        file.flush()
        from_file = dy.FromFileInitializer(file.name)
        print(from_file.fname, from_file.values((2, 2)))
    normal, glorot = dy.NormalInitializer(mean=0, var=0.1), dy.GlorotInitializer(is_lookup=False, gain=0.5)
    uniform, fixed = dy.UniformInitializer(0.1), dy.ConstInitializer(0.5)
    print(normal.mean, normal.var, glorot.is_lookup, glorot.gain, uniform.scale, fixed.c, fixed.draw((2, 2)).sum())
    numpy_initializer = dy.NumpyInitializer([[1, 2], [3, 4]])
    print(numpy_initializer.array.shape)
    return [normal, glorot, uniform, fixed, numpy_initializer, dy.IdentityInitializer(), dy.SaxeInitializer(2.0)]


class Halves(dy.PyInitializer):
    """An initializer of a user's own."""

    def draw(self, dim: tuple[int, ...]) -> Array:
        return np.full(int(np.prod(dim)), 0.5, np.float32)


def parameters(folder: str) -> None:
    """Collections, parameters and tables, and their files."""
    m: dy.Model = dy.ParameterCollection()
    for initializer in initializers():
        m.add_parameters((2, 2), init=initializer)
    W: dy.Parameters = m.add_parameters((2, 3), init="uniform", scale=0.1)
    b = m.add_subcollection("bias").add_parameters(2, init=Halves(), name="b")
    E: dy.LookupParameters = m.add_lookup_parameters((4, 3), init=0.5, name="words", device="CPU")
    m.parameters_from_numpy(np.eye(2))
    m.lookup_parameters_from_numpy([[1, 2], [3, 4]])
    m.set_weight_decay(0.1)
    m.set_weight_decay_lambda(m.get_weight_decay())
    print(m.name(), m.parameter_count(), len(m.parameters_list()), len(m.lookup_parameters_list()))

    W.set_value(np.ones((2, 3)))
    W.load_array([[1, 2, 3], [4, 5, 6]])
    W.scale(0.5)
    W.clip_inplace(-1, 1)
    W.scale_gradient(2)
    W.set_updated(not W.is_updated())
    W.set_updated(True)
    print(W.name(), W.shape(), W.get_index(), W.collection is m, W.as_array() + W.grad_as_array() + np.asarray(W))
    b.zero()

    E.init_row(0, [1, 2, 3])
    E.init_from_array(np.ones((4, 3)))
    E.load_array(E.as_array())
    E.set_value(E.as_array())
    print(E.shape(), E.rows, E.get_index(), E.row_as_array(0), E.rows_as_array([0, 1]), E.grad_as_array().sum())
    print(E.row_grad_as_array(0), E.rows_grad_as_array(range(2)))
    rows = E[0] + E[np.argmax([0, 1])] + E.lookup(1, update=False) + dy.lookup(E, 2)
    batch = E.batch([0, 1]) + dy.lookup_batch(E, np.array([2, 3]), update=False)
    loss = dy.sum_batches(dy.sum_elems(dy.concatenate_to_batch([W * rows + b]))) + dy.sum_batches(dy.sum_elems(batch))
    fixed: dy.Expression = W.expr(update=False)
    loss += dy.sum_elems(dy.parameter(W) + dy.const_parameter(W) + fixed)
    for each in (*dy.parameter(W, b), *dy.parameter([W, b]), *dy.const_parameter(W, b), dy.parameter(E, False)):
        loss += dy.sum_elems(each)
    loss.backward()

    one, whole = f"{folder}/parameter", f"{folder}/model"
    W.save(one, key="/W")
    E.write_to_textfile(one, key="/E", append=True)
    W.populate(one, key="/W")
    E.populate_from_textfile(one, key="/E")
    print(dy.Model().load_param(one, "/W").shape(), dy.Model().load_lookup_param(one, "/E").rows)
    m.save_all(whole)
    m.write_to_textfile(whole, "/all")
    m.save(whole)
    m.populate(whole)
    m.load_all(whole)
    m.populate_from_textfile(whole)
    print(dy.ParameterCollection.from_file(whole).parameter_count(), len(dy.Model().load(whole)))
    dy.save(whole, [W, E])
    W_again, E_again = dy.load(whole, dy.Model())
    print(W_again.shape(), E_again.shape(), len(list(dy.load_generator(whole, dy.Model(), allow=[Halves]))))


def softmaxes() -> dy.Expression:
    """Softmax layers."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("animal cat\nanimal dog\nnumber one\n")
        file.flush()
        factored = dy.ClassFactoredSoftmaxBuilder(3, file.name, {"cat": 0, "dog": 1, "one": 2}, dy.Model())
    standard = dy.StandardSoftmaxBuilder(3, 3, dy.Model())
    builders: list[dy.SoftmaxBuilder] = [standard, factored]
    x, loss = dy.ones(3), dy.scalarInput(0)
    for builder in builders:
        loss += builder.neg_log_softmax(x, 0, update=False) + builder.neg_log_softmax_batch(x, [1])
        loss += dy.sum_elems(builder.full_log_distribution(x) + builder.full_logits(x))
        print(builder.whoami(), builder.spec, builder.param_collection().name(), builder.sample(x) < 3)
    loss += dy.sum_elems(factored.class_logits(x) + factored.class_log_distribution(x))
    loss += dy.sum_elems(factored.subclass_logits(x, 0) + factored.subclass_log_distribution(x, 0))
    again = dy.StandardSoftmaxBuilder.from_spec(standard.spec, dy.Model())
    return loss + again.neg_log_softmax(x, 1)


def networks(m: dy.ParameterCollection) -> dy.Expression:
    """Recurrent networks."""
    lstm, sparse = dy.VanillaLSTMBuilder(1, 3, 2, m, forget_bias=0.5), dy.SparseLSTMBuilder(1, 3, 2, m)
    compact, gru = dy.CompactVanillaLSTMBuilder(1, 3, 2, m), dy.GRUBuilder(1, 3, 2, m)
    builders = [lstm, sparse, compact, gru, dy.SimpleRNNBuilder(1, 3, 2, m), dy.CoupledLSTMBuilder(1, 3, 2, m)]
    builders += [dy.FastLSTMBuilder(1, 3, 2, m), dy.LSTMBuilder(1, 3, 2, m)]
    sparse.set_sparsity(0.5)
    compact.set_weightnoise(0.1)
    lstm.set_dropouts(0.1, 0.2)
    xs = [dy.inputVector([1, 2, 3]), dy.inputVector([4, 5, 6])]
    total = dy.scalarInput(0)
    for builder in builders:
        state: dy.RNNState = builder.initial_state()
        for x in xs:
            state = state.add_input(x)
            total += dy.sum_elems(state.output())
        total += dy.sum_elems(dy.esum(builder.initial_state(update=False).transduce(xs)))
        total += dy.sum_elems(builder.initial_state().add_inputs(xs)[-1].output())
        builder.set_dropout(0.5)
        builder.disable_dropout()
        print(builder.whoami(), builder.spec, builder.param_collection().name(), state.b() is builder)
        print(builder.get_parameters()[0][0].shape(), builder.get_parameter_expressions()[0][0].dim())
    print(lstm.from_spec(lstm.spec, m).spec == lstm.spec)
    start = lstm.initial_state([dy.zeros(2), dy.zeros(2)])
    lstm.set_dropout_masks(1)
    state = gru.initial_state_from_raw_vectors([[0.5, 0.5]]).add_input(xs[0])
    state = state.set_h([dy.zeros(2)]).set_s([dy.ones(2)])
    total += dy.sum_elems(start.h()[0] + state.h()[0] + state.s()[0])
    before = state.prev()
    assert before is not None

    both = dy.BiRNNBuilder(1, 3, 4, m, dy.VanillaLSTMBuilder)
    both.set_dropout(0.5)
    both.disable_dropout()
    total += dy.sum_elems(dy.esum(both.transduce(xs)))
    forward, backward = both.add_inputs(xs)[0]
    total += dy.sum_elems(forward.output() + backward.output())
    print(both.whoami(), both.spec, both.param_collection() is both.model, len(both.builder_layers))
    total += dy.sum_elems(dy.BiRNNBuilder.from_spec((1, 3, 4, dy.GRUBuilder, None), m).transduce(xs)[0])

    stacked = dy.StackedRNNState([gru.initial_state()])
    following = stacked.add_input(xs[0])
    total += dy.sum_elems(following.output() + following.h()[0][0] + following.s()[0][0])
    total += dy.sum_elems(stacked.add_inputs(xs)[-1].output() + stacked.transduce(xs)[0])
    print(following.prev() is stacked, len(following.states))
    return total


def trees(m: dy.ParameterCollection) -> dy.Expression:
    """Networks over trees."""
    summing, binary = dy.ChildSumTreeLSTMBuilder(1, 3, 2, m), dy.NaryTreeLSTMBuilder(1, 3, 2, m, children=2)
    words = [dy.inputVector([1, 2, 3]), dy.inputVector([4, 5, 6])]
    total = dy.esum(summing.initial_state(update=True).transduce(words, heads=[1, -1]))
    start: dy.TreeState = binary.initial_state()
    leaves = [start.add_input(word) for word in words]
    root = start.add_input(None, leaves)
    total += root.output() + root.h()[0] + root.s()[0] + start.add_inputs(words, [-1, 0])[0].output()
    print(len(root.children()), root.b().whoami(), binary.spec, summing.get_parameters()[0][0].shape())
    print(summing.param_collection().name(), summing.get_parameter_expressions()[0][0].dim())
    return dy.sum_elems(total + summing.from_spec(summing.spec, m).initial_state().add_input(words[0]).output())


def trainers(m: dy.ParameterCollection, folder: str) -> None:
    """One step of each trainer."""
    p = m.add_parameters(3)
    rows = m.add_lookup_parameters((2, 3))
    found: list[dy.Trainer] = [
        dy.SimpleSGDTrainer(m, learning_rate=0.1),
        dy.CyclicalSGDTrainer(m, e0_min=0.01, e0_max=0.1, step_size=10),
        dy.MomentumSGDTrainer(m, 0.1, mom=0.5),
        dy.AdagradTrainer(m),
        dy.AdadeltaTrainer(m, rho=0.9),
        dy.RMSPropTrainer(m),
        dy.AdamTrainer(m, alpha=0.001, beta_1=0.8),
        dy.AmsgradTrainer(m, np.float64(0.01)),
    ]
    total = 0.0
    for trainer in found:
        dy.renew_cg()
        loss = dy.squared_norm(p) + dy.squared_norm(rows[0])
        total += loss.value()
        loss.backward()
        trainer.update()
        loss.backward()
        trainer.update_subset([0], [0], 0.5)
        trainer.update_epoch(1.0)
        trainer.set_learning_rate(0.5 * trainer.learning_rate)
        trainer.learning_rate /= 2
        trainer.set_clip_threshold(trainer.get_clip_threshold() + 1)
        trainer.set_sparse_updates(True)
        trainer.save(f"{folder}/trainer")
        trainer.populate(f"{folder}/trainer")
        trainer.restart(0.1)
        trainer.status()
        print(trainer.whoami(), total)
    parallel = dy.DataParallel(found[0], average=True, compare_every=100)
    for x in parallel.share([p]):
        dy.squared_norm(x).backward()
    parallel.update(0.5, examples=1)
    parallel.learning_rate = parallel.trainer.learning_rate
    parallel.compare()
    parallel.save(f"{folder}/checkpoint", {"epoch": 1})
    print(parallel.rank, parallel.size, parallel.populate(f"{folder}/checkpoint")["epoch"], parallel.total(1))


def settings() -> None:
    """Settings, devices and profiles."""
    params = dy.DynetParams()
    params.set_mem("512")
    params.set_random_seed(1)
    params.set_threads(1)
    params.set_requested_gpus(0)
    params.set_gpu_mask([])
    params.set_tf32(False)
    params.set_shared_parameters(False)
    params.set_weight_decay(0.0)
    params.set_autobatch(True)
    params.set_profiling(0)
    params.set_allow([Halves])
    params.set_cpu_mode()
    params.from_args()
    params.read(["--dynet-seed", "1"])
    params.change({"threads": 1})
    params.from_config({
        "mem": "512", "seed": 1, "autobatch": 0, "profiling": 0, "weight_decay": 0, "shared_params": 0,
        "requested_gpus": 0,
    })  # fmt: skip
    print(params.mem, params.random_seed, params.threads, params.requested_gpus, params.gpu_ids, params.devices)
    print(params.gpu, params.tf32, params.viz, params.shared_parameters, params.weight_decay, params.autobatch)
    print(params.profiling, params.lstm_builder, len(params.allow))
    params.init()
    dy.init_from_params(params)
    dy.init(shared_parameters=False)
    info: dy.DeviceInfo = dy.get_device_info(dy.available_devices()[0])
    print(info.name, info.id, info.type, dy.HAVE_CUDA, dy.__version__)
    print(dy.dynet_config.get(), dy.dynet_config.gpu())
    with dy.profile() as times:
        dy.tanh(dy.ones(2)).value()
    times.save(dy.os.devnull)
    print(times, len(times.events), [line.calls + line.columns + line.seconds for line in times.kernels.values()])
    print(len(times.phases), dy.np.float32(1), dy.pickle.dumps(1), dy.sys.version)


def mutable_values() -> float:
    """Numbers that can be changed, as DyNet wraps those of C++."""
    number, whole = dy.FloatValue(1.5), dy.UnsignedValue(2)
    numbers, wholes = dy.FloatVectorValue([1.0, 2.0]), dy.UnsignedVectorValue([1, 2])
    number.set(2.5)
    whole.set(3)
    numbers.set([3.0])
    wholes.set([3])
    return number.get() + whole.get() + sum(numbers.get()) + sum(wholes.get()) + numbers.size() + wholes.size()


def errors() -> list[str]:
    """Errors, each of which is also one of Python's."""
    kinds: list[type[dy.DynetError]] = [
        dy.ArgumentError, dy.ArgumentTypeError, dy.DeviceError, dy.FileFormatError, dy.GradientError,
        dy.InitializerError, dy.MissingFileError, dy.NotFiniteError, dy.OutOfMemoryError, dy.OutOfRangeError,
        dy.ParallelError, dy.ParameterNameError, dy.ShapeError, dy.StaleExpressionError,
    ]  # fmt: skip
    try:
        print(dy.inputVector([1, 2]) + dy.inputVector([1, 2, 3]))
    except dy.ShapeError as error:
        warnings.simplefilter("error", dy.DynetWarning)
        return [str(error), *(kind.__name__ for kind in kinds)]
    return []


def builder_of(kind: type[dy._RNNBuilder]) -> dy._RNNBuilder:  # pyright: ignore[reportPrivateUsage]  # DyNet's own name
    """A network whose class is a setting."""
    return kind(1, 3, 2, dy.Model())


def main() -> None:
    dy.renew_cg()
    x, y, square = dy.inputVector([1.5, 2.5, 3.5]), dy.inputVector([1, 2, 3]), dy.inputTensor([[2.0, 1.0], [1.0, 3.0]])
    found = inputs() + elementwise(x) + operators(x, y) + of_two(x, y) + of_vectors(x) + convolutions()
    found += of_matrices(dy.random_normal((4, 3)), square)
    dy.forward(found)
    m = dy.ParameterCollection()
    print(lstm_by_hand().npvalue(), values_of(x), softmaxes().value(), networks(m).value(), trees(m).value())
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        parameters(folder)
        trainers(m, folder)
    graphs()
    print(mutable_values(), errors(), builder_of(dy.GRUBuilder).whoami())
    settings()


if __name__ == "__main__":
    main()
