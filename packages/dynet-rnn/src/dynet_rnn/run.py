"""What all states that stem from one call of a builder's `initial_state` have in common."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from dynet_core.expression import Expression
from dynet_core.graph import Graph, current, refuse
from dynet_core.pinned_graph import PinnedGraph

from .layers import Layers
from .steps import Steps


class Run:
    """What all states that stem from one call of a builder's `initial_state` have in common.

    Attributes:
        builder: the builder that made the states.
        expressions: the parameters of each layer as expressions, in the order in which the builder reads them.
        graph: the graph that has the nodes of the states.
        version: the version of the graph when `initial_state` was called.
    """

    __slots__ = ("builder", "expressions", "graph", "version")

    builder: Any
    expressions: list[list[Expression]]
    graph: Graph
    version: int

    def __init__(self, builder: Any, graph: Graph, expressions: list[list[Expression]]):
        self.builder, self.expressions = builder, expressions
        self.graph, self.version = graph, graph.version()

    def is_current(self) -> bool:
        """Return whether the graph is this thread's, and has not been renewed since `initial_state`."""
        return self.graph is current() and self.graph._had_version(self.version)


class SequenceRun(Run):
    """What all states of a recurrent network that stem from one call of `initial_state` have in common.

    Attributes:
        layers: the parameters of the layers in the order in which the cell reads them.
        plain: whether a step computes only the cell of each layer, without dropout and layer normalisation.
        steps: how to record steps with the masks that were drawn last; None if there are none, or if each step draws.
        masks_drawn: the `Steps` for all masks that have been drawn, the newest last; see `newest_masks`.
    """

    __slots__ = ("layers", "masks_drawn", "plain", "steps")

    layers: Layers
    masks_drawn: list[Steps]
    plain: bool
    steps: Steps | None

    def __init__(self, builder: Any, graph: Graph, layers: Layers, expressions: list[list[Expression]], plain: bool):
        super().__init__(builder, graph, expressions)
        self.layers, self.plain = layers, plain
        self.masks_drawn, self.steps = [], None

    def pinned(self, version: int, places: Sequence[int], vectors: Iterable[Expression]) -> PinnedGraph:
        """Return the graph, to which nodes can be added, after checking that it still has all nodes of a state.

        Args:
            version: the version of the graph when the nodes of the state were recorded.
            places: the numbers of these nodes.
            vectors: expressions that the state consists of instead, if it was set to them.

        Raises:
            StaleExpressionError: `renew_cg` or `cg_revert` has removed one of them, or a weight that is computed.
        """
        graph = PinnedGraph.as_of(self.graph, version, places)
        if self.graph.watch is not None:
            for x in (*vectors, *self.layers.computed):
                if not self.graph.holds(x):
                    refuse(x)
        return graph

    @property
    def masks(self) -> list[list[Expression | None]] | None:
        """The masks of each layer, in networks whose dropout uses the same masks at all steps.

        See `Steps.by_layer`. None means that there are none, or that the network draws new ones at each step.
        """
        steps = self.newest_masks()
        return None if steps is None else steps.by_layer()

    def newest_masks(self) -> Steps | None:
        """Return the steps with the masks that were drawn last, without those that `cg_revert` has removed."""
        graph = self.graph
        for steps in reversed(self.masks_drawn):
            if graph.watch is None or all(map(graph.holds, steps.masks)):
                return steps
        return None
