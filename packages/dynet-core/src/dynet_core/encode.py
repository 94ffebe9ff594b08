"""How descriptions of nodes are written into the table that the planner reads."""

from __future__ import annotations

import array
import threading
from collections.abc import Sequence

from dynet_kernels import layout as at
from dynet_kernels.kernels import KERNELS, Alone, ByRows

from .description import Description, Step, View
from .errors import ShapeError
from .recorder import next_generation

TABLE: list[int] = [0] * at.TABLE_HEAD  # every description, one after the other
_lock = threading.RLock()
MOST_CHECKED = 1 << 12  # columns of a step


def enter(given: Description) -> int:
    """Write a description into the table; where it stands.

    Raises:
        ShapeError: a size is too large for it.
    """
    groups = [given.forward, given.backward, given.deferred] if given.dim.total else [(), (), ()]
    numbered = [(number, step) for number, group in enumerate(groups) for step in group]
    steps_at = at.HEAD + at.VIEW_ROW * len(given.views)
    parts_at = steps_at + at.STEP_ROW * len(numbered)
    # Integers of these places are addresses, to which is added where the row stands.
    addresses = [at.PARTS] if given.parts else []
    row = [*_head(given, groups, steps_at, parts_at), *_views(given.views)]
    parameters: list[int] = []
    for number, step in numbered:
        if len(step.parameters) != len(KERNELS[step.kernel].parameters):
            raise ValueError(f"{step.kernel} takes {KERNELS[step.kernel].parameters}, got {step.parameters}")
        addresses.append(len(row) + at.STEP_PARAMETERS)
        row += _step(given, step, parts_at + len(given.parts) + len(parameters), deferred=number == 2)
        parameters += step.parameters
    row += [part.at for part in given.parts]
    try:
        packed = array.array("q", row + parameters)
    except OverflowError:  # it would spoil the table for all
        raise ShapeError(f"{given.name or 'op'}: sizes or strides are too large for {given.dim!r}") from None
    return _extend(packed, addresses)


def _head(given: Description, groups: Sequence[Sequence[Step]], steps_at: int, parts_at: int) -> list[int]:
    bounds = []
    for group in groups:
        bounds += [steps_at, len(group), *_lists(group)]
        steps_at += at.STEP_ROW * len(group)
    first, last = given.waits or (0, at.TO_THE_END)
    backward = [*groups[1], *groups[2]]
    keeps_gradient = not any(_changes_own_gradient(step, given.views) for step in backward)
    size = given.dim.total if given.size is None else given.size
    columns, columns_each = (0, given.columns) if given.has_each else (given.columns, 0)
    return [
        0, 0, given.kind, size, given.size_each, columns, columns_each, given.operands, int(given.variadic),
        given.attributes, given.constants, given.alias_scale, given.alias_offset, int(given.passes), first,
        last - first, int(given.waits_each), parts_at, len(given.parts), int(given.repeats), len(given.views), *bounds,
        int(keeps_gradient), int(given.sets_first),
    ]  # fmt: skip


def _views(views: Sequence[View]) -> list[int]:
    row = []
    for view, before in zip(views, [None, *views]):
        row += [
            view.source, view.offset, view.stride, view.period, view.outer, view.index, view.index_step, view.scale,
            int(before is not None and view.follows(before)),
        ]  # fmt: skip
    return row


def _step(given: Description, step: Step, parameters_at: int, deferred: bool) -> list[int]:
    kernel, views, columns, each = KERNELS[step.kernel], given.views, given.columns, given.has_each
    covered = _covered(kernel, step, views, columns, each)
    return [
        KERNELS.opcode(step.kernel), step.gradient_of, parameters_at, covered,
        _shared(kernel, step, views, columns, each, deferred), kernel.work(step.parameters),
        int(covered != 0 and _lends(kernel, step, views, columns)),
    ]  # fmt: skip


def _extend(row: array.array, addresses: Sequence[int]) -> int:
    """Add a row to the table, whose integers in these places are addresses from its beginning on; where it stands.

    A handler of signals, or what the collector of garbage calls, may add another row meanwhile: then it is tried again.
    """
    relative = [row[place] for place in addresses]
    with _lock:
        while True:
            here = len(TABLE)
            for place, address in zip(addresses, relative):
                row[place] = here + address
            TABLE.extend(row)
            if len(TABLE) == here + len(row):
                next_generation()
                return here


def _lists(steps: Sequence[Step]) -> tuple[int, int]:
    """The lists of addresses that steps read, as bits: those of all columns, and those of the first only."""
    lists = firsts = 0
    for step in steps:
        found = KERNELS[step.kernel].lists(step.parameters)
        if found is None or max((*found[0], *found[1]), default=0) >= at.MOST_LISTS:
            return at.ALL_LISTS, 0
        for role in found[0]:
            lists |= 1 << role
        for role in found[1]:
            firsts |= 1 << role
    return lists, firsts & ~lists


