"""The setting whether matrix products on a GPU round their factors to TF32, so that tensor cores can compute them.

TF32 has ten bits of mantissa. Results differ from those in float32 by about a thousandth, so this is not one of the
settings in `tuning.py`, which do not change what is computed. Needs no TVM.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

FIRST = 80  # GPUs from compute capability 8.0 on have TF32
_tf32: ContextVar[bool] = ContextVar("tf32", default=False)


def tf32() -> bool:
    """Return whether matrix products are to be emitted with TF32: what the innermost `using_tf32` has set, or False."""
    return _tf32.get()


@contextmanager
def using_tf32(wanted: bool) -> Iterator[None]:
    """Have kernels that are emitted in a `with` block use TF32 for matrix products, or not."""
    token = _tf32.set(wanted)
    try:
        yield
    finally:
        _tf32.reset(token)
