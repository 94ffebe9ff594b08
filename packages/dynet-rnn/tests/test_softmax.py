"""Softmax layers: values and gradients against float64 numpy, sampling, and refused arguments."""

import numpy as np
import pytest
from networks import assert_close, assert_gradients, differences, expression, value_of

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

SIZE, WORDS = 3, {"a": 2, "b": 0, "c": 1, "d": 5, "e": 4, "f": 3}
CLUSTERS = "x a\nx d\n\ny c\nx f\nz e\ny b\n"  # word numbers x: 2 5 3, y: 1 0, z: 4
MEMBERS = [[2, 5, 3], [1, 0], [4]]


def log_softmax(z):
    return z - np.log(np.exp(z).sum(0))


def standard(parameters, x):
    W, *b = parameters
    return log_softmax(W @ x + (b[0][:, None] if b else 0))


def factored(parameters, x):
    bias = parameters[1].ndim == 1
    layers = iter([parameters[k : k + 1 + bias] for k in range(0, len(parameters), 1 + bias)])
    of_clusters = standard(next(layers), x)
    found = np.zeros((6, x.shape[1]))
    for k, words in enumerate(MEMBERS):
        found[words] = of_clusters[k] + (standard(next(layers), x) if len(words) > 1 else 0)
    return found


@pytest.fixture(params=["standard", "standard, no bias", "factored", "factored, no bias"])
def layer(request, tmp_path):
    """The layer, and its log distribution as a numpy function of parameters and x."""
    renew_cg()
    reset_random_seed(5)
    model = ParameterCollection()
    name, *rest = request.param.split(", ")
    if name == "standard":
        made = rnn.StandardSoftmaxBuilder(SIZE, 6, model, not rest)
    else:
        (tmp_path / "clusters").write_text(CLUSTERS)
        made = rnn.ClassFactoredSoftmaxBuilder(SIZE, tmp_path / "clusters", WORDS, model, not rest)
    random = np.random.default_rng(1)
    for p in model.parameters_list():
        p.set_value(random.uniform(-1, 1, p.shape()))
    return made, standard if name == "standard" else factored


def arrays_of(made):
    return [p.as_array().astype(np.float64) for p in made.param_collection().parameters_list()]


@pytest.mark.parametrize("batch", [1, 5])
def test_distribution(layer, batch):
    made, reference = layer
    x = np.random.default_rng(0).uniform(-1, 1, (SIZE, batch)).astype(np.float32)
    wanted = reference(arrays_of(made), x)
    e = expression(x)
    assert_close(value_of(made.full_log_distribution(e)), wanted)
    assert_close(value_of(dy.log_softmax(made.full_logits(e))), wanted)
    words = [k % 6 for k in range(batch)]
    losses = made.neg_log_softmax_batch(e, words)
    assert losses.dim() == ((1,), batch)
    assert_close(value_of(losses), -wanted[words, range(batch)][None])
    if batch == 1:
        for word in range(6):
            assert_close(value_of(made.neg_log_softmax(e, word)), -wanted[[word]])


@pytest.mark.parametrize("batch", [1, 3])
def test_gradients(layer, batch):
    made, reference = layer
    x = np.random.default_rng(0).uniform(-1, 1, (SIZE, batch)).astype(np.float32)
    e = dy.inputTensor(x, batched=True)
    words = [4, 2, 0][:batch]
    loss = dy.sum_batches(made.neg_log_softmax_batch(e, words))
    if batch == 1:
        loss = loss + made.neg_log_softmax(e, 5)
    weights = np.arange(6.0)
    loss = loss + dy.sum_batches(dy.dot_product(made.full_log_distribution(e), dy.inputVector(weights)))
    loss.backward(full=True)
    actual = [p.grad_as_array() for p in made.param_collection().parameters_list()] + [e.gradient()]
    parameters, exact = arrays_of(made), x.astype(np.float64)

    def in_numpy():
        found = reference(parameters, exact)
        return (weights @ found).sum() - found[words, range(batch)].sum() - (found[5].sum() if batch == 1 else 0)

    assert_gradients(actual, differences(in_numpy, [*parameters, exact]))


def test_update_false_leaves_the_parameters_alone(layer):
    made, _ = layer
    x = dy.inputVector([1, 2, 3])
    losses = [made.neg_log_softmax(x, 2, False), made.neg_log_softmax_batch(x, [2], update=False)]
    losses += [dy.sum_elems(made.full_logits(x, False)), dy.sum_elems(made.full_log_distribution(x, update=False))]
    dy.esum(losses).backward(full=True)
    assert not any(p.grad_as_array().any() for p in made.param_collection().parameters_list())
    assert x.gradient().any()


def test_samples_follow_the_distribution(layer):
    made, reference = layer
    values = np.array([0.5, -0.2, 0.1])
    wanted = np.exp(reference(arrays_of(made), values[:, None]))[:, 0]
    drawn = [made.sample(dy.inputVector(values)) for _ in range(3000)]
    assert all(type(word) is int for word in drawn)
    assert abs(np.bincount(drawn, minlength=6) / 3000 - wanted).max() < 0.04
    reset_random_seed(9)
    first = [made.sample(dy.inputVector(values)) for _ in range(20)]
    reset_random_seed(9)
    assert [made.sample(dy.inputVector(values)) for _ in range(20)] == first


