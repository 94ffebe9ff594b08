"""The back end that computes graphs: kernels and a planner, which TVM compiles when needed, and a cache on disk."""

from .interpreter import check_interpreter

check_interpreter()

from . import tuning_records as records  # noqa: F401  # the name under which programs import it
from .cache.store import CacheError
from .families.rules import Rule
from .formula import Formula
from .kernels import Kernels
from .table import KERNELS

__all__ = ["KERNELS", "CacheError", "Formula", "Kernels", "Rule"]
