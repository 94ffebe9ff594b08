"""The back end that computes graphs: kernels and the planner, which TVM compiles when needed, cached on disk."""

from .interpreter import check_interpreter

check_interpreter()

from . import tuning_records as records  # noqa: F401  # what programs import
from .cache.store import CacheError
from .families.rules import Rule
from .formula import Formula
from .kernels import Kernels
from .table import KERNELS

__all__ = ["KERNELS", "CacheError", "Formula", "Kernels", "Rule"]
