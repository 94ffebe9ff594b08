"""PARAMETER_ROWS, the table from which compiled code reads the addresses of all parameters' values and gradients."""

from __future__ import annotations

import heapq
from collections import deque
from typing import Any

import numpy as np
import numpy.typing as npt

from dynet_kernels.layout import PARAMETER
from dynet_kernels.locks import new_lock

from ..dim import GIVEN_BACK, Dim
from ..recorder import next_generation
from .device import IN_USE

WIDTH, GRADIENT, NEEDS = len(PARAMETER), PARAMETER.gradient, PARAMETER.needs_gradient


class Rows:
    """The table of parameters, which all threads share. PARAMETER in `dynet_kernels.layout` names its columns.

    A parameter may have more than one row, such as a row for uses without a gradient. As an operand, a parameter is -1
    minus its row. `version` grows with each change of the table, `added` with each new row.
    """

    def __init__(self) -> None:
        self.names: dict[int, str] = {}  # index of a row -> name of the parameter, for messages
        self.largest = 0  # the size of the largest parameter so far
        self.buffer = np.zeros(64 * WIDTH, np.int64)
        self.lock = new_lock()
        self.version = self.added = 0
        # How often parameters have been unfrozen. A graph that was planned earlier has no room for their gradients, so
        # the engine computes the graph again if this number has changed.
        self.unfreeze_count = 0
        # Rows that no parameter or graph uses any more, for reuse by `add`. Finalizers append them without the lock,
        # which may be held when a finalizer runs.
        self.given_back: deque[int] = deque()
        self.free: list[int] = []

    def add(self, name: str = "", floats: int = 0, **facts: int) -> int:
        """Add a row and return its index. `floats` is the size of the parameter, `facts` the columns that are not 0.

        `value` and `gradient` are addresses; `needs_gradient` says whether backward passes compute the gradient. For a
        lookup parameter, `rows` is the number of rows, `width` the number of floats per row, and `touched` the address
        of the list of rows that have a gradient. For uses without a gradient, `width` and `touched` are 0.
        """
        next_generation()
        with self.lock:
            while self.given_back:
                heapq.heappush(self.free, self.given_back.popleft())
            index = heapq.heappop(self.free) if self.free else len(self.names)
            self.names[index], self.largest = name, max(self.largest, floats)
            while (index + 1) * WIDTH > len(self.buffer):
                self.buffer = np.concatenate([self.buffer, np.zeros_like(self.buffer)])
            self._row(index)[:] = PARAMETER.filled(**dict.fromkeys(PARAMETER, 0) | facts)
            self.version += 1
            self.added += 1
            next_generation()
            return index

    def _row(self, index: int) -> npt.NDArray[np.int64]:
        return self.buffer[index * WIDTH : (index + 1) * WIDTH]

    def set_needs(self, index: int, needs: bool, gradient: int) -> None:
        """Set whether backward passes compute the parameter's gradient, and the address at which it starts."""
        with self.lock:
            row = self._row(index)
            if row[GRADIENT] == gradient and row[NEEDS] == needs:
                return
            next_generation(freezes=True)
            row[GRADIENT], row[NEEDS] = gradient, needs
            self.version += 1
            self.unfreeze_count += needs
            next_generation(freezes=True)

    def needs(self, index: int) -> bool:
        return bool(self._row(index)[NEEDS])

    def row_count(self, index: int) -> int:
        """Return how many rows a lookup parameter has."""
        return int(self._row(index)[PARAMETER.rows])


PARAMETER_ROWS = Rows()
IN_USE.append(lambda: "parameters had been made" if PARAMETER_ROWS.names else "")


class Identity:
    """The rows of PARAMETER_ROWS and the Dims that belong to one parameter."""

    __slots__ = ("dims", "rows")

    def __init__(self, rows: list[int] | None = None, dims: list[Dim] | None = None):
        self.rows: list[int] = rows or []
        self.dims: list[Dim] = dims or []

    def row(self, **facts: Any) -> int:
        """Add a row for this parameter to PARAMETER_ROWS and return the row's index."""
        self.rows.append(PARAMETER_ROWS.add(**facts))
        return self.rows[-1]

    def dim(self, dim: Dim) -> Dim:
        self.dims.append(dim.own())
        return self.dims[-1]


class Retired(Identity):
    """The rows and Dims of a deleted parameter, for reuse once no graph keeps this object alive any more."""

    __slots__ = ()

    # Both lists are default arguments, because Python may clear module globals at exit before it runs finalizers.
    def __del__(self, rows=PARAMETER_ROWS.given_back, dims=GIVEN_BACK):
        rows.extend(self.rows)
        dims.extend(self.dims)
