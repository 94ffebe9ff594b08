"""Long short-term memories."""

from __future__ import annotations

import functools
import re
import warnings
from collections.abc import Iterable

from dynet_core import config
from dynet_core.errors import ArgumentError
from dynet_core.expression import Expression
from dynet_core.files.tensors import EXPLAIN
from dynet_core.graph import current
from dynet_core.initializer import ConstInitializer
from dynet_core.parameter import ParameterCollection, Parameters
from dynet_ops.arithmetic import cmult
from dynet_ops.elementwise import logistic, tanh
from dynet_ops.inputs import inputVector
from dynet_ops.norm import layer_norm
from dynet_ops.recurrent import COUPLED, FAST, LSTM
from dynet_ops.shape import pickrange

from .dropout import Variational
from .layers import Layers
from .state import RNNState


class VanillaLSTMBuilder(Variational):
    r"""A network of long short-term memories with separate gates and without peepholes.

    .. math::

        i_t &= \sigma(W_{ix} x_t + W_{ih} h_{t-1} + b_i) \\
        f_t &= \sigma(W_{fx} x_t + W_{fh} h_{t-1} + b_f + 1) \\
        o_t &= \sigma(W_{ox} x_t + W_{oh} h_{t-1} + b_o) \\
        \tilde c_t &= \tanh(W_{cx} x_t + W_{ch} h_{t-1} + b_c) \\
        c_t &= c_{t-1} \circ f_t + \tilde c_t \circ i_t \\
        h_t &= \tanh(c_t) \circ o_t

    Args:
        layers: how many networks read each other's outputs.
        input_dim: how many numbers an input has.
        hidden_dim: how many numbers a state has.
        model: the collection to which the parameters are added: for each layer :math:`W_x` (4 hidden_dim, input size),
            :math:`W_h` (4 hidden_dim, hidden_dim) and :math:`b`, the gates i, f, o, c one under the other.
        ln_lstm: normalise :math:`W_x x`, :math:`W_h h` and c by layers. The six parameters that this takes
            for each layer belong to `model` itself, as in DyNet, and `get_parameters` does not list them.
        forget_bias: what is added to :math:`b_f`.

    Source: Hochreiter and Schmidhuber, "Long short-term memory", 1997; forget gate: Gers et al., 2000.

    >>> lstm = dy.VanillaLSTMBuilder(1, 3, 4, dy.Model())
    >>> outputs = lstm.initial_state().transduce([dy.inputVector([1, 2, 3]), dy.inputVector([4, 5, 6])])
    >>> [y.dim() for y in outputs]
    [((4,), 1), ((4,), 1)]
    """

    _cell, _collection = LSTM, "vanilla-lstm-builder"
    _projection, _recurrent = (2, 0), (1,)
    _listed = 3

    def __init__(
        self,
        layers: int,
        input_dim: int,
        hidden_dim: int,
        model: ParameterCollection,
        ln_lstm: bool = False,
        forget_bias: float = 1.0,
    ):
        self._norms_in = model if ln_lstm else None
        self._forget_bias = float(forget_bias)
        self._shifted: dict[bool, tuple] = {}
        super().__init__(layers, input_dim, hidden_dim, model)
        self.spec = (*self.spec, bool(ln_lstm), self._forget_bias)

    def _add_layer(self, n: int, m: int) -> list[Parameters]:
        layer = self._add((4 * m, n), (4 * m, m), (4 * m,))
        if self._norms_in is not None:
            for size, start in ((4 * m, 1.0), (4 * m, 0.0), (4 * m, 1.0), (4 * m, 0.0), (m, 1.0), (m, 0.0)):
                layer.append(self._norms_in.add_parameters((size,), init=ConstInitializer(start)))
        return layer

    def _loaded(self, update: bool) -> tuple[list[list[Expression]], Layers]:
        if self._forget_bias == 1 or self._norms_in is not None:
            return super()._loaded(update)
        # the cell adds 1 to the forget gate: another number is made up for once in every graph
        found, _, graph = self._shifted.get(update, (None, None, None))
        if graph is not current():
            m = self.spec[2]
            shift = inputVector([0.0] * m + [self._forget_bias - 1] * m + [0.0] * (2 * m))
            found = [[p.expr(update) for p in layer] for layer in self._parameters]
            layers = self._layers([[Wx, Wh, b + shift] for Wx, Wh, b in found])
            self._shifted[update] = found, layers, current()
        return self._shifted[update][:2]

    def _is_plain(self) -> bool:
        return self._norms_in is None and super()._is_plain()

    def advance(self, state: RNNState, x: Expression) -> RNNState:
        """The state after one more input, with dropout or layer normalisation."""
        if self._norms_in is None:
            return super().advance(state, x)
        run = state._run
        hs, cs = [], []
        for k, (Wx, Wh, b, gh, bh, gx, bx, gc, bc) in enumerate(run.expressions):
            gates = b + layer_norm(Wx * self._drop_input(run, k, x), gx, bx)
            if state.h():
                gates = gates + layer_norm(Wh * self._drop_h(run, k, state.h()[k]), gh, bh)
            m = self.spec[2]
            i, f, o, g = [pickrange(gates, part * m, part * m + m) for part in range(4)]
            c = cmult(logistic(i), tanh(g))
            if state.h():
                c = c + cmult(logistic(f + self._forget_bias), state.vectors(1)[k])
            x = cmult(logistic(o), tanh(layer_norm(c, gc, bc)))
            hs.append(x)
            cs.append(c)
        return RNNState.of(run, state, [tuple(hs), tuple(cs)])


