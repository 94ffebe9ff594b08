"""Kernel families, planner and tape machine; compiled by TVM, kept on disk."""

from .interpreter import check_interpreter

check_interpreter()

from .cache import CacheError
from .formula import Formula
from .kernels import KERNELS, Kernels
from .rule import Rule

__all__ = ["KERNELS", "CacheError", "Formula", "Kernels", "Rule"]
