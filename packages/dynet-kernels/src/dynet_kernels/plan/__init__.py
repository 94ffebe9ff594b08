"""The planner, as plain functions, which tests also run uncompiled: turns the nodes of a graph into a tape.

It contains nothing about single ops: it follows the views and steps of signatures. The modules, each after those that
it uses:

    structs       structures in memory
    nodes         the context, nodes and records
    stages        the depth of each node, which orders them
    grouping      groups: nodes that one instruction computes
    addresses     the address lists that kernels read
    tape          instructions
    repeats       equal columns, which are computed once
    forward       the forward pass, and memory for values
    gradients     memory for gradients
    backward      the backward pass
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
"""Each planner, by the name of the pass that the planner plans."""
