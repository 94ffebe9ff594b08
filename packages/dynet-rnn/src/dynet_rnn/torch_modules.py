"""Exchange weights with modules of PyTorch, as the arrays in their `state_dict`. PyTorch itself is not needed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from dynet_core.annotations import Floats, Numbers
from dynet_core.checks import checked_arrays, real_array
from dynet_core.errors import ArgumentError, ArgumentTypeError
from dynet_core.messages.wording import shown
from dynet_core.parameter import LookupParameters, Parameters
from dynet_core.parameter.base import Trained, set_all

from .base import ParameterOwner

# Cell -> for each gate of torch's, the index of the same gate here: i, f, o, g here are i, f, g, o there.
# Each order is its own inverse.
_GATES = {"lstm": [0, 1, 3, 2], "simple_rnn": [0]}


class _Part(NamedTuple):
    """A parameter, the names of the arrays in torch whose sum it is, the order of its gates, and what is added to f."""

    parameter: Trained
    names: tuple[str, ...]
    gates: list[int] = [0]
    forget_bias: float = 0.0

    def converted(self, array: Any, sign: int) -> np.ndarray:
        """Reorder the gates, and add or subtract the forget bias. It converts both from torch and to torch."""
        count = len(self.gates)
        gates = array.reshape(count, len(array) // count, *array.shape[1:])[self.gates]
        if self.forget_bias:
            gates[1] += sign * self.forget_bias
        return gates.reshape(array.shape)


def torch_weights(
    source: ParameterOwner | Parameters | LookupParameters | Sequence[Parameters], name: str = ""
) -> dict[str, Floats]:
    """Return the weights of a network or a layer as float32 arrays, named and ordered as in PyTorch's `state_dict`.

    torch has the gates of an LSTM in another order, two biases, and no constant that is added to the forget gate. This
    function converts them: the second bias is 0. `module.load_state_dict` takes the arrays as tensors::

        module.load_state_dict({key: torch.from_numpy(array) for key, array in dy.torch_weights(lstm).items()})

    Args:
        source: a `VanillaLSTMBuilder` or `CompactVanillaLSTMBuilder` for `nn.LSTM`, a `SimpleRNNBuilder` for `nn.RNN`
            with tanh, of any number of layers; a `BiRNNBuilder` of these for `bidirectional=True`; a pair (W, b) of a
            matrix (out, in) and a vector (out) for `nn.Linear`, or W alone if it has no bias; a lookup parameter (rows,
            size) for `nn.Embedding`.
        name: the name of the module in a larger one, such as "encoder". The names of the arrays begin with it.

    Raises:
        ArgumentError: torch has no module with these equations. `GRUBuilder` multiplies h by the reset gate before the
            product with a matrix, `nn.GRU` after it, and no weights make the two equal.
        ArgumentTypeError: `source` is something else.

    >>> lstm = dy.VanillaLSTMBuilder(1, 3, 4, dy.Model())
    >>> {name: array.shape for name, array in dy.torch_weights(lstm).items()}
    {'weight_ih_l0': (16, 3), 'weight_hh_l0': (16, 4), 'bias_ih_l0': (16,), 'bias_hh_l0': (16,)}
    """
    arrays = {}
    for part in _parts("torch_weights", source):
        array = part.converted(part.parameter.as_array(), 1).astype(np.float32)
        arrays |= {key: np.zeros_like(array) if k else array for k, key in enumerate(part.names)}
    return {_prefix(name) + key: array for key, array in arrays.items()}


def set_torch_weights(
    target: ParameterOwner | Parameters | LookupParameters | Sequence[Parameters],
    weights: Mapping[str, Numbers],
    name: str = "",
) -> None:
    """Replace the weights of a network or a layer with those of a module of PyTorch, so that both compute the same.

    This is the inverse of `torch_weights`, which describes the kinds of networks and layers.

    Args:
        target: the network or layer whose values are replaced.
        weights: the module's `state_dict()`, or other arrays with its names.
        name: the name of the module, if `weights` is the `state_dict()` of a larger one. Others' weights are ignored.

    Raises:
        ArgumentError: as for `torch_weights`; or a weight is missing or unknown, or is not numbers of float32.
        ArgumentTypeError: `target` or `weights` is something else.
        ShapeError: a weight has a different shape. After any error, nothing has changed.

    >>> W, b = dy.Model().add_parameters((2, 3)), dy.Model().add_parameters(2)
    >>> dy.set_torch_weights((W, b), {"out.weight": [[1, 2, 3], [4, 5, 6]], "out.bias": [7, 8]}, "out")
    >>> (W * dy.inputVector([1, 0, 0]) + b).value()
    [8.0, 12.0]
    """
    label, prefix = f"set_torch_weights{': ' * bool(name)}{name}", _prefix(name)
    parts = _parts("set_torch_weights", target)
    shapes = {key: tuple(part.parameter.shape) for part in parts for key in part.names}
    if isinstance(weights, Mapping):
        weights = {str(key).removeprefix(prefix): weights[key] for key in weights if str(key).startswith(prefix)}
        if isinstance(target, ParameterOwner) and not any(key.startswith("bias") for key in weights):
            weights |= {key: np.zeros(shape) for key, shape in shapes.items() if key.startswith("bias")}  # bias=False
    arrays = checked_arrays(label, weights, shapes)
    values = [part.converted(np.sum([arrays[key] for key in part.names], 0, np.float64), -1) for part in parts]
    values = [real_array(label, value, strict=ArgumentError) for value in values]  # a sum may be too large for float32
    set_all(label, [(part.parameter, value) for part, value in zip(parts, values)])


def _prefix(name: str) -> str:
    return f"{name}." if name else ""


def _parts(caller: str, source: Any) -> list[_Part]:
    layer = source if isinstance(source, tuple | list) else (source,)
    if isinstance(source, ParameterOwner):
        parts = [*_parts_of_network(caller, source)]
    elif [*map(type, layer)] in ([LookupParameters], [Parameters], [Parameters] * 2):
        parts = [_Part(parameter, (key,)) for parameter, key in zip(layer, ("weight", "bias"))]
    else:
        expected = "a network, a lookup parameter, a matrix W or a pair (W, b)"
        raise ArgumentTypeError(f"{caller}: expected {expected}, got {type(source).__name__} {shown(source)}")
    for parameter in [part.parameter for part in parts if len(part.parameter.shape) > 2]:
        raise ArgumentError(f"{caller}: {parameter!r} has more than two dimensions, which torch orders differently")
    if len(layer) == 2 and (len(layer[0].shape) != 2 or layer[1].shape != layer[0].shape[:1]):
        raise ArgumentError(f"{caller}: expected a matrix (out, in) and a vector (out), got {shown(source, 200)}")
    return parts


def _parts_of_network(caller: str, network: Any) -> Iterator[_Part]:
    pairs = getattr(network, "builder_layers", [(network,)])
    for number, pair in enumerate(pairs):
        for builder, direction in zip(pair, ("", "_reverse")):
            gates = _gates_of(caller, builder, has_one_layer=len(pair) == 2)
            for k, (Wx, Wh, b) in enumerate(builder._parameters, number):
                suffix = f"l{k}{direction}"
                yield _Part(Wx, (f"weight_ih_{suffix}",), gates)
                yield _Part(Wh, (f"weight_hh_{suffix}",), gates)
                yield _Part(b, (f"bias_ih_{suffix}", f"bias_hh_{suffix}"), gates, getattr(builder, "_forget_bias", 0.0))


def _gates_of(caller: str, builder: Any, has_one_layer: bool) -> list[int]:
    cell, layers = getattr(getattr(builder, "_cell", None), "name", ""), getattr(builder, "_parameters", ())
    if cell == "gru":
        reason = "torch.nn.GRU multiplies by the reset gate after the product with the matrix, a GRUBuilder before it"
        raise ArgumentError(f"{caller}: {reason}: no weights make them equal")
    if cell not in _GATES or has_one_layer and len(layers) != 1 or any(len(layer) != 3 for layer in layers):
        usable = "a VanillaLSTMBuilder without layer normalization for nn.LSTM, a SimpleRNNBuilder for nn.RNN"
        raise ArgumentError(f"{caller}: torch has no module with the equations of {builder!r}: use {usable}")
    return _GATES[cell]
