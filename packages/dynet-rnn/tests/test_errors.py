"""Invalid arguments of builders and states: one clear exception at the call, and nothing is recorded."""

import pytest

import dynet_ops as dy
import dynet_rnn as rnn
from dynet_core import ArgumentError, ArgumentTypeError, ParameterCollection, ShapeError, renew_cg
from dynet_core.graph import current
from dynet_core.parameter import collection
from dynet_rnn.dropout import Variational
from dynet_rnn.registry import register

MODEL = ParameterCollection()


def vector(size=2, batch=1):
    return dy.zeros((size,), batch)


def network(layers=2):
    return rnn.VanillaLSTMBuilder(layers, 2, 3, MODEL)


def both():
    return rnn.BiRNNBuilder(1, 2, 4, MODEL, rnn.GRUBuilder)


def state(layers=2, batch=1):
    return network(layers).initial_state().add_input(vector(batch=batch))


def own(**facts):
    return type("Own", (Variational,), {"_collection": "own", **facts})


WRONG = [
    # inputs
    (lambda: network().initial_state().add_input(vector(5)), ShapeError, "add_input", "(5,)", "(2,)"),
    (lambda: state().add_input(vector(5, 4)), ShapeError, "add_input", "(5,) x 4", "(2,)"),
    (lambda: state().add_input(dy.zeros((2, 5))), ShapeError, "add_input", "(2, 5)", "(2,)", "reshape", "(2,) x 5"),
    (lambda: state(batch=3).add_input(vector(batch=4)), ShapeError, "add_input", "(2,) x 4", "batch size 3"),
    (lambda: state().add_input([1.0, 2.0]), ArgumentTypeError, "add_input", "[1.0, 2.0]"),
    (lambda: state().add_input(None), ArgumentTypeError, "add_input", "None"),
    (lambda: state().transduce([vector(), vector(3)]), ShapeError, "(3,)", "(2,)"),
    (lambda: state().transduce([vector(7)]), ShapeError, "(7,)", "(2,)"),
    (lambda: state().transduce([vector(), 1.0]), ArgumentTypeError, "transduce", "1.0"),
    (lambda: state().transduce(["word"]), ArgumentTypeError, "transduce", "'word'"),
    (lambda: state().transduce([vector(batch=2), vector(batch=3)]), ShapeError, "(2,) x 3", "batch size 2"),
    (lambda: state().add_inputs([vector(), "x"]), ArgumentTypeError, "add_input", "'x'"),
    (lambda: rnn.GRUBuilder(1, 2, 3, MODEL).initial_state().add_input(vector(3)), ShapeError, "(3,)", "(2,)"),
    (lambda: state().transduce(vector()), ShapeError, "(1,)", "(2,)", "take a list: [x]"),
    (lambda: state().add_inputs(vector()), ShapeError, "(1,)", "(2,)", "take a list: [x]"),
    (lambda: both().transduce(vector()), ShapeError, "(1,)", "(2,)", "take a list: [x]"),
    # classes
    (lambda: register()(own()), ArgumentTypeError, "Own: `_cell` must be a cell", "CELLS['gru_step']", "not None"),
    (
        lambda: own(_cell="gru_step")(1, 2, 3, MODEL),
        ArgumentTypeError,
        "Own: `_cell` must be a cell",
        "not 'gru_step'",
    ),
    (lambda: own()(1, 2, 3, MODEL), ArgumentTypeError, "Own: `_cell` must be a cell", "not None"),
    (lambda: register(rnn.GRUBuilder), ArgumentTypeError, "GRUBuilder is a class: write @register()"),
    # vectors
    (lambda: network().initial_state([]), ArgumentError, "initial_state", "2 or 4", "2 layers", "got 0"),
    (lambda: network().initial_state([vector(3)]), ArgumentError, "initial_state", "2 or 4", "got 1"),
    (lambda: network(1).initial_state([vector(3), vector(4)]), ShapeError, "initial_state", "(4,)", "(3,)"),
    (lambda: network(1).initial_state([vector(3), 1]), ArgumentTypeError, "initial_state", "1"),
    (lambda: state().set_h(), ArgumentError, "set_h", "2 expressions", "got 0"),
    (lambda: state().set_h([vector(3)]), ArgumentError, "set_h", "2 expressions", "got 1"),
    (lambda: state(1).set_h([vector(2)]), ShapeError, "set_h", "(2,)", "(3,)"),
    (lambda: state(1).set_h([dy.zeros((1, 3))]), ShapeError, "set_h", "(1, 3)", "(3,)"),
    (lambda: state().set_s([vector(3)] * 3), ArgumentError, "set_s", "2 or 4", "got 3"),
    (lambda: state(1).set_s([vector(3), None]), ArgumentTypeError, "set_s", "None"),
    (
        lambda: rnn.GRUBuilder(2, 2, 3, MODEL).initial_state([vector(3)] * 4),
        ArgumentError,
        "initial_state",
        "2 expressions",
        "got 4",
    ),
    # builders
    (lambda: rnn.VanillaLSTMBuilder(0, 2, 3, MODEL), ArgumentError, "VanillaLSTMBuilder", "at least 1", "0"),
    (lambda: rnn.VanillaLSTMBuilder(1, 2, -3, MODEL), ArgumentError, "VanillaLSTMBuilder", "-3"),
    (lambda: rnn.GRUBuilder(1, 2.5, 3, MODEL), ArgumentError, "GRUBuilder", "2.5"),
    (lambda: rnn.SimpleRNNBuilder(1, 2, 3, None), ArgumentTypeError, "SimpleRNNBuilder", "NoneType"),
    (
        lambda: rnn.BiRNNBuilder(1, 2, 5, MODEL, rnn.VanillaLSTMBuilder),
        ArgumentError,
        "BiRNNBuilder",
        "even",
        "5",
    ),
    (lambda: rnn.BiRNNBuilder(0, 2, 4, MODEL, rnn.VanillaLSTMBuilder), ArgumentError, "BiRNNBuilder", "0"),
    (
        lambda: rnn.BiRNNBuilder(1, 2, 4, MODEL, network()),
        ArgumentTypeError,
        "BiRNNBuilder: rnn_builder_factory must be a class of builders",
        "<VanillaLSTMBuilder /vanilla-lstm-builder",
        "give the class, VanillaLSTMBuilder",
    ),
    (lambda: rnn.BiRNNBuilder(1, 2, 4, MODEL, "lstm"), ArgumentTypeError, "rnn_builder_factory", "not 'lstm'"),
    (
        lambda: rnn.BiRNNBuilder(1, 2, 4, MODEL, dict),
        ArgumentTypeError,
        "dict is not a class of one-directional builders",
    ),
    (lambda: rnn.BiRNNBuilder(1, 2, 4, MODEL, rnn.BiRNNBuilder), ArgumentTypeError, "BiRNNBuilder is not a class"),
    (lambda: rnn.BiRNNBuilder(1, 2, 4, MODEL, lambda *_: None), ArgumentTypeError, "return a builder", "not None"),
    (lambda: rnn.BiRNNBuilder(1, 2, 4, None, rnn.GRUBuilder), ArgumentTypeError, "BiRNNBuilder: model", "NoneType"),
    (lambda: rnn.BiRNNBuilder(1, 2, 4, MODEL, None), ArgumentError, "rnn_builder_factory", "builder_layers"),
    (lambda: rnn.BiRNNBuilder(1, 2, 4, MODEL, None, 7), ArgumentTypeError, "BiRNNBuilder: builder_layers", "int 7"),
    (lambda: rnn.BiRNNBuilder(1, 2, 4, MODEL, None, [network()]), ArgumentTypeError, "pairs", "<VanillaLSTM"),
    (lambda: rnn.BiRNNBuilder(1, 2, 4, MODEL, None, [(dict, dict)]), ArgumentTypeError, "pairs", "'dict'"),
    (lambda: both().transduce(None), ArgumentTypeError, "transduce: expected a list", "None"),
    (lambda: both().add_inputs(7), ArgumentTypeError, "add_inputs: expected a list", "int 7"),
    (lambda: both().transduce(int(x) for x in [vector(1)]), ArgumentTypeError, "a number is needed"),
    # dropout
    (lambda: network().set_dropout(1.0), ArgumentError, "set_dropout", "[0, 1)", "1.0"),
    (lambda: network().set_dropouts(0.1, -0.1), ArgumentError, "set_dropouts", "-0.1"),
    (lambda: network().set_dropouts("much", 0.1), ArgumentTypeError, "set_dropouts", "'much'"),
    (lambda: network().set_dropout_masks(0), ArgumentError, "set_dropout_masks", "0"),
    (lambda: network().get_parameter_expressions(), ValueError, "get_parameter_expressions", "initial_state"),
]


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: " ".join(map(str, wrong[2:])))
def test_message(wrong):
    call, error, *parts = wrong
    renew_cg()
    with pytest.raises(error) as caught:
        call()
    assert [part for part in parts if part not in str(caught.value)] == []


