"""The planner's table of parameters."""

from __future__ import annotations

import heapq
import threading
from collections import deque

import numpy as np

from dynet_kernels import layout as at

from .device import refuse_while
from .recorder import next_generation


class Rows:
    """The table of parameters, one row each, which all threads share. `layout` defines the columns.

    A parameter is the operand `-1 - row`. `version` counts the changes of the table.
    """

    def __init__(self) -> None:
        self.rows: list[tuple[int, ...]] = []
        self.names: dict[int, str] = {}  # for messages
        self.buffer = np.zeros(64 * len(at.PARAMETER), np.int64)
        self.lock = threading.RLock()  # reentrant: the garbage collector may run code that takes it again
        self.version = 0
        self.trained_again = 0  # counts how often a frozen parameter was unfrozen: graphs planned before lack gradients
        # Rows that no parameter and no graph uses any more. Finalizers add them here without taking the lock, because
        # they may run while it is held.
        self.given_back: deque[int] = deque()
        self.free: list[int] = []

    def add(
        self,
        *,
        value: int,
        gradient: int,
        needs: bool,
        name: str = "",
        touched: int = 0,
        width: int = 0,
        rows: int = 0,
    ) -> int:
        """Add a row and return its number.

        Args:
            value, gradient: the addresses of the numbers.
            needs: whether the gradient is wanted.
            name: the name for messages.
            touched: the address of the list of touched rows of a lookup table, or 0.
            width, rows: the size of a row of a lookup table in floats, and the number of rows.
        """
        next_generation()
        with self.lock:
            while self.given_back:
                heapq.heappush(self.free, self.given_back.popleft())
            row = value, gradient, int(needs), touched, width, rows
            if self.free:
                number = heapq.heappop(self.free)
                self.rows[number] = row
            else:
                self.rows.append(row)
                number = len(self.rows) - 1
            self.names[number] = name
            while (number + 1) * len(at.PARAMETER) > len(self.buffer):
                self.buffer = np.concatenate([self.buffer, np.zeros_like(self.buffer)])
            self.write(number)
            self.version += 1
            next_generation()
            return number

    def write(self, number: int) -> None:
        """Copy a row into the buffer that compiled code reads."""
        start = number * len(at.PARAMETER)
        self.buffer[start : start + len(at.PARAMETER)] = self.rows[number]

    def set_needs(self, number: int, needs: bool, gradient: int) -> None:
        """Set whether a parameter's gradient is wanted, and the address where it is computed."""
        with self.lock:
            next_generation()
            value, _, _, *rest = self.rows[number]
            self.rows[number] = (value, gradient, int(needs), *rest)
            self.write(number)
            self.version += 1
            self.trained_again += needs
            next_generation()

    def needs(self, number: int) -> bool:
        """Return whether a parameter's gradient is wanted."""
        return bool(self.rows[number][at.PARAMETER.needs_gradient])


PARAMETER_ROWS = Rows()
refuse_while(lambda: "parameters had been made" if PARAMETER_ROWS.rows else "")
