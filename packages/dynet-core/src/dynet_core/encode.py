"""Write descriptions of nodes as integers into TABLE, the list that the planner reads.

The planner is compiled code that decides how the nodes of a graph are computed. A description tells it about one kind
of node: by *steps*, which are kernel calls, and by *views*, which say where in memory the kernels read and write for
each *column*, the unit of work. A step names the memory by a number, its *role*: 2 * k is the value of view k,
2 * k + 1 its gradient. `description.py` explains more terms. `dynet_kernels.layout` defines the order of the integers.
"""

from __future__ import annotations

import array
from collections.abc import Sequence

from dynet_kernels import layout as at
from dynet_kernels.kernels import Alone, ByRows
from dynet_kernels.locks import new_lock
from dynet_kernels.table import KERNELS

from .description import Description, Step, View
from .errors import ShapeError
from .recorder import next_generation

TABLE: list[int] = [0] * at.TABLE_HEAD  # some integers for the planner's own use, then the integers of all descriptions
_lock = new_lock()


def enter(description: Description) -> int:
    """Append a description to TABLE and return the index of its first integer.

    Raises:
        ShapeError: a size or stride does not fit into 64 bits.
    """
    groups = [getattr(description, direction) if description.dim.total else () for direction in at.DIRECTIONS]
    numbered = [(number, step) for number, group in enumerate(groups) for step in group]
    steps_at = len(at.SIGNATURE) + len(at.VIEW) * len(description.views)
    parts_at = steps_at + len(at.STEP) * len(numbered)
    # The positions in `row` of those integers that are indices into TABLE. These indices count from the start of `row`
    # at first. `_extend` changes them to count from the start of TABLE.
    addresses = [at.SIGNATURE.parts] if description.parts else []
    row = [*_head(description, groups, steps_at, parts_at), *_views(description.views)]
    parameters: list[int] = []
    for number, step in numbered:
        if len(step.parameters) != len(KERNELS[step.kernel].parameters):
            raise ValueError(f"{step.kernel} takes {KERNELS[step.kernel].parameters}, got {step.parameters}")
        addresses.append(len(row) + at.STEP.parameters)
        row += _step(description, step, parts_at + len(description.parts) + len(parameters), deferred=number == 2)
        parameters += step.parameters
    row += [part.at for part in description.parts]
    try:
        packed = array.array("q", row + parameters)
    except OverflowError:  # it is raised before any of the numbers is in TABLE, which all threads share
        raise ShapeError(
            f"{description.name or 'op'}: sizes or strides are too large for {description.dim!r}"
        ) from None
    return _extend(packed, addresses)


def _head(description: Description, groups: Sequence[Sequence[Step]], steps_at: int, parts_at: int) -> list[int]:
    bounds = {}
    for direction, group in zip(at.DIRECTIONS, groups):
        # The deferred steps may read the lists that were written for the backward steps (see `plan/repeats.py`).
        also = groups[2] if direction == "backward" and description.determined_by is not None else ()
        lists, first_lists = _lists([*group, *also])
        steps = {"begin": steps_at, "count": len(group), "lists": lists, "first_lists": first_lists}
        bounds |= {f"{direction}_{name}": value for name, value in steps.items()}
        steps_at += len(at.STEP) * len(group)
    first, last = description.waits or (0, at.TO_THE_END)
    backward = [*groups[1], *groups[2]]
    columns, columns_each = (0, description.columns) if description.has_each else (description.columns, 0)
    return at.SIGNATURE.filled(
        numbering=0,
        number=0,
        kind=description.kind,
        size=description.dim.total if description.size is None else description.size,
        size_each=description.size_each,
        hidden=description.hidden,
        columns=columns,
        columns_each=columns_each,
        operands=description.operands,
        variadic=int(description.variadic),
        attributes=description.attributes,
        constants=description.constants,
        alias_scale=description.alias_scale,
        alias_offset=description.alias_offset,
        passes=int(description.passes),
        waits_from=first,
        waits_count=last - first,
        waits_each=int(description.waits_each),
        parts=parts_at,
        part_count=len(description.parts),
        last_part_repeats=int(description.repeats),
        view_count=len(description.views),
        **bounds,
        keeps_gradient=int(not any(_changes_own_gradient(step, description.views) for step in backward)),
        determined_by=at.NO_VIEW if description.determined_by is None else description.determined_by,
        once_base=0,
        once_columns=0,
        once_nodes=0,
        once_search=0,
    )


