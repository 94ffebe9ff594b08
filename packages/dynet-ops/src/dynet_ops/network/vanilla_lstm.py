"""Operations that compute the gates of an LSTM step.

If the output of a step has h elements, the gates are one vector of size 4 h: the input gate i, the forget gate f, the
output gate o and the candidate g, in this order. The operations in `vanilla_lstm_state.py` compute the new state from
them. A `Signature` says how a node of the graph is computed.

Source: Hochreiter and Schmidhuber, "Long short-term memory", 1997.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from dynet_core.annotations import Number
from dynet_core.dim import Dim
from dynet_core.errors import ArgumentError, ShapeError
from dynet_core.expression import Expression
from dynet_core.op import Sample, recorded, register
from dynet_core.record import common_batch, described, graph_of, many_operands
from dynet_core.signature import Signature, Step, View, copy_step
from dynet_kernels import formula as f
from dynet_kernels.families.rules import Rule
from dynet_kernels.formula import Symbol
from dynet_kernels.layout import ANY_OPERAND, SELF
from dynet_kernels.table import KERNELS

from ..elementwise.arithmetic import cmult
from ..matrix.products import gradient_of, is_shared, product_steps, value_of
from ..operands import listed
from ..random.draws import noise
from ..select.picking import pickrange
from ..with_number import finite
from .equations import Equations, rules, symbols

_GATES = ("i", "f", "o", "g")
_SUMS = ("zi", "zf", "zo", "zg")


def _activations(zi: Symbol, zf: Symbol, zo: Symbol, zg: Symbol) -> Equations:
    return {"i": f.logistic(zi), "f": f.logistic(zf + 1), "o": f.logistic(zo), "g": f.tanh(zg)}


_forward, _backward = rules(_activations(*symbols(*_SUMS)))
KERNELS.add("vanilla_lstm_gates", Rule(_GATES + _SUMS, _forward))
KERNELS.add("vanilla_lstm_gates.backward", Rule(_GATES + _SUMS, _backward))
_B, _WX, _WH, _H, _X = range(5)  # the numbers of a node's operands; from _X on, they are one or more inputs


def _gates_signature(*dims: Dim) -> Signature:
    """Return the signature (shape and kernels) of a node that computes the gates of an LSTM step.

    The memory of the node holds the gates, and after them the sums b + Wx x + Wh h from which it computes the gates.

    Args:
        dims: the shapes of b, Wx, Wh, the previous output h, and one or more inputs. Several inputs are treated as if
            they were concatenated: the first columns of Wx multiply the first input, the next columns the second one.
    """
    name = "vanilla_lstm_gates"
    b, Wx, Wh, h, *xs = dims
    batch, hidden = common_batch(name, dims), h.rows
    gates = 4 * hidden

    def view(operand: int, offset: int = 0) -> View:
        dim = dims[operand]
        return View(operand, offset=offset, stride=dim.size if dim.batch > 1 else 0)

    sums = gates * batch
    views = [View(SELF, offset=k * hidden, stride=gates) for k in range(4)]
    views += [View(SELF, offset=sums + k * hidden, stride=gates) for k in range(4)]
    z = 4
    views += [view(_B), view(_H), view(_WH)]
    start = value_of(len(views) - 3)
    products = [(Wh, len(views) - 1, len(views) - 2, (_WH, _H))]
    offset = 0
    for k, x in enumerate(xs):
        views += [view(_X + k), view(_WX, offset * gates)]
        part = Dim.of((gates, x.rows), Wx.batch)
        products.append((part.own() if is_shared(Wx) else part, len(views) - 1, len(views) - 2, (_WX, _X + k)))
        offset += x.rows
    forward, backward, deferred = [], [], []
    for matrix, w, x, operands in products:
        step, now, later = product_steps(matrix, w, x, z, start, 1 if matrix.batch > 1 else batch, operands)
        start = value_of(z)
        forward.append(step)
        backward += now
        deferred += later
    forward.append(Step("vanilla_lstm_gates", (hidden,)))
    to_bias = copy_step("accumulate", gradient_of(8), gradient_of(z), gates, gradient_of=_B)
    (deferred if is_shared(b) and is_shared(Wx) and is_shared(Wh) else backward).append(to_bias)
    return Signature(
        Dim.of((gates,), batch),
        name=name,
        operands=len(dims),
        size=2 * sums,
        columns=batch,
        views=views,
        forward=forward,
        backward=[Step("vanilla_lstm_gates.backward", (hidden,), ANY_OPERAND), *backward],
        deferred=deferred,
    )


_gates = many_operands("vanilla_lstm_gates", _gates_signature)


def _checked(name: str, b: Dim, Wx: Dim, Wh: Dim, h: Dim, xs: Sequence[Dim], masks: Sequence[Dim] = ()) -> None:
    """Raise ShapeError if the shapes of the operands of an LSTM step do not fit together.

    Args:
        name: the name of the op, for the message.
        b, Wx, Wh, h: the shapes of the weights and of the previous output.
        xs: the shapes of the inputs.
        masks: the shapes of the dropout masks, if any: one for all inputs together, and one for h.
    """
    hidden, inputs = h.rows, sum(x.rows for x in xs)
    common_batch(name, (b, Wx, Wh, h, *xs, *masks))
    vectors = [(b, 4 * hidden), (h, hidden), *[(x, x.rows) for x in xs], *zip(masks, (inputs, hidden))]
    matrices = [(Wx, inputs), (Wh, hidden)]
    if not (
        all((dim.size, dim.rows) == (size, size) for dim, size in vectors)
        and all((dim.size, dim.rows) == (4 * hidden * size, 4 * hidden) for dim, size in matrices)
    ):
        raise ShapeError(
            f"{name}: for a state of {hidden} and inputs of {inputs}, Wx is ({4 * hidden}, {inputs}), Wh "
            f"({4 * hidden}, {hidden}), b ({4 * hidden},), and masks ({inputs},) and ({hidden},): "
            f"x_t, h_tm1, Wx, Wh, b{', masks' if masks else ''} are {described((*xs, h, Wx, Wh, b, *masks))}"
        )


def _record(
    name: str,
    xs: Sequence[Expression],
    h: Expression,
    weights: tuple[Expression, Expression, Expression],
    weightnoise_std: Number,
    masks: tuple[Expression, ...] = (),
) -> Expression:
    """Check the operands, add the nodes that compute the gates of an LSTM step to the graph, and return the gates.

    Args:
        name: the name of the op, for messages.
        xs: the inputs.
        h: the previous output.
        weights: b, Wx and Wh.
        weightnoise_std: the standard deviation of the noise that is added to the weights; 0 for none.
        masks: two dropout masks, one for the concatenation of all inputs and one for h; () for no dropout.
    """
    graph_of(name, (*xs, h, *weights, *masks))
    deviation = finite(name, "weightnoise_std", weightnoise_std)
    if deviation < 0:
        raise ArgumentError(f"{name}: weightnoise_std must be at least 0, got {deviation}")
    b, Wx, Wh = [weight.type for weight in weights]
    _checked(name, b, Wx, Wh, h.type, [x.type for x in xs], [mask.type for mask in masks])
    noisy = [noise(weight, deviation) for weight in weights] if deviation else weights
    if masks:
        mask_x, mask_h = masks
        h, start, masked = cmult(h, mask_h), 0, []
        for x in xs:
            part = mask_x if len(xs) == 1 else pickrange(mask_x, start, start + x.type.rows)
            masked.append(cmult(x, part))
            start += x.type.rows
        xs = masked
    return _gates((*noisy, h, *xs))


def vanilla_lstm_gates_concat(
    x_t: Iterable[Expression],
    h_tm1: Expression,
    Wx: Expression,
    Wh: Expression,
    b: Expression,
    weightnoise_std: Number = 0.0,
) -> Expression:
    """The gates of an LSTM step with several inputs. They are treated as if concatenated, but are not copied.

    Args:
        x_t: the inputs: a list of vectors, whose sizes may differ.
        h_tm1, Wx, Wh, b, weightnoise_std: as for `vanilla_lstm_gates`, where n is the size of all inputs together.

    >>> one, h, b = inputVector([0]), inputVector([0]), inputVector([0, -1, 0, 0])
    >>> vanilla_lstm_gates_concat([one, one], h, zeros((4, 2)), zeros((4, 1)), b).value()
    [0.5, 0.5, 0.5, 0.0]
    """
    xs = listed("vanilla_lstm_gates_concat", x_t)
    return _record("vanilla_lstm_gates_concat", xs, h_tm1, (b, Wx, Wh), weightnoise_std)


def _logistic(x):
    return 1 / (1 + np.exp(-x))


def _gates_reference(x, h, Wx, Wh, b, mask_x=1.0, mask_h=1.0):
    i, forget, o, g = np.split(Wx @ (x * mask_x) + Wh @ (h * mask_h) + b, 4)
    return np.concatenate([_logistic(i), _logistic(forget + 1), _logistic(o), np.tanh(g)])


def _shapes(inputs: int, hidden: int, batches: Sequence[int], masks: Sequence[int] = ()):
    """Return a list with (dims, batch size) of x_t, h_tm1, Wx, Wh, b and the masks, if any, for a test call.

    Args:
        inputs: the size of x_t.
        hidden: the size of h_tm1.
        batches: the batch sizes of x_t, h_tm1, Wx, Wh and b.
        masks: the batch sizes of the masks, if any.
    """
    gates = 4 * hidden
    dims = [(inputs,), (hidden,), (gates, inputs), (gates, hidden), (gates,)]
    shapes = list(zip(dims, batches))
    return shapes + [(dims[k], batch) for k, batch in enumerate(masks)]


@recorded(
    reference=_gates_reference,
    samples=[
        Sample(_shapes(1, 1, (1, 1, 1, 1, 1))),
        Sample(_shapes(3, 5, (3, 1, 1, 1, 1))),
        Sample(_shapes(7, 2, (2, 2, 1, 1, 1))),
        Sample(_shapes(9, 17, (1, 2, 1, 1, 2))),
        Sample(_shapes(2, 3, (1, 3, 3, 1, 1))),
        Sample(_shapes(2, 3, (1, 1, 1, 2, 1))),
    ],
)
def vanilla_lstm_gates(
    x_t: Expression, h_tm1: Expression, Wx: Expression, Wh: Expression, b: Expression, weightnoise_std: Number = 0.0
) -> Expression:
    """The gates of an LSTM step, computed from z = Wx x_t + Wh h_tm1 + b.

    With z divided into four parts, i = logistic(z_1), f = logistic(z_2 + 1), o = logistic(z_3), g = tanh(z_4).

    Args:
        x_t: the input, a vector of size n.
        h_tm1: the previous output, a vector of size h.
        Wx, Wh, b: of dimensions (4 h, n), (4 h, h) and (4 h,).
        weightnoise_std: the standard deviation of noise that is added to Wx, Wh and b, for training; 0 for none.

    Returns:
        i, f, o and g as one vector of size 4 h.

    >>> x, h, b = inputVector([0]), inputVector([0]), inputVector([0, -1, 0, 0])
    >>> vanilla_lstm_gates(x, h, zeros((4, 1)), zeros((4, 1)), b).value()
    [0.5, 0.5, 0.5, 0.0]
    """
    return _record("vanilla_lstm_gates", [x_t], h_tm1, (b, Wx, Wh), weightnoise_std)


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

    Args:
        x_t, h_tm1, Wx, Wh, b, weightnoise_std: as for `vanilla_lstm_gates_concat`.
        dropout_mask_x: a vector of the size of all inputs together, which multiplies their concatenation.
        dropout_mask_h: a vector of the size of `h_tm1`, which multiplies it.

    >>> one, h, b = inputVector([0]), inputVector([0]), inputVector([0, -1, 0, 0])
    >>> Wx, Wh = zeros((4, 2)), zeros((4, 1))
    >>> vanilla_lstm_gates_dropout_concat([one, one], h, Wx, Wh, b, inputVector([1, 1]), inputVector([1])).value()
    [0.5, 0.5, 0.5, 0.0]
    """
    name = "vanilla_lstm_gates_dropout_concat"
    masks = dropout_mask_x, dropout_mask_h
    return _record(name, listed(name, x_t), h_tm1, (b, Wx, Wh), weightnoise_std, masks)


