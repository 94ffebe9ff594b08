"""`Cell`, the description of a recurrent cell, such as an LSTM: its values, its parameters and its instructions.

A *gate* is a vector such as b + W x + U h, from which the cell computes its new state. The *projection* of an input is
b + W x for all gates. A *rule* is a kernel that is stated as formulas. A *view* is a place in memory that kernels read
and write, such as the place of h.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

PREVIOUS = "_prev"  # formulas call the previous h "h_prev"


@dataclass(frozen=True)
class Product:
    """A matrix product in a time step: y += weight x, or, with `start`, y = start + weight x. Fields name views."""

    weight: str
    x: str
    y: str
    start: str = ""


@dataclass(frozen=True)
class Weight:
    """The shape of a parameter of a cell.

    Args:
        gates: how many gates it contributes to. For each, it has as many rows as the state has elements.
        columns: what it multiplies: "h" for a vector as large as the state, the name of the input, or "" for a bias.
    """

    gates: int
    columns: str

    def dims(self, inputs: int, hidden: int) -> tuple[int, ...]:
        """Return the dimensions of the parameter for an input of size `inputs` and a state of size `hidden`."""
        rows = self.gates * hidden
        return (rows,) if not self.columns else (rows, hidden if self.columns == "h" else inputs)


@dataclass(eq=False)
class Cell:
    """A recurrent cell: what it stores, its parameters, and the instructions of a time step.

    All values are vectors of the hidden size. The fields contain names of values and of parameters.

    Attributes:
        name: what the names of its kernels begin with.
        state: the values of the state, such as h and c. They are at the start of a node's memory.
        scratch: other values that a node stores, behind the state.
        gates: the gates, whose memory the projection fills with b + W x.
        parameters: the shape of each parameter, by name, in the order in which the cell's op takes them.
        pairs: the parameters of the projection: bias, matrix, bias, matrix, ...
        weights: the recurrent parameters, which multiply the state.
        following: the instructions of a time step in order: matrix products, and names of rules (elementwise kernels).
        first: the instructions of the first step of a sequence, where there is no previous state.
        first_weights: the recurrent parameters that `first` uses.
        carries: whether an elementwise formula, not only a matrix product, reads the last value of the previous state.
            The new state then has as many trailing dimensions of size 1 as that value.
        reference: the cell in numpy. It returns the new state, one array or several, from input, state and parameters.
    """

    name: str
    state: tuple[str, ...]
    gates: tuple[str, ...]
    weights: tuple[str, ...]
    scratch: tuple[str, ...] = ()
    pairs: tuple[str, ...] = ()
    parameters: dict[str, Weight] = field(default_factory=dict)
    first_weights: tuple[str, ...] = ()
    carries: bool = True
    first: list[str | Product] = field(default_factory=list)
    following: list[str | Product] = field(default_factory=list)
    reference: Callable[..., Any] | None = None

    @property
    def previous(self) -> tuple[str, ...]:
        """The names of the values of the previous state in formulas, such as "h_prev"."""
        return tuple(name + PREVIOUS for name in self.state)
