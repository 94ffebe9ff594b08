"""`KERNELS`, the table of all kernels. This module adds kernels that any program may need. Ops add their own."""

from __future__ import annotations

from .families.fill import Clear, Fill
from .families.products import ColumnGradient, MatrixGradient, Product, QuantizedProduct
from .families.products.rounding import Round
from .families.rules import Rule
from .families.strides import Strides
from .kernels import Kernels

KERNELS = Kernels()
# These come first, so that their opcodes are `layout.FILL`, `layout.CLEAR` and `layout.ROUND`.
KERNELS.use(KERNELS.add("fill", Fill()))
KERNELS.add("fill.stretches", Clear())
KERNELS.add("round", Round())
KERNELS.add("clear", Rule(("y",), {"y": lambda: 0.0}))
KERNELS.add("copy", Strides(accumulate=False))
KERNELS.add("accumulate", Strides(accumulate=True))
for _name, _kernel in {"product": Product(), "product.dx": ColumnGradient(), "product.dW": MatrixGradient()}.items():
    KERNELS.add_alone(_name, _kernel)  # matrix products take the longest to compile
KERNELS.add_alone("int8_product", QuantizedProduct())

IF_QUANTIZED = {"product": "int8_product"}
"""Kernel -> the kernel that runs instead if the matrix is a quantized parameter. Both have the same parameters."""
