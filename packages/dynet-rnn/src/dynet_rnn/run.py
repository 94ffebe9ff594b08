"""`Run`: what all states that stem from one call of a builder's `initial_state` have in common."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from dynet_core.expression import Expression
from dynet_core.graph import Graph, refuse
from dynet_core.pinned_graph import PinnedGraph

from .layers import Layers


class Run:
    """What all states that stem from one call of a builder's `initial_state` have in common.

    Attributes:
        builder: the builder that made the states.
        graph: the graph that has the nodes of the states.
        version: the version of the graph when `initial_state` was called.
        layers: the parameters of the layers in the order in which the cell reads them.
        expressions: the parameters of each layer as expressions, in the builder's order.
        plain: whether a step computes only the cell of each layer, without dropout and layer normalisation.
        masks: the masks of each layer, in networks whose dropout uses the same masks at all steps. A mask is a vector
            of random factors. None means that they have not been drawn, or that the network draws new ones each step.
    """

    __slots__ = ("builder", "expressions", "graph", "layers", "masks", "plain", "version")

    builder: Any  # a `state.Builder`
    expressions: list[list[Expression]]
    graph: Graph
    layers: Layers
    masks: list[list[Expression | None]] | None
    plain: bool
    version: int

    def __init__(
        self,
        builder: Any,
        graph: Graph,
        layers: Layers,
        expressions: list[list[Expression]],
        plain: bool,
    ):
        self.builder, self.layers, self.plain = builder, layers, plain
        self.graph, self.version = graph, graph.version()
        self.expressions = expressions
        self.masks = None

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
            for x in (*vectors, *[x for layer in (*self.layers.inputs, *self.layers.weights) for x in layer]):
                if not self.graph.holds(x):
                    refuse(x)
        return graph

    def drawn_masks(self) -> list[list[Expression | None]] | None:
        """Return `masks`; None if there are none, or if `cg_revert` has removed them."""
        held = all(mask is None or self.graph.holds(mask) for layer in self.masks or () for mask in layer)
        return self.masks if held else None
