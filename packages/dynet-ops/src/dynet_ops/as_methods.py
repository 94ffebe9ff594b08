"""The operator `@`, the attribute `T`, and errors that name the op to use for a method that DyNet lacks."""

from __future__ import annotations

import inspect

from dynet_core.graph.expression import Operations
from dynet_core.graph.record import two_operands
from dynet_core.messages import refusals
from dynet_core.messages.hints import HINTS, give_hints
from dynet_core.op import OPS

from .kinds import operand_names
from .matrix.products import affine_signature
from .shape.layout import transpose

ARRAY_METHODS = """
    abs add clamp clip cos cumsum detach div dot exp flatten gather log log_softmax matmul max mean min mm mul narrow
    norm permute pow relu reshape round sigmoid sin softmax sqrt square squeeze std sub sum t take tanh trace transpose
    unsqueeze var view
""".split()
"""Methods of arrays in other libraries. OP_NAMES has the ops that do the same, where these have different names."""
OP_NAMES = HINTS["ops"]  # name in other libraries -> names of the ops that do the same, separated by spaces


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
    """Let ARRAY_METHODS of expressions raise errors that name ops; tell `refusals` which ops to name to users of numpy.

    Call this after all ops are registered, because the hints show their names and arguments.
    """
    refusals.OPS_FOR_NUMPY |= {name: " or ".join(f"dy.{op}" for op in use.split()) for name, use in OP_NAMES.items()}
    refusals.OPS_FOR_NUMPY |= {name: f"dy.{name}" for name in OPS} | {"dot": "*"}
    calls = {name: [_example_call(op) for op in OP_NAMES.get(name, name).split()] for name in ARRAY_METHODS}
    hints = {name: " or ".join(filter(None, uses)) or HINTS["dy"][name] for name, uses in calls.items()}
    refusals.OPS_FOR_NUMPY |= {name: hint for name, hint in hints.items() if name in HINTS["dy"]}
    give_hints(refusals.Refusals, hints)


_matmul = two_operands("@", lambda a, b: affine_signature("@", (a, b), has_bias=False))
Operations.__matmul__, Operations.__rmatmul__ = _matmul, lambda b, a: _matmul(a, b)  # type: ignore[method-assign]
Operations.T = property(transpose, doc="The transpose of a matrix, as `dy.transpose`.")  # type: ignore
