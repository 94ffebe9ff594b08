"""The equations of all builders in float64 numpy. Vectors are (size, batch); a state is [h] or [h, c], or None."""

from __future__ import annotations

import numpy as np


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def simple(p, x, state, masks):
    Wx, Wh, b = p
    a = b[:, None] + Wx @ x
    if state:
        a = a + Wh @ (masks["h"] * state[0])
    return [np.tanh(a)]


def gru(p, x, state, masks):
    Wzx, Wzh, bz, Wrx, Wrh, br, Whx, Whh, bh = [w if w.ndim > 1 else w[:, None] for w in p]
    h = state[0] if state else np.zeros((len(bz), x.shape[1]))
    z, r = sigmoid(bz + Wzx @ x + Wzh @ h), sigmoid(br + Wrx @ x + Wrh @ h)
    return [(1 - z) * h + z * np.tanh(bh + Whx @ x + Whh @ (r * h))]


def vanilla(forget_bias):
    def step(p, x, state, masks):
        Wx, Wh, b = p
        gates = b[:, None] + Wx @ x
        if state:
            gates = gates + Wh @ (masks["h"] * state[0])
        return _vanilla_gates(gates, state, forget_bias, lambda c: c)

    return step


def sparse(forget_bias):
    step_of = vanilla(forget_bias)

    def step(p, x, state, masks):
        Wx, Wh, b, Mx, Mh = p
        return step_of((Wx * Mx, Wh * Mh, b), x, state, masks)

    return step


def _vanilla_gates(gates, state, forget_bias, normal):
    i, f, o, g = np.split(gates, 4)
    c = sigmoid(i) * np.tanh(g)
    if state:
        c = c + sigmoid(f + forget_bias) * state[1]
    return [sigmoid(o) * np.tanh(normal(c)), c]


def layer_normalised(p, x, state, masks):
    Wx, Wh, b, gh, bh, gx, bx, gc, bc = [w if w.ndim > 1 else w[:, None] for w in p]

    def norm(v, g, b):
        return g * (v - v.mean(0)) / v.std(0) + b

    gates = b + norm(Wx @ x, gx, bx)
    if state:
        gates = gates + norm(Wh @ (masks["h"] * state[0]), gh, bh)
    return _vanilla_gates(gates, state, 1.0, lambda c: norm(c, gc, bc))


def coupled(p, x, state, masks):
    Wix, Wih, Wic, bi, Wox, Woh, Woc, bo, Wcx, Wch, bc = [w if w.ndim > 1 else w[:, None] for w in p]
    h, c = state or [np.zeros((len(bi), x.shape[1]))] * 2
    h, c = masks["h"] * h, masks["c"] * c
    i = sigmoid(bi + Wix @ x + Wih @ h + Wic @ c)
    c = (1 - i) * c + i * np.tanh(bc + Wcx @ x + Wch @ h)
    return [sigmoid(bo + Wox @ x + Woh @ h + Woc @ c) * np.tanh(c), c]


def fast(p, x, state, masks):
    none = np.zeros_like(p[1])
    return coupled([*p[:2], none, *p[3:6], none, *p[7:]], x, state, masks | {"c": 1.0})


def run(step, parameters, xs, start=None, masks=None):
    """The state of every layer after every input: found[t][layer] is [h] or [h, c].

    `masks` has for each layer what x, h and c are multiplied with before a step.
    """
    masks = masks or [{"x": 1.0, "h": 1.0, "c": 1.0}] * len(parameters)
    state = start or [None] * len(parameters)
    found = []
    for x in xs:
        after = []
        for p, before, mask in zip(parameters, state, masks):
            if before:
                batch = max(x.shape[1], *[v.shape[1] for v in before])
                before = [np.broadcast_to(v, (len(v), batch)) for v in before]
                x = np.broadcast_to(x, (len(x), batch))
            after.append(step(p, mask["x"] * x, before, mask))
            x = after[-1][0]
        state = after
        found.append(state)
    return found
