"""The planner: turns the nodes of a graph into a tape, a list of instructions. TVM compiles it, like the kernels.

It is written as Python functions that emit TIR, TVM's intermediate code: to read or set an attribute of a structure
emits a load or a store, `with when(...)` a condition, `with each(...)` a loop. Docstrings say what the emitted code
does. No part of the planner knows an op: it follows the views and steps that a signature lists. `layout` defines all
integers, and terms such as record, signature and view.

In the order in which the modules build on each other:

    flow          conditions, loops, variables
    structs       structures in memory
    nodes         the context, nodes and records
    stages        the depth of each node, which orders them
    grouping      groups: nodes that one instruction computes
    addresses     the address lists that kernels read
    tape          instructions
    forward       the forward pass, and memory for values
    gradients     memory for gradients
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
"""The emitter of each planner, by the name of the pass that it plans."""


def planners() -> dict:
    """Emit all planners. Return them as private TIR functions, by the name of the pass that they plan."""
    return {name: tir.emitted(f"plan_{name}", emit, private=True) for name, emit in PLANNERS.items()}