def test_nothing_is_recorded_by_a_step_that_fails():
    renew_cg()
    before = state()
    wrong = [vector(7), vector(batch=1), vector(3, 2)]
    for x in (wrong[0], wrong[2]):
        count = current().records.length
        for read in (before.add_input, lambda x: before.transduce([x])):
            with pytest.raises(ShapeError):
                read(x)
        assert current().records.length == count
    assert before.add_input(wrong[1]).output().dim() == ((3,), 1)


def test_arguments_that_are_missing_name_the_users_class():
    for call, message in {
        lambda: rnn.GRUBuilder(1, 4, 5): r"GRUBuilder\(\): missing a required argument: 'model'",
        lambda: network().set_dropout(): r"VanillaLSTMBuilder\.set_dropout\(\): missing a required argument: 'f'",
        lambda: network().set_dropouts(): r"VanillaLSTMBuilder\.set_dropouts\(\): missing a required argument: 'd'",
        lambda: network().set_dropouts(d=0.5, q=0.5): r".*unexpected keyword argument 'q': the arguments are d, d_r$",
    }.items():
        with pytest.raises(TypeError, match=f"^{message}"):
            call()


@pytest.mark.parametrize(
    ("make", "error", "said"),
    [
        (
            lambda m: rnn.VanillaLSTMBuilder(1, 2, 2, m, False, "x"),
            ArgumentTypeError,
            "forget_bias must be a number",
        ),
        (lambda m: rnn.VanillaLSTMBuilder(1, 2, 2, m, False, 10**400), OverflowError, "forget_bias: a number is too"),
        (lambda m: rnn.VanillaLSTMBuilder(1, 2, 2, m, "x"), ArgumentTypeError, "ln_lstm must be True or False"),
        (lambda m: rnn.StandardSoftmaxBuilder(2, 3, m, "x"), ArgumentTypeError, "bias must be True or False"),
    ],
)
def test_options_that_are_no_flags_and_no_numbers(make, error, said):
    model = ParameterCollection()
    with pytest.raises(error, match=f"Builder: {said}"):
        make(model)
    assert model.parameter_count() == 0


