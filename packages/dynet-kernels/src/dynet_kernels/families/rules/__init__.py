"""Rules: kernels that are stated as formulas, such as y = tanh(x) or y = x / sum(x), and run for each column."""

from .across import Across
from .rule import Reduction, Rule
from .update import UpdateRule, update_rule

__all__ = ["Across", "Reduction", "Rule", "UpdateRule", "update_rule"]
