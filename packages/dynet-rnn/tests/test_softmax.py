"""Softmax layers: values and gradients against float64 numpy, sampling, and refused arguments."""

import copy
import pickle

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
PATHS = "00 a 9\n00 d 8\n\n010\tc\n1 f\n2 e\n01 b\n"  # three children of the root, two of nodes 0 and 01, one of 00
CUTOFFS = [2, 5]  # clusters of three classes and of one


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


def hierarchical(parameters, x):
    *layers, rows = [parameters[k : k + len(parameters) // 3] for k in range(0, len(parameters), len(parameters) // 3)]
    root, words = standard(layers[0], x), standard(layers[1], x)
    scores = rows[0] @ x + (rows[1] if rows[1:] else 0)
    first, second = -np.logaddexp(0, -scores), -np.logaddexp(0, scores)
    c, b = root[0] + second[0] + first[1], root[0] + second[0] + second[1]
    return np.stack([b, c, root[0] + first[0] + words[0], root[1], root[2], root[0] + first[0] + words[1]])


def adaptive(parameters, x):
    *head, P, W, _, _ = parameters
    of_head = standard(head, x)
    return np.concatenate([of_head[:2], of_head[2] + log_softmax(W @ (P @ x)), of_head[3:]])


REFERENCES = {"standard": standard, "factored": factored, "hierarchical": hierarchical, "adaptive": adaptive}


@pytest.fixture(params=[name + rest for name in REFERENCES for rest in ("", ", no bias")])
def layer(request, tmp_path):
    """The layer, and its log distribution as a numpy function of parameters and x."""
    renew_cg()
    reset_random_seed(5)
    model = ParameterCollection()
    name, *rest = request.param.split(", ")
    if name == "standard":
        made = rnn.StandardSoftmaxBuilder(SIZE, 6, model, not rest)
    elif name == "adaptive":
        made = rnn.AdaptiveSoftmaxBuilder(SIZE, CUTOFFS, 6, model, 1.5, not rest)
    else:
        (tmp_path / "clusters").write_text(CLUSTERS if name == "factored" else PATHS)
        kind = rnn.ClassFactoredSoftmaxBuilder if name == "factored" else rnn.HierarchicalSoftmaxBuilder
        made = kind(SIZE, tmp_path / "clusters", WORDS, model, not rest)
    random = np.random.default_rng(1)
    for p in parameters_of(made):
        set_values(p, random.uniform(-1, 1, p.shape()))
    return made, REFERENCES[name]


def parameters_of(made):
    return [*made.param_collection().parameters_list(), *made.param_collection().lookup_parameters_list()]


def set_values(p, values):
    p.init_from_array(values) if hasattr(p, "init_from_array") else p.set_value(values)


def arrays_of(made):
    return [p.as_array().astype(np.float64) for p in parameters_of(made)]


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
    actual = [p.grad_as_array() for p in parameters_of(made)] + [e.gradient()]
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
    assert not any(p.grad_as_array().any() for p in parameters_of(made))
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


@pytest.mark.parametrize("layer", ["factored", "factored, no bias", "hierarchical", "adaptive"], indirect=True)
def test_distributions_of_clusters(layer):
    made, _ = layer
    x = dy.inputVector([0.5, -0.2, 0.1])
    of_clusters = made.class_log_distribution(x).npvalue()
    assert_close(np.exp(of_clusters).sum(keepdims=True), np.ones(1))
    assert_close(dy.log_softmax(made.class_logits(x)).npvalue(), of_clusters)
    everything = made.full_log_distribution(x).npvalue()
    for k, words in enumerate(made._clusters):
        within = made.subclass_log_distribution(x, k).npvalue()
        assert_close(within + of_clusters[k], everything[words])
        assert_close(dy.log_softmax(made.subclass_logits(x, k)).npvalue(), within)


def test_a_copy_from_the_spec(layer):
    made, _ = layer
    again = type(made).from_spec(made.spec, ParameterCollection())
    theirs = again.param_collection()
    assert again.spec == made.spec and again.whoami() == type(made).__name__
    assert theirs.parameter_count() == made.param_collection().parameter_count()
    for p, own in zip(parameters_of(again), parameters_of(made), strict=True):
        assert (p.shape(), p.name()) == (own.shape(), own.name())
        set_values(p, own.as_array())
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


@pytest.mark.parametrize("copied", [lambda x: pickle.loads(pickle.dumps(x)), copy.deepcopy])
def test_copies_and_pickles(layer, copied):
    made, _ = layer
    x = dy.inputVector([1, 2, 3])
    assert copied(made).full_log_distribution(x).value() == made.full_log_distribution(x).value()


@pytest.mark.parametrize("layer", ["hierarchical"], indirect=True)
def test_losses_use_only_the_rows_of_their_paths(layer):
    made, _ = layer
    weights, biases = made.param_collection().lookup_parameters_list()
    for word, rows in [(3, []), (2, [0]), (0, [0, 1])]:  # the gradients add up
        renew_cg()
        made.neg_log_softmax(dy.inputVector([1, 2, 3]), word).backward()
        for table in (weights, biases):
            assert [row for row in range(2) if table.row_grad_as_array(row).any()] == rows
            assert not table._storage.touched_list[-1]


def test_paths_of_one_cluster_or_binary(tmp_path):
    x = dy.inputVector([1, 2, 3])
    for content, words, shapes in [
        ("01 a\n", {"a": 0}, []),
        ("01 a\n01 b\n", {"a": 0, "b": 1}, [(2, 3), (2,)]),
        ("01 a\n00 b\n", {"a": 0, "b": 1, "<s>": 2}, [(1, 3), (1, 1)]),
    ]:
        (tmp_path / "paths").write_text(content)
        made = rnn.HierarchicalSoftmaxBuilder(3, tmp_path / "paths", words, ParameterCollection())
        assert [p.shape() for p in parameters_of(made)] == shapes
        log_p = made.full_log_distribution(x).npvalue()
        assert np.exp(log_p).sum() == pytest.approx(1, abs=1e-6)
        assert [made.neg_log_softmax(x, word).value() for word in (0, len(words) - 1) if log_p[word] > -100] == (
            pytest.approx([-log_p[word] for word in (0, len(words) - 1) if log_p[word] > -100], abs=1e-6)
        )
    with pytest.raises(ArgumentError, match="neg_log_softmax: word '<s>' .* has no cluster"):
        made.neg_log_softmax(x, 2)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((3, [2, 2], 6), r"cutoffs and num_classes must increase, got \[2, 2\], 6"),
        ((3, [2, 6], 6), r"cutoffs and num_classes must increase, got \[2, 6\], 6"),
        ((3, [0], 6), "a cutoff"),
        ((3, [2], 6), r"rep_dim / div_value\^1 .* 0"),
        ((3, [1, 2, 3], 6, 1.5), r"rep_dim / div_value\^3 .* 0"),
        ((3, [2], 6, 0.5), "div_value must be a finite number, 1 or more, got 0.5"),
        ((3, [2], 6, float("nan")), "div_value must be a finite number, 1 or more"),
    ],
)
def test_cutoffs_that_do_not_fit(arguments, said):
    model = ParameterCollection()
    size, cutoffs, count, *div_value = arguments
    with pytest.raises(ArgumentError, match=f"^AdaptiveSoftmaxBuilder: {said}"):
        rnn.AdaptiveSoftmaxBuilder(size, cutoffs, count, model, *div_value)
    assert model.parameter_count() == 0


