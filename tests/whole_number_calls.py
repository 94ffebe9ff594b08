"""The table of calls for test_whole_numbers: every argument that is a size, a dimension, an index or a count."""

import tempfile
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

import dynet as dy


class Call(NamedTuple):
    """A call with one argument left open. `value`, an int or a list of ints, is a valid one."""

    name: str
    argument: str
    value: int | list
    make: Callable


def vector(size=4, batch=1):
    return dy.reshape(dy.inputVector(np.arange(1.0, size * batch + 1)), (size,), batch)


def pair():
    return [vector(), vector()]


def joined(x, states):
    return dy.tanh(dy.esum([x, *states]))


def received(messages, h):
    return h if messages is None else messages + h


def dy_tanh(x):
    return dy.tanh(x)


def matrix(rows=4, columns=4):
    return dy.inputTensor(np.arange(1.0, rows * columns + 1).reshape(rows, columns) % 5)


def batch(size=4, count=2):
    return dy.inputTensor(np.arange(1.0, size * count + 1).reshape(size, count) % 5, batched=True)


def image():
    return dy.inputTensor(np.arange(1.0, 17.0).reshape(4, 4, 1))


def filters():
    return dy.inputTensor(np.ones((2, 2, 1, 1)))


def table():
    return dy.Model().lookup_parameters_from_numpy(np.arange(8.0).reshape(4, 2))


def tensor():
    return matrix().tensor_value()


def changed(change: Callable) -> list:
    """The rows of a table that a call has changed."""
    rows = table()
    change(rows)
    return rows.as_array().tolist()


def setting(name: str, n):
    params = dy.DynetParams()
    getattr(params, f"set_{name}")(n)
    return getattr(params, name)


def initial(seed):
    dy.reset_random_seed(seed)
    return dy.Model().add_parameters(3).as_array()


def masks(n):
    builder = dy.VanillaLSTMBuilder(1, 2, 2, dy.Model())
    builder.set_dropouts(0.5, 0.5)
    state = builder.initial_state()
    builder.set_dropout_masks(n)
    return state.add_input(vector(2, 2)).output().dim()


def of_index(x, index):
    x.set_index(index)
    return x


def updated(parameters, lookups) -> list:
    m = dy.Model()
    W = [m.add_parameters(2, init=1.0) for _ in range(2)]
    E = [m.add_lookup_parameters((2, 1), init=1.0) for _ in range(2)]
    trainer = dy.SimpleSGDTrainer(m)
    dy.sum_elems(dy.concatenate([*W, *[each[0] for each in E]])).backward()
    trainer.update_subset(parameters, lookups)
    return [p.as_array().tolist() for p in (*W, *E)]


def parallel(**options) -> dy.DataParallel:
    return dy.DataParallel(dy.SimpleSGDTrainer(dy.Model()), **options)


def updated_in_parallel(examples) -> list[float]:
    model = dy.Model()
    w = model.add_parameters(2, init=1.0)
    dy.renew_cg()
    dy.squared_norm(w).backward()
    dy.DataParallel(dy.SimpleSGDTrainer(model), average=True).update(examples=examples)
    return w.as_array().tolist()


def position(number) -> dict[str, int]:
    with tempfile.TemporaryDirectory() as folder:
        parallel().save(f"{folder}/checkpoint", {"epoch": number})
        return parallel().populate(f"{folder}/checkpoint")


def sampled(dim, num):
    dy.reset_random_seed(1)
    return tensor().categorical_sample_log_prob(dim, num)


def made(make: Callable, n, *more):
    """The spec and parameters of a builder made by a function of n and a collection."""
    m = dy.Model()
    try:
        builder = make(n, *more, m)
    except ValueError:
        assert m.parameters_list() == []
        raise
    return builder.spec[:3], [p.shape() for p in m.parameters_list()]


def softmax_layer(m=None, rep_dim=4, classes=3):
    dy.reset_random_seed(1)
    return dy.StandardSoftmaxBuilder(rep_dim, classes, m or dy.Model())


def factored_layer(rep_dim=4, m=None, numbers=(0, 1, 2), kind=dy.ClassFactoredSoftmaxBuilder):
    dy.reset_random_seed(1)
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("x a\ny b\nx c\n")
        file.flush()
        return kind(rep_dim, file.name, dict(zip("abc", numbers)), m or dy.Model())