class CompactVanillaLSTMBuilder(VanillaLSTMBuilder):
    """The same network as `VanillaLSTMBuilder`: in DyNet 2.1 the form whose step is one operation, as here all are."""

    _collection = "compact-vanilla-lstm-builder"

    def __init__(self, layers: int, input_dim: int, hidden_dim: int, model: ParameterCollection):
        super().__init__(layers, input_dim, hidden_dim, model)
        self.spec = self.spec[:3]  # what DyNet's own from_spec takes


class CoupledLSTMBuilder(Variational):
    r"""A network of long short-term memories whose forget gate is 1 - i, with peepholes.

    .. math::

        i_t &= \sigma(W_{ix} x_t + W_{ih} h_{t-1} + W_{ic} c_{t-1} + b_i) \\
        \tilde c_t &= \tanh(W_{cx} x_t + W_{ch} h_{t-1} + b_c) \\
        c_t &= c_{t-1} \circ (1 - i_t) + \tilde c_t \circ i_t \\
        o_t &= \sigma(W_{ox} x_t + W_{oh} h_{t-1} + W_{oc} c_t + b_o) \\
        h_t &= \tanh(c_t) \circ o_t

    Args:
        layers: how many networks read each other's outputs.
        input_dim: how many numbers an input has.
        hidden_dim: how many numbers a state has.
        model: the collection to which the parameters are added: for each layer
            :math:`W_{ix}, W_{ih}, W_{ic}, b_i, W_{ox}, W_{oh}, W_{oc}, b_o, W_{cx}, W_{ch}, b_c`.

    Source: Greff et al., "LSTM: a search space odyssey", 2015; peepholes: Gers and Schmidhuber, 2000.
    """

    _cell, _collection = COUPLED, "lstm-builder"
    _projection, _recurrent = (3, 0, 7, 4, 10, 8), (1, 2, 5, 6, 9)
    _rates = (0.0, 0.0, 0.0)

    def _add_layer(self, n: int, m: int) -> list[Parameters]:
        gate = (m, n), (m, m), (m, m), (m,)
        return self._add(*gate, *gate, (m, n), (m, m), (m,))