@recorded(
    reference=_gates_reference,
    samples=[
        Sample(_shapes(1, 1, (1, 1, 1, 1, 1), (1, 1))),
        Sample(_shapes(3, 5, (3, 1, 1, 1, 1), (1, 3))),
        Sample(_shapes(7, 2, (2, 2, 1, 1, 1), (2, 2))),
        Sample(_shapes(9, 17, (1, 1, 1, 1, 1), (2, 1))),
    ],
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
    return _record("vanilla_lstm_gates_dropout", [x_t], h_tm1, (b, Wx, Wh), weightnoise_std, masks)


def _from_list(name: str, others: int, record):
    """Return a function whose argument is one list: the inputs, then the other operands of an op with several inputs.

    It calls `record(inputs, *other_operands)`. It is registered in place of the op itself, because the tests pass all
    operands as one list.

    Args:
        name: the name of the returned function.
        others: how many operands at the end of the list are not inputs.
        record: the op. Its first argument is the list of inputs.
    """

    def from_list(operands):
        xs, rest = operands[:-others], operands[-others:]
        return record(xs, *rest)

    from_list.__name__ = name
    return from_list


def _concat_reference(*operands):
    *xs, h, Wx, Wh, b = operands
    return _gates_reference(np.concatenate(xs), h, Wx, Wh, b)


def _dropout_concat_reference(*operands):
    *xs, h, Wx, Wh, b, mask_x, mask_h = operands
    return _gates_reference(np.concatenate(xs), h, Wx, Wh, b, mask_x, mask_h)


def _several(sizes: Sequence[int], hidden: int, batches: Sequence[int], masks: Sequence[int] = ()):
    (whole, _), *rest = _shapes(sum(sizes), hidden, (1, *batches[len(sizes) :]), masks)
    return Sample([*[((size,), batch) for size, batch in zip(sizes, batches)], *rest], as_list=True)


register(
    _from_list("vanilla_lstm_gates_concat", 4, vanilla_lstm_gates_concat),
    reference=_concat_reference,
    samples=[
        _several([1], 1, (1, 1, 1, 1, 1)),
        _several([3, 2], 5, (3, 1, 1, 1, 1, 1)),
        _several([3, 1, 17], 2, (2, 1, 2, 1, 1, 1, 1)),
        _several([2, 2], 17, (2, 1, 2, 2, 1, 2)),
    ],
)
register(
    _from_list("vanilla_lstm_gates_dropout_concat", 6, vanilla_lstm_gates_dropout_concat),
    reference=_dropout_concat_reference,
    samples=[
        _several([1], 1, (1, 1, 1, 1, 1), (1, 1)),
        _several([3, 2], 5, (3, 1, 1, 1, 1, 1), (1, 3)),
        _several([3, 1, 17], 2, (2, 1, 2, 1, 1, 1, 1), (2, 1)),
        _several([2, 2], 17, (1, 1, 1, 1, 1, 1), (2, 2)),
    ],
)

__all__ = [
    "vanilla_lstm_gates",
    "vanilla_lstm_gates_concat",
    "vanilla_lstm_gates_dropout",
    "vanilla_lstm_gates_dropout_concat",
]
