"""If a word occurs several times in a graph, its products are computed once, with the same results."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dynet as dy

WORDS, SIZE, HIDDEN = 9, 60, 64
SENTENCES = [[0, 1, 2, 3], [1, 0, 4], [5, 6, 1, 7, 0], [8, 1], [0], [3, 2, 1, 0]]  # no word repeats in a sentence
COUNT = sum(map(len, SENTENCES))
TABLE = 30  # rows of the table: enough for sentences of the same lengths without repeated words
BUILDERS = [
    dy.SimpleRNNBuilder,
    dy.GRUBuilder,
    dy.VanillaLSTMBuilder,
    dy.CompactVanillaLSTMBuilder,
    dy.CoupledLSTMBuilder,
    dy.SparseLSTMBuilder,
]


class Affine:
    """A layer for one word at a time."""

    def __init__(self, model):
        self.W, self.b = model.add_parameters((HIDDEN, SIZE)), model.add_parameters(HIDDEN)

    def __call__(self, xs):
        return [dy.tanh(dy.affine_transform([self.b, self.W, x])) for x in xs]


class Product(Affine):
    def __call__(self, xs):
        return [dy.tanh(self.W * x) for x in xs]


def of(builder):
    def network(model):
        rnn = builder(1, SIZE, HIDDEN, model)
        return lambda xs: rnn.initial_state().transduce(xs)

    return network


NETWORKS = {
    "affine": Affine,
    "product": Product,
    **{builder.__name__: of(builder) for builder in BUILDERS},
}


class Example:
    """A network that reads sentences, with the total loss."""

    def __init__(self, network, update=True):
        dy.reset_random_seed(3)
        self.model = dy.ParameterCollection()
        self.E = self.model.add_lookup_parameters((TABLE, SIZE))
        self.network = network(self.model)
        self.O = self.model.add_parameters((5, HIDDEN))
        self.update = update
        self.trainer = dy.SimpleSGDTrainer(self.model, 0.0)

    def read(self, sentences):
        """Begin a graph. Return the words' vectors, and the sum of the losses."""
        dy.renew_cg()
        read = [[dy.lookup(self.E, word, self.update) for word in sentence] for sentence in sentences]
        losses = [dy.pickneglogsoftmax(self.O * h, k % 5) for xs in read for k, h in enumerate(self.network(xs))]
        return [x for xs in read for x in xs], dy.esum(losses)

    def gradients(self, minibatches, **keywords):
        """Return the loss of minibatches, and the gradients of all parameters."""
        total = 0.0
        for sentences in minibatches:
            _, loss = self.read(sentences)
            total += loss.value()
            loss.backward(**keywords)
        parameters = [*self.model.parameters_list(), *self.model.lookup_parameters_list()]
        found = [parameter.grad_as_array().copy() for parameter in parameters]
        self.trainer.update()
        return total, found


def close(found, wanted):
    assert found[0] == pytest.approx(wanted[0], rel=1e-5)
    for one, other in zip(found[1], wanted[1], strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-4, atol=2e-6)


def columns(loss):
    """The column counts of a graph's products, by kernel."""
    with dy.profile() as profile:
        loss.value()
        loss.backward()
    return {name: line.columns for name, line in profile.kernels.items()}


@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
@pytest.mark.parametrize("full", [False, True], ids=["plain", "full"])
def test_a_minibatch_has_the_gradients_of_its_sentences(network, full):
    example = Example(network)
    alone = example.gradients([[sentence] for sentence in SENTENCES])
    close(example.gradients([SENTENCES], full=full), alone)


