"""Builder specs: `spec` and `from_spec` as in DyNet 2.1, and settings that coupled-gate networks refuse."""

import pytest
from networks import HIDDEN, INPUT

import dynet_core
import dynet_rnn as rnn
from dynet_core import ArgumentError, ArgumentTypeError, FileFormatError, ParameterCollection

SHORT, LONG = (1, INPUT, HIDDEN), (1, INPUT, HIDDEN, False, 1.0)
SPECS = {
    "SimpleRNNBuilder": SHORT, "GRUBuilder": SHORT, "VanillaLSTMBuilder": LONG, "SparseLSTMBuilder": LONG,
    "CompactVanillaLSTMBuilder": SHORT, "CoupledLSTMBuilder": SHORT, "FastLSTMBuilder": SHORT,
}  # fmt: skip


@pytest.mark.parametrize("name", SPECS)
def test_spec_stands_on_the_class_and_cannot_be_set(name):
    kind = getattr(rnn, name)
    assert isinstance(kind.spec, property) and kind.spec.__doc__
    builder = kind(*SHORT, ParameterCollection())
    assert builder.spec == SPECS[name]
    with pytest.raises(AttributeError):
        builder.spec = SHORT


def test_a_subclass_may_have_a_spec_of_its_own(tmp_path):
    class Named(rnn.VanillaLSTMBuilder):
        def __init__(self, name, model):
            super().__init__(*SHORT, model)
            self.name = name

        spec = property(lambda self: (self.name,))

        @classmethod
        def from_spec(cls, spec, model):
            return cls(*spec, model)

    named = Named("x", ParameterCollection())
    named.set_dropouts(0.5, 0.5)
    assert named.initial_state().add_input(rnn.sequences.zeros((INPUT,))).output().dim() == ((HIDDEN,), 1)
    assert Named.from_spec(named.spec, ParameterCollection()).spec == ("x",)


@pytest.mark.parametrize("spec", [SHORT, (*SHORT, False), LONG, (*SHORT, 0, 1)])
@pytest.mark.parametrize("name", ["CoupledLSTMBuilder", "VanillaLSTMBuilder", "SparseLSTMBuilder"])
def test_specs_of_both_lengths_are_read(name, spec):
    kind = getattr(rnn, name)
    assert kind.from_spec(spec, ParameterCollection()).spec == SPECS[name]


@pytest.mark.parametrize("kind", [rnn.CoupledLSTMBuilder, rnn.LSTMBuilder])
@pytest.mark.parametrize(
    ("rest", "message"),
    [((True,), r"not support layer normalization \(ln_lstm=True\)"), ((False, 0.5), "not support forget_bias=0.5")],
)
def test_what_coupled_gates_do_not_have_is_refused_by_name(kind, rest, message, monkeypatch):
    monkeypatch.setattr(dynet_core.config.PARAMS, "lstm_builder", "coupled")
    for make in (lambda m: kind(*SHORT, m, *rest), lambda m: kind.from_spec((*SHORT, *rest), m)):
        model = ParameterCollection()
        with pytest.raises(ArgumentError, match=f"{kind.__name__}: .*{message}.*VanillaLSTMBuilder"):
            make(model)
        assert model.parameter_count() == 0


def test_a_file_makes_no_builders_of_classes_that_are_none():
    """A file may name any class of the library as the class of a network's builders."""
    for kind in (ArgumentError, dict, ParameterCollection):
        with pytest.raises(
            ArgumentTypeError, match=f"BiRNNBuilder: {kind.__name__} is not a class of one-directional builders"
        ):
            rnn.BiRNNBuilder.from_spec((1, INPUT, 4, kind, None), ParameterCollection())


def test_a_file_makes_no_builders_without_end(tmp_path):
    """The memory that a spec requests is bounded by the parameters in the file."""
    with pytest.raises(ArgumentError, match="the spec has 10000000 layers, but builders for 0"):
        rnn.BiRNNBuilder.from_spec((10**7, INPUT, 4, None, []), ParameterCollection())
    with pytest.raises(ArgumentTypeError, match="must be pairs of builders"):
        rnn.BiRNNBuilder.from_spec((10**12, INPUT, 4, None, range(10**12)), ParameterCollection())
    with pytest.raises(TypeError):
        rnn.GRUBuilder.from_spec(range(1, 10**15), ParameterCollection())
    model, base = ParameterCollection(), tmp_path / "model"
    dynet_core.save(base, [rnn.NaryTreeLSTMBuilder(1, 1, 1, model)])
    described = (tmp_path / "model.meta").read_bytes()
    assert described.count(b"K\x02t") == 1
    (tmp_path / "model.meta").write_bytes(described.replace(b"K\x02t", b"J\xff\xff\xff\x1ft"))
    refused = (
        r"model.data: NaryTreeLSTMBuilder.from_spec failed: .*: more parameters than the file holds: .* of \(.* left$"
    )
    with pytest.raises(FileFormatError, match=refused):
        dynet_core.load(base, ParameterCollection())


def test_builders_that_are_given_are_counted():
    pair = [rnn.GRUBuilder(1, INPUT, HIDDEN, ParameterCollection()) for _ in range(2)]
    builder = rnn.BiRNNBuilder(7, INPUT, 2 * HIDDEN, ParameterCollection(), None, [pair])
    assert builder.spec[0] == 1 and " 1 layer, " in repr(builder)
    again = rnn.BiRNNBuilder.from_spec(builder.spec, ParameterCollection())
    assert again.builder_layers == builder.builder_layers
    with pytest.raises(ArgumentError, match="the spec has 7 layers, but builders for 1"):
        rnn.BiRNNBuilder.from_spec((7, *builder.spec[1:]), ParameterCollection())


class Agent(rnn.GRUBuilder):
    """A class of the program that accepts any arguments."""

    made = 0

    def __init__(self, *arguments):
        Agent.made += 1
        super().__init__(*arguments)


def test_a_file_cannot_have_a_program_class_made_by_a_network(tmp_path):
    base = tmp_path / "model"
    with pytest.warns(UserWarning, match=r"Agent is a class that you have not allowed.*allow=\[Agent\]"):
        dynet_core.save(base, [rnn.BiRNNBuilder(1, INPUT, 4, ParameterCollection(), Agent)])
    Agent.made = 0
    with pytest.raises(FileFormatError, match=r"Agent is a class that you have not allowed.*allow=\[Agent\]"):
        dynet_core.load(base, ParameterCollection())
    assert Agent.made == 0
    (loaded,) = dynet_core.load(base, ParameterCollection(), allow=[Agent])
    assert type(loaded.builder_layers[0][0]) is Agent
