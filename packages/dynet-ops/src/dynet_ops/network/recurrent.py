"""The equations of recurrent cells (simple RNN, LSTM, GRU and variants), from which dynet_rnn builds networks."""

from __future__ import annotations

from dynet_kernels.formula import logistic, tanh

from ..declare import *
from .cells import record_step
from .equations import Cell, cell_of_equations, split

CELLS: dict[str, Cell] = {}
"""All recurrent cells, by the names of their ops, such as "lstm_step"."""


def cell(state: Sequence[str], *, reference: Callable[..., Any]) -> Callable[[Function], Function]:
    """Return a decorator that turns a function with the equations of a recurrent step into an op.

    The arguments of the function are the input, the previous state and the weights, and as keyword-only arguments,
    plain numbers. It returns the new state. See `cell_of_equations` for what the equations may contain. The op has the
    same arguments without the numbers. It computes the whole new state, but returns only its first value, such as h.

    Args:
        state: the names of the values of the state, such as h and c.
        reference: the same function of numpy vectors, for tests. It also takes the numbers.
    """

    def decorate(function: Function) -> Function:
        name = function.__name__
        if not callable(reference):
            raise ArgumentTypeError(f"{name}: reference must be a function of numpy vectors, not {reference!r:.60}")
        new_cell = cell_of_equations(name.removesuffix("_step"), function, state)
        numpy_step = new_cell.reference = functools.partial(reference, **new_cell.numbers)
        offset, names = 1 + len(state), [*new_cell.parameters]
        indices = [offset + names.index(parameter) for parameter in (*new_cell.pairs, *new_cell.weights)]

        @functools.wraps(function)
        def record(*operands: Expression) -> Expression:
            return record_step(name, new_cell, operands[0], operands[1:offset], [operands[index] for index in indices])

        def first_value(*operands):
            result = numpy_step(*operands)
            return result[0] if isinstance(result, tuple) else result

        step = register(record, reference=first_value, samples=_samples(new_cell))
        CELLS[name] = new_cell
        return step  # type: ignore[return-value]

    return decorate


def _samples(new_cell: Cell) -> list[Sample]:
    weights = new_cell.parameters.values()
    return [
        Sample([((n,), inputs), *[((m,), states)] * len(new_cell.state), *[(w.dims(n, m), 1) for w in weights]])
        for n, m, inputs, states in [(1, 1, 1, 1), (3, 4, 1, 1), (3, 2, 4, 4), (2, 3, 3, 1), (2, 5, 1, 2)]
    ]


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


@cell(("h",), reference=lambda x, h, Wx, Wh, b: np.tanh(b + Wx @ x + Wh @ h))
def simple_rnn_step(x, h, Wx, Wh, b):
    """A step of a simple recurrent network, h' = tanh(b + Wx x + Wh h).

    x has size n, h size m. Wx, Wh and b have the dimensions (m, n), (m, m) and (m,).

    Source: Elman, "Finding structure in time", 1990.
    """
    return tanh(b + Wx @ x + Wh @ h)


def _lstm_reference(x, h, c, Wx, Wh, b, forget_bias):
    i, f, o, g = np.split(b + Wx @ x + Wh @ h, 4)
    c = sigmoid(f + forget_bias) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


@cell(("h", "c"), reference=_lstm_reference)
def lstm_step(x, h, c, Wx, Wh, b, *, forget_bias=1.0):
    """A step of a long short-term memory (LSTM) with the state h and c; the result is the new h.

    The rows of b + Wx x + Wh h are the gates i, f, o and g, in this order, with m rows each. The new state is
    c' = s(f + forget_bias) c + s(i) tanh(g) and h' = s(o) tanh(c'), where s is the logistic function. x has size n, h
    and c have size m. Wx, Wh and b have the dimensions (4m, n), (4m, m) and (4m,).

    Source: Hochreiter and Schmidhuber, "Long short-term memory", 1997; forget gate: Gers et al., 2000.
    """
    i, f, o, g = split(b + Wx @ x + Wh @ h, 4)
    c = logistic(f + forget_bias) * c + logistic(i) * tanh(g)
    return logistic(o) * tanh(c), c


