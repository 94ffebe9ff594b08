"""Shows graphs to users: as drawings (Graphviz, Mermaid, SVG), as lists of values, and as plans."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

import numpy as np
import numpy.typing as npt

from dynet_kernels import layout
from dynet_kernels.encode import TABLE
from dynet_kernels.layout import CONTEXT, INSTRUCTION, NODE
from dynet_kernels.table import IF_QUANTIZED, KERNELS

from . import recorder
from .checks import checked_flag
from .compute.device import kernel_title
from .compute.engine import PlanningEngine
from .compute.parameter_rows import PARAMETER_ROWS
from .dim import Dim
from .errors import ArgumentError, GradientError, ShapeError
from .graph.expression import Expression
from .graph.graph import Graph, current
from .graph.nodes import DecodedRecord, decoded
from .graph.record import graph_of
from .recorder import ANY_GRAPH
from .signature import SIGNATURES, Signature, Step

# Pixels in an SVG image: the height of a box, the width of a letter, the gap between columns of boxes.
BOX_HEIGHT, LETTER_WIDTH, GAP = 22, 7, 40


@dataclass(frozen=True)
class Box:
    """A box in the picture of a graph: a call of an op, or a parameter. `operands` are indices in the list of boxes."""

    label: str
    dims: str
    operands: tuple[int, ...]
    is_parameter: bool = False

    @property
    def text(self) -> str:
        return f"{self.label} {self.dims}".strip()


def boxes(
    graph: Graph,
    show_dims: bool = True,
    expression_names: Mapping[Expression, str] | None = None,
    lookup_names: Mapping | None = None,
) -> list[Box]:
    """Return one box for each parameter and each record, also of several nodes. Operands precede their users.

    The arguments are as for `api.print_graphviz`: `lookup_names` maps lookup parameters to the names of their rows.
    """
    names = {(e.at, e.version == ANY_GRAPH): name for e, name in (expression_names or {}).items()}
    row_names = {table.name(): names for table, names in (lookup_names or {}).items()}
    drawn_boxes: list[Box] = []
    indices: dict[int, int] = {}  # node, or -1 minus the row of a parameter -> index of its box
    for record in decoded(graph.records):
        given_names = [names[index, False] for index in record.visible_nodes if (index, False) in names]
        label = ", ".join(given_names) or record.op_name
        for operand in record.operands:
            if operand < 0 and operand not in indices:
                indices[operand] = len(drawn_boxes)
                name = names.get((operand, True), PARAMETER_ROWS.names[-1 - operand])
                drawn_boxes.append(Box(name, "", (), is_parameter=True))
        operands = tuple(indices[operand] for operand in record.operands)
        if record.op_name.startswith("lookup"):
            label = _lookup_label(label, record, row_names.get(drawn_boxes[operands[0]].label))
        indices.update(dict.fromkeys(record.visible_nodes, len(drawn_boxes)))
        drawn_boxes.append(Box(label, shape_text(record.dim) if show_dims else "", operands))
    return drawn_boxes


def _lookup_label(label: str, record: DecodedRecord, row_names: Sequence[str] | None) -> str:
    rows = [str(row) if row_names is None else row_names[row] for row in record.attributes]
    return f"{label} {', '.join(rows[:5])}{', ...' * (len(rows) > 5)}"


def shape_text(dim: Dim) -> str:
    """Return a shape as text for a picture, such as `{3,4} X2` for dimensions (3, 4) and batch size 2."""
    return f"{{{','.join(map(str, dim.dims))}}}" + (f" X{dim.batch}" if dim.batch > 1 else "")


def dot(graph: Graph, **options: Any) -> str:
    """Return a graph as Graphviz source. `options` are the arguments of `boxes` other than `graph`."""
    lines = ["digraph G {", "  rankdir=LR;", "  nodesep=.05;"]
    for index, box in enumerate(boxes(graph, **options)):
        label = box.text.replace("\\", "\\\\").replace('"', '\\"')
        shape = "" if box.is_parameter else ", shape=rect"
        lines.append(f'  N{index} [label="{label}"{shape}];')
        lines += [f"  N{operand} -> N{index};" for operand in box.operands]
    return "\n".join([*lines, "}"])


def mermaid(graph: Graph) -> str:
    lines = ["flowchart LR"]
    for index, box in enumerate(boxes(graph)):
        opening, closing = ("([", "])") if box.is_parameter else ("[", "]")
        lines.append(f'    N{index}{opening}"{escape(box.text)}"{closing}')
        lines += [f"    N{operand} --> N{index}" for operand in box.operands]
    return "\n".join(lines) + "\n"


def svg(graph: Graph) -> str:
    """Return a graph as an SVG image. Operands are to the left of the operations that use them."""
    drawn = boxes(graph)
    columns: list[list[int]] = []  # the indices of the boxes in each column
    depths: list[int] = []
    for index, box in enumerate(drawn):
        depth = 1 + max([depths[operand] for operand in box.operands], default=-1)
        depths.append(depth)
        if depth == len(columns):
            columns.append([])
        columns[depth].append(index)
    corners: dict[int, tuple[int, int, int]] = {}  # index of a box -> its left edge, top edge and width in pixels
    x, row_height = GAP // 2, BOX_HEIGHT + GAP // 2
    for column in columns:
        width = LETTER_WIDTH * (2 + max(len(drawn[index].text) for index in column))
        for row, index in enumerate(column):
            corners[index] = x, GAP // 2 + row * row_height, width
        x += width + GAP
    height = GAP + max(map(len, columns), default=0) * row_height
    shapes, lines = [], []
    for index, box in enumerate(drawn):
        shapes.append(_svg_box(box, *corners[index]))
        lines += [_svg_line(corners[operand], corners[index]) for operand in dict.fromkeys(box.operands)]
    size = f'width="{x}" height="{height}" viewBox="0 0 {x} {height}"'
    style = 'font-family="monospace" font-size="11" fill="none" stroke="currentColor"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} {style}>{"".join([*lines, *shapes])}</svg>'


def _svg_box(box: Box, x: int, y: int, width: int) -> str:
    # The baseline of the text is 15 pixels below the top of the box. Boxes of parameters have round ends.
    radius = BOX_HEIGHT // 2 if box.is_parameter else 0
    text = f'<text x="{x + LETTER_WIDTH}" y="{y + 15}" fill="currentColor" stroke="none">{escape(box.text)}</text>'
    return f'<rect x="{x}" y="{y}" width="{width}" height="{BOX_HEIGHT}" rx="{radius}"/>{text}'


def _svg_line(start: tuple[int, int, int], end: tuple[int, int, int]) -> str:
    x, y, width = start
    return f'<path d="M{x + width} {y + BOX_HEIGHT // 2}L{end[0]} {end[1] + BOX_HEIGHT // 2}"/>'


def dump_cg(
    filename: str | bytes = "", show_values: bool = True, show_gradients: bool = True, nan_check_only: bool = False
) -> None:
    """Print the value and the gradient of every expression of the current graph. Values are computed if necessary.

    Args:
        filename: the file to write to; by default stdout.
        show_values: whether to print values.
        show_gradients: whether to print gradients.
        nan_check_only: print only whether all numbers of a value or gradient are finite: "valid" or "invalid".

    Raises:
        OSError: the file cannot be written.

    >>> _ = dy.renew_cg()
    >>> y = dy.tanh(dy.inputVector([1, 2]))
    >>> dump_cg(nan_check_only=True)
    Node 0: input (2,)
    Value: valid
    Gradient: (not computed)
    Node 1: tanh (2,)
    Value: valid
    Gradient: (not computed)
    """
    dump(current(), filename, show_values, show_gradients, nan_check_only)


def dump(graph: Graph, filename, show_values, show_gradients, nan_check_only) -> None:
    """Print values and gradients as `dump_cg` does, but of any graph."""
    flags = {"show_values": show_values, "show_gradients": show_gradients, "nan_check_only": nan_check_only}
    text = "\n".join(_cg_lines(graph, *[checked_flag("dump_cg", what, value) for what, value in flags.items()])) + "\n"
    if filename:
        with open(os.fsdecode(filename), "w", encoding="utf-8") as file:
            file.write(text)
    else:
        sys.stdout.write(text)


def _cg_lines(graph: Graph, show_values: bool, show_gradients: bool, nan_check_only: bool) -> Iterator[str]:
    if not graph.records.length:
        yield "(Computation graph is empty)"
    for record in decoded(graph.records):
        for index in record.visible_nodes:
            x = recorder.node_at(index, record.dim)
            yield f"Node {index}: {record.op_name} {record.dim!r}"
            if show_values:
                yield _dump_line("Value", x.npvalue(dtype=np.float32), nan_check_only)
            if show_gradients:
                yield _dump_line("Gradient", _gradient_or_none(x), nan_check_only)


def _gradient_or_none(x: Expression) -> np.ndarray | None:
    try:
        return x.gradient(dtype=np.float32)
    except GradientError:
        return None


def _dump_line(title: str, array: np.ndarray | None, nan_check_only: bool) -> str:
    if array is None:
        return f"{title}: (not computed)"
    if nan_check_only:
        return f"{title}: {'valid' if np.isfinite(array).all() else 'invalid'}"
    return f"{title}:\n{array}"


IntArray = npt.NDArray[np.int64]
MOST_GROUPS = 200  # at most this many groups of each pass are printed
OPERAND_NAMES: dict[int, str] = dict.fromkeys((layout.ANY_OPERAND, layout.EACH_OPERAND), "its operands")
OPERAND_NAMES |= dict.fromkeys((layout.OWN, layout.OWN_FIRST), "a value inside")
OPERAND_NAMES[layout.BEFORE_OPERAND] = "the part before"  # value of `Step.gradient_of` -> words for `show_plan`


@dataclass
class PlannedGroup:
    """Nodes with one signature that are computed together, and the lines that describe the kernel calls."""

    signature: Signature
    nodes: list[int]
    lines: list[str] = field(default_factory=list)

    def first_line(self, addresses: IntArray, start: int) -> str:
        """Return the op, the shape, the number of nodes, and the first node's address relative to `start` as text."""
        name = self.signature.name or self.signature.kernel or "part of a record"
        count = "1 node" if len(self.nodes) == 1 else f"{len(self.nodes)} nodes"
        return f"{name:24} {shape_text(self.signature.dim):16} {count}, from {addresses[self.nodes[0]] - start}"


