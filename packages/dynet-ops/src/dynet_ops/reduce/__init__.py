"""Reductions: sums, means, extremes and moments."""

from .columns import *
from .cumulative import *
from .dims import *
from .folding import *
from .largest import *
from .logsumexps import *
from .moments import *
from .sums import *
