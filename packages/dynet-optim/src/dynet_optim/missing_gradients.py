"""Finds out why an update has no gradients, for a warning: does the last loss depend on the trainer's parameters?

The last loss is the expression whose `backward` was called last. The table PARAMETER_ROWS has one or more rows for each
parameter. A graph refers to a parameter by the number of one of these rows.
"""

from __future__ import annotations

from dynet_core.graph import current
from dynet_core.nodes import nodes_of
from dynet_core.parameter import ParameterCollection
from dynet_core.parameter_rows import PARAMETER_ROWS


def is_loss_known() -> bool:
    """Return whether this thread's graph still has the last loss. After `renew_cg`, for example, it does not."""
    return current().records.differentiated[0] >= 0


def is_reached(collection: ParameterCollection) -> bool:
    """Return whether the graph of the last loss uses a parameter of the collection that is trained, not frozen.

    If the graph of the last loss is gone, this is not known; return True.
    """
    if not is_loss_known():
        return True
    rows = {row for p in collection._everything() for row in p._storage.trained_rows()}
    return not rows.isdisjoint(_rows_of_loss())


def others(collection: ParameterCollection) -> str:
    """Return a sentence for the end of the warning, if the graph of the last loss uses parameters of other collections.

    The sentence names those that are trained. Return "" if there are none, or if the graph is gone.
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
    """Return the row numbers of all parameters that are operands of nodes in this thread's graph.

    Such an operand is stored as the number -1 - row. Other operands are numbers of nodes, 0 or more.
    """
    return [-1 - operand for node in nodes_of(current().records) for operand in node.operands if operand < 0]
