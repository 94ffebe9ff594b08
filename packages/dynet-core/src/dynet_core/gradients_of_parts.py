"""Computes the gradients of parts after a backward pass that has added them up.

A *part* is a node whose value is a part of another node's or a parameter's memory: a lookup, a pick, a slice. A plain
backward pass adds the gradients of all parts to the gradient of the whole, and does not keep them.
"""

from __future__ import annotations

from dynet_kernels import layout as at
from dynet_kernels.layout import CONTEXT

from .engine import Engine
from .memory import block
from .parameter_rows import PARAMETER_ROWS


def differentiate_parts(engine: Engine, version: int, loss: int) -> bool:
    """Compute the gradients of all nodes, as `backward(full=True)` does, without adding any to parameters.

    During this pass, the engine has a table of parameters in which all gradients are in memory that nothing reads.

    Args:
        engine: the engine of the graph.
        version: the version of the graph.
        loss: the number of the node whose `backward` has been called.

    Returns:
        Whether it was done. It is not if a parameter has been unfrozen since the last pass.
    """
    if engine.parameters_version != PARAMETER_ROWS.version:
        engine.prepare(1, engine.recorded.length)
    unread = block(PARAMETER_ROWS.largest)
    rows, usual = engine.rows.copy(), engine.slots[CONTEXT.parameters]
    rows.reshape(-1, len(at.PARAMETER))[:, at.PARAMETER.gradient] = unread.address
    engine.plan_anew()
    engine.slots[CONTEXT.parameters] = rows.ctypes.data
    try:
        return engine.backward(version, loss, 1, True)
    finally:
        engine.slots[CONTEXT.parameters] = usual
        engine.plan_anew()
