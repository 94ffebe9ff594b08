"""`Engine`: the buffers for the graph of one thread, and the calls of compiled code that plan and run it."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from dynet_kernels import layout
from dynet_kernels.encode import TABLE
from dynet_kernels.layout import CONTEXT, INSTRUCTION, MOST_NUMBERED, NO_CODE, NO_HELPERS, NODE, READY
from dynet_kernels.machine import library, sharing
from dynet_kernels.table import KERNELS

from ..errors import OutOfMemoryError, StaleExpressionError
from ..recorder import Records, generation, note_pass
from ..recorder.graph_records import DONE, INPUTS_LENGTH, LENGTH, VERSION
from .device import machine_in_use
from .memory import Block, allocate_block
from .parameter_rows import PARAMETER_ROWS

IntArray: TypeAlias = npt.NDArray[np.int64]
# The buffers that have an item for each integer of the records, and grow with the records.
RECORD_BUFFERS = (
    "records", "kept_records", "aliases", "lookups", "planned", "numbers", "depths", "by_signature", "by_depth",
    "counters", "buckets", "numbers_of_columns", "nodes",
)  # fmt: skip
# The other buffers -> how many items they have at first: buffers that grow with a pass's plan, and the rest.
PASS_BUFFERS = {"forward_index": 1 << 12, "forward_tape": 1 << 10, "backward_index": 1 << 12, "backward_tape": 1 << 10}
OTHER_BUFFERS = {
    "threads": layout.MOST_THREADS, "marks": 0, "ahead": len(CONTEXT), "predecessors": MOST_NUMBERED,
    "stages": MOST_NUMBERED, "stage_begins": MOST_NUMBERED + 1,
}  # fmt: skip
ITEM_WIDTHS = {
    "buckets": 2, "numbers_of_columns": 2, "nodes": len(NODE), "threads": layout.THREAD_ROW,
    "predecessors": layout.SIGNATURE_WORDS, "forward_tape": len(INSTRUCTION), "backward_tape": len(INSTRUCTION),
}  # fmt: skip
"""Buffer -> how many integers an item has, if not 1."""
KEPT_FLOATS = 1 << 24  # memory for values up to this size (64 MB) is always kept from one graph to the next
DECAY = 32  # each call of `_fit_memory` lowers `Engine.recent_floats`, the memory that recent graphs needed, by 1/32
SPARE_FACTOR = 4  # memory is freed if there is more than this many times `Engine.recent_floats`
FIRST_FLOATS = 1 << 16  # the number of floats in the first block of memory for values
ARENA_TOP, NEW_RECORDS = CONTEXT.arena_top, CONTEXT.new_records


class Engine:
    """Plans and runs the graph of one thread. Values are in the arena (`chunks`), gradients in one block."""

    room: int  # the number of integers of records that the buffers of RECORD_BUFFERS have room for

    def __init__(self, records: Records):
        self.records = records
        self.kept_memory: list[Any] = []  # memory of deleted parameters that the graph may still refer to
        self.whole_lookups: list[tuple[IntArray, int]] = []  # (touched, row) of each `use_whole_lookup`
        _engines[:] = [reference for reference in _engines if reference() is not None] + [weakref.ref(self)]
        # True while buffers are being replaced, and afterwards if an interrupt left them half replaced
        self.changing: bool = False
        self.is_replaced: bool = False  # whether the graph has a new engine
        self.change_count: int = 0  # how often `replacing_buffers` has been called
        self.machine: Any = None  # the compiled code, loaded when first needed
        self.shard_count: int = 0  # how many shards had kernels in use when `machine` was loaded
        self.context: IntArray = np.zeros(len(CONTEXT), np.int64)  # `slots` is a view of it, faster for single items
        self.context_address: int = self.context.ctypes.data
        self.slots: memoryview = memoryview(self.context)  # type: ignore[arg-type]  # arrays are buffers to checkers only from Python 3.12 on
        self.slots[CONTEXT.address_type], self.slots[CONTEXT.address] = layout.INT_TYPE_CODE, self.context_address
        self.slots[CONTEXT.code] = library.code_address()
        self.slots[CONTEXT.sharing] = sharing.address()
        self.slots[CONTEXT.table], self.slots[CONTEXT.seed_fill] = TABLE.address, TABLE.claim(layout.SEED_FILL, 0)[0]
        self.buffers: dict[str, IntArray] = {}
        self.parameters_version: int = 0  # `PARAMETER_ROWS.version` when `parameter_rows` was set
        self.unfreeze_count: int = 0  # `PARAMETER_ROWS.unfreeze_count` when the graph was last planned from its start
        self.chunks: list[Block] = []
        self.must_tidy: bool = False  # whether `renew_cg` must call `tidy`, which frees memory and clears lists
        self.gradients = allocate_block(0)
        self.recent_floats: int = 0  # the most floats that a recent graph needed for values; older graphs count less
        self._grow_record_buffers(1 << 10)  # room for this many integers of records at first
        for name, item_count in (OTHER_BUFFERS | PASS_BUFFERS).items():
            self._grow_buffer(name, item_count)
        self.discard_plans()
        self._add_chunk(FIRST_FLOATS)

    @contextmanager
    def replacing_buffers(self) -> Iterator[None]:
        """Set `changing` in a `with` block, which may replace buffers. If it raises, the graph gets a new engine."""
        self.records.mark_unusual()
        self.change_count += 1
        self.records.unprepare()
        self.changing = True
        yield
        self.changing = False

    def successor(self) -> Engine:
        """Return a new engine, with new buffers, that replaces this engine for the same graph."""
        self.is_replaced = True
        successor = Engine(self.records)
        successor.kept_memory, successor.whole_lookups, successor.must_tidy = self.kept_memory, self.whole_lookups, True
        return successor

    def use_whole_lookup(self, touched: IntArray, row: int) -> None:
        """Remember that the graph uses a lookup parameter as one tensor, so that every row gets a gradient.

        `touched` is the array that lists which rows have a gradient. `backward` sets the last element of `touched` to
        1, which means all rows. `row` is the parameter's row in PARAMETER_ROWS.
        """
        if not any(array is touched for array, _ in self.whole_lookups):
            self.whole_lookups.append((touched, row))
            self.must_tidy = True  # the next `renew_cg` then calls `tidy`, which clears `whole_lookups`
            self.records.mark_unusual()
            self.records.unprepare()

    def _grow_buffer(self, name: str, item_count: int) -> None:
        old_buffer = self.buffers.get(name, ())
        new_buffer = np.zeros(item_count * ITEM_WIDTHS.get(name, 1), np.int64)
        new_buffer[: len(old_buffer)] = old_buffer
        self.buffers[name] = new_buffer
        self.slots[CONTEXT[name]] = new_buffer.ctypes.data
        if name in PASS_BUFFERS:
            self.slots[CONTEXT[f"{name}_end"]] = item_count

    def _grow_record_buffers(self, item_count: int) -> None:
        for name in RECORD_BUFFERS:
            self._grow_buffer(name, item_count)
        self.room, self.slots[CONTEXT.bucket_count] = item_count, 2 * item_count  # an item of "buckets" has 2 integers
        self.discard_plans()
        self.nodes: memoryview = memoryview(self.buffers["nodes"])  # type: ignore[arg-type]  # arrays are buffers to checkers only from Python 3.12 on

    def _add_chunk(self, floats: int) -> None:
        self.chunks.append(allocate_block(floats))
        self.must_tidy = len(self.chunks) > 1 or floats > KEPT_FLOATS
        self._use_chunk(self.chunks[-1])

    def _replace_chunks(self, floats: int) -> None:
        """Replace the memory for values with one new block. Free the old blocks first, to make room for the new one."""
        self._use_chunk(allocate_block(0))
        self.chunks.clear()
        try:
            self._add_chunk(floats)
        except OutOfMemoryError:
            self._add_chunk(FIRST_FLOATS)
            raise

    def _use_chunk(self, chunk: Block) -> None:
        """Let compiled code store the values of the next nodes in `chunk`."""
        self.values_begin: int = chunk.address
        self.slots[ARENA_TOP] = chunk.address
        self.slots[CONTEXT.arena_end] = chunk.address + chunk.floats

    def arena_mark(self) -> tuple[int, int]:
        """Return the number of chunks, and how many floats are used in the newest chunk, for `return_to`."""
        return len(self.chunks), self.slots[ARENA_TOP] - self.values_begin

    def return_to(self, version: int, records_length: int, mark: tuple[int, int]) -> None:
        """Free the memory that values have taken since `arena_mark` returned `mark`.

        Do nothing unless `Records.is_at(version, records_length)`: a signal handler may have renewed or computed it.
        """
        count, used_floats = mark
        if len(self.chunks) > count:
            with self.replacing_buffers():
                if self.records.is_at(version, records_length):
                    self._use_chunk(self.chunks[count - 1])
                    del self.chunks[count:]
        self._set_arena_top(version, records_length, self.values_begin + used_floats)

    def _set_arena_top(self, version: int, records_length: int, top: int) -> None:
        """Let the next values begin at address `top` if `Records.is_at(version, records_length)`."""
        slots, records = self.slots, self.records
        slots[ARENA_TOP] = top if records.is_at(version, records_length) else slots[ARENA_TOP]  # no handler runs here

    def restart(self) -> None:
        """Prepare to compute the whole graph again. The old values become invalid: their memory is reused or freed."""
        if self.must_tidy:
            with self.replacing_buffers():
                self._fit_memory()
        self.unfreeze_count = PARAMETER_ROWS.unfreeze_count

    def tidy(self) -> None:
        """Free what recent graphs did not need, and clear both lists. `renew_cg` calls this method if `must_tidy`."""
        with self.replacing_buffers():
            self._fit_memory()
            self.kept_memory.clear()
            self.whole_lookups.clear()
            self.must_tidy = max(self.chunks[0].floats, self.gradients.floats) > KEPT_FLOATS

    def _fit_memory(self) -> None:
        """Free memory that no recent graph has needed.

        Memory that the last graph did not need is kept if other recent graphs needed it. Otherwise, if minibatches of
        long and short sentences alternate, each long minibatch would allocate memory again, at 50 to 1000 us per MB.
        """
        chunks = self.chunks
        used_floats = sum(chunk.floats for chunk in chunks[:-1]) + self.slots[ARENA_TOP] - self.values_begin
        self.recent_floats = max(used_floats, self.recent_floats - self.recent_floats // DECAY)
        needed = max(self.recent_floats, FIRST_FLOATS)
        limit = max(SPARE_FACTOR * needed, KEPT_FLOATS)
        if len(chunks) > 1 or chunks[0].floats > limit:
            self._replace_chunks(needed)
        if self.gradients.floats > limit:
            self._grow_gradients(0)
        self._shrink_buffers()

    def _shrink_buffers(self) -> None:
        if 2 * sum(len(self.buffers[name]) for name in RECORD_BUFFERS) > KEPT_FLOATS:  # an int64 is as long as 2 floats
            for name in RECORD_BUFFERS:
                del self.buffers[name]
            self._grow_record_buffers(1 << 10)
        for name, item_count in PASS_BUFFERS.items():
            if 2 * len(self.buffers[name]) > KEPT_FLOATS:
                del self.buffers[name]
                self._grow_buffer(name, item_count)
                self.discard_plans()

    def _grow_gradients(self, floats: int) -> None:
        self.gradients = allocate_block(floats)
        self.slots[CONTEXT.gradient_start] = self.gradients.address
        self.slots[CONTEXT.gradient_end] = self.gradients.address + floats

    def refresh(self, begin: int, length: int) -> None:
        """Make the engine ready to plan: load new kernels, take new parameters, enlarge buffers.

        The graph's records take `length` integers. Planning will start at integer `begin`.
        """
        shard_count, marks_end = len(KERNELS.used_shards), TABLE.marks_end()
        if self.shard_count != shard_count:
            self.machine = machine_in_use()
            self.shard_count = shard_count  # not set if `machine_in_use` fails, so that the next call tries again
        with self.replacing_buffers():
            if marks_end > len(self.buffers["marks"]):
                self._grow_buffer("marks", 1 << marks_end.bit_length())
            if self.parameters_version != PARAMETER_ROWS.version:
                self.parameters_version = PARAMETER_ROWS.version
                if not begin:
                    self.unfreeze_count = PARAMETER_ROWS.unfreeze_count
                self.parameter_rows: IntArray = PARAMETER_ROWS.buffer  # kept alive, because the planner has its address
                self.slots[CONTEXT.parameters] = self.parameter_rows.ctypes.data
                self.discard_plans()
            if length + 2 > self.room:
                self._grow_record_buffers(2 * (length + 2))

    def discard_plans(self) -> None:
        """Discard the plans of the last passes, because something that they refer to has changed."""
        self.slots[CONTEXT.kept_end] = self.slots[CONTEXT.backward_plan] = -1

    def _prepare_to_repeat(self, direction: str, status: int) -> None:
        """Enlarge buffers, start threads or load a kernel, so that a pass that ended with `status` can be repeated."""
        slots = self.slots
        if status == NO_HELPERS:
            return sharing.start_helpers()
        if status == NO_CODE:
            self.discard_plans()
            if direction == "backward":
                self.records.differentiated = -1, 0  # the plan that failed has moved the nodes' gradients
            self.machine = machine_in_use(int(self.buffers[f"{direction}_tape"][slots[CONTEXT.row] * len(INSTRUCTION)]))
            return None
        with self.replacing_buffers():
            for buffer in ("index", "tape"):
                needed, name = slots[CONTEXT[f"needed_{buffer}"]], f"{direction}_{buffer}"
                if needed > slots[CONTEXT[f"{name}_end"]]:
                    self._grow_buffer(name, needed * 3 // 2)  # more than needed, so that slightly larger graphs fit too
            needed = slots[CONTEXT.needed_floats]
            if direction == "backward":
                if needed > slots[CONTEXT.gradient_end] - slots[CONTEXT.gradient_start]:
                    self._grow_gradients(needed * 5 // 4)
            elif needed > slots[CONTEXT.arena_end] - slots[ARENA_TOP]:
                floats = max(needed * 5 // 4, 2 * self.chunks[-1].floats if needed < KEPT_FLOATS else 0)
                if slots[ARENA_TOP] == self.chunks[0].address:
                    self._replace_chunks(floats)
                else:
                    self._add_chunk(floats)

    def forward(self, version: int, begin: int, inputs_begin: int) -> tuple[int, int] | None:
        """Plan and run the new records, which start at integer `begin`; their inputs start at `inputs_begin`.

        Return `begin` and `inputs_begin` for the next call; None if the caller must begin anew. A signal handler or a
        finalizer may record or compute nodes at any line here, or remove them by `renew_cg`. See `_run`.
        """
        records, generation_before = self.records, generation()
        end, _, inputs_end = records.ends()
        is_ready = end < self.room and self.parameters_version == PARAMETER_ROWS.version
        if (
            not is_ready
            or self.shard_count != len(KERNELS.used_shards)
            or len(self.buffers["marks"]) < TABLE.marks_end()
        ):
            self.refresh(begin, end)
        self.slots[NEW_RECORDS] = records.address
        if not begin:
            self._set_arena_top(version, 0, self.values_begin)
        change_count = self.change_count
        ends = begin, end, inputs_end
        status = self._run(version, "forward", begin, end, records.inputs_address, inputs_begin, inputs_end, ends=ends)
        if status is None:
            return None
        if status != READY:
            self._prepare_to_repeat("forward", status)
            return self.forward(version, begin, inputs_begin)
        if self.must_tidy:
            records.mark_unusual()
        can_skip_python = isinstance(self.machine, library.Library) and not self.machine.is_watched
        if can_skip_python and not self.whole_lookups and self.unfreeze_count == PARAMETER_ROWS.unfreeze_count:
            self._mark_prepared(generation_before, change_count)
        return end, inputs_end

    def _run(self, version: int, direction: str, *arguments: int, ends: tuple | None = None) -> int | None:
        """Plan and run a pass by compiled code. Return the status of the pass.

        If the graph has another version now, raise StaleExpressionError. Return None if the graph has another engine,
        or if `ends`, given for a forward pass, are not where the computed records, all records and the input values end
        now: the addresses among the arguments may be old.
        """
        run, words = getattr(self.machine, direction, None), self.records.words()
        # No other call, because Python runs signal handlers after calls: so nothing changes after the comparisons.
        statuses = (
            words[VERSION] == version
            and not self.is_replaced
            and (ends is None or (words[DONE], words[LENGTH], words[INPUTS_LENGTH]) == ends)
            and [run(self.context_address, *arguments)]  # type: ignore[misc]
        )
        if not statuses and self.records.version != version:
            raise StaleExpressionError(RENEWED_IN_PASS_REASON)
        return statuses[0] if statuses else None

    def _mark_prepared(self, generation: int, change_count: int) -> None:
        """Tell compiled code that it may run later passes in these buffers without calling Python.

        This ends if a buffer is replaced or a signature or parameter changes. The arguments are from before this pass.
        """
        if self.records.is_prepared(generation):
            return
        addresses = {"context": self.context_address, "node_rows": self.buffers["nodes"].ctypes.data}
        addresses |= {"values_begin": self.values_begin, "planner_room": self.room}
        functions = {name: getattr(self.machine, name) for name in ("forward", "backward", "run")}
        self.records.prepare(generation, self, change_count, functions, **addresses)

    def backward(self, version: int, loss: int, full: bool) -> bool:
        """Differentiate node `loss`, a single number, and add to the gradients of parameters.

        With `full`, also compute the gradients of nodes that depend on no parameter. Return False if a parameter
        has been unfrozen since the graph was planned, so that the plan has no room for its gradient, or if the graph
        has another engine: the caller must compute the graph again and retry.
        """
        if self.unfreeze_count != PARAMETER_ROWS.unfreeze_count:
            return False
        if self.parameters_version != PARAMETER_ROWS.version:
            self.slots[CONTEXT.backward_plan] = -1  # the old plan may compute gradients that are no longer needed
        note_pass()
        for touched, row in self.whole_lookups:
            if PARAMETER_ROWS.needs_gradient(row):
                touched[-1] = 1  # all rows get a gradient
        if (status := self._run(version, "backward", loss, 1, int(full))) == READY:  # 1: the size of the loss
            return True
        if status is None:
            return False
        self._prepare_to_repeat("backward", status)
        return self.backward(version, loss, full)


RENEWED_IN_PASS_REASON = (
    "while this graph was computed, a signal handler or a finalizer called renew_cg or cg_revert; "
    "the expressions of the old graph can no longer be used"
)
_engines: list[weakref.ref[Any]] = []  # the engines of all threads, for `keep_for_graphs`


def keep_for_graphs(memory, engines=_engines) -> None:  # `engines` is a default: Python may clear globals at exit
    """Keep a deleted parameter's memory until every graph that may still use it has been renewed."""
    for reference in tuple(engines):
        engine = reference()
        if engine is not None and engine.records.length:
            engine.kept_memory.append(memory)
            engine.must_tidy = True
            engine.records.mark_unusual()


class PlanningEngine(Engine):
    """Plans a graph without computing it, in buffers of its own, so the graph and the graph's engine stay the same."""

    def plan(self, loss: int | None = None) -> None:
        """Plan the forward pass, or the backward pass from node `loss`, a single number."""
        records, slots = self.records, self.slots
        end, _, inputs_end = records.ends()
        if loss is None:
            self.refresh(0, end)
            # The planner marks which rows of lookup parameters get a gradient. No gradient is computed here, so the
            # planner uses a copy of the parameter table without the addresses of these marks.
            self.parameter_rows = PARAMETER_ROWS.buffer.copy()
            self.parameter_rows[layout.PARAMETER.touched :: len(layout.PARAMETER)] = 0
            slots[CONTEXT.parameters] = self.parameter_rows.ctypes.data
            slots[NEW_RECORDS], slots[ARENA_TOP] = records.address, self.values_begin
            status = self.machine.plan_forward(self.context_address, 0, end, records.inputs_address, 0, inputs_end)
        else:
            status = self.machine.plan_backward(self.context_address, loss, 1, 0)  # 1: the loss's size; 0: not `full`
        if status != READY:
            self._prepare_to_repeat("forward" if loss is None else "backward", status)
            self.plan(loss)
