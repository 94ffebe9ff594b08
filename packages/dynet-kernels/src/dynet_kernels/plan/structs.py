"""Structures in memory for emitters: to read an attribute emits a load, to set one emits a store.

The attributes of a structure are int64. `layout` names those of each structure.
"""

from __future__ import annotations

from typing import Any, ClassVar

from .. import layout as at
from .. import tir
from ..tir import int64, let
from ..tvm_modules import T
from .flow import pick


class Words:
    """The int64 integers in memory from an address on. `words[place]` emits a load, `words[place] = value` a store.

    The result of `words[place]` is a TIR variable, which keeps its value even if a later store changes the memory.
    """

    def __init__(self, address):
        self.address = address
        self.buffer = tir.buffer_at(address, "int64")

    def __getitem__(self, place) -> Any:
        return let(self.buffer[int64(place)])

    def __setitem__(self, place, value) -> None:
        T.buffer_store(self.buffer, int64(value), [int64(place)])


class Struct:
    """A structure in memory: the integers of `words` from offset `start` on.

    Each subclass has a class attribute `layout`, which names these integers. They are attributes of the object.
    """

    layout: ClassVar[at.Structure]
    words: Words
    start: Any

    def __init__(self, words: Words, start: Any = 0):
        self.words, self.start = words, int64(start)

    def __getattr__(self, name: str) -> Any:
        if name not in self.layout:
            known = ", ".join(self.layout)
            raise AttributeError(f"{type(self).__name__} has no integer {name!r}; it has {known}")
        return self.words[self.start + self.layout[name]]

    def __setattr__(self, name: str, value) -> None:
        if name in self.layout:
            self.words[self.start + self.layout[name]] = value
        else:
            object.__setattr__(self, name, value)

    def fill(self, **values) -> None:
        """Emit stores to several integers: `fill(status=0)` does the same as `.status = 0`."""
        for name, value in values.items():
            setattr(self, name, value)


class Context(Struct):
    layout = at.CONTEXT


class Parameter(Struct):
    layout = at.PARAMETER


class Update(Struct):
    layout = at.UPDATE


class Both(Struct):
    layout = at.BOTH


class View(Struct):
    layout = at.VIEW


class Step(Struct):
    layout = at.STEP


class Instruction(Struct):
    layout = at.INSTRUCTION


class Sharing(Struct):
    layout = at.SHARING


class Helper(Struct):
    layout = at.HELPER


class Pace(Struct):
    layout = at.PACE


class Rows:
    """An array of adjacent structures: `rows[number]` is one of them.

    Args:
        kind: the class of the structures.
        words, start: the array begins at offset `start` of `words`.
    """

    def __init__(self, kind: type[Struct], words: Words, start=0):
        self.kind, self.words, self.start = kind, words, int64(start)

    def __getitem__(self, number) -> Any:
        return self.kind(self.words, let(self.start + int64(number) * len(self.kind.layout)))


class Steps(Struct):
    """The steps (kernel calls) of a signature in one direction. `steps[number]` is one step.

    Args:
        direction: a name in DIRECTIONS of `layout`.
    """

    layout = at.STEPS

    def __init__(self, signature: Signature, direction: str):
        super().__init__(signature.words, let(signature.start + at.SIGNATURE[f"{direction}_begin"]))
        self.signature = signature

    def __getitem__(self, number) -> Step:
        return Rows(Step, self.words, let(self.signature.start + self.begin))[number]


class Signature(Struct):
    """A signature in the table, which describes nodes that can run in one batch.

    The attributes are the integers with which it begins. Its `views` say where in memory operands are. Its steps are
    the kernel calls that compute values (`forward`) and gradients (`backward`, and `deferred` at the end of the pass).
    """

    layout = at.SIGNATURE

    @property
    def views(self) -> Rows:
        return Rows(View, self.words, let(self.start + len(self.layout)))

    @property
    def forward(self) -> Steps:
        return Steps(self, "forward")

    @property
    def backward(self) -> Steps:
        return Steps(self, "backward")

    @property
    def deferred(self) -> Steps:
        return Steps(self, "deferred")

    def part(self, number) -> Signature:
        """Return the signature of part `number` of a record that has this signature. Without parts, return this one.

        If a record has more parts than are listed, the last one in the list serves all of the others.
        """
        count = self.part_count
        place = pick(count == 0, self.start, lambda: self.words[self.parts + T.min(number, count - 1)])
        return Signature(self.words, place)
