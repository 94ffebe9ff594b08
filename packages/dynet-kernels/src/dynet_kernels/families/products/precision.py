"""How matrix products round their factors. Does not import TVM.

Rounding is no tuning parameter, because it changes results: by about a thousandth with TF32 (10 bits of mantissa), a
few thousandths with bfloat16 (7 bits). Sums are float32.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from contextvars import ContextVar

from ...tuning import holding

FLOAT32, TF32 = "float32", "TF32"  # TF32 is for the tensor cores of GPUs
# bfloat16 by the instructions of AMX or AVX512-BF16, by tensor cores, or rounded and multiplied as float32.
AMX, AVX512, TENSOR_CORES, EMULATED = "bfloat16 by AMX", "bfloat16 by AVX512", "bfloat16", "bfloat16, emulated"
MIN_ARCH = 80  # GPUs with `arch` `sm_80` or higher have TF32 and bfloat16
_factors: ContextVar[str] = ContextVar("factors", default=FLOAT32)


def factors() -> str:
    return _factors.get()


def using(factors: str) -> AbstractContextManager[None]:
    """Within a `with` block, emit kernels for matrix products that round their factors to this precision."""
    return holding(_factors, factors)
