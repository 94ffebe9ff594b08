"""Runs the same work on the CPU and on a GPU, and compares the results. Each check raises AssertionError.

The work comes from the table of ops, the builders, the trainers and the benchmark's tasks.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

import dynet as dy
from dynet_core.compute import device
from dynet_core.op import OPS, Op, Sample
from dynet_ops import testing

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(Path(__file__).parent))

LOSS_TOLERANCE = 1e-4  # relative error of a training loss
STEPS = 3


def samples() -> list[tuple[str, int]]:
    """Return the op's name and the sample's number for every sample in the table."""
    return [(name, number) for name, op in OPS.items() for number in range(len(op.samples))]


def on(number: int | None, work: Callable):
    """Return the result of some work on the CPU (None) or a GPU."""
    with device.using(number):
        dy.reset_random_seed(11)
        return work()


def value_and_gradients(op: Op, sample: Sample, leaf) -> list[np.ndarray]:
    """Return the values of two nodes and the gradients of their operands, which are inputs or parameters.

    Both nodes have the same operands, so GPU threads add to one gradient at the same time.
    """
    dy.renew_cg()
    leaves = [leaf(array) for array in testing.draw(op, sample)]
    results = [testing.record(op, sample, [one.expression for one in leaves]) for _ in range(2)]
    values = np.stack([testing.value_of(result) for result in results])
    loss = dy.esum([testing.weighted_sum(result, testing.weights_for(result)) for result in results])
    loss.backward(full=leaf is testing.Input)
    return [values, *[one.gradient() for one in leaves]]


def assert_near(what: str, actual: np.ndarray, expected: np.ndarray, allowed: float) -> None:
    """Check for equal shapes, infinities and NaN, and differences within what is allowed."""
    assert actual.shape == expected.shape, f"{what} is {actual.shape} on the GPU, {expected.shape} on the CPU"
    finite = np.isfinite(expected)
    np.testing.assert_array_equal(actual[~finite], expected[~finite], err_msg=what)
    error = testing.magnitude(actual[finite] - expected[finite])
    assert error <= allowed, f"{what} is off by {error}, {allowed} is allowed"


def check_op(name: str, number: int, gpu: int = 0) -> None:
    """Check one sample of an op: its value and the gradients of inputs and parameters equal the CPU's."""
    op = OPS[name]
    sample = op.samples[number]
    for leaf in (testing.Input, testing.Parameter):
        expected = on(None, lambda leaf=leaf: value_and_gradients(op, sample, leaf))
        actual = on(gpu, lambda leaf=leaf: value_and_gradients(op, sample, leaf))
        terms = [] if op.random else [testing.reference_of_magnitudes(op, sample, testing.draw(op, sample))]
        scale = testing.magnitude(expected[0][np.isfinite(expected[0])], *terms)
        assert_near(f"{name}: value", actual[0], expected[0], 2 * op.tolerance * scale)
        for place, (one, other) in enumerate(zip(actual[1:], expected[1:])):
            scale = max(testing.SMALLEST_GRADIENT, testing.magnitude(other))
            assert_near(f"{name}: gradient {place}", one, other, testing.GRADIENT_TOLERANCE * scale)


INPUT, HIDDEN, CLASSES = 5, 6, 3
HEADS = [1, 4, 1, 4, -1]  # of the words in a tree


def outputs(builder, words: list[dy.Expression]) -> list[dy.Expression]:
    """Return a network's outputs for some words."""
    if isinstance(builder, dy.BiRNNBuilder):
        return builder.transduce(words)
    if isinstance(builder, dy._RNNBuilder):
        return builder.initial_state().transduce(words)
    return builder.initial_state().transduce(words, HEADS)


def _classes_of_words(kind: type[dy.ClassFactoredSoftmaxBuilder], model: dy.ParameterCollection) -> dy.SoftmaxBuilder:
    with tempfile.TemporaryDirectory() as directory:
        clusters = Path(directory) / "clusters"
        clusters.write_text("xx a\nxx b\nxy c\n")
        return kind(HIDDEN, str(clusters), {"a": 0, "b": 1, "c": 2}, model)


def softmax_loss(layer: dy.SoftmaxBuilder, xs: list[dy.Expression]) -> dy.Expression:
    """The loss of a softmax layer after dropout."""
    return dy.esum([layer.neg_log_softmax(dy.dropout(x, 0.2), k % CLASSES) for k, x in enumerate(xs)])


def crf_loss(field: dy.CRFBuilder, xs: list[dy.Expression]) -> dy.Expression:
    """The loss of a random field whose emissions are the network's outputs, and its probability of tag 0."""
    loss = field.neg_log_likelihood(xs, [k % HIDDEN for k in range(len(xs))])
    return loss - dy.sum_elems(dy.log(field.marginals(xs)[0]))


