"""Define `Cell`, the description of a recurrent cell, such as an LSTM: its values, parameters and instructions.

In each time step, a cell computes a new *state*, which is one or more vectors such as h and c, from an input x and the
previous state. Further terms:

- A *gate* is a vector such as b + W x + U h, from which the cell computes the new state.
- The *projection* of an input x is b + W x for all gates.
- A *rule* is an elementwise kernel that is stated as formulas.
- An *instruction* is a matrix product (`Product`) or the name of a rule.
- A *view* is a place in memory that kernels read and write, such as the place of h. It has a name, such as "h".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

PREVIOUS = "_prev"  # formulas read h of the previous time step under the name "h_prev"


@dataclass(frozen=True)
class Product:
    """A matrix product in a time step: y += W x, or y = start + W x if `start` is given.

    The fields are names of views; `weight` is the view of W. If `first_rows` is given, only these rows of W are used.
    """

    weight: str
    x: str
    y: str
    start: str = ""
    first_rows: int | None = None


@dataclass(frozen=True)
class Weight:
    """The shape of a parameter of a cell.

    Args:
        gates: how many gates the parameter contributes to. For each, it has as many rows as h has elements.
        columns: what the parameter multiplies: "h" for a vector of the size of h; the name of the input for the input;
            "" for a bias, which multiplies nothing.
    """

    gates: int
    columns: str

    def dims(self, inputs: int, hidden: int) -> tuple[int, ...]:
        """Return the dimensions of the parameter if the input has `inputs` elements and h has `hidden`."""
        rows = self.gates * hidden
        return (rows,) if not self.columns else (rows, hidden if self.columns == "h" else inputs)


@dataclass(eq=False)
class Cell:
    """A recurrent cell: what it stores, its parameters, and the instructions of a time step.

    All values are vectors of the same size, the hidden size. Values and parameters are given by their names.

    Attributes:
        name: the beginning of the names of the cell's kernels.
        state: the values of the state, such as h and c. They come first in the memory of a time step.
        scratch: other values that a time step stores, behind the state.
        gates: the gates. Before the time step, the projection writes b + W x to their memory.
        parameters: the shape of each parameter, by name, in the order in which the cell's op takes them.
        pairs: the parameters of the projection: bias, matrix, bias, matrix, ...
        weights: the recurrent parameters: matrices that multiply h, or another vector computed from the state.
        following: the instructions of a time step that has a previous state, in order.
        first: the instructions of the first step of a sequence, where there is no previous state, in order.
        carries: whether an elementwise formula, not only a matrix product, reads the value that comes last in the
            previous state. The new state then has as many trailing dimensions of size 1 as this value.
        numbers: the numbers in the equations that have names, such as the forget bias of an LSTM.
        reference: a time step in numpy, for tests: a function of the input, the previous state and the parameters. It
            returns the new state, as one array or a tuple of several.
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
        """The names under which formulas read the values of the previous state, such as "h_prev"."""
        return tuple(name + PREVIOUS for name in self.state)
