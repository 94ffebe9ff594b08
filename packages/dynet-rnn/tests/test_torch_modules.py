"""Weights exchanged with torch's modules. Here numpy computes what torch's documentation says that they compute."""

import numpy as np
import pytest

import dynet as dy
from dynet_core import ArgumentError, ArgumentTypeError, ParameterCollection, ShapeError

INPUT, HIDDEN, LENGTH = 3, 4, 5


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def lstm_step(gates, _, state):
    i, f, g, o = np.split(gates, 4)
    c = sigmoid(f) * state[1] + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def rnn_step(gates, *_):
    return (np.tanh(gates),)


def gru_step(x_gates, h_gates, state):
    (xr, xz, xn), (hr, hz, hn) = np.split(x_gates, 3), np.split(h_gates, 3)
    z = sigmoid(xz + hz)
    return ((1 - z) * np.tanh(xn + sigmoid(xr + hr) * hn) + z * state[0],)


STEPS = {"LSTM": (4, lstm_step), "RNN": (1, rnn_step), "GRU": (3, gru_step)}


def names_of(layers, directions, biases=True):
    return [
        f"{kind}_{which}_l{k}{direction}"
        for k in range(layers)
        for direction in ("", "_reverse")[:directions]
        for kind in ("weight", "bias")[: 1 + biases]
        for which in ("ih", "hh")
    ]


def state_of(module, layers=1, directions=1, biases=True, seed=1):
    """Weights of a module of torch, as its state_dict names and shapes them."""
    random, gates = np.random.default_rng(seed), STEPS[module][0]
    shapes = {
        name: (gates * HIDDEN,)
        if "bias" in name
        else (gates * HIDDEN, HIDDEN if "hh" in name else HIDDEN * directions if "_l0" not in name else INPUT)
        for name in names_of(layers, directions, biases)
    }
    return {name: random.uniform(-0.8, 0.8, shape).astype(np.float32) for name, shape in shapes.items()}


def outputs(module, state, xs, layers=1, directions=1):
    """What a module of torch computes from a sequence, in float64."""
    step, xs = STEPS[module][1], [np.asarray(x, np.float64) for x in xs]
    for k in range(layers):
        found = []
        for direction in ("", "_reverse")[:directions]:
            wx, wh, *biases = [state[name].astype(np.float64) for name in state if name.endswith(f"_l{k}{direction}")]
            bx, bh = biases or (0, 0)
            values, one_direction = (np.zeros(HIDDEN),) * 2, []
            for x in reversed(xs) if direction else xs:
                x_gates, h_gates = wx @ x + bx, wh @ values[0] + bh
                values = step(x_gates, h_gates, values) if module == "GRU" else step(x_gates + h_gates, None, values)
                one_direction.append(values[0])
            found.append(one_direction[::-1] if direction else one_direction)
        xs = [np.concatenate(both) for both in zip(*found)]
    return xs


NETWORKS = {
    "LSTM": ("LSTM", 1, lambda layers, m: dy.VanillaLSTMBuilder(layers, INPUT, HIDDEN, m)),
    "LSTM, forget bias": ("LSTM", 1, lambda layers, m: dy.VanillaLSTMBuilder(layers, INPUT, HIDDEN, m, False, -0.25)),
    "compact": ("LSTM", 1, lambda layers, m: dy.CompactVanillaLSTMBuilder(layers, INPUT, HIDDEN, m)),
    "RNN": ("RNN", 1, lambda layers, m: dy.SimpleRNNBuilder(layers, INPUT, HIDDEN, m)),
    "BiLSTM": ("LSTM", 2, lambda layers, m: dy.BiRNNBuilder(layers, INPUT, 2 * HIDDEN, m, dy.VanillaLSTMBuilder)),
    "BiRNN": ("RNN", 2, lambda layers, m: dy.BiRNNBuilder(layers, INPUT, 2 * HIDDEN, m, dy.SimpleRNNBuilder)),
}
each_network = pytest.mark.parametrize("name", NETWORKS)


def make(name, layers):
    module, directions, builder = NETWORKS[name]
    return module, directions, builder(layers, ParameterCollection())


