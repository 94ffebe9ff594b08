"""Arguments for calls of the recorder's paths: operands and numbers that they take, and others."""

import threading

import numpy as np

import dynet_ops as dy
from dynet_core import cg_checkpoint, cg_revert, renew_cg
from dynet_core.graph.expression import Expression

NUMBERS = [0, 1, 2, -1, 2.5, -1.0, 1e300, float("nan"), float("inf"), 1 << 40, 1 << 62, -(1 << 63), 1 << 63, 1 << 200]
NUMBERS += [10**400, -(10**400), np.int64(1), np.int32(2), np.float32(0.1), np.float64(1.5), np.int64(-(1 << 63))]
NO_NUMBERS = [None, "1", True, False, 1j, np.int8(1), np.uint64(1), np.float16(1), np.bool_(True), object(), [1], (2,)]


class Whole(int):
    """An int of another type."""


class Real(float):
    """A float of another type."""


class Listed(list):
    """A list of another type."""


class Paired(tuple):
    """A tuple of another type."""


class Own(Expression):
    """An expression of the user's own, which stands for nothing."""


NO_NUMBERS += [Whole(1), Real(1.5)]


def elsewhere(make):
    """What a function returns in another thread."""
    found = []
    thread = threading.Thread(target=lambda: found.append(make()))
    thread.start()
    thread.join()
    return found[0]


def graph_with_past():
    """Nodes of this graph, some of them from before `cg_revert`; and expressions that are not nodes of it any more."""
    old = dy.inputVector([1.0, 2.0, 3.0])
    renew_cg()
    kept = dy.inputVector([3.0, 2.0, 1.0])
    cg_checkpoint()
    cut = dy.tanh(kept)
    cg_revert()
    node = dy.inputVector([0.5, 1.0, 2.0])
    other = elsewhere(lambda: dy.inputVector([1.0, 2.0, 3.0]))
    return [node, kept], [old, cut, other]


def no_operands(gone, table):
    return [
        *gone,
        table,
        None,
        3,
        2.5,
        "x",
        [gone[0]],
        object(),
        Expression(),
        Own(),
        np.ones(3, np.float32),
        Expression,
    ]
