"""The same public names as `_dynet`; in the original DyNet, the version for GPUs."""

from typing import TYPE_CHECKING

import _dynet
from _dynet import *

# For type checkers, which cannot evaluate the `__all__` below and leave out names with an underscore.
if TYPE_CHECKING:
    from _dynet import _RNNBuilder as _RNNBuilder
else:
    __all__ = [*_dynet.__all__]
