"""The planner: turns recorded nodes into a tape of instructions. Compiled by TVM like the kernels.

It is written as Python functions that emit code when they are called: an attribute of a structure emits a load or a
store, `with when(...)` a condition, `with each(...)` a loop. No part of it knows an op: a signature lists its views
and steps. What the integers mean stands in `layout`.

In the order in which the modules build on each other:

    flow          conditions, loops, variables
    structs       structures in memory
    nodes         what is known of nodes, records and signatures
    stages        when nodes run
    grouping      nodes that run together
    addresses     the lists of addresses that kernels read
    tape          instructions
    forward       the forward pass: where values go
    gradients     where gradients go
    backward      the backward pass
    update        the passes of trainers
"""

from __future__ import annotations

from .. import tir
from . import backward, forward, update

PLANNERS = {
    "forward": forward.plan_forward,
    "backward": backward.plan_backward,
    "gradient_norm": update.plan_gradient_norm,
    "update": update.plan_update,
}
"""What emits each planner: functions of addresses and numbers."""


def planners() -> dict:
    """The compiled planners' code by what they plan: private PrimFuncs."""
    return {name: tir.emitted(f"plan_{name}", emit, private=True) for name, emit in PLANNERS.items()}
