"""The planner's structures in memory. `layout` names the integers of each structure."""

from __future__ import annotations

from .. import layout
from ..plain import Rows, Struct, plain


class Context(Struct):
    layout = layout.CONTEXT


class Parameter(Struct):
    layout = layout.PARAMETER


class Update(Struct):
    layout = layout.UPDATE


class Both(Struct):
    layout = layout.BOTH


class View(Struct):
    layout = layout.VIEW


class Step(Struct):
    layout = layout.STEP


class Instruction(Struct):
    layout = layout.INSTRUCTION


class Sharing(Struct):
    layout = layout.SHARING


class Helper(Struct):
    layout = layout.HELPER


class Pace(Struct):
    layout = layout.PACE


class Steps(Struct):
    """The steps of a signature in one direction, a name in DIRECTIONS of `layout`. `steps[number]` is one step."""

    layout = layout.STEPS

    def __init__(self, signature: Signature, direction: str):
        super().__init__(signature.words, signature.start + layout.SIGNATURE[f"{direction}_begin"])
        self.signature = signature

    def __getitem__(self, number) -> Step:
        return Rows(Step, self.words, self.signature.start + self.begin)[number]


class Signature(Struct):
    """A signature in the table: the integers with which it begins, its views, and its steps in each direction."""

    layout = layout.SIGNATURE

    @property
    def views(self) -> Rows:
        return Rows(View, self.words, self.start + len(self.layout))

    @property
    def forward(self) -> Steps:
        return Steps(self, "forward")

    @property
    def backward(self) -> Steps:
        return Steps(self, "backward")

    @property
    def deferred(self) -> Steps:
        return Steps(self, "deferred")

    @plain
    def part(self, number) -> Signature:
        """Return the signature of part `number`; without parts, this one. The last one listed serves all later ones."""
        count = self.part_count
        place = self.start if count == 0 else self.words[self.parts + min(number, count - 1)]
        return Signature(self.words, place)
