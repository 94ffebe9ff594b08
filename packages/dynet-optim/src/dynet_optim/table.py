"""The table in which compiled code finds the parameters of a trainer.

One compiled call computes the norm of all gradients, another one updates. If nothing is clipped, one call does both.
`is_dense` is 1 if calls read or change all rows of lookup parameters, and 0 if only those used since the last update.
`layout.EVERYTHING` stands for all rows of all parameters, also of frozen ones; the used rows then stay noted.
Parameters are in the order of `ParameterCollection._all_parameters`: lookup parameters last.
"""

from __future__ import annotations

import functools
import math
import struct
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dynet_core.compute.device import machine_in_use
from dynet_core.compute.memory import Block, allocate_block
from dynet_core.compute.parameter_rows import PARAMETER_ROWS, ParameterIdentity
from dynet_core.graph import current
from dynet_core.graph.outdated import ParameterGroup
from dynet_core.parameter import ParameterCollection
from dynet_core.parameter.storage import Storage
from dynet_kernels import layout
from dynet_kernels.layout import CONTEXT
from dynet_kernels.machine import library, sharing
from dynet_kernels.table import KERNELS

from .rule import CLEAR, NORM, TrainerRule

# Nothing is clipped if the squared norm is below this share of the squared clipping threshold. Between this share and
# the threshold, where rounding errors matter, the norm is computed and compared again.
UNCLIPPED_SHARE = 1 - 1e-6
Selection = list[int] | slice  # the indices of some parameters, or ALL
ALL = slice(None)  # selects all parameters
zero_words = functools.partial(np.zeros, dtype=np.int64)


