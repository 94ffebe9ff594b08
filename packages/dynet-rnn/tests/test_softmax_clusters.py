"""Cluster files and vocabularies: frequencies, unusual spaces in words, words without a cluster."""

import numpy as np
import pytest

import dynet_ops as dy
import dynet_rnn as rnn
from dynet_core import ArgumentError, ParameterCollection, Vocabulary, load, renew_cg, reset_random_seed, save
from dynet_core.graph import current

WORDS = {"<s>": 0, "a": 1, "b": 2, "<pad>": 3, "c": 4}
X = [0.5, -0.2]


def made_from(tmp_path, content, words=WORDS):
    renew_cg()
    reset_random_seed(5)
    (tmp_path / "clusters").write_text(content, encoding="utf-8", newline="")
    return rnn.ClassFactoredSoftmaxBuilder(2, tmp_path / "clusters", words, ParameterCollection())


@pytest.fixture
def layer(tmp_path):
    return made_from(tmp_path, "x a 50\nx b 7\ny c 1\n")


def test_a_number_is_no_file(tmp_path):
    """It could be the descriptor of an open file, which would then be read and closed."""
    with open(tmp_path / "clusters", "w+") as file:
        with pytest.raises(TypeError, match="PathLike"):
            rnn.ClassFactoredSoftmaxBuilder(2, file.fileno(), WORDS, ParameterCollection())
        file.write("x a\n")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("0110 a 12\n0110 b 3\n", ["a", "b"]),
        ("x a 12 more, and more\nx\tb\t3\n", ["a", "b"]),
        (" x a\r\n\tx  b \r\n\r\n \n", ["a", "b"]),
        ("x a\u00a0c\nx \u3000\nx \u0085b 7\nx \u2028\n", ["a\u00a0c", "\u3000", "\u0085b", "\u2028"]),
        ("x\u00a0y a\nx\u00a0y \x0b\x0c\x1c\n", ["a", "\x0b\x0c\x1c"]),
    ],
)
def test_spaces_and_tabs_separate_a_cluster_and_a_word_from_what_is_ignored(tmp_path, content, words):
    layer = made_from(tmp_path, content, {word: number for number, word in enumerate(words)})
    count = len(words)
    assert layer.spec == (2, [list(range(count))], count, True)


def test_words_without_a_cluster_are_never_predicted(layer):
    x = dy.inputVector(X)
    log_p = layer.full_log_distribution(x).npvalue()
    assert log_p[[0, 3]].tolist() == [-1e4, -1e4]
    assert np.exp(log_p)[[0, 3]].tolist() == [0.0, 0.0]
    assert np.exp(log_p).sum() == pytest.approx(1, abs=1e-6)
    for word in (1, 2, 4):
        assert layer.neg_log_softmax(x, word).value() == pytest.approx(-log_p[word], abs=1e-6)
    assert dy.softmax(layer.full_logits(x)).npvalue() == pytest.approx(np.exp(log_p), abs=1e-6)
    assert {layer.sample(x) for _ in range(200)} == {1, 2, 4}
    assert layer.subclass_logits(x, 0).dim() == ((2,), 1)


def test_words_without_a_cluster_in_a_batch(layer):
    x = np.random.default_rng(0).uniform(-1, 1, (2, 3))
    log_p = layer.full_log_distribution(dy.inputTensor(x, batched=True)).npvalue()
    assert log_p.shape == (5, 3)
    for element in range(3):
        assert log_p[:, element] == pytest.approx(layer.full_log_distribution(dy.inputVector(x[:, element])).value())


def test_a_cross_entropy_with_words_that_have_no_cluster_has_gradients(layer):
    targets = dy.inputVector([0, 0.5, 0.2, 0, 0.3])
    x = dy.inputVector(X)
    loss = -dy.dot_product(targets, layer.full_log_distribution(x))
    loss.backward(full=True)
    assert np.isfinite(loss.value()) and np.isfinite(x.gradient()).all() and x.gradient().any()
    assert all(np.isfinite(p.grad_as_array()).all() for p in layer.param_collection().parameters_list())


def test_the_loss_of_a_word_without_a_cluster_is_an_error_at_the_call(layer):
    x, batch = dy.inputVector(X), dy.inputTensor(np.ones((2, 3)), batched=True)
    for ask, word in [
        (lambda: layer.neg_log_softmax(x, 0), "'<s>'"),
        (lambda: layer.neg_log_softmax(x, 3), "'<pad>'"),
        (lambda: layer.neg_log_softmax_batch(batch, [1, 0, 2]), "'<s>'"),
    ]:
        records = current().records.integers()
        with pytest.raises(ArgumentError, match=rf"neg_log_softmax.*word {word} .*has no cluster.*cluster file"):
            ask()
        assert current().records.integers() == records


def test_words_without_a_cluster_are_saved_and_copied(layer, tmp_path):
    save(str(tmp_path / "model"), [layer])
    (loaded,) = load(str(tmp_path / "model"), ParameterCollection())
    log_p = layer.full_log_distribution(dy.inputVector(X)).value()
    assert loaded.full_log_distribution(dy.inputVector(X)).value() == log_p
    for again in (loaded, type(layer).from_spec(layer.spec, ParameterCollection())):
        assert again.spec == layer.spec
        assert len(again.param_collection().parameters_list()) == 4
        with pytest.raises(ArgumentError, match="'<pad>'"):
            again.neg_log_softmax(dy.inputVector(X), 3)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ((2, [[0, 1], [2]], 10**15, True), "has 1000000000000000 words, but its clusters hold 3 numbers"),
        ((2, [[0, 1], [2]], 4, True), "has 4 words, but its clusters hold 3 numbers of words, and 0 words are in none"),
        ((2, [[0, 1], [7]], 3, True), "has 3 words"),
        ((2, [[0, 1], [1]], 3, True), "has 3 words"),
        ((2, [[0, 1]], 3, True, "a", "b"), "has 3 words"),
        ((2, [range(10**15)], 10**15, True), "are different lists of numbers"),
        ((2, range(10**15), 10**15, True), "are different lists of numbers"),
        ((2, [[0, 1]] * 10**6, 2 * 10**6, True), "are different lists of numbers"),
        (range(10**15), "are different lists of numbers"),
    ],
)
def test_what_a_spec_says_is_checked_before_it_takes_memory(spec, said):
    model = ParameterCollection()
    with pytest.raises(ArgumentError, match=said):
        rnn.ClassFactoredSoftmaxBuilder.from_spec(spec, model)
    assert model.parameter_count() == 0


def test_pickles_of_earlier_versions_have_the_attributes_that_are_read(tmp_path):
    (tmp_path / "clusters").write_text("0 a\n0 b\n1 c\n")
    builder = rnn.ClassFactoredSoftmaxBuilder(2, tmp_path / "clusters", {"a": 0, "b": 1, "c": 2}, ParameterCollection())
    assert "_place" in vars(builder)


def test_a_file_that_is_not_text(tmp_path):
    (tmp_path / "clusters").write_bytes(b"x a\nx \xff\n")
    with pytest.raises(ArgumentError, match="clusters, line 2: 'utf-8' codec"):
        rnn.ClassFactoredSoftmaxBuilder(2, tmp_path / "clusters", WORDS, ParameterCollection())


def test_a_vocabulary_as_word_dict(tmp_path):
    layer = made_from(tmp_path, "x a\nx b\ny c\n", Vocabulary(["a", "b", "c"]))
    assert layer.full_log_distribution(dy.inputVector(X)).dim() == ((3,), 1)