@pytest.mark.parametrize(
    "make",
    [
        lambda m: rnn.VanillaLSTMBuilder(3, 2, 4, m, ln_lstm=True), lambda m: rnn.SparseLSTMBuilder(3, 2, 4, m),
        lambda m: rnn.NaryTreeLSTMBuilder(3, 2, 4, m), lambda m: rnn.BiRNNBuilder(3, 2, 4, m, rnn.GRUBuilder),
        lambda m: rnn.StandardSoftmaxBuilder(2, 3, m),
        lambda m: rnn.ClassFactoredSoftmaxBuilder.from_spec((2, [[0, 1], [2, 3]], 4, True), m),
    ],
)  # fmt: skip
@pytest.mark.parametrize("count", [0, 1])
def test_a_builder_that_fails_leaves_the_collection_as_it_was(make, count, monkeypatch):
    """For example if memory runs out while parameters are created, with hidden_dim=10**5."""
    values = collection.initial_values
    outer = ParameterCollection()
    model = outer.add_subcollection("inner")
    model.add_parameters((2,))
    left = count

    def scarce(*arguments, **named):
        nonlocal left
        left -= 1
        if left < 0:
            raise MemoryError
        return values(*arguments, **named)

    monkeypatch.setattr(collection, "initial_values", scarce)
    with pytest.raises(MemoryError):
        make(model)
    monkeypatch.undo()
    assert [p.name() for p in outer.parameters_list()] == [p.name() for p in model.parameters_list()] == ["/inner/_0"]
    make(model)
    names = ParameterCollection().add_subcollection("inner")
    names.add_parameters((2,))
    make(names)
    assert [p.name() for p in model.parameters_list()] == [p.name() for p in names.parameters_list()]
