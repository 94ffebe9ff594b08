"""`LSTMBuilder`: the name means `CoupledLSTMBuilder` in DyNet's manual and `VanillaLSTMBuilder` in DyNet 2.

A setting decides which of the two it is here.
"""

from __future__ import annotations

import functools
import re
import warnings
from collections.abc import Iterable
from typing import Any, Self

from dynet_core import config
from dynet_core.errors import ArgumentError
from dynet_core.files.tensors import EXPLAIN

from .coupled_lstm import CoupledLSTMBuilder
from .lstm import VanillaLSTMBuilder


class LSTMBuilder(CoupledLSTMBuilder):
    """Another name for `CoupledLSTMBuilder`, as in DyNet's manual, or for `VanillaLSTMBuilder`, as in DyNet 2.

    To choose, call `dynet_config.set(lstm_builder="coupled")` or `dynet_config.set(lstm_builder="vanilla")` before
    `import dynet`, or set the environment variable DYNET_LSTM_BUILDER to one of these words. The default is "coupled";
    if no choice was made, the first call of `LSTMBuilder` gives a warning.

    Args:
        layers, input_dim, hidden_dim, model, ln_lstm, forget_bias: as in the chosen class.

    >>> import warnings
    >>> with warnings.catch_warnings(action="ignore"):
    ...     lstm = dy.LSTMBuilder(1, 3, 4, dy.Model())
    >>> lstm.initial_state().add_input(dy.inputVector([1, 2, 3])).output().dim()
    ((4,), 1)
    """

    def __new__(cls, *arguments: Any, **named: Any) -> Self:
        kind = config.PARAMS.lstm_builder
        if kind not in ("", "coupled", "vanilla"):
            raise ArgumentError(f"LSTMBuilder: lstm_builder must be 'coupled' or 'vanilla', got {kind!r}")
        if kind == "vanilla":
            return VanillaLSTMBuilder(*arguments, **named)  # type: ignore[return-value]
        if not kind:
            _warn_of_name()
        return super().__new__(cls)

    @classmethod
    def _dynet_name(cls) -> str:
        """Return the name of the class that `LSTMBuilder` stands for. Files store it, so that DyNet 2 can read them."""
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
    """Explain that a file does not fit because `LSTMBuilder` meant the other class when it was written; "" if not so.

    `found` are the names of the parameters in the file, `expected` those in the collection.
    """
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


# Finds the builder in a parameter's name: "vanilla-" for a VanillaLSTMBuilder, "" for a CoupledLSTMBuilder.
_KIND = re.compile(r"/(vanilla-|)lstm-builder(?:_[0-9]+)?/")
EXPLAIN.append(_other_meaning)
