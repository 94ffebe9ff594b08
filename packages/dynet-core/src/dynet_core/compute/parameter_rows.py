"""PARAMETER_ROWS, the table from which compiled code reads the addresses of all parameters' values and gradients."""

from __future__ import annotations

import heapq
from collections import deque
from typing import Any

import numpy as np
import numpy.typing as npt

from dynet_kernels.layout import PARAMETER
from dynet_kernels.locks import new_lock

from ..dim import RETIRED_DIMS, Dim
from ..recorder import next_generation
from .device import CHANGE_BLOCKERS

ROW_WIDTH, GRADIENT, NEEDS_GRADIENT = len(PARAMETER), PARAMETER.gradient, PARAMETER.needs_gradient


class ParameterRows:
    """The table of parameters, which all threads share. PARAMETER in `dynet_kernels.layout` names the fields of a row.

    A parameter may have more than one row, such as a row for uses without a gradient. The operand
    for row p is -1 - p. `version` grows with each change of the table, `value_count` with each new address of a value.
    """

    def __init__(self) -> None:
        self.names: dict[int, str] = {}  # index of a row -> name of the parameter, for messages
        self.largest_size = 0  # the size of the largest parameter so far
        self.buffer = np.zeros(64 * ROW_WIDTH, np.int64)  # room for 64 rows at first; `add` doubles it when it is full
        self.lock = new_lock()
        self.version = self.value_count = 0
        # How often parameters have been unfrozen. A graph planned before has no room for the gradients of these
        # parameters, so all values are computed again before the backward pass if this number has changed.
        self.unfreeze_count = 0
        # Rows that no parameter or graph uses any more, for `free_rows`. Finalizers append them without the lock,
        # which may be held when a finalizer runs.
        self.retired_rows: deque[int] = deque()
        self.free_rows: list[int] = []  # a heap of the rows that `add` can reuse

    def add(self, name: str = "", floats: int = 0, **fields: int) -> int:
        """Add a row and return its index. `floats` is the size of the parameter, `fields` its fields that are not 0.

        The fields `value` and `gradient` are addresses; `needs_gradient` says whether backward passes compute the
        gradient. For a lookup parameter, `rows` is the number of its rows, `width` the number of floats in each, and
        `touched` the address of the list of rows that have a gradient. Without gradients, `width` and `touched` are 0.
        `copy` is how many floats after the value a rounded copy is, or 0.
        """
        next_generation()  # before and after the change, because a graph may be prepared during the change
        with self.lock:
            while self.retired_rows:
                heapq.heappush(self.free_rows, self.retired_rows.popleft())
            index = heapq.heappop(self.free_rows) if self.free_rows else len(self.names)
            self.names[index], self.largest_size = name, max(self.largest_size, floats)
            while (index + 1) * ROW_WIDTH > len(self.buffer):
                self.buffer = np.concatenate([self.buffer, np.zeros_like(self.buffer)])
            self._row(index)[:] = PARAMETER.filled(**dict.fromkeys(PARAMETER, 0) | fields)
            self.version += 1
            self.value_count += 1
            next_generation()
            return index

    def note_change(self) -> None:
        """Let all engines discard their plans before the next pass."""
        with self.lock:
            self.version += 1
            next_generation()

    def _row(self, index: int) -> npt.NDArray[np.int64]:
        return self.buffer[index * ROW_WIDTH : (index + 1) * ROW_WIDTH]

    def set_needs_gradient(self, index: int, needs_gradient: bool, gradient_address: int) -> None:
        """Set whether backward passes compute the parameter's gradient, and the address at which it starts."""
        with self.lock:
            row = self._row(index)
            if row[GRADIENT] == gradient_address and row[NEEDS_GRADIENT] == needs_gradient:
                return
            next_generation(only_freezes=True)
            row[GRADIENT], row[NEEDS_GRADIENT] = gradient_address, needs_gradient
            self.version += 1
            self.unfreeze_count += needs_gradient
            next_generation(only_freezes=True)

    def replace_value(self, index: int, address: int, product: int) -> None:
        """Set the address of a parameter's value, and the opcode of products with it. It has no copy from then on."""
        with self.lock:
            next_generation()
            row = self._row(index)
            row[PARAMETER.value], row[PARAMETER.copy], row[PARAMETER.product] = address, 0, product
            self.version += 1
            self.value_count += 1
            next_generation()

    def needs_gradient(self, index: int) -> bool:
        return bool(self._row(index)[NEEDS_GRADIENT])

    def row_count(self, index: int) -> int:
        """Return how many rows a lookup parameter has."""
        return int(self._row(index)[PARAMETER.rows])


PARAMETER_ROWS = ParameterRows()
CHANGE_BLOCKERS.append(lambda: "parameters had been made" if PARAMETER_ROWS.names else "")


class ParameterIdentity:
    """The rows of PARAMETER_ROWS (as indices) and the Dims that belong to one parameter."""

    __slots__ = ("dims", "rows")

    def __init__(self, rows: list[int] | None = None, dims: list[Dim] | None = None):
        self.rows: list[int] = rows or []
        self.dims: list[Dim] = dims or []

    def add_row(self, **arguments: Any) -> int:
        """Add a row for this parameter to PARAMETER_ROWS and return the row's index."""
        self.rows.append(PARAMETER_ROWS.add(**arguments))
        return self.rows[-1]

    def add_dim(self, dim: Dim, copy: int = 0) -> Dim:
        self.dims.append(dim.for_parameter(copy))
        return self.dims[-1]


class RetiredIdentity(ParameterIdentity):
    """The rows and Dims of a deleted parameter, for reuse once no graph keeps this object alive any more."""

    __slots__ = ()

    # Both lists are default arguments, because Python may clear module globals at exit before it runs finalizers.
    def __del__(self, rows=PARAMETER_ROWS.retired_rows, dims=RETIRED_DIMS):
        rows.extend(self.rows)
        dims.extend(self.dims)