def inputs(seed=2):
    return np.random.default_rng(seed).uniform(-1, 1, (LENGTH, INPUT)).astype(np.float32)


def transduced(network, xs):
    dy.renew_cg()
    start = network if isinstance(network, dy.BiRNNBuilder) else network.initial_state()
    return [y.npvalue() for y in start.transduce([dy.inputVector(x) for x in xs])]


def close(x, y, tolerance=1e-6):
    np.testing.assert_allclose(x, y, rtol=0, atol=tolerance)


@each_network
@pytest.mark.parametrize("layers", [1, 3])
def test_a_network_computes_what_the_module_of_torch_does(name, layers):
    module, directions, network = make(name, layers)
    state, xs = state_of(module, layers, directions), inputs()
    dy.set_torch_weights(network, state)
    close(transduced(network, xs), outputs(module, state, xs, layers, directions))


@each_network
@pytest.mark.parametrize("layers", [1, 2])
def test_the_module_of_torch_computes_what_the_network_does(name, layers):
    module, directions, network = make(name, layers)
    for p in network.param_collection().parameters_list():
        p.set_value(np.random.default_rng(p.get_index()).uniform(-1, 1, p.shape))
    state, xs = dy.torch_weights(network), inputs()
    assert sorted(state) == sorted(names_of(layers, directions))
    assert {array.dtype for array in state.values()} == {np.dtype(np.float32)}
    close(outputs(module, state, xs, layers, directions), transduced(network, xs))
    _, _, other = make(name, layers)
    dy.set_torch_weights(other, state)
    close(transduced(other, xs), transduced(network, xs))


@each_network
def test_copies_of_the_arrays_would_be_wrong(name):
    """The check of the tests above: without the conversion, they fail."""
    module, directions, network = make(name, 1)
    if module == "RNN":
        return
    state, xs = state_of(module, 1, directions), inputs()
    parameters = network.param_collection().parameters_list()
    sums = [name for name in state if "bias_ih" not in name]
    for p, key in zip(parameters, sums):
        p.set_value(state[key] + state.get(key.replace("bias_hh", "bias_ih"), 0) * ("bias" in key))
    assert np.abs(np.subtract(transduced(network, xs), outputs(module, state, xs, 1, directions))).max() > 0.1


@each_network
def test_a_module_without_biases(name):
    module, directions, network = make(name, 2)
    state, xs = state_of(module, 2, directions, biases=False), inputs()
    dy.set_torch_weights(network, state)
    close(transduced(network, xs), outputs(module, state, xs, 2, directions))


def test_gradients_and_other_parameters_stay():
    m = ParameterCollection()
    other = m.add_parameters(2, init=3.0)
    network = dy.VanillaLSTMBuilder(1, INPUT, HIDDEN, m)
    network.get_parameters()[0][0].set_updated(False)
    dy.set_torch_weights(network, state_of("LSTM"))
    assert other.as_array().tolist() == [3, 3] and not network.get_parameters()[0][0].is_updated()


def test_layers_and_tables():
    m = ParameterCollection()
    W, b, E = m.add_parameters((2, 3)), m.add_parameters(2), m.add_lookup_parameters((4, 3))
    state = {"a.out.weight": np.arange(6.0).reshape(2, 3), "a.out.bias": np.array([7, 8]), "emb.weight": np.eye(4, 3)}
    dy.set_torch_weights((W, b), state, "a.out")
    dy.set_torch_weights(E, state, name="emb")
    dy.set_torch_weights([W, b], {"weight": W.as_array(), "bias": b.as_array()})
    np.testing.assert_array_equal(W.as_array(), state["a.out.weight"])
    np.testing.assert_array_equal(b.as_array(), state["a.out.bias"])
    np.testing.assert_array_equal(E.as_array(), state["emb.weight"])
    back = {**dy.torch_weights((W, b), "a.out"), **dy.torch_weights(E, "emb")}
    assert back.keys() == state.keys() and all((back[key] == state[key]).all() for key in state)
    dy.set_torch_weights(W, {"weight": np.ones((2, 3))})
    assert W.as_array().sum() == 6 and dy.torch_weights(W).keys() == {"weight"}


