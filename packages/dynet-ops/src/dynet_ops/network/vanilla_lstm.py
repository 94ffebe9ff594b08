"""Operations that compute an LSTM step: the gates, then the cell state c and the output h.

For an output of h elements, the gates are one vector of size 4 h: the input gate i, the forget gate f, the output gate
o and the candidate g. Source: Hochreiter and Schmidhuber, "Long short-term memory", 1997.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..declare import *
from ..elementwise.arithmetic import cmult
from ..matrix.products import affine_transform
from ..random.draws import noise
from ..shape.joining import concatenate
from .equations import Equations, forward_and_backward_formulas, symbols
from .recurrent import CELLS, sigmoid

FORGET_BIAS = CELLS["lstm_step"].numbers["forget_bias"]
_GATES = ("i", "f", "o", "g")


def _signature_of_sections(
    name: str, sections: Sequence[str], operands: Mapping[str, Sequence[str]], equations: Callable[..., Equations]
) -> Callable[..., Signature]:
    """Add kernels of an op whose operands and result are vectors of equal sections, and return the op's `signature_of`.

    `operands` maps an operand to its sections' names, with "" for a section that is not read. `equations` takes the
    sections that are read, in order, and returns the formulas of the result's `sections`, by name.
    """
    read = [section for names in operands.values() for section in names if section]
    forward, backward = forward_and_backward_formulas(equations(*symbols(*read)))
    KERNELS.add(name, Rule((*sections, *read), forward))
    for operand, names in operands.items():
        KERNELS.add(f"{name}.d{operand}", Rule((*sections, *read), {f"d{p}": backward[f"d{p}"] for p in names if p}))

    @by_plain_dims
    def signature_of(*dims: Dim) -> Signature:
        size, batch = dims[0].rows // len(next(iter(operands.values()))), common_batch(name, dims)
        views = [View(SELF, k * size, len(sections) * size) for k in range(len(sections))]
        for index, (dim, names) in enumerate(zip(dims, operands.values())):
            if dim.columns != 1 or dim.rows != len(names) * size:
                raise ShapeError(f"{name}: gates_t must be four times the cell: {described(dims)}")
            stride = batch_stride(dim)
            views += [View(index, k * size, stride) for k, section in enumerate(names) if section]
        return Signature(
            Dim.of((len(sections) * size,), batch),
            operands=len(dims),
            columns=batch,
            views=views,
            forward=[Step(name, (size,))],
            backward=[Step(f"{name}.d{operand}", (size,), gradient_of=k) for k, operand in enumerate(operands)],
        )

    return signature_of


def _activations(zi, zf, zo, zg):
    return {"i": f.logistic(zi), "f": f.logistic(zf + FORGET_BIAS), "o": f.logistic(zo), "g": f.tanh(zg)}


_activate = one_operand(
    "vanilla_lstm_gates",
    _signature_of_sections("vanilla_lstm_gates", _GATES, {"z": ("zi", "zf", "zo", "zg")}, _activations),
)


def _record_gates(
    name: str,
    xs: Sequence[Expression],
    h: Expression,
    weights: Sequence[Expression],
    weightnoise_std: Number,
    masks: Sequence[Expression] = (),
) -> Expression:
    """Record the gates of an LSTM step. `masks` are for the concatenated inputs and h; () for no dropout."""
    operands = (*xs, h, *weights, *masks)
    graph_of(name, operands)
    deviation = finite(name, "weightnoise_std", weightnoise_std)
    if deviation < 0:
        raise ArgumentError(f"{name}: weightnoise_std must be at least 0, got {deviation}")
    Wx, Wh, b = weights
    n, m = sum(x.type.rows for x in xs), h.type.rows
    gates = 4 * m
    common_batch(name, [x.type for x in operands])
    vectors = [*[(x, x.type.rows) for x in xs], (h, m), (b, gates), *zip(masks, (n, m))]
    wanted = [*[(x, size, size) for x, size in vectors], (Wx, gates, gates * n), (Wh, gates, gates * m)]
    if any((x.type.rows, x.type.size) != (rows, size) for x, rows, size in wanted):
        raise ShapeError(
            f"{name}: for a state of {m} and inputs of {n}, Wx is ({gates}, {n}), Wh ({gates}, {m}), b ({gates},), and "
            f"masks ({n},) and ({m},): x_t, h_tm1, Wx, Wh, b{', masks' if masks else ''} are "
            f"{described([x.type for x in operands])}"
        )
    if deviation:
        Wx, Wh, b = [noise(weight, deviation) for weight in weights]
    x = concatenate(xs) if len(xs) > 1 else xs[0]
    if masks:
        x, h = cmult(x, masks[0]), cmult(h, masks[1])
    return _activate(affine_transform([b, Wx, x, Wh, h]))


def _gates_reference(x, h, Wx, Wh, b, mask_x=1.0, mask_h=1.0):
    i, forget, o, g = np.split(Wx @ (x * mask_x) + Wh @ (h * mask_h) + b, 4)
    return np.concatenate([sigmoid(i), sigmoid(forget + FORGET_BIAS), sigmoid(o), np.tanh(g)])


@recorded(
    reference=_gates_reference,
    samples="1 1 4x1 4x1 4; 3*3 5 20x3 20x5 20; 7*2 2*2 8x7 8x2 8; 9 17*2 68x9 68x17 68*2; 2 3*3 12x2*3 12x3 12; "
    "2 3 12x2 12x3*2 12",
)
def vanilla_lstm_gates(
    x_t: Expression, h_tm1: Expression, Wx: Expression, Wh: Expression, b: Expression, weightnoise_std: Number = 0.0
) -> Expression:
    """The gates of an LSTM step, computed from z = Wx x_t + Wh h_tm1 + b.

    With z divided into four parts, i = logistic(z_1), f = logistic(z_2 + 1), o = logistic(z_3), g = tanh(z_4). The
    result has i, f, o and g in one vector of size 4 h.

    Args:
        x_t: the input, a vector of size n.
        h_tm1: the previous output, a vector of size h.
        Wx, Wh, b: of dimensions (4 h, n), (4 h, h) and (4 h,).
        weightnoise_std: the standard deviation of noise that is added to Wx, Wh and b, for training; 0 for none.

    >>> x, h, b = inputVector([0]), inputVector([0]), inputVector([0, -1, 0, 0])
    >>> vanilla_lstm_gates(x, h, zeros((4, 1)), zeros((4, 1)), b).value()
    [0.5, 0.5, 0.5, 0.0]
    """
    return _record_gates("vanilla_lstm_gates", [x_t], h_tm1, (Wx, Wh, b), weightnoise_std)


def vanilla_lstm_gates_concat(
    x_t: Iterable[Expression],
    h_tm1: Expression,
    Wx: Expression,
    Wh: Expression,
    b: Expression,
    weightnoise_std: Number = 0.0,
) -> Expression:
    """The gates of an LSTM step with several inputs, which are concatenated.

    `x_t` is a list of vectors, whose sizes add up to n. Everything else is as for `vanilla_lstm_gates`.

    >>> one, h, b = inputVector([0]), inputVector([0]), inputVector([0, -1, 0, 0])
    >>> vanilla_lstm_gates_concat([one, one], h, zeros((4, 2)), zeros((4, 1)), b).value()
    [0.5, 0.5, 0.5, 0.0]
    """
    xs = listed("vanilla_lstm_gates_concat", x_t)
    return _record_gates("vanilla_lstm_gates_concat", xs, h_tm1, (Wx, Wh, b), weightnoise_std)


@recorded(
    reference=_gates_reference,
    samples="1 1 4x1 4x1 4 1 1; 3*3 5 20x3 20x5 20 3 5*3; 7*2 2*2 8x7 8x2 8 7*2 2*2; 9 17*2 68x9 68x17 68 9*2 17",
)
def vanilla_lstm_gates_dropout(
    x_t: Expression,
    h_tm1: Expression,
    Wx: Expression,
    Wh: Expression,
    b: Expression,
    dropout_mask_x: Expression,
    dropout_mask_h: Expression,
    weightnoise_std: Number = 0.0,
) -> Expression:
    """The same as `vanilla_lstm_gates`, but `x_t` and `h_tm1` are first multiplied by dropout masks of equal size.

    Source: Gal and Ghahramani, "A theoretically grounded application of dropout in recurrent neural networks", 2016.

    >>> x, h, b = inputVector([0]), inputVector([0]), inputVector([0, -1, 0, 0])
    >>> mask = inputVector([1])
    >>> vanilla_lstm_gates_dropout(x, h, zeros((4, 1)), zeros((4, 1)), b, mask, mask).value()
    [0.5, 0.5, 0.5, 0.0]
    """
    masks = dropout_mask_x, dropout_mask_h
    return _record_gates("vanilla_lstm_gates_dropout", [x_t], h_tm1, (Wx, Wh, b), weightnoise_std, masks)


def vanilla_lstm_gates_dropout_concat(
    x_t: Iterable[Expression],
    h_tm1: Expression,
    Wx: Expression,
    Wh: Expression,
    b: Expression,
    dropout_mask_x: Expression,
    dropout_mask_h: Expression,
    weightnoise_std: Number = 0.0,
) -> Expression:
    """The same as `vanilla_lstm_gates_concat`, but the inputs and `h_tm1` are first multiplied by dropout masks.

    `dropout_mask_x` has the size of all inputs together, `dropout_mask_h` the size of `h_tm1`.

    >>> one, h, b = inputVector([0]), inputVector([0]), inputVector([0, -1, 0, 0])
    >>> Wx, Wh = zeros((4, 2)), zeros((4, 1))
    >>> vanilla_lstm_gates_dropout_concat([one, one], h, Wx, Wh, b, inputVector([1, 1]), inputVector([1])).value()
    [0.5, 0.5, 0.5, 0.0]
    """
    name = "vanilla_lstm_gates_dropout_concat"
    masks = dropout_mask_x, dropout_mask_h
    return _record_gates(name, listed(name, x_t), h_tm1, (Wx, Wh, b), weightnoise_std, masks)


def _register_concat(function: Callable[..., Expression], other_count: int, sample_text: str) -> None:
    """Register an op for tests, which pass all operands as one list. The last `other_count` are not inputs."""

    def from_list(operands):
        return function(operands[:-other_count], *operands[-other_count:])

    def reference(*operands):
        return _gates_reference(np.concatenate(operands[:-other_count]), *operands[-other_count:])

    from_list.__name__ = function.__name__
    register(from_list, reference=reference, samples=sample_text)


_register_concat(
    vanilla_lstm_gates_concat,
    4,
    "[1 1 4x1 4x1 4]; [3*3 2 5 20x5 20x5 20]; [3*2 1 17*2 2 8x21 8x2 8]; [2*2 2 17*2 68x4*2 68x17 68*2]",
)
_register_concat(
    vanilla_lstm_gates_dropout_concat,
    6,
    "[1 1 4x1 4x1 4 1 1]; [3*3 2 5 20x5 20x5 20 5 5*3]; [3*2 1 17*2 2 8x21 8x2 8 21*2 2]; "
    "[2 2 17 68x4 68x17 68 4*2 17*2]",
)

_STATE_SAMPLES = "1 4; 5*3 20; 17 68*2; 33*2 132*2"


def _cell_reference(c, gates):
    i, forget, _, g = np.split(gates, 4)
    return i * g + forget * c


_cell_signature = _signature_of_sections(
    "vanilla_lstm_c", ("y",), {"c": ("c",), "gates": ("i", "f", "", "g")}, lambda c, i, f, g: {"y": i * g + f * c}
)
_output_signature = _signature_of_sections(
    "vanilla_lstm_h", ("y",), {"c": ("c",), "gates": ("", "", "o", "")}, lambda c, o: {"y": o * f.tanh(c)}
)


@op(two_operands("vanilla_lstm_c", _cell_signature), reference=_cell_reference, samples=_STATE_SAMPLES)
def vanilla_lstm_c(c_tm1: Expression, gates_t: Expression) -> Expression:
    """The cell state of an LSTM step, c_t = i g + f c_tm1.

    Args:
        c_tm1: the previous cell state, a vector of size h.
        gates_t: the gates i, f, o and g in one vector of size 4 h, as `vanilla_lstm_gates` returns them.

    >>> vanilla_lstm_c(inputVector([2]), inputVector([0.5, 1, 0, 3])).value()
    3.5
    """
    ...


@op(
    two_operands("vanilla_lstm_h", _output_signature),
    reference=lambda c, gates: np.split(gates, 4)[2] * np.tanh(c),
    samples=_STATE_SAMPLES,
)
def vanilla_lstm_h(c_t: Expression, gates_t: Expression) -> Expression:
    """The output of an LSTM step, h_t = o tanh(c_t).

    Args:
        c_t: the cell state, a vector of size h.
        gates_t: the gates i, f, o and g in one vector of size 4 h, as `vanilla_lstm_gates` returns them.

    >>> vanilla_lstm_h(inputVector([0]), inputVector([0.5, 1, 0, 3])).value()
    0.0
    """
    ...


__all__ = [
    "vanilla_lstm_c",
    "vanilla_lstm_gates",
    "vanilla_lstm_gates_concat",
    "vanilla_lstm_gates_dropout",
    "vanilla_lstm_gates_dropout_concat",
    "vanilla_lstm_h",
]
