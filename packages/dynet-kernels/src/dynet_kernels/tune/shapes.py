"""The workloads that the tuner times for each family, with typical sizes, and with the results that numpy computes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import formula as f
from ..families.norm import GradientNorm
from ..families.products import ColumnGradient, MatrixGradient, Product
from ..families.rules import Rule, update_rule
from ..formula import LEAVES, Symbol
from ..kernels import Kernel
from .timing import Workload


@dataclass(frozen=True)
class Study:
    """A family to tune: its share of the tuner's time, its kernels by name, and a function that returns workloads."""

    share: int
    kernels: dict[str, Kernel]
    workloads: Callable[[], list[Workload]]


def _matrices(rows: int, matrix_columns: int, columns: int, matrix_count: int = 1):
    """Return random column-major arrays W, x and y for products y = W x. W has `matrix_count` matrices.

    Workloads that compute gradients use the three arrays as W, dx and dy, or as dW, x and dy.
    """
    rng = np.random.default_rng(1)
    shapes = (matrix_count, matrix_columns, rows), (columns, matrix_columns), (columns, rows)
    return [rng.uniform(-1, 1, shape).astype(np.float32) for shape in shapes]


# Sizes of products of a matrix and columns: (rows of the matrix, columns of the matrix, columns that it multiplies).
SHAPES = (
    (512, 512, 1), (200, 100, 1), (512, 512, 4), (256, 256, 8), (1024, 256, 16), (512, 512, 24), (512, 512, 48),
    (100, 64, 32), (400, 200, 64), (512, 512, 512),
)  # fmt: skip
# Sizes from the last steps of a recurrent network, when most sequences of the minibatch have ended.
RECURRENT = (512, 128, 3), (512, 128, 5), (512, 128, 7)
# Sizes with few columns. In the first two, columns of the matrix are 4096 bytes apart, which is slow in caches.
FEW = (1024, 256, 1), (1024, 256, 4), (128, 64, 2)
# A size as in SHAPES, and the number of matrices: 32 small matrices, each of which multiplies 16 of the 512 columns.
SMALL_MATRICES = (16, 16, 512, 32)


def product(rows: int, matrix_columns: int, columns: int, matrix_count: int = 1) -> Workload:
    w, x, y = _matrices(rows, matrix_columns, columns, matrix_count)
    label, group, shared = f"{rows}x{matrix_columns}x{columns}", 0, (0,)
    if matrix_count == 1:
        result = np.float64(x) @ w[0]
    else:
        label, group, shared = f"{label}, {matrix_count} matrices", columns // matrix_count, ()
        w = np.repeat(w, group, axis=0)
        result = np.einsum("ckr,ck->cr", w, x, dtype=np.float64)
    parameters = rows, matrix_columns, rows, 0, 1, 2, -1, group, 0
    return Workload(label, "product", [w.reshape(len(w), -1), x, y], parameters, {2: result}, shared)


def _gradient(kernel: str, target: int, sizes: tuple[int, ...], gradient: Callable[..., np.ndarray]) -> Workload:
    """Return a workload of a kernel that adds gradient(W, x, y) to one of W, x and y, number `target` (0 to 2)."""
    rows, inner, columns = sizes
    (w,), x, y = _matrices(rows, inner, columns)
    arrays = [w.reshape(1, -1), x, y]
    expected = {target: arrays[target] + gradient(w, np.float64(x), np.float64(y)).reshape(arrays[target].shape)}
    return Workload(f"{rows}x{inner}x{columns}", kernel, arrays, (rows, inner, rows, 0, 1, 2, 0, 0), expected, (0,))


def column_gradient(*sizes: int) -> Workload:
    return _gradient("product.dx", 1, sizes, lambda w, dx, dy: dy @ w.T)


def matrix_gradient(*sizes: int) -> Workload:
    return _gradient("product.dW", 0, sizes, lambda dw, x, dy: x.T @ dy)


def _softmax(x):
    e = f.exp(x - f.max(x))
    return e / f.sum(e)


def _layer_norm(x, g, b, n):
    spread = x - f.sum(x) / n
    return g * spread / f.sqrt(f.sum(spread * spread) / n) + b


COLUMN_RULES = {
    "softmax": Rule(("y", "x"), {"y": _softmax}),
    "layer_norm": Rule(("y", "x", "g", "b", "n"), {"y": _layer_norm}, numbers=("n",)),
    "layer_norm.dx": Rule(("y", "x", "g"), {"dx": lambda x, dy, g: g * dy - f.sum(g * dy) - x * f.sum(x * g * dy)}),
    "add": Rule(("y", "a", "b"), {"y": lambda a, b: a + b}),
    "multiply.d": Rule(("y", "a", "b"), {"da": lambda dy, b: dy * b, "db": lambda dy, a: dy * a}),
    "tanh": Rule(("y", "x"), {"y": lambda x: f.tanh(x)}),
    "tanh.dx": Rule(("y", "x"), {"dx": lambda y, dy: dy * (1 - y * y)}),
}


def _value_of(symbol: Symbol, inputs: dict[str, Any]) -> Any:
    if symbol.function in LEAVES:
        (name_or_constant,) = symbol.arguments
        return inputs.get(name_or_constant, name_or_constant)
    return getattr(np, symbol.function)(*[_value_of(argument, inputs) for argument in symbol.arguments])


