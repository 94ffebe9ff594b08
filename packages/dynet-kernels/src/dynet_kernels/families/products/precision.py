"""Whether matrix products on a GPU round their factors to TF32 (10 bits of mantissa). Does not import TVM.

TF32 is for tensor cores. It is no tuning parameter, because rounding changes results by about a thousandth.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from contextvars import ContextVar

from ...tuning import holding

MIN_ARCH = 80  # GPUs with `arch` `sm_80` or higher have TF32
_tf32: ContextVar[bool] = ContextVar("tf32", default=False)


def tf32() -> bool:
    return _tf32.get()


def using_tf32(enabled: bool) -> AbstractContextManager[None]:
    """Within a `with` block, emit kernels for matrix products that use TF32 if `enabled`, or float32 if not."""
    return holding(_tf32, enabled)
