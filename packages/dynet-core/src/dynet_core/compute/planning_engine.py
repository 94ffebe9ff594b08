"""An engine that only plans a graph, for `show_plan`."""

from __future__ import annotations

from dynet_kernels import layout as at
from dynet_kernels.layout import CONTEXT

from .engine import ARENA_TOP, NEW_RECORDS, READY, Engine
from .parameter_rows import PARAMETER_ROWS


class PlanningEngine(Engine):
    """Only plans a graph and computes nothing. It has separate buffers, so the graph and its engine do not change."""

    def plan(self, loss: int | None = None, size: int = 0) -> None:
        """Plan the forward pass, or the backward pass from node `loss`, whose value has `size` numbers."""
        records, slots = self.recorded, self.slots
        end, _, inputs_end = records.ends()
        if loss is None:
            self.prepare(0, end)
            # The planner marks which rows of lookup parameters get a gradient. Here no gradient is computed, so give it
            # a copy of the table of parameters without the addresses of these marks.
            self.rows = PARAMETER_ROWS.buffer.copy()
            self.rows.reshape(-1, len(at.PARAMETER))[:, at.PARAMETER.touched] = 0
            slots[CONTEXT.parameters] = self.rows.ctypes.data
            slots[NEW_RECORDS], slots[ARENA_TOP] = records.address, self.numbers_at
            status = self.machine.plan_forward(self.context_at, 0, end, records.inputs_address, 0, inputs_end)
        else:
            status = self.machine.plan_backward(self.context_at, loss, size, 0)
        if status != READY:
            self._make_room("forward" if loss is None else "backward", status)
            self.plan(loss, size)
