"""The scenarios in which `every_line.py` raises exceptions: typical actions of programs in a graph.

Each scenario takes a graph, and returns what it has recorded with the expected values.
"""

from collections.abc import Callable
from itertools import count

import numpy as np
from mirror import TOLERANCE, Wrong

import dynet as dy

fresh = count(11)  # sizes that have not been used before

MODEL = dy.ParameterCollection()
W = MODEL.parameters_from_numpy(np.full((3, 3), 0.25))
ROWS = np.arange(12).reshape(4, 3) / 12
E = MODEL.lookup_parameters_from_numpy(ROWS)
LSTM = dy.VanillaLSTMBuilder(1, 3, 3, MODEL)
TRAINER = dy.SimpleSGDTrainer(MODEL, 0.0)  # updates change nothing, so that values stay the same

Pairs = list[tuple[dy.Expression, np.ndarray]]


def vector(size: int = 3) -> np.ndarray:
    return np.linspace(-1, 1, size)


class Graph:
    """Expressions that the program holds before the exception: `computed` were read, `waiting` were not."""

    def __init__(self):
        dy.renew_cg()
        x = dy.inputVector(vector().tolist())
        y = dy.tanh(x)
        y.value()
        self.x, self.y, self.values = x, y, vector()
        self.held: Pairs = [(x, vector()), (y, np.tanh(vector()))]
        z = dy.concatenate([x, y])
        self.held += [(z, np.concatenate([vector(), np.tanh(vector())])), (E[1], ROWS[1])]
        self.loss = dy.sum_elems(W * y + x)
        self.held.append((self.loss, np.array([(0.25 * np.tanh(vector()).sum() * np.ones(3) + vector()).sum()])))

    def check(self, allowed: tuple[type, ...]) -> None:
        """Check that everything has its value, now and after more is recorded, or raises an allowed exception."""
        # Recording comes first: half a record shows when the next ones follow it.
        new = recorded(allowed, lambda: dy.tanh(self.y - self.x)), np.tanh(np.tanh(self.values) - self.values)
        sums = recorded(allowed, lambda: dy.esum([self.x, self.y, self.x])), 2 * self.values + np.tanh(self.values)
        for e, expected in [*self.held, new, sums]:
            try:
                got = None if e is None else np.atleast_1d(e.npvalue())
            except allowed:
                continue
            if got is not None and not (got.shape == expected.shape and np.allclose(got, expected, **TOLERANCE)):
                raise Wrong(f"{e!r} gives {got}, not {expected}")


def recorded(allowed: tuple[type, ...], record: Callable):
    try:
        return record()
    except allowed:
        return None


def one_operand(g: Graph) -> Pairs:
    n = next(fresh)
    values = vector(n) + 2  # its sum must not be 0, where rounding would matter more for larger n
    x = dy.inputVector(values.tolist())
    return [(dy.tanh(x), np.tanh(values)), (dy.sum_elems(x), np.atleast_1d(values.sum())), (-x, -values)]


def two_operands(g: Graph) -> Pairs:
    n = next(fresh)
    x = dy.inputTensor(vector(n))
    return [
        (x + x, 2 * vector(n)),
        (dy.cmult(x, x), vector(n) ** 2),
        (x - x * 0.5, vector(n) / 2),
        (1 - x, 1 - vector(n)),
    ]


def many_operands(g: Graph) -> Pairs:
    n = next(fresh)
    x = dy.inputTensor(vector(n))
    joined = dy.concatenate([x, g.y, x])
    return [
        (joined, np.concatenate([vector(n), np.tanh(vector()), vector(n)])),
        (dy.esum([x] * 4), 4 * vector(n)),
        (dy.average([x, x, x]), vector(n)),
        (dy.affine_transform([g.x, W, g.y]), vector() + 0.25 * np.tanh(vector()).sum()),
    ]