def _gru_reference(x, h, Wzx, Wzh, bz, Wrx, Wrh, br, Whx, Whh, bh):
    z, r = sigmoid(bz + Wzx @ x + Wzh @ h), sigmoid(br + Wrx @ x + Wrh @ h)
    return (1 - z) * h + z * np.tanh(bh + Whx @ x + Whh @ (r * h))


@cell(("h",), reference=_gru_reference)
def gru_step(x, h, Wzx, Wzh, bz, Wrx, Wrh, br, Whx, Whh, bh):
    """A step of a gated recurrent unit (GRU), h' = (1 - z) h + z tanh(bh + Whx x + Whh (r h)).

    z = s(bz + Wzx x + Wzh h) and r = s(br + Wrx x + Wrh h), where s is the logistic function. x has size n, h size m.
    Wzx, Wrx and Whx have dimensions (m, n), all other matrices (m, m).

    Source: Cho et al., "Learning phrase representations using RNN encoder-decoder", 2014.
    """
    z = logistic(bz + Wzx @ x + Wzh @ h)
    r = logistic(br + Wrx @ x + Wrh @ h)
    g = tanh(bh + Whx @ x + Whh @ (r * h))
    return h + z * (g - h)


def _coupled_lstm_reference(x, h, c, Wix, Wih, Wic, bi, Wox, Woh, Woc, bo, Wcx, Wch, bc):
    i = sigmoid(bi + Wix @ x + Wih @ h + Wic @ c)
    c = (1 - i) * c + i * np.tanh(bc + Wcx @ x + Wch @ h)
    return sigmoid(bo + Wox @ x + Woh @ h + Woc @ c) * np.tanh(c), c


@cell(("h", "c"), reference=_coupled_lstm_reference)
def coupled_lstm_step(x, h, c, Wix, Wih, Wic, bi, Wox, Woh, Woc, bo, Wcx, Wch, bc):
    """A step of an LSTM whose forget gate is 1 - i, and whose gates also read c (peepholes); the result is the new h.

    i = s(bi + Wix x + Wih h + Wic c), c' = (1 - i) c + i tanh(bc + Wcx x + Wch h),
    o = s(bo + Wox x + Woh h + Woc c'), h' = o tanh(c'), where s is the logistic function. x has size n, h and c have
    size m. Wix, Wox and Wcx have dimensions (m, n), all other matrices (m, m).

    Source: Greff et al., "LSTM: a search space odyssey", 2015; peepholes: Gers and Schmidhuber, 2000.
    """
    i = logistic(bi + Wix @ x + Wih @ h + Wic @ c)
    g = tanh(bc + Wcx @ x + Wch @ h)
    c = c + i * (g - c)
    o = logistic(bo + Wox @ x + Woh @ h + Woc @ c)
    return o * tanh(c), c


def _fast_lstm_reference(x, h, c, Wix, Wih, bi, Wox, Woh, bo, Wcx, Wch, bc):
    no_peepholes = np.zeros_like(Wih)
    return _coupled_lstm_reference(x, h, c, Wix, Wih, no_peepholes, bi, Wox, Woh, no_peepholes, bo, Wcx, Wch, bc)


@cell(("h", "c"), reference=_fast_lstm_reference)
def fast_lstm_step(x, h, c, Wix, Wih, bi, Wox, Woh, bo, Wcx, Wch, bc):
    """A step of an LSTM whose forget gate is 1 - i: `coupled_lstm_step` without the peepholes Wic c and Woc c'."""
    i = logistic(bi + Wix @ x + Wih @ h)
    g = tanh(bc + Wcx @ x + Wch @ h)
    o = logistic(bo + Wox @ x + Woh @ h)
    c = c + i * (g - c)
    return o * tanh(c), c