def adaptive_layer(m=None, rep_dim=4, cutoffs=(2,), classes=4):
    dy.reset_random_seed(1)
    return dy.AdaptiveSoftmaxBuilder(rep_dim, cutoffs, classes, m or dy.Model(), 1.0)


def biaffine(m, x_dim, y_dim, labels):
    return dy.BiaffineBuilder(x_dim, y_dim, m, labels)


def random_field():
    dy.reset_random_seed(1)
    return dy.CRFBuilder(4, dy.Model())


LAYERS = {
    "MultiHeadAttentionBuilder": {"dim": 2, "heads": 1},
    "TransformerEncoderLayerBuilder": {"dim": 2, "heads": 1, "inner_dim": 2},
    "TransformerDecoderLayerBuilder": {"dim": 2, "heads": 1, "inner_dim": 2},
    "LearnedPositionsBuilder": {"dim": 2, "longest": 2},
}


def layer_of(name, sizes, k, n):
    values = [*sizes.values()]
    return made(lambda n, m: getattr(dy, name)(*values[:k], n, *values[k + 1 :], m), n)


def positions():
    dy.reset_random_seed(1)
    return dy.LearnedPositionsBuilder(4, 9, dy.Model())


def tree():
    dy.reset_random_seed(1)
    return dy.ChildSumTreeLSTMBuilder(1, 4, 2, dy.Model()).initial_state()


