"""Computes formulas in torch, for random_formulas.py: python formulas_torch.py FOLDER

The folder has formulas.json, a list of [name, operands, source], and values.npz; it gets torch.npz.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch


def tensor(value, like):
    return value if isinstance(value, torch.Tensor) else torch.full_like(like, value)


def pair(function):
    def call(a, b):
        like = a if isinstance(a, torch.Tensor) else b
        return function(tensor(a, like), tensor(b, like))

    return call


class Functions:
    """The functions of dynet_kernels.formula, in torch."""

    exp, log, expm1, log1p = torch.exp, torch.log, torch.expm1, torch.log1p
    power, logistic, tanh, sinh, cosh = torch.pow, torch.sigmoid, torch.tanh, torch.sinh, torch.cosh
    asinh, acosh, atanh, sin, cos, tan = torch.asinh, torch.acosh, torch.atanh, torch.sin, torch.cos, torch.tan
    asin, acos, atan, erf, lgamma = torch.asin, torch.acos, torch.atan, torch.erf, torch.lgamma
    digamma, sqrt, absolute = torch.digamma, torch.sqrt, torch.abs
    floor, ceil, where = torch.floor, torch.ceil, torch.where
    minimum, maximum = pair(torch.minimum), pair(torch.maximum)

    @staticmethod
    def over_root(x, y, c):
        return x / (torch.sqrt(y) + c)

    @staticmethod
    def round(x):
        """Rounds halves away from zero, in float64, where adding 0.5 is exact."""
        wide = x.detach().double()
        return (torch.sign(wide) * torch.floor(wide.abs() + 0.5)).float()


def computed(name, operands, source, arrays):
    """The value and the gradients of the sum of a formula, as an array (1 + operands, points)."""
    space = {"f": Functions}
    exec(source, space)
    leaves = [torch.tensor(array, requires_grad=True) for array in arrays]
    value = space[name](*leaves)
    gradients = [None] * len(leaves)
    if value.requires_grad:
        gradients = torch.autograd.grad(value.sum(), leaves, allow_unused=True)
    zero = torch.zeros_like(leaves[0])
    return torch.stack([value.detach(), *[zero if one is None else one for one in gradients]]).numpy()


if __name__ == "__main__":
    torch.set_num_threads(1)
    folder = Path(sys.argv[1])
    values = np.load(folder / "values.npz")
    asked = json.loads((folder / "formulas.json").read_text())
    np.savez(folder / "torch.npz", **{name: computed(name, ops, source, values[name]) for name, ops, source in asked})
