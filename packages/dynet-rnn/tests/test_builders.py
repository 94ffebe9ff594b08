"""Builder parameters: names, order and copies; what LSTMBuilder means; docstring examples."""

import doctest
import inspect
import pickletools
import types
import warnings

import pytest
from networks import HIDDEN, INPUT, NETWORKS, Setting, make

import dynet_core
import dynet_ops
import dynet_rnn as rnn
from dynet_core import ArgumentError, FileFormatError, ParameterCollection, config, renew_cg
from dynet_rnn import builders

GATE = [(HIDDEN, INPUT), (HIDDEN, HIDDEN), (HIDDEN,)]
PEEPHOLES = [(HIDDEN, INPUT), (HIDDEN, HIDDEN), (HIDDEN, HIDDEN), (HIDDEN,)]
DIAGONAL = [(HIDDEN, INPUT), (HIDDEN, HIDDEN), (HIDDEN, 1), (HIDDEN,)]
STACKED = [(4 * HIDDEN, INPUT), (4 * HIDDEN, HIDDEN), (4 * HIDDEN,)]
PARAMETERS = {
    "SimpleRNNBuilder": ("simple-rnn-builder", GATE),
    "GRUBuilder": ("gru-builder", GATE * 3),
    "VanillaLSTMBuilder": ("vanilla-lstm-builder", STACKED),
    "CompactVanillaLSTMBuilder": ("compact-vanilla-lstm-builder", STACKED),
    "VanillaLSTMBuilder, forget_bias=0.25": ("vanilla-lstm-builder", STACKED),
    "VanillaLSTMBuilder, ln_lstm=True": ("vanilla-lstm-builder", STACKED),
    "SparseLSTMBuilder": ("vanilla-lstm-builder", STACKED + STACKED[:2]),
    "SparseLSTMBuilder, forget_bias=0.25": ("vanilla-lstm-builder", STACKED + STACKED[:2]),
    "CoupledLSTMBuilder": ("lstm-builder", PEEPHOLES * 2 + GATE),
    "FastLSTMBuilder": ("fast-lstm-builder", DIAGONAL * 2 + GATE),
}
every_network = pytest.mark.parametrize("name", NETWORKS)


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters(name):
    model = ParameterCollection()
    builder = make(name, 2, model)
    collection, shapes = PARAMETERS[name]
    first, second = builder.get_parameters()
    assert [p.shape() for p in first] == shapes
    assert [p.shape() for p in second] == [tuple(HIDDEN if n == INPUT else n for n in shape) for shape in shapes]
    places = [0, 1, 4, 2, 3] if name.startswith("Sparse") else range(len(shapes))
    numbers = [*places, *[len(shapes) + place for place in places]]
    assert [p.name() for p in [*first, *second]] == [f"/{collection}/_{k}" for k in numbers]
    assert builder.param_collection().name() == f"/{collection}/"
    assert make(name, 1, model).param_collection().name() == f"/{collection}_1/"
    assert all(not p.as_array().any() for p in first if len(p.shape()) == 1)
    assert all(p.as_array().all() for p in first if len(p.shape()) == 2)


def test_parameters_of_layer_normalization():
    model = ParameterCollection()
    make("VanillaLSTMBuilder, ln_lstm=True", 1, model)
    own = [p for p in model.parameters_list() if p.name().startswith("/_")]
    assert [p.shape() for p in own] == [(4 * HIDDEN,)] * 4 + [(HIDDEN,)] * 2
    assert [p.as_array().tolist() == [k % 2 == 0] * p.shape()[0] for k, p in enumerate(own)] == [True] * 6


@every_network
def test_parameter_expressions(name):
    builder = Setting(name, 2).builder
    with pytest.raises(ValueError, match="initial_state"):
        builder.get_parameter_expressions()
    builder.initial_state()
    expressions = builder.get_parameter_expressions()
    for layer, parameters in zip(expressions, builder.get_parameters(), strict=True):
        weights, masks = parameters[:3], [p.as_array() for p in parameters[3:5] if not p.is_updated()]
        if masks:
            parameters = weights
        wanted = [p.as_array() for p in parameters]
        for k, mask in enumerate(masks):
            wanted[k] = wanted[k] * mask
        assert [e.npvalue().tolist() for e in layer] == [array.tolist() for array in wanted]
    renew_cg()
    with pytest.raises(ValueError, match="initial_state"):
        builder.get_parameter_expressions()


@every_network
def test_a_copy_from_the_spec(name):
    setting = Setting(name, 2)
    again = type(setting.builder).from_spec(setting.builder.spec, ParameterCollection())
    assert again.spec == setting.builder.spec
    assert again.whoami() == type(setting.builder).__name__
    shapes = [p.shape() for p in again.param_collection().parameters_list()]
    assert shapes == [p.shape() for p in setting.builder.param_collection().parameters_list()]


@pytest.fixture
def choice(monkeypatch):
    """Sets what LSTMBuilder means."""
    builders._warn_of_two_meanings.cache_clear()
    yield lambda kind: monkeypatch.setattr(config.PARAMS, "lstm_builder", kind)
    builders._warn_of_two_meanings.cache_clear()


