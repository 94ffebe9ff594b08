"""The table in which compiled code finds the parameters of a trainer.

An update has two parts: the norm of all gradients, and the trainer's rule on every dense parameter and every used row
of a lookup table. Each part is one compiled call for all parameters. If nothing is clipped, one call does both.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from dynet_core.device import compiled
from dynet_core.memory import Block, block
from dynet_core.parameter import LookupParameters, ParameterCollection, Parameters
from dynet_core.parameter.storage import Storage
from dynet_core.parameter_rows import PARAMETER_ROWS
from dynet_kernels import layout as at
from dynet_kernels import library, sharing
from dynet_kernels.layout import CONTEXT
from dynet_kernels.table import KERNELS

from .rule import CLEAR, NORM, Rule

STATUS = CONTEXT.status
READY = at.READY
NEARLY_ONE = 1 - 1e-6  # a norm below this part of the threshold is surely not clipped


class Table:
    """The parameters of a collection in the form that compiled code reads, with the states of a rule for each."""

    def __init__(self, collection: ParameterCollection, rule: Rule):
        self.collection, self.rule = collection, rule
        self.states, self.width = rule.states, len(at.UPDATE) + rule.states
        for opcode in (NORM, CLEAR.opcode, rule.opcode):
            KERNELS.use(opcode)
        self.numbers = block(rule.numbers)
        self._pack = self.numbers.packer()
        self.version = -1
        self.parameters: list[Parameters] = []
        self.lookups: list[LookupParameters] = []
        self.kept: dict[Storage, list[Block]] = {}  # the states of each parameter
        self.context = np.zeros(len(CONTEXT), np.int64)
        self.context_at = self.context.ctypes.data
        self.slots = memoryview(self.context)  # type: ignore[arg-type]  # arrays are buffers to checkers only from Python 3.12 on
        self.slots[CONTEXT.address_type], self.slots[CONTEXT.address] = at.INT_ARGUMENT, self.context_at
        self.threads = np.zeros((at.MOST_THREADS, at.THREAD_ROW), np.int64)
        self.slots[CONTEXT.code] = library.code_address()
        self.slots[CONTEXT.sharing], self.slots[CONTEXT.threads] = sharing.address(), self.threads.ctypes.data
        self.sum_block = block(4)  # two float64: the sum, and its limit
        self.sum = self.sum_block.direct().cast("B").cast("d")
        self._grow_index(1 << 10)

    def _grow_index(self, size: int) -> None:
        self.index = np.zeros(size, np.int64)
        self.slots[CONTEXT.index] = self.index.ctypes.data
        self.slots[CONTEXT.index_end] = size

    def prepared(self) -> Table:
        """Bring the table up to date with the collection, and return it."""
        if self.version != PARAMETER_ROWS.version:
            self._prepare()
        return self

    def _prepare(self) -> None:
        collection = self.collection
        self.version, version = -1, PARAMETER_ROWS.version
        self.machine = compiled()
        self.shared = PARAMETER_ROWS.buffer  # compiled code reads it, so keep it alive
        self.parameters = collection.parameters_list()
        self.lookups = collection.lookup_parameters_list()
        everything = [*self.parameters, *self.lookups]
        self.count = len(everything)
        self.rows = np.zeros((self.count, self.width), np.int64)
        for row, parameter in zip(self.rows, everything):
            storage = parameter._storage
            floats = storage.values.floats
            if storage not in self.kept:
                self.kept[storage] = [block(floats, zero=True) for _ in range(self.states)]
            row[at.UPDATE.parameter], row[at.UPDATE.floats] = storage.row, floats
            row[len(at.UPDATE) :] = [state.address for state in self.kept[storage]]
        self.choose_all()
        self.tape = np.zeros((self.count, len(at.INSTRUCTION)), np.int64)
        self.slots[CONTEXT.parameters] = self.shared.ctypes.data
        self.slots[CONTEXT.table] = self.rows.ctypes.data
        self.slots[CONTEXT.tape] = self.tape.ctypes.data
        self.version = version  # last, because allocation may fail or be interrupted

    def states_in_order(self) -> list[list[Block]]:
        """Return the states of each parameter, then of each lookup parameter."""
        return [self.kept[parameter._storage] for parameter in [*self.parameters, *self.lookups]]

    def choose(self, places: list[int]) -> None:
        """Restrict updates to the parameters at these indices."""
        self.rows[:, at.UPDATE.chosen] = 0
        self.rows[places, at.UPDATE.chosen] = 1

    def choose_all(self) -> None:
        """Update all parameters again."""
        self.rows[:, at.UPDATE.chosen] = 1

    def squared_norm(self, dense: int, first: int = 0, last: int | None = None) -> float:
        """Return the sum of the squared gradients of the trained parameters from `first` to `last` (excluded)."""
        last = self.count if last is None else last
        direct = self.sum
        if direct:
            direct[0] = 0.0
        else:
            self.sum_block.write(0)
        self.machine.gradient_norm(self.context_at, NORM, first, last, self.states, dense, self.sum_block.address)
        if self.slots[STATUS] != READY:
            self._make_room()
            return self.squared_norm(dense, first, last)
        return direct[0] if direct else float(self.sum_block.array.view(np.float64)[0])

    def first_not_finite(self, dense: int) -> str:
        """Return the name of the first parameter whose gradient is not finite."""
        everything = [*self.parameters, *self.lookups]
        bad = (k for k in range(self.count) if not math.isfinite(self.squared_norm(dense, k, k + 1)))
        return everything[next(bad)].name()

    def run(self, numbers: Sequence[float], dense: int) -> None:
        """Apply the rule with these numbers to all parameters that are trained and chosen.

        Raises:
            OverflowError: a number is too large for a float32; nothing has changed.
        """
        self._pack(*numbers)
        self._run(self.rule, dense)

    def clear(self, dense: int) -> None:
        """Set the gradients of all trained parameters to zero."""
        self._run(CLEAR, dense)

    def _run(self, rule: Rule, dense: int) -> None:
        self.machine.update(
            self.context_at, rule.opcode, self.count, self.states, rule.numbers, self.numbers.address, dense
        )
        if self.slots[STATUS] != READY:
            self._make_room()
            self._run(rule, dense)

    def run_if_below(self, threshold: float, numbers: Sequence[float], dense: int) -> float | None:
        """Compute the norm, and apply the rule in the same call if the norm is below the threshold.

        Args:
            threshold: the clipping threshold; 0 for none.
            numbers: the numbers of the rule.
            dense: 1 to update all rows of lookup tables, 0 for the used ones.

        Returns:
            The sum of the squared gradients; None if nothing has changed.
        """
        together, totals = self.machine.norm_and_update, self.sum
        if together is None or not totals:
            return None
        try:
            self._pack(*numbers)
        except OverflowError:
            return None
        totals[1] = NEARLY_ONE * threshold * threshold if threshold else math.inf
        together(
            self.context_at, NORM, self.rule.opcode, self.count, self.states, self.rule.numbers,
            self.numbers.address, dense, self.sum_block.address,
        )  # fmt: skip
        return totals[0] if self.slots[STATUS] == READY else None

    def _make_room(self) -> None:
        """Enlarge the index after compiled code found it too small.

        Raises:
            NoCodeError: the call failed because an instruction has no machine code.
        """
        if self.slots[STATUS] == at.NO_CODE:
            self.version = -1  # makes the next update load the kernels again
            raise KERNELS.no_code(int(self.tape[self.slots[CONTEXT.row], at.INSTRUCTION.opcode]))
        self._grow_index(2 * self.slots[CONTEXT.needed_index])
