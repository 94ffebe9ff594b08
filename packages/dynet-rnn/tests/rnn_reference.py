"""Reference for recurrent networks in float64 numpy, by the steps in the builder table.

Vectors are (size, batch) arrays; biases are columns.
"""

from __future__ import annotations

import numpy as np


def run(step, values, hidden, parameters, xs, start=None, masks=None):
    """The state of every layer after every input: found[t][layer] is the list of its `values`, [h] or [h, c].

    Each value has `hidden` rows.

    `masks` has for each layer the factors of x, h and c before a step.
    """
    masks = masks or [{"x": 1.0, "h": 1.0, "c": 1.0}] * len(parameters)
    state = start or [None] * len(parameters)
    found = []
    for x in xs:
        after = []
        for given, before, mask in zip(parameters, state, masks):
            weights = [w if w.ndim > 1 else w[:, None] for w in given]
            if before:
                batch = max(x.shape[1], *[v.shape[1] for v in before])
                before = [np.broadcast_to(v, (len(v), batch)) for v in before]
                x = np.broadcast_to(x, (len(x), batch))
                before = [mask["hc"[k]] * v for k, v in enumerate(before)]
            else:
                before = [np.zeros((hidden, x.shape[1]))] * values
            result = step(mask["x"] * x, *before, *weights)
            after.append(list(result) if isinstance(result, tuple) else [result])
            x = after[-1][0]
        state = after
        found.append(state)
    return found