def _covered(kernel, step: Step, views: Sequence[View], columns: int, for_each: bool) -> int:
    """How many floats of an operand's gradient a step makes from the first on, each once and without a gap.

    `for_each`: there are as many columns for each of the operands that share EACH, so that others meet several.
    """
    found = kernel.covers(step.parameters)
    if found is None:
        return 0
    role, size, _ = found
    view = views[role // 2]
    each = view.source == at.EACH
    operand = view.source >= 0 and view.source == step.gradient_of and not for_each
    if not size or not (each or operand) or view.offset or view.index != at.NO_INDEX:
        return 0
    count = view.period if each else columns
    starts = [_start(view, c) for c in range(count)] if count <= MOST_CHECKED else []
    return size * count if sorted(starts) == list(range(0, size * count, size)) else 0


def _start(view: View, column: int) -> int:
    """Where a column of a view begins, from the operand on that it belongs to."""
    if view.source == at.EACH:
        return column % view.period * view.stride
    if not view.period:
        return column * view.stride
    return column % view.period * view.stride + column // view.period * view.outer


def _lends(kernel, step: Step, views: Sequence[View], columns: int) -> bool:
    """Whether a step that makes all of its operands' gradients copies the node's own to each, number by number."""
    target, _, source = kernel.covers(step.parameters)
    if source is None or _changes_own_gradient(step, views):
        return False
    given, own = views[target // 2], views[source // 2]
    if own.source != at.SELF or source % 2 == 0 or own.offset or own.index != at.NO_INDEX:
        return False
    count = 2 * given.period if given.source == at.EACH else columns
    return all(_start(own, c) == _start(given, c) for c in range(count))


def _changes_own_gradient(step: Step, views: Sequence[View]) -> bool:
    """Whether a step writes to the gradient of the node itself."""
    kernel = KERNELS[step.kernel]
    if isinstance(kernel, (Alone, ByRows)):
        roles = [role for name, role in zip(kernel.parameters, step.parameters) if name in kernel.written]
    else:
        roles = [role for role, _ in kernel.targets(step.parameters) or ()]
    return any(role % 2 and role > 0 and views[role // 2].source == at.SELF for role in roles)


def _shared(kernel, step: Step, views: Sequence[View], columns: int, for_each: bool, deferred: bool) -> int:
    """Whether threads may share a step: by rows always, by columns where no two of them write to the same.

    `deferred`: nodes that do not run together otherwise do so here, parts of one record among them.
    """
    targets = kernel.targets(step.parameters)
    if targets is not None:
        return _shared_by_columns(targets, step, views, columns, for_each, deferred)
    if not kernel.work(step.parameters):
        return at.ALONE
    targets = kernel.targets_by_columns(step.parameters) if isinstance(kernel, ByRows) else None
    if targets is None:
        return at.BY_ROWS
    way = _shared_by_columns(targets, step, views, columns, for_each, deferred)
    return {at.BY_COLUMNS: at.EITHER, at.IF_DISTINCT: at.EITHER_IF_DISTINCT, at.ALONE: at.BY_ROWS}[way]


def _shared_by_columns(targets, step: Step, views: Sequence[View], columns: int, for_each: bool, deferred: bool) -> int:
    shared = at.BY_COLUMNS
    for role, size in targets:
        view = views[role // 2]
        if not _apart(view, size, columns, for_each):
            return at.ALONE
        if view.source == at.SELF or (view.source in (at.BEFORE, at.FIRST) and not deferred):
            continue  # each node has its own
        given = at.EACH_OPERAND if view.source == at.EACH else view.source
        if given != step.gradient_of or deferred:
            return at.ALONE
        shared = at.IF_DISTINCT
    return shared


def _apart(view: View, size: int, columns: int, for_each: bool) -> bool:
    """Whether `size` numbers from where each column of a view stands are that column's alone, within one node."""
    if view.source == at.NOWHERE or view.index_step:
        return False
    if for_each and view.source != at.EACH:  # columns without end
        inner = not view.period or view.stride * (view.period - 1) + size <= view.outer
        return view.stride >= size and inner
    count, period = (view.period, 0) if view.source == at.EACH else (columns, view.period)
    if count > MOST_CHECKED:
        return not period and view.stride >= size
    starts = sorted(
        c * view.stride if not period else c % period * view.stride + c // period * view.outer for c in range(count)
    )
    return all(other - one >= size for one, other in zip(starts, starts[1:]))
