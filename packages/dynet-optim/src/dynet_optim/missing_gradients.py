"""Finds out why an update has no gradients: whether the last loss depends on the parameters of the trainer.

The table PARAMETER_ROWS has a row or more for each parameter. Graphs refer to parameters by the numbers of these rows.
"""

from __future__ import annotations

from dynet_core.graph import current
from dynet_core.nodes import nodes_of
from dynet_core.parameter import ParameterCollection
from dynet_core.parameter_rows import PARAMETER_ROWS


def is_loss_known() -> bool:
    """Return whether this thread's graph still has the last loss, the expression whose `backward` was called last."""
    return current().records.differentiated[0] >= 0


def is_reached(collection: ParameterCollection) -> bool:
    """Return whether the graph of the last loss uses a trained parameter of the collection.

    Return True if this is not known, because the graph of the last loss is gone.
    """
    if not is_loss_known():
        return True
    rows = {row for p in collection._everything() for row in p._storage.trained_rows()}
    return not rows.isdisjoint(_rows_of_loss())


def others(collection: ParameterCollection) -> str:
    """Return text for a warning that names trained parameters of other collections in the graph of the last loss.

    Return "" if there are none.
    """
    if not is_loss_known():
        return ""
    own = {row for p in collection._everything() for row in p._storage.identity.rows}
    rows = [row for row in _rows_of_loss() if row not in own and PARAMETER_ROWS.needs(row)]
    names = list(dict.fromkeys(PARAMETER_ROWS.names.get(row, "?") for row in rows))
    if not names:
        return ""
    more = ", ..." if len(names) > 3 else ""
    return f". The loss has parameters of another collection, {', '.join(names[:3])}{more}: give the trainer that"


def _rows_of_loss() -> list[int]:
    """Return the numbers of the rows in PARAMETER_ROWS that this thread's graph uses.

    Where a parameter is an operand of a node, the operand is -1 - row.
    """
    return [-1 - operand for node in nodes_of(current().records) for operand in node.operands if operand < 0]
