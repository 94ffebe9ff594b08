"""`show_plan`: print which nodes are computed together, by which kernels, and where they are in memory."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from dynet_kernels import layout as at
from dynet_kernels.encode import TABLE
from dynet_kernels.table import KERNELS

from ..compute.planning_engine import PlanningEngine
from ..errors import ArgumentError, ShapeError
from ..graph import Graph, current
from ..graph.expression import Expression
from ..graph.record import graph_of
from ..recorder import ANY_GRAPH
from ..signature import SIGNATURES, Signature, Step
from .draw import described

Rows = npt.NDArray[np.int64]
MOST_GROUPS = 200  # the most groups that are printed for each pass
OPERANDS = {at.ANY_OPERAND: "its operands", at.EACH_OPERAND: "its operands", at.BEFORE_OPERAND: "the part before"}


@dataclass
class Group:
    """Nodes with one signature that are computed together, and the lines that describe the kernel calls."""

    signature: Signature
    nodes: list[int]
    lines: list[str] = field(default_factory=list)

    def head(self, addresses: Rows, start: int) -> str:
        """Return a line: the op, the shape, the number of nodes, and where the first one is, counted from `start`."""
        name = self.signature.name or self.signature.kernel or "part of a record"
        count = "1 node" if len(self.nodes) == 1 else f"{len(self.nodes)} nodes"
        return f"{name:24} {described(self.signature.dim):16} {count}, from {addresses[self.nodes[0]] - start}"


class Planned:
    """A plan of the whole graph that is made only to print it. Nothing is computed, and the graph does not change."""

    def __init__(self, graph: Graph):
        self.engine = PlanningEngine(graph.records)
        self.engine.plan()
        self.nodes: dict[str, Rows] = {}
        self._read()
        self.forward = self._instructions("forward")

    def backward_from(self, loss: int, size: int) -> None:
        self.engine.plan(loss, size)
        self._read()
        self.backward = self._instructions("backward")

    def _read(self) -> None:
        count = self.engine.slots[at.CONTEXT.node_count]
        rows = self.engine.buffers["nodes"][: count * len(at.NODE)].reshape(count, len(at.NODE))
        self.nodes = {name: rows[:, place] for place, name in enumerate(at.NODE)}

    def _instructions(self, direction: str) -> list[Rows]:
        count = self.engine.slots[at.CONTEXT.tape_count]
        return list(self.engine.buffers[f"{direction}_tape"][: count * len(at.INSTRUCTION)].reshape(count, -1).copy())

    def groups(self, order: str) -> Iterator[Group]:
        """Yield the groups of nodes that the plan computes together.

        `order` is "by_depth" for the order in which they are computed, or "by_signature" for larger groups, each of all
        nodes with the same signature.
        """
        numbers = self.engine.buffers[order][: self.engine.slots[at.CONTEXT.planned_count]]
        begins = self.engine.buffers["stage_begins"]
        depths = self.nodes["depth"] + begins[self.nodes["stage"]]

        def key(number: int) -> tuple[int, int]:
            return int(self.nodes["signature"][number]), int(depths[number]) if order == "by_depth" else 0

        for (signature, _), members in itertools.groupby(numbers.tolist(), key):
            yield Group(SIGNATURES[signature], list(members))


class Tape:
    """Instructions that are read one by one, to match them with the steps of the groups."""

    def __init__(self, instructions: Sequence[Rows]):
        self.rest = [*reversed(instructions)]

    def next_is(self, opcode: int, parameters: int | None = None) -> Rows | None:
        """Return the next instruction and move past it, if it calls this kernel with these parameters (None: any)."""
        row = self.rest[-1] if self.rest else None
        if row is None or row[at.INSTRUCTION.opcode] != opcode:
            return None
        return self.rest.pop() if parameters in (None, row[at.INSTRUCTION.parameters]) else None

    def read(self, group: Group, direction: str, purpose: str = "") -> None:
        """Add a line to a group for each instruction of its steps. `{target}` in `purpose` is what the step adds to."""
        for step, parameters in _steps(group.signature, direction):
            row = self.next_is(KERNELS.opcode(step.kernel), parameters)
            if row is not None:
                group.lines.append(f"{step.kernel}: {_columns(row)}{purpose.format(target=_target(step))}")


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
    planned = Planned(graph)
    lines = [*_overview(planned), "", "forward", *_forward(planned)]
    number = len(planned.nodes["value"]) - 1 if loss is None else loss.at
    signature = SIGNATURES[int(planned.nodes["signature"][number])]
    if loss is not None or signature.dim.total == 1:
        planned.backward_from(number, signature.dim.total)
        lines += ["", f"backward from node {number}", *_backward(planned)]
    return "\n".join(lines)


def _overview(planned: Planned) -> list[str]:
    kinds = [SIGNATURES[int(number)].kind for number in planned.nodes["signature"]]
    parts = kinds.count(at.ALIAS) + kinds.count(at.APART)
    slots = planned.engine.slots
    floats = slots[at.CONTEXT.arena_top] - planned.engine.numbers_at
    return [
        f"{len(kinds)} nodes: {kinds.count(at.INPUT)} inputs, {parts} parts of other nodes' memory, "
        f"{slots[at.CONTEXT.planned_count]} computed by {len(planned.forward)} instructions; {floats} floats"
    ]


def _forward(planned: Planned) -> list[str]:
    tape, groups = Tape(planned.forward), list(planned.groups("by_depth"))
    for group in groups:
        tape.read(group, "forward")
        tape.read(group, "repeated", ", which equal others")
    return _written(groups, planned.nodes["value"], planned.engine.numbers_at)


def _backward(planned: Planned) -> list[str]:
    tape, groups = Tape(planned.backward), [*planned.groups("by_depth")][::-1]
    start, before = planned.engine.gradients.address, []
    while (line := _of_planner(planned, tape)) is not None:
        before.append("  " + line)
    for group in groups:
        for step, parameters in _steps(group.signature, "backward"):
            while (line := _of_planner(planned, tape)) is not None:
                group.lines.append(line)
            tape.read(group, "repeated", ", for sums of the gradients of equal columns")
            group.lines.append(_gradient_line(planned, group, step, tape, parameters))
    lines = before + _written(groups, planned.nodes["gradient"], start)
    deferred = list(planned.groups("by_signature"))
    for group in deferred:
        tape.read(group, "deferred", ", adds to {target}")
    if deferred := [group for group in deferred if group.lines]:
        lines += ["", "at the end, for the whole graph", *_written(deferred, planned.nodes["gradient"], start)]
    return lines


def _of_planner(planned: Planned, tape: Tape) -> str | None:
    """Describe the next instruction if the planner itself added it, to set the loss's gradient to 1 or others to 0."""
    if tape.next_is(at.FILL) is not None:
        return "set the gradient of the loss to 1"
    row = tape.next_is(at.CLEAR)
    if row is None:
        return None
    begin, size = planned.engine.buffers["backward_index"][row[at.INSTRUCTION.base] :][:2].tolist()
    return f"clear {size} floats, from {begin - planned.engine.gradients.address}"


