"""Recurrent cells stated as equations: values and gradients equal the reference, whatever parts the equations share."""

import numpy as np
import pytest

import dynet_ops as dy
from dynet_core import renew_cg
from dynet_core.errors import ArgumentError, ArgumentTypeError
from dynet_core.op import OPS
from dynet_kernels import formula as f
from dynet_kernels.formula import logistic, tanh
from dynet_ops.network.equations import cell_of_equations, split
from dynet_ops.network.recurrent import CELLS, cell
from dynet_ops.testing import check_op


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def minimal_gated(x, h, Wf, Uf, bf, Wh, Uh, bh):
    """Its gate is needed before the second product, and again after it."""
    k = logistic(bf + Wf @ x + Uf @ h)
    g = tanh(bh + Wh @ x + Uh @ (k * h))
    return h + k * (g - h)


def minimal_gated_reference(x, h, Wf, Uf, bf, Wh, Uh, bh):
    k = sigmoid(bf + Wf @ x + Uf @ h)
    return h + k * (np.tanh(bh + Wh @ x + Uh @ (k * h)) - h)


def raw_gate(x, h, W, U, b, V, R, d):
    """The first gate has no activation, and is read by both rules."""
    a = b + W @ x + U @ h
    return tanh(d + V @ x + R @ (a * h)) * a + a * a


def raw_gate_reference(x, h, W, U, b, V, R, d):
    a = b + W @ x + U @ h
    return np.tanh(d + V @ x + R @ (a * h)) * a + a * a


def two_uses(x, h, W, U, b):
    """Two activations of one gate."""
    a = b + W @ x + U @ h
    return tanh(a) * logistic(a) + h


def two_uses_reference(x, h, W, U, b):
    a = b + W @ x + U @ h
    return np.tanh(a) * sigmoid(a) + h


def complement(x, h, W, U, b):
    """Only 1 - logistic(a) is used."""
    i, g = split(b + W @ x + U @ h, 2)
    return (1 - logistic(i)) * tanh(g) + 0.5 * h


def complement_reference(x, h, W, U, b):
    i, g = np.split(b + W @ x + U @ h, 2)
    return (1 - sigmoid(i)) * np.tanh(g) + 0.5 * h


def two_products(x, h, W, U, b, V, P, d, R, Q, e):
    """Two rules before the last one; a product takes the result of one of them. All three read one gate."""
    r = logistic(b + W @ x + U @ h)
    s = tanh(d + V @ x + P @ (r * h))
    return tanh(e + R @ x + Q @ (s * r)) + s + 0.5 * r


def two_products_reference(x, h, W, U, b, V, P, d, R, Q, e):
    r = sigmoid(b + W @ x + U @ h)
    s = np.tanh(d + V @ x + P @ (r * h))
    return np.tanh(e + R @ x + Q @ (s * r)) + s + 0.5 * r


def without_products(x, h, W, b):
    return h + tanh(b + W @ x)


def without_products_reference(x, h, W, b):
    return h + np.tanh(b + W @ x)


def of_a_constant(x, h, W, U, V, b):
    """In the first step, the operand of the last product is known: it is 1."""
    return tanh(b + W @ x + U @ tanh(h) + V @ f.exp(h))


def of_a_constant_reference(x, h, W, U, V, b):
    return np.tanh(b + W @ x + U @ np.tanh(h) + V @ np.exp(h))


def constant_at_first(x, h, W, b):
    return tanh(b + W @ x) * h + 0.5


def constant_at_first_reference(x, h, W, b):
    return np.tanh(b + W @ x) * h + 0.5


def delayed(x, h, c, W, U, b):
    """In the first step, the new h is 0."""
    return c, tanh(b + W @ x + U @ h)


def delayed_reference(x, h, c, W, U, b):
    return c, np.tanh(b + W @ x + U @ h)


EQUATIONS = {
    function.__name__: (function, globals()[function.__name__ + "_reference"])
    for function in (
        minimal_gated, raw_gate, two_uses, complement, two_products, without_products, of_a_constant,
        constant_at_first, delayed,
    )
}  # fmt: skip


def state_of(function):
    return ("h", "c") if function is delayed else ("h",)


@pytest.mark.parametrize("name", EQUATIONS)
def test_values_and_gradients(name):
    function, reference = EQUATIONS[name]
    try:
        check_op(cell(state_of(function), reference=reference)(function))
    finally:
        del OPS[name], CELLS[name]


