"""Whether matrix products on a GPU round their factors to TF32 (ten bits of mantissa), for tensor cores. Needs no TVM.

Rounding changes results by about a thousandth. So TF32 is not a tuning parameter: those only change the order of sums.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from contextvars import ContextVar

from ...tuning import holding

MIN_ARCH = 80  # GPUs with `arch` `sm_80` or higher have TF32
_tf32: ContextVar[bool] = ContextVar("tf32", default=False)


def tf32() -> bool:
    return _tf32.get()


def using_tf32(wanted: bool) -> AbstractContextManager[None]:
    """Within a `with` block, emit kernels for matrix products that use TF32 if `wanted`, or float32 if not."""
    return holding(_tf32, wanted)
