"""Give expressions the operator `@`, the attribute `T`, and errors that say what to use instead of missing methods.

DyNet has functions where numpy or PyTorch have methods. So `e.sum()` on an expression `e` raises an AttributeError that
names the function to call, such as `dy.sum_elems(e)`.
"""

from __future__ import annotations

import inspect

from dynet_core import refusals
from dynet_core.expression import Expression, Operations
from dynet_core.hints import FirmHint, give_hints
from dynet_core.op import OPS
from dynet_core.parameter import LookupParameters, Parameters
from dynet_core.record import two_operands

from .matrix.products import affine_signature
from .op_formulas import operand_names
from .other_names import OPERATIONS
from .shape.layout import transpose

METHODS = """
    abs add clamp clip cos cumsum detach div dot exp flatten gather log log_softmax matmul max mean min mm mul narrow
    norm permute pow relu reshape round sigmoid sin softmax sqrt square squeeze std sub sum t take tanh trace transpose
    unsqueeze var view
""".split()
"""Names of methods that arrays of other libraries have. DyNet has functions instead, some of which are called otherwise
(see `OPERATIONS`)."""
ATTRIBUTES: dict[str, str] = {
    "argmax": "e.npvalue().argmax(), or dy.argmax(e, gradient_mode) for a vector of 0 and 1",
    "as_array": "e.npvalue()",
    "astype": "e.npvalue().astype(...)",
    "clone": "e itself: it never changes",
    "copy": "e itself: it never changes",
    "cpu": "e.npvalue()",
    "cuda": "dynet_config.set_gpu() before import dynet",
    "data": "e.npvalue()",
    "device": "dy.get_device_info()",
    "dtype": "e.npvalue().dtype; graphs compute in float32",
    "eval": "e.value()",
    "get_shape": "e.shape",
    "grad": "e.gradient() after loss.backward(full=True)",
    "item": "e.value()",
    "logsumexp": "dy.logsumexp_dim(e, d)",
    "ndim": "len(e.shape)",
    "numpy": "e.npvalue()",
    "requires_grad": "dy.nobackprop(e) for what is to get no gradient",
    "requires_grad_": "dy.nobackprop(e) for what is to get no gradient",
    "retain_grad": "loss.backward(full=True), then e.gradient()",
    "size": "e.shape or e.dim()",
    "to": "e.npvalue(), which is on the host",
    "tolist": "e.vec_value() or e.npvalue().tolist()",
    "topk": "e.tensor_value().topk(...)",
    "zero_": "dy.zeros(dims)",
}
"""Other attribute that arrays of other libraries have -> what to use in DyNet instead, for an expression e."""
OF_PARAMETERS: dict[str, str] = {
    "copy": "p.as_array(), a copy",
    "cpu": "p.as_array()",
    "clone": "p.as_array(), a copy",
    "data": "p.as_array(), and p.set_value(array)",
    "grad": "p.gradient() after backward(), or p.grad_as_array()",
    "item": "p.value()",
    "numpy": "p.as_array()",
    "requires_grad": "p.is_updated(), and p.set_updated(False)",
    "requires_grad_": "p.set_updated(False)",
    "zero_": "p.zero()",
}
"""Attribute -> what to use in DyNet instead, for a parameter p. Attributes not listed here are as in `ATTRIBUTES`."""


class Hint(FirmHint):
    """An attribute that expressions and parameters lack. Using it raises an error that says what to use instead.

    `install` adds an object of this class to expressions and parameters for each name in `METHODS` and `ATTRIBUTES`.
    """

    def use_for(self, owner: type) -> str:
        parameter = issubclass(owner, (Parameters, LookupParameters))
        return OF_PARAMETERS.get(self.name, self.use) if parameter else self.use


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
    """Add the `Hint` objects to expressions, and tell the module `refusals` which ops its errors should name.

    `refusals` raises an error if a function of numpy gets an expression. For `numpy.log`, it then names `dy.log`. Call
    this after all ops are registered, because the hints contain the names and arguments of ops.
    """
    refusals.OPERATIONS |= {name: " or ".join(f"dy.{each}" for each in use.split()) for name, use in OPERATIONS.items()}
    refusals.OPERATIONS |= {name: f"dy.{name}" for name in OPS} | {"dot": "*"}
    calls = {name: [_call(each) for each in OPERATIONS.get(name, name).split()] for name in METHODS}
    uses = {name: " or ".join(filter(None, each)) for name, each in calls.items()}
    give_hints(refusals.Hints, {**uses, **ATTRIBUTES}, Hint)


_product = two_operands("@", lambda a, b: affine_signature("@", (a, b), has_bias=False))


def _reflected(b: Expression, a) -> Expression:
    return _product(a, b)


Operations.__matmul__, Operations.__rmatmul__ = _product, _reflected  # type: ignore[method-assign]
Operations.T = property(transpose, doc="The transpose of a matrix, as `dy.transpose`.")  # type: ignore
