"""Attention and transformer layers: values and gradients against float64 numpy, caches, refused arguments."""

import copy
import pickle
import re

import numpy as np
import pytest
from networks import assert_close, assert_gradients, differences

import dynet_ops as dy
import dynet_rnn as rnn
from dynet_core import (
    ArgumentError,
    ArgumentTypeError,
    ParameterCollection,
    ShapeError,
    load,
    renew_cg,
    reset_random_seed,
    save,
)

D, N, M = 6, 4, 5
MASK = np.random.default_rng(7).uniform(size=(M, N)) < 0.6
MASK[0] = True


def made(builder, *arguments, seed=0, **options):
    renew_cg()
    network = builder(*arguments, ParameterCollection(), **options)
    random = np.random.default_rng(seed)
    for p in parameters_of(network):
        p.set_value(random.uniform(-0.7, 0.7, p.shape()))
    return network


def parameters_of(network):
    return network.param_collection().parameters_list()


def arrays_of(network):
    return [p.as_array().astype(np.float64) for p in parameters_of(network)]


def vectors(n, seed=1):
    return np.random.default_rng(seed).uniform(-1, 1, (D, n)).astype(np.float32).astype(np.float64)


def columns(array):
    return [dy.inputVector(column) for column in array.T]


def attend(parameters, x, m, heads, mask=None, causal=False):
    """Multi-head attention in numpy, with the parameters in the order of the collection."""
    step = len(parameters) // 4
    (Wq, *bq), (Wk, *bk), (Wv, *bv), (Wo, *bo) = (parameters[step * k : step * k + step] for k in range(4))
    q, k, v = (
        W @ a + sum(b_ for b_ in b)[:, None] if b else W @ a for W, b, a in ((Wq, bq, x), (Wk, bk, m), (Wv, bv, m))
    )
    allowed = np.ones((m.shape[1], x.shape[1]), bool) if mask is None else mask
    if causal:
        allowed = allowed & np.triu(np.ones(allowed.shape, bool), x.shape[1] - m.shape[1])
    y = []
    for rows in np.split(np.arange(D), heads):
        e = np.exp(k[rows].T @ q[rows] / np.sqrt(len(rows))) * allowed
        y.append(v[rows] @ (e / e.sum(0)))
    y = Wo @ np.concatenate(y)
    return y + bo[0][:, None] if bo else y


def norm(x, gain, bias):
    return gain[:, None] * (x - x.mean(0)) / x.std(0) + bias[:, None]


def layer(parameters, x, encoded, heads, pre_norm, mask=None, causal=False):
    """A transformer layer in numpy; a decoder's if there is an encoder's output."""
    count = 1 if encoded is None else 2
    attentions = [parameters[8 * k : 8 * k + 8] for k in range(count)]
    W1, b1, W2, b2, *norms = parameters[8 * count :]
    parts = [lambda y: attend(attentions[0], y, y, heads, mask if encoded is None else None, causal)]
    if encoded is not None:
        parts.append(lambda y: attend(attentions[1], y, encoded, heads, mask))
    parts.append(lambda y: W2 @ np.maximum(W1 @ y + b1[:, None], 0) + b2[:, None])
    for k, part in enumerate(parts):
        pair = norms[2 * k : 2 * k + 2]
        x = x + part(norm(x, *pair)) if pre_norm else norm(x + part(x), *pair)
    return x