class LSTMBuilder(CoupledLSTMBuilder):
    """`CoupledLSTMBuilder`, which DyNet's manual calls so; or `VanillaLSTMBuilder`, which DyNet 2 means by that name.

    `dynet_config.set(lstm_builder="vanilla")` before `import dynet`, or DYNET_LSTM_BUILDER=vanilla in the environment,
    chooses the latter; "coupled" chooses the former. Where neither is said, the first builder made warns of it.
    """

    def __new__(cls, *arguments, **named):
        kind = config.PARAMS.lstm_builder
        if kind not in ("", "coupled", "vanilla"):
            raise ArgumentError(f"LSTMBuilder: lstm_builder must be 'coupled' or 'vanilla', got {kind!r}")
        if kind == "vanilla":
            return VanillaLSTMBuilder(*arguments, **named)
        if not kind:
            _warn_of_name()
        return super().__new__(cls)

    @classmethod
    def _dynet_name(cls) -> str:
        """What DyNet 2 calls the builders that this makes, for files."""
        return "VanillaLSTMBuilder" if config.PARAMS.lstm_builder == "vanilla" else "CoupledLSTMBuilder"


@functools.cache
def _warn_of_name() -> None:
    warnings.warn(
        "LSTMBuilder has coupled gates and peepholes, as DyNet's manual says; in DyNet 2 the name means "
        "VanillaLSTMBuilder. Use the name of the one you want, or say dynet_config.set(lstm_builder='vanilla') or "
        "'coupled' before import dynet (or DYNET_LSTM_BUILDER=vanilla in the environment).",
        stacklevel=3,
    )


def _other_meaning(found: Iterable[str], expected: Iterable[str]) -> str:
    """Why a file does not fit, if that is what LSTMBuilder meant where it was written."""
    there, here = [{kind for name in names for kind in _KIND.findall(name)} for names in (found, expected)]
    for kind, builder, other in (("vanilla-", "Vanilla", "Coupled"), ("", "Coupled", "Vanilla")):
        if kind in there - here and here - there:
            return (
                f"The file has parameters of a {builder}LSTMBuilder, the collection those of a {other}LSTMBuilder: "
                "if the program says LSTMBuilder, this depends on what that means (VanillaLSTMBuilder in DyNet 2, "
                f"CoupledLSTMBuilder in its manual); say dynet_config.set(lstm_builder='{builder.lower()}') before "
                f"import dynet, or DYNET_LSTM_BUILDER={builder.lower()} in the environment"
            )
    return ""


_KIND = re.compile(r"/(vanilla-|)lstm-builder(?:_[0-9]+)?/")
EXPLAIN.append(_other_meaning)


class FastLSTMBuilder(Variational):
    r"""A network of long short-term memories whose forget gate is 1 - i.

    .. math::

        i_t &= \sigma(W_{ix} x_t + W_{ih} h_{t-1} + b_i) \\
        \tilde c_t &= \tanh(W_{cx} x_t + W_{ch} h_{t-1} + b_c) \\
        c_t &= c_{t-1} \circ (1 - i_t) + \tilde c_t \circ i_t \\
        o_t &= \sigma(W_{ox} x_t + W_{oh} h_{t-1} + b_o) \\
        h_t &= \tanh(c_t) \circ o_t

    As in DyNet, each layer also has vectors :math:`W_{ic}` and :math:`W_{oc}` for peepholes, which nothing is computed
    with.

    Args:
        layers: how many networks read each other's outputs.
        input_dim: how many numbers an input has.
        hidden_dim: how many numbers a state has.
        model: the collection to which the parameters are added: for each layer
            :math:`W_{ix}, W_{ih}, W_{ic}, b_i, W_{ox}, W_{oh}, W_{oc}, b_o, W_{cx}, W_{ch}, b_c`.

    Source: Greff et al., "LSTM: a search space odyssey", 2015.
    """

    _cell, _collection = FAST, "fast-lstm-builder"
    _projection, _recurrent = (3, 0, 7, 4, 10, 8), (1, 5, 9)

    def _add_layer(self, n: int, m: int) -> list[Parameters]:
        gate = (m, n), (m, m), (m, 1), (m,)
        return self._add(*gate, *gate, (m, n), (m, m), (m,))