@pytest.mark.parametrize("layer", ["factored", "factored, no bias"], indirect=True)
def test_distributions_of_clusters(layer):
    made, _ = layer
    x = dy.inputVector([0.5, -0.2, 0.1])
    of_clusters = made.class_log_distribution(x).npvalue()
    assert_close(np.exp(of_clusters).sum(keepdims=True), np.ones(1))
    assert_close(dy.log_softmax(made.class_logits(x)).npvalue(), of_clusters)
    everything = made.full_log_distribution(x).npvalue()
    for k, words in enumerate(MEMBERS):
        within = made.subclass_log_distribution(x, k).npvalue()
        assert_close(within + of_clusters[k], everything[words])
        assert_close(dy.log_softmax(made.subclass_logits(x, k)).npvalue(), within)


def test_a_copy_from_the_spec(layer):
    made, _ = layer
    again = type(made).from_spec(made.spec, ParameterCollection())
    theirs = again.param_collection()
    assert again.spec == made.spec and again.whoami() == type(made).__name__
    for p, own in zip(theirs.parameters_list(), made.param_collection().parameters_list(), strict=True):
        assert (p.shape(), p.name()) == (own.shape(), own.name())
        p.set_value(own.as_array())
    x = dy.inputVector([1, 2, 3])
    assert again.full_log_distribution(x).value() == made.full_log_distribution(x).value()


@pytest.mark.parametrize("word", [6, -1, 1 << 70])
def test_no_such_class(layer, word):
    made, _ = layer
    with pytest.raises(ArgumentError, match="neg_log_softmax.*out of range"):
        made.neg_log_softmax(dy.inputVector([1, 2, 3]), word)


@pytest.mark.parametrize("word", [None, "a", [1]])
def test_no_class(layer, word):
    made, _ = layer
    with pytest.raises(ArgumentTypeError, match="neg_log_softmax"):
        made.neg_log_softmax(dy.inputVector([1, 2, 3]), word)


def test_wrong_shapes(layer):
    made, _ = layer
    with pytest.raises(ShapeError, match=r"full_log_distribution: x is \(3, 2\).*reshape it to \(3,\) x 2"):
        made.full_log_distribution(dy.zeros((3, 2)))
    with pytest.raises(ShapeError, match=r"full_logits: x is \(2,\)"):
        made.full_logits(dy.inputVector([1, 2]))
    with pytest.raises(ShapeError, match="sample"):
        made.sample(dy.inputTensor(np.ones((3, 2)), batched=True))
    with pytest.raises(ArgumentError, match="batch size 1, but 2 classes"):
        made.neg_log_softmax_batch(dy.inputVector([1, 2, 3]), [1, 2])
    with pytest.raises(ArgumentTypeError, match="neg_log_softmax_batch"):
        made.neg_log_softmax_batch(dy.inputVector([1, 2, 3]), 1)
    with pytest.raises(ArgumentTypeError, match="expected an Expression"):
        made.full_logits([1, 2, 3])


@pytest.mark.parametrize(
    ("content", "words", "reason"),
    [
        ("x\n", {"a": 0}, "line 1: expected `cluster word`"),
        ("x\u00a0a\n", {"a": 0}, "line 1: expected `cluster word`"),
        ("", {"a": 0}, "has no line `cluster word`"),
        (" \t\n\n", {"a": 0}, "has no line `cluster word`"),
        ("x a\ny a\n", {"a": 0}, "line 2: word 'a' occurs twice"),
        ("x a\nx b\n", {"a": 0}, "line 2: word_dict has no word 'b'"),
        ("x a\n", {"a": 1}, "are not 0 to 0"),
        ("x a\nx b\n", {"a": 0, "b": 0}, "are not 0 to 1"),
    ],
)
def test_clusters_that_do_not_fit(tmp_path, content, words, reason):
    (tmp_path / "clusters").write_text(content, encoding="utf-8")
    model = ParameterCollection()
    with pytest.raises(ArgumentError, match=reason):
        rnn.ClassFactoredSoftmaxBuilder(SIZE, tmp_path / "clusters", words, model)
    assert model.parameters_list() == []


def test_constructors_refuse(tmp_path):
    model = ParameterCollection()
    with pytest.raises(OSError):
        rnn.ClassFactoredSoftmaxBuilder(SIZE, tmp_path / "none", WORDS, model)
    for words in (None, ["a"], {}, {"a": "0"}, {"a": 0, 7: 1}):
        with pytest.raises(ArgumentTypeError):
            rnn.ClassFactoredSoftmaxBuilder(SIZE, tmp_path / "none", words, model)
    for arguments in ((0, 3), (3, 0), (3, -1)):
        with pytest.raises(ArgumentError):
            rnn.StandardSoftmaxBuilder(*arguments, model)
    for arguments in ((3, 3, None), ("3", 3, model), (3, None, model)):
        with pytest.raises(ArgumentTypeError):
            rnn.StandardSoftmaxBuilder(*arguments)
    assert model.parameters_list() == []


def test_base_is_only_a_base():
    with pytest.raises(TypeError, match="abstract"):
        rnn.SoftmaxBuilder()


def test_saved_and_loaded_without_the_cluster_file(layer, tmp_path):
    made, _ = layer
    save(str(tmp_path / "model"), [made])
    for file in tmp_path.glob("clusters"):
        file.unlink()
    (again,) = load(str(tmp_path / "model"), ParameterCollection())
    x = dy.inputVector([1, 2, 3])
    assert type(again) is type(made) and again.spec == made.spec
    assert again.full_log_distribution(x).value() == made.full_log_distribution(x).value()
