"""The setting whether matrix products on a GPU round their factors to TF32, so that tensor cores can compute them.

TF32 is a format for numbers with ten bits of mantissa. With it, results differ by about a thousandth from results in
float32. So this setting is not in `tuning.py`, whose settings do not change what is computed. This module does not
import TVM.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

FIRST = 80  # GPUs whose `arch` is `sm_80` or higher have TF32
_tf32: ContextVar[bool] = ContextVar("tf32", default=False)


def tf32() -> bool:
    """Return whether the kernels that are emitted now use TF32 for matrix products. `using_tf32` sets this."""
    return _tf32.get()


@contextmanager
def using_tf32(wanted: bool) -> Iterator[None]:
    """For a `with` block: emit kernels for matrix products that use TF32 if `wanted`, or float32 if not."""
    token = _tf32.set(wanted)
    try:
        yield
    finally:
        _tf32.reset(token)
