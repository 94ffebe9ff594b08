"""Whether what has been differentiated has parameters that a trainer changes: if not, a program is told."""

from __future__ import annotations

from dynet_core.graph import current
from dynet_core.nodes import nodes_of
from dynet_core.parameter import ParameterCollection
from dynet_core.parameter_rows import PARAMETER_ROWS


def is_differentiated() -> bool:
    """Whether the last loss of this thread is known: its graph is still there."""
    return current().records.differentiated[0] >= 0


def is_met(collection: ParameterCollection) -> bool:
    """Whether a parameter of the collection that is trained is part of the last loss."""
    rows = {row for p in collection._everything() for row in p._storage.trained_rows()}
    return not rows.isdisjoint(_rows_of_loss())


def others(collection: ParameterCollection) -> str:
    """Says which parameters the loss has instead, if that is known."""
    if not is_differentiated():
        return ""
    own = {row for p in collection._everything() for row in p._storage.identity.rows}
    rows = [row for row in _rows_of_loss() if row not in own and PARAMETER_ROWS.needs(row)]
    names = list(dict.fromkeys(PARAMETER_ROWS.names.get(row, "?") for row in rows))
    if not names:
        return ""
    more = ", ..." if len(names) > 3 else ""
    return f". The loss has parameters of another collection, {', '.join(names[:3])}{more}: give the trainer that"


def _rows_of_loss() -> list[int]:
    """The rows of the parameters in this thread's graph."""
    return [-1 - operand for node in nodes_of(current().records) for operand in node.operands if operand < 0]
