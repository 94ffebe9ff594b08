"""Signatures: what the planner needs to know of nodes that run together."""

from __future__ import annotations

import array
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace

from dynet_kernels import layout as at
from dynet_kernels.kernels import KERNELS, Alone, ByRows
from dynet_kernels.layout import COMPUTED

from .dim import Dim
from .errors import ShapeError
from .recorder import next_generation

TABLE: list[int] = [0] * at.TABLE_HEAD  # every signature, one after the other
SIGNATURES: dict[int, Signature] = {}  # by where they stand in the table
_lock = threading.RLock()
MOST_CHECKED = 1 << 12  # columns of a step


def _enter(row: array.array, addresses: Sequence[int]) -> int:
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


@dataclass(frozen=True)
class View:
    """Where one named value of each column stands.

    The address for column c is that of `source` (an operand's number, SELF, EACH in turn of the operands that a
    variadic record has beyond its first `operands`, or NOWHERE) + offset + (c % period) * stride
    + (c // period) * outer; period 0 means stride alone. With `index`, the attribute of that number
    (+ c * index_step) times `scale` is added. In a record of parts, BEFORE is the part before this one, and FIRST
    the record's first, to whose address `scale` is added for each part between.
    """

    source: int
    offset: int = 0
    stride: int = 0
    period: int = 0
    outer: int = 0
    index: int = at.NO_INDEX
    index_step: int = 0
    scale: int = 0

    def row(self) -> list[int]:
        """The view as integers of the table."""
        return [
            self.source, self.offset, self.stride, self.period, self.outer,
            self.index, self.index_step, self.scale,
        ]  # fmt: skip

    def follows(self, other: View) -> bool:
        """Whether a view differs from another by the offset alone."""
        return replace(self, offset=other.offset) == other


@dataclass(frozen=True)
class Step:
    """One instruction that a signature wants: a kernel, its parameters, and whose gradient it makes."""

    kernel: str
    parameters: tuple[int, ...]
    gradient_of: int = at.NO_OPERAND


def constant(attribute: int) -> View:
    """The view of a number that came with the node: attribute number `attribute` says where."""
    return View(at.NOWHERE, index=attribute, scale=1)