def attributes(g: Graph) -> Pairs:
    n = next(fresh)
    x = dy.inputVector(vector(n))
    return [
        (dy.pick(x, 2), vector(n)[2:3]),
        (x[1], vector(n)[1:2]),
        (x[1:4], vector(n)[1:4]),
        (dy.pick_range(x, 0, 5), vector(n)[:5]),
        (dy.pickneglogsoftmax(x * 0, 3), np.array([np.log(n)])),
        (x**2, vector(n) ** 2),
    ]


def new_dims(g: Graph) -> Pairs:
    n = next(fresh)
    x = dy.inputTensor(vector(n).reshape(1, n))
    return [(dy.reshape(x, (n, 1)), vector(n).reshape(n, 1)), (dy.transpose(x) * 1.0, vector(n).reshape(n, 1))]


def tables(g: Graph) -> Pairs:
    return [
        (E[2], ROWS[2]),
        (dy.lookup(E, 3), ROWS[3]),
        (dy.lookup(E, 0, update=False), ROWS[0]),
        (dy.lookup_batch(E, [1, 2]), ROWS[1:3].T),
    ]


def parameters(g: Graph) -> Pairs:
    n = next(fresh)
    p = MODEL.add_parameters((n, 3), init=1.0)
    table = MODEL.add_lookup_parameters((2, n), init=2.0)
    return [(p * g.x, np.zeros(n)), (table[1] + p * g.x, np.full(n, 2.0)), (p.expr(update=False) * g.x, np.zeros(n))]


def network(g: Graph) -> Pairs:
    start = LSTM.initial_state()
    one, two = start.add_inputs([g.x, g.y])
    first, second = start.transduce([g.x, g.y])
    return [(dy.sum_elems(one.output() - first), np.zeros(1)), (dy.sum_elems(two.output() - second), np.zeros(1))]


def growing(g: Graph) -> Pairs:
    x = g.x
    for _ in range(1500):
        x = dy.tanh(x * 2)
    y = dy.esum([x] * 300)
    return [(x * 0, np.zeros(3)), (y * 0, np.zeros(3))]


def value(g: Graph) -> Pairs:
    n = next(fresh)
    x = dy.tanh(dy.inputVector(vector(n)))
    rounding = 1e-4 + 1e-8 * n  # of a sum of n float32s, which is 0
    if not np.allclose(x.value(), np.tanh(vector(n)), **TOLERANCE) or abs(dy.sum_elems(x).scalar_value()) > rounding:
        raise Wrong("a value")
    return [(x, np.tanh(vector(n)))]


def backward(g: Graph) -> Pairs:
    g.loss.backward()
    g.loss.backward(full=True)
    TRAINER.update()
    return [(dy.inputVector(g.y.gradient().tolist()), np.full(3, 0.75))]


def input_set(g: Graph) -> Pairs:
    x = dy.inputVector([1.0, 2.0])
    y = x * 2
    y.value()
    x.set([2.0, 3.0])
    return [(y, np.array([4.0, 6.0]))]


def checkpoint(g: Graph) -> Pairs:
    dy.cg_checkpoint()
    dy.tanh(dy.inputVector(vector(next(fresh)))).value()
    dy.cg_revert()
    return [(dy.tanh(g.x), np.tanh(vector()))]


def renew(g: Graph) -> Pairs:
    g.gone = [dy.tanh(g.x) for _ in range(40)]
    dy.renew_cg()
    return [(dy.inputVector([1.0]) + 1.0, np.array([2.0]))]


SCENARIOS = (one_operand, two_operands, many_operands, attributes, new_dims, tables, parameters, network, growing)
SCENARIOS += (value, backward, input_set, checkpoint, renew)


def compared(pairs: Pairs) -> None:
    for e, expected in pairs:
        got = np.atleast_1d(e.npvalue())
        if not (got.shape == expected.shape and np.allclose(got, expected, **TOLERANCE)):
            raise Wrong(f"{e!r} gives {got}, not {expected}")
