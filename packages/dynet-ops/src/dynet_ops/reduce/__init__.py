"""Reductions of several numbers to one: sums, means, extremes, moments and the like."""

from .dims import *
from .sums import *
