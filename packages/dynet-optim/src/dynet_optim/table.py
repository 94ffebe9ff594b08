"""The table in which compiled code finds the parameters of a trainer.

An update has two parts: compute the norm of all gradients, and apply the trainer's rule to each parameter (for a lookup
parameter, to the rows that were used). Each part is one compiled call for all parameters. If nothing is clipped, one
call does both.

A rule is how the trainer computes new values of parameters. For each parameter it keeps *states*: tensors of the same
shape, such as a moving average of gradients. It reads a few *numbers*, such as the learning rate. The argument `dense`
of many functions is 1 to read or change all rows of lookup parameters, and 0 for only those rows that were used since
the last update. PARAMETER_ROWS is the table of all parameters of the program, with the addresses of their values and
gradients. Its `added` changes when parameters are made. Compiled code reads there which of them are frozen.
"""

from __future__ import annotations

import math
import threading
import weakref
from collections.abc import Sequence

import numpy as np

from dynet_core.device import compiled
from dynet_core.graph import current
from dynet_core.memory import Block, block
from dynet_core.outdated import Group, Outdated
from dynet_core.parameter import LookupParameters, ParameterCollection, Parameters
from dynet_core.parameter.storage import Identity, Storage
from dynet_core.parameter_rows import PARAMETER_ROWS
from dynet_kernels import layout as at
from dynet_kernels import library, sharing
from dynet_kernels.layout import CONTEXT
from dynet_kernels.table import KERNELS

from .rule import CLEAR, NORM, Rule

STATUS = CONTEXT.status
READY = at.READY
# If the squared norm is below NEARLY_ONE times the squared clipping threshold, nothing is clipped. The norm may have a
# rounding error, so a squared norm between this and the squared threshold is computed and compared again.
NEARLY_ONE = 1 - 1e-6


