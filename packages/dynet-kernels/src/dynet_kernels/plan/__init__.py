"""The planner, which turns the nodes of a graph into a tape. It consists of plain functions.

It knows nothing about individual ops, and only follows the views and steps of signatures. Modules, in import order:

    nodes         structures in memory: the context, signatures, nodes and records
    tape          groups of nodes that one instruction computes, their address lists, and the tape
    repeats       equal columns, which are computed once
    forward       the depth of each node, which orders them; memory for values; the forward pass
    backward      memory for gradients; the backward pass
    update        the passes of trainers
"""

from __future__ import annotations

from . import backward, forward, update

PLANNERS = {
    "forward": forward.plan_forward,
    "backward": backward.plan_backward,
    "gradient_norm": update.plan_gradient_norm,
    "update": update.plan_update,
}
"""The planners, by the name of the pass."""