class ShownPlan:
    """A plan of the whole graph, made only for printing. Nothing is computed, and the graph does not change.

    `node_fields` is a dict: name in NODE -> array with this field of all nodes. `tape` has the instructions of a pass,
    last first, so that `take` can pop the next one. Each instruction belongs to a step of a group, or to no step.
    """

    def __init__(self, graph: Graph):
        self.engine = PlanningEngine(graph.records)
        self.kernel_names = {opcode: name for opcode, name, _ in KERNELS.with_opcodes()}
        self.plan_pass("forward")

    def plan_pass(self, direction: str, loss: int | None = None) -> None:
        """Plan the forward pass, or the backward pass from node `loss`."""
        self.engine.plan(loss)
        self.node_fields = dict(zip(NODE, self._rows("nodes", CONTEXT.node_count, len(NODE)).T))
        self.tape = [*self._rows(f"{direction}_tape", CONTEXT.tape_count, len(INSTRUCTION))[::-1].copy()]

    def _rows(self, buffer_name: str, count_slot: int, width: int) -> IntArray:
        count = self.engine.slots[count_slot]
        return self.engine.buffers[buffer_name][: count * width].reshape(count, width)

    def groups(self, order: str) -> Iterator[PlannedGroup]:
        """Yield the groups in the order they run ("by_depth"), or one group for each signature ("by_signature")."""
        ordered_nodes = self.engine.buffers[order][: self.engine.slots[CONTEXT.planned_count]]
        depths = self.node_fields["depth"] + self.engine.buffers["stage_begins"][self.node_fields["stage"]]

        def key(node: int) -> tuple[int, int]:
            return int(self.node_fields["signature"][node]), int(depths[node]) if order == "by_depth" else 0

        for (signature, _), members in itertools.groupby(ordered_nodes.tolist(), key):
            yield PlannedGroup(SIGNATURES[signature], list(members))

    def take(self, kernel: str, parameters_index: int | None = None) -> IntArray | None:
        """Pop and return the next instruction if it has this kernel and, unless None, this index of its parameters."""
        instruction = self.tape[-1] if self.tape else None
        if instruction is None or self.name_of(instruction) not in (kernel, IF_QUANTIZED.get(kernel)):
            return None
        return self.tape.pop() if parameters_index in (None, instruction[INSTRUCTION.parameters]) else None

    def name_of(self, instruction: IntArray) -> str:
        return self.kernel_names[int(instruction[INSTRUCTION.opcode])]

    def add_lines(self, group: PlannedGroup, direction: str, purpose: str = "") -> None:
        """Add a line for each instruction of a group's steps. `{target}` in `purpose` is what the step adds to."""
        for step, parameters_index in _steps(group.signature, direction):
            instruction = self.take(step.kernel, parameters_index)
            if instruction is not None:
                title = kernel_title(self.name_of(instruction))
                group.lines.append(f"{title}: {_columns_text(instruction)}{purpose.format(target=_target(step))}")


