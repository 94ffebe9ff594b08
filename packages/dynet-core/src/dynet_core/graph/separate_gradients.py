"""Computes gradients that a backward pass has only added to others.

A *part* is a node whose value is a part of another node's or a parameter's memory: a lookup, a pick, a slice. A plain
backward pass adds the gradients of all parts to the gradient of the whole, and does not keep them. In the same way, it
adds to the gradients of parameters, where earlier passes may have added something, too.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from dynet_kernels import layout as at
from dynet_kernels.layout import CONTEXT

from ..annotations import Floats
from ..compute.engine import Engine
from ..compute.memory import Block, block
from ..compute.parameter_rows import PARAMETER_ROWS
from ..errors import GradientError
from ..recorder import Records, passes
from ..signature import SIGNATURES, Signature
from .outdated import Changed, Outdated

PARTS = 2  # the second number of `Records.differentiated` after a pass that `differentiate_apart` has run


def differentiate_apart(engine: Engine, version: int, loss: int, places: Mapping[int, int] | None = None) -> bool:
    """Compute the gradients of all nodes, as `backward(full=True)` does, without adding any to parameters.

    During this pass, the engine has a table of parameters that leads gradients to other memory. `places` maps rows of
    PARAMETER_ROWS to the addresses at which their gradients are added. All other gradients go to memory that nothing
    reads. Return False if a parameter has been unfrozen since the last pass.
    """
    if engine.parameters_version != PARAMETER_ROWS.version:
        engine.prepare(1, engine.recorded.length)
    unread = block(PARAMETER_ROWS.largest)
    rows, usual = engine.rows.copy(), engine.slots[CONTEXT.parameters]
    addresses = rows.reshape(-1, len(at.PARAMETER))[:, at.PARAMETER.gradient]
    addresses[:] = unread.address
    for row, address in (places or {}).items():
        addresses[row] = address
    engine.plan_anew()
    engine.slots[CONTEXT.parameters] = rows.ctypes.data
    try:
        return engine.backward(version, loss, 1, True)
    finally:
        engine.slots[CONTEXT.parameters] = usual
        engine.plan_anew()


def signature_of(engine: Engine, place: int) -> Signature:
    return SIGNATURES[int(engine.nodes[place * len(at.NODE) + at.NODE.signature])]


def place_of_gradient(engine: Engine, place: int) -> tuple[int, int]:
    """Return which node's gradient has that of node `place` in it, and from which of its numbers on."""
    signature = signature_of(engine, place)
    if not signature.has_gradient_of_whole:
        return place, 0
    operands = engine.nodes[place * len(at.NODE) + at.NODE.operands]
    return int(engine.buffers["records"][operands]), signature.alias_offset


class Graph(Protocol):
    """The part of a graph used here."""

    records: Records
    engine: Engine
    outdated: Outdated


class Parameter(Protocol):
    """The part of a parameter used here."""

    @property
    def row(self) -> int: ...
    @property
    def values(self) -> Block: ...
    @property
    def identity(self) -> Changed: ...
    def trained_rows(self) -> list[int]: ...


class Shares:
    """What the last backward pass of a graph has added to the gradients of parameters."""

    def __init__(self, graph: Graph, parameters: Sequence[Parameter]):
        records = graph.records
        version, (loss, fully) = records.version, records.differentiated
        self.blocks: dict[int, Block] = {}
        places: dict[int, int] = {}
        for parameter in parameters:
            added = self.blocks[parameter.row] = block(parameter.values.floats, zero=True)
            places |= dict.fromkeys(parameter.trained_rows(), added.address)
        if not differentiate_apart(graph.engine, version, loss, places):
            raise GradientError("gradient: a parameter is trained again since backward(): ask for the gradient before")
        if not fully:
            records.note_differentiated(version, loss, PARTS)
        self.key = key_of(graph)


def key_of(graph: Graph) -> tuple[int, ...]:
    """Return numbers that change when a backward pass runs, or when a parameter is made, frozen or unfrozen."""
    return graph.records.version, graph.records.differentiated[0], passes(), PARAMETER_ROWS.version


_known = threading.local()  # `_known.shares` is the newest `Shares` of the calling thread


def added_by_last_pass(
    graph: Graph, parameter: Parameter, parameters: Callable[[], Sequence[Parameter]]
) -> Floats | None:
    """Return what the last backward pass has added to a parameter's gradient; None if the graph does not use it.

    The first call after a pass computes the gradients of all `parameters()`, for which the same will probably be asked.
    This takes longer than a backward pass. Raise GradientError if there has been no pass, or if parameters of its loss
    have changed since, even if the gradient has been computed before.
    """
    if not graph.outdated.uses(parameter.identity):
        return None
    loss, _ = graph.records.differentiated
    if loss < 0 or graph.engine.changing:
        raise GradientError(
            "gradient: backward() has not been called on this graph, or not since its values changed: grad_as_array() "
            "has what backward passes have added up since the last update"
        )
    if graph.outdated.reached(loss, graph.engine, False):
        raise GradientError(
            "gradient: since backward(), parameters of its loss have changed, as by an update: ask for the "
            "gradients before that. grad_as_array() has what backward passes have added up since the last update"
        )
    shares: Shares | None = getattr(_known, "shares", None)
    if shares is None or shares.key != key_of(graph) or parameter.row not in shares.blocks:
        shares = _known.shares = Shares(graph, parameters())
    return shares.blocks[parameter.row].array
