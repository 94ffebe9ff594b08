"""Reference for trainers: float64 parameters and tables, updated by the trainers' equations."""

import numpy as np


class Reference:
    """The expected result of training a model with a registered trainer.

    Args:
        settings: the trainer's, without its rate.
        rate: in each update, a function of none.
    """

    def __init__(self, registered, settings, rate, parameters, tables, *, threshold=5.0, dense=False):
        self.rule, self.rate, self.threshold, self.dense = registered.reference, rate, threshold, dense
        self.settings, states = settings, registered.kind.rule.state_names
        self.values = [value.astype(np.float64) for value in [*parameters, *tables]]
        self.states = [[np.zeros_like(value) for _ in states] for value in self.values]
        self.tables = len(tables)
        self.updates = self.clips = 0

    def update(self, gradients, touched, s=1.0):
        """`touched` has a list of rows for each table. Call this before the trainer's update."""
        self.updates += 1
        rate = self.rate()
        gradients = [gradient.astype(np.float64) for gradient in gradients]
        norm = abs(s) * np.sqrt(sum((gradient**2).sum() for gradient in gradients))
        if self.threshold > 0 and norm > self.threshold:
            s *= self.threshold / norm
            self.clips += 1
        first_table = len(self.values) - self.tables
        for number, (p, g, state) in enumerate(zip(self.values, gradients, self.states)):
            rows = slice(None)
            if number >= first_table and not self.dense:
                rows = sorted(set(touched[number - first_table]))
            part, kept = p[rows], [tensor[rows] for tensor in state]
            self.rule(part, s * g[rows], kept, rate, self.updates, **self.settings)
            p[rows] = part
            for tensor, changed in zip(state, kept):
                tensor[rows] = changed