def _gradient_line(planned: Planned, group: Group, step: Step, tape: Tape, parameters: int) -> str:
    row, target = tape.next_is(KERNELS.opcode(step.kernel), parameters), _target(step)
    if row is not None:
        verb = "sets" if row[at.INSTRUCTION.fresh] else "adds to"
        return f"{step.kernel}: {_columns(row)}, {verb} {target}"
    if _is_alias(planned, group, step):
        return f"{step.kernel}: nothing to do: {target} is in the same memory"
    return f"{step.kernel}: not needed: {target} is not wanted"


def _is_alias(planned: Planned, group: Group, step: Step) -> bool:
    """Return whether the gradient to which `step` adds shares the memory of the gradient of the group's first node."""
    number = group.nodes[0]
    place = int(planned.nodes["operands"][number]) + max(step.gradient_of, 0)
    operand = int(planned.engine.buffers["records"][place])
    gradients, flags = planned.nodes["gradient"], planned.nodes["flags"]
    return operand >= 0 and bool(flags[operand] & at.HAS_GRADIENT) and gradients[operand] == gradients[number]


def _columns(instruction: Rows) -> str:
    count = int(instruction[at.INSTRUCTION.count])
    return "1 column" if count == 1 else f"{count} columns"


def _target(step: Step) -> str:
    if step.gradient_of == at.NO_OPERAND:
        return "what it needs itself"
    return f"the gradient of {OPERANDS.get(step.gradient_of, f'operand {step.gradient_of}')}"


def _steps(signature: Signature, direction: str) -> Iterator[tuple[Step, int]]:
    """Yield the steps of a signature for a pass, each with the index in TABLE of its parameters."""
    begin = signature.at + TABLE[signature.at + at.SIGNATURE[f"{direction}_begin"]]
    for number, step in enumerate(getattr(signature, direction) if signature.dim.total else ()):
        yield step, TABLE[begin + number * len(at.STEP) + at.STEP.parameters]


def _written(groups: Sequence[Group], addresses: Rows, start: int) -> list[str]:
    lines = []
    for group in groups[:MOST_GROUPS]:
        lines.append("  " + group.head(addresses, start))
        lines += [f"      {line}" for line in group.lines]
    if len(groups) > MOST_GROUPS:
        lines.append(f"  ... and {len(groups) - MOST_GROUPS} more groups")
    return lines


def show_plan(loss: Expression | None = None) -> None:
    """Print how the graph is computed: which nodes together, by which kernels, and where they are in memory.

    Nodes of the same op with the same shapes form a group, if none of them needs the value of another. Under each group
    are the kernel calls that compute it. Positions, such as "from 16", count floats from the start of the memory for
    values, or for gradients. A kernel of the backward pass sets a gradient, adds to it, or has nothing to do because
    two gradients are in the same memory. The plan is for computing the whole graph at once; `show_plan` itself computes
    nothing.

    Args:
        loss: where the backward pass starts; by default the last node, if its value is a single number.

    Raises:
        StaleExpressionError: `loss` belongs to another graph.
        ShapeError: `loss` is not a single number.
        ArgumentError, ArgumentTypeError: `loss` is a parameter, or not an expression.

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
