"""Error messages for keyword arguments that do not exist: for `dy.AdamTrainer(m, lr=0.1)`, it names `learning_rate`."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from .hints import nearest

RATE = "learning_rate alpha e0"
OTHER_NAMES: dict[str, str] = {
    # arguments of trainers
    **dict.fromkeys(("lr", "eta", "eta0", "alpha", "e0", "learning_rate"), RATE),
    "rate": f"{RATE} p",
    "epsilon": "eps",
    "momentum": "mom beta_1",
    "decay": "rho edecay",
    **dict.fromkeys(("params", "parameters", "collection", "m", "model", "pc"), "m model pc"),
    # arguments of builders
    **dict.fromkeys(("layers", "num_layers", "n_layers"), "layers num_layers"),
    **dict.fromkeys(("input_size", "in_dim", "in_features", "embedding_dim"), "input_dim rep_dim"),
    **dict.fromkeys(("hidden_size", "hidden", "out_dim", "out_features", "output_dim", "units"), "hidden_dim"),
    **dict.fromkeys(("rnn_builder", "builder", "factory", "cell"), "rnn_builder_factory"),
    **dict.fromkeys(("ln", "layer_norm"), "ln_lstm"),
    **dict.fromkeys(("classes", "n_classes", "vocab_size"), "num_classes"),
    # arguments of collections and initializers
    **dict.fromkeys(("shape", "dims", "dim", "size", "axis", "axes"), "dim d dims"),
    **dict.fromkeys(("initializer", "initial", "initial_value", "init_value", "values"), "init"),
    **dict.fromkeys(("std", "stddev", "sigma"), "std stddev"),
    "variance": "var",
    **dict.fromkeys(("value", "val"), "val c"),
    # arguments of operations
    **dict.fromkeys(("prob", "probability"), "p"),
    **dict.fromkeys(("i", "idx", "index"), "index v idx"),
    **dict.fromkeys(("idxs", "indices"), "indices vs v idxs"),
    **dict.fromkeys(("input", "e", "expr"), "x e"),
    **dict.fromkeys(("inputs", "es", "tensors", "expressions"), "xs exprs"),
    "batch": "batch_size",
}
"""Name of an argument elsewhere -> names that it may have here, separated by spaces. The first that a function has is
suggested."""


def unknown_keyword(
    function: str, given: Iterable[str], known: Iterable[str], uses: Mapping[str, str] | None = None
) -> str:
    """Return the error message for the first keyword argument that a function does not have; "" if it has all.

    Args:
        function: the name of the function that was called.
        given: the names of the keyword arguments of the call.
        known: the names of all arguments that the function has.
        uses: for names that are no argument under any name: what to use instead.
    """
    known = list(known)
    for name in given:
        if name not in known:
            found = next((other for other in OTHER_NAMES.get(name, "").split() if other in known), "")
            use = found or (uses or {}).get(name, "") or nearest(name, known)
            end = f"use {use}" if use else f"the arguments are {', '.join(known)}"
            return f"{function}(): got an unexpected keyword argument {name!r}: {end}"
    return ""


def give_keyword_hints(cls: type, uses: Mapping[str, str] | None = None) -> None:
    """Let the TypeError for an unknown keyword argument of a class say what to use. Wraps the method `__init__`.

    Args:
        cls: the class. A base class must get its hints before the classes that inherit its `__init__`.
        uses: as for `unknown_keyword`.
    """
    init: Callable[..., None] = cls.__init__  # type: ignore[misc]
    if hasattr(init, "__wrapped__"):
        return
    known = list(inspect.signature(init).parameters)[1:]

    @functools.wraps(init)
    def checked(self: Any, *arguments: Any, **named: Any) -> None:
        if named and (problem := unknown_keyword(type(self).__name__, named, known, uses)):
            raise TypeError(problem)
        init(self, *arguments, **named)

    cls.__init__ = checked  # type: ignore[misc]