def check(network, y, in_numpy, arrays, expressions):
    """Compare a result and the gradients of its weighted sum with those of a function of arrays."""
    assert_close(y.npvalue(), in_numpy())
    weights = np.random.default_rng(3).normal(size=in_numpy().shape)
    dy.dot_product(y, dy.inputTensor(weights)).backward(full=True)
    actual = [p.grad_as_array() for p in parameters_of(network)] + [x.gradient() for x in expressions]
    assert_gradients(actual, differences(lambda: (weights * in_numpy()).sum(), arrays))


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("heads", [1, 2, 3])
@pytest.mark.parametrize("options", [{}, {"mask": MASK}, {"causal": True}, {"memory": True, "mask": MASK}])
def test_attention(heads, options, bias):
    network = made(rnn.MultiHeadAttentionBuilder, D, heads, bias=bias)
    parameters, options = arrays_of(network), dict(options)
    is_self = not options.pop("memory", options.get("mask") is not None)
    x, m = vectors(N), vectors(M, 2)
    given, memory = dy.inputTensor(x), dy.inputTensor(m)
    if is_self:
        y = network.attend(given, **options)
        check(network, y, lambda: attend(parameters, x, x, heads, **options), [*parameters, x], [given])
    else:
        y = network.attend(given, memory, **options)
        check(network, y, lambda: attend(parameters, x, m, heads, **options), [*parameters, x, m], [given, memory])
        again = network.attend(columns(x), network.remember(columns(m)), **options)
        assert_close(again.npvalue(), y.npvalue())


@pytest.mark.parametrize("pre_norm", [False, True])
@pytest.mark.parametrize("options", [{}, {"causal": True}, {"mask": MASK[:N]}])
def test_encoder_layer(pre_norm, options):
    network = made(rnn.TransformerEncoderLayerBuilder, D, 2, 7, pre_norm=pre_norm)
    parameters, x = arrays_of(network), vectors(N)
    given = dy.inputTensor(x)
    y = network.encode(given, **options)
    check(network, y, lambda: layer(parameters, x, None, 2, pre_norm, **options), [*parameters, x], [given])
    assert_close(network.encode(columns(x), **options).npvalue(), y.npvalue())


@pytest.mark.parametrize("pre_norm", [False, True])
@pytest.mark.parametrize("mask", [None, MASK])
@pytest.mark.parametrize("has_encoder", [False, True])
def test_decoder_layer(pre_norm, mask, has_encoder):
    network = made(rnn.TransformerDecoderLayerBuilder, D, 2, 7, pre_norm=pre_norm, has_encoder=has_encoder)
    mask = mask if has_encoder else None
    parameters, x, m = arrays_of(network), vectors(N), vectors(M, 2)
    given, encoded = dy.inputTensor(x), dy.inputTensor(m) if has_encoder else None
    y, cache = network.decode(given, encoded, mask=mask)
    arrays, expressions = [*parameters, x], [given]
    if encoded is not None:
        arrays, expressions = [*arrays, m], [given, encoded]
    in_numpy = lambda: layer(parameters, x, m if has_encoder else None, 2, pre_norm, mask, True)  # noqa: E731
    check(network, y, in_numpy, arrays, expressions)
    memory = network.remember(columns(m)) if has_encoder else None
    word_cache, words = None, []
    for first, end in ((0, 2), (2, 3), (3, N)):  # a few words at a time
        part, word_cache = network.decode(
            columns(x[:, first:end]), memory, word_cache, None if mask is None else mask[:, first:end]
        )
        words.append(part)
    assert_close(dy.concatenate_cols(words).npvalue(), y.npvalue())
    for one, other in zip(cache, word_cache):
        assert_close(one.npvalue(), other.npvalue())


def test_sentences_of_a_graph_and_batches_are_computed_as_each_alone():
    network = made(rnn.TransformerDecoderLayerBuilder, D, 3, 8)
    sentences = [(vectors(n, n), vectors(m, m + 20)) for n, m in ((3, 4), (1, 1), (7, 2), (3, 4), (12, 9))]
    alone = []
    for x, m in sentences:
        renew_cg()
        y, _ = network.decode(dy.inputTensor(x), dy.inputTensor(m))
        alone.append(y.npvalue())
        dy.squared_norm(y).backward()
    gradients = [p.grad_as_array().copy() for p in parameters_of(network)]  # added up, as there was no update
    renew_cg()
    ys = [network.decode(dy.inputTensor(x), dy.inputTensor(m))[0] for x, m in sentences]
    dy.esum([dy.squared_norm(y) for y in ys]).backward()
    for y, expected in zip(ys, alone):
        assert_close(y.npvalue(), expected)
    for p, gradient in zip(parameters_of(network), gradients):
        assert_close(p.grad_as_array(), 2 * gradient)
    x, m = (np.stack([sentences[k][part] for k in (0, 3)], -1) for part in (0, 1))
    y, _ = network.decode(dy.inputTensor(x, batched=True), dy.inputTensor(m, batched=True))
    assert_close(y.npvalue(), np.stack([alone[0], alone[3]], -1))


