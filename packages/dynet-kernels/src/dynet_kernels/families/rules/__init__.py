"""Rules: kernels stated as formulas of a column's values, which run column by column."""

from .across import Across
from .rule import Reduction, Rule
from .update import UpdateRule, update_rule

__all__ = ["Across", "Reduction", "Rule", "UpdateRule", "update_rule"]