class ParameterTable:
    """The parameters of a collection as compiled code reads them, and each parameter's states for a rule.

    `rows` has a row of integers, such as addresses, for each parameter. Python and compiled code exchange addresses,
    sizes and results in `context` (see `layout.CONTEXT`).

    Parameters may be in several groups, each with its own values of the rule's numbers: `group_of` returns the index of
    a parameter's group, which is less than `group_count`. `run` takes the numbers of all groups in order.
    """

    def __init__(
        self,
        collection: ParameterCollection,
        rule: TrainerRule,
        group_of: Callable[[Any], int] = lambda parameter: 0,
        group_count: int = 1,
    ):
        collection._refuse_training("Trainer")
        self.collection, self.rule, self.state_count = collection, rule, len(rule.state_names)
        self.opcodes = NORM, CLEAR.opcode, rule.opcode
        for opcode in self.opcodes:
            KERNELS.use(opcode)
        self.numbers = allocate_block(group_count * len(rule.number_names))
        self.group_of = group_of
        self._pack_numbers = self.numbers.packer()
        self.value_count = -1  # PARAMETER_ROWS.value_count when `_fill` filled this table; -1 if it must be filled
        self.outdated: Any = None  # the `OutdatedValues` of the thread's graph at the last `prepared`
        self.parameter_group: ParameterGroup | None = None
        self.identities: list[ParameterIdentity] = []  # of all parameters; `OutdatedValues` knows this list by its `id`
        self.state_blocks: dict[Storage, list[Block]] = {}  # the states that the rule keeps for each parameter
        self.context = zero_words(len(CONTEXT))
        self.context_address = self.context.ctypes.data
        self.context_view = memoryview(self.context)  # type: ignore[arg-type]  # before Python 3.12, type checkers do not know arrays as buffers
        self.thread_rows = zero_words((layout.MOST_THREADS, layout.THREAD_ROW))  # what each thread runs at the moment
        self._set_words(
            address_type=layout.INT_TYPE_CODE, address=self.context_address,
            code=library.code_address(), threads=self.thread_rows.ctypes.data,
        )  # fmt: skip
        # `sum_block` has 4 floats of memory for two float64s: the sum of squared gradients, and the limit below which
        # `run_if_below` updates. `sum_and_limit` is a memoryview of these two; it is empty if they are on a GPU.
        self.sum_block = allocate_block(4)
        self.sum_and_limit = self.sum_block.host_view().cast("B").cast("d")
        self.both_arguments = zero_words(len(layout.BOTH))  # arguments of `norm_and_update`
        self.both_arguments_address = self.both_arguments.ctypes.data
        self._grow_address_lists(1 << 10)  # integers at first; `_is_done` makes room for more

    def _set_words(self, **values: int) -> None:
        for name, value in values.items():
            self.context_view[CONTEXT[name]] = value

    def _grow_address_lists(self, word_count: int) -> None:
        self.address_lists = zero_words(word_count)  # the address lists of a pass
        self._set_words(index=self.address_lists.ctypes.data, index_end=word_count)

    def prepared(self) -> ParameterTable:
        """Return this table, prepared for this thread, and filled again if parameters were added or quantized."""
        outdated, value_count = current().outdated, PARAMETER_ROWS.value_count
        if self.outdated is outdated and self.value_count == value_count:
            return self
        if self.value_count != value_count:
            self.value_count = -1
            self._fill()
        # Through `changed` and `changes`, compiled updates tell this thread's graph that parameters have changed.
        # `sharing` is for helpers, which do a share of the work; only the main thread has any.
        old_group, new_group = self.parameter_group, outdated.group(self.identities)
        new_group.trainer_table = weakref.ref(self)
        self._set_words(changed=new_group.address, changes=outdated.change_count_address(), sharing=sharing.address())
        self.parameter_group = new_group  # this reference keeps the memory alive
        if old_group and old_group is not new_group:  # compiled code no longer writes to the old group
            old_group.trainer_table = None
        self.outdated, self.value_count = outdated, value_count  # set last: after an error, the next call starts over
        return self

    def _fill(self) -> None:
        self.collection._refuse_training("update")
        self.row_buffer = PARAMETER_ROWS.buffer  # this reference keeps alive what compiled code reads
        self.all_parameters = self.collection._all_parameters()
        self.count = len(self.all_parameters)
        if any(parameter._storage.values.copy_offset for parameter in self.all_parameters):
            self.opcodes = NORM, CLEAR.opcode, self.rule.opcode, KERNELS.use(layout.ROUND)
        self.machine = machine_in_use(*self.opcodes)
        identities = [parameter._storage.identity for parameter in self.all_parameters]
        if self.identities != identities:
            self.identities = identities
        self.rows = zero_words((self.count, len(layout.UPDATE) + self.state_count))
        for row, parameter in zip(self.rows, self.all_parameters):
            storage = parameter._storage
            floats = storage.values.floats
            if storage not in self.state_blocks:
                self.state_blocks[storage] = [allocate_block(floats, zero=True) for _ in range(self.state_count)]
                for state in self.state_blocks[storage] if self.rule.starts_as_values else ():
                    state.write(storage.values.array)
            row[layout.UPDATE.parameter], row[layout.UPDATE.floats] = storage.row, floats
            row[len(layout.UPDATE) :] = [state.address for state in self.state_blocks[storage]]
        self.marks = np.array([1 + self.group_of(parameter) for parameter in self.all_parameters], np.int64)
        self.choose(ALL)
        self.dense = 0  # the value of `is_dense` that is now in `both_arguments`
        self.both_arguments[:] = layout.BOTH.filled(
            norm=NORM, opcode=self.rule.opcode, count=self.count, states=self.state_count, dense=self.dense,
            numbers=len(self.rule.number_names), numbers_address=self.numbers.address, totals=self.sum_block.address,
        )  # fmt: skip
        self.tape = zero_words((2 * self.count, len(layout.INSTRUCTION)))  # an update, and the rounding of a copy
        self._set_words(parameters=self.row_buffer.ctypes.data, table=self.rows.ctypes.data, tape=self.tape.ctypes.data)

    def state_blocks_in_order(self) -> list[list[Block]]:
        return [self.state_blocks[parameter._storage] for parameter in self.all_parameters]

    def choose(self, selection: Selection) -> None:
        """Let updates change only the trained parameters among `selection`, which are indices in `all_parameters`."""
        chosen = self.rows[:, layout.UPDATE.chosen]
        chosen[:] = 0
        chosen[selection] = self.marks[selection]

    def squared_norm(self, is_dense: int) -> float:
        sums, address = self.sum_and_limit, self.sum_block.address
        if sums:
            sums[0] = 0.0
        else:
            self.sum_block.write(0)
        if not self._is_done(
            self.machine.gradient_norm(self.context_address, NORM, 0, self.count, self.state_count, is_dense, address)
        ):
            return self.squared_norm(is_dense)
        return sums[0] if sums else float(self.sum_block.array.view(np.float64)[0])

    def name_of_not_finite_gradient(self) -> str:
        trained = (p for p in self.all_parameters if PARAMETER_ROWS.needs_gradient(p._storage.row))
        return next(p.name() for p in trained if not np.isfinite(p._storage.gradient.array).all())

    def run(self, numbers: Sequence[float], is_dense: int) -> None:
        """Apply the rule to the chosen parameters. Raise OverflowError or struct.error if a number is not a float32."""
        self._pack_numbers(*numbers)
        self.run_other(self.rule, is_dense)

    def clear(self, is_dense: int) -> None:
        self.run_other(CLEAR, is_dense)

    def run_other(self, rule: TrainerRule, is_dense: int) -> None:
        """Apply a rule that has the same states, with the numbers of the last `run`."""
        numbers, address = len(rule.number_names), self.numbers.address
        if not self._is_done(
            self.machine.update(
                self.context_address, rule.opcode, self.count, self.state_count, numbers, address, is_dense
            )
        ):
            self.run_other(rule, is_dense)

    def run_if_below(self, clip_threshold: float, numbers: Sequence[float], is_dense: int) -> float | None:
        """If nothing must be clipped, apply the rule and return the sum of the squared gradients, in one compiled call.

        Otherwise, or if this call is not possible, change nothing and return None: `squared_norm` and `run` are needed.
        """
        update_if_below, sums = self.machine.norm_and_update, self.sum_and_limit
        if update_if_below is None or not sums:
            return None
        try:
            self._pack_numbers(*numbers)
        except (OverflowError, struct.error):
            return None
        sums[1] = UNCLIPPED_SHARE * clip_threshold * clip_threshold if clip_threshold else math.inf
        if is_dense != self.dense:
            self.both_arguments[layout.BOTH.dense] = self.dense = is_dense
        return sums[0] if update_if_below(self.context_address, self.both_arguments_address) == layout.READY else None

    def note_change(self, selection: Selection) -> None:
        """Tell the graph that `run` has changed the chosen parameters. `run_if_below` does this itself."""
        if isinstance(selection, slice):
            self.outdated.note_change(self.identities)
        else:
            for index in selection:
                self.outdated.note_change(self.all_parameters[index]._storage.identities)

    def _is_done(self, status: int) -> bool:
        """Return whether a compiled call succeeded. If not, compile the missing kernel or grow `address_lists`."""
        if status == layout.NO_CODE:
            machine_in_use(int(self.tape[self.context_view[CONTEXT.row], layout.INSTRUCTION.opcode]))
        elif status != layout.READY:
            self._grow_address_lists(2 * self.context_view[CONTEXT.needed_index])
        return status == layout.READY
