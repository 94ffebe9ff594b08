"""Reductions of several numbers to one: sums, means, extremes, moments and the like."""

from .columns import *
from .cumulative import *
from .dims import *
from .folding import *
from .largest import *
from .logsumexps import *
from .moments import *
from .sums import *
