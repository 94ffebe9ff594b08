"""LSTMBuilder: a name with one meaning in DyNet's manual and another in DyNet 2."""

from __future__ import annotations

import functools
import re
import warnings
from collections.abc import Iterable
from typing import Any, Self

from dynet_core import config
from dynet_core.errors import ArgumentError
from dynet_core.files.tensors import EXPLAIN

from .lstm import CoupledLSTMBuilder, VanillaLSTMBuilder


class LSTMBuilder(CoupledLSTMBuilder):
    """Another name of `CoupledLSTMBuilder`, as in DyNet's manual, or of `VanillaLSTMBuilder`, as in DyNet 2.

    The setting `dynet_config.set(lstm_builder="coupled")` or `"vanilla"` chooses, before `import dynet`; so does
    DYNET_LSTM_BUILDER in the environment. Without a setting it is "coupled", and the first builder made warns.

    Args:
        layers, input_dim, hidden_dim, model, ln_lstm, forget_bias: as in the class that it names.

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
        """Return the name in DyNet 2 of the builders that this class makes, for files."""
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
    """Return why a file does not fit, if LSTMBuilder had the other meaning when it was written; else ""."""
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