# SparseLSTMBuilder multiplies by a matrix that is computed in each graph: a product with another signature.
@pytest.mark.parametrize("network", [name for name in NETWORKS if name != "SparseLSTMBuilder"])
def test_products_of_the_same_word_are_computed_once(network):
    example = Example(NETWORKS[network])
    found = columns(example.read(SENTENCES)[1])
    different = iter(range(TABLE))
    other = columns(example.read([[next(different) for _ in sentence] for sentence in SENTENCES])[1])
    for kernel in ("product", "product.dx", "product.dW"):
        fewer, rest = divmod(other[kernel] - found[kernel], COUNT - WORDS)
        assert fewer >= 1 and rest == 0
    assert found["copy"] - other.get("copy", 0) == COUNT  # values of repeated words, gradients of first ones


def test_columns_of_each_kernel():
    example = Example(Affine)
    found = columns(example.read(SENTENCES)[1])
    assert {name: found[name] for name in ("product", "product.dx", "product.dW", "copy")} == {
        "product": WORDS + COUNT,  # one per word, and one per place in a sentence for its loss
        "product.dx": WORDS + COUNT,
        "product.dW": WORDS + COUNT,
        "copy": COUNT,  # values of repeated words, gradients of first ones
    }


def test_frozen_words():
    example = Example(Affine, update=False)
    alone = example.gradients([[sentence] for sentence in SENTENCES])
    assert not alone[1][-1].any()
    close(example.gradients([SENTENCES]), alone)


def test_a_word_has_a_gradient_wherever_it_is():
    example = Example(Affine)
    wanted = []
    for sentence in SENTENCES:
        xs, loss = example.read([sentence])
        loss.backward()
        wanted += [x.gradient() for x in xs]
    xs, loss = example.read(SENTENCES)
    loss.backward()
    for x, gradient in zip(xs, wanted, strict=True):
        np.testing.assert_allclose(x.gradient(), gradient, rtol=1e-4, atol=1e-6)


def test_products_have_gradients_of_their_own():
    model = dy.ParameterCollection()
    W, E = model.add_parameters((HIDDEN, SIZE)), model.add_lookup_parameters((2, SIZE))
    dy.renew_cg()
    products = [W * E[k % 2] for k in range(12)]
    loss = dy.esum([(k + 1) * dy.sum_elems(y) for k, y in enumerate(products)])
    assert columns(loss)["product.dx"] == 2
    for k, y in enumerate(products):
        np.testing.assert_allclose(y.gradient(), np.full(HIDDEN, k + 1.0), rtol=1e-6)
        np.testing.assert_allclose(y.npvalue(), W.as_array() @ E.as_array()[k % 2], rtol=1e-4, atol=1e-6)


def test_a_graph_that_is_computed_bit_by_bit():
    example = Example(Affine)
    wanted = example.gradients([SENTENCES])
    dy.renew_cg()
    losses = []
    for sentence in SENTENCES:
        for k, h in enumerate(example.network([example.E[word] for word in sentence])):
            losses.append(dy.pickneglogsoftmax(example.O * h, k % 5))
        losses[-1].value()
    loss = dy.esum(losses)
    value = loss.value()
    loss.backward()
    found = [p.grad_as_array() for p in (*example.model.parameters_list(), *example.model.lookup_parameters_list())]
    close((value, found), wanted)


class Alike:
    """Two parameter matrices and a bias, with vectors and matrices from tables, for products that only look equal."""

    def __init__(self):
        dy.reset_random_seed(4)
        model = self.model = dy.ParameterCollection()
        self.W, self.U = model.add_parameters((HIDDEN, SIZE)), model.add_parameters((HIDDEN, SIZE))
        self.b = model.add_parameters(HIDDEN)
        self.E, self.M = model.add_lookup_parameters((TABLE, SIZE)), model.add_lookup_parameters((TABLE, SIZE, 3))