class Signature:
    """Nodes of one signature run together. `at` is where it stands in the table, `dim` what its nodes are.

    A node holds `size` floats (those of `dim`, if not given). A variadic one holds `size_each` more, and has
    `columns` columns, for each operand beyond the first `operands`. `name` is that of the op, for people.

    With `parts`, a record is several nodes, which run by these; the last of them `repeats` until there is one for
    each operand beyond the first `operands`, the first part not counted. A part is `variadic` as its record is, but
    has columns for each operand that shares EACH only if it says `each`. It waits for the part before it, for the
    operands of the record from waits[0] up to waits[1] and, if it `waits_each`, for those that share EACH. With
    `sets_first` its steps set what they make of the gradient of the first part, of which each part has a share.
    """

    __slots__ = ("at", "dim", "kernel", "name", "parts", "repeats")

    at: int
    dim: Dim
    kernel: str
    name: str
    parts: tuple[Signature, ...]
    repeats: bool

    def __init__(
        self,
        dim: Dim,
        *,
        name: str = "",
        operands: int = 0,
        variadic: bool = False,
        attributes: int = 0,
        constants: int = 0,
        kind: int = COMPUTED,
        size: int | None = None,
        size_each: int = 0,
        columns: int = 1,
        each: bool | None = None,
        waits: tuple[int, int] | None = None,
        waits_each: bool = False,
        sets_first: bool = False,
        parts: Sequence[Signature] = (),
        repeats: bool = False,
        alias_scale: int = 0,
        alias_offset: int = 0,
        passes: bool = True,
        views: Sequence[View] = (),
        forward: Sequence[Step] = (),
        backward: Sequence[Step] = (),
        deferred: Sequence[Step] = (),
    ):
        self.dim, self.name, self.parts, self.repeats = dim, name, tuple(parts), repeats
        each = variadic if each is None else each
        waits_from, waits_to = waits or (0, at.TO_THE_END)
        self.kernel = forward[-1].kernel if forward else ""
        if not dim.total:  # there is nothing to compute
            forward = backward = deferred = ()
        groups = [list(forward), list(backward), list(deferred)]
        steps_at = at.HEAD + at.VIEW_ROW * len(views)
        bounds = []
        for group in groups:
            bounds += [steps_at, len(group), *_lists(group)]
            steps_at += at.STEP_ROW * len(group)
        parts_at = steps_at
        parameters_at = parts_at + len(parts)
        # Addresses in the table are added when it is known where the row stands.
        addresses = [at.PARTS] if parts else []
        row = [
            0, 0, kind, dim.total if size is None else size, size_each, 0 if each else columns,
            columns if each else 0, operands,
            int(variadic), attributes, constants, alias_scale, alias_offset, int(passes), waits_from,
            waits_to - waits_from, int(waits_each), parts_at, len(parts), int(repeats), len(views), *bounds,
            int(not any(_changes_own_gradient(step, views) for step in [*backward, *deferred])), int(sets_first),
        ]  # fmt: skip
        for view, before in zip(views, [None, *views]):
            row += [*view.row(), int(before is not None and view.follows(before))]
        parameters: list[int] = []
        for number, step in [(number, step) for number, group in enumerate(groups) for step in group]:
            kernel = KERNELS[step.kernel]
            if len(step.parameters) != len(kernel.parameters):
                raise ValueError(f"{step.kernel} takes {kernel.parameters}, got {step.parameters}")
            covered = _covered(kernel, step, views, columns, each)
            addresses.append(len(row) + at.STEP_PARAMETERS)
            row += [KERNELS.opcode(step.kernel), step.gradient_of, parameters_at + len(parameters), covered]
            row += [_shared(kernel, step, views, columns, each, number == 2), kernel.work(step.parameters)]
            row += [int(covered != 0 and _lends(kernel, step, views, columns))]
            parameters += step.parameters
        row += [part.at for part in parts]
        try:
            packed = array.array("q", row + parameters)
        except OverflowError:  # it would spoil the table for all
            raise ShapeError(f"{name or 'op'}: sizes or strides are too large for {dim!r}") from None
        self.at = _enter(packed, addresses)
        SIGNATURES[self.at] = self

    def nodes(self, integers: Sequence[int]) -> int:
        """How many nodes a record is whose operands and attributes are these integers."""
        if not self.repeats:
            return len(self.parts) or 1
        return 1 + integers[0] - TABLE[self.at + at.OPERANDS]


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


def copy_step(kernel: str, target: int, source: int, size: int, gradient_of: int = at.NO_OPERAND) -> Step:
    """A step that copies (or adds) `size` neighbouring numbers of each column from one role to another."""
    return Step(kernel, (target, source, size, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 0), gradient_of)


def alias(dim: Dim, *, name: str = "", scale: int | None = None, offset: int = 0) -> Signature:
    """A node that is a place inside its operand: nothing is computed or copied.

    With `scale`, it has one attribute, which counts in units of that many floats. Only where its gradient must
    be told from the operand's does it have one of its own, which is then added to the operand's.
    """
    return Signature(
        dim,
        name=name,
        operands=1,
        attributes=int(scale is not None),
        kind=at.ALIAS,
        alias_scale=scale or 0,
        alias_offset=offset,
        views=[View(at.SELF), View(0, offset=offset, index=at.NO_INDEX if scale is None else 0, scale=scale or 0)],
        backward=[copy_step("accumulate", 3, 1, dim.total, gradient_of=0)],
    )


def apart(dim: Dim, backward: Sequence[Step] = (), *, constants: int = 0) -> Signature:
    """A node whose values are its operand's, but not its gradient: `backward` makes the operand's of it, or nothing."""
    return Signature(
        dim,
        operands=1,
        attributes=constants,
        constants=constants,
        kind=at.APART,
        passes=bool(backward),
        views=[View(at.SELF), View(0), *map(constant, range(constants))],
        backward=backward,
    )
