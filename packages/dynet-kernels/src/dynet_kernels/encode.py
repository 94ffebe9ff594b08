"""Encodes descriptions of nodes as integers in TABLE, the list that the planner reads; see `layout.SIGNATURE`."""

from __future__ import annotations

import array
import contextlib
import io
from collections.abc import Sequence
from dataclasses import fields

import numpy as np

from . import layout
from .description import Description, Step
from .kernels import Effects
from .sizes import trace_of
from .table import IF_QUANTIZED, KERNELS

MOST_INTEGERS = 1 << 27
# The fields of a description that SIGNATURE has under the same names, and which are stored unchanged.
COMMON_FIELDS = {field.name for field in fields(Description)}.intersection(layout.SIGNATURE) - {"parts"}
# A kernel's `shared` -> the step's: (value if columns of one node may overlap, value if only those of two nodes may).
SHARED_IF_OVERLAPPING = {
    layout.BY_COLUMNS: (layout.ALONE, layout.IF_DISTINCT),
    layout.EITHER: (layout.BY_ROWS, layout.EITHER_IF_DISTINCT),
}


class Table:
    """The integers of all descriptions, for the planners of all threads. Memory is taken when it is first written."""

    def __init__(self):
        count = MOST_INTEGERS
        while True:
            try:
                self._memory = np.zeros(count, np.int64)
                break
            except MemoryError:
                count //= 2
        self.address = self._memory.ctypes.data
        self.integers = memoryview(self._memory.data).cast("B").cast("q")
        self._end, self._marks_end = io.BytesIO(), io.BytesIO()
        self.unused: dict[tuple[int, int], list[tuple[int, int]]] = {}  # arguments of `claim` -> what it may return

    def claim(self, length: int, count: int = 1) -> tuple[int, int]:
        """Return the index of the first of `length` unused integers, and the first of the marks of `count` rows."""
        if unused := self.unused.get((length, count)):
            with contextlib.suppress(IndexError):  # another thread or a signal handler has taken the last
                return unused.pop()
        # A seek is one call in C, so neither another thread nor a signal handler can come between.
        end, marks_end = self._end.seek(length, 1), self._marks_end.seek(count * len(layout.MARK), 1)
        if end > len(self.integers):
            raise MemoryError(f"there are more than {len(self.integers)} integers of descriptions")
        return end - length, marks_end - count * len(layout.MARK)

    def end(self) -> int:
        return self._end.tell()

    def marks_end(self) -> int:
        return self._marks_end.tell()


TABLE = Table()


def append_to_table(description: Description) -> int:
    """Add a description to TABLE and return the index of its first integer.

    If a size or stride does not fit into 64 bits, raise an OverflowError and add nothing.
    """
    row, indices = _encoded(description)
    trace = trace_of(row)
    if trace is None:
        array.array("q", row)  # raises the error
    begin, mark = trace.claim(description, row) if trace else TABLE.claim(len(row))
    row[layout.SIGNATURE.mark] = mark
    for k in indices:
        row[k] += begin
    if trace is None:
        TABLE.integers[begin : begin + len(row)] = array.array("q", row)
    return begin


def _encoded(description: Description) -> tuple[list[int], list[int]]:
    """Return the integers of a description at the beginning of TABLE, and where among them are indices in TABLE."""
    steps_by_direction = {
        direction: [(step, _effects(step)) for step in (getattr(description, direction) if description.total else ())]
        for direction in layout.DIRECTIONS
    }
    backward = steps_by_direction["backward"] + steps_by_direction["deferred"]
    own_gradients = {2 * k + 1 for k, view in enumerate(description.views) if view.source == layout.SELF}
    # The deferred steps may read the lists that were written for the backward steps (see `plan/repeats.py`).
    shares_lists = description.determined_by != layout.NO_VIEW
    steps_with_lists = steps_by_direction | ({"backward": backward} if shares_lists else {})
    sets = [_lists_of_views(description, [effects for _, effects in steps]) for steps in steps_with_lists.values()]
    lists = [sum([bits << 4 * k for k, bits in enumerate(bits_of_view)]) for bits_of_view in zip(*sets)]
    views = [integer for view, bits in zip(description.views, lists) for integer in (*view, bits)]
    parts = [part.at for part in description.parts]
    steps_offset = len(layout.SIGNATURE) + len(views)
    parts_offset = steps_offset + len(layout.STEP) * sum(map(len, steps_by_direction.values()))
    steps: list[int] = []
    parameters: list[int] = []
    first, end = description.waits or (0, layout.TO_THE_END)  # without `waits`, `end` - `first` is TO_THE_END
    head = dict.fromkeys(layout.SIGNATURE, 0) | {name: getattr(description, name) for name in COMMON_FIELDS}
    head |= {
        "waits_from": first,
        "waits_count": end - first,
        "parts": parts_offset,
        "part_count": len(parts),
        "last_part_repeats": int(description.repeats),
        "view_count": len(description.views),
        "is_cell": int(description.is_cell),
        "keeps_gradient": int(own_gradients.isdisjoint(role for _, effects in backward for role, _ in effects.writes)),
    }
    for direction, direction_steps in steps_by_direction.items():
        head |= {f"{direction}_begin": steps_offset + len(steps), f"{direction}_count": len(direction_steps)}
        for step, effects in direction_steps:
            covers = _covered_floats(description, step, effects)
            steps += layout.STEP.filled(
                opcode=KERNELS.opcode(step.kernel),
                gradient_of=step.gradient_of,
                parameters=parts_offset + len(parts) + len(parameters),
                covers=covers,
                shared=_how_shared(description, step, effects, is_deferred=direction == "deferred"),
                work=effects.work,
                copies=int(covers != 0 and _copies_gradient(description, effects, backward)),
                first_view=step.first_view,
                matrix=_matrix_of_product(description, step, effects),
            )
            parameters += step.parameters
    indices = [layout.SIGNATURE.parts] if parts else []
    indices += range(steps_offset + layout.STEP.parameters, steps_offset + len(steps), len(layout.STEP))
    return layout.SIGNATURE.filled(**head) + views + steps + parts + parameters, indices