def plan_text(loss: Expression | None = None) -> str:
    graph = current()
    if loss is not None:
        graph_of("show_plan", (loss,))
        if loss.version == ANY_GRAPH:
            raise ArgumentError(f"show_plan: {loss!r} is a parameter, from which no backward pass can be planned")
        if loss.type.total != 1:
            raise ShapeError(
                f"show_plan: the expression is {loss.type!r}, not a single number from which a backward pass starts; "
                "sum_elems and sum_batches reduce it to one, and show_plan() plans the last node"
            )
    if not graph.records.length:
        return "The graph is empty."
    plan = ShownPlan(graph)
    lines = [*_overview_lines(plan), "", "forward", *_forward_lines(plan)]
    loss_node = len(plan.node_fields["value"]) - 1 if loss is None else loss.at
    if SIGNATURES[int(plan.node_fields["signature"][loss_node])].total == 1:
        plan.plan_pass("backward", loss_node)
        lines += ["", f"backward from node {loss_node}", *_backward_lines(plan)]
    return "\n".join(lines)


def _overview_lines(plan: ShownPlan) -> list[str]:
    kinds = [SIGNATURES[int(signature)].kind for signature in plan.node_fields["signature"]]
    shared_count = kinds.count(layout.ALIAS) + kinds.count(layout.APART)
    slots = plan.engine.slots
    floats = slots[CONTEXT.arena_top] - plan.engine.values_begin
    return [
        f"{len(kinds)} nodes: {kinds.count(layout.INPUT)} inputs, {shared_count} parts of other nodes' memory, "
        f"{slots[CONTEXT.planned_count]} computed by {len(plan.tape)} instructions; {floats} floats"
    ]


