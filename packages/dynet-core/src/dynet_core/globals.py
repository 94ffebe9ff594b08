"""The functions of the module that concern the whole thread: graphs and seeds."""

from __future__ import annotations

from . import graph, noise, random_stream


def renew_cg(immediate_compute: bool = False, check_validity: bool = False) -> graph.Graph:
    """Begin a new graph; all expressions of the old one become stale."""
    return graph.renew()


def cg_version() -> int:
    """The number of this thread's current graph."""
    return graph.current().version


def reset_random_seed(seed: int) -> None:
    """Restart all random numbers: those of initial values, and those of dropout and noise."""
    random_stream.reset_random_seed(seed)
    noise.reset(seed)
