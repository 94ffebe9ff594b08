"""Operations that compute the cell state c and the output h of an LSTM step from its gates.

The operations in `vanilla_lstm.py` compute the gates. They are one vector: the input gate i, the forget gate f, the
output gate o and the candidate g, in this order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from dynet_core.dim import Dim
from dynet_core.errors import ShapeError
from dynet_core.expression import Expression
from dynet_core.op import samples
from dynet_core.record import common_batch, described, two_operands
from dynet_core.signature import Signature, Step, View
from dynet_kernels import formula as f
from dynet_kernels.families.rules import Rule
from dynet_kernels.formula import Symbol
from dynet_kernels.layout import SELF
from dynet_kernels.table import KERNELS

from ..kinds import by_plain_dims, op
from .equations import rules, symbols

_CELL, _OUTPUT = ("y", "c", "i", "f", "g"), ("y", "c", "o")


def _add_kernels(name: str, views: tuple[str, ...], equation: Callable[..., Symbol]) -> None:
    """Add three kernels to the table: for the result y, for the gradient of c, and for the gradients of the gates.

    Args:
        name: the name of the kernel for y. The other two have this name with ".dc" and ".dgates" at the end.
        views: the names of the values that the kernels use: y, c and some of the gates.
        equation: returns the formula of y. Its arguments are c and the gates, in the order of `views`.
    """
    forward, backward = rules({"y": equation(*symbols(*views[1:]))})
    gates = {target: formula for target, formula in backward.items() if target != "dc"}
    for suffix, outputs in (("", forward), (".dc", {"dc": backward["dc"]}), (".dgates", gates)):
        KERNELS.add(name + suffix, Rule(views, outputs))


_add_kernels("vanilla_lstm_c", _CELL, lambda c, i, forget, g: i * g + forget * c)
_add_kernels("vanilla_lstm_h", _OUTPUT, lambda c, o: o * f.tanh(c))


def _cell_and_gates_op(name: str, parts: Sequence[int]):
    """Return an op: a function of the cell state c and the vector of all gates, which adds a node to the graph.

    Args:
        name: the name of the op, and of the kernels that `_add_kernels` has added for it.
        parts: the numbers of the gates that the op reads: 0 for input, 1 for forget, 2 for output, 3 for candidate.
    """

    @by_plain_dims
    def signature_of(c: Dim, gates: Dim) -> Signature:
        hidden = c.rows
        if c.columns != 1 or gates.columns != 1 or gates.rows != 4 * hidden:
            raise ShapeError(f"{name}: gates_t must be four times the cell: {described((c, gates))}")
        batch = common_batch(name, (c, gates))
        stride = gates.size if gates.batch > 1 else 0
        return Signature(
            Dim.of((hidden,), batch),
            operands=2,
            columns=batch,
            views=[
                View(SELF, stride=hidden),
                View(0, stride=hidden if c.batch > 1 else 0),
                *[View(1, offset=part * hidden, stride=stride) for part in parts],
            ],
            forward=[Step(name, (hidden,))],
            backward=[
                Step(f"{name}.dc", (hidden,), gradient_of=0),
                Step(f"{name}.dgates", (hidden,), gradient_of=1),
            ],
        )

    return two_operands(name, signature_of)


def _cell_reference(c, gates):
    i, forget, _, g = np.split(gates, 4)
    return i * g + forget * c


_CELL_SAMPLES = samples("1 4; 5*3 20; 17 68*2; 33*2 132*2")


@op(_cell_and_gates_op("vanilla_lstm_c", (0, 1, 3)), reference=_cell_reference, samples=_CELL_SAMPLES)
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
    _cell_and_gates_op("vanilla_lstm_h", (2,)),
    reference=lambda c, gates: np.split(gates, 4)[2] * np.tanh(c),
    samples=_CELL_SAMPLES,
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


__all__ = ["vanilla_lstm_c", "vanilla_lstm_h"]
