"""The operator `@`, the attribute `T`, and errors that name the op to use for a method that DyNet lacks."""

from __future__ import annotations

import inspect

from dynet_core.graph.expression import Operations
from dynet_core.graph.record import two_operands
from dynet_core.messages import refusals
from dynet_core.messages.hints import USES, give_hints
from dynet_core.op import OPS

from .kinds import operand_names
from .matrix.products import affine_signature
from .shape.layout import transpose

METHODS = """
    abs add clamp clip cos cumsum detach div dot exp flatten gather log log_softmax matmul max mean min mm mul narrow
    norm permute pow relu reshape round sigmoid sin softmax sqrt square squeeze std sub sum t take tanh trace transpose
    unsqueeze var view
""".split()
"""Methods of arrays in other libraries. For ops of DyNet with different names, see `ops` in `hint_table`."""
OP_NAMES = USES["ops"]  # a name in other libraries -> the names of DyNet's ops, separated by spaces


def _example_call(name: str) -> str:
    """Return "dy.cmult(e, y)" for "cmult"; "" if there is no such op, or its first argument is not an expression."""
    if name not in OPS:
        return ""
    record = OPS[name].record
    first, *others = inspect.signature(record).parameters.values()
    if first.name not in operand_names(record):
        return ""
    return f"dy.{name}({', '.join(['e', *[other.name for other in others if other.default is other.empty]])})"


def install() -> None:
    """Add hints for METHODS to expressions, and tell `refusals` which op to name when numpy gets an expression.

    Call this after all ops are registered, because the hints show their names and arguments.
    """
    refusals.OPS_FOR_NUMPY |= {name: " or ".join(f"dy.{op}" for op in use.split()) for name, use in OP_NAMES.items()}
    refusals.OPS_FOR_NUMPY |= {name: f"dy.{name}" for name in OPS} | {"dot": "*"}
    calls = {name: [_example_call(op) for op in OP_NAMES.get(name, name).split()] for name in METHODS}
    hints = {name: " or ".join(filter(None, uses)) or USES["dy"][name] for name, uses in calls.items()}
    refusals.OPS_FOR_NUMPY |= {name: hint for name, hint in hints.items() if name in USES["dy"]}
    give_hints(refusals.Refusals, hints)


_matmul = two_operands("@", lambda a, b: affine_signature("@", (a, b), has_bias=False))
Operations.__matmul__, Operations.__rmatmul__ = _matmul, lambda b, a: _matmul(a, b)  # type: ignore[method-assign]
Operations.T = property(transpose, doc="The transpose of a matrix, as `dy.transpose`.")  # type: ignore
