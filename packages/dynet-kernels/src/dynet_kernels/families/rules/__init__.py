"""Rules: kernels that are stated as formulas, such as y = tanh(x) or y = x / sum(x), and run for each column.

A column is a list of numbers that is one unit of work, such as a batch element. `rule.py` defines rules; `columns.py`
emits their code. `across.py` emits it for columns whose elements are interleaved in memory, and `update.py` for the
updates of trainers. Terms such as instruction and address list: see `families/__init__.py`.
"""

from .across import Across
from .rule import Reduction, Rule
from .update import UpdateRule, update_rule

__all__ = ["Across", "Reduction", "Rule", "UpdateRule", "update_rule"]
