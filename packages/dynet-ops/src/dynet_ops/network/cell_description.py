"""`Cell`, the description of a recurrent cell, such as an LSTM: its values, parameters and instructions.

A *gate* is a vector such as b + W x + U h, from which a cell computes its new state. The *projection* of an input x is
b + W x for all gates. An *instruction* is a matrix product (`Product`) or the name of a rule.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

PREVIOUS = "_prev"  # formulas read h of the previous time step under the name "h_prev"


@dataclass(frozen=True)
class Product:
    """A matrix product in a time step: y += W x, or y = start + W x if `start` is given.

    The fields name views, `weight` that of W. If `first_rows` is given, only these rows of W are used.
    """

    weight: str
    x: str
    y: str
    start: str = ""
    first_rows: int | None = None


@dataclass(frozen=True)
class Weight:
    """The shape of a cell's parameter: for each of `gates`, as many rows as h has elements.

    `columns` is what it multiplies: "h" for a vector of the size of h, the input's name, or "" for a bias.
    """

    gates: int
    columns: str

    def dims(self, inputs: int, hidden: int) -> tuple[int, ...]:
        """Return the dimensions for an input of `inputs` elements and an h of `hidden`."""
        rows = self.gates * hidden
        return (rows,) if not self.columns else (rows, hidden if self.columns == "h" else inputs)


@dataclass(eq=False)
class Cell:
    """What a recurrent cell stores, its parameters, and the instructions of a time step. All values are of one size.

    Attributes:
        state: the values of the state, such as h and c. They come first in the memory of a time step, then `scratch`.
        gates: before the time step, the projection writes b + W x to their memory.
        parameters: the shape of each, in the order in which the cell's op takes them.
        pairs: the parameters of the projection: bias, matrix, bias, matrix, ...
        weights: the recurrent parameters: matrices that multiply h, or another vector computed from the state.
        following, first: the instructions of a step with and without a previous state, in order.
        carries: whether a formula, not only a product, reads the last value of the previous state. The new state then
            has as many trailing dimensions of size 1 as this value.
        numbers: the named numbers of the equations, such as the forget bias of an LSTM.
        reference: a time step in numpy: the new state, from the input, the previous state and the parameters.
    """

    name: str
    state: tuple[str, ...]
    gates: tuple[str, ...]
    weights: tuple[str, ...]
    scratch: tuple[str, ...] = ()
    pairs: tuple[str, ...] = ()
    parameters: dict[str, Weight] = field(default_factory=dict)
    carries: bool = True
    first: list[str | Product] = field(default_factory=list)
    following: list[str | Product] = field(default_factory=list)
    numbers: dict[str, float] = field(default_factory=dict)
    reference: Callable[..., Any] | None = None

    @property
    def previous(self) -> tuple[str, ...]:
        """What formulas call the previous state, such as "h_prev"."""
        return tuple(name + PREVIOUS for name in self.state)