def _forward_lines(plan: ShownPlan) -> list[str]:
    groups = [*plan.groups("by_depth")]
    for group in groups:
        plan.add_lines(group, "forward")
        plan.add_lines(group, "repeated", ", which equal others")
    return _group_lines(groups, plan.node_fields["value"], plan.engine.values_begin)


def _backward_lines(plan: ShownPlan) -> list[str]:
    groups = [*plan.groups("by_depth")][::-1]
    start, first_lines = plan.engine.gradients.address, []
    while line := _initialization_line(plan):
        first_lines.append("  " + line)
    for group in groups:
        for step, parameters_index in _steps(group.signature, "backward"):
            while line := _initialization_line(plan):
                group.lines.append(line)
            plan.add_lines(group, "repeated", ", for sums of the gradients of equal columns")
            group.lines.append(_gradient_line(plan, group, step, parameters_index))
    lines = first_lines + _group_lines(groups, plan.node_fields["gradient"], start)
    deferred = list(plan.groups("by_signature"))
    for group in deferred:
        plan.add_lines(group, "deferred", ", adds to {target}")
    if deferred := [group for group in deferred if group.lines]:
        lines += ["", "at the end, for the whole graph", *_group_lines(deferred, plan.node_fields["gradient"], start)]
    return lines


def _initialization_line(plan: ShownPlan) -> str | None:
    """Take the next instruction and describe it, if it sets the loss's gradient to 1 or clears gradients."""
    if plan.take("fill") is not None:
        return "set the gradient of the loss to 1"
    instruction = plan.take("fill.stretches")
    if instruction is None:
        return None
    begin, size = plan.engine.buffers["backward_index"][instruction[INSTRUCTION.base] :][:2].tolist()
    return f"clear {size} floats, from {begin - plan.engine.gradients.address}"