def test_a_network_in_a_larger_module():
    state = {f"encoder.{key}": array for key, array in state_of("LSTM").items()} | {"encoder2.weight": np.ones(1)}
    network, alone = [dy.VanillaLSTMBuilder(1, INPUT, HIDDEN, ParameterCollection()) for _ in range(2)]
    dy.set_torch_weights(network, state, "encoder")
    dy.set_torch_weights(alone, state_of("LSTM"))
    close(transduced(network, inputs()), transduced(alone, inputs()), 0)
    assert [*dy.torch_weights(network, "encoder")] == [key for key in state if "encoder." in key]


def test_a_gru_is_refused_because_no_weights_make_the_two_equal():
    """With the weights that correspond, the outputs differ by more than a twentieth."""
    network = dy.GRUBuilder(1, INPUT, HIDDEN, ParameterCollection())
    for call in (lambda: dy.torch_weights(network), lambda: dy.set_torch_weights(network, state_of("GRU"))):
        with pytest.raises(ArgumentError, match="weights: torch.nn.GRU multiplies by the reset gate after the product"):
            call()
    state = state_of("GRU")
    state["bias_hh_l0"][2 * HIDDEN :] = 0
    (rx, zx, nx), (rh, zh, nh) = np.split(state["weight_ih_l0"], 3), np.split(state["weight_hh_l0"], 3)
    br, bz, bn = np.split(state["bias_ih_l0"] + state["bias_hh_l0"], 3)
    for p, array in zip(network.get_parameters()[0], (-zx, -zh, -bz, rx, rh, br, nx, nh, bn)):
        p.set_value(array)
    assert np.abs(np.subtract(transduced(network, inputs()), outputs("GRU", state, inputs()))).max() > 0.05
    diagonal = np.diag(np.diag(nh))  # then the order does not matter
    state["weight_hh_l0"][2 * HIDDEN :] = diagonal
    network.get_parameters()[0][7].set_value(diagonal)
    close(transduced(network, inputs()), outputs("GRU", state, inputs()))


def lstm(**settings):
    return dy.VanillaLSTMBuilder(1, INPUT, HIDDEN, ParameterCollection(), **settings)


def both(*builders):
    return dy.BiRNNBuilder(1, INPUT, 2 * HIDDEN, ParameterCollection(), None, [builders])


OTHERS = {
    "layer normalization": lambda m: lstm(ln_lstm=True),
    "sparse": lambda m: dy.SparseLSTMBuilder(1, INPUT, HIDDEN, m),
    "coupled": lambda m: dy.CoupledLSTMBuilder(1, INPUT, HIDDEN, m),
    "fast": lambda m: dy.FastLSTMBuilder(1, INPUT, HIDDEN, m),
    "tree": lambda m: dy.NaryTreeLSTMBuilder(1, INPUT, HIDDEN, m),
    "softmax": lambda m: dy.StandardSoftmaxBuilder(INPUT, HIDDEN, m),
    "layers in a direction": lambda m: both(*[dy.SimpleRNNBuilder(2, INPUT, HIDDEN, m) for _ in range(2)]),
    "one other": lambda m: both(lstm(), dy.FastLSTMBuilder(1, INPUT, HIDDEN, m)),
    "both GRUs": lambda m: dy.BiRNNBuilder(1, INPUT, 2 * HIDDEN, m, dy.GRUBuilder),
}


@pytest.mark.parametrize("make_other", OTHERS.values(), ids=OTHERS)
def test_networks_that_torch_does_not_have(make_other):
    network = make_other(ParameterCollection())
    for call in (lambda: dy.torch_weights(network), lambda: dy.set_torch_weights(network, {})):
        with pytest.raises(
            ArgumentError, match=r"torch_weights: torch(.nn.GRU| has no module with the equations of <)"
        ):
            call()


