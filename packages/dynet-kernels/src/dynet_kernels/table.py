"""The table of all kernels. Ops add theirs; those that every program may need stand here."""

from __future__ import annotations

from .families.fill import Clear, Fill
from .families.products import ColumnGradient, MatrixGradient, Product
from .families.strides import Strides
from .kernels import Kernels

KERNELS = Kernels()
KERNELS.use(KERNELS.add("fill", Fill()))
KERNELS.add("clear_stretches", Clear())
KERNELS.add("copy", Strides(accumulate=False))
KERNELS.add("accumulate", Strides(accumulate=True))
KERNELS.close(0)  # every program uses these
for _name, _kernel in {"product": Product(), "product.dx": ColumnGradient(), "product.dW": MatrixGradient()}.items():
    KERNELS.add(_name, _kernel)
KERNELS.close(1)  # products take longer to compile than all else that a small program uses