def _gradient_line(plan: ShownPlan, group: PlannedGroup, step: Step, parameters_index: int) -> str:
    instruction, target = plan.take(step.kernel, parameters_index), _target(step)
    if instruction is not None:
        verb = "sets" if instruction[INSTRUCTION.fresh] else "adds to"
        return f"{kernel_title(step.kernel)}: {_columns_text(instruction)}, {verb} {target}"
    if _shares_gradient_memory(plan, group, step):
        return f"{step.kernel}: nothing to do: {target} is in the same memory"
    return f"{step.kernel}: not needed: {target} is not wanted"


def _shares_gradient_memory(plan: ShownPlan, group: PlannedGroup, step: Step) -> bool:
    """Return whether a group's first node and the operand of `step` have their gradients in the same memory."""
    node = group.nodes[0]
    position = int(plan.node_fields["operands"][node]) + max(step.gradient_of, 0)
    operand = int(plan.engine.buffers["records"][position])
    gradients, flags = plan.node_fields["gradient"], plan.node_fields["flags"]
    return operand >= 0 and bool(flags[operand] & layout.HAS_GRADIENT) and gradients[operand] == gradients[node]


def _columns_text(instruction: IntArray) -> str:
    count = int(instruction[INSTRUCTION.count])
    return "1 column" if count == 1 else f"{count} columns"


def _target(step: Step) -> str:
    if step.gradient_of == layout.NO_OPERAND:
        return "what it needs itself"
    return f"the gradient of {OPERAND_NAMES.get(step.gradient_of, f'operand {step.gradient_of}')}"


def _steps(signature: Signature, direction: str) -> Iterator[tuple[Step, int]]:
    """Yield the steps of a signature for a pass, each with the index in TABLE of its parameters."""
    begin = signature.at + TABLE.integers[signature.at + layout.SIGNATURE[f"{direction}_begin"]]
    for index, step in enumerate(getattr(signature, direction) if signature.dim.total else ()):
        yield step, TABLE.integers[begin + index * len(layout.STEP) + layout.STEP.parameters]


def _group_lines(groups: Sequence[PlannedGroup], addresses: IntArray, start_address: int) -> list[str]:
    lines = []
    for group in groups[:MOST_GROUPS]:
        lines.append("  " + group.first_line(addresses, start_address))
        lines += [f"      {line}" for line in group.lines]
    if len(groups) > MOST_GROUPS:
        lines.append(f"  ... and {len(groups) - MOST_GROUPS} more groups")
    return lines


def show_plan(loss: Expression | None = None) -> None:
    """Print how the graph is computed: which nodes form a group, which kernels run, and where results are in memory.

    Nodes of the same op with the same shapes form a group if none of them needs another's value. Each group is followed
    by the kernel calls that compute it. Positions, such as "from 16", count floats from the start of the memory for
    values, or for gradients. A kernel of the backward pass sets a gradient, adds to it, or has nothing to do because
    two gradients are in the same memory. The plan is for computing the whole graph in one pass; `show_plan` itself
    computes nothing.

    Args:
        loss: where the backward pass starts; by default the last node, if its value is a single number.

    Raises:
        StaleExpressionError: `loss` belongs to another graph.
        ShapeError: `loss` is not a single number.
        ArgumentError, ArgumentTypeError: `loss` is a parameter, or is not an expression.

    >>> _ = dy.renew_cg()
    >>> x, y = dy.inputVector([1, 2]), dy.inputVector([3, 4])
    >>> z = dy.tanh(x) + dy.tanh(y)
    >>> show_plan()
    5 nodes: 2 inputs, 0 parts of other nodes' memory, 3 computed by 2 instructions; 64 floats
    <BLANKLINE>
    forward
      tanh                     {2}              2 nodes, from 16
          tanh: 2 columns
      add                      {2}              1 node, from 48
          add: 1 column
    """
    print(plan_text(loss))
