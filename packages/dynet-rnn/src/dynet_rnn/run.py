"""What all states that stem from one call of a builder's `initial_state` have in common."""

from __future__ import annotations

from typing import Any

from dynet_core.dim import Dim
from dynet_core.expression import Expression
from dynet_core.graph import Graph, current
from dynet_core.recorder import HAS_TEMPLATES
from dynet_core.templates import Observed

from .layers import Form, Layers

MOST_CALLS = 8  # if this many steps of a kind have not led to a template, later ones are not observed


Known = dict[Form, dict[Dim, tuple[Any, ...]]]
"""What is known of recording steps, by the form of the state and the Dim of the input; see `Steps`."""


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


class Steps:
    """How the steps of a sequence are recorded, with certain dropout rates and masks.

    Python records the first steps of each kind. If two of them have recorded the same, it becomes a *template*, from
    which compiled code records all later steps of this kind: see `dynet_core.templates`.

    Attributes:
        kind: what the records of a step depend on, besides shapes: () without dropout, else dropout rates; if there are
            masks, their batch size, and for each value (the input, h, c) whether it has one.
        known: by the form of a state and the Dim of an input, how to record a step: (Dim of the output, template,
            offset, below, form of the next state). The operands of the template are the nodes of the state, the input
            and `masks`. The place of the last layer's new state is `offset` nodes before the output. Those of the
            layers below it, from top to bottom, are as many nodes before that place as `below` says. While it is
            being learned: (how many steps were observed, template of the last one or None).
        masks: the masks of all layers, in order, if the sequence has the same ones at all steps. A mask is a vector of
            random factors.
    """

    __slots__ = ("kind", "known", "masks")

    def __init__(self, kind: tuple[float, ...], known: Known, masks: tuple[Expression, ...] = ()):
        self.kind, self.known, self.masks = kind, known, masks

    def mask(self, layer: int, value: int) -> Expression | None:
        """Return the mask of the input of a layer (`value` is 0), of h (1) or of c (2). None stands for ones."""
        has = self.kind[1:]
        if not any(has[value : value + 1]):
            return None
        return self.masks[layer * sum(map(bool, has)) + sum(map(bool, has[:value]))]


class SequenceRun(Run):
    """What all states of a recurrent network that stem from one call of `initial_state` have in common.

    Attributes:
        layers: what is known of the parameters in the order in which the cell reads them.
        computed: those of them that are no parameters, but nodes that compute them.
        steps: how to record steps; None if the masks have not been drawn.
        drawn: the `Steps` for all masks that have been drawn, the newest last.
    """

    __slots__ = ("computed", "drawn", "layers", "steps")

    def __init__(
        self,
        builder: Any,
        graph: Graph,
        expressions: list[list[Expression]],
        layers: Layers,
        computed: list[Expression],
        steps: Steps | None,
    ):
        super().__init__(builder, graph, expressions)
        self.layers, self.computed, self.steps, self.drawn = layers, computed, steps, []

    def begun(self, form: Form, x: Dim) -> Any:
        """Draw the masks, and return how to record steps with them. None: it is not known whether the input fits."""
        return self.builder._steps(self, x.batch) if x in form.known and self.is_current() else None

    def learn(self, state: Any, x: Expression) -> Any:
        """Let Python record the step from `state` with the input x, and return the new state.

        The step becomes known if the last one of its kind has recorded the same.
        """
        steps: Any = self.steps
        known = steps.known.setdefault(state._form, {})
        seen = known.get(x.type, (0, None))
        observed = Observed() if HAS_TEMPLATES and len(seen) == 2 and seen[0] < MOST_CALLS else None
        new = self.builder._advance(state, x)
        if observed is not None:
            (calls, before), output = seen, new._output
            operands = *state._places, x.at, *[mask.at for mask in steps.masks]
            template = observed.template(operands, output, [weight.at for weight in self.computed])
            known[x.type] = calls + 1, template or before
            if template is not None and template == before and new._form.dims:
                *below, last = new._places
                below = tuple([last - place for place in reversed(below)])
                known[x.type] = output.type, template, output.at - last, below, new._form
        return new