# Each takes an Alike, a word that is always the same, and a word that differs each time.
ALIKE = {
    "two products": lambda a, same, k: dy.affine_transform([a.b, a.W, a.E[same], a.U, a.E[k]]),
    "the other of two products": lambda a, same, k: dy.affine_transform([a.b, a.W, a.E[k], a.U, a.E[same]]),
    "matrices": lambda a, same, k: a.W * (a.M[same] + k),
    "the same matrices": lambda a, same, k: dy.affine_transform([a.b, a.W, a.M[same + k * k % 3]]) * (k + 1),
    "a batch": lambda a, same, k: a.W * dy.lookup_batch(a.E, [same, k]),
    "the same batch": lambda a, same, k: dy.affine_transform([a.b, a.W, dy.concatenate_to_batch([a.E[same]] * 2)]) * k,
    "a computed matrix": lambda a, same, k: dy.tanh(a.W * (k + 1.0)) * a.E[same],
    "a computed bias": lambda a, same, k: dy.affine_transform([a.b * (k + 1.0), a.W, a.E[same]]),
    "a matrix that is an input": lambda a, same, k: dy.inputTensor(a.W.as_array() * (k + 1)) * a.E[same],
}


@pytest.mark.parametrize("alike", ALIKE.values(), ids=ALIKE)
def test_what_differs_in_more_than_its_vector(alike):
    example = Alike()
    parameters = [*example.model.parameters_list(), *example.model.lookup_parameters_list()]

    def found(graphs):
        values = []
        for graph in graphs:
            dy.renew_cg()
            results = [alike(example, 0, k) for k in graph]
            loss = dy.esum([dy.sum_batches(dy.sum_elems(dy.tanh(y) * (k + 1))) for k, y in zip(graph, results)])
            loss.backward()
            values += [y.npvalue() for y in results]
        gradients = [p.grad_as_array().copy() for p in parameters]
        for p in parameters:
            p.scale_gradient(0)
        return values, gradients

    for one, other in zip(found([range(1, 13)]), found([[k] for k in range(1, 13)]), strict=True):
        for a, b in zip(one, other, strict=True):
            np.testing.assert_allclose(a, b, rtol=2e-4, atol=1e-5)


def test_batched_inputs_of_networks():
    model = dy.ParameterCollection()
    E, rnn = model.add_lookup_parameters((TABLE, SIZE)), dy.VanillaLSTMBuilder(1, SIZE, HIDDEN, model)
    dy.renew_cg()
    batches = [dy.lookup_batch(E, pair) for pair in ([0, 1], [2, 0], [1, 3])]
    order = [0, 1, 1, 2, 0, 2, 2, 0, 1]
    together = rnn.initial_state().transduce([batches[place] for place in order])
    words = [[0, 2, 1], [1, 0, 3]]
    apart = [rnn.initial_state().transduce([E[row[place]] for place in order]) for row in words]
    for h, *alone in zip(together, *apart, strict=True):
        np.testing.assert_allclose(h.npvalue(), np.stack([one.npvalue() for one in alone], -1), rtol=1e-4, atol=1e-6)


def test_the_plan_says_so(capsys):
    example = Example(Affine)
    _, loss = example.read(SENTENCES)
    dy.show_plan(loss)
    text = capsys.readouterr().out
    assert re.search(rf"product: {WORDS} columns\n +copy: {COUNT - WORDS} columns, which equal others\n", text)
    sums = "for sums of the gradients of equal columns\n"
    assert re.search(rf"copy: {WORDS} columns, {sums} +accumulate: {COUNT - WORDS} columns, {sums}", text)
    assert f"product.dx: {WORDS} columns, adds to" in text
    assert f"product.dW: {WORDS} columns, adds to" in text.partition("at the end")[2]


@settings(max_examples=40, deadline=None)
@given(
    sentences=st.lists(
        st.lists(st.integers(0, WORDS - 1), min_size=1, max_size=7, unique=True), min_size=1, max_size=8
    ),
    network=st.sampled_from([Affine, of(dy.VanillaLSTMBuilder), of(dy.GRUBuilder)]),
)
def test_any_sentences(sentences, network):
    example = Example(network)
    close(example.gradients([sentences]), example.gradients([[sentence] for sentence in sentences]))