OPS = [
    Call("pick", "index", 1, lambda n: dy.pick(vector(), n)),
    Call("pick", "index", [1, 0], lambda n: dy.pick(batch(), n)),
    Call("pick", "dim", 1, lambda n: dy.pick(matrix(), 2, n)),
    Call("pick_batch", "indices", [1, 0], lambda n: dy.pick_batch(batch(), n)),
    Call("pick_batch", "dim", 0, lambda n: dy.pick_batch(batch(), [1, 2], n)),
    *[
        Call(name, argument, 1, make)
        for name, op in (("pickrange", dy.pickrange), ("pick_range", dy.pick_range))
        for argument, make in (
            ("v", lambda n, op=op: op(vector(), n, 3)),
            ("u", lambda n, op=op: op(vector(), 0, n)),
            ("d", lambda n, op=op: op(matrix(), 1, 3, n)),
        )
    ],
    Call("pick_batch_elem", "v", 1, lambda n: dy.pick_batch_elem(batch(), n)),
    Call("pick_batch_elems", "vs", [1, 0, 1], lambda n: dy.pick_batch_elems(batch(), n)),
    Call("x[...]", "key", 1, lambda n: vector()[n]),
    Call("x[...]", "key", [1, 0], lambda n: matrix()[n[0], n[1]]),
    Call("x[...]", "start", 1, lambda n: vector()[n:]),
    Call("x[...]", "stop", 1, lambda n: vector()[:n]),
    Call("x[...]", "step", 1, lambda n: vector()[::n]),
    Call("x[...]", "start of the batch", 1, lambda n: batch()[:, n:]),
    Call("x[...]", "stop of the batch", 1, lambda n: batch()[:, :n]),
    Call("lookup", "index", 1, lambda n: dy.lookup(table(), n)),
    Call("lookup_batch", "indices", [1, 0, 1], lambda n: dy.lookup_batch(table(), n)),
    Call("reshape", "d", [1, 4], lambda n: dy.reshape(vector(), n)),
    Call("reshape", "d", 4, lambda n: dy.reshape(vector(), n)),
    Call("reshape", "batch_size", 1, lambda n: dy.reshape(vector(), (4,), n)),
    Call("transpose", "dims", [1, 0], lambda n: dy.transpose(matrix(), n)),
    Call("select_rows", "rs", [1, 0], lambda n: dy.select_rows(matrix(), n)),
    Call("select_cols", "cs", [1, 0], lambda n: dy.select_cols(matrix(), n)),
    Call("strided_select", "strides", [1, 2], lambda n: dy.strided_select(matrix(), n)),
    Call("strided_select", "range_from", [1, 0], lambda n: dy.strided_select(matrix(), [1, 1], n)),
    Call("strided_select", "range_to", [1, 3], lambda n: dy.strided_select(matrix(), [1, 1], [0, 0], n)),
    Call("kmax_pooling", "k", 1, lambda n: dy.kmax_pooling(matrix(), n)),
    Call("kmax_pooling", "d", 1, lambda n: dy.kmax_pooling(matrix(), 2, n)),
    Call("kmh_ngram", "v", 1, lambda n: dy.kmh_ngram(matrix(), n)),
    Call("fold_rows", "nrows", 1, lambda n: dy.fold_rows(matrix(), n)),
    Call("concatenate", "d", 1, lambda n: dy.concatenate([matrix(), matrix()], n)),
    Call("softmax", "d", 1, lambda n: dy.softmax(matrix(), n)),
    Call("log_softmax", "restrict", [0, 1], lambda n: dy.log_softmax(vector(), n)),
    Call("sparsemax_loss", "v", [0, 1], lambda n: dy.sparsemax_loss(vector(), n)),
    Call("rms_norm", "d", 1, lambda n: dy.rms_norm(matrix(), dy.ones(matrix().type.columns), n)),
    Call("layer_norm_dim", "d", 0, lambda n: dy.layer_norm_dim(matrix(), *[dy.ones(matrix().type.rows)] * 2, n)),
    Call("cumsum", "d", 1, lambda n: dy.cumsum(matrix(), n)),
    Call("dropout_dim", "d", 1, lambda n: dy.dropout_dim(matrix(), n, 0.0)),
    *[Call(op.__name__, "d", 1, lambda n, op=op: op(matrix(), n)) for op in (dy.max_dim, dy.min_dim, dy.logsumexp_dim)],
    *[
        Call(op.__name__, "d", value, lambda n, op=op: op(matrix(), n))
        for op in (dy.sum_dim, dy.mean_dim, dy.std_dim)
        for value in (1, [1, 0])
    ],
    Call("sum_dim", "n", 1, lambda n: dy.sum_dim(matrix(), [0], False, n)),
    Call("mean_dim", "n", 1, lambda n: dy.mean_dim(matrix(), [0], False, n)),
    Call("std_dim", "n", 5, lambda n: dy.std_dim(matrix(), [0], False, n)),
    Call("moment_dim", "d", [1, 0], lambda n: dy.moment_dim(matrix(), n, 2)),
    Call("moment_dim", "r", 1, lambda n: dy.moment_dim(matrix(), [0], n)),
    Call("moment_dim", "n", 1, lambda n: dy.moment_dim(matrix(), [0], 2, False, n)),
    Call("moment_elems", "r", 1, lambda n: dy.moment_elems(vector(), n)),
    Call("moment_batches", "r", 1, lambda n: dy.moment_batches(batch(), n)),
    Call("pickneglogsoftmax", "v", 1, lambda n: dy.pickneglogsoftmax(vector(), n)),
    Call("pickneglogsoftmax", "v", [1, 0], lambda n: dy.pickneglogsoftmax(batch(), n)),
    Call("pickneglogsoftmax_batch", "vs", [1, 0], lambda n: dy.pickneglogsoftmax_batch(batch(), n)),
    Call("hinge", "v", 1, lambda n: dy.hinge(vector(), n)),
    Call("hinge", "v", [1, 0], lambda n: dy.hinge(batch(), n)),
    Call("hinge_batch", "vs", [1, 0], lambda n: dy.hinge_batch(batch(), n)),
    Call("hinge_dim", "v", [1, 0], lambda n: dy.hinge_dim(matrix(4, 2), n)),
    Call("hinge_dim", "d", 1, lambda n: dy.hinge_dim(matrix(2, 4), [1, 0], n)),
    Call("conv2d", "stride", [1, 2], lambda n: dy.conv2d(image(), filters(), n)),
    Call("conv2d_bias", "stride", [1, 2], lambda n: dy.conv2d_bias(image(), filters(), vector(1), n)),
    Call("maxpooling2d", "ksize", [1, 2], lambda n: dy.maxpooling2d(image(), n, [1, 1])),
    Call("maxpooling2d", "stride", [1, 2], lambda n: dy.maxpooling2d(image(), [2, 2], n)),
]
INPUTS = [
    Call("vecInput", "dim", 1, dy.vecInput),
    Call("matInput", "d1", 1, lambda n: dy.matInput(n, 2)),
    Call("matInput", "d2", 1, lambda n: dy.matInput(2, n)),
    Call("inputMatrix", "d", [1, 2], lambda n: dy.inputMatrix([1, 2], n)),
    Call("inputTensorTranspose", "dim", [1, 2], lambda n: dy.inputTensorTranspose([1, 2], n)),
    Call("inputTensorTranspose", "batch_size", 1, lambda n: dy.inputTensorTranspose([1, 2], None, n)),
    Call("one_hot", "d", 1, lambda n: dy.one_hot(n, 0)),
    Call("dot_product_attention", "heads", 2, lambda n: dy.dot_product_attention(*[dy.ones((2, 1))] * 3, heads=n)),
    Call("sinusoidal_positions", "dim", 2, lambda n: dy.sinusoidal_positions(n, 1)),
    Call("sinusoidal_positions", "n", 2, lambda n: dy.sinusoidal_positions(1, n)),
    Call("sinusoidal_positions", "start", 2, lambda n: dy.sinusoidal_positions(1, 1, n)),
    Call("one_hot", "idx", 1, lambda n: dy.one_hot(3, n)),
    Call("one_hot", "idx", [1, 0], lambda n: dy.one_hot(3, n)),
    Call("sparse_inputTensor", "idxs", [1, 0], lambda n: dy.sparse_inputTensor(([0, 1], n), [5, 6], (2, 2))),
    Call("sparse_inputTensor", "shape", [1, 2], lambda n: dy.sparse_inputTensor(([0], [1]), [5], n)),
    *[
        Call(name, argument, value, call)
        for name, make in (("zeros", dy.zeros), ("ones", dy.ones), ("zeroes", dy.zeroes))
        for argument, value, call in (
            ("dim", 1, make),
            ("dim", [1, 2], make),
            ("batch_size", 1, lambda n, make=make: make(2, n)),
        )
    ],
    Call("constant", "dim", [1, 2], lambda n: dy.constant(n, 3)),
    Call("constant", "batch_size", 1, lambda n: dy.constant(2, 3, n)),
    *[
        Call(f"random_{name}", argument, value, lambda n, make=make, argument=argument: make(**{argument: n}).dim())
        for name, make in (
            ("normal", lambda dim=2, batch_size=1: dy.random_normal(dim, batch_size=batch_size)),
            ("uniform", lambda dim=2, batch_size=1: dy.random_uniform(dim, 0, 1, batch_size)),
            ("bernoulli", lambda dim=2, batch_size=1: dy.random_bernoulli(dim, 0.5, 1, batch_size)),
            ("gumbel", lambda dim=2, batch_size=1: dy.random_gumbel(dim, batch_size=batch_size)),
        )
        for argument, value in (("dim", 1), ("dim", [1, 2]), ("batch_size", 1))
    ],
]
PARAMETERS = [
    Call("ParameterCollection.add_parameters", "dim", 1, lambda n: dy.Model().add_parameters(n).shape()),
    Call("ParameterCollection.add_parameters", "dim", [1, 2, 0], lambda n: dy.Model().add_parameters(n).shape()),
    Call("ParameterCollection.add_lookup_parameters", "dim", 1, lambda n: dy.Model().add_lookup_parameters(n).shape()),
    Call(
        "ParameterCollection.add_lookup_parameters",
        "dim",
        [1, 2],
        lambda n: dy.Model().add_lookup_parameters(n).shape(),
    ),
    Call("LookupParameters.lookup", "index", 1, lambda n: table().lookup(n)),
    Call("LookupParameters.__getitem__", "index", 1, lambda n: table()[n]),
    Call("Expression.set_index", "index", 1, lambda n: of_index(vector()[0], n)),
    Call("Expression.set_index", "index", [1, 0], lambda n: of_index(dy.pick_batch(batch(), [0, 0]), n)),
    Call("LookupParameters.batch", "i", [1, 0], lambda n: table().batch(n)),
    Call("Vocabulary.from_sentences", "min_count", 2, lambda n: list(dy.Vocabulary.from_sentences(["a", "b", "b"], n))),
    Call("Vocabulary.from_sentences", "max_size", 1, lambda n: list(dy.Vocabulary.from_sentences([["a", "b"]], 1, n))),
    Call("batches_by_length", "size", 1, lambda n: dy.batches_by_length(["a", "bb"], n)),
    Call("batches_by_length", "max_total", 1, lambda n: dy.batches_by_length(["a", "bb"], 2, max_total=n)),
    Call("Vocabulary.word", "index", 1, lambda n: dy.Vocabulary(["a", "b"]).word(n)),
    Call("Vocabulary.words", "indices", [1, 0], lambda n: dy.Vocabulary(["a", "b"]).words(n)),
    Call("LookupParameters.row_as_array", "row", 1, lambda n: table().row_as_array(n)),
    Call("LookupParameters.rows_as_array", "rows", [1, 0], lambda n: table().rows_as_array(n)),
    Call("LookupParameters.row_grad_as_array", "row", 1, lambda n: table().row_grad_as_array(n)),
    Call("LookupParameters.rows_grad_as_array", "rows", [1, 0], lambda n: table().rows_grad_as_array(n)),
    Call("LookupParameters.init_row", "i", 1, lambda n: changed(lambda rows: rows.init_row(n, [5, 6]))),
    Call("PyInitializer.values", "dim", [1, 2], lambda n: dy.ConstInitializer(1).values(n)),
    Call("NumpyInitializer.values", "dim", [1, 2], lambda n: dy.NumpyInitializer([[1, 2]]).values(n)),
    Call("Tensor.argmax", "dim", 1, lambda n: tensor().argmax(n)),
    Call("Tensor.argmax", "num", 1, lambda n: tensor().argmax(1, n)),
    Call("Tensor.topk", "dim", 1, lambda n: tensor().topk(n)),
    Call("Tensor.topk", "num", 1, lambda n: tensor().topk(1, n)),
    Call("Tensor.categorical_sample_log_prob", "dim", 1, lambda n: sampled(n, 1)),
    Call("Tensor.categorical_sample_log_prob", "num", 1, lambda n: sampled(1, n)),
    *[
        Call(f"DynetParams.set_{name}", name, 1, lambda n, name=name: setting(name, n))
        for name in ("mem", "random_seed", "threads", "requested_gpus", "profiling")
    ],
    Call("reset_random_seed", "seed", 1, initial),
]
SEQUENCES = (
    dy.SimpleRNNBuilder, dy.GRUBuilder, dy.VanillaLSTMBuilder, dy.CompactVanillaLSTMBuilder, dy.CoupledLSTMBuilder,
    dy.FastLSTMBuilder, dy.SparseLSTMBuilder,
)  # fmt: skip
BUILDERS = [
    *[
        Call(
            f"{builder.__name__}.__init__",
            argument,
            value,
            lambda n, make=make, builder=builder: made(make, n, builder),
        )
        for builder in (*SEQUENCES, dy.ChildSumTreeLSTMBuilder, dy.NaryTreeLSTMBuilder)
        for argument, value, make in (
            ("layers", 1, lambda n, builder, m: builder(n, 4, 2, m)),
            ("layers", 2, lambda n, builder, m: builder(n, 4, 2, m)),
            ("input_dim", 1, lambda n, builder, m: builder(1, n, 2, m)),
            ("hidden_dim", 1, lambda n, builder, m: builder(1, 4, n, m)),
        )
    ],
    *[
        Call("BiRNNBuilder.__init__", argument, value, lambda n, make=make: made(make, n))
        for argument, value, make in (
            ("num_layers", 1, lambda n, m: dy.BiRNNBuilder(n, 4, 2, m, dy.GRUBuilder)),
            ("input_dim", 1, lambda n, m: dy.BiRNNBuilder(1, n, 2, m, dy.GRUBuilder)),
            ("hidden_dim", 2, lambda n, m: dy.BiRNNBuilder(1, 4, n, m, dy.GRUBuilder)),
        )
    ],
    Call(
        "NaryTreeLSTMBuilder.__init__",
        "children",
        1,
        lambda n: made(lambda n, m: dy.NaryTreeLSTMBuilder(1, 4, 2, m, n), n),
    ),
    Call("Variational.set_dropout_masks", "batch_size", 1, masks),
    Call("TreeState.add_inputs", "heads", [1, -1], lambda n: tree().add_inputs([vector(), vector()], n)[0].output()),
    Call("TreeState.transduce", "heads", [1, -1], lambda n: tree().transduce([vector(), vector()], n)),
    Call("TreeState.add_inputs", "children", [1], lambda n: tree().add_inputs(pair(), children=[n, []])[0].output()),
    Call("TreeState.transduce", "children", [1], lambda n: tree().transduce(pair(), children=[n, []])),
    Call("transduce", "heads", [1, -1], lambda n: dy.transduce(joined, pair(), n)),
    Call("transduce", "children", [1], lambda n: dy.transduce(joined, pair(), children=[n, []])),
    Call("pass_messages", "edges", [0, 1], lambda n: dy.pass_messages(pair(), [n], dy.tanh, received)),
    Call("pass_messages", "rounds", 2, lambda n: dy.pass_messages(pair(), [(0, 1)], dy.tanh, received, rounds=n)),
    Call("function", "kinds", 2, lambda n: dy.function(dy_tanh, kinds=n)(vector())),
    Call("StandardSoftmaxBuilder.__init__", "rep_dim", 1, lambda n: made(lambda n, m: softmax_layer(m, n, 2), n)),
    Call("StandardSoftmaxBuilder.__init__", "num_classes", 1, lambda n: made(lambda n, m: softmax_layer(m, 2, n), n)),
    *[
        Call(
            f"{kind.__name__}.__init__",
            argument,
            value,
            lambda n, kind=kind, make=make: made(lambda n, m: make(n, m, kind), n),
        )
        for kind in (dy.ClassFactoredSoftmaxBuilder, dy.HierarchicalSoftmaxBuilder)
        for argument, value, make in (
            ("rep_dim", 1, lambda n, m, kind: factored_layer(n, m, kind=kind)),
            ("word_dict", [1, 0, 2], lambda n, m, kind: factored_layer(4, m, n, kind)),
        )
    ],
    *[
        Call(
            f"SoftmaxBuilder.{method}",
            argument,
            value,
            lambda n, method=method, layer=layer: getattr(layer(), method)(vector(), n),
        )
        for layer in (softmax_layer, factored_layer, adaptive_layer)
        for method, argument, value in (("neg_log_softmax", "c", 1), ("neg_log_softmax_batch", "c", [1]))
    ],
    *[
        Call(
            f"ClassFactoredSoftmaxBuilder.{method}",
            "classid",
            0,
            lambda n, method=method: getattr(factored_layer(), method)(vector(), n),
        )
        for method in ("subclass_logits", "subclass_log_distribution")
    ],
    *[
        Call(
            "BiaffineBuilder.__init__", argument, 2, lambda n, sizes=sizes: made(lambda n, m: biaffine(m, *sizes(n)), n)
        )
        for argument, sizes in (
            ("x_dim", lambda n: (n, 3, 1)),
            ("y_dim", lambda n: (3, n, 1)),
            ("labels", lambda n: (3, 3, n)),
        )
    ],
    Call("AdaptiveSoftmaxBuilder.__init__", "rep_dim", 1, lambda n: made(lambda n, m: adaptive_layer(m, n), n)),
    Call("AdaptiveSoftmaxBuilder.__init__", "cutoffs", [1], lambda n: made(lambda n, m: adaptive_layer(m, 4, n), n)),
    Call(
        "AdaptiveSoftmaxBuilder.__init__",
        "num_classes",
        2,
        lambda n: made(lambda n, m: adaptive_layer(m, 4, [1], n), n),
    ),
    Call("CRFBuilder.__init__", "num_tags", 2, lambda n: made(lambda n, m: dy.CRFBuilder(n, m), n)),
    Call("CRFBuilder.neg_log_likelihood", "tags", [1], lambda n: random_field().neg_log_likelihood(vector(), n)),
    *[
        Call(f"{name}.__init__", what, value, lambda n, name=name, k=k, sizes=sizes: layer_of(name, sizes, k, n))
        for name, sizes in LAYERS.items()
        for k, (what, value) in enumerate(sizes.items())
    ],
    Call("LearnedPositionsBuilder.vectors", "n", 2, lambda n: positions().vectors(n)),
    Call("LearnedPositionsBuilder.vectors", "start", 2, lambda n: positions().vectors(2, n)),
    Call("Trainer.update_subset", "updated_params", [1], lambda n: updated(n, [])),
    Call("Trainer.update_subset", "updated_lookups", [1, 0], lambda n: updated([], n)),
    Call("WarmUpSchedule.__init__", "steps", 2, lambda n: dy.WarmUpSchedule(n)(0)),
    Call("CosineSchedule.__init__", "steps", 2, lambda n: dy.CosineSchedule(n)(1)),
    Call("ExponentialSchedule.__init__", "steps", 2, lambda n: dy.ExponentialSchedule(0.5, n)(1)),
    Call("PlateauSchedule.__init__", "patience", 2, lambda n: dy.PlateauSchedule(0.5, n)._patience),
    Call("EarlyStopping.__init__", "patience", 2, lambda n: dy.EarlyStopping(dy.Model(), n)._patience),
    Call("DataParallel.__init__", "compare_every", 2, lambda n: parallel(compare_every=n)._compare_every),
    Call("DataParallel.update", "examples", 2, updated_in_parallel),
    Call("DataParallel.save", "position", 2, lambda n: position(n)),
]
CALLS = [*OPS, *INPUTS, *PARAMETERS, *BUILDERS]