def test_a_layer_without_cutoffs_is_a_softmax():
    made = rnn.AdaptiveSoftmaxBuilder(3, [], 4, ParameterCollection())
    x = np.array([[1.0], [2.0], [3.0]])
    assert_close(value_of(made.full_log_distribution(expression(x))), standard(arrays_of(made), x))


@pytest.mark.parametrize(
    ("kind", "spec", "said"),
    [
        (rnn.HierarchicalSoftmaxBuilder, (2, [[0], [1]], 2, True, "0"), "a different path for each cluster, got"),
        (rnn.HierarchicalSoftmaxBuilder, (2, [[0], [1]], 2, True, "0", "0"), "a different path for each cluster, got"),
        (rnn.HierarchicalSoftmaxBuilder, (2, [[0], [1]], 2, True, range(10**15), "0"), "a different path for each"),
        (rnn.HierarchicalSoftmaxBuilder, (2, [[0], [1]], 10**15, True, "0", "1"), "has 1000000000000000 words"),
        (rnn.HierarchicalSoftmaxBuilder, range(10**15), "are different lists of numbers"),
        (rnn.AdaptiveSoftmaxBuilder, (2, range(10**15), 3, 4.0, False), "the cutoffs of a spec are a list, not range"),
        (rnn.AdaptiveSoftmaxBuilder, range(10**15), "the cutoffs of a spec are a list, not 1"),
    ],
)
def test_what_a_spec_says_is_checked_before_it_takes_memory(kind, spec, said):
    model = ParameterCollection()
    with pytest.raises(ArgumentError, match=f"^{kind.__name__}: .*{said}"):
        kind.from_spec(spec, model)
    assert model.parameter_count() == 0
