"""Finds out why an update has no gradients, for a warning: does the last loss depend on the trainer's parameters?

The last loss is the expression whose `backward` was called last. A graph refers to a parameter by the number of one of
its rows in the table PARAMETER_ROWS.
"""

from __future__ import annotations

from dynet_core.graph import current
from dynet_core.nodes import nodes_of
from dynet_core.parameter import ParameterCollection
from dynet_core.parameter_rows import PARAMETER_ROWS
from dynet_core.wording import few


def rows_of_loss() -> list[int] | None:
    """Return the rows of all parameters in the graph of the last loss; None if it is gone, as after `renew_cg`."""
    records = current().records
    if records.differentiated[0] < 0:
        return None
    # An operand that is a parameter is stored as -1 - row. Other operands are numbers of nodes, 0 or more.
    return [-1 - operand for node in nodes_of(records) for operand in node.operands if operand < 0]


def is_reached(collection: ParameterCollection) -> bool:
    """Return whether the graph of the last loss uses a parameter of the collection that is trained; True if unknown."""
    rows = rows_of_loss()
    own = {row for p in collection._everything() for row in p._storage.trained_rows()}
    return rows is None or not own.isdisjoint(rows)


def others(collection: ParameterCollection) -> str:
    """Return a sentence that names trained parameters of other collections in the last loss; "" if none is known."""
    own = {row for p in collection._everything() for row in p._storage.identity.rows}
    rows = [row for row in rows_of_loss() or [] if row not in own and PARAMETER_ROWS.needs(row)]
    names = dict.fromkeys(PARAMETER_ROWS.names.get(row, "?") for row in rows)
    return f". The loss has parameters of another collection, {few(names)}: give the trainer that" * bool(names)