def _views(views: Sequence[View]) -> list[int]:
    row = []
    for view in views:
        row += at.VIEW.filled(
            source=view.source,
            offset=view.offset,
            stride=view.stride,
            period=view.period,
            outer=view.outer,
            index=view.index,
            index_step=view.index_step,
            scale=view.scale,
        )
    return row


def _step(description: Description, step: Step, parameters_at: int, deferred: bool) -> list[int]:
    kernel, views, columns, each = KERNELS[step.kernel], description.views, description.columns, description.has_each
    covered = _covered(kernel, step, views, columns, each)
    return at.STEP.filled(
        opcode=KERNELS.opcode(step.kernel),
        gradient_of=step.gradient_of,
        parameters=parameters_at,
        covers=covered,
        shared=_sharing(kernel, step, views, columns, each, deferred),
        work=kernel.work(step.parameters),
        copies=int(covered != 0 and _copies_gradient(kernel, step, views, columns)),
    )


def _extend(row: array.array, addresses: Sequence[int]) -> int:
    """Append the integers of a description to TABLE and return the index of the first one.

    A signal handler or a finalizer may append to TABLE after this function has read its length. Then the description
    begins later than expected, and its indices are wrong. So the loop appends another copy; the first stays unused.

    Args:
        row: the integers of the description.
        addresses: the positions in `row` of those integers that are indices. These indices count from the start of
            `row`. This function changes them to count from the start of TABLE.
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
    """Return which lists of addresses the steps read, as two bit sets.

    The planner writes a list for each role (the value or the gradient of a view), with an address for each column. Bit
    r of the first result says that a step reads the whole list of role r. Bit r of the second result says that steps
    read only the first address of this list. The result is (ALL_LISTS, 0) if a kernel does not say what it reads, or
    if a role is too large for the bit sets.
    """
    all_columns = first_column = 0
    for step in steps:
        roles = KERNELS[step.kernel].lists(step.parameters)
        if roles is None or max((*roles[0], *roles[1]), default=0) >= at.MOST_LISTS:
            return at.ALL_LISTS, 0
        for role in roles[0]:
            all_columns |= 1 << role
        for role in roles[1]:
            first_column |= 1 << role
    return all_columns, first_column & ~all_columns


def _covered(kernel, step: Step, views: Sequence[View], columns: int, for_each: bool) -> int:
    """Return how many floats of an operand's gradient a step can overwrite, or 0 if it can only add to the gradient.

    If the result is not 0, the step can write this many floats from the start of the gradient on, each exactly once.
    The gradient may then be uninitialised memory. The result is 0 if the step would leave gaps or write a float twice:
    then the gradient must be set to zero before the step adds to it.

    Args:
        kernel: the kernel of the step.
        views: the views of the description.
        columns: the description's number of columns.
        for_each: whether the node has this number of columns for each EACH operand (see `description.py`). The step
            then writes several times to the gradient of any operand that is not an EACH operand.
    """
    covers = kernel.covers(step.parameters)
    if covers is None:
        return 0
    role, size, _ = covers
    view = views[role // 2]
    each = view.source == at.EACH
    operand = view.source >= 0 and view.source == step.gradient_of and not for_each
    if not size or not (each or operand) or view.offset or view.index != at.NO_INDEX:
        return 0
    count = view.period if each else columns
    length, gap, far = _runs(view, count)
    runs, rest = divmod(count, length)
    one_run = runs == 1 and (length == 1 or gap == size)
    interleaved = runs > 1 and far == size and gap == size * runs
    return size * count if rest == 0 and (one_run or interleaved) else 0


def _runs(view: View, count: int) -> tuple[int, int, int]:
    """Describe where the first `count` columns of a view start: in runs of columns with equal gaps.

    The description ignores `offset` and `index`, which move all columns alike. Views have the same description if all
    their columns start at the same places, and only then.

    Returns:
        The length of a run, in columns; the gap, how many floats after a column the next one of its run starts; and how
        many floats after a run the next one starts. The last run may be shorter. If there is one run, the last number
        is 0, and if it has one column, the gap is 0, too. Otherwise runs have at least two columns.
    """
    stride, period = view.stride, view.period
    outer = 0 if view.source == at.EACH else view.outer
    if period == 1:
        stride, period = outer, 0
    if not period or period >= count or outer == stride * period:
        return max(count, 1), stride if count > 1 else 0, 0
    return period, stride, outer


def _copies_gradient(kernel, step: Step, views: Sequence[View], columns: int) -> bool:
    """Return whether a step only adds the node's gradient to an operand's gradient, element by element in order.

    The planner can then let both gradients share memory. Call this only if `_covered` has not returned 0 for the step.
    """
    target, _, source = kernel.covers(step.parameters)
    if source is None or _changes_own_gradient(step, views):
        return False
    operand, own = views[target // 2], views[source // 2]
    if own.source != at.SELF or source % 2 == 0 or own.offset or own.index != at.NO_INDEX:
        return False
    count = 2 * operand.period if operand.source == at.EACH else columns
    return _runs(own, count) == _runs(operand, count)


def _changes_own_gradient(step: Step, views: Sequence[View]) -> bool:
    """Return whether a step writes to the gradient of the node itself, not only to the gradients of operands."""
    kernel = KERNELS[step.kernel]
    if isinstance(kernel, (Alone, ByRows)):
        roles = [role for name, role in zip(kernel.parameters, step.parameters) if name in kernel.written]
    else:
        roles = [role for role, _ in kernel.targets(step.parameters) or ()]
    return any(role % 2 and role > 0 and views[role // 2].source == at.SELF for role in roles)


def _sharing(kernel, step: Step, views: Sequence[View], columns: int, for_each: bool, deferred: bool) -> int:
    """Return how threads may share the work of a step: ALONE (not at all), BY_COLUMNS or another constant of `layout`.

    Threads can take different columns only if no two columns write to the same memory.

    Args:
        kernel: the kernel of the step.
        views: the views of the description.
        columns: the description's number of columns.
        for_each: whether the node has this number of columns for each EACH operand (see `description.py`).
        deferred: whether the step runs at the end of the backward pass, for all nodes of the graph together.
    """
    targets = kernel.targets(step.parameters)
    if targets is not None:
        return _sharing_by_columns(targets, step, views, columns, for_each, deferred)
    if not kernel.work(step.parameters):
        return at.ALONE
    targets = kernel.targets_by_columns(step.parameters) if isinstance(kernel, ByRows) else None
    if targets is None:
        return at.BY_ROWS
    by_columns = _sharing_by_columns(targets, step, views, columns, for_each, deferred)
    return {at.BY_COLUMNS: at.EITHER, at.IF_DISTINCT: at.EITHER_IF_DISTINCT, at.ALONE: at.BY_ROWS}[by_columns]


def _sharing_by_columns(
    targets, step: Step, views: Sequence[View], columns: int, for_each: bool, deferred: bool
) -> int:
    shared = at.BY_COLUMNS
    for role, size in targets:
        view = views[role // 2]
        if not _columns_disjoint(view, size, columns, for_each):
            return at.ALONE
        if view.source == at.SELF or (view.source in (at.BEFORE, at.FIRST) and not deferred):
            continue  # no conflict: a node writes only to its own memory, or to that of other parts of its record
        operand = at.EACH_OPERAND if view.source == at.EACH else view.source
        if operand != step.gradient_of or deferred:
            return at.ALONE
        shared = at.IF_DISTINCT
    return shared


def _columns_disjoint(view: View, size: int, columns: int, for_each: bool) -> bool:
    """Return whether no two columns of a view overlap within one node.

    The result may be False although they do not overlap, if runs of columns (see `_runs`) lie within each other in a
    way that no op uses.

    Args:
        view: the view.
        size: the number of floats in each column.
        columns: the description's number of columns.
        for_each: whether the node has this number of columns for each EACH operand (see `description.py`).
    """
    if view.source == at.NOWHERE or view.index_step:
        return False
    if for_each and view.source != at.EACH:  # the number of EACH operands, and so of columns, is not known
        inner = not view.period or view.stride * (view.period - 1) + size <= view.outer
        return view.stride >= size and inner
    count = view.period if view.source == at.EACH else columns
    length, gap, far = _runs(view, count)
    runs = -(-count // length)
    if runs == 1:
        return length == 1 or gap >= size
    apart = gap >= size and far >= gap * (length - 1) + size
    interleaved = far >= size and gap >= far * (runs - 1) + size
    return apart or interleaved