def encoder_loss(layer: dy.TransformerEncoderLayerBuilder, xs: list[dy.Expression]) -> dy.Expression:
    """The loss of an encoder's layer with dropout."""
    layer.set_dropout(0.2)
    return dy.squared_norm(layer.encode(xs, np.tri(len(xs)))[1])


def decoder_loss(layer: dy.TransformerDecoderLayerBuilder, xs: list[dy.Expression]) -> dy.Expression:
    """The loss of a decoder's layer that reads two words, then the others."""
    first, cache = layer.decode(xs[:2], xs)
    return dy.squared_norm(dy.concatenate_cols([first, layer.decode(xs[2:], xs, cache)[0]])[1])


def positions_loss(positions: dy.LearnedPositionsBuilder, xs: list[dy.Expression]) -> dy.Expression:
    """The loss of vectors and their positions."""
    return dy.squared_norm(positions.vectors(len(xs)) + dy.sinusoidal_positions(HIDDEN, len(xs)) - xs[0])


def biaffine_loss(layer: dy.BiaffineBuilder, xs: list[dy.Expression]) -> dy.Expression:
    """The loss of the second of two labels for each pair of the network's outputs."""
    x = dy.concatenate_cols(xs)
    return dy.sum_elems(dy.log_sigmoid(layer.scores(x, x)[1]))


LAYERS = {
    "StandardSoftmaxBuilder": (lambda model: dy.StandardSoftmaxBuilder(HIDDEN, CLASSES, model), softmax_loss),
    "BiaffineBuilder": (lambda model: dy.BiaffineBuilder(HIDDEN, HIDDEN, model, 2), biaffine_loss),
    "ClassFactoredSoftmaxBuilder": (functools.partial(_classes_of_words, dy.ClassFactoredSoftmaxBuilder), softmax_loss),
    "HierarchicalSoftmaxBuilder": (functools.partial(_classes_of_words, dy.HierarchicalSoftmaxBuilder), softmax_loss),
    "AdaptiveSoftmaxBuilder": (lambda model: dy.AdaptiveSoftmaxBuilder(HIDDEN, [1], CLASSES, model), softmax_loss),
    "CRFBuilder": (lambda model: dy.CRFBuilder(HIDDEN, model), crf_loss),
    "MultiHeadAttentionBuilder": (
        lambda model: dy.MultiHeadAttentionBuilder(HIDDEN, 2, model),
        lambda attention, xs: dy.squared_norm(attention.attend(xs, causal=True)[1]),
    ),
    "TransformerEncoderLayerBuilder": (
        lambda model: dy.TransformerEncoderLayerBuilder(HIDDEN, 2, INPUT, model),
        encoder_loss,
    ),
    "TransformerDecoderLayerBuilder": (
        lambda model: dy.TransformerDecoderLayerBuilder(HIDDEN, 2, INPUT, model, pre_norm=True),
        decoder_loss,
    ),
    "LearnedPositionsBuilder": (lambda model: dy.LearnedPositionsBuilder(HIDDEN, 9, model), positions_loss),
}
OTHERS = (*LAYERS, "_RNNBuilder", "BiRNNBuilder", "LSTMBuilder", "SoftmaxBuilder")  # base classes, and an alias
NETWORKS = {
    name: functools.partial(getattr(dy, name), 2, INPUT, HIDDEN)
    for name in dir(dy)
    if name.endswith("Builder") and name not in OTHERS
}
NETWORKS["BiRNNBuilder"] = lambda model: dy.BiRNNBuilder(2, INPUT, HIDDEN, model, dy.VanillaLSTMBuilder)
NETWORKS["VanillaLSTMBuilder, normalised"] = lambda model: dy.VanillaLSTMBuilder(2, INPUT, HIDDEN, model, ln_lstm=True)
BUILDERS = [*NETWORKS, *LAYERS]


def train_builder(name: str) -> list[float]:
    """Return the losses of a few training steps of a network and a layer that has a loss, and of a lookup table."""
    model = dy.ParameterCollection()
    table = model.add_lookup_parameters((7, INPUT))
    network = NETWORKS[name if name in NETWORKS else "VanillaLSTMBuilder"](model)
    make_layer, loss_of = LAYERS[name if name in LAYERS else "StandardSoftmaxBuilder"]
    layer = make_layer(model)
    trainer = dy.SimpleSGDTrainer(model)
    losses = []
    for step in range(STEPS):
        dy.renew_cg()
        hidden = outputs(network, [table[(word + step) % 7] for word in (3, 1, 4, 1, 5)])
        loss = loss_of(layer, hidden)
        losses.append(loss.value())
        loss.backward()
        trainer.update()
    return losses