@pytest.mark.parametrize("wrong", [None, 3, dy.Model(), (), [1, 2], "lstm", dy.VanillaLSTMBuilder], ids=repr)
def test_what_is_no_network(wrong):
    for call in (lambda: dy.torch_weights(wrong), lambda: dy.set_torch_weights(wrong, {})):
        with pytest.raises(ArgumentTypeError, match=r"torch_weights: expected a network, a lookup parameter, a matrix"):
            call()


def test_parameters_of_other_shapes():
    m = ParameterCollection()
    W, E = m.add_parameters((3, 3, 3, 3)), m.add_lookup_parameters((3, 3, 3))
    for p in (W, E, (W, m.add_parameters(3))):
        with pytest.raises(ArgumentError, match="has more than two dimensions, which torch orders differently"):
            dy.torch_weights(p)
    with pytest.raises(ArgumentTypeError, match="a matrix W or a pair"):
        dy.torch_weights((m.add_lookup_parameters((3, 3)), m.add_parameters(3)))  # type: ignore[arg-type]


def changed(**arrays):
    return lambda state: {key: array for key, array in {**state, **arrays}.items() if array is not None}


MISFITS = {
    "missing": (changed(weight_hh_l0=None), ArgumentError, "missing: 'weight_hh_l0'; unknown: nothing"),
    "one bias": (changed(bias_hh_l0=None), ArgumentError, "missing: 'bias_hh_l0'; unknown: nothing"),
    "a second layer": (changed(weight_ih_l1=[1]), ArgumentError, "missing: nothing; unknown: 'weight_ih_l1'"),
    "projections": (changed(weight_hr_l0=[1]), ArgumentError, "unknown: 'weight_hr_l0'"),
    "a reverse": (changed(weight_ih_l0_reverse=[1]), ArgumentError, "unknown: 'weight_ih_l0_reverse'"),
    "shape": (changed(weight_ih_l0=np.ones((16, 4))), ShapeError, r"weight_ih_l0: the array is \(16, 4\), the param"),
    "no numbers": (changed(bias_ih_l0=["a"] * 16), ArgumentError, "bias_ih_l0: expected real numbers"),
    "sum too large": (
        changed(bias_ih_l0=np.full(16, 3e38), bias_hh_l0=np.full(16, 3e38)), ArgumentError, "float32 cannot hold"
    ),
    "a prefix": (lambda s: {f"x.{key}": s[key] for key in s}, ArgumentError, "missing: .*unknown: 'x.weight_ih_l0'"),
    "another kind": (lambda state: state_of("GRU"), ShapeError, r"the array is \(12, 3\), the parameter is \(16, 3\)"),
    "a list": (lambda state: list(state), ArgumentTypeError, "expected a dict of names and arrays, got list"),
}  # fmt: skip


@pytest.mark.parametrize("change, kind, message", MISFITS.values(), ids=MISFITS)
def test_misfits_change_nothing(change, kind, message):
    network = lstm()
    before = network.param_collection().arrays()
    with pytest.raises(kind, match=f"^set_torch_weights: .*{message}"):
        dy.set_torch_weights(network, change(state_of("LSTM")))
    after = network.param_collection().arrays()
    assert all((before[key] == after[key]).all() for key in before)


def test_a_name_that_no_module_has():
    with pytest.raises(ArgumentError, match="^set_torch_weights: decoder: missing: 'weight_ih_l0', 'weight_hh_l0'"):
        dy.set_torch_weights(lstm(), {f"encoder.{key}": 0 for key in state_of("LSTM")}, "decoder")
    with pytest.raises(ArgumentError, match="^set_torch_weights: out: missing: 'bias'; unknown: nothing"):
        m = ParameterCollection()
        dy.set_torch_weights((m.add_parameters((2, 3)), m.add_parameters(2)), {"out.weight": np.ones((2, 3))}, "out")


def test_pairs_that_are_no_linear_layer():
    m = ParameterCollection()
    W, b = m.add_parameters((2, 3)), m.add_parameters(2)
    for pair in ((b, W), (W, W), (W, m.add_parameters(3))):
        with pytest.raises(ArgumentError, match=r"torch_weights: expected a matrix \(out, in\) and a vector \(out\)"):
            dy.torch_weights(pair)