def _effects(step: Step) -> Effects:
    kernel = KERNELS[step.kernel]
    if len(step.parameters) != len(kernel.parameters):
        raise ValueError(f"{step.kernel} takes {kernel.parameters}, got {step.parameters}")
    effects = kernel.effects(step.parameters)
    return effects.moved(2 * step.first_view) if step.first_view else effects


def _matrix_of_product(description: Description, step: Step, effects: Effects) -> int:
    if step.kernel not in IF_QUANTIZED or not effects.firsts:  # without `firsts`, columns have different matrices
        return layout.NO_OPERAND
    view = description.views[effects.firsts[0] // 2]
    return view.source if view.source >= 0 and view.offset == 0 else layout.NO_OPERAND


def _lists_of_views(description: Description, effects_of_steps: Sequence[Effects]) -> list[int]:
    """Return for each view which of its lists the steps of one direction use; see `lists` of `layout.VIEW`."""
    whole: set[int] = set()
    firsts: set[int] = set()
    for effects in effects_of_steps:
        if effects.reads is None:  # the kernel does not say what it reads
            whole.update(range(2 * len(description.views)))
        else:
            firsts.update(effects.firsts)
            whole.update(effects.reads, {role for role, _ in effects.writes}.difference(effects.firsts))
    uses = [(role in whole) + 4 * (role in firsts - whole) for role in range(2 * len(description.views))]
    return [values + 2 * gradients for values, gradients in zip(uses[::2], uses[1::2])]


def _covered_floats(description: Description, step: Step, effects: Effects) -> int:
    """Return the number of floats, from the start of an operand's gradient, that a step writes exactly once.

    The step can overwrite these floats even if they are uninitialized. The result is 0 if the step leaves gaps or
    writes a float twice: then the gradient must be cleared before the step adds to it.
    """
    if not effects.covers:
        return 0
    ((role, size),) = effects.writes
    view = description.views[role // 2]
    # If there are columns for each EACH operand, the step writes to the gradient of any other operand several times.
    is_operand = view.source == step.gradient_of >= 0 and not description.columns_each
    if not (is_operand or view.source == layout.EACH) or view.offset or view.index != layout.NO_INDEX:
        return 0
    count = description.column_count(view)
    is_whole = count % view.runs(count)[0] == 0 and view.span(size, count) == size * count
    return size * count if is_whole else 0


def _copies_gradient(description: Description, effects: Effects, steps: Sequence[tuple[Step, Effects]]) -> bool:
    """Return whether a step with these `effects` only adds the node's gradient to an operand's: both can share memory.

    No other of the node's backward `steps` may add to the operand's gradient or change the node's own.
    """

    def operand(role: int) -> int:
        source = description.views[role // 2].source
        return layout.EACH if description.variadic and source >= description.operands else source

    source = effects.copied
    if source is None or source % 2 == 0:
        return False
    operand_view, own_view = description.views[effects.writes[0][0] // 2], description.views[source // 2]
    written = [operand(role) for _, others in steps for role, _ in others.writes if role % 2]
    if written.count(operand(effects.writes[0][0])) > 1 or layout.SELF in written:
        return False
    if own_view.source != layout.SELF or own_view.offset or own_view.index != layout.NO_INDEX:
        return False
    count = description.column_count(operand_view) * (2 if operand_view.source == layout.EACH else 1)  # of two operands
    return own_view.runs(count) == operand_view.runs(count)


def _how_shared(description: Description, step: Step, effects: Effects, is_deferred: bool) -> int:
    """Return the `shared` of a step (see `layout.STEP`): by columns only if no two columns write to the same memory."""
    shared = effects.shared
    if shared != layout.BY_COLUMNS and not effects.work:
        return layout.ALONE
    without_columns, if_distinct = SHARED_IF_OVERLAPPING.get(shared, (shared, shared))
    for role, size in effects.writes:
        view = description.views[role // 2]
        if view.source == layout.HIDDEN:
            continue
        if view.source == layout.NOWHERE or view.index_step or view.span(size, description.column_count(view)) is None:
            return without_columns
        if view.source == layout.SELF or (view.source in (layout.BEFORE, layout.FIRST) and not is_deferred):
            continue  # no conflict: a node writes only to its own memory and to other parts of its record
        operand = layout.EACH_OPERAND if view.source == layout.EACH else view.source
        if operand != step.gradient_of or is_deferred:
            return without_columns
        shared = if_distinct
    return shared