class Table:
    """The parameters of a collection as compiled code reads them, and the states that a rule keeps for each of them.

    For each parameter, the array `rows` has a row of integers, such as addresses. By the array `context`, Python and
    compiled code exchange addresses, sizes and results. Its integers have names in `layout.CONTEXT`.
    """

    def __init__(self, collection: ParameterCollection, rule: Rule):
        self.collection, self.rule = collection, rule
        self.states, self.width = len(rule.states), len(at.UPDATE) + len(rule.states)
        for opcode in (NORM, CLEAR.opcode, rule.opcode):
            KERNELS.use(opcode)
        self.numbers = block(len(rule.numbers))
        self._pack = self.numbers.packer()
        self.added = -1  # PARAMETER_ROWS.added when `_prepare` filled this table; -1: it is out of date
        self.parameters: list[Parameters] = []
        self.lookups: list[LookupParameters] = []
        self.kept: dict[Storage, list[Block]] = {}  # the states that the rule keeps for each parameter
        self.context = np.zeros(len(CONTEXT), np.int64)
        self.context_at = self.context.ctypes.data
        self.slots = memoryview(self.context)  # type: ignore[arg-type]  # before Python 3.12, type checkers do not know arrays as buffers
        self.slots[CONTEXT.address_type], self.slots[CONTEXT.address] = at.INT_ARGUMENT, self.context_at
        self.threads = np.zeros((at.MOST_THREADS, at.THREAD_ROW), np.int64)
        self.slots[CONTEXT.code] = library.code_address()
        self.slots[CONTEXT.threads] = self.threads.ctypes.data
        self.group: Group | None = None
        self.identities: list[Identity] = []  # of all parameters, as `Outdated` takes them
        self._use_in_thread()
        # The memory of 4 floats, that is, of two float64: the sum of squared gradients, and the limit below which
        # `run_if_below` updates. `sum` gives Python these two numbers; it is empty if they are on a GPU.
        self.sum_block = block(4)
        self.sum = self.sum_block.direct().cast("B").cast("d")
        self.both = np.zeros(len(at.BOTH), np.int64)  # arguments of `norm_and_update`
        self.both_at = self.both.ctypes.data
        self._grow_index(1 << 10)

    def _grow_index(self, size: int) -> None:
        self.index = np.zeros(size, np.int64)
        self.slots[CONTEXT.index] = self.index.ctypes.data
        self.slots[CONTEXT.index_end] = size

    def _use_in_thread(self) -> None:
        """Prepare for updates in the calling thread. Only in the main thread do several threads share updates."""
        outdated = current().outdated
        self.slots[CONTEXT.changes] = outdated.changes_address()
        self._note_changes_for(outdated)
        self.slots[CONTEXT.sharing] = sharing.address()
        self.outdated = outdated  # set last: if an interrupt comes before, the next call starts again

    def _note_changes_for(self, outdated: Outdated) -> None:
        """Let compiled code note changes of the parameters for the graph of the calling thread."""
        old, new = self.group, outdated.group(self.identities)
        new.owner = weakref.ref(self)
        self.slots[CONTEXT.changed] = new.address
        self.group = new  # this reference keeps the memory alive
        if old is not None and old is not new:
            old.owner = None

    def prepared(self) -> Table:
        """Return this table, filled anew if parameters were added since the last time."""
        if self.outdated.thread != threading.get_ident():
            self._use_in_thread()
        if self.added != PARAMETER_ROWS.added:
            self._prepare()
        return self

    def _prepare(self) -> None:
        collection = self.collection
        self.added, added = -1, PARAMETER_ROWS.added
        self.machine = compiled(NORM, CLEAR.opcode, self.rule.opcode)
        self.shared = PARAMETER_ROWS.buffer  # this reference keeps it alive, because compiled code reads it
        self.parameters = collection.parameters_list()
        self.lookups = collection.lookup_parameters_list()
        everything = [*self.parameters, *self.lookups]
        identities = [parameter._storage.identity for parameter in everything]
        if self.identities != identities:
            self.identities = identities
        if self.group is None or self.group.parameters is not self.identities:
            self._note_changes_for(self.outdated)
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
        self.dense = 0
        self.both[:] = at.BOTH.filled(
            norm=NORM, opcode=self.rule.opcode, count=self.count, states=self.states, dense=self.dense,
            numbers=len(self.rule.numbers), numbers_at=self.numbers.address, totals=self.sum_block.address,
        )  # fmt: skip
        self.tape = np.zeros((self.count, len(at.INSTRUCTION)), np.int64)
        self.slots[CONTEXT.parameters] = self.shared.ctypes.data
        self.slots[CONTEXT.table] = self.rows.ctypes.data
        self.slots[CONTEXT.tape] = self.tape.ctypes.data
        self.added = added  # set last: if an allocation above fails or is interrupted, the next call starts again

    def states_in_order(self) -> list[list[Block]]:
        """Return the states that the rule keeps: a list for each parameter, and then for each lookup parameter."""
        return [self.kept[parameter._storage] for parameter in [*self.parameters, *self.lookups]]

    def choose(self, places: list[int]) -> None:
        """Restrict updates to the parameters with the indices `places`. All are counted, lookup parameters last."""
        self.rows[:, at.UPDATE.chosen] = 0
        self.rows[places, at.UPDATE.chosen] = 1

    def choose_all(self) -> None:
        """Let updates change all parameters that are trained. This ends the restriction that `choose` has made."""
        self.rows[:, at.UPDATE.chosen] = 1

    def squared_norm(self, dense: int, first: int = 0, last: int | None = None) -> float:
        """Return the sum of the squared gradients of trained parameters.

        Args:
            dense: 1 to read all rows of lookup parameters, 0 for only the rows that were used.
            first, last: add up the gradients of the parameters with indices from `first` to `last` - 1, if they are
                trained. All parameters are counted, lookup parameters last. None means the end.
        """
        last = self.count if last is None else last
        direct = self.sum
        if direct:
            direct[0] = 0.0
        else:
            self.sum_block.write(0)
        sums = self.sum_block.address
        status = self.machine.gradient_norm(self.context_at, NORM, first, last, self.states, dense, sums)
        if status != READY:
            self._make_room(status)
            return self.squared_norm(dense, first, last)
        return direct[0] if direct else float(self.sum_block.array.view(np.float64)[0])

    def first_not_finite(self, dense: int) -> str:
        """Return the name of the first parameter whose gradient is not finite. `dense` is as for `squared_norm`."""
        everything = [*self.parameters, *self.lookups]
        bad = (k for k in range(self.count) if not math.isfinite(self.squared_norm(dense, k, k + 1)))
        return everything[next(bad)].name()

    def run(self, numbers: Sequence[float], dense: int) -> None:
        """Apply the rule to all parameters that are trained, or to those among them that `choose` has chosen.

        Args:
            numbers: the scalars that the rule reads, such as the learning rate.
            dense: 1 to update all rows of lookup parameters, 0 for only the rows that were used.

        Raises:
            OverflowError: a number is too large for a float32; nothing has changed.
        """
        self._pack(*numbers)
        self._run(self.rule, dense)

    def clear(self, dense: int) -> None:
        """Set the gradients of all trained parameters to zero. `dense` is as for `run`."""
        self._run(CLEAR, dense)

    def _run(self, rule: Rule, dense: int) -> None:
        status = self.machine.update(
            self.context_at, rule.opcode, self.count, self.states, len(rule.numbers), self.numbers.address, dense
        )
        if status != READY:
            self._make_room(status)
            self._run(rule, dense)

    def run_if_below(self, threshold: float, numbers: Sequence[float], dense: int) -> float | None:
        """Compute the norm of the gradients, and if nothing needs to be clipped, apply the rule in the same call.

        Args:
            threshold: the clipping threshold; 0 means that gradients are never clipped.
            numbers: the scalars that the rule reads, such as the learning rate.
            dense: 1 to update all rows of lookup parameters, 0 for only the rows that were used.

        Returns:
            The sum of the squared gradients if the rule was applied. Else None: gradients must be clipped, or one call
            cannot do both here. Then no parameter was changed, and the caller has to call `squared_norm` and `run`.
        """
        together, totals = self.machine.norm_and_update, self.sum
        if together is None or not totals:
            return None
        try:
            self._pack(*numbers)
        except OverflowError:
            return None
        totals[1] = NEARLY_ONE * threshold * threshold if threshold else math.inf
        if dense != self.dense:
            self.both[at.BOTH.dense] = self.dense = dense
        status = together(self.context_at, self.both_at)
        return totals[0] if status == READY else None

    def note_change(self, chosen: list[int] | None) -> None:
        """Let the graph know that parameters have changed, after a call of `run`. `run_if_below` does it itself.

        Args:
            chosen: the indices of the parameters that `choose` was called with. None means all.
        """
        if chosen is None:
            self.outdated.note_change(self.identities)
        else:
            everything = [*self.parameters, *self.lookups]
            for place in chosen:
                self.outdated.note_change(everything[place]._storage.identities)

    def _make_room(self, status: int) -> None:
        """Enlarge the buffer in which compiled code lists addresses, after a call that failed because it was too small.

        Raises:
            CompileError: the call failed because a kernel cannot be compiled.
        """
        if status == at.NO_CODE:
            compiled(int(self.tape[self.slots[CONTEXT.row], at.INSTRUCTION.opcode]))
            return
        self._grow_index(2 * self.slots[CONTEXT.needed_index])