def _workload(rule: Rule, label: str, kernel: str, columns: int, size: int, least: float, number: float) -> Workload:
    """Return a workload of a rule on random floats from `least` to 1. All views in `Rule.numbers` are `number`."""
    rng = np.random.default_rng(1)
    wide = {*rule.reads, *rule.outputs} - rule.numbers
    arrays: dict[str, Any] = {
        name: np.float32(rng.uniform(least, 1, (columns, size)) if name in wide else np.full((columns, 1), number))
        for view in rule.views
        for name in (view, "d" + view)
    }
    in_float64: dict[str, Any] = {name: np.float64(array) for name, array in arrays.items()}
    for name, reduction in rule.reductions.items():
        values = _value_of(reduction.formula.result, in_float64)
        in_float64 |= {name: getattr(np, reduction.combine)(values, 1, keepdims=True), reduction.kept_in: values}
    expected = {
        rule.role_of(name): in_float64[name] * (name in rule.accumulate) + _value_of(formula.result, in_float64)
        for name, formula in rule.outputs.items()
    }
    return Workload(label, kernel, [*arrays.values()], (size,), expected)


def rule(name: str, columns: int, size: int) -> Workload:
    return _workload(COLUMN_RULES[name], f"{name} {columns}x{size}", name, columns, size, -1, size)


def _columns_workloads() -> list[Workload]:
    workloads = [rule(name, 64, size) for name in ("softmax", "layer_norm", "layer_norm.dx") for size in (50, 1000)]
    workloads += [rule(name, 64, size) for name in ("add", "multiply.d", "tanh.dx") for size in (16, 256)]
    return workloads + [rule("tanh", 64, 256), rule("add", 4, 16384), rule("multiply.d", 4, 16384)]


def norm(columns: int, size: int) -> Workload:
    g = np.random.default_rng(1).uniform(-1, 1, (columns, size)).astype(np.float32)
    total = np.zeros((1, 2), np.float32)  # room for one float64
    expected = {1: np.square(np.float64(g)).sum(keepdims=True)}
    return Workload(f"{columns}x{size}", "norm", [g, total], (size,), expected, (1,), (1,))


@update_rule
def UPDATE_RULE(p, g, m, v, rate):
    """An update with two tensors per parameter, like Adam. Adding 0.01 prevents denormals, which are slow."""
    new = 0.9 * m + 0.1 * g + 0.01
    return {"m": new, "v": 0.999 * v + 0.001 * g * g + 0.01, "p": p - rate * new / (f.sqrt(v) + 1e-8)}


def update(columns: int, size: int) -> Workload:
    return _workload(UPDATE_RULE, f"{columns}x{size}", "update", columns, size, 0.1, 0.001)


# The study "cuda" times all GPU kernels together. Kernels in REDUCTIONS use several threads for a column, those in
# ELEMENTWISE one for each element. The workloads are large, because small ones take less time than a kernel launch.
REDUCTIONS = ("softmax", "layer_norm", "layer_norm.dx", "norm")
ELEMENTWISE = ("add", "multiply.d", "tanh", "tanh.dx", "update")
GPU_SHAPES = (512, 512, 64), (1024, 256, 640), (2048, 2048, 256)  # sizes of products, as in SHAPES


def _gpu_workloads() -> list[Workload]:
    workloads = [make(*shape) for shape in GPU_SHAPES for make in (product, column_gradient, matrix_gradient)]
    workloads += [rule(name, 4096, size) for name in ("softmax", "layer_norm", "layer_norm.dx") for size in (50, 1000)]
    workloads += [rule(name, 4096, 256) for name in ELEMENTWISE if name in COLUMN_RULES] + [rule("add", 16, 1 << 18)]
    workloads += [norm(256, 1 << 14), norm(1, 1 << 22), update(256, 1 << 14), update(1, 1 << 22)]
    for workload in workloads:
        workload.label = f"{workload.kernel} {workload.label.removeprefix(workload.kernel + ' ')}"
    return workloads


# Family -> study, in the order in which the families are searched.
STUDIES = {
    "norm": Study(1, {"norm": GradientNorm()}, lambda: [norm(64, 100), norm(1, 16384), norm(1, 1 << 20)]),
    "update": Study(1, {"update": UPDATE_RULE}, lambda: [update(64, 100), update(1, 16384), update(1, 1 << 20)]),
    "columns": Study(2, dict(COLUMN_RULES), _columns_workloads),
    "column_gradient": Study(
        3, {"product.dx": ColumnGradient()}, lambda: [column_gradient(*s) for s in SHAPES + RECURRENT]
    ),
    "matrix_gradient": Study(3, {"product.dW": MatrixGradient()}, lambda: [matrix_gradient(*s) for s in SHAPES + FEW]),
    "product": Study(6, {"product": Product()}, lambda: [product(*s) for s in (*SHAPES, *RECURRENT, SMALL_MATRICES)]),
}
STUDIES["cuda"] = Study(
    8, {name: kernel for study in STUDIES.values() for name, kernel in study.kernels.items()}, _gpu_workloads
)
