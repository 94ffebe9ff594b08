"""Cells: records that a function repeats, merged into one record, so that they are planned as one node.

The node has room for the values of all these records. Its signature has all their views and steps.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from itertools import chain
from typing import Any, NamedTuple

from dynet_kernels import layout
from dynet_kernels.recorder.words import CHECKED, IN_RECORD, LITERAL, NODE, PATCH, TEMPLATE
from dynet_kernels.table import KERNELS

from ..compute.device import gpu_in_use
from ..dim import Dim
from ..signature import SIGNATURES, Signature, Step, View, alias, bounds, node_count
from .nodes import LOOKUPS

MOST_STEPS = 60  # of the backward pass of a cell: the planner has sets of them as bits
Pair = tuple[int, int]  # as in `words.TEMPLATE`
Result = tuple[int, Any, Any]  # as in `functions.Kind`
Entries = tuple[tuple[int, tuple[Any, ...]], ...]  # see `_signature`


class Place(NamedTuple):
    """Where a value is: `offset` floats after the start of the value of a record, or of an operand, with this number.

    `is_alias`: whether it is the value of another node, an alias.
    """

    number: int
    offset: int = 0
    is_alias: bool = False


def with_cells(
    template: list[int], patches: list[int], results: list[Result]
) -> tuple[list[int], list[int], list[Result]]:
    """Return a template with cells, and the patches and results that go with it; or the arguments if it has none.

    All records of a cell lead to the same results, so that a loss depends on all of them or on none. Records that
    cannot be part of a cell come before all cells, so none of them may need the value of one.
    """
    begin, end = len(TEMPLATE), len(TEMPLATE) + 2 * template[TEMPLATE.length]
    pairs = [*zip(template[begin:end:2], template[begin + 1 : end : 2])]
    rows = [patches[k : k + len(PATCH)] for k in range(0, len(patches), len(PATCH))]
    cells = _Cells(pairs, {place for role, _, place, *_ in rows if role == IN_RECORD})
    new_results = cells.merged(results)
    if new_results is None or cells.node_count >= template[TEMPLATE.nodes]:
        return template, patches, results
    origins, new_pairs = zip(*cells.content)
    places, new_patches = {origin: number for number, origin in enumerate(origins)}, list[int]()
    for role, item, place, change, *limits in rows:
        if role == IN_RECORD and place not in places:  # no result needs the record, so it is left out
            new_patches += CHECKED, item, 0, 0, *limits
        else:
            new_patches += role, item, places[place] if role == IN_RECORD else place, change, *limits
    header = len(new_pairs), cells.node_count, *template[TEMPLATE.inputs : begin]
    return [*header, *chain(*new_pairs), *template[end:]], new_patches, new_results


class _Cells:
    """The cells in a template with these pairs, of which those with the numbers `patched` differ from call to call.

    `content` has the pairs of the new template, and with each its number in the old one, or None.
    """

    def __init__(self, pairs: list[Pair], patched: set[int]):
        self._pairs, self._patched = pairs, patched
        # The records of cells: (signature, operands, numbers of the pairs of input values, those of other attributes).
        self._records: list[tuple[int, list[Any], range, range]] = []
        self._nodes: list[Any] = []  # where each node of the template is now: (NODE, number), or a Place in a record
        self._used_aliases: set[int] = set()
        self.content, self.node_count, self._is_possible = list[tuple[Any, Pair]](), 0, True
        position = 0
        while position < len(pairs) and self._is_possible:
            position = self._add_record(position)

    def _add_record(self, position: int) -> int:
        """Add a record of the template, and return where it ends."""
        integers = [number for _, number in self._pairs[position : position + 2]]
        signature = SIGNATURES[integers[0]]
        first, attributes, end = [position + number for number in bounds(integers)]
        old_operands = self._pairs[first:attributes]
        operands: list[Any] = [self._nodes[k] if kind == NODE else (kind, k) for kind, k in old_operands]
        needs_cell, is_alias = any([type(x) is Place for x in operands]), signature.kind == layout.ALIAS
        fits = _fits(signature) and not (is_alias and attributes in self._patched)
        if needs_cell and not fits:
            self._is_possible = False
        elif not needs_cell and (not fits or is_alias or signature.determined_by != layout.NO_VIEW):
            record = [*self._pairs[position:first], *operands, *self._pairs[attributes:end]]
            self.content += enumerate(record, position)
            for _ in range(node_count(signature.at, integers[1:])):
                self._nodes.append((NODE, self.node_count))
                self.node_count += 1
        elif is_alias:
            step = signature.alias_scale and signature.alias_scale * self._pairs[attributes][1]
            self._nodes.append(Place(operands[0].number, operands[0].offset + signature.alias_offset + step, True))
        else:
            self._nodes.append(Place(len(self._records)))
            self._used_aliases |= {k for kind, k in old_operands if kind == NODE}
            inputs_end = attributes + signature.constants
            self._records.append((signature.at, operands, range(attributes, inputs_end), range(inputs_end, end)))
        return end

    def merged(self, results: list[Result]) -> list[Result] | None:
        """Add the cells to `content`, and return the results with new numbers; None if there can be no cells."""
        places = [(value, self._nodes[value]) for kind, value, _ in results if kind == NODE and self._is_possible]
        shown = [place.number for _, place in places if type(place) is Place]
        # The gradient of an alias includes what its users add to it, also if they are in a cell.
        if not shown or any([type(x) is Place and x.is_alias and node in self._used_aliases for node, x in places]):
            return None
        leads_to = [{record} & {*shown} for record in range(len(self._records))]
        for record, (_, operands, _, _) in reversed([*enumerate(self._records)]):
            for x in operands:
                if type(x) is Place:
                    leads_to[x.number] |= leads_to[record]
        cells: dict[frozenset[int], list[int]] = {}
        for record, goals in enumerate(leads_to):
            cells.setdefault(frozenset(goals), []).append(record)
        shown += [
            x.number
            for record, (_, operands, _, _) in enumerate(self._records)
            for x in operands
            if type(x) is Place and leads_to[record] and leads_to[x.number] != leads_to[record]
        ]
        node_of: dict[int, Any] = {}  # record -> the node with its value
        for goals, records in sorted(cells.items(), key=lambda cell: -len(cell[0])):
            if goals and not self._add_cell(records, [x for x in dict.fromkeys(shown) if x in records], node_of):
                return None
        return [self._new_result(*result, node_of) for result in results]

    def _add_cell(self, records: list[int], shown: list[int], node_of: dict[int, Any]) -> bool:
        """Add a cell of these records to `content`, if useful, and the nodes of its `shown` values to `node_of`."""
        numbers, operands = {record: number for number, record in enumerate(records)}, dict[Pair, int]()

        def source(x: Any) -> Any:
            if type(x) is not Place:
                return operands.setdefault(x, len(operands))
            if x.number in numbers:
                return Place(numbers[x.number], x.offset)
            number = operands.setdefault(node_of[x.number], len(operands))
            return (number, x.offset) if x.offset else number

        rows = [self._records[record] for record in records]
        entries = tuple([(row[0], tuple(map(source, row[1]))) for row in rows])
        shown_numbers = tuple([numbers[record] for record in shown])
        signature = _signature(entries, shown_numbers, gpu_in_use() is None)
        if signature is None:
            return False
        self.content += [(None, pair) for pair in ((LITERAL, signature.at), *operands)]
        for number in [*chain(*[row[2] for row in rows]), *chain(*[row[3] for row in rows])]:
            self.content.append((number, self._pairs[number]))
        self.content += [(None, (LITERAL, 0))] * len(layout.HIDDEN_PLACE)
        cell, offsets = (NODE, self.node_count), _offsets(entries, shown_numbers)
        self.node_count += 1
        for record in shown:
            offset, dim = offsets[numbers[record]], SIGNATURES[self._records[record][0]].dim
            node_of[record] = self._alias_of(cell, dim, offset, True) if offset else cell
        return True

    def _alias_of(self, node: Pair, dim: Dim, offset: int, has_gradient_of_whole: bool) -> Pair:
        signature = _section(dim.plain, offset, has_gradient_of_whole)
        self.content += (None, (LITERAL, signature.at)), (None, node)
        self.node_count += 1
        return NODE, self.node_count - 1

    def _new_result(self, kind: int, value: Any, dim: Any, node_of: dict[int, Any]) -> Result:
        place = self._nodes[value] if kind == NODE else (kind, value)
        if type(place) is Place:
            node = node_of[place.number]
            place = self._alias_of(node, dim, place.offset, False) if place.is_alias else node
        return place[0], place[1], dim


def _fits(signature: Signature) -> bool:
    """Return whether a node with this signature can be part of a cell: if it has one column, and no EACH operands.

    If it passes no gradient on, its operands may have no other use, so that a loss does not depend on them.
    """
    return (
        signature.kind in (layout.COMPUTED, layout.ALIAS)
        and (signature.columns, signature.size_each, bool(signature.parts), signature.waits) == (1, 0, False, None)
        and signature.total > 0
        and signature not in LOOKUPS
        and (signature.passes or not signature.operands)
        and all([view.source >= layout.NOWHERE for view in signature.views])
        and all([_adds_to_one(step, signature.views) for step in (*signature.backward, *signature.deferred)])
    )


def _adds_to_one(step: Step, views: Sequence[View]) -> bool:
    """Return whether a step writes to the gradient of one operand, and to the node's own memory, at most."""
    written = {
        views[step.first_view + role // 2].source for role, _ in KERNELS[step.kernel].effects(step.parameters).writes
    }
    return step.gradient_of >= layout.ANY_OPERAND and written <= {step.gradient_of, layout.SELF}


@functools.cache
def _section(dim: Dim, offset: int, has_gradient_of_whole: bool) -> Signature:
    return alias(dim, offset=offset, has_gradient_of_whole=has_gradient_of_whole)


def _offsets(entries: Any, shown: Sequence[int]) -> list[int]:
    """Return where the values of the records start in the memory of a cell: first the shown ones, then the others."""
    offsets, end = [0] * len(entries), 0
    for record in (*shown, *[k for k in range(len(entries)) if k not in shown]):
        offsets[record], end = end, end + layout.aligned(SIGNATURES[entries[record][0]].size)
    return [*offsets, end]


@functools.cache
def _signature(entries: Entries, shown: tuple[int, ...], sets: bool) -> Signature | None:
    """Return the signature of a cell; None if it would not be faster, or has too many steps.

    `entries` has for each record its signature, and for each of its operands a Place in a record, the number of one of
    the cell's operands, or this and an offset. The values of the records `shown` can be seen from outside. All others
    are hidden, with their gradients. `sets`: whether steps can overwrite gradients.
    """
    parts, (*offsets, end) = [SIGNATURES[at] for at, _ in entries], _offsets(entries, shown)
    shown_size = sum([layout.aligned(parts[k].size) for k in shown])
    distance = end - shown_size  # from a hidden value to its gradient, for each node of a group
    constants = sum([part.constants for part in parts])
    inputs, others = 0, constants  # the number of the next attribute of each sort
    views, steps = list[View](), {direction: [list[Step]() for _ in parts] for direction in layout.DIRECTIONS[:3]}

    def hidden(record: int, to_value: int, to_gradient: int) -> View:
        begin, room = offsets[record] - shown_size + to_value, layout.aligned(parts[record].size)
        return View(layout.HIDDEN, outer=begin, stride=room, index_step=to_gradient)

    for record, ((_, sources), part) in enumerate(zip(entries, parts)):
        for direction, of_records in steps.items():
            for step in getattr(part, direction):
                target = sources[step.gradient_of] if step.gradient_of >= 0 else step.gradient_of
                target = target[0] if type(target) is tuple else target
                of_records[record].append(Step(step.kernel, step.parameters, target, len(views) + step.first_view))
        for view in part.views:
            index, source = view.index, view.source
            if index != layout.NO_INDEX:
                index += inputs if index < part.constants else others - part.constants
            place = sources[source] if source >= 0 else Place(record) if source == layout.SELF else source
            if type(place) is not Place:
                operand, offset = place if type(place) is tuple else (place, 0)
                views.append(view._replace(source=operand, offset=view.offset + offset, index=index))
            elif place.number in shown:
                offset = view.offset + place.offset + offsets[place.number]
                views.append(view._replace(source=layout.SELF, offset=offset, index=index))
            else:
                offset, own = view.offset + place.offset, hidden(place.number, 0, distance)
                views.append(own._replace(offset=offset, index=index, scale=view.scale))
        inputs, others = inputs + part.constants, others + part.attributes - part.constants
    backward, begun = list[Step](), {*shown}  # records to whose gradient a step has added
    for record in reversed(range(len(parts))):
        for step in steps["backward"][record] if record in begun else ():
            place: Any = step.gradient_of
            if type(place) is not Place:
                backward.append(step)
            elif place.number in begun:
                backward.append(step._replace(gradient_of=layout.OWN))
            elif sets and _writes_all(step, views, parts[place.number].size):
                backward.append(step._replace(gradient_of=layout.OWN_FIRST))
            else:
                room = layout.aligned(parts[place.number].size)
                backward.append(Step("clear", (room,), layout.OWN, len(views)))
                backward.append(step._replace(gradient_of=layout.OWN))
                views.append(hidden(place.number, distance, 0))
            if type(place) is Place:
                begun.add(place.number)
    deferred = [step for record in sorted(begun) for step in steps["deferred"][record]]
    products = [part.at for part in parts if part.deferred]
    # Two products with the same matrix would not be computed together any more.
    is_slower = len({*products}) < len(products)
    if is_slower or len(backward) > MOST_STEPS or any([type(step.gradient_of) is Place for step in deferred]):
        return None
    return Signature(
        parts[shown[0]].dim, name="cell", size=end + distance, hidden=2 * distance, is_cell=True, constants=constants,
        attributes=others + len(layout.HIDDEN_PLACE), passes=any([part.passes for part in parts]), views=views,
        forward=[*chain(*steps["forward"])], backward=backward, deferred=deferred,
    )  # fmt: skip


def _writes_all(step: Step, views: Sequence[View], size: int) -> bool:
    """Return whether a step writes all floats of a gradient of this size."""
    effects = KERNELS[step.kernel].effects(step.parameters)
    if not effects.covers:
        return False
    ((role, written),) = effects.writes
    view = views[step.first_view + role // 2]
    return (written, view.offset, view.index) == (size, 0, layout.NO_INDEX)