@pytest.mark.parametrize("name", [*EQUATIONS, "lstm_step", "coupled_lstm_step", "fast_lstm_step", "gru_step"])
def test_the_first_step_is_that_of_a_state_of_zeros(name):
    """In sequences there is no state before the first step, so terms that depend on it are left out."""
    from dynet_core.graph import current
    from dynet_core.graph.record import graph_of
    from dynet_ops.network.cells import sequence_signature

    function, _ = EQUATIONS.get(name, (None, None))
    found = CELLS[name] if function is None else cell_of_equations(f"first.{name}", function, state_of(function))
    random, n, m = np.random.default_rng(1), 3, 4
    arrays = {p: random.uniform(-1, 1, weight.dims(n, m)) for p, weight in found.parameters.items()}
    results = []
    for first in (True, False):
        renew_cg()
        dy.sum_elems(dy.esum([dy.inputVector([5.0] * 64) for _ in range(50)])).value()  # leaves nonzero memory
        renew_cg()
        x, zeros = dy.inputVector([0.5, -1.0, 2.0]), [dy.zeros(m) for _ in found.state]
        given = {p: dy.inputTensor(array) for p, array in arrays.items()}
        operands = [given[p] for p in (*found.pairs, *found.weights)]
        previous = () if first else tuple((1, 0) for _ in found.state)
        signature = sequence_signature(found, m, 1, previous, x.type, *[e.type for e in operands])
        places = [e.at for e in (*operands, *(() if first else zeros), x)]
        h = graph_of("step", [x]).add(signature.dim, 2, (signature.at, len(places)), places)
        value = h.npvalue()
        dy.sum_elems(dy.cmult(h, dy.inputVector([1.0, 2.0, -1.0, 0.5]))).backward(full=True)
        results.append([value, x.gradient(), *[given[p].gradient() for p in found.pairs]])
    assert current().records.length
    for one, other in zip(*results, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


WRONG = [
    (lambda x, h, W, U, b: tanh(W @ x + U @ h), r"one bias, one product of x.*; got W @ \.\.\. \+ U @ \.\.\.$"),
    (lambda x, h, W, U, b: tanh(b + U @ h), r"one bias, one product of x.*; got b \+ U @ \.\.\.$"),
    (lambda x, h, W, U, b: tanh(b + W @ x + b), "one bias|added to one sum"),
    (lambda x, h, W, U, b: (tanh(b + W @ x), h), "2 values are returned"),
    (lambda x, y, W, U, b: tanh(b + W @ x), "the parameters must be the input, the state h"),
    (lambda x, h, W, U, b: tanh(b + -W @ x), "^W is a parameter: .* as in -"),
    (lambda x, h, W, U, b: tanh(b + 2 * W @ x), "^W is a parameter: .* as in -"),
    (lambda x, h, W, U, b: tanh(W @ x - b), "^b is a parameter: .* as in -"),
    (lambda x, h, W, U, b: tanh(b + W @ x) * U, "^U is a parameter: .* as in -"),
    (lambda x, h, W, U, b: f.sum(tanh(b + W @ x + U @ h)), "f.sum is over a column"),
    (lambda x, h, W, U, b, Q: tanh(b + W @ x + U @ h), "no equation uses Q"),
    (
        lambda x, h, W, U, b=3: tanh(b + W @ x + U @ h),
        "^wrong: b=3: only numbers have defaults, and they are keyword-only",
    ),
    (lambda x, h, W, U, b: tanh(b + W @ x + h @ U), "^U is a parameter: .* as in -"),
    (lambda x, h, W, U, b: tanh(b + x @ W), "^x is the input: .* only in products W @ x, the matrix first$"),
    (lambda x, h, W, U, b: tanh(b + W @ x) + x, "^x is the input: .* only in products W @ x, the matrix first$"),
    (lambda x, h, W, U, b: tanh(x), "^x is the input: .* only in products W @ x, the matrix first$"),
    (lambda x, h, W, U, b: b + W @ (2 * -x), "^x is the input: .* only in products W @ x, the matrix first$"),
    (lambda x, h, W, b: tanh(b + W @ x + W @ h), "^wrong: W stands for parameters of two shapes"),
    (lambda x, h, U, b: tanh(b + b @ x + U @ h), "^wrong: b stands for parameters of two shapes"),
    (lambda x, h, W, b: tanh(b + W @ x + b @ h), "^wrong: b stands for parameters of two shapes"),
    (
        lambda x, h, W, U, b, c: sum(split(b + W @ x + U @ h, 2)) + tanh(c + W @ x),
        "^wrong: W stands for parameters of two shapes",
    ),
]


@pytest.mark.parametrize(("equations", "message"), WRONG)
def test_equations_of_another_form_are_refused(equations, message):
    with pytest.raises((TypeError, ArgumentError), match=message):
        cell_of_equations("wrong", equations, ("h",))


def of_own(factor):
    @cell(("h",), reference=lambda x, h, W, U, b: factor * np.tanh(b + W @ x + U @ h))
    def run_again(x, h, W, U, b):
        return factor * tanh(b + W @ x + U @ h)

    renew_cg()
    one, zero = dy.inputVector([0.5]), dy.zeros((1, 1))
    return run_again(one, one, zero, zero, one).value()


def test_a_cell_that_is_run_again_is_defined_anew():
    try:
        for factor in (1.0, 2.0, 1.0):
            assert of_own(factor) == pytest.approx(factor * np.tanh(0.5))
    finally:
        OPS.pop("run_again", None)
        CELLS.pop("run_again", None)


@pytest.mark.parametrize("reference", [None, 3])
def test_a_cell_needs_a_reference(reference):
    with pytest.raises(ArgumentTypeError, match="^<lambda>: reference must be a function of numpy vectors, not"):
        cell(("h",), reference=reference)(lambda x, h, W, U, b: tanh(b + W @ x + U @ h))
    assert "<lambda>" not in CELLS


def test_a_cell_has_a_state():
    with pytest.raises(
        TypeError, match=r"^wrong: the parameters must be the input, the state \(one name or more\), and"
    ):
        cell_of_equations("wrong", lambda x, b, W: tanh(b + W @ x), ())