NETWORKS = {
    "attention": (rnn.MultiHeadAttentionBuilder, (D, 2), lambda network, x, update: network.attend(x, update=update)),
    "encoder": (
        rnn.TransformerEncoderLayerBuilder, (D, 2, 7), lambda network, x, update: network.encode(x, update=update)
    ),
    "decoder": (
        rnn.TransformerDecoderLayerBuilder, (D, 2, 7), lambda network, x, update: network.decode(x, x, update=update)[0]
    ),
    "positions": (
        rnn.LearnedPositionsBuilder, (D, 9), lambda network, x, update: network.vectors(N, 2, update=update) + x
    ),
}  # fmt: skip
EACH = pytest.mark.parametrize(("builder", "sizes", "run"), NETWORKS.values(), ids=NETWORKS)


@EACH
def test_files_copies_and_pickles(builder, sizes, run, tmp_path):
    network = made(builder, *sizes)
    expected = run(network, dy.inputTensor(vectors(N)), True).npvalue()
    model = ParameterCollection()
    again = builder.from_spec(network.spec, model)
    assert again.spec == network.spec and len(parameters_of(again)) == len(parameters_of(network))
    save(str(tmp_path / "model"), [network])
    (loaded,) = load(str(tmp_path / "model"), ParameterCollection())
    for other in (loaded, copy.deepcopy(network), pickle.loads(pickle.dumps(network))):
        assert type(other) is builder and other.spec == network.spec
        assert_close(run(other, dy.inputTensor(vectors(N)), True).npvalue(), expected)


@EACH
def test_update_false_leaves_the_parameters_alone(builder, sizes, run):
    network, x = made(builder, *sizes), dy.inputTensor(vectors(N))
    y, constant = (run(network, x, update) for update in (True, False))
    np.testing.assert_array_equal(constant.npvalue(), y.npvalue())
    dy.squared_norm(constant).backward(full=True)
    assert not any(p.grad_as_array().any() for p in parameters_of(network)) and x.gradient().any()


@pytest.mark.parametrize("name", ["encoder", "decoder"])
def test_dropout(name):
    builder, sizes, run = NETWORKS[name]
    network = made(builder, *sizes)
    x = dy.inputTensor(vectors(N))
    expected = run(network, x, True).npvalue()
    network.set_dropout(0.5)
    reset_random_seed(1)
    first, second = run(network, x, True).npvalue(), run(network, x, True).npvalue()
    reset_random_seed(1)
    assert (first != second).any() and (first == run(network, x, True).npvalue()).all()
    network.disable_dropout()
    np.testing.assert_array_equal(run(network, x, True).npvalue(), expected)


def test_reprs():
    assert "3 heads of 2; " in repr(made(rnn.MultiHeadAttentionBuilder, D, 3))
    assert "2 heads, 6 to 7 to 6; " in repr(made(rnn.TransformerEncoderLayerBuilder, D, 2, 7))
    assert "9 positions of 6; " in repr(made(rnn.LearnedPositionsBuilder, D, 9))


def attention():
    return made(rnn.MultiHeadAttentionBuilder, D, 2)


def decoder(**options):
    return made(rnn.TransformerDecoderLayerBuilder, D, 2, 7, **options)


def x(n=N):
    return dy.inputTensor(vectors(n))