def test_lstm_builder_is_the_manuals_and_says_so_once(choice):
    choice("")
    with pytest.warns(UserWarning, match="VanillaLSTMBuilder") as caught:
        builders = [rnn.LSTMBuilder(1, INPUT, HIDDEN, ParameterCollection()) for _ in range(2)]
    assert [warning.filename for warning in caught] == [__file__]
    assert all(isinstance(builder, rnn.CoupledLSTMBuilder) for builder in builders)


@pytest.mark.parametrize(("kind", "expected"), [("coupled", rnn.LSTMBuilder), ("vanilla", rnn.VanillaLSTMBuilder)])
def test_lstm_builder_can_be_chosen(choice, kind, expected):
    choice(kind)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        builder = rnn.LSTMBuilder(1, INPUT, HIDDEN, ParameterCollection())
        pair = rnn.BiRNNBuilder(1, INPUT, 2 * HIDDEN, ParameterCollection(), rnn.LSTMBuilder).builder_layers[0]
    assert [type(b) for b in (builder, *pair)] == [expected] * 3


def class_names(file) -> set[str]:
    """The class names in a .meta file."""
    content = file.read_bytes()
    found = set()
    while content:
        *operations, (_, _, end) = pickletools.genops(content)
        found |= {text for _, text, _ in operations if str(text).endswith("Builder")}
        content = content[end + 1 :]
    return found


@pytest.mark.parametrize(("kind", "name"), [("coupled", "CoupledLSTMBuilder"), ("vanilla", "VanillaLSTMBuilder")])
def test_files_say_which_lstm_builder_it_was(choice, kind, name, tmp_path):
    choice(kind)
    model = ParameterCollection()
    one = rnn.LSTMBuilder(1, INPUT, HIDDEN, model)
    pair = rnn.BiRNNBuilder(1, INPUT, 2 * HIDDEN, model, rnn.LSTMBuilder)
    dynet_core.save(tmp_path / "model", [one, pair])
    assert class_names(tmp_path / "model.meta") == {name, "BiRNNBuilder"}
    choice("vanilla" if kind == "coupled" else "coupled")
    again, both = dynet_core.load(tmp_path / "model", ParameterCollection())
    assert type(again) is type(both.builder_layers[0][1]) is getattr(rnn, name)


@pytest.mark.parametrize("written, read", [("vanilla", "coupled"), ("coupled", "vanilla")])
def test_a_file_that_does_not_fit_because_of_what_lstm_builder_means(choice, written, read, tmp_path):
    models = []
    for kind in (written, read):
        choice(kind)
        models.append(ParameterCollection())
        rnn.LSTMBuilder(1, INPUT, HIDDEN, models[-1])
    saved, model = models
    saved.save(tmp_path / "model")
    hint = rf"lstm_builder='{written}'.*DYNET_LSTM_BUILDER={written}"
    with pytest.raises(FileFormatError, match=hint):
        model.populate(tmp_path / "model")
    with pytest.raises(FileFormatError, match=hint):
        model.parameters_list()[0].populate(tmp_path / "model")


def test_other_files_that_do_not_fit_say_nothing_of_lstm_builder(choice, tmp_path):
    choice("coupled")
    for kind in (rnn.LSTMBuilder, rnn.GRUBuilder):
        saved, model = ParameterCollection(), ParameterCollection()
        kind(1, INPUT, HIDDEN, saved)
        kind(2, INPUT, HIDDEN, model)
        saved.save(tmp_path / "model")
        with pytest.raises(FileFormatError) as caught:
            model.populate(tmp_path / "model")
        assert "lstm_builder" not in str(caught.value)


def test_no_other_lstm_builder(choice):
    choice("peephole")
    with pytest.raises(ArgumentError, match="'peephole'"):
        rnn.LSTMBuilder(1, INPUT, HIDDEN, ParameterCollection())


@pytest.mark.parametrize("name", rnn.__all__)
def test_docstring(name):
    found = getattr(rnn, name)
    assert found.__doc__
    public = [method for method, _ in inspect.getmembers(found, callable) if not method.startswith("_")]
    assert [method for method in public if not getattr(found, method).__doc__] == []
    names = {name: getattr(module, name) for module in (dynet_core, dynet_ops, rnn) for name in module.__all__}
    for test in doctest.DocTestFinder().find(found, name, globs={"dy": types.SimpleNamespace(**names)}):
        runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
        runner.run(test)
        assert runner.failures == 0


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (
            lambda m: rnn.VanillaLSTMBuilder(1, 4, 3, m),
            "<VanillaLSTMBuilder /vanilla-lstm-builder/: 1 layer, 4 to 3; 3 parameters, 96 numbers>",
        ),
        (
            lambda m: rnn.BiRNNBuilder(2, 4, 6, m, rnn.GRUBuilder),
            "<BiRNNBuilder /birnn/: 2 layers, 4 to 6; 36 parameters, 324 numbers>",
        ),
        (
            lambda m: rnn.ChildSumTreeLSTMBuilder(1, 2, 3, m),
            "<ChildSumTreeLSTMBuilder /child-sum-tree-lstm-builder/: 1 layer, 2 to 3; 4 parameters, 72 numbers>",
        ),
        (
            lambda m: rnn.StandardSoftmaxBuilder(6, 4, m),
            "<StandardSoftmaxBuilder /standard-softmax-builder/: 6 to 4 classes; 2 parameters, 28 numbers>",
        ),
    ],
)
def test_a_builder_says_what_it_holds(make, text):
    assert repr(make(ParameterCollection())) == text
