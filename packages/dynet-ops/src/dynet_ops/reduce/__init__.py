"""Reductions: sums, means, extremes and moments."""

from . import columns, cumulative, dims, folding, largest, logsumexps, moments, sums
from .columns import *
from .cumulative import *
from .dims import *
from .folding import *
from .largest import *
from .logsumexps import *
from .moments import *
from .sums import *

__all__: list[str] = []
__all__ += columns.__all__
__all__ += cumulative.__all__
__all__ += dims.__all__
__all__ += folding.__all__
__all__ += largest.__all__
__all__ += logsumexps.__all__
__all__ += moments.__all__
__all__ += sums.__all__
