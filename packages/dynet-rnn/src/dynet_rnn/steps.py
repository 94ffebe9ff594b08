"""`Steps`: how the steps of a sequence with dropout are recorded.

Python records the first steps of each kind. If two of them have recorded the same, it becomes a *template*, from which
compiled code records all later steps of this kind: see `dynet_core.templates`.
"""

from __future__ import annotations

from typing import Any, Protocol

from dynet_core.dim import Dim
from dynet_core.expression import Expression
from dynet_core.recorder import HAS_TEMPLATES, replay
from dynet_core.templates import Observed

from .layers import Form, Layers

MOST = 64  # how many choices of dropout rates and of batch sizes of masks a network knows; then it begins anew
MOST_CALLS = 8  # if this many steps of a kind have not led to a template, later ones are not observed


class State(Protocol):
    """A state of a sequence, as far as it is needed here."""

    _form: Form
    _places: tuple[int, ...] | None
    _run: Any
    _vectors: list[tuple[Expression, ...] | None] | None

    def output(self) -> Expression: ...


def nodes_of(state: State) -> tuple[int, ...] | None:
    """Return the numbers of the nodes that hold a state. None if it was set to parameters or to unusual shapes."""
    if state._places or state._form.starts:
        return state._places or ()
    vectors = [x for layer in zip(*state._vectors or ()) for x in layer]
    if all([x.version == state._run.version and len(x.type.dims) == 1 for x in vectors]):
        return tuple([x.at for x in vectors])
    return None


class Steps:
    """How the steps of a sequence with dropout are recorded.

    Args:
        layers: the parameters of the network.
        kind: what the records of a step depend on, besides shapes: dropout rates; if there are masks, their batch size,
            and for each value (the input, h, c) whether it has one.
        masks: the masks of all layers, in order, if the sequence has the same ones at all steps. A mask is a vector of
            random factors.

    Attributes:
        known: by the form of a state and the Dim of an input, how to record a step: (Dim of the output, template,
            offset, below, form of the next state). The operands of the template are the nodes of the state, the input
            and `masks`. The place of the last layer's new state is `offset` nodes before the output. Those of the
            layers below it, from top to bottom, are as many nodes before that place as `below` says.
    """

    __slots__ = ("_by_layer", "_layers", "_seen", "kind", "known", "masks")

    known: dict[tuple[Form, Dim], tuple[Dim, bytes, int, tuple[int, ...], Form]]
    kind: tuple[float, ...]
    masks: tuple[Expression, ...]
    _seen: dict[tuple[Form, Dim], tuple[int, bytes | None]]  # how many steps were observed; the last one's template

    def __init__(self, layers: Layers, kind: tuple[float, ...], masks: tuple[Expression, ...] = ()):
        found = layers.known_steps.get(kind)
        if found is None:
            if len(layers.known_steps) >= MOST:
                layers.known_steps.clear()
            found = layers.known_steps[kind] = {}, {}
        self.known, self._seen = found
        self.kind, self.masks, self._layers = kind, masks, layers
        self._by_layer: list[list[Expression | None]] | None = None

    def by_layer(self) -> list[list[Expression | None]]:
        """Return the masks of each layer: those of the input, of h, and in some networks of c. None stands for ones."""
        found = self._by_layer
        if found is None:
            masks, has_mask = iter(self.masks), self.kind[1:]
            found = self._by_layer = [[next(masks) if has else None for has in has_mask] for _ in self._layers.inputs]
        return found

    def read(
        self, version: int, form: Form, nodes: tuple[int, ...] | None, xs: list[Expression]
    ) -> tuple[list[Expression], Form, tuple[int, ...] | None]:
        """Record a step for each input, up to the first one for which it is not known how.

        Args:
            version: the version that the graph should have.
            form: the form of the state.
            nodes: what `nodes_of` returns for the state.
            xs: the inputs.

        Returns:
            (the output of each step, the form of the last state, its places).
        """
        found, known, masks = [], self.known, self.masks
        try:
            for x in xs if nodes is not None else ():
                dim, template, offset, below, following = known[form, x.type]
                output = replay(dim, template, (*nodes, x, *masks), version)  # type: ignore[misc]
                last = output.at - offset
                form, nodes = following, (last,)
                for count in below:
                    nodes = (last - count, *nodes)
                found.append(output)
        except (AttributeError, KeyError):  # also if `replay` has refused to record
            pass
        return found, form, nodes

    def observe(self, state: State, x: Expression) -> Observed | None:
        """Begin to observe how Python records the step from `state` with the input x. Return None if it need not be."""
        key = state._form, x.type
        calls, _ = self._seen.get(key, (0, None))
        if not HAS_TEMPLATES or key in self.known or calls == MOST_CALLS:
            return None
        nodes = nodes_of(state)
        if nodes is None or len({*nodes, x.at}) <= len(nodes):  # one node twice: which use is which cannot be seen
            return None
        return Observed()

    def learn(self, observed: Observed, state: State, x: Expression, new: State) -> None:
        """Keep what a step has recorded. It becomes known if the last step of its kind has recorded the same.

        Args:
            observed: what `observe` has returned before the step.
            state: the state before the step.
            x: the input.
            new: the state after the step.
        """
        output, places, key = new.output(), new._places, (state._form, x.type)
        operands = *(nodes_of(state) or ()), x.at, *[mask.at for mask in self.masks]
        template = observed.template(operands, output, [weight.at for weight in self._layers.computed])
        calls, before = self._seen.get(key, (0, None))
        if template is not None and template == before and places:
            last = places[-1]
            below = tuple([last - place for place in reversed(places[:-1])])
            self.known[key] = output.type, template, output.at - last, below, new._form
        self._seen[key] = calls + 1, template or before
