"""The table of all kernels. This module adds those that every program may need; ops add their own."""

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
KERNELS.close(0)  # kernels are compiled in groups: the first one has only these, which every program uses
for _name, _kernel in {"product": Product(), "product.dx": ColumnGradient(), "product.dW": MatrixGradient()}.items():
    KERNELS.add(_name, _kernel)
KERNELS.close(1)  # matrix products are a group by themselves, as they take longest to compile