ERRORS = [
    (lambda: made(rnn.MultiHeadAttentionBuilder, 6, 4), ArgumentError,
     "MultiHeadAttentionBuilder: dim must be a multiple of heads, but dim is 6, and heads is 4"),
    (lambda: made(rnn.TransformerEncoderLayerBuilder, 6, 4, 7), ArgumentError, "dim is 6, and heads is 4"),
    (lambda: made(rnn.TransformerEncoderLayerBuilder, 6, 2, 0), ArgumentError, "inner_dim must be at least 1, got 0"),
    (lambda: made(rnn.TransformerEncoderLayerBuilder, 6, 2, 7, pre_norm=2), ArgumentTypeError, "pre_norm must be"),
    (lambda: made(rnn.LearnedPositionsBuilder, 6, 9).vectors(8, 2), ArgumentError,
     "vectors: 10 positions are needed, this LearnedPositionsBuilder has 9"),
    (lambda: made(rnn.LearnedPositionsBuilder, 6, 9).vectors(2, -1), ArgumentError, "start must be at least 0, got -1"),
    (lambda: attention().attend([]), ArgumentError, "attend: the sequence is empty"),
    (lambda: attention().attend([dy.ones(6), dy.ones(5)]), ShapeError,
     "attend: vector 1 is (5,), MultiHeadAttentionBuilder takes (6,)"),
    (lambda: attention().attend(dy.ones((5, 2))), ShapeError,
     "attend: (5, 2) is not (6, n), which MultiHeadAttentionBuilder takes for a sequence of n vectors"),
    (lambda: attention().attend(dy.ones((6, 2, 2))), ShapeError, "attend: (6, 2, 2) is not (6, n)"),
    (lambda: attention().attend(3), ArgumentTypeError, "attend: "),
    (lambda: attention().attend(x(), (x(),)), ArgumentTypeError, "attend: memory must be the pair that remember"),
    (lambda: attention().attend(x(), dy.ones((5, 2))), ShapeError, "attend: memory: (5, 2) is not (6, n)"),
    (lambda: attention().attend(x(), x(M), MASK.T), ShapeError, "the mask must be (5, 4), for 5 keys and 4 queries"),
    (lambda: attention().attend(x(M), x(), causal=True), ShapeError, "causal attention of 5 queries needs"),
    (lambda: attention().remember(x(), x()), ArgumentTypeError, "remember: memory must be the pair that remember"),
    (lambda: attention().set_dropout(1.0), ArgumentError, "set_dropout: p must be in [0, 1), got 1.0"),
    (lambda: decoder().decode(x()), ArgumentError, "decode: this layer has_encoder=True, and encoded is None"),
    (lambda: decoder(has_encoder=False).decode(x(), x()), ArgumentError, "decode: this layer has_encoder=False, and"),
    (lambda: decoder(has_encoder=False).decode(x(), mask=MASK), ArgumentError, "which this layer lacks"),
    (lambda: decoder(has_encoder=False).remember(x()), ArgumentError, "made with has_encoder=False"),
    (lambda: decoder().decode(x(), x(), x()), ArgumentTypeError, "memory must be the pair that remember returned"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "error", "said"), ERRORS, ids=range(len(ERRORS)))
def test_refused_calls(call, error, said):
    with pytest.raises(error, match=re.escape(said)):
        call()


def test_a_refused_builder_adds_nothing():
    model = ParameterCollection()
    for arguments in ((6, 4, 7), (6, 2, -1)):
        with pytest.raises(ArgumentError):
            rnn.TransformerDecoderLayerBuilder(*arguments, model)
    assert not model.parameters_list() and rnn.LearnedPositionsBuilder(2, 3, model)._parameters


def test_a_tuple_of_two_vectors_is_a_sequence():
    attention = rnn.MultiHeadAttentionBuilder(4, 2, ParameterCollection())
    x, a, b = [dy.inputVector([1, k, 2, 3]) for k in range(3)]
    sequence = attention.attend(x, [a, b]).npvalue()
    np.testing.assert_array_equal(attention.attend(x, (a, b)).npvalue(), sequence)
    keys = attention.remember(b, attention.remember(a))
    np.testing.assert_allclose(attention.attend(x, keys).npvalue(), sequence, rtol=1e-5, atol=1e-6)
    one = attention.attend(x, attention.remember(a)).npvalue()
    np.testing.assert_allclose(one, attention.attend(x, [a]).npvalue(), rtol=1e-5, atol=1e-6)