TRAINERS = [name for name in dir(dy) if name.endswith("Trainer") and name != "Trainer"]


def train_with(name: str) -> list[np.ndarray]:
    """Return parameters, including a lookup table, after a few updates that clip the gradient."""
    draw = np.random.default_rng(5)
    model = dy.ParameterCollection()
    weight = model.parameters_from_numpy(draw.uniform(-1, 1, (4, 3)))
    table = model.lookup_parameters_from_numpy(draw.uniform(-1, 1, (6, 3)))
    trainer = getattr(dy, name)(model)
    trainer.set_clip_threshold(2.0)
    for step in range(STEPS):
        dy.renew_cg()
        dy.squared_norm(weight * (table[step] + table[5]) + dy.inputVector([1, -2, 3, 5])).backward()
        trainer.update()
    return [weight.as_array(), table.as_array()]


TASKS = {
    "tagger": {}, "tagger_char": {}, "crf": {}, "treelstm": {"size": 128}, "treelstm_nary_builder": {"size": 128},
    "treelstm_lstm_builder": {}, "lattice": {}, "lattice_child_sum_builder": {},
    "graphnet": {}, "parser": {"read": True}, "biaffine": {}, "rnnlm": {}, "seq2seq": {}, "transformer": {},
    "small": {}, "xor": {},
}  # fmt: skip


def train_task(name: str) -> list[float]:
    """Return the loss of a task's first minibatch, and how large its parameters are after an update.

    The update is plain SGD. Some gradients are only rounding errors, and Adam, which scales each gradient by its size,
    would turn them into full steps.
    """
    work = importlib.import_module(f"tasks.{name}").make(dy, 1, seed=1, **TASKS[name])
    model = work.parameters or dy.ParameterCollection()
    trainer = dy.SimpleSGDTrainer(model)
    loss = work.build()
    value = loss.scalar_value()
    loss.backward()
    if work.parameters:
        trainer.update()
    parameters = [*model.parameters_list(), *model.lookup_parameters_list()]
    return [value, *(float(np.linalg.norm(p.as_array())) for p in parameters)]


TREES = [
    [("bir", "DET", 1, "det"), ("ev", "NOUN", -1, "root"), (".", "PUNCT", 1, "punct")],
    [("ev", "NOUN", 2, "nsubj"), ("bir", "NUM", 0, "nummod"), ("dir", "VERB", -1, "root")],
]  # two sentences: words, tags, heads and relations


@functools.cache
def _example(file: str):
    """Import a module of the examples."""
    path = ROOT / "examples" / file
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    spec = importlib.util.spec_from_file_location(f"example_{path.parent.name}_{path.stem}", path)
    assert spec and spec.loader
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _tagger():
    tagger, sentences = _example("tagger/model.py"), [[word[:2] for word in tree] for tree in TREES]
    network = tagger.Tagger(tagger.Vocabulary.of(sentences))
    return network.parameters, lambda: network.loss(sentences)


def _language_model():
    example, sentences = _example("language_model/train.py"), [[2, 3, 4, 0], [3, 2, 1, 0]]
    model = example.LanguageModel(5)
    return model.parameters, lambda: model.loss(sentences, example.DROPOUT)


def _tree_lstm():
    word = _example("treebank.py").Word
    sentences = [[word(*each) for each in tree] for tree in TREES]
    model = _example("tree_lstm/train.py").RelationModel(sentences)
    return model.parameters, lambda: model.loss(sentences)


EXAMPLES = {"tagger": _tagger, "language_model": _language_model, "tree_lstm": _tree_lstm}


def train_example(name: str) -> list[float]:
    """Return the losses of the first steps of an example, on short sentences."""
    parameters, loss_of = EXAMPLES[name]()
    trainer = dy.AdamTrainer(parameters)
    losses = []
    for _ in range(STEPS):
        loss = loss_of()
        losses.append(loss.value())
        loss.backward()
        trainer.update()
    return losses


def check_losses(train: Callable[[], list[float]], gpu: int = 0) -> None:
    """Check that training gives the same losses as on the CPU."""
    np.testing.assert_allclose(on(gpu, train), on(None, train), rtol=LOSS_TOLERANCE)


def check_trainer(name: str, gpu: int = 0) -> None:
    """Check that a trainer's updates equal the CPU's."""
    expected, actual = (on(number, lambda: train_with(name)) for number in (None, gpu))
    for one, other in zip(actual, expected):
        assert_near(name, one, other, 1e-5 * testing.magnitude(other))
