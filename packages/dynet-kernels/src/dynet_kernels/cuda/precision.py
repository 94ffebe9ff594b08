"""Whether products on a GPU may round their factors to TF32, ten bits of mantissa, for tensor cores. Needs no TVM.

Unlike what `tuning` holds, this changes results: they differ from those in float32 by about a thousandth.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

FIRST = 80  # the first capability with TF32
_tf32: ContextVar[bool] = ContextVar("tf32", default=False)


def tf32() -> bool:
    """Whether kernels are emitted for TF32 at present."""
    return _tf32.get()


@contextmanager
def using_tf32(wanted: bool) -> Iterator[None]:
    """Emit products for tensor cores, or not."""
    token = _tf32.set(wanted)
    try:
        yield
    finally:
        _tf32.reset(token)
