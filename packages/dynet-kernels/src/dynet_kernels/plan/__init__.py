"""The planner, as plain functions, which tests also run uncompiled: turns the nodes of a graph into a tape.

It contains nothing about single ops: it follows the views and steps of signatures. Each of these modules uses only
earlier ones: structs, nodes, stages, grouping, addresses, tape, repeats, forward, gradients, backward, update.
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
