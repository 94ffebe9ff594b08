"""The table by which the planner knows parameters."""

from __future__ import annotations

import heapq
import threading
from collections import deque

import numpy as np

from dynet_kernels import layout as at

from .device import refuse_while
from .recorder import next_generation


class Rows:
    """What the planner knows of parameters: one row each, shared by all threads."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, ...]] = []
        self.names: dict[int, str] = {}  # for people
        self.buffer = np.zeros(64 * at.PARAMETER_ROW, np.int64)
        self.lock = threading.RLock()  # the collector of garbage may call what comes here again
        self.version = 0
        self.trained_again = 0  # how often a parameter was trained again: nodes that depend on it need a gradient then
        # Rows that are used no more, not in any graph either. Finalizers, which may run while the lock is held, put
        # them here.
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
        """Add a row; an operand -1-row means it. `name` is for people."""
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
            while (number + 1) * at.PARAMETER_ROW > len(self.buffer):
                self.buffer = np.concatenate([self.buffer, np.zeros_like(self.buffer)])
            self.write(number)
            self.version += 1
            next_generation()
            return number

    def write(self, number: int) -> None:
        start = number * at.PARAMETER_ROW
        self.buffer[start : start + at.PARAMETER_ROW] = self.rows[number]

    def set_needs(self, number: int, needs: bool, gradient: int) -> None:
        """Say whether a parameter's gradient is wanted, and where what is computed of it goes."""
        with self.lock:
            next_generation()
            value, _, _, *rest = self.rows[number]
            self.rows[number] = (value, gradient, int(needs), *rest)
            self.write(number)
            self.version += 1
            self.trained_again += needs
            next_generation()

    def needs(self, number: int) -> bool:
        """Whether a parameter's gradient is wanted."""
        return bool(self.rows[number][at.PARAMETER_NEEDS])


PARAMETER_ROWS = Rows()
refuse_while(lambda: "parameters had been made" if PARAMETER_ROWS.rows else "")
