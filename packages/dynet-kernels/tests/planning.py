"""Handwritten signatures and records, with kernels that only copy and add, for tests of the planner."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dynet_kernels import layout as at
from dynet_kernels.layout import CONTEXT
from dynet_kernels.machine import library, sharing
from dynet_kernels.table import KERNELS

COPY, ACCUMULATE = (KERNELS.opcode(name) for name in ("copy", "accumulate"))
SIZE = 4  # floats of most nodes; each takes a whole cache line


def value_of(view: int) -> int:
    return 2 * view


def gradient_of(view: int) -> int:
    return 2 * view + 1


def view(source: int, **fields: int) -> list[int]:
    defaults = dict.fromkeys(at.VIEW, 0) | {"index": at.NO_INDEX, "source": source, "lists": 0x3333}
    return at.VIEW.filled(**(defaults | fields))


@dataclass
class Step:
    """Copies or adds `size` values from one role to another."""

    target: int
    source: int
    size: int = SIZE
    opcode: int = ACCUMULATE
    fields: tuple[tuple[str, int], ...] = ()

    @property
    def parameters(self) -> list[int]:
        return [self.target, self.source, self.size, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 0]


def copy(target: int, source: int, size: int = SIZE, **fields: int) -> Step:
    return Step(target, source, size, COPY, tuple(fields.items()))


def add(target: int, source: int, size: int = SIZE, **fields: int) -> Step:
    """`fields` are the STEP fields: the operand whose gradient the step makes, and facts about it."""
    return Step(target, source, size, ACCUMULATE, tuple(fields.items()))


class Table:
    """The table of signatures. Each is identified by its offset."""

    def __init__(self):
        self.integers = [0] * at.SEED_FILL
        self.marks_end = 0
        self.views: dict[int, int] = {}  # for each step except repeated ones, by the offset of its parameters

    def add(
        self,
        views: Sequence[list[int]] = (),
        forward: Sequence[Step] = (),
        backward: Sequence[Step] = (),
        deferred: Sequence[Step] = (),
        repeated: Sequence[Step] = (),
        parts: Sequence[int] = (),
        **fields: int,
    ) -> int:
        here = len(self.integers)
        steps_at = len(at.SIGNATURE) + len(at.VIEW) * len(views)
        head = dict.fromkeys(at.SIGNATURE, 0)
        head |= {"size": SIZE, "columns": 1, "operands": 1, "passes": 1, "waits_count": at.TO_THE_END}
        head |= {"view_count": len(views), "part_count": len(parts), "keeps_gradient": 1, "determined_by": at.NO_VIEW}
        for direction, steps in zip(at.DIRECTIONS, (forward, backward, deferred, repeated)):
            bounds = {"begin": steps_at, "count": len(steps)}
            head |= {f"{direction}_{name}": bounds[name] for name in at.STEPS}
            steps_at += len(at.STEP) * len(steps)
        steps = [*forward, *backward, *deferred, *repeated]
        after = here + steps_at
        head["parts"], head["mark"] = after, self.marks_end
        self.marks_end += len(at.MARK)
        self.integers += at.SIGNATURE.filled(**(head | fields))
        for one in views:
            self.integers += one
        after += len(parts)
        for step in steps:
            row = dict.fromkeys(at.STEP, 0) | dict.fromkeys(("gradient_of", "matrix"), at.NO_OPERAND)
            row |= {"opcode": step.opcode, "parameters": after}
            self.integers += at.STEP.filled(**(row | dict(step.fields)))
            self.views[after] = len(views) if step not in repeated else 1
            after += len(step.parameters)
        self.integers += parts
        for step in steps:
            self.integers += step.parameters
        return here

    def input(self, size: int = SIZE) -> int:
        """A record with one attribute: the index of its first float among the inputs."""
        return self.add(kind=at.INPUT, size=size, operands=0, attributes=1, constants=1)

    def same(self, size: int = SIZE, **known: int) -> int:
        """y = x. `known` are facts about the gradient step: `covers`, `copies`, `shared`, `work`."""
        return self.add(
            [view(at.SELF), view(0)],
            forward=[copy(value_of(0), value_of(1), size)],
            backward=[add(gradient_of(1), gradient_of(0), size, gradient_of=0, **known)],
            size=size,
        )

    def sum(self, size: int = SIZE, **known: int) -> int:
        """y = a + b."""
        return self.add(
            [view(at.SELF), view(0), view(1)],
            forward=[copy(value_of(0), value_of(1), size), add(value_of(0), value_of(2), size)],
            backward=[add(gradient_of(k + 1), gradient_of(0), size, gradient_of=k, **known) for k in range(2)],
            size=size,
            operands=2,
        )

    def alias(self, size: int = SIZE, kind: int = at.ALIAS, **fields: int) -> int:
        """A part of the operand. Where it has its own gradient, it has a step."""
        return self.add(
            [view(at.SELF), view(0, offset=fields.get("alias_offset", 0))],
            backward=[add(gradient_of(1), gradient_of(0), size, gradient_of=0)],
            kind=kind,
            size=size,
            **fields,
        )


@dataclass
class Row:
    """An instruction of the tape, with the lists of values and of gradients for each view."""

    opcode: int
    count: int
    fresh: int
    shared: int
    lists: list[list[int]]


class Planned:
    """A graph in its own buffers.

    Args:
        table: the table with the records' signatures.
        planner: the compiled functions.
        floats, gradients: the size of the arenas.
        rows: of parameters.
    """

    def __init__(
        self, table: Table, planner, floats: int = 1 << 12, gradients: int = 1 << 12, rows: int = 4, room: int = 1 << 12
    ):
        self.table, self.planner = table, planner
        self.slots = np.zeros(len(CONTEXT), np.int64)
        self.records: list[int] = []
        self.inputs: list[float] = []
        self.count = 0
        self.memory = np.full(floats + gradients + 32, np.nan, np.float32)
        start = -(-self.memory.ctypes.data // 64) * 16
        self.arena, self.gradients = start, start + floats
        self.parameters = np.zeros((rows, len(at.PARAMETER)), np.int64)
        self.buffers: dict[str, np.ndarray] = {}
        sizes = {name: room for name in at.BUFFERS} | {"nodes": room * len(at.NODE), "tape": 0, "index": 0}
        sizes |= {"predecessors": at.MOST_NUMBERED * at.SIGNATURE_WORDS, "threads": at.MOST_THREADS * at.THREAD_ROW}
        sizes |= {f"{direction}_tape": room * len(at.INSTRUCTION) for direction in ("forward", "backward")}
        for name, size in sizes.items():
            self.buffers[name] = np.zeros(size, np.int64)
            self[name] = self.buffers[name].ctypes.data
        self["parameters"], self["sharing"] = self.parameters.ctypes.data, sharing.address()
        self["code"] = library.code_address()
        self["address_type"], self["address"] = at.INT_TYPE_CODE, self.slots.ctypes.data
        for direction in ("forward", "backward"):
            self[f"{direction}_index_end"] = self[f"{direction}_tape_end"] = room
        self["arena_top"], self["arena_end"] = start, start + floats
        self["gradient_start"], self["gradient_end"] = self.gradients, self.gradients + gradients
        self["kept_end"] = self["backward_plan"] = -1

    def __getitem__(self, name: str) -> int:
        return int(self.slots[CONTEXT[name]])

    def __setitem__(self, name: str, value: int) -> None:
        self.slots[CONTEXT[name]] = value

    # Operations of a program

    def parameter(self, row: int, values: np.ndarray, needs_gradient: bool = True) -> int:
        """Set a row of the parameters. Returns its number as an operand, and keeps the arrays alive."""
        gradient = np.zeros_like(values)
        setattr(self, f"_parameter{row}", (values, gradient))
        self.parameters[row, at.PARAMETER.value] = values.ctypes.data // 4
        self.parameters[row, at.PARAMETER.gradient] = gradient.ctypes.data // 4
        self.parameters[row, at.PARAMETER.needs_gradient] = needs_gradient
        return -1 - row

    def parameter_gradient(self, row: int) -> list[float]:
        return getattr(self, f"_parameter{row}")[1].tolist()

    def record(self, signature: int, *integers: int, variadic: bool = False, parts: int = 1) -> int:
        """Append a record; return the number of its last node."""
        self.records += [signature, *([len(integers)] if variadic else []), *integers]
        self.count += parts
        return self.count - 1

    def input(self, signature: int, *numbers: float) -> int:
        self.inputs += numbers
        return self.record(signature, len(self.inputs) - len(numbers))

    def forward(self, begin: int = 0, inputs_begin: int = 0, run: bool = False) -> int:
        """Plan the records starting at integer `begin`; return the status."""
        if not begin:
            self["arena_top"] = self.arena
        # The planner writes to the first integers of the table, so this graph keeps its own copy.
        table, known = self.table.integers, getattr(self, "_table", np.zeros(0, np.int64))
        self._table = np.concatenate([known, np.array(table[len(known) :], np.int64)])
        self["table"] = self._table.ctypes.data
        self._records = np.array([*self.records, 0], np.int64)
        self._inputs = np.array([*self.inputs, 0], np.float32)
        self["new_records"] = self._records.ctypes.data
        function = self.planner.forward if run else self.planner.plan_forward
        addresses = self.slots.ctypes.data, self._inputs.ctypes.data
        function(addresses[0], begin, len(self.records), addresses[1], inputs_begin, len(self.inputs))
        return self["status"]

    def backward(self, loss: int, everything: int = 0, size: int = SIZE, run: bool = False) -> int:
        function = self.planner.backward if run else self.planner.plan_backward
        function(self.slots.ctypes.data, loss, size, everything)
        return self["status"]

    # Results

    def node(self, number: int, name: str) -> int:
        return int(self.buffers["nodes"][number * len(at.NODE) + at.NODE[name]])

    def has(self, number: int, flag: int) -> bool:
        return bool(self.node(number, "flags") & flag)

    def numbers(self, address: int, size: int = SIZE) -> list[float]:
        return list((ctypes.c_float * size).from_address(4 * address))

    def value(self, node: int, size: int = SIZE) -> list[float]:
        return self.numbers(self.node(node, "value"), size)

    def gradient(self, node: int, size: int = SIZE) -> list[float]:
        return self.numbers(self.node(node, "gradient"), size)

    def tape(self, direction: str = "forward", views: int = 2) -> list[Row]:
        """The instructions, with the lists of this many views."""
        index = self.buffers[f"{direction}_index"]
        rows = self.buffers[f"{direction}_tape"].reshape(-1, len(at.INSTRUCTION))[: self["tape_count"]].tolist()
        found = []
        for row in rows:
            named = dict(zip(at.INSTRUCTION, row))
            lists = index[named["base"] :][: 2 * views * named["count"]].reshape(-1, named["count"]).tolist()
            found.append(Row(named["opcode"], named["count"], named["fresh"], named["shared"], lists))
        return found

    def counts(self, direction: str = "forward") -> list[tuple[int, int]]:
        """The opcodes of the instructions, and the number of columns of each."""
        return [(row.opcode, row.count) for row in self.tape(direction)]
