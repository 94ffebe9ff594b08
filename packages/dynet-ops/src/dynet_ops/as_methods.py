"""Give expressions the operator `@`, the attribute `T`, and errors that say what to use instead of missing methods.

DyNet has functions where numpy or PyTorch have methods. So `e.sum()` on an expression `e` raises an AttributeError that
names the function to call, such as `dy.sum_elems(e)`.
"""

from __future__ import annotations

import inspect

from dynet_core import refusals
from dynet_core.expression import Operations
from dynet_core.hints import USES, give_hints
from dynet_core.op import OPS
from dynet_core.record import two_operands

from .matrix.products import affine_signature
from .op_formulas import operand_names
from .shape.layout import transpose

METHODS = """
    abs add clamp clip cos cumsum detach div dot exp flatten gather log log_softmax matmul max mean min mm mul narrow
    norm permute pow relu reshape round sigmoid sin softmax sqrt square squeeze std sub sum t take tanh trace transpose
    unsqueeze var view
""".split()
"""Names of methods that arrays of other libraries have. DyNet has functions instead, some of which are called otherwise
(see the section `ops` of `hint_table`)."""
OPERATIONS = USES["ops"]


def _call(name: str) -> str:
    """Return a call of the op `name` on an expression e, with all required arguments, as text: "dy.cmult(e, y)".

    Return "" if there is no op with this name, or if its first argument is not an expression.
    """
    if name not in OPS:
        return ""
    record = OPS[name].record
    first, *others = inspect.signature(record).parameters.values()
    if first.name not in operand_names(record):
        return ""
    return f"dy.{name}({', '.join(['e', *[other.name for other in others if other.default is other.empty]])})"


def install() -> None:
    """Add hints for METHODS to expressions, and tell the module `refusals` which ops its errors should name.

    `refusals` raises an error if a function of numpy gets an expression. For `numpy.log`, it then names `dy.log`. Call
    this after all ops are registered, because the hints contain the names and arguments of ops.
    """
    refusals.OPERATIONS |= {name: " or ".join(f"dy.{each}" for each in use.split()) for name, use in OPERATIONS.items()}
    refusals.OPERATIONS |= {name: f"dy.{name}" for name in OPS} | {"dot": "*"}
    calls = {name: [_call(each) for each in OPERATIONS.get(name, name).split()] for name in METHODS}
    texts = {name: " or ".join(filter(None, each)) or USES["dy"][name] for name, each in calls.items()}
    refusals.OPERATIONS |= {name: text for name, text in texts.items() if name in USES["dy"]}
    give_hints(refusals.Refusals, texts)


_product = two_operands("@", lambda a, b: affine_signature("@", (a, b), has_bias=False))
Operations.__matmul__, Operations.__rmatmul__ = _product, lambda b, a: _product(a, b)  # type: ignore[method-assign]
Operations.T = property(transpose, doc="The transpose of a matrix, as `dy.transpose`.")  # type: ignore
