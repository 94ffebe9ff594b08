"""Update rules in float64 numpy: rule(p, g, state, rate, t) changes p and state in update number t."""

import numpy as np


def f32(number):
    """What kernels take a hyper-parameter for."""
    return float(np.float32(number))


def sgd():
    def rule(p, g, state, rate, t):
        p -= rate * g

    return rule


def momentum(mom=0.9):
    def rule(p, g, state, rate, t):
        (v,) = state
        v[:] = f32(mom) * v - rate * g
        p += v

    return rule


def adagrad(eps=1e-20):
    def rule(p, g, state, rate, t):
        (h,) = state
        h += g**2
        p -= rate * g / np.sqrt(h + eps)

    return rule


def adadelta(eps=1e-6, rho=0.95):
    def rule(p, g, state, rate, t):
        h, d = state
        h[:] = f32(rho) * h + (1 - f32(rho)) * g**2
        step = g * np.sqrt(d + eps) / np.sqrt(h + eps)
        d[:] = f32(rho) * d + (1 - f32(rho)) * step**2
        p -= rate * step

    return rule


def rmsprop(eps=1e-8, rho=0.9):
    def rule(p, g, state, rate, t):
        (h,) = state
        h[:] = f32(rho) * h + (1 - f32(rho)) * g**2
        p -= rate * g / np.sqrt(h + eps)

    return rule


def adam(beta_1=0.9, beta_2=0.999, eps=1e-8, largest=False):
    a, b = f32(beta_1), f32(beta_2)

    def rule(p, g, state, rate, t):
        m, v = state[:2]
        m[:] = a * m + (1 - a) * g
        v[:] = b * v + (1 - b) * g**2
        if largest:
            state[2][:] = np.maximum(state[2], v)
        divisor = np.sqrt(state[2] if largest else v) + eps
        p -= rate * np.sqrt(1 - b**t) / (1 - a**t) * m / divisor

    return rule


class Reference:
    """Parameters and tables in float64, updated as a trainer should."""

    def __init__(self, rule, states, rate, parameters, tables, *, threshold=5.0, dense=False):
        self.rule, self.rate, self.threshold, self.dense = rule, rate, threshold, dense
        self.values = [value.astype(np.float64) for value in [*parameters, *tables]]
        self.states = [[np.zeros_like(value) for _ in range(states)] for value in self.values]
        self.tables = len(tables)
        self.updates = self.clips = 0

    def update(self, gradients, touched, s=1.0):
        """`touched` has a list of rows for each table."""
        self.updates += 1
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
            self.rule(part, s * g[rows], kept, self.rate, self.updates)
            p[rows] = part
            for tensor, changed in zip(state, kept):
                tensor[rows] = changed
