"""Arguments for calls of the recorder's paths: operands and numbers that they take, and some that they refuse."""

import threading

import numpy as np

import dynet_ops as dy
from dynet_core import cg_checkpoint, cg_revert, renew_cg
from dynet_core.graph.expression import Expression

NUMBERS = [0, 1, 2, -1, 2.5, -1.0, 1e300, float("nan"), float("inf"), 1 << 40, 1 << 62, -(1 << 63), 1 << 63, 1 << 200]
NUMBERS += [10**400, -(10**400), np.int64(1), np.int32(2), np.float32(0.1), np.float64(1.5), np.int64(-(1 << 63))]
NO_NUMBERS = [None, "1", True, False, 1j, np.int8(1), np.uint64(1), np.float16(1), np.bool_(True), object(), [1], (2,)]


class Whole(int):
    """A subclass of int."""


class Real(float):
    """A subclass of float."""


class Listed(list):
    """A subclass of list."""


class Paired(tuple):
    """A subclass of tuple."""


class Own(Expression):
    """A user-defined expression class without a node."""


NO_NUMBERS += [Whole(1), Real(1.5)]


def elsewhere(make):
    """The result of a function in another thread."""
    found = []
    thread = threading.Thread(target=lambda: found.append(make()))
    thread.start()
    thread.join()
    return found[0]


def graph_with_past():
    """Nodes of this graph, some from before `cg_revert`, and expressions that are no longer nodes of it."""
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
