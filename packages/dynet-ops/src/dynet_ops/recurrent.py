"""The cells of recurrent networks. `cells` says how they are recorded; dynet_rnn builds networks of them.

In formulas, a gate's name is b + W x + ... before the rule that sets it, and its activation afterwards.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dynet_core.expression import Expression
from dynet_core.op import Sample, register
from dynet_kernels.formula import logistic, tanh

from .cells import Cell, Product, candidate_backward, output_backward, record_step


def _sigmoid(x):
    return 1 / (1 + np.exp(-x))


def _samples(shapes_of: Callable) -> list[Sample]:
    """Samples from a function of (input size, hidden size, batch of x, batch of the state)."""
    sizes = [(1, 1, 1, 1), (3, 4, 1, 1), (3, 2, 4, 4), (2, 3, 3, 1), (2, 5, 1, 2)]
    return [Sample(shapes_of(*some)) for some in sizes]


# ---------------------------------------------------------------------------------------------- simple networks
SIMPLE = Cell("simple_rnn", state=("h",), gates=("a",), weights=("W",), carries=False)
SIMPLE.first = [
    SIMPLE.rule("activation", lambda a: {"h": tanh(a)}, lambda h, dh: {"da": dh * (1 - h * h)}),
]
SIMPLE.following = [Product("W", "h_prev", "a"), *SIMPLE.first]


def simple_rnn_step(x: Expression, h: Expression, Wx: Expression, Wh: Expression, b: Expression) -> Expression:
    """A step of a simple recurrent network, h' = tanh(b + Wx x + Wh h).

    Args:
        x: the input (n,), h: the state before (m,), Wx: (m, n), Wh: (m, m), b: (m,).

    Source: Elman, "Finding structure in time", 1990.
    """
    return record_step("simple_rnn_step", SIMPLE, x, (h,), (b, Wx), (Wh,))


simple_rnn_step = register(
    simple_rnn_step,
    reference=lambda x, h, Wx, Wh, b: np.tanh(b + Wx @ x + Wh @ h),
    samples=_samples(lambda n, m, bx, bh: [((n,), bx), ((m,), bh), ((m, n), 1), ((m, m), 1), ((m,), 1)]),
)


# --------------------------------------------------------------------------------------- long short-term memory

LSTM = Cell("lstm", state=("h", "c"), gates=("i", "f", "o", "g"), weights=("W",))


def lstm_first(i, o, g):
    i, o, g = logistic(i), logistic(o), tanh(g)
    c = i * g
    return {"h": o * tanh(c), "c": c, "i": i, "o": o, "g": g}


def lstm_first_backward(c, i, o, g, dh, dc):
    dc_of_h, do = output_backward(c, o, dh)
    return {"do": do, **candidate_backward(i, g, dc + dc_of_h)}


def _lstm(i, f, o, g, c_prev):
    i, f, o, g = logistic(i), logistic(f + 1), logistic(o), tanh(g)
    c = f * c_prev + i * g
    return {"h": o * tanh(c), "c": c, "i": i, "f": f, "o": o, "g": g}


def _lstm_backward(c, i, f, o, g, c_prev, dh, dc):
    dc_of_h, do = output_backward(c, o, dh)
    dc = dc + dc_of_h
    return {"do": do, **candidate_backward(i, g, dc), "df": dc * c_prev * f * (1 - f), "dc_prev": dc * f}


def _lstm_first_backward(c, i, o, g, dh, dc):
    return {"df": 0.0, **lstm_first_backward(c, i, o, g, dh, dc)}


LSTM.first = [LSTM.rule("first", lstm_first, _lstm_first_backward, first=True)]
LSTM.following = [Product("W", "h_prev", "i"), LSTM.rule("following", _lstm, _lstm_backward)]


def lstm_step(x: Expression, h: Expression, c: Expression, Wx: Expression, Wh: Expression, b: Expression) -> Expression:
    """A step of a long short-term memory; the result is its h'.

    (i, f, o, g) = b + Wx x + Wh h, one under the other, then c' = s(f + 1) c + s(i) tanh(g), h' = s(o) tanh(c'),
    where s is the logistic function.

    Args:
        x: the input (n,), h and c: the state before (m,), Wx: (4m, n), Wh: (4m, m), b: (4m,).

    Source: Hochreiter and Schmidhuber, "Long short-term memory", 1997; forget gate: Gers et al., 2000.
    """
    return record_step("lstm_step", LSTM, x, (h, c), (b, Wx), (Wh,))


def _lstm_reference(x, h, c, Wx, Wh, b):
    i, f, o, g = np.split(b + Wx @ x + Wh @ h, 4)
    c = _sigmoid(f + 1) * c + _sigmoid(i) * np.tanh(g)
    return _sigmoid(o) * np.tanh(c)


lstm_step = register(
    lstm_step,
    reference=_lstm_reference,
    samples=_samples(
        lambda n, m, bx, bh: [
            ((n,), bx),
            ((m,), bh),
            ((m,), bh),
            ((4 * m, n), 1),
            ((4 * m, m), 1),
            ((4 * m,), 1),
        ]
    ),
)


# ---------------------------------------------------------------------------------------- gated recurrent units

GRU = Cell("gru", state=("h",), scratch=("p",), gates=("z", "r", "g"), weights=("Wz", "Wr", "Wg"))


def _gru_first(z, g):
    z, g = logistic(z), tanh(g)
    return {"h": z * g, "z": z, "g": g}


def _gru_first_backward(z, g, dh):
    return {"dz": dh * g * z * (1 - z), "dr": 0.0, "dg": dh * z * (1 - g * g)}


def _gru_reset(z, r, h_prev):
    z, r = logistic(z), logistic(r)
    return {"z": z, "r": r, "p": r * h_prev}


def _gru_reset_backward(r, h_prev, dp):
    return {"dr": dp * h_prev * r * (1 - r), "dh_prev": dp * r}


def _gru_update(z, g, h_prev):
    g = tanh(g)
    return {"h": h_prev + z * (g - h_prev), "g": g}


def _gru_update_backward(z, g, h_prev, dh):
    return {"dz": dh * (g - h_prev) * z * (1 - z), "dg": dh * z * (1 - g * g), "dh_prev": dh * (1 - z)}


GRU.first = [GRU.rule("first", _gru_first, _gru_first_backward, first=True)]
GRU.following = [
    Product("Wz", "h_prev", "z"),
    Product("Wr", "h_prev", "r"),
    GRU.rule("reset", _gru_reset, _gru_reset_backward),
    Product("Wg", "p", "g"),
    GRU.rule("update", _gru_update, _gru_update_backward),
]


def gru_step(
    x: Expression,
    h: Expression,
    Wzx: Expression,
    Wzh: Expression,
    bz: Expression,
    Wrx: Expression,
    Wrh: Expression,
    br: Expression,
    Whx: Expression,
    Whh: Expression,
    bh: Expression,
) -> Expression:
    """A step of a gated recurrent unit.

    z = s(bz + Wzx x + Wzh h), r = s(br + Wrx x + Wrh h), h' = (1 - z) h + z tanh(bh + Whx x + Whh (r h)), where s is
    the logistic function.

    Args:
        x: the input (n,), h: the state before (m,), W_x: (m, n), W_h: (m, m), b: (m,).

    Source: Cho et al., "Learning phrase representations using RNN encoder-decoder", 2014.
    """
    return record_step("gru_step", GRU, x, (h,), (bz, Wzx, br, Wrx, bh, Whx), (Wzh, Wrh, Whh))


def _gru_reference(x, h, Wzx, Wzh, bz, Wrx, Wrh, br, Whx, Whh, bh):
    z, r = _sigmoid(bz + Wzx @ x + Wzh @ h), _sigmoid(br + Wrx @ x + Wrh @ h)
    return (1 - z) * h + z * np.tanh(bh + Whx @ x + Whh @ (r * h))


gru_step = register(
    gru_step,
    reference=_gru_reference,
    samples=_samples(lambda n, m, bx, bh: [((n,), bx), ((m,), bh), *3 * [((m, n), 1), ((m, m), 1), ((m,), 1)]]),
)

# ------------------------------------------------------------------------------ coupled gates, with peepholes

COUPLED = Cell(
    "coupled_lstm",
    state=("h", "c"),
    gates=("i", "o", "g"),
    weights=("Wi", "Pi", "Wo", "Po", "Wg"),
    first_weights=("Po",),
)


def _coupled_first(i, g):
    i, g = logistic(i), tanh(g)
    return {"c": i * g, "i": i, "g": g}


def _coupled_memory(i, g, c_prev):
    i, g = logistic(i), tanh(g)
    return {"c": c_prev + i * (g - c_prev), "i": i, "g": g}


def _coupled_memory_backward(i, g, c_prev, dc):
    return {"di": dc * (g - c_prev) * i * (1 - i), "dg": dc * i * (1 - g * g), "dc_prev": dc * (1 - i)}


def _coupled_output(c, o):
    o = logistic(o)
    return {"h": o * tanh(c), "o": o}


def _coupled_output_backward(c, o, dh):
    dc, do = output_backward(c, o, dh)
    return {"do": do, "dc": dc}


_COUPLED_OUTPUT = COUPLED.rule("output", _coupled_output, _coupled_output_backward)
COUPLED.first = [
    COUPLED.rule("first", _coupled_first, candidate_backward, first=True),
    Product("Po", "c", "o"),
    _COUPLED_OUTPUT,
]
COUPLED.following = [
    Product("Wi", "h_prev", "i"),
    Product("Pi", "c_prev", "i"),
    Product("Wo", "h_prev", "o"),
    Product("Wg", "h_prev", "g"),
    COUPLED.rule("memory", _coupled_memory, _coupled_memory_backward),
    Product("Po", "c", "o"),
    _COUPLED_OUTPUT,
]


def coupled_lstm_step(
    x: Expression,
    h: Expression,
    c: Expression,
    Wix: Expression,
    Wih: Expression,
    Wic: Expression,
    bi: Expression,
    Wox: Expression,
    Woh: Expression,
    Woc: Expression,
    bo: Expression,
    Wcx: Expression,
    Wch: Expression,
    bc: Expression,
) -> Expression:
    """A step of an LSTM whose forget gate is 1 - i, with peepholes; the result is its h'.

    i = s(bi + Wix x + Wih h + Wic c), c' = (1 - i) c + i tanh(bc + Wcx x + Wch h),
    o = s(bo + Wox x + Woh h + Woc c'), h' = o tanh(c'), where s is the logistic function.

    Args:
        x: the input (n,), h and c: the state before (m,), W_x: (m, n), W_h and W_c: (m, m), b: (m,).

    Source: Greff et al., "LSTM: a search space odyssey", 2015; peepholes: Gers and Schmidhuber, 2000.
    """
    return record_step("coupled_lstm_step", COUPLED, x, (h, c), (bi, Wix, bo, Wox, bc, Wcx), (Wih, Wic, Woh, Woc, Wch))


def _coupled_reference(x, h, c, Wix, Wih, Wic, bi, Wox, Woh, Woc, bo, Wcx, Wch, bc):
    i = _sigmoid(bi + Wix @ x + Wih @ h + Wic @ c)
    c = (1 - i) * c + i * np.tanh(bc + Wcx @ x + Wch @ h)
    return _sigmoid(bo + Wox @ x + Woh @ h + Woc @ c) * np.tanh(c)


def _coupled_shapes(n, m, bx, bh):
    gate = [((m, n), 1), ((m, m), 1), ((m, m), 1), ((m,), 1)]
    return [((n,), bx), ((m,), bh), ((m,), bh), *gate, *gate, ((m, n), 1), ((m, m), 1), ((m,), 1)]


coupled_lstm_step = register(
    coupled_lstm_step,
    reference=_coupled_reference,
    samples=_samples(_coupled_shapes),
)

# --------------------------------------------------------------------------- coupled gates, without peepholes

FAST = Cell("fast_lstm", state=("h", "c"), gates=("i", "o", "g"), weights=("Wi", "Wo", "Wg"))


def _fast(i, o, g, c_prev):
    found = _coupled_memory(i, g, c_prev)
    return {**found, **_coupled_output(found["c"], o)}


def _fast_backward(c, i, o, g, c_prev, dh, dc):
    dc_of_h, do = output_backward(c, o, dh)
    return {"do": do, **_coupled_memory_backward(i, g, c_prev, dc + dc_of_h)}


FAST.first = [FAST.rule("first", lstm_first, lstm_first_backward, first=True)]
FAST.following = [
    Product("Wi", "h_prev", "i"),
    Product("Wo", "h_prev", "o"),
    Product("Wg", "h_prev", "g"),
    FAST.rule("following", _fast, _fast_backward),
]


def fast_lstm_step(
    x: Expression,
    h: Expression,
    c: Expression,
    Wix: Expression,
    Wih: Expression,
    bi: Expression,
    Wox: Expression,
    Woh: Expression,
    bo: Expression,
    Wcx: Expression,
    Wch: Expression,
    bc: Expression,
) -> Expression:
    """A step as `coupled_lstm_step`, without the peepholes Wic and Woc."""
    return record_step("fast_lstm_step", FAST, x, (h, c), (bi, Wix, bo, Wox, bc, Wcx), (Wih, Woh, Wch))


def _fast_reference(x, h, c, Wix, Wih, bi, Wox, Woh, bo, Wcx, Wch, bc):
    none = np.zeros_like(Wih)
    return _coupled_reference(x, h, c, Wix, Wih, none, bi, Wox, Woh, none, bo, Wcx, Wch, bc)


fast_lstm_step = register(
    fast_lstm_step,
    reference=_fast_reference,
    samples=_samples(
        lambda n, m, bx, bh: [((n,), bx), ((m,), bh), ((m,), bh), *3 * [((m, n), 1), ((m, m), 1), ((m,), 1)]]
    ),
)
