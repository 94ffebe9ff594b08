"""Finds out why an update has no gradients: whether the last loss depends on the parameters of the trainer."""

from __future__ import annotations

from dynet_core.graph import current
from dynet_core.nodes import nodes_of
from dynet_core.parameter import ParameterCollection
from dynet_core.parameter_rows import PARAMETER_ROWS


def is_loss_known() -> bool:
    """Whether the graph of this thread still has the loss that was differentiated last."""
    return current().records.differentiated[0] >= 0


def is_reached(collection: ParameterCollection) -> bool:
    """Whether the graph of the last loss uses a trained parameter of the collection, or that is not known any more."""
    if not is_loss_known():
        return True
    rows = {row for p in collection._everything() for row in p._storage.trained_rows()}
    return not rows.isdisjoint(_rows_of_loss())


def others(collection: ParameterCollection) -> str:
    """Return a sentence that names the parameters of other collections in the loss; "" if there are none."""
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
    """Return the rows, in the table of parameters, of those that this thread's graph uses."""
    return [-1 - operand for node in nodes_of(current().records) for operand in node.operands if operand < 0]
